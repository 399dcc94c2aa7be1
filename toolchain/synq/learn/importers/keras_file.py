"""From a Keras model to steps: a `.keras` archive, an `.h5` file, or a model in memory.

Read are the configuration, which is JSON, and the arrays; neither Keras nor anything that the
configuration names is imported or run. A layer that is not known by its class is refused.
"""

import io
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import archive
from synq.archive import ArchiveError, Member, MemberReader
from synq.errors import SynqError, quoted
from synq.float_network import check_total
from synq.geometry import Pair, Pooling
from synq.learn.importers.hdf5_file import Hdf5
from synq.learn.importers.steps import (
    Affine,
    Array,
    Convolution,
    Dense,
    Ending,
    Flattened,
    Image,
    Padding,
    Pooled,
    Relu,
    Step,
    batch_norm,
    unsupported,
)

_log = logging.getLogger("synq")

_MAX_CONFIG = 4 << 20  # bytes
_MAX_WEIGHTS = 1 << 30
_MOST_LAYERS = 1000
_MOST_DEPTH = 10  # of models in models
_NORMALIZATION_EPSILON = 1e-7  # Keras's of a Normalization layer

_CONTAINERS = ("Sequential", "Functional", "Model")
_PASSED = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
_ENDINGS = ("softmax", "sigmoid", "log_softmax")
_CONVOLUTIONS = ("Conv1D", "Conv2D", "QConv1D", "QConv2D", "Convolution1D", "Convolution2D")
_VARIABLES = {  # in the order in which Keras keeps them
    "Dense": ("kernel", "bias"),
    "QDense": ("kernel", "bias"),
    **dict.fromkeys(_CONVOLUTIONS, ("kernel", "bias")),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "QBatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
}

# The arrays of a layer: from its place among the layers and its variables' names to values by name.
Weights = Callable[["Layer"], Mapping[str, Array]]


@dataclass(frozen=True)
class Layer:
    """One layer of a configuration.

    Attributes:
        kind: its class, "Dense".
        place: where it lies in a `.keras` file: "layers/dense_1".
        config: its settings.
        variables: names of its arrays, in their order.
        entry: all that the configuration says of it.
    """

    kind: str
    name: str
    place: str
    config: dict[str, Any]
    variables: tuple[str, ...]
    entry: dict[str, Any]

    def get(self, key: str, kind: type | tuple[type, ...], default: Any) -> Any:
        """A setting, which must be of a type."""
        value = self.config.get(key, default)
        if value is None:
            return default
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise SynqError(f"{quoted(self.name)}: {key} must not be {quoted(value)}")
        return value


def steps_of_archive(content: bytes) -> list[Step]:
    """The steps of the model in a `.keras` archive.

    Raises:
        SynqError: it is damaged, or the model is no chain of layers that are read.
    """
    try:
        stream = io.BytesIO(content)
        members = archive.members(stream)
        config = _member(stream, members, "config.json", _MAX_CONFIG)
        weights = Hdf5(_member(stream, members, "model.weights.h5", _MAX_WEIGHTS))
    except ArchiveError as error:
        raise SynqError(f"is a truncated or damaged Keras archive ({error})") from None
    return steps_of_config(_parsed(config), lambda layer: _by_place(weights, layer))


def _member(stream: io.BytesIO, members: Mapping[str, Member], name: str, most: int) -> bytes:
    if name not in members:
        raise ArchiveError(f"it has no {name}")
    if members[name].size > most:
        raise ArchiveError(f"its {name} is too large")
    reader = MemberReader(stream, members[name])
    content = reader.read(members[name].size)
    reader.finish()
    return content


