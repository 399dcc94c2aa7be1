"""Arrays in `.npz` files, read within bounds: what a header claims is checked before it is read.

An npz is a zip of npy files (NEP 1, "A Simple File Format for NumPy Arrays"). Only plain numbers
are read, never a pickle.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import archive
from synq.archive import ArchiveError, MemberReader
from synq.errors import SynqError, quoted
from synq.files import in_words, open_regular, reason

_MAX_HEADER = 10_000  # bytes, as numpy
_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'(?P<descr>[^']*)'\s*,"
    r"\s*'fortran_order'\s*:\s*(?P<fortran>True|False)\s*,"
    r"\s*'shape'\s*:\s*\((?P<shape>[0-9, ]*)\)\s*(?:,\s*)?\}\s*"
)
_NUMBERS = re.compile(r"[<>|=]?[?biufc][0-9]{0,2}")


@dataclass(frozen=True)
class _Header:
    """What an npy file says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Member:
    """What one array in an npz must be.

    Attributes:
        kinds: numpy's letters for its kinds of numbers, of "iuf".
        words: the same and what its axes are, to end an error with: "integers: one a sample".
        dimensions: the least and the most.
        required: whether it is an error if the array is missing.
    """

    kinds: str
    words: str
    dimensions: tuple[int, int]
    required: bool = True

    def allows(self, header: _Header) -> bool:
        """Whether an array is of the kinds and dimensions, and its numbers of at most 8 bytes."""
        low, high = self.dimensions
        kind = header.dtype
        return kind.kind in self.kinds and kind.itemsize <= 8 and low <= len(header.shape) <= high


def read_npz(path: Path, members: Mapping[str, Member], max_bytes: int) -> dict[str, NDArray[Any]]:
    """The arrays of `path` that `members` names, without those that are missing and may be.

    Sizes, types and shapes of all of them are checked before the first is read; then no more memory
    is used than the arrays need. Other members of the file are not looked at.

    Args:
        max_bytes: the most that the arrays may hold together.

    Raises:
        SynqError: the file cannot be read, is no npz or damaged, or an array is missing, too large
            or not what it must be; names the array.
    """
    with open_regular(path) as stream:
        try:
            listed = archive.members(stream)
        except (ArchiveError, OSError) as error:
            raise SynqError(f"{path}: not an npz file ({reason(error)})") from None
        names = [name for name in members if f"{name}.npy" in listed]
        _check_complete(path, names, members)
        name = ""
        try:
            total = 0
            for name in names:
                header = _header(MemberReader(stream, listed[f"{name}.npy"]))
                if not members[name].allows(header):
                    raise SynqError(
                        f"{path}: {name} is {header.dtype} of shape {header.shape}; "
                        f"give {members[name].words}"
                    )
                if header.size > listed[f"{name}.npy"].size:
                    raise ArchiveError(f"shape {header.shape} needs {header.size} bytes")
                total += header.size
            if total > max_bytes:
                raise SynqError(
                    f"{path}: the arrays hold {in_words(total)}, at most {in_words(max_bytes)} "
                    "are read; give fewer samples or uint8"
                )
            arrays = {}
            for name in names:
                arrays[name] = _array(MemberReader(stream, listed[f"{name}.npy"]))
            return arrays
        except MemoryError:
            raise SynqError(f"{path}: {name} does not fit into memory; give less data") from None
        except (ArchiveError, OSError) as error:
            raise SynqError(f"{path}: {name} cannot be read ({reason(error)})") from None


def _check_complete(path: Path, found: list[str], members: Mapping[str, Member]) -> None:
    needed = [name for name, member in members.items() if member.required]
    others = [name for name in members if name not in needed]
    for name in needed:
        if name not in found:
            optional = f", and {', '.join(others)} may be there" if others else ""
            raise SynqError(
                f"{path}: array {name} is missing; needed are {', '.join(needed)}{optional}"
            )


def _header(reader: MemberReader) -> _Header:
    """What an npy file says of its array, and nothing but numbers in it."""
    magic = reader.read(8)
    if not magic.startswith(b"\x93NUMPY"):
        raise ArchiveError("it is not in npy format")
    length = int.from_bytes(reader.read(2 if magic[6] == 1 else 4), "little")
    if length > _MAX_HEADER:
        raise ArchiveError("its npy header is too long")
    text = reader.read(length).decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ArchiveError("it is not an array of plain numbers")
    if not _NUMBERS.fullmatch(match["descr"]):
        raise ArchiveError(f"its values are of type {quoted(match['descr'])}, not plain numbers")
    try:
        dtype = np.dtype(match["descr"])
        shape = tuple(int(side) for side in match["shape"].replace(" ", "").split(",") if side)
    except (TypeError, ValueError):
        raise ArchiveError("its npy header is damaged") from None
    if len(shape) > 32 or math.prod(side or 1 for side in shape) >= 1 << 60:
        raise ArchiveError("its shape is beyond any memory")
    return _Header(dtype, shape, match["fortran"] == "True")


def _array(reader: MemberReader) -> NDArray[Any]:
    header = _header(reader)
    values: NDArray[Any] = np.empty(math.prod(header.shape), header.dtype)
    reader.readinto(values.view(np.uint8).data)
    reader.finish()
    if header.fortran:
        return values.reshape(header.shape[::-1]).T
    return values.reshape(header.shape)
