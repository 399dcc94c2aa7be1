"""Reports of Vivado HLS and Vitis HLS: synthesis estimates (XML) and cosimulation (text).

Formats as in UG902 (Vivado HLS, to 2020.1) and UG1399 (Vitis HLS); they hardly differ. The resource
DSP48E became DSP with Vitis HLS, URAM came with 2019, and a top-level csynth.xml of 2022 and later
also holds the hierarchy.

A csynth.xml ends with its root, </profile>; the table of a cosimulation with the line it began
with. What ends before is cut off.
"""

from collections.abc import Iterable
from xml.parsers.expat import ExpatError, ParserCreate

from synq.errors import SynqError
from synq.synth.result import Kind, Report, Usage, count, known, normalize_part, number, period

_MAX_DEPTH = 64  # a report has 10 at most
_MAX_ELEMENTS = 300_000  # a report of 10,000 ports has 120,000
_MAX_ATTRIBUTES = 100  # names and values of an element; a report has none
_MAX_TEXT = 1000  # characters of a value

_LATENCY = "PerformanceEstimates/SummaryOfOverallLatency"
_DSP = ("DSP", "DSP48E", "DSP48E1", "DSP48E2", "DSP58")
_EVERY = {"LUTs": ("LUT",), "FFs": ("FF",), "block RAM": ("BRAM_18K",), "DSPs": _DSP}
"""What every release estimates: a report without one is not whole."""
_WANTED = frozenset(
    [
        "ReportVersion/Version",
        "UserAssignments/Part",
        "UserAssignments/TopModelName",
        "UserAssignments/TargetClockPeriod",
        "UserAssignments/ClockUncertainty",
        "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
        *(f"{_LATENCY}/{case}-caseLatency" for case in ("Best", "Average", "Worst")),
        *(f"{_LATENCY}/Interval-{end}" for end in ("min", "max")),
        *(f"{_LATENCY}/DataflowPipelineThroughput/range/{end}" for end in ("min", "max")),
        *(
            f"AreaEstimates/{table}/{tag}"
            for table in ("Resources", "AvailableResources")
            for tag in ("LUT", "FF", "BRAM_18K", "URAM", *_DSP)
        ),
    ]
)
_TOP_ONLY = frozenset(["InterfaceSummary/RtlPorts/CType", "RTLDesignHierarchy"])


def parse_csynth(content: bytes) -> Report:
    """The report in a csynth.xml.

    Only the top has C types in its interface, which tells it from the functions below.

    Raises:
        SynqError: it is not well-formed, not a csynth.xml, or built to harm.
    """
    values, is_top = _read_xml(content)

    def usage(*tags: str) -> Usage | None:
        for tag in tags:
            if (used := count(values.get(f"AreaEstimates/Resources/{tag}"))) is not None:
                return Usage(used, count(values.get(f"AreaEstimates/AvailableResources/{tag}")))
        return None

    def interval(end: str) -> int | None:
        throughput = values.get(f"{_LATENCY}/DataflowPipelineThroughput/range/{end}")
        return count(values.get(f"{_LATENCY}/Interval-{end}", throughput))

    target = period(values.get("UserAssignments/TargetClockPeriod"))
    estimated = period(
        values.get("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")
    )
    for name, tags in _EVERY.items():
        if not any(f"AreaEstimates/Resources/{tag}" in values for tag in tags):
            raise SynqError(f"has no estimate of {name}: run C synthesis again")
    return Report(
        kind=Kind.HLS_CSYNTH,
        tool_version=known(values.get("ReportVersion/Version")),
        part=normalize_part(values.get("UserAssignments/Part")),
        top=known(values.get("UserAssignments/TopModelName")),
        is_top=is_top,
        target_clock_ns=target,
        clock_uncertainty_ns=number(values.get("UserAssignments/ClockUncertainty")),
        estimated_clock_ns=estimated,
        latency_best=count(values.get(f"{_LATENCY}/Best-caseLatency")),
        latency_average=count(values.get(f"{_LATENCY}/Average-caseLatency")),
        latency_worst=count(values.get(f"{_LATENCY}/Worst-caseLatency")),
        interval_min=interval("min"),
        interval_max=interval("max"),
        lut=usage("LUT"),
        ff=usage("FF"),
        bram_18k=usage("BRAM_18K"),
        dsp=usage(*_DSP),
        uram=usage("URAM"),
        timing_met=None if target is None or estimated is None else estimated <= target,
    )


