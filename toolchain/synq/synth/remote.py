"""A project's copy on another machine, over ssh: there, back, and gone."""

import io
import logging
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from synq.errors import SynqError, UsageError
from synq.process import TO_END
from synq.project.flow import BITSTREAMS
from synq.synth.deadline import Deadline

_log = logging.getLogger("synq")

_TO_COPY = 900.0  # seconds for a project to get to another machine, or its reports back
_LEFT = ("flow/build", "flow/logs", "flow/reports")  # by earlier runs
_FETCHED = re.compile(
    rf"flow/(reports|logs)/[\w.-]+|driver/({'|'.join(BITSTREAMS.values())})\.(bit|hwh)"
)
# A user's own ssh configuration may hand the name on to a shell (ProxyCommand, Match exec).
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:%/+\[\]-]*")


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
        if not _HOST.fullmatch(self.host):
            raise UsageError(f"host must be a host name or user@host, got {self.host!r}", ("ssh",))
        if not self.folder or not self.folder.isprintable():
            raise UsageError(f"folder must be a folder's name, got {self.folder!r}", ("ssh_dir",))


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
for name in {bitstreams}; do
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


@contextmanager
def copied(
    project: Path, remote: Remote, deadline: Deadline, show: Callable[[str], None]
) -> Iterator[str]:
    """A copy of the project there, by its path; afterwards reports and logs are fetched, however
    the run ended, and the copy is removed unless it is to be kept.

    Raises:
        SynqError: the machine cannot be reached, or does not do as it is told.
    """
    show("copying the project")
    script = _PREPARE.format(base=_remote_path(remote.folder))
    printed = _ssh(remote, script, _packed(project), deadline.seconds()).decode(errors="replace")
    found = re.search(r"^synq-copy: (/.*)$", printed, re.MULTILINE)
    if found is None:
        raise SynqError(f"{remote.host} did not say where it keeps the project's copy")
    copy = shlex.quote(found[1])
    try:
        try:
            yield found[1]
        finally:
            with suppress(SynqError):
                show("fetching logs and reports")
                files = (
                    f"driver/{name}.{end}" for name in BITSTREAMS.values() for end in ("bit", "hwh")
                )
                fetch = _FETCH.format(copy=copy, bitstreams=" ".join(files))
                _unpack(project, _ssh(remote, fetch), remote.host)
    finally:
        if not remote.keep:
            try:
                _ssh(remote, _REMOVE.format(copy=copy))
            except SynqError:
                _log.warning("the project's copy stays on %s: %s", remote.host, found[1])


def stage_command(remote: Remote, copy: str, stage: str) -> list[str]:
    """What runs a stage in a copy there; it ends there when the standard input here does.

    Args:
        stage: as flow/build.sh takes it.
    """
    script = _RUN.format(copy=shlex.quote(copy), stage=stage, seconds=f"{TO_END:g}")
    return _ssh_command(remote, script)


def _ssh_command(remote: Remote, script: str) -> list[str]:
    ssh = shutil.which("ssh")
    if ssh is None:
        raise SynqError("ssh is not installed: it is what other machines are reached with")
    options = ["-T", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    # The login shell there may be any; the script is for a POSIX one.
    return [ssh, *options, "--", remote.host, f"exec sh -c {shlex.quote(script)}"]


def _ssh(remote: Remote, script: str, given: bytes = b"", seconds: float = _TO_COPY) -> bytes:
    """Run a script there with `given` as its standard input; what it printed.

    Raises:
        SynqError: it cannot be reached, or the script failed.
    """
    command = _ssh_command(remote, script)
    seconds = min(seconds, _TO_COPY)
    try:
        result = subprocess.run(command, input=given, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise SynqError(f"{remote.host} did not answer within {seconds / 60:.2g} minutes") from None
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

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if entry.name in _LEFT or not (entry.isfile() or entry.isdir()) else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("hls", "rtl", "flow", "manifest.json"):
            if (project / name).exists():
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
