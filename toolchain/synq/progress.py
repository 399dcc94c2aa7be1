"""How a long stage tells the user where it is, without knowing who shows it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One running piece of work with a known size."""

    def update(self, done: float, detail: str = "") -> None:
        """Set how much is done so far (same unit as the total) and a short remark."""


class Progress(Protocol):
    """Where tasks are shown: `with progress.task("train", 200) as task: ...`."""

    def task(self, label: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Open a task; `total` None means the size is unknown (a spinner)."""


class _SilentTask:
    def update(self, done: float, detail: str = "") -> None:
        pass


class Silent:
    """Shows nothing: for tests, `--json` and library use."""

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator[Task]:
        yield _SilentTask()


SILENT = Silent()


class Pieces:
    """Pieces of a task, of which it is known about how long each takes beside the others.

    They may be done in any order, and by several threads.
    """

    def __init__(self, task: Task, shares: Mapping[str, float]) -> None:
        self._task = task
        self._shares = shares
        self._left = dict(shares)
        self._lock = threading.Lock()
        self._tell()

    def done(self, name: str) -> None:
        """A piece is done."""
        with self._lock:
            del self._left[name]
            self._tell()

    def partly(self, name: str, share: float) -> None:
        """Of a piece, a share of 0 to 1 is done."""
        with self._lock:
            self._left[name] = (1 - share) * self._shares[name]
            self._tell()

    def _tell(self) -> None:
        done = sum(self._shares.values()) - sum(self._left.values())
        self._task.update(done, next(iter(self._left), ""))


@contextmanager
def pieces(progress: Progress, label: str, shares: Mapping[str, float]) -> Iterator[Pieces]:
    """A task of pieces.

    Args:
        shares: about how long each takes, in any unit, by what is shown as long as it is the first
            one that is not done.
    """
    with progress.task(label, sum(shares.values())) as task:
        yield Pieces(task, shares)
