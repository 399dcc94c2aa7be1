"""Yield: how many chips of a design do their task, and which effect costs most."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.chip import Conditions, Programmer, Programming
from synq.chip_file import described_conditions
from synq.device import Device
from synq.errors import SynqError, UsageError
from synq.files import read_bounded, reason
from synq.network import QuantizedNetwork
from synq.progress import Progress
from synq.quantizing import Quantization
from synq.score import Task, integer_score
from synq.variation import Variation

_MOST_CHIPS = 1_000_000
_MOST_BYTES = 64 << 20
_STRENGTHS = (0.5, 1.0, 2.0)
_CONFIDENCE = 1.959964  # of a normal distribution: 95 % lie within so many deviations


@dataclass(frozen=True, eq=False)
class Trial:
    """A design, and the samples that its chips are tried on.

    Attributes:
        choice: that the design was quantized with.
        inputs: (n_samples, n_in) raw integers.
        labels: (n_samples,) class numbers, or (n_samples, n_out) float64 targets.
    """

    design: QuantizedNetwork
    device: Device
    choice: Quantization
    inputs: NDArray[np.uint8 | np.int8]
    labels: NDArray[Any]
    task: Task

    def score(self, network: QuantizedNetwork) -> float:
        """Of a network on the samples."""
        return integer_score(self.task, network, network.run(self.inputs), self.labels)

    def scores(self, conditions: Conditions, seeds: Sequence[int]) -> Iterator[float]:
        """Of the chips with these seeds."""
        programmer = Programmer(self.design, self.device, self.choice, conditions, near_wires=True)
        for seed in seeds:
            yield self.score(programmer.chip(seed).network)


@dataclass(frozen=True)
class Strength:
    """Chips with one effect alone.

    Attributes:
        factor: of the effect's size.
        mean, std: of the chips' scores.
    """

    factor: float
    mean: float
    std: float


@dataclass(frozen=True)
class Yield:
    """The scores of many chips.

    Attributes:
        design: score of the design itself.
        scores: one a chip.
        threshold: what a chip must reach, or None.
        sensitivity: by effect, chips that have it alone at several strengths.
    """

    task: Task
    design: float
    scores: tuple[float, ...]
    threshold: float | None
    sensitivity: dict[str, tuple[Strength, ...]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    @property
    def std(self) -> float:
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0

    @property
    def mean_interval(self) -> tuple[float, float]:
        """95 % interval of the mean: normal, of the standard error."""
        off = _CONFIDENCE * self.std / math.sqrt(len(self.scores))
        return self.mean - off, self.mean + off

    @property
    def worst(self) -> float:
        return min(self.scores) if self.task.higher_is_better else max(self.scores)

    @property
    def good(self) -> int:
        """Chips that reach the threshold; all without one."""
        least = self.threshold
        if least is None:
            return len(self.scores)
        better = self.task.higher_is_better
        return sum(score >= least if better else score <= least for score in self.scores)

    @property
    def good_interval(self) -> tuple[float, float]:
        """95 % interval of the share of good chips (Wilson, J. Am. Stat. Assoc. 1927)."""
        return wilson(self.good, len(self.scores))

    @property
    def costliest(self) -> str | None:
        """The effect that alone, at its size, costs most; None if none was tried."""
        sign = 1 if self.task.higher_is_better else -1
        costs = {
            name: sign * (self.design - next(each.mean for each in tried if each.factor == 1))
            for name, tried in self.sensitivity.items()
        }
        return max(costs, key=lambda name: costs[name]) if costs else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {
            "metric": self.task.metric,
            "chips": len(self.scores),
            "design": self.design,
            "mean": self.mean,
            "mean_interval": list(self.mean_interval),
            "std": self.std,
            "worst": self.worst,
        }
        if self.threshold is not None:
            told["threshold"] = self.threshold
            told["good"] = self.good / len(self.scores)
            told["good_interval"] = list(self.good_interval)
        if self.sensitivity:
            told["sensitivity"] = {
                name: [vars(each) for each in tried] for name, tried in self.sensitivity.items()
            }
            told["costliest"] = self.costliest
        return told


def wilson(good: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which `good` of `count` were seen."""
    z = _CONFIDENCE
    share, spread = good / count, z * z / count
    middle = share + spread / 2
    off = z * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return (middle - off) / (1 + spread), (middle + off) / (1 + spread)


