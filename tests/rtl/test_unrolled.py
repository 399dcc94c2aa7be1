"""Unrolled arrays: every integer in Verilator, an image a clock, and what Yosys makes of them."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from cores import Core, CoreBuilder
from strategies import images, synapse_array
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.estimate import estimate_design
from synq.rtl.simulate import Traffic
from synq.rtl.unrolled import unroll
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result, unpack_results
from synq.synth import yosys
from verilog import icarus_difference

UNROLLED = RtlArray(0, 0, unrolled=True)


def small_network() -> QuantizedNetwork:
    """70-9-5 with 1-bit pixels, three of five synapses zero."""
    random = np.random.default_rng(1)
    pixel = FixedPoint(1, 0, signed=False)
    first = synapse_array(random, 70, 9, levels=5, input_format=pixel, bias=True)
    form = FixedPoint(4, first.accumulator.integer - 2, False, Rounding.RND_CONV, Overflow.SAT)
    second = synapse_array(random, 9, 5, levels=5, input_format=form)
    codebook = np.array([-100, -50, 0, 50, 100])
    sparse = np.where(random.random(first.codes.shape) < 0.5, 2, first.codes).astype(np.uint8)
    first = dataclasses.replace(first, codebook=codebook, codes=sparse)
    second = dataclasses.replace(second, codebook=np.array([-3, 0, 1, 64, 65]))
    return QuantizedNetwork((first, second), (form,))


@pytest.fixture(scope="module")
def wide(build_core: CoreBuilder) -> Core:
    design = RtlDesign((UNROLLED, UNROLLED), 128, wide_result(5))
    return build_core(small_network(), design)


@pytest.fixture(scope="module")
def narrow(build_core: CoreBuilder) -> Core:
    return build_core(small_network(), RtlDesign((UNROLLED, UNROLLED)))


def test_a_wide_stream_gets_an_answer_a_clock(wide: Core, tmp_path: Path) -> None:
    given = images(np.random.default_rng(2), wide.network, 200)
    run = wide.check(given, tmp_path)
    assert set(run.intervals.tolist()) == {1}
    estimate = estimate_design(wide.network, wide.design)
    assert (estimate.latency, estimate.interval) == (run.ends[0], 1)
    for seed, (gap, stall) in enumerate([(0.5, 0), (0, 0.5), (0.3, 0.3), (0.02, 0.9)]):
        wide.check(given, tmp_path / str(seed), Traffic(gap, stall, seed, images=3))


def test_a_narrow_stream_is_the_limit(narrow: Core, tmp_path: Path) -> None:
    """Two beats an image in, four out, and a cycle to choose the class."""
    given = images(np.random.default_rng(3), narrow.network, 100)
    run = narrow.check(given, tmp_path)
    assert set(run.intervals[-50:].tolist()) == {beats_per_result(5) + 1}


def test_an_image_that_ends_early_has_zeros_for_the_rest(narrow: Core, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    given = images(random, narrow.network, 30)
    n_beats, record = 2, 9  # 70 pixels, 64 a beat; a beat and its TLAST
    whole = simulate.beat_records(given, 1, 64, Traffic(images=1))
    beats = b""
    for image in range(len(given)):
        count = int(random.integers(1, n_beats + 1))
        cut = bytearray(whole[image * n_beats * record :][: count * record])
        cut[-1] = 1
        beats += cut
        given[image, 64 * count :] = 0
    (records,) = simulate.play(
        *(narrow.executable, narrow.place, [tmp_path], [beats], [4 * len(given)]),
        Traffic(gap=0.3, stall=0.3),
    )
    logits, classes = unpack_results(records["data"].astype(np.uint64), 5)
    expected = narrow.network.run(given)
    np.testing.assert_array_equal(logits, expected.accumulators[-1])
    np.testing.assert_array_equal(classes, expected.classes)
    assert records["last"].reshape(len(given), -1).tolist() == [[0, 0, 0, 1]] * len(given)


def test_icarus_agrees(wide: Core, tmp_path: Path) -> None:
    given = images(np.random.default_rng(6), wide.network, 20)
    found = icarus_difference(
        wide.place, wide.network, wide.design, given, tmp_path, Traffic(0.3, 0.3)
    )
    assert found is None


def test_a_synapse_of_one_value_costs_less_than_a_look_up_table() -> None:
    random = np.random.default_rng(7)
    pixel = FixedPoint(1, 0, signed=False)
    array = synapse_array(random, 200, 1, levels=3, input_format=pixel)
    array = dataclasses.replace(array, codebook=np.array([-127, 0, 127]))
    (neuron,) = unroll(array, None, logic_levels=2)
    synapses = np.count_nonzero(array.weights)
    assert len(neuron.inputs) == synapses
    assert 0.6 * synapses <= neuron.luts <= 0.9 * synapses


def test_nothing_is_inverted_before_a_register() -> None:
    (neuron, *_) = unroll(small_network().arrays[1], None, logic_levels=1)
    registers = re.findall(r"<= ([^;]*);", neuron.body)
    assert "~" in neuron.body
    assert registers and not any("~" in value for value in registers)


def test_bits_that_wait_are_shift_registers() -> None:
    """Of many values, tables follow each other: a level of logic a stage and more wait longer."""
    array = synapse_array(np.random.default_rng(8), 24, 1, levels=10)
    (often,), (seldom,) = (unroll(array, None, logic_levels) for logic_levels in (1, 4))
    assert often.depth > seldom.depth
    assert often.srls > seldom.srls


def test_yosys_maps_counters_into_the_adders_they_feed(tmp_path: Path) -> None:
    network = small_network()
    design = RtlDesign((UNROLLED, UNROLLED), 128, wide_result(5))
    synthesis = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys")
    neurons = unroll(network.arrays[0], network.activations[0], 2)
    luts = sum(neuron.luts for neuron in neurons)
    layer = synthesis.layers["synq_layer_0"]
    assert 0.9 * luts < layer.lut < luts + 10 * len(neurons)
    assert synthesis.total.lut == pytest.approx(
        estimate_design(network, design).resources.lut, rel=0.1
    )
    assert layer.dsp == layer.bram_18k == 0
    assert synthesis.total.lutram > 0  # the queue of answers


def test_designs_that_cannot_be_built_are_refused() -> None:
    network = small_network()
    with pytest.raises(SynqError, match="64 bits or 256, got 128"):
        render_rtl(network, RtlDesign((UNROLLED, UNROLLED), result_bits=128))
    with pytest.raises(SynqError, match="only an unrolled last array"):
        render_rtl(network, RtlDesign((UNROLLED, RtlArray(0, 1)), result_bits=256))
