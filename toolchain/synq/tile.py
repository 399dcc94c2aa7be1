"""Tiles: the physical crossbars that an array is made of."""

import re
from dataclasses import dataclass

from synq.errors import UsageError

_MOST = 65_536


@dataclass(frozen=True)
class Tile:
    """The most rows and columns of one crossbar; a larger array is several.

    Raises:
        UsageError: a side is not 1 to 65536.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        for side in (self.rows, self.columns):
            if not 1 <= side <= _MOST:
                raise UsageError(
                    f"a tile has 1 to {_MOST} rows and columns, got {self}", settings=("tile",)
                )

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"

    @staticmethod
    def parsed(text: str) -> "Tile":
        """The tile that "128x64" says: 128 rows, 64 columns.

        Raises:
            UsageError: it says none.
        """
        match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text.strip().lower())
        if match is None:
            raise UsageError(
                f"a tile is rows x columns, as 128x128, got {text[:40]!r}", settings=("tile",)
            )
        return Tile(int(match[1]), int(match[2]))
