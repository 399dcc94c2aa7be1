"""Work in processes of this machine.

One thread does it all: it hands out pieces, starts processes and waits for whichever answers first.
So there is no lock to be left behind and no thread to be waited for: an exception, be it a Ctrl-C,
is at once on its way out, and while its handler runs no process is started behind its back.
"""

import mmap
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic

from synq.errors import SynqError
from synq.workers.work import Evaluate, Outcome, Piece, Result, Work, attempt

# A signal that comes just before the wait would else be seen after it only.
_WAIT_SECONDS = 0.1

_SERVE = "import sys; from synq.workers.processes import serve; serve(*map(int, sys.argv[1:]))"


@contextmanager
def local_processes(
    work: Work[Piece, Result], count: int | None = None
) -> Iterator[Evaluate[Piece, Result]]:
    """Work in `count` processes, one a processor without.

    A process that ends (the system has run out of memory) takes only its own piece with it. None
    outlives the block, nor this process, however it ends.

    Raises:
        SynqError: from the evaluation, if no process can be started.
    """
    pool = _Pool(work, count or len(os.sched_getaffinity(0)))
    try:
        yield pool.evaluate
    finally:
        pool.close()


@dataclass(frozen=True, eq=False)
class _Worker(Generic[Piece, Result]):
    process: "subprocess.Popen[bytes]"
    connection: "Connection[Piece, Outcome[Piece, Result]]"


class _Pool(Generic[Piece, Result]):
    def __init__(self, work: Work[Piece, Result], count: int) -> None:
        self._count = count
        self._started: list[_Worker[Piece, Result]] = []
        self._idle: list[_Worker[Piece, Result]] = []
        self._busy: dict[Any, tuple[_Worker[Piece, Result], Piece]] = {}  # by connection
        # Written once for all, and gone with the last process that has it open.
        self._work = os.memfd_create("synq-work")
        with open(self._work, "wb", closefd=False) as stream:
            pickle.dump(work, stream)

    def evaluate(self, pieces: Sequence[Piece]) -> Iterator[Outcome[Piece, Result]]:
        waiting = list(reversed(pieces))
        while waiting or self._busy:
            while waiting and len(self._busy) < self._count:
                self._hand_out(waiting.pop())
            for connection in wait(list(self._busy), _WAIT_SECONDS):
                worker, piece = self._busy.pop(connection)
                try:
                    outcome = worker.connection.recv()
                    self._idle.append(worker)
                except (OSError, EOFError):
                    reason = "its process ended (out of memory?); run it again"
                    outcome = Outcome(piece, None, reason)
                if waiting:  # the process must not wait for what the caller does with the outcome
                    self._hand_out(waiting.pop())
                yield outcome

    def close(self) -> None:
        """Leave nothing of it."""
        for worker in self._started:
            worker.process.kill()
        for worker in self._started:
            worker.process.wait()
            worker.connection.close()
        os.close(self._work)

    def _hand_out(self, piece: Piece) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        self._busy[worker.connection] = worker, piece
        with suppress(OSError):  # it has ended; reading from it will say so
            worker.connection.send(piece)

    def _start(self) -> _Worker[Piece, Result]:
        # The processes fill the processors already; threads of BLAS would wait for one another.
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        ours, its = Pipe()
        with its:
            descriptors = its.fileno(), self._work
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _SERVE, *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # what a library prints is not for the user
                    env={**os.environ, **threads},
                    pass_fds=descriptors,
                    start_new_session=True,  # Ctrl-C is for the parent, which ends this one
                )
                self._started.append(_Worker(process, ours))
            except BaseException as error:
                ours.close()  # which ends a process that is started but not in the list
                if isinstance(error, OSError):
                    raise SynqError(f"cannot start a process: {error.strerror}") from error
                raise
        return self._started[-1]


def serve(connection_number: int, work_number: int) -> None:
    """A process: pieces come and outcomes go on a connection; the `Work`, pickled, is in a file.

    Args:
        connection_number, work_number: their descriptors, inherited.
    """
    connection: Connection[Any, Any] = Connection(connection_number)
    pieces: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive, args=(connection, pieces), daemon=True).start()
    with mmap.mmap(work_number, 0, access=mmap.ACCESS_READ) as content:
        work = pickle.loads(content)
    with suppress(OSError):  # the parent has ended
        while True:
            connection.send(attempt(pieces.get(), work))


def _receive(connection: "Connection[Any, Any]", pieces: "SimpleQueue[Any]") -> None:
    """Pass pieces on, and end this process with its parent, in the midst of a piece too."""
    try:
        with suppress(OSError, EOFError):
            while True:
                pieces.put(connection.recv())
    finally:
        os._exit(1)
