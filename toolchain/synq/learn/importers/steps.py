"""What every importer makes of its source, and the one place that makes a network of it.

A source becomes a list of steps, in the order in which an input goes through them. `network_of`
folds them into layers with a ReLU between each two: what scales and shifts values goes into the
layer before it, where no ReLU stands between, or else into the one after. Images become channels
last, whatever the source has them in.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, quoted
from synq.float_network import FloatNetwork, check_layers, check_total
from synq.geometry import DENSE, Geometry, Pair, Pool, Pooling, Shape, Window, sides

_log = logging.getLogger("synq")

SUPPORTED = (
    "supported are dense layers and convolutions, ReLU between them, max and average pools, batch "
    "normalization, constant scales and shifts, dropout, flattening, and softmax or sigmoid at the "
    "end"
)

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Dense:
    """`x @ weight + bias`.

    Attributes:
        name: the layer's, for messages.
        weight: float32 or float64, shape `(n_in, n_out)`.
        bias: shape `(n_out,)`, or None.
    """

    name: str
    weight: Array
    bias: Array | None
    geometry: Geometry = field(default=DENSE, kw_only=True)


@dataclass(frozen=True)
class Image:
    """Values are an image from here on: height, width, channels, in the order of the data."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution of an image; of one dimension the height is 1.

    Attributes:
        name: the layer's, for messages.
        weight: float32 or float64, `(height, width, channels, outputs)`, not mirrored.
        bias: shape `(outputs,)`, or None.
        padding: zeros above and below, left and right; or "same" for as many as keep the size,
            divided by the stride, the odd one below and right.
    """

    name: str
    weight: Array
    bias: Array | None
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] | str = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Padding:
    """Zeros above and below, left and right of the image, for the convolution after it."""

    name: str
    zeros: tuple[Pair, Pair]


@dataclass(frozen=True)
class Pooled:
    """Neighbouring places made one; None for all of them."""

    name: str
    kind: Pooling
    size: Pair | None


@dataclass(frozen=True)
class Flattened:
    """An image made a row of features.

    Attributes:
        channels_first: whether all of a channel's values stand together.
    """

    name: str
    channels_first: bool


@dataclass(frozen=True, eq=False)
class Affine:
    """`x * scale + shift`: a batch normalization, a normalization of inputs, a constant added.

    Attributes:
        scale, shift: float64, one value a feature, shape `(n,)`, or one for all, shape `()`; of an
            image a feature is a channel.
    """

    name: str
    scale: Array
    shift: Array


@dataclass(frozen=True)
class Relu:
    """`max(x, 0)`."""

    name: str


@dataclass(frozen=True)
class Ending:
    """A function that leaves the order of the outputs: softmax, sigmoid. Passed over at the end."""

    name: str
    function: str


Step = Dense | Image | Convolution | Padding | Pooled | Flattened | Affine | Relu | Ending


def unsupported(what: str) -> SynqError:
    """The error for a layer or operation that no step stands for."""
    return SynqError(f"{what} is not supported; {SUPPORTED}")


def batch_norm(
    name: str,
    mean: Array,
    variance: Array,
    scale: Array | None,
    shift: Array | None,
    epsilon: float,
) -> Affine:
    """`(x - mean) / sqrt(variance + epsilon) * scale + shift`, as a batch normalization computes.

    Raises:
        SynqError: the arrays differ in shape, or a variance is negative.
    """
    arrays = [array for array in (mean, variance, scale, shift) if array is not None]
    if any(array.ndim != 1 or array.shape != mean.shape for array in arrays):
        raise SynqError(f"the arrays of {quoted(name)} must be 1-D and of one length")
    spread = variance.astype(np.float64) + epsilon
    if not (spread > 0).all():
        raise SynqError(f"the variance of {quoted(name)} must be above zero")
    factor = 1 / np.sqrt(spread)
    if scale is not None:
        factor = factor * scale
    offset = -mean.astype(np.float64) * factor
    return Affine(name, factor, offset if shift is None else offset + shift)


def network_of(steps: Sequence[Step], shape: Shape | None = None) -> FloatNetwork:
    """The network that computes what the steps do; folded in float64, rounded once to float32.

    Args:
        shape: of an input, where the steps may not say.

    Raises:
        SynqError: they are no chain of layers with ReLU between them.
    """
    layers = _Layers(shape)
    ending: Ending | None = None
    with np.errstate(all="ignore"):  # what is not finite in the end is refused
        for step in steps:
            if ending is not None:
                where = f"{ending.function} ({quoted(ending.name)}) before the last layer"
                raise unsupported(where)
            match step:
                case Dense():
                    layers.add(step)
                case Image():
                    layers.see(step)
                case Convolution():
                    layers.convolve(step)
                case Padding():
                    layers.pad(step)
                case Pooled():
                    layers.pool(step)
                case Flattened():
                    layers.flatten(step)
                case Affine():
                    layers.scale(step)
                case Relu():
                    layers.rectify(step)
                case Ending():
                    ending = step
        network = layers.network("" if ending is None else ending.function)
    if ending is not None:
        _log.info(
            "%s at the end passed over: classes stay, outputs are those before", ending.function
        )
    return network


class _Layers:
    """The layers so far.

    Attributes:
        layers: in the data's order of values.
        open: whether no ReLU has followed the last layer yet.
        ahead: what the next layer must take up.
        image: the shape of the values, if they are an image; None for a row of features.
        flat: the image that a row of features was, in the order of the source: channels first.
        padding: that the next convolution must take up.
    """

    def __init__(self, shape: Shape | None) -> None:
        self.layers: list[Dense] = []
        self.open = False
        self.ahead: Affine | None = None
        self.image = shape
        self.flat: Shape | None = None
        self.padding: Padding | None = None

    def see(self, step: Image) -> None:
        if self.layers and step.shape != self.image:
            raise unsupported(f"a change of the shape to {step.shape} between layers")
        self.image = step.shape

    def add(self, step: Dense) -> None:
        if step.weight.ndim != 2:
            raise SynqError(
                f"the weight of {quoted(step.name)} must have inputs and outputs, "
                f"got shape {step.weight.shape}"
            )
        if self.layers and self.image is not None and self.image[:2] != (1, 1):
            raise unsupported(f"{quoted(step.name)} on an image, without a flattening before")
        if self.flat is not None:
            step = replace(step, weight=_channels_last(step.weight, self.flat, step.name))
        self.image = self.flat = None
        self._append(step)

    def convolve(self, step: Convolution) -> None:
        if self.image is None:
            raise SynqError(
                f"the shape of the images that {quoted(step.name)} takes is not known: give the "
                "data as images, or save the network with the shape of its input"
            )
        height, width, channels, outputs = step.weight.shape
        if channels != self.image[2]:
            raise SynqError(
                f"{quoted(step.name)} takes {channels} channels, but gets {self.image[2]} of an "
                f"image of {sides(self.image)}"
            )
        padding = step.padding
        if isinstance(padding, str):
            padding = _same(self.image, (height, width), step.stride)
        if self.padding is not None:
            (top, bottom), (left, right) = padding
            (above, below), (before, after) = self.padding.zeros
            padding = ((top + above, bottom + below), (left + before, right + after))
            self.padding = None
        if not any(map(any, padding)) and (height, width) == self.image[:2]:
            geometry = DENSE  # used once
        else:
            try:
                geometry = Geometry(Window(self.image, (height, width), step.stride, padding))
            except ValueError as error:
                raise SynqError(
                    f"{quoted(step.name)} on an image of {sides(self.image)}: {error}"
                ) from None
        weight = step.weight.reshape(-1, outputs)
        self._append(Dense(step.name, weight, step.bias, geometry=geometry))
        self.image = geometry.passed(outputs)

    def _append(self, step: Dense) -> None:
        if step.bias is not None and step.bias.shape != step.weight.shape[1:]:
            raise SynqError(
                f"the bias of {quoted(step.name)} must have shape {step.weight.shape[1:]}, "
                f"one value an output, got {step.bias.shape}"
            )
        self._check_padding(step.name)
        if self.ahead is not None:
            step = _after(self.ahead, step)
            self.ahead = None
        if self.open:
            before = self.layers.pop()
            if before.geometry is not DENSE or step.geometry is not DENSE:
                raise unsupported(
                    f"{quoted(step.name)} after {quoted(before.name)} without a ReLU between"
                )
            _log.info(
                "%s follows %s without a ReLU between: made one layer", step.name, before.name
            )
            step = _product(before, step)
        self.layers.append(step)
        self.open = True

    def pad(self, step: Padding) -> None:
        if self.padding is not None or self.image is None or self.ahead is not None:
            raise unsupported(f"a padding ({quoted(step.name)}) other than before a convolution")
        self.padding = step

    def _check_padding(self, name: str) -> None:
        if self.padding is not None:
            raise unsupported(
                f"a padding ({quoted(self.padding.name)}) before {quoted(name)}, which is no "
                "convolution,"
            )

    def pool(self, step: Pooled) -> None:
        self._check_padding(step.name)
        last = self.layers[-1] if self.layers else None
        size = (1, 1) if self.image is None else step.size or self.image[:2]
        if size == (1, 1) and self.image is not None:
            return
        if last is None or last.geometry.window is None or self.image is None:
            raise unsupported(f"a pool ({quoted(step.name)}) of what no convolution answers")
        if last.geometry.pool is not None or self.ahead is not None:
            raise unsupported(f"a pool ({quoted(step.name)}) other than right after a ReLU")
        if self.open and step.kind is Pooling.AVERAGE:
            raise unsupported(f"an average pool ({quoted(step.name)}) without a ReLU before it")
        try:
            geometry = Geometry(last.geometry.window, Pool(step.kind, size))
        except ValueError as error:
            raise SynqError(f"{quoted(step.name)} on {sides(self.image)}: {error}") from None
        self.layers[-1] = replace(last, geometry=geometry)
        self.image = geometry.passed(last.weight.shape[1])

    def flatten(self, step: Flattened) -> None:
        self._check_padding(step.name)
        if self.image is not None:
            # The data's own features are in the order in which the first layer takes them.
            first = step.channels_first and not self.layers
            if self.ahead is not None:
                self.ahead = _spread(self.ahead, self.image, first)
            if self.layers:
                self.flat = self.image if step.channels_first else None
        self.image = None

    def scale(self, step: Affine) -> None:
        if self.flat is not None:
            arrays = [
                _channels_last(array, self.flat, step.name) if array.ndim else array
                for array in (step.scale, step.shift)
            ]
            step = Affine(step.name, *arrays)
        self._check_padding(step.name)
        if not self.open:
            if self.ahead is not None:
                if self.image is not None and len(_sizes(self.ahead) | _sizes(step)) > 1:
                    # Only sources with channels first say something of each value of an image.
                    self.ahead = _spread(self.ahead, self.image, channels_first=True)
                    step = _spread(step, self.image, channels_first=True)
                scale, shift = _matched(self.ahead, step)
                step = Affine(step.name, scale * step.scale, shift * step.scale + step.shift)
            self.ahead = step
            return
        last = self.layers[-1]
        if last.geometry.pool is not None:
            raise unsupported(f"{quoted(step.name)} between a pool and the ReLU after it")
        if last.geometry.window is not None and self.image is None:
            raise unsupported(f"{quoted(step.name)} on flattened images before the ReLU after it")
        self.layers[-1] = _before(last, step)

    def rectify(self, step: Relu) -> None:
        if not self.layers:
            raise unsupported(f"a ReLU ({quoted(step.name)}) before the first dense layer")
        self._check_padding(step.name)
        if self.ahead is not None:
            raise unsupported(
                f"a ReLU ({quoted(step.name)}) after the normalization {quoted(self.ahead.name)}, "
                "with no dense layer between it and the ReLU before,"
            )
        self.open = False

    def network(self, ending: str) -> FloatNetwork:
        if not self.layers:
            raise SynqError(f"holds no dense layer; {SUPPORTED}")
        if not self.open:
            raise SynqError(
                "ends in a ReLU, after which several outputs can be equal, all 0: save the network "
                "without its last ReLU; the largest output stays the largest"
            )
        last = self.layers[-1]
        if last.geometry.window is not None:
            raise unsupported(f"a convolution ({quoted(last.name)}) as the last layer")
        weights = tuple(_float32(layer.weight) for layer in self.layers)
        biases = tuple(None if each.bias is None else _float32(each.bias) for each in self.layers)
        geometries = tuple(layer.geometry for layer in self.layers)
        names = [quoted(layer.name) for layer in self.layers]
        # FloatNetwork checks the same, but cannot name the layers
        check_layers(
            weights,
            biases,
            [f"the weight of {name}" for name in names],
            [f"the bias of {name}" for name in names],
            geometries,
        )
        return FloatNetwork(weights, biases, geometries, ending)


def _same(shape: Shape, kernel: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """Zeros that keep the size, divided by the stride, as Keras and ONNX's SAME_UPPER count."""
    pairs = []
    for size, kernel_size, step in zip(shape, kernel, stride, strict=False):
        total = max(0, (-(-size // step) - 1) * step + kernel_size - size)
        pairs.append((total // 2, total - total // 2))
    return pairs[0], pairs[1]


def _spread(affine: Affine, image: Shape, channels_first: bool) -> Affine:
    """What is said of an image's channels, of all its values."""
    spread, places = np.repeat if channels_first else np.tile, image[0] * image[1]
    arrays = (
        spread(array, places) if array.shape == image[2:] else array
        for array in (affine.scale, affine.shift)
    )
    return Affine(affine.name, *arrays)


def _channels_last(values: Array, image: Shape, name: str) -> Array:
    """`(n, ...)` values of a flattened image, from channels first to channels last."""
    height, width, channels = image
    if len(values) != height * width * channels:
        raise SynqError(
            f"{quoted(name)} takes {len(values)} inputs, but gets an image of {sides(image)}"
        )
    first = values.reshape(channels, height, width, *values.shape[1:])
    return np.moveaxis(first, 0, 2).reshape(values.shape)


def _after(ahead: Affine, dense: Dense) -> Dense:
    """A layer that first scales its inputs."""
    n_in, weight = dense.weight.shape[0], dense.weight.astype(np.float64)
    window = dense.geometry.window
    n_features = n_in if window is None else window.shape[2]
    _check_features(ahead, n_features, dense.name)
    if window is not None and any(map(any, window.padding)) and ahead.shift.any():
        raise unsupported(
            f"a padding of {quoted(dense.name)} with zeros of what {quoted(ahead.name)} has shifted"
        )
    scale, shift = (
        np.tile(np.broadcast_to(array, (n_features,)), n_in // n_features)
        for array in (ahead.scale, ahead.shift)
    )
    moved = shift @ weight
    bias = moved if dense.bias is None else moved + dense.bias
    return replace(dense, weight=weight * scale[:, None], bias=bias)


def _before(dense: Dense, after: Affine) -> Dense:
    """A layer whose outputs are then scaled."""
    n_out = dense.weight.shape[1]
    _check_features(after, n_out, dense.name)
    bias = after.shift if dense.bias is None else dense.bias * after.scale + after.shift
    scaled = dense.weight.astype(np.float64) * after.scale
    return replace(dense, weight=scaled, bias=np.broadcast_to(bias, (n_out,)))


def _product(first: Dense, second: Dense) -> Dense:
    """Two dense layers as one."""
    if first.weight.shape[1] != second.weight.shape[0]:
        raise SynqError(
            f"the weight of {quoted(second.name)} takes {second.weight.shape[0]} inputs, but "
            f"{quoted(first.name)} before it gives {first.weight.shape[1]} outputs"
        )
    check_total(first.weight.shape[0] * second.weight.shape[1])
    weight = second.weight.astype(np.float64)
    bias: Array | None = None if first.bias is None else first.bias @ weight
    if second.bias is not None:
        bias = second.bias if bias is None else bias + second.bias
    return Dense(second.name, first.weight.astype(np.float64) @ weight, bias)


def _sizes(affine: Affine) -> set[tuple[int, ...]]:
    return {affine.scale.shape, affine.shift.shape} - {()}


def _matched(first: Affine, second: Affine) -> tuple[Array, Array]:
    """Scale and shift of `first`, if `second` is of as many features."""
    if len(_sizes(first) | _sizes(second)) > 1:
        raise SynqError(
            f"{quoted(first.name)} and {quoted(second.name)} after it are of different sizes"
        )
    return first.scale, first.shift


def _check_features(affine: Affine, n_features: int, name: str) -> None:
    for array in (affine.scale, affine.shift):
        if array.shape not in ((), (n_features,)):
            raise SynqError(
                f"{quoted(affine.name)} is for {array.size} features, "
                f"but {quoted(name)} beside it has {n_features}"
            )


def _float32(array: Array) -> NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)
