"""A report that is cut off never gives a better verdict than the whole one."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from synq.board import load_board
from synq.cost import Resources
from synq.errors import SynqError
from synq.synth.comparison import Reference, problems
from synq.synth.reports import find_reports, read_report
from synq.synth.result import Report

DATA = Path(__file__).parent / "data"
REAL = DATA / "reports"

# A part too small for any of them, so that a row that is missing shows.
SMALL = replace(load_board("pynq-z2"), resources=Resources(1, 0, 1, 1, 1, 0))
REFERENCE = Reference(SMALL, None)

HIERARCHICAL = """\
| Tool Version : Vivado v.2024.2 (win64) Build 5239630
| Command      : report_utilization -hierarchical
| Design State : Routed

Utilization Design Information

Table of Contents
-----------------
1. Utilization by Hierarchy

1. Utilization by Hierarchy
---------------------------

+--------------+--------+------------+---------+------+-----+--------+--------+------+------------+
|   Instance   | Module | Total LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |
+--------------+--------+------------+---------+------+-----+--------+--------+------+------------+
| bd_0_wrapper |  (top) |        238 |       6 |    2 | 145 |      1 |      1 |    1 |          2 |
|   inst       |  inst  |         38 |       4 |    0 |  45 |      0 |      0 |    0 |          0 |
+--------------+--------+------------+---------+------+-----+--------+--------+------+------------+
"""
LATE = [
    (f"{'0.016':>13}{'0.000':>13}{'0':>23}", f"{'-0.916':>13}{'-0.916':>13}{'1':>23}"),
    ("All user specified timing constraints are met.", "Timing constraints are not met."),
]
TIMING = "vivado_2019.2_xc7z020_timing_summary_routed.rpt"


def changed(name: str, *changes: tuple[str, str]) -> str:
    text = (REAL / name).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


WHOLE = {
    "csynth, Vivado HLS": changed("vivado_hls_2019.2_xc7z020_axi_csynth.xml"),
    "csynth, Vitis HLS": changed("vitis_hls_2025.1_xc7z020_csynth.xml", (">3.624<", ">5.624<")),
    "cosim": changed("vitis_hls_cosim_pass.rpt", ("Pass", "Fail")),
    "utilization, placed": changed("vivado_2019.2_xc7z020_utilization_placed.rpt"),
    "utilization, synthesized": changed("vivado_2025.1_xc7z020_utilization_synth.rpt"),
    "utilization, hierarchical": HIERARCHICAL,
    "utilization, Versal": (DATA / "field" / "versal_rows_utilization.rpt").read_text(),
    "timing, late": changed(TIMING, *LATE),
    "timing, late, verdict missing": changed(TIMING, LATE[0], (LATE[1][0], "")),
    "timing, met": changed(TIMING),
    "timing, no path": (DATA / "field" / "vivado_no_timed_paths_timing_summary.rpt").read_text(),
    "Yosys": changed("yosys_0.70_xc7z020.json"),
    "nextpnr": changed("nextpnr_0.11.1_lfe5u-85f.json"),
    "nextpnr, 7-series": changed("nextpnr_himbaechel_xc7z020_small.json"),
    "nextpnr's log, 7-series": changed("nextpnr_himbaechel_xc7z020_small.log"),
}


def cuts(content: bytes, seed: str) -> Iterator[bytes]:
    """The content up to the end of every line, before and after it, and up to random bytes."""
    end = 0
    for line in content.splitlines(keepends=True):
        end += len(line)
        yield content[: end - 1]
        yield content[:end]
    rng = random.Random(seed)
    for _ in range(200):
        yield content[: rng.randrange(len(content))]


def without_stage(report: Report) -> Report:
    """The stage of a timing summary is told by the nets after its tables; it is no verdict."""
    return replace(report, stage=None)


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_report_is_refused_or_says_the_same(name: str, tmp_path: Path) -> None:
    content = WHOLE[name].encode()
    path = tmp_path / "a.rpt"
    path.write_bytes(content)
    whole = read_report(path)
    wrong = problems(whole, REFERENCE)
    assert wrong or name in ("timing, met", "timing, no path")
    refused = 0
    for cut in cuts(content, name):
        path.write_bytes(cut)
        try:
            report = read_report(path)
        except SynqError as error:
            refused += 1
            assert "\n" not in str(error)
            continue
        assert without_stage(report) == without_stage(whole), f"{len(cut)} bytes"
        assert problems(report, REFERENCE) == wrong
    assert refused > 50 or name == "cosim"


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_report_among_the_gathered_ones_is_not_passed_over(name: str, tmp_path: Path) -> None:
    content = WHOLE[name].encode()
    gathered = tmp_path / "flow" / "reports"
    gathered.mkdir(parents=True)
    (gathered / "good.rpt").write_text(changed(TIMING))
    path = gathered / f"a{'.json' if content.startswith(b'{') else '.rpt'}"
    for size in (0, 1, 10, 50, 100, 200, 400, 700, 1000):
        path.write_bytes(content[: min(size, len(content) - 200)])
        with pytest.raises(SynqError, match=path.name):
            find_reports(tmp_path)


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_report_among_others_is_refused_once_it_tells_what_it_is(
    name: str, tmp_path: Path
) -> None:
    content = WHOLE[name].encode()
    (tmp_path / "good.rpt").write_text(changed(TIMING))
    path = tmp_path / f"a{'.json' if content.startswith(b'{') else '.rpt'}"
    for size in (100, 200, 400, 700, 1000):
        path.write_bytes(content[: min(size, len(content) - 200)])
        with pytest.raises(SynqError, match=path.name):
            find_reports(tmp_path)


def test_the_test_sees_what_it_is_to_see(tmp_path: Path) -> None:
    """A parser that stopped at the end of the file would give a better verdict."""
    text = changed("vivado_2019.2_xc7z020_utilization_placed.rpt")
    head, contents, rest = text.partition("Table of Contents")
    del contents
    cut = head + rest.partition("1. Slice Logic\n-")[2].partition("5. IO and GT")[0]
    path = tmp_path / "a.rpt"
    path.write_text(cut)
    assert len(problems(read_report(path), REFERENCE)) == 5
    path.write_text(cut.partition("4. DSP")[0])
    with pytest.raises(SynqError, match="has no row for DSPs: cut off"):
        read_report(path)
