"""What every command shares with the terminal: logging, progress, tables, JSON."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichBars
from rich.table import Table

from synq.progress import SILENT, Progress, Task


def start_logging(verbose: bool) -> None:
    """Warnings to standard error; with `verbose` everything."""
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=verbose)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("synq")
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _Bar:
    def __init__(self, bars: RichBars, label: str, total: float | None) -> None:
        self._bars = bars
        self._id = bars.add_task(label, total=total, detail="")

    def update(self, done: float, detail: str = "") -> None:
        self._bars.update(self._id, completed=done, detail=detail)

    def finish(self) -> None:
        """Show a task of unknown size as done."""
        task = self._bars.tasks[self._id]
        total = task.total if task.total is not None else 1
        self._bars.update(self._id, total=total, completed=total)


class Bars:
    """Progress bars on standard error, one line a task."""

    def __init__(self) -> None:
        # A stage may redirect sys.stderr to its log: hold on to the terminal itself.
        self._console = Console(file=sys.stderr, stderr=False)

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator[Task]:
        columns = (
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
        )
        bars = RichBars(
            *columns, console=self._console, redirect_stdout=False, redirect_stderr=False
        )
        with bars:
            bar = _Bar(bars, label, total)
            yield bar
            bar.finish()


def progress(as_json: bool) -> Progress:
    """Bars on a terminal; silence for `--json`."""
    return SILENT if as_json else Bars()


def print_json(content: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(content, allow_nan=False))


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on standard output; the first column is text, the others numbers."""
    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def say(text: str) -> None:
    """A line of markup on standard output, not wrapped."""
    Console(soft_wrap=True).print(text, highlight=False)
