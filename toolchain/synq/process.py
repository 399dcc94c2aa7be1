"""Child processes: the one place that starts them, and the ways in which they end.

- `run`, `run_all` and `started` collect what a command prints, `stream` hands it over line by line.
- Each command has a process group of its own, which is killed where an error ends the call.
- What this process has started, or a library in it, and what that has started in turn, dies with
  it, even of SIGKILL: see `guard`.
"""

import atexit
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synq.errors import SynqError

TO_END = 5.0  # seconds between asking a tool to end and ending it
_LOOK = 0.5  # seconds between looks at what commands have done
_TO_END_ALL = 0.2  # likewise when all of synq ends
_VARIABLE = "SYNQ_PARENT"  # environment variable of all that is started, by whomever


class TimeUpError(SynqError):
    """A tool was ended because its time was up."""


@dataclass(frozen=True)
class Command:
    """What to start.

    Attributes:
        arguments: the executable and its arguments; no shell reads them.
        cwd: its working folder; this process's without.
        environment: variables beside this process's own.
    """

    arguments: Sequence[str]
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code, and what it printed on both outputs."""

    code: int
    log: str

    @property
    def last_line(self) -> str:
        """What it said at last, for an error message."""
        lines = self.log.strip().splitlines()
        return lines[-1].strip() if lines else "it printed nothing"


@dataclass(frozen=True)
class Running:
    """A command at work."""

    process: "subprocess.Popen[str]"

    def finish(self, meanwhile: Callable[[], None] = lambda: None) -> Ended:
        """Wait for its end; `meanwhile` is called now and then."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                log, _ = self.process.communicate(timeout=_LOOK)
                return Ended(self.process.returncode, log)
            meanwhile()


@contextmanager
def started(command: Command) -> Iterator[Running]:
    """Start a command, which works while the caller does; it ends with the block at the latest.

    Raises:
        SynqError: it cannot be started.
    """
    process = _start(command.arguments, cwd=command.cwd, env={**os.environ, **command.environment})
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def run(command: Command, meanwhile: Callable[[], None] = lambda: None) -> Ended:
    """Run a command to its end; `meanwhile` is called now and then.

    Raises:
        SynqError: it cannot be started.
    """
    with started(command) as running:
        return running.finish(meanwhile)


def run_all(
    commands: Sequence[Command], name: str, meanwhile: Callable[[], None] = lambda: None
) -> list[str]:
    """Run commands at a time, all of which must do well.

    Args:
        name: what they are, for the error: "the C simulation".
        meanwhile: called now and then while they run.

    Returns:
        What each has printed.

    Raises:
        SynqError: one cannot be started or fails; says the last line of the first that does.
    """
    with ExitStack() as stack:
        all_running = [stack.enter_context(started(command)) for command in commands]
        all_ended = [running.finish(meanwhile) for running in all_running]
    for ended in all_ended:
        if ended.code != 0:
            raise SynqError(f"{name} stopped with code {ended.code}: {ended.last_line}")
    return [ended.log for ended in all_ended]


def stream(
    command: list[str],
    seconds: float,
    listen: Callable[[str], None],
    settings: Mapping[str, Any],
) -> int | None:
    """Run a command and hand over what it prints, line by line.

    Args:
        seconds: its time limit; then it is asked to end, and ended.
        settings: more for `subprocess.Popen`.

    Returns:
        Its exit code; None if it was ended because its time was up.
    """
    process = _start(command, **settings)
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
        for end in (process.stdin, process.stdout):
            if end is not None:
                with suppress(OSError):
                    end.close()
    return None if expired.is_set() else code


def _start(arguments: Sequence[str], **settings: Any) -> "subprocess.Popen[str]":
    guard()
    environment = {**settings.pop("env", os.environ), _VARIABLE: os.environ[_VARIABLE]}
    try:
        process = subprocess.Popen(
            arguments,
            **{"stdin": subprocess.DEVNULL, **settings},
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
        )
    except OSError as error:
        raise SynqError(f"{arguments[0]} cannot be run: {error.strerror or error}") from None
    if _ending and threading.current_thread() is not threading.main_thread():
        _signal_group(process, signal.SIGKILL)  # `end_all` may have been too early for it
        raise SynqError("interrupted")
    return process


def _signal_group(process: "subprocess.Popen[str]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


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


# ---- The end of this process --------------------------------------------------------------------

_ending = False
_mark: str | None = None  # this process's own; one that it has inherited is of its parent's
_watcher: "subprocess.Popen[bytes] | None" = None
_watcher_lock = threading.Lock()

# A line on standard input: all is well. Its end without one: the parent is dead. A process that is
# being forked while the others are looked for is found in the next round.
_WATCH = """
read -r line && exit
for round in 1 2 3 4 5 6 7 8 9; do
    for found in $(grep -lszxF -e "$1" /proc/[0-9]*/environ); do
        found=${found#/proc/}
        kill -s KILL "${found%/environ}"
    done
done
"""


def guard() -> None:
    """From now on, let whatever is started from this process die with it, even of SIGKILL.

    That is every process with a certain variable in its environment, however deep below this one:
    g++ starts cc1plus, Verilator starts make, hls4ml starts a shell. A small process of its own
    sees to it; it waits on a pipe that only this process can write. Needs Linux's /proc.
    """
    global _mark, _watcher
    with _watcher_lock:
        if _watcher is not None:
            return
        mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        with suppress(OSError):  # without a shell nothing is guarded, and all the rest works
            _watcher = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "synq-guard", f"{_VARIABLE}={mark}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": f"{os.defpath}:{os.environ.get('PATH', '')}"},  # and not the mark
                start_new_session=True,
            )
        os.environ[_VARIABLE] = _mark = mark
        atexit.register(_dismiss, os.getpid())


def _dismiss(process: int) -> None:
    """Tell the watcher that this process ends as it should."""
    if _watcher is not None and os.getpid() == process:  # not a fork of it
        with suppress(OSError):
            _watcher.communicate(b"\n")


def end_all() -> None:
    """End every process below this one, whoever has started it; first ask, then insist.

    Threads but the main one start no more. Where there is no /proc nothing is ended.
    """
    global _ending
    _ending = True
    start = time.monotonic()
    while (living := _living()) and time.monotonic() < start + 2 * _TO_END_ALL:
        late = time.monotonic() > start + _TO_END_ALL
        for child in reversed(living):  # the last first: a parent may be waiting for it
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.01)


def _living() -> list[int]:
    """The living processes below this one, parents first, then those whose parents are gone."""
    children: dict[int, list[int]] = {}
    marked = []
    mark = f"{_VARIABLE}={_mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # "12 (a name) S 7 ...": process, state, parent; the name may hold anything
            state, parent = (
                (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            )
            if state == "Z" or (_watcher is not None and folder.name == str(_watcher.pid)):
                continue
            children.setdefault(int(parent), []).append(int(folder.name))
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                marked.append(int(folder.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return [*found[1:], *(set(marked) - set(found))]
