"""The shape of the pictures that samples are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synq.errors import SynqError, UsageError
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.npz import load_npz
from synq.learn.data.sklearn_sets import load_sklearn_set


def of_sides(folder: Path, train: tuple[int, ...], test: tuple[int, ...] | None = None) -> Dataset:
    rng = np.random.default_rng(0)
    np.savez(
        folder / "mine.npz",
        x_train=rng.integers(0, 256, (6, *train), dtype=np.uint8),
        y_train=np.arange(6) % 2,
        x_test=rng.integers(0, 256, (4, *(test or train)), dtype=np.uint8),
        y_test=np.arange(4) % 2,
    )
    return load_npz(folder / "mine.npz")


@pytest.mark.parametrize(
    ("sides", "shape"),
    [
        ((36,), None),
        ((4, 9), (4, 9, 1)),
        ((6, 6, 1), (6, 6, 1)),
        ((3, 4, 3), (3, 4, 3)),
        ((1, 5, 6), (5, 6, 1)),  # one channel first
        ((3, 5, 6), None),
        ((2, 2, 2, 2), None),
    ],
)
def test_arrays_tell_their_shape(
    tmp_path: Path, sides: tuple[int, ...], shape: tuple[int, int, int] | None
) -> None:
    ours = of_sides(tmp_path, sides)
    assert ours.shape == shape and with_input_bits(ours, 4).shape == shape
    with np.load(tmp_path / "mine.npz") as arrays:
        np.testing.assert_array_equal(ours.train_inputs, arrays["x_train"].reshape(6, -1))


def test_pictures_of_two_shapes(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"x_train has the shape \(4, 9\) and one of x_test \(6, 6"):
        of_sides(tmp_path, (4, 9), (6, 6))
    assert of_sides(tmp_path, (4, 9), (36,)).shape is None


def test_sets_tell_theirs() -> None:
    assert load_sklearn_set("digits").shape == (8, 8, 1)
    assert load_sklearn_set("wine").shape is None


@pytest.mark.parametrize("shape", [(4, 4, 1), (36, 1), (-6, -6, 1), (0, 36, 1)])
def test_a_shape_that_is_none(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match=r"mine: a picture's shape is .* 36 features, got \("):
        replace(of_sides(tmp_path, (36,)), shape=shape)