def measure_yield(
    trial: Trial,
    conditions: Conditions,
    count: int,
    threshold: float | None,
    sensitivity: int,
    results: Path | None,
    progress: Progress,
) -> Yield:
    """Try the chips of the seeds 0 to `count - 1`.

    Args:
        sensitivity: chips for each effect and strength; 0 for none.
        results: a file that scores are added to as they come, and from which an interrupted run
            goes on.

    Raises:
        UsageError: a number of chips is out of range.
        SynqError: the design does not fit its quantization, or `results` cannot be written or is
            another run's.
    """
    for name, value, least in (("count", count, 1), ("sensitivity", sensitivity, 0)):
        if not least <= value <= _MOST_CHIPS:
            raise UsageError(
                f"{name} must be between {least} and {_MOST_CHIPS}, got {value}", settings=(name,)
            )
    effects = effects_of(conditions) if sensitivity else {}
    steps = count + len(effects) * len(_STRENGTHS) * sensitivity
    with progress.task("Try chips", total=steps) as task, _Results(results, trial) as known:
        done = 0

        def scores(of: Conditions, seeds: range, what: str) -> tuple[float, ...]:
            nonlocal done
            name = json.dumps(described_conditions(of), sort_keys=True)
            missing = [seed for seed in seeds if (name, seed) not in known.scores]
            done += len(seeds) - len(missing)
            for seed, score in zip(missing, trial.scores(of, missing), strict=True):
                known.add(name, seed, score)
                done += 1
                task.update(done, what)
            return tuple(known.scores[name, seed] for seed in seeds)

        all_scores = scores(conditions, range(count), f"{count:,} chips")
        tried = {
            name: tuple(
                _strength(
                    factor, scores(scaled(factor), range(sensitivity), f"{name} x {factor:g}")
                )
                for factor in _STRENGTHS
            )
            for name, scaled in effects.items()
        }
    return Yield(trial.task, trial.score(trial.design), all_scores, threshold, tried)


def _strength(factor: float, scores: tuple[float, ...]) -> Strength:
    return Strength(factor, float(np.mean(scores)), float(np.std(scores)))


def effects_of(conditions: Conditions) -> dict[str, Callable[[float], Conditions]]:
    """The effects that chips of these conditions have, each alone and scaled by a factor."""
    variation, none = conditions.variation, Variation()
    exact = replace(conditions, programming=Programming.EXACT, time_s=0.0)

    def alone(base: Conditions, **sizes: float) -> Callable[[float], Conditions]:
        def scaled(factor: float) -> Conditions:
            grown = {name: size * factor for name, size in sizes.items()}
            return replace(base, variation=replace(none, **grown))

        return scaled

    effects: dict[str, Callable[[float], Conditions]] = {}
    if variation.device_to_device:
        effects["device to device"] = alone(exact, device_to_device=variation.device_to_device)
    if conditions.programming is not Programming.EXACT and variation.cycle_to_cycle:
        pulsed = replace(conditions, time_s=0.0)
        effects["programming"] = alone(pulsed, cycle_to_cycle=variation.cycle_to_cycle)
    if variation.stuck_share:
        stuck = {"min": variation.stuck_at_min, "max": variation.stuck_at_max}
        most = max(_STRENGTHS) * sum(stuck.values())
        shares = {f"stuck_at_{end}": share / max(1.0, most) for end, share in stuck.items()}
        effects["stuck cells"] = alone(exact, **shares)
    if conditions.time_s > variation.drift_start_s and variation.drift_exponent:
        start = {"drift_start_s": variation.drift_start_s}
        drift = alone(
            replace(exact, time_s=conditions.time_s),
            drift_exponent=variation.drift_exponent,
            drift_exponent_sigma=variation.drift_exponent_sigma,
        )
        effects["drift"] = lambda factor: replace(
            drift(factor), variation=replace(drift(factor).variation, **start)
        )
    if variation.wire_resistance_ohm:
        effects["wires"] = alone(exact, wire_resistance_ohm=variation.wire_resistance_ohm)
    return effects


class _Results:
    """Scores in a file: a line that says of what they are, then a line a chip."""

    def __init__(self, path: Path | None, trial: Trial) -> None:
        self.scores: dict[tuple[str, int], float] = {}
        self._path = path
        self._head = {
            "design": trial.design.digest,
            "device": trial.device.name,
            "samples": len(trial.labels),
        }

    def __enter__(self) -> "_Results":
        if self._path is None:
            return self
        try:
            if self._path.exists():
                self._read(self._path)
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("a")
            if not self._stream.tell():
                self._write(self._head)
        except OSError as error:
            raise SynqError(f"cannot write {self._path}: {reason(error)}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._stream.close()

    def add(self, conditions: str, seed: int, score: float) -> None:
        self.scores[conditions, seed] = score
        if self._path is not None:
            self._write({"seed": seed, "score": score, "conditions": conditions})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError as error:
            raise SynqError(f"cannot write {self._path}: {reason(error)}") from error

    def _read(self, path: Path) -> None:
        head, *lines = read_bounded(path, _MOST_BYTES).decode(errors="replace").split("\n")
        if not head:
            return
        try:
            same = json.loads(head) == self._head
        except (ValueError, RecursionError):
            same = False
        if not same:
            raise SynqError(f"{path} holds chips of another network or data: choose another folder")
        for line in lines:
            try:
                told = json.loads(line)
                key = str(told["conditions"]), int(told["seed"])
                self.scores[key] = float(told["score"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a torn line: that chip is tried again
