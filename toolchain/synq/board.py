"""Boards: which part is on one and how much logic it has. One declarative TOML file each."""

import logging
import re
from dataclasses import dataclass
from typing import Annotated

from synq.cost import Resources
from synq.definition import Identifier, Line, Range, definition_names, load_definition

_log = logging.getLogger("synq")

# As Vivado names them; automotive and defence grade parts with a letter before it.
_AMD = re.compile(r"[aq]?(artix|kintex|spartan|versal|virtex|zynq)\w*")
_OTHERS = ("ecp5",)


@dataclass(frozen=True)
class Sources:
    """Where each fact of a board is published: document and table."""

    part: Line
    lut: Line
    lutram: Line
    ff: Line
    bram_18k: Line
    dsp: Line
    uram: Line


@dataclass(frozen=True)
class Board:
    """An FPGA board. `part` is the full orderable Vivado part, `family` Vivado's name for it."""

    name: Identifier
    description: Line
    part: Identifier
    family: Identifier
    clock_ns: Annotated[float, Range(0.5, 1000)]  # default target period
    resources: Resources
    sources: Sources

    @property
    def has_hls(self) -> bool:
        """Whether AMD's HLS tools know the part."""
        return _AMD.fullmatch(self.family) is not None


def load_board(name: str) -> Board:
    """The board `name` of `board_names()`, or the one in a user's own `.toml` file.

    Of a family that nothing is known of it warns: estimates are made for six-input look-up tables.

    Raises:
        UsageError: no board has this name; names the nearest.
        SynqError: the file cannot be read or is not a board; names file and field.
    """
    board = load_definition(name, "boards", Board)
    if not board.has_hls and board.family not in _OTHERS:
        _log.warning(
            "synq knows nothing of the family %s of %s: estimates are those of AMD's, and no tool "
            "that it runs may know the part",
            board.family,
            board.name,
        )
    return board


def board_names() -> list[str]:
    """The boards that ship with synq, sorted."""
    return definition_names("boards")
