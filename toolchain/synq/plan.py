"""The planner: which datapath and how many rows a cycle, for a board and a target.

It counts with the model of `estimate.py` and prefers designs within `BUDGET` of every resource of
the board: beyond, placing and routing get hard (UltraFast Design Methodology, UG949).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board, board_names, load_board
from synq.cost import Estimate
from synq.errors import SynqError, UsageError
from synq.hls.design import HlsDesign
from synq.hls.estimate import event_intervals
from synq.hls.search import hls_designs
from synq.network import QuantizedNetwork
from synq.request import BUDGET, Datapath, Request, Target
from synq.rtl.cycles import count_cycles
from synq.rtl.design import RtlDesign
from synq.rtl.search import rtl_designs
from synq.stream import BEAT_BITS

_ECP5_FACTORS = (2.63, 2.07, 1.11)  # Yosys' LUT4, LUTRAM and FF of one design over its 7-series'


class Flow(StrEnum):
    """A back end: what the core is written in."""

    HLS = "hls"
    RTL = "rtl"


@dataclass(frozen=True)
class Design:
    """A way to build the network, and what it is estimated to take."""

    core: HlsDesign | RtlDesign
    estimate: Estimate

    def share(self, board: Board) -> float:
        """The largest share of any of the board's resources."""
        return self.estimate.resources.share(board.resources)


@dataclass(frozen=True)
class Plan:
    """The chosen design among its neighbours.

    Attributes:
        chosen: what will be built.
        neighbours: the designs just faster and just smaller, by interval.
        stream_cycles: cycles that the input stream needs an image.
    """

    chosen: Design
    neighbours: tuple[Design, ...]
    stream_cycles: int


def make_plan(
    network: QuantizedNetwork, board: Board, request: Request, flow: Flow = Flow.HLS
) -> Plan:
    """Choose a design.

    Raises:
        UsageError: the back end has no such datapath, or does not know the board.
        SynqError: nothing fits the board, or not at the asked rate; says what would.
    """
    stream = stream_cycles(network, request.beat_bits)
    if flow is Flow.HLS:
        check_hls(board)
        if request.datapath is Datapath.UNROLLED:
            raise UsageError("--datapath unrolled needs --flow rtl")
        hls = hls_designs(network, board.resources, request)
        designs = _front((Design(core, estimate) for core, estimate in hls), board)
    else:
        rtl = rtl_designs(network, board.resources, request)
        designs = _front(
            (Design(core, _for_family(estimate, board)) for core, estimate in rtl), board
        )
    chosen = _choose(designs, board, request, flow, stream)
    at = designs.index(chosen)
    around = tuple(designs[max(0, at - 2) : at] + designs[at + 1 : at + 3])
    return Plan(chosen, around, stream)


def check_hls(board: Board) -> None:
    """Refuse a board that only the Verilog back end can make something for.

    Raises:
        UsageError: no HLS tool knows its part.
    """
    if not board.has_hls:
        raise UsageError(f"no HLS tool knows the {board.part} of {board.name}: use --flow rtl")


def event_cycles(
    network: QuantizedNetwork, design: Design, inputs: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """(n_samples,) cycles until the next image for each image, where arrays skip zero inputs."""
    if isinstance(design.core, HlsDesign):
        return event_intervals(network, design.core.arrays, inputs)
    return count_cycles(network, design.core, inputs).intervals


def stream_cycles(network: QuantizedNetwork, beat_bits: int = BEAT_BITS) -> int:
    """Beats that bring an image; no pixel straddles two."""
    return -(-network.sizes[0] // (beat_bits // network.input_format.width))


def _for_family(estimate: Estimate, board: Board) -> Estimate:
    """The estimate, made for look-up tables of six inputs, for the board's."""
    if board.family != "ecp5":
        return estimate
    used = estimate.resources
    lut, lutram, ff = (
        round(count * factor)
        for count, factor in zip((used.lut, used.lutram, used.ff), _ECP5_FACTORS, strict=True)
    )
    return replace(estimate, resources=replace(used, lut=lut, lutram=lutram, ff=ff))


def _choose(
    designs: list[Design], board: Board, request: Request, flow: Flow, stream: int
) -> Design:
    within = [design for design in designs if design.share(board) <= BUDGET]
    fitting = within or [design for design in designs if design.share(board) <= 1]
    if not fitting and request.fixes_rows:  # as asked, though it does not fit; the summary says so
        fitting = designs
    if not fitting:
        raise SynqError(_what_would_fit(designs, board, flow))
    smallest = min(fitting, key=lambda design: design.share(board))
    if request.fps is not None:
        period = 1e9 / (request.fps * board.clock_ns)
        enough = [design for design in fitting if design.estimate.interval <= period]
        if not enough:
            best = min(fitting, key=lambda design: design.estimate.interval)
            fastest = 1e9 / (best.estimate.interval * board.clock_ns)
            raise SynqError(
                f"{board.name} reaches {fastest:,.0f} images/s at {1000 / board.clock_ns:g} MHz by "
                f"our estimate, not {request.fps:,.0f}: lower --target-fps, --input-bits or "
                "--levels, or take a larger board"
            )
        return min(enough, key=lambda design: design.share(board))
    match request.target:
        case Target.AREA:
            return smallest
        case Target.LATENCY:
            return min(fitting, key=lambda design: (design.estimate.latency, design.share(board)))
        case Target.THROUGHPUT:
            cycles = min(max(design.estimate.interval, stream) for design in fitting)
            return min(
                (design for design in fitting if design.estimate.interval <= cycles),
                key=lambda design: design.share(board),
            )


def _front(designs: Iterable[Design], board: Board) -> list[Design]:
    """The designs worth a look, the fastest first: each is smaller than all faster ones."""
    best: dict[int, Design] = {}
    for design in designs:
        key = design.estimate.interval
        if key not in best or design.share(board) < best[key].share(board):
            best[key] = design
    front: list[Design] = []
    for key in sorted(best):
        if not front or best[key].share(board) < front[-1].share(board):
            front.append(best[key])
    return front


def _what_would_fit(designs: list[Design], board: Board, flow: Flow) -> str:
    smallest = min(designs, key=lambda design: design.share(board))
    larger = [
        name
        for name in board_names()
        if load_board(name).has_hls  # others have other look-up tables
        and any(design.share(load_board(name)) <= BUDGET for design in designs)
    ]
    hint = f"it would fit {', '.join(larger)}" if larger else "no known board is large enough"
    return (
        f"the network does not fit {board.name}: the smallest design takes "
        f"{100 * smallest.share(board):.0f} % of a resource by our estimate; {hint}; "
        "or use fewer --levels or smaller layers"
    )
