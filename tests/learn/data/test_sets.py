"""Sets known by their names, folders of IDX files, and what kind of file is given."""

import gzip
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint
from synq.learn.data import idx_folder, load
from synq.learn.data.idx import FASHION_MNIST, IDX_SETS, KMNIST, MNIST, IdxSet, encode_idx
from synq.learn.data.idx_folder import load_idx_folder
from synq.learn.data.load import NAMES, Data, load_data
from synq.learn.data.mnist import load_idx_set
from synq.learn.data.sklearn_sets import load_sklearn_set
from synq.progress import SILENT
from synq.score import Task

RNG = np.random.default_rng(2)
PARTS = {
    "train-images-idx3-ubyte": RNG.integers(0, 256, (20, 4, 4), dtype=np.uint8),
    "train-labels-idx1-ubyte": (np.arange(20) % 3).astype(np.uint8),
    "t10k-images-idx3-ubyte": RNG.integers(0, 256, (6, 4, 4), dtype=np.uint8),
    "t10k-labels-idx1-ubyte": (np.arange(6) % 3).astype(np.uint8),
}


def tiny(published: IdxSet, folder: Path) -> IdxSet:
    """A set of `PARTS` in the place of `published`, whose gzips are in `folder`."""
    folder.mkdir()
    files = []
    for file in published.files:
        content = encode_idx(PARTS[file.name])
        packed = gzip.compress(content, mtime=7)
        (folder / f"{file.name}.gz").write_bytes(packed)
        files.append(
            replace(
                file,
                shape=PARTS[file.name].shape,
                sha256=hashlib.sha256(content).hexdigest() if file.sha256 else "",
                gz_sha256=hashlib.sha256(packed).hexdigest() if file.gz_sha256 else "",
            )
        )
    return replace(published, files=tuple(files), mirrors=(), folder=folder)


# ---- Published sets -----------------------------------------------------------------------------


@pytest.mark.parametrize("published", [FASHION_MNIST, KMNIST], ids=lambda each: each.name)
def test_a_systems_package_is_a_source_and_fills_the_cache(
    published: IdxSet, tmp_path: Path
) -> None:
    small = tiny(published, tmp_path / "package")
    ours = load_idx_set(small, None, tmp_path / "cache", SILENT)
    assert ours.name == published.name and ours.distortion == published.distortion
    assert ours.shape == (4, 4, 1)
    np.testing.assert_array_equal(ours.test_labels, PARTS["t10k-labels-idx1-ubyte"])
    np.testing.assert_array_equal(
        ours.train_inputs, PARTS["train-images-idx3-ubyte"].reshape(20, 16)
    )
    offline = replace(small, folder=None)
    assert load_idx_set(offline, None, tmp_path / "cache", SILENT).digest == ours.digest
    assert load_idx_set(offline, tmp_path / "package", tmp_path, SILENT).digest == ours.digest
    for path in (tmp_path / "cache" / published.name).iterdir():
        assert (path.suffix == ".gz") == (published is KMNIST)  # what can be checked again


@pytest.mark.parametrize("published", [FASHION_MNIST, KMNIST], ids=lambda each: each.name)
def test_other_bytes_are_not_the_set(published: IdxSet, tmp_path: Path) -> None:
    small = tiny(published, tmp_path / "package")
    path = tmp_path / "package/train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=8)[:-1])
    with pytest.raises(SynqError, match=f"cannot fetch {published.title}; tried .*ends early"):
        load_idx_set(small, None, tmp_path / "cache", SILENT)
    content = bytearray(encode_idx(PARTS["train-labels-idx1-ubyte"]))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(SynqError, match=f"SHA-256 is .*{published.title}"):
        load_idx_set(replace(small, folder=None), tmp_path / "package", tmp_path, SILENT)


def test_without_a_source_the_package_is_named(tmp_path: Path) -> None:
    nowhere = replace(FASHION_MNIST, mirrors=(), folder=tmp_path / "absent")
    with pytest.raises(SynqError) as caught:
        load_idx_set(nowhere, None, tmp_path, SILENT)
    assert "tried nothing" in str(caught.value)
    assert "install the package dataset-fashion-mnist, or give a folder" in str(caught.value)


