"""The planner: what it chooses on real boards, and what it says when nothing fits."""

from dataclasses import replace

import numpy as np
import pytest

from strategies import BYTE, synapse_array, with_converters
from synq.board import board_names, load_board
from synq.cache import default_cache_dir
from synq.device import load_device
from synq.errors import SynqError, UsageError
from synq.hls.estimate import estimate, event_intervals
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.train import RECIPES, trained_network
from synq.network import QuantizedNetwork
from synq.planning import make_plan
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network
from synq.request import BUDGET, Datapath, Flow, Request, Target

PYNQ = load_board("pynq-z2")


@pytest.fixture(scope="module")
def narrow_network(mnist: Dataset) -> QuantizedNetwork:
    """The paper's network with 4-bit pixels."""
    trained, _ = trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)
    narrow = with_input_bits(mnist, 4)
    return quantize_network(
        trained,
        Quantization(10, input_bits=4),
        load_device("pcmo"),
        narrow.input_format,
        narrow.train_inputs,
    )


def test_dense_on_pynq_z2(paper_network: QuantizedNetwork) -> None:
    """As fast as a 64-bit stream brings 8-bit pixels, within the budget."""
    plan = make_plan(paper_network, PYNQ, Request())
    assert plan.stream_cycles == 98
    assert plan.chosen.estimate.interval <= 98
    assert plan.chosen.share(PYNQ) <= BUDGET
    assert plan.chosen.estimate == estimate(paper_network, plan.chosen.core.arrays)
    faster = [each for each in plan.neighbours if each.estimate.interval < 98]
    smaller = [each for each in plan.neighbours if each.estimate.interval > 98]
    assert faster and smaller
    assert all(each.share(PYNQ) > plan.chosen.share(PYNQ) for each in faster)
    assert all(each.share(PYNQ) < plan.chosen.share(PYNQ) for each in smaller)


def test_event_driven_on_pynq_z2(
    paper_network: QuantizedNetwork, narrow_network: QuantizedNetwork, mnist: Dataset
) -> None:
    plan = make_plan(paper_network, PYNQ, Request(event_driven=True))
    cycles = event_intervals(paper_network, plan.chosen.core.arrays, mnist.test_inputs)
    assert plan.chosen.share(PYNQ) <= BUDGET and cycles.mean() < 40

    plan = make_plan(narrow_network, PYNQ, Request(event_driven=True))
    pixels = with_input_bits(mnist, 4).test_inputs
    cycles = event_intervals(narrow_network, plan.chosen.core.arrays, pixels)
    assert plan.chosen.share(PYNQ) <= BUDGET and cycles.max() <= 50


def test_events_take_the_fullest_bank_s_nonzero_inputs() -> None:
    array = synapse_array(np.random.default_rng(0), 20, 3, levels=5, bias=True)
    network = QuantizedNetwork((array,), ())
    plan = replace(
        make_plan(network, PYNQ, Request(rows=4, datapath=Datapath.DECODE)).chosen.core.arrays[0],
        event_driven=True,
    )
    images = np.zeros((3, 20), dtype=np.uint8)
    images[1] = 9
    images[2, [1, 5, 9, 2]] = 1  # three in bank 1; the bias is in bank 20 % 4 = 0
    assert (event_intervals(network, (plan,), images) - 10).tolist() == [1, 6, 3]


@pytest.mark.parametrize("name", board_names())
@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("flow", Flow)
def test_every_board_and_target(
    name: str, target: Target, flow: Flow, paper_network: QuantizedNetwork
) -> None:
    board = load_board(name)
    if flow is Flow.HLS and not board.has_hls:
        with pytest.raises(UsageError, match=r"no HLS tool knows .*: use flow rtl"):
            make_plan(paper_network, board, Request(target), flow)
        return
    plan = make_plan(paper_network, board, Request(target), flow)
    assert plan.chosen.share(board) <= BUDGET
    if target is Target.AREA:
        assert plan.chosen.share(board) == min(
            each.share(board) for each in (plan.chosen, *plan.neighbours)
        )


