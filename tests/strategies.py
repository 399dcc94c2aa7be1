"""Random integer networks, for hypothesis and by hand."""

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synq.device import load_device
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.float_network import FloatNetwork
from synq.geometry import DENSE, Geometry, Pool, Pooling, Shape, Window
from synq.network import Converter, QuantizedNetwork, SynapseArray
from synq.quantizing import Quantization, quantize_network
from synq.read_noise import ReadNoise
from synq.rtl.design import RtlArray, RtlDesign, wide_result

BYTE = FixedPoint(8, 0, signed=False)
SIGNED_BYTE = FixedPoint(8, 3, signed=True)

# Machines are slow now and then: no deadlines.
MANY = settings(deadline=None, max_examples=100)
SOME = settings(deadline=None, max_examples=30)

seeds = st.integers(0, 2**32 - 1)
modes = {"rounding": st.sampled_from(Rounding), "overflow": st.sampled_from(Overflow)}


def synapse_array(
    rng: np.random.Generator,
    n_in: int,
    n_out: int,
    *,
    levels: int = 10,
    table_width: int = 8,
    table_integer: int = 1,
    input_format: FixedPoint = BYTE,
    bias: bool = False,
) -> SynapseArray:
    """An array with `levels` random codebook values (as many as the table's width allows)."""
    half = 1 << (table_width - 1)
    levels = min(levels, 2 * half)
    codebook = np.sort(rng.choice(2 * half, levels, replace=False)) - half
    codes = rng.integers(0, levels, (n_in + bias, n_out), dtype=np.uint8)
    bias_input = int(rng.integers(1, input_format.max_raw + 1)) if bias else None
    scale = float(rng.uniform(0.1, 10))
    table_format = FixedPoint(table_width, table_integer, signed=True)
    return SynapseArray(
        codes, codebook.astype(np.int64), table_format, input_format, bias_input, scale
    )


def raw_inputs(rng: np.random.Generator, n_samples: int, array: SynapseArray) -> NDArray[np.int64]:
    """Raw integers over all of the array's input format, both ends included."""
    shape = (n_samples, array.n_in)
    low, high = array.input_format.min_raw, array.input_format.max_raw
    inputs = rng.integers(low, high + 1, shape, dtype=np.int64)
    return np.where(rng.random(shape) < 0.1, rng.choice([low, high], shape), inputs)


@st.composite
def unsigned_formats(draw: st.DrawFn, max_width: int = 12) -> FixedPoint:
    width = draw(st.integers(1, max_width))
    integer = draw(st.integers(-3, width + 3))
    return FixedPoint(width, integer, signed=False, **{k: draw(v) for k, v in modes.items()})


@st.composite
def input_formats(draw: st.DrawFn, max_width: int = 12) -> FixedPoint:
    """Of the first array: signed, too."""
    form = draw(unsigned_formats(max_width))
    signed = form.width > 1 and draw(st.booleans())
    return dataclasses.replace(form, signed=signed)


@st.composite
def arrays(
    draw: st.DrawFn, max_in: int = 12, max_out: int = 70, max_input_width: int = 12
) -> SynapseArray:
    table_width = draw(st.integers(2, 16))
    return synapse_array(
        np.random.default_rng(draw(seeds)),
        n_in=draw(st.integers(1, max_in)),
        n_out=draw(st.integers(1, max_out)),
        levels=draw(st.one_of(st.integers(1, 17), st.integers(1, 256))),
        table_width=table_width,
        table_integer=draw(st.integers(1, min(3, table_width - 1))),
        input_format=draw(input_formats(max_input_width)),
        bias=draw(st.booleans()),
    )


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 3, max_size: int = 8) -> QuantizedNetwork:
    rng = np.random.default_rng(draw(seeds))
    sizes = draw(st.lists(st.integers(1, max_size), min_size=2, max_size=max_layers + 1))
    layers: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    input_format = draw(input_formats())
    for n_in, n_out in pairwise(sizes):
        if layers:
            accumulator = layers[-1].accumulator
            activations.append(
                FixedPoint(
                    width=draw(st.integers(1, 12)),
                    integer=accumulator.integer - 1 + draw(st.integers(-3, 1)),
                    signed=False,
                    **{k: draw(v) for k, v in modes.items()},
                )
            )
            input_format = activations[-1]
        layers.append(
            synapse_array(
                rng,
                n_in,
                n_out,
                levels=draw(st.integers(1, 33)),
                table_width=draw(st.integers(2, 12)),
                input_format=input_format,
                bias=draw(st.booleans()),
            )
        )
    return QuantizedNetwork(tuple(layers), tuple(activations))


