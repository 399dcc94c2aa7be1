"""CIFAR-10 in its binary version: from the user's copy, the cache, or where it is published."""

import hashlib
import http.client
import io
import logging
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.cache import write_cached
from synq.errors import SynqError
from synq.files import read_at_most
from synq.learn.augment import PHOTOS
from synq.learn.data.dataset import BYTE_FORMAT, Dataset, digest_of, frozen
from synq.learn.data.idx import UnusableError
from synq.learn.data.sources import download, failure, host
from synq.progress import Progress

_log = logging.getLogger("synq")


@dataclass(frozen=True)
class BinarySet:
    """A published archive of files of records: a label, then the planes of an image, all bytes.

    Attributes:
        name: what the user calls it by, and its folder in the cache.
        title: what people call it.
        url: of the archive, a .tar.gz.
        archive_size: its bytes.
        archive_sha256: of the archive, hex.
        folder: of the files within the archive.
        files: SHA-256 of each by its name, that of the test samples last.
        records: in each file.
        shape: of an image: height, width, channels. In the files channels come first.
    """

    name: str
    title: str
    url: str
    archive_size: int
    archive_sha256: str
    folder: str
    files: dict[str, str]
    records: int
    shape: tuple[int, int, int]

    @property
    def archive_name(self) -> str:
        return self.url.rsplit("/", 1)[1]

    @property
    def file_size(self) -> int:
        height, width, channels = self.shape
        return self.records * (1 + height * width * channels)


# Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The digests are those
# that other libraries state of the archive whose MD5 sum the author publishes,
# c32a1d4ab5d03f1284b67883e8d87530. The author's other version is a pickle, which is never read.
CIFAR10 = BinarySet(
    "cifar10",
    "CIFAR-10",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170052171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-10-batches-bin",
    {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    10000,
    (32, 32, 3),
)

BINARY_SETS = {CIFAR10.name: CIFAR10}


def load_binary_set(
    published: BinarySet, given: Path | None, cache_dir: Path, progress: Progress
) -> Dataset:
    """A published set of colour images, value = byte / 256, channels last.

    Args:
        given: the user's copy: the archive, or a folder that holds it or its files; then it is the
            only source. None: the cache, filled from where the set is published.
        cache_dir: synq's cache folder; the files are kept in its folder of the set's name.
        progress: where a download is shown, in bytes.

    Raises:
        SynqError: the copy is missing or is not the set's to the last byte, it cannot be fetched,
            or the cache cannot be read or written.
    """
    if given is not None:
        contents = _read_given(published, given)
    else:
        contents = _read_cached(published, cache_dir / published.name, progress)
    decoded = [_decode(content, published) for content in contents]
    *training, (test_inputs, test_labels) = decoded
    parts = [
        np.concatenate([inputs for inputs, _ in training]),
        np.concatenate([labels for _, labels in training]),
        test_inputs,
        test_labels,
    ]
    train_inputs, train_labels, test_inputs, test_labels = (frozen(part) for part in parts)
    return Dataset(
        name=published.name,
        input_format=BYTE_FORMAT,
        train_inputs=train_inputs,
        train_labels=train_labels,
        test_inputs=test_inputs,
        test_labels=test_labels,
        digest=digest_of(BYTE_FORMAT, list(published.files.values())),
        distortion=PHOTOS,
        shape=published.shape,
    )


def _decode(content: bytes, published: BinarySet) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (n, n_features), channels last, and the labels of a checked file."""
    height, width, channels = published.shape
    records = np.frombuffer(content, np.uint8).reshape(published.records, -1)
    planes = records[:, 1:].reshape(-1, channels, height, width)
    return planes.transpose(0, 2, 3, 1).reshape(len(records), -1), records[:, 0].astype(np.int64)


def _read_given(published: BinarySet, given: Path) -> list[bytes]:
    if not given.is_dir():
        return list(_given_archive(published, given).values())
    for folder in (given, given / published.folder):
        if any((folder / name).is_file() for name in published.files):
            return [_given_file(published, folder / name) for name in published.files]
    archive = given / published.archive_name
    if not archive.is_file():
        raise SynqError(
            f"{given}: has neither {published.title}'s {next(iter(published.files))} and its other "
            f"files nor {published.archive_name}"
        )
    return list(_given_archive(published, archive).values())


def _given_archive(published: BinarySet, path: Path) -> dict[str, bytes]:
    try:
        return _unpacked(read_at_most(path, published.archive_size + 1), published)
    except UnusableError as error:
        raise SynqError(f"{path}: {error}; {_advice(published)}") from error


def _given_file(published: BinarySet, path: Path) -> bytes:
    try:
        content = read_at_most(path, published.file_size + 1)
        return _checked(content, published.file_size, published.files[path.name], published.title)
    except UnusableError as error:
        raise SynqError(f"{path}: {error}; {_advice(published)}") from error


def _advice(published: BinarySet) -> str:
    return (
        f"give the original {published.archive_name}, or no copy of {published.title} to fetch it"
    )


def _read_cached(published: BinarySet, folder: Path, progress: Progress) -> list[bytes]:
    """The files from the cache, after fetching all if one is missing or damaged there."""
    contents = []
    for name, digest in published.files.items():
        path = folder / name
        try:
            content = read_at_most(path, published.file_size + 1)
            contents.append(_checked(content, published.file_size, digest, published.title))
        except SynqError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                break
            raise SynqError(
                f"{error}; mend its permissions or set SYNQ_CACHE_DIR to another folder"
            ) from error
        except UnusableError as error:
            _log.warning("%s in the cache is damaged (%s); fetching it again", path, error)
            break
    if len(contents) == len(published.files):
        return contents
    files = _fetched(published, progress)
    for name, content in files.items():
        write_cached(folder / name, content)
    return list(files.values())


def _fetched(published: BinarySet, progress: Progress) -> dict[str, bytes]:
    size = published.archive_size
    try:
        with progress.task(f"Download {published.title}", size) as task:
            return _unpacked(download(published.url, size, size, task), published)
    except (OSError, http.client.HTTPException) as error:
        said = failure(error)
    except UnusableError as error:
        said = str(error)
    raise SynqError(
        f"cannot fetch {published.title}; tried {host(published.url)} ({said}); connect once to "
        f"fill the cache, or give {published.archive_name} or a folder with its files",
        settings=("data_dir",),
    )


def _unpacked(archive: bytes, published: BinarySet) -> dict[str, bytes]:
    """The files in the published archive, in their order; any other is not opened at all."""
    _checked(archive, published.archive_size, published.archive_sha256, published.title)
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
            for member in members:
                name = member.name.removeprefix("./").removeprefix(f"{published.folder}/")
                stream = members.extractfile(member) if name in published.files else None
                if stream is not None:
                    contents[name] = stream.read(published.file_size + 1)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UnusableError(f"cannot be unpacked ({failure(error)})") from error
    for name, digest in published.files.items():
        if name not in contents:
            raise UnusableError(f"has no {name}")
        _checked(contents[name], published.file_size, digest, published.title)
    return {name: contents[name] for name in published.files}


def _checked(content: bytes, size: int, sha256: str, title: str) -> bytes:
    """`content`, if it is the file to the last byte; the digest alone would do, but not tell."""
    if len(content) < size:
        raise UnusableError(f"truncated: expected {size} bytes, got {len(content)}")
    if len(content) > size:
        raise UnusableError(f"too long: expected {size} bytes, got more")
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise UnusableError(f"SHA-256 is {digest[:12]}, expected {title}'s {sha256[:12]}")
    return content
