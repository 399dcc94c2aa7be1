"""Checkpoints made to do harm: to run code, to take all memory, to never end."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from checkpoints import refusal

DICT, TUPLE1, TUPLE2, STOP = b"}", b"\x85", b"\x86", b"."
HEAD = b"\x80\x02"


def doubled(times: int) -> bytes:
    """A pair of a pair of a pair..., each of the same two: 2**times to anyone who walks through."""
    return b")" + b"".join(b"q%ch%c" % (index, index) + TUPLE2 for index in range(times))


PICKLES = {
    "a key too deep to hash": HEAD + DICT + b")" + TUPLE1 * 300_000 + b"Ns" + STOP,
    "an entry too wide to show": HEAD + DICT + b"X\x01\0\0\0a" + doubled(60) + b"s" + STOP,
    "a storage too wide to show": HEAD + doubled(60) + b"Q" + STOP,
    "millions of lists": HEAD + b"]" * 3_000_000 + STOP,
    "a long program": HEAD + b"N0" * (3 << 20) + STOP,
    "a list in itself": HEAD + b"]q\0h\0a.",
    "nothing on the stack": HEAD + b"s.",
    "no end": HEAD + b"N",
    "a long number": HEAD + b"L" + b"9" * 5000 + b"L\n.",
    "a name to import": HEAD + b"cos\nsystem\n.",
    "a class of torch to make": HEAD + b"ctorch.nn\nLinear\n)\x81.",
}


@pytest.mark.parametrize("case", PICKLES)
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_refused(tmp_path: Path, case: str, zipped: bool) -> None:
    path = tmp_path / "net"
    path.write_bytes(PICKLES[case])
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", PICKLES[case])
    assert len(refusal(path)) < 600


def safetensors(header: Any, content: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def test_a_safetensors_header_is_bounded(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [], "data_offsets": [0, 0]}
    content = safetensors({str(number): entry for number in range(40_000)}, b"")
    (tmp_path / "net").write_bytes(content)
    assert "has a safetensors header of more than 1 MiB" in refusal(tmp_path / "net")


def test_a_safetensors_header_too_deep(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(safetensors(b'{"a":' + b"[" * 100_000, b""))
    assert "its header is not JSON" in refusal(tmp_path / "net")


ENTRIES: dict[str, dict[str, tuple[Any, Any, Any]]] = {
    "overlapping": {"a": ("F32", [1], [0, 4]), "b": ("F32", [1], [0, 4])},
    "a hole": {"a": ("F32", [1], [4, 8])},
    "too short": {"a": ("F32", [2], [0, 4])},
    "not all": {"a": ("F32", [1], [0, 4])},
    "backwards": {"a": ("F32", [1], [4, 0])},
    "beyond the file": {"a": ("F32", [3], [0, 12])},
    "negative": {"a": ("F32", [-1], [0, 4])},
    "true": {"a": ("F32", [True], [0, 4])},
    "no shape": {"a": ("F32", None, [0, 4])},
    "no type": {"a": (1, [1], [0, 4])},
    "no offsets": {"a": ("F32", [1], "ab")},
    "three offsets": {"a": ("F32", [1], [0, 4, 8])},
    "many axes": {"a": ("F32", [1] * 40, [0, 4])},
}


@pytest.mark.parametrize("case", ENTRIES)
def test_safetensors_entries_that_contradict_the_file(tmp_path: Path, case: str) -> None:
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in ENTRIES[case].items()
    }
    (tmp_path / "net").write_bytes(safetensors(header, bytes(8)))
    assert "is a truncated or damaged safetensors file" in refusal(tmp_path / "net")


def test_shapes_beyond_any_file(tmp_path: Path) -> None:
    entry = {"dtype": "I8", "shape": [1 << 62] * 32, "data_offsets": [0, 0]}
    (tmp_path / "net").write_bytes(safetensors({"x" * 9999: entry}, b""))
    message = refusal(tmp_path / "net")
    assert "holds more than 10**15 values; at most 100,000,000" in message
    assert len(message) < 600
