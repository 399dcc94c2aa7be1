import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import (
    BYTE,
    MANY,
    SOME,
    arrays,
    assigned,
    networks,
    noise_of_read,
    raw_inputs,
    seeds,
    synapse_array,
    with_converters,
)
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import (
    Converter,
    QuantizedNetwork,
    SynapseArray,
    Trace,
    array_unit,
    first_difference,
    require_equal,
)
from synq.read_noise import ReadNoise

WIDE_TABLE = FixedPoint(16, 1, signed=True)


def drive(array: SynapseArray, inputs: list[int]) -> list[int]:
    """One sample's sums with Python's own integers, one synapse at a time."""
    rows = inputs if array.bias_input is None else [*inputs, array.bias_input]
    values = [[int(array.codebook[code]) for code in row] for row in array.codes]
    return [
        sum(x * row[j] for x, row in zip(rows, values, strict=True)) for j in range(array.n_out)
    ]


def constant_array(
    value: int, n_in: int, input_width: int, bias: int | None = None
) -> SynapseArray:
    codes = np.zeros((n_in + (bias is not None), 1), dtype=np.uint8)
    input_format = FixedPoint(input_width, 0, signed=False)
    return SynapseArray(codes, np.array([value]), WIDE_TABLE, input_format, bias, 1.0)


def two_layers(bias: bool = True) -> QuantizedNetwork:
    rng = np.random.default_rng(7)
    first = synapse_array(rng, 5, 4, bias=bias)
    second = synapse_array(rng, 4, 3, levels=5, bias=bias)
    return QuantizedNetwork((first, second), (BYTE,))


# ---- Arrays -------------------------------------------------------------------------------------


@MANY
@given(arrays(max_out=12, max_input_width=16), seeds)
def test_accumulate_is_the_plain_product(array: SynapseArray, seed: int) -> None:
    inputs = raw_inputs(np.random.default_rng(seed), 4, array)
    sums = array.accumulate(inputs)
    assert sums.dtype == np.int64
    assert sums.tolist() == [drive(array, sample) for sample in inputs.tolist()]


# float32 holds every integer up to 2**24; with table value 2**14 and all inputs at 2**k - 1 the
# greatest sum is just below or just above that, odd, and not a float32 any more.
@pytest.mark.parametrize("n_in", [1, 2, 3, 63, 64, 65, 784])
@pytest.mark.parametrize("value", [16383, 16384, 16385, 32767, -32768])
def test_accumulate_is_exact_about_the_float32_limit(n_in: int, value: int) -> None:
    for width in range(1, 17):
        array = constant_array(value, n_in, width, bias=1)
        top = array.input_format.max_raw
        inputs = np.full((2, n_in), top)
        inputs[1, 0] = top - 1
        expected = [[value * (n_in * top + 1)], [value * (n_in * top)]]
        assert array.accumulate(inputs).tolist() == expected


