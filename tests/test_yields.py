import json
import math
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
from synq.yields import Trial, Yield, effects_of, measure_yield, wilson

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


def test_scores_are_those_of_the_chips() -> None:
    tried = trial()
    conditions = Conditions(Variation(0.2))
    found = measure_yield(tried, conditions, 10, 90.0, 0, None, SILENT)
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
    found = measure_yield(tried, Conditions(Variation(0.2)), 5, 1.0, 3, None, SILENT)
    assert found.design == 0
    assert found.worst == max(found.scores)
    assert found.good == sum(score <= 1.0 for score in found.scores)
    assert found.costliest == "device to device"


def test_wires_near_the_design_are_nearly_exact() -> None:
    tried = trial()
    conditions = Conditions(Variation(0.1, wire_resistance_ohm=1e4))
    (near,) = tried.scores(conditions, [3])
    exact = program(tried.design, PCMO, TEN, conditions, 3)
    assert near == pytest.approx(tried.score(exact.network), abs=1.0)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "chips.jsonl"
    first = measure_yield(trial(), EVERYTHING, 4, None, 2, path, SILENT)
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + 4 + 5 * 3 * 2
    # cut in the midst of a line; a score is changed, to see that it is read and not made again
    told = json.loads(lines[1])
    told["score"] = 12.5
    path.write_text("\n".join([lines[0], json.dumps(told), *lines[2:20]]) + "\n" + lines[20][:30])
    again = measure_yield(trial(), EVERYTHING, 4, None, 2, path, SILENT)
    assert again.scores == (12.5, *first.scores[1:])
    assert again.sensitivity == first.sensitivity
    with pytest.raises(SynqError, match="of another network or data"):
        measure_yield(trial(2), EVERYTHING, 4, None, 2, path, SILENT)
    path.write_text("what is this\n")
    with pytest.raises(SynqError, match="of another network or data"):
        measure_yield(trial(), EVERYTHING, 4, None, 2, path, SILENT)


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
    found = measure_yield(trial(), EVERYTHING, 12, 95.0, 2, None, SILENT)
    files = render_yield(found)
    assert sorted(files) == ["sensitivity.png", "sensitivity.svg", "yield.png", "yield.svg"]
    assert files == render_yield(found)
    assert b"threshold" in files["yield.svg"] or b"<svg" in files["yield.svg"]
    one = Yield(Task.CLASSIFICATION, 90.0, (90.0,), None)
    assert sorted(render_yield(one)) == ["yield.png", "yield.svg"]


@pytest.mark.parametrize("count", [0, -1, 10**7])
def test_impossible_counts_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="count must be between 1"):
        measure_yield(trial(), Conditions(), count, None, 0, None, SILENT)
