"""`synq show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from synq.cli import console, options

if TYPE_CHECKING:
    from synq.page.facts import Facts


def show(
    project: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """What a project is, on one screen; its page, report.html, shows more."""
    console.start_logging(verbose)
    from synq.page.project_page import FRESH, PAGE, read_facts

    facts = read_facts(project)
    fresh = project / FRESH
    page = fresh if fresh.is_file() else project / PAGE
    if as_json:
        console.print_json({**_json(facts), "page": str(page.resolve())})
    else:
        _print(facts)
        console.say(f"[bold]Page:[/] {escape(str(page))}")


def _json(facts: "Facts") -> dict[str, Any]:
    from dataclasses import asdict

    chosen = {flow: facts.chosen(flow) for flow in facts.flows}
    return {
        "title": facts.title,
        "data": facts.data,
        "device": facts.device.name,
        "method": facts.device.method,
        "levels": facts.asked_levels,
        "board": facts.board.name,
        facts.kind.metric: {stage.name: stage.score for stage in facts.stages},
        "bit_exact": {
            "images": facts.images,
            "compared": {check.name: check.integers for check in facts.checks},
            "mismatches": facts.mismatches,
        },
        "designs": {
            flow: {**asdict(design.used), "latency": design.latency, "interval": design.interval}
            for flow, design in chosen.items()
        },
        "chip": facts.chip.name or None,
    }


def _print(facts: "Facts") -> None:
    from synq.cost import RESOURCES
    from synq.synth.comparison import LABELS

    board, task = facts.board, facts.kind
    console.say(f"[bold]{escape(facts.title)}[/]")
    console.say(
        f"{escape(facts.data)} on {facts.device.name}, method {facts.device.method}, "
        f"L = {facts.asked_levels}{f', {facts.chip.name}' if facts.chip.name else ''}; "
        f"{board.name} at {1000 / board.clock_ns:g} MHz"
    )
    integers = sum(check.integers for check in facts.checks)
    console.say(
        f"[bold green]Bit-exact:[/] {facts.images:,} {facts.samples}, {integers:,} integers "
        f"compared, {facts.mismatches} different"
    )
    software = facts.score("software")
    unit = "%" if task.metric == "accuracy" else "RMSE"
    console.print_table(
        f"Test {task.words}",
        ["stage", unit, "vs software"],
        [
            [each.name, task.number(each.score), f"{each.score - software:+.3g}"]
            for each in facts.stages
        ],
    )
    names = [name for name in RESOURCES if getattr(board.available, name)]
    console.print_table(
        "Chosen designs, estimated; % of the board",
        ["flow", "images/s", "latency, us", *(LABELS[name] for name in names)],
        [
            [
                flow,
                f"{1e9 / (design.interval * board.clock_ns):,.0f}",
                f"{design.latency * board.clock_ns / 1000:.2f}",
                *(
                    f"{100 * getattr(design.used, name) / getattr(board.available, name):.0f}"
                    for name in names
                ),
            ]
            for flow, design in ((flow, facts.chosen(flow)) for flow in facts.flows)
        ],
    )
