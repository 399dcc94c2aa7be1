"""`synq verify`."""

from pathlib import Path
from typing import Annotated

import typer

from synq.cli import console, options

_SIMULATIONS = {"hls": "C simulation", "rtl": "Verilog"}


def verify(
    project: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Recheck a project: digests of all files, and every simulation against the reference."""
    console.start_logging(verbose)
    from synq.verify import verify as check

    result = check(project.resolve(), console.progress(as_json))
    if as_json:
        console.print_json(
            {
                "files": result.files,
                "flows": [flow.value for flow in result.flows],
                "bit_exact": {"images": result.images, "mismatches": 0},
                "accuracy": result.accuracy,
            }
        )
        return
    console.say(f"[bold green]As exported:[/] {result.files} files have their SHA-256")
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer, "
        f"{' and '.join(_SIMULATIONS[flow.value] for flow in result.flows)}, "
        f"{result.accuracy:.2f} % accuracy"
    )
