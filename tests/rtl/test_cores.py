"""Random cores in Verilator: every integer, and the cycle of every answer."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from cores import CoreBuilder
from strategies import (
    SIGNED_BYTE,
    images,
    paired_network,
    quantized_network,
    random_design,
    random_network,
    seeds,
    tiled,
    with_converters,
    with_noise,
)
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.cycles import count_cycles, worst_case
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.placement import BankedArray, place_arrays
from synq.rtl.simulate import Traffic
from synq.rtl.verilog import render_rtl

# Drawn anew in each run, a few, since each is compiled; the failing one's seed is printed, and
# making it smaller would take too long.
ANEW = settings(
    deadline=None,
    derandomize=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def check(build_core: CoreBuilder, network: QuantizedNetwork, design: RtlDesign, seed: int) -> None:
    """Every integer, on streams that never wait and on such that do; the cycles of the first."""
    core = build_core(network, design)
    random = np.random.default_rng(seed)
    given = images(random, network, 40)
    scratch = core.folder
    run = core.check(given, scratch / "free")
    if not any(array.unrolled for array in design.arrays):
        np.testing.assert_array_equal(count_cycles(network, design, given).ends, run.ends)
    if not any(array.unrolled or array.event_driven for array in design.arrays):
        latency, interval = worst_case(place_arrays(network, design))
        assert (latency, interval) == (run.ends[0], run.intervals[-20:].max())
    for gap, stall, transfer in ((0.5, 0.5, 3), (0, 0.95, 1), (0.9, 0, 100)):
        traffic = Traffic(gap, stall, seed & 0xFFFF, transfer)
        core.check(given, scratch / f"{gap}_{stall}", traffic)


@settings(ANEW, max_examples=4)
@given(seed=seeds)
def test_random_networks_and_designs(build_core: CoreBuilder, seed: int) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=16)
    check(build_core, network, random_design(random, network), seed)


@settings(ANEW, max_examples=3)
@given(seed=seeds)
@example(seed=19867854)  # more lanes than outputs, with read noise
def test_random_tiles_and_converters(build_core: CoreBuilder, seed: int) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=16)
    design = random_design(random, network)
    check(build_core, tiled(random, network, design), design, seed)


@pytest.mark.parametrize(
    ("design", "bias"),
    [
        (RtlDesign((RtlArray(0, 4), RtlArray(1, 1, event_driven=True, lanes=2))), True),
        (RtlDesign((RtlArray(4, 0, event_driven=True), RtlArray(0, 16))), True),
        (RtlDesign((RtlArray(12, 4), RtlArray(1, 0, lanes=3))), False),
        (RtlDesign((RtlArray(2, 1), RtlArray(0, 1, lanes=8))), True),
    ],
    ids=["decoded", "events", "in turn", "by beats"],
)
def test_three_tiles(build_core: CoreBuilder, design: RtlDesign, bias: bool) -> None:
    """Each datapath and each way of rows to banks, with read noise. With a bias, it alone is a
    fourth tile."""
    random = np.random.default_rng(3)
    network = paired_network(random, (48, 8, 3), bias)
    first, second = network.arrays
    first = with_noise(with_converters(random, first, 16), 1.3)
    if design.arrays[1].rows == 1:  # which ends with tiles of any size
        second = with_noise(with_converters(random, second, 3), 0.4)
    assert len(first.tiles) == 3 + bias
    check(build_core, dataclasses.replace(network, arrays=(first, second)), design, 3)


@pytest.mark.parametrize(
    "design",
    [
        RtlDesign((RtlArray(0, 2, event_driven=True), RtlArray(0, 1))),
        RtlDesign((RtlArray(2, 1), RtlArray(1, 0))),
        RtlDesign((RtlArray(3, 0, event_driven=True), RtlArray(0, 0, unrolled=True))),
        RtlDesign((RtlArray(0, 0, unrolled=True),) * 2, 192, wide_result(1)),
    ],
    ids=["decoded", "mixed", "serial", "unrolled"],
)
def test_signed_inputs_and_one_output(build_core: CoreBuilder, design: RtlDesign) -> None:
    """Each datapath; the class of one output is its sign, in answers of both widths."""
    random = np.random.default_rng(4)
    network = paired_network(random, (20, 6, 1), bias=True, input_format=SIGNED_BYTE)
    check(build_core, network, design, 4)


def test_sixteen_layers(build_core: CoreBuilder) -> None:
    network, given = quantized_network(16)
    plans = [RtlArray(0, 1), RtlArray(1, 1), RtlArray(1, 0), RtlArray(0, 0, unrolled=True)] * 4
    core = build_core(network, RtlDesign(tuple(plans)))
    assert 0 < network.run(given).classes.sum() < len(given)
    for traffic in (Traffic(), Traffic(0.5, 0.5, 6, 3)):
        core.check(given, core.folder / f"{traffic.gap}", traffic)


@settings(ANEW, max_examples=2)
@given(seed=seeds, skips=st.booleans(), biased=st.booleans())
@example(seed=18539901, skips=True, biased=False)  # few inputs: an image right behind two drains
def test_inputs_and_codes_in_block_ram(
    build_core: CoreBuilder, seed: int, skips: bool, biased: bool
) -> None:
    random = np.random.default_rng(seed)
    network = paired_network(random, (int(random.integers(400, 600)), 8, 3), bias=biased)
    first = RtlArray(int(random.integers(1, 3)), int(random.integers(0, 2)), event_driven=skips)
    design = RtlDesign((first, RtlArray(0, 1)))
    placed = place_arrays(network, design)[0]
    assert isinstance(placed, BankedArray)
    assert placed.codes_in_block
    assert skips or placed.inputs_in_block  # lists of events are of logic
    check(build_core, network, design, seed)


def test_the_network_of_the_paper_in_nine_rows(build_core: CoreBuilder, tmp_path: Path) -> None:
    """784-128-10, an image as often as a 64-bit stream brings one."""
    random = np.random.default_rng(1)
    network = paired_network(random, (784, 128, 10))
    design = RtlDesign((RtlArray(8, 1), RtlArray(0, 2, lanes=2)))
    given = images(random, network, 100)
    run = build_core(network, design).check(given, tmp_path)
    assert set(run.intervals[5:].tolist()) == {98}
    np.testing.assert_array_equal(count_cycles(network, design, given).ends, run.ends)


@settings(ANEW, max_examples=6)
@given(seed=seeds)
def test_random_designs_are_lint_clean(
    verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=50)
    place = tmp_path_factory.mktemp("lint")
    simulate.write_rtl(render_rtl(network, random_design(random, network)), place)
    simulate.lint(place, verilator)
