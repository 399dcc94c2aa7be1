"""Reports of vendor tools: values read by hand from real ones, and everything that can be wrong."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synq.cost import Estimate, Resources
from synq.errors import SynqError
from synq.project.manifest import write_manifest
from synq.synth.comparison import (
    Fault,
    Problem,
    Reference,
    find_reference,
    over_budget,
    problems,
    ratios,
)
from synq.synth.reports import MAX_BYTES, find_reports, read_report, read_reports
from synq.synth.result import Clock, Kind, Report, Usage, count, normalize_part, number

REAL = Path(__file__).parent / "data" / "reports"
VIVADO_REPORTS = [
    "vivado_2019.2_xc7z020_timing_summary_routed.rpt",
    "vivado_2025.1_xc7z020_utilization_synth.rpt",
]
OLD_HLS = REAL / "vivado_hls_2019.2_xc7z020_axi_csynth.xml"
NEW_HLS = REAL / "vitis_hls_2025.1_xc7z020_csynth.xml"
COSIM = REAL / "vitis_hls_cosim_pass.rpt"
PLACED = REAL / "vivado_2019.2_xc7z020_utilization_placed.rpt"
SYNTHESIZED = REAL / "vivado_2025.1_xc7z020_utilization_synth.rpt"
TIMING = REAL / "vivado_2019.2_xc7z020_timing_summary_routed.rpt"
YOSYS = REAL / "yosys_0.70_xc7z020.json"
NEXTPNR = REAL / "nextpnr_0.11.1_lfe5u-85f.json"
ALL = [OLD_HLS, NEW_HLS, COSIM, PLACED, SYNTHESIZED, TIMING, YOSYS, NEXTPNR]

KEYS = [
    *("file", "kind", "tool_version", "part", "target_clock_ns", "estimated_clock_ns"),
    *("latency_worst", "interval_max", "lut", "lutram", "ff", "bram_18k", "dsp", "uram"),
    *("wns_ns", "timing_met", "cosim_status"),
]
NOTHING = Reference(None, None)


def write(folder: Path, content: str | bytes, name: str = "a.rpt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def changed(folder: Path, real: Path, *changes: tuple[str, str]) -> Path:
    """A copy of a real report with texts replaced; each must be there."""
    text = real.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return write(folder, text, real.name)


# ---- Real reports, values read by hand ----------------------------------------------------------


def test_csynth_of_vivado_hls() -> None:
    assert read_report(OLD_HLS) == Report(
        kind=Kind.HLS_CSYNTH,
        tool_version="2019.2",
        part="xc7z020clg400-1",
        top="myproject_axi",
        target_clock_ns=5.0,
        clock_uncertainty_ns=0.62,
        estimated_clock_ns=6.982,
        latency_best=287,
        latency_average=287,
        latency_worst=287,
        interval_min=288,
        interval_max=288,
        lut=Usage(37_975, 53_200),
        ff=Usage(11_873, 106_400),
        bram_18k=Usage(20, 280),
        dsp=Usage(21, 220),
        uram=Usage(0, 0),
        timing_met=False,
    )


def test_csynth_of_vitis_hls() -> None:
    assert read_report(NEW_HLS) == Report(
        kind=Kind.HLS_CSYNTH,
        tool_version="2025.1",
        part="xc7z020clg400-1",
        top="myproject",
        target_clock_ns=5.0,
        clock_uncertainty_ns=1.35,
        estimated_clock_ns=3.624,
        latency_best=32,
        latency_average=32,
        latency_worst=32,
        interval_min=1,
        interval_max=1,
        lut=Usage(4_725, 53_200),
        ff=Usage(13_240, 106_400),
        bram_18k=Usage(3, 280),
        dsp=Usage(110, 220),
        uram=Usage(0, 0),
        timing_met=True,
    )


def test_cosim() -> None:
    assert read_report(COSIM) == Report(
        kind=Kind.HLS_COSIM,
        latency_best=777,
        latency_average=777,
        latency_worst=777,
        cosim_status="pass",
    )


def test_utilization_placed() -> None:
    assert read_report(PLACED) == Report(
        kind=Kind.VIVADO_UTILIZATION,
        tool_version="2019.2",
        part="xc7z020clg400-1",
        top="design_1_wrapper",
        stage="placed",
        lut=Usage(17_654, 53_200),
        lutram=Usage(275, 17_400),
        ff=Usage(18_333, 106_400),
        bram_18k=Usage(10, 280),
        dsp=Usage(21, 220),
        black_boxes=0,
    )


def test_utilization_synthesized() -> None:
    """With half a tile, another column, another numbering and a footnote's star."""
    assert read_report(SYNTHESIZED) == Report(
        kind=Kind.VIVADO_UTILIZATION,
        tool_version="2025.1",
        part="xc7z020clg400-1",
        top="design_1_wrapper",
        stage="synthesized",
        lut=Usage(3_604, 53_200),
        lutram=Usage(2, 17_400),
        ff=Usage(5_476, 106_400),
        bram_18k=Usage(3, 280),
        dsp=Usage(110, 220),
        black_boxes=0,
    )