def test_digests_are_full_and_of_different_files() -> None:
    digests = [file.sha256 or file.gz_sha256 for each in IDX_SETS.values() for file in each.files]
    assert len(set(digests)) == 12 and all(len(digest) == 64 for digest in digests)
    for each in IDX_SETS.values():
        assert [file.shape for file in each.files] == [file.shape for file in MNIST.files]


# ---- scikit-learn's -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "train", "test", "classes"),
    [("digits", 1438, 359, 10), ("breast-cancer", 456, 113, 2), ("wine", 142, 36, 3)],
)
def test_sets_of_scikit_learn(name: str, train: int, test: int, classes: int) -> None:
    ours = load_sklearn_set(name)
    assert (len(ours.train_labels), len(ours.test_labels)) == (train, test)
    assert ours.n_targets == classes and ours.task is Task.CLASSIFICATION
    shares = [np.bincount(labels) / len(labels) for labels in (ours.train_labels, ours.test_labels)]
    assert np.abs(shares[0] - shares[1]).max() < 0.02
    assert ours.digest == load_sklearn_set(name).digest
    assert (ours.distortion is not None) == (name == "digits")


def test_digits_are_exact() -> None:
    from sklearn.datasets import load_digits

    ours = load_sklearn_set("digits")
    values = np.concatenate([ours.train_inputs, ours.test_inputs]) * ours.input_format.step
    theirs, _ = load_digits(return_X_y=True)
    assert sorted(map(tuple, values * 16)) == sorted(map(tuple, theirs))


def test_a_real_target() -> None:
    ours = load_data(Data("diabetes"), Path("unused"), SILENT)
    assert ours.task is Task.REGRESSION and ours.test_labels.shape == (88, 1)
    with pytest.raises(UsageError, match="diabetes is for regression, not classification"):
        load_data(Data("diabetes", task=Task.CLASSIFICATION), Path("unused"), SILENT)


def test_without_scikit_learn_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.datasets"):  # the latter is found without the former
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SynqError, match="wine comes with scikit-learn, which cannot be imported"):
        load_sklearn_set("wine")


# ---- Folders of IDX files -----------------------------------------------------------------------


def idx(values: Any, kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, values.ndim])
    return header + b"".join(side.to_bytes(4, "big") for side in values.shape) + values.tobytes()


def folder_of(folder: Path, **changes: bytes | None) -> Path:
    folder.mkdir(exist_ok=True)
    files: dict[str, bytes | None] = {
        "train_images": idx(PARTS["train-images-idx3-ubyte"]),
        "train_labels": gzip.compress(idx(PARTS["train-labels-idx1-ubyte"])),
        "test_images": gzip.compress(idx(PARTS["t10k-images-idx3-ubyte"])),
        "test_labels": idx(PARTS["t10k-labels-idx1-ubyte"]),
    }
    for name, content in (files | changes).items():
        if content is not None:
            (folder / f"{name.replace('_', '-')}.idx").write_bytes(content)
    return folder


