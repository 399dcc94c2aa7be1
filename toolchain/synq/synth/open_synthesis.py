"""Synthesize a project's Verilog with open tools: Yosys, and nextpnr where it knows the part."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synq.errors import SynqError
from synq.files import atomic_write
from synq.process import TimeUpError
from synq.progress import Progress
from synq.project.manifest import read_manifest
from synq.scratch import scratch_folder
from synq.synth import himbaechel, nextpnr, timing, yosys
from synq.synth.deadline import Deadline, InterruptedRunError
from synq.synth.sources import check_sources
from synq.synth.tool_json import with_facts

_log = logging.getLogger("synq")
_TIMING = "longest path"
# Lines of Yosys' log in their order, and about what share of its time has passed by then: measured
# on MNIST's network for 7-series.
_YOSYS_STEPS = (
    ("Executing SYNTH_", 0.01),
    ("Executing SYNTH_", 0.13),  # from where memories are mapped
    ("Executing ABC", 0.38),
    ("Executing XILINX_SRL", 0.79),
    ("Executing FLATTEN", 0.85),
    ("Executing BLIF backend", 0.93),
    (_TIMING, 0.95),
)
_SHOWN = 72  # characters of a tool's line beside a progress bar
_RTL = "rtl"
_Route = Callable[[Path, float, Callable[[str], None]], nextpnr.Routed]
"""Scratch folder, seconds, listener."""
_STATISTICS, _ROUTED = "yosys.json", "nextpnr.json"


@dataclass(frozen=True)
class OpenRun:
    """Open synthesis that went well.

    Attributes:
        tools: that ran, with versions.
        reports: what they wrote, in the project's flow/reports.
        logs: of the tools, in the project's flow/logs.
        seconds: of wall time.
    """

    tools: tuple[str, ...]
    reports: tuple[Path, ...]
    logs: tuple[Path, ...]
    seconds: float


def run_open(
    project: Path, minutes: float, progress: Progress, given: himbaechel.Given | None = None
) -> OpenRun:
    """Synthesize the project in `project` for its part; for an ECP5, place and route as well.

    The reports of an earlier run are replaced when this one has gone well, each by itself.

    Args:
        minutes: time limit for all of it.
        given: place and route for 7-series too, with what it names.

    Raises:
        NoToolError: a tool is missing, or the chip database.
        InterruptedRunError: Ctrl-C.
        SynqError: the folder is no project with Verilog; the part is not known; a tool failed; the
            time is up.
    """
    manifest = read_manifest(project)
    if not (project / _RTL).is_dir():
        raise SynqError(f"{project} has no Verilog: export it with the rtl flow")
    part, clock_ns = _target(project, manifest.get("configuration"))
    files = {
        name.removeprefix(f"{_RTL}/"): (project / name).read_bytes()
        for name in check_sources(project, manifest)
        if name.startswith(f"{_RTL}/") and name.endswith((".v", ".mem"))
    }
    family = yosys.family_of(part)
    route = _router(part, clock_ns, family, given)  # sought before minutes of synthesis
    if route is not None and family is yosys.XC7:
        family = yosys.XC7_ROUTED
    yosys.find_yosys()
    reports, logs = project / "flow" / "reports", project / "flow" / "logs"
    start = time.monotonic()
    deadline = Deadline(minutes)
    made: list[Path] = []
    tools: list[str] = []
    stage = "Yosys"
    with scratch_folder() as scratch:
        try:
            with _task(progress, f"Yosys for {part}", _YOSYS_STEPS) as show:
                statistics = yosys.synthesize(
                    files, scratch, family, deadline.seconds(), show, netlist=True
                )
                facts: dict[str, Any] = {"part": part, "clock_ns": clock_ns}
                if family in (yosys.XC7, yosys.XC7_ROUTED):
                    show(_TIMING)
                    facts |= timing.facts(timing.analyse(scratch / yosys.FLAT_NETLIST))
            tools.append(statistics.tool)
            printed = (scratch / yosys.STATISTICS).read_text()
            made.append(_put(reports / _STATISTICS, with_facts(printed, facts)))
            (reports / _ROUTED).unlink(missing_ok=True)  # of an earlier netlist
            if route is not None:
                stage = "nextpnr"
                with _task(progress, f"nextpnr for {part}") as show:
                    routed = route(scratch, deadline.seconds(), show)
                tools.append(f"nextpnr {routed.version}")
                known: dict[str, Any] = {"tool_version": routed.version, "part": part}
                if routed.passes_on is not None:
                    known["passes_on"] = routed.passes_on
                made.append(_put(reports / _ROUTED, with_facts(routed.report, known)))
        except KeyboardInterrupt:
            kept = _keep_logs(scratch, logs)
            raise InterruptedRunError(f"{stage} was interrupted{_see(kept)}") from None
        except TimeUpError:
            kept = _keep_logs(scratch, logs)
            raise SynqError(
                f"{stage} was not done within {minutes:g} minutes and was ended{_see(kept)}; "
                "give it more time",
                ("timeout",),
            ) from None
        except SynqError as error:
            text = f"{error}{_see(_keep_logs(scratch, logs))}"
            raise type(error)(text, error.settings) from None
        kept = _keep_logs(scratch, logs)
    seconds = round(time.monotonic() - start, 3)
    return OpenRun(tuple(tools), tuple(made), tuple(kept), seconds)


def _router(
    part: str, clock_ns: float, family: yosys.Family, given: himbaechel.Given | None
) -> _Route | None:
    """What places and routes for a part; None if nothing shall, or none is known.

    Raises:
        NoToolError: it is missing.
        SynqError: `given` and the part do not go together.
    """
    if family is yosys.ECP5:
        if given not in (None, himbaechel.Given()):
            raise SynqError(
                f"{part} is an ECP5, for which nextpnr-ecp5 needs no chip database and is found by "
                "itself: leave them out",
                ("chip_database", "nextpnr"),
            )
        nextpnr.device_options(part)
        nextpnr.find_nextpnr()
        return lambda scratch, seconds, listen: nextpnr.place_and_route(
            scratch, part, clock_ns, seconds, listen
        )
    if given is None:
        return None
    if family is not yosys.XC7:
        raise SynqError(f"nextpnr places and routes for 7-series and ECP5, and {part} is neither")
    prepared = himbaechel.prepare(part, given)
    return lambda scratch, seconds, listen: himbaechel.place_and_route(
        prepared, scratch, clock_ns, seconds, listen
    )


def _target(project: Path, configuration: Any) -> tuple[str, float]:
    """Part and clock period in ns, as the manifest has them."""
    try:
        part, clock_ns = configuration["part"], float(configuration["clock_ns"])
    except (KeyError, TypeError, ValueError, OverflowError):
        part, clock_ns = None, 0.0
    if not isinstance(part, str) or not 0.5 <= clock_ns <= 1000:
        raise SynqError(f"{project} does not say its part and clock: export it again")
    return part, clock_ns


@contextmanager
def _task(
    progress: Progress, label: str, steps: tuple[tuple[str, float], ...] = ()
) -> Iterator[Callable[[str], None]]:
    """A task that shows a tool's lines.

    Args:
        steps: texts of lines to come, in their order, with the shares that are done by then; of a
            tool of which nothing is known it cannot be told how long it will take.
    """
    with progress.task(label, 1.0 if steps else None) as task:
        coming, done = list(steps), 0.0

        def show(line: str) -> None:
            nonlocal done
            _log.debug("%s", line)
            if coming and coming[0][0] in line:
                done = coming.pop(0)[1]
            printable = "".join(each for each in line if each.isprintable())
            task.update(done, printable[:_SHOWN])

        yield show


def _put(path: Path, content: str) -> Path:
    atomic_write(path, content.encode())
    return path


def _keep_logs(scratch: Path, logs: Path) -> list[Path]:
    """Copy the tools' logs to the project; those of this run that there are."""
    found = [scratch / name for name in (yosys.LOG, nextpnr.LOG)]
    return [_put(logs / log.name, log.read_text()) for log in found if log.exists()]


def _see(logs: list[Path]) -> str:
    return f"; see {logs[-1]}" if logs else ""
