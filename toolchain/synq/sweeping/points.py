"""What a sweep evaluates: every combination of its axes, for each trained network."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from synq import __version__
from synq.board import Board
from synq.device import Branch, Device
from synq.errors import UsageError
from synq.float_network import FloatNetwork
from synq.learn.data.dataset import Dataset
from synq.learn.train import FineTuning
from synq.quantizing import Method, Quantization

LOWEST_LEVELS, HIGHEST_LEVELS = 2, 256


def parse_levels(text: str) -> tuple[int, ...]:
    """The levels in "10", "5,10,15", "5:25" (both ends) or "5:25:5", ascending, each once.

    Raises:
        UsageError: the text is something else, or a level is not in 2..256.
    """
    found: set[int] = set()
    for part in text.split(","):
        try:
            numbers = [int(number) for number in part.split(":")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3:
            raise UsageError(
                f"levels must look like 10, 5,10,15, 5:25 or 5:25:5, got {text.strip()!r}"
            )
        first, last = numbers[0], numbers[min(1, len(numbers) - 1)]
        step = numbers[2] if len(numbers) == 3 else 1
        if not LOWEST_LEVELS <= first <= last <= HIGHEST_LEVELS or step < 1:
            raise UsageError(
                f"levels must be between {LOWEST_LEVELS} and {HIGHEST_LEVELS}, ranges ascending "
                f"and steps at least 1, got {part.strip()}"
            )
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))


@dataclass(frozen=True)
class Axes:
    """The values that are crossed with one another and with the networks.

    Attributes:
        sparsities: least shares of zeros to fine-tune for, 0..1; empty without fine-tuning.
    """

    levels: tuple[int, ...]
    methods: tuple[Method, ...]
    branches: tuple[Branch, ...] = (Branch.LTP,)
    input_bits: tuple[int, ...] = (8,)
    activation_bits: tuple[int, ...] = (8,)
    sparsities: tuple[float, ...] = ()

    @property
    def beyond_levels(self) -> bool:
        """Whether anything but levels and methods varies: there is a trade-off to show."""
        others = (self.branches, self.input_bits, self.activation_bits, self.sparsities)
        return any(len(values) > 1 for values in others)


@dataclass(frozen=True)
class Trained:
    """One trained network; `seed` is None for a user's own checkpoint, `software` its score."""

    seed: int | None
    network: FloatNetwork
    software: float


@dataclass(frozen=True)
class Point:
    """Everything that determines one evaluation.

    Attributes:
        dataset: digest of the data, before `choice.input_bits` reduces it.
        network: digest of the trained weights.
        seed: what they were trained with; None for a checkpoint.
        finetuning: how to fine-tune them for this point, or None.
        board: whose resources bound the estimated design.
        version: of synq.
    """

    dataset: str
    network: str
    seed: int | None
    device: Device
    choice: Quantization
    finetuning: FineTuning | None
    board: Board
    version: str = __version__

    @cached_property
    def key(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def levels(self) -> int | None:
        """L, or None for the method nearest, which has none."""
        return None if self.choice.method is Method.NEAREST else self.choice.levels

    @property
    def sparsity(self) -> float | None:
        return None if self.finetuning is None else self.finetuning.sparsity

    def settings(self) -> dict[str, Any]:
        """What distinguishes it from others of the same sweep, in the order they are sorted by."""
        return {
            "method": str(self.choice.method),
            "branch": str(self.choice.branch),
            "input_bits": self.choice.input_bits,
            "activation_bits": self.choice.activation_bits,
            "sparsity": self.sparsity,
            "levels": self.levels,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        known = {name: value for name, value in self.settings().items() if value is not None}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items())


def make_points(
    axes: Axes,
    base: Quantization,
    finetuning: FineTuning | None,
    dataset: Dataset,
    trained: Sequence[Trained],
    device: Device,
    board: Board,
) -> list[Point]:
    """Every combination once; the method nearest once for all levels.

    Args:
        base: the choices that do not vary.
        finetuning: how to fine-tune each point, its sparsity replaced by those of `axes`.

    Raises:
        UsageError: a combination that cannot be quantized at all.
    """
    tunings: list[FineTuning | None] = [finetuning]
    if finetuning is not None and axes.sparsities:
        tunings = [finetuning.with_sparsity(sparsity) for sparsity in axes.sparsities]
    points: dict[str, Point] = {}
    # Inputs vary slowest: a worker keeps only the last reduced datasets.
    for input_bits, activation_bits, branch, tuning, method, levels in itertools.product(
        axes.input_bits, axes.activation_bits, axes.branches, tunings, axes.methods, axes.levels
    ):
        choice = replace(
            base,
            levels=LOWEST_LEVELS if method is Method.NEAREST else levels,
            method=method,
            branch=branch,
            input_bits=input_bits,
            activation_bits=activation_bits,
        )
        for each in trained:
            point = Point(
                dataset=dataset.digest,
                network=each.network.digest,
                seed=each.seed,
                device=device,
                choice=choice,
                finetuning=_seeded(tuning, each.seed),
                board=board,
            )
            points.setdefault(point.key, point)
    return list(points.values())


def _seeded(tuning: FineTuning | None, seed: int | None) -> FineTuning | None:
    """Fine-tuning with the seed of the training, as the other commands do it."""
    if tuning is None or seed is None:
        return tuning
    return replace(tuning, recipe=replace(tuning.recipe, seed=seed))
