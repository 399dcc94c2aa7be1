"""What geometries do, on torch's tensors and with gradients."""

import torch
from torch.nn.functional import avg_pool2d, conv2d, linear, max_pool2d, pad

from synq.geometry import Geometry, Pooling, Shape


def summed(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry
) -> torch.Tensor:
    """A layer's sums at all of its places, `(n, n_places * n_out)`.

    Args:
        inputs: (n, values), channels last.
        weight: (n_out, n_in), n_in in the order of a window.
        bias: (n_out,), or None.
    """
    window = geometry.window
    if window is None:
        return linear(inputs, weight, bias)
    images = _images(inputs, window.shape)
    (above, below), (left, right) = window.padding
    if above or below or left or right:
        images = pad(images, (left, right, above, below))
    kernel = weight.reshape(-1, *window.kernel, window.shape[2]).permute(0, 3, 1, 2)
    return _flattened(conv2d(images, kernel, bias, window.stride))


def pooled(answers: torch.Tensor, geometry: Geometry, n_out: int) -> torch.Tensor:
    """What is passed on of a layer's answers, `(n, values)`: the largest, or the sum, as
    `Pool.pooled`."""
    if geometry.pool is None:
        return answers
    images = _images(answers, geometry.answered(n_out))
    if geometry.pool.kind is Pooling.MAX:
        return _flattened(max_pool2d(images, geometry.pool.size))
    return _flattened(avg_pool2d(images, geometry.pool.size, divisor_override=1))


def _images(rows: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Rows of channels-last images as torch indexes them, channels first; nothing is copied."""
    return rows.reshape(-1, *shape).permute(0, 3, 1, 2)


def _flattened(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 2, 3, 1).flatten(1)
