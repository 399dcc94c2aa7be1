"""Find and read the reports of vendor tools, of Yosys and of nextpnr.

A report that is cut off is refused: each parser says how a whole one ends. What a file is, its
first bytes tell; a file that ends before they can is refused where it can only be a report.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

from synq.errors import SynqError
from synq.files import in_words, read_at_most, reason
from synq.synth import (
    hls_reports,
    nextpnr_log,
    nextpnr_report,
    vivado_timing,
    vivado_utilization,
    yosys_statistics,
)
from synq.synth.result import Kind, OtherReportError, Report

_log = logging.getLogger("synq")

MAX_BYTES = 16 << 20
"""Larger files are refused: a timing summary of a full part has a megabyte or two."""

_MAX_XML = 8 << 20  # bytes; a top with 10,000 ports has 5 MB
_MAX_JSON = 4 << 20  # bytes; statistics have some 100 KB, a route without its nets in detail less
_MAX_BELOW = 32 << 20  # bytes of all reports below a folder
_HEAD = 1 << 14  # bytes that tell which report it is
_MAX_LINES = 1_000_000
_MAX_LINE = 20_000  # bytes; longer lines are skipped, no table is as wide
_MAX_CANDIDATES = 10_000  # files to look into below a folder
_MAX_FILES = 300_000  # to walk past there
_SHOWN = 3  # files to name in a message
_MARKS = {
    b"Timing Summary Report": Kind.VIVADO_TIMING,
    b"| Design Timing Summary": Kind.VIVADO_TIMING,
    b": report_timing_summary": Kind.VIVADO_TIMING,
    b"Utilization Design Information": Kind.VIVADO_UTILIZATION,
    b": report_utilization": Kind.VIVADO_UTILIZATION,
    nextpnr_log.HEAD: Kind.NEXTPNR,
}
_ACCELERATOR = b"Accelerator Utilization"
_COSIM_HEAD = re.compile(rb"^\+ *RTL *\+ *Status *\+", re.MULTILINE)
# How a file begins that can only be a report, though it ends before it says which.
_COSIM_BEGIN = b"Simulation tool   :"
_VIVADO_BEGIN = (b"Copyright 1986-", b"| Tool Version")
_PROFILE = re.compile(rb"\s*(<\?[^>]*>\s*)?<profile\b")
_JSON_BEGIN = (b'"synq":', b'"creator": "Yosys')
_SHORTEST = 200  # bytes; a .rpt with less has no table
_SUFFIXES = (".xml", ".rpt", ".json")
_JSON_MARKS = {
    b'"invocation": "stat ': Kind.YOSYS_STATISTICS,
    b'"critical_paths":': Kind.NEXTPNR,
}
_JSON_PARSERS: dict[Kind, Callable[[str], Report]] = {
    Kind.YOSYS_STATISTICS: yosys_statistics.parse_report,
    Kind.NEXTPNR: nextpnr_report.parse_report,
}
_PARSERS: dict[Kind, Callable[[Iterator[str]], Report]] = {
    Kind.HLS_COSIM: hls_reports.parse_cosim,
    Kind.VIVADO_UTILIZATION: vivado_utilization.parse_utilization,
    Kind.VIVADO_TIMING: vivado_timing.parse_timing,
    Kind.NEXTPNR: nextpnr_log.parse_log,
}
_HLS_TEXT = "is the text form of an HLS report: give the csynth.xml beside it"
_NOT_KNOWN = (
    "is not a report that synq reads: HLS csynth.xml and cosim.rpt, Vivado report_utilization and "
    "report_timing_summary, Yosys stat -json, nextpnr --report and himbaechel's log"
)


def read_reports(path: Path) -> list[tuple[Path, Report]]:
    """The report in a file, or all that are below a folder.

    Raises:
        SynqError: there is none, or one cannot be read; names the file.
    """
    return find_reports(path) if path.is_dir() else [(path, read_report(path))]


def read_report(path: Path) -> Report:
    """The report in a file, recognized by its contents.

    Raises:
        OtherReportError: it is a report that synq does not read.
        SynqError: it cannot be read, is no report that synq knows, is damaged, or is cut off.
    """
    content = _read(path)
    try:
        head = content[:_HEAD]
        kind = _kind(head, len(content) <= _HEAD)
        if kind is None:
            raise OtherReportError(_HLS_TEXT if _is_hls_text(head) else _NOT_KNOWN)
        if kind is Kind.HLS_CSYNTH:
            _check_size(content, _MAX_XML)
            return hls_reports.parse_csynth(content)
        if kind in _JSON_PARSERS and _is_json(head):
            return _read_json(content, _JSON_PARSERS[kind])
        _check_size(content, MAX_BYTES)
        return _PARSERS[kind](_lines(content))
    except SynqError as error:
        raise type(error)(f"{path} {error}") from None


def find_reports(folder: Path) -> list[tuple[Path, Report]]:
    """The reports in the .xml, .rpt and .json files below a folder, by kind and path.

    Of the functions that HLS reports on, only the top; of identical reports, the first. Hidden
    folders hold the tools' own files and are left out. In a project's `flow/reports` every file
    must be a report; elsewhere other files are passed over, and reports that synq does not read are
    named in the log.

    Raises:
        SynqError: there is none, or one cannot be read; names the file.
    """
    found = _reports_below(folder)
    if not found:
        raise SynqError(
            f"{folder}: no reports below it; run synq synth first, or give the report files"
        )
    return found


def project_reports(project: Path) -> list[tuple[Path, Report]]:
    """The reports that a project has by now; there may be none.

    Raises:
        SynqError: one cannot be read; names the file.
    """
    return _reports_below(project) if (project / "flow" / "reports").is_dir() else []


def _reports_below(folder: Path) -> list[tuple[Path, Report]]:
    # A project's flow gathers its reports; beside them the tools leave thousands of files.
    gathered = folder / "flow" / "reports"
    within = gathered.is_dir()
    found: dict[Report, Path] = {}
    skipped: list[Path] = []
    size = 0
    for path in _candidates(gathered if within else folder):
        head, whole = _head_of(path)
        if _is_hls_text(head):
            continue  # its csynth.xml lies beside it
        if not within and not _may_be_report(head, whole):
            if not head.strip() or (path.suffix == ".rpt" and len(head) < _SHORTEST):
                skipped.append(path)
            continue
        try:
            size += path.stat().st_size
            if size > _MAX_BELOW:
                raise SynqError(
                    f"{folder}: more than {in_words(_MAX_BELOW)} of reports; give a folder further "
                    "down, or the reports"
                )
            found.setdefault(read_report(path), path)
        except OtherReportError:
            if within:
                raise
            skipped.append(path)
        except OSError as error:  # it is gone
            raise SynqError(f"{path}: cannot be read ({reason(error)})") from None
    if skipped:
        more = f" and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
        names = ", ".join(str(path) for path in skipped[:_SHOWN])
        _log.warning("skipped, empty or of a kind that synq does not read: %s%s", names, more)
    tops = {_group(path, report) for report, path in found.items() if report.is_top}
    chosen = [
        (path, report)
        for report, path in found.items()
        if report.is_top or _group(path, report) not in tops
    ]
    kinds = list(Kind)
    return sorted(chosen, key=lambda each: (kinds.index(each[1].kind), each[0]))


def _group(path: Path, report: Report) -> tuple[Path, Kind, str | None, str | None]:
    """What the reports of one run of HLS have in common."""
    return path.parent, report.kind, report.tool_version, report.part


def _candidates(folder: Path) -> Iterator[Path]:
    """The files below a folder that may hold a report, sorted."""
    passed = candidates = 0
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        passed += len(files) + len(folders)
        for name in sorted(files) if passed <= _MAX_FILES else ():
            path = Path(parent, name)
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                candidates += 1
                if candidates <= _MAX_CANDIDATES:
                    yield path
        if passed > _MAX_FILES or candidates > _MAX_CANDIDATES:
            raise SynqError(f"{folder}: too many files; give a folder further down, or the reports")


def _refuse(error: OSError) -> None:
    raise SynqError(f"{error.filename}: cannot be read ({reason(error)})")


def _head_of(path: Path) -> tuple[bytes, bool]:
    """The first bytes of a file, and whether they are all."""
    head = read_at_most(path, _HEAD + 1)
    return head[:_HEAD], len(head) <= _HEAD


def _may_be_report(head: bytes, whole: bool) -> bool:
    """Whether a file holds a report, whole or cut off, of a kind that synq reads or not."""
    try:
        kind = _kind(head, whole)
    except SynqError:
        return True  # whoever reads it says what is wrong
    if kind is Kind.HLS_CSYNTH:  # the tools leave much XML
        return b"<profile" in head and (b"<UserAssignments" in head or _is_cut_profile(head, whole))
    return kind is not None


def _is_cut_profile(head: bytes, whole: bool) -> bool:
    return whole and not head.rstrip().endswith(b"</profile>") and bool(_PROFILE.match(head))


def _read(path: Path) -> bytes:
    """The contents of a file, but for what is over the bound.

    Raises:
        SynqError: it cannot be read, or is empty.
    """
    content = read_at_most(path, MAX_BYTES + 1)
    if not content.strip():
        raise SynqError(f"{path} is empty: run the tool again")
    return content


def _check_size(content: bytes, most: int) -> None:
    if len(content) > most:
        raise SynqError(f"has more than {in_words(most)}, as no such report has: not read")


def _kind(head: bytes, whole: bool) -> Kind | None:
    """Which report a file is, by its first bytes; None if it is none.

    Args:
        whole: whether these are all there are.

    Raises:
        OtherReportError: it is one that synq does not read.
        SynqError: it can only be one that is cut off.
    """
    text = _begun(head)
    if text.startswith(b"<"):
        return Kind.HLS_CSYNTH  # or other XML, as its parser says
    if _is_json(head):
        return _json_kind(text, whole)
    return _text_kind(text, whole)


def _begun(head: bytes) -> bytes:
    """A text without what may stand before it."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def _is_json(head: bytes) -> bool:
    return _begun(head).startswith(b"{")


