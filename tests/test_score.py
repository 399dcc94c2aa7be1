"""Scores: what they are of, and how they are told."""

import numpy as np
import pytest

from strategies import synapse_array
from synq.network import QuantizedNetwork
from synq.score import Scores, Task, integer_score, real_score, spread_of


def test_accuracy_is_percent_of_classes() -> None:
    outputs = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 0.0]])
    assert real_score(Task.CLASSIFICATION, outputs, np.array([1, 0, 1])) == 66.6667
    one = np.array([[0.5], [-0.5], [0.0]])
    assert real_score(Task.CLASSIFICATION, one, np.array([1, 0, 0])) == 100


def test_the_error_is_in_the_targets_unit_and_pools_them() -> None:
    outputs = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert real_score(Task.REGRESSION, outputs, outputs + 2 * np.eye(2)) == 1.41421
    targets = np.array([[0.0, 10.0], [4.0, 10.0]])
    scores = Scores(Task.REGRESSION, spread_of(Task.REGRESSION, targets))
    assert scores.spread == pytest.approx(np.sqrt(2))
    scores = scores.with_stage("software", 0.0).with_stage("csim", scores.spread)
    assert scores.to_dict() == {
        "rmse": {"software": 0.0, "csim": scores.spread},
        "r2": {"software": 1.0, "csim": 0.0},
    }
    assert Scores(Task.REGRESSION, 0.0, {"software": 1.0}).explained("software") == 0


def test_integers_are_scored_in_real_units() -> None:
    rng = np.random.default_rng(0)
    network = QuantizedNetwork((synapse_array(rng, 6, 2),), ())
    inputs = rng.integers(0, 256, (50, 6), dtype=np.uint8)
    trace = network.run(inputs)
    real = trace.accumulators[-1] * network.output_unit
    assert integer_score(Task.REGRESSION, network, trace.answers, real) == 0
    assert integer_score(Task.REGRESSION, network, trace.answers, real + 3) == 3
    assert integer_score(Task.CLASSIFICATION, network, trace.answers, trace.classes) == 100


def test_words() -> None:
    assert Scores(Task.CLASSIFICATION, 0.0, {"software": 90.0}).to_dict() == {
        "accuracy": {"software": 90.0}
    }
    assert Task.REGRESSION.shown(0.001234567) == "RMSE 0.001235"
