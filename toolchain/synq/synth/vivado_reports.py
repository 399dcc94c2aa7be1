"""Reports of Vivado: `report_utilization` and `report_timing_summary` (UG835, UG906).

Tables are read by the names in their head, never by section number or position: sections are
numbered anew in each stage, and columns (Fixed, Prohibited) came with time.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TypedDict

from synq.errors import SynqError
from synq.synth.result import (
    Clock,
    Kind,
    Report,
    Usage,
    Usages,
    count,
    known,
    normalize_part,
    number,
)

# The row of each resource, by family: 7-series, UltraScale, Versal. The first that is there counts.
_LUT = ("Slice LUTs", "CLB LUTs", "LUTs")
_LUTRAM = ("LUT as Memory",)
_FF = ("Slice Registers", "CLB Registers", "Registers", "Register as Flip Flop")
_DSP = ("DSPs", "DSP Slices", "DSP", "DSP48E1", "DSP48E2")
_SECTION = re.compile(r"[0-9.]{1,9} (.{1,80})$")
_TILES = "Block RAM Tile"  # 36 Kbit each; half a tile is one of 18


def parse_utilization(lines: Iterable[str]) -> Report:
    """The report of `report_utilization`, of the whole design or `-hierarchical`.

    Raises:
        SynqError: the table of look-up tables and registers is missing.
    """
    header: dict[str, str] = {}
    sites: dict[str, tuple[str, str]] = {}
    instance: dict[str, str] = {}
    black_boxes: int | None = None
    section = ""
    columns: list[str] = []
    for line in lines:
        _add_header(header, line)
        if numbered := _SECTION.match(line):
            section, columns = numbered.group(1), []
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells:
            continue
        if cells[0] in ("Site Type", "Instance", "Ref Name"):
            columns = cells
            if section == "Black Boxes":
                black_boxes = 0
        elif columns and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            if columns[0] == "Instance":
                instance = instance or row  # the first is the top
            elif black_boxes is not None and section == "Black Boxes":
                black_boxes += count(row.get("Used")) or 0
            elif "Used" in row:
                sites.setdefault(cells[0].rstrip("*"), (row["Used"], row.get("Available", "")))
    resources = _sites(sites) if sites else _instance(instance)
    if resources["lut"] is None and resources["ff"] is None:
        raise SynqError("has no table of LUTs and registers: cut off, or not of a whole design")
    return Report(
        kind=Kind.VIVADO_UTILIZATION,
        **_origin(header),
        **resources,
        black_boxes=black_boxes,
    )


def _sites(sites: dict[str, tuple[str, str]]) -> Usages:
    def usage(*names: str) -> Usage | None:
        for name in names:
            used, available = sites.get(name, ("", ""))
            if (number_used := count(used)) is not None:
                return Usage(number_used, count(available))
        return None

    tiles, available = (number(cell) for cell in sites.get(_TILES, ("", "")))
    bram = _blocks(usage("RAMB36/FIFO", "RAMB36"), usage("RAMB18"))
    if tiles is not None and tiles >= 0:
        bram = Usage(round(2 * tiles), None if available is None else round(2 * available))
    return Usages(
        lut=usage(*_LUT),
        lutram=usage(*_LUTRAM),
        ff=usage(*_FF),
        bram_18k=bram,
        dsp=usage(*_DSP),
        uram=usage("URAM"),
    )


def _blocks(large: Usage | None, small: Usage | None) -> Usage | None:
    """Block RAM from its two sizes; what is available of each is the same memory."""
    if large is None and small is None:
        return None
    used = 2 * (large.used if large else 0) + (small.used if small else 0)
    if large is not None and large.available is not None:
        return Usage(used, 2 * large.available)
    return Usage(used, small.available if small else None)


def _instance(row: dict[str, str]) -> Usages:
    def usage(*names: str) -> Usage | None:
        # with -hierarchical_percentages a cell is "17654(33.18%)"
        cells = (row.get(name, "").partition("(")[0] for name in names)
        return next((Usage(n, None) for cell in cells if (n := count(cell)) is not None), None)

    return Usages(
        lut=usage("Total LUTs"),
        lutram=_sum(usage("LUTRAMs"), usage("SRLs")),
        ff=usage("FFs"),
        bram_18k=_blocks(usage("RAMB36"), usage("RAMB18")),
        dsp=usage("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
        uram=usage("URAM"),
    )


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None and other is None:
        return None
    return Usage((one.used if one else 0) + (other.used if other else 0), None)


_VERDICTS = {
    "All user specified timing constraints are met": True,
    "Timing constraints are not met": False,
    "There are no user specified timing constraints": None,
}
_TABLES = ("Design Timing Summary", "Clock Summary", "Intra Clock Table")
_NETS = {"unplaced)": "synthesized", "estimated)": "placed", "routed)": "routed"}


def parse_timing(lines: Iterable[str]) -> Report:
    """The report of `report_timing_summary`.

    Timing is met if Vivado says so: of setup, hold and pulse width together. In a report without
    its verdict line, the worst slacks tell. Without any constraint it is neither met nor not.

    Raises:
        SynqError: the Design Timing Summary is missing.
    """
    header: dict[str, str] = {}
    tables: dict[str, list[str]] = {name: [] for name in _TABLES}
    verdicts: list[bool | None] = []
    section = ""
    for line in lines:
        if line.startswith("|"):
            title = line[1:].strip()
            section = section if set(title) <= {"-"} else title
            _add_header(header, line)
        elif section in tables:
            tables[section].append(line)
            verdicts += [met for text, met in _VERDICTS.items() if line.strip().startswith(text)]
        elif section == "Timing Details" and line.lstrip().startswith("net (fo="):
            # Reports of the releases before 2020 often lack the state; their nets tell it.
            stage = next((_NETS[state] for state in _NETS if f", {state}" in line), None)
            if stage is not None:
                header.setdefault("Design State", stage)
                break
    summary = next((row for _, row in _timing_rows(tables["Design Timing Summary"])), None)
    if summary is None:
        raise SynqError("has no Design Timing Summary: cut off, or of no whole design")
    slacks = [number(summary.get(f"{name}(ns)")) for name in ("WNS", "WHS", "WPWS")]
    timed = [slack for slack in slacks if slack is not None]
    ends = (count(summary.get(f"{name} Failing Endpoints")) for name in ("TNS", "THS", "TPWS"))
    failing = [number_failing for number_failing in ends if number_failing is not None]
    clocks = _clocks(tables["Clock Summary"], tables["Intra Clock Table"])
    return Report(
        kind=Kind.VIVADO_TIMING,
        **_origin(header),
        target_clock_ns=_target(clocks),
        wns_ns=slacks[0],
        tns_ns=number(summary.get("TNS(ns)")) if slacks[0] is not None else None,
        whs_ns=slacks[1],
        ths_ns=number(summary.get("THS(ns)")) if slacks[1] is not None else None,
        wpws_ns=slacks[2],
        failing_endpoints=sum(failing) if failing and timed else None,
        clocks=clocks,
        timing_met=_met(verdicts, timed),
    )


def _met(verdicts: list[bool | None], slacks: list[float]) -> bool | None:
    if False in verdicts:
        return False
    if None in verdicts or not slacks:
        return None
    return True in verdicts or min(slacks) >= 0


def _clocks(summary: list[str], intra: list[str]) -> tuple[Clock, ...]:
    worst = {name: number(row.get("WNS(ns)")) for name, row in _timing_rows(intra)}
    found = []
    for line in summary:
        name, opening, rest = line.partition("{")
        if opening:
            period, *_ = [*rest.partition("}")[2].split(), ""]
            name = name.strip()
            found.append(Clock(known(name) or "", number(period), worst.get(name)))
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


def _add_header(header: dict[str, str], line: str) -> None:
    """Keep a line "| Device : 7z020clg400-1" of the head."""
    if line.startswith("|") and len(header) < 20:
        key, colon, value = line[1:].partition(":")
        if colon and "|" not in key:
            header.setdefault(key.strip(), value.strip())


class _Origin(TypedDict):
    tool_version: str | None
    part: str | None
    top: str | None
    stage: str | None


def _origin(header: dict[str, str]) -> _Origin:
    """Version, part, design and stage, as the head of a report tells them.

    A timing summary names the device and its speed grade apart, and the temperature grade where
    the part has one.
    """
    version = re.search(r"v\.?(\d{4}\.\d[\w.]{0,20})", header.get("Tool Version", ""))
    device = header.get("Device", "")
    speed = re.match(r"-\w+", header.get("Speed File", ""))
    part = normalize_part(device)
    if part and speed and not re.search(r"-\d", part):
        grade = header.get("Temperature Grade", "")
        part = normalize_part(f"{device}{speed.group()}" + (f"-{grade}" if grade else ""))
    return _Origin(
        tool_version=version.group(1) if version else None,
        part=part,
        top=known(header.get("Design")),
        stage=_stage(header.get("Design State", "")),
    )


def _stage(state: str) -> str | None:
    """ "Fully Placed", "Physopt postRoute" and the like in one word, if there is one for it."""
    words = state.lower()
    if "partial" in words:
        return words
    stems = {"rout": "routed", "plac": "placed", "opt": "optimized", "synth": "synthesized"}
    return next((stage for stem, stage in stems.items() if stem in words), words or None)
