"""From arrays of any scale to a dataset: what the values look like, and which format holds them."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint, quantize
from synq.learn.augment import Augmentation
from synq.learn.data.dataset import (
    BYTE_FORMAT,
    Dataset,
    Inputs,
    Normalization,
    digest_of,
    fingerprint,
    frozen,
)
from synq.learn.data.idx import IDX_SETS
from synq.learn.data.mnist import digest_of_set, holds_set
from synq.score import Task

_log = logging.getLogger("synq")

_VALUES_AT_ONCE = 1 << 18  # quantizing goes through float64: not the whole array at once

# Of a standardized feature: all that matters is within four deviations, in steps of 1/32.
STANDARD_FORMAT = FixedPoint(8, 3, signed=True)
_FINEST_INTEGER = -32  # real inputs below 2**-32 are as good as zero


@dataclass(frozen=True)
class InputScale:
    """What a network takes for a value of the data: `(value / divisor - mean) / std`.

    Attributes:
        mean, std: a number, or one a feature; None for what the data says, else 0 and 1.
        divisor: None for 256 of integers and 1 of real numbers.

    Raises:
        UsageError: a divisor or a deviation that is not above zero, or a number that is not finite.
    """

    mean: float | tuple[float, ...] | None = None
    std: float | tuple[float, ...] | None = None
    divisor: float | None = None

    def __post_init__(self) -> None:
        _check_scale("mean", self.mean, "finite", ("input_mean",))
        _check_scale("std", self.std, "above 0", ("input_std",))
        _check_scale("divisor", self.divisor, "above 0", ("input_divisor",))

    @property
    def given(self) -> bool:
        return not (self.mean is None and self.std is None and self.divisor is None)


def _check_scale(name: str, given: Any, rule: str, settings: tuple[str, ...]) -> None:
    if given is None:
        return
    values = np.asarray(given, dtype=np.float64)
    if not np.isfinite(values).all() or (rule == "above 0" and not (values > 0).all()):
        raise UsageError(f"the input {name} must be {rule}, got {given}", settings)


VALUES_AS_THEY_ARE = InputScale()


@dataclass(frozen=True, eq=False)
class Columns:
    """How a dataset's values come from its file's, which are `value * unit + offset`.

    Attributes:
        unit, offset: scalars or (n_features,).
        divisor: what a network divides the file's values by, if it is not told.
    """

    unit: NDArray[np.float64]
    offset: NDArray[np.float64]
    divisor: float

    @staticmethod
    def parts_of(whole: float) -> "Columns":
        """Of values that are the file's divided by `whole`, and are taken so."""
        return Columns(np.full(1, whole), np.zeros(1), whole)