@pytest.mark.parametrize("fps", [1000, 200_000, 1_000_000])
def test_a_rate_is_reached_with_no_more_than_it_takes(
    fps: float, paper_network: QuantizedNetwork
) -> None:
    plan = make_plan(paper_network, PYNQ, Request(target_fps=fps))
    cycles = 1e9 / PYNQ.clock_ns / fps
    assert plan.chosen.estimate.interval <= cycles
    smaller = [each for each in plan.neighbours if each.share(PYNQ) < plan.chosen.share(PYNQ)]
    assert all(each.estimate.interval > cycles for each in smaller)


def test_an_impossible_rate_says_what_is_possible(paper_network: QuantizedNetwork) -> None:
    with pytest.raises(SynqError, match=r"pynq-z2 reaches [\d,]+ images/s .* not 90,000,000"):
        make_plan(paper_network, PYNQ, Request(target_fps=9e7))


def test_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    arrays = tuple(synapse_array(random, n, m) for n, m in ((784, 2000), (2000, 10)))
    network, request = QuantizedNetwork(arrays, (BYTE,)), Request(datapath=Datapath.BUCKETS)
    with pytest.raises(SynqError, match=r"does not fit pynq-z2: .*; it would fit alveo-u250;"):
        make_plan(network, PYNQ, request)
    monkeypatch.setattr("synq.planning.board_names", lambda: ["pynq-z1"])
    with pytest.raises(SynqError, match="no known board is large enough"):
        make_plan(network, PYNQ, request)


def test_what_would_fit_is_of_the_same_look_up_tables() -> None:
    """An estimate for ECP5's, of four inputs, says nothing of AMD's, of six."""
    random = np.random.default_rng(0)
    arrays = tuple(synapse_array(random, n, m) for n, m in ((784, 900), (900, 10)))
    network, request = QuantizedNetwork(arrays, (BYTE,)), Request(datapath=Datapath.DECODE)
    with pytest.raises(SynqError, match=r"does not fit ulx3s-85f: .*; no known board is large"):
        make_plan(network, load_board("ulx3s-85f"), request, Flow.RTL)


def test_overrides(paper_network: QuantizedNetwork) -> None:
    by_rows = make_plan(paper_network, PYNQ, Request(rows=16, datapath=Datapath.DECODE)).chosen
    assert (by_rows.core.arrays[0].parallel_rows, by_rows.core.arrays[0].decoded_rows) == (16, 16)
    assert by_rows.share(PYNQ) > 1  # as asked; the summary says that it does not fit
    by_reuse = make_plan(paper_network, PYNQ, Request(reuse_factor=100)).chosen
    assert (by_reuse.core.arrays[0].parallel_rows, by_reuse.estimate.interval) == (8, 98)
    with pytest.raises(SynqError, match="at most 128 rows and 4096 lanes"):
        make_plan(paper_network, PYNQ, Request(rows=128))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_fps": 0.0}, "target fps must be above 0"),
        ({"target_fps": float("nan")}, "target fps must be above 0"),
        ({"rows": 0}, "rows must be between 1 and 128"),
        ({"rows": 129}, "rows must be between 1 and 128"),
        ({"reuse_factor": 0}, "reuse factor must be at least 1"),
    ],
)
def test_bad_requests(change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Request(**change)  # type: ignore[arg-type]


def test_event_lists_fit_an_ap_uint() -> None:
    array = synapse_array(np.random.default_rng(0), 4000, 4)
    plan = make_plan(QuantizedNetwork((array,), ()), PYNQ, Request(Target.AREA, event_driven=True))
    assert plan.chosen.core.arrays[0].parallel_rows == 4  # 1000 rows a bank


def test_converters_are_refused_where_they_cannot_be_built() -> None:
    rng = np.random.default_rng(1)
    network = QuantizedNetwork((with_converters(rng, synapse_array(rng, 30, 5), 7),), ())
    with pytest.raises(SynqError, match="2 rows a cycle do not fill the array's tiles"):
        make_plan(network, PYNQ, Request(rows=2), Flow.HLS)
    with pytest.raises(SynqError, match="an unrolled array has no converters"):
        make_plan(network, PYNQ, Request(datapath=Datapath.UNROLLED), Flow.RTL)
    with pytest.raises(SynqError, match="the rows of a cycle lie in one tile"):
        make_plan(network, PYNQ, Request(rows=2), Flow.RTL)
    for flow in Flow:
        assert make_plan(network, PYNQ, Request(), flow).chosen.estimate.resources.lut
