"""Fewer bits an input: the same values, rounded half up and saturated."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import SOME, assigned, input_formats, seeds
from synq.errors import UsageError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.learn.data.dataset import Dataset, with_input_bits

NONE = np.zeros(0, dtype=np.int64)


def dataset(form: FixedPoint, inputs: np.ndarray) -> Dataset:
    return Dataset("mine", form, inputs, NONE, inputs[:1], NONE, "d")


@SOME
@given(input_formats(8), st.integers(2, 8), seeds)
def test_values_stay_where_they_were(given_form: FixedPoint, bits: int, seed: int) -> None:
    form = FixedPoint(given_form.width, given_form.integer, given_form.signed)
    rng = np.random.default_rng(seed)
    inputs = rng.integers(form.min_raw, form.max_raw + 1, (5, 7)).astype(form.byte_type)
    reduced = with_input_bits(dataset(form, inputs), bits)
    kept = reduced.input_format
    assert (kept.width, kept.integer, kept.signed) == (bits, form.integer, form.signed)
    assert reduced.train_inputs.dtype == reduced.test_inputs.dtype == form.byte_type
    target = FixedPoint(bits, form.integer, form.signed, Rounding.RND, Overflow.SAT)
    step = Fraction(1, 2) ** form.fraction
    for raw, got in zip(inputs.ravel(), reduced.train_inputs.ravel(), strict=True):
        assert got == assigned(int(raw) * step, target)
    assert np.array_equal(reduced.test_inputs, reduced.train_inputs[:1])


def test_a_sign_alone_is_no_input() -> None:
    signed = dataset(FixedPoint(8, 1, signed=True), np.zeros((2, 2), dtype=np.int8))
    with pytest.raises(UsageError, match="signed inputs have at least 2 bits, got 1"):
        with_input_bits(signed, 1)