def dataset_of(
    where: str,
    name: str,
    arrays: dict[str, NDArray[Any]],
    task: Task,
    scale: InputScale = VALUES_AS_THEY_ARE,
    distortion: Augmentation | None = None,
    standardize: bool = False,
    real_format: FixedPoint | None = None,
) -> Dataset:
    """The dataset of arrays named as in Keras' mnist.npz.

    `x_train` and `x_test` are (n, ...), flattened to (n, n_features); of (n, height, width) and
    (n, height, width, channels) the dataset knows the shape of its pictures. Integers must be
    0..255 and mean byte / 256, as for MNIST, or, if any is negative, -128..127. Real numbers are
    quantized to 8 bits: if none is negative, to steps of 1/256 if none is above 1 (1.0 itself
    becomes 255/256), else to the finest power-of-two step that still reaches both extremes of both
    arrays.
    `y_test` and, if there, `y_train` are (n,) or (n, 1) integer class numbers from 0; of a
    regression (n,) or (n, n_targets) real targets.

    Args:
        where: what messages begin with.
        arrays: emptied, so that each can be let go as soon as its bytes are made.
        scale: what networks of this data take.
        standardize: whether each feature, of real numbers, is first shifted and divided by its mean
            and deviation over `x_train`, and clipped at four deviations.
        real_format: of real numbers, instead of the one that follows from them.

    Raises:
        SynqError: an array is not numeric, not finite, empty, out of range, or does not match the
            others.
    """
    train, test = arrays["x_train"], arrays["x_test"]
    extremes = [_extremes(f"{where}: {part}", arrays[part]) for part in ("x_train", "x_test")]
    low, high = min(each[0] for each in extremes), max(each[1] for each in extremes)
    real = train.dtype.kind == "f"
    if real != (test.dtype.kind == "f"):
        raise SynqError(
            f"{where}: x_train is {train.dtype} and x_test is {test.dtype}; "
            "both must be integers 0..255 or both floats, else their scales differ"
        )
    n_train, n_features = (math.prod(array.shape[1:]) for array in (train, test))
    if n_train != n_features:
        raise SynqError(
            f"{where}: x_train has {n_train} features a sample and x_test {n_features}; "
            "they must be equal"
        )
    shape = _picture(where, train.shape[1:], test.shape[1:])
    test_labels = labels_of(f"{where}: y_test", arrays.pop("y_test"), len(test), task)
    train_labels = frozen(test_labels[:0].copy())
    if "y_train" in arrays:
        train_labels = labels_of(f"{where}: y_train", arrays.pop("y_train"), len(train), task)
        if train_labels.shape[1:] != test_labels.shape[1:]:
            raise SynqError(
                f"{where}: y_train has {train_labels.shape[1]} targets a sample and y_test "
                f"{test_labels.shape[1]}; they must be equal"
            )

    columns = Columns(np.ones(1), np.zeros(1), 1.0)
    if standardize:
        columns = _standard_columns(train)
        input_format = STANDARD_FORMAT
    elif real:
        input_format = real_format or _real_format(low, high)
    else:
        shift = _spare_bits(int(low), int(high)) if scale.divisor is not None else 0
        columns = Columns(np.full(1, 256.0 / (1 << shift)), np.zeros(1), 256.0)
        input_format = FixedPoint(8, 0, signed=True) if low < 0 else BYTE_FORMAT
    if not standardize and real_format is None:
        _tell_what_they_look_like(where, [train, test], low, high, scale)
    del train, test
    inputs = {}
    for part in ("x_train", "x_test"):
        values = arrays.pop(part)
        if standardize:
            values = (_rows(values) - columns.offset) / columns.unit
        elif not real and columns.unit[0] != 256.0:
            values = values.astype(np.int16) * round(256.0 / columns.unit[0])
        inputs[part] = _raw(values, input_format)
    parts: list[NDArray[Any]] = [inputs["x_train"], train_labels, inputs["x_test"], test_labels]
    digest = None
    if task is Task.CLASSIFICATION and input_format == BYTE_FORMAT and not real:
        known = next((each for each in IDX_SETS.values() if holds_set(each, parts)), None)
        if known is not None:
            distortion, digest = known.distortion, digest_of_set(known)
            _, height, width = known.files[0].shape
            shape = height, width, 1
    if digest is None:
        digest = digest_of(input_format, [fingerprint(part) for part in parts])
    dataset = Dataset(
        name=name,
        input_format=input_format,
        train_inputs=inputs["x_train"],
        train_labels=train_labels,
        test_inputs=inputs["x_test"],
        test_labels=test_labels,
        digest=digest,
        task=task,
        distortion=distortion,
        standardized=standardize,
        shape=shape,
    )
    return with_scale(dataset, scale, columns, where)


