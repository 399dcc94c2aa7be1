"""Place and route for 7-series.

Reports and logs are of real runs. No package has nextpnr's himbaechel for 7-series: what starts it
is tried with a program that plays a real run back.
"""

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from projects import make_project
from synq.board import load_board
from synq.errors import NoToolError, SynqError
from synq.progress import SILENT
from synq.synth import himbaechel, yosys
from synq.synth.chip_database import device_of
from synq.synth.comparison import Reference, problems
from synq.synth.himbaechel import Given
from synq.synth.nextpnr_log import parse_log, read_log
from synq.synth.open_synthesis import run_open
from synq.synth.reports import find_reports, read_report
from synq.synth.result import Clock, Kind, Report, Usage

REAL = Path(__file__).parent / "data" / "reports"
LOG = (REAL / "nextpnr_himbaechel_xc7z020_small.log").read_text()
SMALL = (REAL / "nextpnr_himbaechel_xc7z020_small.json").read_text()
PART = "xc7z020clg400-1"


def real(name: str) -> Path:
    return REAL / f"nextpnr_himbaechel_xc7z020_{name}"


# ---- Reports ------------------------------------------------------------------------------------


def test_a_real_report() -> None:
    """784-128-10 in one bucket row, 200 MHz asked for."""
    assert read_report(real("small.json")) == Report(
        kind=Kind.NEXTPNR,
        top="synq_top",
        stage="routed",
        target_clock_ns=5.0,
        critical_path="layer_0.array.set_at[4] (synq_array_serial) to layer_0.array, bank 0, "
        "lane 51, bucket: 2.98 ns logic, 6.76 ns routing",
        lut=Usage(11_478, 53_200),
        ff=Usage(6_418, 106_400),
        bram_18k=Usage(32, 280),
        dsp=Usage(3, 220),
        wns_ns=-4.738,
        clocks=(Clock("core.clk", 5.0, -4.738),),
        timing_met=False,
    )


@pytest.mark.parametrize(
    ("name", "mhz", "lut", "bram", "path"),
    [
        (
            "decode",
            134.05,
            2_703,
            32,
            "layer_0.array, decoded 0, x_early[2] (synq_mac_bank) to layer_0.array, decoded 0: "
            "0.80 ns logic, 6.66 ns routing",
        ),
        (
            "tiny",
            137.74,
            3_847,
            0,
            "layer_0.array.level[5] (synq_array) to layer_0, a reset: 1.59 ns logic, 5.67 ns "
            "routing",
        ),
        (
            "wide",
            106.32,
            21_020,
            36,
            "layer_1.rows.occupied[1] (synq_rows_dense) to layer_0, a clock enable: 1.61 ns "
            "logic, 7.79 ns routing",
        ),
    ],
)
def test_other_real_reports(name: str, mhz: float, lut: int, bram: int, path: str) -> None:
    report = read_report(real(f"{name}.json"))
    assert report.worst_path_ns is not None
    assert round(1000 / report.worst_path_ns, 2) == mhz
    assert (report.lut, report.bram_18k) == (Usage(lut, 53_200), Usage(bram, 280))
    assert report.critical_path == path


def test_the_log_says_what_the_report_says() -> None:
    """And the part, and the look-up tables that only pass a signal on."""
    report, logged = read_report(real("small.json")), read_report(real("small.log"))
    assert logged.wns_ns == pytest.approx(report.wns_ns, abs=1e-3)
    assert read_log(LOG.splitlines()).passes_on == 5_753
    assert logged == replace(
        report,
        part=PART,
        lut=Usage(11_478 - 5_753, 53_200),
        wns_ns=logged.wns_ns,
        clocks=logged.clocks,
    )


def test_held_against_the_board() -> None:
    reference = Reference(load_board("pynq-z2"), None)
    (late,) = problems(read_report(real("wide.json")), reference)
    assert late.text == "Timing not met: setup slack (WNS) -2.739 ns"


