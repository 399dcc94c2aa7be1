"""What the user asks of a design."""

from dataclasses import dataclass
from enum import StrEnum

from synq.errors import UsageError
from synq.network import SynapseArray
from synq.stream import BEAT_BITS

MOST_ROWS = 128  # a cycle
MOST_HEADROOM = 8
BUDGET = 0.70  # share of each resource: beyond, placing and routing get hard (UG949)


class Flow(StrEnum):
    """A back end: what the core is written in."""

    HLS = "hls"
    RTL = "rtl"


class Datapath(StrEnum):
    """How a row is weighted: the comment of the kernel says it in full."""

    DECODE = "decode"
    BANK = "bank"
    BUCKETS = "buckets"
    UNROLLED = "unrolled"  # of the Verilog only: every synapse is logic


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
        target: what to aim for, unless `target_fps` is given.
        target_fps: images a second to reach with the smallest design, at the board's clock.
        rows: rows a cycle of the first array; chosen without.
        reuse_factor: cycles an image of the first array, from which its rows follow.
        datapath: of every array; chosen without.
        event_driven: whether zero inputs are skipped.
        beat_bits: width of the Verilog core's input stream, a multiple of 64.
        reloadable: whether the Verilog core's network can be replaced while it runs.
        headroom: bits that a later network's totals may be wider than this one's.
    """

    target: Target = Target.THROUGHPUT
    target_fps: float | None = None
    rows: int | None = None
    reuse_factor: int | None = None
    datapath: Datapath | None = None
    event_driven: bool = False
    beat_bits: int = BEAT_BITS
    reloadable: bool = False
    headroom: int = 0

    def __post_init__(self) -> None:
        if self.target_fps is not None and not 0 < self.target_fps < float("inf"):
            raise UsageError(
                f"target fps must be above 0, got {self.target_fps:g}", settings=("target_fps",)
            )
        if self.rows is not None and not 1 <= self.rows <= MOST_ROWS:
            raise UsageError(
                f"rows must be between 1 and {MOST_ROWS}, got {self.rows}", settings=("rows",)
            )
        if self.reuse_factor is not None and self.reuse_factor < 1:
            raise UsageError(
                f"reuse factor must be at least 1, got {self.reuse_factor}",
                settings=("reuse_factor",),
            )
        if self.beat_bits < BEAT_BITS or self.beat_bits % BEAT_BITS:
            raise UsageError(
                f"beat bits must be a multiple of {BEAT_BITS}, got {self.beat_bits}",
                settings=("beat_bits",),
            )

        if not 0 <= self.headroom <= MOST_HEADROOM:
            raise UsageError(
                f"reload headroom must be between 0 and {MOST_HEADROOM} bits, got {self.headroom}",
                settings=("reload_headroom",),
            )
        if self.headroom and not self.reloadable:
            raise UsageError(
                "reload headroom is for reloadable cores alone",
                settings=("reload_headroom", "reloadable"),
            )

    @property
    def fixes_rows(self) -> bool:
        """Whether the user has chosen the rows a cycle."""
        return self.rows is not None or self.reuse_factor is not None

    def rows_of(self, array: SynapseArray) -> int | None:
        """Rows a cycle that the user has fixed, or None."""
        if self.reuse_factor is not None:
            return -(-array.n_rows // self.reuse_factor)
        return self.rows
