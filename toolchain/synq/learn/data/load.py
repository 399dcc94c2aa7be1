"""Any data: a set by its name, or the user's own file or folder, whose kind its contents tell."""

from dataclasses import dataclass
from pathlib import Path

from synq.errors import SynqError, UsageError, nearest_names
from synq.files import read_at_most
from synq.learn.data.arrays import VALUES_AS_THEY_ARE, Columns, InputScale, with_scale
from synq.learn.data.cifar import BINARY_SETS, load_binary_set
from synq.learn.data.csv_file import load_csv
from synq.learn.data.dataset import Dataset
from synq.learn.data.idx import IDX_SETS
from synq.learn.data.idx_folder import load_idx_folder
from synq.learn.data.mnist import load_idx_set
from synq.learn.data.npz import load_npz
from synq.learn.data.sklearn_sets import SKLEARN_SETS, load_sklearn_set
from synq.progress import Progress
from synq.score import Task

NAMES = (*IDX_SETS, *BINARY_SETS, *SKLEARN_SETS)


@dataclass(frozen=True)
class Data:
    """Which data, and what networks of it take and answer.

    Attributes:
        source: one of `NAMES`, or a path: .npz, .csv, or a folder of IDX files.
        folder: of a published set's files (of CIFAR-10 also the archive itself); fetched without.
        task: what the labels are; that of the set, or classification, without.
        scale: what networks take for the data's values.
    """

    source: str | Path = "mnist"
    folder: Path | None = None
    task: Task | None = None
    scale: InputScale = VALUES_AS_THEY_ARE

    @property
    def is_named(self) -> bool:
        """Whether it is a set known by its name; a file of that name is ./NAME."""
        return isinstance(self.source, str) and self.source in NAMES

    @property
    def name(self) -> str:
        """What projects and folders of results are called by."""
        return str(self.source) if self.is_named else Path(self.source).resolve().stem


def load_data(data: Data, cache_dir: Path, progress: Progress) -> Dataset:
    """The data, from wherever it is to be had.

    Raises:
        UsageError: no set has the name and no file either, or a set is not of the task.
        SynqError: it cannot be had, or is damaged.
    """
    published = (*IDX_SETS, *BINARY_SETS)
    if data.folder is not None and data.source not in published:
        raise UsageError(
            f"a folder of a set's files is for {', '.join(published)}; give {data.source} alone, "
            "or a folder of IDX files itself as the data",
            settings=("data", "data_dir"),
        )
    if not data.is_named:
        return _load_file(Path(data.source), data.task or Task.CLASSIFICATION, data.scale)
    name = str(data.source)
    if name in IDX_SETS:
        dataset = load_idx_set(IDX_SETS[name], data.folder, cache_dir, progress)
        dataset = with_scale(dataset, data.scale, Columns.parts_of(256))
    elif name in BINARY_SETS:
        dataset = load_binary_set(BINARY_SETS[name], data.folder, cache_dir, progress)
        dataset = with_scale(dataset, data.scale, Columns.parts_of(256))
    else:
        dataset = load_sklearn_set(name, data.scale)
    if data.task not in (None, dataset.task):
        raise UsageError(f"{name} is for {dataset.task}, not {data.task}", settings=("task",))
    return dataset


def _load_file(path: Path, task: Task, scale: InputScale) -> Dataset:
    """The user's own data; what kind of file it is, its contents tell."""
    if path.is_dir():
        return load_idx_folder(path, task, scale)
    if not path.exists() and path.suffix == "" and len(path.parts) == 1:
        raise UsageError(
            f"{path}: there is no such file, and no set of this name: "
            f"{nearest_names(str(path), list(NAMES))}",
            settings=("data",),
        )
    start = read_at_most(path, 6)
    if start.startswith(b"PK") or path.suffix == ".npz":  # which says what is wrong with it
        return load_npz(path, task, scale)
    if start.startswith(b"\x93NUMPY"):
        raise SynqError(
            f"{path}: is one array; save x_train, y_train, x_test, y_test by numpy.savez"
        )
    if start.startswith(b"\x1f\x8b") or start.startswith(b"\0\0"):
        raise SynqError(f"{path}: is one IDX file, or a gzip; give the folder of all four files")
    return load_csv(path, task, scale)