def test_timing_summary() -> None:
    """Device and speed grade stand apart; the state is told only by the nets."""
    report = read_report(TIMING)
    assert report == Report(
        kind=Kind.VIVADO_TIMING,
        tool_version="2019.2",
        part="xc7z020clg400-1",
        top="design_1_wrapper",
        stage="routed",
        target_clock_ns=10.0,
        wns_ns=0.226,
        tns_ns=0.0,
        whs_ns=0.016,
        ths_ns=0.0,
        wpws_ns=3.75,
        failing_endpoints=0,
        clocks=(Clock("clk_fpga_0", 10.0, 0.226),),
        timing_met=True,
    )
    assert report.worst_path_ns == 9.774


# ---- What other versions, families and designs write --------------------------------------------


def test_data_dependent_latency(tmp_path: Path) -> None:
    changes = [(f"<{tag}>287<", f"<{tag}>undef<") for tag in ("Worst-caseLatency",)]
    changes += [("<Interval-max>288<", "<Interval-max>undef<"), ("2.004 us", "undef")]
    report = read_report(changed(tmp_path, OLD_HLS, *changes))
    assert (report.latency_best, report.latency_worst) == (287, None)
    assert (report.interval_min, report.interval_max) == (288, None)


def test_dataflow_top_with_throughput_only(tmp_path: Path) -> None:
    report = read_report(
        changed(
            tmp_path,
            OLD_HLS,
            (
                "<Interval-min>288</Interval-min>\n<Interval-max>288</Interval-max>",
                "<DataflowPipelineThroughput>\n<range>\n<min>102</min>\n<max>1977</max>\n</range>\n"
                "</DataflowPipelineThroughput>",
            ),
            ("<PipelineType>none<", "<PipelineType>dataflow<"),
        )
    )
    assert (report.interval_min, report.interval_max) == (102, 1977)


@pytest.mark.parametrize("unset", ["4294967295", "-1", "undef", "NA", "-", "?", "", " "])
def test_unset_is_none_not_zero(unset: str, tmp_path: Path) -> None:
    report = read_report(
        changed(
            tmp_path,
            NEW_HLS,
            ("<Interval-max>1<", f"<Interval-max>{unset}<"),
            ("<URAM>0<", f"<URAM>{unset}<"),
            ("<DSP>110<", f"<DSP>{unset}<"),
            ("<EstimatedClockPeriod>3.624<", f"<EstimatedClockPeriod>{unset}<"),
        )
    )
    assert report.interval_max is None
    assert (report.uram, report.dsp) == (None, None)
    # a period is no count, but longer than nothing
    assert report.estimated_clock_ns == {"4294967295": 4294967295.0}.get(unset)


def test_csynth_without_uram_and_availability(tmp_path: Path) -> None:
    """As Vivado HLS 2018 writes it for a part that has none."""
    text = OLD_HLS.read_text().replace("<URAM>0</URAM>\n", "").replace("<LUT>53200</LUT>\n", "")
    report = read_report(write(tmp_path, text))
    assert report.uram is None
    assert report.lut == Usage(37_975, None)
    assert report.lut.percent is None
    assert over_budget(report, NOTHING) == []


def test_estimate_of_the_target_itself_meets_it(tmp_path: Path) -> None:
    """The uncertainty is HLS's margin, not a part of the target."""
    report = read_report(changed(tmp_path, NEW_HLS, (">3.624<", ">5.000<")))
    assert report.timing_met is True
    report = read_report(changed(tmp_path, NEW_HLS, (">3.624<", ">5.001<")))
    assert report.timing_met is False


COSIM_2020 = """
Report time       : Tue Sep 14 14:09:38 2021.
Solution          : solution1.
Simulation tool   : xsim.

+----------+----------+-----------------------+-----------------------+----------------------+
|          |          | Latency(Clock Cycles) | Interval(Clock Cycles)| Total Execution Time |
+   RTL    +  Status  +-----------------------+-----------------------+    (Clock Cycles)    +
|          |          |  min  |  avg  |  max  |  min  |  avg  |  max  |                      |
+----------+----------+-----------------------+-----------------------+----------------------+
|      VHDL|        NA|     NA|     NA|     NA|     NA|     NA|     NA|                    NA|
|   Verilog|      Pass|    139|    206|    207|      1|     52|    141|                 24493|
+----------+----------+-----------------------+-----------------------+----------------------+
"""


def test_cosim_with_a_column_more(tmp_path: Path) -> None:
    assert read_report(write(tmp_path, COSIM_2020)) == Report(
        kind=Kind.HLS_COSIM,
        latency_best=139,
        latency_average=206,
        latency_worst=207,
        interval_min=1,
        interval_max=141,
        cosim_status="pass",
    )