def test_outputs_of_tables_that_share_one_are_never_more_than_there_are() -> None:
    content = json.loads(SMALL)
    content["utilization"]["SLICE_LUTX"]["used"] = 60_000
    content["synq"] = {"passes_on": 1_000}
    report = himbaechel.parse_report(json.dumps(content))
    assert report.lut == Usage(53_200, 53_200)
    content["synq"] = {"passes_on": 20_000}
    assert himbaechel.parse_report(json.dumps(content)).lut == Usage(40_000, 53_200)


BROKEN_REPORTS = {
    "cut": (SMALL[:3000], "is damaged or cut off"),
    "no tables": (SMALL.replace("SLICE_LUTX", "SLICE_LUTY"), "is not read, ECP5 and 7-series are"),
    "no blocks": (SMALL.replace("RAMB36E1_RAMB36E1", "RAMB"), "it has no RAMB36E1_RAMB36E1"),
    "no path": (SMALL.replace('"critical_paths"', '"paths"', 1), "is not a report that synq reads"),
    "no net": (SMALL.replace('"sources": [', '"sources": 1, "s": [', 1), "TypeError"),
    "more used than there are": (
        SMALL.replace('"used": 11478', '"used": 111478'),
        "look-up tables",
    ),
}


@pytest.mark.parametrize("case", BROKEN_REPORTS)
def test_broken_reports(case: str, tmp_path: Path) -> None:
    text, message = BROKEN_REPORTS[case]
    assert text != SMALL
    path = tmp_path / "nextpnr.json"
    path.write_text(text)
    with pytest.raises(SynqError, match=message) as caught:
        read_report(path)
    assert "\n" not in str(caught.value)


WARNED = "Warning: Max frequency for clock 'core.clk': 102.69 MHz (FAIL at 200.00 MHz)"
BROKEN_LOGS = {
    "not finished": ("Info: Program finished normally.", "", "is cut off"),
    "an error": ("0 errors", "0 errors\nERROR: Failed to route", "a run that failed: ERROR: Fai"),
    "not routed": ("Info: Routing complete.", "", "did not route"),
    "no blocks": ("RAMB18E1_RAMB18E1", "RAMB18E1_RAMB", "it has no RAMB18E1_RAMB18E1"),
    "more tables than there are": ("11478/ 106400", "211478/ 106400", "look-up tables"),
    "no frequency": ("102.69 MHz (FAIL at 200.00", "102.69 MHz (FAIL at 0.00", "is no number"),
}


@pytest.mark.parametrize("case", BROKEN_LOGS)
def test_broken_logs(case: str) -> None:
    old, new, message = BROKEN_LOGS[case]
    assert old in LOG
    with pytest.raises(SynqError, match=message):
        parse_log(LOG.replace(old, new).splitlines())


@pytest.mark.parametrize(
    ("said", "met"),
    [
        ("102.69 MHz (FAIL at 200.00 MHz)", False),
        ("200.00 MHz (FAIL at 200.00 MHz)", False),
        ("200.00 MHz (PASS at 200.00 MHz)", True),
        ("102.69 MHz (PASS at 200.00 MHz)", False),  # contradicts itself
    ],
)
def test_the_verdict_of_a_log(said: str, met: bool) -> None:
    changed = LOG.replace(WARNED, WARNED.partition(": 1")[0] + f": {said}")
    report = parse_log(changed.splitlines())
    assert report.timing_met is met
    assert bool(problems(report, Reference(None, None))) is not met


def test_without_a_clock_there_is_no_verdict() -> None:
    """The one of the placement is none."""
    report = parse_log(LOG.replace(WARNED, "").splitlines())
    assert (report.timing_met, report.clocks, report.worst_path_ns) == (None, (), None)


# ---- The chip database --------------------------------------------------------------------------


