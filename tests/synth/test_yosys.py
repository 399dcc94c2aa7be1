"""Open synthesis with Yosys: a real run on a small project, and everything that can be wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from projects import ESTIMATE, make_project
from synq.board import board_names, load_board
from synq.errors import NoToolError, SynqError
from synq.progress import SILENT
from synq.project.manifest import changed_files, read_manifest
from synq.synth import timing, yosys
from synq.synth.open_synthesis import run_open
from synq.synth.reports import find_reports, read_report
from synq.synth.result import Kind, Usage
from synq.synth.timing import Longest, analyse
from synq.synth.tool_json import with_facts
from synq.synth.yosys_statistics import parse_report

REAL = Path(__file__).parent / "data" / "reports" / "yosys_0.70_xc7z020.json"


@pytest.fixture(scope="module")
def needed() -> None:
    yosys.find_yosys()  # it comes with the extra `test`: fails without


def synq(*arguments: Any, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "synq"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **settings)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


# ---- A real run ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(needed: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project after `synq synth --tool yosys`, and what that printed."""
    project = make_project(tmp_path_factory.mktemp("yosys") / "a [b] project", "pynq-z2")
    result = synq("synth", project, "--tool", "yosys")
    assert (result.returncode, result.stderr) == (0, "")
    return project, result.stdout


def test_a_run_leaves_its_report_and_its_log(ran: tuple[Path, str]) -> None:
    project, _ = ran
    (report,) = (project / "flow" / "reports").iterdir()
    (log,) = (project / "flow" / "logs").iterdir()
    assert (report.name, log.name) == ("yosys.json", "yosys.log")
    assert "Executing SYNTH_XILINX pass" in log.read_text()
    assert changed_files(project, read_manifest(project)) == []


def test_the_report_of_a_run(ran: tuple[Path, str]) -> None:
    project, _ = ran
    ((path, report),) = find_reports(project)
    assert path == project / "flow" / "reports" / "yosys.json"
    assert report.kind is Kind.YOSYS_STATISTICS
    assert report.flow == "rtl"
    assert (report.part, report.top, report.stage) == (
        "xc7z020clg400-1",
        "synq_top",
        "synthesized",
    )
    assert report.dsp == Usage(6 + 3, None)  # a decoded row an array
    assert report.lut is not None and report.lutram is not None
    assert 0 < report.lutram.used < report.lut.used
    assert [layer.name for layer in report.layers] == ["synq_layer_0", "synq_layer_1"]
    layers = [layer.resources for layer in report.layers]
    assert 0 <= report.lut.used - sum(layer.lut for layer in layers) < 20
    assert [layer.dsp for layer in layers] == [6, 3]
    assert (report.target_clock_ns, report.timing_met) == (10.0, None)
    assert report.clock_model == timing.MODEL
    assert report.estimated_clock_ns is not None and 2 < report.estimated_clock_ns < 15
    assert report.logic_levels is not None and 1 < report.logic_levels < 20
    assert report.critical_path is not None and " to layer_" in report.critical_path


def test_the_report_beside_board_and_estimate(ran: tuple[Path, str]) -> None:
    project, printed = ran
    (_, found), *_ = find_reports(project)
    result = synq("report", project)
    assert (result.returncode, result.stderr) == (0, "")
    for text in (printed, result.stdout):
        rows = [line.split() for line in text.splitlines()]
        assert ["DSP", "9", "220", "4.1", "9", "1.00"] in rows
        assert any(row[:1] == ["LUTRAM"] and row[2] == "17,400" for row in rows)
        assert any(row[:1] == ["synq_layer_1"] for row in rows)
        assert f"Yosys synthesis {found.tool_version}, xc7z020clg400-1" in text
        assert "The worst path is an estimate:" in text
    assert printed.splitlines()[-1] == f"  synq report '{project}'"
    content = json.loads(synq("report", project, "--json").stdout)
    assert content["estimate"]["resources"] == ESTIMATE["resources"]
    assert content["layers"][0]["name"] == "synq_layer_0"
    assert content["lutram"]["budget"] == 17_400


