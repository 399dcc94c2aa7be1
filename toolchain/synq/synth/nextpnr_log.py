"""What nextpnr's himbaechel prints of a 7-series run: what its report says, and what it leaves out.

Only a run that has ended well is read: it says so in its last line, after the routing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from synq.errors import SynqError
from synq.synth import critical_path, result
from synq.synth.critical_path import Step
from synq.synth.nextpnr_report import clock_of, frequency, report_of, seven_series
from synq.synth.result import Report, Usage

HEAD = b"Info: Using uarch 'xilinx' for device '"
"""How the log of a 7-series run begins."""

_DEVICE = re.compile(r"Info: Using uarch 'xilinx' for device '([\w-]+)'")
_VERSION = re.compile(r"\(Version nextpnr-(\d[\w.+-]*)\)")
_USED = re.compile(r"Info: \t *(\w+): *(\d{1,9})/ *(\d{1,9}) +\d+%")
_PASSES_ON = re.compile(r"Info: +(\d{1,9})x LUT1")
_ROUTED = "Info: Routing complete."
_FREQUENCY = re.compile(
    r"(?:Info|Warning): Max frequency for clock '([^']+)': (\d{1,6}\.\d\d) MHz "
    r"\((PASS|FAIL) at (\d{1,6}\.\d\d) MHz\)"
)
_PATH = re.compile(r"Info: Critical path report for clock '[^']+' \(posedge -> posedge\):")
_STEP = re.compile(r"Info: +([a-z-]+) +(-?\d{1,6}\.\d\d) +-?\d+\.\d\d (?:Source|Net) (.+)")
_SINK = re.compile(r"Info: +Sink (.+)")
_LINE = re.compile(r"Info: {20,}(\S+:\d+\.\d+-\d+\.\d+)")
_PLACES = re.compile(r" \(\d+,\d+\) -> \(\d+,\d+\)$")
_PATH_ENDS = re.compile(r"Info: (\d+\.\d+ ns logic, \d+\.\d+ ns routing)")
_FINISHED = "Info: Program finished normally."
_ERROR = "ERROR: "


@dataclass(frozen=True)
class Log:
    """What a log says.

    Attributes:
        report: as the report of the same run has it; frequencies to 0.01 MHz.
        passes_on: look-up tables that only pass a signal on, as into a carry chain, or invert it.
    """

    report: Report
    passes_on: int


def parse_log(lines: Iterable[str]) -> Report:
    """What the lines say as a report.

    Raises:
        SynqError: as `read_log`.
    """
    return read_log(lines).report


def read_log(lines: Iterable[str]) -> Log:
    """What the lines say.

    Raises:
        SynqError: they are cut off, the run failed or did not route, or a resource is missing.
    """
    version = part = None
    passes_on = 0
    used: dict[str, Usage] = {}
    routed = finished = False
    timed: dict[str, tuple[float, float, bool]] = {}  # MHz achieved, MHz asked, whether met
    path: list[str] | None = None  # the lines of the path that is being read
    longest: list[Step] = []
    times: str | None = None  # what the longest path's is made of
    for line in lines:
        if line.startswith(_ERROR):
            raise SynqError(f"is of a run that failed: {result.known(line)}")
        if found := _DEVICE.match(line):
            part = found[1]
        elif found := _VERSION.search(line):
            version = found[1]
        elif found := _USED.match(line):
            used[found[1]] = Usage(int(found[2]), int(found[3]))
        elif found := _PASSES_ON.match(line):
            passes_on = int(found[1])
        elif line.startswith(_ROUTED):
            routed, timed, longest = True, {}, []  # those before are of the placement
        elif found := _FREQUENCY.match(line):
            achieved, asked = float(found[2]), float(found[4])
            timed[found[1]] = achieved, asked, found[3] == "PASS" and achieved >= asked
        elif _PATH.match(line):
            path = []
        elif path is not None:
            path.append(line)
            if found := _PATH_ENDS.match(line):
                steps = _steps(path)
                if critical_path.length(steps) > critical_path.length(longest):
                    longest, times = steps, found[1]
                path = None
        finished = finished or line == _FINISHED
    if not finished:
        raise SynqError("is cut off: it does not say that the program finished; run it again")
    if not routed:
        raise SynqError("is of a run that did not route: its timing is a guess")
    try:
        clocks = tuple(
            clock_of(name, frequency(achieved), frequency(asked), met)
            for name, (achieved, asked, met) in timed.items()
        )
        resources = seven_series(used, passes_on)
    except ValueError as error:
        raise SynqError(f"is damaged: {error}") from None
    told = critical_path.describe(longest, times)
    return Log(report_of(resources, clocks, told, version, part), passes_on)


def _steps(lines: Sequence[str]) -> list[Step]:
    """A path: a line a step; below those of nets the cell that it leads to, and its sources."""
    steps: list[Step] = []
    for line in lines:
        if found := _STEP.fullmatch(line):
            kind, ns, name = found[1], float(found[2]), found[3]
            if kind == critical_path.ROUTING:
                steps.append(Step(kind, ns, "", "", net=_PLACES.sub("", name)))
            else:
                cell, _, port = name.rpartition(".")
                steps.append(Step(kind, ns, cell, port))
        elif steps and (found := _SINK.fullmatch(line)):
            cell, _, port = found[1].rpartition(".")
            steps[-1] = replace(steps[-1], cell=cell, port=port)
        elif steps and (found := _LINE.fullmatch(line)):
            steps[-1] = replace(steps[-1], sources=(*steps[-1].sources, found[1]))
    return steps
