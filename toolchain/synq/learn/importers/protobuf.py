"""The wire format of protocol buffers, read lazily.

https://protobuf.dev/programming-guides/encoding

A message is a list of numbered values, and a reader must know what each number means. Nothing is
allocated by what a message claims: values are numbers, or views of the bytes that are there.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = int | memoryview

_MOST_FIELDS = 1_000_000  # of one message


class DamagedError(Exception):
    """The bytes are no message."""


class Message:
    """A message's values by field number, each in its order."""

    def __init__(self, content: memoryview) -> None:
        self._fields: defaultdict[int, list[Value]] = defaultdict(list)
        for count, (number, value) in enumerate(_fields(content)):
            if count > _MOST_FIELDS:
                raise DamagedError
            self._fields[number].append(value)

    def messages(self, number: int) -> list["Message"]:
        return [Message(view) for view in self.views(number)]

    def views(self, number: int) -> list[memoryview]:
        """The values of a field of bytes."""
        views = []
        for value in self._fields.get(number, ()):
            if not isinstance(value, memoryview):
                raise DamagedError
            views.append(value)
        return views

    def view(self, number: int) -> memoryview:
        """The last value of a field of bytes, or none."""
        return (self.views(number) or [memoryview(b"")])[-1]

    def texts(self, number: int) -> list[str]:
        return [
            bytes(view).decode("utf-8", errors="backslashreplace") for view in self.views(number)
        ]

    def text(self, number: int) -> str:
        """The last value of a field of text, or none."""
        return (self.texts(number) or [""])[-1]

    def integers(self, number: int, most: int = 1000) -> list[int]:
        """The values of a field of signed integers, packed or not; more than `most` are damage."""
        values: list[int] = []
        for value in self._fields.get(number, ()):
            for each in (value,) if isinstance(value, int) else _varints(value):
                values.append(_signed(each))
                if len(values) > most:
                    raise DamagedError
        return values

    def integer(self, number: int, default: int = 0) -> int:
        return (self.integers(number) or [default])[-1]

    def packed(self, number: int) -> bytes:
        """The bytes of a field of numbers of fixed width, packed or not."""
        return b"".join(bytes(view) for view in self.views(number))

    def real(self, number: int) -> float | None:
        """The last value of a field of float32, or none."""
        values = self.views(number)
        if not values:
            return None
        if len(values[-1]) != 4:
            raise DamagedError
        return float(struct.unpack("<f", values[-1])[0])


def _fields(content: memoryview) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        match key & 7:
            case 0:
                number, at = _varint(content, at)
                yield key >> 3, number
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(content, at)
            case 5:
                size = 4
            case _:
                raise DamagedError
        if size > len(content) - at:
            raise DamagedError
        yield key >> 3, content[at : at + size]
        at += size


def _varints(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """An unsigned integer of up to 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise DamagedError
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
    raise DamagedError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
