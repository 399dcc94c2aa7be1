from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import BYTE, MANY, SOME, seeds
from synq.chip import (
    Chip,
    Conditions,
    Programming,
    State,
    program,
    varied,
    weights_of,
    with_weights,
)
from synq.device import Branch, Pulse, load_device
from synq.errors import SynqError, UsageError
from synq.float_network import FloatNetwork
from synq.network import QuantizedNetwork
from synq.quantizing import Mapping, Method, Quantization, quantize_network
from synq.tile import Tile
from synq.variation import Variation

PCMO = load_device("pcmo")
WINDOW = PCMO.window(Branch.LTP)
TEN = Quantization(10)


def design(
    choice: Quantization, sizes: tuple[int, ...] = (30, 12, 5), seed: int = 1
) -> QuantizedNetwork:
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    biases = tuple(rng.normal(size=size).astype(np.float32) for size in sizes[1:])
    inputs = rng.integers(0, 256, (50, sizes[0]), dtype=np.uint8)
    return quantize_network(FloatNetwork(weights, biases), choice, PCMO, BYTE, inputs)


def made(seed: int = 0, **given: Any) -> Chip:
    return program(design(TEN), PCMO, TEN, Conditions(**given), seed)


@SOME
@given(
    st.sampled_from(Mapping),
    st.sampled_from([Method.PROPOSED, Method.UNIFORM, Method.NEAREST]),
    st.integers(2, 40),
    st.sampled_from([None, Tile(7, 3)]),
    seeds,
)
def test_a_chip_without_effects_is_the_design(
    mapping: Mapping, method: Method, levels: int, tile: Tile | None, seed: int
) -> None:
    choice = Quantization(levels, method, mapping, tile=tile)
    network = design(choice)
    chip = program(network, PCMO, choice, Conditions(tile=tile), seed)
    assert chip.network.digest == network.digest
    assert chip.deviation == 0
    for cells, array in zip(chip.cells, network.arrays, strict=True):
        assert cells.target.shape == (*array.codes.shape, 2 - (mapping is Mapping.OFFSET))
        assert cells.target.min() >= PCMO.g_min
        assert cells.target.max() <= PCMO.g_max * (1 + 1e-12)
        weights = weights_of(cells.target, WINDOW, mapping) * 127
        assert np.array_equal(np.rint(weights), array.weights)


def test_cells_come_from_their_seed_and_address() -> None:
    size: Any = {"variation": Variation(device_to_device=0.1)}
    first, again, other = made(3, **size), made(3, **size), made(4, **size)
    assert np.array_equal(first.cells[0].actual, again.cells[0].actual)
    assert not np.array_equal(first.cells[0].actual, other.cells[0].actual)
    # fewer inputs: the cells of the first rows are drawn as before
    choice = Quantization(10)
    small = program(design(choice, (30, 12, 5)), PCMO, choice, Conditions(**size), 3)
    factor = small.cells[1].actual / small.cells[1].target
    narrow = design(choice, (30, 12, 5), seed=9)
    same = program(narrow, PCMO, choice, Conditions(**size), 3).cells[1]
    assert same.actual / same.target == pytest.approx(factor)
    # effects do not share their numbers
    both = made(3, variation=Variation(device_to_device=0.1, stuck_at_min=0.5))
    stuck = both.cells[0].state == State.STUCK_AT_MIN
    assert np.array_equal(both.cells[0].actual[~stuck], first.cells[0].actual[~stuck])
    assert abs(np.mean(first.cells[0].actual[stuck] > first.cells[0].target[stuck]) - 0.5) < 0.1


def test_device_to_device_spread() -> None:
    chip = made(1, variation=Variation(device_to_device=0.1))
    factors = np.concatenate([(c.actual / c.target).ravel() for c in chip.cells])
    count = len(factors)
    assert abs(factors.mean() - 1) < 4 * 0.1 / np.sqrt(count)
    assert factors.std() == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(2 * count))


def test_stuck_cells() -> None:
    chip = made(1, variation=Variation(stuck_at_min=0.2, stuck_at_max=0.1))
    states = np.concatenate([c.state.ravel() for c in chip.cells])
    actual = np.concatenate([c.actual.ravel() for c in chip.cells])
    for state, share, siemens in (
        (State.STUCK_AT_MIN, 0.2, PCMO.g_min),
        (State.STUCK_AT_MAX, 0.1, PCMO.g_max),
    ):
        assert np.mean(states == state) == pytest.approx(share, abs=4 * 0.4 / np.sqrt(len(states)))
        assert np.all(actual[states == state] == siemens)
        assert chip.count(state) == np.count_nonzero(states == state)