def _json_kind(text: bytes, whole: bool) -> Kind | None:
    for mark, kind in _JSON_MARKS.items():
        if mark in text:
            return kind
    if whole and text[1:].lstrip().startswith(_JSON_BEGIN):
        raise SynqError("is cut off: run synq synth again")
    return None


def _text_kind(text: bytes, whole: bool) -> Kind | None:
    if b"\0" in text:
        return None
    if _ACCELERATOR in text:
        raise OtherReportError(
            "is a report of Vitis' report_accelerator_utilization, which synq does not read: give "
            "report_utilization's"
        )
    for mark, kind in _MARKS.items():
        if mark in text:
            return kind
    if _COSIM_HEAD.search(text):
        return Kind.HLS_COSIM
    begun = text.startswith(_VIVADO_BEGIN) and b"\n| Command" not in text
    if whole and (begun or _COSIM_BEGIN in text):
        raise SynqError("is cut off: run the tool again")
    return None


def _is_hls_text(head: bytes) -> bool:
    return b"HLS Report for '" in head or b"Synthesis Summary Report of" in head


def _read_json(content: bytes, parse: Callable[[str], Report]) -> Report:
    _check_size(content, _MAX_JSON)
    try:
        return parse(content.decode("utf-8-sig", errors="replace"))
    except OtherReportError:
        raise
    except SynqError as error:
        raise SynqError(f"is damaged or cut off ({error}): run synq synth again") from None


def _lines(content: bytes) -> Iterator[str]:
    """Lines without their ends. What is not UTF-8 (a user's name, a path) becomes U+FFFD."""
    for line in islice(BytesIO(content), _MAX_LINES):
        if len(line) <= _MAX_LINE:
            yield line.decode("utf-8", errors="replace").rstrip()
