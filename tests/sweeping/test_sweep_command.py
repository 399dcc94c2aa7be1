"""`synq sweep`."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sweeps import BIN
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint
from synq.results import open_results
from synq.sweeping.evaluation import Materials
from synq.sweeping.run import SWEEP


def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(BIN / "synq"), "sweep", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **settings,  # type: ignore[call-overload]
    )


@pytest.fixture
def user(tmp_path: Path, small: Materials) -> list[str]:
    """The options of a user with a network of their own, and a folder of results."""
    rng = np.random.default_rng(3)
    data, checkpoint = tmp_path / "mine.npz", tmp_path / "mine.safetensors"
    np.savez(
        data,
        x_train=rng.random((100, 20)),
        x_test=rng.random((100, 20)),
        y_test=rng.integers(0, 3, 100),
    )
    save_checkpoint(small.trained[0].network, checkpoint, {})
    output = str(tmp_path / "out")
    return ["--data", str(data), "--checkpoint", str(checkpoint), "--output", output]


def test_the_command_writes_and_prints_the_same(user: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("--levels", "5,7", "--methods", "proposed,nearest", *user)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert sorted(path.name for path in out.iterdir()) == [
        *("figure2.png", "figure2.svg", "report.html", "results.jsonl", "sweep.json", "table.csv")
    ]
    content = json.loads((out / "sweep.json").read_bytes())
    for cell in content["curves"][0]["cells"]:
        assert f"{cell['mean']:.2f}" in first.stdout
    written = (out / "sweep.json").read_bytes()

    second = run("--levels", "5,7", "--methods", "proposed,nearest", *user, "--json")
    assert second.returncode == 0, second.stderr
    printed = json.loads(second.stdout)
    assert printed["resumed"] == 3
    assert {name: printed[name] for name in content} == content
    assert (out / "sweep.json").read_bytes() == written


def test_a_failure_is_the_exit_code(user: list[str], small: Materials, tmp_path: Path) -> None:
    weights = [weight.copy() for weight in small.trained[0].network.weights]
    weights[0][:15] = 0  # three in four: their median cannot normalize
    sparse = tmp_path / "sparse.safetensors"
    save_checkpoint(FloatNetwork(tuple(weights), (None, None)), sparse, {})
    arguments = ["--levels", "5,7", "--methods", "proposed", "--percentile", "50"]
    result = run(*user, *arguments, "--checkpoint", str(sparse))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 3
    assert result.stderr.count("synq: warning: failed: method proposed") == 2
    assert "2 of 2 points failed" in result.stderr
    assert result.stdout.count("failed") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--levels", "x"], ["levels must look like"]),
        (["--methods", "propose"], ["'propose'", "did you mean proposed"]),
        (["--branches", "up"], ["--branches", "'up'"]),
        (["--input-bits", "8,x"], ["--input-bits"]),
        (["--input-bits", "9"], ["input bits must be between 1 and 8"]),
        (["--sparsities", "0.5"], ["--sparsities needs --finetune"]),
        (["--seeds", "2"], ["--seeds", "--checkpoint"]),
        (["--methods", "sampling", "--branches", "union"], ["union has no single curve"]),
        (["--output", "/dev/null"], ["/dev/null is a file"]),
        (["--output", "/usr"], ["choose another folder (--output)"]),
    ],
)
def test_a_wrong_argument_is_one_line(
    user: list[str], arguments: list[str], words: list[str]
) -> None:
    result = run(*user, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_two_sweeps_into_one_folder(user: list[str], tmp_path: Path) -> None:
    path = tmp_path / "out" / "results.jsonl"
    with open_results(path, SWEEP):
        second = run("--levels", "5", *user)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"synq: error: another sweep (process {os.getpid()}) is writing {path}: "
        "wait for its end, end it, or choose another folder\n"
    )
    assert run("--levels", "5", *user).returncode == 0


def test_no_scheduler_is_one_line(user: list[str]) -> None:
    pytest.importorskip("distributed")
    result = run(*user, "--scheduler", "tcp://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.stderr
