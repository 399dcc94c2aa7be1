"""How an array's codes lie in the hardware's memories: banks, blocks, and a sign bit.

`parallel_rows` rows are read in one cycle, each from a memory of its own: row r is word
r // parallel_rows of bank r % parallel_rows. Neighbouring pixels thus lie in different banks, which
shares the nonzero ones of an image out evenly. A word holds the codes of all outputs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synq.fixedpoint import signed_width
from synq.network import SynapseArray
from synq.signed_codes import SignedCodes

_WORD_BITS = 32  # of the C++ tables


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class Layout:
    """One array as `parallel_rows` memories.

    Attributes:
        array: whose codes they are.
        parallel_rows: banks, and rows read in a cycle; rows of a cycle lie in one tile.

    Raises:
        ValueError: a tile ends within a cycle.
    """

    array: SynapseArray
    parallel_rows: int

    def __post_init__(self) -> None:
        if not fills_tiles(self.array, self.parallel_rows):
            raise ValueError(f"{self.parallel_rows} rows a cycle do not fill the array's tiles")

    @property
    def tile_blocks(self) -> int:
        """Words of a bank in a tile, but the last: those whose sum is converted at a time."""
        if self.array.converter is None or len(self.array.tiles) == 1:
            return self.n_blocks
        return self.array.converter.tile_rows // self.parallel_rows

    @property
    def n_blocks(self) -> int:
        """Words of a bank: the cycles that reading every row takes."""
        return -(-self.array.n_rows // self.parallel_rows)

    @cached_property
    def signed(self) -> SignedCodes:
        """The codes, in the array's order."""
        return SignedCodes(self.array)

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """(parallel_rows, n_blocks, n_out) codes by bank and word; zero beyond the last row."""
        padded = np.zeros((self.n_blocks * self.parallel_rows, self.array.n_out), dtype=np.uint8)
        padded[: self.array.n_rows] = self.signed.codes
        by_block = padded.reshape(self.n_blocks, self.parallel_rows, self.array.n_out)
        return np.ascontiguousarray(by_block.swapaxes(0, 1))

    @cached_property
    def bucket_width(self) -> int:
        """Bits of a bucket: of the widest sum of inputs that one bank can add up in one lane."""
        low, high = 0, 0
        beyond = self.n_blocks * self.parallel_rows - self.array.n_rows
        least, most = (
            np.pad(drive, (0, beyond)).reshape(self.n_blocks, self.parallel_rows).T[:, :, None]
            for drive in self.array.drive
        )
        sign = (
            self.codes >> (self.signed.code_bits - 1)
            if self.signed.has_sign
            else np.zeros_like(self.codes)
        )
        index = (
            self.codes & ((1 << (self.signed.code_bits - 1)) - 1)
            if self.signed.has_sign
            else self.codes
        )
        tiles = np.arange(0, self.n_blocks, self.tile_blocks)  # in each the buckets begin with zero
        for value in range(len(self.signed.values)):
            added, taken = (index == value) & (sign == 0), (index == value) & (sign == 1)
            ends = most * added - least * taken, least * added - most * taken
            high = max(high, int(np.max(np.add.reduceat(ends[0], tiles, axis=1))))
            low = min(low, int(np.min(np.add.reduceat(ends[1], tiles, axis=1))))
        return signed_width(low, high)

    @property
    def codes_per_word(self) -> int:
        """Codes in one 32-bit word of the C++ table; none straddles two words."""
        return _WORD_BITS // self.signed.code_bits

    @property
    def words_per_row(self) -> int:
        """32-bit words of one row of the C++ table."""
        return -(-self.array.n_out // self.codes_per_word)

    def header(self, name: str) -> str:
        """The C++ constants `NAME_values` and `NAME_codes` for the kernel.

        Codes are packed into plain 32-bit words because g++ and HLS compile large constant arrays
        of them at once, where arrays of ap_uint take minutes.
        """
        banks = [_c_braces(bank) for bank in self._packed_words().tolist()]
        values = ", ".join(map(str, self.signed.values))
        guard = f"SYNQ_{name.upper()}_H_"
        array, sign = self.array, ", sign bit highest" if self.signed.has_sign else ""
        bias = " The last row is the bias." if array.bias_input is not None else ""
        return f"""\
// {array.n_in} inputs, {array.n_out} outputs, {array.effective_levels} levels.{bias}
#ifndef {guard}
#define {guard}

// Raw integers of {array.table_format.ap_type} ({array.table_format.width} bits).
static const int {name}_values[{len(self.signed.values)}] = {{{values}}};

// [row % {self.parallel_rows}][row / {self.parallel_rows}]; {self.codes_per_word} codes of \
{self.signed.code_bits} bits a word, output 0 lowest{sign}.
static const unsigned {name}_codes[{self.parallel_rows}][{self.n_blocks}][{self.words_per_row}] = {{
{{
{"}, {".join(banks)}
}}
}};

#endif
"""

    def _packed_words(self) -> NDArray[np.uint32]:
        per_word, n_words = self.codes_per_word, self.words_per_row
        padded = np.zeros((*self.codes.shape[:2], n_words * per_word), dtype=np.uint32)
        padded[:, :, : self.array.n_out] = self.codes
        shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(self.signed.code_bits)
        lanes = padded.reshape(*self.codes.shape[:2], n_words, per_word) << shifts
        packed: NDArray[np.uint32] = np.bitwise_or.reduce(lanes, axis=3)
        return packed


def fills_tiles(array: SynapseArray, rows: int) -> bool:
    """Whether so many rows a cycle end with every tile."""
    converter = array.converter
    return converter is None or len(array.tiles) == 1 or converter.tile_rows % rows == 0


def _c_braces(rows: list[list[int]]) -> str:
    return ",\n".join("    {" + ", ".join(f"0x{word:08x}u" for word in row) + "}" for row in rows)