def database(path: Path, uarch: str = "xilinx", device: str = "xc7z020") -> Path:
    """A chip database as far as it is looked at: its head at the end, names before it."""
    names = f"{uarch}\0{device}\0".encode()
    head = 4 + len(names)
    first, second = 4 - (head + 16), 4 + len(uarch) + 1 - (head + 20)
    path.write_bytes(
        struct.pack("<i", head) + names + struct.pack("<6i", 0xCA7CA7, 6, 9, 9, first, second)
    )
    return path


def test_of_which_device_a_database_is(tmp_path: Path) -> None:
    path = database(tmp_path / "chipdb.bin", "gatemate", "CCGM1A1")
    assert device_of(path) == ("gatemate", "CCGM1A1")


def test_what_is_no_database(tmp_path: Path) -> None:
    whole = database(tmp_path / "whole.bin").read_bytes()
    path = tmp_path / "chipdb.bin"
    others = [
        struct.pack("<i", -8) + whole[4:],  # before the file
        whole.replace(struct.pack("<i", 0xCA7CA7), b"abcd"),
        whole[:-4] + struct.pack("<i", 2**31 - 1),
        whole.replace(b"xilinx", b"\xff\xff\xff\xff\xff\xff"),
    ]
    for content in (*(whole[:size] for size in range(len(whole))), *others):
        path.write_bytes(content)
        with pytest.raises(SynqError, match="is no chip database of nextpnr's himbaechel"):
            device_of(path)


# ---- What is needed, and whether it fits --------------------------------------------------------

