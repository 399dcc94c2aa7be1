"""Unrolled arrays: every integer in Verilator, an image a clock, and what Yosys makes of them."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from strategies import images, random_network, synapse_array
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.cycles import worst_case_of_wide_answers
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.placement import place_arrays
from synq.rtl.simulate import Traffic
from synq.rtl.unrolled import unroll
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result, unpack_results
from synq.synth import yosys
from verilog import difference, icarus_difference

UNROLLED = RtlArray(0, 0, unrolled=True)


def random_design(random: np.random.Generator, network: QuantizedNetwork) -> RtlDesign:
    """At least one array unrolled, the others decoded."""
    arrays = []
    must = int(random.integers(len(network.arrays)))
    for index in range(len(network.arrays)):
        lanes = int(random.integers(1, 6))
        if index == must or random.random() < 0.6:
            levels = int(random.integers(1, 4))
            arrays.append(dataclasses.replace(UNROLLED, lanes=lanes, logic_levels=levels))
        else:
            arrays.append(RtlArray(0, int(random.integers(1, 3)), lanes=lanes))
    wide = arrays[-1].unrolled and random.integers(2)
    result_bits = wide_result(network.sizes[-1]) if wide else 64
    return RtlDesign(tuple(arrays), int(random.choice([64, 128])), result_bits)


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


@dataclasses.dataclass(frozen=True)
class Built:
    network: QuantizedNetwork
    design: RtlDesign
    place: Path
    executable: Path


def build(
    network: QuantizedNetwork, design: RtlDesign, place: Path, verilator: simulate.Verilator
) -> Built:
    simulate.write_rtl(render_rtl(network, design), place / "rtl")
    simulate.lint(place / "rtl", verilator)
    executable = simulate.build(place / "rtl", place, design.beat_bits, verilator, optimize="-O0")
    return Built(network, design, place / "rtl", executable)


@pytest.fixture(scope="module")
def wide(verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory) -> Built:
    network = small_network()
    design = RtlDesign((UNROLLED, UNROLLED), 128, wide_result(5))
    return build(network, design, tmp_path_factory.mktemp("wide"), verilator)


@pytest.fixture(scope="module")
def narrow(verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory) -> Built:
    design = RtlDesign((UNROLLED, UNROLLED))
    return build(small_network(), design, tmp_path_factory.mktemp("narrow"), verilator)


def check(built: Built, given: np.ndarray, scratch: Path, traffic: Traffic) -> simulate.RtlRun:
    run = simulate.run(
        built.executable, built.place, built.network, built.design, given, scratch, traffic, parts=1
    )
    assert difference(run, built.network.run(given)) is None, (built.design, traffic)
    return run


@pytest.mark.parametrize("seed", range(2))
def test_random_networks_are_exact(
    verilator: simulate.Verilator, tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=12)
    built = build(network, random_design(random, network), tmp_path, verilator)
    given = images(random, network, 40)
    for number, traffic in enumerate(
        [Traffic(), Traffic(0.5, 0.5, seed, 3), Traffic(0, 0.95, seed, 1), Traffic(0.9, 0, seed)]
    ):
        check(built, given, tmp_path / str(number), traffic)


@pytest.mark.parametrize("seed", range(100, 105))
def test_random_designs_are_lint_clean(
    verilator: simulate.Verilator, tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random)
    simulate.write_rtl(render_rtl(network, random_design(random, network)), tmp_path)
    simulate.lint(tmp_path, verilator)


def test_a_wide_stream_gets_an_answer_a_clock(wide: Built, tmp_path: Path) -> None:
    given = images(np.random.default_rng(2), wide.network, 200)
    run = check(wide, given, tmp_path, Traffic())
    assert set(run.intervals.tolist()) == {1}
    layers = place_arrays(wide.network, wide.design)
    assert worst_case_of_wide_answers(layers) == (run.ends[0], 1)
    for seed, (gap, stall) in enumerate([(0.5, 0), (0, 0.5), (0.3, 0.3), (0.02, 0.9)]):
        check(wide, given, tmp_path / str(seed), Traffic(gap, stall, seed, images=3))


def test_a_narrow_stream_is_the_limit(narrow: Built, tmp_path: Path) -> None:
    """Two beats an image in, four out, and a cycle to choose the class."""
    given = images(np.random.default_rng(3), narrow.network, 100)
    run = check(narrow, given, tmp_path, Traffic())
    assert set(run.intervals[-50:].tolist()) == {beats_per_result(5) + 1}


def test_an_image_that_ends_early_has_zeros_for_the_rest(narrow: Built, tmp_path: Path) -> None:
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


def test_a_flipped_bit_is_found(wide: Built, verilator: simulate.Verilator, tmp_path: Path) -> None:
    shutil.copytree(wide.place, tmp_path / "rtl")
    path = tmp_path / "rtl" / "synq_neuron_0_0.v"
    path.write_text(path.read_text().replace("~x", "x", 1))
    executable = simulate.build(
        tmp_path / "rtl", tmp_path, wide.design.beat_bits, verilator, optimize="-O0"
    )
    given = images(np.random.default_rng(5), wide.network, 200)
    run = simulate.run(
        executable, tmp_path / "rtl", wide.network, wide.design, given, tmp_path / "run"
    )
    found = difference(run, wide.network.run(given))
    assert found is not None
    assert "array_0, neuron 0" in found


def test_icarus_agrees(wide: Built, tmp_path: Path) -> None:
    given = images(np.random.default_rng(6), wide.network, 20)
    found = icarus_difference(
        wide.place, wide.network, wide.design, given, tmp_path, Traffic(0.3, 0.3)
    )
    assert found is None


def test_rendering_is_deterministic_and_names_no_place() -> None:
    network = small_network()
    design = RtlDesign((UNROLLED, RtlArray(0, 1, lanes=2)))
    files = render_rtl(network, design)
    assert files == render_rtl(network, design)
    for name, content in files.items():
        assert "/" not in name
        assert b"@" not in content.replace(b"always @", b"")
        assert max(map(len, content.splitlines())) <= 130


def test_a_synapse_of_one_value_costs_a_look_up_table() -> None:
    random = np.random.default_rng(7)
    pixel = FixedPoint(1, 0, signed=False)
    array = synapse_array(random, 200, 1, levels=3, input_format=pixel)
    array = dataclasses.replace(array, codebook=np.array([-127, 0, 127]))
    (neuron,) = unroll(array, None, logic_levels=2)
    synapses = np.count_nonzero(array.weights)
    assert len(neuron.inputs) == synapses
    assert synapses - 8 <= neuron.luts <= synapses + 30


def test_yosys_maps_a_counter_to_three_tables(tmp_path: Path) -> None:
    network = small_network()
    design = RtlDesign((UNROLLED, UNROLLED), 128, wide_result(5))
    synthesis = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys")
    neurons = unroll(network.arrays[0], network.activations[0], 2)
    luts = sum(neuron.luts for neuron in neurons)
    layer = synthesis.layers["synq_layer_0"]
    assert 0.7 * luts < layer.lut < 1.1 * luts + 12 * len(neurons)
    assert layer.dsp == layer.bram_18k == 0
    assert synthesis.total.lutram > 0  # the queue of answers


def test_designs_that_cannot_be_built_are_refused() -> None:
    network = small_network()
    with pytest.raises(SynqError, match="64 bits or 256, got 128"):
        render_rtl(network, RtlDesign((UNROLLED, UNROLLED), result_bits=128))
    with pytest.raises(SynqError, match="only an unrolled last array"):
        render_rtl(network, RtlDesign((UNROLLED, RtlArray(0, 1)), result_bits=256))
    for rows in ((1, 0), (0, 1)):
        with pytest.raises(ValueError, match="has no rows"):
            RtlArray(*rows, unrolled=True)
    with pytest.raises(ValueError, match="logic_levels must be at least 1"):
        RtlArray(0, 0, unrolled=True, logic_levels=0)
