"""Hold a report against a board's budget and against the estimate made before synthesis."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from synq.board import Board, board_names, load_board
from synq.cost import RESOURCES, Estimate, Resources
from synq.errors import SynqError
from synq.project.manifest import MANIFEST, read_manifest
from synq.synth.result import Report, normalize_part

LABELS = {
    "lut": "LUT",
    "lutram": "LUTRAM",
    "ff": "FF",
    "bram_18k": "BRAM 18K",
    "dsp": "DSP",
    "uram": "URAM",
}
_LEVELS_UP = 4  # from a solution's syn/report folder to the project that holds the solution


@dataclass(frozen=True)
class Reference:
    """What a report is held against; None where it is not known."""

    board: Board | None
    estimate: Estimate | None

    def budget(self, report: Report, resource: str) -> int | None:
        """How much of a resource there is: of the board, else of the part that is reported."""
        if self.board is not None:
            budget = getattr(self.board.resources, resource)
            assert isinstance(budget, int)
            return budget
        usage = report.usage(resource)
        return None if usage is None else usage.available

    def other_part(self, report: Report) -> str | None:
        """The board's part, if the report is for another one."""
        if self.board is None or report.part is None:
            return None
        part = normalize_part(self.board.part) or ""
        # a report can leave out the speed or the temperature grade
        same = part.startswith(report.part) or report.part.startswith(part)
        return None if same else part


def find_reference(
    path: Path, folder: Path | None, board: Board | None, flow: str = "hls"
) -> Reference:
    """The reference of the report `path`: a given board, and what the project's manifest says.

    Args:
        path: the report.
        flow: the back end it is about, `Report.flow`: each has an estimate of its own.
        folder: the folder it was found below; the project may be that, or contain it.
        board: what the user gave; it comes before the manifest's.
    """
    home = path.resolve().parent
    above = [home, *home.parents]
    reach = above.index(folder.resolve()) if folder and folder.resolve() in above else 0
    for parent in above[: reach + _LEVELS_UP + 1]:
        if not (parent / MANIFEST).is_file():
            continue
        try:
            manifest = read_manifest(parent)
        except SynqError:
            continue  # another program's manifest.json
        return Reference(board or _board(manifest), _estimate(manifest, flow))
    return Reference(board, None)


def _board(manifest: dict[str, Any]) -> Board | None:
    """The board of a project, if it is one that ships: of a user's own only the name is kept."""
    configuration = manifest.get("configuration")
    name = configuration.get("board") if isinstance(configuration, dict) else None
    return load_board(name) if isinstance(name, str) and name in board_names() else None


def _estimate(manifest: dict[str, Any], flow: str) -> Estimate | None:
    designs = manifest.get("designs")
    design = designs.get(flow) if isinstance(designs, dict) else None
    given = design.get("estimate") if isinstance(design, dict) else None
    resources = given.get("resources") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(resources, dict):
        return None
    numbers = {name: resources.get(name) for name in RESOURCES}
    numbers |= {name: given.get(name) for name in ("latency", "interval")}
    whole = {name: n for name, n in numbers.items() if type(n) is int and n >= 0}
    if len(whole) < len(numbers):
        return None
    latency, interval = whole.pop("latency"), whole.pop("interval")
    return Estimate(Resources(**whole), latency, interval)


def over_budget(report: Report, reference: Reference) -> list[str]:
    """The resources of which the design takes more than there is."""
    found = []
    for resource in RESOURCES:
        usage, budget = report.usage(resource), reference.budget(report, resource)
        if usage is not None and budget is not None and usage.used > budget:
            found.append(resource)
    return found


def ratios(report: Report, estimate: Estimate) -> dict[str, float | None]:
    """Reported over estimated, for each resource, the latency and the interval."""
    pairs: dict[str, tuple[int | None, int]] = {
        resource: (
            usage.used if (usage := report.usage(resource)) is not None else None,
            getattr(estimate.resources, resource),
        )
        for resource in RESOURCES
    }
    pairs["latency"] = (report.latency_worst, estimate.latency)
    pairs["interval"] = (report.interval_max, estimate.interval)
    return {
        name: round(reported / estimated, 3) if reported is not None and estimated else None
        for name, (reported, estimated) in pairs.items()
    }


class Fault(StrEnum):
    """What is wrong with a design, by what mends it."""

    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    TOO_FAST = "too fast"  # signals arrive before they are waited for, or clock pulses are short
    WRONG = "wrong"


@dataclass(frozen=True)
class Problem:
    """What keeps a design from working, in a sentence."""

    fault: Fault
    text: str


def problems(report: Report, reference: Reference) -> list[Problem]:
    """What keeps the design from working; empty if nothing does."""
    found = []
    where = f"board {reference.board.name}" if reference.board else "part"
    for resource in over_budget(report, reference):
        usage, budget = report.usage(resource), reference.budget(report, resource)
        assert usage is not None and budget is not None
        share = f", {100 * usage.used / budget:.1f} %" if budget else ""
        text = f"Over budget: {usage.used:,} {LABELS[resource]} of the {where}'s {budget:,}{share}"
        found.append(Problem(Fault.TOO_LARGE, text))
    if report.timing_met is False:
        found.append(Problem(_late(report), f"Timing not met: {_why_late(report)}"))
    if report.cosim_status == "fail":
        text = "Cosimulation failed: the RTL does not do what the C++ does"
        found.append(Problem(Fault.WRONG, text))
    return found


def _late(report: Report) -> Fault:
    """Whether a slower clock would help: only setup depends on its period alone."""
    others = [slack for slack in (report.whs_ns, report.wpws_ns) if slack is not None]
    setup = report.wns_ns is None or report.wns_ns < 0
    return Fault.TOO_SLOW if setup or min(others, default=0.0) >= 0 else Fault.TOO_FAST


def _why_late(report: Report) -> str:
    if report.estimated_clock_ns is not None and report.target_clock_ns is not None:
        return (
            f"estimated clock {report.estimated_clock_ns:.3f} ns, "
            f"target {report.target_clock_ns:.3f} ns"
        )
    slacks = {
        "setup slack (WNS)": report.wns_ns,
        "hold slack (WHS)": report.whs_ns,
        "pulse width slack (WPWS)": report.wpws_ns,
    }
    late = [f"{name} {ns:.3f} ns" for name, ns in slacks.items() if ns is not None and ns < 0]
    ends = report.failing_endpoints
    return (
        ", ".join([*late, *([f"{ends:,} failing endpoints"] if ends else [])])
        or "so its verdict says"
    )