def test_json_of_a_run(needed: None, tmp_path: Path) -> None:
    """For UltraScale+, of which no clock is estimated."""
    project = make_project(tmp_path / "project", "kv260")
    result = synq("synth", project, "--tool", "yosys", "--json")
    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    content = json.loads(result.stdout)
    (report,) = content["reports"]
    assert content["tools"] == [f"Yosys {report['tool_version']}"]
    assert (report["board"], report["part"]) == ("kv260", "xck26-sfvc784-2lv-c")
    assert (report["dsp"]["used"], report["estimated_clock_ns"]) == (9, None)


@pytest.mark.parametrize("name", board_names())
def test_every_board_has_a_family(name: str) -> None:
    board = load_board(name)
    families = {"zynq": "xc7", "artix7": "xc7", "ecp5": "ecp5"}
    assert yosys.family_of(board.part).name == families.get(board.family, "xcup")


# ---- What can be wrong --------------------------------------------------------------------------


def test_usage_errors(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    for options in (["--stage", "csim"], ["--ssh", "host"], ["--keep"], ["--ssh-dir", "x"]):
        result = synq("synth", project, "--tool", "yosys", *options)
        assert_refused(result, 2, f"{options[0]} is about AMD's tools")
    assert_refused(synq("synth", project, "--tool", "gold"), 2, "'gold' is not one of")


def test_projects_that_cannot_be_synthesized(tmp_path: Path) -> None:
    assert_refused(synq("synth", tmp_path, "--tool", "yosys"), 1, "is it a synq project?")
    project = make_project(tmp_path / "project", "pynq-z2")
    shutil.rmtree(project / "rtl")
    assert_refused(synq("synth", project, "--tool", "yosys"), 1, "export it with the rtl flow")
    (project / "rtl").mkdir()
    assert_refused(
        synq("synth", project, "--tool", "yosys"), 1, ".mem is missing (and ", "export the"
    )
    project = make_project(tmp_path / "another", "pynq-z2")
    manifest = project / "manifest.json"
    manifest.write_text(manifest.read_text().replace("xc7z020clg400-1", "5CSEBA6U23I7"))
    result = synq("synth", project, "--tool", "yosys")
    assert_refused(result, 1, "5CSEBA6U23I7 with Yosys: it does for 7-series")


def test_hls_is_refused_where_there_is_none(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    words = ("has no scripts for AMD's tools", "synthesize its Verilog with Yosys", "(--tool)")
    assert_refused(synq("synth", project), 1, *words)


def test_a_failing_yosys_is_one_line(needed: None, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    top = project / "rtl" / "synq_top.v"
    top.write_text(top.read_text().replace("endmodule", "endmodul"))
    old = project / "flow" / "reports" / "yosys.json"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    result = synq("synth", project, "--tool", "yosys")
    log = project / "flow" / "logs" / "yosys.log"
    assert_refused(result, 1, "Yosys stopped with code", "ERROR", f"see {log}")
    assert log.is_file()
    assert old.read_text() == "old"


def test_a_missing_yosys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoToolError, match=r"Yosys is not installed.*pip install pyosys") as caught:
        run_open(project, 1, SILENT)
    assert caught.value.exit_code == 3


def test_a_time_limit(needed: None, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    result = synq("synth", project, "--tool", "yosys", "--timeout", "0.005")
    assert_refused(result, 1, "Yosys was not done within 0.005 minutes and was ended; see", "time")


def test_an_interrupt_leaves_the_log_and_no_process(needed: None, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "pynq-z2")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "synq"), "synth", str(project), "--tool", "yosys"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: any(log.stat().st_size for log in scratch.glob("synq-*/yosys.log")))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    log = project / "flow" / "logs" / "yosys.log"
    assert stderr == f"synq: error: Yosys was interrupted; see {log}\n"
    assert log.is_file()
    assert list(scratch.iterdir()) == []
    assert not any(str(scratch) in command for command in commands())


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def commands() -> list[str]:
    """Working folders of all processes."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


# ---- Statistics ---------------------------------------------------------------------------------


def test_real_statistics() -> None:
    """784-128-10 at L = 10, one row a cycle in eight buckets."""
    report = read_report(REAL)
    assert (report.tool_version, report.part) == ("0.70", "xc7z020clg400-1")
    assert (report.lut, report.lutram, report.ff) == (
        Usage(4391, None),
        Usage(1142, None),
        Usage(6149, None),
    )
    assert (report.bram_18k, report.dsp, report.uram) == (Usage(31, None), Usage(12, None), None)
    assert [(layer.name, layer.resources.lut, layer.resources.dsp) for layer in report.layers] == [
        ("synq_layer_0", 4006, 2),
        ("synq_layer_1", 382, 10),
    ]
    assert (report.estimated_clock_ns, report.logic_levels) == (9.064, 7)


def test_over_a_board(tmp_path: Path) -> None:
    from projects import MINE

    board = tmp_path / "mine.toml"
    for old, new, label in (
        ("lut = 20800", "lut = 4390", "4,391 LUT of the board mine's 4,390, 100.0 %"),
        ("lutram = 9600", "lutram = 571", "1,142 LUTRAM of the board mine's 571, 200.0 %"),
    ):
        board.write_text(MINE.replace(old, new))
        result = synq("report", REAL, "--board", board)
        assert (result.returncode, result.stderr) == (4, "")
        assert result.stdout.startswith(f"Over budget: {label}")


def broken(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(REAL.read_text())
    change(content)
    return json.dumps(content)


def nested(content: dict[str, Any]) -> None:
    content["modules"]["\\synq_layer_1"]["num_submodules_by_type"] = {"\\synq_top": 1}


def endless(content: dict[str, Any]) -> None:
    content["modules"]["\\synq_layer_1"]["num_cells_by_type"]["FDRE"] = 10**12 - 1


BROKEN = {
    "cut": (REAL.read_text()[:900], "is damaged or cut off"),
    "twice": (
        REAL.read_text().replace('"creator":', '"modules": {}, "creator":', 1),
        "'modules' stands there twice",
    ),
    "names twice": (broken(lambda c: c["modules"].update({"synq_top": {}})), "twice"),
    "no modules": (broken(lambda c: c.pop("modules")), "KeyError"),
    "no top": (broken(lambda c: c["modules"].pop("\\synq_top")), "no module synq_top"),
    "unknown": (REAL.read_text().replace('"CARRY4"', '"CARRY5"'), "CARRY5, whose cost is not"),
    "negative": (REAL.read_text().replace('"DSP48E1": 2', '"DSP48E1": -2'), "-2 is no count"),
    "no count": (REAL.read_text().replace('"DSP48E1": 2', '"DSP48E1": true'), "True is no count"),
    "infinite": (REAL.read_text().replace('"DSP48E1": 2', '"DSP48E1": NaN'), "NaN is no number"),
    "inside itself": (broken(nested), "inside itself"),
    "endless": (broken(endless), "count 1,000,000,000,000 and more"),
    "deep": (REAL.read_text().replace("{", '{"a": ' + "[" * 9000, 1), "is damaged or cut off"),
    "huge": (REAL.read_text().replace('"DSP48E1": 2', '"DSP48E1": ' + "9" * 5000), "is damaged"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_statistics(case: str, tmp_path: Path) -> None:
    text, message = BROKEN[case]
    path = tmp_path / "yosys.json"
    path.write_text(text)
    with pytest.raises(SynqError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path} ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_facts_of_others_are_left_out() -> None:
    facts = {"part": 1, "clock_ns": "x", "estimated_clock_ns": True, "logic_levels": -1}
    report = parse_report(with_facts(REAL.read_text(), facts))
    assert (report.part, report.target_clock_ns, report.estimated_clock_ns) == (None, None, None)
    assert (report.logic_levels, report.clock_model, report.lut) == (None, None, Usage(4391, None))


# ---- The longest path ---------------------------------------------------------------------------

FF = ".gate FDRE C=clk CE=$true D={} Q={} R=$false\n"


def longest(tmp_path: Path, *gates: str) -> Longest | None:
    path = tmp_path / "flat.blif"
    path.write_text(".model synq_top\n.names $false\n" + "".join(gates) + ".end\n")
    return analyse(path)


def tables(count: int, *, after: str = "n") -> list[str]:
    return [
        f".gate LUT2 I0={after}{i} I1=other O={after}{i + 1}\n.param INIT 0110\n"
        for i in range(count)
    ]


def test_look_up_tables_between_registers(tmp_path: Path) -> None:
    gates = [FF.format("x", "n0"), *tables(3), FF.format("n3", "y")]
    path = longest(tmp_path, *gates)
    assert path is not None
    assert path.ns == pytest.approx(0.456 + 3 * (0.8 + 0.124))
    assert (path.levels, path.start, path.end) == (3, "n0", "y")
    more = longest(tmp_path, *gates[:-1], *tables(4)[3:], FF.format("n4", "y"))
    assert more is not None
    assert more.ns - path.ns == pytest.approx(0.8 + 0.124)


def test_a_path_as_vivado_has_routed_it(tmp_path: Path) -> None:
    """The worst one of the timing summary in tests/data: eight tables, 8.841 ns to its CE."""
    enabled = ".gate FDRE C=clk CE=n8 D=y Q=y R=$false\n"
    path = longest(tmp_path, FF.format("x", "n0"), *tables(8), enabled)
    assert path is not None
    assert path.levels == 8
    assert path.ns - 0.109 == pytest.approx(8.841, rel=0.03)


def test_a_net_of_many_pins_is_slower(tmp_path: Path) -> None:
    def nets_ns(readers: int) -> float:
        many = [f".gate LUT2 I0=n1 I1=other O=m{i}\n.param INIT 0110\n" for i in range(readers)]
        ends = FF.format("n0", "n0") + FF.format("m0", "q")
        found = longest(tmp_path, ends, *tables(1), *many)
        assert found is not None and found.levels == 2
        return found.nets_ns

    assert nets_ns(1) == nets_ns(64) == pytest.approx(1.6)
    assert nets_ns(128) == pytest.approx(2.1)
    assert nets_ns(1024) == pytest.approx(3.6)


def test_a_carry_chain_is_one_level(tmp_path: Path) -> None:
    first = ".gate CARRY4 CI=$false CYINIT=$false S[0]=n1 DI[0]=n0 CO[3]=c0 O[0]=s0\n"
    chain = [f".gate CARRY4 CI=c{i} CYINIT=$false CO[3]=c{i + 1} O[3]=s{i + 1}\n" for i in range(5)]
    path = longest(tmp_path, FF.format("x", "n0"), *tables(1), first, *chain, FF.format("s5", "y"))
    assert path is not None
    assert path.levels == 2
    assert path.ns == pytest.approx(0.456 + 0.924 + 0.548 + 4 * 0.114 + 0.313)


def test_memories_and_multipliers_start_and_end_paths(tmp_path: Path) -> None:
    block = ".gate RAMB18E1 CLKARDCLK=clk ADDRARDADDR[0]=a DOADO[0]=n0\n.param DOA_REG {}\n"
    dsp = ".gate DSP48E1 CLK=clk A[0]=n0 P[0]=p\n.param AREG 0\n.param MREG 1\n.param PREG 1\n"
    slow = longest(tmp_path, block.format("0"), dsp)
    fast = longest(tmp_path, block.format("00000001"), dsp)
    assert slow is not None and fast is not None
    assert slow.ns == pytest.approx(2.454 + 0.8 + 1.416)
    assert fast.ns == pytest.approx(0.882 + 0.8 + 1.416)
    memory = ".gate RAM32M WCLK=clk WE=w ADDRA[0]=n0 DOA[0]=d\n"
    read = longest(tmp_path, FF.format("x", "n0"), memory, FF.format("d", "y"))
    assert read is not None
    assert (read.levels, read.start, read.end) == (1, "n0", "y")


def test_what_has_no_longest_path(tmp_path: Path) -> None:
    assert longest(tmp_path) is None
    assert longest(tmp_path, *tables(2)) is None
    loop = ".gate LUT1 I0=n1 O=n0\n"
    assert longest(tmp_path, *tables(1), loop, FF.format("n1", "y")) is None
    with pytest.raises(SynqError, match="MYSTERY, whose delay is not known"):
        longest(tmp_path, ".gate MYSTERY I=a O=b\n")


def test_aliases_and_inverters_take_no_time(tmp_path: Path) -> None:
    alias = ".names n0 m\n1 1\n.gate INV I=m O=i\n"
    path = longest(tmp_path, FF.format("x", "n0"), alias, FF.format("i", "y"))
    assert path is not None
    assert path.ns == pytest.approx(0.456 + 0.8)
