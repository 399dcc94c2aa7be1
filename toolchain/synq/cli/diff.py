"""`synq diff`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synq.cli import console, options

if TYPE_CHECKING:
    from synq.differing import Change, Differences

_MOST = 44  # characters of a value in a table


def diff(
    first: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """What changed between two exports: configuration, accuracy, codes, resources."""
    console.start_logging(verbose)
    from synq.differing import differences

    found = differences(first, second)
    if as_json:
        console.print_json({"same": found.same, **found.to_dict()})
    else:
        _print(found)


def _print(found: "Differences") -> None:
    from synq.score import Task

    if found.same:
        console.say(f"[bold]The same:[/] all {found.files} files are equal")
        return
    _table("Made from", found.made_from)
    task = next(each for each in Task if each.metric == found.metric)

    def number(score: float | None) -> str:
        return "-" if score is None else task.number(score)

    console.print_table(
        f"Test {task.words}",
        ["stage", "first", "second", "change"],
        [
            [
                each.stage,
                number(each.first),
                number(each.second),
                ""
                if each.first is None or each.second is None
                else f"{each.second - each.first:+.3g}",
            ]
            for each in found.scores
        ],
    )
    for array in found.arrays:
        _table(f"Array {array.index}", array.changes)
        if array.synapses:
            console.say(
                f"array {array.index}: {array.moved:,} of {array.synapses:,} synapses "
                f"({100 * array.moved / array.synapses:.1f} %) hold another weight, by "
                f"{array.furthest:.3g} of full scale at most"
            )
    _table("Chosen designs, estimated", found.designs)
    _table("Reports of tools", found.reports)
    console.say(f"{found.same_files} of {found.files} files are the same")


def _table(title: str, changes: "tuple[Change, ...]") -> None:
    if changes:
        rows = [[each.name, _cut(each.first), _cut(each.second)] for each in changes]
        console.print_table(title, ["", "first", "second"], rows)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