def test_a_folder_of_any_set(tmp_path: Path) -> None:
    ours = load_idx_folder(folder_of(tmp_path / "letters"))
    assert ours.name == "letters" and ours.input_format == FixedPoint(8, 0, signed=False)
    np.testing.assert_array_equal(ours.test_inputs.ravel(), PARTS["t10k-images-idx3-ubyte"].ravel())
    assert load_data(Data(tmp_path / "letters"), tmp_path, SILENT).digest == ours.digest
    real = (PARTS["t10k-images-idx3-ubyte"] / 255).astype(">f4")
    mixed = folder_of(
        tmp_path / "real",
        test_images=idx(real, 0x0D),
        train_images=idx((real[:5] - 1).astype(">f4"), 0x0D),
        train_labels=idx(np.arange(5, dtype=">i4"), 0x0C),
    )
    assert load_idx_folder(mixed).input_format == FixedPoint(8, 2, signed=True)
    unlabelled = folder_of(tmp_path / "unlabelled", train_labels=None)
    assert load_idx_folder(unlabelled).train_labels.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_images": None}, "has no file t10k-images* or test-images*"),
        ({"test_labels": None}, "has no file t10k-labels* or test-labels*"),
        ({"t10k_labels": b""}, "could all be the labels; leave one"),
        ({"test_labels": b""}, "is not an IDX file (it begins with 0x)"),
        ({"test_labels": b"\x89PNG"}, "is not an IDX file (it begins with 0x89504e47)"),
        ({"test_labels": b"\0\0\x08\0"}, "is of nothing numbers"),
        ({"test_labels": b"\0\0\x08\xff"}, "is it cut off?"),
        ({"test_labels": b"\0\0\x08\x02" + b"\xff" * 8}, "of 4294967295 x 4294967295 numbers"),
        ({"test_labels": idx(np.zeros((6, 1), np.uint8))}, "has 2 dimensions, needed are 1 to 1"),
        ({"test_labels": idx(np.zeros(5, np.uint8))}, "y_test has 5 labels for 6 samples"),
        ({"test_labels": idx(np.zeros(6, ">f8"), 0x0E)}, "labels must be integers"),
        ({"test_images": idx(np.zeros(6, np.uint8))}, "has 1 dimensions, needed are 2 to 32"),
        ({"test_images": idx(np.zeros((6, 9), np.uint8))}, "16 features a sample and x_test 9"),
        ({"test_labels": gzip.compress(idx(np.zeros(6, np.uint8)))[:-9]}, "a gzip that ends early"),
        ({"test_labels": gzip.compress(b"")[:-8] + b"\xff" * 9}, "gzip"),
        ({"test_labels": gzip.compress(b"") * 2}, "a gzip that goes on after its end"),
    ],
)
def test_folders_that_hold_no_set(
    tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    folder = folder_of(tmp_path / "bad", **changes)
    with pytest.raises(SynqError) as caught:
        load_idx_folder(folder)
    assert str(caught.value).startswith(str(folder)) and message in str(caught.value)


def test_bombs_are_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_folder, "_MAX_BYTES", 1000)
    folder = folder_of(
        tmp_path / "a",
        train_images=idx(np.zeros((3, 4), np.uint8)),
        test_labels=gzip.compress(bytes(5000)),
    )
    with pytest.raises(SynqError, match="inflates to more than 1000 bytes"):
        load_idx_folder(folder)


# ---- Which kind of data -------------------------------------------------------------------------


def test_contents_tell_the_kind(tmp_path: Path) -> None:
    images = PARTS["train-images-idx3-ubyte"]
    labels = PARTS["train-labels-idx1-ubyte"]
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (tmp_path / "a.npz").rename(tmp_path / "anything")
    assert load_data(Data(tmp_path / "anything"), tmp_path, SILENT).n_features == 16
    (tmp_path / "text.data").write_text("1,2,0\n3,4,1\n" * 5)
    assert load_data(Data(str(tmp_path / "text.data")), tmp_path, SILENT).n_features == 2
    np.save(tmp_path / "one.npy", images)
    with pytest.raises(SynqError, match=r"is one array; save x_train"):
        load_data(Data(tmp_path / "one.npy"), tmp_path, SILENT)
    (tmp_path / "labels").write_bytes(encode_idx(labels))
    with pytest.raises(SynqError, match=r"is one IDX file, or a gzip; give the folder"):
        load_data(Data(tmp_path / "labels"), tmp_path, SILENT)


def test_names_that_are_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"fashon-mnist: .*did you mean fashion-mnist"):
        load_data(Data("fashon-mnist"), tmp_path, SILENT)
    with pytest.raises(SynqError, match=r"absent.csv: cannot be read"):
        load_data(Data("absent.csv"), tmp_path, SILENT)
    with pytest.raises(
        UsageError, match="a folder of a set's files is for mnist, fashion-mnist, k"
    ):
        load_data(Data("wine", tmp_path), tmp_path, SILENT)
    assert set(NAMES) == {*IDX_SETS, "cifar10", "digits", "breast-cancer", "wine", "diabetes"}
    assert Data("wine").name == "wine" and Data(Path("a/b.npz")).name == "b"
    assert load.Data("./wine").is_named is False
