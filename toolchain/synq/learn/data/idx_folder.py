"""A folder of IDX files of any set: images, or rows of numbers, and a class number for each."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.files import in_words, read_bounded
from synq.learn.data.arrays import VALUES_AS_THEY_ARE, InputScale, dataset_of
from synq.learn.data.dataset import Dataset
from synq.score import Task

_MAX_BYTES = 4 << 30
# The kinds of IDX, by the third byte of a file (as on the page that published MNIST).
_KINDS = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PARTS = {
    "x_train": ("train", "images"),
    "y_train": ("train", "labels"),
    "x_test": ("t10k test", "images"),
    "y_test": ("t10k test", "labels"),
}


def load_idx_folder(
    folder: Path, task: Task = Task.CLASSIFICATION, scale: InputScale = VALUES_AS_THEY_ARE
) -> Dataset:
    """The files train-images*, train-labels*, and t10k- or test-images* and -labels*.

    Each may be a gzip; contents decide, not names. Images have two dimensions or more.

    Raises:
        SynqError: a file is missing, there are several, one is damaged, or as `dataset_of`.
    """
    found = {part: _find(folder, *words) for part, words in _PARTS.items()}
    if found["y_train"] is None:
        del found["y_train"]
    for part, path in found.items():
        if path is None:
            starts, what = _PARTS[part]
            names = " or ".join(f"{start}-{what}*" for start in starts.split())
            raise SynqError(f"{folder}: has no file {names}")
    arrays = {part: read_idx(path) for part, path in found.items() if path is not None}
    for part, path in found.items():
        least, most = (2, 32) if part.startswith("x") else (1, 2 if task is Task.REGRESSION else 1)
        array = arrays[part]
        if not least <= array.ndim <= most:
            raise SynqError(f"{path}: has {array.ndim} dimensions, needed are {least} to {most}")
        if part.startswith("y") and task is Task.CLASSIFICATION and array.dtype.kind == "f":
            raise SynqError(f"{path}: labels must be integers; or say that the task is regression")
    return dataset_of(str(folder), folder.resolve().name, arrays, task, scale)


def _find(folder: Path, starts: str, what: str) -> Path | None:
    try:
        names = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise SynqError(f"{folder}: cannot be read ({error.strerror})") from error
    found = [
        path
        for path in names
        if any(path.name.startswith(f"{start}-{what}") for start in starts.split())
    ]
    if len(found) > 1:
        several = " and ".join(path.name for path in found[:3])
        raise SynqError(f"{folder}: {several} could all be the {what}; leave one")
    return found[0] if found else None


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, gzipped or not, read within bounds.

    Raises:
        SynqError: it is no IDX file, damaged, or larger than any set.
    """
    content = read_bounded(path, _MAX_BYTES)
    if content.startswith(b"\x1f\x8b"):
        content = _inflated(path, content)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _KINDS:
        raise SynqError(f"{path}: is not an IDX file (it begins with 0x{content[:4].hex()})")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    kind = np.dtype(_KINDS[content[2]])
    size = kind.itemsize
    for side in shape:
        size *= side
    if len(content) != start + size or not shape or len(shape) > 32:
        sides = " x ".join(map(str, shape[:8])) or "nothing"
        raise SynqError(
            f"{path}: holds {len(content)} bytes, but says that it is of {sides} numbers of "
            f"{kind.itemsize} bytes: is it cut off?"
        )
    values: NDArray[Any] = np.frombuffer(content, kind, offset=start).reshape(shape)
    return values


def _inflated(path: Path, content: bytes) -> bytes:
    """A gzip's one stream; a second is refused, and what is larger than any set is not inflated."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        whole = stream.decompress(content, _MAX_BYTES + 1)
    except zlib.error as error:
        raise SynqError(f"{path}: is a corrupt gzip ({error})") from None
    if len(whole) > _MAX_BYTES:
        raise SynqError(f"{path}: inflates to more than {in_words(_MAX_BYTES)}")
    if not stream.eof or stream.unused_data:
        what = "goes on after its end" if stream.eof else "ends early"
        raise SynqError(f"{path}: is a gzip that {what}")
    return whole
