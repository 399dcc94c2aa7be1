"""A trained network in real numbers."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synq.errors import SynqError
from synq.geometry import DENSE, Geometry, Shape, Window, check_chain
from synq.network import classes_of

MAX_VALUES = 100_000_000  # a thousand times the paper's network; a typo or an attack beyond it
_VALUES_AT_ONCE = 1 << 22  # that convolutions see of as many samples as there is room for

ONLY_CHAINS = "only ReLU networks of one layer after another are supported"


@dataclass(frozen=True, eq=False)  # arrays do not compare to one bool: compare digests
class FloatNetwork:
    """A perceptron with ReLU between its layers, dense ones or convolutions, in real numbers.

    The constructor copies the arrays, as float32, and makes the copies read-only.

    Attributes:
        weights: one a layer, float32, shape `(n_in, n_out)`; of a convolution n_in is what its
            window sees, in the order of `Window`.
        biases: one a layer, float32, shape `(n_out,)`, or None for a layer without.
        geometries: where each layer's weights are used; without, every layer is dense.
        ending: the function after the last layer that an importer has passed over, "softmax"; it
            leaves the classes, not the values. Of no part in the digest, nor of a saved network.

    Raises:
        SynqError: no layer, shapes that do not chain, a value that is NaN or infinite, or a layer
            of zeros only, which cannot be normalized by its largest weight.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32] | None, ...]
    geometries: tuple[Geometry, ...] = ()
    ending: str = ""

    def __post_init__(self) -> None:
        layers = range(1, len(self.weights) + 1)
        weights = tuple(_float32(array) for array in self.weights)
        biases = tuple(None if array is None else _float32(array) for array in self.biases)
        geometries = self.geometries or (DENSE,) * len(weights)
        if len(geometries) != len(weights):
            raise SynqError("the network's layers do not fit: a network has one geometry a layer")
        check_layers(
            weights,
            biases,
            [f"the weight of layer {layer}" for layer in layers],
            [f"the bias of layer {layer}" for layer in layers],
            geometries,
        )
        try:
            check_chain(geometries, [weight.shape for weight in weights])
        except ValueError as error:
            raise SynqError(f"the network's layers do not fit: {error}") from None
        object.__setattr__(self, "geometries", geometries)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @property
    def n_in(self) -> int:
        """Values of a sample."""
        window = self.geometries[0].window
        return self.weights[0].shape[0] if window is None else math.prod(window.shape)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values of a sample and of what each layer passes on: `(784, 128, 10)`."""
        return (self.n_in, *(math.prod(shape) for shape in self.shapes))

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Height, width and channels of what each layer passes on; (1, 1, n) of a dense one."""
        return tuple(
            geometry.passed(weight.shape[1])
            for geometry, weight in zip(self.geometries, self.weights, strict=True)
        )

    @property
    def answered_shapes(self) -> tuple[Shape, ...]:
        """The same before layers' pools."""
        return tuple(
            geometry.answered(weight.shape[1])
            for geometry, weight in zip(self.geometries, self.weights, strict=True)
        )

    @property
    def dense(self) -> bool:
        """Whether every layer is."""
        return all(geometry.window is None for geometry in self.geometries)

    @property
    def digest(self) -> str:
        """SHA-256 over the shapes and the values: equal for equal networks, in hexadecimal."""
        sha = hashlib.sha256()
        for weight, bias in zip(self.weights, self.biases, strict=True):
            sha.update(f"{weight.shape} {bias is not None};".encode())
            sha.update(weight.astype("<f4").tobytes())
            if bias is not None:
                sha.update(bias.astype("<f4").tobytes())
        if not self.dense:
            sha.update(repr(self.geometries).encode())
        return sha.hexdigest()

    def logits(self, inputs: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The last layer's outputs, `(n, classes)`, for real inputs of shape `(n, features)`.

        Raises:
            SynqError: the inputs do not have the network's number of features.
        """
        if inputs.ndim != 2 or inputs.shape[1] != self.sizes[0]:
            raise SynqError(
                f"the network takes {self.sizes[0]} inputs a sample, "
                f"but the samples have shape {inputs.shape[1:]}"
            )
        activations = np.asarray(inputs, dtype=np.float32)
        for layer in range(len(self.weights)):
            if layer:
                activations = np.maximum(activations, 0)
                activations = self._pooled(layer - 1, activations)
            activations = self._sums(layer, activations)
        return activations

    def _sums(self, layer: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """A layer's sums at all of its places, `(n, n_places * n_out)`."""
        weight, bias = self.weights[layer], self.biases[layer]
        window = self.geometries[layer].window
        if window is None:
            sums = inputs @ weight
            return sums if bias is None else sums + bias
        made = np.empty((len(inputs), window.n_places * weight.shape[1]), dtype=np.float32)
        at_once = max(1, _VALUES_AT_ONCE // (window.n_places * window.n_in))
        for start in range(0, len(inputs), at_once):
            sums = window.patches(inputs[start : start + at_once]) @ weight
            if bias is not None:
                sums += bias
            made[start : start + at_once] = sums.reshape(-1, made.shape[1])
        return made

    def _pooled(self, layer: int, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        pool = self.geometries[layer].pool
        if pool is None:
            return answers
        pooled = pool.pooled(answers, self.answered_shapes[layer])
        return pooled / np.float32(pool.divisor)

    def accuracy(self, inputs: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
        """The share of samples whose class (`classes_of`) is their label, in percent."""
        return 100 * float(np.mean(classes_of(self.logits(inputs)) == labels))

    def with_normalized_inputs(
        self, mean: ArrayLike, std: ArrayLike, factor: float = 1.0
    ) -> "FloatNetwork":
        """The network that for inputs x gives what this one gives for `(factor * x - mean) / std`.

        The first layer takes it up, in float64, rounded once to float32; it gets a bias.

        Args:
            mean: one number, or one an input.
            std: likewise, all above zero.
            factor: what inputs are multiplied by first.

        Raises:
            SynqError: they are not numbers of that many, not finite, or not above zero.
        """
        n_in = self.n_in
        means = _one_an_input(mean, "the mean", n_in)
        deviations = _one_an_input(std, "the standard deviation", n_in)
        if not (deviations > 0).all():
            raise SynqError(
                "the standard deviation must be above zero: give 1 for an input that never changes"
            )
        if not np.isfinite(factor) or factor == 0:
            raise SynqError(f"the factor of the inputs must be finite and not zero, got {factor}")
        window = self.geometries[0].window
        if window is not None:
            means, deviations = (
                _one_a_row(each, window, what)
                for each, what in ((means, "the mean"), (deviations, "the standard deviation"))
            )
            if means.any() and any(map(any, window.padding)):
                raise SynqError(
                    "the first layer's padding is zeros of normalized inputs, not of the data: "
                    "normalize with mean 0, or train without padding there"
                )
        weight, bias = self.weights[0].astype(np.float64), self.biases[0]
        shift = -(means / deviations) @ weight
        return FloatNetwork(
            (_float32(weight * (factor / deviations)[:, None]), *self.weights[1:]),
            (_float32(shift if bias is None else bias + shift), *self.biases[1:]),
            self.geometries,
        )


def _one_a_row(values: NDArray[np.float64], window: Window, what: str) -> NDArray[np.float64]:
    """`values`, one an input of an image, as one a row of the window: one a channel."""
    channels = window.shape[2]
    of_channel = values.reshape(-1, channels)
    if not (of_channel == of_channel[0]).all():
        raise SynqError(f"{what} of a convolution's inputs is one number, or one a channel")
    return np.tile(of_channel[0], window.n_in // channels)


def _one_an_input(values: ArrayLike, name: str, n_in: int) -> NDArray[np.float64]:
    """`values`, `(n_in,)`, of one number or one an input."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SynqError(f"{name} must be a number, or one an input") from None
    if array.size not in (1, n_in):
        raise SynqError(
            f"{name} must be one number or {n_in}, one an input of the network, got {array.size}"
        )
    if not np.isfinite(array).all():
        raise SynqError(f"{name} must be finite")
    return np.broadcast_to(array.reshape(-1), (n_in,))


def _float32(array: ArrayLike) -> NDArray[np.float32]:
    """A read-only float32 copy; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        copy = np.array(array, dtype=np.float32, order="C")
    copy.setflags(write=False)
    return copy


def check_layers(
    weights: Sequence[NDArray[np.float32]],
    biases: Sequence[NDArray[np.float32] | None],
    weight_names: Sequence[str],
    bias_names: Sequence[str],
    geometries: Sequence[Geometry],
) -> None:
    """Raise a SynqError with the name of the first array that cannot be part of a network."""
    if not weights or len(biases) != len(weights):
        raise SynqError(
            f"a network needs at least one layer, and a bias or None for each; "
            f"got {len(weights)} weights and {len(biases)} biases"
        )
    for layer, (weight, name) in enumerate(zip(weights, weight_names, strict=True)):
        if weight.ndim != 2 or weight.size == 0:
            raise SynqError(f"{name} must have inputs and outputs, got shape {weight.shape}")
        if layer and geometries[layer].window is None:
            before = geometries[layer - 1].passed(weights[layer - 1].shape[1])
            if math.prod(before) != weight.shape[0]:
                raise SynqError(
                    f"{name} takes {weight.shape[0]} inputs, but {weight_names[layer - 1]} before "
                    f"it gives {math.prod(before)} outputs; {ONLY_CHAINS}"
                )
        _check_finite(weight, name)
        if not weight.any():
            raise SynqError(f"{name} is all zeros, so its largest weight cannot normalize it")
    for weight, bias, name in zip(weights, biases, bias_names, strict=True):
        if bias is not None:
            if bias.shape != weight.shape[1:]:
                raise SynqError(
                    f"{name} must have shape {weight.shape[1:]}, one value an output, "
                    f"got {bias.shape}"
                )
            _check_finite(bias, name)


def _check_finite(array: NDArray[np.float32], name: str) -> None:
    if not np.isfinite(array).all():
        raise SynqError(f"{name} holds values that are NaN or infinite in float32")


def check_total(values: int) -> None:
    if values > MAX_VALUES:
        shown = f"{values:,}" if values < 10**15 else "more than 10**15"
        raise SynqError(f"holds {shown} values; at most {MAX_VALUES:,} are supported")
