import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from strategies import BYTE, MANY, SOME, arrays, networks, seeds, synapse_array
from synq.network import QuantizedNetwork, SynapseArray
from synq.project.tables import c_header, codes_per_word, packed_words, render_tables, words_per_row

# ---- Readers, as the tools that take these files read them --------------------------------------


def unpacked(words: list[int], lanes: int, bits: int) -> list[int]:
    """`lanes` codes from words as wide as fit 32 bits, or from one word; nothing else is set."""
    per_word = lanes if len(words) == 1 else 32 // bits
    codes = []
    for word in words:
        used = min(per_word, lanes - len(codes))
        assert word >> (used * bits) == 0
        codes += [(word >> (lane * bits)) & ((1 << bits) - 1) for lane in range(used)]
    return codes


def signed(word: int, width: int) -> int:
    return word - (1 << width) if word >> (width - 1) else word


def read_header(text: str, name: str, array: SynapseArray) -> tuple[list[list[int]], list[int]]:
    text = re.sub(r"//[^\n]*", "", text)
    table = re.search(rf"static const int {name}_codebook\[(\d+)\] = \{{([^}}]*)\}};", text)
    rom = re.search(
        rf"static const unsigned {name}_codes\[(\d+)\]\[(\d+)\] = \{{(.*?)\n\}};", text, re.DOTALL
    )
    assert table and rom
    codebook = [int(value) for value in table[2].split(",")]
    rows = [
        [int(word, 16) for word in re.findall(r"0x([0-9a-f]{8})u", row)]
        for row in re.findall(r"\{([^}]*)\}", rom[3])
    ]
    assert len(codebook) == int(table[1])
    assert [len(row) for row in rows] == [int(rom[2])] * int(rom[1])
    return [unpacked(row, array.n_out, array.code_bits) for row in rows], codebook


