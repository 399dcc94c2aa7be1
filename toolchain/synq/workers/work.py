"""What workers do: a piece of work each, with what all of them need."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from synq.errors import SynqError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
_Piece = TypeVar("_Piece", contravariant=True)
_Result = TypeVar("_Result", covariant=True)


class Work(Protocol[_Piece, _Result]):
    """What is sent to each worker once: what all pieces need, and how one is evaluated."""

    def evaluate(self, piece: _Piece, /) -> _Result:
        """The result of one piece: the same wherever it runs."""


@dataclass(frozen=True)
class Outcome(Generic[Piece, Result]):
    """A piece with its result, or with the reason why there is none, in one line."""

    piece: Piece
    result: Result | None
    error: str | None = None


Evaluate = Callable[[Sequence[Piece]], Iterator[Outcome[Piece, Result]]]
"""Evaluates each piece once, in any order."""


def attempt(piece: Piece, work: Work[Piece, Result]) -> Outcome[Piece, Result]:
    """One piece, whatever comes of it."""
    try:
        return Outcome(piece, work.evaluate(piece))
    except SynqError as error:
        return Outcome(piece, None, " ".join(str(error).split()))
    except Exception as error:
        return Outcome(piece, None, f"{type(error).__name__}: {' '.join(str(error).split())}")
