"""Boards and devices are TOML files: find one by name or path, and read it into a dataclass.

The dataclass is the schema. Its field types say what a value must be, and `Annotated` adds the
rule (`Range`, `Pattern`), another name for it in the file (`Key`), or that it may be left out
(`OPTIONAL`). Anything missing, unknown or out of range is one line naming the file and the field,
since users write such files by hand.
"""

import math
import re
import reprlib
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from synq.errors import SynqError, UsageError, nearest_names
from synq.files import read_bounded
from synq.resources import folder

Definition = TypeVar("Definition")

_MAX_BYTES = 1 << 16  # a board takes 1 KiB
_MAX_LINE = 1000


def load_definition(name_or_path: str, folder_name: str, kind: type[Definition]) -> Definition:
    """The definition that ships as `name_or_path`, or stands in a user's `.toml` file.

    Args:
        name_or_path: a shipped name, or a path (it has a slash or ends in `.toml`).
        folder_name: where the shipped ones are, "boards" or "devices".
        kind: the frozen dataclass to make.

    Raises:
        UsageError: no shipped definition has this name.
        SynqError: the file cannot be read or breaks a rule of `kind`.
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return read_definition(Path(name_or_path), kind)
    known = definition_names(folder_name)
    if name_or_path not in known:
        raise UsageError(
            f"unknown {kind.__name__.lower()} {name_or_path!r}; "
            f"{nearest_names(name_or_path, known)} (or give the path of your own .toml file)"
        )
    return read_definition(folder(folder_name) / f"{name_or_path}.toml", kind)


def definition_names(folder_name: str) -> list[str]:
    """The names of the definitions that ship in a folder, sorted."""
    files = (entry.name for entry in folder(folder_name).iterdir())
    return sorted(file.removesuffix(".toml") for file in files if file.endswith(".toml"))


def read_definition(file: Path | Traversable, kind: type[Definition]) -> Definition:
    """One TOML file as a `kind`.

    Raises:
        SynqError: the file cannot be read, is not TOML, or breaks a rule; says which field.
    """
    content = read_bounded(file, _MAX_BYTES) if isinstance(file, Path) else file.read_bytes()
    try:
        text = content.decode()
        # tomllib takes minutes for a key of many parts, a.a.a..., which stands in one line
        if any(len(line) > _MAX_LINE for line in text.splitlines()):
            raise ValueError(f"a line is longer than {_MAX_LINE} characters")
        table = tomllib.loads(text)
    # tomllib also lets ValueError (endless integers) and RecursionError through
    except (ValueError, RecursionError) as error:
        raise SynqError(f"{file}: not valid TOML: {error}") from None
    try:
        return read_table(table, kind)
    except ValueError as error:  # ours, or a rule between fields in the constructor of `kind`
        raise SynqError(f"{file}: {error}") from None


def read_table(table: dict[str, Any], kind: type[Definition]) -> Definition:
    """A table, of TOML or JSON, as a `kind`.

    Raises:
        ValueError: it breaks a rule; says which field.
    """
    return _read_table(table, kind, "")


@dataclass(frozen=True)
class Range:
    """The smallest and the largest number allowed."""

    low: float
    high: float

    def allows(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)  # false for nan, as it should be

    def __str__(self) -> str:
        return f"between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Pattern:
    """What the whole of a text must look like, and the same in words."""

    regex: str
    words: str

    def allows(self, value: Any) -> bool:
        return re.fullmatch(self.regex, value) is not None

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Key:
    """The field's name in the file, where it carries the unit."""

    name: str


OPTIONAL = "optional"
"""Annotates a field that a file may leave out; it has a default."""

Line = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*", "of one line, not empty")]
"""Free text for reports and comments; one line, so that it cannot end a comment it stands in."""

Identifier = Annotated[
    str,
    Pattern(
        r"[A-Za-z0-9][A-Za-z0-9._-]*",
        "of A-Z a-z 0-9 . _ - only, starting with a letter or digit",
    ),
]
"""A text that goes into Tcl commands and file names: nothing there may need quoting."""

_WORDS = {int: "an integer", float: "a number", str: "a text"}


def check_fields(definition: Any) -> None:
    """Whether the fields of a definition that was not read from a file keep their rules.

    Raises:
        ValueError: one does not; names it.
    """
    hints = get_type_hints(type(definition), include_extras=True)
    for field in fields(definition):
        value, hint = getattr(definition, field.name), hints[field.name]
        left_out = value in (field.default, math.nan) and OPTIONAL in get_args(hint)
        if not left_out and not is_dataclass(value):
            _read_value(value, hint, _key(field.name, hint))


def _read_table(table: dict[str, Any], kind: type[Definition], prefix: str) -> Definition:
    assert is_dataclass(kind)
    hints = get_type_hints(kind, include_extras=True)
    keys = {_key(field.name, hints[field.name]): field.name for field in fields(kind)}
    for given in table:
        if given not in keys:
            hint = nearest_names(given, list(keys))
            raise ValueError(f"unknown field {prefix}{_shown_key(given)}; {hint}")
    values = {}
    optional = {name for name, hint in hints.items() if OPTIONAL in get_args(hint)}
    for key, name in keys.items():
        if key not in table and name in optional:
            continue
        if key not in table:
            raise ValueError(f"missing field {prefix}{key}: it must be {_rule(hints[name])}")
        values[name] = _read_value(table[key], hints[name], prefix + key)
    return kind(**values)


def _read_value(value: Any, hint: Any, field: str) -> Any:
    kind, limits = _parts(hint)
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        of_each: Any = get_args(kind)[0]
        if limits:
            of_each = Annotated[of_each, *limits]
        return tuple(_read_value(part, of_each, f"{field}[{at}]") for at, part in enumerate(value))
    if isinstance(value, dict) and isinstance(kind, type) and is_dataclass(kind):
        return _read_table(value, kind, f"{field}.")
    # `type is`, not isinstance: true is no integer; but 10 is a fair way to write 10.0
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or not all(limit.allows(value) for limit in limits):
        raise ValueError(f"{field} must be {_rule(hint)}, got {reprlib.repr(value)}")
    return kind(value)


def _rule(hint: Any) -> str:
    kind, limits = _parts(hint)
    if get_origin(kind) is tuple:
        return f"a list, each {_rule(Annotated[get_args(kind)[0], *limits])}"
    return " ".join([_WORDS.get(kind, "a table"), *map(str, limits)])


def _parts(hint: Any) -> tuple[Any, list[Range | Pattern]]:
    """A field's plain type and its rules."""
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return kind, [extra for extra in extras if isinstance(extra, Range | Pattern)]


def _key(name: str, hint: Any) -> str:
    extras = get_args(hint) if get_origin(hint) is Annotated else ()
    return next((extra.name for extra in extras if isinstance(extra, Key)), name)


def _shown_key(key: str) -> str:
    """A key as it is, or quoted where TOML quotes it, which also keeps the message on one line."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else reprlib.repr(key)
