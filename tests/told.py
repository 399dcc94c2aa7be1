"""What a long command tells of its progress, and how far each task got."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest


@dataclass
class ToldTask:
    """One task; `done` never falls, and is the total at the end."""

    label: str
    total: float | None
    done: float = 0.0
    details: list[str] = field(default_factory=list)

    def update(self, done: float, detail: str = "") -> None:
        assert done >= self.done - 1e-9, f"{self.label} goes back from {self.done} to {done}"
        self.done = done
        self.details.append(detail)


@dataclass
class Told:
    """A progress that keeps its tasks."""

    tasks: list[ToldTask] = field(default_factory=list)

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator[ToldTask]:
        self.tasks.append(ToldTask(label, total))
        yield self.tasks[-1]

    @property
    def labels(self) -> list[str]:
        return [task.label for task in self.tasks]

    @property
    def cut_short(self) -> list[str]:
        """Tasks of known size that ended before all was done."""
        return [
            task.label
            for task in self.tasks
            if task.total is not None and task.done != pytest.approx(task.total)
        ]
