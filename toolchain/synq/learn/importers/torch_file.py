"""The tensors in a file of `torch.save`, read within bounds and without running what is in it.

Such a file is a pickle, a program for a small stack machine, with the tensors' bytes beside it: in
a zip archive, or, before torch 1.6, after it. Here the program is followed only as far as it builds
containers, numbers, texts and tensors. Nothing that it names is imported or called: an object of
any other class, as training leaves them beside the weights, is only a name.
torch's own reader is not used: it trusts the sizes it is told, and takes two seconds to import.
"""

import io
import pickletools
from dataclasses import dataclass
from typing import Any

from synq import archive
from synq.archive import ArchiveError
from synq.errors import SynqError
from synq.files import in_words
from synq.learn.importers.stored import Stored

_MAX_PICKLE = 4 << 20  # bytes; a tensor takes about 150
_MAX_STEPS = 100_000  # a tensor takes about 25
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
NO_CODE = "synq never runs code from a checkpoint: save with torch.save(model.state_dict(), ...)"
_CODE = f"is not a plain state dict, or damaged; {NO_CODE}"
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
    """Something that a checkpoint may hold beside tensors and that is not looked into.

    Attributes:
        name: of the class or function that would make it.
    """

    module: str
    name: str

    @property
    def is_tensor(self) -> bool:
        """Whether it is one of torch's own, as a sparse or quantized tensor is."""
        return self.module in ("torch", "torch._utils", "torch._tensor")


@dataclass(frozen=True)
class _Name:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass(frozen=True)
class _Storage:
    """Where the elements of tensors are."""

    dtype: str
    width: int
    key: str
    n_elements: int


