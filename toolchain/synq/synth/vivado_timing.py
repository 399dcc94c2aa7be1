"""Reports of Vivado's `report_timing_summary` (UG835, UG906).

Its tables come first, then paths in detail, of which there may be any number or none
(-no_detailed_paths), so that nothing tells whether they are all there; but of them only the state
of the nets is read. What the verdict is made from is whole when the last of the tables has begun.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from synq.errors import SynqError
from synq.synth.result import Clock, Kind, Report, count, known, number, period
from synq.synth.vivado_header import Header, cut_off

_VERDICTS = {
    "All user specified timing constraints are met": True,
    "Timing constraints are not met": False,
    "There are no user specified timing constraints": None,
}
_TABLES = ("Design Timing Summary", "Clock Summary", "Intra Clock Table")
_LAST_TABLE = "Other Path Groups Table"
_DETAILS = "Timing Details"
_MOST_LINES = 10_000  # of a table: no design has as many clocks
_SLACKS = ("WNS(ns)", "WHS(ns)", "WPWS(ns)")
_NO_SLACK = ("NA", "inf")  # no such path; no path that has a constraint
_FAILING = ("TNS Failing Endpoints", "THS Failing Endpoints", "TPWS Failing Endpoints")
_NETS = {"unplaced)": "synthesized", "estimated)": "placed", "routed)": "routed"}


def parse_timing(lines: Iterable[str]) -> Report:
    """The report of a whole design.

    Timing is met if Vivado says so, of setup, hold and pulse width together, and no slack is
    negative. In a report without its verdict line, the slacks tell. Without any constraint, or
    without a path that is timed, it is neither met nor not.

    Raises:
        SynqError: it is cut off, or its summary has no value in one of the columns.
    """
    header = Header()
    tables: dict[str, list[str]] = {name: [] for name in _TABLES}
    verdicts: list[bool | None] = []
    section, whole = "", False
    for line in lines:
        if line.startswith("|"):
            title = line[1:].strip()
            section = section if set(title) <= {"-"} else title
            whole = whole or section == _LAST_TABLE
            header.add(line)
        elif section in tables:
            if len(tables[section]) == _MOST_LINES:
                raise SynqError(f"has more than {_MOST_LINES:,} lines in a table: no report has")
            tables[section].append(line)
            verdicts += [met for text, met in _VERDICTS.items() if line.strip().startswith(text)]
        elif section == _DETAILS and line.lstrip().startswith("net (fo="):
            # Reports of the releases before 2020 often lack the state; their nets tell it.
            stage = next((_NETS[state] for state in _NETS if f", {state}" in line), None)
            if stage is not None:
                header.add_state(stage)
                break
    if not whole:
        raise cut_off(f'its section "{_LAST_TABLE}"', "report_timing_summary")
    summary = next((row for _, row in _timing_rows(tables["Design Timing Summary"])), {})
    for column in (*_SLACKS, *_FAILING):
        if column not in summary:
            raise SynqError(f"is damaged: its summary has no value of {column}")
    wns, whs, wpws = (_slack(summary[column]) for column in _SLACKS)
    timed = [slack for slack in (wns, whs, wpws) if slack is not None]
    failing = [n for column in _FAILING if (n := count(summary[column])) is not None]
    clocks = _clocks(tables["Clock Summary"], tables["Intra Clock Table"])
    return replace(
        header.report(Kind.VIVADO_TIMING),
        target_clock_ns=_target(clocks),
        wns_ns=wns,
        tns_ns=number(summary.get("TNS(ns)")) if wns is not None else None,
        whs_ns=whs,
        ths_ns=number(summary.get("THS(ns)")) if whs is not None else None,
        wpws_ns=wpws,
        failing_endpoints=sum(failing) if failing and timed else None,
        clocks=clocks,
        timing_met=_met(verdicts, timed, sum(failing)),
    )


def _slack(text: str) -> float | None:
    if (value := number(text)) is None and text not in _NO_SLACK:
        raise SynqError(f"is damaged: {known(text)} is no slack")
    return value


def _met(verdicts: list[bool | None], slacks: list[float], failing: int) -> bool | None:
    if False in verdicts or failing or min(slacks, default=0.0) < 0:
        return False
    return None if None in verdicts or not slacks else True


def _clocks(summary: list[str], intra: list[str]) -> tuple[Clock, ...]:
    worst = {name: number(row.get("WNS(ns)")) for name, row in _timing_rows(intra)}
    found = []
    for line in summary:
        name, opening, rest = line.partition("{")
        if opening:
            cell, *_ = [*rest.partition("}")[2].split(), ""]
            name = name.strip()
            found.append(Clock(known(name) or "", period(cell), worst.get(name)))
    return tuple(found)


def _target(clocks: tuple[Clock, ...]) -> float | None:
    """The period of the clock with the worst slack, or the one that all have."""
    timed = [clock for clock in clocks if clock.wns_ns is not None]
    if timed:
        return min(timed, key=lambda clock: clock.wns_ns or 0.0).period_ns
    periods = {clock.period_ns for clock in clocks}
    return periods.pop() if len(periods) == 1 else None


def _timing_rows(lines: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table of slacks: the clock's name, and values by column.

    Cells can be empty, so a value belongs to the column whose underline ends where it ends.
    """
    titles, ends = "", {}
    for line in lines:
        tokens = list(re.finditer(r"\S+", line))
        if tokens and set(line.replace(" ", "")) == {"-"}:
            ends = {
                token.end(): _title(titles, token.start(), token.end())
                for token in tokens
                if "(ns)" in titles
            }
        elif not ends:
            titles = line
        elif tokens:
            values = [token for token in tokens if token.end() in ends]
            if values:
                row = {ends[token.end()]: token.group() for token in values}
                yield line[: values[0].start()].strip(), row


def _title(titles: str, start: int, end: int) -> str:
    return " ".join(titles[start:end].split())
