"""What every importer makes of its source, and the one place that makes a network of it.

A source becomes a list of steps, in the order in which an input goes through them. `network_of`
folds them into dense layers with a ReLU between each two: what scales and shifts values goes into
the dense layer before it, where no ReLU stands between, or else into the one after.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, quoted
from synq.float_network import FloatNetwork, check_layers, check_total

_log = logging.getLogger("synq")

SUPPORTED = (
    "supported are dense layers, ReLU between them, batch normalization, constant scales and "
    "shifts, dropout, flattening, and softmax or sigmoid at the end"
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


@dataclass(frozen=True, eq=False)
class Affine:
    """`x * scale + shift`: a batch normalization, a normalization of inputs, a constant added.

    Attributes:
        scale, shift: float64, one value a feature, shape `(n,)`, or one for all, shape `()`.
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


Step = Dense | Affine | Relu | Ending


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


def network_of(steps: Sequence[Step]) -> FloatNetwork:
    """The network that computes what the steps do; folded in float64, rounded once to float32.

    Raises:
        SynqError: they are no chain of dense layers with ReLU between them.
    """
    layers = _Layers()
    ending: Ending | None = None
    with np.errstate(all="ignore"):  # what is not finite in the end is refused
        for step in steps:
            if ending is not None:
                where = f"{ending.function} ({quoted(ending.name)}) before the last layer"
                raise unsupported(where)
            match step:
                case Dense():
                    layers.add(step)
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
        open: whether no ReLU has followed the last dense layer yet.
        ahead: what the next dense layer must take up.
    """

    def __init__(self) -> None:
        self.dense: list[Dense] = []
        self.open = False
        self.ahead: Affine | None = None

    def add(self, step: Dense) -> None:
        if step.weight.ndim != 2:
            raise SynqError(
                f"the weight of {quoted(step.name)} must have inputs and outputs, "
                f"got shape {step.weight.shape}"
            )
        if step.bias is not None and step.bias.shape != step.weight.shape[1:]:
            raise SynqError(
                f"the bias of {quoted(step.name)} must have shape {step.weight.shape[1:]}, "
                f"one value an output, got {step.bias.shape}"
            )
        if self.ahead is not None:
            step = _after(self.ahead, step)
            self.ahead = None
        if self.open:
            before = self.dense.pop()
            _log.info(
                "%s follows %s without a ReLU between: made one layer", step.name, before.name
            )
            step = _product(before, step)
        self.dense.append(step)
        self.open = True

    def scale(self, step: Affine) -> None:
        if self.open:
            self.dense[-1] = _before(self.dense[-1], step)
        elif self.ahead is None:
            self.ahead = step
        else:
            scale, shift = _matched(self.ahead, step)
            self.ahead = Affine(step.name, scale * step.scale, shift * step.scale + step.shift)

    def rectify(self, step: Relu) -> None:
        if not self.dense:
            raise unsupported(f"a ReLU ({quoted(step.name)}) before the first dense layer")
        if self.ahead is not None:
            raise unsupported(
                f"a ReLU ({quoted(step.name)}) after the normalization {quoted(self.ahead.name)}, "
                "with no dense layer between it and the ReLU before,"
            )
        self.open = False

    def network(self, ending: str) -> FloatNetwork:
        if not self.dense:
            raise SynqError(f"holds no dense layer; {SUPPORTED}")
        if not self.open:
            raise SynqError(
                "ends in a ReLU, after which several outputs can be equal, all 0: save the network "
                "without its last ReLU; the largest output stays the largest"
            )
        weights = tuple(_float32(layer.weight) for layer in self.dense)
        biases = tuple(None if each.bias is None else _float32(each.bias) for each in self.dense)
        names = [quoted(layer.name) for layer in self.dense]
        # FloatNetwork checks the same, but cannot name the layers
        check_layers(
            weights,
            biases,
            [f"the weight of {name}" for name in names],
            [f"the bias of {name}" for name in names],
        )
        return FloatNetwork(weights, biases, ending=ending)


def _after(ahead: Affine, dense: Dense) -> Dense:
    """A dense layer that first scales its inputs."""
    n_in, weight = dense.weight.shape[0], dense.weight.astype(np.float64)
    _check_features(ahead, n_in, dense.name)
    shift = np.broadcast_to(ahead.shift, (n_in,)) @ weight
    scaled = weight * np.broadcast_to(ahead.scale, (n_in,))[:, None]
    return Dense(dense.name, scaled, shift if dense.bias is None else shift + dense.bias)


def _before(dense: Dense, after: Affine) -> Dense:
    """A dense layer whose outputs are then scaled."""
    n_out = dense.weight.shape[1]
    _check_features(after, n_out, dense.name)
    bias = after.shift if dense.bias is None else dense.bias * after.scale + after.shift
    scaled = dense.weight.astype(np.float64) * after.scale
    return Dense(dense.name, scaled, np.broadcast_to(bias, (n_out,)))


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


def _matched(first: Affine, second: Affine) -> tuple[Array, Array]:
    """Scale and shift of `first`, if `second` is of as many features."""
    sizes = {array.shape for each in (first, second) for array in (each.scale, each.shift)}
    if len(sizes - {()}) > 1:
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