@SOME
@given(st.integers(8, 31), seeds)
def test_accumulate_is_exact_up_to_53_bits(width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    input_format = FixedPoint(width, 0, signed=False)
    array = synapse_array(rng, 30, 4, table_width=16, input_format=input_format)
    inputs = raw_inputs(rng, 3, array)
    assert array.accumulate(inputs).tolist() == [drive(array, s) for s in inputs.tolist()]


def test_sums_beyond_53_bits_are_refused() -> None:
    exact = constant_array(-32768, n_in=1, input_width=37)
    assert exact.accumulate(np.array([[2**37 - 1]])).tolist() == [[-32768 * (2**37 - 1)]]
    with pytest.raises(SynqError, match="more than 53 bits"):
        constant_array(-32768, n_in=2, input_width=38).accumulate(np.ones((1, 2), dtype=np.int64))


@MANY
@given(arrays(max_out=12, max_input_width=16))
def test_accumulator_range_is_reached_and_the_format_is_the_narrowest(array: SynapseArray) -> None:
    low, high = array.accumulator_range
    weights = array.weights[: array.n_in].T  # one row an output
    bottom, top = array.input_format.min_raw, array.input_format.max_raw
    greatest = array.accumulate(np.where(weights > 0, top, bottom))
    least = array.accumulate(np.where(weights < 0, top, bottom))
    # 0 is in the range of partial sums even where every total has one sign
    bias = 0 if array.bias_input is None else array.weights[-1] * array.bias_input
    assert high == max(0, (np.diag(greatest) - np.minimum(bias, 0)).max())
    assert low == min(0, (np.diag(least) - np.maximum(bias, 0)).min())
    if array.bias_input is None:
        assert (low, high) == (np.diag(least).min(), np.diag(greatest).max())

    accumulator = array.accumulator
    assert accumulator.signed
    assert accumulator.min_raw <= low <= high <= accumulator.max_raw
    narrower = 1 << (accumulator.width - 2)
    assert accumulator.width == 2 or not (-narrower <= low and high < narrower)
    assert accumulator.fraction == array.input_format.fraction + array.table_format.fraction


@SOME
@given(arrays(max_out=6), seeds)
def test_partial_sums_stay_inside_in_any_order(array: SynapseArray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = array.accumulator_range
    inputs = raw_inputs(rng, 1, array)[0]
    if array.bias_input is not None:
        inputs = np.append(inputs, array.bias_input)
    order = rng.permutation(array.n_rows)
    partial = np.cumsum(array.weights[order] * inputs[order, None], axis=0)
    assert low <= partial.min() and partial.max() <= high


@MANY
@given(arrays(max_out=6), seeds)
def test_each_tile_is_converted_and_the_results_added(array: SynapseArray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = with_converters(rng, array)
    assert array.converter is not None
    rows, form = array.converter.tile_rows, array.converter.format
    inputs = raw_inputs(rng, 4, array)
    low, high = array.accumulator_range
    unit = Fraction(1, 2) ** (array.input_format.fraction + array.table_format.fraction)
    before = int(rng.integers(0, 1 << 20))  # images
    all_sums = array.accumulate(inputs, before).tolist()
    for image, (sample, sums) in enumerate(zip(inputs.tolist(), all_sums, strict=True)):
        signal = sample if array.bias_input is None else [*sample, array.bias_input]
        for output, total in enumerate(sums):
            column = [int(array.codebook[code]) for code in array.codes[:, output]]
            products = [x * weight for x, weight in zip(signal, column, strict=True)]
            parts = [sum(products[at : at + rows]) for at in range(0, array.n_rows, rows)]
            for part in parts:
                assert array.partial.min_raw <= part <= array.partial.max_raw
            if array.noise is not None:
                read = (before + image) * len(parts)
                for tile in range(len(parts)):
                    parts[tile] += noise_of_read(array.noise, read + tile, output, array.n_out)
            converted = [assigned(part * unit, form) for part in parts]
            assert total == sum(converted)
            running = np.cumsum([0, *converted])
            assert low <= running.min() and running.max() <= high
    assert array.accumulator.fraction == form.fraction
    weights = np.sign(array.weights[: array.n_in].T)
    ends = array.input_format.max_raw, array.input_format.min_raw
    if array.bias_input is None and array.noise is None:  # all rows at their worst: it is reached
        greatest = np.diag(array.accumulate(np.where(weights > 0, *ends)))
        assert greatest.max() == high
        assert np.diag(array.accumulate(np.where(weights < 0, *ends))).min() == low


def test_noise_is_of_the_samples_read_before() -> None:
    rng = np.random.default_rng(6)
    array = synapse_array(rng, 12, 4)
    form = FixedPoint(8, array.accumulator.integer, True, Rounding.RND, Overflow.SAT)
    noise = ReadNoise.of(2.0 ** (array.accumulator.fraction - form.fraction), 1, 0)
    noisy = replace(array, converter=Converter(5, form, noise))
    inputs = raw_inputs(rng, 40, array)
    whole = noisy.accumulate(inputs)
    in_parts = [noisy.accumulate(inputs[:15]), noisy.accumulate(inputs[15:], 15)]
    assert np.array_equal(whole, np.concatenate(in_parts))
    again = noisy.accumulate(inputs, 40)
    quiet = replace(array, converter=Converter(5, form)).accumulate(inputs)
    for one, other in ((whole, again), (whole, quiet), (again, quiet)):
        assert 0.5 < np.mean(one != other) < 1
    network = QuantizedNetwork((noisy,), ())
    assert network.noisy and not QuantizedNetwork((array,), ()).noisy
    assert np.array_equal(network.run(inputs, 40).accumulators[0], again)


def test_a_converter_that_is_fine_and_wide_enough_changes_nothing() -> None:
    array = synapse_array(np.random.default_rng(3), 20, 5, bias=True)
    form = replace(array.accumulator, rounding=Rounding.RND, overflow=Overflow.SAT)
    inputs = raw_inputs(np.random.default_rng(4), 50, array)
    for rows in (1, 7, 20, 21, 1000):
        divided = replace(array, converter=Converter(rows, form))
        assert np.array_equal(divided.accumulate(inputs), array.accumulate(inputs))


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        (0, FixedPoint(6, 6, True, Rounding.RND, Overflow.SAT)),
        (True, FixedPoint(6, 6, True, Rounding.RND, Overflow.SAT)),
        (8, FixedPoint(6, 6, False, Rounding.RND, Overflow.SAT)),
        (8, FixedPoint(6, 6, True, Rounding.TRN, Overflow.SAT)),
        (8, FixedPoint(6, 6, True, Rounding.RND, Overflow.WRAP)),
    ],
)
def test_invalid_converter(rows: int, form: FixedPoint) -> None:
    with pytest.raises(ValueError, match=r"tile|converter"):
        Converter(rows, form)


def test_converters_survive_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    array = with_converters(rng, synapse_array(rng, 9, 3, bias=True))
    assert array.converter is not None
    noise = ReadNoise.of(100.0, 1, 0)
    array = replace(array, converter=replace(array.converter, noise=noise))
    network = QuantizedNetwork((array,), ())
    path = tmp_path / "network.npz"
    path.write_bytes(network.to_npz())
    again = QuantizedNetwork.from_npz(path)
    assert array.noise is not None
    assert again.arrays[0].converter == array.converter
    quiet = replace(array, converter=replace(array.converter, noise=None))
    assert network.digest != QuantizedNetwork((quiet,), ()).digest
    assert again.digest == network.digest
    assert network.digest != QuantizedNetwork((replace(array, converter=None),), ()).digest


def test_properties() -> None:
    rng = np.random.default_rng(0)
    array = synapse_array(rng, 6, 3, levels=9, bias=True)
    assert (array.n_rows, array.n_in, array.n_out, array.effective_levels) == (7, 6, 3, 9)
    assert array.weights.shape == (7, 3)
    assert array_unit(array) == pytest.approx(array.scale * 128 / 127)


@pytest.mark.parametrize(
    ("levels", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (256, 8)]
)
def test_code_bits(levels: int, bits: int) -> None:
    assert synapse_array(np.random.default_rng(0), 1, 1, levels=levels).code_bits == bits


def test_arrays_are_copied_and_read_only() -> None:
    codes, codebook = np.zeros((2, 2), dtype=np.uint8), np.array([3])
    array = SynapseArray(codes, codebook, WIDE_TABLE, BYTE, None, 1.0)
    codes[0, 0] = 1
    codebook[0] = 5
    assert array.codes.max() == 0 and array.codebook.tolist() == [3]
    for part in (array.codes, array.codebook):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0


INVALID = {
    "codes not a matrix": {"codes": np.zeros(4, dtype=np.uint8)},
    "codes not uint8": {"codes": np.zeros((2, 2), dtype=np.int64)},
    "no row": {"codes": np.zeros((0, 2), dtype=np.uint8)},
    "no column": {"codes": np.zeros((2, 0), dtype=np.uint8)},
    "bias row only": {"codes": np.zeros((1, 2), dtype=np.uint8), "bias_input": 1},
    "code outside": {"codes": np.full((2, 2), 3, dtype=np.uint8)},
    "codebook empty": {"codebook": np.array([], dtype=np.int64)},
    "codebook descending": {"codebook": np.array([3, 2, 1])},
    "codebook repeats": {"codebook": np.array([1, 1, 2])},
    "codebook not integers": {"codebook": np.array([0.5, 1.5, 2.5])},
    "codebook not a vector": {"codebook": np.array([[1], [2], [3]])},
    "codebook below the table": {"codebook": np.array([-129, 0, 1])},
    "codebook above the table": {"codebook": np.array([0, 1, 128])},
    # its differences wrap around int64
    "codebook far below, in the middle": {"codebook": np.array([2**62, -(2**62) - 2**61, 0])},
    "table without an integer bit": {"table_format": FixedPoint(8, 0, signed=True)},
    "table without a fraction bit": {"table_format": FixedPoint(9, 9, signed=True)},
    "converter finer than the sums": {
        "converter": Converter(4, FixedPoint(8, -20, True, Rounding.RND, Overflow.SAT))
    },
    "unsigned table": {"table_format": FixedPoint(8, 1, signed=False)},
    "bias too large for a signed input": {
        "input_format": FixedPoint(8, 1, signed=True),
        "bias_input": 128,
    },
    "bias zero": {"bias_input": 0},
    "bias too large": {"bias_input": 256},
    "bias not an integer": {"bias_input": 1.5},
    "bias a truth value": {"bias_input": True},
    "scale zero": {"scale": 0.0},
    "scale nan": {"scale": float("nan")},
    "sums of too fine a step": {"input_format": FixedPoint(8, -990, signed=False)},
    "sums beyond int64": {"input_format": FixedPoint(60, 0, signed=False)},
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID.keys())
def test_invalid_array(change: dict[str, object]) -> None:
    valid = {
        "codes": np.zeros((2, 2), dtype=np.uint8),
        "codebook": np.array([-1, 0, 1]),
        "table_format": FixedPoint(8, 1, signed=True),
        "input_format": BYTE,
        "bias_input": None,
        "scale": 1.0,
    }
    SynapseArray(**valid)
    with pytest.raises(ValueError):
        SynapseArray(**{**valid, **change})


@pytest.mark.parametrize("shape", [(5,), (2, 4), (2, 6), (1, 1, 5)])
def test_inputs_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"inputs must be \(n_samples, 5\)"):
        two_layers().run(np.zeros(shape, dtype=np.uint8))


