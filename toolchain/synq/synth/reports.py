"""Find and read the reports of vendor tools, of Yosys and of nextpnr."""

import os
import stat
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

from synq.errors import SynqError
from synq.synth import hls_reports, nextpnr, vivado_reports, yosys
from synq.synth.result import Kind, Report

MAX_BYTES = 64 << 20
"""Larger files are refused before they are read; real reports have a few megabytes at most."""

_HEAD = 1 << 16  # bytes that tell which report it is
_MAX_LINES = 2_000_000
_MAX_LINE = 20_000  # bytes; longer lines are skipped, no table is as wide
_MAX_FILES = 100_000  # to look into below a folder
_MARKS = {
    b"Timing Summary Report": Kind.VIVADO_TIMING,
    b"| Design Timing Summary": Kind.VIVADO_TIMING,
    b"Utilization Design Information": Kind.VIVADO_UTILIZATION,
    b": report_utilization ": Kind.VIVADO_UTILIZATION,
}
_SUFFIXES = (".xml", ".rpt", ".json")
_JSON_MARKS = {
    b'"invocation": "stat ': Kind.YOSYS_STATISTICS,
    b'"critical_paths":': Kind.NEXTPNR,
}
_JSON_PARSERS: dict[Kind, Callable[[str], Report]] = {
    Kind.YOSYS_STATISTICS: yosys.parse_report,
    Kind.NEXTPNR: nextpnr.parse_report,
}
_PARSERS: dict[Kind, Callable[[Iterator[str]], Report]] = {
    Kind.HLS_COSIM: hls_reports.parse_cosim,
    Kind.VIVADO_UTILIZATION: vivado_reports.parse_utilization,
    Kind.VIVADO_TIMING: vivado_reports.parse_timing,
}


def read_reports(path: Path) -> list[tuple[Path, Report]]:
    """The report in a file, or all that are below a folder.

    Raises:
        SynqError: there is none, or one cannot be read; names the file.
    """
    return find_reports(path) if path.is_dir() else [(path, read_report(path))]


def read_report(path: Path) -> Report:
    """The report in a file, recognized by its contents.

    Raises:
        SynqError: it cannot be read, is no report that synq knows, or is damaged.
    """
    try:
        content = _read(path)
        if _is_xml(content):
            return hls_reports.parse_csynth(content)
        if (kind := _json_kind(content[:_HEAD])) is not None:
            return _read_json(content, _JSON_PARSERS[kind])
        kind = _kind(content[:_HEAD])
        if kind is None:
            raise SynqError(_not_known(content[:_HEAD]))
        return _PARSERS[kind](_lines(content))
    except OSError as error:
        raise SynqError(f"{path}: cannot be read ({error.strerror})") from None
    except SynqError as error:
        raise SynqError(f"{path} {error}") from None


def find_reports(folder: Path) -> list[tuple[Path, Report]]:
    """The reports in the .xml, .rpt and .json files below a folder, by kind and path.

    Of the functions that HLS reports on, only the top; of identical reports, the first. Hidden
    folders hold the tools' own files and are left out.

    Raises:
        SynqError: there is none, or one cannot be read; names the file.
    """
    # A project's flow gathers its reports; beside them the tools leave thousands of files.
    gathered = folder / "flow" / "reports"
    found: dict[Report, Path] = {}
    for path in _candidates(gathered if gathered.is_dir() else folder):
        found.setdefault(read_report(path), path)
    tops = {_group(path, report) for report, path in found.items() if report.is_top}
    chosen = [
        (path, report)
        for report, path in found.items()
        if report.is_top or _group(path, report) not in tops
    ]
    if not chosen:
        raise SynqError(
            f"{folder}: no reports below it; run synq synth first, or give the report files"
        )
    kinds = list(Kind)
    return sorted(chosen, key=lambda each: (kinds.index(each[1].kind), each[0]))


def _group(path: Path, report: Report) -> tuple[Path, Kind, str | None, str | None]:
    """What the reports of one run of HLS have in common."""
    return path.parent, report.kind, report.tool_version, report.part


def _candidates(folder: Path) -> Iterator[Path]:
    """The files below a folder that hold a report, sorted."""
    looked_into = 0
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if path.suffix.lower() not in _SUFFIXES or not path.is_file():
                continue
            looked_into += 1
            if looked_into > _MAX_FILES:
                raise SynqError(
                    f"{folder}: more than {_MAX_FILES:,} {', '.join(_SUFFIXES)} files; "
                    "give a folder further down"
                )
            if _is_report(path):
                yield path


def _refuse(error: OSError) -> None:
    raise SynqError(f"{error.filename}: cannot be read ({error.strerror})")


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise SynqError(f"{path}: cannot be read ({error.strerror})") from None
    if _is_xml(head):
        return b"<profile" in head and b"<UserAssignments" in head
    return (_json_kind(head) or _kind(head)) is not None


def _read(path: Path) -> bytes:
    """The contents of a file of sane size.

    Raises:
        OSError: it cannot be read.
        SynqError: it is too large, empty, or not a file at all (a pipe would never end).
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise SynqError("is not a file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else b""
    if max(status.st_size, len(content)) > MAX_BYTES:
        raise SynqError(
            f"has {status.st_size / (1 << 20):.0f} MB, a report at most {MAX_BYTES >> 20}: not read"
        )
    if not content.strip():
        raise SynqError("is empty: run the tool again")
    return content


def _is_xml(content: bytes) -> bool:
    return content[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _json_kind(head: bytes) -> Kind | None:
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return None
    return next((kind for mark, kind in _JSON_MARKS.items() if mark in head), None)


def _read_json(content: bytes, parse: Callable[[str], Report]) -> Report:
    try:
        return parse(content.decode("utf-8-sig", errors="replace"))
    except SynqError as error:
        raise SynqError(f"is damaged or cut off ({error}): run synq synth again") from None


def _kind(head: bytes) -> Kind | None:
    if b"\0" in head:
        return None
    for mark, kind in _MARKS.items():
        if mark in head:
            return kind
    if any(hls_reports.is_cosim(line) for line in _lines(head)):
        return Kind.HLS_COSIM
    return None


def _lines(content: bytes) -> Iterator[str]:
    """Lines without their ends. What is not UTF-8 (a user's name, a path) becomes U+FFFD."""
    for line in islice(BytesIO(content), _MAX_LINES):
        if len(line) <= _MAX_LINE:
            yield line.decode("utf-8", errors="replace").rstrip()


def _not_known(head: bytes) -> str:
    if b"HLS Report for '" in head or b"Synthesis Summary Report of" in head:
        return "is the text form of an HLS report: give the csynth.xml beside it"
    return (
        "is not a report that synq reads: HLS csynth.xml and cosim.rpt, Vivado "
        "report_utilization and report_timing_summary, Yosys stat -json, nextpnr --report"
    )
