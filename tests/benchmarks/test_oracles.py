"""The comparison with simulators: what they are given, and that a difference shows."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samples import samples
from synq import quantize
from synq.chip import full_scale, polarities
from synq.learn.prepare import Quantized


@pytest.fixture
def oracles(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("oracles")


def simulated(job: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """What a simulator with exact sums computes, in a few lines."""
    low, high = job["window"]
    sums: dict[str, NDArray[np.float64]] = {}
    for index in range(len(job["steps"])):
        cells = job[f"cells_{index}"]
        weights = (cells[..., 0] - cells[..., 1]) / (high - low) * job["full"]
        sums[f"sums_{index}"] = job[f"inputs_{index}"] @ weights
    sums["chained"] = sums[f"sums_{len(job['steps']) - 1}"]
    return sums


def prepared(folder: Path, **options: Any) -> Quantized:
    network, data = samples(folder)
    return quantize(network, data=data, **options)


def test_conductances_and_inputs_are_those_of_the_network(
    oracles: ModuleType, tmp_path: Path
) -> None:
    quantized = prepared(tmp_path)
    network, choice = quantized.network, quantized.quantization
    window = quantized.device.window(choice.branch)
    cells = [
        window.conductance(
            polarities(array.weights / full_scale(array.table_format), choice.mapping)
        )
        for array in network.arrays
    ]
    trace = network.run(quantized.dataset.test_inputs)
    sums = simulated(oracles.job_of(quantized, network, trace, cells))
    rows = [*oracles.arrays("other", "design", quantized, network, trace, sums)]
    assert rows[0].ours == rows[0].theirs == quantized.accuracy()
    apart = [float(row.note.split("at most ")[1].split()[0]) for row in rows[1:]]
    assert max(apart) < 1e-12
    sums["sums_0"][0, 0] += 0.5
    wrong = [*oracles.arrays("other", "design", quantized, network, trace, sums)]
    assert float(wrong[1].note.split("at most ")[1].split()[0]) > 1e-3


def test_a_converter_that_differs_is_counted(oracles: ModuleType, tmp_path: Path) -> None:
    quantized = prepared(tmp_path, tile="8x8", adc_bits=5)
    network = quantized.network
    trace = network.run(quantized.dataset.test_inputs)
    sums: dict[str, NDArray[np.float64]] = {
        f"sums_{index}": own * array.sum_step
        for index, (array, own) in enumerate(zip(network.arrays, trace.accumulators, strict=True))
    }
    sums["chained"] = sums[f"sums_{len(network.arrays) - 1}"]
    converter = network.arrays[0].converter
    assert converter is not None
    sums["sums_0"][3, 0] += converter.format.step
    rows = [*oracles.arrays("other", "converters", quantized, network, trace, sums)]
    assert ": 1 are another multiple" in rows[1].note
    assert ": 0 are another multiple" in rows[2].note


def test_what_is_not_installed_is_said(oracles: ModuleType, tmp_path: Path) -> None:
    quantized = prepared(tmp_path)
    rows = [*oracles.simulated("CrossSim", "x.py", None, None, quantized, quantized)]
    assert {row.note for row in rows} == {"not installed"}
    assert oracles.wires(4, 1.0, None).note == "not installed"
