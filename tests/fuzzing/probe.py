"""Reads many cases of a kind, and counts what happens."""

import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fuzzing.kind import Kind
from synq.errors import SynqError

LIMIT_S = 5.0  # the most CPU time that a reader may take: what else a machine does is not its fault
LIMIT_MIB = 500.0  # the most memory that it may take, above the idle process
_GIVEN_UP_S = 60
_SHOWN = 5  # failures described
_LONGEST = 600  # characters of a message, paths included


@dataclass(frozen=True)
class Counts:
    """What became of the cases of a kind.

    Attributes:
        refused: with a `SynqError` of one clear line.
        accepted: read.
        failed: anything else: another exception, a message that is not one line, CPU time
            over `LIMIT_S`.
        failures: what some of them were, each kind of failure once.
        slowest_s: wall time of the slowest case.
        memory_mib: the most memory above the idle process, which has read one case already.
    """

    kind: str
    tries: int
    refused: int
    accepted: int
    failed: int
    failures: tuple[str, ...]
    slowest_s: float
    memory_mib: float

    @property
    def good(self) -> bool:
        return not self.failed and self.memory_mib <= LIMIT_MIB


def probe(
    name: str, kind: Kind, seed: int, count: int, folder: Path, keep: Path | None = None
) -> Counts:
    """Give `count` cases to the reader, one after another, in this process.

    Args:
        folder: where a case is written for it.
        keep: where the cases that fail are left, if anywhere.
    """
    answers = Counter[str]()
    failures: dict[str, list[int]] = {}  # by what happened: the numbers of the cases
    slowest, idle = 0.0, 0.0
    path = folder / kind.file
    for index, content in enumerate(kind.cases(seed, count)):
        path.write_bytes(content)
        start, busy = time.perf_counter(), _cpu_seconds()
        failure, answer = None, "accepted"
        try:
            with _time_limit():
                kind.read(path)
        except SynqError as error:
            failure, answer = _unclear(str(error)), "refused"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            failure = f"{type(error).__name__} at {place}: {str(error)[:100]!r}"
        slowest = max(slowest, time.perf_counter() - start)
        busy = _cpu_seconds() - busy
        if failure is None and busy > LIMIT_S:
            failure = f"took {busy:.1f} CPU seconds"
        if failure is None:
            answers[answer] += 1
        else:
            failures.setdefault(failure, []).append(index)
            if keep is not None:
                (keep / f"{name}-{seed}-{index}-{kind.file}").write_bytes(content)
        if index == 0:
            idle = _memory_now()
    failed = sum(map(len, failures.values()))
    return Counts(
        kind=name,
        tries=answers.total() + failed,
        refused=answers["refused"],
        accepted=answers["accepted"],
        failed=failed,
        failures=tuple(
            f"case {cases[0]}, {len(cases)} in all: {failure}"
            for failure, cases in list(failures.items())[:_SHOWN]
        ),
        slowest_s=round(slowest, 3),
        memory_mib=round(max(0.0, _most_memory() - idle), 1),
    )


def _unclear(message: str) -> str | None:
    """What is wrong with a message for a user, or None."""
    if not message.strip() or len(message) > _LONGEST:
        return f"a message of {len(message)} characters: {message[:100]!r}"
    if not message.isprintable():
        return f"a message of several lines, or with control characters: {message[:100]!r}"
    return None


@contextmanager
def _time_limit() -> Iterator[None]:
    def give_up(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {_GIVEN_UP_S} s")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_GIVEN_UP_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _memory_now() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _most_memory() -> float:
    """MiB of this process, when it was largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
