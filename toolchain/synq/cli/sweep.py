"""`synq sweep`."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.interrupt import Interrupts
from synq.errors import InterruptedWorkError, SynqError, UsageError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from enum import StrEnum

    from synq.learn.prepare import Loaded, Source, Stopwatch
    from synq.progress import Progress
    from synq.sweeping.points import Point, Trained
    from synq.sweeping.results import Results
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
    scheduler: Annotated[
        str | None, typer.Option(help="Run on the Dask cluster of this scheduler's address.")
    ] = None,
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
    from synq.sweeping.cluster import dask_cluster
    from synq.sweeping.evaluation import Materials
    from synq.sweeping.points import Axes, make_points, parse_levels
    from synq.sweeping.processes import local_processes
    from synq.sweeping.results import RESULTS, open_results
    from synq.sweeping.run import run_sweep
    from synq.sweeping.summary import Sweep

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
    _check_folder(folder)

    progress, watch = console.progress(as_json), Stopwatch()
    with open_results(folder / RESULTS) as results:
        trained: list[Trained] = []
        for seed in [None] if seeds is None else range(seeds):
            loaded, one = _trained(source, seed, watch, progress)
            trained.append(one)
        dataset, finetuning = loaded.dataset, loaded.finetuning
        points = make_points(axes, base, finetuning, dataset, trained, chosen_device, chosen_board)
        resumed = sum(point.key in results.known for point in points)
        materials = Materials(dataset, tuple(trained))
        where = (
            local_processes(materials) if scheduler is None else dask_cluster(scheduler, materials)
        )
        with _saying_what_is_kept(results, points):
            with watch.stage("sweep"), where as evaluate:
                outcomes = run_sweep(points, evaluate, results, progress)
            finished = Sweep(dataset, chosen_device, tuple(trained), axes, tuple(outcomes))
            with watch.stage("write"):
                _write(finished, folder)
    if as_json:
        console.print_json(
            {
                **finished.to_dict(),
                "output": str(folder),
                "resumed": resumed,
                "seconds": watch.seconds,
            }
        )
    else:
        _print(finished, folder, resumed, watch.seconds["sweep"])
    if finished.failures:
        raise SynqError(
            f"{len(finished.failures)} of {len(points)} points failed; "
            "the same command tries only those again"
        )


def _trained(
    source: "Source", seed: int | None, watch: "Stopwatch", progress: "Progress"
) -> "tuple[Loaded, Trained]":
    """The data, and the network of one seed."""
    from dataclasses import replace

    from synq.learn.prepare import load_source
    from synq.sweeping.points import Trained

    if seed is not None:
        source = replace(source, recipe=replace(source.recipe, seed=seed))
    loaded = load_source(source, watch, progress)
    used = source.recipe.seed if source.checkpoint is None else None
    return loaded, Trained(used, loaded.network, loaded.software)


@contextmanager
def _saying_what_is_kept(results: "Results", points: "Sequence[Point]") -> "Iterator[None]":
    """Ctrl-C as an error that counts the points in the file, if there are any."""
    try:
        yield
    except BaseException:
        if not Interrupts.happened:  # libraries turn a Ctrl-C into an ImportError and worse
            raise
        results.refresh()
        done = sum(point.key in results.known for point in points)
        if not done:
            raise
        raise InterruptedWorkError(
            f"interrupted; {done} of {len(points)} points are kept in {results.path}: "
            "the same command goes on from there"
        ) from None


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


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written or that holds something else than a sweep.

    Raises:
        UsageError: says why.
    """
    from synq.project.output import check_writable
    from synq.sweeping.results import RESULTS

    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RESULTS).exists():
        raise UsageError(f"{folder} holds no sweep but other files: choose another --output")


def _write(finished: "Sweep", folder: Path) -> None:
    from synq.files import atomic_write
    from synq.report.figures import render_figures

    files = {"table.csv": finished.to_csv(), "sweep.json": finished.to_json()}
    for name, content in {**files, **render_figures(finished)}.items():
        atomic_write(folder / name, content)


def _print(finished: "Sweep", folder: Path, resumed: int, seconds: float) -> None:
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
    before = f", {resumed} of them before" if resumed else ""
    console.say(escape(f"{len(finished.outcomes)} points in {seconds:.1f} s{before}"))
    console.say(f"[bold]Figures and tables:[/] {console.quoted(folder)}")


def _metric(finished: "Sweep") -> str:
    if finished.dataset.task.higher_is_better:
        return "Accuracy in %"
    return "Root mean square error"


def _cell(cell: "Cell | None", several: bool, number: "Callable[[float], str]") -> str:
    if cell is None:
        return "failed"
    spread = f" ± {number(cell.deviation)} ({number(cell.best)})" if several else ""
    return f"{number(cell.mean)}{spread}"
