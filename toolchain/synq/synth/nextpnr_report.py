"""What nextpnr's `--report` says of a routed design, on Lattice ECP5 or AMD's 7-series."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from synq.errors import SynqError
from synq.rtl.verilog import TOP
from synq.synth import critical_path, result
from synq.synth.critical_path import Step
from synq.synth.result import Clock, Kind, OtherReportError, Report, Usage
from synq.synth.tool_json import Facts, count, number, read_json

_NO_MARGIN = 0.0005  # MHz; a report has them to a float's precision
# What is counted in every report of a family, even if there is none.
_ECP5 = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")
_RAM18, _RAM36 = "RAMB18E1_RAMB18E1", "RAMB36E1_RAMB36E1"
_SEVEN_SERIES = ("SLICE_LUTX", "SLICE_FFX", _RAM18, _RAM36, "DSP48E1_DSP48E1")
# What is counted in the reports of other families alone.
_OTHERS = {"ICESTORM_LC": "iCE40", "OXIDE_COMB": "Nexus"}


class Used(NamedTuple):
    """What a design takes, of what nextpnr counts."""

    lut: Usage
    ff: Usage
    bram_18k: Usage
    dsp: Usage
    lutram: Usage | None = None


def parse_report(text: str) -> Report:
    """The report of `nextpnr-ecp5` or, for 7-series, `nextpnr-himbaechel`.

    Resources are of the whole device's design, the registers of `yosys.SHELL` included.

    Raises:
        OtherReportError: it is of another family.
        SynqError: it is no such text.
    """
    content = read_json(text, "a report of nextpnr")
    facts = Facts.of(content)
    try:
        utilization = {
            str(name): Usage(count(each["used"]), count(each["available"]))
            for name, each in content["utilization"].items()
        }
        clocks = tuple(
            clock_of(str(name), frequency(each["achieved"]), frequency(each["constraint"]))
            for name, each in content["fmax"].items()
        )
        _check_family(utilization)
        if "SLICE_LUTX" in utilization:
            used = seven_series(utilization, facts.count("passes_on") or 0)
            told = critical_path.describe(_longest(content["critical_paths"]))
        else:
            used = _ecp5(utilization)
            told = _registers(content["critical_paths"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SynqError(f"not a report of nextpnr: {error!r}") from None
    return report_of(used, clocks, told, facts.text("tool_version"), facts.text("part"))


def report_of(
    used: Used, clocks: tuple[Clock, ...], told: str | None, version: str | None, part: str | None
) -> Report:
    """A routed design's report.

    Args:
        told: its longest path.
        version: of nextpnr.
    """
    worst = min(clocks, key=lambda clock: clock.wns_ns or 0.0, default=None)
    return Report(
        kind=Kind.NEXTPNR,
        tool_version=version,
        part=result.normalize_part(part),
        top=TOP,
        stage="routed",
        target_clock_ns=worst.period_ns if worst else None,
        critical_path=told,
        wns_ns=worst.wns_ns if worst else None,
        clocks=clocks,
        timing_met=min(clock.wns_ns or 0.0 for clock in clocks) >= 0 if clocks else None,
        **used._asdict(),
    )


def seven_series(counted: Mapping[str, Usage], passes_on: int) -> Used:
    """Resources of a 7-series part.

    nextpnr counts the two outputs of a six-input table apart, and the tables through which a signal
    only passes. How many share a table it does not say: the look-up tables are the most there are.

    Args:
        passes_on: how many tables do nothing; 0 if it is not known.

    Raises:
        ValueError: something is not counted, or cannot be.
    """
    _check_counted(counted, _SEVEN_SERIES)
    tables, registers, ram18, ram36, dsp = (counted[name] for name in _SEVEN_SERIES)
    most = (tables.available or 0) // 2
    if not passes_on <= tables.used <= 2 * most:
        raise ValueError(f"{passes_on} of {tables.used} look-up tables, of {2 * most}")
    return Used(
        lut=Usage(min(tables.used - passes_on, most), most),
        ff=registers,
        bram_18k=Usage(ram18.used + 2 * ram36.used, ram18.available),
        dsp=dsp,
    )


def clock_of(name: str, achieved: float, asked: float, met: bool | None = None) -> Clock:
    """A clock by its frequencies in MHz.

    Args:
        met: nextpnr's verdict, where it rounds what it says.
    """
    slack = 1000 / asked - 1000 / achieved
    met = achieved + _NO_MARGIN >= asked if met is None else met
    slack = max(0.0, slack) if met else min(-1e-6, slack)
    return Clock(result.known(name) or "", round(1000 / asked, 6), round(slack, 6))


def frequency(value: Any) -> float:
    """The value, if it is a frequency in MHz.

    Raises:
        ValueError: it is not.
    """
    return number(value, 1e-3, 1e6)


def _check_family(counted: Mapping[str, Usage]) -> None:
    if "TRELLIS_COMB" in counted or "SLICE_LUTX" in counted or not counted:
        return
    found = next((family for name, family in _OTHERS.items() if name in counted), None)
    what = found or f"a part with {result.known(next(iter(counted)))}"
    raise OtherReportError(
        f"is nextpnr's report of another family: {what} is not read, ECP5 and 7-series are"
    )


def _check_counted(counted: Mapping[str, Usage], every: tuple[str, ...]) -> None:
    if missing := [name for name in every if name not in counted]:
        raise ValueError(f"it has no {missing[0]}")


def _ecp5(counted: Mapping[str, Usage]) -> Used:
    _check_counted(counted, _ECP5)
    memory = counted.get("TRELLIS_RAMW")
    lut, ff, blocks, multipliers = (counted[name] for name in _ECP5)
    # each write port serves a memory of four look-up tables
    lutram = Usage(4 * memory.used, 4 * (memory.available or 0)) if memory else None
    return Used(lut, ff, blocks, multipliers, lutram)


def _within(paths: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The steps of the paths from a clock to itself."""
    return [each["path"] for each in paths if each["from"] == each["to"] and each["path"]]


def _ns(step: dict[str, Any]) -> float:
    return number(step["delay"], -1e6, 1e6)


def _longest(paths: list[dict[str, Any]]) -> list[Step]:
    """The longest path from a clock to itself."""
    found = [
        [
            Step(
                kind=str(step["type"]),
                ns=_ns(step),
                cell=str(step["to"]["cell"]),
                port=str(step["to"]["port"]),
                net=str(step["net"]) if "net" in step else None,
                sources=tuple(str(source) for source in step.get("sources", ())),
            )
            for step in path
        ]
        for path in _within(paths)
    ]
    return max(found, key=critical_path.length, default=[])


def _registers(paths: list[dict[str, Any]]) -> str | None:
    """The longest such path of an ECP5: its registers, and what of it is routing."""
    found: list[tuple[float, str]] = []
    for path in _within(paths):
        total = sum(_ns(step) for step in path)
        routing = sum(_ns(step) for step in path if step["type"] == "routing")
        first, last = path[0]["from"]["cell"], path[-1]["to"]["cell"]
        parts = f"{total - routing:.2f} ns logic, {routing:.2f} ns routing"
        found.append((total, f"{_short(first)} to {_short(last)}: {parts}"))
    return result.known(max(found)[1]) if found else None


def _short(cell: str) -> str:
    """A register's name in the sources, without what Yosys hangs on it."""
    return re.split(r"_(?:TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|DP16KD|MULT18X18D)", cell)[0][:80]
