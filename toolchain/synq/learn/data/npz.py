"""The user's own data, in arrays named as in Keras' mnist.npz."""

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, quantize
from synq.learn.data.dataset import BYTE_FORMAT, Dataset, digest_of, fingerprint, frozen
from synq.learn.data.mnist import digest_if_mnist
from synq.npz import Member, read_npz

_log = logging.getLogger("synq")


def load_npz(path: Path) -> Dataset:
    """The user's own data, in arrays named as in Keras' mnist.npz.

    `x_train` and `x_test` are (n, ...), flattened to (n, n_features). Integers must be 0..255 and
    mean byte / 256, as for MNIST. Floats must be >= 0 and are quantized to 8 bits: to steps of
    1/256 if none is above 1 (1.0 itself becomes 255/256), else to the finest power-of-two step
    that still reaches the largest of both arrays. `y_test` and, if there, `y_train` are (n,) or
    (n, 1) integer class numbers from 0.

    Raises:
        SynqError: the file is missing or not an npz, or an array is missing, not numeric, not
            finite, negative, empty, too large, or does not match the others.
    """
    arrays = read_npz(path, _MEMBERS, _MAX_BYTES)
    train, test = arrays["x_train"], arrays["x_test"]
    largest = max(_largest(f"{path}: {name}", arrays[name]) for name in ("x_train", "x_test"))
    if (train.dtype.kind == "f") != (test.dtype.kind == "f"):
        raise SynqError(
            f"{path}: x_train is {train.dtype} and x_test is {test.dtype}; "
            "both must be integers 0..255 or both floats, else their scales differ"
        )
    n_train, n_test = (math.prod(array.shape[1:]) for array in (train, test))
    if n_train != n_test:
        raise SynqError(
            f"{path}: x_train has {n_train} features a sample and x_test {n_test}; "
            "they must be equal"
        )

    test_labels = _labels(path, "y_test", arrays.pop("y_test"), len(test))
    train_labels = frozen(np.empty(0, dtype=np.int64))
    if "y_train" in arrays:
        train_labels = _labels(path, "y_train", arrays.pop("y_train"), len(train))

    _warn_of_another_scale(path, [train, test], largest)
    input_format = _float_format(largest) if train.dtype.kind == "f" else BYTE_FORMAT
    # Each array is let go as soon as its bytes are made, for it may be eight times as large.
    del train, test
    train_inputs = _raw(arrays.pop("x_train"), input_format)
    test_inputs = _raw(arrays.pop("x_test"), input_format)
    parts: list[NDArray[Any]] = [train_inputs, train_labels, test_inputs, test_labels]
    digest = digest_if_mnist(parts) if input_format == BYTE_FORMAT else None
    return Dataset(
        name=path.stem,
        input_format=input_format,
        train_inputs=train_inputs,
        train_labels=train_labels,
        test_inputs=test_inputs,
        test_labels=test_labels,
        digest=digest or digest_of(input_format, [fingerprint(part) for part in parts]),
    )


_MAX_BYTES = 8 << 30

_INPUTS = Member("iuf", "integers 0..255 or floats >= 0, one row a sample: (n, features)", (2, 32))
_LABELS = Member("iu", "integers, one class number a sample: (n,)", (1, 2))
_MEMBERS = {
    "x_train": _INPUTS,
    "x_test": _INPUTS,
    "y_test": _LABELS,
    "y_train": replace(_LABELS, required=False),
}

_VALUES_AT_ONCE = 1 << 18  # quantizing goes through float64: not the whole array at once


def _largest(where: str, values: NDArray[Any]) -> float:
    """The largest of the inputs, after checking that they can be inputs."""
    if values.size == 0:
        raise SynqError(f"{where} has shape {values.shape}; give at least one sample and feature")
    low, high = values.min(), values.max()  # NaN if any is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SynqError(f"{where} holds NaN or infinity; inputs must be finite")
    if low < 0:
        raise SynqError(
            f"{where} holds negative values (smallest {low:g}), and inputs are unsigned; if they "
            "are standardized, give them as they were before, and fold mean and deviation into the "
            "first layer: weight / deviation, bias - weight @ (mean / deviation)"
        )
    if values.dtype.kind != "f" and high > 255:
        raise SynqError(f"{where} holds {high}; integers must be 0..255, or give floats")
    return float(high)


def _warn_of_another_scale(path: Path, inputs: list[NDArray[Any]], largest: float) -> None:
    """Say how values are taken that look like those of another scale than they are taken for."""
    if inputs[0].dtype.kind != "f":
        if 0 < largest < 32:
            _log.warning(
                "%s: the inputs are integers up to %d only, taken as 0 to %d/256; for a network "
                "that was trained on other values give those, as floats",
                *(path, largest, largest),
            )
    elif 1 < largest <= 255 and all(
        np.array_equal(part, np.rint(part)) for array in inputs for part in _parts(array)
    ):
        _log.warning(
            "%s: the inputs are whole numbers up to %d given as floats, and taken as such; for a "
            "network that was trained on them divided by 255 or 256 give them as integers",
            *(path, largest),
        )


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array's rows, few at a time."""
    step = max(1, _VALUES_AT_ONCE // math.prod(values.shape[1:]))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _labels(path: Path, name: str, values: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    where = f"{path}: {name}"
    if values.ndim != 1 and values.shape[1:] != (1,):
        raise SynqError(
            f"{where} has shape {values.shape}; give one class number a sample, not one-hot rows"
        )
    if len(values) != n_samples:
        raise SynqError(
            f"{where} has {len(values)} labels for {n_samples} samples; there must be one a sample"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.int64).max:
        raise SynqError(f"{where} holds {low if low < 0 else high}; labels count classes from 0")
    return frozen(values.reshape(-1).astype(np.int64))


def _float_format(largest: float) -> FixedPoint:
    """The finest unsigned 8-bit format that reaches `largest`; 1/256 steps for anything up to 1."""
    integer = 0
    if largest > 1.0:
        while round(largest * 2.0 ** (8 - integer)) > 255:
            integer += 1
    return FixedPoint(8, integer, signed=False)


def _raw(values: NDArray[Any], target: FixedPoint) -> NDArray[np.uint8]:
    """Checked inputs as raw integers of `target`: (n, ...) to (n, n_features)."""
    shape = (len(values), math.prod(values.shape[1:]))
    if values.dtype == np.uint8 and values.flags.c_contiguous:
        return frozen(values.reshape(shape))
    raw = np.empty(shape, dtype=np.uint8)
    done = 0
    for part in _parts(values):
        rows = part.reshape(len(part), -1)
        raw[done : done + len(part)] = quantize(rows, target) if rows.dtype.kind == "f" else rows
        done += len(part)
    return frozen(raw)
