"""Zip archives that numpy and torch write, read within bounds.

Everything that a member claims is checked against the archive's own size before it is unpacked.
Members are stored or deflated; whatever else zip has is refused.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from synq.errors import quoted
from synq.files import in_words

_MAX_MEMBERS = 10_000
_MAX_DIRECTORY = 2 << 20  # bytes
_MAX_COMMENT = 0xFFFF
_MAX_RATIO = 100  # unpacked to packed; zeros reach 1030, what a network learns from about 20
_ANY_RATIO = 420 << 20  # bytes unpacked up to which the ratio does not matter: MNIST as float64
_CHUNK = 1 << 18

_END = struct.Struct("<4s4H2LH")
_END_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000


class ArchiveError(Exception):
    """Why an archive or a member cannot be read, as a clause; the caller names the file."""


@dataclass(frozen=True)
class Member:
    """One file in an archive; sizes in bytes.

    Attributes:
        offset: where its local header starts.
        packed: as it lies in the archive.
        size: unpacked.
    """

    name: str
    offset: int
    packed: int
    size: int
    checksum: int
    deflated: bool


def members(stream: BinaryIO) -> dict[str, Member]:
    """The members of the archive in `stream` by name, in its order; nothing is unpacked.

    Raises:
        ArchiveError: it is no archive, or damaged; it has too many members, two of one name, an
            encrypted one, one of another compression, or one that claims more than it can hold.
    """
    archive_size = stream.seek(0, os.SEEK_END)
    offset, size, count = _directory(stream, archive_size)
    if count > _MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise ArchiveError(f"it has more than {_MAX_MEMBERS:,} members")
    if offset + size > archive_size:
        raise ArchiveError("it is cut off or damaged")
    stream.seek(offset)
    directory = stream.read(size)
    found: dict[str, Member] = {}
    at = 0
    for _ in range(count):
        member, at = _entry(directory, at)
        if member.name in found:
            raise ArchiveError(f"it has two members {quoted(member.name)}")
        if member.offset + _LOCAL.size + member.packed > offset:
            raise ArchiveError(f"member {quoted(member.name)} does not lie in it")
        found[member.name] = member
    packed = sum(member.packed for member in found.values())
    if packed > archive_size:
        raise ArchiveError("its members claim more than the file holds")
    size = sum(member.size for member in found.values())
    if size > _ANY_RATIO and size > _MAX_RATIO * packed:
        raise ArchiveError(
            f"it unpacks from {in_words(packed)} to {in_words(size)}, more than {_MAX_RATIO} times"
        )
    return found


class MemberReader:
    """The unpacked bytes of one member, from its start to its end.

    Raises:
        ArchiveError: here and in every method, where the member is damaged.
    """

    def __init__(self, stream: BinaryIO, member: Member) -> None:
        stream.seek(member.offset)
        head = stream.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
            raise ArchiveError("its header is damaged")
        *_, name_size, extra_size = _LOCAL.unpack(head)
        stream.seek(name_size + extra_size, os.SEEK_CUR)
        self._stream = stream
        self._member = member
        self._packed_left = member.packed
        self._left = member.size
        self._checksum = 0
        self._inflate = zlib.decompressobj(-15) if member.deflated else None
        self._ahead = b""  # packed bytes that the decompressor has not taken yet

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        content = bytearray(size)
        self.readinto(memoryview(content))
        return bytes(content)

    def readinto(self, target: memoryview) -> None:
        """Fill `target` with the next bytes."""
        if len(target) > self._left:
            raise ArchiveError("it ends early")
        done = 0
        while done < len(target):
            part = self._next(min(_CHUNK, len(target) - done))
            target[done : done + len(part)] = part
            done += len(part)
            self._checksum = zlib.crc32(part, self._checksum)
        self._left -= done
        if not self._left and self._checksum != self._member.checksum:
            raise ArchiveError("its checksum is wrong")

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._left:
            raise ArchiveError("there is more in it than its header says")

    def _next(self, size: int) -> bytes:
        """1 to `size` bytes."""
        while True:
            packed = self._ahead
            if not packed and self._packed_left:
                packed = self._stream.read(min(_CHUNK, self._packed_left))
                self._packed_left -= len(packed)
                if not packed:
                    raise ArchiveError("it is cut off")
            if self._inflate is None:
                part, self._ahead = packed[:size], packed[size:]
            else:
                try:
                    part = self._inflate.decompress(packed, size)
                except zlib.error:
                    raise ArchiveError("its compressed data are damaged") from None
                self._ahead = self._inflate.unconsumed_tail
            if part:
                return part
            ended = self._inflate is not None and self._inflate.eof  # whatever lies behind
            if ended or (not self._ahead and not self._packed_left):
                raise ArchiveError("it ends early")


def stored_bytes(content: bytes, member: Member) -> memoryview:
    """The bytes of a member that is not deflated, where they lie in the archive's `content`.

    Raises:
        ArchiveError: the member is deflated or damaged.
    """
    if member.deflated:
        raise ArchiveError(f"member {quoted(member.name)} is compressed")
    stream = io.BytesIO(content)
    MemberReader(stream, member)
    start = stream.tell()
    found = memoryview(content)[start : start + member.size]
    if len(found) < member.size or zlib.crc32(found) != member.checksum:
        raise ArchiveError(f"member {quoted(member.name)} is damaged")
    return found


def _directory(stream: BinaryIO, archive_size: int) -> tuple[int, int, int]:
    """Offset and size in bytes of the list of members, and how many there are."""
    tail_size = min(archive_size, _END.size + _MAX_COMMENT)
    stream.seek(archive_size - tail_size)
    tail = stream.read(tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ArchiveError("it is no zip archive, or cut off")
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, at)
    locator_at = at - _END_LOCATOR.size
    if locator_at < 0 or not tail.startswith(b"PK\x06\x07", locator_at):
        return offset, size, count
    _, _, end_offset, _ = _END_LOCATOR.unpack_from(tail, locator_at)
    if end_offset + _END_64.size > archive_size:
        raise ArchiveError("it is cut off or damaged")
    stream.seek(end_offset)
    end = stream.read(_END_64.size)
    if not end.startswith(b"PK\x06\x06"):
        raise ArchiveError("it is cut off or damaged")
    *_, count, size, offset = _END_64.unpack(end)
    return offset, size, count


def _entry(directory: bytes, at: int) -> tuple[Member, int]:
    """The member listed at `at`, and where the next one is listed."""
    if len(directory) - at < _ENTRY.size or not directory.startswith(b"PK\x01\x02", at):
        raise ArchiveError("its list of members is damaged")
    fields = _ENTRY.unpack_from(directory, at)
    flags, method = fields[3:5]
    checksum, packed, size, name_size, extra_size, comment_size = fields[7:13]
    offset = fields[16]
    at += _ENTRY.size
    end = at + name_size + extra_size + comment_size
    if end > len(directory):
        raise ArchiveError("its list of members is damaged")
    name = directory[at : at + name_size].decode("utf-8", errors="backslashreplace")
    at += name_size
    large = _large_fields(directory[at : at + extra_size])
    size, packed, offset = (
        next(large, field) if field == 0xFFFFFFFF else field for field in (size, packed, offset)
    )
    if flags & _ENCRYPTED:
        raise ArchiveError(f"member {quoted(name)} is encrypted")
    if method not in (_STORED, _DEFLATED):
        raise ArchiveError(f"member {quoted(name)} has a compression other than deflate")
    if method == _STORED and packed != size:
        raise ArchiveError(f"member {quoted(name)} has two sizes")
    return Member(name, offset, packed, size, checksum, method == _DEFLATED), end


def _large_fields(extra: bytes) -> Iterator[int]:
    """The 64-bit numbers that stand for a member's fields of 0xffffffff, in their order."""
    at = 0
    while len(extra) - at >= 4:
        kind, size = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1:
            content = extra[at : at + size]
            for start in range(0, len(content) - 7, 8):
                yield int.from_bytes(content[start : start + 8], "little")
            return
        at += size
