"""Where synq keeps what it can make or fetch again, and how it writes there."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from synq.errors import UsageError
from synq.files import atomic_write


def default_cache_dir() -> Path:
    """The user's cache folder: `SYNQ_CACHE_DIR` if set and not empty, else the platform's own.

    The folder need not exist.

    Raises:
        UsageError: the variable names the home of a user that does not exist.
    """
    given = os.environ.get("SYNQ_CACHE_DIR")
    if not given:
        return user_cache_path("synq")
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise UsageError(f"SYNQ_CACHE_DIR is {given}: no such home folder") from None


def write_cached(path: Path, content: bytes) -> None:
    """`atomic_write` of a file in the cache folder.

    Raises:
        SynqError: as there.
    """
    atomic_write(path, content, "free some space or set SYNQ_CACHE_DIR to a folder you can write")
