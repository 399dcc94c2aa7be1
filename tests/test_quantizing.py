import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import BYTE, MANY, SOME, assigned, seeds, unsigned_formats
from synq.device import Branch, Device, device_names, load_device
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.float_network import FloatNetwork
from synq.network import QuantizedNetwork, array_unit
from synq.quantizing import (
    Count,
    Mapping,
    Method,
    Quantization,
    Ranges,
    choose_activation_format,
    dequantize,
    encode,
    level_values,
    nearest_index,
    quantize_network,
    signed_reference_values,
    snap,
    uniform_levels,
)
from synq.read_noise import ReadNoise
from synq.tile import Tile

PCMO = load_device("pcmo")
CHOICES = [
    (method, mapping, count, branch)
    for method, mapping, count, branch in product(Method, Mapping, Count, Branch)
    if (method, branch) != (Method.SAMPLING, Branch.UNION)
]
FINE = Quantization(255, Method.UNIFORM, table_width=16, activation_bits=16)

every_choice = pytest.mark.parametrize(("method", "mapping", "count", "branch"), CHOICES)


# ---- Levels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", Count)
def test_uniform_levels(count: Count) -> None:
    for levels in range(2, 129):
        values = uniform_levels(levels, count)
        assert len(values) == (levels if count is Count.SIGNED else 2 * levels - 1)
        assert (values[0], values[-1]) == (-1.0, 1.0)
        assert np.array_equal(values, -values[::-1])  # symmetric to the last bit
        assert np.diff(values) == pytest.approx(2 / (len(values) - 1))
        assert (0.0 in values) == (len(values) % 2 == 1)


def test_uniform_levels_by_hand() -> None:
    assert uniform_levels(4, Count.SIGNED) == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert uniform_levels(5, Count.SIGNED).tolist() == [-1, -0.5, 0, 0.5, 1]
    assert uniform_levels(3, Count.MAGNITUDE).tolist() == [-1, -0.5, 0, 0.5, 1]


@MANY
@given(
    st.lists(st.integers(-64, 64), min_size=1, max_size=20, unique=True),
    st.lists(st.integers(-300, 300), min_size=1, max_size=20),
)
def test_snap_is_the_nearest_and_ties_go_down(targets: list[int], values: list[int]) -> None:
    # quarters of an integer: every distance and every tie is exact
    ascending = sorted(targets)
    expected = [min(ascending, key=lambda t, v=v: (abs(4 * t - v), t)) for v in values]
    snapped = snap(np.array(values) / 4, np.array(ascending, dtype=np.float64))
    assert snapped.tolist() == expected


@MANY
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=20, unique=True),
    st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=20),
)
def test_nearest_index_is_the_argmin(targets: list[float], values: list[float]) -> None:
    ascending = np.sort(targets)
    for value, index in zip(values, nearest_index(np.array(values), ascending), strict=True):
        distance = np.abs(ascending - value)
        assert distance[index] <= distance.min() + 1e-15


@pytest.mark.parametrize("name", device_names())
def test_signed_reference_values(name: str) -> None:
    device = load_device(name)
    for branch in Branch:
        reference = device.reference_values(branch)
        pair = signed_reference_values(device, branch, Mapping.DIFFERENTIAL)
        assert np.array_equal(pair, -pair[::-1])
        assert len(pair) == 2 * len(reference) - 1  # zero is its own mirror image
        single = signed_reference_values(device, branch, Mapping.OFFSET)
        assert single == pytest.approx(2 * reference - 1)
        for values in (pair, single):
            assert (values[0], values[-1]) == (-1, 1)
            assert (np.diff(values) > 0).all()


