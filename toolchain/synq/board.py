"""Boards: which part is on one and how much logic it has. One declarative TOML file each."""

from dataclasses import dataclass
from typing import Annotated

from synq.cost import Resources
from synq.definition import Identifier, Line, Range, definition_names, load_definition

_WITHOUT_HLS = ("ecp5",)


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
        return self.family not in _WITHOUT_HLS


def load_board(name: str) -> Board:
    """The board `name` of `board_names()`, or the one in a user's own `.toml` file.

    Raises:
        UsageError: no board has this name; names the nearest.
        SynqError: the file cannot be read or is not a board; names file and field.
    """
    return load_definition(name, "boards", Board)


def board_names() -> list[str]:
    """The boards that ship with synq, sorted."""
    return definition_names("boards")
