"""Reports as they turn up: each is an example of a kind (data/field/README.md)."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synq.cli.report import report as report_command
from synq.errors import SynqError
from synq.synth import reports
from synq.synth.comparison import Reference, problems
from synq.synth.reports import find_reports, read_report, read_reports
from synq.synth.result import Clock, Kind, OtherReportError, Usage

DATA = Path(__file__).parent / "data"
FIELD, REAL = DATA / "field", DATA / "reports"
ACCELERATOR = FIELD / "vitis_accelerator_kernel_util_routed.rpt"
PLACED = REAL / "vivado_2019.2_xc7z020_utilization_placed.rpt"
COSIM = REAL / "vitis_hls_cosim_pass.rpt"
NOTHING = Reference(None, None)


def synq(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "synq"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


# ---- Reports that synq does not read ------------------------------------------------------------


def test_an_accelerator_report_alone_says_what_it_is() -> None:
    with pytest.raises(OtherReportError, match="report_accelerator_utilization, which synq does"):
        read_report(ACCELERATOR)


def test_the_others_in_a_folder_of_vitis_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in (ACCELERATOR, PLACED, FIELD / "nextpnr_ice40.json"):
        shutil.copy(file, tmp_path)
    ((path, report),) = find_reports(tmp_path)
    assert (path.name, report.kind) == (PLACED.name, Kind.VIVADO_UTILIZATION)
    (message,) = caplog.messages
    assert ACCELERATOR.name in message and "nextpnr_ice40.json" in message


def test_what_is_skipped_is_named_on_the_command_line(tmp_path: Path) -> None:
    for file in (ACCELERATOR, PLACED):
        shutil.copy(file, tmp_path)
    result = synq("report", tmp_path, "--json")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1)
    assert result.stderr.count("\n") == 1 and ACCELERATOR.name in result.stderr


def test_a_folder_of_nothing_but_such_reports_has_none(tmp_path: Path) -> None:
    shutil.copy(ACCELERATOR, tmp_path)
    with pytest.raises(SynqError, match="no reports below it"):
        find_reports(tmp_path)


def test_files_that_are_too_short_to_tell_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(COSIM, tmp_path)
    (tmp_path / "empty.xml").write_bytes(b"")
    (tmp_path / "begun.rpt").write_bytes(PLACED.read_bytes()[:7])
    (tmp_path / "other.rpt").write_text("Power Report\n" * 100)
    assert len(find_reports(tmp_path)) == 1
    (message,) = caplog.messages
    assert "empty.xml" in message and "begun.rpt" in message and "other.rpt" not in message


def test_nextpnr_for_other_families() -> None:
    message = "iCE40 is not read, ECP5 and 7-series are"
    with pytest.raises(OtherReportError, match=message) as caught:
        read_report(FIELD / "nextpnr_ice40.json")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("name", ["report-a61210c2.json", "report-d61dadd4.json"])
def test_broken_json_is_one_line(name: str) -> None:
    with pytest.raises(SynqError, match="is damaged or cut off") as caught:
        read_report(FIELD / name)
    assert "\n" not in str(caught.value) and "bug" not in str(caught.value)


# ---- What they say ------------------------------------------------------------------------------


def test_a_clock_without_a_timed_path() -> None:
    path = FIELD / "vivado_no_timed_paths_timing_summary.rpt"
    report = read_report(path)
    assert (report.target_clock_ns, report.timing_met) == (5.0, None)
    assert report.clocks == (Clock("clk", 5.0, None),)
    result = synq("report", path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "Clock: target 5.000 ns" in lines
    assert "Worst slack: none, no timed path" in lines
    assert "Timing: not known" in lines


def test_rows_of_versal() -> None:
    report = read_report(FIELD / "versal_rows_utilization.rpt")
    assert report.bram_18k == Usage(2 * 980 + 40, 2 * 967)
    assert (report.lut, report.dsp) == (Usage(4_000, 899_840), Usage(2_000, 1_968))
    assert [problem.text for problem in problems(report, NOTHING)] == [
        "Over budget: 2,000 BRAM 18K of the part's 1,934, 103.4 %",
        "Over budget: 2,000 DSP of the part's 1,968, 101.6 %",
    ]


def test_a_part_with_rows_that_nobody_knows_gets_no_verdict(tmp_path: Path) -> None:
    text = (FIELD / "versal_rows_utilization.rpt").read_text()
    path = tmp_path / "a.rpt"
    path.write_text(text.replace("RAMB36E5", "RAMB72E6").replace("RAMB18E5", "RAMB36E6"))
    with pytest.raises(SynqError, match="no row for block RAM: cut off, or of a part that synq"):
        read_report(path)


def test_a_verdict_that_the_slacks_contradict_is_not_believed(tmp_path: Path) -> None:
    text = (REAL / "vivado_2019.2_xc7z020_timing_summary_routed.rpt").read_text()
    path = tmp_path / "a.rpt"
    path.write_text(text.replace("        0.016        0.000  ", "       -0.016        0.000  ", 1))
    assert "All user specified timing constraints are met" in path.read_text()
    report = read_report(path)
    assert (report.whs_ns, report.timing_met) == (-0.016, False)


@pytest.mark.parametrize(("old", "new"), [("0.016", "0.0x6"), ("0.016", "     ")])
def test_a_summary_row_that_cannot_be_read(old: str, new: str, tmp_path: Path) -> None:
    text = (REAL / "vivado_2019.2_xc7z020_timing_summary_routed.rpt").read_text()
    path = tmp_path / "a.rpt"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SynqError, match="is damaged: "):
        read_report(path)


# ---- Advice -------------------------------------------------------------------------------------


SLACKS = {"hold": "        0.016        0.000  ", "setup": "      0.226        0.000  "}


def late(which: str) -> str:
    text = (REAL / "vivado_2019.2_xc7z020_timing_summary_routed.rpt").read_text()
    slack = SLACKS[which]
    assert slack in text
    return text.replace(slack, f"{'-0.016':>{len(slack) - 15}}{'-1.000':>13}  ", 1)


ADVICE = {
    "wrong": (COSIM.read_text().replace("Pass", "Fail"), ["synq verify"], ["board", "clock_ns"]),
    "too large": (
        PLACED.read_text().replace("| DSPs           |   21 |", "| DSPs | 300 |"),
        ["a larger board"],
        ["clock_ns"],
    ),
    "too slow": (late("setup"), ["clock_ns"], ["a larger board"]),
    "too fast": (late("hold"), ["hold and pulse width"], ["clock_ns", "board"]),
}


@pytest.mark.parametrize("fault", ADVICE)
def test_advice_fits_the_problem(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A larger board mends no cosimulation, and no slower clock a hold violation."""
    text, helpful, useless = ADVICE[fault]
    path = tmp_path / "a.rpt"
    path.write_text(text)
    assert [problem.fault for problem in problems(read_report(path), NOTHING)] == [fault]
    with pytest.raises(SystemExit, match="4"):
        report_command([path])
    advice = capsys.readouterr().out.partition("Next steps:")[2]
    assert all(words in advice for words in helpful)
    assert not any(words in advice for words in useless)


