"""The user's own arrays: every way they can be right or wrong."""

import pickle
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.learn.data import arrays as arrays_module
from synq.learn.data import npz as npz_module
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.mnist import is_mnist
from synq.learn.data.npz import load_npz


def npz(path: Path, **changes: Any) -> Path:
    """A small valid npz with `changes`; an array given as None is left out."""
    arrays: dict[str, Any] = {
        "x_train": np.arange(24, dtype=np.uint8).reshape(6, 2, 2),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
        "y_test": np.array([2, 1, 0], dtype=np.uint8),
    }
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    return path


def test_npz_of_bytes(tmp_path: Path) -> None:
    ours = load_npz(npz(tmp_path / "mine.npz"))
    assert ours.name == "mine"
    assert ours.input_format == FixedPoint(8, 0, signed=False)
    assert ours.train_inputs.shape == (6, 4)
    assert ours.train_inputs.dtype == ours.test_inputs.dtype == np.uint8
    assert ours.train_inputs.ravel().tolist() == list(range(24))
    assert ours.test_inputs.ravel().tolist() == list(range(12))
    assert ours.train_labels.dtype == ours.test_labels.dtype == np.int64
    assert ours.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert ours.test_labels.tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="read-only"):
        ours.train_inputs[0, 0] = 1


