"""From real weights to device conductances: normalize, quantize to L levels, snap, encode.

Lee et al., "Uniform Quantization Method for Synaptic Device": weights are divided by the largest
absolute weight, quantized uniformly to L levels, and each level is moved to the nearest *reference
value*, a conductance that the device can really take. What is left of a layer is a small codebook
and one code per synapse.
"""

import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.device import Branch, Device
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, requantize, signed_width
from synq.float_network import FloatNetwork
from synq.geometry import Geometry
from synq.network import (
    Converter,
    QuantizedNetwork,
    SynapseArray,
    accumulate_places,
    array_unit,
    rectified,
)
from synq.read_noise import ReadNoise
from synq.tile import Tile

_MAX_LEVELS = 256  # codes are stored as 8-bit unsigned integers
_CALIBRATION_SAMPLES = 10_000
_CALIBRATION_SUMS = 1 << 25  # of a layer: 256 MiB
_CONVERTER_SAMPLES = 1_000  # each has a sum for every tile and output


class Method(StrEnum):
    """How the values that weights may take are found."""

    PROPOSED = "proposed"  # uniform levels, each snapped to the nearest reference value
    SAMPLING = "sampling"  # the device curve itself, sampled at L positions
    UNIFORM = "uniform"  # uniform levels of an ideal device
    NEAREST = "nearest"  # every reference value may be used, whatever L: the device's bound


class Mapping(StrEnum):
    """How a signed weight becomes conductances."""

    DIFFERENTIAL = "differential"  # a pair of devices, w = G+ - G-
    OFFSET = "offset"  # one device against a reference column at mid-range, w = 2 G - 1


class Count(StrEnum):
    """What the L levels are laid over."""

    SIGNED = "signed"  # -1..1, both ends included
    MAGNITUDE = "magnitude"  # 0..1, mirrored for negative weights: 2 L - 1 signed values


@dataclass(frozen=True)
class Quantization:
    """Every choice between real weights and codes.

    Attributes:
        levels: L, 2 to 256 (the paper: 5 to 25).
        percentile: the percentile of absolute weights that normalizes a layer; 100 is the paper's
            largest weight. Weights beyond it are clipped.
        table_width: bits of a signed codebook value.
        input_bits: bits of an input, 1 to 8; a signed one has at least 2.
        activation_bits: bits of an unsigned hidden activation.
        tile: the crossbars that arrays are made of; None for as large as need be.
        adc_bits: of the converters at the tiles' columns, 2 to 16; None for exact sums.
        read_noise: with converters, the standard deviation of a cell's conductance from read to
            read, a share of the window; None for the device's own.
        read_seed: of that noise.

    Raises:
        UsageError: a value out of range, or a method and a branch that do not go together.
    """

    levels: int
    method: Method = Method.PROPOSED
    mapping: Mapping = Mapping.DIFFERENTIAL
    count: Count = Count.SIGNED
    branch: Branch = Branch.LTP
    percentile: float = 100.0
    table_width: int = 8
    input_bits: int = 8
    activation_bits: int = 8
    tile: Tile | None = None
    adc_bits: int | None = None
    read_noise: float | None = None
    read_seed: int = 0

    def __post_init__(self) -> None:
        _check_range("levels", self.levels, 2, _MAX_LEVELS)
        _check_range("table_width", self.table_width, 2, 16)
        _check_range("input_bits", self.input_bits, 1, 8)
        _check_range("activation_bits", self.activation_bits, 1, 16)
        _check_range("percentile", self.percentile, 50.0, 100.0)
        if self.adc_bits is not None:
            _check_range("adc_bits", self.adc_bits, 2, 16)
            if self.tile is None:
                raise UsageError(
                    "converters stand at the columns of tiles: say how large a tile is, as 128x128",
                    settings=("adc_bits", "tile"),
                )
        if self.read_noise is not None:
            _check_range("read_noise", self.read_noise, 0.0, 1.0)
            if self.adc_bits is None:
                raise UsageError(
                    "read noise is what converters see: say how many bits they have",
                    settings=("read_noise", "adc_bits"),
                )
        _check_range("read_seed", self.read_seed, 0, (1 << 63) - 1)
        if self.count is Count.MAGNITUDE and 2 * self.levels - 1 > _MAX_LEVELS:
            raise UsageError(
                f"levels must be at most {(_MAX_LEVELS + 1) // 2} when counted over the magnitude "
                f"(they are mirrored for negative weights), got {self.levels}",
                settings=("levels", "count"),
            )
        if self.method is Method.SAMPLING and self.branch is Branch.UNION:
            raise UsageError(
                "branch union has no single curve to sample: choose branch ltp or ltd, or another "
                "method",
                settings=("method", "branch"),
            )

    @property
    def table_format(self) -> FixedPoint:
        return FixedPoint(self.table_width, 1, signed=True)


