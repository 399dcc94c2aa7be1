"""What a kind of input is, and how a good file of it becomes many odd ones."""

import copy
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Mutator = Callable[[random.Random, bytes], bytes]

_BIG = [str(2**bits + more) for bits in (31, 32, 63, 64, 130) for more in (-1, 0)]
_SMALL = ["0", "1", "-1", "2", "7", "10", "255", "256", "65535", "65536"]
_REAL = ["1e9", "1e308", "1e309", "-1e309", "1e-320", "0.5", "-0.0", "nan", "inf", "-inf"]
_NO_NUMBERS = ["NA", "1_000", "1,000", "0x10", "1e", ""]
_NUMBERS = [*_BIG, *_SMALL, *_REAL, *_NO_NUMBERS]
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**6,
    2**63,
    10**40,
    1.5,
    -1e300,
    float("nan"),
    float("inf"),
    "",
    "a",
    "../x",
    "/etc/passwd",
    "x\ny",
    "\x00",
    "\ud800",
    "é" * 300,
    [],
    [[]],
    [1, "a", None],
    {},
    {"a": 1},
)
_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)


@dataclass(frozen=True)
class Kind:
    """A kind of file that a user can hand in.

    Attributes:
        file: the name a case is written under; a reader may go by its suffix.
        cases: (seed, count) to so many files; the same for the same seed.
        read: takes the path of a case. What it returns is accepted, `SynqError` is a refusal, and
            any other exception is a fault.
        cost: how many cases of other kinds one of this takes the time of; fewer are tried.
    """

    file: str
    cases: Callable[[int, int], Iterator[bytes]]
    read: Callable[[Path], object]
    cost: int = 1


def mutated(
    originals: Sequence[bytes], mutators: Sequence[Mutator]
) -> Callable[[int, int], Iterator[bytes]]:
    """`cases` of a kind: good files in turn, each through one to four mutators."""

    def cases(seed: int, count: int) -> Iterator[bytes]:
        for index in range(count):
            rng = random.Random(f"{seed} {index}")
            content = originals[index % len(originals)]
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                content = rng.choice(mutators)(rng, content)
            yield content

    return cases


def cut(rng: random.Random, content: bytes) -> bytes:
    """The file ends early."""
    return content[: rng.randrange(len(content) + 1)]


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    """One to eight bits are other."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_early_bits(rng: random.Random, content: bytes) -> bytes:
    """As `flip_bits`, among the first 128 bytes: where headers are."""
    return flip_bits(rng, content[:128]) + content[128:]


def overwrite_integer(rng: random.Random, content: bytes) -> bytes:
    """A binary integer of 1, 2, 4 or 8 bytes is an extreme one."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(_INTEGERS) & ((1 << 8 * size) - 1)
    at = rng.randrange(min(len(content), rng.choice((64, 1 << 30))) + 1)
    order = rng.choice(("little", "big"))
    return content[:at] + value.to_bytes(size, order) + content[at + size :]  # type: ignore[arg-type]


def remove_span(rng: random.Random, content: bytes) -> bytes:
    """Some bytes are missing."""
    at, size = rng.randrange(len(content) + 1), rng.choice((1, 2, 8, 64, 1024))
    return content[:at] + content[at + size :]


def repeat_span(rng: random.Random, content: bytes) -> bytes:
    """Some bytes come several times."""
    at, size = rng.randrange(len(content) + 1), rng.choice((1, 2, 8, 64, 1024))
    return content[:at] + content[at : at + size] * rng.choice((2, 3, 100)) + content[at + size :]


def insert_random(rng: random.Random, content: bytes) -> bytes:
    """Random bytes are added."""
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 8, 64, 1024))) + content[at:]


def move_span(rng: random.Random, content: bytes) -> bytes:
    """Some bytes are copied to another place."""
    source, target = (rng.randrange(len(content) + 1) for _ in range(2))
    span = content[source : source + rng.choice((1, 4, 32, 256))]
    return content[:target] + span + content[target + len(span) :]


def change_number(rng: random.Random, content: bytes) -> bytes:
    """A number written in digits is another, or none."""
    found = list(re.finditer(rb"[-+]?\d+(\.\d+)?", content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(_NUMBERS).encode() + content[match.end() :]


def change_word(rng: random.Random, content: bytes) -> bytes:
    """A word is another word of the file."""
    found = list(re.finditer(rb"\w+", content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(found).group() + content[match.end() :]


def change_line(rng: random.Random, content: bytes) -> bytes:
    """A line is missing, doubled, exchanged with another, emptied or joined with the next."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = b"\n"
        case _:
            lines[at] = lines[at].rstrip(b"\r\n")
    return b"".join(lines)


def nest(rng: random.Random, content: bytes) -> bytes:
    """Brackets, deeper than any file needs."""
    opening = rng.choice((b"[", b"{", b"(", b'{"a":', b"<a>", b"a."))
    at = rng.randrange(len(content) + 1)
    return content[:at] + opening * rng.choice((3, 200, 20_000)) + content[at:]


BINARY: tuple[Mutator, ...] = (
    cut,
    flip_bits,
    flip_early_bits,
    overwrite_integer,
    remove_span,
    repeat_span,
    insert_random,
    move_span,
)
TEXT: tuple[Mutator, ...] = (
    cut,
    flip_bits,
    remove_span,
    repeat_span,
    insert_random,
    move_span,
    change_number,
    change_word,
    change_line,
    nest,
)


def change_json(rng: random.Random, content: bytes) -> bytes:
    """A value somewhere in a JSON file is odd, missing, doubled or under another name.

    The content itself where it is no JSON (any more).
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return content
    places = list(_places(tree))
    if not places:
        return content
    holder, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name])
        case 2 if isinstance(holder, dict):
            holder[str(rng.choice(_ODD_VALUES))] = holder.pop(key)
        case _:
            holder[key] = rng.choice(_ODD_VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every value below the root."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if type(tree) is list else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


JSON: tuple[Mutator, ...] = (*TEXT, change_json, change_json, change_json, change_json)


def within_zip(mutators: Sequence[Mutator]) -> Mutator:
    """A mutator of one member of a zip archive, whose checksums then hold again.

    The content itself where it is no archive (any more).
    """

    def mutate(rng: random.Random, content: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
        except Exception:  # a zip file can be damaged in as many ways as there are exceptions
            return content
        if not members:
            return content
        chosen = rng.choice(sorted(members))
        members[chosen] = rng.choice(mutators)(rng, members[chosen])
        written = io.BytesIO()
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(written, "w", method) as archive:
            for name, member in members.items():
                archive.writestr(zipfile.ZipInfo(name), member, method)  # no time of day
        return written.getvalue()

    return mutate


ZIP: tuple[Mutator, ...] = (*BINARY, *(within_zip(BINARY),) * 4)
