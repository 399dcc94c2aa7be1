"""`synq program` and `synq chips` on a network's file: without a project, and two at once."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from samples import dense_samples
from synq.network import QuantizedNetwork

SYNQ = str(Path(sys.executable).parent / "synq")
OF_DATA = ["--data", "data.npz"]


def run(*arguments: Any, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [SYNQ, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`told.npz` says what it was quantized with, `bare.npz` does not; and `data.npz`."""
    folder = tmp_path_factory.mktemp("chips")
    dense_samples(folder)
    how = ["--levels", 7, "--mapping", "offset", "--input-bits", 4, "--output", "told.npz"]
    made = run("quantize", "--checkpoint", "net", *OF_DATA, *how, cwd=folder)
    assert (made.returncode, made.stderr) == (0, "")
    (folder / "bare.npz").write_bytes(QuantizedNetwork.from_npz(folder / "told.npz").to_npz())
    return folder


def test_a_networks_file_is_programmed(folder: Path) -> None:
    how = ["--seed", 3, "--programming", "write-verify", "--device-to-device", 0.1, "--json"]
    told = run("program", "told.npz", *OF_DATA, *how, "--output", "one.npz", cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    said = ["--device", "pcmo", "--levels", 7, "--mapping", "offset"]
    bare = run("program", "bare.npz", *OF_DATA, *said, *how, "--output", "two.npz", cwd=folder)
    assert (bare.returncode, bare.stderr) == (0, "")
    for suffix in (".npz", ".csv"):
        one, two = ((folder / name).with_suffix(suffix).read_bytes() for name in ("one", "two"))
        assert one == two
    found = json.loads(told.stdout)
    assert found["pulses"] > 0 and found["energy_J"] > 0
    quantized = run(
        *("quantize", "--checkpoint", "net", *OF_DATA, "--levels", 7, "--mapping", "offset"),
        *("--input-bits", 4, "--json"),
        cwd=folder,
    )
    reference = json.loads(quantized.stdout)["accuracy"]["reference"]
    assert found["accuracy"]["design"] == reference


def test_energy_is_told_where_the_device_tells_of_pulses(folder: Path) -> None:
    shown = run("program", "told.npz", *OF_DATA, "--programming", "open-loop", cwd=folder)
    assert "pulses, an estimated" in shown.stdout and "J into its cells" in shown.stdout
    many = ["--count", 3, "--sensitivity", 0, "--programming", "open-loop", "--output", "energy"]
    shown = run("chips", "told.npz", *OF_DATA, *many, cwd=folder)
    assert "pulses, an estimated" in shown.stdout and "J into its cells a chip" in shown.stdout


def test_the_method_nearest_has_no_levels(folder: Path) -> None:
    how = ["--method", "nearest", "--output", "near.npz"]
    assert run("quantize", "--checkpoint", "net", *OF_DATA, *how, cwd=folder).returncode == 0
    bare = QuantizedNetwork.from_npz(folder / "near.npz").to_npz()
    (folder / "bare-near.npz").write_bytes(bare)
    said = ["--device", "pcmo", "--method", "nearest"]
    found = run("program", "bare-near.npz", *OF_DATA, *said, cwd=folder)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["bare.npz"],
            "does not tell which device it was quantized for, at how many levels",
        ),
        (["bare.npz", "--device", "pcmo"], "at how many levels, which data it is tried on"),
        (["told.npz"], "does not tell which data it is tried on: say it (--data)"),
        (["told.npz", *OF_DATA, "--levels", "7"], "says what it was quantized with: leave that"),
        (["told.npz", *OF_DATA, "--branch", "ltd"], "are for --levels"),
        (["told.npz", "--task", "regression"], "are for --data"),
        (["told.npz", "--data", "digits"], "other values or features than the network takes"),
        (["told.npz", *OF_DATA, "--device", "epiram"], "values that epiram does not give at L"),
        (["bare.npz", *OF_DATA, "--device", "pcmo", "--levels", "9"], "does not give at L = 9"),
        (["no.npz", *OF_DATA], "there is no such file"),
        (["data.npz", *OF_DATA], "is not a quantized network"),
        (["net", *OF_DATA], "leave that out (--levels, --data)"),
        (["net"], "is it a synq project?"),
    ],
)
@pytest.mark.parametrize("command", ["program", "chips"])
def test_what_is_missing_or_wrong_is_one_line(
    folder: Path, command: str, arguments: list[str], said: str
) -> None:
    refused = run(command, *arguments, "--output", "refused.npz", cwd=folder)
    assert refused.returncode in (1, 2) and refused.stdout == ""
    assert refused.stderr.count("\n") == 1 and said in refused.stderr
    assert not (folder / "refused.npz").exists()


def test_two_runs_into_one_folder(folder: Path) -> None:
    """The second is refused in one line; the first, interrupted, says what it keeps."""
    scores = folder / "two" / "chips.jsonl"
    many = ["told.npz", *OF_DATA, "--device-to-device", "0.1", "--output", "two"]
    first = subprocess.Popen(
        [SYNQ, "chips", *many, "--count", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 120
        while not (scores.exists() and scores.read_bytes().count(b"\n") > 2):
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        second = run("chips", *many, "--count", "5", cwd=folder)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"synq: error: another run of chips (process {first.pid}) is writing {scores}: "
            "wait for its end, end it, or choose another folder\n"
        )
    finally:
        first.send_signal(signal.SIGINT)
        output, errors = first.communicate(timeout=60)
    kept = scores.read_bytes().count(b"\n")
    assert (first.returncode, output) == (130, "")
    assert errors == (
        f"synq: error: interrupted; {kept} of 100060 chips are kept in {scores}: "
        "the same command goes on from there\n"
    )
    again = run("chips", *many, "--count", "3", "--json", cwd=folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert json.loads(again.stdout)["chips"] == 3


def test_a_folder_of_something_else_is_refused(folder: Path) -> None:
    (folder / "thesis").mkdir()
    (folder / "thesis" / "thesis.tex").touch()
    refused = run("chips", "told.npz", *OF_DATA, "--output", "thesis", cwd=folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "holds no run of chips but other files: choose another folder" in refused.stderr
    assert [path.name for path in (folder / "thesis").iterdir()] == ["thesis.tex"]


def test_no_scheduler_is_one_line(folder: Path) -> None:
    pytest.importorskip("distributed")
    where = ["--scheduler", "tcp://127.0.0.1:9", "--output", "nowhere"]
    refused = run("chips", "told.npz", *OF_DATA, *where, cwd=folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in refused.stderr
    assert not (folder / "nowhere").exists()
