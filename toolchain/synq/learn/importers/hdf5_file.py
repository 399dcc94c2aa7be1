"""Arrays in an HDF5 file, read within bounds.

h5py parses the file. What is followed are groups and datasets that lie in the file itself: no links
to other places, no external or virtual storage, no filters but deflate, shuffle and checksums.
"""

import math
from typing import Any

import h5py
import numpy as np

from synq.errors import SynqError, quoted
from synq.float_network import check_total
from synq.learn.importers.steps import Array

_MOST_ITEMS = 10_000
_MOST_DEPTH = 20
_MAX_TEXT = 4 << 20
_MAX_RATIO = 1100  # unpacked to packed; deflate reaches 1030
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}

# What h5py raises where a file is damaged.
ERRORS = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError),
)


class Hdf5:
    """The datasets of a file by path, and its texts. Nothing is read but what is asked for.

    Raises:
        SynqError: here and in every method, where the file is damaged or holds what is not read.
    """

    def __init__(self, content: bytes) -> None:
        self._datasets: dict[str, Any] = {}
        self._items = 0
        try:
            self._file = h5py.File(h5py.h5f.open_file_image(content))
            self._walk(self._file, "", 0)
            check_total(sum(math.prod(each.shape) for each in self._datasets.values()))
        except ERRORS as error:
            raise _damaged(error) from None

    @property
    def paths(self) -> list[str]:
        """Of all datasets, as `layers/dense/vars/0`."""
        return list(self._datasets)

    def text(self, name: str) -> str | None:
        """An attribute of the file that is a text, if there is one."""
        try:
            if name not in self._file.attrs:
                return None
            stored = self._file.attrs.get_id(name)
            if stored.shape != () or h5py.check_string_dtype(stored.dtype) is None:
                raise SynqError(f"its attribute {quoted(name)} is no text")
            value = self._file.attrs[name]
        except ERRORS as error:
            raise _damaged(error) from None
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise SynqError(f"its attribute {quoted(name)} is no text, or too long")
        return value

    def values(self, path: str) -> Array:
        """The values of a dataset of real numbers."""
        try:
            dataset = self._datasets[path]
            kind = dataset.dtype
            if kind.kind != "f" or kind.itemsize > 8:
                raise SynqError(f"{quoted(path)} is {kind}; weights must be floats")
            if dataset.external or dataset.is_virtual:
                raise SynqError(f"{quoted(path)} lies in another file")
            plist = dataset.id.get_create_plist()
            filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
            if any(each not in _FILTERS for each in filters):
                raise SynqError(f"{quoted(path)} has a compression other than deflate")
            size = math.prod(dataset.shape) * kind.itemsize
            stored = dataset.id.get_storage_size()
            if size > stored * (_MAX_RATIO if filters else 1):
                raise SynqError(f"{quoted(path)} claims more values than are stored")
            array: Array = np.asarray(dataset[()])
        except ERRORS as error:
            raise _damaged(error) from None
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32)
        return array

    def _walk(self, group: Any, prefix: str, depth: int) -> None:
        for name in group:
            self._items += 1
            if self._items > _MOST_ITEMS or depth > _MOST_DEPTH:
                raise SynqError(
                    f"holds more than {_MOST_ITEMS:,} groups and datasets, or {_MOST_DEPTH} deep"
                )
            path = f"{prefix}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise SynqError(f"{quoted(path)} is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                self._walk(item, f"{path}/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._datasets[path] = item


def _damaged(error: BaseException) -> SynqError:
    if isinstance(error, SynqError):
        return error
    return SynqError(f"is a damaged HDF5 file, or one that is not read ({type(error).__name__})")
