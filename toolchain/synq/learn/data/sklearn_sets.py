"""Sets that come with scikit-learn: written digits and two tables, no download."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.learn.augment import HANDWRITING
from synq.learn.data.arrays import (
    VALUES_AS_THEY_ARE,
    Columns,
    InputScale,
    dataset_of,
    with_scale,
)
from synq.learn.data.dataset import Dataset
from synq.learn.data.split import test_rows
from synq.score import Task

SKLEARN_SETS = {
    "digits": "load_digits",  # 1,797 images of 8 x 8, 0..16
    "breast-cancer": "load_breast_cancer",  # 569 samples of 30 features, 2 classes
    "wine": "load_wine",  # 178 samples of 13 features, 3 classes
    "diabetes": "load_diabetes",  # 442 samples of 10 features, a real target
}

_SIXTEENTHS = FixedPoint(8, 1, signed=False)  # holds every part of 16 up to 1 exactly
_SMALL_HANDWRITING = HANDWRITING.scaled(8 / 28)  # chosen for images of 28 x 28


def load_sklearn_set(name: str, scale: InputScale = VALUES_AS_THEY_ARE) -> Dataset:
    """One of `SKLEARN_SETS`, a fifth of its samples, of every class a fifth, for testing.

    Pixels of the digits, 0..16, are parts of 16; all features of the others are standardized.

    Raises:
        SynqError: scikit-learn is not installed.
    """
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError as error:
        raise SynqError(
            f"{name} comes with scikit-learn, which cannot be imported ({error}): "
            "pip install scikit-learn"
        ) from None
    load: Callable[..., tuple[NDArray[Any], NDArray[Any]]] = getattr(datasets, SKLEARN_SETS[name])
    task = Task.REGRESSION if name == "diabetes" else Task.CLASSIFICATION
    options = {"scaled": False} if name == "diabetes" else {}
    values, targets = load(return_X_y=True, **options)
    if task is Task.CLASSIFICATION:
        targets = targets.astype(np.int64)
    for_test = test_rows(targets if task is Task.CLASSIFICATION else None, len(targets))
    arrays = {
        "x_train": values[~for_test],
        "x_test": values[for_test],
        "y_train": targets[~for_test],
        "y_test": targets[for_test],
    }
    if name != "digits":
        return dataset_of(name, name, arrays, task, scale, standardize=True)
    for part in ("x_train", "x_test"):
        arrays[part] = arrays[part].reshape(-1, 8, 8) / 16
    dataset = dataset_of(
        name, name, arrays, task, distortion=_SMALL_HANDWRITING, real_format=_SIXTEENTHS
    )
    return with_scale(dataset, scale, Columns.parts_of(16))
