"""Ctrl-C and its relatives: one orderly way out that leaves no process behind."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from synq.errors import InterruptedWorkError
from synq.process import end_all

if TYPE_CHECKING:
    from synq.results import Kept

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEANING_UP = 5.0  # seconds in which a second Ctrl-C changes nothing
_AGAIN = 0.05  # seconds after which to look whether the first has been lost


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
        end_all()
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        sys.unraisablehook = lambda _: None  # what is dropped from here on is no news
        raise KeyboardInterrupt

    def _raise_again(self, _signal: int, _frame: FrameType | None) -> None:
        error = sys.exc_info()[1]  # what the interrupted code is cleaning up after
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        if self.happened and error is None:
            raise KeyboardInterrupt


@contextmanager
def saying_what_is_kept(kept: "Kept") -> Iterator[None]:
    """Ctrl-C as an error that counts the results in the file, if there are any."""
    try:
        yield
    except BaseException:
        if not Interrupts.happened:  # libraries turn a Ctrl-C into an ImportError and worse
            raise
        told = kept.told()
        if not told:
            raise
        raise InterruptedWorkError(
            f"interrupted; {told}: the same command goes on from there"
        ) from None
