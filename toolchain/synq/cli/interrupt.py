"""Ctrl-C and its relatives: one orderly way out that leaves no process behind."""

import signal
import time
from types import FrameType

from synq.process import end_all

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEANING_UP = 5.0  # seconds in which a second Ctrl-C changes nothing


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into a KeyboardInterrupt, from its construction on."""

    def __init__(self) -> None:
        self._last = -_CLEANING_UP
        self.happened = False
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's & ask for
                signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Nothing is left to interrupt: keep the exit code from a Ctrl-C that comes too late."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._last < _CLEANING_UP:
            return
        self._last, self.happened = time.monotonic(), True
        end_all()
        raise KeyboardInterrupt