def with_scale(
    dataset: Dataset, scale: InputScale, columns: Columns, where: str | None = None
) -> Dataset:
    """`dataset` for networks that take what `scale` says of the values in its file.

    With x = value * unit + offset in the file, `(x / divisor - mean) / std` is
    `(value - (mean * divisor - offset) / unit) / (std * divisor / unit)`.

    Raises:
        SynqError: numbers of another count than the features.
    """
    if not scale.given:
        return dataset
    divisor = columns.divisor if scale.divisor is None else scale.divisor
    mean = np.atleast_1d(np.asarray(0.0 if scale.mean is None else scale.mean, dtype=np.float64))
    std = np.atleast_1d(np.asarray(1.0 if scale.std is None else scale.std, dtype=np.float64))
    where = where or dataset.name
    _check_count(f"{where}: the input mean", mean, dataset.n_features, ("input_mean",))
    _check_count(f"{where}: the input std", std, dataset.n_features, ("input_std",))
    normalization = Normalization(
        (mean * divisor - columns.offset) / columns.unit, std * divisor / columns.unit
    )
    said = [dataset.digest, fingerprint(normalization.mean), fingerprint(normalization.std)]
    digest = digest_of(dataset.input_format, said)
    return replace(dataset, normalization=normalization, digest=digest)


def _check_count(
    what: str, values: NDArray[np.float64], n_features: int, settings: tuple[str, ...]
) -> None:
    if values.size not in (1, n_features):
        raise SynqError(
            f"{what} has {values.size} numbers; give one, or one for each of the "
            f"{n_features} features",
            settings,
        )


def labels_of(where: str, values: NDArray[Any], n_samples: int, task: Task) -> NDArray[Any]:
    """Checked class numbers (n,), int64; or real targets (n, n_targets), float64.

    Raises:
        SynqError: they are not one row a sample, not finite, or no class numbers.
    """
    if len(values) != n_samples:
        raise SynqError(
            f"{where} has {len(values)} labels for {n_samples} samples; there must be one a sample"
        )
    if task is Task.REGRESSION:
        targets = values.reshape(n_samples, -1).astype(np.float64)
        if not targets.size or not np.isfinite(targets).all():
            what = "NaN or infinity" if targets.size else f"nothing (shape {values.shape})"
            raise SynqError(f"{where} holds {what}; targets must be finite numbers")
        return frozen(targets)
    if values.ndim != 1 and values.shape[1:] != (1,):
        raise SynqError(
            f"{where} has shape {values.shape}; give one class number a sample, not one-hot rows"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.int64).max:
        raise SynqError(f"{where} holds {low if low < 0 else high}; labels count classes from 0")
    return frozen(values.reshape(-1).astype(np.int64))


def _extremes(where: str, values: NDArray[Any]) -> tuple[float, float]:
    """The least and the largest of the inputs, after checking that they can be inputs."""
    if values.size == 0:
        raise SynqError(f"{where} has shape {values.shape}; give at least one sample and feature")
    low, high = values.min(), values.max()  # NaN if any is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SynqError(f"{where} holds NaN or infinity; inputs must be finite")
    if values.dtype.kind != "f":
        if high > 255:
            raise SynqError(f"{where} holds {high}; integers must be 0..255, or give floats")
        if low < -128 or (low < 0 and high > 127):
            raise SynqError(
                f"{where} holds {low} to {high}; integers with negative ones among them must be "
                "-128..127, or give floats"
            )
    return float(low), float(high)