def test_npz_of_mnist_has_mnists_arrays(mnist: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(
        path,
        x_train=mnist.train_inputs[:500].reshape(-1, 28, 28),
        y_train=mnist.train_labels[:500].astype(np.uint8),
        x_test=mnist.test_inputs[:100].reshape(-1, 28, 28),
        y_test=mnist.test_labels[:100].astype(np.uint8),
    )
    ours = load_npz(path)
    np.testing.assert_array_equal(ours.train_inputs, mnist.train_inputs[:500])
    np.testing.assert_array_equal(ours.test_labels, mnist.test_labels[:100])


def test_npz_without_training_labels(tmp_path: Path) -> None:
    ours = load_npz(npz(tmp_path / "a.npz", y_train=None))
    assert ours.train_labels.shape == (0,)
    assert ours.train_labels.dtype == np.int64


@pytest.mark.parametrize(
    ("largest", "integer", "raw"),
    [
        (0.0, 0, 0),
        (0.25, 0, 64),
        (255 / 256, 0, 255),
        (1.0, 0, 255),  # the one value that clips, by one step
        (1.001, 1, 128),
        (255.4 / 128, 1, 255),
        (255.6 / 128, 2, 128),
        (16.0, 5, 128),
        (255.0, 8, 255),  # bytes given as floats stay bytes
        (1000.0, 10, 250),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_npz_of_floats_chooses_the_format(
    tmp_path: Path, largest: float, integer: int, raw: int, dtype: Any
) -> None:
    x_test = np.zeros((3, 2, 2), dtype=dtype)
    x_test[1, 1, 1] = largest  # the largest may be in either array
    x_train = np.full((6, 2, 2), largest / 2, dtype=dtype)
    ours = load_npz(npz(tmp_path / "a.npz", x_train=x_train, x_test=x_test))
    assert ours.input_format == FixedPoint(8, integer, signed=False)
    assert ours.test_inputs[1].tolist() == [0, 0, 0, raw]
    step = ours.input_format.step
    assert abs(ours.train_inputs * step - largest / 2).max() <= step / 2 + 1e-3 * largest


def test_npz_floats_are_quantized_in_every_slab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays_module, "_VALUES_AT_ONCE", 16)
    values = np.arange(24).reshape(6, 2, 2)
    ours = load_npz(
        npz(tmp_path / "a.npz", x_train=values / 256, x_test=np.asfortranarray(values[:3] / 256))
    )
    assert ours.train_inputs.ravel().tolist() == list(range(24))
    assert ours.test_inputs.ravel().tolist() == list(range(12))


@pytest.mark.parametrize("dtype", [np.int8, np.int64, ">i4", np.uint64])
def test_npz_of_other_integers_in_range(tmp_path: Path, dtype: Any) -> None:
    values = np.arange(24).reshape(6, 4).astype(dtype)
    same = load_npz(npz(tmp_path / "a.npz", x_train=values, y_test=np.array([[2], [1], [0]])))
    assert same.digest == load_npz(npz(tmp_path / "b.npz")).digest  # name and dtype do not matter


def test_npz_digest_covers_arrays_and_format(tmp_path: Path) -> None:
    ones = np.ones((6, 4), dtype=np.uint8)
    base = load_npz(npz(tmp_path / "a.npz"))
    others = [
        npz(tmp_path / "b.npz", x_train=ones),
        npz(tmp_path / "c.npz", y_train=None),
        npz(tmp_path / "d.npz", y_test=np.array([2, 1, 1])),
        # The same raw integers in another format, then in another shape.
        npz(tmp_path / "e.npz", x_train=ones * 2.0, x_test=ones[:3] * 2.0),
        npz(tmp_path / "f.npz", x_train=ones * 4.0, x_test=ones[:3] * 4.0),
        npz(
            tmp_path / "g.npz",
            x_train=ones.reshape(3, 8) * 4.0,
            x_test=np.full((1, 8), 4.0),
            y_train=None,
            y_test=np.array([1]),
        ),
    ]
    loaded = [load_npz(path) for path in others]
    assert loaded[3].train_inputs.tobytes() == loaded[4].train_inputs.tobytes()
    assert len({base.digest, *(dataset.digest for dataset in loaded)}) == 7


SMALL = np.zeros((3, 2, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, "array x_train is missing; needed are x_train, x_test, y_test"),
        ({"x_test": None}, "array x_test is missing"),
        ({"y_test": None}, "array y_test is missing"),
        (
            {"x_train": np.array([[1], [None]])},
            "x_train cannot be read (its values are of type '|O'",
        ),
        (
            {"y_test": np.array([1, None, 2])},
            "y_test cannot be read (its values are of type '|O'",
        ),
        ({"x_test": np.where(SMALL == 0, np.nan, 0)}, "x_test holds NaN or infinity"),
        ({"x_test": SMALL + np.inf}, "x_test holds NaN or infinity"),
        ({"x_test": SMALL - np.inf}, "x_test holds NaN or infinity"),
        (
            {"x_test": SMALL.astype(int) - 129},
            "x_test holds -129 to -129; integers with negative ones among them must be -128..127",
        ),
        (
            {"x_test": np.where(np.eye(3, 4, dtype=bool), -1, 128)},
            "x_test holds -1 to 128; integers with negative ones among them must be -128..127",
        ),
        ({"x_test": SMALL.astype(int) + 256}, "x_test holds 256; integers must be 0..255"),
        (
            {"x_test": SMALL > 0},
            "x_test is bool of shape (3, 2, 2); give integers 0..255 or",
        ),
        ({"x_test": SMALL * 1j}, "x_test is complex128"),
        (
            {"x_test": SMALL.astype(str)},
            "x_test cannot be read (its values are of type '<U32', not",
        ),
        ({"x_test": np.zeros(3)}, "x_test is float64 of shape (3,); give integers 0..255"),
        ({"x_test": np.zeros(())}, "x_test is float64 of shape ()"),
        ({"x_test": np.zeros((0, 4))}, "x_test has shape (0, 4); give at least one sample"),
        ({"x_train": np.zeros((6, 0))}, "x_train has shape (6, 0); give at least one sample"),
        ({"x_test": SMALL}, "x_train is uint8 and x_test is float64; both must be"),
        (
            {"x_test": np.zeros((3, 5), dtype=np.uint8)},
            "x_train has 4 features a sample and x_test 5; they must be equal",
        ),
        (
            {"y_test": np.zeros(3)},
            "y_test is float64 of shape (3,); give integers, one class",
        ),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "y_train holds -1; labels count"),
        ({"y_test": np.full(3, 2**63, np.uint64)}, "y_test holds 9223372036854775808; labels"),
        ({"y_test": np.zeros((3, 10), int)}, "y_test has shape (3, 10); give one class number"),
        ({"y_test": np.array(1)}, "y_test is int64 of shape ()"),
        ({"y_test": np.zeros(4, int)}, "y_test has 4 labels for 3 samples"),
        ({"y_train": np.zeros(0, int)}, "y_train has 0 labels for 6 samples"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = npz(tmp_path / "bad.npz", **changes)
    with pytest.raises(SynqError) as caught:
        load_npz(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call]
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def test_npz_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"absent.npz: cannot be read \(No such file"):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(SynqError, match=r": cannot be read \(Is a directory"):
        load_npz(tmp_path)

    path = tmp_path / "bad.npz"
    whole = npz(path).read_bytes()
    np.save(tmp_path / "one.npy", SMALL)
    one = (tmp_path / "one.npy").read_bytes()
    for content in (b"", b"x_train", one, pickle.dumps(SMALL), whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(SynqError, match=r"bad.npz: not an npz file"):
            load_npz(path)

    for at in (60, 200):  # in the data of the first and the second member
        path.write_bytes(whole[:at] + b"\xff" * 20 + whole[at + 20 :])
        with pytest.raises(SynqError, match=r"[xy]_train cannot be read"):
            load_npz(path)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"not npy at all", r"x_train cannot be read \(it is not in npy format\)"),
        (npy_header((10, 10)) + bytes(50), "x_train cannot be read"),
        (npy_header((10**6, 10**9)) + bytes(50), "x_train (cannot be read|does not fit)"),
        (npy_header((10**12, 10**12)) + bytes(50), "x_train (cannot be read|does not fit)"),
    ],
)
def test_npz_members_that_are_no_arrays(tmp_path: Path, member: bytes, message: str) -> None:
    path = npz(tmp_path / "bad.npz", x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", member)
    with pytest.raises(SynqError, match=message):
        load_npz(path)


def test_more_than_anybody_has_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "large.npz", x_train=np.zeros((1 << 20, 4), dtype=np.uint8))
    monkeypatch.setattr(npz_module, "_MAX_BYTES", 1 << 20)
    with pytest.raises(SynqError, match=r"large.npz: the arrays hold 4 MiB, at most 1 MiB are"):
        load_npz(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((6, 4), 255.0), "whole numbers up to 255 given as floats, and taken as such"),
        (np.ones((6, 4), np.uint8), "integers up to 1 only, taken as 0 to 1/256"),
        (np.full((6, 4), 16), "integers up to 16 only, taken as 0 to 16/256"),
        (np.full((6, 4), 3.25), None),
        (np.full((6, 4), 0.5), None),
        (np.ones((6, 4)), None),
        (np.full((6, 4), 200), None),
    ],
)
def test_values_of_another_scale_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values: Any, said: str | None
) -> None:
    load_npz(npz(tmp_path / "a.npz", x_train=values, x_test=values[:3]))
    assert len(caplog.records) == (said is not None)
    assert said is None or said in caplog.records[0].message