@dataclass(frozen=True, eq=False)
class TorchTensor:
    """A tensor as the pickle describes it.

    Attributes:
        contents: the bytes of each storage, known only after the pickle has been read.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    contents: dict[str, memoryview]

    def stored(self) -> Stored:
        """The tensor with its bytes.

        Raises:
            SynqError: they are not in the file.
        """
        content = self.contents.get(self.storage.key, memoryview(b""))
        size = self.storage.n_elements * self.storage.width
        if len(content) < size:
            raise SynqError(_DAMAGED)
        return Stored(self.storage.dtype, self.shape, self.strides, self.offset, content[:size])


def read_torch(data: bytes) -> Any:
    """What a file of `torch.save` holds: containers, numbers, texts, `TorchTensor`, and `Other`.

    Containers may hold each other, and themselves.

    Raises:
        SynqError: the file is damaged, names code, or is larger than a checkpoint can be.
    """
    return _zipped(data) if data.startswith(b"PK") else _legacy(data)


def _zipped(data: bytes) -> Any:
    try:
        members = archive.members(io.BytesIO(data))
        if any(name.endswith("/constants.pkl") for name in members):
            raise SynqError(
                "is a TorchScript archive; save with torch.save(model.state_dict(), ...)"
            )
        pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise SynqError(_DAMAGED)
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and bytes(archive.stored_bytes(data, order)) != b"little":
            raise SynqError("holds big-endian tensors; save it on a little-endian machine")
        machine = _Machine(archive.stored_bytes(data, members[pickles[0]]))
        content = machine.run()
        for key in machine.storages:
            if (member := members.get(f"{folder}data/{key}")) is not None:
                machine.contents[key] = archive.stored_bytes(data, member)
    except ArchiveError as error:
        raise SynqError(f"is a truncated or damaged torch checkpoint ({error})") from None
    return content


def _legacy(data: bytes) -> Any:
    """The content of a file from before torch 1.6.

    Five pickles (a magic number, a version, the machine, the content, the storages' keys), then
    for each key the number of elements in 8 bytes, and the elements.
    """
    machine = _Machine(memoryview(data))
    magic = machine.run()
    if magic != _LEGACY_MAGIC:
        raise SynqError(_CODE if isinstance(magic, Other) else _DAMAGED)
    machine.run()
    machine.run()
    content, keys = machine.run(), machine.run()
    at = machine.position
    if not isinstance(keys, list):
        raise SynqError(_DAMAGED)
    for key in keys:
        storage = machine.storages.get(key) if isinstance(key, str) else None
        if storage is None or int.from_bytes(data[at : at + 8], "little") != storage.n_elements:
            raise SynqError(_DAMAGED)
        end = at + 8 + storage.n_elements * storage.width
        machine.contents[storage.key] = memoryview(data)[at + 8 : end]
        at = end
    return content


class _Machine:
    """Follows pickles that lie one after another.

    Attributes:
        storages: those that have been named, by key.
        contents: their bytes, for the caller to fill in.
        position: bytes read so far.
    """

    def __init__(self, content: memoryview) -> None:
        self._stream = io.BytesIO(content[: _MAX_PICKLE + 1])
        self._steps = 0
        self.storages: dict[str, _Storage] = {}
        self.contents: dict[str, memoryview] = {}

    @property
    def position(self) -> int:
        return self._stream.tell()

    def run(self) -> Any:
        """The object that the next pickle makes."""
        try:
            return self._run()
        # An operation without its operands, or with others than it takes; and pickletools' own.
        except (ValueError, IndexError, KeyError, TypeError, OverflowError):
            if self.position > _MAX_PICKLE:
                raise self._too_long() from None
            raise SynqError(_DAMAGED) from None

    def _too_long(self) -> SynqError:
        return SynqError(
            f"describes its contents in more than {in_words(_MAX_PICKLE)} or {_MAX_STEPS:,} steps: "
            "not a network for a board; save with torch.save(model.state_dict(), ...)"
        )

    def _run(self) -> Any:
        stack: list[Any] = []
        marks: list[int] = []
        memo: dict[int, Any] = {}

        def above_mark() -> list[Any]:
            at = marks.pop()
            taken = stack[at:]
            del stack[at:]
            return taken

        argument: Any
        for opcode, argument, _ in pickletools.genops(self._stream):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise self._too_long()
            match opcode.name:
                case "PROTO":
                    pass
                case "STOP":
                    return stack.pop()
                case "MARK":
                    marks.append(len(stack))
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(opcode.name == "NEWTRUE")
                case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                    stack.append(argument)
                case "BINUNICODE" | "SHORT_BINUNICODE" | "SHORT_BINSTRING" | "BINSTRING":
                    stack.append(argument)
                case "BINBYTES" | "SHORT_BINBYTES":
                    stack.append(argument)
                case "FRAME":
                    pass
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "POP":
                    stack.pop()
                case "EMPTY_TUPLE":
                    stack.append(())
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    count = int(opcode.name[-1])
                    parts = tuple(stack[-count:])
                    del stack[-count:]
                    stack.append(parts)
                case "TUPLE":
                    stack.append(tuple(above_mark()))
                case "EMPTY_LIST":
                    stack.append([])
                case "APPEND" | "APPENDS":
                    values = above_mark() if opcode.name == "APPENDS" else [stack.pop()]
                    if not isinstance(stack[-1], Other):
                        _of(list, stack[-1]).extend(values)
                case "EMPTY_SET" | "FROZENSET":
                    if opcode.name == "FROZENSET":
                        above_mark()
                    stack.append(Other("builtins", "set"))
                case "ADDITEMS":
                    above_mark()
                case "EMPTY_DICT":
                    stack.append({})
                case "SETITEM" | "SETITEMS":
                    values = above_mark() if opcode.name == "SETITEMS" else _popped(stack, 2)
                    if not isinstance(stack[-1], Other):
                        pairs = zip(values[::2], values[1::2], strict=True)
                        # A key of another kind is no tensor's name, and may be too deep to hash.
                        known = {key: value for key, value in pairs if isinstance(key, _KEYS)}
                        _of(dict, stack[-1]).update(known)
                case "GLOBAL":
                    stack.append(_Name(*argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    module, name = _popped(stack, 2)
                    stack.append(_Name(_of(str, module), _of(str, name)))
                case "BINPERSID":
                    stack.append(self._storage(stack.pop()))
                case "REDUCE":
                    function, arguments = _popped(stack, 2)
                    stack.append(self._called(function, _of(tuple, arguments)))
                case "NEWOBJ":
                    made, _ = _popped(stack, 2)
                    stack.append(_other(made))
                case "NEWOBJ_EX":
                    made, _, _ = _popped(stack, 3)
                    stack.append(_other(made))
                case "BUILD":  # attributes of what is there; a state dict has some
                    stack.pop()
                    if not isinstance(stack[-1], dict | TorchTensor | Other):
                        raise SynqError(_CODE)
                case _:
                    raise SynqError(_CODE)
        raise ValueError("a pickle ends with STOP")

    def _storage(self, identity: Any) -> _Storage | Other:
        """What stands for a storage: ("storage", its class, its key, a device, its elements)."""
        kind, storage_class, key, _, n_elements, *view = _of(tuple, identity)
        if kind != "storage" or any(part is not None for part in view):
            raise SynqError(_DAMAGED)
        name = _of(_Name, storage_class).name
        if name not in _STORAGES:
            return Other("torch", name)
        storage = _Storage(*_STORAGES[name], _of(str, key), _count(n_elements))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise SynqError(_DAMAGED)
        return storage

    def _called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """What a call would give, of the few that make containers and tensors."""
        if not isinstance(function, _Name):
            return _other(function)
        match function.module, function.name:
            case "collections", "OrderedDict" if not arguments:
                return {}
            case "torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state":
                return arguments[0]
            case "torch._tensor", "_rebuild_from_type_v2":  # attributes have been given to it
                return self._called(arguments[0], _of(tuple, arguments[2]))
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                storage, offset, shape, strides = arguments[:4]
                if isinstance(storage, Other):
                    return storage
                sides = tuple(map(_count, _of(tuple, shape)))
                steps = tuple(map(_count, _of(tuple, strides)))
                if len(sides) != len(steps) or len(sides) > 32:
                    raise SynqError(_DAMAGED)
                if len(arguments) > 6 and arguments[6]:  # values are stored with the other sign
                    raise SynqError(
                        "holds a negated or conjugated view; save tensors after resolve_neg()"
                    )
                return TorchTensor(
                    _of(_Storage, storage), _count(offset), sides, steps, self.contents
                )
        return _other(function)


_KEYS = (str, int, float)


def _other(function: Any) -> Other:
    """What is made by something that is not called."""
    if isinstance(function, Other):
        return function
    named = _of(_Name, function)
    return Other(named.module, named.name)


def _of(kind: Any, value: Any) -> Any:
    """`value`, which must be of a kind."""
    if not isinstance(value, kind):
        raise TypeError
    return value


def _count(value: Any) -> int:
    """`value`, which must be a number of things that a file can hold."""
    if not isinstance(value, int) or not 0 <= value < 1 << 48:
        raise TypeError
    return value


def _popped(stack: list[Any], count: int) -> list[Any]:
    """The uppermost `count` values, taken off."""
    taken = [stack[-at] for at in range(count, 0, -1)]
    del stack[-count:]
    return taken
