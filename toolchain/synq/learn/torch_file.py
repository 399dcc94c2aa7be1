"""The tensors in a file of `torch.save`, read within bounds and without running what is in it.

Such a file is a pickle, a program for a small stack machine, with the tensors' bytes beside it: in
a zip archive, or, before torch 1.6, after it. Here the program is followed only as far as it builds
containers, numbers, texts and tensors; what it names beyond that is refused, not called. So torch
itself, whose reader trusts the sizes it is told, is not needed.
"""

import io
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from synq import archive
from synq.archive import ArchiveError, MemberReader
from synq.errors import SynqError
from synq.files import in_words
from synq.learn.stored import Stored

_MAX_PICKLE = 4 << 20  # bytes; a tensor takes about 150
_MAX_STEPS = 1_000_000
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_CODE = (
    "is not a plain state dict, or damaged; synq never runs code from a checkpoint: "
    "save with torch.save(model.state_dict(), ...)"
)
_DAMAGED = "is not a torch state dict, or damaged; save with torch.save(model.state_dict(), ...)"

# Element types by the storage class that a pickle names: torch's name, and bytes.
_STORAGES = {
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "FloatStorage": ("float32", 4),
    "DoubleStorage": ("float64", 8),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "ShortStorage": ("int16", 2),
    "IntStorage": ("int32", 4),
    "LongStorage": ("int64", 8),
    "BoolStorage": ("bool", 1),
    "ComplexFloatStorage": ("complex64", 8),
    "ComplexDoubleStorage": ("complex128", 16),
}


@dataclass(frozen=True)
class Other:
    """Something that a checkpoint may hold beside tensors and that is not looked into."""

    name: str


@dataclass(frozen=True)
class _Name:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass(frozen=True)
class _Storage:
    """Where a tensor's elements are."""

    dtype: str
    key: str
    n_bytes: int


@dataclass(frozen=True)
class Unread:
    """A tensor whose storage is not at hand yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, storages: dict[str, memoryview]) -> Stored:
        content = storages.get(self.storage.key)
        if content is None or len(content) < self.storage.n_bytes:
            raise SynqError(_DAMAGED)
        content = content[: self.storage.n_bytes]
        return Stored(self.storage.dtype, self.shape, self.strides, self.offset, content)


class TorchFile:
    """What a file of `torch.save` holds: containers, numbers, texts, `Unread` and `Other`.

    Raises:
        SynqError: the file is damaged, names code, or is larger than a checkpoint can be.
    """

    def __init__(self, data: bytes) -> None:
        self.content, self._storages = _zipped(data) if data.startswith(b"PK") else _legacy(data)

    def stored(self, tensor: Unread) -> Stored:
        """A tensor of the content.

        Raises:
            SynqError: its elements are not in the file.
        """
        return tensor.read(self._storages)


def _zipped(data: bytes) -> tuple[Any, dict[str, memoryview]]:
    stream = io.BytesIO(data)
    try:
        members = archive.members(stream)
        if any(member.deflated for member in members.values()):
            raise SynqError("is compressed; give it as torch.save wrote it")
        programs = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
        if any(name.endswith("/constants.pkl") for name in members):
            raise SynqError("is a TorchScript archive; save with torch.save(model.state_dict(), .")
        if len(programs) != 1:
            raise SynqError(_DAMAGED)
        folder = programs[0].removesuffix("data.pkl")
        contents: dict[str, memoryview] = {}
        for name, member in members.items():
            reader = MemberReader(stream, member)
            start = stream.tell()
            contents[name.removeprefix(folder)] = memoryview(data)[start : start + member.size]
            reader.check()
    except ArchiveError as error:
        raise SynqError(f"is a truncated or damaged torch checkpoint ({error})") from None
    return None, {}
