"""Chips in training: the same statistics as the chips that are made, and what training gains."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synq.cache import default_cache_dir
from synq.chip import (
    Conditions,
    FaultMap,
    Programmer,
    State,
    polarities,
    weights_of,
)
from synq.device import Branch, load_device
from synq.errors import SynqError
from synq.learn.data.dataset import Dataset
from synq.learn.data.load import Data, load_data
from synq.learn.disturbance import Disturbance
from synq.learn.finetune import finetune, finetuned_network
from synq.learn.train import FINETUNING, RECIPES, adapted, adapted_tuning, train
from synq.progress import SILENT
from synq.quantizing import Mapping, Quantization, quantize_network
from synq.variation import Variation

PCMO = load_device("pcmo")
WINDOW = PCMO.window(Branch.LTP)
N_OUT, N_ROWS = 200, 300


def disturbance(
    variation: Variation, mapping: Mapping = Mapping.DIFFERENTIAL, faults: FaultMap | None = None
) -> Disturbance:
    return Disturbance(variation, faults, 0, WINDOW, mapping, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mapping", Mapping)
@pytest.mark.parametrize("weight", [-1.0, -0.4, 0.0, 0.7])
def test_spread_is_that_of_chips(mapping: Mapping, weight: float) -> None:
    trained = disturbance(Variation(0.1), mapping)(torch.full((N_OUT, N_ROWS), weight)).numpy()
    target = WINDOW.conductance(polarities(np.array(weight), mapping))
    factors = 1 + 0.1 * np.random.default_rng(2).normal(size=(N_ROWS, N_OUT, len(target)))
    made = weights_of(target * factors, WINDOW, mapping)
    assert trained.mean() == pytest.approx(made.mean(), abs=0.005)
    assert trained.std() == pytest.approx(made.std(), rel=0.02)


@pytest.mark.parametrize("mapping", Mapping)
def test_stuck_cells_are_those_of_chips(mapping: Mapping) -> None:
    weights = torch.full((N_OUT, N_ROWS), 0.4)
    moved = disturbance(Variation(stuck_at_min=0.1, stuck_at_max=0.2), mapping)(weights).numpy()
    values, counts = np.unique(moved.round(5), return_counts=True)
    if mapping is Mapping.OFFSET:
        expected = {-1.0: 0.1, 0.4: 0.7, 1.0: 0.2}
    else:  # + at 0, as it is, or 1; - at 0 or 1
        expected = {
            0.4: 0.7 * 0.8,
            -0.6: 0.7 * 0.2,
            0.0: 0.1 * 0.8 + 0.2 * 0.2,
            -1.0: 0.1 * 0.2,
            1.0: 0.2 * 0.8,
        }
    shares = dict(zip(values.tolist(), counts / moved.size, strict=True))
    assert sorted(shares) == pytest.approx(sorted(expected))
    for value, share in expected.items():
        nearest = min(shares, key=lambda each, value=value: abs(each - value))  # type: ignore[misc]
        assert shares[nearest] == pytest.approx(share, abs=0.02)


def test_known_faults_are_always_there() -> None:
    states = np.zeros((N_ROWS, N_OUT, 2), dtype=np.uint8)
    states[3, 5, 0], states[4, 6, 1] = State.STUCK_AT_MAX, State.STUCK_AT_MAX
    states[5, 7, 0] = State.STUCK_AT_MIN
    moved = disturbance(Variation(), faults=FaultMap((states,)))(torch.full((N_OUT, N_ROWS), 0.25))
    assert (moved[5, 3], moved[6, 4], moved[7, 5]) == (1.0, -0.75, 0.0)
    assert torch.count_nonzero(moved != 0.25) == 3


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(Data("digits"), default_cache_dir(), SILENT)


def test_training_through_chips_helps_them(digits: Dataset, tmp_path: Path) -> None:
    recipe = adapted(replace(RECIPES["accurate"], epochs=6, hidden=(16,)), digits)
    network = train(recipe, digits, SILENT)
    tuning = replace(FINETUNING, recipe=replace(FINETUNING.recipe, epochs=5))
    tuning = adapted_tuning(tuning, digits)
    choice, variation = Quantization(5), Variation(stuck_at_max=0.03)
    designs = {}
    for name, how in {"plain": tuning, "chips": replace(tuning, variation=variation)}.items():
        tuned, ranges, cached = finetuned_network(
            network, digits, choice, PCMO, how, tmp_path, SILENT
        )
        assert not cached  # another key
        designs[name] = quantize_network(
            tuned, choice, PCMO, digits.input_format, digits.train_inputs, ranges
        )
    chip = Programmer(designs["plain"], PCMO, choice, Conditions(variation)).chip(0)
    tuned, ranges = finetune(
        network, digits, choice, PCMO, replace(tuning, faults=chip.faults), SILENT
    )
    designs["around"] = quantize_network(
        tuned, choice, PCMO, digits.input_format, digits.train_inputs, ranges
    )

    def mean(name: str, seeds: range) -> float:
        made = Programmer(designs[name], PCMO, choice, Conditions(variation))
        traces = (made.chip(seed).network.run(digits.train_inputs) for seed in seeds)
        return float(np.mean([trace.accuracy(digits.train_labels) for trace in traces]))

    assert mean("chips", range(20)) > mean("plain", range(20)) + 1
    assert mean("around", range(1)) > mean("plain", range(1)) + 1
    with pytest.raises(SynqError, match="of another network"):
        faults = FaultMap((np.zeros((3, 3, 2), dtype=np.uint8),))
        finetune(network, digits, choice, PCMO, replace(tuning, faults=faults), SILENT)