def steps_of_hdf5(content: bytes) -> list[Step]:
    """The steps of the model in an `.h5` file of Keras.

    Raises:
        SynqError: it is damaged, holds weights only, or the model is not read.
    """
    weights = Hdf5(content)
    if weights.configuration is None:
        raise SynqError(
            "is an HDF5 file without a Keras model's configuration; save the whole model, "
            "with model.save('model.keras')"
        )
    named: dict[str, dict[str, str]] = {}
    for path in weights.paths:
        parts = path.split("/")
        if len(parts) > 2 and parts[0] == "model_weights":
            variable = parts[-1].removesuffix(":0")
            if named.setdefault(parts[-2], {}).setdefault(variable, path) != path:
                raise SynqError(f"two layers are named {quoted(parts[-2])}")

    def of(layer: Layer) -> dict[str, Array]:
        found = named.get(layer.name, {})
        there = [name for name in layer.variables if name in found and name != "count"]
        return {name: weights.values(found[name]) for name in there}

    return steps_of_config(_parsed(weights.configuration), of)


def steps_of_model(model: Any) -> list[Step]:
    """The steps of a Keras model in memory, of either Keras.

    Raises:
        SynqError: it is no chain of layers that are read.
    """
    arrays: dict[str, list[Any]] = {}

    def collect(container: Any) -> None:
        for layer in container.layers:
            if hasattr(layer, "layers"):
                collect(layer)
            elif layer.name in arrays:
                raise SynqError(f"two layers are named {quoted(layer.name)}")
            else:
                arrays[layer.name] = layer.get_weights()

    collect(model)
    return steps_of_config(
        _parsed(model.to_json()),
        lambda layer: _listed(layer, [np.asarray(each) for each in arrays.get(layer.name, [])]),
    )


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise SynqError("the configuration of the Keras model is not JSON") from None
    return _table(config)


def _by_place(weights: Hdf5, layer: Layer) -> dict[str, Array]:
    """The arrays of a layer in the weights of a `.keras` file."""
    prefix = f"{layer.place}/vars/"
    if not any(path.startswith("layers/") for path in weights.paths):  # Keras 2
        prefix = re.sub(r"(^|/)layers/", r"\1_layer_checkpoint_dependencies/", prefix)
    paths = [f"{prefix}{index}" for index in range(len(layer.variables))]
    count = sum(path.startswith(prefix) for path in weights.paths)
    there = [path for path in paths if path in weights.paths]
    real = [path for path, name in zip(there, layer.variables, strict=False) if name != "count"]
    values = [weights.values(path) for path in real]
    return _listed(layer, values) if count <= len(paths) else _listed(layer, [*values, *values])


def _listed(layer: Layer, arrays: Sequence[Array]) -> dict[str, Array]:
    needed = [name for name in layer.variables if name != "count"]
    if arrays and len(arrays) not in (len(needed), len(layer.variables)):
        raise SynqError(
            f"{quoted(layer.name)} has {len(arrays)} arrays, not {', '.join(needed) or 'none'}"
        )
    return dict(zip(needed, arrays, strict=False))


# ---- The chain of layers ------------------------------------------------------------------------


def steps_of_config(config: dict[str, Any], weights: Weights) -> list[Step]:
    """The steps of the model with a configuration.

    Raises:
        SynqError: the configuration is damaged, or the model is no chain of layers that are read.
    """
    reader = _Reader(weights)
    for layer in _layers(config, "", 0):
        reader.add(layer)
    return reader.steps


def _layers(model: dict[str, Any], place: str, depth: int) -> Iterator[Layer]:
    """The layers of a model in the order in which an input goes through them."""
    kind, config = _text(model.get("class_name")), model.get("config")
    if kind not in _CONTAINERS:
        raise unsupported(f"a model of the class {quoted(kind)}")
    if depth > _MOST_DEPTH:
        raise SynqError(f"holds models in models, more than {_MOST_DEPTH} deep")
    listed = config if isinstance(config, list) else _table(config).get("layers")
    if not isinstance(listed, list) or len(listed) > _MOST_LAYERS:
        raise SynqError(f"the Keras model has no layers, or more than {_MOST_LAYERS}")
    entries = [_table(entry) for entry in listed]
    counts: dict[str, int] = {}
    places = {}
    for index, entry in enumerate(entries):
        stem = _snake(_text(entry.get("class_name")))
        counts[stem] = counts.get(stem, -1) + 1
        places[index] = f"{place}layers/{stem}{f'_{counts[stem]}' if counts[stem] else ''}"
    sequential = kind == "Sequential"
    for index in range(len(entries)) if sequential else _chain(_table(config), entries):
        entry = entries[index]
        if entry["class_name"] in _CONTAINERS:
            yield from _layers(entry, f"{places[index]}/", depth + 1)
        else:
            yield _layer(entry, places[index])


