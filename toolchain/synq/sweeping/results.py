"""The file of results: a line a finished point, from which an interrupted sweep goes on."""

import fcntl
import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from synq.errors import SynqError
from synq.sweeping.evaluation import PointResult
from synq.sweeping.points import Point

_log = logging.getLogger("synq")

RESULTS = "results.jsonl"  # the file's name in a folder of results

_MOST_BYTES = 64 << 20  # 100,000 points
_START = b'{"key": "'  # of each line


class Results:
    """The file, open and locked.

    Attributes:
        known: the results in it, by the points' keys.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.known, damaged = self._read()
        if damaged:
            _log.warning("%s: %d damaged line(s) ignored; their points are new", path, damaged)

    def add(self, point: Point, result: PointResult) -> None:
        """Append a line, handed to the system as a whole.

        Raises:
            SynqError: it cannot be written.
        """
        line = _line(point, result)
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):  # the disk is full: the next attempt says so
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            raise SynqError(
                f"cannot write {self.path}: {error.strerror or error}; free some space and run "
                f"the sweep again: it goes on from the {len(self.known)} points in the file"
            ) from error
        self.known[point.key] = result

    def refresh(self) -> None:
        """Know what is in the file, wherever `add` has been interrupted."""
        self.known, _ = self._read()

    def _read(self) -> tuple[dict[str, PointResult], int]:
        """What is in the file, and how many lines are damaged; a torn last one is cut off."""
        size = os.fstat(self._descriptor).st_size
        if size > _MOST_BYTES:
            raise SynqError(
                f"{self.path} has {size >> 20} MiB, at most {_MOST_BYTES >> 20} MiB are read; "
                "remove it or choose another folder"
            )
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            with open(self._descriptor, "rb", closefd=False) as stream:
                *lines, torn = stream.read(_MOST_BYTES).split(b"\n")
        except OSError as error:
            raise SynqError(f"cannot read {self.path}: {error.strerror or error}") from error
        results: dict[str, PointResult] = {}
        damaged = 0
        for line in lines:
            try:
                fields = json.loads(line)
                results[str(fields["key"])] = PointResult.from_dict(fields["result"])
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged += 1
        start = torn[: len(_START)].rstrip(b"\0")  # a power cut may leave zeros
        if (damaged and not results) or not _START.startswith(start):
            raise SynqError(f"{self.path} holds no results of a sweep: choose another folder")
        if torn:
            os.ftruncate(self._descriptor, size - len(torn))
        return results, damaged


@contextmanager
def open_results(path: Path) -> Iterator[Results]:
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
        descriptor = _opened(path)
    except OSError as error:
        raise SynqError(
            f"cannot write {path}: {error.strerror or error}; choose another folder"
        ) from error
    try:
        yield Results(path, descriptor)
    finally:
        if os.fstat(descriptor).st_size == 0:
            with suppress(OSError):  # what is there too is not ours
                path.unlink()
                for folder in made:
                    folder.rmdir()
        os.close(descriptor)


def _opened(path: Path) -> int:
    """A locked descriptor of the file that `path` names."""
    while True:
        # Without O_NONBLOCK opening a pipe might wait for its other end.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode):
                raise SynqError(f"{path} is a device or a pipe, not a file: choose another folder")
            _lock(path, descriptor)
            with suppress(FileNotFoundError):  # the process that had it may just have removed it
                if os.path.samestat(opened, path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SynqError(
            f"another sweep ({_holder(descriptor)}) is writing {path}: "
            "wait for its end, end it, or choose another folder"
        ) from None
    except OSError as error:
        raise SynqError(
            f"{path} cannot be locked against a second sweep ({error.strerror or error}): "
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


def _line(point: Point, result: PointResult) -> bytes:
    fields = {"key": point.key, "point": point.settings(), "result": asdict(result)}
    return json.dumps(fields, sort_keys=True).encode() + b"\n"
