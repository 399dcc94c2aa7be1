"""`synq verify`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from synq import __version__
from synq.cli import console, options

_SIMULATIONS = {"hls": "C simulation", "rtl": "Verilog"}


def verify(
    project: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    formal: Annotated[
        bool, typer.Option("--formal", help="Prove the Verilog's modules, too: extra `formal`.")
    ] = False,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Recheck a project: digests of all files, and every simulation against the reference."""
    console.start_logging(verbose)
    from synq.verifying import verify as check

    result = check(project.resolve(), console.progress(as_json), formal)
    if as_json:
        shown = {
            "files": result.files,
            "rendered": result.rendered,
            "flows": [flow.value for flow in result.flows],
            "bit_exact": result.bit_exact,
            result.task.metric: result.score,
        }
        if formal:
            shown["proofs"] = [
                {
                    "module": each.proof.module,
                    "parameters": dict(each.proof.parameters),
                    "proven_by": each.proof.shown_by,
                    "seconds": round(each.seconds, 1),
                }
                for each in result.proofs
            ]
        console.print_json(shown)
        return
    console.say(
        f"[bold green]As exported:[/] {result.files} files have their SHA-256, "
        f"{result.rendered} of them were rendered anew and are the same"
    )
    if not result.rendered:
        console.say(
            f"[bold]Not rendered anew:[/] the manifest names synq {escape(result.made_by)}, "
            f"this is {__version__}"
        )
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer, "
        f"{' and '.join(_SIMULATIONS[flow.value] for flow in result.flows)}, "
        f"{sum(result.bit_exact['compared'].values()):,} integers compared, "
        f"{result.shown_score}"
    )
    if formal:
        modules = dict.fromkeys(each.proof.module for each in result.proofs)
        console.say(
            f"[bold green]Proven:[/] {len(result.proofs)} proofs by induction, for every input: "
            f"{', '.join(modules)}"
        )
