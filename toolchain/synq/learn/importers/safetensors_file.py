"""The tensors in a safetensors file, read within bounds.

A file is the header's length in 8 bytes, the header in JSON, and the tensors' bytes without a gap
(https://huggingface.co/docs/safetensors, "Format").
"""

import json
import math
from typing import Any

from synq.errors import SynqError, quoted
from synq.files import in_words
from synq.learn.importers.stored import Stored, packed

_MAX_HEADER = 1 << 20  # bytes, some 8,000 tensors; the format's own limit takes gigabytes to parse

_DTYPES = {
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F32": ("float32", 4),
    "F64": ("float64", 8),
}


def read_safetensors(data: bytes) -> tuple[dict[str, Stored], dict[str, Any]]:
    """The tensors by name, in no order that means anything, and the texts beside them.

    Raises:
        SynqError: the file is damaged, or its header is longer than any network's.
    """
    length = int.from_bytes(data[:8], "little")
    if 8 + length > len(data):
        raise _damaged("it ends in its header")
    if length > _MAX_HEADER:
        raise SynqError(f"has a safetensors header of more than {in_words(_MAX_HEADER)}")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        raise _damaged("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged("its header is not a table")
    metadata = header.pop("__metadata__", {})
    tensors: dict[str, Stored] = {}
    reached = 0
    content = memoryview(data)[8 + length :]
    for name, entry in sorted(header.items(), key=lambda item: _start(item[1])):
        dtype, shape = entry.get("dtype"), entry.get("shape")
        start, end = entry["data_offsets"]
        if (
            not isinstance(dtype, str)
            or not _counts(shape)
            or len(shape) > 32
            or start != reached
            or end < start
        ):
            raise _damaged(f"the entry of {quoted(name)} is wrong")
        reached = end
        known, width = _DTYPES.get(dtype, (dtype[:20], 0))
        if width and math.prod(shape) * width != end - start:
            raise _damaged(f"{quoted(name)} has another size than its shape")
        tensors[name] = packed(known, tuple(shape), content[start:end])
    if reached != len(content):
        raise _damaged(f"it has {len(content)} bytes of values, and should have {reached}")
    return tensors, metadata if isinstance(metadata, dict) else {}


def _start(entry: Any) -> int:
    """Where an entry's values start."""
    offsets: Any = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not _counts(offsets) or len(offsets) != 2:
        raise _damaged("an entry says not where its values are")
    return int(offsets[0])


def _counts(values: Any) -> bool:
    """Whether this is a list of numbers from 0 on that fit 63 bits."""
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 1 << 63 for value in values
    )


def _damaged(how: str) -> SynqError:
    return SynqError(f"is a truncated or damaged safetensors file ({how})")