def assigned(value: Fraction, target: FixedPoint) -> int:
    """What `ap_fixed = value` holds, from the words of UG1399, in exact fractions."""
    steps = value * Fraction(2) ** target.fraction
    rounded = {
        Rounding.TRN: math.floor(steps),
        Rounding.RND: math.floor(steps + Fraction(1, 2)),
        Rounding.RND_CONV: round(steps),  # Python's own: ties to even
    }[target.rounding]
    low = -(1 << (target.width - 1)) if target.signed else 0
    high = low + (1 << target.width) - 1
    if target.overflow is Overflow.SAT:
        return min(max(rounded, low), high)
    return (rounded - low) % (1 << target.width) + low


def assigned_raw(raw: int, fraction: int, target: FixedPoint) -> int:
    """The same of a raw integer."""
    return assigned(Fraction(raw) / Fraction(2) ** fraction, target)


def symmetric(random: np.random.Generator, array: SynapseArray) -> SynapseArray:
    """The array with a codebook as a differential pair has it, with or without zero."""
    magnitudes = np.unique(np.abs(array.codebook))
    magnitudes = magnitudes[magnitudes <= array.table_format.max_raw]
    codebook = np.unique(np.concatenate([magnitudes, -magnitudes]))
    if len(codebook) == 0:
        return array
    codes = random.integers(0, len(codebook), array.codes.shape, dtype=np.uint8)
    return dataclasses.replace(array, codes=codes, codebook=codebook)


def with_converters(
    random: np.random.Generator, array: SynapseArray, tile_rows: int | None = None
) -> SynapseArray:
    """The array in tiles with converters of 2 to 10 bits, from hardly to always saturating; half
    have read noise, of an eighth of a step to eight."""
    rows = tile_rows or int(random.integers(1, array.n_rows + 2))
    bits, exact = int(random.integers(2, 11)), array.accumulator
    integer = exact.integer - int(random.integers(-1, 5))
    form = FixedPoint(bits, max(integer, bits - exact.fraction), True, Rounding.RND, Overflow.SAT)
    array = dataclasses.replace(array, converter=Converter(rows, form))
    steps = 2.0 ** random.uniform(-3, 3)
    return with_noise(array, steps, int(random.integers(1 << 32))) if random.integers(2) else array


def with_noise(array: SynapseArray, steps: float, seed: int = 0) -> SynapseArray:
    """The array with read noise of so many steps of its converters."""
    assert array.converter is not None
    step = 2.0 ** (array.partial.fraction - array.converter.format.fraction)
    noise = ReadNoise.of(steps * step, seed, 0)
    converter = dataclasses.replace(array.converter, noise=noise)
    return dataclasses.replace(array, converter=converter)


def noise_of_read(noise: ReadNoise, read: int, column: int, n_out: int) -> int:
    """What is added to one sum, from Python's integers alone."""

    def left(word: int, by: int) -> int:
        return (word << by | word >> (32 - by)) & 0xFFFFFFFF

    word = ((read << max(1, (n_out - 1).bit_length())) | column) & 0xFFFFFFFF
    for key in noise.keys:
        mixed = word ^ left(word, 7) ^ left(word, 12) ^ left(word, 19)
        word = mixed ^ (left(word, 9) & left(word, 22)) ^ key
    scaled = Fraction((word.bit_count() - 16) * noise.factor, 1 << noise.shift)
    return math.floor(scaled + (Fraction(1, 2) if noise.shift else 0))


def random_network(random: np.random.Generator, max_size: int = 24) -> QuantizedNetwork:
    """Up to 4 layers; half have signed inputs, a quarter one output."""
    sizes = random.integers(1, max_size, random.integers(2, 6)).tolist()
    if random.integers(4) == 0:
        sizes[-1] = 1
    width = int(random.integers(1, 9))
    form = FixedPoint(width, 0, signed=width > 1 and bool(random.integers(2)))
    arrays: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    for n_in, n_out in pairwise(sizes):
        if arrays:
            form = FixedPoint(
                int(random.integers(1, 9)),
                arrays[-1].accumulator.integer - 1 + int(random.integers(-3, 2)),
                signed=False,
                rounding=Rounding(random.choice([mode.value for mode in Rounding])),
                overflow=Overflow(random.choice([mode.value for mode in Overflow])),
            )
            activations.append(form)
        table_width = int(random.integers(2, 9))
        array = synapse_array(
            random,
            n_in,
            n_out,
            levels=int(random.integers(2, 26)),
            table_width=table_width,
            table_integer=min(int(random.choice([1, 1, 2, 3])), table_width - 1),
            input_format=form,
            bias=bool(random.integers(2)),
        )
        arrays.append(symmetric(random, array) if random.random() < 0.7 else array)
    return QuantizedNetwork(tuple(arrays), tuple(activations))


