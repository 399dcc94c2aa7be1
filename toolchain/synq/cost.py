"""What a design costs: one vocabulary for boards, estimates, and what tools report."""

from dataclasses import dataclass, fields
from typing import Annotated

from synq.definition import Range
from synq.fixedpoint import signed_width
from synq.read_noise import ROUNDS, ReadNoise

_Some = Annotated[int, Range(1, 100_000_000)]
_SomeOrNone = Annotated[int, Range(0, 100_000_000)]


@dataclass(frozen=True)
class Resources:
    """What a part offers, or what a design takes; the ranges are those of a part.

    Attributes:
        lut: look-up tables, those used as memory included; of six inputs, on ECP5 of four.
        lutram: of these, the ones that are, or can be, memory or shift register.
        ff: flip-flops.
        bram_18k: block RAM in units of 18 Kbit; a 36 Kbit block or tile counts as two.
        dsp: DSP48 slices; on ECP5 multipliers of 18 x 18.
        uram: UltraRAM blocks of 288 Kbit; 7-series parts have none.
    """

    lut: _Some = 0
    lutram: _SomeOrNone = 0
    ff: _Some = 0
    bram_18k: _Some = 0
    dsp: _SomeOrNone = 0
    uram: _SomeOrNone = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(*(getattr(self, name) + getattr(other, name) for name in RESOURCES))

    def __mul__(self, count: int) -> "Resources":
        """`count` of them."""
        return Resources(*(getattr(self, name) * count for name in RESOURCES))

    def share(self, available: "Resources") -> float:
        """The largest share of any resource; infinite where there is none and some is needed."""
        pairs = ((getattr(self, name), getattr(available, name)) for name in RESOURCES)
        return max(need / have if have else (float("inf") if need else 0.0) for need, have in pairs)


RESOURCES = tuple(field.name for field in fields(Resources))
"""The names of the resources."""


@dataclass(frozen=True)
class Estimate:
    """Resources and clock cycles of a design; latency and interval in cycles an image.

    With events these are the worst case, every input nonzero.
    """

    resources: Resources
    latency: int
    interval: int


TYPICAL_EVENTS = 3
"""An event-driven array rarely takes more than a third of its worst case."""

_BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def noise_luts(noise: ReadNoise) -> int:
    """Look-up tables that draw one number a cycle: the rounds of mixing, counting ones, a table of
    the count, a bit each."""
    return 32 * ROUNDS + 64 + signed_width(*noise.range)


def block_rams(depth: int, width: int) -> int:
    """Blocks of 18 Kbit of a memory of `depth` words of `width` bits: UG473 table 1-1, UG573 table
    1-1. Blocks of 36 Kbit, two of these side by side, do not save any.

    >>> block_rams(784, 512)
    29
    """
    return min(-(-depth // words) * -(-width // bits) for words, bits in _BLOCK_SHAPES)
