"""The user's own data as a table in text: one sample a line, one of the columns its target."""

import csv
import io
import logging
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, quoted
from synq.files import read_bounded
from synq.learn.data.arrays import VALUES_AS_THEY_ARE, InputScale, dataset_of
from synq.learn.data.dataset import Dataset
from synq.learn.data.split import test_rows
from synq.score import Task

_log = logging.getLogger("synq")

TARGET_NAMES = ("label", "target", "class", "y")
SPLIT_NAME = "split"

_MAX_BYTES = 1 << 30
_MAX_COLUMNS = 100_000
_MAX_CELL = 1 << 17  # characters, as Python's csv
_MOST_CLASSES = 65_536


@dataclass(frozen=True)
class _Table:
    """A table as read.

    Attributes:
        features: (n, n_features) float64.
        integers: whether every feature is written as an integer.
        targets, splits: the cells of the target and the split column, the latter empty without.
    """

    features: NDArray[np.float64]
    integers: bool
    targets: list[str]
    splits: list[str]


def load_csv(
    path: Path, task: Task = Task.CLASSIFICATION, scale: InputScale = VALUES_AS_THEY_ARE
) -> Dataset:
    """A table of numbers: a line a sample, separated by commas, semicolons or tabs.

    The first line may name the columns. The target is in the column named label, target, class or
    y, else in the last one: a class number from 0 (2.0 is 2), or a class's name or negative number
    (then classes count by their order), or a real number for a regression. A column named split
    says `train` or `test`; without one a fifth of the lines, of every class a fifth, is for
    testing, the same ones every time. All other columns are features. If all are integers 0..255
    they are bytes, as for MNIST. Else each is standardized: the columns of a table have scales of
    their own.

    Raises:
        SynqError: the file cannot be read, is no such table (with the number of the line), or as
            `dataset_of`.
    """
    table = _read(path)
    labels, targets = None, _targets(path, table.targets, task)
    if task is Task.CLASSIFICATION:
        labels = targets
    for_test = _for_test(path, table.splits, labels, len(targets))
    features: NDArray[Any] = table.features
    bytes_only = table.integers and features.min() >= 0 and features.max() <= 255
    if bytes_only:
        features = features.astype(np.uint8)
    else:
        _log.info("%s: each feature is standardized by the training samples", path)
    arrays = {
        "x_train": features[~for_test],
        "x_test": features[for_test],
        "y_train": targets[~for_test],
        "y_test": targets[for_test],
    }
    return dataset_of(str(path), path.stem, arrays, task, scale, standardize=not bytes_only)


