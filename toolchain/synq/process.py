"""Run a tool: its lines as they come, a time limit, and no process left behind."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from synq.errors import SynqError

TO_END = 5.0  # seconds between asking a tool to end and ending it


class TimeUpError(SynqError):
    """A tool was ended because its time was up."""


def stream(
    command: list[str],
    seconds: float,
    listen: Callable[[str], None],
    settings: Mapping[str, Any],
) -> int | None:
    """Run a command in a process group of its own and hand over what it prints, line by line.

    Returns:
        Its exit code; None if it was ended because its time was up.
    """
    process = subprocess.Popen(
        command,
        **{"stdin": subprocess.DEVNULL, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
    )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end(process)

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), expire)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            listen(line.rstrip())
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        timer.cancel()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
    return None if expired.is_set() else code


def _end(process: "subprocess.Popen[str]") -> None:
    """End the process and all of its group, which may outlive it; first ask, then insist."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        insist = time.monotonic() + TO_END
        while time.monotonic() < insist:
            process.poll()
            os.killpg(process.pid, 0)  # until there is none left to signal
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