def random_window(random: np.random.Generator, shape: Shape) -> Window:
    """Any kernel, stride and padding that fit the shape."""
    kernel = [int(random.integers(1, min(4, side) + 1)) for side in shape[:2]]
    stride = [int(random.integers(1, min(3, side) + 1)) for side in shape[:2]]
    padding = [
        (int(random.integers(0, size)), int(random.integers(0, size)))
        if random.integers(2)
        else (0, 0)
        for size in kernel
    ]
    return Window(shape, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]))


def random_geometry(random: np.random.Generator, shape: Shape) -> Geometry:
    """A convolution, half with a pool."""
    window = random_window(random, shape)
    if random.integers(2):
        return Geometry(window)
    down, across = (int(random.integers(1, min(3, places) + 1)) for places in window.places)
    kind = Pooling.MAX if random.integers(2) else Pooling.AVERAGE
    return Geometry(window, Pool(kind, (down, across)))


def convolutional_network(
    random: np.random.Generator, convolutions: int | None = None, saturating: bool = False
) -> QuantizedNetwork:
    """One to three convolutions of a small image, one or two dense layers; half have biases, half
    signed inputs, a quarter one dimension.

    Args:
        saturating: whether activations saturate, as all that are quantized do.
    """
    width = int(random.integers(2, 9))
    form = FixedPoint(width, 0, signed=bool(random.integers(2)))
    height = 1 if random.integers(4) == 0 else int(random.integers(3, 9))
    shape: Shape = (height, int(random.integers(3, 9)), int(random.integers(1, 4)))
    count = int(random.integers(1, 4)) if convolutions is None else convolutions
    kinds = [True] * count + [False] * int(random.integers(1, 3))
    arrays: list[SynapseArray] = []
    geometries: list[Geometry] = []
    activations: list[FixedPoint] = []
    for convolution in kinds:
        geometry = random_geometry(random, shape) if convolution else DENSE
        n_in = math.prod(shape) if geometry.window is None else geometry.window.n_in
        if arrays:
            overflow = Overflow.SAT if saturating or random.integers(2) else Overflow.WRAP
            form = FixedPoint(
                int(random.integers(1, 9)),
                arrays[-1].accumulator.integer - 1 + int(random.integers(-3, 2)),
                signed=False,
                rounding=Rounding(random.choice([mode.value for mode in Rounding])),
                overflow=overflow,
            )
            activations.append(form)
        array = synapse_array(
            random,
            n_in,
            int(random.integers(1, 7)),
            levels=int(random.integers(2, 26)),
            input_format=form,
            bias=bool(random.integers(2)),
        )
        arrays.append(symmetric(random, array) if random.random() < 0.7 else array)
        geometries.append(geometry)
        shape = geometry.passed(array.n_out)
    return QuantizedNetwork(tuple(arrays), tuple(activations), tuple(geometries))


def convolutional_floats(
    random: np.random.Generator, convolutions: int | None = None
) -> FloatNetwork:
    """The same in real numbers."""
    network = convolutional_network(random, convolutions)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return random.normal(size=shape).astype(np.float32)

    return FloatNetwork(
        tuple(drawn(array.n_in, array.n_out) for array in network.arrays),
        tuple(drawn(array.n_out) if random.integers(2) else None for array in network.arrays),
        network.geometries,
    )


def images(random: np.random.Generator, network: QuantizedNetwork, count: int) -> NDArray[np.int64]:
    """Images of all densities; all zero and all full among them."""
    least, most = network.input_format.min_raw, network.input_format.max_raw
    given = random.integers(least, most + 1, (count, network.sizes[0]))
    given *= random.random((count, network.sizes[0])) < random.random((count, 1))
    given[1], given[2], given[3] = 0, most, least
    return given


