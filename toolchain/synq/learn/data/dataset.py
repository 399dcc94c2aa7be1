"""A dataset: what the first synapse array is driven with.

Inputs are raw integers of at most 8 bits in a stated format: bytes, or int8 of a signed one.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.errors import UsageError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, requantize

_Scalar = TypeVar("_Scalar", bound=np.generic)

Inputs = NDArray[np.uint8 | np.int8]

BYTE_FORMAT = FixedPoint(8, 0, signed=False)  # value = byte / 256


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous; compare digests
class Dataset:
    """Training and test samples as the hardware sees them. The arrays are read-only.

    Attributes:
        name: "mnist", or the stem of the user's npz; whether it is MNIST, only the digest tells.
        input_format: what the raw inputs mean; 8 bits unless reduced to fewer.
        train_inputs: (n_train, n_features), raw integers in `input_format`, of its `byte_type`.
        train_labels: (n_train,), int64, class numbers from 0; (0,) if the user gave none.
        test_inputs: (n_test, n_features), likewise.
        test_labels: (n_test,), int64, class numbers from 0.
        digest: SHA-256 (hex) of all that determines the samples, labels and format; the same
            whichever source they came from.
    """

    name: str
    input_format: FixedPoint
    train_inputs: Inputs
    train_labels: NDArray[np.int64]
    test_inputs: Inputs
    test_labels: NDArray[np.int64]
    digest: str


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
