"""Evaluation on a Dask cluster."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any
from uuid import uuid4

from synq.errors import SynqError
from synq.sweep.evaluation import Evaluate, Materials, Outcome, attempt
from synq.sweep.points import Point

_CONNECT_SECONDS = 5
_HASTY_SECONDS = 0.2  # to take leave of the cluster after a Ctrl-C; what is left costs it memory


@contextmanager
def dask_cluster(address: str, materials: Materials) -> Iterator[Evaluate]:
    """Evaluation on the Dask cluster whose scheduler is at `address`.

    The workers need the same version of synq. Data and networks are sent to them, also to those
    that join later; a point whose worker dies is evaluated by another. What a worker has begun when
    the block is left early, it finishes in vain.

    Raises:
        SynqError: Dask is not installed, or no scheduler or no worker is there.
    """
    try:
        dask: Any = import_module("distributed")
    except ImportError:
        raise SynqError("a Dask cluster needs Dask: pip install 'synq[dask]'") from None

    token = f"synq-{uuid4().hex}"  # two sweeps of the same data must not remove each other's

    class Install(dask.WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            from synq.sweep.cluster import installed_materials  # the worker's, not a pickled copy

            installed_materials[token] = materials

        def teardown(self, worker: Any) -> None:
            from synq.sweep.cluster import installed_materials

            installed_materials.pop(token, None)

    # What it logs of lost connections is for those who run the cluster.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = dask.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise SynqError(
            f"no Dask scheduler answers at {address} ({' '.join(str(error).split())[:200]}); "
            "start one with `dask scheduler`"
        ) from None

    submitted: dict[Any, Point] = {}

    def evaluate(points: Sequence[Point]) -> Iterator[Outcome]:
        submitted.update(
            (client.submit(_attempt_installed, point, token, pure=False), point) for point in points
        )
        for future in dask.as_completed(submitted, loop=client.loop):
            yield _outcome(submitted[future], future)

    def leave() -> None:
        for farewell in (
            lambda: client.cancel(list(submitted)),
            lambda: client.unregister_worker_plugin(token),
            client.close,
        ):
            with suppress(Exception):  # a cluster that is gone has nothing to remove
                farewell()

    seconds = _HASTY_SECONDS
    try:
        if not client.scheduler_info()["workers"]:
            raise SynqError(
                f"the Dask scheduler at {address} has no workers; start some with "
                f"`dask worker {address}`"
            )
        client.register_plugin(Install(), name=token)
        yield evaluate
        seconds = _CONNECT_SECONDS
    finally:
        leaving = Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(seconds)


installed_materials: dict[str, Materials] = {}  # of this Dask worker, by sweep


def _attempt_installed(point: Point, token: str) -> Outcome:
    return attempt(point, installed_materials[token])


def _outcome(point: Point, future: Any) -> Outcome:
    try:
        outcome: Outcome = future.result()
    except CancelledError:
        return Outcome(point, None, "the scheduler has dropped it; run the sweep again")
    except Exception as error:  # of Dask: its worker has died too often, and more
        return Outcome(point, None, f"{type(error).__name__}: {' '.join(str(error).split())}")
    return outcome
