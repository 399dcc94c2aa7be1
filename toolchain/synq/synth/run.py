"""Run a stage of a project's flow, here or on another machine over ssh.

What a stage is lies in the project's own `flow/build.sh`, so that it is the same whoever starts it.
This module checks project and tools, watches over the run, and says what it left.
"""

import logging
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synq.errors import NoToolError, SynqError, UsageError
from synq.process import stream
from synq.progress import Progress
from synq.project.flow import BITSTREAMS, STAGES, no_system
from synq.project.manifest import read_manifest
from synq.request import Flow
from synq.synth.deadline import Deadline, InterruptedRunError
from synq.synth.remote import Remote, copied, stage_command
from synq.synth.sources import check_sources
from synq.synth.tools import (
    OVERRIDES,
    Kind,
    Tool,
    check_version,
    find_tool,
    identify,
    parse_version,
)

_log = logging.getLogger("synq")

_PRODUCTS = {
    Flow.HLS: {
        "csim": "flow/reports/csim.log",
        "csynth": "flow/reports/csynth.xml",
        "cosim": "flow/reports/cosim.rpt",
        "impl": "flow/reports/timing_routed.rpt",
        "bitstream": f"driver/{BITSTREAMS[Flow.HLS]}.bit",
    },
    Flow.RTL: {
        "impl": "flow/reports/rtl_timing_routed.rpt",
        "bitstream": f"driver/{BITSTREAMS[Flow.RTL]}.bit",
    },
}
_SIGNS = {Flow.HLS: "hls", Flow.RTL: "flow/rtl_ooc.tcl"}  # that a project has a core for them
_SYSTEMS = {Flow.HLS: "flow/system.tcl", Flow.RTL: "flow/rtl_system.tcl"}
_USUAL = {Flow.HLS: "csynth", Flow.RTL: "impl"}
_SOLUTION = "flow/build/hls/solution"
_SHOWN = 72  # characters of a tool's line beside a progress bar
_STARTED = re.compile(r"synq: \w+: (\S.*?/(?:vitis-run|vitis_hls|vivado_hls|vivado)) -")


@dataclass(frozen=True)
class StageRun:
    """A stage that went well.

    Attributes:
        tools: that ran.
        log: of the stage's last step.
        product: what the stage is for: a report, or the bitstream.
        reports: all there are by now, of this and earlier stages.
        copy: where the project's copy stays on the other machine, if it was to be kept.
        seconds: of wall time.
    """

    stage: str
    tools: tuple[Tool, ...]
    log: Path
    product: Path
    reports: tuple[Path, ...]
    copy: str | None
    seconds: float


def run_stage(
    project: Path,
    stage: str | None,
    remote: Remote | None,
    minutes: float,
    progress: Progress,
    flow: Flow | None = None,
) -> StageRun:
    """Run a stage of the project in `project`, and the earlier stages that it needs.

    Args:
        stage: one of `STAGES`; csynth without, of the Verilog core impl.
        remote: where to run; here without.
        minutes: time limit for all of it.
        flow: which core; the HLS one without, if the project has it.

    Raises:
        UsageError: the stage is unknown, or the core is not there or has no such stage.
        NoToolError: a tool is not to be found, here or there; says what to run elsewhere.
        InterruptedRunError: Ctrl-C.
        SynqError: the folder is not a project with a flow; a tool's version will not do; the time
            is up; a tool failed, by its exit code, its log or for want of its product.
    """
    if stage is not None and stage not in STAGES:
        raise UsageError(f"no such stage as {stage}: choose one of {', '.join(STAGES)}")
    manifest = read_manifest(project)
    flow = _chosen(project, flow)
    run = _Stage(flow, stage or _USUAL[flow])
    if run.stage not in _PRODUCTS[flow]:
        raise UsageError(
            f"the Verilog core has no stage {stage}: choose one of {', '.join(_PRODUCTS[flow])}",
            settings=("stage",),
        )
    if not (project / "flow" / "build.sh").is_file():
        raise SynqError(f"{project} has no flow/build.sh: export it again with this synq")
    check_sources(project, manifest)
    if run.stage == "bitstream" and not (project / _SYSTEMS[flow]).is_file():
        raise SynqError(_no_system(manifest.get("configuration"), flow))
    deadline = Deadline(minutes)
    start = time.monotonic()
    log = project / run.log
    place = f" on {remote.host}" if remote else ""
    with progress.task(f"Run {run.stage}{place}") as task:

        def show(line: str) -> None:
            _log.debug("%s", line)
            printable = "".join(each for each in line if each.isprintable())
            task.update(time.monotonic() - start, printable[:_SHOWN])

        try:
            if remote is None:
                copy, tools = None, _run_here(project, run, deadline, show)
            else:
                copy, tools = _run_there(project, run, remote, deadline, show)
        except KeyboardInterrupt:
            kept = f"; its log is {log}" if log.exists() else ""
            raise InterruptedRunError(f"{run.stage} was interrupted{kept}") from None
    product = project / run.product
    if not product.is_file():
        raise SynqError(f"{run.stage} made no {run.product}, see {log}")
    reports = sorted((project / "flow" / "reports").glob("*"))
    return StageRun(
        run.stage, tools, log, product, tuple(reports), copy, round(time.monotonic() - start, 3)
    )


@dataclass(frozen=True)
class _Stage:
    """A stage of a core's flow."""

    flow: Flow
    stage: str

    @property
    def words(self) -> str:
        """As flow/build.sh takes it."""
        return self.stage if self.flow is Flow.HLS else f"{self.stage} {self.flow.value}"

    @property
    def log(self) -> str:
        name = self.stage if self.flow is Flow.HLS else f"{self.flow.value}_{self.stage}"
        return f"flow/logs/{name}.log"

    @property
    def product(self) -> str:
        return _PRODUCTS[self.flow][self.stage]


