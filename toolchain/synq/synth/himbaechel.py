"""Place and route for AMD's 7-series with nextpnr's himbaechel, on the board's own part.

It is experimental and in no package: the user builds it, and from Project X-Ray's documentation of
the parts the chip database. The delays are those that the project measured, of speed grade -1.
"""

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from synq.cost import RESOURCES
from synq.errors import NoToolError, SynqError
from synq.process import stream
from synq.synth import nextpnr
from synq.synth.chip_database import device_of
from synq.synth.nextpnr import Routed
from synq.synth.nextpnr_log import read_log
from synq.synth.nextpnr_report import parse_report
from synq.synth.result import Report
from synq.synth.tool_json import with_facts
from synq.synth.yosys import SHELL_PORTS

_NAMES = ("nextpnr-himbaechel", "nextpnr-himbaechel-xilinx")  # the second if built for it alone
_UARCH = "xilinx"
_SECONDS_TO_ANSWER = 60
# xc7z020clg400-1: die, package, speed grade, as nextpnr takes them apart
_PART = re.compile(r"(xc7[az]\d+t?)([a-z]+\d+)-(\d)(l?)")
_DIES = {"xc7a35t": "xc7a50t"}  # sold as, but is
_CONSTRAINTS = "shell.xdc"
# Pins of each package for the shell's clock, input and output: the clock's can drive the whole part
# (MRCC), all are of 3.3 V banks, and so on every die that comes in the package. From Project
# X-Ray's package_pins.csv, which is AMD's (UG475, UG865).
_PINS = {
    "clg225": ("L12", "G11", "G12"),
    "clg400": ("H16", "D19", "D20"),
    "clg484": ("B19", "AA11", "AA12"),
    "cpg236": ("W5", "A14", "B18"),
    "csg324": ("E3", "C1", "C2"),
    "csg325": ("P4", "J4", "J5"),
    "fbg484": ("H4", "A13", "A14"),
    "fgg484": ("H4", "A13", "A14"),
    "fgg676": ("E5", "A2", "A3"),
    "ftg256": ("N11", "A3", "B4"),
    "sbg484": ("H4", "A13", "A14"),
}
_UARCHES = re.compile(r"Supported uarches: (.+)")
_SAME = 1e-3  # by which share the log's frequency, of two decimals, may differ from the report's


@dataclass(frozen=True)
class Given:
    """What the user names.

    Attributes:
        program: nextpnr-himbaechel; the one on PATH without.
        database: the chip database of the part.
    """

    program: Path | None = None
    database: Path | None = None


@dataclass(frozen=True)
class Himbaechel:
    """What is needed to place and route for a part.

    Attributes:
        program: nextpnr.
        database: the chip database of the part.
        part: as nextpnr takes it.
        pins: of the shell's clock, input and output.
    """

    program: Path
    database: Path
    part: str
    pins: tuple[str, str, str]


def prepare(part: str, given: Given, environment: Mapping[str, str] = os.environ) -> Himbaechel:
    """Find what is needed, and see that it fits: before minutes of synthesis rather than after.

    Raises:
        NoToolError: nextpnr or the database is missing, or nextpnr was built without 7-series.
        SynqError: nextpnr does not know the part, or the database is of another.
    """
    found = _PART.fullmatch(part.lower())
    if found is None:
        raise SynqError(
            f"{part} is no part as nextpnr's himbaechel takes them, e.g. xc7z020clg400-1: it knows "
            "Artix-7 and Zynq-7000"
        )
    die, package, speed, low_power = found.groups()
    if package not in _PINS:
        raise SynqError(
            f"synq knows no pins of the package {package} to place the core's shell with: it does "
            f"of {', '.join(_PINS)}"
        )
    program = _find(given.program, environment)
    database = _check_database(given.database, part, _DIES.get(die, die))
    _check_architecture(program)
    device = f"{die}{package}-{speed}{low_power.upper()}"
    return Himbaechel(program, database, device, _PINS[package])


