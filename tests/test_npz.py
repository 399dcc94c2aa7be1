"""Arrays in npz files, and every way an archive can lie about them."""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from synq.errors import SynqError
from synq.npz import Member, read_npz

ANY = Member("biuf", "numbers", (0, 32))
MATRIX = Member("u", "a matrix of bytes", (2, 2))
SMALL = np.arange(6, dtype=np.uint8).reshape(2, 3)


def written(path: Path, save: Callable[..., None] = np.savez, **arrays: Any) -> Path:
    with path.open("wb") as stream:
        save(stream, **arrays)
    return path


def refusal(path: Path, member: Member = MATRIX, max_bytes: int = 1 << 20) -> str:
    with pytest.raises(SynqError) as caught:
        read_npz(path, {"a": member}, max_bytes)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


dtypes = st.one_of(
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.boolean_dtypes(),
)


@given(st.data())
def test_what_numpy_wrote_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    values = data.draw(npst.arrays(dtypes, npst.array_shapes(min_dims=0, min_side=0, max_side=5)))
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    path = written(tmp_path_factory.mktemp("npz") / "a.npz", save, b=SMALL, a=values)
    ours = read_npz(path, {"a": ANY}, 1 << 20)
    assert list(ours) == ["a"]
    assert ours["a"].dtype == values.dtype and ours["a"].shape == values.shape
    np.testing.assert_array_equal(ours["a"], values)


def test_longer_than_a_chunk(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (1000, 1000), dtype=np.uint8)
    for save in (np.savez, np.savez_compressed):
        path = written(tmp_path / "a.npz", save, a=values)
        np.testing.assert_array_equal(read_npz(path, {"a": MATRIX}, 10**6)["a"], values)
        assert refusal(path, max_bytes=10**6 - 1) == (
            "the arrays hold 977 KiB, at most 977 KiB are read; give fewer samples or uint8"
        )


def test_arrays_are_asked_for_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", b=SMALL)
    optional = Member("u", "", (2, 2), required=False)
    assert read_npz(path, {"a": optional, "c": optional}, 1 << 20) == {}
    assert refusal(path) == "array a is missing; needed are a"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (SMALL.astype(np.int8), "a is int8 of shape (2, 3); give a matrix of bytes"),
        (SMALL[0], "a is uint8 of shape (3,); give a matrix of bytes"),
        (SMALL + 1j, "a is complex128 of shape (2, 3); give a matrix of bytes"),
        (np.array([[None]]), "a cannot be read (its values are of type '|O', not plain numbers)"),
        (np.array(["x"]), "a cannot be read (its values are of type '<U1', not plain numbers)"),
        (np.zeros(2, "u1,f4"), "a cannot be read (it is not an array of plain numbers)"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, values: Any, said: str) -> None:
    assert refusal(written(tmp_path / "a.npz", a=values)) == said


def archive(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return path


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode("latin-1") + content


def described(descr: str = "'|u1'", shape: str = "(2, 3)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it ends early"),
        (b"no npy at all", "it is not in npy format"),
        (npy(described(), bytes(5)), "it ends early"),
        (npy(described(shape="(999, 999)")), "shape (999, 999) needs 998001 bytes"),
        (npy(described()[:-3] + " " * 9000), "it is not an array of plain numbers"),
        (npy(described(), bytes(7)), "there is more in it than its header says"),
        (npy(described() + " " * 10_000, bytes(6)), "its npy header is too long"),
        (npy(described(), bytes(6))[:40], "it ends early"),
        (npy(described(shape="(99999999999, 99999999999)")), "its shape is beyond any memory"),
        (npy(described(shape="(2,) * 3")), "it is not an array of plain numbers"),
        (npy(described(shape="(-2, 3)")), "it is not an array of plain numbers"),
        (npy(described(shape="(2, 3" + ", 1" * 40 + ")")), "its shape is beyond any memory"),
        (npy(described(shape="(" + "9" * 5000 + ",)")), "its npy header is damaged"),
        (npy(described(descr="'<f3'"), bytes(18)), "its npy header is damaged"),
        (npy(described(descr="[('x', '<f4')]")), "it is not an array of plain numbers"),
        (npy("{'descr': " + "[" * 5000), "it is not an array of plain numbers"),
        (npy("__import__('os').abort()"), "it is not an array of plain numbers"),
        (npy("{[]: 1}"), "it is not an array of plain numbers"),
        (npy("  {\n 1"), "it is not an array of plain numbers"),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, said: str) -> None:
    path = archive(tmp_path / "a.npz", ("a.npy", content))
    assert refusal(path, ANY) == f"a cannot be read ({said})"


