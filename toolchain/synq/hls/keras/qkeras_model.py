"""The quantized network as a QKeras model: `SynapseDense`, `SynapseConv2D`, `SynapsePool` layers
and `QActivation`s.

Importing this module imports TensorFlow (seconds, half a gigabyte): import it where it is used.
"""

import io
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from qkeras import QActivation, quantized_relu
from qkeras.quantizers import BaseQuantizer

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.geometry import Pooling
from synq.hls.packs import pooled_format
from synq.hls.sources import layer_format
from synq.network import QuantizedNetwork, SynapseArray, classes_of, stage_sizes
from synq.read_noise import ReadNoise

_BATCH = 2000  # images computed at once, at most
_VALUES = 1 << 24  # that a convolution sees of them: 64 MB
_FLOAT32_EXACT = 1 << 24  # integers up to this are exact in float32, in which QKeras quantizes


class CodebookQuantizer(BaseQuantizer):  # type: ignore[misc]
    """Moves each weight to the nearest value of a codebook.

    Args:
        codebook: ascending values.
    """

    def __init__(self, codebook: list[float]) -> None:
        super().__init__()
        self.codebook = [float(value) for value in codebook]

    def __call__(self, weights: tf.Tensor) -> tf.Tensor:
        values = tf.constant(self.codebook, dtype=weights.dtype)
        middles = (values[1:] + values[:-1]) / 2
        index = tf.searchsorted(middles, tf.reshape(weights, [-1]))
        nearest = tf.reshape(tf.gather(values, index), tf.shape(weights))
        # The gradient passes straight through; the value is exactly the codebook's.
        return tf.stop_gradient(nearest) + (weights - tf.stop_gradient(weights))

    def max(self) -> float:
        return self.codebook[-1]

    def min(self) -> float:
        return self.codebook[0]

    def get_config(self) -> dict[str, Any]:
        return {"codebook": self.codebook}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CodebookQuantizer":
        return cls(**config)


