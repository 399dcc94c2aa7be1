"""Ctrl-C and its relatives: one orderly way out that leaves no process behind."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEANING_UP = 5.0  # seconds in which a second Ctrl-C changes nothing
_AGAIN = 0.05  # seconds after which to look whether the first has been lost
_TO_END = 1.0  # seconds for a compiler to remove its temporary files


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into a KeyboardInterrupt, from its construction on.

    Python drops an exception that comes in a destructor or in the callback of a weak reference, of
    which an import has many, and libraries catch all sorts. So it is raised anew until it is seen
    on its way out.
    """

    happened = False  # in this process

    def __init__(self) -> None:
        self._last = -_CLEANING_UP
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's & ask for
                signal.signal(number, self._handle)
        signal.signal(signal.SIGALRM, self._raise_again)

    def ignore(self) -> None:
        """Nothing is left to interrupt: keep the exit code from a Ctrl-C that comes too late."""
        for number in (*_SIGNALS, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._last < _CLEANING_UP:
            return
        self._last, Interrupts.happened = time.monotonic(), True
        end_children()
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        sys.unraisablehook = lambda _: None  # what is dropped from here on is no news
        raise KeyboardInterrupt

    def _raise_again(self, _signal: int, _frame: FrameType | None) -> None:
        error = sys.exc_info()[1]  # what the interrupted code is cleaning up after
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        if self.happened and error is None:
            raise KeyboardInterrupt


def end_children() -> None:
    """End every process below this one.

    hls4ml starts its compiler through two shells; once the first is gone, the rest would be out of
    reach. Where there is no /proc they are left to finish.
    """
    start = time.monotonic()
    while (living := _descendants(os.getpid())) and time.monotonic() < start + 2 * _TO_END:
        late = time.monotonic() > start + _TO_END
        # The last first: g++ removes its temporary files, which a cc1plus alive would make anew.
        for child in reversed(living):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.01)


def _descendants(ancestor: int) -> list[int]:
    """The living processes below `ancestor`, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # "12 (a name) S 7 ...": process, state, parent; the name may hold anything
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [ancestor]
    for process in found:
        found += children.get(process, [])
    return found[1:]
