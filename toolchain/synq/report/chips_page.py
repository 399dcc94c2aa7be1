"""The page of many chips: yield, which effect costs most, and the cells of the worst one."""

import numpy as np

from synq import __version__
from synq.chip import Chip, Conditions, Programmer
from synq.chip_file import described_conditions
from synq.page.document import render
from synq.page.gather import chip_facts, one_line
from synq.page.many_chips import ChipsFacts, EffectFacts, Told, shown
from synq.yields import Trial, Yield


def chips_facts(result: Yield, trial: Trial, conditions: Conditions, data: str) -> ChipsFacts:
    """What is kept of a run for its page, and for the page of its project.

    Args:
        trial: whose chips they are.
        conditions: that they have gone through.
        data: what they were tried on, for the title.
    """
    return ChipsFacts(
        title=one_line(f"{len(result.scores):,} chips of {data} on {trial.device.name}"),
        data=one_line(data),
        device=one_line(trial.device.description),
        levels=trial.choice.levels,
        design=trial.design.digest,
        samples=len(trial.labels),
        task=result.task.value,
        score=result.design,
        scores=result.scores,
        threshold=() if result.threshold is None else (result.threshold,),
        effects=tuple(
            EffectFacts(name, each.factor, each.mean, each.std)
            for name, tried in result.sensitivity.items()
            for each in tried
        ),
        pulses=result.pulses,
        joules=result.energy_j or 0.0,
        told=tuple(Told(*each) for each in _flat(described_conditions(conditions))),
        worst=chip_facts(worst_chip(result, trial, conditions)),
    )


def render_chips(facts: ChipsFacts) -> bytes:
    """The page; equal facts give equal bytes."""
    sections = {"yield": "Yield", "sensitivity": "Sensitivity", "cells": "Cells", "made": "Made of"}
    if not facts.effects:
        del sections["sensitivity"]
    return render("chips.html", version=__version__, sections=sections, chips=shown(facts))


def worst_chip(result: Yield, trial: Trial, conditions: Conditions) -> Chip:
    """The chip of the lowest score, the first one of equal ones."""
    gain = 1 if result.task.higher_is_better else -1
    seed = int(np.argmin(np.array(result.scores) * gain))
    made = Programmer(trial.design, trial.device, trial.choice, conditions, near_wires=True)
    return made.chip(seed)


def _flat(conditions: dict[str, object]) -> list[tuple[str, str]]:
    lines = []
    for name, value in conditions.items():
        if isinstance(value, dict):
            lines += [(f"{name} › {inner}", text) for inner, text in _flat(value)]
        else:
            lines.append((name, "none" if value is None else str(value)))
    return lines
