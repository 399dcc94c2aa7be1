"""`synq verify`."""

from pathlib import Path
from typing import Annotated

import typer

from synq.cli import console, options


def verify(
    project: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Recheck a project: digests of all files, and the C simulation against the reference."""
    console.start_logging(verbose)
    from synq.verify import verify as check

    result = check(project.resolve(), console.progress(as_json))
    if as_json:
        console.print_json(
            {
                "files": result.files,
                "bit_exact": {"images": result.images, "mismatches": result.mismatches},
                "accuracy": {"csim": result.accuracy},
            }
        )
        return
    console.say(f"[bold green]As exported:[/] {result.files} files have their SHA-256")
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer, "
        f"{result.accuracy:.2f} % accuracy"
    )
