"""Run a stage of a project's flow, here or on another machine over ssh.

What a stage is lies in the project's own `flow/build.sh`, so that it is the same whoever starts it.
This module finds and checks the tools, watches over the run, and fetches what it left.
"""

import io
import logging
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synq.errors import NoToolError, SynqError, UsageError
from synq.process import TO_END, stream
from synq.progress import Progress
from synq.project.flow import BITSTREAM, STAGES, no_system
from synq.project.manifest import read_manifest
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
    "csim": "flow/reports/csim.log",
    "csynth": "flow/reports/csynth.xml",
    "cosim": "flow/reports/cosim.rpt",
    "impl": "flow/reports/timing_routed.rpt",
    "bitstream": f"driver/{BITSTREAM}.bit",
}
_SOLUTION = "flow/build/hls/solution"
_SHOWN = 72  # characters of a tool's line beside a progress bar
_TO_COPY = 900.0  # seconds for a project to get to another machine, or its reports back
_FETCHED = re.compile(rf"flow/(reports|logs)/[\w.-]+|driver/{BITSTREAM}\.(bit|hwh)")
_STARTED = re.compile(r"synq: \w+: (\S.*?/(?:vitis-run|vitis_hls|vivado_hls|vivado)) -")


class InterruptedRunError(SynqError):
    """A run was interrupted; says what is left of it."""

    exit_code = 130


@dataclass(frozen=True)
class Remote:
    """Another machine to run on.

    Attributes:
        host: as ssh takes it: a name in its configuration, or user@host.
        folder: where copies of projects go there; "~/" is the home folder there.
        keep: whether the copy stays.
    """

    host: str
    folder: str = "~/.cache/synq"
    keep: bool = False

    def __post_init__(self) -> None:
        if not self.host or self.host.startswith("-") or not re.fullmatch(r"[!-~]+", self.host):
            raise UsageError(f"--ssh must be a host name or user@host, got {self.host!r}")
        if not self.folder or not self.folder.isprintable():
            raise UsageError(f"--ssh-dir must be a folder's name, got {self.folder!r}")


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
    project: Path, stage: str, remote: Remote | None, minutes: float, progress: Progress
) -> StageRun:
    """Run a stage of the project in `project`, and the earlier stages that it needs.

    Args:
        stage: one of `STAGES`.
        remote: where to run; here without.
        minutes: time limit for all of it.

    Raises:
        UsageError: the stage is unknown.
        NoToolError: a tool is not to be found, here or there; says what to run elsewhere.
        InterruptedRunError: Ctrl-C.
        SynqError: the folder is not a project with a flow; a tool's version will not do; the time
            is up; a tool failed, by its exit code, its log or for want of its product.
    """
    if stage not in STAGES:
        raise UsageError(f"no such stage as {stage}: choose one of {', '.join(STAGES)}")
    configuration = read_manifest(project).get("configuration", {})
    if not (project / "hls").is_dir() and (project / "rtl").is_dir():
        raise SynqError(
            f"{project} has no HLS project for AMD's tools: run synq synth --tool yosys, or export "
            "it with --flow hls,rtl"
        )
    if not (project / "flow" / "build.sh").is_file():
        raise SynqError(f"{project} has no flow/build.sh: export it again with this synq")
    if stage == "bitstream" and not (project / "flow" / "system.tcl").is_file():
        board = str(configuration.get("board", "this board"))
        raise SynqError(no_system(board, str(configuration.get("part", "unknown part"))))
    start = time.monotonic()
    log = project / "flow" / "logs" / f"{stage}.log"
    place = f" on {remote.host}" if remote else ""
    with progress.task(f"Run {stage}{place}") as task:

        def show(line: str) -> None:
            _log.debug("%s", line)
            printable = "".join(each for each in line if each.isprintable())
            task.update(time.monotonic() - start, printable[:_SHOWN])

        try:
            if remote is None:
                copy, tools = None, _run_here(project, stage, minutes * 60, show)
            else:
                copy, tools = _run_there(project, stage, remote, minutes * 60, show)
        except KeyboardInterrupt:
            kept = f"; its log is {log}" if log.exists() else ""
            raise InterruptedRunError(f"{stage} was interrupted{kept}") from None
    product = project / _PRODUCTS[stage]
    if not product.is_file():
        raise SynqError(f"{stage} made no {_PRODUCTS[stage]}, see {log}")
    reports = sorted((project / "flow" / "reports").glob("*"))
    return StageRun(
        stage, tools, log, product, tuple(reports), copy, round(time.monotonic() - start, 3)
    )


