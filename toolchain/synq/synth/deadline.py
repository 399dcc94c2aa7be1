"""How a run of tools may end early: its time is up, or it is interrupted."""

import time

from synq.errors import SynqError


class Deadline:
    """A time limit for all that a run starts."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self._end = time.monotonic() + 60 * minutes

    def seconds(self) -> float:
        """What is left of it; at least a moment, so that whatever starts now is ended at once."""
        return max(0.001, self._end - time.monotonic())


class InterruptedRunError(SynqError):
    """A run was interrupted; says what is left of it."""

    exit_code = 130
