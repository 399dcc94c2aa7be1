"""The planner: which datapath and how many rows a cycle, for a board and a target.

It counts with the model of `estimate.py` and prefers designs within `BUDGET` of every resource of
the board: beyond, placing and routing get hard (UltraFast Design Methodology, UG949).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board, Resources, board_names, load_board
from synq.errors import SynqError, UsageError
from synq.estimate import (
    ArrayPlan,
    Datapath,
    Estimate,
    HlsDesign,
    estimate_array,
    event_intervals,
    total,
)
from synq.network import QuantizedNetwork, SynapseArray
from synq.rtl.cycles import count_cycles
from synq.rtl.search import Asked, rtl_designs
from synq.rtl.verilog import RtlDesign

BUDGET = 0.70  # share of each resource
_STREAM_BITS = 64  # of the AXI4-Stream that brings the inputs
_TYPICAL_EVENTS = 3  # an event-driven array rarely takes more than a third of its worst case
_ECP5_FACTORS = (2.63, 2.07, 1.11)  # Yosys' LUT4, LUTRAM and FF of one design over its 7-series'
_HLS_DATAPATHS = (Datapath.DECODE, Datapath.BANK, Datapath.BUCKETS)
_MOST_ROWS = 128
_MOST_LANES = 4096  # HLS unrolls no further
_MOST_WORD_BITS = 65_536  # HLS reshapes no further
_MOST_PENDING = 1024  # bits of an ap_uint, unless AP_INT_MAX_W says more (UG1399)


class Flow(StrEnum):
    """A back end: what the core is written in."""

    HLS = "hls"
    RTL = "rtl"


class Target(StrEnum):
    """What to aim for.

    latency: the fewest cycles from the first input to the result.
    throughput: an image as often as a 64-bit stream brings one, else as often as fits.
    area: the smallest share of the board.
    """

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    AREA = "area"


@dataclass(frozen=True)
class Request:
    """What the user asks of the design.

    Attributes:
        target: what to aim for, unless `fps` is given.
        fps: images a second to reach with the smallest design, at the board's clock.
        rows: rows a cycle of the first array; chosen without.
        reuse_factor: cycles an image of the first array, from which its rows follow.
        datapath: of every array; chosen without.
        event_driven: whether zero inputs are skipped.
        beat_bits: width of the Verilog core's input stream, a multiple of 64; 64 without.
    """

    target: Target = Target.THROUGHPUT
    fps: float | None = None
    rows: int | None = None
    reuse_factor: int | None = None
    datapath: Datapath | None = None
    event_driven: bool = False
    beat_bits: int | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise UsageError(f"--target-fps must be above 0, got {self.fps:g}")
        if self.rows is not None and not 1 <= self.rows <= _MOST_ROWS:
            raise UsageError(f"--rows must be between 1 and {_MOST_ROWS}, got {self.rows}")
        if self.reuse_factor is not None and self.reuse_factor < 1:
            raise UsageError(f"--reuse-factor must be at least 1, got {self.reuse_factor}")
        if self.beat_bits is not None and (self.beat_bits < 64 or self.beat_bits % 64):
            raise UsageError(f"--beat-bits must be a multiple of 64, got {self.beat_bits}")

    @property
    def fixes_rows(self) -> bool:
        """Whether the user has chosen the rows a cycle."""
        return self.rows is not None or self.reuse_factor is not None

    def rows_of(self, array: SynapseArray) -> int | None:
        """Rows a cycle that the user has fixed, or None."""
        if self.reuse_factor is not None:
            return -(-array.n_rows // self.reuse_factor)
        return self.rows


@dataclass(frozen=True)
class Design:
    """A way to build the network, and what it is estimated to take."""

    core: HlsDesign | RtlDesign
    estimate: Estimate

    def share(self, board: Board) -> float:
        """The largest share of any of the board's resources."""
        return _share(self.estimate.resources, board.resources)


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
    beat_bits = request.beat_bits or _STREAM_BITS
    stream = stream_cycles(network, beat_bits)
    if flow is Flow.HLS:
        check_hls(board)
        if request.datapath is Datapath.UNROLLED:
            raise UsageError("--datapath unrolled needs --flow rtl")
        designs = _front(_hls_designs(network, board, request), board)
    else:
        asked = Asked(
            request.rows_of(network.arrays[0]), request.datapath, request.event_driven, beat_bits
        )
        found = rtl_designs(network, board.resources, BUDGET, asked)
        designs = _front(
            (Design(core, _for_family(estimate, board)) for core, estimate in found), board
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


def stream_cycles(network: QuantizedNetwork, beat_bits: int = _STREAM_BITS) -> int:
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


def _hls_designs(network: QuantizedNetwork, board: Board, request: Request) -> Iterator[Design]:
    later = Request(datapath=request.datapath, event_driven=request.event_driven)
    options = [
        [
            (plan, estimate_array(array, plan))
            for plan in _array_plans(array, board, later if index else request)
        ]
        for index, array in enumerate(network.arrays)
    ]
    for plan, first in options[0]:
        interval = first.interval // (_TYPICAL_EVENTS if request.event_driven else 1)
        rest = [_balanced(choices, board, interval) for choices in options[1:]]
        plans = (plan, *(other for other, _ in rest))
        yield Design(HlsDesign(plans), total((first, *(other for _, other in rest))))


def _balanced(
    options: list[tuple[ArrayPlan, Estimate]], board: Board, interval: int
) -> tuple[ArrayPlan, Estimate]:
    """The smallest plan of a later array that does not hold up the first, or else the fastest."""
    fast = [option for option in options if option[1].interval <= interval]
    if not fast:
        return min(options, key=lambda option: option[1].interval)
    return min(fast, key=lambda option: _share(option[1].resources, board.resources))


def _array_plans(array: SynapseArray, board: Board, request: Request) -> list[ArrayPlan]:
    """Every plan of an array that HLS can build, one a number of blocks."""
    if (asked := request.rows_of(array)) is not None:
        counts = [min(asked, array.n_rows)]
    else:  # the fewest rows of each number of blocks
        counts = sorted({-(-array.n_rows // blocks) for blocks in range(1, array.n_rows + 1)})
    plans: list[ArrayPlan] = []
    for rows in counts:
        word_bits = 32 * -(-array.n_out // (32 // array.code_bits))
        if rows > _MOST_ROWS or rows * array.n_out > _MOST_LANES or word_bits > _MOST_WORD_BITS:
            continue
        if request.event_driven and -(-array.n_rows // rows) > _MOST_PENDING:
            continue
        for datapath in [request.datapath] if request.datapath else _HLS_DATAPATHS:
            decoded = [0]
            if datapath is Datapath.DECODE:
                decoded = [rows]
            elif datapath is Datapath.BANK:
                # DSPs carry as many rows as the budget allows, or none.
                affordable = int(BUDGET * board.resources.dsp) // array.n_out
                decoded = sorted({0, min(rows - 1, affordable), min(rows - 1, affordable // 2)})
            plans += [ArrayPlan(datapath, rows, count, request.event_driven) for count in decoded]
    if not plans:
        raise SynqError(
            f"no design of an array of {array.n_rows} x {array.n_out} can be built: "
            f"at most {_MOST_ROWS} rows and {_MOST_LANES} lanes (rows x outputs) a cycle; "
            "use fewer --rows, or a smaller network"
        )
    return plans


def _share(used: Resources, available: Resources) -> float:
    return max(
        need / have if have else (float("inf") if need else 0.0)
        for need, have in (
            (used.lut, available.lut),
            (used.lutram, available.lutram),
            (used.ff, available.ff),
            (used.bram_18k, available.bram_18k),
            (used.dsp, available.dsp),
        )
    )


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
