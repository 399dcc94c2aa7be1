"""ONNX files of any content, written without ONNX's library: onnx.proto3's messages."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10, "float64": 11}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*fields: tuple[int, Any]) -> bytes:
    """A message of (number, value): integers, floats (as float32), texts, bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            content = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(content)) + content
    return out


def tensor(name: str, array: Any, *more: tuple[int, Any], raw: bool = True) -> bytes:
    """An array by its name; `more` fields come after."""
    array = np.asarray(array)
    dims = [(1, side) for side in array.shape]
    content: list[tuple[int, Any]] = [(9, array.tobytes())] if raw else []
    return message(*dims, (2, _TYPES[array.dtype.name]), (8, name), *content, *more)


def attribute(name: str, value: Any) -> bytes:
    match value:
        case int():
            return message((1, name), (3, value), (20, 2))
        case float():
            return message((1, name), (2, value), (20, 1))
        case str():
            return message((1, name), (4, value), (20, 3))
        case bytes():  # a tensor
            return message((1, name), (5, value), (20, 4))
    return message((1, name), *((8, each) for each in value), (20, 7))


def node(kind: str, inputs: str, output: str, domain: str = "", **attributes: Any) -> bytes:
    """An operation; names of its inputs are parted by spaces, `-` stands for none."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return message(
        *((1, name) for name in names),
        *((2, output), (4, kind), (7, domain)),
        *((5, attribute(name, value)) for name, value in attributes.items()),
    )


def value(name: str, shape: Sequence[int | str] | None) -> bytes:
    if shape is None:
        return message((1, name))
    sides = [(1, message((2 if isinstance(side, str) else 1, side))) for side in shape]
    kind = message((1, message((1, 1), (2, message(*sides)))))
    return message((1, name), (2, kind))


def model(
    nodes: Sequence[bytes],
    arrays: dict[str, Any],
    shape: Sequence[int | str] | None = ("n", 6),
    outputs: Sequence[str] = ("y",),
    tensors: Sequence[bytes] = (),
) -> bytes:
    """A model that makes `y` of `x`."""
    initializers = [*(tensor(name, array) for name, array in arrays.items()), *tensors]
    graph = message(
        *((1, each) for each in nodes),
        (2, "graph"),
        *((5, each) for each in initializers),
        (11, value("x", shape)),
        *((12, value(name, None)) for name in outputs),
    )
    return message((1, 10), (2, "synq's tests"), (7, graph), (8, message((1, ""), (2, 20))))
