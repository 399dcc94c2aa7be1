"""How codes lie in memory: every synapse is read back from the banks and from the C++ header."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import SOME, arrays, synapse_array
from synq.hls.layout import Layout
from synq.network import SynapseArray


def symmetric(array: SynapseArray) -> SynapseArray:
    """The array with a codebook that is its own mirror image."""
    half = np.unique(np.abs(array.codebook[array.codebook > array.table_format.min_raw]))[:100]
    codebook = np.unique(np.concatenate([half, -half]))
    if len(codebook) < 2:
        return array
    codes = (array.codes % len(codebook)).astype(np.uint8)
    return SynapseArray(
        codes, codebook, array.table_format, array.input_format, array.bias_input, array.scale
    )


def weights_of(layout: Layout, codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """The values of codes, as the hardware decodes them."""
    values, index, sign = (
        np.array(layout.signed.values),
        codes.astype(np.int64),
        np.zeros(codes.shape),
    )
    if layout.signed.has_sign:
        sign, index = (
            index >> (layout.signed.code_bits - 1),
            index % (1 << (layout.signed.code_bits - 1)),
        )
    return np.where(sign == 1, -values[index], values[index])


@SOME
@given(arrays(), st.integers(1, 9), st.booleans())
def test_every_synapse_is_in_its_bank(array: SynapseArray, rows: int, mirror: bool) -> None:
    array = symmetric(array) if mirror else array
    layout = Layout(array, rows)
    assert layout.codes.shape == (rows, layout.n_blocks, array.n_out)
    weights = weights_of(layout, layout.codes)
    for row in range(array.n_rows):
        assert np.array_equal(weights[row % rows, row // rows], array.weights[row])
    assert layout.codes.max() < 1 << layout.signed.code_bits


@SOME
@given(arrays(), st.integers(1, 4), st.booleans())
def test_the_header_holds_the_same_codes(array: SynapseArray, rows: int, mirror: bool) -> None:
    layout = Layout(symmetric(array) if mirror else array, rows)
    text = layout.header("array_7")
    declared = re.search(r"array_7_codes\[(\d+)\]\[(\d+)\]\[(\d+)\]", text)
    values = re.search(r"array_7_values\[\d+\] = \{([^}]*)\}", text)
    assert declared and values
    shape = tuple(int(number) for number in declared.groups())
    words = np.array([int(word, 16) for word in re.findall(r"0x([0-9a-f]{8})u", text)])
    assert shape == (rows, layout.n_blocks, layout.words_per_row)
    lanes = np.arange(array.n_out)
    shifts = lanes % layout.codes_per_word * layout.signed.code_bits
    words = words.reshape(shape)[:, :, lanes // layout.codes_per_word]
    assert np.array_equal((words >> shifts) & ((1 << layout.signed.code_bits) - 1), layout.codes)
    assert [int(value) for value in values[1].split(",")] == list(layout.signed.values)


@SOME
@given(arrays(max_in=8, max_out=4), st.integers(1, 4), st.booleans())
def test_no_input_overflows_a_bucket(array: SynapseArray, rows: int, mirror: bool) -> None:
    """The extremes are reached where a lane's inputs are all at one end, by their code's sign."""
    layout = Layout(symmetric(array) if mirror else array, rows)
    array = layout.array
    form = array.input_format
    ends = {end: np.full(array.n_rows, end) for end in (form.min_raw, form.max_raw)}
    if array.bias_input is not None:  # in between there are sums with and without it
        ends[form.min_raw][-1], ends[form.max_raw][-1] = 0, array.bias_input
    reached = [0, 0]
    for bank in range(rows):
        for lane in range(array.n_out):
            weights = array.weights[bank::rows, lane]
            for value in layout.signed.values:
                here = np.abs(weights) == value if layout.signed.has_sign else weights == value
                sign = np.where((weights < 0) & layout.signed.has_sign, -1, 1)[here]
                least, most = (drive[bank::rows][here] * sign for drive in ends.values())
                reached[0] = min(reached[0], int(np.minimum(least, most).sum()))
                reached[1] = max(reached[1], int(np.maximum(least, most).sum()))
    limit = 1 << (layout.bucket_width - 1)
    assert -limit <= reached[0] and reached[1] < limit
    smaller = limit // 2
    assert layout.bucket_width == 2 or reached[0] < -smaller or reached[1] >= smaller


@pytest.mark.parametrize(
    ("levels", "values", "bits"), [(2, 1, 1), (3, 2, 2), (5, 3, 3), (10, 5, 4), (25, 13, 5)]
)
def test_a_sign_bit_costs_nothing(levels: int, values: int, bits: int) -> None:
    array = synapse_array(np.random.default_rng(0), 30, 4)
    codebook = np.arange(levels) * 2 - (levels - 1)
    codes = (np.arange(120) % levels).reshape(30, 4).astype(np.uint8)
    array = SynapseArray(codes, codebook, array.table_format, array.input_format, None, 1.0)
    layout = Layout(array, 4)
    assert layout.signed.has_sign and len(layout.signed.values) == values
    assert layout.signed.code_bits == array.code_bits == bits


def test_an_asymmetric_codebook_has_no_sign_bit() -> None:
    array = synapse_array(np.random.default_rng(0), 5, 4, levels=3)
    array = SynapseArray(
        array.codes, np.array([-3, 0, 2]), array.table_format, array.input_format, None, 1.0
    )
    assert not Layout(array, 1).signed.has_sign
    assert Layout(array, 1).signed.values == (-3, 0, 2)
