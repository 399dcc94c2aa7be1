"""The user's own data, in arrays named as in Keras' mnist.npz."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.learn.data.arrays import VALUES_AS_THEY_ARE, InputScale, dataset_of
from synq.learn.data.dataset import Dataset
from synq.npz import Member, read_npz
from synq.score import Task


def load_npz(
    path: Path, task: Task = Task.CLASSIFICATION, scale: InputScale = VALUES_AS_THEY_ARE
) -> Dataset:
    """The user's own data: arrays `x_train`, `x_test`, `y_test`, `y_train`, as `dataset_of` takes.

    `y_train` may be missing. `input_mean` and `input_std`, one number or one a feature, may be
    there: what networks of this data take is `(value - input_mean) / input_std`.

    Args:
        scale: what it gives comes before what is in the file.

    Raises:
        SynqError: the file is missing or not an npz, or as `dataset_of`.
    """
    members = _MEMBERS[task]
    arrays = read_npz(path, members, _MAX_BYTES)
    mean, std = (arrays.pop(name, None) for name in ("input_mean", "input_std"))
    told = InputScale(
        _numbers(mean) if scale.mean is None else scale.mean,
        _numbers(std) if scale.std is None else scale.std,
        scale.divisor,
    )
    return dataset_of(str(path), path.stem, arrays, task, told)


def _numbers(values: NDArray[Any] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values.astype(np.float64).ravel().tolist())


_MAX_BYTES = 8 << 30

_INPUTS = Member("iuf", "integers 0..255 or floats, one row a sample: (n, features)", (2, 32))
_LABELS = Member(
    "iu", "integers, one class number a sample: (n,); or say that the task is regression", (1, 2)
)
_TARGETS = Member("iuf", "numbers, one or several targets a sample: (n,) or (n, k)", (1, 2))
_NUMBERS = Member("iuf", "one number, or one a feature", (0, 32), required=False)
_MEMBERS = {
    task: {
        "x_train": _INPUTS,
        "x_test": _INPUTS,
        "y_test": labels,
        "y_train": replace(labels, required=False),
        "input_mean": _NUMBERS,
        "input_std": _NUMBERS,
    }
    for task, labels in ((Task.CLASSIFICATION, _LABELS), (Task.REGRESSION, _TARGETS))
}
