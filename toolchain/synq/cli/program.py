"""`synq program`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.errors import UsageError


@options.spread
def program(
    given: options.Made,
    chip: options.Chip,
    seed: Annotated[
        int,
        typer.Option(help="Which chip: the same seed, the same cells.", metavar="<int>"),
    ] = 0,
    read_back: Annotated[
        Path | None,
        typer.Option(help="A measured chip instead: a .csv with a line a cell, as written here."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Where to write the chip, as .npz, with a .csv beside it."),
    ] = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Program a chip: the conductance of every cell, and the accuracy of just that chip."""
    console.start_logging(verbose)
    name = "read-back" if read_back is not None else str(seed)
    output = output or Path(f"chip-{name}.npz")
    if output.suffix != ".npz":
        raise UsageError(f"--output must end in .npz, got {output}")
    options.check_output_file(output)
    from synq import chip_file
    from synq.chip import State
    from synq.chip import program as make
    from synq.files import atomic_write
    from synq.score import integer_score

    shown = console.progress(as_json)
    source = given.read(shown)
    conditions = given.conditions(chip, source)
    parts = (source.network, source.device, source.choice)
    with shown.task("Program the chip"):
        if read_back is not None:
            made = chip_file.read_back(read_back, *parts, conditions)
        else:
            made = make(*parts, conditions, seed)
        scores = [
            integer_score(source.task, network, network.answers(source.inputs), source.labels)
            for network in (source.network, made.network)
        ]
    atomic_write(output, chip_file.chip_npz(made))
    atomic_write(output.with_suffix(".csv"), chip_file.chip_csv(made))
    cells = sum(each.state.size for each in made.cells)
    counts = {state.name.lower(): made.count(state) for state in State}
    if as_json:
        console.print_json(
            {
                "seed": made.seed,
                "cells": cells,
                "states": counts,
                "pulses": made.pulses,
                "energy_J": made.energy_j,
                "deviation": made.deviation,
                source.task.metric: {"design": scores[0], "chip": scores[1]},
                "conditions": chip_file.described_conditions(conditions),
                "output": str(output.resolve()),
            }
        )
        return
    missing = chip_file.missing_cells(made)
    what = f"chip {made.seed}" if made.seed is not None else f"the chip of {escape(str(read_back))}"
    stuck = counts["stuck_at_min"] + counts["stuck_at_max"]
    console.say(
        f"[bold]{what}:[/] {cells:,} cells of {source.device.name}, {stuck:,} stuck, "
        f"{100 * made.deviation:.2f} % of the window off their targets (root mean square)"
    )
    if made.pulses:
        told = console.pulses(made.pulses, made.energy_j)
        console.say(f"programmed with {told}, {made.pulses / cells:.1f} pulses a cell")
    if missing:
        console.say(
            f"[bold yellow]{counts['missing']:,} cells are missing[/] and taken at their targets: "
            f"{missing}"
        )
    design, chip_score = (source.task.shown(score) for score in scores)
    console.say(
        f"[bold]On {len(source.labels):,} test samples:[/] {chip_score} on this chip, {design} as "
        "designed"
    )
    console.say(f"[bold]Written:[/] {escape(str(output))}, {escape(output.stem)}.csv")
    console.say(
        f"[bold]Next:[/] synq-export with the network's options and --chip {console.quoted(output)}"
    )
