import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
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


# Every int64, those about the ends and about zero and powers of two often.
raws = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.builds(
        lambda sign, bit, more: max(-(2**63), min(sign * 2**bit + more, 2**63 - 1)),
        st.sampled_from([-1, 1]),
        st.integers(0, 63),
        st.integers(-2, 2),
    ),
)


@settings(MANY, max_examples=300)
@given(
    st.lists(raws, min_size=1, max_size=20),
    st.one_of(st.integers(-70, 70), st.integers(-200, 200)),
    formats(),
)
def test_requantize_is_the_assignment(raw: list[int], shift: int, target: FixedPoint) -> None:
    fraction = target.fraction + shift
    got = requantize(np.array(raw), fraction, target)
    assert got.dtype == np.int64
    assert got.tolist() == [assigned(n / Fraction(2) ** fraction, target) for n in raw]


@pytest.mark.parametrize(("rounding", "overflow"), EVERY_MODE)
@pytest.mark.parametrize("signed", [False, True])
def test_requantize_every_shift_of_the_ends(
    rounding: Rounding, overflow: Overflow, signed: bool
) -> None:
    raw = [-(2**63), 1 - 2**63, -(2**62), -1, 0, 1, 2**61, 2**62, 2**63 - 1]
    for width in (2, 8, 62, 63):
        target = FixedPoint(width, 1, signed, rounding, overflow)
        for shift in [*range(-130, 131), -(10**9), 10**9]:
            unit = Fraction(2) ** -max(-200, min(shift, 200))  # beyond, nothing changes
            got = requantize(np.array(raw), target.fraction + shift, target)
            step = Fraction(2) ** -target.fraction
            assert got.tolist() == [assigned(n * unit * step, target) for n in raw]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64]
)
def test_requantize_takes_every_integer_type(dtype: type[np.integer]) -> None:
    """Shifted in int64, not in their own few bits."""
    raw = np.array([0, 1, np.iinfo(dtype).max // 2], dtype=dtype)
    target = FixedPoint(63, 63, True)
    for fraction in (-5, 0, 3):
        unit = Fraction(1, 2) ** fraction
        expected = [assigned(int(n) * unit, target) for n in raw]
        assert requantize(raw, fraction, target).tolist() == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.array([1.0]), "must be integers, got float64"),
        (np.array([True]), "must be integers, got bool"),
        (np.array([2**63], dtype=np.uint64), r"must be below 2\*\*63, got 9223372036854775808"),
    ],
)
def test_requantize_refuses_what_is_no_int64(raw: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        requantize(raw, 0, FixedPoint(8, 8, True))


def test_requantize_of_nothing() -> None:
    for shift in (-70, -1, 0, 1, 70):
        for overflow in Overflow:
            nothing = requantize(
                np.zeros((0, 3), int), shift, FixedPoint(8, 8, True, overflow=overflow)
            )
            assert (nothing.shape, nothing.dtype) == ((0, 3), np.int64)


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
    with warnings.catch_warnings(action="error"):
        assert quantize(np.array(values), target).tolist() == expected


def test_quantize_refuses_nan() -> None:
    with pytest.raises(ValueError, match="NaN"):
        quantize(np.array([0.0, np.nan]), FixedPoint(8, 8, True))


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


@pytest.mark.parametrize(("integer", "fraction"), [(1010, -1002), (-993, 1001)])
def test_step_beyond_a_float(integer: int, fraction: int) -> None:
    with pytest.raises(ValueError, match=f"between -1000 and 1000, got {fraction}"):
        FixedPoint(8, integer, True)


FIELDS = FixedPoint(8, 1, True).to_dict()


@pytest.mark.parametrize(
    "fields",
    [
        *({name: value for name, value in FIELDS.items() if name != left} for left in FIELDS),
        {**FIELDS, "more": 1},
        {**FIELDS, "width": 8.0},
        {**FIELDS, "width": "8"},
        {**FIELDS, "width": True},
        {**FIELDS, "width": None},
        {**FIELDS, "width": 10**30},
        {**FIELDS, "width": -8},
        {**FIELDS, "integer": 10**30},
        {**FIELDS, "integer": False},
        {**FIELDS, "signed": 1},
        {**FIELDS, "signed": "x"},
        {**FIELDS, "rounding": "AP_NEAREST"},
        {**FIELDS, "rounding": []},
        {**FIELDS, "overflow": None},
        [],
        [8, 1, True, "AP_TRN", "AP_WRAP"],
        None,
        "width",
    ],
    ids=str,
)
def test_from_dict_refuses(fields: object) -> None:
    with pytest.raises(ValueError):
        FixedPoint.from_dict(fields)