@dataclass(frozen=True)
class Ranges:
    """What fine-tuning has settled, in place of the rules of `quantize_network`.

    Attributes:
        scales: the weight that normalizes each layer.
        activations: the format of each hidden activation, one fewer; None, to choose them by the
            rule.

    Raises:
        SynqError: a scale is not positive or not finite.
        ValueError: a scale is no float, a format not unsigned, or there are too many.
    """

    scales: tuple[float, ...]
    activations: tuple[FixedPoint, ...] | None

    def __post_init__(self) -> None:
        if not self.scales or any(type(scale) is not float for scale in self.scales):
            raise ValueError("scales must be floats, one a layer")
        for scale in self.scales:
            if not 0 < scale < math.inf:
                raise SynqError(
                    f"the scale of a layer must be positive and finite, got {scale:g}: are all "
                    "its weights 0?"
                )
        if self.activations is not None and (
            len(self.activations) != len(self.scales) - 1
            or any(form.signed for form in self.activations)
        ):
            raise ValueError("activation formats must be unsigned, one fewer than scales")

    def to_json(self) -> str:
        """For a file; `from_json` is its inverse."""
        formats = None
        if self.activations is not None:
            formats = [form.to_dict() for form in self.activations]
        return json.dumps({"scales": self.scales, "activations": formats})

    @staticmethod
    def from_json(text: str) -> "Ranges":
        """Read what `to_json` gave.

        Raises:
            SynqError: it is damaged.
        """
        try:
            match json.loads(text):
                case {"scales": [*scales], "activations": None}:
                    return Ranges(tuple(scales), None)
                case {"scales": [*scales], "activations": [*formats]}:
                    return Ranges(tuple(scales), tuple(map(FixedPoint.from_dict, formats)))
            raise ValueError("they are not scales and activations")
        except (SynqError, ValueError, RecursionError) as error:
            raise SynqError(f"the ranges of a network are damaged: {error}") from None


