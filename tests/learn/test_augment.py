"""Distortions: each map does what it says, on images whose outcome is known."""

import dataclasses

import numpy as np
import pytest
import torch

from synq.errors import UsageError
from synq.learn.augment import Augmentation
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.train import RECIPES, Samples

NOTHING = Augmentation(shift=0, rotation=0, scaling=0, warp=0)


def distorted(images: torch.Tensor, **changes: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return dataclasses.replace(NOTHING, **changes).distort(images, generator)


def blobs(n: int) -> torch.Tensor:
    """`n` images of a soft spot right of the middle, `(n, 784)`."""
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    spot = torch.exp(-((rows - 13.5) ** 2 + (columns - 19.5) ** 2) / 8)
    return spot.flatten().expand(n, -1)


def centres(images: torch.Tensor) -> torch.Tensor:
    """Centre of mass of each image from the middle, `(n, 2)` rows and columns, in pixels."""
    pictures = images.view(-1, 28, 28)
    at = torch.arange(28.0) - 13.5
    mass = pictures.sum((1, 2))
    return torch.stack([(pictures.sum(2) @ at) / mass, (pictures.sum(1) @ at) / mass], dim=1)


def test_nothing_changes_nothing() -> None:
    images = torch.rand(7, 784)
    assert torch.allclose(distorted(images), images, atol=1e-5)


def test_a_shift_moves_by_at_most_its_pixels() -> None:
    moved = centres(distorted(blobs(500), shift=2)) - centres(blobs(1))
    assert 1.8 < moved.abs().max() < 2.2
    assert moved.mean(0).abs().max() < 0.3  # both ways alike


def test_a_rotation_keeps_the_distance_and_turns_by_at_most_its_angle() -> None:
    # Rotation and shear are drawn alike, so a point turns by up to twice the angle.
    moved = centres(distorted(blobs(500), rotation=10))
    angle = torch.rad2deg(torch.atan2(moved[:, 0], moved[:, 1]))
    assert 8 < angle.abs().max() < 22
    assert (moved.norm(dim=1) - 6).abs().max() < 0.5


def test_scaling_moves_along_the_radius() -> None:
    moved = centres(distorted(blobs(500), scaling=0.1))
    assert (moved[:, 0]).abs().max() < 0.1
    assert torch.all((moved[:, 1] > 6 * 0.88) & (moved[:, 1] < 6 * 1.13))


def test_a_warp_moves_parts_apart() -> None:
    moved = centres(distorted(blobs(500), warp=0.5)) - centres(blobs(1))
    assert 0.1 < moved.std(0).mean() < 0.6


def test_zeros_move_in() -> None:
    assert distorted(torch.ones(200, 784), shift=3).min() == 0


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_refuses(value: float) -> None:
    with pytest.raises(UsageError, match="rotation must be at least 0"):
        Augmentation(shift=0, rotation=value, scaling=0, warp=0)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_rounded_as_the_hardware_s_inputs(mnist: Dataset, bits: int) -> None:
    """Undistorted, every batch holds exactly the narrow dataset's values."""
    narrow = with_input_bits(mnist, bits)
    recipe = dataclasses.replace(RECIPES["paper"], batch_size=300)

    def batch(dataset: Dataset, rounded: bool) -> torch.Tensor:
        form = narrow.input_format if rounded else None
        generator = torch.Generator().manual_seed(0)
        return next(iter(Samples(recipe, dataset, generator, form).epoch()))[0].clone()

    assert torch.equal(batch(mnist, rounded=True), batch(narrow, rounded=False))
    warped = dataclasses.replace(recipe, augmentation=Augmentation(1, 10, 0.1, 0.4))
    inputs = next(
        iter(Samples(warped, mnist, torch.Generator().manual_seed(0), narrow.input_format).epoch())
    )[0]
    raw = inputs.numpy() / narrow.input_format.step
    assert np.array_equal(raw, np.rint(raw)) and raw.min() >= 0 and raw.max() < 1 << bits