@pytest.mark.parametrize(
    ("vhdl", "verilog", "status"),
    [
        ("NA", "Pass", "pass"),
        ("Pass", "NA", "pass"),
        ("Pass", "Pass", "pass"),
        ("Pass", "Fail", "fail"),
        ("Fail", "Pass", "fail"),
        ("NA", "Fail", "fail"),
        ("NA", "NA", None),
    ],
)
def test_cosim_of_two_languages(
    vhdl: str, verilog: str, status: str | None, tmp_path: Path
) -> None:
    text = COSIM_2020.replace("VHDL|        NA|     NA|     NA|     NA", f"VHDL|{vhdl}|130|131|500")
    report = read_report(write(tmp_path, text.replace("      Pass|", f"{verilog}|")))
    assert report.cosim_status == status
    assert report.latency_worst == {"NA": 207, "Pass": 500, "Fail": 500}[vhdl] or verilog == "NA"


def test_failed_cosim_has_no_latency(tmp_path: Path) -> None:
    text = COSIM_2020.replace("Pass|    139|    206|    207|      1|     52|    141", "Fail|NA")
    report = read_report(write(tmp_path, text))
    assert (report.cosim_status, report.latency_worst, report.interval_max) == ("fail", None, None)
    assert problems(report, NOTHING) == [
        Problem(Fault.WRONG, "Cosimulation failed: the RTL does not do what the C++ does")
    ]


def bordered(text: str) -> str:
    """The text with borders around its tables, as Vivado draws them."""
    lines: list[str] = []
    columns = 0
    for line in [*text.splitlines(), ""]:
        inside = columns > 0 and line.startswith("|")
        starts = not inside and line.startswith(("| Site", "| Instance", "|   Instance", "|   Ref"))
        if columns and not inside:
            lines.append("+-" * columns + "+")
            columns = 0
        if starts:
            columns = line.count("|") - 1
            lines += ["+-" * columns + "+", line, "+-" * columns + "+"]
        else:
            lines.append(line)
    return "\n".join(lines)


ULTRASCALE = bordered("""\
| Tool Version : Vivado v.2019.1 (lin64) Build 2552052 Fri May 24 14:47:09 MDT 2019
| Command      : report_utilization -file util.rpt
| Design       : top
| Device       : xcvu13pfhga2104-3
| Design State : Routed

Utilization Design Information

Table of Contents
-----------------
1. CLB Logic
3. BLOCKRAM
4. ARITHMETIC
9. Black Boxes
13. SLR CLB Logic and Dedicated Block Utilization

1. CLB Logic
------------

| Site Type               |  Used  | Fixed | Available | Util% |
| CLB LUTs                |     39 |     0 |   1728000 | <0.01 |
| CLB Registers           |  36742 |     0 |   3456000 |  1.06 |
|   Register as Flip Flop |  36740 |     0 |   3456000 |  1.06 |

3. BLOCKRAM
-----------

| Site Type         | Used | Fixed | Available | Util% |
| Block RAM Tile    |  1.5 |     0 |      2688 |  0.06 |
|   RAMB36/FIFO*    |    1 |     0 |      2688 |  0.04 |
|   RAMB18          |    1 |     0 |      5376 |  0.02 |
| URAM              |   12 |     0 |      1280 |  0.94 |

4. ARITHMETIC
-------------

| Site Type | Used | Fixed | Available | Util% |
| DSPs      |    5 |     0 |     12288 |  0.04 |

9. Black Boxes
--------------

|   Ref Name                   | Used |
| design_1_clock_generator_0_0 |    2 |
| other                        |    1 |

13. SLR CLB Logic and Dedicated Block Utilization
-------------------------------------------------

| Site Type | SLR0 | SLR1 |
| CLB LUTs  |   10 |   29 |
""")


def test_utilization_of_ultrascale(tmp_path: Path) -> None:
    assert read_report(write(tmp_path, ULTRASCALE)) == Report(
        kind=Kind.VIVADO_UTILIZATION,
        tool_version="2019.1",
        part="xcvu13p-fhga2104-3",
        top="top",
        stage="routed",
        lut=Usage(39, 1_728_000),
        ff=Usage(36_742, 3_456_000),
        bram_18k=Usage(3, 5_376),
        dsp=Usage(5, 12_288),
        uram=Usage(12, 1_280),
        black_boxes=3,
    )


def test_utilization_without_tiles(tmp_path: Path) -> None:
    text = "".join(line for line in ULTRASCALE.splitlines(True) if "Tile" not in line)
    assert read_report(write(tmp_path, text)).bram_18k == Usage(3, 5_376)


HIERARCHY = bordered("""\
| Tool Version : Vivado v.2024.2 (win64) Build 5239630
| Command      : report_utilization -hierarchical
| Device       : xck26-sfvc784-2LV-c
| Design State : Synthesized

Utilization Design Information

Table of Contents
-----------------
1. Utilization by Hierarchy

1. Utilization by Hierarchy
---------------------------

|   Instance   | Module | Total LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |
| bd_0_wrapper |  (top) |        238 |       6 |    2 | 145 |      1 |      1 |    0 |          1 |
|   inst       |  inst  |         38 |       4 |    0 |  45 |      0 |      0 |    0 |          0 |
""")


def test_utilization_by_hierarchy(tmp_path: Path) -> None:
    report = read_report(write(tmp_path, HIERARCHY))
    assert report.part == "xck26-sfvc784-2lv-c"
    assert (report.lut, report.ff) == (Usage(238, None), Usage(145, None))
    assert report.lutram == Usage(8, None)
    assert (report.bram_18k, report.dsp, report.uram) == (
        Usage(3, None),
        Usage(1, None),
        Usage(0, None),
    )