def _check_range(setting: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        name = setting.replace("_", " ")
        raise UsageError(
            f"{name} must be between {low:g} and {high:g}, got {value:g}", settings=(setting,)
        )


def uniform_levels(levels: int, count: Count) -> NDArray[np.float64]:
    """The signed uniform levels, ascending, in -1..1."""
    if count is Count.SIGNED:
        # Built from integers so that the levels are exactly symmetric about zero.
        return np.arange(-(levels - 1), levels, 2) / (levels - 1)
    return np.arange(-(levels - 1), levels) / (levels - 1)


def signed_reference_values(
    device: Device, branch: Branch, mapping: Mapping
) -> NDArray[np.float64]:
    """Every signed weight the device can take, ascending, in -1..1."""
    reference = device.reference_values(branch)
    if mapping is Mapping.OFFSET:
        return 2 * reference - 1
    mirrored: NDArray[np.float64] = np.unique(np.concatenate([-reference, reference]))
    return mirrored


def snap(values: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value moved to the nearest of the ascending `targets`; ties go to the lower one."""
    return targets[nearest_index(values, targets)]


def nearest_index(
    values: NDArray[np.floating[Any]], targets: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Index of the nearest of the ascending `targets`; ties go to the lower one."""
    middles = (targets[1:] + targets[:-1]) / 2
    return np.searchsorted(middles, values, side="left")


def level_values(
    choice: Quantization, device: Device
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The decision levels and the weight that each one is realized as, both ascending in -1..1.

    A weight belongs to the nearest decision level and takes that level's realized value. Only for
    the proposed method do the two differ.
    """
    if choice.method is Method.NEAREST:
        reference = signed_reference_values(device, choice.branch, choice.mapping)
        return reference, reference
    levels = uniform_levels(choice.levels, choice.count)
    if choice.method is Method.UNIFORM:
        return levels, levels
    if choice.method is Method.PROPOSED:
        return levels, snap(levels, signed_reference_values(device, choice.branch, choice.mapping))
    if choice.mapping is Mapping.OFFSET:
        samples = 2 * device.curve(choice.branch, (1 + levels) / 2) - 1
    else:
        samples = np.sign(levels) * device.curve(choice.branch, np.abs(levels))
    return samples, samples


def encode(
    weights: NDArray[np.float64], choice: Quantization, device: Device
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Codes and codebook of normalized weights.

    Args:
        weights: any shape, normalized so that 1 is full scale; beyond +-1 is clipped.

    Returns:
        codes, same shape, uint8; codebook, int64, ascending raw integers in `choice.table_format`.
        Levels that become the same integer share one code.

    Raises:
        UsageError: the codebook has more than 256 values (method nearest, many states).
    """
    levels, realized = level_values(choice, device)
    full_scale = choice.table_format.max_raw
    raw = np.rint(realized * full_scale).astype(np.int64)
    codebook, code_of_level = np.unique(raw, return_inverse=True)
    if len(codebook) > _MAX_LEVELS:
        raise UsageError(
            f"device {device.name} gives {len(codebook)} distinct values, at most {_MAX_LEVELS} "
            "fit a code: use a smaller table width or another method",
            settings=("table_width", "method"),
        )
    codes = code_of_level[nearest_index(weights, levels)]
    return codes.astype(np.uint8), codebook


def quantize_network(
    network: FloatNetwork,
    choice: Quantization,
    device: Device,
    input_format: FixedPoint,
    training_inputs: NDArray[np.uint8 | np.int8],
    ranges: Ranges | None = None,
) -> QuantizedNetwork:
    """The network as the device would hold it.

    ReLU is positively homogeneous: a positive factor on a layer's sums passes through it. So the
    normalization of a layer need never be undone in hardware. Activations are kept in the unit of
    the array before them, and requantization is a shift with rounding and saturation.

    Args:
        network: the trained weights.
        input_format: format of the inputs; signed where they may be negative.
        training_inputs: (n_samples, n_in) raw inputs from the training set; the activation formats
            are chosen on them.
        ranges: normalizations and formats that the weights were fine-tuned with.

    Raises:
        SynqError: the inputs do not fit the network's first layer or their format, there are none,
            the ranges are another network's, or the weights vanish or are beyond any scale.
    """
    if ranges is not None and len(ranges.scales) != len(network.weights):
        raise SynqError(
            f"the ranges are of {len(ranges.scales)} layers, the network has {len(network.weights)}"
        )
    if not len(training_inputs):
        raise SynqError("activation formats are chosen on training inputs: there are none")
    if training_inputs.shape[1] != network.sizes[0]:
        raise SynqError(
            f"the network takes {network.sizes[0]} inputs, the data has {training_inputs.shape[1]}"
        )
    largest = max(map(math.prod, network.answered_shapes))
    samples = max(1, min(_CALIBRATION_SAMPLES, _CALIBRATION_SUMS // largest))
    stride = max(1, len(training_inputs) // samples)
    signal: NDArray[np.integer[Any]] = training_inputs[::stride]
    arrays: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    unit = 1.0  # the real value that 1.0 in this layer's inputs stands for
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        scale = None if ranges is None else ranges.scales[index]
        array = _quantize_layer(weight, bias, unit, choice, device, input_format, scale)
        if choice.tile is not None and choice.adc_bits is not None:
            share = device.read_noise if choice.read_noise is None else choice.read_noise
            seen = _seen(network.geometries[index], signal)
            noise = noise_of(array, choice, share, index, seen)
            array = with_converters(array, choice.tile, choice.adc_bits, seen, noise)
        arrays.append(array)
        unit *= array_unit(array) / network.geometries[index].divisor
        if not 1e-300 < unit < 1e300:
            raise SynqError(
                f"the layers' weights multiply to {unit:g}, which no float holds: rescale them"
            )
        if index == len(network.weights) - 1:
            break
        sums = accumulate_places(array, network.geometries[index], signal)
        accumulator = rectified(array, network.geometries[index], sums)
        if ranges is None or ranges.activations is None:
            input_format = choose_activation_format(
                accumulator, array.accumulator.fraction, choice.activation_bits
            )
        else:
            input_format = ranges.activations[index]
        activations.append(input_format)
        signal = requantize(accumulator, array.accumulator.fraction, input_format)
    return QuantizedNetwork(tuple(arrays), tuple(activations), network.geometries)


def _quantize_layer(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    unit: float,
    choice: Quantization,
    device: Device,
    input_format: FixedPoint,
    scale: float | None,
) -> SynapseArray:
    rows = weight.astype(np.float64)
    bias_input = None
    if bias is not None:
        # The bias row is driven by the largest input, which asks for the smallest conductance. It
        # is positive: the sign of a bias is that of its weight.
        bias_input = input_format.max_raw
        drive = bias_input * input_format.step * unit
        rows = np.vstack([rows, bias.astype(np.float64) / drive])
    if scale is None:
        scale = float(np.percentile(np.abs(rows), choice.percentile))
    if scale == 0:
        raise SynqError(
            f"percentile {choice.percentile:g} of a layer's weights is 0: it cannot normalize the "
            "layer; use a higher percentile",
            settings=("percentile",),
        )
    codes, codebook = encode(rows / scale, choice, device)
    if not codebook[codes[: len(weight)]].any():
        raise SynqError(
            "every weight of a layer becomes 0, next to a much larger bias: use more levels or a "
            "lower percentile",
            settings=("levels", "percentile"),
        )
    return SynapseArray(codes, codebook, choice.table_format, input_format, bias_input, scale)


def _seen(geometry: Geometry, signal: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """What an array sees, (n, n_in); of a convolution at some thousands of places."""
    if geometry.window is None:
        return signal
    samples = max(1, _CALIBRATION_SAMPLES // geometry.n_places)
    return geometry.window.patches(signal[:: max(1, len(signal) // samples)])


def noise_of(
    array: SynapseArray,
    choice: Quantization,
    share: float,
    index: int,
    inputs: NDArray[np.integer[Any]],
) -> ReadNoise | None:
    """The noise of a tile's sum at a read.

    A cell's conductance is off by a normal error at each read, of one size for all cells; what its
    inputs make of that adds up as squares. All reads of an array have the noise of the root mean
    square over its tiles and these inputs.

    Args:
        choice: of a tile.
        share: of the window, the standard deviation of a cell.
        index: of the array.
        inputs: (n_samples, n_in) raw, of the training set.
    """
    assert choice.tile is not None
    squares = np.sum(inputs.astype(np.float64) ** 2, axis=1).mean()
    squares += (array.bias_input or 0) ** 2
    tiles = -(-array.n_rows // choice.tile.rows)
    # A pair of cells is subtracted; a single one counts twice.
    cells = math.sqrt(2) if choice.mapping is Mapping.DIFFERENTIAL else 2.0
    full = (1 << array.table_format.fraction) - 1
    deviation = share * cells * full * math.sqrt(squares / tiles)
    return ReadNoise.of(deviation, choice.read_seed, index)


def with_converters(
    array: SynapseArray,
    tile: Tile,
    bits: int,
    inputs: NDArray[np.integer[Any]],
    noise: ReadNoise | None = None,
) -> SynapseArray:
    """The array read through a converter at each column of its tiles.

    All converters of an array have one range, that with the least mean squared error on the tiles'
    sums for these inputs.

    Args:
        inputs: (n_samples, n_in) raw, of the training set.
    """
    fraction = array.accumulator.fraction
    finest = FixedPoint(bits, bits - fraction, True, Rounding.RND, Overflow.SAT)
    converter = Converter(tile.rows, finest, noise)
    some = inputs[:: max(1, len(inputs) // _CONVERTER_SAMPLES)]
    parts = [*replace(array, converter=converter).partial_sums(some)]
    if noise is not None:
        reads = np.arange(len(some)) * len(parts)
        parts = [part + noise.draw(reads + tile, array.n_out) for tile, part in enumerate(parts)]
    sums = np.concatenate([part.ravel() for part in parts])
    widest = signed_width(int(sums.min()), int(sums.max())) - fraction
    # A step below that of the sums would tell nothing more.
    form = replace(finest, integer=max(widest, finest.integer))
    return replace(array, converter=replace(converter, format=_best_format(sums, fraction, form)))


def choose_activation_format(
    accumulator: NDArray[np.int64], fraction: int, bits: int
) -> FixedPoint:
    """The unsigned format of `bits` bits with the least mean squared error on these sums.

    Args:
        accumulator: non-negative raw sums with `fraction` fractional bits.

    Returns:
        A format rounding to nearest even and saturating.
    """
    largest = int(accumulator.max(initial=1))
    widest = max(0, largest.bit_length() - fraction)
    return _best_format(
        accumulator, fraction, FixedPoint(bits, widest, False, Rounding.RND_CONV, Overflow.SAT)
    )


def _best_format(sums: NDArray[np.int64], fraction: int, widest: FixedPoint) -> FixedPoint:
    """`widest` with the integer bits of least mean squared error on raw sums.

    Clipping rare large sums is often better than halving the resolution of all others; the squared
    error weighs one against the other.
    """
    best, least = widest, np.inf
    # Clipping at less than a sixteenth of the largest sum has never been the best in practice.
    # One bit more than the sums have helps where a step is large: with one bit, all above a half
    # of it round up.
    # A signed format has no finer step than the sums.
    least_integer = widest.width - fraction if widest.signed else 0
    for integer in range(widest.integer + 1, max(least_integer - 1, widest.integer - 5), -1):
        candidate = replace(widest, integer=integer)
        kept = requantize(sums, fraction, candidate)
        difference = kept * candidate.step - sums * 2.0**-fraction
        error = float(np.mean(difference**2))
        if error < least:
            best, least = candidate, error
    return best


def dequantize(network: QuantizedNetwork) -> FloatNetwork:
    """The network in real numbers with the quantized weights, and activations left unquantized."""
    weights: list[NDArray[np.float32]] = []
    biases: list[NDArray[np.float32] | None] = []
    unit = 1.0
    for array, geometry in zip(network.arrays, network.geometries, strict=True):
        rows = array.weights * array.table_format.step * array_unit(array)
        weights.append(rows[: array.n_in].astype(np.float32))
        if array.bias_input is None:
            biases.append(None)
        else:
            drive = array.bias_input * array.input_format.step * unit
            biases.append((rows[-1] * drive).astype(np.float32))
        unit *= array_unit(array) / geometry.divisor
    return FloatNetwork(tuple(weights), tuple(biases), network.geometries)
