"""Where synq keeps what it can make or fetch again, and how it writes there."""

import os
import secrets
from pathlib import Path

from platformdirs import user_cache_path

from synq.errors import SynqError


def default_cache_dir() -> Path:
    """The user's cache folder: `SYNQ_CACHE_DIR` if set and not empty, else the platform's own.

    The folder need not exist.
    """
    given = os.environ.get("SYNQ_CACHE_DIR")
    return Path(given).expanduser() if given else user_cache_path("synq")


def atomic_write(path: Path, content: bytes) -> None:
    """Make `path` hold `content`, with no moment at which another process sees a part of it.

    Missing folders are made. Two processes may write the same path at once; the last one wins.

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
        raise SynqError(
            f"cannot write {path}: {error.strerror or error}; "
            "free some space or set SYNQ_CACHE_DIR to a folder you can write"
        ) from error
