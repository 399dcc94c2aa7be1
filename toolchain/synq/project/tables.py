"""Lookup tables: each array's codebook and packed codes in the formats FPGA tools read.

| file | for |
|---|---|
| `array_N_table.h` | C and C++: raw codebook, codes packed into 32-bit words |
| `array_N_codes.mem`, `array_N_codebook.mem` | Verilog `$readmemh` |
| `array_N_codes.coe`, `array_N_codebook.coe` | Vivado block memory generator (PG058) |
| `array_N.npz` | numpy: `codes`, `codebook` |

In `.mem` and `.coe` one word holds all codes of an input row, output 0 in the lowest bits.

The cores have tables of their own, in their own folders: the C++ kernel's `hls/firmware/array_N.h`
are laid out in banks and with a sign bit (`synq.hls.layout`). All hold the same network.
"""

import io

import numpy as np
from numpy.typing import NDArray

from synq.network import QuantizedNetwork, SynapseArray

_WORD_BITS = 32


def render_tables(network: QuantizedNetwork) -> dict[str, bytes]:
    """Every table file of a network, file name to contents."""
    files: dict[str, bytes] = {}
    for index, array in enumerate(network.arrays):
        name = f"array_{index}"
        files[f"{name}_table.h"] = c_header(array, f"{name}_table").encode("ascii")
        for part, words in (("codes", row_words(array)), ("codebook", codebook_words(array))):
            files[f"{name}_{part}.mem"] = ("\n".join(words) + "\n").encode()
            files[f"{name}_{part}.coe"] = coe(words).encode()
        buffer = io.BytesIO()
        np.savez(buffer, codes=array.codes, codebook=array.codebook)
        files[f"{name}.npz"] = buffer.getvalue()
    return files


def codes_per_word(array: SynapseArray) -> int:
    """Codes in one 32-bit word of the C++ table; none straddles two words."""
    return _WORD_BITS // array.code_bits


def words_per_row(array: SynapseArray) -> int:
    """32-bit words in one row of the C++ table."""
    return -(-array.n_out // codes_per_word(array))


def packed_words(array: SynapseArray) -> NDArray[np.uint32]:
    """(n_rows, words_per_row) uint32: the codes as the C++ table holds them.

    Plain 32-bit words because g++ and HLS compile large constant arrays of them at once, where
    arrays of ap_uint take minutes.
    """
    per_word, n_words = codes_per_word(array), words_per_row(array)
    padded = np.zeros((array.n_rows, n_words * per_word), dtype=np.uint32)
    padded[:, : array.n_out] = array.codes
    shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(array.code_bits)
    lanes = padded.reshape(array.n_rows, n_words, per_word) << shifts
    packed: NDArray[np.uint32] = np.bitwise_or.reduce(lanes, axis=2)
    return packed


def c_header(array: SynapseArray, name: str) -> str:
    """The array's constants `NAME_codebook` and `NAME_codes`, for C++ of one's own."""
    codebook = ", ".join(str(value) for value in array.codebook)
    rows = ",\n".join(
        "    {" + ", ".join(f"0x{word:08x}u" for word in row) + "}"
        for row in packed_words(array).tolist()
    )
    guard = f"SYNQ_{name.upper()}_H_"
    width = array.table_format.width
    bias = " The last row is the bias." if array.bias_input is not None else ""
    return f"""\
// {array.n_in} inputs, {array.n_out} outputs, {array.effective_levels} levels.{bias}
#ifndef {guard}
#define {guard}

// Raw integers of {array.table_format.ap_type} ({width} bits).
static const int {name}_codebook[{array.effective_levels}] = {{{codebook}}};

// A row an input; {codes_per_word(array)} codes of {array.code_bits} bits a word, output 0 lowest.
static const unsigned {name}_codes[{array.n_rows}][{words_per_row(array)}] = {{
{rows}
}};

#endif
"""


def row_words(array: SynapseArray) -> list[str]:
    """One hexadecimal word a row: all codes side by side, output 0 in the lowest bits."""
    bit = np.arange(array.code_bits, dtype=np.uint8)
    bits = (array.codes[:, :, None] >> bit) & 1
    flat = bits.reshape(array.n_rows, -1)
    digits = -(-flat.shape[1] // 4)
    row_bytes = np.packbits(flat, axis=1, bitorder="little")
    return [
        f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}" for row in np.asarray(row_bytes)
    ]


def codebook_words(array: SynapseArray) -> list[str]:
    """One hexadecimal two's-complement word a level."""
    width = array.table_format.width
    digits = -(-width // 4)
    return [f"{int(value) & ((1 << width) - 1):0{digits}x}" for value in array.codebook]


def coe(words: list[str]) -> str:
    """A Xilinx coefficient file."""
    return (
        "memory_initialization_radix=16;\nmemory_initialization_vector=\n"
        + ",\n".join(words)
        + ";\n"
    )