def _run_here(
    project: Path, stage: str, seconds: float, show: Callable[[str], None]
) -> tuple[Tool, ...]:
    bash = shutil.which("bash")
    if bash is None:
        raise SynqError("flow/build.sh needs bash, which is not installed")
    tools: dict[Kind, Tool] = {}
    for kind in _needed(project, stage):
        try:
            show(f"looking for the {kind} tool")
            tools[kind] = identify(find_tool(kind))
        except NoToolError as error:
            raise NoToolError(f"{error}; {_elsewhere(project, stage)}") from None
    environment = {
        **os.environ,
        **{OVERRIDES[kind]: str(tool.path) for kind, tool in tools.items()},
    }
    command = [bash, str(project / "flow" / "build.sh"), stage]
    _watch(project, stage, command, seconds, show, {"env": environment})
    return tuple(tools.values())


def _needed(project: Path, stage: str) -> list[Kind]:
    """The tools that a stage runs, given what earlier ones have left."""
    if stage not in ("impl", "bitstream"):
        return ["hls"]
    left = "impl/ip/component.xml" if stage == "bitstream" else "syn/verilog"
    return ["vivado"] if (project / _SOLUTION / left).exists() else ["hls", "vivado"]


def _elsewhere(project: Path, stage: str) -> str:
    folder = shlex.quote(str(project))
    return (
        "where it is installed, run one of\n"
        f"  synq synth {folder} --stage {stage} --ssh HOST   (copies it, fetches the reports)\n"
        f"  {folder}/flow/build.sh {stage}   (in a copy of the project there; needs no synq)"
    )