def place_and_route(
    himbaechel: Himbaechel,
    scratch: Path,
    clock_ns: float,
    seconds: float = float("inf"),
    listen: Callable[[str], None] | None = None,
) -> Routed:
    """Place and route the netlist that `yosys.synthesize` left in `scratch`.

    Args:
        clock_ns: the period asked for.
        seconds: time limit.
        listen: gets what nextpnr prints, line by line, as it comes.

    Raises:
        TimeUpError: its time was up.
        SynqError: it failed, as with a design that does not fit; or its log does not say what its
            report says.
    """
    (scratch / _CONSTRAINTS).write_text(_constraints(himbaechel.pins))
    options = [
        *["--device", himbaechel.part, "--chipdb", str(himbaechel.database)],
        *["--vopt", f"xdc={_CONSTRAINTS}"],
    ]
    routed = nextpnr.run([str(himbaechel.program)], options, scratch, clock_ns, seconds, listen)
    try:
        log = read_log((scratch / nextpnr.LOG).read_text().splitlines())
        report = parse_report(with_facts(routed.report, {"passes_on": log.passes_on}))
        _compare(report, log.report)
    except SynqError as error:
        raise SynqError(f"nextpnr's log or report: {error}") from None
    return replace(routed, passes_on=log.passes_on)


def _compare(report: Report, logged: Report) -> None:
    """Whether report and log are of the same run, both whole.

    Raises:
        SynqError: they are not.
    """
    periods, others = (_periods(each) for each in (report, logged))
    same = periods.keys() == others.keys() and all(
        math.isclose(period, others[name], rel_tol=_SAME) for name, period in periods.items()
    )
    if not same or any(report.usage(name) != logged.usage(name) for name in RESOURCES):
        raise SynqError("they say different things")


def _periods(report: Report) -> dict[str, float]:
    """In ns, of each clock the shortest that the design can do."""
    return {clock.name: (clock.period_ns or 0) - (clock.wns_ns or 0) for clock in report.clocks}


def _find(given: Path | None, environment: Mapping[str, str]) -> Path:
    if given is not None:
        if not (given.is_file() and os.access(given, os.X_OK)):
            raise NoToolError(f"{given} is no program that can be run", ("nextpnr",))
        return given.absolute()
    for name in _NAMES:
        if found := shutil.which(name, path=environment.get("PATH", "")):
            return Path(found).absolute()
    raise NoToolError(
        "nextpnr-himbaechel is not on PATH; place and route for 7-series needs it, and no package "
        "has it: build nextpnr with -DARCH=himbaechel -DHIMBAECHEL_UARCH=xilinx, or name the "
        "program",
        ("nextpnr",),
    )


def _check_database(given: Path | None, part: str, die: str) -> Path:
    if given is None:
        raise NoToolError(
            f"place and route for {part} needs nextpnr's chip database of the {die}, which its "
            f"build makes from Project X-Ray's: name the file, chipdb-{die}.bin",
            ("chip_database",),
        )
    if not given.is_file():
        raise NoToolError(f"there is no file {given}", ("chip_database",))
    uarch, device = device_of(given)
    if (uarch, device) != (_UARCH, die):
        raise SynqError(
            f"{given} is the chip database of {device} ({uarch}), and {part} is a {die}",
            ("chip_database",),
        )
    return given.absolute()


def _check_architecture(program: Path) -> None:
    """See that the program knows 7-series: distributions build it for other families.

    Raises:
        NoToolError: it does not.
        SynqError: it does not answer.
    """
    lines: list[str] = []
    code = stream([str(program), "--list-uarch"], _SECONDS_TO_ANSWER, lines.append, {})
    if code is None:
        raise SynqError(f"{program} did not say within {_SECONDS_TO_ANSWER} s which chips it knows")
    known = next((found[1] for line in lines if (found := _UARCHES.search(line))), None)
    if known is None:
        said = " ".join(lines[0].split()) if lines else "nothing"
        raise SynqError(
            f"{program} does not say which chips it knows, it says: {said[:200]}",
            ("nextpnr",),
        )
    if _UARCH not in known.split():
        raise NoToolError(
            f"{program} is built without 7-series, for {known}: build nextpnr with "
            f"-DHIMBAECHEL_UARCH={_UARCH}",
            ("nextpnr",),
        )


def _constraints(pins: tuple[str, str, str]) -> str:
    """Where the shell's ports are: nextpnr places no pin by itself."""
    return "".join(
        f"set_property LOC {pin} [get_ports {port}]\n"
        f"set_property IOSTANDARD LVCMOS33 [get_ports {port}]\n"
        for port, pin in zip(SHELL_PORTS, pins, strict=True)
    )
