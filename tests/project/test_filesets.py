"""The lists of the core's files, as the tools read them that they are for."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from strategies import paired_network, synapse_array
from synq import __version__
from synq.board import load_board
from synq.network import QuantizedNetwork
from synq.project.filesets import render_filesets
from synq.project.output import write_files
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.simulate import Verilator
from synq.rtl.verilog import render_rtl

ARRAY = synapse_array(np.random.default_rng(1), 12, 3, levels=5)
BANKED = render_rtl(QuantizedNetwork((ARRAY,), ()), RtlDesign((RtlArray(0, 1),)))
TITLE = 'mine "of" {{ x }} größe-pcmo-L10-pynq-z2'


def project(folder: Path, core: dict[str, bytes] = BANKED, board: str = "pynq-z2") -> Path:
    files = {f"rtl/{name}": content for name, content in core.items()}
    write_files(folder, files | render_filesets(load_board(board), TITLE, core))
    return folder


def unrolled() -> dict[str, bytes]:
    network = paired_network(np.random.default_rng(5), (20, 6, 4), bias=True)
    array = RtlArray(0, 0, unrolled=True)
    return render_rtl(network, RtlDesign((array, array), result_bits=wide_result(4)))


# ---- The file list ------------------------------------------------------------------------------


def lint(folder: Path, verilator: Verilator) -> str:
    options = ["--lint-only", "-Wall", "-Wno-DECLFILENAME", "--top-module", "synq_top"]
    return verilator.run([*options, "-f", "rtl/synq.f"], folder)


@pytest.mark.parametrize("core", [BANKED, unrolled()], ids=["banked", "unrolled"])
def test_verilator_takes_the_file_list_without_a_warning(
    core: dict[str, bytes], tmp_path: Path, verilator: Verilator
) -> None:
    assert "Warning" not in lint(project(tmp_path, core), verilator)


def test_icarus_takes_the_file_list(tmp_path: Path) -> None:
    command = ["iverilog", "-g2005", "-s", "synq_top", "-o", "core.vvp", "-c", "rtl/synq.f"]
    result = subprocess.run(command, cwd=project(tmp_path), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("core", [BANKED, unrolled()], ids=["banked", "unrolled"])
def test_the_file_list_has_each_file_of_verilog_once(
    core: dict[str, bytes], tmp_path: Path
) -> None:
    lines = (project(tmp_path, core) / "rtl" / "synq.f").read_text().splitlines()
    listed = [line for line in lines if not line.startswith("//")]
    present = (tmp_path / "rtl").glob("*.v")
    assert sorted(listed) == sorted(f"rtl/{path.name}" for path in present)


def test_a_line_that_is_missing_is_noticed(tmp_path: Path, verilator: Verilator) -> None:
    path = project(tmp_path) / "rtl" / "synq.f"
    path.write_text(path.read_text().replace("rtl/synq_intake.v\n", ""))
    with pytest.raises(Exception, match="synq_intake"):
        lint(tmp_path, verilator)


# ---- The constraints ----------------------------------------------------------------------------


def test_the_clock_is_the_boards() -> None:
    files = render_filesets(load_board("kv260"), TITLE, BANKED)
    lines = files["rtl/synq.xdc"].decode().splitlines()
    assert lines[-1] == "create_clock -name clk -period 5 [get_ports clk]"
    assert "rtl/synq.xdc" not in render_filesets(load_board("ulx3s-85f"), TITLE, BANKED)


# ---- The FuseSoC core ---------------------------------------------------------------------------

# Of CAPI2 ("CAPI2 core file format" in FuseSoC's reference manual), what our core uses: the keys
# that a section may have, and their types.
TOP_LEVEL = {"CAPI=2": type(None), "name": str, "description": str, "filesets": dict}
TOP_LEVEL |= {"targets": dict}
FILESET = {"file_type": str, "files": list}
FILE = {"copyto": str}
TARGET = {"description": str, "filesets": list, "toplevel": str, "flow": str, "flow_options": dict}
FILE_TYPES = ["verilogSource-2005", "mem", "xdc"]  # of Edalize's EDAM
FLOWS = {
    "lint": {"tool": str, "verilator_options": list},
    "vivado": {"part": str, "pnr": str},
    "generic": {"tool": str, "arch": str},
}


def faults(folder: Path) -> list[str]:
    """What FuseSoC would not take of the core file, or not find; empty if nothing."""
    text = (folder / "synq.core").read_text("ascii")
    if not text.startswith("CAPI=2:\n"):
        return ["it does not begin with CAPI=2:"]
    core = yaml.safe_load(text)
    found: list[str] = []

    def check(section: dict[str, Any], allowed: dict[str, type], where: str) -> None:
        for key, value in section.items():
            if not isinstance(value, allowed.get(key, type(Ellipsis))):
                found.append(f"{where}: {key} cannot be {value!r}")

    check(core, TOP_LEVEL, "core")
    if len(core["name"].split(":")) != 4 or not core["name"].isascii() or " " in core["name"]:
        found.append(f"{core['name']} is no vendor:library:name:version")
    for name, fileset in core["filesets"].items():
        check(fileset, FILESET, name)
        if fileset.get("file_type") not in FILE_TYPES:
            found.append(f"{name}: no such file type as {fileset.get('file_type')}")
        for each in fileset["files"]:
            path, attributes = next(iter(each.items())) if isinstance(each, dict) else (each, {})
            check(attributes, FILE, path)
            if not (folder / path).is_file():
                found.append(f"{name}: there is no {path}")
    for name, target in core["targets"].items():
        check(target, TARGET, name)
        check(target.get("flow_options", {}), FLOWS.get(target.get("flow"), {}), name)
        for fileset in target["filesets"]:
            if fileset not in core["filesets"]:
                found.append(f"{name}: there is no fileset {fileset}")
    return found


@pytest.mark.parametrize("core", [BANKED, unrolled()], ids=["banked", "unrolled"])
@pytest.mark.parametrize("board", ["pynq-z2", "arty-a7-100t", "ulx3s-85f"])
def test_the_core_file_is_one(core: dict[str, bytes], board: str, tmp_path: Path) -> None:
    assert faults(project(tmp_path, core, board)) == []
    described = yaml.safe_load((tmp_path / "synq.core").read_text())
    assert described["name"] == f"synq:core:mine_of_x_gr_e_pcmo_L10_pynq_z2:{__version__}"
    assert described["description"].endswith(TITLE)
    filesets, targets = described["filesets"], described["targets"]
    assert sorted(filesets["rtl"]["files"]) == sorted(
        f"rtl/{name}" for name in core if name.endswith(".v")
    )
    memories = {name: value for each in _memories(filesets) for name, value in each.items()}
    assert memories == {f"rtl/{name}": {"copyto": name} for name in core if name.endswith(".mem")}
    assert set(targets) == {"default", "lint", "synth"}
    assert {target["toplevel"] for target in targets.values()} == {"synq_top"}
    assert targets["lint"]["flow_options"]["tool"] == "verilator"
    vivado = load_board(board).has_hls
    assert ("constraints" in targets["synth"]["filesets"]) is vivado
    options = targets["synth"]["flow_options"]
    assert options == (
        {"part": load_board(board).part, "pnr": "none"}
        if vivado
        else {"tool": "yosys", "arch": "ecp5"}
    )


def _memories(filesets: dict[str, Any]) -> list[dict[str, Any]]:
    memories: list[dict[str, Any]] = filesets.get("memories", {"files": []})["files"]
    return memories


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda text: text.replace("CAPI=2", "CAPI=1"), "does not begin"),
        (lambda text: text.replace("  rtl:\n    file_type", "  rtl:\n    type"), "type cannot be"),
        (lambda text: text.replace("rtl/synq_rom.v", "rtl/synq_ram.v"), "no rtl/synq_ram.v"),
        (lambda text: text.replace("-2005", "-1864"), "no such file type"),
        (lambda text: text.replace("[rtl, memories]", "[rtl, remedies]"), "no fileset remedies"),
        (lambda text: text.replace("copyto", "copy"), "copy cannot be"),
        (lambda text: text.replace("pnr: none", "pnr: 5"), "pnr cannot be 5"),
        (lambda text: text.replace("flow: lint", "flow: lent"), "tool cannot be"),
        (lambda text: text.replace("synq:core:", "synq:"), "no vendor:library"),
    ],
)
def test_a_core_file_that_is_none_is_noticed(
    spoil: Callable[[str], str], fault: str, tmp_path: Path
) -> None:
    path = project(tmp_path) / "synq.core"
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    assert fault in " ".join(faults(tmp_path))


def test_the_same_core_has_the_same_lists() -> None:
    board = load_board("pynq-z2")
    backwards = dict(reversed(BANKED.items()))
    assert render_filesets(board, TITLE, BANKED) == render_filesets(board, TITLE, backwards)
