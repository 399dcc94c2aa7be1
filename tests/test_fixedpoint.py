import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import MANY, SOME, assigned, modes
from synq.fixedpoint import FixedPoint, Overflow, Rounding, quantize, requantize, signed_width

EVERY_MODE = [(rounding, overflow) for rounding in Rounding for overflow in Overflow]


@st.composite
def formats(draw: st.DrawFn, max_width: int = 63) -> FixedPoint:
    signed = draw(st.booleans())
    width = draw(st.integers(2 if signed else 1, max_width))
    integer = draw(st.integers(-20, width + 20))
    return FixedPoint(width, integer, signed, **{k: draw(v) for k, v in modes.items()})


@MANY
@given(
    st.lists(st.integers(-(2**42), 2**42), min_size=1, max_size=20),
    st.integers(-20, 45),
    formats(),
)
def test_requantize_is_the_assignment(raw: list[int], shift: int, target: FixedPoint) -> None:
    fraction = target.fraction + shift
    if shift < -18:  # keep the shifted integers inside 63 bits
        raw = [n >> 4 for n in raw]
    got = requantize(np.array(raw), fraction, target)
    assert got.dtype == np.int64
    assert got.tolist() == [assigned(n / Fraction(2) ** fraction, target) for n in raw]


@pytest.mark.parametrize(("rounding", "overflow"), EVERY_MODE)
@pytest.mark.parametrize("signed", [False, True])
def test_requantize_every_small_integer(
    rounding: Rounding, overflow: Overflow, signed: bool
) -> None:
    raw = np.arange(-300, 301)
    for width in (2, 3, 5, 8):
        for shift in range(-3, 6):
            target = FixedPoint(width, 2, signed, rounding, overflow)
            fraction = target.fraction + shift
            expected = [assigned(n / Fraction(2) ** fraction, target) for n in raw.tolist()]
            assert requantize(raw, fraction, target).tolist() == expected


# 2.5 steps and its neighbours, by hand
@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.TRN, [-4, -3, -3, -2, 1, 2, 2, 3]),
        (Rounding.RND, [-3, -3, -2, -1, 2, 2, 3, 4]),
        (Rounding.RND_CONV, [-4, -3, -2, -2, 2, 2, 2, 4]),
    ],
)
def test_rounding_by_hand(rounding: Rounding, expected: list[int]) -> None:
    quarters = np.array([-14, -11, -10, -6, 6, 9, 10, 14])  # -3.5 -2.75 -2.5 -1.5 ...
    assert requantize(quarters, 2, FixedPoint(8, 8, True, rounding)).tolist() == expected


def test_overflow_by_hand() -> None:
    raw = np.array([-129, -128, 127, 128, 300])
    saturated = requantize(raw, 0, FixedPoint(8, 8, True, overflow=Overflow.SAT))
    wrapped = requantize(raw, 0, FixedPoint(8, 8, True, overflow=Overflow.WRAP))
    assert saturated.tolist() == [-128, -128, 127, 127, 127]
    assert wrapped.tolist() == [127, -128, 127, -128, 44]


def test_requantize_keeps_shape_and_input() -> None:
    raw = np.arange(6).reshape(2, 3)
    assert requantize(raw, 1, FixedPoint(8, 8, True)).shape == (2, 3)
    assert raw.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_signed_width_is_the_narrowest() -> None:
    for low in range(-40, 41):
        for high in range(low, 41):
            fits = (w for w in range(2, 9) if -(2 ** (w - 1)) <= low and high < 2 ** (w - 1))
            assert signed_width(low, high) == next(fits)


@SOME
@given(st.integers(1, 62))
def test_signed_width_at_powers_of_two(bits: int) -> None:
    assert signed_width(-(2**bits), 2**bits - 1) == bits + 1
    assert signed_width(0, 2**bits) == signed_width(-(2**bits) - 1, 0) == bits + 2


@MANY
@given(formats(), st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=20))
def test_quantize_is_the_nearest_in_range(target: FixedPoint, values: list[float]) -> None:
    unit = Fraction(2) ** target.fraction
    rounded = [
        round(Fraction(value) * unit) if math.isfinite(value) else int(math.copysign(2**70, value))
        for value in values
    ]
    expected = [min(max(n, target.min_raw), target.max_raw) for n in rounded]
    with np.errstate(over="ignore"):  # beyond float64 after scaling: infinite, so clipped
        assert quantize(np.array(values), target).tolist() == expected


@SOME
@given(formats(52), st.data())
def test_quantize_keeps_what_is_representable(target: FixedPoint, data: st.DataObject) -> None:
    raw = data.draw(st.integers(target.min_raw, target.max_raw))
    assert quantize(np.array([raw * target.step]), target).tolist() == [raw]


def test_quantize_ties_and_ends() -> None:
    values = np.array([0.5, 1.5, 2.5, -1.0, 300.0])
    assert quantize(values, FixedPoint(8, 8, False)).tolist() == [0, 2, 2, 0, 255]


# Wider than a float64's significand: max_raw itself is no float.
@pytest.mark.parametrize("width", [54, 62, 63])
@pytest.mark.parametrize("signed", [False, True])
def test_quantize_clips_wide_formats_to_their_own_end(width: int, signed: bool) -> None:
    target = FixedPoint(width, width, signed)
    just_outside = float(target.max_raw)  # rounded up to a power of two
    ends = quantize(np.array([-1e30, just_outside, 1e30]), target).tolist()
    assert ends == [target.min_raw, target.max_raw, target.max_raw]


@SOME
@given(formats())
def test_range_and_step(target: FixedPoint) -> None:
    assert target.max_raw - target.min_raw == 2**target.width - 1
    assert (target.min_raw < 0) == target.signed
    assert Fraction(target.step) == Fraction(1, 2) ** (target.width - target.integer)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (FixedPoint(8, 1, True), "ap_fixed<8, 1, AP_TRN, AP_WRAP, 0>"),
        (
            FixedPoint(8, 0, False, Rounding.RND_CONV, Overflow.SAT),
            "ap_ufixed<8, 0, AP_RND_CONV, AP_SAT, 0>",
        ),
        (FixedPoint(4, -2, False, Rounding.RND), "ap_ufixed<4, -2, AP_RND, AP_WRAP, 0>"),
    ],
)
def test_ap_type(target: FixedPoint, expected: str) -> None:
    assert target.ap_type == expected


@pytest.mark.parametrize(("width", "signed"), [(0, False), (1, True), (-3, True), (64, False)])
def test_width_out_of_range(width: int, signed: bool) -> None:
    with pytest.raises(ValueError, match=rf"must be between {1 + signed} and 63, got {width}"):
        FixedPoint(width, 0, signed)


@SOME
@given(formats())
def test_survives_json(target: FixedPoint) -> None:
    assert FixedPoint.from_dict(json.loads(json.dumps(target.to_dict()))) == target


@pytest.mark.parametrize("field", ["width", "integer", "signed", "rounding", "overflow"])
def test_from_dict_needs_every_field(field: str) -> None:
    fields = FixedPoint(8, 1, True).to_dict()
    del fields[field]
    with pytest.raises(KeyError, match=field):
        FixedPoint.from_dict(fields)


def test_from_dict_refuses_unknown_modes() -> None:
    with pytest.raises(ValueError, match="AP_NEAREST"):
        FixedPoint.from_dict({**FixedPoint(8, 1, True).to_dict(), "rounding": "AP_NEAREST"})