class _Collector:
    """Keeps the wanted values, and nothing else of a file that may be built to harm."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_top = False
        self._path: list[str] = []
        self._elements = 0
        self._text: list[str] | None = None

    def start(self, tag: str, attributes: list[str]) -> None:
        if len(attributes) > _MAX_ATTRIBUTES:
            raise SynqError("has an element with many attributes: no report has")
        if not self._path and tag != "profile":
            raise SynqError(f"is not an HLS synthesis report: its root is <{known(tag)}>")
        self._path.append(tag)
        self._elements += 1
        if len(self._path) > _MAX_DEPTH:
            raise SynqError(f"is nested more than {_MAX_DEPTH} deep: no report is")
        if self._elements > _MAX_ELEMENTS:
            raise SynqError(f"has more than {_MAX_ELEMENTS:,} elements: no report has")
        self._text = None
        if len(self._path) <= 6:
            path = "/".join(self._path[1:])
            self.is_top = self.is_top or path in _TOP_ONLY
            if path in _WANTED and path not in self.values:
                self._text = []

    def data(self, text: str) -> None:
        if self._text is not None and len(self._text) < _MAX_TEXT:
            self._text.append(text[:_MAX_TEXT])

    def end(self, _tag: str) -> None:
        if self._text is not None:
            self.values["/".join(self._path[1:])] = "".join(self._text)[:_MAX_TEXT]
            self._text = None
        self._path.pop()

    def doctype(self, *_arguments: object) -> None:
        raise SynqError("declares a DTD, which no report does: not read")


def _read_xml(content: bytes) -> tuple[dict[str, str], bool]:
    collector = _Collector()
    parser = ParserCreate()
    parser.ordered_attributes = True  # a list, not a dictionary of what nobody asks for
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = collector.doctype  # so there are no entities either
    parser.StartElementHandler = collector.start
    parser.CharacterDataHandler = collector.data
    parser.EndElementHandler = collector.end
    try:
        # All at once: expat reads a token that has not ended from its start with every piece.
        parser.Parse(content, True)
    # ValueError, LookupError: an encoding that it claims and Python does not have
    except (ExpatError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise SynqError(f"is damaged or cut off ({reason}): run C synthesis again") from None
    if not any(path.startswith("UserAssignments/") for path in collector.values):
        raise SynqError("is not an HLS synthesis report: it has no <UserAssignments>")
    return collector.values, collector.is_top


_LANGUAGES = {"verilog", "vhdl", "systemc"}
_COSIM_STATUS = {"pass": "pass", "fail": "fail", "na": None}


def parse_cosim(lines: Iterable[str]) -> Report:
    """The report in a <top>_cosim.rpt: one row a language, of which one is simulated as a rule.

    A row holds the status, latency (min, avg, max), interval (the same), and since Vitis HLS 2020
    the cycles of the whole simulation. It names neither the version nor the part.

    Raises:
        SynqError: there is no row, or the table does not end.
    """
    rows: list[tuple[str | None, list[int | None]]] = []
    border, ended = "", False
    for line in lines:
        if line.startswith("+") and set(line) <= {"+", "-"}:
            ended = ended or (bool(rows) and line == border)
            border = border or line
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) >= 2 and cells[0].lower() in _LANGUAGES:
            if (status := cells[1].lower()) not in _COSIM_STATUS:
                raise SynqError(f"is damaged: {known(cells[1])} is no status of a cosimulation")
            numbers = [count(cell) for cell in cells[2:8]]
            rows.append((_COSIM_STATUS[status], numbers + [None] * (6 - len(numbers))))
            ended = False
            if len(rows) > len(_LANGUAGES):
                raise SynqError("is damaged: it has a language twice")
    if not rows:
        raise SynqError("has no row for Verilog or VHDL: cut off, run cosimulation again")
    if not ended:
        raise SynqError("is cut off: its table does not end; run cosimulation again")
    statuses = {status for status, _ in rows}
    run = [numbers for status, numbers in rows if status is not None]

    def column(position: int, choose: int) -> int | None:
        found = sorted(n for numbers in run if (n := numbers[position]) is not None)
        return found[choose] if found else None

    return Report(
        kind=Kind.HLS_COSIM,
        latency_best=column(0, 0),
        latency_average=column(1, -1),
        latency_worst=column(2, -1),
        interval_min=column(3, 0),
        interval_max=column(5, -1),
        cosim_status="fail" if "fail" in statuses else "pass" if "pass" in statuses else None,
    )