def _chosen(project: Path, flow: Flow | None) -> Flow:
    """Which core's flow is meant.

    Raises:
        UsageError: the project has not the one that is asked for.
        SynqError: it has none.
    """
    there = [each for each in Flow if (project / _SIGNS[each]).exists()]
    if not there and (project / "rtl").is_dir():
        raise SynqError(
            f"{project} has no scripts for AMD's tools: synthesize its Verilog with Yosys, or, of "
            "a part of AMD's, export it again with this synq",
            settings=("tool",),
        )
    if flow is not None and there and flow not in there:
        raise UsageError(
            f"{project} has no {flow.value} core for AMD's tools: leave that out, or export both "
            "flows",
            settings=("flow",),
        )
    return flow or (there[0] if there else Flow.HLS)


def _no_system(configuration: Any, flow: Flow) -> str:
    if flow is Flow.RTL:
        return (
            "there is no script for a bitstream of the Verilog core, as the export warned: its "
            "board has no processing system that synq knows, or its streams are too wide; the "
            "stage impl places and routes it by itself"
        )
    known = configuration if isinstance(configuration, dict) else {}
    names = [str(known.get(name, f"an unknown {name}"))[:80] for name in ("board", "part")]
    return no_system(*names)


def _run_here(
    project: Path, run: _Stage, deadline: Deadline, show: Callable[[str], None]
) -> tuple[Tool, ...]:
    bash = shutil.which("bash")
    if bash is None:
        raise SynqError("flow/build.sh needs bash, which is not installed")
    tools: dict[Kind, Tool] = {}
    for kind in _needed(project, run):
        try:
            show(f"looking for the {kind} tool")
            tools[kind] = identify(find_tool(kind), deadline.seconds())
        except NoToolError as error:
            raise NoToolError(f"{error}; {_elsewhere(project, run)}") from None
    environment = {
        **os.environ,
        **{OVERRIDES[kind]: str(tool.path) for kind, tool in tools.items()},
    }
    command = [bash, str(project / "flow" / "build.sh"), *run.words.split()]
    _watch(project, run, command, deadline, show, {"env": environment})
    return tuple(tools.values())


def _run_there(
    project: Path, run: _Stage, remote: Remote, deadline: Deadline, show: Callable[[str], None]
) -> tuple[str | None, tuple[Tool, ...]]:
    """Where the copy stays if it does, and the tools that ran."""
    with copied(project, remote, deadline, show) as copy:
        tools = _listen_there(project, run, remote, copy, deadline, show)
    return (copy if remote.keep else None), tools


def _listen_there(
    project: Path,
    run: _Stage,
    remote: Remote,
    copy: str,
    deadline: Deadline,
    show: Callable[[str], None],
) -> tuple[Tool, ...]:
    """Run the stage, log what it prints, and note the tools from how it announces them."""
    log = project / run.log
    log.parent.mkdir(parents=True, exist_ok=True)
    tools: list[Tool] = []
    started: Path | None = None
    with log.open("w") as file:

        def listen(line: str) -> None:
            nonlocal started
            file.write(f"{line}\n")
            file.flush()
            show(line)
            if announced := _STARTED.match(line):
                started = Path(announced[1])
            elif started and "***" in line and (version := parse_version(line)):
                tool, started = Tool(started, version), None
                check_version(tool)
                if tool not in tools:
                    tools.append(tool)

        settings = {"stdin": subprocess.PIPE}  # stays open as long as ssh is to run
        command = stage_command(remote, copy, run.words)
        _watch(project, run, command, deadline, listen, settings, f" on {remote.host}")
    return tuple(tools)


def _needed(project: Path, run: _Stage) -> list[Kind]:
    """The tools that a stage runs, given what earlier ones have left."""
    if run.flow is Flow.RTL:
        return ["vivado"]
    if run.stage not in ("impl", "bitstream"):
        return ["hls"]
    left = "impl/ip/component.xml" if run.stage == "bitstream" else "syn/verilog"
    return ["vivado"] if (project / _SOLUTION / left).exists() else ["hls", "vivado"]


def _elsewhere(project: Path, run: _Stage) -> str:
    folder = shlex.quote(str(project))
    chosen = "" if run.flow is Flow.HLS else f" --flow {run.flow.value}"
    return (
        f"where it is installed, run `{folder}/flow/build.sh {run.words}` in a copy of the "
        f"project, or let `synq synth {folder} --stage {run.stage}{chosen} --ssh HOST` do so"
    )


def _watch(
    project: Path,
    run: _Stage,
    command: list[str],
    deadline: Deadline,
    show: Callable[[str], None],
    settings: Mapping[str, Any],
    place: str = "",
) -> None:
    """Run build.sh, show its lines, and turn whatever goes wrong into one error."""
    said = ""

    def listen(line: str) -> None:
        nonlocal said
        if line.startswith("synq: error: "):
            said = line.removeprefix("synq: error: ")
        show(line)

    code = stream(command, deadline.seconds(), listen, settings)
    logs = project / "flow" / "logs"
    if code is None:
        raise SynqError(
            f"{run.stage} took longer than {deadline.minutes:g} minutes and was ended, see {logs}; "
            "give it more time",
            ("timeout",),
        )
    if code == 3:
        raise NoToolError(f"{said}{place}; {_elsewhere(project, run)}")
    if code != 0:
        said = said.replace("see flow/logs/", f"see {logs}/")
        raise SynqError(said or f"{run.stage} ended with code {code}{place}, see {logs}")
