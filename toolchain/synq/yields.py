"""Yield: how many chips of a design do their task, and which effect costs most."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import __version__
from synq.chip import Conditions, Programmer, Programming, targets_of
from synq.chip_file import described_conditions
from synq.device import Device
from synq.errors import SynqError, UsageError
from synq.network import QuantizedNetwork
from synq.progress import Progress
from synq.quantizing import Quantization
from synq.results import Kept, Kind, Results, check_folder, finite, open_results
from synq.score import Task, integer_score
from synq.variation import Variation
from synq.workers.start import start_workers

_MOST_CHIPS = 1_000_000
_STRENGTHS = (0.5, 1.0, 2.0)
_CONFIDENCE = 1.959964  # of a normal distribution: 95 % lie within so many deviations
_ALL = "all"  # effects


@dataclass(frozen=True)
class Specimen:
    """One chip to try.

    Attributes:
        effects: what is tried, for people: "all", or "drift x 0.5".
        version: of synq.
    """

    conditions: Conditions
    seed: int
    effects: str = _ALL
    version: str = __version__


@dataclass(frozen=True)
class Tried:
    """What came out of one chip.

    Attributes:
        score: on the samples.
        pulses: that programmed it.
        energy_j: as `Chip.energy_j`.
    """

    score: float
    pulses: int
    energy_j: float | None

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "Tried":
        """The inverse of `asdict`, after JSON.

        Raises:
            KeyError, TypeError, ValueError: the fields are not those of a chip.
        """
        energy = fields["energy_j"]
        return Tried(
            finite(fields["score"]),
            int(fields["pulses"]),
            None if energy is None else finite(energy),
        )


CHIPS = Kind("chips.jsonl", "run of chips", "chip", Tried.from_dict, 512 << 20)


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
        return integer_score(self.task, network, network.answers(self.inputs), self.labels)

    def evaluate(self, specimen: Specimen) -> Tried:
        """One chip.

        Raises:
            SynqError: the specimen is of another version of synq.
        """
        if specimen.version != __version__:
            raise SynqError(
                f"this worker has synq {__version__}, the chips are of {specimen.version}"
            )
        chip = _programmer(self, specimen.conditions).chip(specimen.seed)
        return Tried(self.score(chip.network), chip.pulses, chip.energy_j)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it, and of the version of synq."""
        told = {
            "version": __version__,
            "design": self.design.digest,
            "device": asdict(self.device),
            "choice": asdict(self.choice),
            "task": self.task.value,
        }
        hashed = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for array in (self.inputs, self.labels):
            hashed.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        return hashed.hexdigest()

    @property
    def key_start(self) -> str:
        """What the keys of its chips start with, and of no other trial's."""
        return f"{self.digest[:32]}-"

    def specimens(self, conditions: Conditions, count: int, effects: str) -> dict[str, Specimen]:
        """Chips with the seeds 0 to `count - 1`, by keys of everything that determines them."""
        told = json.dumps(described_conditions(conditions), sort_keys=True)
        start = f"{self.key_start}{hashlib.sha256(told.encode()).hexdigest()[:32]}"
        return {f"{start}-{seed}": Specimen(conditions, seed, effects) for seed in range(count)}