def read_mem(text: str, width: int) -> list[int]:
    """As $readmemh fills a `reg [width-1:0] memory [0:...]`: a word with fewer digits is padded."""
    assert text.endswith("\n")
    words = text.split()
    assert all(re.fullmatch("[0-9a-f]+", word) and len(word) == -(-width // 4) for word in words)
    assert all(int(word, 16) < 1 << width for word in words)
    return [int(word, 16) for word in words]


def read_coe(text: str, width: int) -> list[int]:
    """PG058: `keyword = value;`, the vector's values separated by commas."""
    statements = [statement.strip() for statement in text.split(";")]
    assert statements.pop() == ""
    fields = dict(statement.split("=") for statement in statements)
    assert list(fields) == ["memory_initialization_radix", "memory_initialization_vector"]
    radix = int(fields["memory_initialization_radix"])
    words = [int(word, radix) for word in fields["memory_initialization_vector"].split(",")]
    assert all(word < 1 << width for word in words)
    return words


def mismatches(files: dict[str, bytes], network: QuantizedNetwork) -> list[str]:
    """The files that do not hold exactly the network."""
    wrong = []
    for index, array in enumerate(network.arrays):
        name = f"array_{index}"
        codes, codebook = array.codes.tolist(), array.codebook.tolist()
        bits, width = array.code_bits, array.table_format.width

        def header(content: bytes, name: str = name, array: SynapseArray = array) -> object:
            return read_header(content.decode("ascii"), f"{name}_table", array)

        def npz(content: bytes) -> object:
            with np.load(io.BytesIO(content), allow_pickle=False) as parts:
                return parts["codes"].tolist(), parts["codebook"].tolist()

        readers: dict[str, tuple[Callable[[bytes], object], object]] = {
            f"{name}_table.h": (header, (codes, codebook)),
            f"{name}.npz": (npz, (codes, codebook)),
        }
        for suffix, read in (("mem", read_mem), ("coe", read_coe)):

            def rows(content: bytes, read=read, bits: int = bits, n: int = array.n_out) -> object:
                words = read(content.decode("ascii"), n * bits)
                return [unpacked([word], n, bits) for word in words]

            def table(content: bytes, read=read, width: int = width) -> object:
                return [signed(word, width) for word in read(content.decode("ascii"), width)]

            readers[f"{name}_codes.{suffix}"] = (rows, codes)
            readers[f"{name}_codebook.{suffix}"] = (table, codebook)
        for file, (read_file, expected) in readers.items():
            try:
                if read_file(files[file]) != expected:
                    wrong.append(file)
            except Exception:  # a damaged file may break its reader in any way
                wrong.append(file)
    return wrong


def alone(array: SynapseArray) -> QuantizedNetwork:
    return QuantizedNetwork((array,), ())


# ---- Tests --------------------------------------------------------------------------------------


@MANY
@given(arrays())
def test_every_file_reads_back(array: SynapseArray) -> None:
    assert mismatches(render_tables(alone(array)), alone(array)) == []


@pytest.mark.parametrize("code_bits", range(1, 9))
@pytest.mark.parametrize("n_out", [1, 3, 4, 5, 6, 7, 8, 10, 16, 31, 32, 33, 64, 70])
def test_every_file_reads_back_for_every_code_width(code_bits: int, n_out: int) -> None:
    rng = np.random.default_rng(n_out)
    array = synapse_array(rng, 5, n_out, levels=1 << code_bits, table_width=9, bias=True)
    assert array.code_bits == code_bits
    assert mismatches(render_tables(alone(array)), alone(array)) == []


@SOME
@given(networks())
def test_a_network_has_the_files_of_each_array(network: QuantizedNetwork) -> None:
    files = render_tables(network)
    suffixes = ["_table.h", "_codes.mem", "_codes.coe", "_codebook.mem", "_codebook.coe", ".npz"]
    expected = {f"array_{i}{suffix}" for i in range(len(network.arrays)) for suffix in suffixes}
    assert set(files) == expected
    assert mismatches(files, network) == []


@SOME
@given(networks())
def test_same_network_same_bytes(network: QuantizedNetwork) -> None:
    rebuilt = QuantizedNetwork(network.arrays, network.activations)
    assert render_tables(network) == render_tables(rebuilt)


@MANY
@given(arrays())
def test_codes_never_straddle_words(array: SynapseArray) -> None:
    words = packed_words(array)
    per_word, bits = codes_per_word(array), array.code_bits
    assert words.dtype == np.uint32 and words.shape == (array.n_rows, words_per_row(array))
    assert per_word * bits <= 32 < (per_word + 1) * bits
    assert (words_per_row(array) - 1) * per_word < array.n_out <= words_per_row(array) * per_word
    lane = np.arange(array.n_out)
    shift = (lane % per_word * bits).astype(np.uint32)
    codes = (words[:, lane // per_word] >> shift) & np.uint32((1 << bits) - 1)
    assert np.array_equal(codes, array.codes)


def test_packing_by_hand() -> None:
    codes = np.array([[1, 2, 3, 0, 4, 5]], dtype=np.uint8)  # 3 bits each
    array = synapse_array(np.random.default_rng(0), 1, 6, levels=6)
    array = SynapseArray(codes, array.codebook, array.table_format, BYTE, None, 1.0)
    assert packed_words(array).tolist() == [[0b101_100_000_011_010_001]]
    files = render_tables(alone(array))
    assert files["array_0_codes.mem"] == b"2c0d1\n"
    assert files["array_0_codes.coe"] == (
        b"memory_initialization_radix=16;\nmemory_initialization_vector=\n2c0d1;\n"
    )
    assert "[1][1] = {\n    {0x0002c0d1u}\n};" in c_header(array, "array_0")


def flip_codebook_value(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit of one decimal in the C codebook."""
    start = content.index(b"] = {") + 5
    end = content.index(b"}", start)
    values = [int(value) for value in content[start:end].split(b",")]
    values[rng.integers(len(values))] ^= 1 << int(rng.integers(15))
    return content[:start] + b", ".join(b"%d" % value for value in values) + content[end:]


def flip_hex_digit(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit of one hexadecimal digit of the data."""
    data = re.compile(rb"0x[0-9a-f]{8}u|^[0-9a-f]+(?=[\n,;])", re.MULTILINE)
    words = list(data.finditer(content))
    word = words[rng.integers(len(words))]
    digits = [at for at in range(*word.span()) if content[at : at + 1] not in b"xu"]
    if word[0].startswith(b"0x"):
        digits = digits[1:]
    at = digits[rng.integers(len(digits))]
    flipped = int(content[at : at + 1], 16) ^ (1 << int(rng.integers(4)))
    return content[:at] + b"%x" % flipped + content[at + 1 :]


def flip_npz_bit(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit of the stored codes or codebook."""
    with np.load(io.BytesIO(content)) as parts:
        stored: dict[str, NDArray[np.integer]] = {name: part.copy() for name, part in parts.items()}
    part = stored[str(rng.choice(list(stored)))].reshape(-1)
    part[rng.integers(len(part))] ^= 1 << int(rng.integers(part.itemsize * 8 - 1))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **stored)
    return buffer.getvalue()


@SOME
@given(networks(), seeds)
def test_one_wrong_bit_is_noticed(network: QuantizedNetwork, seed: int) -> None:
    rng = np.random.default_rng(seed)
    files = render_tables(network)
    for name, content in files.items():
        flips = [flip_npz_bit] if name.endswith(".npz") else [flip_hex_digit]
        if name.endswith(".h"):
            flips.append(flip_codebook_value)
        for flip in flips:
            damaged = flip(content, rng)
            assert damaged != content
            assert mismatches({**files, name: damaged}, network) == [name]