MET = "All user specified timing constraints are met."
SUMMARY_ROW = (
    "      0.226        0.000                      0                44188        0.016        0.000"
    "                      0                44188        3.750"
)


def summary_row(wns: str, failing: str, whs: str, wpws: str = "3.750") -> tuple[str, str]:
    row = (
        f"{wns:>11}{'0.000':>13}{failing:>23}{'44188':>21}{whs:>13}{'0.000':>13}"
        f"{'0':>23}{'44188':>21}{wpws:>13}"
    )
    assert len(row) == len(SUMMARY_ROW)
    return SUMMARY_ROW, row


@pytest.mark.parametrize(
    ("row", "verdict", "met", "problem"),
    [
        (("-0.627", "2633", "0.055"), "Timing constraints are not met.", False, "(WNS) -0.627 ns"),
        (("0.115", "1", "-4.915"), "Timing constraints are not met.", False, "(WHS) -4.915 ns"),
        (("0.115", "1", "0.1", "-0.2"), "Timing constraints are not met.", False, "(WPWS) -0.200"),
        (("-0.627", "2633", "0.055"), "", False, "2,633 failing endpoints"),
        (("0.000", "0", "0.000"), "", True, None),
    ],
)
def test_timing_verdict(
    row: tuple[str, ...], verdict: str, met: bool, problem: str | None, tmp_path: Path
) -> None:
    report = read_report(changed(tmp_path, TIMING, summary_row(*row), (MET, verdict)))
    assert report.timing_met is met
    assert report.wns_ns == float(row[0])
    (found,) = problems(report, NOTHING) or [None]
    assert (found is None) == (problem is None)
    if found is not None and problem is not None:
        assert found.text.startswith("Timing not met: ")
        assert problem in found.text
        assert (found.fault is Fault.TOO_SLOW) == (float(row[0]) < 0)


@pytest.mark.parametrize("unset", ["NA", "inf"])
def test_timing_without_constraints(unset: str, tmp_path: Path) -> None:
    report = read_report(
        changed(
            tmp_path,
            TIMING,
            summary_row(unset, "0", unset, "NA"),
            (MET, "There are no user specified timing constraints."),
            ("clk_fpga_0  {0.000 5.000}      10.000          100.000", ""),
        )
    )
    assert (report.wns_ns, report.whs_ns, report.tns_ns) == (None, None, None)
    assert (report.timing_met, report.target_clock_ns, report.clocks) == (None, None, ())
    assert report.failing_endpoints is None
    assert problems(report, NOTHING) == []


INTRA = (
    "clk_fpga_0          0.226        0.000                      0                44092"
    "        0.016        0.000                      0                44092        3.750"
)
CLOCK = "clk_fpga_0  {0.000 5.000}      10.000          100.000"


def test_timing_of_several_clocks(tmp_path: Path) -> None:
    """One without paths, of which only the pulse width is known; indented, as derived ones are."""
    fast = INTRA.replace("clk_fpga_0", "  clk_fast").replace("0.226", "0.101")
    idle = f"  clk_idle{' ' * (len(INTRA) - 15)}7.000"
    report = read_report(
        changed(
            tmp_path,
            TIMING,
            (INTRA, f"{INTRA}\n{fast}\n{idle}"),
            (
                CLOCK,
                f"{CLOCK}\n  clk_fast  {{0.0 2.0}} 4.000 250.0\n  clk_idle  {{0.0 9.0}} 18.0 1",
            ),
            summary_row("0.101", "0", "0.016"),
        )
    )
    assert report.clocks == (
        Clock("clk_fpga_0", 10.0, 0.226),
        Clock("clk_fast", 4.0, 0.101),
        Clock("clk_idle", 18.0, None),
    )
    assert report.target_clock_ns == 4.0
    assert report.worst_path_ns == 3.899


def test_worst_path_between_clocks_has_no_period(tmp_path: Path) -> None:
    report = read_report(changed(tmp_path, TIMING, summary_row("0.050", "0", "0.016")))
    assert (report.target_clock_ns, report.worst_path_ns) == (10.0, None)


@pytest.mark.parametrize(
    ("net", "state", "stage"),
    [
        ("unplaced", "", "synthesized"),
        ("estimated", "", "placed"),
        ("routed", "", "routed"),
        ("routed", "Design State      : Physopt postRoute", "routed"),
        ("estimated", "Design State : Fully Placed", "placed"),
        ("routed", "Design State : Partially Routed", "partially routed"),
    ],
)
def test_stage_of_a_timing_summary(net: str, state: str, stage: str, tmp_path: Path) -> None:
    report = read_report(
        changed(
            tmp_path,
            TIMING,
            (", routed)", f", {net})"),
            ("| Design       :", f"| {state}\n| Design :"),
        )
    )
    assert report.stage == stage