@every_choice
@pytest.mark.parametrize("levels", [2, 3, 5, 10, 25, 128])
def test_level_values(
    method: Method, mapping: Mapping, count: Count, branch: Branch, levels: int
) -> None:
    for device in map(load_device, ("pcmo", "gst-pcm", "taox-hfox")):
        choice = Quantization(levels, method, mapping, count, branch)
        decided, realized = level_values(choice, device)
        references = signed_reference_values(device, branch, mapping)
        if method is Method.NEAREST:
            assert np.array_equal(decided, references)
        else:
            assert len(decided) == len(uniform_levels(levels, count))
        for values in (decided, realized):
            assert (values[0], values[-1]) == (-1, 1)
            assert (np.diff(values) >= 0).all()
        if method is Method.PROPOSED:
            assert np.isin(realized, references).all()
            nearest = np.abs(references - decided[:, None]).min(axis=1)
            assert np.abs(realized - decided) == pytest.approx(nearest, abs=1e-15)
        else:
            assert np.array_equal(decided, realized)
        if method is Method.UNIFORM:
            assert np.array_equal(realized, uniform_levels(levels, count))
        if len(decided) % 2 and mapping is Mapping.DIFFERENTIAL:
            assert realized[len(realized) // 2] == 0  # an odd number of levels has an exact zero


def test_sampling_takes_samples_of_the_curve() -> None:
    magnitude = np.array([0, 0.25, 0.5, 0.75, 1])
    curve = PCMO.curve(Branch.LTP, magnitude)
    choice = Quantization(5, Method.SAMPLING, count=Count.MAGNITUDE)
    _, mirrored = level_values(choice, PCMO)
    assert mirrored == pytest.approx([*-curve[:0:-1], *curve])
    _, offset = level_values(Quantization(5, Method.SAMPLING, Mapping.OFFSET), PCMO)
    assert offset == pytest.approx(2 * curve - 1)


# Distinct values left of L uniform levels of 0..1
@pytest.mark.parametrize(
    ("branch", "effective"),
    [
        (Branch.LTP, [5, 15, 19, 23]),
        (Branch.LTD, [5, 11, 13, 14]),
        (Branch.UNION, [5, 15, 20, 25]),
    ],
)
def test_effective_levels(branch: Branch, effective: list[int]) -> None:
    for levels, of_magnitude in zip((5, 15, 20, 25), effective, strict=True):
        for count, given_levels in ((Count.MAGNITUDE, levels), (Count.SIGNED, 2 * levels - 1)):
            choice = Quantization(given_levels, count=count, branch=branch, table_width=16)
            assert len(np.unique(level_values(choice, PCMO)[1])) == 2 * of_magnitude - 1
            assert len(encode(np.zeros(1), choice, PCMO)[1]) == 2 * of_magnitude - 1
    # one device over -1..1 is the same curve over 0..1
    choice = Quantization(25, mapping=Mapping.OFFSET, branch=branch, table_width=16)
    assert len(encode(np.zeros(1), choice, PCMO)[1]) == effective[-1]


# ---- Codes --------------------------------------------------------------------------------------


@every_choice
@pytest.mark.parametrize(("levels", "width"), [(2, 8), (5, 2), (10, 8), (25, 16), (128, 5)])
def test_codes_point_to_the_value_of_the_nearest_level(
    method: Method, mapping: Mapping, count: Count, branch: Branch, levels: int, width: int
) -> None:
    choice = Quantization(levels, method, mapping, count, branch, table_width=width)
    weights = np.random.default_rng(levels).uniform(-1.2, 1.2, (30, 20))
    codes, codebook = encode(weights, choice, PCMO)
    assert codes.dtype == np.uint8 and codes.shape == weights.shape
    assert codebook.dtype == np.int64 and (np.diff(codebook) > 0).all()

    decided, realized = level_values(choice, PCMO)
    nearest = np.abs(decided - weights[..., None]).argmin(axis=-1)
    full_scale = 2 ** (width - 1) - 1
    assert np.array_equal(codebook[codes], np.rint(realized[nearest] * full_scale))
    assert set(codebook.tolist()) == set(np.rint(realized * full_scale).astype(int).tolist())
    assert (codebook[0], codebook[-1]) == (-full_scale, full_scale)


def test_weights_beyond_full_scale_are_clipped() -> None:
    codes, codebook = encode(np.array([-1e9, -1.0, 1.0, 1e9]), Quantization(10), PCMO)
    assert codebook[codes].tolist() == [-127, -127, 127, 127]


def test_more_values_than_codes_are_refused() -> None:
    many = replace(PCMO, states=200)
    choice = Quantization(10, Method.NEAREST, table_width=16)
    with pytest.raises(UsageError, match="gives 399 distinct values, at most 256"):
        encode(np.zeros(1), choice, many)
    encode(np.zeros(1), replace(choice, table_width=8), many)


@pytest.mark.parametrize(("width", "end"), [(2, 1), (4, 7), (8, 127), (16, 32767)])
def test_full_scale(width: int, end: int) -> None:
    choice = Quantization(5, Method.UNIFORM, table_width=width)
    codes, codebook = encode(np.array([-1.0, 0.0, 1.0]), choice, PCMO)
    assert codebook[codes].tolist() == [-end, 0, end]


# Independent of synq: CrossSim's balanced mapping rounds the magnitude to L - 1 steps.
@SOME
@given(st.integers(2, 128), seeds)
def test_uniform_step_is_crosssims_balanced_mapping(levels: int, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(-1, 1, 500)
    steps = np.abs(weights) * (levels - 1)
    weights = weights[np.abs(steps % 1 - 0.5) > 1e-9]  # at a tie either neighbour is nearest
    expected = np.sign(weights) * np.rint(np.abs(weights) * (levels - 1)) / (levels - 1)
    choice = Quantization(levels, Method.UNIFORM, count=Count.MAGNITUDE, table_width=16)
    assert snap(weights, level_values(choice, PCMO)[0]) == pytest.approx(expected, abs=1e-12)
    codes, codebook = encode(weights, choice, PCMO)
    assert codebook[codes] / 32767 == pytest.approx(expected, abs=0.5 / 32767 + 1e-12)


# ---- Choices ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 0}, "levels must be between 2 and 256, got 0"),
        ({"levels": 1}, "levels must be between 2 and 256, got 1"),
        ({"levels": 300}, "levels must be between 2 and 256, got 300"),
        ({"levels": 200, "count": Count.MAGNITUDE}, "levels must be at most 128 .* got 200"),
        ({"levels": 129, "count": Count.MAGNITUDE}, "levels must be at most 128 .* got 129"),
        ({"levels": 5, "table_width": 1}, "table width must be between 2 and 16, got 1"),
        ({"levels": 5, "table_width": 17}, "table width must be between 2 and 16, got 17"),
        ({"levels": 5, "activation_bits": 0}, "activation bits must be between 1 and 16, got 0"),
        ({"levels": 5, "activation_bits": 17}, "activation bits must be between 1 and 16, got 17"),
        ({"levels": 5, "input_bits": 0}, "input bits must be between 1 and 8, got 0"),
        ({"levels": 5, "input_bits": 9}, "input bits must be between 1 and 8, got 9"),
        ({"levels": 5, "percentile": 49.9}, "percentile must be between 50 and 100, got 49.9"),
        ({"levels": 5, "percentile": 100.5}, "percentile must be between 50 and 100, got 100.5"),
        ({"levels": 5, "percentile": float("nan")}, "percentile must be between 50 and 100"),
        (
            {"levels": 5, "method": Method.SAMPLING, "branch": Branch.UNION},
            "choose branch ltp or ltd",
        ),
    ],
)
def test_choice_out_of_range(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Quantization(**fields)


def test_choices_at_the_ends() -> None:
    Quantization(2, percentile=50, table_width=2, activation_bits=1)
    Quantization(256, table_width=16, activation_bits=16)
    Quantization(128, count=Count.MAGNITUDE)


# ---- Networks -----------------------------------------------------------------------------------


def float_network(
    rng: np.random.Generator, sizes: list[int], bias: bool, bias_size: float = 1.0
) -> FloatNetwork:
    weights = [rng.normal(0, 1, shape) for shape in pairwise(sizes)]
    # each layer's larger than the last one's, whose sums drive it
    biases = [rng.normal(0, bias_size**k, n) if bias else None for k, n in enumerate(sizes[1:], 1)]
    return FloatNetwork(tuple(weights), tuple(biases))


def random_case(
    seed: int, sizes: list[int], bias: bool, choice: Quantization, bias_size: float = 1.0
) -> tuple[FloatNetwork, QuantizedNetwork, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    network = float_network(rng, sizes, bias, bias_size)
    inputs = rng.integers(0, 256, (40, sizes[0]), dtype=np.uint8)
    try:
        quantized = quantize_network(network, choice, PCMO, BYTE, inputs)
    except SynqError as error:
        assert bias and "next to a much larger bias" in str(error)
        reject()  # possible with one or two weights and few levels
    return network, quantized, inputs


shapes = st.lists(st.integers(1, 12), min_size=2, max_size=5)


@SOME
@given(seeds, shapes, st.booleans(), st.integers(2, 30), st.integers(1, 16))
def test_shapes_and_formats(
    seed: int, sizes: list[int], bias: bool, levels: int, bits: int
) -> None:
    choice = Quantization(levels, activation_bits=bits)
    _, quantized, _ = random_case(seed, sizes, bias, choice)
    assert quantized.sizes == tuple(sizes)
    assert quantized.input_format == BYTE
    for array in quantized.arrays:
        assert array.table_format == FixedPoint(8, 1, signed=True)
        assert array.bias_input == (array.input_format.max_raw if bias else None)
        assert array.n_rows == array.n_in + bias
    for activation, after in zip(quantized.activations, quantized.arrays[1:], strict=True):
        assert after.input_format == activation
        assert activation.width == bits and not activation.signed
        assert activation.rounding is Rounding.RND_CONV
        assert activation.overflow is Overflow.SAT


@SOME
@given(seeds, shapes, st.booleans())
def test_fine_levels_keep_weights_and_biases(seed: int, sizes: list[int], bias: bool) -> None:
    network, quantized, _ = random_case(seed, sizes, bias, FINE)
    again = dequantize(quantized)
    assert again.sizes == network.sizes
    unit = 1.0
    for index, array in enumerate(quantized.arrays):
        # half a level, half a table step, and float32
        tolerance = array.scale * (1 / 254 + 0.5 / 32767 + 1e-6)
        assert again.weights[index] == pytest.approx(network.weights[index], abs=tolerance)
        if bias:
            drive = array.bias_input * array.input_format.step * unit
            expected = pytest.approx(network.biases[index], abs=tolerance * drive)
            assert again.biases[index] == expected
        else:
            assert again.biases[index] is None
        unit *= array_unit(array)


@SOME
@given(seeds, shapes, st.booleans(), st.sampled_from([1.0, 100.0]))
def test_scale_is_the_largest_weight(
    seed: int, sizes: list[int], bias: bool, bias_size: float
) -> None:
    network, quantized, _ = random_case(seed, sizes, bias, Quantization(10), bias_size)
    unit = 1.0
    for weight, offset, array in zip(
        network.weights, network.biases, quantized.arrays, strict=True
    ):
        largest = np.abs(weight).max()
        if offset is not None:
            drive = array.bias_input * array.input_format.step * unit
            largest = max(largest, np.abs(offset).max() / drive)
        assert array.scale == pytest.approx(largest, rel=1e-6)
        assert np.abs(array.weights).max() == 127
        unit *= array_unit(array)


@SOME
@given(seeds, shapes, st.booleans(), st.integers(2, 30), st.integers(6, 16))
def test_integer_logits_are_those_of_the_dequantized_network(
    seed: int, sizes: list[int], bias: bool, levels: int, bits: int
) -> None:
    """Both compute the same network, but for the rounding of hidden activations.

    An error e at a layer's inputs is at most e * (largest column sum of |w|) at its outputs; ReLU
    passes it on, and each requantization adds its own, measured here.
    """
    choice = Quantization(levels, activation_bits=bits)
    _, quantized, inputs = random_case(seed, sizes, bias, choice)
    real = dequantize(quantized)
    trace = quantized.run(inputs)

    error, largest, unit = 0.0, 255 / 256, 1.0
    for index, array in enumerate(quantized.arrays):
        unit *= array_unit(array)
        gain = float(np.abs(real.weights[index]).sum(axis=0).max())
        offset = 0 if real.biases[index] is None else float(np.abs(real.biases[index]).max())
        error, largest = gain * error, gain * largest + offset
        if index < len(quantized.activations):
            activation = quantized.activations[index]
            positive = np.maximum(trace.accumulators[index], 0) * array.accumulator.step
            kept = trace.activations[index] * activation.step
            lost = np.abs(kept - positive)
            in_range = positive <= activation.max_raw * activation.step
            assert (lost[in_range] <= activation.step / 2).all()
            error += float(lost.max()) * unit
    logits = trace.accumulators[-1] * quantized.output_unit
    assert np.abs(logits - real.logits(inputs * BYTE.step)).max() <= error + 1e-5 * (largest + 1)


@SOME
@given(seeds, st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_one_layer_is_exact(seed: int, n_in: int, n_out: int, bias: bool) -> None:
    _, quantized, inputs = random_case(seed, [n_in, n_out], bias, Quantization(10))
    logits = quantized.run(inputs).accumulators[0] * quantized.output_unit
    assert logits == pytest.approx(
        dequantize(quantized).logits(inputs * BYTE.step), rel=1e-5, abs=1e-5 * np.abs(logits).max()
    )


@pytest.mark.parametrize("fraction", [0.5, 3.0])
def test_scale_of_the_weights_does_not_matter(fraction: float) -> None:
    """ReLU networks are positively homogeneous: only the output unit changes."""
    network, quantized, inputs = random_case(1, [9, 7, 5, 3], False, Quantization(10))
    scaled = FloatNetwork(tuple(w * np.float32(fraction) for w in network.weights), network.biases)
    again = quantize_network(scaled, Quantization(10), PCMO, BYTE, inputs)
    assert np.array_equal(again.run(inputs).table(), quantized.run(inputs).table())
    assert again.output_unit == pytest.approx(fraction**3 * quantized.output_unit)


def test_percentile_clips_the_largest_weights() -> None:
    rows = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    network = FloatNetwork((rows,), (None,))
    inputs = np.ones((1, 10), dtype=np.uint8)
    choice = replace(FINE, percentile=90.0)
    quantized = quantize_network(network, choice, PCMO, BYTE, inputs)
    assert quantized.arrays[0].scale == pytest.approx(np.percentile(rows, 90))
    clipped = np.minimum(rows, np.percentile(rows, 90))
    assert dequantize(quantized).weights[0] == pytest.approx(clipped, abs=90 / 254 + 0.01)


def test_percentile_zero_cannot_normalize() -> None:
    weights = np.zeros((4, 4), dtype=np.float32)
    weights[0, 0] = 1
    network = FloatNetwork((weights,), (None,))
    with pytest.raises(SynqError, match="use a higher percentile"):
        inputs = np.ones((1, 4), dtype=np.uint8)
        quantize_network(network, Quantization(5, percentile=50), PCMO, BYTE, inputs)


def test_weights_that_vanish_beside_the_bias() -> None:
    network = FloatNetwork((np.ones((4, 1), dtype=np.float32),), (np.array([9.0]),))
    with pytest.raises(SynqError, match="every weight of a layer becomes 0"):
        quantize_network(network, Quantization(5), PCMO, BYTE, np.ones((1, 4), dtype=np.uint8))


def test_inputs_must_fit_the_network() -> None:
    network = FloatNetwork((np.ones((4, 2), dtype=np.float32),), (None,))
    with pytest.raises(SynqError, match="takes 4 inputs, the data has 5"):
        inputs = np.ones((1, 5), dtype=np.uint8)
        quantize_network(network, Quantization(5), PCMO, BYTE, inputs)


def test_inputs_must_be_there_and_in_their_format() -> None:
    network, _, _ = random_case(5, [9, 7, 3], True, Quantization(10))
    with pytest.raises(SynqError, match="there are none"):
        quantize_network(network, Quantization(10), PCMO, BYTE, np.zeros((0, 9), dtype=np.uint8))
    with pytest.raises(SynqError, match="inputs must be between 0 and 15, got 16"):
        inputs = np.full((1, 9), 16, dtype=np.uint8)
        quantize_network(network, Quantization(10), PCMO, FixedPoint(4, 0, False), inputs)


@pytest.mark.parametrize("size", [1e38, 1e-38])
def test_weights_beyond_any_scale(size: float) -> None:
    network = FloatNetwork((np.full((2, 2), size, dtype=np.float32),) * 9, (None,) * 9)
    with pytest.raises(SynqError, match="the layers' weights multiply to"):
        inputs = np.full((1, 2), 255, dtype=np.uint8)
        quantize_network(network, Quantization(10), PCMO, BYTE, inputs)


def test_ranges_take_the_place_of_the_rules() -> None:
    network, quantized, inputs = random_case(5, [9, 7, 3], True, Quantization(10))
    ranges = Ranges(
        tuple(array.scale for array in quantized.arrays),
        quantized.activations,
    )
    again = quantize_network(network, Quantization(10), PCMO, BYTE, inputs, ranges)
    assert again.digest == quantized.digest
    other = Ranges(tuple(2 * s for s in ranges.scales), (FixedPoint(4, 3, signed=False),))
    changed = quantize_network(network, Quantization(10), PCMO, BYTE, inputs, other)
    assert tuple(array.scale for array in changed.arrays) == other.scales
    assert changed.activations == other.activations


scales = st.floats(0, exclude_min=True, allow_infinity=False)


@MANY
@given(st.data())
def test_ranges_survive_json(data: st.DataObject) -> None:
    chosen = tuple(data.draw(st.lists(scales, min_size=1, max_size=5)))
    formats = st.lists(unsigned_formats(), min_size=len(chosen) - 1, max_size=len(chosen) - 1)
    ranges = Ranges(chosen, data.draw(st.none() | formats.map(tuple)))
    assert Ranges.from_json(ranges.to_json()) == ranges


FOUR_BITS = FixedPoint(4, 3, signed=False)


@pytest.mark.parametrize(
    "fields",
    [
        ((), ()),
        ((1.0,), (FOUR_BITS,)),
        ((1.0, 2.0), ()),
        ((0.0, 2.0), (FOUR_BITS,)),
        ((1.0, float("nan")), (FOUR_BITS,)),
        ((1.0, float("inf")), None),
        ((1, 2.0), (FOUR_BITS,)),
        ((True, 2.0), (FOUR_BITS,)),
        (("1.0", 2.0), (FOUR_BITS,)),
        ((1.0, 2.0), (FixedPoint(4, 3, signed=True),)),
    ],
    ids=str,
)
def test_ranges_that_are_none(fields: tuple[Any, Any]) -> None:
    with pytest.raises((ValueError, SynqError)):
        Ranges(*fields)


@pytest.mark.parametrize(
    "text",
    [
        Ranges((0.1, 3.0), (FOUR_BITS,)).to_json()[:-9],
        "",
        "[]",
        "null",
        "{}",
        '{"scales": [1.0]}',
        '{"scales": "1", "activations": null}',
        '{"scales": ["1.0"], "activations": []}',
        '{"scales": [NaN], "activations": []}',
        '{"scales": [1.0, 1.0], "activations": [8]}',
        '{"scales": [1.0, 1.0], "activations": {"width": 8}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:50],
)
def test_damaged_ranges(text: str) -> None:
    with pytest.raises(SynqError, match=r"ranges of a network are damaged"):
        Ranges.from_json(text)


def test_ranges_of_another_network() -> None:
    network, _, inputs = random_case(5, [9, 7, 3], True, Quantization(10))
    with pytest.raises(SynqError, match="the ranges are of 1 layers, the network has 2"):
        quantize_network(network, Quantization(10), PCMO, BYTE, inputs, Ranges((1.0,), ()))


def test_same_network_same_bytes() -> None:
    first, second = (random_case(3, [20, 9, 4], True, Quantization(10))[1] for _ in range(2))
    assert first.to_npz() == second.to_npz()


# ---- Activation formats -------------------------------------------------------------------------


@MANY
@given(
    st.lists(st.integers(0, 2**20), min_size=1, max_size=12),
    st.integers(0, 16),
    st.integers(1, 12),
)
def test_activation_format_has_the_least_squared_error(
    sums: list[int], fraction: int, bits: int
) -> None:
    def error(target: FixedPoint) -> Fraction:
        unit = Fraction(1, 2**fraction)
        step = Fraction(1, 2) ** target.fraction
        return sum((assigned(s * unit, target) * step - s * unit) ** 2 for s in sums)

    chosen = choose_activation_format(np.array(sums), fraction, bits)
    widest = max(0, max(*sums, 1).bit_length() - fraction)  # nothing is clipped, only rounded
    candidates = [
        FixedPoint(bits, integer, False, Rounding.RND_CONV, Overflow.SAT)
        for integer in range(max(0, widest - 4), widest + 2)
    ]
    assert chosen in candidates
    least = min(map(error, candidates))
    assert float(error(chosen)) == pytest.approx(float(least), rel=1e-9)


def test_rare_large_sums_are_clipped() -> None:
    common = np.arange(10_000) % 256
    assert choose_activation_format(common, 0, 8).integer == 8
    assert choose_activation_format(np.append(common, 300), 0, 8).integer == 8
    assert choose_activation_format(np.append(common, [500] * 9_000), 0, 8).integer == 9


# ---- Converters ---------------------------------------------------------------------------------


def converted(bits: int | None, inputs: NDArray[np.uint8]) -> QuantizedNetwork:
    rng = np.random.default_rng(11)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((40, 12), (12, 4))]
    network = FloatNetwork(tuple(weights), (None, rng.normal(size=4).astype(np.float32)))
    choice = Quantization(10, tile=None if bits is None else Tile(16, 8), adc_bits=bits)
    return quantize_network(network, choice, PCMO, BYTE, inputs)


def test_converters_lose_less_the_more_bits_they_have() -> None:
    inputs = np.random.default_rng(12).integers(0, 256, (500, 40), dtype=np.uint8)
    exact = converted(None, inputs).run(inputs).accumulators[0] * 2.0**-15
    errors = []
    for bits in (3, 5, 7, 9, 16):
        network = converted(bits, inputs)
        array = network.arrays[0]
        assert array.converter is not None
        assert (array.converter.tile_rows, array.converter.format.width) == (16, bits)
        sums = network.run(inputs).accumulators[0] * array.sum_step
        errors.append(float(np.mean((sums - exact) ** 2)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4 * errors[0]


@pytest.mark.parametrize("mapping", list(Mapping))
def test_read_noise_is_what_cells_add_up_to(mapping: Mapping) -> None:
    """Each cell's conductance anew at each read, in floating point, against the noise drawn."""
    rng = np.random.default_rng(13)
    inputs = rng.integers(0, 256, (500, 40), dtype=np.uint8)
    network = FloatNetwork((rng.normal(size=(40, 6)).astype(np.float32),), (None,))
    choice = Quantization(10, mapping=mapping, tile=Tile(16, 8), adc_bits=12, read_noise=0.03)
    array = quantize_network(network, choice, PCMO, BYTE, inputs).arrays[0]
    assert array.noise is not None
    cells = 2 if mapping is Mapping.DIFFERENTIAL else 1
    off = rng.normal(0, 0.03, (300, 40, cells))  # shares of the window, of one column's cells
    weights = off[..., 0] - off[..., 1] if cells == 2 else 2 * off[..., 0]
    tiles = [weights[:, part] @ inputs[:300, part].T for part in (slice(0, 16), slice(16, 32))]
    tiles.append(weights[:, 32:] @ inputs[:300, 32:].T)
    full = array.table_format.max_raw
    assert array.noise.deviation == pytest.approx(full * np.std(tiles), rel=0.05)


def test_read_noise_is_the_devices_own_unless_told() -> None:
    inputs = np.random.default_rng(12).integers(0, 256, (50, 40), dtype=np.uint8)
    network = FloatNetwork((np.eye(40, 3, dtype=np.float32),), (None,))
    noisy = replace(PCMO, read_noise=0.02)
    choice = Quantization(10, tile=Tile(16, 8), adc_bits=8)

    def noise(device: Device, **options: Any) -> ReadNoise | None:
        quantized = quantize_network(network, replace(choice, **options), device, BYTE, inputs)
        return quantized.arrays[0].noise

    assert noise(PCMO) is None
    own = noise(noisy)
    assert own is not None and own == noise(PCMO, read_noise=0.02)
    assert noise(noisy, read_noise=0.0) is None
    other = noise(noisy, read_seed=1)
    assert other is not None and other.keys != own.keys
    assert noise(noisy, tile=None, adc_bits=None) is None


def test_a_tile_alone_changes_no_integer() -> None:
    inputs = np.random.default_rng(12).integers(0, 256, (50, 40), dtype=np.uint8)
    rng = np.random.default_rng(11)
    network = FloatNetwork((rng.normal(size=(40, 3)).astype(np.float32),), (None,))
    plain, tiled = (
        quantize_network(network, Quantization(10, tile=tile), PCMO, BYTE, inputs)
        for tile in (None, Tile(4, 4))
    )
    assert plain.digest == tiled.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adc_bits": 6}, "say how large a tile is"),
        ({"adc_bits": 1, "tile": Tile(8, 8)}, "adc bits must be between 2 and 16, got 1"),
        ({"adc_bits": 40, "tile": Tile(8, 8)}, "adc bits must be between 2 and 16, got 40"),
        ({"read_noise": 0.1}, "say how many bits they have"),
        ({"read_noise": 1.1, "adc_bits": 6, "tile": Tile(8, 8)}, "read noise must be between 0"),
        ({"read_noise": math.nan, "adc_bits": 6, "tile": Tile(8, 8)}, "read noise must be between"),
        ({"read_seed": -1}, "read seed must be between 0"),
    ],
)
def test_impossible_converters_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Quantization(10, **options)


@pytest.mark.parametrize("text", ["", "8", "8x", "0x8", "8x0", "axb", "8x8x8", "-1x8", "9" * 50])
def test_impossible_tiles_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a tile "):
        Tile.parsed(text)


def test_tile_is_read() -> None:
    assert Tile.parsed(" 128X64 ") == Tile(128, 64)