def _read(path: Path) -> _Table:
    content = read_bounded(path, _MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SynqError(f"{path}: line {line} is not UTF-8 text: is it a .csv?") from None
    del content
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise SynqError(f"{path}: line {line} is not text: is it a .csv?")
    lines = _lines(path, text)
    first = next(lines, None)
    if first is None:
        raise SynqError(f"{path}: is empty; give one sample a line")
    _, cells = first
    if not 2 <= len(cells) <= _MAX_COLUMNS:
        raise SynqError(
            f"{path}: line 1 has {len(cells)} columns; give features and a target, 2 to "
            f"{_MAX_COLUMNS:,} columns separated by commas"
        )
    names = [cell.strip().lower() for cell in cells]
    has_header = bool({*TARGET_NAMES, SPLIT_NAME} & {*names}) or not any(map(_is_number, cells))
    target, split = _columns(path, names) if has_header else (len(cells) - 1, None)
    numbers, targets, splits, integers = array("d"), list[str](), list[str](), True
    for number, row in lines if has_header else _with_first(first, lines):
        if len(row) != len(cells):
            raise SynqError(
                f"{path}: line {number} has {len(row)} columns, the first line {len(cells)}"
            )
        for column, cell in enumerate(row):
            if column == target:
                targets.append(cell.strip())
            elif column == split:
                splits.append(cell.strip().lower())
            else:
                try:
                    numbers.append(float(cell))
                except ValueError:
                    name = f", column {quoted(cells[column].strip())}" if has_header else ""
                    raise SynqError(
                        f"{path}: line {number}{name}: {quoted(cell.strip())} is not a number"
                    ) from None
                integers = integers and cell.strip().lstrip("+-").isdigit()
    n_features = len(cells) - 1 - (split is not None)
    if not targets or not n_features:
        what = "features" if targets else "samples below its first line"
        raise SynqError(f"{path}: has no {what}")
    features = np.frombuffer(numbers, dtype=np.float64).reshape(len(targets), n_features)
    wrong = np.argwhere(~np.isfinite(features))
    if len(wrong):
        raise SynqError(
            f"{path}: sample {wrong[0][0] + 1} holds NaN or infinity; leave out samples with "
            "missing values"
        )
    return _Table(features, integers, targets, splits)


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line that is not empty."""
    first = text[: text.find("\n") if "\n" in text else len(text)]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise SynqError(f"{path}: line {reader.line_num} is not CSV ({error})") from None


def _with_first(
    first: tuple[int, list[str]], others: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from others


def _columns(path: Path, names: list[str]) -> tuple[int, int | None]:
    """The columns of the target and, if there is one, of the split."""
    found = [column for column, name in enumerate(names) if name in TARGET_NAMES]
    if len(found) > 1:
        several = " and ".join(quoted(names[column]) for column in found[:3])
        raise SynqError(f"{path}: several columns could be the target ({several}); name one so")
    splits = [column for column, name in enumerate(names) if name == SPLIT_NAME]
    if len(splits) > 1:
        raise SynqError(f"{path}: several columns are named {SPLIT_NAME}")
    split = splits[0] if splits else None
    last = len(names) - 1 - (split == len(names) - 1)
    return (found[0] if found else last), split


def _targets(path: Path, cells: list[str], task: Task) -> NDArray[Any]:
    """Class numbers (n,), int64; or real targets (n,), float64."""
    if task is Task.REGRESSION:
        try:
            return np.array([float(cell) for cell in cells])
        except ValueError:
            wrong = next(row for row, cell in enumerate(cells) if not _is_number(cell))
            raise SynqError(
                f"{path}: the target of sample {wrong + 1}, {quoted(cells[wrong])}, is not a number"
            ) from None
    if all(cell.isascii() and cell.isdigit() and len(cell) < 10 for cell in cells):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    if "" in cells:
        raise SynqError(f"{path}: sample {cells.index('') + 1} has no target")
    names = sorted(set(cells))
    numbers = all(map(_is_number, names))
    if numbers and (len(names) > 100 or any(float(name) % 1 for name in names)):
        raise SynqError(
            f"{path}: the targets are numbers like {quoted(names[0])}, not classes; say that the "
            "task is regression",
            settings=("task",),
        )
    if numbers and all(0 <= float(name) < 1e9 for name in names):  # 2.0 is 2
        return np.array([float(cell) for cell in cells]).astype(np.int64)
    if len(names) > _MOST_CLASSES:
        raise SynqError(f"{path}: has {len(names):,} classes; at most {_MOST_CLASSES:,} are read")
    if numbers:  # 1 and 1.0 are one class
        distinct = sorted(set(map(float, names)))
        _log.info("%s: classes %s", path, ", ".join(f"{value:g}" for value in distinct[:20]))
        return np.searchsorted(distinct, [float(cell) for cell in cells]).astype(np.int64)
    _log.info("%s: classes %s", path, ", ".join(names[:20]))
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([number_of[cell] for cell in cells], dtype=np.int64)


def _for_test(
    path: Path, splits: list[str], labels: NDArray[np.int64] | None, count: int
) -> NDArray[np.bool_]:
    """Which samples are for testing; at least one is, and at least one is not."""
    if not splits:
        chosen = test_rows(labels, count)
    else:
        odd = [row for row, cell in enumerate(splits) if cell not in ("train", "test")]
        if odd:
            raise SynqError(
                f"{path}: the split of sample {odd[0] + 1} is {quoted(splits[odd[0]])}; "
                "it must be train or test"
            )
        chosen = np.array([cell == "test" for cell in splits])
    if chosen.all() or not chosen.any():
        none = "training" if chosen.all() else "testing"
        raise SynqError(f"{path}: has no sample for {none}; give at least two")
    return chosen


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