def test_mnist_is_known_by_what_it_is_and_not_by_its_name(mnist: Dataset, tmp_path: Path) -> None:
    arrays = {
        "x_train": mnist.train_inputs.reshape(-1, 28, 28),
        "y_train": mnist.train_labels.astype(np.uint8),
        "x_test": mnist.test_inputs,
        "y_test": mnist.test_labels,
    }
    np.savez(tmp_path / "handwriting.npz", **arrays)
    ours = load_npz(tmp_path / "handwriting.npz")
    assert is_mnist(mnist) and is_mnist(ours) and ours.digest == mnist.digest
    assert is_mnist(with_input_bits(ours, 4))

    arrays["y_test"] = np.roll(mnist.test_labels, 1)
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert not is_mnist(load_npz(tmp_path / "mnist.npz"))
    assert not is_mnist(load_npz(npz(tmp_path / "mnist.npz")))


_MEASURED = """
import resource, sys, pathlib
from synq.learn.data.npz import load_npz
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = load_npz(pathlib.Path(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)
"""


@pytest.mark.parametrize(
    ("dtype", "order", "bound"), [(np.uint8, "C", 80), (np.uint8, "F", 150), (np.float64, "F", 170)]
)
def test_reading_takes_little_more_memory_than_the_arrays(
    tmp_path: Path, dtype: Any, order: Any, bound: float
) -> None:
    count = (64 << 20) // 8 // np.dtype(dtype).itemsize
    values = np.zeros((count, 8), dtype, order=order)  # 64 MiB
    values[0, 0] = 1
    labels = np.zeros(count, np.uint8)
    np.savez(tmp_path / "a.npz", x_train=values, x_test=values[:1], y_test=labels[:1])
    script = [sys.executable, "-c", _MEASURED, tmp_path / "a.npz"]
    result = subprocess.run(script, capture_output=True, text=True, check=True)
    assert float(result.stdout) < bound  # MiB
