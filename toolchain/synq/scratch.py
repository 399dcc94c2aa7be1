"""Folders that a process owns while it lives: removed at its end, or by the next one.

A folder is locked as long as its process lives, and the lock goes with the process, whatever ends
it. So a folder that can be locked is nobody's.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synq.errors import SynqError
from synq.process import guard

_HARMLESS = re.compile(r"[A-Za-z0-9_./-]+")  # to make and to the shells that compilers start
_OTHERS = ("/tmp", "/var/tmp", "/dev/shm")
_TO_REMOVE = 2.0  # seconds in which what is being killed may still write

_of_process: Path | None = None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for everything temporary, in the system's folder for such.

    As long as it is there, the temporary files of this process, its libraries and its children lie
    in it too, compilers' and TensorFlow's among them. Its name is harmless to make and to shells.
    Within a block of this kind, a further one is a folder in its folder. The children die with this
    process (`process.guard`).

    Raises:
        SynqError: there is no such folder that can be written.
    """
    global _of_process
    if _of_process is not None:
        yield Path(tempfile.mkdtemp(prefix="", dir=_of_process))
        return
    guard()
    variable, module = os.environ.get("TMPDIR"), tempfile.tempdir
    try:
        parent = _harmless_folder()
        with owned_folder(parent, "synq-") as folder:
            _of_process = folder
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
            yield folder
    finally:
        _of_process, tempfile.tempdir = None, module
        os.environ.pop("TMPDIR", None)
        if variable is not None:
            os.environ["TMPDIR"] = variable


@contextmanager
def owned_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end.

    First those are removed that processes have left there which were killed.

    Raises:
        OSError: it cannot be made.
    """
    _remove_left(parent, prefix)
    folder, lock = _owned(parent, prefix)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _owned(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(OSError):  # a file system without locks: none of its folders is removed
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # nobody took it for left, between its making and its locking
                return folder, lock
            os.close(lock)


def _remove_left(parent: Path, prefix: str) -> None:
    """Remove the folders of dead processes of this user."""
    named = re.compile(rf"{re.escape(prefix)}\d+-[a-z0-9_]{{8}}")
    with suppress(OSError):
        for name in filter(named.fullmatch, os.listdir(parent)):  # noqa: PTH208
            with suppress(OSError):
                lock = os.open(parent / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(lock).st_uid == os.geteuid():
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        _remove(parent / name)
                finally:
                    os.close(lock)


def _remove(folder: Path) -> None:
    end = time.monotonic() + _TO_REMOVE
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > end:
            break


def _harmless_folder() -> Path:
    """The folder for temporary files: the system's, or another where that one's name is odd."""
    try:
        given = [tempfile.gettempdir()]
    except FileNotFoundError:  # its message is a list of all that was tried
        given = []
    for name in (*given, *_OTHERS):
        folder = Path(name).resolve()
        if _HARMLESS.fullmatch(str(folder)) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise SynqError(
        "there is no folder for temporary files that can be written and has a plain name: set "
        "TMPDIR to one"
    )
