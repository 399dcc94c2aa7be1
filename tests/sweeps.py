"""A small sweep, its parts, and what stands in for the processes that evaluate it."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from synq.board import load_board
from synq.device import load_device
from synq.quantizing import Method, Quantization
from synq.sweeping.evaluation import Materials, PointOutcome
from synq.sweeping.points import Axes, Point, make_points
from synq.sweeping.summary import Sweep
from synq.workers.work import attempt

BIN = Path(sys.executable).parent
DEVICE = load_device("pcmo")
BOARD = load_board("pynq-z2")
AXES = Axes((5, 6, 10), (Method.PROPOSED, Method.SAMPLING, Method.NEAREST))


def points_of(materials: Materials, axes: Axes = AXES) -> list[Point]:
    return make_points(
        axes, Quantization(5), None, materials.dataset, materials.trained, DEVICE, BOARD
    )


class Here:
    """Evaluates at once, and remembers what; fails where it is told to."""

    def __init__(self, materials: Materials, broken: Callable[[Point], bool] = lambda _: False):
        self.materials, self.broken = materials, broken
        self.evaluated: list[Point] = []

    def __call__(self, points: Sequence[Point]) -> Iterator[PointOutcome]:
        for point in points:
            self.evaluated.append(point)
            if self.broken(point):
                yield PointOutcome(point, None, "a cosmic ray")
            else:
                yield attempt(point, self.materials)


class Hook:
    """A progress that calls back with how much is done."""

    def __init__(self, callback: Callable[[float], None]) -> None:
        self.callback = callback

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator["Hook"]:
        yield self

    def update(self, done: float, detail: str = "") -> None:
        self.callback(done)


def finished(materials: Materials, outcomes: Sequence[PointOutcome], axes: Axes = AXES) -> Sweep:
    return Sweep(materials.dataset, DEVICE, materials.trained, axes, tuple(outcomes))


def without_seconds(outcomes: Sequence[PointOutcome]) -> list[PointOutcome]:
    return [
        replace(outcome, result=outcome.result and replace(outcome.result, seconds=0))
        for outcome in outcomes
    ]


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.02)