def test_drift_is_a_power_of_time() -> None:
    variation = Variation(drift_exponent=0.05, drift_start_s=20.0)
    chip = made(1, variation=variation, time_s=2e4)
    for cells in chip.cells:
        assert cells.actual == pytest.approx(cells.target * 1000**-0.05, abs=0)
    assert made(1, variation=variation, time_s=10.0).deviation == 0
    spread = made(1, variation=replace(variation, drift_exponent_sigma=0.01), time_s=2e4)
    exponents = np.concatenate(
        [-np.log(c.actual / c.target).ravel() / np.log(1000) for c in spread.cells]
    )
    assert exponents.mean() == pytest.approx(0.05, abs=0.001)
    assert exponents.std() == pytest.approx(0.01, abs=0.001)


def test_open_loop_takes_the_pulses_of_the_curve_and_their_errors_add_up() -> None:
    chip = made(1, programming=Programming.OPEN_LOOP, variation=Variation(cycle_to_cycle=0.01))
    pulses = np.concatenate([c.pulses.ravel() for c in chip.cells])
    off = np.concatenate([(c.actual - c.target).ravel() for c in chip.cells]) / WINDOW.width
    assert pulses.min() == 0 and pulses.max() == PCMO.states - 1
    assert np.all(off[pulses == 0] == 0)
    for cells in chip.cells:  # the proposed method's levels are states of the device
        states = WINDOW.conductance(PCMO.reference_values(Branch.LTP))
        assert states[cells.pulses] == pytest.approx(cells.target, abs=0)
    moved = pulses > 0
    unit = off[moved] / np.sqrt(pulses[moved])
    assert unit.std() == pytest.approx(0.01, rel=0.15)


def test_write_verify_comes_within_its_tolerance() -> None:
    variation = Variation(device_to_device=0.02, cycle_to_cycle=0.005)
    loose = made(1, programming=Programming.OPEN_LOOP, variation=variation)
    tight = made(
        1, programming=Programming.WRITE_VERIFY, variation=variation, tolerance=0.02, max_pulses=200
    )
    for cells in tight.cells:
        # but for cells that cannot reach their target at all
        reachable = cells.target > PCMO.g_min * 1.2
        off = np.abs(cells.actual - cells.target)[reachable] / WINDOW.width
        assert np.mean(off <= 0.02) > 0.97
    assert tight.deviation < loose.deviation
    assert sum(c.pulses.sum() for c in tight.cells) > sum(c.pulses.sum() for c in loose.cells)
    few = made(1, programming=Programming.WRITE_VERIFY, variation=variation, max_pulses=0)
    assert np.array_equal(few.cells[0].actual, loose.cells[0].actual)


PULSES = Pulse(-2.0, 1e-3, 3.0, 1e-4)
STRAIGHT = replace(PCMO, nonlinearity_ltp=0.0, nonlinearity_ltd=0.0, pulse=PULSES)


def test_energy_of_open_loop_is_that_of_a_straight_line() -> None:
    """Of n pulses from g_min to G along a line: V^2 t n (g_min + G) / 2."""
    rng = np.random.default_rng(1)
    network = FloatNetwork((rng.normal(size=(20, 7)).astype(np.float32),), (None,))
    inputs = rng.integers(0, 256, (50, 20), dtype=np.uint8)
    net = quantize_network(network, TEN, STRAIGHT, BYTE, inputs)
    chip = program(net, STRAIGHT, TEN, Conditions(programming=Programming.OPEN_LOOP))
    (cells,) = chip.cells
    line = 4.0 * 1e-3 * cells.pulses * (STRAIGHT.g_min + cells.target) / 2
    assert chip.energy_j == pytest.approx(line.sum(), rel=1e-5)
    stuck = Conditions(Variation(stuck_at_min=1.0), Programming.OPEN_LOOP)
    assert program(net, STRAIGHT, TEN, stuck).energy_j == 0
    assert program(net, STRAIGHT, TEN, Conditions()).energy_j is None
    untold = replace(STRAIGHT, pulse=Pulse())
    assert program(net, untold, TEN, chip.conditions).energy_j is None


