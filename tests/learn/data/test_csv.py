"""Tables: every way they can be written, and be wrong."""

import logging
from pathlib import Path

import numpy as np
import pytest

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.learn.data import csv_file
from synq.learn.data.csv_file import load_csv
from synq.learn.data.split import test_rows as rows_for_test
from synq.score import Task


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(count: int, cells: str = "{0},{1},{2}") -> str:
    lines = (cells.format(index % 250, 250 - index % 200, index % 3) for index in range(count))
    return "\n".join(lines) + "\n"


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    ours = load_csv(table(tmp_path / "mine.csv", rows(60)))
    assert ours.name == "mine" and ours.input_format == FixedPoint(8, 0, signed=False)
    assert len(ours.test_labels) == 12 and len(ours.train_labels) == 48
    assert np.bincount(ours.test_labels).tolist() == [4, 4, 4]  # of each class a fifth
    both = np.concatenate([ours.train_inputs, ours.test_inputs])
    assert sorted(both[:, 0].tolist()) == list(range(60))


def test_the_same_split_every_time_and_for_every_order_of_columns(tmp_path: Path) -> None:
    first = load_csv(table(tmp_path / "a.csv", rows(60)))
    again = load_csv(table(tmp_path / "b.csv", rows(60)))
    assert first.digest == again.digest
    header = "Label;first;second\n" + rows(60, "{2};{0};{1}")
    assert load_csv(table(tmp_path / "c.csv", header)).digest == first.digest
    tabs = "first\tsecond\tCLASS\n" + rows(60, "{0}\t{1}\t{2}").replace("\n", "\r\n\r\n")
    assert load_csv(table(tmp_path / "d.csv", "\ufeff" + tabs)).digest == first.digest


def test_numbers_may_name_columns(tmp_path: Path) -> None:
    """As exported by pandas from images."""
    ours = load_csv(table(tmp_path / "a.csv", "label,0,1\n" + rows(30, "{2},{0},{1}")))
    assert len(ours.train_labels) + len(ours.test_labels) == 30


def test_real_columns_are_standardized(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="synq"):
        ours = load_csv(table(tmp_path / "a.csv", rows(100, "{0}e3,{1}.5,{2}")))
    assert ours.input_format == FixedPoint(8, 3, signed=True) and ours.standardized
    values = ours.train_inputs * ours.input_format.step
    assert np.abs(values.mean(axis=0)).max() < 0.05
    assert np.abs(values.std(axis=0) - 1).max() < 0.05
    assert "each feature is standardized" in caplog.text


def test_names_of_classes_count_in_their_order(tmp_path: Path) -> None:
    text = "a,b,species\n1,2,rose\n3,4,iris\n5,6,rose\n7,8,iris\n"
    ours = load_csv(table(tmp_path / "a.csv", text))
    assert sorted([*ours.train_labels, *ours.test_labels]) == [0, 0, 1, 1]
    plain = load_csv(table(tmp_path / "b.csv", text.partition("\n")[2]))  # without a header
    assert plain.digest == ours.digest


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (("-1", "1", "1.0", "-1"), [0, 0, 1, 1]),  # 1 and 1.0 are one class
        (("0", "2.0", "2", "0.0"), [0, 0, 2, 2]),  # the numbers that a trained network gives
        (("1.0", "2.0", "1.0", "2.0"), [1, 1, 2, 2]),
    ],
)
def test_numbers_are_classes_however_written(
    tmp_path: Path, cells: tuple[str, ...], classes: list[int]
) -> None:
    ours = load_csv(table(tmp_path / "a.csv", "".join(f"1,2,{cell}\n" for cell in cells)))
    assert sorted([*ours.train_labels, *ours.test_labels]) == classes


def test_a_column_may_split(tmp_path: Path) -> None:
    text = "x,split,y\n1,train,0\n2,test,1\n3,Train,1\n4,TEST,0\n"
    ours = load_csv(table(tmp_path / "a.csv", text))
    assert ours.train_inputs.ravel().tolist() == [1, 3]
    assert ours.test_labels.tolist() == [1, 0]