def _layer(entry: dict[str, Any], place: str) -> Layer:
    kind, config = _text(entry["class_name"]), _table(entry.get("config"))
    variables = _VARIABLES.get(kind, ())
    if config.get("use_bias") is False:
        variables = tuple(name for name in variables if name != "bias")
    if config.get("scale") is False:
        variables = tuple(name for name in variables if name != "gamma")
    if config.get("center") is False:
        variables = tuple(name for name in variables if name != "beta")
    return Layer(kind, _text(config.get("name", kind)), place, config, variables, entry)


def _chain(config: dict[str, Any], entries: list[dict[str, Any]]) -> list[int]:
    """The layers of a graph from its input to its output, if it does not branch."""
    sources: dict[str, str | None] = {}
    numbers: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = _text(entry.get("name"))
        calls = entry.get("inbound_nodes", [])
        found = list(_sources(calls, 0))
        if not isinstance(calls, list) or len(calls) > 1 or len(found) > 1:
            raise unsupported(f"a branch (layer {quoted(name)} has several inputs, or is shared)")
        if name in numbers:
            raise SynqError(f"two layers are named {quoted(name)}")
        numbers[name], sources[name] = index, found[0] if found else None
    ends = list(_sources([config.get("output_layers")], 0))
    if len(ends) != 1:
        raise unsupported(f"a model of {len(ends)} outputs")
    order: list[int] = []
    name_at: str | None = ends[0]
    while name_at is not None:
        if name_at not in numbers or numbers[name_at] in order:
            raise SynqError(f"the graph of the Keras model is damaged at {quoted(name_at)}")
        order.append(numbers[name_at])
        name_at = sources[name_at]
    if len(order) < len(entries):
        left = next(entry["name"] for index, entry in enumerate(entries) if index not in order)
        raise unsupported(f"a branch (layer {quoted(left)} is not on the way to the output)")
    return order[::-1]


def _sources(calls: Any, depth: int) -> Iterator[str]:
    """The names of the layers whose outputs a layer is called with."""
    if depth > 20:
        raise SynqError("the graph of the Keras model is damaged")
    if isinstance(calls, dict):
        if calls.get("class_name") == "__keras_tensor__":
            history = _table(calls.get("config")).get("keras_history")
            yield from _sources(history, depth + 1)
        else:
            for value in calls.values():
                yield from _sources(value, depth + 1)
    elif isinstance(calls, list):
        if len(calls) >= 3 and isinstance(calls[0], str):
            yield calls[0]
        else:
            for value in calls:
                yield from _sources(value, depth + 1)


# ---- Layers -------------------------------------------------------------------------------------


