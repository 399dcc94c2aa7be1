"""`synq sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.interrupt import saying_what_is_kept
from synq.errors import SynqError, UsageError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from synq.learn.prepare import Source, Stopwatch
    from synq.progress import Progress
    from synq.sweeping.run import Swept
    from synq.sweeping.summary import Cell, Sweep

_SWEPT = "What is swept: lists, crossed with one another"
_Value = TypeVar("_Value")
_Name = TypeVar("_Name", bound="StrEnum")


@options.spread
def sweep(
    tuning: options.Tuning,
    given: options.Network,
    levels: Annotated[
        str, typer.Option(help="Levels: 10, 5,10,15, 5:25 or 5:25:5.", rich_help_panel=_SWEPT)
    ] = "5:25",
    methods: Annotated[
        str, typer.Option(help="proposed, sampling, uniform, nearest.", rich_help_panel=_SWEPT)
    ] = "proposed,sampling",
    branches: Annotated[str, typer.Option(help="ltp, ltd, union.", rich_help_panel=_SWEPT)] = "ltp",
    input_bits: Annotated[
        str, typer.Option(help="Bits of an input, 1 to 8.", rich_help_panel=_SWEPT)
    ] = "8",
    activation_bits: Annotated[
        str, typer.Option(help="Bits of an activation, 1 to 16.", rich_help_panel=_SWEPT)
    ] = "8",
    sparsities: Annotated[
        str | None,
        typer.Option(
            help="Least shares of zeros to fine-tune for, 0 to 1.", rich_help_panel=_SWEPT
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Train this many seeds, from 0; mean and spread.",
            metavar="<int>",
            min=1,
            rich_help_panel=_SWEPT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of results; build/sweep-<data>-<device> without."),
    ] = None,
    scheduler: options.SchedulerOption = None,
    board: options.BoardOption = "pynq-z2",
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Accuracy against levels, the paper's figure 2; an interrupted sweep goes on from there."""
    console.start_logging(verbose)
    if given.checkpoint is not None and seeds is not None:
        raise UsageError("--seeds is for training; with --checkpoint nothing is trained")
    if sparsities is not None and not tuning.finetune:
        raise UsageError("--sparsities needs --finetune: only fine-tuning makes zeros")
    from synq.board import load_board
    from synq.device import Branch, load_device
    from synq.learn.prepare import Stopwatch
    from synq.quantizing import Method
    from synq.sweeping.points import Axes, parse_levels
    from synq.sweeping.run import sweep as swept

    axes = Axes(
        levels=parse_levels(levels),
        methods=_names("methods", methods, Method),
        branches=_names("branches", branches, Branch),
        input_bits=_values("input-bits", input_bits, int),
        activation_bits=_values("activation-bits", activation_bits, int),
        sparsities=_values("sparsities", sparsities, float) if sparsities is not None else (),
    )
    base = options.Quantizing(
        **vars(tuning),
        levels=axes.levels[0],
        input_bits=axes.input_bits[0],
        activation_bits=axes.activation_bits[0],
    ).quantization()
    source = given.source(None, tuning)
    chosen_device, chosen_board = load_device(tuning.device), load_board(board)
    name = source.data.name
    folder = (output or Path("build") / f"sweep-{name}-{chosen_device.name}").resolve()
    progress, watch = console.progress(as_json), Stopwatch()
    with (
        swept(
            lambda: _load(source, seeds, watch, progress),
            axes,
            base,
            chosen_device,
            chosen_board,
            folder,
            scheduler,
            watch,
            progress,
            saying_what_is_kept,
        ) as finished,
        watch.stage("write"),
        progress.task("Draw the page"),
    ):
        _write(finished, folder)
    if as_json:
        console.print_json(
            {
                **finished.to_dict(),
                "output": str(folder),
                "resumed": finished.resumed,
                "seconds": watch.seconds,
            }
        )
    else:
        _print(finished, folder, watch.seconds["sweep"])
    if finished.failures:
        raise SynqError(
            f"{len(finished.failures)} of {len(finished.outcomes)} points failed; "
            "the same command tries only those again"
        )


