"""What came out of a sweep: statistics over the seeds, and its files."""

import csv
import io
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from synq import __version__
from synq.device import Device
from synq.learn.data.dataset import Dataset
from synq.learn.data.mnist import is_mnist
from synq.page import paper
from synq.page.paper import Comparison
from synq.quantizing import Method
from synq.score import Task, rounded
from synq.sweeping.evaluation import PointOutcome, PointResult
from synq.sweeping.points import Axes, Trained


@dataclass(frozen=True)
class Cell:
    """One setting over all seeds; scores of the integer reference.

    Attributes:
        levels: L, or None for the method nearest.
        deviation: sample standard deviation over the seeds; 0 for one.
        code_bits_total, interval_cycles: means over the seeds.
    """

    levels: int | None
    seeds: int
    mean: float
    deviation: float
    best: float
    code_bits_total: float
    interval_cycles: float


@dataclass(frozen=True)
class Curve:
    """One method, with all else fixed, over the levels.

    Attributes:
        setting: whatever varies in the sweep beside method, levels and seed; may be empty.
        settings: method, branch, input bits, activation bits, sparsity.
        cells: by ascending levels; without those where every seed failed.
    """

    setting: str
    method: Method
    settings: dict[str, Any]
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        return f"{self.method}, {self.setting}" if self.setting else str(self.method)

    def at(self, levels: int) -> Cell | None:
        """The cell of L = `levels`; of the method nearest its only one."""
        return next((cell for cell in self.cells if cell.levels in (levels, None)), None)


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: everything that the files and the terminal show.

    Attributes:
        resumed: how many of its points had been evaluated before.
    """

    dataset: Dataset
    device: Device
    trained: tuple[Trained, ...]
    axes: Axes
    outcomes: tuple[PointOutcome, ...]
    resumed: int = 0

    @property
    def failures(self) -> list[PointOutcome]:
        return [outcome for outcome in self.outcomes if outcome.result is None]

    @cached_property
    def software(self) -> tuple[float, float, float]:
        """Mean, deviation and best of the trained networks' scores."""
        return _statistics([each.software for each in self.trained], self.dataset.task)

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """In the order of the axes."""
        groups: dict[tuple[Any, ...], dict[int | None, list[PointResult]]] = {}
        for outcome in self.outcomes:
            *setting, levels, _seed = outcome.piece.settings().values()
            results = groups.setdefault(tuple(setting), {}).setdefault(levels, [])
            if outcome.result is not None:
                results.append(outcome.result)
        names = list(self.outcomes[0].piece.settings())[:-2] if self.outcomes else []
        varying = [
            position
            for position in range(1, len(names))
            if len({setting[position] for setting in groups}) > 1
        ]
        return tuple(
            Curve(
                setting=", ".join(_named(names[at], setting[at]) for at in varying),
                method=Method(setting[0]),
                settings=dict(zip(names, setting, strict=True)),
                cells=tuple(
                    _cell(levels, results, self.dataset.task)
                    for levels, results in by_levels.items()
                    if results
                ),
            )
            for setting, by_levels in groups.items()
        )

    @cached_property
    def paper(self) -> list[Comparison]:
        """Beside the paper; empty for other data than MNIST."""
        if not is_mnist(self.dataset):
            return []
        software, proposed = self.software[0], self._mean(Method.PROPOSED, 10)
        gap = _minus(self._mean(Method.PROPOSED, 5), self._mean(Method.SAMPLING, 5))
        drop = round(paper.SOFTWARE - paper.PROPOSED_AT_10, 2)
        return [
            Comparison("software, %", paper.SOFTWARE, software),
            Comparison("proposed at L = 10, %", paper.PROPOSED_AT_10, proposed),
            Comparison("its drop below software, points", drop, _minus(software, proposed)),
            Comparison("gap to sampling at L = 5, points", paper.GAP_AT_5, gap),
        ]

    def _mean(self, method: Method, levels: int) -> float | None:
        curve = next((curve for curve in self.curves if curve.method is method), None)
        cell = None if curve is None else curve.at(levels)
        return None if cell is None else cell.mean

    def to_dict(self) -> dict[str, Any]:
        """Everything, without how long it took: the same for the same sweep, wherever it ran."""
        mean, deviation, best = self.software
        return {
            "format": "synq-sweep-1",
            "synq": __version__,
            "dataset": {
                "name": self.dataset.name,
                "digest": self.dataset.digest,
                "task": self.dataset.task.value,
            },
            "device": asdict(self.device),
            "networks": [
                {"seed": each.seed, "digest": each.network.digest, "software": each.software}
                for each in self.trained
            ],
            "software": {"mean": mean, "deviation": deviation, "best": best},
            "curves": [
                {
                    "label": curve.label,
                    **curve.settings,
                    "cells": [asdict(cell) for cell in curve.cells],
                }
                for curve in self.curves
            ],
            "paper": [
                {"figure": each.name, "paper": each.paper, "ours": each.ours} for each in self.paper
            ],
            "points": [
                {"key": outcome.piece.key, "error": outcome.error, **_row(outcome)}
                for outcome in self.outcomes
            ],
        }

    def to_json(self) -> bytes:
        """`to_dict` as the file sweep.json."""
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)
        return text.encode() + b"\n"

    def to_csv(self) -> bytes:
        """One row a point: its settings, its result (lists separated by spaces), its error."""
        buffer = io.StringIO()
        writer: csv.DictWriter[str] | None = None
        for outcome in self.outcomes:
            row = {**_row(outcome), "error": outcome.error}
            if writer is None:
                writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _text(value) for name, value in row.items()})
        return buffer.getvalue().encode()


def _row(outcome: PointOutcome) -> dict[str, Any]:
    row = outcome.piece.settings()
    for name in PointResult.__dataclass_fields__:
        if name != "seconds":
            row[name] = None if outcome.result is None else getattr(outcome.result, name)
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cell(levels: int | None, results: Sequence[PointResult], task: Task) -> Cell:
    mean, deviation, best = _statistics([result.reference for result in results], task)
    return Cell(
        levels,
        len(results),
        mean,
        deviation,
        best,
        statistics.fmean(result.code_bits_total for result in results),
        statistics.fmean(result.interval_cycles for result in results),
    )


def _statistics(values: Sequence[float], task: Task) -> tuple[float, float, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    best = max(values) if task.higher_is_better else min(values)
    return rounded(task, statistics.fmean(values)), rounded(task, deviation), best


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else round(first - second, 4)


def _named(name: str, value: Any) -> str:
    match name:
        case "input_bits":
            return f"{value}-bit inputs"
        case "activation_bits":
            return f"{value}-bit activations"
        case "sparsity":
            return f"{100 * value:g} % zeros"
    return str(value)
