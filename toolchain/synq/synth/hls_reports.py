"""Reports of Vivado HLS and Vitis HLS: synthesis estimates (XML) and cosimulation (text).

Formats as in UG902 (Vivado HLS, to 2020.1) and UG1399 (Vitis HLS); they hardly differ. The resource
DSP48E became DSP with Vitis HLS, URAM came with 2019, and a top-level csynth.xml of 2022 and later
also holds the hierarchy.
"""

from collections.abc import Iterable, Iterator

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from synq.errors import SynqError
from synq.synth.result import Kind, Report, Usage, Usages, count, known, normalize_part, number

_MAX_DEPTH = 64  # a report has 10 at most
_MAX_ELEMENTS = 1_000_000  # a report of 10,000 ports has 120,000
_MAX_TEXT = 1000  # characters of a value
_CHUNK = 1 << 16

_LATENCY = "PerformanceEstimates/SummaryOfOverallLatency"
_DSP = ("DSP", "DSP48E", "DSP48E1", "DSP48E2", "DSP58")
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

    target = number(values.get("UserAssignments/TargetClockPeriod"))
    estimated = number(
        values.get("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")
    )
    resources = Usages(
        lut=usage("LUT"),
        lutram=None,
        ff=usage("FF"),
        bram_18k=usage("BRAM_18K"),
        dsp=usage(*_DSP),
        uram=usage("URAM"),
    )
    if estimated is None and not any(resources.values()):
        raise SynqError("holds no estimates: run C synthesis again")
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
        **resources,
        timing_met=None if target is None or estimated is None else estimated <= target,
    )


class _Collector:
    """What the XML parser calls: keeps the wanted texts, and a tree of nothing else.

    Memory is constant and time linear, whatever the file.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_top = False
        self._path: list[str] = []
        self._elements = 0
        self._text: list[str] | None = None

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if not self._path and tag != "profile":
            raise SynqError(f"is not an HLS report: its root is <{tag[:40]}>, not <profile>")
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

    def close(self) -> None:
        pass


def _read_xml(content: bytes) -> tuple[dict[str, str], bool]:
    collector = _Collector()
    try:
        parser = DefusedXMLParser(target=collector, forbid_dtd=True)
        for start in range(0, len(content), _CHUNK):
            parser.feed(content[start : start + _CHUNK])
        parser.close()
    except DefusedXmlException:
        raise SynqError("declares a DTD or entities, which no report does: not read") from None
    # ValueError, LookupError: an encoding that it claims and Python does not have
    except (ParseError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise SynqError(f"is damaged or cut off ({reason}): run C synthesis again") from None
    if not any(path.startswith("UserAssignments/") for path in collector.values):
        raise SynqError("is not an HLS synthesis report: it has no <UserAssignments>")
    return collector.values, collector.is_top


_LANGUAGES = {"verilog", "vhdl", "systemc"}


def is_cosim(line: str) -> bool:
    """Whether a line is the head of the table of a cosimulation report."""
    return [cell.strip() for cell in line[:60].split("+")[1:3]] == ["RTL", "Status"]


def parse_cosim(lines: Iterable[str]) -> Report:
    """The report in a <top>_cosim.rpt: one row a language, of which one is simulated as a rule.

    A row holds the status, latency (min, avg, max), interval (the same), and since Vitis HLS 2020
    the cycles of the whole simulation. It names neither the version nor the part.

    Raises:
        SynqError: there is no row.
    """
    rows = list(_rows(lines))
    statuses = {status for status, _ in rows}
    if not rows:
        raise SynqError("has no row for Verilog or VHDL: run cosimulation again")
    run = [numbers for status, numbers in rows if status in ("pass", "fail")]

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


def _rows(lines: Iterable[str]) -> Iterator[tuple[str, list[int | None]]]:
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) >= 2 and cells[0].lower() in _LANGUAGES:
            numbers = [count(cell) for cell in cells[2:8]]
            yield cells[1].lower(), numbers + [None] * (6 - len(numbers))
