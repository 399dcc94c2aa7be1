"""The installed commands as a user runs them, and every mistake a user can make with them."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import dense_samples
from strategies import synapse_array, with_noise
from synq.cache import default_cache_dir
from synq.cli.console import print_converters
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.learn.data.dataset import Dataset
from synq.learn.data.idx import MNIST
from synq.network import Converter, QuantizedNetwork

COMMANDS = [
    "export",
    "train",
    "plan",
    "quantize",
    "sweep",
    "program",
    "chips",
    "verify",
    "show",
    "diff",
    "synth",
    "report",
    "boards",
    "devices",
]
HEAVY = ["numpy", "matplotlib", "torch", "tensorflow", "hls4ml", "qkeras", "h5py"]

needs_export = pytest.mark.xdist_group("cli")  # one worker makes the project once


def command(name: str) -> str:
    """The path of an installed command, beside this Python."""
    return str(Path(sys.executable).parent / name)


def run(name: str, *arguments: Any, **settings: Any) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "text": True, "timeout": 300, **settings}
    return subprocess.run([command(name), *map(str, arguments)], **settings)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on standard error that holds `words`, nothing on standard output."""
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(("synq: error: ", "synq-export: error: "))
    for word in words:
        assert word in result.stderr


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- A small network, and one export of it ------------------------------------------------------


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a 20-8-3 network, `net`, and samples that it classifies, `data.npz`."""
    folder = tmp_path_factory.mktemp("small")
    dense_samples(folder)
    return folder


@pytest.fixture(scope="session")
def of_small(small: Path) -> list[str]:
    return ["--checkpoint", str(small / "net"), "--data", str(small / "data.npz")]


@pytest.fixture(scope="session")
def exported(of_small: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The project folder, and what `--json` printed."""
    output = tmp_path_factory.mktemp("exported") / "project"
    result = run("synq-export", *of_small, "--output", output, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return output, result.stdout


@pytest.fixture
def project(exported: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the project, to be spoilt."""
    return shutil.copytree(exported[0], tmp_path / "project")


@needs_export
def test_json_is_one_object_with_every_result(exported: tuple[Path, str]) -> None:
    output, printed = exported
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert result["levels"] == 10
    assert [2 <= count <= 10 for count in result["effective_levels"]] == [True, True]
    assert list(result["accuracy"]) == ["software", "quantized", "reference", "csim"]
    assert result["accuracy"]["software"] == 100
    assert result["accuracy"]["csim"] == result["accuracy"]["reference"]
    compared = result["bit_exact"].pop("compared")
    assert list(compared) == ["qkeras", "hls4ml", "csim", "axis"] and min(compared.values()) > 200
    assert result["bit_exact"] == {"images": 200, "mismatches": 0}
    assert result["output"] == str(output)
    assert list(result["seconds"]) == ["data", "train", "quantize", "emit", "csim", "page"]
    assert all(seconds >= 0 for seconds in result["seconds"].values())


@needs_export
def test_nothing_stays_beside_the_output(exported: tuple[Path, str]) -> None:
    assert [path.name for path in exported[0].parent.iterdir()] == ["project"]


def test_names_that_need_quoting(small: Path, tmp_path: Path) -> None:
    """A relative output, another folder, --force over foreign files, and the printed next steps."""
    checkpoint = tmp_path / "größe [bold] '$HOME'.pt"
    shutil.copy(small / "net", checkpoint)
    name = "a \"b\" 'c' $HOME [red] ö"
    (tmp_path / name).mkdir()
    (tmp_path / name / "foreign").touch()
    arguments = ["--checkpoint", checkpoint.name, "--data", small / "data.npz", "--output", name]
    result = run("synq", "export", *arguments, "--force", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {checkpoint.name, name}
    assert not (tmp_path / name / "foreign").exists()
    lines = result.stdout.splitlines()
    assert f"Details: {tmp_path / name}/report.html" in lines
    (next_step,) = (line for line in lines if line.startswith("Next: synq verify "))
    found = subprocess.run(
        ["sh", "-c", f"printf %s {next_step.split(maxsplit=3)[3]}"], capture_output=True, text=True
    )
    assert found.stdout == name


# ---- Chips -------------------------------------------------------------------------------------


@needs_export
def test_a_chip_is_programmed_read_back_and_exported(
    exported: tuple[Path, str], of_small: list[str], tmp_path: Path
) -> None:
    effects = ["--device-to-device", "0.2", "--stuck-at-min", "0.05", "--tile", "8x4"]
    result = run("synq", "program", exported[0], "--seed", "7", *effects, "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["cells"] == 2 * (20 * 8 + 8 * 3)
    assert 0 < told["states"]["stuck_at_min"] < 40
    assert told["accuracy"]["design"] == json.loads(exported[1])["accuracy"]["reference"]
    assert {path.name for path in tmp_path.iterdir()} == {"chip-7.npz", "chip-7.csv"}

    # the network's file in a project stands for the project
    alone = [exported[0] / "network.npz", "--seed", "7", *effects, "--output", "alone.npz"]
    assert run("synq", "program", *alone, cwd=tmp_path).returncode == 0
    assert (tmp_path / "alone.npz").read_bytes() == (tmp_path / "chip-7.npz").read_bytes()

    back = ["--read-back", "chip-7.csv", "--output", "measured.npz"]
    result = run("synq", "program", exported[0], *back, "--json", cwd=tmp_path)
    measured = json.loads(result.stdout)
    assert measured["accuracy"] == told["accuracy"]
    assert measured["deviation"] == told["deviation"]

    chip = ["--chip", "chip-7.npz", "--flow", "hls,rtl", "--output", "made"]
    result = run("synq-export", *of_small, *chip, "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    scores = json.loads(result.stdout)["accuracy"]
    assert scores["design"] == told["accuracy"]["design"]
    assert {scores[stage] for stage in ("reference", "csim", "rtl")} == {told["accuracy"]["chip"]}
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert manifest["chip"]["seed"] == 7
    assert manifest["network"]["arrays"][0]["effective_levels"] > 10
    assert run("synq", "verify", "made", cwd=tmp_path).returncode == 0
    result = run("synq", "program", "made", cwd=tmp_path)
    assert "is the project of a chip" in result.stderr

    # a chip's folder says whose it is
    result = run("synq", "plan", *of_small, "--chip", "chip-7.npz")
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chip-seed", "-1"], "seed must be 0 to"),
        (["--chip-seed", "1", "--device-to-device", "1.5"], "must be a number between 0 and 1"),
        (["--device-to-device", "0.1"], "are for --chip-seed: say which chip"),
        (["--chip", "no.npz", "--chip-seed", "1"], "leave out --chip-seed"),
        (["--chip", "no.npz"], "no.npz: cannot be read"),
        (["--chip-seed", "1", "--tile", "0x8"], "a tile has 1 to"),
        (["--adc-bits", "6"], "say how large a tile is"),
        (["--adc-bits", "40", "--tile", "8x8"], "adc bits must be between 2 and 16, got 40"),
    ],
)
def test_no_such_chip(
    of_small: list[str], arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = run("synq-export", *of_small, *arguments, cwd=tmp_path)
    assert result.returncode in (1, 2) and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    curve = 1e-8 + 4e-8 * (1 - np.exp(-np.arange(30) / 8))
    table = np.column_stack([curve * (1 + 0.05 * rng.normal()) for _ in range(6)])
    table += rng.normal(0, 1e-10, table.shape)
    np.savetxt(tmp_path / "pulses.csv", table, delimiter=",", header="a,b,c,d,e,f", comments="")
    result = run("synq", "device", "fit", "pulses.csv", "--output", "mine.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "device to device" in result.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"pulses.csv", "mine.toml", "mine.png", "mine.svg"}
    assert run("synq", "device", "fit", "--help").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "mine.txt"], "must end in .toml"),
        (["--output", "m.toml"], "holds no number"),
        (["--output", "m.toml", "--unit", "normalized"], "holds no number"),
        (["--output", "m.toml", "--pulse-column", "x"], "has 0 columns 'x'"),
    ],
)
def test_no_such_device(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "pulses.csv").write_text("a,b\n")
    result = run("synq", "device", "fit", "pulses.csv", *arguments, cwd=tmp_path)
    assert result.returncode in (1, 2) and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pulses.csv"]


# ---- Verilog -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def exported_rtl(of_small: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project of both flows, and what `--json` printed."""
    output = tmp_path_factory.mktemp("exported_rtl") / "project"
    options = ["--datapath", "buckets", "--output", str(output)]
    result = run("synq-export", *of_small, "--flow", "hls,rtl", *options, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return output, result.stdout


@needs_export
def test_export_of_both_flows(exported_rtl: tuple[Path, str]) -> None:
    output, printed = exported_rtl
    result = json.loads(printed)
    assert result["accuracy"]["rtl"] == result["accuracy"]["csim"]
    assert list(result["designs"]) == ["hls", "rtl"]
    assert 1 <= result["rtl_cycles"]["mean"] <= result["rtl_cycles"]["most"]
    names = {path.name for path in (output / "rtl").iterdir()}
    assert {"synq_top.v", "synq_layer_0.v", "synq_layer_1.v", "synq.f"} <= names
    scripts = {path.name for path in (output / "flow").iterdir()}
    assert {"ooc.tcl", "system.tcl", "rtl_ooc.tcl", "rtl_system.tcl"} <= scripts
    driver = json.loads((output / "driver" / "network.json").read_text())
    assert driver["beat_bits"] == {"synq.bit": 64, "synq_rtl.bit": 64}


@needs_export
def test_verify_proves_the_verilog(exported_rtl: tuple[Path, str], project: Path) -> None:
    result = run("synq", "verify", exported_rtl[0], "--formal", "--json")
    proofs = json.loads(result.stdout)["proofs"]
    assert {"synq_intake", "synq_result", "synq_top"} <= {each["module"] for each in proofs}
    assert {each["proven_by"] for each in proofs} == {"induction"}
    assert_refused(run("synq", "verify", project, "--formal"), 1, "has no Verilog to prove")


@needs_export
def test_verify_simulates_the_verilog(exported_rtl: tuple[Path, str], tmp_path: Path) -> None:
    project = shutil.copytree(exported_rtl[0], tmp_path / "project")
    printed = run("synq", "verify", project).stdout
    assert "C simulation and Verilog" in printed
    memory = sorted((project / "rtl").glob("*.mem"))[0]
    digits = memory.read_text()
    at = next(i for i, digit in enumerate(digits) if digit not in "\n")
    flipped = f"{int(digits[at], 16) ^ 4:x}"
    memory.write_text(digits[:at] + flipped + digits[at + 1 :])
    assert_refused(run("synq", "verify", project), 1, f"rtl/{memory.name} has changed")
    manifest = json.loads((project / "manifest.json").read_text())
    manifest["files"][f"rtl/{memory.name}"] = hashlib.sha256(memory.read_bytes()).hexdigest()
    (project / "manifest.json").write_text(json.dumps(manifest))
    assert_refused(
        run("synq", "verify", project),
        1,
        f"rtl/{memory.name} is not what its network and design give",
    )


# ---- Help, lists, output streams ----------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_of_synq(arguments: list[str]) -> None:
    result = run("synq", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: synq" in result.stdout


def test_plan_shows_the_chosen_design_and_its_neighbours(of_small: list[str]) -> None:
    printed = run("synq", "plan", *of_small)
    assert printed.returncode == 0, printed.stderr
    assert "chosen" in printed.stdout and "Estimated resources on pynq-z2" in printed.stdout
    result = json.loads(run("synq", "plan", *of_small, "--rows", 5, "--json").stdout)
    assert result["hls"]["design"]["arrays"][0]["parallel_rows"] == 5
    assert result["hls"]["design"]["estimate"]["interval_cycles"] == 4
    assert result["hls"]["stream_cycles"] == 3  # 20 pixels of 8 bits


def test_plan_of_both_flows(of_small: list[str]) -> None:
    result = json.loads(run("synq", "plan", *of_small, "--flow", "hls,rtl", "--json").stdout)
    assert result["hls"]["design"]["estimate"]["lut"] > 0
    assert result["rtl"]["design"]["beat_bits"] == 64
    printed = run("synq", "plan", *of_small, "--flow", "rtl").stdout
    assert "Designs, Verilog (estimated)" in printed


def test_plan_counts_the_cycles_of_events(of_small: list[str]) -> None:
    result = json.loads(run("synq", "plan", *of_small, "--event-driven", "--json").stdout)
    assert result["hls"]["design"]["arrays"][0]["event_driven"]
    assert 1 < result["hls"]["event_cycles"]["mean"] <= result["hls"]["event_cycles"]["max"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows", "0"], ["rows must be between 1 and 128, got 0 (--rows)"]),
        (["--rows", "3", "--reuse-factor", "9"], ["exclude one another"]),
        (["--target-fps", "-1"], ["target fps must be above 0, got -1 (--target-fps)"]),
        (["--datapath", "abacus"], ["abacus"]),
        (["--flow", "vhdl"], ["--flow takes hls and rtl, got 'vhdl'"]),
        (["--flow", "rtl,rtl"], ["names a flow twice"]),
        (["--flow", "rtl", "--datapath", "bank"], ["(--datapath, --flow)"]),
        (["--beat-bits", "128"], ["--beat-bits", "--flow rtl"]),
        (["--flow", "rtl", "--beat-bits", "100"], ["multiple of 64, got 100 (--beat-bits)"]),
    ],
)
def test_plan_refuses(arguments: list[str], words: list[str], of_small: list[str]) -> None:
    assert_refused(run("synq", "plan", *of_small, *arguments), 2, *words)


def test_help_imports_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", command("synq-export"), "--help"],
        capture_output=True,
        text=True,
    )
    assert "Usage: synq-export" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("name", "rows"), [("boards", ["pynq-z2", "alveo-u250"]), ("devices", ["pcmo"])]
)
def test_lists_are_not_cut_to_the_terminal(name: str, rows: list[str]) -> None:
    result = run("synq", name, env={**os.environ, "COLUMNS": "30"})
    starts = [line.split(" ")[0] for line in result.stdout.splitlines()]
    assert set(rows) <= set(starts)
    assert "…" not in result.stdout
    listed = json.loads(run("synq", name, "--json").stdout)[name]
    assert set(rows) <= {entry["name"] for entry in listed}


def test_verbose_logs_to_standard_error(of_small: list[str]) -> None:
    result = run("synq", "quantize", *of_small, "-v", "--json")
    assert "quantize took" in result.stderr
    assert list(json.loads(result.stdout)["accuracy"]) == ["software", "quantized", "reference"]


def test_output_closed_early() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = run("synq", "boards", capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["boards"], ["boards", "--json"], ["--help"]])
def test_output_to_a_full_device(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        result = run("synq", *arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (1, "synq: error: No space left on device\n")


def shell(script: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """`synq` as "$0" of a shell, which can close what Python cannot."""
    return subprocess.run(
        ["sh", "-c", script, command("synq")],
        capture_output=True,
        text=True,
        timeout=300,
        **settings,
    )


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$0" boards >&-', 0),
        ('"$0" boards --json >&- <&-', 0),
        ('"$0" boards 2>&- >/dev/full', 1),
        ('"$0" boards 2>/dev/full >/dev/full', 1),
        ('"$0" nonsense 2>&-', 2),
        ('"$0" nonsense 2>/dev/full', 2),
        ('"$0" nonsense >&- 2>&- <&-', 2),
    ],
)
def test_standard_streams_that_take_nothing(script: str, code: int) -> None:
    result = shell(script)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


@needs_export
def test_what_libraries_print_gets_into_no_file(of_small: list[str], tmp_path: Path) -> None:
    """The numbers of closed streams are not given to files."""
    words = " ".join(f"'{word}'" for word in of_small)
    result = shell(f'"$0" export {words} --output project <&- >&- 2>&-', cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert run("synq", "verify", "project", cwd=tmp_path).returncode == 0


def test_a_path_of_two_lines_is_one_line(tmp_path: Path) -> None:
    assert_refused(run("synq", "verify", "a\nb\rc\u2028d", cwd=tmp_path), 1, "is it a synq project")


def test_output_in_ascii(of_small: list[str]) -> None:
    result = run("synq", "quantize", *of_small, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert result.stdout.isascii()


# ---- Usage --------------------------------------------------------------------------------------

USAGE: list[tuple[str, str]] = [
    *((f"--levels {given}", f"between 2 and 256, got {given}") for given in ("0", "1", "300")),
    ("--levels ten", "'--levels': 'ten' is not an integer"),
    ("--levels 10.5", "'--levels': '10.5' is not an integer"),
    ("--levels=", "'--levels': '' is not an integer"),
    ("--levels", "'--levels' requires an argument"),
    ("--levels 200 --count magnitude", "at most 128 when counted over the magnitude"),
    ("--leves 5", "no such option --leves; did you mean --levels"),
    ("5", "unexpected extra argument"),
    ("--board pynq-z3", "unknown board 'pynq-z3'; did you mean pynq-z"),
    ("--board x", "known: alveo-u250, arty-a7-100t, kv260"),
    ("--device pmco", "unknown device 'pmco'; did you mean pcmo"),
    ("--method best", "'best' is not one of 'proposed', 'sampling', 'uniform'"),
    ("--method sampling --branch union", "choose branch ltp or ltd"),
    ("--backend quartus", "'quartus' is not one of 'vitis', 'vivado'"),
    (
        "--data a.npz --data-dir b",
        "a folder of a set's files is for mnist, fashion-mnist, kmnist, cifar10",
    ),
    ("--data diabtes", "no set of this name: did you mean diabetes"),
    ("--data wine --task regression", "wine is for classification, not regression (--task)"),
    ("--data wine --layers 13,8,4", "go from the 13 features of wine to its 3 classes, as 13,8,3"),
    (
        "--data wine --layers 13",
        "--layers must be 2 to 17 numbers of neurons, inputs first",
    ),
    (
        "--data wine --layers a,b",
        "--layers must be 2 to 17 numbers of neurons, inputs first",
    ),
    ("--data wine --input-std 0", "the input std must be above 0, got 0.0 (--input-std)"),
    ("--data wine --input-divisor=-1", "the input divisor must be above 0, got -1.0 (--input-di"),
    ("--seed -1", "seed must be between 0 and"),
    ("--seed one", "'--seed': 'one' is not an integer"),
    ("--checkpoint net --seed 1", "with --checkpoint nothing is trained"),
    ("--percentile 0", "between 50 and 100, got 0 (--percentile)"),
    ("--percentile nan", "between 50 and 100, got nan"),
    ("--percentile most", "'most' is not a number"),
    ("--table-width 1", "between 2 and 16, got 1"),
    ("--table-width 40", "between 2 and 16, got 40 (--table-width)"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[case[0] for case in USAGE])
def test_usage_errors(arguments: str, message: str, tmp_path: Path) -> None:
    assert_refused(run("synq-export", *arguments.split(), cwd=tmp_path), 2, message)
    assert list(tmp_path.iterdir()) == []


def test_unknown_commands() -> None:
    assert_refused(run("synq", "exprt"), 2, "'exprt'; did you mean 'export'")
    assert_refused(run("synq", "verify"), 2, "missing argument")


# ---- Networks and data --------------------------------------------------------------------------


def network_file(path: Path, **tensors: Any) -> None:
    torch.save({name.replace("_", "."): torch.tensor(each) for name, each in tensors.items()}, path)


BAD_CHECKPOINTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "text": (lambda path: path.write_text("hello\n"), "is not a network in a form"),
    "NaN": (lambda path: network_file(path, a_weight=np.full((3, 20), np.nan)), "NaN"),
    "shapes": (
        lambda path: network_file(path, a_weight=np.ones((8, 20)), b_weight=np.ones((3, 9))),
        "takes 9 inputs",
    ),
    "a model": (lambda path: torch.save(torch.nn.Linear(20, 3), path), "never runs code"),
    "outputs": (lambda path: network_file(path, a_weight=np.ones((2, 20))), "has 2 outputs"),
}


@pytest.mark.parametrize("case", BAD_CHECKPOINTS)
def test_bad_checkpoints(case: str, small: Path, tmp_path: Path) -> None:
    make, message = BAD_CHECKPOINTS[case]
    make(tmp_path / "net")
    arguments = ["--checkpoint", tmp_path / "net", "--data", small / "data.npz"]
    assert_refused(run("synq-export", *arguments, "--output", tmp_path / "out"), 1, message)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_does_not_fit_mnist(small: Path, mnist: Dataset) -> None:
    result = run("synq-export", "--checkpoint", small / "net")
    assert_refused(result, 1, "takes 20 inputs, mnist has 784; give its own data (--data)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:1000], "not an npz file"),
        (lambda content: b"text", "not an npz file"),
        (lambda content: content.replace(b"y_test", b"z_test"), "array y_test is missing"),
        (lambda content: content.replace(b"NUMPY", b"DUMPY"), "x_train cannot be read"),
        (None, "No such file"),
    ],
    ids=["truncated", "text", "no labels", "damaged", "missing"],
)
def test_bad_npz(
    change: Callable[[bytes], bytes] | None, message: str, small: Path, tmp_path: Path
) -> None:
    if change is not None:
        (tmp_path / "data.npz").write_bytes(change((small / "data.npz").read_bytes()))
    arguments = ["--checkpoint", small / "net", "--data", tmp_path / "data.npz"]
    assert_refused(run("synq-export", *arguments), 1, "data.npz", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (bytes.fromhex("00000801 00002710") + bytes(100), "truncated: expected 10008 bytes"),
        (bytes.fromhex("00000801 00002710") + bytes(10000), "SHA-256"),
        (b"<html>", "not an IDX file"),
    ],
    ids=["missing", "truncated", "corrupt", "a web page"],
)
def test_bad_idx_files(content: bytes | None, message: str, mnist: Dataset, tmp_path: Path) -> None:
    *good, bad = (file.name for file in MNIST.files)
    for name in good:
        (tmp_path / name).symlink_to(default_cache_dir() / "mnist" / name)
    if content is not None:
        (tmp_path / bad).write_bytes(content)
    assert_refused(run("synq-export", "--data-dir", tmp_path), 1, bad, message)


@needs_export
def test_no_compiler(of_small: list[str], project: Path, tmp_path: Path) -> None:
    without = {**os.environ, "PATH": str(tmp_path)}
    arguments = [*of_small, "--output", tmp_path / "out"]
    assert_refused(run("synq-export", *arguments, env=without), 1, "g++ is not installed")
    assert_refused(run("synq", "verify", project, env=without), 1, "g++ is not installed")


# ---- The output ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("file", "file is a file: a project is a folder (--output)"),
        ("file/inside", "file is a file: choose another folder (--output)"),
        ("foreign", "holds files that synq did not write (mine)"),
        (".", "contains the current or home folder"),
        ("..", "contains the current or home folder"),
        ("/", "contains the current or home folder"),
        ("/proc/project", "cannot write in /proc"),
        ("/proc/self/deep/project", "cannot write in"),
    ],
)
def test_outputs_that_cannot_be_written(
    output: str, message: str, of_small: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine").write_text("precious")
    before = digests(tmp_path)
    result = run("synq-export", *of_small, "--output", output, cwd=tmp_path)
    assert_refused(result, 2, message)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("name", ["train", "quantize"])
@pytest.mark.parametrize("output", [".", "", "/proc/file", "/dev/null/file"])
def test_output_files_that_cannot_be_written(name: str, output: str, tmp_path: Path) -> None:
    assert_refused(run("synq", name, "--output", output, cwd=tmp_path), 2, "--output")


def limited(size: int) -> Callable[[], None]:
    """Files cannot grow beyond `size` bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [2_000, 100_000])
def test_disk_full_at_the_output(size: int, of_small: list[str], tmp_path: Path) -> None:
    output = tmp_path / "new" / "project"
    result = run("synq-export", *of_small, "--output", output, preexec_fn=limited(size))
    assert_refused(result, 1, f"cannot write {output}: ", "free some space")
    assert list(tmp_path.iterdir()) == []


def test_disk_full_at_the_cache(small: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "SYNQ_CACHE_DIR": str(tmp_path)}
    arguments = ["train", "--data", small / "data.npz"]
    result = run("synq", *arguments, env=environment, preexec_fn=limited(4096))
    assert_refused(result, 1, "File too large", "free some space or set SYNQ_CACHE_DIR")
    assert digests(tmp_path) == {}
    result = run("synq", *arguments, "--output", tmp_path / "a b", env=environment)
    assert "trained in" in result.stdout
    assert f"synq-export --checkpoint '{tmp_path}/a b' --data {small}" in result.stdout


# ---- Interrupts ---------------------------------------------------------------------------------


def processes_with(variable: str) -> set[str]:
    """The living processes that have an environment variable, as NAME=VALUE."""
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in environ.read_bytes().split(b"\0"):
                found.add((environ.parent / "comm").read_text().strip())
        except OSError:
            continue
    return found


@pytest.fixture
def interrupted(tmp_path: Path) -> Callable[..., None]:
    """Runs a command, signals it at a moment, and checks that it goes without a trace."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def check(
        arguments: list[Any],
        number: signal.Signals,
        moment: Callable[[int], bool],
        **environment: str,
    ) -> None:
        process = subprocess.Popen(
            [command("synq"), *map(str, arguments)],
            env={**os.environ, "TMPDIR": str(temporary), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background job ignores SIGINT, and so would what is started from it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while not moment(process.pid):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        time.sleep(0.05)
        process.send_signal(number)  # an impatient user
        stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, stdout) == (130, "")
        assert stderr == "synq: error: interrupted; nothing was written\n"
        assert list(temporary.iterdir()) == []
        assert processes_with(f"TMPDIR={temporary}") == set()

    return check


@needs_export
@pytest.mark.parametrize(
    ("file", "number"),
    [
        (".synq-*/project", signal.SIGINT),  # the slow imports begin
        ("tmp/synq-*/hls", signal.SIGTERM),  # hls4ml writes
        (".synq-*/project/vectors.npz", signal.SIGINT),  # two compilers begin
        ("tmp/synq-*/inputs_0.bin", signal.SIGHUP),  # the test bench runs
    ],
)
def test_interrupted_export(
    file: str,
    number: signal.Signals,
    interrupted: Callable[..., None],
    of_small: list[str],
    project: Path,
    tmp_path: Path,
) -> None:
    before = digests(project)
    arguments = ["export", *of_small, "--output", project]
    interrupted(arguments, number, lambda _: any(tmp_path.glob(file)))
    assert digests(project) == before
    assert {path.name for path in tmp_path.iterdir()} == {"project", "tmp"}


@needs_export
def test_interrupted_verification(
    interrupted: Callable[..., None], project: Path, tmp_path: Path
) -> None:
    interrupted(["verify", project], signal.SIGTERM, lambda _: any(tmp_path.glob("tmp/synq-*")))


@pytest.mark.parametrize("library", ["_multiarray_umath", "libtorch_cpu"])
def test_interrupted_training(
    library: str, interrupted: Callable[..., None], mnist: Dataset, tmp_path: Path
) -> None:
    """Once as the imports begin, once as torch has been loaded."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "mnist").symlink_to(default_cache_dir() / "mnist")
    interrupted(
        ["train", "--recipe", "accurate", "--output", tmp_path / "net"],
        signal.SIGINT,
        lambda process: library in Path(f"/proc/{process}/maps").read_text(),
        SYNQ_CACHE_DIR=str(cache),
    )
    assert {path.name for path in tmp_path.rglob("*")} == {"cache", "mnist", "tmp"}


# ---- Verification -------------------------------------------------------------------------------


@needs_export
def test_a_project_verifies_from_anywhere(project: Path, tmp_path: Path) -> None:
    result = run("synq", "verify", "project", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert list(report["bit_exact"].pop("compared")) == ["csim", "axis"]
    assert report["bit_exact"] == {"images": 200, "mismatches": 0}
    assert report["files"] == len(digests(project)) - 1


@needs_export
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda project: shutil.rmtree(project), "is it a synq project?"),
        (lambda project: (project / "manifest.json").unlink(), "is it a synq project?"),
        (lambda project: (project / "manifest.json").write_text("{"), "is not valid JSON"),
        (lambda project: (project / "manifest.json").write_text("[]"), "not the manifest"),
        (lambda project: (project / "manifest.json").write_bytes(b"\xff"), "is not valid JSON"),
        (lambda project: (project / "network.npz").unlink(), "network.npz is missing"),
        (lambda project: (project / "network.npz").write_bytes(b""), "network.npz has changed"),
    ],
    ids=["no folder", "no manifest", "cut", "list", "binary", "missing", "changed"],
)
def test_a_spoilt_project(spoil: Callable[[Path], Any], message: str, project: Path) -> None:
    spoil(project)
    assert_refused(run("synq", "verify", project), 1, str(project), message)


# ---- Any data -----------------------------------------------------------------------------------


def test_any_perceptron_on_any_data(tmp_path: Path) -> None:
    """Trained, saved, quantized again; an error in place of an accuracy."""
    layers = ("--data", "diabetes", "--layers", "10,6,1")
    environment = {**os.environ, "SYNQ_CACHE_DIR": str(tmp_path / "cache")}
    result = run("synq", "train", *layers, "--output", tmp_path / "net", "--json", env=environment)
    trained = json.loads(result.stdout)
    assert trained["sizes"] == [10, 6, 1]
    assert 40 < trained["rmse"]["software"] < 75 and 0 < trained["r2"]["software"] < 1
    given = ("--data", "diabetes", "--checkpoint", tmp_path / "net", "--levels", "17")
    result = run("synq", "quantize", *given, env=environment)
    assert result.returncode == 0, result.stderr
    assert "on 88 test samples, diabetes" in result.stdout and "RMSE" in result.stdout
    again = json.loads(run("synq", "quantize", *given, "--json", env=environment).stdout)
    assert again["rmse"]["software"] == trained["rmse"]["software"]
    assert "accuracy" not in again


def test_options_say_what_a_network_was_trained_on(small: Path, tmp_path: Path) -> None:
    """Its bytes as floats, divided by 256 in training."""
    with np.load(small / "data.npz") as file:
        arrays = dict(file)
    real = {name: arrays[name].astype(np.float32) for name in ("x_train", "x_test")}
    np.savez(tmp_path / "real.npz", **{**arrays, **real})
    given = ("quantize", "--checkpoint", small / "net", "--data", tmp_path / "real.npz", "--json")
    plain, told = run("synq", *given), run("synq", *given, "--input-divisor", "256")
    assert "whole numbers up to 255 given as floats" in plain.stderr and not told.stderr
    assert json.loads(told.stdout)["accuracy"]["software"] == 100


def test_converters_and_their_noise_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(2)
    form = FixedPoint(6, 8, True, Rounding.RND, Overflow.SAT)
    plain = synapse_array(random, 20, 5)
    quiet = replace(plain, converter=Converter(8, form))
    for array, said in (
        (plain, ""),
        (quiet, "array 0: converters of 6 bits, each for 8 rows of a column\n"),
        (with_noise(quiet, 0.5), "each for 8 rows of a column, read noise of 0.50 steps\n"),
    ):
        print_converters(QuantizedNetwork((array,), ()))
        told = capsys.readouterr().out
        assert told.endswith(said) and bool(told) == bool(said)
