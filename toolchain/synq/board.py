"""Boards: which part is on one and how much logic it has. One declarative TOML file each."""

from dataclasses import dataclass
from typing import Annotated

from synq.definition import Identifier, Line, Range, definition_names, load_definition

_Some = Annotated[int, Range(1, 100_000_000)]
_WITHOUT_HLS = ("ecp5",)
_SomeOrNone = Annotated[int, Range(0, 100_000_000)]


@dataclass(frozen=True)
class Resources:
    """What a part offers, or what a design uses."""

    lut: _Some  # look-up tables, those used as memory included; six inputs, on ECP5 four
    lutram: _SomeOrNone  # of these, the ones that can be memory
    ff: _Some  # flip-flops
    bram_18k: _Some  # block RAM in units of 18 Kbit; a 36 Kbit block or tile counts as two
    dsp: _SomeOrNone  # DSP48 slices
    uram: _SomeOrNone  # UltraRAM blocks of 288 Kbit; 7-series parts have none


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
