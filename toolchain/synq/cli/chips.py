"""`synq chips`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.interrupt import saying_what_is_kept

if TYPE_CHECKING:
    from synq.yields import Yield


@options.spread
def chips(
    given: options.Made,
    chip: options.Chip,
    count: Annotated[int, typer.Option(help="Chips to try.", metavar="<int>")] = 1000,
    threshold: Annotated[
        float | None,
        typer.Option(help="Score that a good chip reaches: percent, or RMSE.", metavar="<float>"),
    ] = None,
    sensitivity: Annotated[
        int,
        typer.Option(
            help="Chips for each effect alone, at half, once and twice its size; 0 for none.",
            metavar="<int>",
        ),
    ] = 20,
    output: Annotated[
        Path,
        typer.Option(help="Folder of scores and figures; a run that was interrupted goes on."),
    ] = Path("build/chips"),
    scheduler: options.SchedulerOption = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Try many chips of a project: how many do their task, and which effect costs most."""
    console.start_logging(verbose)
    from synq.files import atomic_write
    from synq.page.many_chips import CHIPS
    from synq.report.chips_page import chips_facts, render_chips
    from synq.report.yield_figures import render_yield
    from synq.yields import Trial, try_chips

    shown = console.progress(as_json)
    source = given.read(shown)
    trial = Trial(
        source.network, source.device, source.choice, source.inputs, source.labels, source.task
    )
    folder, conditions = output.resolve(), given.conditions(chip, source)
    with (
        try_chips(
            trial,
            conditions,
            count,
            threshold,
            sensitivity,
            folder,
            scheduler,
            shown,
            saying_what_is_kept,
        ) as result,
        shown.task("Draw the page"),
    ):
        facts = chips_facts(result, trial, conditions, given.made.name)
        told = {CHIPS: facts.to_json(), "report.html": render_chips(facts)}
        for name, content in {**render_yield(result), **told}.items():
            atomic_write(folder / name, content)
    if as_json:
        console.print_json({**result.to_dict(), "output": str(folder)})
    else:
        _print(result, output)


def _print(result: "Yield", output: Path) -> None:
    number, low_high = result.task.number, result.mean_interval
    console.say(
        f"[bold]{len(result.scores):,} chips, {result.task.words}:[/] mean {number(result.mean)}, "
        f"{number(low_high[0])} to {number(low_high[1])} with 95 % confidence"
    )
    console.say(
        f"as designed {number(result.design)}, worst {number(result.worst)}, deviation "
        f"{number(result.std)}"
    )
    if result.pulses:
        console.say(f"programmed with {console.pulses(result.pulses, result.energy_j)} a chip")
    if result.threshold is not None:
        low, high = result.good_interval
        console.say(
            f"[bold]{100 * result.good / len(result.scores):.1f} % of the chips[/] reach "
            f"{number(result.threshold)} ({100 * low:.1f} to {100 * high:.1f} with 95 % confidence)"
        )
    if result.sensitivity:
        console.print_table(
            "Each effect alone, mean of its chips",
            ["effect", *(f"x {each.factor:g}" for each in next(iter(result.sensitivity.values())))],
            [
                [name, *(number(each.mean) for each in tried)]
                for name, tried in result.sensitivity.items()
            ],
        )
        console.say(f"[bold]Costs most:[/] {result.costliest}")
    console.say(f"[bold]Written:[/] {escape(str(output))}, with a page, report.html")
    console.say(
        "[bold]Next:[/] synq program makes one of them; --finetune --variation trains for them"
    )