class _Reader:
    """Makes steps of layers, one after another.

    Attributes:
        shape: of what goes in, without the samples; None if the configuration does not say.
    """

    def __init__(self, weights: Weights) -> None:
        self.steps: list[Step] = []
        self.shape: tuple[int, ...] | None = None
        self._weights = weights

    def add(self, layer: Layer) -> None:
        if self.shape is None:
            self._take_shape(layer)
        match layer.kind:
            case "InputLayer":
                pass
            case "Flatten":
                first = layer.config.get("data_format") == "channels_first"
                if self.shape is not None:
                    if first and len(self.shape) > 1 and self.shape[0] != 1:
                        raise unsupported(f"a Flatten ({quoted(layer.name)}) of channels first")
                    self.shape = (math.prod(self.shape),)
                self.steps.append(Flattened(layer.name, channels_first=False))
            case kind if kind in _CONVOLUTIONS:
                self._convolution(layer)
            case "ZeroPadding1D" | "ZeroPadding2D":
                self._pad(layer)
            case "MaxPooling1D" | "MaxPooling2D" | "MaxPool1D" | "MaxPool2D":
                self._pool(layer, Pooling.MAX)
            case "AveragePooling1D" | "AveragePooling2D" | "AvgPool1D" | "AvgPool2D":
                self._pool(layer, Pooling.AVERAGE)
            case kind if (found := _GLOBAL.fullmatch(kind)) is not None:
                self._check_last(layer)
                pooling = Pooling.MAX if found[1] == "Max" else Pooling.AVERAGE
                self.steps.append(Pooled(layer.name, pooling, None))
                self.steps.append(Flattened(layer.name, channels_first=False))
                self.shape = None if self.shape is None else self.shape[-1:]
            case "Reshape":
                self._reshape(layer)
            case "Dense" | "QDense":
                self._dense(layer)
            case "BatchNormalization" | "QBatchNormalization":
                self._batch_norm(layer)
            case "Normalization":
                self._normalize(layer)
            case "Rescaling":
                scale, offset = (_real(layer, key, base) for key, base in _RESCALING)
                self._affine(layer, scale, offset)
            case "ReLU":
                if layer.config.get("max_value") is not None or any(
                    layer.config.get(key) for key in ("negative_slope", "threshold")
                ):
                    raise unsupported(f"a ReLU ({quoted(layer.name)}) with a bound or slope")
                self.steps.append(Relu(layer.name))
            case "Activation" | "QActivation":
                self._activate(layer, layer.config.get("activation"))
            case "Softmax":
                self.steps.append(Ending(layer.name, "softmax"))
            case kind if kind not in _PASSED:
                raise unsupported(f"a {one_name(kind)} layer ({quoted(layer.name)})")

    def _take_shape(self, layer: Layer) -> None:
        build = layer.entry.get("build_config")
        given = (
            *(layer.config.get(key) for key in ("batch_shape", "batch_input_shape")),
            build.get("input_shape") if isinstance(build, dict) else None,
        )
        for shape in given:
            if isinstance(shape, list) and len(shape) > 1:
                sides = shape[1:]
                if not all(type(side) is int and 0 < side < 1 << 31 for side in sides):
                    raise unsupported(f"an input of the shape {quoted(shape)}")
                check_total(math.prod(sides))
                self.shape = tuple(sides)
                self._see()
                return

    def _reshape(self, layer: Layer) -> None:
        shape = layer.config.get("target_shape")
        sides = shape if isinstance(shape, list) else []
        known = all(type(side) is int and 0 < side < 1 << 31 for side in sides)
        begins = all(isinstance(each, Image) for each in self.steps)
        if len(sides) in (2, 3) and known and begins:  # from features to an image
            if self.shape is not None and math.prod(self.shape) != math.prod(sides):
                raise SynqError(f"{quoted(layer.name)} reshapes {self.shape} to {tuple(sides)}")
            self.shape = tuple(sides)
            self._see()
            return
        if len(sides) != 1:
            raise unsupported(f"a Reshape ({quoted(layer.name)}) other than to one axis")
        self.steps.append(Flattened(layer.name, channels_first=False))
        if self.shape is not None:
            self.shape = (math.prod(self.shape),)

    # ---- Images: channels last -----------------------------------------------------------------

    def _see(self) -> None:
        """Say that an image is what goes in, if it is one."""
        shape = () if self.shape is None else self.shape
        if len(shape) in (2, 3):
            height, width, channels = (1, *shape) if len(shape) == 2 else shape
            self.steps.append(Image((height, width, channels)))

    def _check_last(self, layer: Layer) -> None:
        if layer.config.get("data_format") == "channels_first":
            raise unsupported(f"a {layer.kind} ({quoted(layer.name)}) of channels first")

    def _convolution(self, layer: Layer) -> None:
        self._check_last(layer)
        for what in ("dilation_rate", "groups"):
            value = layer.config.get(what, 1)
            if value not in (1, [1], [1, 1]):
                raise unsupported(f"a {layer.kind} ({quoted(layer.name)}) with {what} {value}")
        arrays = self._arrays(layer)
        kernel, bias = arrays["kernel"], arrays.get("bias")
        one = layer.kind.endswith("1D")
        if kernel.ndim != (3 if one else 4):
            raise SynqError(f"the kernel of {quoted(layer.name)} has the shape {kernel.shape}")
        if layer.kind.startswith("Q"):
            kernel = _quantized(layer, "kernel", kernel)
            bias = None if bias is None else _quantized(layer, "bias", bias)
        kernel = kernel[None] if one else kernel
        stride = self._pair(layer, "strides", one, (1, 1))
        padding = layer.get("padding", str, "valid")
        if padding not in ("valid", "same"):
            raise unsupported(f"a {layer.kind} ({quoted(layer.name)}) with padding {padding:.20}")
        zeros = padding if padding == "same" else ((0, 0), (0, 0))
        self.steps.append(Convolution(layer.name, kernel, bias, stride, zeros))
        if self.shape is not None:
            self._check_image(layer, one)
            sides = [1, *self.shape[:-1]] if one else [*self.shape[:-1]]
            made = [
                -(-side // step) if padding == "same" else (side - size) // step + 1
                for side, step, size in zip(sides, stride, kernel.shape, strict=False)
            ]
            self.shape = (*(made[1:] if one else made), kernel.shape[3])
        self._activate(layer, layer.config.get("activation"))

    def _pad(self, layer: Layer) -> None:
        self._check_last(layer)
        one, given = layer.kind.endswith("1D"), layer.config.get("padding", 1)
        pairs = given if isinstance(given, list) else [given] * (1 if one else 2)
        if one and isinstance(given, list) and all(type(side) is int for side in given):
            pairs = [given]
        sides = [pair if isinstance(pair, list) else [pair, pair] for pair in pairs]
        if len(sides) != (1 if one else 2) or not all(
            len(pair) == 2 and all(type(side) is int and 0 <= side < 1 << 16 for side in pair)
            for pair in sides
        ):
            raise SynqError(f"{quoted(layer.name)}: padding must not be {quoted(given)}")
        rows, columns = [[0, 0], *sides][-2:]
        self.steps.append(Padding(layer.name, ((rows[0], rows[1]), (columns[0], columns[1]))))
        if self.shape is not None:
            self._check_image(layer, one)
            self.shape = (
                *(side + sum(pair) for side, pair in zip(self.shape, sides, strict=False)),
                self.shape[-1],
            )

    def _pool(self, layer: Layer, kind: Pooling) -> None:
        self._check_last(layer)
        one = layer.kind.endswith("1D")
        size = self._pair(layer, "pool_size", one, (1, 2) if one else (2, 2))
        if self._pair(layer, "strides", one, size) != size:
            raise unsupported(f"a pool ({quoted(layer.name)}) whose stride is not its size")
        if layer.get("padding", str, "valid") != "valid":
            raise unsupported(f"a pool ({quoted(layer.name)}) with padding")
        self.steps.append(Pooled(layer.name, kind, size))
        if self.shape is not None:
            self._check_image(layer, one)
            pools = size[1:] if one else size
            places = [side // pool for side, pool in zip(self.shape, pools, strict=False)]
            self.shape = (*places, self.shape[-1])

    def _check_image(self, layer: Layer, one: bool) -> None:
        assert self.shape is not None
        if len(self.shape) != (2 if one else 3):
            raise SynqError(f"{quoted(layer.name)} on inputs of shape {self.shape}")

    def _pair(self, layer: Layer, key: str, one: bool, default: Pair) -> Pair:
        """A number, or one for rows and one for columns; 1 for the rows of one dimension."""
        given = layer.config.get(key)
        if given is None:
            return default
        sides = given if isinstance(given, list) else [given] * (1 if one else 2)
        if len(sides) != (1 if one else 2) or not all(
            type(side) is int and 0 < side < 1 << 16 for side in sides
        ):
            raise SynqError(f"{quoted(layer.name)}: {key} must not be {quoted(given)}")
        rows, columns = [1, *sides][-2:]
        return rows, columns

    def _dense(self, layer: Layer) -> None:
        if self.shape is not None and len(self.shape) > 1:
            raise unsupported(
                f"{quoted(layer.name)} on inputs of shape {self.shape} without a Flatten before"
            )
        arrays = self._arrays(layer)
        kernel, bias = arrays["kernel"], arrays.get("bias")
        if layer.kind == "QDense":
            kernel = _quantized(layer, "kernel", kernel)
            bias = None if bias is None else _quantized(layer, "bias", bias)
        self.steps.append(Dense(layer.name, kernel, bias))
        self.shape = kernel.shape[1:]
        self._activate(layer, layer.config.get("activation"))

    def _arrays(self, layer: Layer) -> Mapping[str, Array]:
        arrays = self._weights(layer)
        for name in layer.variables:
            if name not in arrays and name != "count":
                raise SynqError(f"{quoted(layer.name)} has no {name} in the file")
        return arrays

    def _batch_norm(self, layer: Layer) -> None:
        if layer.kind != "BatchNormalization":
            _log.info("%s: taken without its quantizers", layer.name)
        self._check_axis(layer)
        arrays = self._arrays(layer)
        step = batch_norm(
            layer.name,
            arrays["moving_mean"],
            arrays["moving_variance"],
            arrays.get("gamma"),
            arrays.get("beta"),
            float(layer.get("epsilon", (int, float), 1e-3)),
        )
        self._affine(layer, step.scale, step.shift)

    def _normalize(self, layer: Layer) -> None:
        mean, variance = (layer.config.get(key) for key in ("mean", "variance"))
        if mean is None or variance is None:
            arrays = self._arrays(layer)
            mean, variance = arrays["mean"], arrays["variance"]
        mean, variance = (_numbers(layer, each).reshape(-1) for each in (mean, variance))
        if len(mean) != 1 or len(variance) != 1:
            self._check_axis(layer)
        with np.errstate(all="ignore"):  # what is not finite in the end is refused
            spread = np.maximum(np.sqrt(variance), _NORMALIZATION_EPSILON)
            if layer.get("invert", bool, False):
                self._affine(layer, spread, mean)
            else:
                self._affine(layer, 1 / spread, -mean / spread)

    def _check_axis(self, layer: Layer) -> None:
        """Raise unless a layer normalizes along the last axis."""
        axis = layer.config.get("axis", -1)
        last = 1 if self.shape is None else len(self.shape)
        if axis not in (-1, last, [-1], [last]):
            raise unsupported(f"{quoted(layer.name)} along axis {quoted(axis)}")

    def _affine(self, layer: Layer, scale: Array, shift: Array) -> None:
        arrays = []
        for array in (scale, shift):
            if array.size == 1:
                array = array.reshape(())
            elif self.shape is not None and array.shape != self.shape[-1:]:
                raise SynqError(
                    f"{quoted(layer.name)} is for {array.size} features, not {self.shape[-1]}"
                )
            arrays.append(array)
        self.steps.append(Affine(layer.name, *arrays))

    def _activate(self, layer: Layer, activation: Any) -> None:
        """The steps of what a layer calls its activation: a name, or a class with settings."""
        settings: Any = {}
        if isinstance(activation, dict):
            kind, settings = activation.get("class_name"), activation.get("config")
            activation = settings if kind == "function" else kind
            settings = settings if isinstance(settings, dict) else {}
        if activation is None or activation == "linear":
            return
        name = _text(activation)
        quantizer, _, arguments = name.partition("(")
        odd = any(settings.get(key) for key in _RELU_SETTINGS)
        odd = odd or re.search(r"slope|sigmoid", arguments) is not None
        # by position, the third of quantized_relu is use_sigmoid, the fourth negative_slope
        rest = arguments.rstrip(") ").split(",")[2:4] if quantizer == "quantized_relu" else []
        odd = odd or any(
            "=" not in each and each.strip() not in ("0", "0.0", "False") for each in rest
        )
        if quantizer in ("quantized_relu", "quantized_bits", "quantized_linear") and not odd:
            _log.info("%s: taken without the quantizer %s", layer.name, name)
            if quantizer == "quantized_relu":
                self.steps.append(Relu(layer.name))
        elif name in ("relu", "ReLU") and not odd:
            self.steps.append(Relu(layer.name))
        elif name.lower() in _ENDINGS:
            self.steps.append(Ending(layer.name, name.lower()))
        else:
            raise unsupported(f"the activation {one_name(name)} of {quoted(layer.name)}")


_GLOBAL = re.compile(r"Global(Max|Average|Avg)Pool(?:ing)?[12]D")
_RELU_SETTINGS = ("negative_slope", "use_sigmoid", "max_value", "threshold")
_RESCALING = (("scale", None), ("offset", 0.0))


# ---- QKeras -------------------------------------------------------------------------------------


def _quantized(layer: Layer, part: str, values: Array) -> Array:
    """A weight as QKeras quantizes it, with a factor that is a number; else as it is stored."""
    quantizer = layer.config.get(f"{part}_quantizer")
    if quantizer is None:
        return values
    kind = quantizer.get("class_name") if isinstance(quantizer, dict) else quantizer
    config = quantizer.get("config") if isinstance(quantizer, dict) else None
    settings = Layer(str(kind), f"{layer.name}.{part}", "", _table(config or {}), (), {})
    alpha = settings.config.get("alpha")
    if not isinstance(config, dict) or not isinstance(alpha, int | float | None):
        _log.info("%s: taken as stored, without the quantizer %s", settings.name, one_name(kind))
        return values
    factor = 1.0 if alpha is None else float(alpha)
    match kind:
        case "quantized_bits":
            return factor * _fixed_point(settings, values)
        case "binary" if not settings.get("use_01", bool, False):
            return factor * np.where(values < 0, -1.0, 1.0)
        case "ternary":
            threshold = settings.get("threshold", (int, float), 0.33)
            return np.where(abs(values) >= threshold, factor * np.sign(values), 0.0)
    _log.info("%s: taken as stored, without the quantizer %s", settings.name, one_name(kind))
    return values


def _fixed_point(settings: Layer, values: Array) -> Array:
    """What QKeras's quantized_bits makes of values."""
    signed = settings.get("keep_negative", (bool, int), True)
    bits = settings.get("bits", int, 8) - bool(signed)
    integer = settings.get("integer", int, 0)
    if not 0 <= bits <= 64 or not -64 <= integer <= 64:
        raise SynqError(f"{quoted(settings.name)} has a quantizer of {bits} bits")
    if bits == 0:
        return np.where(values < 0, -1.0 if signed else 0.0, 1.0)
    steps, unit = 2.0**bits, 2.0**integer
    low = -steps + bool(settings.config.get("symmetric")) if signed else 0.0
    codes = np.clip(np.rint(values * steps / unit), low, steps - 1)
    return np.asarray(unit * codes / steps, np.float64)


# ---- Values of a configuration ------------------------------------------------------------------


def one_name(value: Any) -> str:
    """A name out of a configuration for a message: short, without quotes."""
    return str(value)[:80]


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SynqError("the configuration of the Keras model is damaged")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise SynqError("the configuration of the Keras model is damaged")
    return value


def _real(layer: Layer, key: str, default: float | None) -> Array:
    return _numbers(layer, layer.config.get(key, default)).reshape(-1)


def _numbers(layer: Layer, value: Any) -> NDArray[np.float64]:
    """A number, or lists of numbers, as an array."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise SynqError(f"{quoted(layer.name)} has settings that are no numbers") from None


def _snake(name: str) -> str:
    """What Keras makes of a class's name in its archives: `ReLU` to `re_lu`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