def test_temperature_grade(tmp_path: Path) -> None:
    report = read_report(
        changed(
            tmp_path,
            TIMING,
            ("| Device       : 7z020-clg400", "| Device            : xck26-sfvc784"),
            ("| Speed File   : -1 ", "| Temperature Grade : C\n| Speed File        : -2LV "),
        )
    )
    assert report.part == "xck26-sfvc784-2lv-c"


# The left as tools write them, the right as Vivado orders the part
PARTS = {
    "xc7z020-clg400-1": "xc7z020clg400-1",
    "7z020clg400-1": "xc7z020clg400-1",
    "XC7Z020CLG400-1": "xc7z020clg400-1",
    "7z020-clg400": "xc7z020clg400",
    "xc7a35t-cpg236-1": "xc7a35tcpg236-1",
    "xa7a12tcsg325-1q": "xa7a12tcsg325-1q",
    "7z007sclg225-1": "xc7z007sclg225-1",
    "xc7z030-sbg485-1": "xc7z030sbg485-1",
    "xczu7ev-ffvc1156-2-e": "xczu7ev-ffvc1156-2-e",
    "xczu7evffvc1156-2-e": "xczu7ev-ffvc1156-2-e",
    "zu9eg-ffvb1156-2-e": "xczu9eg-ffvb1156-2-e",
    "xcu250figd2104-2L": "xcu250-figd2104-2l",
    "xcvu19pfsvb3824-1": "xcvu19p-fsvb3824-1",
    "xck26-sfvc784-2LV-c": "xck26-sfvc784-2lv-c",
    "xcv80-lsva4737-2MHP-e-S": "xcv80-lsva4737-2mhp-e-s",
    "xck26": "xck26",
    "LFE5U-85F": "LFE5U-85F",
    " ": None,
}


@pytest.mark.parametrize("given", PARTS)
def test_normalize_part(given: str) -> None:
    assert normalize_part(given) == PARTS[given]


@given(st.text())
def test_numbers_of_any_text(text: str) -> None:
    value = number(text)
    assert value is None or abs(value) < 1e15
    whole = count(text)
    assert whole is None or whole >= 0
    normalize_part(text)


@pytest.mark.parametrize(
    "text", ["undef", "1e400", "inf", "nan", "9" * 400, "٣", "0x1", "1 2", "<1"]
)
def test_not_a_number(text: str) -> None:
    assert number(text) is None


# ---- Encodings, damage, malice ------------------------------------------------------------------


