"""Fixed-point formats in the ap_fixed vocabulary, and the exact integer arithmetic on them.

A raw integer `n` in a format stands for the value `n * 2**-fraction`. Everything here is integer
arithmetic on int64: nothing is rounded unless a `Rounding` says how (Vitis HLS user guide UG1399,
"Arbitrary Precision Fixed-Point Data Types"), and nothing overflows but what an `Overflow` says.
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


_MOST_FRACTION = 1000  # a step must be a normal float64, which ends at 2**-1022 and 2**1023


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format: `width` bits, `integer` of them (with the sign) above the point.

    Raises:
        ValueError: the width is not 1..63, a signed format has no bit beside its sign, or the step
            is beyond a float64.
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
        if abs(self.fraction) > _MOST_FRACTION:
            raise ValueError(
                f"fixed-point fraction must be between -{_MOST_FRACTION} and {_MOST_FRACTION}, "
                f"got {self.fraction}"
            )

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
    def byte_type(self) -> type[np.int8 | np.uint8]:
        """What holds raw integers of at most 8 bits in memory and in files."""
        return np.int8 if self.signed else np.uint8

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
    def from_dict(fields: Any) -> "FixedPoint":
        """The format that `to_dict` has described.

        Raises:
            ValueError: `fields` is not what `to_dict` gives.
        """
        if not isinstance(fields, dict) or {
            name: type(value) for name, value in fields.items()
        } != {"width": int, "integer": int, "signed": bool, "rounding": str, "overflow": str}:
            raise ValueError(f"not a fixed-point format: {str(fields)[:200]}")
        return FixedPoint(
            width=fields["width"],
            integer=fields["integer"],
            signed=fields["signed"],
            rounding=Rounding(fields["rounding"]),
            overflow=Overflow(fields["overflow"]),
        )


def signed_width(low: int, high: int) -> int:
    """The fewest two's-complement bits (at least 2) that hold every integer of low..high."""
    return max(2, 1 + max(max(high, 0).bit_length(), max(-low - 1, 0).bit_length()))


def requantize(raw: NDArray[np.int64], fraction: int, target: FixedPoint) -> NDArray[np.int64]:
    """Assign raw integers with `fraction` fractional bits to `target`: what `ap_fixed =` does.

    Args:
        raw: any shape, integers.
        fraction: fractional bits of `raw`, any number; may be negative.
        target: the format assigned to, with its rounding and overflow.

    Returns:
        Raw integers in `target`, same shape, int64.

    Raises:
        ValueError: `raw` are no integers, or beyond int64.
    """
    exact = as_int64(raw)
    shift = fraction - target.fraction
    if shift < 0:
        return _shift_left(exact, -shift, target)
    rounded = exact if shift == 0 else _shift_right(exact, shift, target.rounding)
    if target.overflow is Overflow.SAT:
        return np.clip(rounded, target.min_raw, target.max_raw)
    return _wrap(rounded, target)


def _shift_right(raw: NDArray[np.int64], shift: int, rounding: Rounding) -> NDArray[np.int64]:
    """`raw / 2**shift`, rounded: the floor, and one more where the bits below it say so.

    Below bit 63 all bits are the sign, so a longer shift is one by 63.
    """
    floor = raw >> min(shift, 63)
    if rounding is Rounding.TRN:
        return floor
    half: NDArray[np.int64] = raw >> min(shift - 1, 63) & 1  # the bit below the point
    if rounding is Rounding.RND:
        return floor + half
    below: NDArray[np.bool_] = raw & ((1 << min(shift - 1, 63)) - 1) != 0
    return floor + (half & (below | floor))  # at a tie to even


def _shift_left(raw: NDArray[np.int64], shift: int, target: FixedPoint) -> NDArray[np.int64]:
    """`raw * 2**shift` in `target`; nothing is rounded."""
    if target.overflow is Overflow.SAT:
        least, most = -(-target.min_raw >> shift), target.max_raw >> shift  # that do not saturate
        shifted = np.clip(raw, least, most) << min(shift, 63)
        return np.where(raw > most, target.max_raw, np.where(raw < least, target.min_raw, shifted))
    if shift > 63:  # beyond the highest bit of any target
        return np.zeros_like(raw)
    return _wrap((raw.view(np.uint64) << np.uint64(shift)).view(np.int64), target)


def _wrap(raw: NDArray[np.int64], target: FixedPoint) -> NDArray[np.int64]:
    """The lowest bits that `target` has."""
    kept: NDArray[np.int64] = raw & ((1 << target.width) - 1)
    sign_bit = 1 << (target.width - 1) if target.signed else 0
    return (kept ^ sign_bit) - sign_bit


def as_int64(raw: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The same integers as int64.

    Raises:
        ValueError: they are no integers, or one is larger than an int64 holds.
    """
    if raw.dtype.kind not in "iu":
        raise ValueError(f"raw values must be integers, got {raw.dtype}")
    if raw.dtype == np.uint64 and raw.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"raw values must be below 2**63, got {raw.max()}")
    return raw.astype(np.int64, copy=False)


def quantize(values: NDArray[np.floating[Any]], target: FixedPoint) -> NDArray[np.int64]:
    """The raw integers of `target` nearest to real `values` (ties to even), clipped to its range.

    This is how real numbers enter the integer world, offline; the hardware never does it.

    Raises:
        ValueError: a value is NaN.
    """
    real = np.asarray(values, dtype=np.float64)
    if np.isnan(real).any():
        raise ValueError("NaN has no nearest integer")
    with np.errstate(over="ignore"):  # to infinity, which is clipped
        scaled = np.rint(real * 2.0**target.fraction)
    # float64 may round max_raw up to a power of two, out of the range: never convert from there
    below = scaled < target.max_raw
    raw = np.maximum(np.where(below, scaled, 0), target.min_raw).astype(np.int64)
    return np.where(below, raw, np.int64(target.max_raw))
