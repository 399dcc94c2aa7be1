"""The prober counts as a failure what is one; every kind of input is well made."""

import importlib
import pkgutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

import fuzzing
from fuzzing.kind import BINARY, JSON, TEXT, ZIP, Kind, mutated
from fuzzing.probe import probe
from synq.errors import SynqError

KINDS: dict[str, Kind] = {}
for module in pkgutil.iter_modules(fuzzing.__path__):
    KINDS |= getattr(importlib.import_module(f"fuzzing.{module.name}"), "KINDS", {})


class TwoLinesError(SynqError):
    def __str__(self) -> str:
        return "two\nlines"


def cases(seed: int, count: int) -> Iterator[bytes]:
    return (bytes([index]) for index in range(count))


def read(path: Path) -> None:
    """Every kind of answer in turn."""
    match path.read_bytes()[0] % 6:
        case 0:
            return
        case 1:
            raise SynqError("one clear line")
        case 2:
            raise TwoLinesError
        case 3:
            raise SynqError("")
        case 4:
            raise SynqError("long" * 1000)
        case _:
            raise ValueError("not for users")


def test_only_one_clear_line_is_a_refusal(tmp_path: Path) -> None:
    counts = probe("odd", Kind("odd.bin", cases, read), 0, 12, tmp_path, tmp_path)
    assert (counts.tries, counts.accepted, counts.refused, counts.failed) == (12, 2, 2, 8)
    assert [failure.split(":")[0] for failure in counts.failures] == [
        f"case {index}, 2 in all" for index in (2, 3, 4, 5)
    ]
    assert not counts.good
    kept = sorted(path.name for path in tmp_path.glob("odd-*"))
    assert len(kept) == 8 and "odd-0-11-odd.bin" in kept


def test_memory_is_counted(tmp_path: Path) -> None:
    def greedy(path: Path) -> None:
        if path.read_bytes()[0] == 1:
            b"x" * (520 << 20)

    counts = probe("greedy", Kind("x", cases, greedy), 0, 3, tmp_path)
    assert counts.failed == 0 and counts.memory_mib > 500
    assert not counts.good


def test_cpu_time_is_limited_and_waiting_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> None:
        if path.read_bytes()[0]:
            while time.process_time() < busy_until:
                pass
        else:
            time.sleep(0.5)

    monkeypatch.setattr("fuzzing.probe.LIMIT_S", 0.2)
    busy_until = time.process_time() + 0.4
    counts = probe("slow", Kind("x", cases, slow), 0, 2, tmp_path)
    assert (counts.accepted, counts.failed) == (1, 1)
    assert "CPU seconds" in counts.failures[0]


@pytest.mark.parametrize("mutators", [BINARY, TEXT, JSON, ZIP], ids=["bin", "text", "json", "zip"])
def test_mutations_follow_from_the_seed(mutators: tuple) -> None:
    make = mutated([b'{"a": [1, 2, {"b": "c"}], "d": 1.5}', b""], mutators)
    first = list(make(1, 300))
    assert first == list(make(1, 300))
    assert first != list(make(2, 300))
    assert len(set(first)) > 100


@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_file_ends_in_anything_but_one_line(name: str, tmp_path: Path) -> None:
    counts = probe(name, KINDS[name], 1, 50, tmp_path)
    assert counts.failures == ()
    assert counts.tries == 50


@pytest.mark.parametrize("name", KINDS)
def test_cases_are_many_and_follow_from_the_seed(name: str) -> None:
    some = list(islice(KINDS[name].cases(3, 50), 50))
    assert some == list(islice(KINDS[name].cases(3, 50), 50))
    assert len(some) == 50 and len(set(some)) > 25
