"""Evaluation on a Dask cluster."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

from synq.errors import SynqError
from synq.sweeping.evaluation import Evaluate, Materials, Outcome, attempt
from synq.sweeping.points import Point

_CONNECT_SECONDS = 5


@contextmanager
def dask_cluster(address: str, materials: Materials) -> Iterator[Evaluate]:
    """Evaluation on the Dask cluster whose scheduler is at `address`.

    The workers need the same version of synq. Data and networks are sent to each of them once; a
    point whose worker dies is evaluated by another. All of it belongs to this process: the cluster
    forgets it when the block is left and, at the latest, when the process ends, however it does.

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

    def evaluate(points: Sequence[Point]) -> Iterator[Outcome]:
        (sent,) = client.scatter([materials], broadcast=True, hash=False)
        futures = {client.submit(attempt, point, sent, pure=False): point for point in points}
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


def _outcome(point: Point, future: Any) -> Outcome:
    try:
        outcome: Outcome = future.result()
    except CancelledError:
        return Outcome(point, None, "the scheduler has dropped it; run the sweep again")
    except Exception as error:  # of Dask: its worker has died too often, and more
        return Outcome(point, None, f"{type(error).__name__}: {' '.join(str(error).split())}")
    return outcome
