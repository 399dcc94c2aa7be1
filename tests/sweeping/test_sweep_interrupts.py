"""An interrupted sweep ends, keeps what is finished, and leaves no process."""

import json
import os
import random
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from interrupted import COMMAND, MOMENTS, Try, interrupt, listening, small_network

from sweeps import until
from synq.cache import default_cache_dir
from synq.learn.data.dataset import Dataset
from synq.learn.train import RECIPES, trained_network
from synq.progress import SILENT

KEPT = "synq: error: interrupted; 3 of 9 points are kept in out: the same command goes on\n"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return small_network(tmp_path_factory.mktemp("network"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_at_any_moment(
    network: list[str], moment: str, number: signal.Signals
) -> None:
    rng = random.Random(f"{moment} {number}")
    assert interrupt(network, moment, rng, number).fault is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"seconds": float("inf")}, "hangs"),
        ({"left": 2}, "2 processes left"),
        ({"torn": 5}, "a torn line"),
        ({"code": 1}, "exit code 1"),
        ({"lines": 4}, "4 lines, but"),
        ({"lines": 0}, "0 lines, but"),
        ({"errors": "Traceback\n" + KEPT}, "3 lines, but"),
    ],
)
def test_faults_are_seen(change: dict[str, object], fault: str) -> None:
    good = Try("points", 0, 0.1, 130, "", KEPT, 3, 0, 0)
    assert good.fault is None
    assert fault in str(replace(good, **change).fault)  # type: ignore[arg-type]


def test_the_same_command_goes_on(mnist: Dataset, tmp_path: Path) -> None:
    trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)  # into the cache
    output = tmp_path / "out"
    process = subprocess.Popen(
        [COMMAND, "sweep", "--levels", "2:256", "--methods", "proposed", "--output", output],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listening,
    )
    results = output / "results.jsonl"
    until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 2, 120, "result")
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)  # to the end of the last that holds a pipe
    assert (process.returncode, stdout) == (130, ""), stderr
    kept = results.read_bytes().count(b"\n")
    assert 2 <= kept < 255
    assert stderr == (
        f"synq: error: interrupted; {kept} of 255 points are kept in {results}: "
        "the same command goes on from there\n"
    )
    arguments = ["--levels", "2:6", "--methods", "proposed", "--output", output, "--json"]
    again = subprocess.run(
        [COMMAND, "sweep", *arguments], capture_output=True, text=True, timeout=120
    )
    assert json.loads(again.stdout)["resumed"] >= 2, again.stderr
