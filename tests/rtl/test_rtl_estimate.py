"""The model of the Verilog core against the tools: Yosys' resources, Verilator's cycles."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from strategies import synapse_array
from synq.board import load_board
from synq.cost import block_rams
from synq.errors import UsageError
from synq.fixedpoint import FixedPoint, Overflow
from synq.network import QuantizedNetwork, SynapseArray
from synq.plan import event_cycles, make_plan
from synq.request import BUDGET, Datapath, Flow, Request
from synq.rtl import simulate
from synq.rtl.cycles import count_cycles, worst_case
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import estimate_design
from synq.rtl.placement import place_arrays
from synq.rtl.verilog import render_rtl
from synq.synth import yosys

PYNQ = load_board("pynq-z2")


def network_of(*sizes: int, seed: int = 0, bias: bool = False) -> QuantizedNetwork:
    """Random codebooks as differential pairs have them."""
    random = np.random.default_rng(seed)
    form = FixedPoint(8, 0, signed=False)
    arrays: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    for n_in, n_out in pairwise(sizes):
        if arrays:
            integer = arrays[-1].accumulator.integer - 1
            form = FixedPoint(8, integer, signed=False, overflow=Overflow.SAT)
            activations.append(form)
        array = synapse_array(random, n_in, n_out, levels=5, input_format=form, bias=bias)
        codebook = np.array([-90, -60, -20, 0, 20, 60, 90])
        codes = random.integers(0, len(codebook), array.codes.shape, dtype=np.uint8)
        format_ = array.table_format
        arrays.append(SynapseArray(codes, codebook, format_, form, array.bias_input, array.scale))
    return QuantizedNetwork(tuple(arrays), tuple(activations))


@pytest.mark.parametrize(
    "design",
    [
        RtlDesign((RtlArray(4, 1, buckets=8), RtlArray(0, 2, lanes=2))),
        RtlDesign((RtlArray(3, 1), RtlArray(1, 0, lanes=3))),
    ],
)
def test_resources_are_those_of_yosys(design: RtlDesign, tmp_path: Path) -> None:
    network = network_of(100, 12, 6)
    used = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys").total
    estimated = estimate_design(network, design).resources
    assert estimated.lut == pytest.approx(used.lut, rel=0.15)
    assert estimated.lutram == pytest.approx(used.lutram, rel=0.15)
    assert estimated.ff == pytest.approx(used.ff, rel=0.2)
    assert (estimated.bram_18k, estimated.dsp) == (used.bram_18k, used.dsp)


@pytest.mark.parametrize(
    ("bias", "design"),
    [
        (False, RtlDesign((RtlArray(8, 1), RtlArray(0, 2, lanes=4)))),
        (True, RtlDesign((RtlArray(5, 2), RtlArray(2, 1, event_driven=True, lanes=3)))),
        (False, RtlDesign((RtlArray(3, 0, event_driven=True), RtlArray(1, 0, lanes=3)))),
        (True, RtlDesign((RtlArray(6, 1, event_driven=True), RtlArray(0, 1, lanes=3)), 128)),
    ],
)
def test_cycles_are_those_of_verilator(bias: bool, design: RtlDesign, tmp_path: Path) -> None:
    verilator = simulate.find_verilator()
    network = network_of(90, 12, 6, bias=bias)
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (50, 90))
    images *= random.random((50, 90)) < random.random((50, 1))
    images[:6] = 255
    place = tmp_path / "rtl"
    simulate.write_rtl(render_rtl(network, design), place)
    executable = simulate.build(place, tmp_path, design.beat_bits, verilator, optimize="-O0")
    scratch = tmp_path / "run"
    run = simulate.run(executable, place, network, design, images, scratch, parts=1)
    np.testing.assert_array_equal(count_cycles(network, design, images).ends, run.ends)
    if not any(array.event_driven for array in design.arrays):
        latency, interval = worst_case(place_arrays(network, design))
        assert (latency, interval) == (run.ends[0], run.intervals.max())


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [(128, 512, 15), (128, 48, 2), (512, 120, 4), (1024, 512, 29), (1024, 8, 1), (256, 16, 1)],
)
def test_block_rams(depth: int, width: int, blocks: int) -> None:
    assert block_rams(depth, width) == blocks


def test_the_paper_s_network_on_pynq_z2(paper_network: QuantizedNetwork) -> None:
    """As fast as a 64-bit stream brings 8-bit pixels, within the budget of every resource."""
    plan = make_plan(paper_network, PYNQ, Request(), Flow.RTL)
    assert (plan.stream_cycles, plan.chosen.estimate.interval) == (98, 98)
    assert plan.chosen.share(PYNQ) <= BUDGET
    assert plan.neighbours
    wide = make_plan(paper_network, PYNQ, Request(beat_bits=256), Flow.RTL)
    assert wide.stream_cycles == 25
    assert wide.chosen.estimate.interval < 98
    assert wide.chosen.share(PYNQ) <= BUDGET


def test_events_take_fewer_cycles_than_the_worst_case(paper_network: QuantizedNetwork) -> None:
    request = Request(event_driven=True, beat_bits=256)
    plan = make_plan(paper_network, PYNQ, request, Flow.RTL)
    random = np.random.default_rng(0)
    images = random.integers(1, 256, (30, 784)) * (random.random((30, 784)) < 0.2)
    cycles = event_cycles(paper_network, plan.chosen.core, images)
    assert plan.chosen.share(PYNQ) <= BUDGET
    assert cycles.max() < plan.chosen.estimate.interval


def test_requests_that_the_verilog_cannot_meet() -> None:
    network = network_of(90, 12, 6)
    with pytest.raises(UsageError, match="datapath bank needs flow hls"):
        make_plan(network, PYNQ, Request(datapath=Datapath.BANK), Flow.RTL)
    with pytest.raises(UsageError, match="--beat-bits must be a multiple of 64"):
        Request(beat_bits=100)
    decoded = make_plan(network, PYNQ, Request(datapath=Datapath.DECODE, rows=3), Flow.RTL)
    core = decoded.chosen.core
    assert isinstance(core, RtlDesign)
    assert (core.arrays[0].bucket_rows, core.arrays[0].decoded_rows) == (0, 3)
