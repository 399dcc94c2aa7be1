"""Files as users hand them in, read within bounds; and files written so that no part is seen."""

import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from synq.errors import SynqError


def open_regular(path: Path) -> BinaryIO:
    """`path`, open for reading, if it is a file with an end: no folder, pipe or device.

    Raises:
        SynqError: it is something else, missing, or must not be read.
    """
    try:
        # Opening a pipe waits for a writer, unless told not to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise SynqError(f"{path}: cannot be read ({reason(error)})") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "Is a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise SynqError(f"{path}: cannot be read ({what})")
    return os.fdopen(descriptor, "rb")


def read_at_most(path: Path, size: int) -> bytes:
    """The first `size` bytes of a file, or all of it.

    Raises:
        SynqError: as `open_regular`.
    """
    with open_regular(path) as stream:
        try:
            return stream.read(size)
        except OSError as error:
            raise SynqError(f"{path}: cannot be read ({reason(error)})") from error


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The contents of a file of at most `max_bytes`; a larger one is not read.

    Raises:
        SynqError: as `open_regular`, or it is larger.
    """
    with open_regular(path) as stream:
        stated = os.fstat(stream.fileno()).st_size
    # It may grow meanwhile, and /proc states no sizes.
    content = b"" if stated > max_bytes else read_at_most(path, max_bytes + 1)
    if max(stated, len(content)) > max_bytes:
        raise SynqError(f"{path}: is larger than {in_words(max_bytes)}, the most that is read")
    return content


def atomic_write(path: Path, content: bytes, advice: str = "free some space") -> None:
    """Make `path` hold `content`, with no moment at which another process sees a part of it.

    Missing folders are made. Two processes may write the same path at once; the last one wins.

    Args:
        advice: what the user can do where it fails.

    Raises:
        SynqError: the disk is full, or the folder cannot be made or written; nothing is left.
    """
    # A name of our own opened with "x", not tempfile's: that one would be 0600 whatever the umask.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as stream:
                stream.write(content)
            # No fsync: after a power cut, readers of the cache find a bad digest and start anew.
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SynqError(f"cannot write {path}: {reason(error)}; {advice}") from error


def reason(error: BaseException) -> str:
    """What happened, in a few words on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__


def in_words(size: int) -> str:
    """A number of bytes as people read it.

    >>> in_words(3 << 29)
    '1.5 GiB'
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.3g} {unit}"
    return f"{size} bytes"
