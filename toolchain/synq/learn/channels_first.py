"""Weights as torch and ONNX lay them out, where an image's channels come first, and as here."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.geometry import Pair, Shape

_Real = TypeVar("_Real", bound=np.floating[Any])


def matrix_of_kernel(kernel: NDArray[_Real]) -> NDArray[_Real]:
    """A convolution's `(c_out, c_in, height, width)` as what its array holds, `(n_in, c_out)`."""
    return kernel.transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])


def kernel_of_matrix(matrix: NDArray[_Real], size: Pair) -> NDArray[_Real]:
    """The inverse, of a window of this size."""
    return matrix.reshape(*size, -1, matrix.shape[1]).transpose(3, 2, 0, 1)


def matrix_of_linear(weight: NDArray[_Real], shape: Shape | None = None) -> NDArray[_Real]:
    """A dense layer's `(n_out, n_in)` as `(n_in, n_out)`.

    Args:
        shape: height, width and channels of the image that was flattened before it, if one was.
    """
    if shape is None:
        return weight.T
    height, width, channels = shape
    split = weight.reshape(-1, channels, height, width)
    return split.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def linear_of_matrix(matrix: NDArray[_Real], shape: Shape | None = None) -> NDArray[_Real]:
    """The inverse."""
    if shape is None:
        return matrix.T
    split = matrix.reshape(*shape, matrix.shape[1])
    return split.transpose(3, 2, 0, 1).reshape(matrix.shape[1], -1)
