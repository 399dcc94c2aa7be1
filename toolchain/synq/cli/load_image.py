"""`synq load-image`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.errors import UsageError


def load_image(
    core: Annotated[
        Path,
        typer.Argument(
            help="A folder that synq-export --flow rtl --reloadable made.", metavar="CORE"
        ),
    ],
    network: Annotated[
        Path | None,
        typer.Argument(
            help="What to load: a project, or a network's .npz; the core's own network without.",
            metavar="PROJECT|NETWORK",
        ),
    ] = None,
    chip: Annotated[
        Path | None,
        typer.Option(help="Load this chip of it instead, an .npz of synq program."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="With --chip: the device, where it was your own .toml."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Where to write what the driver loads, as .npz.")
    ] = Path("load.npz"),
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Write a network, or a chip, as a file that a running core of --reloadable takes."""
    console.start_logging(verbose)
    if output.suffix != ".npz":
        raise UsageError(f"--output must end in .npz, got {output}")
    if chip is None and device is not None:
        raise UsageError("--device is for --chip: a network alone needs none")
    options.check_output_file(output)
    from synq.exported import load_image as rendered
    from synq.exported import read_design_of, read_network
    from synq.files import atomic_write

    source = (network or core).resolve()
    if chip is None:
        wanted = read_network(source)
    else:
        from synq.chip_file import read_chip

        wanted = read_chip(chip, *read_design_of(source, device)).network
    content = rendered(core.resolve(), wanted)
    atomic_write(output.resolve(), content)
    if as_json:
        console.print_json(
            {"digest": wanted.digest, "bytes": len(content), "output": str(output.resolve())}
        )
        return
    console.say(f"[bold]Written:[/] {escape(str(output))}, {len(content):,} bytes")
    console.say(
        f"[bold]Next:[/] on the board, with the driver of {escape(str(core))}: "
        f"network.load({output.name!r})"
    )
