"""MNIST and sets made like it: from the user's folder, the cache, or where they are published."""

import hashlib
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.cache import write_cached
from synq.errors import SynqError
from synq.files import read_at_most, reason
from synq.learn.data.dataset import BYTE_FORMAT, Dataset, digest_of, frozen, narrowed
from synq.learn.data.idx import (
    GZIP_SLACK,
    MNIST,
    IdxFile,
    IdxSet,
    UnusableError,
    checked_idx,
    decode_idx,
)
from synq.learn.data.sources import fetched
from synq.progress import Progress

_log = logging.getLogger("synq")


def load_mnist(data_dir: Path | None, cache_dir: Path, progress: Progress) -> Dataset:
    """MNIST, as `load_idx_set` loads it."""
    return load_idx_set(MNIST, data_dir, cache_dir, progress)


def load_idx_set(
    published: IdxSet, data_dir: Path | None, cache_dir: Path, progress: Progress
) -> Dataset:
    """A published set: 60,000 training and 10,000 test images of 28x28 pixels, value = byte / 256.

    Args:
        data_dir: a folder holding the four IDX files, gzipped or not; then it is the only source.
            None: the cache, and what is missing there from where it is published.
        cache_dir: synq's cache folder; the files are kept in its folder of the set's name.
        progress: where a download is shown, in (compressed) bytes.

    Raises:
        SynqError: a file in `data_dir` is missing or is not the set's to the last byte, no source
            works, or the cache cannot be read or written.
    """
    if data_dir is not None:
        contents = [_read_given(data_dir, file) for file in published.files]
    else:
        contents = _read_cached(published, cache_dir / published.name, progress)
    train_images, train_labels, test_images, test_labels = (
        decode_idx(content, file) for content, file in zip(contents, published.files, strict=True)
    )
    height, width = train_images.shape[1:]
    return Dataset(
        name=published.name,
        input_format=BYTE_FORMAT,
        train_inputs=train_images.reshape(len(train_images), -1),
        train_labels=frozen(train_labels.astype(np.int64)),
        test_inputs=test_images.reshape(len(test_images), -1),
        test_labels=frozen(test_labels.astype(np.int64)),
        digest=digest_of_set(published),
        distortion=published.distortion,
        shape=(height, width, 1),
    )


def is_mnist(dataset: Dataset) -> bool:
    """Whether these are MNIST's images and labels, all of them, in any number of bits."""
    whole = digest_of_set(MNIST)
    return dataset.digest in {whole, *(narrowed(whole, bits) for bits in range(1, 8))}


def holds_set(published: IdxSet, arrays: Sequence[NDArray[np.generic]]) -> bool:
    """Whether the arrays are what the set's four files hold, in their order.

    Args:
        arrays: images as bytes, labels as numbers; each (n, ...).
    """
    for array, file in zip(arrays, published.files, strict=True):
        if not file.sha256 or array.size != math.prod(file.shape) or len(array) != file.shape[0]:
            return False
    for array, file in zip(arrays, published.files, strict=True):
        content = hashlib.sha256(file.header)
        content.update(array.astype(np.uint8, order="C", copy=False).data)
        if content.hexdigest() != file.sha256:
            return False
    return True


def digest_of_set(published: IdxSet) -> str:
    """The digest of the set's dataset, whichever source it came from."""
    return digest_of(BYTE_FORMAT, [file.sha256 or file.gz_sha256 for file in published.files])


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
                f"{folder}: {file.owner}'s {file.name} {problem}; looked for {', '.join(names)}"
            )
        path = found[0]
        return checked_idx(read_at_most(path, file.size + GZIP_SLACK), file)
    except OSError as error:
        raise SynqError(f"{path}: cannot be read ({reason(error)})") from error
    except UnusableError as error:
        raise SynqError(
            f"{path}: {error}; give the original {file.owner} file, or no data folder to fetch it"
        ) from error


def _read_cached(published: IdxSet, folder: Path, progress: Progress) -> list[bytes]:
    """The four files from the cache, after fetching those that are missing or damaged there."""
    contents: dict[str, bytes] = {}
    for file in published.files:
        path = folder / file.cached_name
        try:
            contents[file.name] = checked_idx(read_at_most(path, file.size + GZIP_SLACK), file)
        except SynqError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                continue
            raise SynqError(
                f"{error}; mend its permissions or set SYNQ_CACHE_DIR to another folder"
            ) from error
        except UnusableError as error:
            _log.warning("%s in the cache is damaged (%s); fetching it again", path, error)

    missing = [file for file in published.files if file.name not in contents]
    if missing:
        total = sum(file.gz_size for file in missing)
        with progress.task(f"Download {published.title}", total) as task:
            for file, content in fetched(published, missing, task):
                write_cached(folder / file.cached_name, content)
                contents[file.name] = checked_idx(content, file)
    return [contents[file.name] for file in published.files]