def _picture(
    where: str, train: tuple[int, ...], test: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """The shape of the pictures in both arrays, from the sides of a sample; None if none are."""
    shapes = [(*sides, 1) if len(sides) == 2 else sides for sides in (train, test)]
    if any(len(shape) != 3 for shape in shapes):
        return None
    if shapes[0] != shapes[1]:
        raise SynqError(
            f"{where}: a sample of x_train has the shape {train} and one of x_test {test}; they "
            "must be equal"
        )
    height, width, channels = shapes[0]
    if height in (1, 3) and channels > 4:
        # Channels first, as PyTorch has them. Of one the order of the features is the same.
        if height == 1:
            return width, channels, 1
        _log.info(
            "%s: samples of the shape %s seem to have their channels first; taken as features "
            "without a picture, which is (height, width, channels)",
            *(where, train),
        )
        return None
    return height, width, channels


def _spare_bits(low: int, high: int) -> int:
    """By how many bits integers can be shifted and still be a byte; more fill the format better."""
    if low < 0:
        return max(0, 7 - max(high, -low - 1).bit_length())
    return 8 - max(1, high.bit_length())


def _real_format(low: float, high: float) -> FixedPoint:
    """The finest 8-bit format that reaches both extremes; unsigned if none is negative, and then
    1/256 steps for anything up to 1.
    """
    if low >= 0:
        integer = 0
        if high > 1.0:
            while round(high * 2.0 ** (8 - integer)) > 255:
                integer += 1
        return FixedPoint(8, integer, signed=False)
    integer = _FINEST_INTEGER
    while round(high * 2.0 ** (8 - integer)) > 127 or round(low * 2.0 ** (8 - integer)) < -128:
        integer += 1
    return FixedPoint(8, integer, signed=True)


def _standard_columns(train: NDArray[Any]) -> Columns:
    values = _rows(train).astype(np.float64)
    std = values.std(axis=0)
    return Columns(np.where(std > 0, std, 1.0), values.mean(axis=0), 1.0)


def _tell_what_they_look_like(
    where: str, inputs: list[NDArray[Any]], low: float, high: float, scale: InputScale
) -> None:
    """Say how values are taken: aloud if they look like those of another scale, else in the log."""
    if inputs[0].dtype.kind != "f":
        if low >= 0 and 0 < high < 32 and scale.divisor is None:
            _log.warning(
                "%s: the inputs are integers up to %d only, taken as 0 to %d/256; for a network "
                "that was trained on the numbers themselves say that the input divisor is 1",
                *(where, high, high),
            )
        else:
            _log.info(
                "%s: the inputs are integers %d to %d, taken as parts of 256; for a network "
                "trained on byte / 255 the input divisor is 255",
                *(where, low, high),
            )
    elif low < 0:
        _log.info("%s: %s", where, _negative_values(inputs, low, high))
    elif 1 < high <= 255 and _whole(inputs):
        if scale.divisor is None:
            _log.warning(
                "%s: the inputs are whole numbers up to %d given as floats, and taken as such; for "
                "a network that was trained on them divided by 255 or 256 say that this is the "
                "input divisor",
                *(where, high),
            )
    else:
        _log.info("%s: the inputs are real numbers %g to %g", where, low, high)


def _negative_values(inputs: list[NDArray[Any]], low: float, high: float) -> str:
    part = inputs[0]
    mean, std = float(np.mean(part, dtype=np.float64)), float(np.std(part, dtype=np.float64))
    form = _real_format(low, high)
    looks = "look standardized" if abs(mean) < 0.25 and 0.7 < std < 1.4 else "have negative ones"
    return (
        f"the inputs {looks} (mean {mean:.3g}, deviation {std:.3g}), and are taken as signed, in "
        f"steps of {form.step:g}; bytes from before a normalization, with its input mean and std, "
        "lose less"
    )


def _whole(inputs: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(part, np.rint(part)) for array in inputs for part in _parts(array))


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array's rows, few at a time."""
    step = max(1, _VALUES_AT_ONCE // math.prod(values.shape[1:]))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _rows(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _raw(values: NDArray[Any], target: FixedPoint) -> Inputs:
    """Checked inputs as raw integers of `target`: (n, ...) to (n, n_features)."""
    kind = target.byte_type
    if values.dtype == kind and values.flags.c_contiguous:
        return frozen(_rows(values))
    shape = len(values), math.prod(values.shape[1:])
    raw: Inputs = np.empty(shape, dtype=kind)
    done = 0
    for part in _parts(values):
        rows = part.reshape(len(part), -1)
        raw[done : done + len(part)] = quantize(rows, target) if rows.dtype.kind == "f" else rows
        done += len(part)
    return frozen(raw)
