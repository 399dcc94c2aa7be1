import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strategies import BYTE
from synq.chip import Conditions, Programming, program
from synq.device import load_device
from synq.errors import SynqError, UsageError
from synq.float_network import FloatNetwork
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network
from synq.report.yield_figures import render_yield
from synq.score import Task
from synq.variation import Variation
from synq.yields import CHIPS, Specimen, Trial, Yield, effects_of, try_chips, wilson

PCMO = load_device("pcmo")
TEN = Quantization(10)
EVERYTHING = Conditions(
    Variation(0.2, 0.01, 0.02, 0.02, 0.05, 0.02, 1.0, 100.0),
    Programming.OPEN_LOOP,
    time_s=1e4,
)


def trial(seed: int = 1, task: Task = Task.CLASSIFICATION) -> Trial:
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((12, 8), (8, 3)))
    inputs = rng.integers(0, 256, (200, 12), dtype=np.uint8)
    network = FloatNetwork(weights, (None, None))
    design = quantize_network(network, TEN, PCMO, BYTE, inputs)
    trace = design.run(inputs)
    labels = trace.classes
    if task is Task.REGRESSION:
        labels = trace.accumulators[-1] * design.output_unit
    return Trial(design, PCMO, TEN, inputs, labels, task)


def measured(
    tried: Trial,
    conditions: Conditions,
    count: int,
    threshold: float | None = None,
    sensitivity: int = 0,
    folder: Path | None = None,
    scheduler: str | None = None,
) -> Yield:
    given = (threshold, sensitivity, folder, scheduler, SILENT)
    with try_chips(tried, conditions, count, *given) as found:
        return found


def test_scores_are_those_of_the_chips() -> None:
    tried = trial()
    conditions = Conditions(Variation(0.2))
    found = measured(tried, conditions, 10, 90.0)
    expected = [
        tried.score(program(tried.design, PCMO, TEN, conditions, seed).network)
        for seed in range(10)
    ]
    assert found.scores == tuple(expected)
    assert found.design == 100.0
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.std == pytest.approx(np.std(expected, ddof=1))
    assert found.worst == min(expected)
    assert found.good == sum(score >= 90 for score in expected)
    low, high = found.mean_interval
    assert high - low == pytest.approx(2 * 1.96 * found.std / math.sqrt(10), rel=1e-3)


def test_errors_of_regressions_are_better_when_small() -> None:
    tried = trial(task=Task.REGRESSION)
    found = measured(tried, Conditions(Variation(0.2)), 5, 1.0, 3)
    assert found.design == 0
    assert found.worst == max(found.scores)
    assert found.good == sum(score <= 1.0 for score in found.scores)
    assert found.costliest == "device to device"


def test_wires_near_the_design_are_nearly_exact() -> None:
    tried = trial()
    conditions = Conditions(Variation(0.1, wire_resistance_ohm=1e4))
    near = tried.evaluate(Specimen(conditions, 3)).score
    exact = program(tried.design, PCMO, TEN, conditions, 3)
    assert near == pytest.approx(tried.score(exact.network), abs=1.0)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    folder, path = tmp_path / "runs", tmp_path / "runs" / CHIPS.file
    first = measured(trial(), EVERYTHING, 4, None, 2, folder)
    lines = path.read_text().splitlines()
    assert len(lines) == 4 + 5 * 3 * 2
    # cut in the midst of a line; a score is changed, to see that it is read and not made again
    told = [json.loads(line) for line in lines]
    (at,) = (
        number for number, line in enumerate(told) if line["chip"] == {"seed": 0, "effects": "all"}
    )
    told[at]["result"]["score"] = 12.5
    kept = [json.dumps(line) for line in [told.pop(at), *told[:20]]]
    path.write_text("\n".join(kept) + "\n" + json.dumps(told[21])[:30])
    again = measured(trial(), EVERYTHING, 4, None, 2, folder)
    assert again.scores == (12.5, *first.scores[1:])
    assert again.sensitivity == first.sensitivity
    assert len(path.read_text().splitlines()) == len(lines)


@pytest.mark.parametrize("other", ["network", "data", "device"])
def test_chips_of_another_trial_are_refused(tmp_path: Path, other: str) -> None:
    mine = trial()
    measured(mine, EVERYTHING, 2, folder=tmp_path)
    another = {
        "network": trial(2),
        "data": replace(mine, inputs=mine.inputs[::-1]),
        "device": replace(mine, device=replace(PCMO, description="edited")),
    }[other]
    with pytest.raises(SynqError, match="holds chips of another network or data"):
        measured(another, EVERYTHING, 2, folder=tmp_path)


def test_what_is_no_folder_of_chips_is_refused(tmp_path: Path) -> None:
    (tmp_path / CHIPS.file).write_text("what is this\n")
    with pytest.raises(SynqError, match="holds no results of a run of chips"):
        measured(trial(), EVERYTHING, 2, folder=tmp_path)
    (tmp_path / CHIPS.file).rename(tmp_path / "thesis.tex")
    with pytest.raises(UsageError, match="holds no run of chips but other files"):
        measured(trial(), EVERYTHING, 2, folder=tmp_path)


def test_pulses_and_their_energy_are_means_of_the_chips() -> None:
    tried = trial()
    found = measured(tried, EVERYTHING, 3)
    chips = [program(tried.design, PCMO, TEN, EVERYTHING, seed) for seed in range(3)]
    assert found.pulses == pytest.approx(np.mean([chip.pulses for chip in chips]))
    assert found.energy_j == pytest.approx(np.mean([chip.energy_j for chip in chips]))
    exact = measured(tried, Conditions(), 1)
    assert (exact.pulses, exact.energy_j) == (0, None)


def test_a_chip_that_cannot_be_tried_is_one_line() -> None:
    grown = Conditions(Variation(drift_exponent=-1.0), time_s=1e12)
    with pytest.raises(SynqError, match="chip 0 cannot be tried: a cell's conductance") as caught:
        measured(trial(), grown, 1)
    assert "\n" not in str(caught.value)


def test_effects_alone() -> None:
    effects = effects_of(EVERYTHING)
    assert list(effects) == ["device to device", "programming", "stuck cells", "drift", "wires"]
    doubled = effects["stuck cells"](2.0)
    assert doubled.variation == Variation(stuck_at_min=0.04, stuck_at_max=0.04)
    assert doubled.programming is Programming.EXACT
    drift = effects["drift"](0.5)
    assert drift.variation == Variation(drift_exponent=0.025, drift_exponent_sigma=0.01)
    assert drift.time_s == 1e4
    assert effects["programming"](1.0).programming is Programming.OPEN_LOOP
    assert effects_of(Conditions()) == {}


def test_wilson() -> None:
    # by hand, from the formula at z = 1.96: 0 of 10, and 8 of 10
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_figures() -> None:
    found = measured(trial(), EVERYTHING, 12, 95.0, 2)
    files = render_yield(found)
    assert sorted(files) == ["sensitivity.png", "sensitivity.svg", "yield.png", "yield.svg"]
    assert files == render_yield(found)
    assert b"threshold" in files["yield.svg"] or b"<svg" in files["yield.svg"]
    one = Yield(Task.CLASSIFICATION, 90.0, (90.0,), None)
    assert sorted(render_yield(one)) == ["yield.png", "yield.svg"]


@pytest.mark.parametrize("count", [0, -1, 10**7])
def test_impossible_counts_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="count must be between 1"):
        measured(trial(), Conditions(), count)
