"""Many chips of a design, as pages show them: what is kept of them, `chips.json`, and figures.

The page of a run of chips is drawn from this, and so is the section of them in a project's page.
"""

import json
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from markupsafe import Markup

from synq.definition import Range, read_table
from synq.errors import SynqError
from synq.files import read_bounded
from synq.page import pictures
from synq.page.facts import ChipFacts, Count, Number, Text, bytes_of, read_told
from synq.page.figures import deviations
from synq.page.gather import states_of
from synq.page.svg import ACCENT, MUTED, SECOND, SERIES, SURFACE, drawn
from synq.score import Task
from synq.yields import Strength, Yield

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes

CHIPS = "chips.json"
_FORMAT = "synq-chips-1"
_MAX_BYTES = 64 << 20  # a million chips take 20 MB
_MARKERS = "os^Dv"
_MOST_LISTED = 12


@dataclass(frozen=True)
class EffectFacts:
    """Chips that have one effect alone, at one strength; of `Strength`."""

    effect: Text
    factor: Number
    mean: Number
    std: Annotated[float, Range(0, 1e30)]


@dataclass(frozen=True)
class Told:
    """A condition that every chip has gone through."""

    path: Text
    text: Text


@dataclass(frozen=True)
class ChipsFacts:
    """What is shown of many chips.

    Attributes:
        data: that they were tried on, as the user named it.
        device: its description.
        levels: L of the design.
        design: the digest of its network.
        samples: that each chip was tried on.
        threshold: that a good chip reaches; none or one.
        pulses, joules: as of `Yield`; joules 0 if they are not known.
        worst: the chip of the lowest score.
    """

    title: Text
    data: Text
    device: Text
    levels: Count
    design: Text
    samples: Count
    task: Text
    score: Number
    scores: Annotated[tuple[float, ...], Range(-1e30, 1e30)]
    threshold: Annotated[tuple[float, ...], Range(-1e30, 1e30)]
    effects: tuple[EffectFacts, ...]
    pulses: Number
    joules: Number
    told: tuple[Told, ...]
    worst: ChipFacts

    @property
    def result(self) -> Yield:
        """The yield that they are the facts of."""
        alone = {
            name: tuple(Strength(each.factor, each.mean, each.std) for each in group)
            for name, group in groupby(self.effects, lambda each: each.effect)
        }
        return Yield(
            Task(self.task),
            self.score,
            self.scores,
            self.threshold[0] if self.threshold else None,
            alone,
            self.pulses,
            self.joules or None,
        )

    def to_json(self) -> bytes:
        """The file; `chips_from_json` is its inverse."""
        told = {"format": _FORMAT, **asdict(self)}
        return json.dumps(told, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def chips_from_json(content: bytes) -> ChipsFacts:
    """Read what `ChipsFacts.to_json` gave.

    Raises:
        ValueError: it is something else, or contradicts itself.
    """
    facts = read_table(read_told(content, _FORMAT, _MAX_BYTES), ChipsFacts)
    names = [name for name, _ in groupby(facts.effects, lambda each: each.effect)]
    factors = [
        [each.factor for each in group]
        for _, group in groupby(facts.effects, lambda each: each.effect)
    ]
    chip = facts.worst
    wrong = {
        "task": facts.task not in [each.value for each in Task],
        "scores": not facts.scores or len(facts.threshold) > 1,
        "effects": len(set(names)) != len(names)
        or any(each != factors[0] or 1 not in each for each in factors),
        "cells": not chip.cells or len(chip.states) != 4 or len(chip.counts) < 2,
        "maps": any(len(bytes_of(each.off)) != each.rows * each.columns for each in chip.maps),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"{name} contradict the rest")
    return facts


def read_chips(folder: Path) -> ChipsFacts:
    """The chips in a folder of results.

    Raises:
        SynqError: there are none, or the file is damaged.
    """
    file = folder / CHIPS
    if not file.is_file():
        raise SynqError(f"{folder} holds no {CHIPS}: is it what synq chips wrote?")
    try:
        return chips_from_json(read_bounded(file, _MAX_BYTES))
    except ValueError as error:
        raise SynqError(f"{file} is damaged ({error!s:.200}): run synq chips again") from None


def shown(facts: ChipsFacts) -> dict[str, Any]:
    """What the templates show of them."""
    result = facts.result
    order = np.argsort(np.array(result.scores) * _gain(result), kind="stable").tolist()
    return {
        "facts": facts,
        "result": result,
        "task": result.task,
        "histogram": _histogram(result),
        "share": _share(result),
        "sensitivity": _sensitivity(result) if result.sensitivity else "",
        "factors": [each.factor for each in next(iter(result.sensitivity.values()), ())],
        "worst": [(seed, result.scores[seed]) for seed in order[:_MOST_LISTED]],
        "best": [(seed, result.scores[seed]) for seed in order[::-1][:_MOST_LISTED]],
        "chip": facts.worst,
        "states": states_of(facts.worst),
        "deviations": deviations(facts.worst),
        "maps": [(pictures.cell_map(each), each) for each in facts.worst.maps],
    }


def _gain(result: Yield) -> int:
    return 1 if result.task.higher_is_better else -1


def _histogram(result: Yield) -> Markup:
    def draw(axes: "Axes") -> None:
        bins = min(40, max(5, len(result.scores) // 10))
        counts, edges = np.histogram(result.scores, bins=bins)
        axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.8)
        _mark(axes, result)
        axes.set_xlabel(f"test {result.task.words}")
        axes.set_ylabel("chips")

    return drawn("histogram", f"Chips by their test {result.task.words}", draw)


def _share(result: Yield) -> Markup:
    """Of all chips, how many reach a score."""

    def draw(axes: "Axes") -> None:
        scores = np.sort(np.array(result.scores))[:: _gain(result)]
        shares = 100 * np.arange(len(scores), 0, -1) / len(scores)
        axes.step(scores, shares, where="pre", color=ACCENT)
        _mark(axes, result)
        axes.set_ylim(0, 104)
        axes.set_xlabel(f"test {result.task.words}")
        axes.set_ylabel("chips that reach it, %")

    return drawn("share", "Share of the chips that reach a score", draw)


def _mark(axes: "Axes", result: Yield) -> None:
    axes.axvline(result.design, color=MUTED, linestyle=(0, (4, 3)), label="as designed")
    if result.threshold is not None:
        axes.axvline(result.threshold, color=SECOND, label="threshold")
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside upper left", ncols=2, borderpad=0)


def _sensitivity(result: Yield) -> Markup:
    def draw(axes: "Axes") -> None:
        axes.axhline(result.design, color=MUTED, linestyle=(0, (4, 3)), label="as designed")
        for number, (name, tried) in enumerate(result.sensitivity.items()):
            axes.errorbar(
                [each.factor for each in tried],
                [each.mean for each in tried],
                [each.std for each in tried],
                color=SERIES[number % len(SERIES)],
                marker=_MARKERS[number % len(_MARKERS)],
                markeredgecolor=SURFACE,
                capsize=3,
                label=name,
            )
        axes.set_xlabel("strength, 1 as given")
        axes.set_ylabel(f"test {result.task.words}")
        figure = axes.get_figure()
        assert figure is not None
        figure.legend(loc="outside upper left", ncols=2, borderpad=0)

    return drawn("sensitivity", "Scores with each effect alone, at several strengths", draw)
