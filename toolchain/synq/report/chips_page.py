"""The page of many chips: yield, which effect costs most, and the cells of the worst one."""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from synq import __version__
from synq.chip import Chip, Conditions, Programmer
from synq.chip_file import described_conditions
from synq.page import pictures
from synq.page.document import render
from synq.page.figures import deviations
from synq.page.gather import chip_facts
from synq.page.project_page import states_of
from synq.page.svg import ACCENT, MUTED, SECOND, SERIES, SURFACE, drawn
from synq.yields import Trial, Yield

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes

_MARKERS = "os^Dv"
_MOST_LISTED = 12


def render_chips(result: Yield, trial: Trial, conditions: Conditions, data: str) -> bytes:
    """The page; equal chips give equal bytes.

    Args:
        trial: whose chips they are.
        conditions: that they have gone through.
        data: what they were tried on, for the title.
    """
    order = np.argsort(np.array(result.scores) * _gain(result), kind="stable").tolist()
    chip = chip_facts(worst_chip(result, trial, conditions))
    told = _flat(described_conditions(conditions))
    sections = {"yield": "Yield", "sensitivity": "Sensitivity", "cells": "Cells", "made": "Made of"}
    if not result.sensitivity:
        del sections["sensitivity"]
    return render(
        "chips.html",
        version=__version__,
        sections=sections,
        title=f"{len(result.scores):,} chips of {data} on {trial.device.name}",
        result=result,
        task=result.task,
        trial=trial,
        histogram=_histogram(result),
        share=_share(result),
        sensitivity=_sensitivity(result) if result.sensitivity else "",
        factors=[each.factor for each in next(iter(result.sensitivity.values()), ())],
        worst=[(seed, result.scores[seed]) for seed in order[:_MOST_LISTED]],
        best=[(seed, result.scores[seed]) for seed in order[::-1][:_MOST_LISTED]],
        chip=chip,
        states=states_of(chip),
        deviations=deviations(chip),
        maps=[(pictures.cell_map(each), each) for each in chip.maps],
        told=told,
    )


def worst_chip(result: Yield, trial: Trial, conditions: Conditions) -> Chip:
    """The chip of the lowest score, the first one of equal ones."""
    seed = int(np.argmin(np.array(result.scores) * _gain(result)))
    made = Programmer(trial.design, trial.device, trial.choice, conditions, near_wires=True)
    return made.chip(seed)


def _gain(result: Yield) -> int:
    return 1 if result.task.higher_is_better else -1


def _flat(conditions: dict[str, object]) -> list[tuple[str, str]]:
    lines = []
    for name, value in conditions.items():
        if isinstance(value, dict):
            lines += [(f"{name} › {inner}", text) for inner, text in _flat(value)]
        else:
            lines.append((name, "none" if value is None else str(value)))
    return lines


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