def test_real_targets(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", rows(50, "{0},{1},-{2}.25"))
    ours = load_csv(path, Task.REGRESSION)
    assert ours.task is Task.REGRESSION
    assert ours.train_labels.shape == (40, 1) and ours.test_labels.shape == (10, 1)
    assert set(ours.test_labels.ravel()) <= {-0.25, -1.25, -2.25}
    with pytest.raises(SynqError, match=r"the targets are numbers like '-0.25', not classes; say"):
        load_csv(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("1\n2\n", "line 1 has 1 columns"),
        ("a,b,label\n", "has no samples below its first line"),
        ("a,label\n1,0\n2\n", "line 3 has 1 columns, the first line 2"),
        ("a,label\n1,0\n2,0,1\n", "line 3 has 3 columns, the first line 2"),
        ("a,label\n1,0\nx,1\n", "line 3, column 'a': 'x' is not a number"),
        ("1,0\n,1\n", "line 2: '' is not a number"),
        ("1,0\n2_0,1\n3,x y\n" * 0 + "1,0\n0x10,1\n", "line 2: '0x10' is not a number"),
        ("1,0\nnan,1\n", "sample 2 holds NaN or infinity"),
        ("1,0\n1e999,1\n", "sample 2 holds NaN or infinity"),
        ("x,label,class\n1,2,3\n", "several columns could be the target ('label' and 'class')"),
        ("split,x,split,y\ntrain,1,test,0\n", "several columns are named split"),
        ("x,split,y\n1,dev,0\n", "the split of sample 1 is 'dev'; it must be train or test"),
        ("x,split,y\n1,train,0\n2,train,0\n", "has no sample for testing"),
        ("x,split,y\n1,test,0\n2,test,0\n", "has no sample for training"),
        ("1,0\n", "has no sample for training"),
        ("x,y\n1,\n2,a\n", "sample 1 has no target"),
        ("split,y\ntrain,1\ntest,0\n", "has no features"),
        ('1,"0\n2,1\n', "is not CSV"),
        ("1,0\0\n", "line 1 is not text"),
        ("1,0\n" + "9" * 200_000 + ",1\n", "line 2"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path / "bad.csv", text)
    with pytest.raises(SynqError) as caught:
        load_csv(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_are_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n\xff\xfe,3\n")
    with pytest.raises(SynqError, match="line 2 is not UTF-8 text"):
        load_csv(path)
    with pytest.raises(SynqError, match=r"No such file"):
        load_csv(tmp_path / "absent.csv")
    monkeypatch.setattr(csv_file, "_MAX_BYTES", 4)
    with pytest.raises(SynqError, match="is larger than 4 bytes"):
        load_csv(path)


def test_targets_that_are_no_numbers_in_a_regression(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "x,y\n1,2.5\n2,high\n")
    with pytest.raises(SynqError, match=r"the target of sample 2, 'high', is not a number"):
        load_csv(path, Task.REGRESSION)
    with pytest.raises(SynqError, match=r"y_t.* holds NaN or infinity; targets must be finite"):
        load_csv(table(path, "x,y\n1,2.5\n2,inf\n"), Task.REGRESSION)


@pytest.mark.parametrize("count", [1, 2, 5, 37, 500])
def test_a_fifth_of_every_class_is_for_testing(count: int) -> None:
    labels = np.arange(count) % 7
    chosen = rows_for_test(labels, count)
    assert chosen.sum() >= 1
    for label in np.unique(labels):
        own = chosen[labels == label]
        assert abs(own.sum() - 0.2 * len(own)) <= 1
    np.testing.assert_array_equal(chosen, rows_for_test(labels, count))
    assert rows_for_test(None, 500).sum() == 100


def test_the_split_never_changes() -> None:
    """Which samples test a set is part of every result measured on it."""
    assert np.flatnonzero(rows_for_test(None, 30)).tolist() == [2, 10, 13, 24, 26, 28]
