"""The planner: which datapath and how many rows a cycle, for a board and a target.

Either back end's search proposes designs, each with an estimate. Those that take at most `BUDGET`
of every resource of the board come first: beyond, placing and routing get hard (UltraFast Design
Methodology, UG949).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.board import Board, board_names, load_board
from synq.cost import Estimate
from synq.errors import SynqError, UsageError
from synq.hls.design import ArrayPlan, HlsDesign
from synq.hls.estimate import event_intervals
from synq.hls.search import hls_designs
from synq.network import QuantizedNetwork
from synq.request import BUDGET, Datapath, Flow, Request, Target
from synq.rtl.cycles import count_cycles
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import for_family
from synq.rtl.search import rtl_designs
from synq.stream import beats_per_image

Core = TypeVar("Core", bound=HlsDesign | RtlDesign)


@dataclass(frozen=True)
class Candidate(Generic[Core]):
    """A way to build the network, and what it is estimated to take."""

    core: Core
    estimate: Estimate

    def share(self, board: Board) -> float:
        """The largest share of any of the board's resources."""
        return self.estimate.resources.share(board.resources)


@dataclass(frozen=True)
class PlanOf(Generic[Core]):
    """The chosen design among its neighbours.

    Attributes:
        chosen: what will be built.
        neighbours: the designs just faster and just smaller, by interval.
        stream_cycles: cycles that the input stream needs an image.
    """

    chosen: Candidate[Core]
    neighbours: tuple[Candidate[Core], ...]
    stream_cycles: int


Plan = PlanOf[HlsDesign] | PlanOf[RtlDesign]


def make_plan(
    network: QuantizedNetwork, board: Board, request: Request, flow: Flow = Flow.HLS
) -> Plan:
    """Choose a design of either back end: see `plan_hls` and `plan_rtl`."""
    plan = plan_hls if flow is Flow.HLS else plan_rtl
    return plan(network, board, request)


def plan_hls(network: QuantizedNetwork, board: Board, request: Request) -> PlanOf[HlsDesign]:
    """Choose a design of the HLS core.

    Raises:
        UsageError: HLS has no such datapath, or does not know the board.
        SynqError: nothing fits the board, or not at the asked rate; says what would.
    """
    check_hls(board)
    if request.datapath is Datapath.UNROLLED:
        raise UsageError("datapath unrolled needs flow rtl", settings=("datapath", "flow"))
    found = hls_designs(network, board.resources, request)
    return _plan((Candidate(core, estimate) for core, estimate in found), network, board, request)


def plan_rtl(network: QuantizedNetwork, board: Board, request: Request) -> PlanOf[RtlDesign]:
    """Choose a design of the Verilog core.

    Raises:
        UsageError: the Verilog has no such datapath.
        SynqError: nothing fits the board, or not at the asked rate; says what would.
    """
    found = rtl_designs(network, board.resources, request)
    candidates = (Candidate(core, for_family(estimate, board.family)) for core, estimate in found)
    return _plan(candidates, network, board, request)


def check_hls(board: Board) -> None:
    """Refuse a board that only the Verilog back end can make something for.

    Raises:
        UsageError: no HLS tool knows its part.
    """
    if not board.has_hls:
        raise UsageError(
            f"no HLS tool knows the {board.part} of {board.name}: use flow rtl", settings=("flow",)
        )


def event_cycles(
    network: QuantizedNetwork, core: HlsDesign | RtlDesign, inputs: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """(n_samples,) cycles until the next image for each image, where arrays skip zero inputs."""
    if isinstance(core, HlsDesign):
        return event_intervals(network, core.arrays, inputs)
    return count_cycles(network, core, inputs).intervals


def core_text(core: HlsDesign | RtlDesign) -> str:
    """A design's arrays as people read them: "bank x 8 (1 decoded); bank x 2"."""
    return "; ".join(_array_text(array) for array in core.arrays)


def _array_text(array: ArrayPlan | RtlArray) -> str:
    if isinstance(array, RtlArray):
        if array.unrolled:
            return "unrolled"
        text, rows = "buckets" if array.bucket_rows else "decode", array.rows
        mixed = array.bucket_rows > 0
    else:
        text, rows = array.datapath.value, array.parallel_rows
        mixed = array.decoded_rows < rows
    decoded = f" ({array.decoded_rows} decoded)" if array.decoded_rows and mixed else ""
    return f"{text} x {rows}{decoded}"


def _plan(
    candidates: Iterable[Candidate[Core]],
    network: QuantizedNetwork,
    board: Board,
    request: Request,
) -> PlanOf[Core]:
    stream = beats_per_image(network.sizes[0], network.input_format.width, request.beat_bits)
    front = _front(candidates, board)
    chosen = _choose(front, board, request, stream)
    at = front.index(chosen)
    return PlanOf(chosen, (*front[max(0, at - 2) : at], *front[at + 1 : at + 3]), stream)


def _choose(
    front: list[Candidate[Core]], board: Board, request: Request, stream: int
) -> Candidate[Core]:
    within = [each for each in front if each.share(board) <= BUDGET]
    fitting = within or [each for each in front if each.share(board) <= 1]
    if not fitting and request.fixes_rows:  # as asked, though it does not fit; the summary says so
        fitting = front
    if not fitting:
        raise _does_not_fit(front, board)
    # The fastest first, and each smaller than all faster ones.
    if request.target_fps is not None:
        period = 1e9 / (request.target_fps * board.clock_ns)
        enough = [each for each in fitting if each.estimate.interval <= period]
        if not enough:
            raise _too_slow(fitting[0], board, request.target_fps)
        return enough[-1]
    match request.target:
        case Target.AREA:
            return fitting[-1]
        case Target.LATENCY:
            return min(fitting, key=lambda each: (each.estimate.latency, each.share(board)))
        case Target.THROUGHPUT:
            interval = max(fitting[0].estimate.interval, stream)
            return [each for each in fitting if each.estimate.interval <= interval][-1]


def _front(candidates: Iterable[Candidate[Core]], board: Board) -> list[Candidate[Core]]:
    """Those worth a look, the fastest first: each is smaller than all faster ones."""
    best: dict[int, Candidate[Core]] = {}
    for each in candidates:
        key = each.estimate.interval
        if key not in best or each.share(board) < best[key].share(board):
            best[key] = each
    front: list[Candidate[Core]] = []
    for key in sorted(best):
        if not front or best[key].share(board) < front[-1].share(board):
            front.append(best[key])
    return front


def _does_not_fit(front: list[Candidate[Core]], board: Board) -> SynqError:
    others = [load_board(name) for name in board_names()]
    larger = [
        other.name
        for other in others
        if other.has_hls == board.has_hls  # the others' look-up tables are not comparable
        and any(each.share(other) <= BUDGET for each in front)
    ]
    hint = f"it would fit {', '.join(larger)}" if larger else "no known board is large enough"
    return SynqError(
        f"the network does not fit {board.name}: the smallest design takes "
        f"{100 * front[-1].share(board):.0f} % of a resource by our estimate; {hint}; "
        "or use fewer levels or smaller layers",
        settings=("board", "levels"),
    )


def _too_slow(fastest: Candidate[Core], board: Board, fps: float) -> SynqError:
    reached = 1e9 / (fastest.estimate.interval * board.clock_ns)
    return SynqError(
        f"{board.name} reaches {reached:,.0f} images/s at {1000 / board.clock_ns:g} MHz by our "
        f"estimate, not {fps:,.0f}: ask for fewer, use fewer input bits or levels, or take a "
        "larger board",
        settings=("target_fps", "input_bits", "levels", "board"),
    )