def test_headers_of_newer_versions(tmp_path: Path) -> None:
    for version in (b"\x02\x00", b"\x03\x00"):
        path = archive(tmp_path / "a.npz", ("a.npy", npy(described(), bytes(6), version)))
        assert read_npz(path, {"a": MATRIX}, 10)["a"].shape == (2, 3)


GOOD = npy(described(), bytes(range(6)))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    path = archive(tmp_path / "a.npz", ("a.npy", GOOD), method=method)
    said = "not an npz file (member 'a.npy' has a compression other than deflate)"
    assert refusal(path) == said


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", ("a.npy", GOOD), ("a.npy", GOOD))
    assert refusal(path) == "not an npz file (it has two members 'a.npy')"


def test_too_many_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", *((str(number), b"") for number in range(10_001)))
    assert refusal(path) == "not an npz file (it has more than 10,000 members)"


LIST = {  # where the fields of the last member are in the list of members
    "flags": (8, "<H"),
    "checksum": (16, "<I"),
    "packed": (20, "<I"),
    "size": (24, "<I"),
    "name size": (28, "<H"),
    "offset": (42, "<I"),
}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("flags", 1, "(member 'a.npy' is encrypted)"),
        ("checksum", 1, "its checksum is wrong"),
        ("packed", 5, "(its compressed data are damaged|it ends early|it is cut off)"),
        ("packed", 10**6, "member 'a.npy' does not lie in it"),
        ("size", 5, "it ends early"),
        ("size", 2**32 - 2, "it unpacks from .* to 4 GiB, more than 100 times"),
        ("name size", 1000, "its list of members is damaged"),
        ("offset", 1, "its header is damaged"),
        ("offset", 2**32 - 1, "member 'a.npy' does not lie in it"),
    ],
)
def test_lists_of_members_that_lie(tmp_path: Path, field: str, value: int, said: str) -> None:
    path = archive(tmp_path / "a.npz", ("a.npy", GOOD), method=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    place, form = LIST[field]
    struct.pack_into(form, content, content.rindex(b"PK\x01\x02") + place, value)
    path.write_bytes(content)
    with pytest.raises(SynqError, match=said):
        read_npz(path, {"a": MATRIX}, 1 << 20)


def test_every_truncation_and_every_flipped_byte(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", np.savez_compressed, a=SMALL)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        refusal(path)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_npz(path, {"a": MATRIX}, 1 << 20)["a"], SMALL)
        except SynqError as error:
            assert len(str(error).removeprefix(str(path))) < 200


def test_archives_as_those_beyond_4_gib_are(tmp_path: Path) -> None:
    """With numbers of 64 bits, which zipfile writes where it does not know the size before."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made, made.open("a.npy", "w", force_zip64=True) as member:
        member.write(GOOD)
    content = stream.getvalue()
    end = content.rindex(b"PK\x05\x06")
    _, _, _, _, count, size, offset, _ = struct.unpack("<4s4H2LH", content[end:])
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    path = tmp_path / "a.npz"
    path.write_bytes(content[:end] + end_64 + locator + last)
    np.testing.assert_array_equal(read_npz(path, {"a": MATRIX}, 10)["a"], SMALL)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "cannot be read (not a regular file)"
    assert refusal(Path("/dev/zero")) == "cannot be read (not a regular file)"
    assert refusal(tmp_path) == "cannot be read (Is a directory)"
    assert refusal(tmp_path / "none") == "cannot be read (No such file or directory)"