def _watch(
    project: Path,
    stage: str,
    command: list[str],
    seconds: float,
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

    code = stream(command, seconds, listen, settings)
    logs = project / "flow" / "logs"
    if code is None:
        raise SynqError(
            f"{stage} took longer than {seconds / 60:g} minutes and was ended, see {logs}; "
            "give it more with --timeout"
        )
    if code == 3:
        raise NoToolError(f"{said}{place}; {_elsewhere(project, stage)}")
    if code != 0:
        said = said.replace("see flow/logs/", f"see {logs}/")
        raise SynqError(said or f"{stage} ended with code {code}{place}, see {logs}")


# ---- On another machine -------------------------------------------------------------------------

_PREPARE = """\
set -eu
umask 077
mkdir -p -- {base}
copy=$(mktemp -d -- {base}/synth.XXXXXX)
cd -- "$copy"
tar -xzf -
pwd | sed 's/^/synq-copy: /'
"""

# Standard input carries nothing: it ends when the connection does, whoever ended it, and then the
# tools are ended too. They are in a session of their own, which kill and ps can name.
_RUN = """\
cd -- {copy} || exit 1
exec 3<&0
setsid bash flow/build.sh {stage} </dev/null 3<&- 2>&1 &
build=$!
(
    cat <&3
    for signal in TERM KILL; do
        kill -s "$signal" -- "-$build" $(ps -o pid= -s "$build")
        sleep {seconds}
    done
) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$build"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"""

_FETCH = """\
cd -- {copy} || exit 1
mkdir -p flow/reports flow/logs
set -- flow/reports flow/logs
for name in driver/{bitstream}.bit driver/{bitstream}.hwh; do
    if [ -f "$name" ]; then set -- "$@" "$name"; fi
done
tar -czf - "$@"
"""

# A tool that is just ending may still write.
_REMOVE = """\
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- {copy} && exit 0
    sleep 1
done
exit 1
"""


def _run_there(
    project: Path, stage: str, remote: Remote, seconds: float, show: Callable[[str], None]
) -> tuple[str | None, tuple[Tool, ...]]:
    """Copy, run, fetch, remove; where the copy stays if it does, and the tools that ran."""
    show("copying the project")
    base = _remote_path(remote.folder)
    printed = _ssh(remote, _PREPARE.format(base=base), _packed(project)).decode(errors="replace")
    found = re.search(r"^synq-copy: (/.*)$", printed, re.MULTILINE)
    if found is None:
        raise SynqError(f"{remote.host} did not say where it keeps the project's copy")
    copy = shlex.quote(found[1])
    tools: list[Tool] = []
    try:
        try:
            _listen_there(project, stage, remote, copy, tools, seconds, show)
        finally:
            with suppress(SynqError):
                show("fetching logs and reports")
                fetch = _FETCH.format(copy=copy, bitstream=BITSTREAM)
                _unpack(project, _ssh(remote, fetch), remote.host)
    finally:
        if not remote.keep:
            try:
                _ssh(remote, _REMOVE.format(copy=copy))
            except SynqError:
                _log.warning("the project's copy stays on %s: %s", remote.host, found[1])
    return (found[1] if remote.keep else None), tuple(tools)


def _listen_there(
    project: Path,
    stage: str,
    remote: Remote,
    copy: str,
    tools: list[Tool],
    seconds: float,
    show: Callable[[str], None],
) -> None:
    """Run the stage, log what it prints, and note the tools from how it announces them."""
    log = project / "flow" / "logs" / f"{stage}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
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

        script = _RUN.format(copy=copy, stage=stage, seconds=f"{TO_END:g}")
        command = _ssh_command(remote, script)
        settings = {"stdin": subprocess.PIPE}  # stays open as long as ssh is to run
        _watch(project, stage, command, seconds, listen, settings, f" on {remote.host}")


def _ssh_command(remote: Remote, script: str) -> list[str]:
    ssh = shutil.which("ssh")
    if ssh is None:
        raise SynqError("ssh is not installed: it is what --ssh connects with")
    options = ["-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    # The login shell there may be any; the script is for a POSIX one.
    return [ssh, *options, "--", remote.host, f"exec sh -c {shlex.quote(script)}"]


def _ssh(remote: Remote, script: str, given: bytes = b"") -> bytes:
    """Run a script there with `given` as its standard input; what it printed.

    Raises:
        SynqError: it cannot be reached, or the script failed.
    """
    command = _ssh_command(remote, script)
    try:
        result = subprocess.run(command, input=given, capture_output=True, timeout=_TO_COPY)
    except subprocess.TimeoutExpired:
        raise SynqError(f"{remote.host} did not answer within {_TO_COPY / 60:g} minutes") from None
    if result.returncode != 0:
        lines = result.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].strip() if lines else f"code {result.returncode}"
        raise SynqError(f"ssh to {remote.host} failed: {reason}")
    return result.stdout


def _remote_path(text: str) -> str:
    """A folder on the other machine for its shell; only a leading ~ is special."""
    if text == "~" or text.startswith("~/"):
        return f'"$HOME"{shlex.quote(text[1:])}' if text[1:] else '"$HOME"'
    return shlex.quote(text if text.startswith(("/", ".")) else f"./{text}")


def _packed(project: Path) -> bytes:
    """What a run needs of a project: the sources and the flow, not what earlier runs left."""
    left = {"flow/build", "flow/logs", "flow/reports"}

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if entry.name in left or not (entry.isfile() or entry.isdir()) else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("hls", "flow", "manifest.json"):
            archive.add(project / name, name, filter=wanted)
    return buffer.getvalue()


def _unpack(project: Path, content: bytes, host: str) -> None:
    """Write the reports, logs and bitstream of an archive, and nothing else that it may hold."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for entry in archive:
                if entry.isfile() and _FETCHED.fullmatch(entry.name):
                    source = archive.extractfile(entry)
                    assert source is not None
                    path = project / entry.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(source.read())
    except (tarfile.TarError, EOFError) as error:
        raise SynqError(f"what {host} sent is no archive: {error}") from None
