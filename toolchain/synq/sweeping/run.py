"""The sweep itself: what is not in the file of results yet is evaluated and added to it."""

import logging
from collections.abc import Sequence

from synq.progress import Progress
from synq.sweeping.evaluation import Evaluate, Outcome
from synq.sweeping.points import Point
from synq.sweeping.results import Results

_log = logging.getLogger("synq")


def run_sweep(
    points: Sequence[Point], evaluate: Evaluate, results: Results, progress: Progress
) -> list[Outcome]:
    """Evaluate those points that are not in `results` yet, adding each as it finishes.

    A point that fails is logged and does not stop the others; it is tried again the next time.

    Args:
        evaluate: as `local_processes` and `dask_cluster` give it.

    Returns:
        The outcome of each point, in their order.

    Raises:
        SynqError: a result cannot be written.
        KeyboardInterrupt: what had finished is in the file.
    """
    outcomes = {
        point.key: Outcome(point, results.known[point.key])
        for point in points
        if point.key in results.known
    }
    missing = [point for point in points if point.key not in outcomes]
    with progress.task("Evaluate", total=len(points)) as task:
        task.update(len(outcomes), "starting")
        for outcome in evaluate(missing):
            outcomes[outcome.point.key] = outcome
            if outcome.result is None:
                _log.warning("failed: %s: %s", outcome.point, outcome.error)
            else:
                results.add(outcome.point, outcome.result)
            task.update(len(outcomes), f"{len(outcomes)} of {len(points)}")
    return [outcomes[point.key] for point in points]
