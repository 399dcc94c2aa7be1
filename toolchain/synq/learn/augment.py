"""Random distortions of training images: the same digit, written a little differently.

Affine maps and smooth local displacements (Simard et al., "Best Practices for Convolutional Neural
Networks Applied to Visual Document Analysis", ICDAR 2003).
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from synq.errors import UsageError

if TYPE_CHECKING:  # importing torch takes two seconds
    import torch

_CONTROL_POINTS = 5  # a side; between them the displacement is bilinear


@dataclass(frozen=True)
class Augmentation:
    """How far an image may be distorted; each of its maps is drawn anew for every image.

    Attributes:
        shift: the largest shift along each axis, in pixels.
        rotation: the largest rotation, and the largest shear angle, in degrees.
        scaling: the largest factor along each axis, as its natural logarithm.
        warp: standard deviation of the displacement of each control point, in pixels.
        flip: whether half of the images are mirrored, left to right.

    Raises:
        UsageError: a value below 0 or not finite.
    """

    shift: float
    rotation: float
    scaling: float
    warp: float
    flip: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} must be at least 0, got {value:g}")

    def scaled(self, factor: float) -> "Augmentation":
        """The same for images of `factor` times as many pixels a side."""
        return replace(self, shift=self.shift * factor, warp=self.warp * factor)

    def distort(
        self, images: "torch.Tensor", generator: "torch.Generator", channels: int = 1
    ) -> "torch.Tensor":
        """Distorted copies of square images `(n, side * side * channels)`; zeros move in from
        outside."""
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        n, side = len(images), math.isqrt(images.shape[1] // channels)
        if self.flip:
            mirrored = torch.rand((n, 1, 1, 1), generator=generator) < 0.5
            pictures = images.view(n, side, side, channels)
            images = torch.where(mirrored, pictures.flip(2), pictures).flatten(1)
        if not (self.shift or self.rotation or self.scaling or self.warp):
            return images
        pixel = 2 / side  # torch's coordinates go from -1 to 1 over the image

        def drawn(*shape: int) -> torch.Tensor:
            return torch.rand((n, *shape), generator=generator) * 2 - 1

        angle = drawn() * math.radians(self.rotation)
        shear = drawn() * math.radians(self.rotation)
        scale = torch.exp(drawn(2) * self.scaling)
        maps = torch.empty(n, 2, 3)
        maps[:, 0, 0] = angle.cos() * scale[:, 0]
        maps[:, 0, 1] = (shear - angle.sin()) * scale[:, 0]
        maps[:, 1, 0] = angle.sin() * scale[:, 1]
        maps[:, 1, 1] = angle.cos() * scale[:, 1]
        maps[:, :, 2] = drawn(2) * (self.shift * pixel)
        # Bilinear interpolation between control points keeps an affine map one.
        size = (_CONTROL_POINTS, _CONTROL_POINTS)
        points = affine_grid(maps, [n, 1, *size], align_corners=True).flatten(1)
        points += torch.randn(points.shape, generator=generator) * (self.warp * pixel)
        grid = (points @ _interpolation(side)).view(n, side, side, 2)
        pictures = images.view(n, side, side, channels).permute(0, 3, 1, 2)
        moved = grid_sample(pictures, grid, align_corners=True)
        return moved.permute(0, 2, 3, 1).flatten(1)


# Chosen on validation data, as docs/training.md tells.
HANDWRITING = Augmentation(shift=1, rotation=10, scaling=0.1, warp=0.4)
CLOTHES = Augmentation(shift=0.5, rotation=0, scaling=0, warp=0, flip=True)
# As is usual with CIFAR-10 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
# section 4.2); not chosen on validation data of ours.
PHOTOS = Augmentation(shift=4, rotation=0, scaling=0, warp=0, flip=True)


@cache
def _interpolation(side: int) -> "torch.Tensor":
    """From control points to pixels, `(points * 2, side * side * 2)`; the last axis is x, y.

    As a matrix product ten times as fast as torch's `interpolate`.
    """
    import torch
    from torch.nn.functional import interpolate

    count = _CONTROL_POINTS**2
    units = torch.eye(count).view(count, 1, _CONTROL_POINTS, _CONTROL_POINTS)
    weights = interpolate(units, (side, side), mode="bilinear", align_corners=True)
    return torch.kron(weights.view(count, side * side), torch.eye(2))
