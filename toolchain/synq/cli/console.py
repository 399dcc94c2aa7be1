"""What every command shares with the terminal: logging, progress, tables, JSON."""

import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichBars
from rich.progress import Task as RichTask
from rich.table import Table
from rich.text import Text

from synq.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from synq.network import QuantizedNetwork
    from synq.score import Scores


class _Line(logging.Formatter):
    """A record as the error lines are written, with the time if asked for."""

    def format(self, record: logging.LogRecord) -> str:
        return f"synq: {record.levelname.lower()}: {super().format(record)}"


def start_logging(verbose: bool) -> None:
    """Warnings to standard error; with `verbose` everything."""
    # A stage may redirect sys.stderr to its log; the handler holds on to the terminal itself.
    handler = logging.StreamHandler(sys.stderr)
    line = "%(asctime)s %(message)s" if verbose else "%(message)s"
    handler.setFormatter(_Line(line, datefmt="%H:%M:%S"))
    log = logging.getLogger("synq")
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


_quiet = False


def be_quiet(quiet: bool) -> None:
    """Whether from now on neither progress nor a summary is shown, but errors and JSON alone."""
    global _quiet
    _quiet = quiet


_DONE_BEFORE = 0.3  # seconds after a task's begin: what is told by then was done by an earlier run


class _Left:
    """When a task of known size will be done, by how long its parts have taken so far."""

    def __init__(self, total: float | None, clock: Callable[[], float]) -> None:
        self._total = total
        self._clock = clock
        self._begin = self._last = clock()
        self._known = self._done = 0.0

    def update(self, done: float) -> None:
        if done == self._done:
            return
        now = self._clock()
        if now - self._begin < _DONE_BEFORE and not self._done:
            self._known = done
        self._last, self._done = now, done

    def __str__(self) -> str:
        """As "1:05 left"; empty as long as nothing can be said."""
        made = self._done - self._known
        if self._total is None or made <= 0 or self._done >= self._total:
            return ""
        whole = (self._last - self._begin) * (self._total - self._done) / made
        left = max(0.0, whole - (self._clock() - self._last))
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return (
            f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"
        )


class _LeftColumn(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        return Text("" if task.finished else str(task.fields["left"]))


class _Bar:
    def __init__(self, bars: RichBars, label: str, total: float | None) -> None:
        self._bars = bars
        self._left = _Left(total, time.monotonic)
        self._id = bars.add_task(label, total=total, detail="", left=self._left)

    def update(self, done: float, detail: str = "") -> None:
        self._left.update(done)
        self._bars.update(self._id, completed=done, detail=detail)

    def finish(self) -> None:
        """Show a task of unknown size as done."""
        task = self._bars.tasks[self._id]
        total = task.total if task.total is not None else 1
        self._bars.update(self._id, total=total, completed=total)


class Bars:
    """Progress bars on standard error, one line a task, with the time that it took and has left."""

    def __init__(self) -> None:
        # A stage may redirect sys.stderr to its log: hold on to the terminal itself.
        self._console = Console(file=sys.stderr, stderr=False)

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator[Task]:
        columns = (
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            _LeftColumn(),
        )
        bars = RichBars(
            *columns, console=self._console, redirect_stdout=False, redirect_stderr=False
        )
        with bars:
            bar = _Bar(bars, label, total)
            yield bar
            bar.finish()


def progress(as_json: bool) -> Progress:
    """Bars on a terminal; silence for `--json` and `--quiet`, and in a log or a pipe."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return Bars() if terminal and not as_json and not _quiet else SILENT


def print_json(content: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(content, allow_nan=False))


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on standard output; the first column is text, the others numbers.

    It is as wide as its contents, not cut to the terminal: a part's name must stay whole.
    """
    if _quiet:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    say(f"[bold]{escape(title)}[/]")
    console = Console()
    wide = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table)
    print()


def pulses(count: float, joules: float | None) -> str:
    """How many pulses program a chip, and an estimate of the energy that its cells take."""
    told = f"{count:,.0f} pulses"
    if joules is None:
        return told
    for exponent, prefix in ((0, ""), (-3, "m"), (-6, "u"), (-9, "n"), (-12, "p")):
        if joules >= 10.0**exponent:
            return f"{told}, an estimated {joules / 10.0**exponent:.3g} {prefix}J into its cells"
    return f"{told}, an estimated {joules:.3g} J into its cells"


def print_scores(title: str, scores: "Scores") -> None:
    """Score by stage, and how each differs from the software."""
    from synq.score import Task

    names = {
        "software": "software (float)",
        "quantized": "quantized weights (float)",
        "design": "integer reference, as designed",
        "reference": "integer reference",
        "csim": "C simulation",
        "rtl": "Verilog simulation",
    }
    software = scores.stages["software"]
    if scores.task is Task.CLASSIFICATION:
        header = ["", "%", "vs software"]
        rows = [
            [names[stage], f"{percent:.2f}", f"{percent - software:+.2f}"]
            for stage, percent in scores.stages.items()
        ]
    else:
        header = ["", "RMSE", "vs software", "R²"]
        rows = [
            [
                names[stage],
                f"{error:.4g}",
                f"{error - software:+.3g}",
                f"{scores.explained(stage):.3f}",
            ]
            for stage, error in scores.stages.items()
        ]
    print_table(title, header, rows)


def say(text: str) -> None:
    """A line of markup on standard output, not wrapped."""
    if _quiet:
        return
    Console(soft_wrap=True).print(text, highlight=False)


def quoted(path: Path) -> str:
    """A path as markup, quoted for a shell where it must be."""
    return escape(shlex.quote(str(path)))


def print_converters(network: "QuantizedNetwork") -> None:
    """What reads the columns of tiles: a line for each array that has converters."""
    from synq.page.gather import noise_steps

    for index, array in enumerate(network.arrays):
        if array.converter is None:
            continue
        rows = min(array.converter.tile_rows, array.n_rows)
        text = f"array {index}: converters of {array.converter.format.width} bits, "
        text += f"each for {rows} rows of a column"
        if steps := noise_steps(array):
            text += f", read noise of {steps:.2f} steps"
        say(text)
