"""Chip databases of nextpnr's himbaechel: of which device a file is.

nextpnr maps the file as it is and follows its offsets: of a file that is none it crashes, and one
of a smaller device in the same package it takes. So both are looked at before.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from synq.errors import SynqError
from synq.files import open_regular, reason

_MAGIC = 0x00CA7CA7
# At the start the offset of the head; there magic, version, width and height; then the names of the
# architecture and of the device, each by its offset from where that stands.
_HEAD = struct.Struct("<6i")
_OFFSET = struct.Struct("<i")
_LONGEST = 64  # bytes of a name


def device_of(path: Path) -> tuple[str, str]:
    """The architecture and the device of a chip database, as ("xilinx", "xc7z020").

    Raises:
        SynqError: it cannot be read, or is no chip database.
    """
    with open_regular(path) as stream:
        try:
            (head,) = _OFFSET.unpack(_read(stream, 0, _OFFSET.size))
            magic, _, _, _, family, device = _HEAD.unpack(_read(stream, head, _HEAD.size))
            if magic != _MAGIC:
                raise ValueError("its head is another's")
            end = head + _HEAD.size
            return _name(stream, end - 8 + family), _name(stream, end - 4 + device)
        except OSError as error:
            raise SynqError(f"{path}: cannot be read ({reason(error)})") from error
        except (ValueError, struct.error):
            raise SynqError(
                f"{path} is no chip database of nextpnr's himbaechel: give the chipdb-*.bin that "
                "was built with it"
            ) from None


def _read(stream: BinaryIO, at: int, size: int) -> bytes:
    if at < 0:
        raise ValueError("an offset before the file")
    stream.seek(at)
    return stream.read(size)


def _name(stream: BinaryIO, at: int) -> str:
    text, end, _ = _read(stream, at, _LONGEST).partition(b"\0")
    if not end:
        raise ValueError("a name without an end")
    return text.decode("ascii")