# ---- What is no file, and too much of everything ------------------------------------------------


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rpt")
    (tmp_path / "zero.rpt").symlink_to("/dev/zero")
    (tmp_path / "folder.rpt").mkdir()
    (tmp_path / "loop.rpt").symlink_to("loop.rpt")
    (tmp_path / "up").symlink_to(tmp_path)
    for name in ("pipe.rpt", "zero.rpt", "folder.rpt"):
        with pytest.raises(SynqError, match=r"not a regular file|Is a directory"):
            read_report(tmp_path / name)
    with pytest.raises(SynqError, match="cannot be read"):
        read_reports(tmp_path / "loop.rpt")
    with pytest.raises(SynqError, match="no reports below it"):
        find_reports(tmp_path)
    shutil.copy(COSIM, tmp_path)
    assert len(find_reports(tmp_path)) == 1


def test_too_many_files_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_MAX_FILES", 50)
    monkeypatch.setattr(reports, "_MAX_CANDIDATES", 20)
    for number in range(20):
        (tmp_path / f"{number}.xml").write_text("<a/>")
    shutil.copy(COSIM, tmp_path / "cosim.txt")
    with pytest.raises(SynqError, match="no reports below it"):
        find_reports(tmp_path)
    (tmp_path / "more.json").write_text("{}")
    with pytest.raises(SynqError, match="too many files; give a folder further down"):
        find_reports(tmp_path)
    (tmp_path / "more.json").unlink()
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(SynqError, match="too many files"):
        find_reports(tmp_path)


def test_too_many_bytes_are_not_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_MAX_BELOW", 3 * COSIM.stat().st_size)
    for number in range(3):
        shutil.copy(COSIM, tmp_path / f"{number}.rpt")
    assert len(find_reports(tmp_path)) == 1  # they say the same
    shutil.copy(COSIM, tmp_path / "3.rpt")
    with pytest.raises(SynqError, match="of reports; give a folder further down"):
        find_reports(tmp_path)


def test_the_text_form_of_an_hls_report_needs_no_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The flow keeps both."""
    gathered = tmp_path / "flow" / "reports"
    gathered.mkdir(parents=True)
    shutil.copy(REAL / "vitis_hls_2025.1_xc7z020_csynth.xml", gathered / "csynth.xml")
    (gathered / "csynth.rpt").write_text("== Vitis HLS Report for 'top'\n")
    with caplog.at_level(logging.WARNING, "synq"):
        assert len(find_reports(tmp_path)) == 1
    assert caplog.messages == []