@pytest.mark.parametrize("real", ALL, ids=lambda path: path.name)
def test_line_ends_and_bytes(real: Path, tmp_path: Path) -> None:
    """CRLF, a byte order mark, a name in Latin-1 and a long line change nothing."""
    content = real.read_bytes()
    dos = write(tmp_path, content.replace(b"\n", b"\r\n"), "dos")
    assert read_report(dos) == read_report(real)
    assert read_report(write(tmp_path, b"\xef\xbb\xbf" + content, "bom")) == read_report(real)
    if real.suffix == ".rpt":
        long = content + b"\xfcser J\xf6rg\n" + b"|" * 1_000_000
        assert read_report(write(tmp_path, long, "long")) == read_report(real)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE profile [<!ENTITY a "aaaaaaaaaa">
{}]>
<profile><UserAssignments><Part>&a9;</Part></UserAssignments></profile>""".format(
    "".join(f'<!ENTITY a{i} "{f"&a{i - 1 or str()};" * 10}">\n' for i in range(1, 10))
)
OUTSIDE = """<!DOCTYPE profile [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<profile><UserAssignments><Part>&a;</Part></UserAssignments></profile>"""
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "binary": (bytes(range(256)) * 20, "is not a report that synq reads"),
    "prose": ("hello\n", "is not a report that synq reads"),
    "UTF-16": (OLD_HLS.read_text().encode("utf-16"), "is not a report that synq reads"),
    "text form": ("== Vitis HLS Report for 'top'\n", "give the csynth.xml beside it"),
    "entities": (BOMB, "declares a DTD"),
    "outside": (OUTSIDE, "declares a DTD"),
    "root": ("<html><profile/></html>", "its root is <html>"),
    "not closed": ("<profile>", "is damaged or cut off"),
    "half": (OLD_HLS.read_bytes()[:4000], "is damaged or cut off"),
    "encoding": ('<?xml version="1.0" encoding="none"?><profile/>', "is damaged or cut off"),
    "no parts": ("<profile/>", "it has no <UserAssignments>"),
    "no numbers": (
        "<profile><UserAssignments><Part>x</Part></UserAssignments></profile>",
        "has no estimate of LUTs",
    ),
    "deep": ("<profile>" + "<a>" * 100_000, "is nested more than 64 deep"),
    "wide": ("<profile>" + "<a/>" * 310_000, "more than 300,000 elements"),
    "attributes": ("<profile " + "".join(f"a{i}='' " for i in range(99)) + "/>", "attributes"),
    "utilization, cut": (PLACED.read_bytes()[:1200], "is cut off: it ends before its section"),
    "timing, cut": (TIMING.read_bytes()[:3000], "is cut off: it ends before its section"),
    "cosim, cut": (COSIM.read_bytes()[:600], "has no row for Verilog or VHDL"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(case: str, tmp_path: Path) -> None:
    content, message = HOSTILE[case]
    path = write(tmp_path, content)
    with pytest.raises(SynqError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path} ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    sizes = {MAX_BYTES: "has more than 8 MiB, as no such report has", 8 << 20: "cut off"}
    path = write(tmp_path, "<profile>", "csynth.xml")
    for size, message in sizes.items():
        with path.open("r+b") as file:
            file.truncate(size)  # zeros are no XML
        with pytest.raises(SynqError, match=message):
            read_report(path)
    path = write(tmp_path, TIMING.read_bytes() + b"\n" * MAX_BYTES)
    with pytest.raises(SynqError, match="has more than 16 MiB, as no such report has: not read"):
        read_report(path)


@pytest.mark.parametrize(
    "filler", [b"\n", b"|", b"| a\n", b"|" * 10_000 + b"\n", b" " * 15_000 + b"-\n", b"- " * 9_000]
)
@pytest.mark.parametrize("real", [PLACED, TIMING, COSIM], ids=lambda path: path.name)
def test_long_files_are_read_to_their_end(filler: bytes, real: Path, tmp_path: Path) -> None:
    """In time linear in their length: otherwise these take hours."""
    path = write(tmp_path, real.read_bytes() + filler * (1_000_000 // len(filler)))
    if real == PLACED and filler in (b"| a\n", b"|" * 10_000 + b"\n"):  # rows of a table
        with pytest.raises(SynqError, match="it ends before its last table does"):
            read_report(path)
    else:
        assert read_report(path) == read_report(real)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.rpt")
    with pytest.raises(SynqError, match="not a regular file"):
        read_report(tmp_path / "pipe.rpt")
    with pytest.raises(SynqError, match="no reports below it"):
        find_reports(tmp_path)


@pytest.mark.parametrize("real", ALL, ids=lambda path: path.name)
def test_damaged_reports_never_crash(real: Path, tmp_path: Path) -> None:
    """Cut, overwritten, doubled and shuffled: a report or a SynqError of one line."""
    original, rng = real.read_bytes(), random.Random(real.name)
    path = tmp_path / real.name

    def spoil(content: bytes) -> bytes:
        match rng.randrange(5):
            case 0:
                return content[: rng.randrange(len(content))]
            case 1:
                start = rng.randrange(len(content))
                return content[:start] + rng.randbytes(rng.randrange(1, 9)) + content[start + 3 :]
            case 2:
                lines = content.splitlines(True)
                rng.shuffle(lines)
                return b"".join(lines)
            case 3:
                start = rng.randrange(len(content))
                return content[:start] + content[start // 2 :]
            case _:
                pieces = content.split(rng.choice([b"|", b">", b" ", b"0"]))
                return rng.choice([b"|", b"<", b"-", b"9"]).join(pieces)

    for _ in range(150):
        content = original
        for _ in range(rng.randrange(1, 4)):
            content = spoil(content) or b"|"
        path.write_bytes(content)
        try:
            report = read_report(path)
        except SynqError as error:
            assert "\n" not in str(error)
        else:
            assert all("\n" not in problem.text for problem in problems(report, NOTHING))


# ---- Folders ------------------------------------------------------------------------------------


def below_the_top(text: str) -> str:
    """A csynth.xml as HLS writes it for a function below the top: no C types."""
    lines = [line for line in text.splitlines(True) if "<CType>" not in line]
    return "".join(lines).replace(">myproject_axi<", ">relu<").replace("<LUT>37975<", "<LUT>7<")


def test_all_below_a_folder() -> None:
    found = find_reports(REAL)
    others = [path for path, _ in found if "himbaechel" not in path.name]  # they: test_himbaechel
    assert others == [NEW_HLS, OLD_HLS, *ALL[2:]]
    assert len(found) - len(others) == 4
    assert found == read_reports(REAL)


def test_only_the_top_of_a_solution(tmp_path: Path) -> None:
    text = OLD_HLS.read_text()
    report = tmp_path / "solution1" / "syn" / "report"
    write(report, text, "csynth.xml")
    write(report, text, "myproject_axi_csynth.xml")
    part = write(report, below_the_top(text), "relu_csynth.xml")
    write(report, "== Vivado HLS Report for 'myproject_axi'\n", "myproject_axi_csynth.rpt")
    write(tmp_path / "solution1" / ".autopilot" / "db", text.replace("287", "1"), "a.rpt.xml")
    write(tmp_path / "solution1", "<project/>", "vivado_hls.xml")
    write(tmp_path / "solution1" / "impl", "other\n", "power.rpt")
    ((path, found),) = find_reports(tmp_path)
    assert (path, found.top) == (report / "csynth.xml", "myproject_axi")
    # alone it is what the user asks for
    assert (read_report(part).top, read_report(part).is_top) == ("relu", False)
    for name in ("csynth.xml", "myproject_axi_csynth.xml"):
        (report / name).unlink()
    ((path, _),) = find_reports(tmp_path)
    assert path == part


def test_a_folder_without_reports(tmp_path: Path) -> None:
    write(tmp_path, "<project/>", "a.xml")
    (tmp_path / "b.xml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.xml").mkdir()
    with pytest.raises(SynqError, match="no reports below it; run synq synth first"):
        find_reports(tmp_path)


def test_a_damaged_report_in_a_folder_is_named(tmp_path: Path) -> None:
    shutil.copy(COSIM, tmp_path)
    path = write(tmp_path, OLD_HLS.read_bytes()[:4000], "csynth.xml")
    with pytest.raises(SynqError, match="is damaged or cut off") as caught:
        find_reports(tmp_path)
    assert str(path) in str(caught.value)


# ---- Board and estimate -------------------------------------------------------------------------

ESTIMATE = Estimate(Resources(19_000, 0, 20_000, 10, 21, 0), latency=574, interval=100)


def manifest(folder: Path, board: str = "pynq-z2", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    designs = {"hls": {"estimate": asdict(ESTIMATE)}}
    content = {"configuration": {"board": board}, "designs": designs, **more}
    write_manifest(folder, content)
    return folder


def test_the_manifest_of_the_project_is_found(tmp_path: Path) -> None:
    project = manifest(tmp_path / "project")
    deep = project / "myproject_prj" / "solution1" / "syn" / "report"
    path = write(deep, OLD_HLS.read_bytes(), "csynth.xml")
    write(deep, "{}", "manifest.json")  # of another program
    for folder in (None, deep, project, tmp_path):
        reference = find_reference(path, folder, None)
        assert reference.board is not None
        assert (reference.board.name, reference.estimate) == ("pynq-z2", ESTIMATE)
    deeper = write(deep / "a" / "b", OLD_HLS.read_bytes(), "csynth.xml")
    assert find_reference(deeper, None, None) == NOTHING
    assert find_reference(deeper, project, None).estimate == ESTIMATE


@pytest.mark.parametrize("name", VIVADO_REPORTS)
@pytest.mark.parametrize(
    ("design", "flow"),
    [("synq_top", "rtl"), ("rtl_system_wrapper", "rtl"), ("synapse_axis", "hls")],
)
def test_a_report_of_vivado_is_held_against_its_own_core(
    name: str, design: str, flow: str, tmp_path: Path
) -> None:
    """The project has both: only the design's name tells."""
    other = replace(ESTIMATE, latency=30)
    estimates = {"hls": {"estimate": asdict(other)}, "rtl": {"estimate": asdict(ESTIMATE)}}
    project = manifest(tmp_path, designs=estimates)
    text = (REAL / name).read_text().replace("design_1_wrapper", design)
    path = write(project / "flow" / "reports", text)
    report = read_report(path)
    assert (report.top, report.flow) == (design, flow)
    reference = find_reference(path, project, None, report.flow)
    assert reference.estimate == (ESTIMATE if flow == "rtl" else other)


@pytest.mark.parametrize(
    "more",
    [
        {"designs": None},
        {"designs": {"hls": None, "rtl": {"estimate": asdict(ESTIMATE)}}},
        {"designs": {"hls": {"estimate": {"resources": {"lut": 1}}}}},
        {"designs": {"hls": {"estimate": {"resources": [], "latency": 1, "interval": 2}}}},
        {"designs": {"hls": {"estimate": {"resources": {}, "latency": "x", "interval": True}}}},
        {"configuration": []},
        {"configuration": {"board": "/etc/passwd"}},
        {"configuration": {"board": "mine"}},
    ],
)
def test_a_manifest_that_says_less(more: dict[str, Any], tmp_path: Path) -> None:
    path = write(manifest(tmp_path, **more), OLD_HLS.read_bytes())
    reference = find_reference(path, None, None)
    assert (reference.estimate is None) == ("designs" in more)
    assert (reference.board is None) == ("configuration" in more)
    assert reference.budget(read_report(path), "lut") == 53_200


def test_ratios_to_the_estimate() -> None:
    assert ratios(read_report(OLD_HLS), ESTIMATE) == {
        "lut": 1.999,
        "lutram": None,
        "ff": 0.594,
        "bram_18k": 2.0,
        "dsp": 1.0,
        "uram": None,
        "latency": 0.5,
        "interval": 2.88,
    }
    assert set(ratios(read_report(TIMING), ESTIMATE).values()) == {None}


def test_over_the_part(tmp_path: Path) -> None:
    report = read_report(changed(tmp_path, SYNTHESIZED, ("|  110 |", "|  221 |")))
    assert over_budget(report, NOTHING) == ["dsp"]
    assert problems(report, NOTHING) == [
        Problem(Fault.TOO_LARGE, "Over budget: 221 DSP of the part's 220, 100.5 %"),
    ]


# ---- The command --------------------------------------------------------------------------------


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "synq"), "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_json_of_one_report() -> None:
    result = run(NEW_HLS, "--json")
    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    content = json.loads(result.stdout)
    assert {key: content[key] for key in KEYS} == {
        "file": str(NEW_HLS),
        "kind": "hls_csynth",
        "tool_version": "2025.1",
        "part": "xc7z020clg400-1",
        "target_clock_ns": 5.0,
        "estimated_clock_ns": 3.624,
        "latency_worst": 32,
        "interval_max": 1,
        "lut": {"used": 4725, "available": 53200, "percent": 8.88, "budget": 53200},
        "lutram": None,
        "ff": {"used": 13240, "available": 106400, "percent": 12.44, "budget": 106400},
        "bram_18k": {"used": 3, "available": 280, "percent": 1.07, "budget": 280},
        "dsp": {"used": 110, "available": 220, "percent": 50.0, "budget": 220},
        "uram": {"used": 0, "available": 0, "percent": None, "budget": 0},
        "wns_ns": None,
        "timing_met": True,
        "cosim_status": None,
    }


