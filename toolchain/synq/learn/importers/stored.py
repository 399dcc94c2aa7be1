"""A tensor as it lies in a checkpoint file: described, and read only when it is asked for."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, quoted

# How the real types lie in a file; bfloat16, which numpy lacks, is the upper half of a float32.
_NUMPY = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "bfloat16": "<u2"}


@dataclass(frozen=True)
class Stored:
    """A tensor in the bytes of a file.

    Attributes:
        dtype: torch's name of the type, "float32".
        shape: its sides.
        strides: elements from one index to the next, along each side.
        offset: elements before the first.
        storage: the bytes of all elements, and maybe of others.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: memoryview

    @property
    def size(self) -> int:
        """How many values it has; a small file can claim any number."""
        return math.prod(self.shape)

    @property
    def is_real(self) -> bool:
        """Whether weights may be of this type."""
        return self.dtype in _NUMPY

    def values(self) -> NDArray[np.float32]:
        """The values of a tensor that is real; what float32 cannot hold becomes infinite.

        Raises:
            SynqError: it reaches beyond its storage.
        """
        kind = np.dtype(_NUMPY[self.dtype])
        flat = np.frombuffer(self.storage, kind, len(self.storage) // kind.itemsize)
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((side - 1) * step for side, step in steps)
        if self.size and last >= len(flat):
            raise SynqError("is truncated or damaged: a tensor is longer than its values")
        view: NDArray[Any] = np.ndarray(
            self.shape,
            kind,
            flat,
            self.offset * kind.itemsize if self.size else 0,
            tuple(step * kind.itemsize for step in self.strides),
        )
        if self.dtype == "bfloat16":
            return (view.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            return view.astype(np.float32)


def packed(dtype: str, shape: tuple[int, ...], storage: memoryview) -> Stored:
    """A tensor that is all of its storage, the last axis running fastest."""
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Stored(dtype, shape, strides, 0, storage)


def in_memory(name: str, value: Any) -> Stored:
    """A tensor of torch or an array, as one in a file.

    Raises:
        SynqError: it is neither.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise SynqError(f"{quoted(name)} is a {type(value).__name__}, not a tensor or array")
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return packed(array.dtype.name, array.shape, memoryview(little.tobytes()))