class SynapseDense(tf.keras.layers.Layer):  # type: ignore[misc]
    """A synapse array as a Keras layer: `inputs @ quantizer(kernel)`, no activation.

    An image is taken in a row, channels last. The kernel is normalized (full scale is 1). With a
    bias its last row is driven by the constant `bias_input`. The remaining arguments are what
    hardware needs beside the values; they travel in the layer's configuration, so a saved model
    converts on its own.

    Args:
        units: outputs.
        codebook: ascending raw integers.
        table_width: bits of a codebook value.
        table_fraction: those of them below the binary point.
        input_width: bits of the inputs.
        input_signed: whether one of them is the sign.
        bias_input: raw integer driving the bias row, or None.
        bias_value: the same as a value, or None.
        accum_width: bits of the accumulator.
        accum_range: least and greatest raw sum.
        converter: at the columns of tiles: `tile_rows`, `step` (a value) and `bits`; None without.
        noise: of the reads, a `ReadNoise` as a dictionary, and `step`, the value of its unit; it
            counts how often the array was used in `uses`.
    """

    def __init__(
        self,
        units: int,
        codebook: list[int],
        table_width: int,
        table_fraction: int,
        input_width: int,
        input_signed: bool,
        bias_input: int | None,
        bias_value: float | None,
        accum_width: int,
        accum_range: tuple[int, int],
        converter: dict[str, Any] | None = None,
        noise: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.hardware = {
            "codebook": [int(value) for value in codebook],
            "table_width": table_width,
            "table_fraction": table_fraction,
            "input_width": input_width,
            "input_signed": input_signed,
            "bias_input": bias_input,
            "bias_value": bias_value,
            "accum_width": accum_width,
            "accum_range": [int(bound) for bound in accum_range],
            "converter": converter,
            "noise": noise,
        }
        self.noise = noise
        self.uses = 0
        self.converter = converter
        self.bias_value = bias_value
        step = 2.0**-table_fraction
        self.kernel_quantizer = CodebookQuantizer([value * step for value in codebook])

    def build(self, input_shape: tf.TensorShape) -> None:
        n_rows = self._inputs_at_once(input_shape) + (self.bias_value is not None)
        self.kernel = self.add_weight(name="kernel", shape=(n_rows, self.units))
        super().build(input_shape)

    def _inputs_at_once(self, input_shape: tf.TensorShape) -> int:
        return math.prod(int(side) for side in input_shape[1:])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._sums(tf.reshape(inputs, (-1, math.prod(inputs.shape[1:]))))

    def _sums(self, inputs: tf.Tensor) -> tf.Tensor:
        """(n, units) of (n, n_in)."""
        kernel = self.kernel_quantizer(self.kernel)
        if self.converter is not None:
            return self._converted(inputs, kernel)
        if self.bias_value is None:
            return tf.matmul(inputs, kernel)
        return tf.matmul(inputs, kernel[:-1]) + self.bias_value * kernel[-1]

    def _converted(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        assert self.converter is not None
        rows, step = self.converter["tile_rows"], self.converter["step"]
        half = 2 ** (self.converter["bits"] - 1)
        n_rows, n_in = int(kernel.shape[0]), int(inputs.shape[-1])
        total = 0.0
        noises = self._noises(inputs, -(-n_rows // rows))
        for tile, first in enumerate(range(0, n_rows, rows)):
            end = min(first + rows, n_rows)
            # A last tile may have no row but the bias's: then the product is of no columns, and 0.
            part = tf.matmul(inputs[:, first : min(end, n_in)], kernel[first : min(end, n_in)])
            if self.bias_value is not None and end == n_rows:
                part += self.bias_value * kernel[-1]
            if noises is not None:
                part += noises[tile]
            total += tf.clip_by_value(tf.floor(part / step + 0.5), -half, half - 1)
        return total * step

    def _noises(self, inputs: tf.Tensor, tiles: int) -> tf.Tensor | None:
        """(tiles, n_samples, units): what is added to the sums of these inputs."""
        if self.noise is None:
            return None
        step = np.float32(self.noise["step"])
        told = {name: value for name, value in self.noise.items() if name != "step"}
        noise = ReadNoise(**told | {"keys": tuple(told["keys"])})

        def drawn(count: np.int32) -> NDArray[np.float32]:
            reads = (np.arange(int(count)) + self.uses) * tiles
            self.uses += int(count)
            numbers = np.stack([noise.draw(reads + tile, self.units) for tile in range(tiles)])
            real: NDArray[np.float32] = numbers.astype(np.float32) * step
            return real

        numbers = tf.numpy_function(drawn, [tf.shape(inputs)[0]], tf.float32)
        return tf.ensure_shape(numbers, (tiles, None, self.units))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, **self.hardware}


class SynapseConv2D(SynapseDense):
    """A synapse array at every place of an image (height, width, channels); see `Window`.

    Its kernel has a row for each value that the window covers: by row, column and channel. In one
    dimension the height is 1.

    Args:
        kernel_size, strides, padding: as `Window` has them.
    """

    def __init__(
        self,
        kernel_size: list[int],
        strides: list[int],
        padding: list[list[int]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = [*kernel_size]
        self.strides = [*strides]
        self.padding = [[*pair] for pair in padding]

    def _inputs_at_once(self, input_shape: tf.TensorShape) -> int:
        return self.kernel_size[0] * self.kernel_size[1] * int(input_shape[-1])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # As a product of matrices, whose sums are exact in any order; a library's convolution may
        # take another way (Winograd's) that is not.
        patches = tf.image.extract_patches(
            tf.pad(inputs, [[0, 0], *self.padding, [0, 0]]),
            sizes=[1, *self.kernel_size, 1],
            strides=[1, *self.strides, 1],
            rates=[1, 1, 1, 1],
            padding="VALID",
        )
        down, across, n_in = patches.shape[1:]
        sums = self._sums(tf.reshape(patches, (-1, n_in)))
        return tf.reshape(sums, (-1, down, across, self.units))

    def get_config(self) -> dict[str, Any]:
        own = {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }
        return {**super().get_config(), **own}


class SynapsePool(tf.keras.layers.Layer):  # type: ignore[misc]
    """ReLU, then the largest or the sum of each pool of places; see `Pool`.

    The average would be divided: the sum stays an integer multiple of its inputs' step, exactly.

    Args:
        kind: a `Pooling`.
        pool_size: places that become one, vertically and horizontally.
        sum_width: bits of a sum before.
        pooled_width: bits of what it becomes.
    """

    def __init__(
        self, kind: str, pool_size: list[int], sum_width: int, pooled_width: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.pool_size = [*pool_size]
        self.widths = {"sum_width": sum_width, "pooled_width": pooled_width}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        (down, across), (height, width, channels) = self.pool_size, inputs.shape[1:]
        rows, columns = height // down, width // across
        whole = tf.nn.relu(inputs)[:, : rows * down, : columns * across]
        split = tf.reshape(whole, (-1, rows, down, columns, across, channels))
        made = tf.reduce_max if self.kind == Pooling.MAX else tf.reduce_sum
        return made(split, axis=(2, 4))

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "pool_size": self.pool_size}
        return {**super().get_config(), **own, **self.widths}


_CUSTOM_OBJECTS = {
    "CodebookQuantizer": CodebookQuantizer,
    "QActivation": QActivation,
    "SynapseConv2D": SynapseConv2D,
    "SynapseDense": SynapseDense,
    "SynapsePool": SynapsePool,
    "quantized_relu": quantized_relu,
}


# Nothing here depends on the values in a tensor: AutoGraph would only rewrite Keras for a second.
@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def build_model(network: QuantizedNetwork) -> tf.keras.Model:
    """The QKeras model with the network's values; its outputs are `accumulator * step`.

    Raises:
        SynqError: an accumulator needs more than the 24 bits float32 holds exactly, in which QKeras
            quantizes activations.
    """
    for index, array in enumerate(network.arrays):
        low, high = array.partial_range
        converter, half = array.converter, 0
        if converter is not None:  # half a step is added to round
            half = (1 << (array.partial.fraction - converter.format.fraction)) >> 1
        least, most = (0, 0) if array.noise is None else array.noise.range
        pooled = array.accumulator_range[1] * network.geometries[index].divisor
        if max(-low - least + half, high + most + half, pooled) > _FLOAT32_EXACT:
            bits = max(array.partial.width, pooled.bit_length() + 1)
            raise SynqError(
                f"the sums of array {index} need {bits} bits, QKeras is exact only up to 25: use a "
                "smaller table width or fewer activation bits",
                settings=("table_width", "activation_bits"),
            )
    window = network.geometries[0].window
    shape = (network.n_in,) if window is None else window.shape
    signal = inputs = tf.keras.Input(shape, name="inputs")
    for index in range(len(network.arrays)):
        signal = _array(network, index)(signal)
        if network.geometries[index].pool is not None:
            signal = _pool(network, index)(signal)
        if index < len(network.activations):
            form = network.activations[index]
            relu = quantized_relu(form.width, form.integer)
            signal = QActivation(relu, name=f"activation_{index}")(signal)
    model = tf.keras.Model(inputs, signal, name="synapse_network")
    for index, array in enumerate(network.arrays):
        kernel = array.weights * array.table_format.step
        model.get_layer(f"array_{index}").set_weights([kernel.astype(np.float32)])
    return model


def _array(network: QuantizedNetwork, index: int) -> SynapseDense:
    array, window = network.arrays[index], network.geometries[index].window
    bias = array.bias_input
    settings: dict[str, Any] = {
        "units": array.n_out,
        "codebook": array.codebook.tolist(),
        "table_width": array.table_format.width,
        "table_fraction": array.table_format.fraction,
        "input_width": array.input_format.width,
        "input_signed": array.input_format.signed,
        "bias_input": bias,
        "bias_value": None if bias is None else bias * array.input_format.step,
        "accum_width": array.accumulator.width,
        "accum_range": array.accumulator_range,
        "converter": _converter(array),
        "noise": _noise(array),
        "name": f"array_{index}",
    }
    if window is None:
        return SynapseDense(**settings)
    padding = [[*pair] for pair in window.padding]
    return SynapseConv2D([*window.kernel], [*window.stride], padding, **settings)


def _pool(network: QuantizedNetwork, index: int) -> SynapsePool:
    pool = network.geometries[index].pool
    assert pool is not None
    widths = network.arrays[index].accumulator.width, pooled_format(network, index).width
    return SynapsePool(pool.kind.value, [*pool.size], *widths, name=f"pool_{index}")


def _converter(array: SynapseArray) -> dict[str, Any] | None:
    if array.converter is None:
        return None
    form = array.converter.format
    return {"tile_rows": array.converter.tile_rows, "step": form.step, "bits": form.width}


def _noise(array: SynapseArray) -> dict[str, Any] | None:
    if array.noise is None:
        return None
    told = asdict(array.noise) | {"keys": [*array.noise.keys]}
    return told | {"step": 2.0**-array.partial.fraction}


def model_file(model: tf.keras.Model) -> bytes:
    """The model as HDF5, which unlike `.keras` carries no date."""
    content = io.BytesIO()  # on a full disk HDF5 itself would crash at the process's end
    with h5py.File(content, "w") as file:
        model.save(file, save_format="h5", include_optimizer=False)
    return content.getvalue()


def load_model(path: Path) -> tf.keras.Model:
    """Read a file of `model_file`."""
    return tf.keras.models.load_model(str(path), custom_objects=_CUSTOM_OBJECTS, compile=False)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def model_stages(
    model: tf.keras.Model, network: QuantizedNetwork, inputs: NDArray[np.integer[Any]]
) -> list[tuple[str, NDArray[np.int64]]]:
    """Run the model and return its layers' outputs as raw integers, in `Trace.stages` order.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Raises:
        SynqError: an output is not an integer multiple of its format's step.
    """
    stages = [name for name, _ in stage_sizes(network)]
    layers = [model.get_layer(name) for name in stages]
    for layer in layers:
        layer.uses = 0
    probe = tf.keras.Model(model.inputs, {layer.name: layer.output for layer in layers})
    real = inputs.astype(np.float32) * np.float32(network.input_format.step)
    real = real.reshape(-1, *model.input_shape[1:])
    seen = max(
        geometry.n_places * array.n_in
        for geometry, array in zip(network.geometries, network.arrays, strict=True)
    )
    count = max(1, min(_BATCH, _VALUES // seen))
    # Called, not `predict`ed, which would compile a graph first.
    batches = [
        probe(real[first : first + count], training=False) for first in range(0, len(real), count)
    ]
    named = []
    for layer in layers:
        output = np.concatenate([batch[layer.name].numpy() for batch in batches])
        output = output.reshape(len(real), -1)
        form = layer_format(network, layer.name)
        named.append((layer.name, raw_integers("the QKeras model", layer.name, output, form)))
    named.append(("class", classes_of(named[-1][1])[:, None]))
    return named


def raw_integers(
    source: str, name: str, values: NDArray[np.floating[Any]], form: FixedPoint
) -> NDArray[np.int64]:
    """Real values of a format as its raw integers.

    Raises:
        SynqError: a value is not an integer multiple of the format's step.
    """
    scaled = values.astype(np.float64) * 2.0**form.fraction
    raw: NDArray[np.int64] = np.rint(scaled).astype(np.int64)
    if np.any(raw != scaled):
        raise SynqError(f"{source} computes {name} with more than {form.fraction} fraction bits")
    return raw