def test_json_is_one_object_a_report() -> None:
    result = run(REAL, COSIM, "--json")
    assert (result.returncode, result.stderr) == (4, "")  # one misses its timing
    contents = [json.loads(line) for line in result.stdout.splitlines() if "himbaechel" not in line]
    assert [content["file"] for content in contents] == [
        *map(str, [NEW_HLS, OLD_HLS, *ALL[2:], COSIM])
    ]
    assert all(set(KEYS) <= set(content) for content in contents)
    assert contents[-4]["wns_ns"] == 0.226
    assert contents[-3]["layers"][1]["name"] == "synq_layer_1"
    assert contents[-1]["cosim_status"] == "pass"


def test_what_is_wrong_comes_first(tmp_path: Path) -> None:
    """And markup in a file's name or contents is shown as it is."""
    path = tmp_path / "[red] csynth.xml"
    path.write_text(OLD_HLS.read_text().replace(">myproject_axi<", ">[bold]t&#x85;op[/]<"))
    result = run(COSIM, path)
    assert (result.returncode, result.stderr) == (4, "")
    lines = result.stdout.splitlines()
    assert lines[0] == (f"Timing not met: estimated clock 6.982 ns, target 5.000 ns ('{path}')")
    assert "xc7z020clg400-1, [bold]t\ufffdop[/]: " in result.stdout
    assert "Timing: not met (an estimate)" in lines
    assert "Cosimulation: pass" in lines


