"""JSON that open tools report in: read strictly, with what synq knows beside it.

A report is one object and ends with its brace: one that is cut off is no JSON.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from synq.errors import SynqError
from synq.synth import result

MOST = 10**12
"""No part has so many of anything: a larger count is none."""

_FACTS = "synq"


def read_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        SynqError: it is none, or names a key twice; says that it is not `what`.
    """

    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{key[:80]!r} stands there twice")
            found[key] = value
        return found

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        raise SynqError(f"not {what}: {error}") from None
    return content


def count(value: Any) -> int:
    """The value, if it is a whole number of at least 0 and below `MOST`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError(f"{str(value)[:80]} is no count")
    return value


def number(value: Any, low: float, high: float) -> float:
    """The value, if it is a number from `low` to `high`.

    Raises:
        ValueError: it is not.
    """
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{str(value)[:80]} is no number between {low:g} and {high:g}")
    return float(value)


def with_facts(report: str, facts: dict[str, Any]) -> str:
    """A report as its tool wrote it, and what is known beside it: fields of `Report`.

    Raises:
        SynqError: it is no JSON object, as one that is cut off.
    """
    written = read_json(report, "a tool's report")
    written.pop(_FACTS, None)
    return json.dumps({_FACTS: facts, **written}, indent=1) + "\n"


@dataclass(frozen=True)
class Facts:
    """What `with_facts` added, as far as it is what it should be."""

    given: dict[str, Any]

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Facts":
        facts = content.get(_FACTS)
        return cls(facts if isinstance(facts, dict) else {})

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        return result.known(value) if isinstance(value, str) else None

    def number(self, name: str) -> float | None:
        try:
            return number(self.given.get(name), 1e-6, 1e6)
        except ValueError:
            return None

    def count(self, name: str) -> int | None:
        try:
            return count(self.given.get(name))
        except ValueError:
            return None