# A format's inputs are those that accumulator_range speaks of: beyond, a sum can leave it.
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.array([[0, 1, 2, 3, 256]]), "inputs must be between 0 and 255, got 256"),
        (np.array([[0, 255, 2, -1, 256]]), "inputs must be between 0 and 255, got -1"),
        (np.array([[-128] * 5], dtype=np.int8), "inputs must be between 0 and 255, got -128"),
        (np.full((2, 5), 2**64 - 1, dtype=np.uint64), f"0 and 255, got {2**64 - 1}"),
        (np.full((1, 5), 0.5), "inputs must be integers of 0 to 255, got float64"),
        (np.ones((1, 5), dtype=bool), "inputs must be integers of 0 to 255, got bool"),
        (np.array([["1"] * 5]), "inputs must be integers of 0 to 255, got <U1"),
    ],
)
def test_inputs_outside_their_format(inputs: np.ndarray, message: str) -> None:
    network = two_layers()
    for compute in (network.run, network.arrays[0].accumulate):
        with pytest.raises(SynqError, match=message):
            compute(inputs)


def test_signed_inputs_outside_their_format() -> None:
    array = replace(two_layers(bias=False).arrays[0], input_format=FixedPoint(4, 1, signed=True))
    assert array.accumulate(np.array([[-8, 7, 0, 0, 0]], dtype=np.int8)).shape == (1, 4)
    for value in (-9, 8):
        with pytest.raises(SynqError, match=f"must be between -8 and 7, got {value}"):
            array.accumulate(np.array([[value, 0, 0, 0, 0]]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_inputs_of_every_integer_type(dtype: type[np.integer]) -> None:
    network = two_layers()
    inputs = raw_inputs(np.random.default_rng(4), 20, network.arrays[0])
    assert np.array_equal(network.run(inputs.astype(dtype)).table(), network.run(inputs).table())


def test_no_samples() -> None:
    network = two_layers()
    trace = network.run(np.zeros((0, 5), dtype=np.uint8))
    assert [values.shape for _, values in trace.stages()] == [(0, 4), (0, 4), (0, 3), (0, 1)]
    assert all(values.dtype == np.int64 for _, values in trace.stages())
    with pytest.raises(ValueError, match=r"\(0,\) labels for \(0,\) samples"):
        trace.accuracy(np.zeros(0, dtype=np.int64))


# ---- Networks -----------------------------------------------------------------------------------


@MANY
@given(networks(), seeds)
def test_run_is_the_network_computed_one_by_one(network: QuantizedNetwork, seed: int) -> None:
    inputs = raw_inputs(np.random.default_rng(seed), 4, network.arrays[0])
    trace = network.run(inputs)
    for sample, signal in enumerate(inputs.tolist()):
        for index, array in enumerate(network.arrays):
            sums = drive(array, signal)
            assert trace.accumulators[index][sample].tolist() == sums
            if index < len(network.activations):
                unit = Fraction(1, 2) ** (array.input_format.fraction + array.table_format.fraction)
                target = network.activations[index]
                signal = [assigned(max(s, 0) * unit, target) for s in sums]
                assert trace.activations[index][sample].tolist() == signal
        pair = sums if len(sums) > 1 else [-sums[0], sums[0]]
        assert trace.classes[sample] == pair.index(max(pair))


@pytest.mark.parametrize(("value", "classes"), [(7, [0, 1, 0]), (-7, [0, 0, 1])])
def test_the_class_of_one_output_is_its_sign(value: int, classes: list[int]) -> None:
    codes = np.zeros((1, 1), dtype=np.uint8)
    signed = FixedPoint(8, 1, signed=True)
    array = SynapseArray(codes, np.array([value]), WIDE_TABLE, signed, None, 1.0)
    trace = QuantizedNetwork((array,), ()).run(np.array([[0], [1], [-128]]))
    assert trace.classes.tolist() == classes
    sums = trace.accumulators[-1]
    assert trace.classes.tolist() == np.argmax(np.hstack([-sums, sums]), axis=1).tolist()


def test_a_tie_goes_to_the_first_class() -> None:
    codes = np.array([[0, 1, 1, 0, 1]], dtype=np.uint8)
    array = SynapseArray(codes, np.array([-5, 7]), WIDE_TABLE, BYTE, None, 1.0)
    trace = QuantizedNetwork((array,), ()).run(np.array([[0], [1], [255]]))
    assert trace.classes.tolist() == [0, 1, 1]


def test_trace() -> None:
    network = two_layers()
    inputs = raw_inputs(np.random.default_rng(1), 9, network.arrays[0])
    trace = network.run(inputs)
    names = [name for name, _ in trace.stages()]
    assert names == ["array_0", "activation_0", "array_1", "class"]
    assert trace.table().shape == (9, 4 + 4 + 3 + 1)
    assert np.array_equal(trace.head(3).table(), network.run(inputs[:3]).table())
    labels = trace.classes.copy()
    assert trace.accuracy(labels) == 100
    labels[:3] += 1
    assert trace.accuracy(labels) == pytest.approx(200 / 3)


def test_sizes_and_units() -> None:
    network = two_layers()
    first, second = network.arrays
    assert network.sizes == (5, 4, 3)
    assert network.input_format is first.input_format
    expected = second.accumulator.step * (128 / 127) ** 2 * first.scale * second.scale
    assert network.output_unit == pytest.approx(expected)


def test_parts_that_do_not_chain() -> None:
    first, second = two_layers().arrays
    for parts, activations in [
        ((), ()),
        ((first,), (BYTE,)),
        ((first, second), ()),
        ((first, first), (BYTE,)),
        ((first, second), (replace(BYTE, integer=1),)),
    ]:
        with pytest.raises(ValueError):
            QuantizedNetwork(parts, activations)
    signed = FixedPoint(8, 0, signed=True)
    with pytest.raises(ValueError, match="activations are unsigned"):
        QuantizedNetwork((first, replace(second, input_format=signed, bias_input=1)), (signed,))
    huge = replace(first, scale=1e308), replace(second, scale=1e308)
    with pytest.raises(ValueError, match="scales multiply"):
        QuantizedNetwork(huge, (BYTE,))


# ---- Files --------------------------------------------------------------------------------------


@SOME
@given(networks())
def test_npz_round_trip(
    tmp_path_factory: pytest.TempPathFactory, network: QuantizedNetwork
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.npz"
    path.write_bytes(network.to_npz())
    again = QuantizedNetwork.from_npz(path)
    assert again.to_npz() == network.to_npz()
    assert again.digest == network.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.activations == network.activations
    for read, array in zip(again.arrays, network.arrays, strict=True):
        assert np.array_equal(read.codes, array.codes)
        assert np.array_equal(read.codebook, array.codebook)
        assert (read.table_format, read.input_format) == (array.table_format, array.input_format)
        assert (read.bias_input, read.scale) == (array.bias_input, array.scale)


def test_npz_does_not_depend_on_the_memory_order() -> None:
    network = two_layers()
    turned = [replace(array, codes=np.asfortranarray(array.codes)) for array in network.arrays]
    assert QuantizedNetwork(tuple(turned), network.activations).to_npz() == network.to_npz()


def test_digest_sees_everything() -> None:
    network = two_layers()
    first, second = network.arrays
    codes = first.codes.copy()
    codes[0, 0] ^= 1
    codebook = first.codebook.copy()
    codebook[0] -= 1
    others = [
        replace(first, codes=codes),
        replace(first, codebook=codebook),
        replace(first, scale=np.nextafter(first.scale, 2)),
        replace(first, bias_input=first.bias_input % 255 + 1),
        replace(first, input_format=replace(BYTE, integer=1)),
    ]
    digests = {QuantizedNetwork((other, second), (BYTE,)).digest for other in others}
    assert len(digests | {network.digest}) == 6


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x04N."])
def test_not_an_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network.npz"
    path.write_bytes(content)
    with pytest.raises(SynqError, match="is not a quantized network"):
        QuantizedNetwork.from_npz(path)


def test_missing_npz(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match="is missing"):
        QuantizedNetwork.from_npz(tmp_path / "network.npz")


def test_pickle_in_npz_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "network.npz"
    np.savez(path, header=np.array([Bomb()], dtype=object))
    with pytest.raises(SynqError, match="not a quantized network"):
        QuantizedNetwork.from_npz(path)
    assert not (tmp_path / "ran").exists()


@SOME
@given(st.data())
def test_truncated_npz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = two_layers().to_npz()
    path = tmp_path_factory.getbasetemp() / "truncated.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(SynqError):
        QuantizedNetwork.from_npz(path)


@MANY
@given(st.data())
def test_damaged_npz_is_never_another_network(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    network = two_layers()
    content = bytearray(network.to_npz())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    try:
        again = QuantizedNetwork.from_npz(path)
    except SynqError:
        return
    assert again.digest == network.digest  # zip does not check every byte of its own bookkeeping


def test_damage_in_a_large_array_is_found(tmp_path: Path) -> None:
    array = synapse_array(np.random.default_rng(3), 784, 128)
    network = QuantizedNetwork((array,), ())
    content = network.to_npz()
    path = tmp_path / "network.npz"
    for position in range(2000, len(content) - 1000, 997):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(SynqError):
            QuantizedNetwork.from_npz(path)


@pytest.mark.parametrize(
    "change",
    [
        {"codes_0": None},
        {"codebook_0": np.array([0.0, 0.5])},
        {"codes_1": np.zeros((2, 2), dtype=np.uint8)},
        {"header": np.frombuffer(b"{}", dtype=np.uint8)},
        {"header": np.frombuffer(b'{"arrays": [], "activations": []}', dtype=np.uint8)},
        {"header": np.frombuffer(b"[" * 100_000, dtype=np.uint8)},
    ],
)
def test_npz_that_contradicts_itself(tmp_path: Path, change: dict[str, np.ndarray | None]) -> None:
    with np.load(io.BytesIO(two_layers().to_npz())) as parts:
        changed = {**dict(parts), **change}
    path = tmp_path / "network.npz"
    np.savez(path, **{name: part for name, part in changed.items() if part is not None})
    with pytest.raises(SynqError, match="not a quantized network"):
        QuantizedNetwork.from_npz(path)


ARRAY = "arrays", 0
HEADERS: list[tuple[tuple[object, ...], object]] = [
    *(((*ARRAY, "bias_input"), value) for value in (0.5, True, "7", [7], 10**30, -1)),
    *(((*ARRAY, "scale"), value) for value in (float("nan"), float("inf"), "1.5", 2, True, -1.0)),
    *(((*ARRAY, "table_format"), value) for value in (None, [], {}, "AP_TRN")),
    *(((*ARRAY, "input_format", "width"), value) for value in (8.0, "8", True, 64, 10**30)),
    *(((*ARRAY, "input_format", "signed"), value) for value in (0, "x", None)),
    *((ARRAY, value) for value in (None, [], {}, 7, "array")),
    *((("arrays",), value) for value in (None, {}, 7, "arrays", [], [[]])),
    *((("activations",), value) for value in (None, {}, [], [[]], [None], "x")),
]


@pytest.mark.parametrize(("place", "value"), HEADERS, ids=str)
def test_npz_with_a_bad_header(tmp_path: Path, place: tuple[str | int, ...], value: object) -> None:
    with np.load(io.BytesIO(two_layers().to_npz())) as parts:
        changed = dict(parts)
    header = holder = json.loads(changed["header"].tobytes())
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    changed["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    path = tmp_path / "network.npz"
    np.savez(path, **changed)
    with pytest.raises(SynqError, match="not a quantized network") as caught:
        QuantizedNetwork.from_npz(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{}", b"[" * 100_000, b"{\xff}", b"9" * 9000])
def test_npz_with_another_header(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "network.npz"
    np.savez(path, header=np.frombuffer(text, dtype=np.uint8))
    with pytest.raises(SynqError, match="not a quantized network"):
        QuantizedNetwork.from_npz(path)


def test_npz_whose_data_end_within_their_member(tmp_path: Path) -> None:
    """A deflate stream that says that it ends, and bytes behind it that nothing asks for."""
    header = two_layers().to_npz()
    with np.load(io.BytesIO(header)) as parts:
        whole = dict(parts)
    path = tmp_path / "network.npz"
    np.savez_compressed(path, **whole)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("header.npy")
    start = info.header_offset + 30 + len("header.npy")
    start += int.from_bytes(content[info.header_offset + 28 :][:2], "little")
    packer = zlib.compressobj(wbits=-15)
    short = packer.compress(b"\x93NUMPY\x01\x00v\x00{") + packer.flush()
    assert len(short) < info.compress_size
    path.write_bytes(content[:start] + short + content[start + len(short) :])
    with pytest.raises(SynqError, match="header cannot be read"):
        QuantizedNetwork.from_npz(path)


def test_npz_that_inflates_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    np.savez_compressed(path, header=np.zeros(10 << 20, dtype=np.uint8))
    with pytest.raises(SynqError, match="the arrays hold 10 MiB, at most 1 MiB"):
        QuantizedNetwork.from_npz(path)


# ---- Comparison ---------------------------------------------------------------------------------


def traced(n_samples: int = 6) -> Trace:
    network = two_layers()
    return network.run(raw_inputs(np.random.default_rng(2), n_samples, network.arrays[0]))


def copied(trace: Trace) -> list[tuple[str, np.ndarray]]:
    return [(name, values.copy()) for name, values in trace.stages()]


TRACE = traced()


def test_equal_traces_do_not_differ() -> None:
    assert first_difference(TRACE, copied(TRACE), "C simulation") is None
    assert require_equal(TRACE, copied(TRACE), "C simulation") == TRACE.table().size == 6 * 12


def test_nothing_compared_is_not_equal() -> None:
    nothing = TRACE.head(0)
    with pytest.raises(SynqError, match="RTL has computed no image"):
        require_equal(nothing, copied(nothing), "RTL")


@MANY
@given(st.data())
def test_corrupted_integers_are_found_and_named(data: st.DataObject) -> None:
    got = copied(TRACE)
    places = set()
    for _ in range(data.draw(st.integers(1, 4))):
        stage = data.draw(st.integers(0, len(got) - 1))
        image = data.draw(st.integers(0, len(TRACE.classes) - 1))
        neuron = data.draw(st.integers(0, got[stage][1].shape[1] - 1))
        if (image, stage, neuron) not in places:
            got[stage][1][image, neuron] ^= 1 << data.draw(st.integers(0, 62))
            places.add((image, stage, neuron))
    image, stage, neuron = min(places)  # the earliest image, in it the earliest stage
    name, wrong = got[stage]
    expected = TRACE.stages()[stage][1][image, neuron]
    assert first_difference(TRACE, got, "RTL") == (
        f"RTL differs from the integer reference at image {image}, {name}, neuron {neuron}: "
        f"expected {expected}, got {wrong[image, neuron]} "
        f"({len(places)} of 72 integers differ)"
    )
    with pytest.raises(SynqError, match=f"not bit-exact: RTL differs .* image {image}, {name}"):
        require_equal(TRACE, got, "RTL")


def test_stages_that_cannot_be_compared() -> None:
    got = copied(TRACE)
    with pytest.raises(ValueError, match="other stages"):
        first_difference(TRACE, got[:-1], "RTL")
    with pytest.raises(ValueError, match="other stages"):
        first_difference(TRACE, got[::-1], "RTL")
    with pytest.raises(ValueError, match=r"RTL reports array_0 as float64, not int64"):
        first_difference(TRACE, [(name, values * 1.0) for name, values in got], "RTL")
    got[1] = ("activation_0", got[1][1][:-1])
    with pytest.raises(ValueError, match=r"RTL reports activation_0 as \(5, 4\), not \(6, 4\)"):
        first_difference(TRACE, got, "RTL")