def test_good_reports(tmp_path: Path) -> None:
    result = run(NEW_HLS, TIMING)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Nothing over budget, no timing missed in 2 reports\n")
    lines = result.stdout.splitlines()
    assert "Latency: 32 cycles at worst; 0.160 us at the target clock" in lines
    assert "Clock: target 10.000 ns, worst path 9.774 ns" in lines
    assert "Worst slack: setup 0.226 ns, hold 0.016 ns, pulse width 3.750 ns" in lines
    assert ["LUT", "4,725", "53,200", "8.9", "-", "-"] in [line.split() for line in lines]


def test_a_project_with_its_estimate(tmp_path: Path) -> None:
    project = manifest(tmp_path / "project")
    write(project / "a_prj", PLACED.read_bytes())
    result = run(project)
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["LUT", "17,654", "53,200", "33.2", "19,000", "0.93"] in rows
    assert ["BRAM", "18K", "10", "280", "3.6", "10", "1.00"] in rows
    assert ["used", "of", "pynq-z2", "%", "estimate", "ratio"] in rows
    content = json.loads(run(project, "--json").stdout)
    assert content["board"] == "pynq-z2"
    assert content["ratio_to_estimate"]["lut"] == 0.929


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    from projects import MINE

    board = write(tmp_path, MINE, "mine.toml")
    project = manifest(tmp_path / "project")
    result = run(write(project, PLACED.read_bytes()), "--board", board)
    assert (result.returncode, result.stderr) == (0, "")
    board.write_text(MINE.replace("lut = 20800", "lut = 17653"))
    result = run(project / "a.rpt", "--board", board)
    assert (result.returncode, result.stderr) == (4, "")
    assert result.stdout.startswith("Over budget: 17,654 LUT of the board mine's 17,653, 100.0 %")
    assert "The report is for xc7z020clg400-1, mine has xc7a35tcpg236-1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (lambda folder: [folder], 1, "no reports below it"),
        (lambda folder: [folder / "none.rpt"], 1, "cannot be read (No such file or directory)"),
        (lambda folder: [write(folder, "hello\n")], 1, "is not a report that synq reads"),
        (lambda folder: [COSIM, write(folder, "<a/>")], 1, "its root is <a>"),
        (lambda folder: [COSIM, "--board", "pynq-z3"], 2, "unknown board 'pynq-z3'; did you mean"),
        (lambda folder: [], 2, "missing argument"),
    ],
    ids=["empty folder", "missing", "prose", "one of two", "board", "nothing"],
)
def test_refusals(
    arguments: Callable[[Path], list[Any]], code: int, message: str, tmp_path: Path
) -> None:
    for more in ([], ["--json"]):
        result = run(*arguments(tmp_path), *more)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr.startswith("synq: error: ")
        assert result.stderr.count("\n") == 1
        assert message in result.stderr


def test_output_to_a_full_device() -> None:
    with Path("/dev/full").open("w") as full:
        command = [str(Path(sys.executable).parent / "synq"), "report", str(OLD_HLS)]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "synq: error: No space left on device\n")


def test_help() -> None:
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: synq report" in result.stdout
