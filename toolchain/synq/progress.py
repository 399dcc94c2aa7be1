"""How a long stage tells the user where it is, without knowing who shows it."""

from collections.abc import Iterator
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
