"""CIFAR-10's binary version, made small: archives and folders, the cache, and other bytes."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synq.errors import SynqError
from synq.learn.data import load
from synq.learn.data.cifar import CIFAR10, BinarySet, load_binary_set
from synq.learn.data.load import Data, load_data
from synq.progress import SILENT

RNG = np.random.default_rng(3)
SHAPE = (2, 3, 3)
PICTURES = {name: RNG.integers(0, 256, (4, *SHAPE), dtype=np.uint8) for name in CIFAR10.files}
LABELS = {name: RNG.integers(0, 10, 4, dtype=np.uint8) for name in CIFAR10.files}


def content_of(name: str) -> bytes:
    planes = PICTURES[name].transpose(0, 3, 1, 2).reshape(4, -1)
    return np.concatenate([LABELS[name][:, None], planes], axis=1).tobytes()


def tiny(folder: Path, without: str = "") -> BinarySet:
    """A set of `PICTURES` in the place of CIFAR-10, whose archive is published in `folder`."""
    folder.mkdir()
    path = folder / CIFAR10.archive_name
    with tarfile.open(path, "w:gz") as archive:
        for name in [*reversed(CIFAR10.files), "readme.html"]:
            content = content_of(name) if name in PICTURES else b"read me"
            member = tarfile.TarInfo(f"{CIFAR10.folder}/{name}")
            member.size = len(content)
            if name != without:
                archive.addfile(member, io.BytesIO(content))
    whole = path.read_bytes()
    return replace(
        CIFAR10,
        url=path.as_uri(),
        archive_size=len(whole),
        archive_sha256=hashlib.sha256(whole).hexdigest(),
        files={name: hashlib.sha256(content_of(name)).hexdigest() for name in CIFAR10.files},
        records=4,
        shape=SHAPE,
    )


def unpacked(folder: Path) -> Path:
    folder.mkdir()
    for name in PICTURES:
        (folder / name).write_bytes(content_of(name))
    return folder


def test_fetched_once_and_channels_last(tmp_path: Path) -> None:
    small = tiny(tmp_path / "published")
    ours = load_binary_set(small, None, tmp_path / "cache", SILENT)
    *training, test = PICTURES
    assert ours.name == "cifar10" and ours.shape == SHAPE
    pictures = np.concatenate([PICTURES[name] for name in training])
    np.testing.assert_array_equal(ours.train_inputs.reshape(-1, *SHAPE), pictures)
    np.testing.assert_array_equal(ours.test_inputs.reshape(-1, *SHAPE), PICTURES[test])
    np.testing.assert_array_equal(
        ours.train_labels, np.concatenate([LABELS[name] for name in training])
    )
    np.testing.assert_array_equal(ours.test_labels, LABELS[test])
    offline = replace(small, url="file:///absent/archive.tar.gz")
    assert load_binary_set(offline, None, tmp_path / "cache", SILENT).digest == ours.digest


def test_a_copy_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tiny(tmp_path / "published")
    offline = replace(small, url=f"file:///absent/{small.archive_name}")
    folder = unpacked(tmp_path / small.folder)
    copies = (tmp_path / "published" / small.archive_name, tmp_path / "published", folder, tmp_path)
    digests = {load_binary_set(offline, each, tmp_path, SILENT).digest for each in copies}
    assert len(digests) == 1 and not (tmp_path / "cifar10").exists()
    monkeypatch.setitem(load.BINARY_SETS, "cifar10", offline)
    assert load_data(Data("cifar10", folder), tmp_path, SILENT).digest in digests


def test_a_damaged_cache_is_filled_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = tiny(tmp_path / "published")
    digest = load_binary_set(small, None, tmp_path, SILENT).digest
    (tmp_path / "cifar10/data_batch_3.bin").write_bytes(b"cut off")
    assert load_binary_set(small, None, tmp_path, SILENT).digest == digest
    assert "data_batch_3.bin in the cache is damaged (truncated" in caplog.text


def test_other_bytes_are_not_the_set(tmp_path: Path) -> None:
    small = tiny(tmp_path / "published")
    path = tmp_path / "published" / small.archive_name
    whole = path.read_bytes()
    for content, message in (
        (whole[:-1], "truncated: expected"),
        (whole + b"\0", "too long: expected"),
        (whole[:-1] + b"\x01", "SHA-256 is .*, expected CIFAR-10's"),
    ):
        path.write_bytes(content)
        with pytest.raises(SynqError, match=f"cannot fetch CIFAR-10; tried .*{message}"):
            load_binary_set(small, None, tmp_path / "cache", SILENT)
        with pytest.raises(SynqError, match=f"{message}.*; give the original cifar-10-binary.tar"):
            load_binary_set(small, path, tmp_path, SILENT)
    folder = unpacked(tmp_path / "mine")
    (folder / "test_batch.bin").write_bytes(content_of("data_batch_1.bin"))
    with pytest.raises(SynqError, match=r"test_batch.bin: SHA-256 is .*, expected CIFAR-10's"):
        load_binary_set(small, folder, tmp_path, SILENT)
    (folder / "test_batch.bin").unlink()
    with pytest.raises(SynqError, match=r"test_batch.bin: cannot be read"):
        load_binary_set(small, folder, tmp_path, SILENT)
    assert not (tmp_path / "cache").exists()


def test_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynqError, match=r"has neither CIFAR-10's data_batch_1.bin and its other"):
        load_binary_set(CIFAR10, tmp_path / "empty", tmp_path, SILENT)
    with pytest.raises(SynqError, match="absent: cannot be read"):
        load_binary_set(CIFAR10, tmp_path / "absent", tmp_path, SILENT)
    short = tiny(tmp_path / "published", without="data_batch_2.bin")
    with pytest.raises(SynqError, match=r"\(has no data_batch_2.bin\); connect once"):
        load_binary_set(short, None, tmp_path, SILENT)


def test_digests_are_full_and_of_different_files() -> None:
    digests = [CIFAR10.archive_sha256, *CIFAR10.files.values()]
    assert len(set(digests)) == 7 and all(len(digest) == 64 for digest in digests)
    assert CIFAR10.file_size == 30_730_000
