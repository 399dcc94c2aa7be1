"""What reads an HDF5 file, in a process of its own: see `hdf5_file`.

What is followed are groups and datasets that lie in the file itself: no links to other places, no
external or virtual storage, no filters but deflate, shuffle and checksums.

    python -m synq.learn.importers.hdf5_child FILE ARRAYS SECONDS

writes arrays and attributes of FILE to ARRAYS (.npz), or one line of what is wrong to ARRAYS.txt.
"""

import math
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synq.errors import SynqError, quoted
from synq.float_network import check_total

_MOST_ITEMS = 10_000
_MOST_DEPTH = 20
_MAX_TEXT = 4 << 20
_MAX_RATIO = 1100  # unpacked to packed; deflate reaches 1030
_MAX_MEMORY = 8 << 30  # bytes of address space
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}
_OTHERS = ("optimizer", "optimizer_weights")  # groups of training, at the top
CONFIGURATION = "model_config"


def main() -> None:
    source, target, seconds = sys.argv[1:]
    _limit(resource.RLIMIT_CPU, int(seconds))
    _limit(resource.RLIMIT_AS, _MAX_MEMORY)
    try:
        np.savez(target, **read(Path(source)))
    except SynqError as error:
        problem = str(error)
    except Exception as error:  # a damaged file may raise anything in h5py
        problem = f"is a damaged HDF5 file, or one that is not read ({type(error).__name__})"
    else:
        return
    Path(f"{target}.txt").write_text(problem)


def _limit(what: int, most: int) -> None:
    """Limit this process, which may be limited further already."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def read(path: Path) -> dict[str, Any]:
    """Arrays of float by path; a text instead of an array says why it is not read.

    Under `.model_config` is the attribute of that name, if there is one.

    Raises:
        SynqError: the file holds what is not followed.
    """
    with h5py.File(path, "r") as file:
        datasets = dict(_datasets(file, "", 0, [0]))
        check_total(sum(math.prod(each.shape) for each in datasets.values()))
        found: dict[str, Any] = {path: _values(each) for path, each in datasets.items()}
        if (text := _text(file)) is not None:
            found[f".{CONFIGURATION}"] = text
    return found


def _text(file: Any) -> str | None:
    if CONFIGURATION not in file.attrs:
        return None
    stored = file.attrs.get_id(CONFIGURATION)
    value: Any = None
    if stored.shape == () and h5py.check_string_dtype(stored.dtype) is not None:
        value = file.attrs[CONFIGURATION]
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise SynqError(f"its attribute {CONFIGURATION} is no text, or too long")
    return value


def _values(dataset: Any) -> Any:
    """The values of a dataset of real numbers, or why they are not read."""
    kind = dataset.dtype
    if kind.kind != "f" or kind.itemsize > 8:
        return f"is {str(kind)[:40]}; weights must be floats"
    if dataset.external or dataset.is_virtual:
        return "lies in another file"
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    if any(each not in _FILTERS for each in filters):
        return "has a compression other than deflate"
    size = math.prod(dataset.shape) * kind.itemsize
    if size > dataset.id.get_storage_size() * (_MAX_RATIO if filters else 1):
        return "claims more values than are stored"
    array = np.asarray(dataset[()])
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _datasets(group: Any, prefix: str, depth: int, count: list[int]) -> Iterator[tuple[str, Any]]:
    """The datasets below a group by path; `count` holds how many items have been seen."""
    for name in group:
        if not prefix and name in _OTHERS:
            continue
        count[0] += 1
        if count[0] > _MOST_ITEMS or depth > _MOST_DEPTH:
            raise SynqError(
                f"holds more than {_MOST_ITEMS:,} groups and datasets, or {_MOST_DEPTH} deep"
            )
        path = f"{prefix}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise SynqError(f"{quoted(path)} is a link to another place")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _datasets(item, f"{path}/", depth + 1, count)
        elif isinstance(item, h5py.Dataset):
            yield path, item


if __name__ == "__main__":
    main()
