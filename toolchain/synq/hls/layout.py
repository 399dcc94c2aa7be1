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
        parallel_rows: banks, and rows read in a cycle.
    """

    array: SynapseArray
    parallel_rows: int

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
        for value in range(len(self.signed.values)):
            added, taken = (index == value) & (sign == 0), (index == value) & (sign == 1)
            high = max(high, int(np.max(np.sum(most * added - least * taken, axis=1))))
            low = min(low, int(np.min(np.sum(least * added - most * taken, axis=1))))
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


def _c_braces(rows: list[list[int]]) -> str:
    return ",\n".join("    {" + ", ".join(f"0x{word:08x}u" for word in row) + "}" for row in rows)
