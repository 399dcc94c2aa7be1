"""A dataset: what the first synapse array is driven with.

Inputs are raw integers of at most 8 bits in a stated format: bytes, or int8 of a signed one.
"""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.errors import UsageError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, requantize
from synq.float_network import FloatNetwork
from synq.learn.augment import Augmentation
from synq.score import Task

_Scalar = TypeVar("_Scalar", bound=np.generic)

Inputs = NDArray[np.uint8 | np.int8]

BYTE_FORMAT = FixedPoint(8, 0, signed=False)  # value = byte / 256


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class Normalization:
    """What networks of a dataset take for its value x: `(x - mean) / std`.

    Attributes:
        mean, std: (1,) or (n_features,) float64; the deviations above zero.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous; compare digests
class Dataset:
    """Training and test samples as the hardware sees them. The arrays are read-only.

    Attributes:
        name: "mnist", or the stem of the user's file; whether it is MNIST, only the digest tells.
        input_format: what the raw inputs mean; 8 bits unless reduced to fewer.
        train_inputs: (n_train, n_features), raw integers in `input_format`: uint8, or int8 where
            that is signed.
        train_labels: (n_train,), int64, class numbers from 0; or (n_train, n_targets), float64, the
            real targets of a regression. (0,) or (0, n_targets) if the user gave none.
        test_inputs: (n_test, n_features), as `train_inputs`.
        test_labels: as `train_labels`, (n_test, ...).
        digest: SHA-256 (hex) of all that determines the samples, labels and format; the same
            whichever source they came from.
        task: what the labels are.
        normalization: what networks of this data take for these values; None for the values.
        distortion: under which an image stays what it is; None for what is no image, or unknown.
        standardized: whether the values are not those of the file, but have been standardized.
        shape: of the picture that a sample is: height, width, channels, the order in which its
            features come; None for what is no picture.

    Raises:
        UsageError: a shape that is not of as many features.
    """

    name: str
    input_format: FixedPoint
    train_inputs: Inputs
    train_labels: NDArray[Any]
    test_inputs: Inputs
    test_labels: NDArray[Any]
    digest: str
    task: Task = Task.CLASSIFICATION
    normalization: Normalization | None = None
    distortion: Augmentation | None = None
    standardized: bool = False
    shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        shape = self.shape
        if shape is not None and (
            len(shape) != 3 or min(shape) < 1 or math.prod(shape) != self.n_features
        ):
            raise UsageError(
                f"{self.name}: a picture's shape is (height, width, channels), together "
                f"{self.n_features} features, got {shape}"
            )

    @property
    def n_features(self) -> int:
        return int(self.test_inputs.shape[1])

    @property
    def samples(self) -> str:
        """What its samples are called."""
        return "samples" if self.distortion is None else "images"

    @property
    def n_targets(self) -> int:
        """Numbers that a network has to answer: as many outputs as a regression has targets, or as
        there are classes in the labels."""
        if self.task is Task.REGRESSION:
            return int(self.test_labels.shape[1])
        return 1 + int(
            max(labels.max(initial=0) for labels in (self.train_labels, self.test_labels))
        )

    def for_hardware(self, network: FloatNetwork) -> FloatNetwork:
        """`network`, trained on what `normalization` gives, as one of the values themselves."""
        if self.normalization is None:
            return network
        return network.with_normalized_inputs(self.normalization.mean, self.normalization.std)


def with_input_bits(dataset: Dataset, bits: int) -> Dataset:
    """`dataset` with inputs of `bits` bits, 1 to 8, rounded half up and saturated.

    The values stay where they were: an 8-bit 255/256 becomes 15/16 in 4 bits and 1/2 in 1 bit.

    Raises:
        UsageError: one bit for signed inputs.
    """
    given = dataset.input_format
    if bits == given.width:
        return dataset
    if given.signed and bits < 2:
        raise UsageError(
            f"signed inputs have at least 2 bits, got {bits}", settings=("input_bits",)
        )
    target = FixedPoint(bits, given.integer, given.signed, Rounding.RND, Overflow.SAT)
    every = np.arange(256, dtype=np.uint8)
    raw = every.view(given.byte_type).astype(np.int64)
    table: Inputs = requantize(raw, given.fraction, target).astype(given.byte_type)

    def reduced(inputs: Inputs) -> Inputs:
        return frozen(table[inputs.view(np.uint8)])

    return replace(
        dataset,
        input_format=FixedPoint(bits, given.integer, given.signed),
        train_inputs=reduced(dataset.train_inputs),
        test_inputs=reduced(dataset.test_inputs),
        digest=narrowed(dataset.digest, bits),
    )


def narrowed(digest: str, bits: int) -> str:
    """The digest of a dataset whose inputs have been reduced to `bits` bits."""
    return hashlib.sha256(f"{digest} in {bits} bits".encode()).hexdigest()


def digest_of(input_format: FixedPoint, fingerprints: list[str]) -> str:
    """The digest of a dataset, from one line for each of its arrays."""
    text = json.dumps([input_format.to_dict(), *fingerprints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(array: NDArray[Any]) -> str:
    """A line that tells arrays of other values, shape or type apart."""
    little_endian = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    digest = hashlib.sha256(little_endian.data).hexdigest()
    return f"{little_endian.dtype.str} {array.shape} {digest}"


def frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """`array`, which can no longer be written to."""
    array.setflags(write=False)
    return array
