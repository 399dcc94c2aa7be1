"""Work on a Dask cluster."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

from synq.errors import SynqError
from synq.workers.work import Evaluate, Outcome, Piece, Result, Work, attempt

_CONNECT_SECONDS = 5


@contextmanager
def dask_cluster(address: str, work: Work[Piece, Result]) -> Iterator[Evaluate[Piece, Result]]:
    """Work on the Dask cluster whose scheduler is at `address`.

    The workers need the same version of synq. `work` is sent to each of them once; a piece whose
    worker dies is evaluated by another. All of it belongs to this process: the cluster forgets it
    when the block is left and, at the latest, when the process ends, however it does.

    Raises:
        SynqError: Dask is not installed, or no scheduler or no worker is there.
    """
    try:
        dask: Any = import_module("distributed")
    except ImportError:
        raise SynqError("a Dask cluster needs Dask: pip install 'synq[dask]'") from None

    # What it logs of lost connections is for those who run the cluster.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = dask.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise SynqError(
            f"no Dask scheduler answers at {address} ({' '.join(str(error).split())[:200]}); "
            "start one with `dask scheduler`"
        ) from None

    def evaluate(pieces: Sequence[Piece]) -> Iterator[Outcome[Piece, Result]]:
        (sent,) = client.scatter([work], broadcast=True, hash=False)
        futures = {client.submit(attempt, piece, sent, pure=False): piece for piece in pieces}
        for future in dask.as_completed(futures, loop=client.loop):
            yield _outcome(futures[future], future)

    # In a thread: a cluster that is gone must not keep us, nor a lock in Dask left by an interrupt.
    closing, patience = Thread(target=_close, args=(client,), daemon=True), _CONNECT_SECONDS
    try:
        if not client.scheduler_info()["workers"]:
            raise SynqError(
                f"the Dask scheduler at {address} has no workers; start some with "
                f"`dask worker {address}`"
            )
        yield evaluate
    except KeyboardInterrupt:
        patience = 0  # the end of the process does the same
        raise
    finally:
        closing.start()
        closing.join(patience)


def _close(client: Any) -> None:
    with suppress(Exception):
        client.close()


def _outcome(piece: Piece, future: Any) -> Outcome[Piece, Any]:
    try:
        outcome: Outcome[Piece, Any] = future.result()
    except CancelledError:
        return Outcome(piece, None, "the scheduler has dropped it; run it again")
    except Exception as error:  # of Dask: its worker has died too often, and more
        return Outcome(piece, None, f"{type(error).__name__}: {' '.join(str(error).split())}")
    return outcome
