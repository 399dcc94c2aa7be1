"""Evaluation in processes, and what is left of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sweeps import Here, Hook, points_of, without_seconds
from synq.progress import SILENT
from synq.results import open_results
from synq.sweeping.evaluation import Materials
from synq.sweeping.run import SWEEP, run_sweep
from synq.workers.processes import local_processes


def test_processes_give_what_one_gives(small: Materials, tmp_path: Path) -> None:
    points = points_of(small)
    with open_results(tmp_path / "serial.jsonl", SWEEP) as results:
        serial = run_sweep(points, Here(small), results, SILENT)
    before = dict(os.environ)
    with (
        local_processes(small, 2) as evaluate,
        open_results(tmp_path / "other.jsonl", SWEEP) as results,
    ):
        parallel = run_sweep(points, evaluate, results, SILENT)
    assert without_seconds(parallel) == without_seconds(serial)
    assert dict(os.environ) == before


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(process) for task in tasks for process in task.read_text().split()}


def test_a_process_that_ends_takes_only_its_point(small: Materials, tmp_path: Path) -> None:
    points = points_of(small)

    before = children()

    def kill(done: float) -> None:
        if done == 3:
            (worker,) = children() - before
            os.kill(worker, signal.SIGKILL)

    with (
        local_processes(small, 1) as evaluate,
        open_results(tmp_path / "r.jsonl", SWEEP) as results,
    ):
        outcomes = run_sweep(points, evaluate, results, Hook(kill))
    errors = [outcome.error for outcome in outcomes if outcome.error]
    assert errors == ["its process ended (out of memory?); run it again"]


def test_the_module_needs_no_torch() -> None:
    """A worker starts in a quarter of a second."""
    code = (
        "import synq.workers.processes, sys; "
        "print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
