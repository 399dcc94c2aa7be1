"""Evaluation on a Dask cluster."""

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from interrupted import COMMAND, listening, small_network

from sweeps import BIN, DEVICE, Here, Hook, points_of, until, without_seconds
from synq.chip import Conditions, Programming
from synq.errors import SynqError
from synq.progress import SILENT
from synq.quantizing import Method, Quantization, quantize_network
from synq.results import open_results
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Axes
from synq.sweeping.run import SWEEP, run_sweep
from synq.variation import Variation
from synq.workers.cluster import dask_cluster
from synq.yields import CHIPS, Trial, Yield, try_chips


def test_dask_is_optional(small: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(SynqError, match=r"pip install 'synq\[dask\]'"),
        dask_cluster("127.0.0.1:1", small),
    ):
        pass


def started(*arguments: str, log: Path, stack: ExitStack) -> "subprocess.Popen[bytes]":
    """A process of a cluster that ends with the test."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(BIN / "dask"), *arguments], stdout=stream, stderr=stream, cwd=log.parent
        )

    def end() -> None:
        process.kill()
        process.wait(10)

    stack.callback(end)
    return process


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: "subprocess.Popen[bytes]"
    workers: "list[subprocess.Popen[bytes]]"
    start_worker: "Callable[[], subprocess.Popen[bytes]]"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler and two workers of one thread."""
    distributed = pytest.importorskip("distributed")
    with ExitStack() as stack:
        described = folder / "scheduler.json"
        scheduler = started(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--no-show", "--scheduler-file", str(described)),
            log=folder / "scheduler.log",
            stack=stack,
        )
        until(lambda: described.exists() and described.read_text().endswith("}"), 60, "scheduler")
        address = json.loads(described.read_text())["address"]

        def start_worker() -> "subprocess.Popen[bytes]":
            number = next(numbers)
            return started(
                *("worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"),
                *("--no-dashboard", "--local-directory", str(folder / f"worker{number}")),
                log=folder / f"worker{number}.log",
                stack=stack,
            )

        numbers = itertools.count()
        workers = [start_worker(), start_worker()]
        with distributed.Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield Cluster(address, scheduler, workers, start_worker)


def end_at(process: "subprocess.Popen[bytes]", count: int) -> Hook:
    """Kills a process when so many points are done."""

    def end(done: float) -> None:
        if done >= count and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    return Hook(end)


def test_a_cluster_that_loses_a_worker_gives_the_same(small: Materials, tmp_path: Path) -> None:
    axes = Axes(tuple(range(2, 42)), (Method.PROPOSED,))
    points = points_of(small, axes)
    with open_results(tmp_path / "local.jsonl", SWEEP) as results:
        local = run_sweep(points, Here(small), results, SILENT)
    with cluster(tmp_path) as running, open_results(tmp_path / "cluster.jsonl", SWEEP) as results:
        with dask_cluster(running.address, small) as evaluate:
            outcomes = run_sweep(points, evaluate, results, end_at(running.workers[0], 10))
        assert running.workers[0].returncode == -signal.SIGKILL
        assert len(results.known) == len(points)
    assert without_seconds(outcomes) == without_seconds(local)


def test_chips_on_a_cluster_are_those_of_here(small: Materials, tmp_path: Path) -> None:
    data, network, ten = small.dataset, small.trained[0].network, Quantization(10)
    design = quantize_network(network, ten, DEVICE, data.input_format, data.train_inputs)
    trial = Trial(design, DEVICE, ten, data.test_inputs, data.test_labels, data.task)
    spread = Conditions(Variation(0.1, 0.01), Programming.OPEN_LOOP)

    def tried(folder: Path, scheduler: str | None) -> Yield:
        with try_chips(trial, spread, 40, 90.0, 5, folder, scheduler, SILENT) as found:
            return found

    here = tried(tmp_path / "here", None)
    with cluster(tmp_path) as running:
        there = tried(tmp_path / "there", running.address)
    assert there == here
    lines = [(tmp_path / name / CHIPS.file).read_text().splitlines() for name in ("here", "there")]
    assert sorted(lines[0]) == sorted(lines[1]) and len(lines[0]) == 40 + 2 * 3 * 5


def test_a_lost_scheduler_leaves_what_is_finished(small: Materials, tmp_path: Path) -> None:
    axes = Axes(tuple(range(2, 202)), (Method.PROPOSED,))
    points = points_of(small, axes)
    with cluster(tmp_path) as running, open_results(tmp_path / "cluster.jsonl", SWEEP) as results:
        with dask_cluster(running.address, small) as evaluate:
            outcomes = run_sweep(points, evaluate, results, end_at(running.scheduler, 10))
        assert 10 <= len(results.known) < len(points)
    errors = {outcome.error for outcome in outcomes if outcome.result is None}
    assert errors == {"the scheduler has dropped it; run it again"}


def test_a_lost_cluster_is_no_dead_end(small: Materials, tmp_path: Path) -> None:
    """Data and networks are lost with the last worker that has them."""
    points = points_of(small, Axes(tuple(range(2, 202)), (Method.PROPOSED,)))
    with cluster(tmp_path) as running, open_results(tmp_path / "cluster.jsonl", SWEEP) as results:

        def replace_workers(done: float) -> None:
            if done == 10:
                for worker in running.workers:
                    worker.send_signal(signal.SIGKILL)
                    worker.wait(10)
                running.start_worker()

        with dask_cluster(running.address, small) as evaluate:
            outcomes = run_sweep(points, evaluate, results, Hook(replace_workers))
    assert len(outcomes) == len(points)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_a_sweep_leaves_nothing_in_the_cluster(
    tmp_path: Path, number: signal.Signals
) -> None:
    distributed = pytest.importorskip("distributed")
    network = small_network(tmp_path)
    results = tmp_path / "out" / "results.jsonl"
    arguments = ["--levels", "2:256", "--methods", "proposed,sampling,uniform", *network]
    arguments += ["--output", str(results.parent)]
    with cluster(tmp_path) as running:
        process = subprocess.Popen(
            [COMMAND, "sweep", *arguments, "--scheduler", running.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=listening,
        )
        until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 5, 180, "result")
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        kept = results.read_bytes().count(b"\n")
        if number == signal.SIGINT:
            assert (process.returncode, output) == (130, ""), errors
            assert errors.startswith(f"synq: error: interrupted; {kept} of 765 points are kept")
            assert errors.count("\n") == 1

        with distributed.Client(running.address, timeout=30, set_as_default=False) as client:
            until(lambda: not any(client.processing().values()), 60, "idle worker")
            until(lambda: not any(client.has_what().values()), 60, "empty worker")
