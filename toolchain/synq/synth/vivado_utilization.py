"""Reports of Vivado's `report_utilization`, flat and hierarchical (UG835, UG906).

Tables are read by the names in their head, never by section number or position: sections are
numbered anew in each stage, and columns (Fixed, Prohibited) came with time.

A whole report has every section of its table of contents, the last of them with a table that is
closed by its border. One that somebody has shortened may lack both; but whatever the family, it has
a row for look-up tables, flip-flops, block RAM and DSPs, since every part has these.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from synq.errors import SynqError
from synq.synth.result import Kind, Report, Usage, count, number
from synq.synth.vivado_header import Header, cut_off

# The row of each resource, by family: 7-series, UltraScale, Versal. The first that is there counts.
_LUT = ("Slice LUTs", "CLB LUTs", "LUTs")
_LUTRAM = ("LUT as Memory",)
_FF = ("Slice Registers", "CLB Registers", "Registers", "Register as Flip Flop")
_DSP = ("DSPs", "DSP Slices", "DSP", "DSP48E1", "DSP48E2", "DSP58")
_URAM = ("URAM",)
_TILES = ("Block RAM Tile",)  # 36 Kbit each; half a tile is one of 18
_LARGE = ("RAMB36/FIFO", "RAMB36", "RAMB36E5")
_SMALL = ("RAMB18", "RAMB18E5")
_ROWS = frozenset((*_LUT, *_LUTRAM, *_FF, *_DSP, *_URAM, *_TILES, *_LARGE, *_SMALL))

_COMMAND = "report_utilization"
_CONTENTS = "Table of Contents"
_SECTION = re.compile(r"[0-9.]{1,9} (.{1,80})$")
_MOST_SECTIONS = 100
_BLACK_BOXES = "Black Boxes"


def parse_utilization(lines: Iterable[str]) -> Report:
    """The report of the whole design.

    Raises:
        SynqError: it is cut off, or has no row for a resource that every part has.
    """
    header, tables = Header(), _Tables()
    for line in lines:
        header.add(line)
        tables.add(line)
    tables.check_end()
    begun = header.report(Kind.VIVADO_UTILIZATION)
    report = _flat(begun, tables) if tables.sites else _hierarchical(begun, tables.top)
    every = {
        "LUTs": report.lut,
        "registers": report.ff,
        "block RAM": report.bram_18k,
        "DSPs": report.dsp,
    }
    for name, usage in every.items():
        if usage is None:
            raise SynqError(f"has no row for {name}: cut off, or of a part that synq does not know")
    return report


class _Tables:
    """What the tables say, collected line by line, and how far the report goes.

    Attributes:
        sites: of a flat report: what is used and available, by row; only rows that count.
        top: the first row of a hierarchical one, by column.
        black_boxes: instances without a netlist; None where the report does not list them.
    """

    def __init__(self) -> None:
        self.sites: dict[str, tuple[str, str]] = {}
        self.top: dict[str, str] = {}
        self.black_boxes: int | None = None
        self._contents: list[str] | None = None
        self._listing = False  # within the table of contents
        self._missing: list[str] = []  # sections of it that are to come
        self._section = ""
        self._columns: list[str] = []
        self._border = ""
        self._open = False  # a row has come, the border after it has not

    def add(self, line: str) -> None:
        if line == _CONTENTS and self._contents is None:
            self._contents, self._listing = [], True
        elif self._listing and not line and self._contents:
            self._listing, self._missing = False, list(self._contents)
        elif numbered := _SECTION.match(line):
            self._begin_section(numbered.group(1))
        elif line.startswith("+"):
            self._border = line
            self._open = False
        elif line.startswith("|"):
            self._open = bool(self._border)
            self._add_row([cell.strip() for cell in line.split("|")[1:-1]])

    def _begin_section(self, title: str) -> None:
        if self._listing:
            assert self._contents is not None
            self._contents = [*self._contents, title][:_MOST_SECTIONS]
            return
        self._section, self._columns = title, []
        if title in self._missing:
            self._missing.remove(title)

    def _add_row(self, cells: list[str]) -> None:
        if cells and cells[0] in ("Site Type", "Instance", "Ref Name"):
            self._columns = cells
            if self._section == _BLACK_BOXES:
                self.black_boxes = 0
            return
        if not self._columns or len(cells) != len(self._columns):
            return
        row = dict(zip(self._columns, cells, strict=True))
        if self._columns[0] == "Instance":
            self.top = self.top or row
        elif self._section == _BLACK_BOXES and self.black_boxes is not None:
            self.black_boxes += count(row.get("Used")) or 0
        elif "Used" in row and (name := cells[0].rstrip("*")) in _ROWS:
            self.sites.setdefault(name, (row["Used"], row.get("Available", "")))

    def check_end(self) -> None:
        """Refuse what ends early.

        Raises:
            SynqError: it does.
        """
        if self._listing:
            raise cut_off("its table of contents does", _COMMAND)
        if self._missing:
            raise cut_off(f'its section "{self._missing[0]}"', _COMMAND)
        if self._open or not _closed(self._border):
            raise cut_off("its last table does", _COMMAND)


def _closed(border: str) -> bool:
    return not border or (border.endswith("+") and set(border) <= {"+", "-"})


def _flat(begun: Report, tables: _Tables) -> Report:
    def usage(names: tuple[str, ...]) -> Usage | None:
        for name in names:
            used, available = tables.sites.get(name, ("", ""))
            if (number_used := count(used)) is not None:
                return Usage(number_used, count(available))
        return None

    bram = _blocks(usage(_LARGE), usage(_SMALL))
    tiles, available = (number(cell) for cell in tables.sites.get(*_TILES, ("", "")))
    if tiles is not None and tiles >= 0:
        bram = Usage(round(2 * tiles), None if available is None else round(2 * available))
    return replace(
        begun,
        lut=usage(_LUT),
        lutram=usage(_LUTRAM),
        ff=usage(_FF),
        bram_18k=bram,
        dsp=usage(_DSP),
        uram=usage(_URAM),
        black_boxes=tables.black_boxes,
    )


def _hierarchical(begun: Report, row: dict[str, str]) -> Report:
    def usage(*names: str) -> Usage | None:
        # with -hierarchical_percentages a cell is "17654(33.18%)"
        cells = (row.get(name, "").partition("(")[0] for name in names)
        return next((Usage(n, None) for cell in cells if (n := count(cell)) is not None), None)

    return replace(
        begun,
        lut=usage("Total LUTs"),
        lutram=_sum(usage("LUTRAMs"), usage("SRLs")),
        ff=usage("FFs"),
        bram_18k=_blocks(usage("RAMB36"), usage("RAMB18")),
        dsp=usage("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
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


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None and other is None:
        return None
    return Usage((one.used if one else 0) + (other.used if other else 0), None)