def test_energy_of_write_verify_is_that_of_each_step() -> None:
    """Each cell anew, a pulse at a time, in Python's numbers."""
    rng = np.random.default_rng(2)
    network = FloatNetwork((rng.normal(size=(12, 5)).astype(np.float32),), (None,))
    inputs = rng.integers(0, 256, (50, 12), dtype=np.uint8)
    net = quantize_network(network, TEN, STRAIGHT, BYTE, inputs)
    spread = Variation(device_to_device=0.1)
    factors = program(net, STRAIGHT, TEN, Conditions(spread), 5).cells[0]
    verified = Conditions(spread, Programming.WRITE_VERIFY, 0.01, 30)
    chip = program(net, STRAIGHT, TEN, verified, 5)
    low, high, states = STRAIGHT.g_min, STRAIGHT.g_max, STRAIGHT.states
    step = (high - low) / (states - 1)
    joules = pulses = 0.0
    for target, own in zip(factors.target.ravel(), factors.actual.ravel(), strict=True):
        factor, count = own / target, round((target - low) / step)
        joules += 4.0 * 1e-3 * count * factor * (low + target) / 2
        at, pulses = target, pulses + count
        for _ in range(30):
            up = at * factor < target
            if abs(at * factor - target) <= 0.01 * (high - low):
                break
            end = at >= high if up else at <= low
            to = min(high, at + step) if up else max(low, at - step)
            volts_seconds = 4.0 * 1e-3 if up else 9.0 * 1e-4
            joules += volts_seconds * factor * (at + to) / 2
            at, pulses = to, pulses + 1
            if end:
                break
    assert chip.pulses == pulses
    assert chip.energy_j == pytest.approx(joules, rel=1e-5)


def test_wires_make_weights_smaller() -> None:
    chip = made(1, variation=Variation(wire_resistance_ohm=2e4))
    assert chip.deviation == 0  # the cells are as they should be, what is read of them is not
    weights = [np.abs(a.weights).sum() for a in chip.network.arrays]
    designed = [np.abs(a.weights).sum() for a in chip.design.arrays]
    assert weights[0] < designed[0]


@MANY
@given(seeds, st.floats(0.01, 3), st.integers(4, 12))
def test_weights_are_rounded_once(seed: int, spread: float, width: int) -> None:
    rng = np.random.default_rng(seed)
    array = design(Quantization(10, table_width=width), (9, 7)).arrays[0]
    weights = rng.normal(0, spread, array.codes.shape)
    chip = with_weights(array, weights)
    full = (1 << (width - 1)) - 1
    assert chip.table_format.fraction == array.table_format.fraction
    assert len(chip.codebook) <= 256
    off = np.abs(chip.weights - weights * full)
    assert off.max() <= 0.5 + 1e-9  # so few cells hold fewer than 256 values
    used = np.unique(chip.weights)
    assert np.array_equal(used, chip.codebook)


def test_more_than_256_values_are_rounded_to_a_coarser_grid() -> None:
    array = design(Quantization(10, table_width=12), (200, 30)).arrays[0]
    weights = np.random.default_rng(0).uniform(-1.2, 1.2, array.codes.shape)
    chip = with_weights(array, weights)
    full = (1 << 11) - 1
    grid = 32  # 1.2 * 2 * 2047 / 32 is 154 values; with 16 it would be 307
    assert np.abs(chip.weights - weights * full).max() <= grid / 2
    assert np.all(chip.weights % grid == 0)
    assert chip.table_format.integer == 2


def test_what_is_no_chip_is_refused() -> None:
    choice = Quantization(10)
    with pytest.raises(SynqError, match="does not give at L = 7"):
        program(design(choice), PCMO, Quantization(7))
    with pytest.raises(UsageError, match="seed must be"):
        made(-1)
    for setting, message in (
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"max_pulses": -1}, "max pulses must be between"),
        ({"time_s": float("nan")}, "time must be between"),
    ):
        with pytest.raises(UsageError, match=message):
            Conditions(**setting)
    for size in (1.5, -0.1, float("nan")):
        with pytest.raises(UsageError, match="device_to_device must be a number between 0 and 1"):
            varied(Variation(), device_to_device=size)
    with pytest.raises(UsageError, match="at most 1 together"):
        varied(Variation(), stuck_at_min=0.6, stuck_at_max=0.6)
    with pytest.raises(SynqError, match="thousands of times"):
        made(1, variation=Variation(drift_exponent=-1.0), time_s=1e9)