@lru_cache(maxsize=2)
def _programmer(trial: Trial, conditions: Conditions) -> Programmer:
    return Programmer(trial.design, trial.device, trial.choice, conditions, near_wires=True)


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
        pulses: that programmed a chip, on average.
        energy_j: joules that they put into its cells, on average; see `Chip.energy_j`.
    """

    task: Task
    design: float
    scores: tuple[float, ...]
    threshold: float | None
    sensitivity: dict[str, tuple[Strength, ...]] = field(default_factory=dict)
    pulses: float = 0.0
    energy_j: float | None = None

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
            "pulses": self.pulses,
            "energy_J": self.energy_j,
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


@contextmanager
def try_chips(
    trial: Trial,
    conditions: Conditions,
    count: int,
    threshold: float | None,
    sensitivity: int,
    folder: Path | None,
    scheduler: str | None,
    progress: Progress,
    interruptible: Callable[[Kept], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Iterator[Yield]:
    """The chips of the seeds 0 to `count - 1`, of which those in the folder's file are known.

    In the block of what it gives, the folder is this process's alone.

    Args:
        sensitivity: chips for each effect and strength; 0 for none.
        folder: of results, made if missing; nothing is kept without.
        scheduler: of a Dask cluster; processes of this machine without.
        interruptible: a context of trying and block, told what is kept whatever happens there.

    Raises:
        UsageError: a number of chips is out of range, or the folder holds other files.
        SynqError: the design does not fit its quantization, a chip cannot be tried, the folder
            holds another trial's chips, or another run writes there.
    """
    for name, value, least in (("count", count, 1), ("sensitivity", sensitivity, 0)):
        if not least <= value <= _MOST_CHIPS:
            raise UsageError(
                f"{name} must be between {least} and {_MOST_CHIPS}, got {value}", settings=(name,)
            )
    targets_of(trial.design, trial.device, trial.choice)  # here rather than in every worker
    plain = trial.specimens(conditions, count, _ALL)
    alone = {
        name: {
            factor: trial.specimens(scaled(factor), sensitivity, f"{name} x {factor:g}")
            for factor in _STRENGTHS
        }
        for name, scaled in (effects_of(conditions) if sensitivity else {}).items()
    }
    specimens = dict(plain)
    for by_factor in alone.values():
        for group in by_factor.values():
            specimens |= group
    with _opened(trial, folder) as results:
        kept = nullcontext() if results is None else interruptible(Kept(results, [*specimens]))
        with kept:
            tried = _tried(trial, specimens, results, scheduler, progress)
            chips = [tried[key] for key in plain]
            sensitive = {
                name: tuple(
                    _strength(factor, [tried[key] for key in group])
                    for factor, group in by_factor.items()
                )
                for name, by_factor in alone.items()
            }
            joules = [chip.energy_j for chip in chips if chip.energy_j is not None]
            yield Yield(
                trial.task,
                trial.score(trial.design),
                tuple(chip.score for chip in chips),
                threshold,
                sensitive,
                float(np.mean([chip.pulses for chip in chips])),
                float(np.mean(joules)) if joules else None,
            )


@contextmanager
def _opened(trial: Trial, folder: Path | None) -> Iterator[Results[Tried] | None]:
    """The file of results in a folder, which holds chips of this trial alone."""
    if folder is None:
        yield None
        return
    check_folder(folder, CHIPS)
    with open_results(folder / CHIPS.file, CHIPS) as results:
        ours = trial.key_start
        if any(not key.startswith(ours) for key in results.known):
            raise SynqError(
                f"{results.path} holds chips of another network or data (or device, or version of "
                "synq): choose another folder"
            )
        yield results


def _tried(
    trial: Trial,
    specimens: Mapping[str, Specimen],
    results: Results[Tried] | None,
    scheduler: str | None,
    progress: Progress,
) -> dict[str, Tried]:
    """Every chip by its key; those that are not in `results` yet are added as they come.

    Raises:
        SynqError: one cannot be tried; a yield without it would be another.
    """
    tried = {} if results is None else {k: v for k, v in results.known.items() if k in specimens}
    keys = {specimen: key for key, specimen in specimens.items() if key not in tried}
    with (
        progress.task("Try chips", total=len(specimens)) as task,
        start_workers(trial, scheduler) as evaluate,
    ):
        task.update(len(tried), "starting")
        for outcome in evaluate([*keys]):
            specimen, chip = outcome.piece, outcome.result
            if chip is None:
                raise SynqError(f"chip {specimen.seed} cannot be tried: {outcome.error}")
            tried[keys[specimen]] = chip
            if results is not None:
                told = {"seed": specimen.seed, "effects": specimen.effects}
                results.add(keys[specimen], told, chip)
            task.update(len(tried), f"{len(tried):,} of {len(specimens):,}")
    return tried


def _strength(factor: float, chips: Sequence[Tried]) -> Strength:
    scores = [chip.score for chip in chips]
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
