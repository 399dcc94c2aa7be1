"""Compiled objects, kept by the content they were made from; never trusted, never stale.

An entry is found by a key of all that the caller knows (compiler, flags, sources). It also holds
the digest of every file outside the project that the compiler read; one that has changed, or a
damaged entry, is as good as none. The entries used longest ago make room for new ones.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synq.errors import SynqError
from synq.files import atomic_write, read_bounded

_MAGIC = b"synq-object-1"
_MAX_ENTRY = 32 << 20  # bytes; an object of a large network is about 1 MiB
_MAX_FOLDER = 128 << 20


@dataclass(frozen=True)
class Entry:
    """What a compilation made.

    Attributes:
        content: the object file.
        log: what the compiler printed.
        dependencies: files outside the project that it read, and their SHA-256.
    """

    content: bytes
    log: str
    dependencies: dict[str, str]


@dataclass(frozen=True)
class ObjectCache:
    """A folder of entries; what cannot be read or written there is made again each time."""

    folder: Path

    def load(self, key: str) -> Entry | None:
        """The entry of `key`, if there is one, whole, and nothing that it came from has changed."""
        path = self.folder / key
        try:
            magic, digest, rest = read_bounded(path, _MAX_ENTRY).split(b"\n", 2)
            if magic != _MAGIC or digest.decode() != hashlib.sha256(rest).hexdigest():
                return None
            told, content = rest.split(b"\n", 1)
            about = json.loads(told)
            if any(digest_of(name) != wanted for name, wanted in about["dependencies"].items()):
                return None
            with suppress(OSError):
                os.utime(path)  # used now
            return Entry(content, about["log"], about["dependencies"])
        except (SynqError, ValueError):  # none, or a damaged one
            return None

    def store(self, key: str, entry: Entry) -> None:
        """Keep an entry, and forget the oldest where there are too many."""
        about = json.dumps({"dependencies": entry.dependencies, "log": entry.log}).encode()
        rest = about + b"\n" + entry.content
        digest = hashlib.sha256(rest).hexdigest().encode()
        if len(rest) > _MAX_ENTRY // 2:
            return
        with suppress(SynqError, OSError):  # a full disk, a folder that must not be written
            atomic_write(self.folder / key, b"\n".join([_MAGIC, digest, rest]))
            self._forget()

    def _forget(self) -> None:
        kept = 0
        listed = [(entry.stat(), entry.path) for entry in os.scandir(self.folder)]
        for about, path in sorted(listed, key=lambda each: each[0].st_mtime_ns, reverse=True):
            kept += about.st_size
            if kept > _MAX_FOLDER:
                with suppress(OSError):  # another process was faster
                    os.unlink(path)  # noqa: PTH108


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
