"""Where work is done: in processes of this machine, or on a cluster."""

from contextlib import AbstractContextManager

from synq.workers.cluster import dask_cluster
from synq.workers.processes import local_processes
from synq.workers.work import Evaluate, Piece, Result, Work


def start_workers(
    work: Work[Piece, Result], scheduler: str | None
) -> AbstractContextManager[Evaluate[Piece, Result]]:
    """Workers for a block: see `local_processes`, and `dask_cluster`.

    Args:
        scheduler: the address of a Dask cluster's; processes of this machine without.
    """
    return local_processes(work) if scheduler is None else dask_cluster(scheduler, work)