def _load(source: "Source", seeds: int | None, watch: "Stopwatch", progress: "Progress") -> "Swept":
    """The data, and the network of each seed; of the source's own without."""
    from dataclasses import replace

    from synq.learn.prepare import load_source
    from synq.sweeping.points import Trained
    from synq.sweeping.run import Swept

    trained = []
    for seed in [None] if seeds is None else range(seeds):
        if seed is not None:
            source = replace(source, recipe=replace(source.recipe, seed=seed))
        loaded = load_source(source, watch, progress)
        used = source.recipe.seed if source.checkpoint is None else None
        trained.append(Trained(used, loaded.network, loaded.software))
    return Swept(loaded.dataset, tuple(trained), loaded.finetuning)


def _names(option: str, text: str, kind: "type[_Name]") -> "tuple[_Name, ...]":
    """A comma list of an enumeration's values, each once."""
    valid = [str(value) for value in kind]
    found = []
    for part in text.split(","):
        if part.strip() not in valid:
            raise UsageError(
                f"--{option}: {part.strip()!r} is unknown; {nearest_names(part.strip(), valid)}"
            )
        found.append(kind(part.strip()))
    return tuple(dict.fromkeys(found))


def _values(option: str, text: str, kind: "Callable[[str], _Value]") -> "tuple[_Value, ...]":
    """A comma list of numbers, each once."""
    try:
        return tuple(dict.fromkeys(kind(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--{option} must be numbers separated by commas, got {text!r}") from None


def _write(finished: "Sweep", folder: Path) -> None:
    from synq.files import atomic_write
    from synq.report.figures import render_figures
    from synq.report.sweep_page import render_sweep

    files = {
        "table.csv": finished.to_csv(),
        "sweep.json": finished.to_json(),
        "report.html": render_sweep(finished),
    }
    for name, content in {**files, **render_figures(finished)}.items():
        atomic_write(folder / name, content)


def _print(finished: "Sweep", folder: Path, seconds: float) -> None:
    several, number = len(finished.trained) > 1, finished.dataset.task.number
    mean, deviation, best = finished.software
    spread = ""
    if several:
        seeds = len(finished.trained)
        spread = (
            f" ± {number(deviation)} ({number(best)}); mean ± deviation (best) of {seeds} seeds"
        )
    title = (
        f"{_metric(finished)} on {len(finished.dataset.test_labels):,} test "
        f"{finished.dataset.samples}, "
        f"{finished.dataset.name}, {finished.device.name}; software {number(mean)}{spread}"
    )
    for setting in dict.fromkeys(curve.setting for curve in finished.curves):
        curves = [curve for curve in finished.curves if curve.setting == setting]
        console.print_table(
            f"{setting}: {title[:1].lower()}{title[1:]}" if setting else title,
            ["L", *(curve.method for curve in curves)],
            [
                [f"{levels}", *(_cell(curve.at(levels), several, number) for curve in curves)]
                for levels in finished.axes.levels
            ],
        )
    if finished.paper:
        setting = finished.curves[0].setting
        console.print_table(
            f"Beside the paper: {setting}" if setting else "Beside the paper",
            ["", "paper", "synq"],
            [
                [
                    each.name,
                    f"{each.paper:.2f}",
                    "not swept" if each.ours is None else f"{each.ours:.2f}",
                ]
                for each in finished.paper
            ],
        )
    before = f", {finished.resumed} of them before" if finished.resumed else ""
    console.say(escape(f"{len(finished.outcomes)} points in {seconds:.1f} s{before}"))
    console.say(f"[bold]Page, figures and tables:[/] {console.quoted(folder)}")


def _metric(finished: "Sweep") -> str:
    if finished.dataset.task.higher_is_better:
        return "Accuracy in %"
    return "Root mean square error"


def _cell(cell: "Cell | None", several: bool, number: "Callable[[float], str]") -> str:
    if cell is None:
        return "failed"
    spread = f" ± {number(cell.deviation)} ({number(cell.best)})" if several else ""
    return f"{number(cell.mean)}{spread}"