def paired_network(
    random: np.random.Generator,
    sizes: tuple[int, ...],
    bias: bool = False,
    input_format: FixedPoint = BYTE,
) -> QuantizedNetwork:
    """A network of bytes with a codebook as differential pairs have it."""
    form = input_format
    layers: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    for n_in, n_out in pairwise(sizes):
        if layers:
            integer = layers[-1].accumulator.integer - 1
            form = FixedPoint(8, integer, signed=False, overflow=Overflow.SAT)
            activations.append(form)
        array = synapse_array(random, n_in, n_out, levels=5, input_format=form, bias=bias)
        codebook = np.array([-90, -60, -20, 0, 20, 60, 90])
        codes = random.integers(0, len(codebook), array.codes.shape, dtype=np.uint8)
        layers.append(dataclasses.replace(array, codes=codes, codebook=codebook))
    return QuantizedNetwork(tuple(layers), tuple(activations))


def quantized_network(layers: int) -> tuple[QuantizedNetwork, NDArray[np.int8]]:
    """Signed inputs, hidden layers of 8 that all have something to do, one output; with 300 inputs
    of which some are of either class."""
    random = np.random.default_rng(6)
    sizes = (12, *[8] * (layers - 1), 1)
    weights = tuple(random.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    biases = tuple(random.normal(size=size).astype(np.float32) for size in sizes[1:])
    inputs = random.integers(-128, 128, (300, sizes[0]), dtype=np.int8)
    inputs[0], inputs[1], inputs[2] = 0, -128, 127
    network = quantize_network(
        FloatNetwork(weights, biases), Quantization(10), load_device("pcmo"), SIGNED_BYTE, inputs
    )
    return network, inputs


def tiled(
    random: np.random.Generator, network: QuantizedNetwork, design: RtlDesign
) -> QuantizedNetwork:
    """The network with converters at tiles that the design can end at; some arrays are left."""
    arrays = []
    for index, (array, plan) in enumerate(zip(network.arrays, design.arrays, strict=True)):
        if not (plan.unrolled or random.integers(5) == 0):
            lanes = plan.lanes if index else design.beat_bits // array.input_format.width
            lanes = 1 if plan.rows == 1 and not plan.event_driven else lanes
            by_beats = plan.event_driven or (lanes >= plan.rows and lanes % plan.rows > 0)
            step = lanes if by_beats else plan.rows
            rows = step * int(random.integers(1, array.n_rows // step + 2))
            array = with_converters(random, array, rows)
        arrays.append(array)
    return dataclasses.replace(network, arrays=tuple(arrays))


def random_design(random: np.random.Generator, network: QuantizedNetwork) -> RtlDesign:
    """All datapaths of the Verilog mixed, both widths of its streams; a third has unrolled arrays,
    too."""
    beat_bits = int(random.choice([64, 64, 192]))
    kinds = ["decoded", "mixed", "serial", "unrolled"][: 4 if random.integers(3) == 0 else 3]
    plans = []
    for index, array in enumerate(network.arrays):
        lanes = int(random.integers(1, 6))
        if index and network.geometries[index - 1].window is not None:  # lanes divide its channels
            channels = network.arrays[index - 1].n_out
            lanes = int(random.choice([n for n in range(1, channels + 1) if channels % n == 0]))
        arriving = lanes if index else beat_bits // array.input_format.width
        window = 0
        if network.geometries[index].window is not None:
            arriving = window = int(random.choice([lanes if index else 1, array.n_in]))
        kind = random.choice(kinds)
        if kind == "unrolled":
            levels = int(random.integers(1, 4))
            plans.append(
                RtlArray(0, 0, lanes=lanes, unrolled=True, logic_levels=levels, window=window)
            )
            continue
        bucket_rows = 0 if kind == "decoded" else int(random.integers(1, 7))
        decoded_rows = 0 if kind == "serial" else int(random.integers(1, 4))
        event_driven = bool(random.integers(2)) and bucket_rows + decoded_rows <= arriving
        buckets = int(random.integers(5, 17)) if random.integers(2) else None
        plans.append(
            RtlArray(bucket_rows, decoded_rows, event_driven, lanes, buckets, window=window)
        )
    wide = plans[-1].unrolled and random.integers(2)
    result_bits = wide_result(network.sizes[-1]) if wide else 64
    return RtlDesign(tuple(plans), beat_bits, result_bits)
