"""Fixed-point formats in the ap_fixed vocabulary, and the exact integer arithmetic on them.

A raw integer `n` in a format stands for the value `n * 2**-fraction`. Everything here is integer
arithmetic on int64: nothing is rounded unless a `Rounding` says how (Vitis HLS user guide UG1399,
"Arbitrary Precision Fixed-Point Data Types").
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Rounding(Enum):
    """What happens to bits below the least significant one."""

    TRN = "AP_TRN"  # towards minus infinity
    RND = "AP_RND"  # to nearest, ties towards plus infinity
    RND_CONV = "AP_RND_CONV"  # to nearest, ties to even


class Overflow(Enum):
    """What happens to values outside the range."""

    WRAP = "AP_WRAP"  # drop the bits above
    SAT = "AP_SAT"  # clip to the nearest representable value


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format: `width` bits, `integer` of them (with the sign) above the point.

    Raises:
        ValueError: the width is not 1..63, or a signed format has no bit beside its sign.
    """

    width: int
    integer: int
    signed: bool
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        low = 2 if self.signed else 1
        if not low <= self.width <= 63:
            raise ValueError(f"fixed-point width must be between {low} and 63, got {self.width}")

    @property
    def fraction(self) -> int:
        """Bits below the binary point; negative when the step is larger than one."""
        return self.width - self.integer

    @property
    def min_raw(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max_raw(self) -> int:
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def step(self) -> float:
        """The value of one raw unit; a power of two, hence exact."""
        return 2.0**-self.fraction

    @property
    def ap_type(self) -> str:
        """The C++ type, as `ap_ufixed<8, 0, AP_RND_CONV, AP_SAT, 0>`."""
        name = "ap_fixed" if self.signed else "ap_ufixed"
        modes = f"{self.rounding.value}, {self.overflow.value}, 0"
        return f"{name}<{self.width}, {self.integer}, {modes}>"

    def to_dict(self) -> dict[str, int | bool | str]:
        """For the manifest; `from_dict` is its inverse."""
        return {
            "width": self.width,
            "integer": self.integer,
            "signed": self.signed,
            "rounding": self.rounding.value,
            "overflow": self.overflow.value,
        }

    @staticmethod
    def from_dict(fields: dict[str, int | bool | str]) -> "FixedPoint":
        return FixedPoint(
            width=int(fields["width"]),
            integer=int(fields["integer"]),
            signed=bool(fields["signed"]),
            rounding=Rounding(fields["rounding"]),
            overflow=Overflow(fields["overflow"]),
        )


def signed_width(low: int, high: int) -> int:
    """The fewest two's-complement bits (at least 2) that hold every integer of low..high."""
    return max(2, 1 + max(max(high, 0).bit_length(), max(-low - 1, 0).bit_length()))


def requantize(raw: NDArray[np.int64], fraction: int, target: FixedPoint) -> NDArray[np.int64]:
    """Assign raw integers with `fraction` fractional bits to `target`: what `ap_fixed =` does.

    Args:
        raw: any shape, int64.
        fraction: fractional bits of `raw`; may be negative.
        target: the format assigned to, with its rounding and overflow.

    Returns:
        Raw integers in `target`, same shape, int64.
    """
    shift = fraction - target.fraction
    if shift <= 0:
        rounded = raw << -shift
    elif target.rounding is Rounding.TRN:
        rounded = raw >> shift
    elif target.rounding is Rounding.RND:
        rounded = (raw + (1 << (shift - 1))) >> shift
    else:  # ties to even: a tie's bias is one less where the kept part is even
        odd = (raw >> shift) & 1
        rounded = (raw + ((1 << (shift - 1)) - 1) + odd) >> shift
    if target.overflow is Overflow.SAT:
        return np.clip(rounded, target.min_raw, target.max_raw)
    wrapped = rounded & ((1 << target.width) - 1)
    if target.signed:
        sign_bit = 1 << (target.width - 1)
        wrapped = (wrapped ^ sign_bit) - sign_bit
    return wrapped


def quantize(values: NDArray[np.floating[Any]], target: FixedPoint) -> NDArray[np.int64]:
    """The raw integers of `target` nearest to real `values` (ties to even), clipped to its range.

    This is how real numbers enter the integer world, offline; the hardware never does it.
    """
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 2.0**target.fraction)
    # float64 may round max_raw up to a power of two, out of the range: never convert from there
    below = scaled < target.max_raw
    raw = np.maximum(np.where(below, scaled, 0), target.min_raw).astype(np.int64)
    return np.where(below, raw, np.int64(target.max_raw))
