"""The sweep itself: what is not in the file of results yet is evaluated and added to it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from synq.board import Board
from synq.device import Device
from synq.learn.data.dataset import Dataset
from synq.learn.prepare import Stopwatch
from synq.learn.train import FineTuning
from synq.progress import Progress
from synq.quantizing import Quantization
from synq.results import Kept, Kind, Results, check_folder, open_results
from synq.sweeping.evaluation import Materials, PointOutcome, PointResult
from synq.sweeping.points import Axes, Point, Trained, make_points
from synq.sweeping.summary import Sweep
from synq.workers.start import start_workers
from synq.workers.work import Evaluate

_log = logging.getLogger("synq")

SWEEP = Kind("results.jsonl", "sweep", "point", PointResult.from_dict, 64 << 20)  # 100,000 points


@dataclass(frozen=True)
class Swept:
    """What is swept: networks, and the data that they were trained on.

    Attributes:
        finetuning: how to fine-tune each point, or None; adapted to the data.
    """

    dataset: Dataset
    trained: tuple[Trained, ...]
    finetuning: FineTuning | None


@contextmanager
def sweep(
    load: Callable[[], Swept],
    axes: Axes,
    base: Quantization,
    device: Device,
    board: Board,
    folder: Path,
    scheduler: str | None,
    watch: Stopwatch,
    progress: Progress,
    interruptible: Callable[[Kept], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Iterator[Sweep]:
    """Every point of the axes, of which those in the folder's file are not evaluated again.

    In the block of what it gives, the folder is this process's alone.

    Args:
        load: gives the networks; asked once the folder is this sweep's, for it may train them for
            minutes.
        base: the choices that do not vary.
        folder: of results, made if missing.
        scheduler: of a Dask cluster; processes of this machine without.
        interruptible: a context of evaluation and block, told what is kept whatever happens there.

    Raises:
        UsageError: the folder holds other files, or a combination cannot be quantized at all.
        SynqError: another sweep writes there, no worker is there, or a result cannot be written.
    """
    check_folder(folder, SWEEP)
    with open_results(folder / SWEEP.file, SWEEP) as results:
        swept = load()
        dataset, trained = swept.dataset, swept.trained
        points = make_points(axes, base, swept.finetuning, dataset, trained, device, board)
        keys = [point.key for point in points]
        resumed = sum(key in results.known for key in keys)
        with interruptible(Kept(results, keys)):
            work = Materials(dataset, trained)
            with watch.stage("sweep"), start_workers(work, scheduler) as evaluate:
                outcomes = run_sweep(points, evaluate, results, progress)
            yield Sweep(dataset, device, trained, axes, tuple(outcomes), resumed)


def run_sweep(
    points: Sequence[Point],
    evaluate: Evaluate[Point, PointResult],
    results: Results[PointResult],
    progress: Progress,
) -> list[PointOutcome]:
    """Evaluate those points that are not in `results` yet, adding each as it finishes.

    A point that fails is logged and does not stop the others; it is tried again the next time.

    Args:
        evaluate: as `start_workers` gives it.

    Returns:
        The outcome of each point, in their order.

    Raises:
        SynqError: a result cannot be written.
        KeyboardInterrupt: what had finished is in the file.
    """
    outcomes = {
        point.key: PointOutcome(point, results.known[point.key])
        for point in points
        if point.key in results.known
    }
    missing = [point for point in points if point.key not in outcomes]
    with progress.task("Evaluate", total=len(points)) as task:
        task.update(len(outcomes), "starting")
        for outcome in evaluate(missing):
            point = outcome.piece
            outcomes[point.key] = outcome
            if outcome.result is None:
                _log.warning("failed: %s: %s", point, outcome.error)
            else:
                results.add(point.key, point.settings(), outcome.result)
            task.update(len(outcomes), f"{len(outcomes)} of {len(points)}")
    return [outcomes[point.key] for point in points]