# Plays a run back: what it is told it writes down, what it says is real.
FAKE = f"""#!{sys.executable}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
given = sys.argv[1:]
if given == ["--version"]:
    print('"nextpnr-himbaechel" -- Next Generation Place and Route (Version nextpnr-0.11)')
elif given == ["--list-uarch"]:
    print((here / "uarches").read_text())
else:
    (here / "arguments.json").write_text(json.dumps(given))
    for name in ("shell.xdc", "netlist.json"):
        (here / name).write_text(pathlib.Path(name).read_text())
    print((here / "log").read_text())
    (here / "code").exists() and sys.exit(int((here / "code").read_text()))
    option = dict(zip(given, given[1:]))
    pathlib.Path(option["--report"]).write_text((here / "report").read_text())
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder on PATH with the program and what it plays."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nextpnr-himbaechel"
    program.write_text(FAKE)
    program.chmod(0o755)
    (folder / "uarches").write_text("Info: Supported uarches: gowin xilinx")
    (folder / "log").write_text(LOG)
    (folder / "report").write_text(SMALL)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def chipdb(tmp_path: Path) -> Path:
    return database(tmp_path / "chipdb-xc7z020.bin")


def test_what_is_needed_is_found(tool: Path, chipdb: Path) -> None:
    prepared = himbaechel.prepare(PART, Given(database=chipdb))
    assert prepared.program == tool / "nextpnr-himbaechel"
    assert (prepared.database, prepared.part) == (chipdb, PART)
    (tool / "nextpnr-himbaechel").rename(tool / "nextpnr-himbaechel-xilinx")
    prepared = himbaechel.prepare(PART, Given(database=chipdb))
    assert prepared.program == tool / "nextpnr-himbaechel-xilinx"
    program = (tool / "nextpnr-himbaechel-xilinx").rename(tool / "mine")
    assert himbaechel.prepare(PART, Given(program, chipdb)).program == program


def test_a_part_that_is_sold_by_another_name(tool: Path, tmp_path: Path) -> None:
    given = Given(database=database(tmp_path / "a.bin", device="xc7a50t"))
    prepared = himbaechel.prepare("XC7A35TCSG324-2l", given)
    assert (prepared.part, prepared.pins[0]) == ("xc7a35tcsg324-2L", "E3")


def test_a_missing_tool_or_database(tmp_path: Path, chipdb: Path, tool: Path) -> None:
    given = Given(database=chipdb)
    with pytest.raises(NoToolError, match="nextpnr-himbaechel is not on PATH"):
        himbaechel.prepare(PART, given, {"PATH": str(tmp_path)})
    with pytest.raises(NoToolError, match="is no program that can be run"):
        himbaechel.prepare(PART, replace(given, program=chipdb))
    with pytest.raises(NoToolError, match="chip database of the xc7z020"):
        himbaechel.prepare(PART, Given())
    with pytest.raises(NoToolError, match="there is no file"):
        himbaechel.prepare(PART, Given(database=tmp_path / "none.bin"))
    (tool / "uarches").write_text("Info: Supported uarches: gowin gatemate")
    with pytest.raises(NoToolError, match="is built without 7-series, for gowin gatemate"):
        himbaechel.prepare(PART, given)
    (tool / "uarches").write_text("ERROR: unrecognised option")
    with pytest.raises(SynqError, match="does not say which chips it knows, it says: ERROR: unrec"):
        himbaechel.prepare(PART, given)


def test_a_database_of_another_device(tool: Path, tmp_path: Path) -> None:
    """nextpnr takes it, if it has the package."""
    given = Given(database=database(tmp_path / "a.bin", device="xc7z010"))
    with pytest.raises(SynqError, match=r"is the chip database of xc7z010 \(xilinx\), and xc7z020"):
        himbaechel.prepare(PART, given)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("xc7s50csga324-1", "is no part as nextpnr's himbaechel takes them"),
        ("xc7z020", "is no part as nextpnr's himbaechel takes them"),
        ("xc7a200tffg1156-1", "knows no pins of the package ffg1156"),
    ],
)
def test_other_parts(part: str, message: str, tool: Path, chipdb: Path) -> None:
    with pytest.raises(SynqError, match=message):
        himbaechel.prepare(part, Given(database=chipdb))


# ---- Runs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("himbaechel") / "project", "pynq-z2")


def synq(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "synq"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def test_a_run(project: Path, tool: Path, chipdb: Path) -> None:
    """The netlist is real; what nextpnr answers is of another core."""
    result = synq("synth", project, "--tool", "nextpnr", "--chip-database", chipdb)
    assert (result.returncode, result.stderr) == (0, "")
    said = " ".join(result.stdout.split())
    assert "nextpnr place and route 0.11, xc7z020clg400-1, routed, synq_top" in said
    assert "worst path 9.738 ns (102.7 MHz)" in said
    assert "layer_0.array.set_at[4] (synq_array_serial) to layer_0.array, bank 0, lane 51" in said
    assert "LUT 5,725 53,200 10.8 700 8.18" in said  # against board and estimate
    assert "The worst path is an estimate" in said  # Yosys', of the same netlist
    assert "Timing: not met" in said

    mapped, routed = (report for _, report in find_reports(project))
    assert (mapped.kind, routed.kind) == (Kind.YOSYS_STATISTICS, Kind.NEXTPNR)
    assert mapped.dsp == Usage(9, None) and mapped.estimated_clock_ns is not None
    assert (routed.part, routed.tool_version) == (PART, "0.11")
    assert read_report(project / "flow" / "logs" / "nextpnr.log").part == PART

    arguments = json.loads((tool / "arguments.json").read_text())
    assert arguments == [
        *["--device", PART, "--chipdb", str(chipdb), "--vopt", "xdc=shell.xdc"],
        *["--json", "netlist.json", "--top", "synq_shell", "--report", "report.json"],
        *["--seed", "1", "--freq", "100.000000", "--timing-allow-fail"],
    ]
    assert "set_property LOC H16 [get_ports clk]\n" in (tool / "shell.xdc").read_text()
    modules = json.loads((tool / "netlist.json").read_text())["modules"]
    shell = modules["synq_shell"]
    assert sorted(shell["ports"]) == sorted(yosys.SHELL_PORTS)
    kinds = {cell["type"] for cell in shell["cells"].values()}
    assert {"BUFG", "IBUF", "OBUF", "DSP48E1", "FDRE", "CARRY4"} <= kinds
    assert not {kind for kind in kinds if kind.startswith(("SRL", "$", "synq"))}


def test_a_log_of_another_run_is_noticed(project: Path, tool: Path, chipdb: Path) -> None:
    scratch = tool.parent
    prepared = himbaechel.prepare(PART, Given(database=chipdb))
    (scratch / "netlist.json").write_text("{}")
    assert himbaechel.place_and_route(prepared, scratch, 10.0).passes_on == 5_753
    for old, new in (("102.69049", "112.69049"), ('"used": 6418', '"used": 6419')):
        assert old in SMALL
        (tool / "report").write_text(SMALL.replace(old, new))
        with pytest.raises(SynqError, match="log or report: they say different things"):
            himbaechel.place_and_route(prepared, scratch, 10.0)
    (tool / "report").write_text(SMALL[:5000])
    with pytest.raises(SynqError, match="log or report: not a tool's report"):
        himbaechel.place_and_route(prepared, scratch, 10.0)
    (tool / "report").write_text(SMALL)
    (tool / "log").write_text(LOG.partition("Info: Critical path report")[0])
    with pytest.raises(SynqError, match="log or report: is cut off"):
        himbaechel.place_and_route(prepared, scratch, 10.0)


def test_a_placer_that_gives_up(project: Path, tool: Path, chipdb: Path) -> None:
    (tool / "code").write_text("125")
    (tool / "log").write_text("ERROR: Unable to find legal placement for all cells")
    with pytest.raises(SynqError, match=r"code 125: ERROR: Unable to find legal placement"):
        run_open(project, 15, SILENT, Given(database=chipdb))
    assert not (project / "flow" / "reports" / "nextpnr.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 3, "chip database of the xc7z020"),
        (("--chip-database", "none.bin"), 3, "there is no file none.bin (--chip-database)"),
        (("--nextpnr", "none"), 3, "none is no program that can be run (--nextpnr)"),
        (("--stage", "csim"), 2, "--stage is about AMD's tools: leave it out with --tool nextpnr"),
    ],
)
def test_one_line(
    arguments: tuple[str, ...], code: int, words: str, project: Path, tool: Path
) -> None:
    result = synq("synth", project, "--tool", "nextpnr", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_without_the_tool(project: Path, chipdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    result = synq("synth", project, "--tool", "nextpnr", "--chip-database", chipdb)
    assert (result.returncode, result.stdout) == (3, "")
    assert "not on PATH" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("tool_name", ["yosys", "amd"])
def test_its_options_are_its_own(tool_name: str, project: Path) -> None:
    result = synq("synth", project, "--tool", tool_name, "--chip-database", "a.bin")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        f"--chip-database is about nextpnr: leave it out with --tool {tool_name}" in result.stderr
    )


def test_boards_of_other_families(tmp_path: Path) -> None:
    given = Given(database=tmp_path / "a.bin")
    with pytest.raises(SynqError, match="7-series and ECP5, and xck26-sfvc784-2LV-c is neither"):
        run_open(make_project(tmp_path / "kria", "kv260"), 1, SILENT, given)
    with pytest.raises(SynqError, match="is an ECP5, for which nextpnr-ecp5 needs no chip"):
        run_open(make_project(tmp_path / "ulx", "ulx3s-85f"), 1, SILENT, given)


def test_synthesis_alone_is_what_it_was(project: Path, tmp_path: Path) -> None:
    """Place and route has flags of its own, which change what the core takes."""
    script = tmp_path / "synth.ys"
    files = {path.name: path.read_bytes() for path in (project / "rtl").iterdir()}
    with pytest.raises(SynqError, match="took too long"):
        yosys.synthesize(files, tmp_path, yosys.XC7, seconds=0, netlist=True)
    assert yosys.family_of(PART) is yosys.XC7
    text = script.read_text()
    assert "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -run begin:map_memory" in text
    assert "hierarchy -check -top synq_top\nsynth" in text
    assert not any(word in text for word in ("abc9", "nosrl", "synq_shell", "write_json"))
