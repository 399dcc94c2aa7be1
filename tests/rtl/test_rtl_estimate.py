"""The model of the Verilog core against the tools: Yosys' resources, Verilator's cycles."""

from pathlib import Path

import numpy as np
import pytest

from cores import CoreBuilder
from strategies import images, paired_network
from synq.board import load_board
from synq.cost import block_rams
from synq.errors import UsageError
from synq.network import QuantizedNetwork
from synq.planning import event_cycles, make_plan
from synq.request import BUDGET, Datapath, Flow, Request
from synq.rtl.cycles import count_cycles
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import estimate_design
from synq.rtl.verilog import render_rtl
from synq.synth import yosys

PYNQ = load_board("pynq-z2")


@pytest.mark.parametrize(
    "design",
    [
        RtlDesign((RtlArray(4, 1, buckets=8), RtlArray(0, 2, lanes=2))),
        RtlDesign((RtlArray(3, 1), RtlArray(1, 0, lanes=3))),
    ],
)
def test_resources_are_those_of_yosys(design: RtlDesign, tmp_path: Path) -> None:
    network = paired_network(np.random.default_rng(0), (100, 12, 6))
    used = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys").total
    estimated = estimate_design(network, design).resources
    assert estimated.lut == pytest.approx(used.lut, rel=0.15)
    assert estimated.lutram == pytest.approx(used.lutram, rel=0.15)
    assert estimated.ff == pytest.approx(used.ff, rel=0.2)
    assert (estimated.bram_18k, estimated.dsp) == (used.bram_18k, used.dsp)


@pytest.mark.parametrize(
    ("bias", "design"),
    [
        (True, RtlDesign((RtlArray(5, 2), RtlArray(2, 1, event_driven=True, lanes=3)))),
        (False, RtlDesign((RtlArray(3, 0, event_driven=True), RtlArray(1, 0, lanes=3)))),
    ],
)
def test_cycles_are_those_of_verilator(
    build_core: CoreBuilder, bias: bool, design: RtlDesign, tmp_path: Path
) -> None:
    """Random designs: see test_cores.py."""
    network = paired_network(np.random.default_rng(0), (90, 12, 6), bias)
    given = images(np.random.default_rng(1), network, 50)
    run = build_core(network, design).check(given, tmp_path)
    np.testing.assert_array_equal(count_cycles(network, design, given).ends, run.ends)


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
    given = random.integers(1, 256, (30, 784)) * (random.random((30, 784)) < 0.2)
    cycles = event_cycles(paper_network, plan.chosen.core, given)
    assert plan.chosen.share(PYNQ) <= BUDGET
    assert cycles.max() < plan.chosen.estimate.interval


def test_requests_that_the_verilog_cannot_meet() -> None:
    network = paired_network(np.random.default_rng(0), (90, 12, 6))
    with pytest.raises(UsageError, match="datapath bank needs flow hls"):
        make_plan(network, PYNQ, Request(datapath=Datapath.BANK), Flow.RTL)
    with pytest.raises(UsageError, match="beat bits must be a multiple of 64"):
        Request(beat_bits=100)
    decoded = make_plan(network, PYNQ, Request(datapath=Datapath.DECODE, rows=3), Flow.RTL)
    core = decoded.chosen.core
    assert isinstance(core, RtlDesign)
    assert (core.arrays[0].bucket_rows, core.arrays[0].decoded_rows) == (0, 3)
