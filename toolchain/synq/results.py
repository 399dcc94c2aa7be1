"""Files of results: a line a finished piece of work, from which an interrupted run goes on."""

import fcntl
import json
import logging
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from synq.errors import SynqError, UsageError
from synq.project.output import check_writable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_log = logging.getLogger("synq")

_START = b'{"key": "'  # of each line

Result = TypeVar("Result", bound="DataclassInstance")


@dataclass(frozen=True)
class Kind(Generic[Result]):
    """What a file of results is of.

    Attributes:
        file: its name in a folder of results.
        run: what makes it, in a word: "sweep".
        piece: what each result is of, in a word: "point".
        read: the inverse of `asdict`, after JSON; raises KeyError, TypeError or ValueError.
        most_bytes: the most that is read.
    """

    file: str
    run: str
    piece: str
    read: Callable[[Mapping[str, Any]], Result]
    most_bytes: int

    @property
    def pieces(self) -> str:
        """Several of them."""
        return f"{self.piece}s"


class Results(Generic[Result]):
    """The file, open and locked.

    Attributes:
        known: the results in it, by the keys of their pieces.
    """

    def __init__(self, path: Path, descriptor: int, kind: Kind[Result]) -> None:
        self.path = path
        self._descriptor, self.kind = descriptor, kind
        self.known, damaged = self._read()
        if damaged:
            _log.warning(
                "%s: %d damaged line(s) ignored; their %s are new", path, damaged, kind.pieces
            )

    def add(self, key: str, piece: Mapping[str, Any], result: Result) -> None:
        """Append a line, handed to the system as a whole.

        Args:
            key: of everything that determines the result.
            piece: what it is of, for people.

        Raises:
            SynqError: it cannot be written.
        """
        fields = {"key": key, self.kind.piece: piece, "result": asdict(result)}
        line = json.dumps(fields).encode() + b"\n"
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):  # the disk is full: the next attempt says so
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            kind = self.kind
            raise SynqError(
                f"cannot write {self.path}: {error.strerror or error}; free some space and run "
                f"the {kind.run} again: it goes on from the {len(self.known)} {kind.pieces} in the "
                "file"
            ) from error
        self.known[key] = result

    def refresh(self) -> None:
        """Know what is in the file, wherever `add` has been interrupted."""
        self.known, _ = self._read()

    def _read(self) -> tuple[dict[str, Result], int]:
        """What is in the file, and how many lines are damaged; a torn last one is cut off."""
        size = os.fstat(self._descriptor).st_size
        most = self.kind.most_bytes
        if size > most:
            raise SynqError(
                f"{self.path} has {size >> 20} MiB, at most {most >> 20} MiB are read; "
                "remove it or choose another folder"
            )
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with open(self._descriptor, "rb", closefd=False) as stream:
                *lines, torn = stream.read(most).split(b"\n")
        except OSError as error:
            raise SynqError(f"cannot read {self.path}: {error.strerror or error}") from error
        results: dict[str, Result] = {}
        damaged = 0
        for line in lines:
            try:
                fields = json.loads(line)
                results[str(fields["key"])] = self.kind.read(fields["result"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                damaged += 1
        start = torn[: len(_START)].rstrip(b"\0")  # a power cut may leave zeros
        if (damaged and not results) or not _START.startswith(start):
            raise SynqError(
                f"{self.path} holds no results of a {self.kind.run}: choose another folder"
            )
        if torn:
            os.ftruncate(self._descriptor, size - len(torn))
        return results, damaged


def finite(value: Any) -> float:
    """A number of a result as it was read from JSON, which knows Infinity and NaN, too.

    Raises:
        TypeError, ValueError: it is none, or not finite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no result")
    return number


@dataclass(frozen=True)
class Kept:
    """What an interrupted run leaves.

    Attributes:
        keys: of all its pieces.
    """

    results: Results[Any]
    keys: Sequence[str]

    def told(self) -> str:
        """How many results are in the file, in words; "" if none is."""
        results = self.results
        results.refresh()
        done = sum(key in results.known for key in self.keys)
        if not done:
            return ""
        return (
            f"{done} of {len(self.keys)} {self.results.kind.pieces} are kept in {self.results.path}"
        )


def check_folder(folder: Path, kind: Kind[Any]) -> None:
    """Refuse a folder that cannot be written or that holds something else than such results.

    Raises:
        UsageError: says why.
    """
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / kind.file).exists():
        raise UsageError(
            f"{folder} holds no {kind.run} but other files: choose another folder",
            settings=("output",),
        )


@contextmanager
def open_results(path: Path, kind: Kind[Result]) -> Iterator[Results[Result]]:
    """The results in `path`, to be added to by this process alone; made if missing.

    The file is locked for the system it is on, and by it: the lock ends with this process, however
    that ends. On a network file system it holds for all machines or, where the system knows no
    locks, opening the file is refused.

    What a killed process or a full disk has left of a last line is cut off. Other lines that are
    not results are passed over with a warning. A file without a result is removed in the end.

    Raises:
        SynqError: another process has it open, it is not a file of results, or it cannot be read
            or written.
    """
    try:
        made = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(path, kind)
    except OSError as error:
        raise SynqError(
            f"cannot write {path}: {error.strerror or error}; choose another folder"
        ) from error
    try:
        yield Results(path, descriptor, kind)
    finally:
        if os.fstat(descriptor).st_size == 0:
            with suppress(OSError):  # what is there too is not ours
                path.unlink()
                for folder in made:
                    folder.rmdir()
        os.close(descriptor)


def _opened(path: Path, kind: Kind[Any]) -> int:
    """A locked descriptor of the file that `path` names."""
    while True:
        # Without O_NONBLOCK opening a pipe might wait for its other end.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode):
                raise SynqError(f"{path} is a device or a pipe, not a file: choose another folder")
            _lock(path, descriptor, kind)
            with suppress(FileNotFoundError):  # the process that had it may just have removed it
                if os.path.samestat(opened, path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(path: Path, descriptor: int, kind: Kind[Any]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SynqError(
            f"another {kind.run} ({_holder(descriptor)}) is writing {path}: "
            "wait for its end, end it, or choose another folder"
        ) from None
    except OSError as error:
        raise SynqError(
            f"{path} cannot be locked against a second {kind.run} ({error.strerror or error}): "
            "choose a folder on a disk of this machine"
        ) from None


def _holder(descriptor: int) -> str:
    """Who has locked the file, as Linux tells it."""
    file = os.fstat(descriptor)
    name = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:56789 0 EOF"
            fields = line.split()
            if "FLOCK" in fields and name in fields:
                process = fields[fields.index(name) - 1]
                if process != "0":  # what another container's are called
                    return f"process {process}"
    return "on another machine or in another container"
