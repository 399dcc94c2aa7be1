"""g++ and what is kept of its work: an object is found again by its content, and never stale."""

import os
from pathlib import Path

import pytest

from synq.errors import SynqError
from synq.hls import objects
from synq.hls.compiler import Program, Unit, building
from synq.hls.objects import Entry, ObjectCache
from synq.process import Command, run

MAIN = Program("main", (Unit("main.cpp", before="firmware/ahead.cpp"), Unit("firmware/part.cpp")))
SOURCES = {
    "main.cpp": "int main() { return part() + ahead(); }\n",
    "firmware/ahead.cpp": '#include "part.h"\nstatic int ahead() { return 1; }\n',
    "firmware/part.h": "#include <cstdio>\nint part();\n",
    "firmware/part.cpp": '#include "part.h"\n#warning "hand-made"\nint part() { return 2; }\n',
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        path = tmp_path / "a place" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "a place"


def built(place: Path, tmp_path: Path) -> tuple[int, str]:
    """The program's exit code and the compiler's log."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    with building(place, [MAIN], scratch, tmp_path / "cache") as builds:
        return run(Command([str(builds.finish(MAIN))])).code, builds.log()


def entries(tmp_path: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (tmp_path / "cache/objects").iterdir()}


def test_nothing_is_compiled_twice_and_the_log_stays(place: Path, tmp_path: Path) -> None:
    code, log = built(place, tmp_path)
    kept = entries(tmp_path)
    assert code == 3 and "hand-made" in log and len(kept) == 2
    assert built(place, tmp_path) == (code, log)
    assert entries(tmp_path) == kept


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("main.cpp", "part() +", "part() *", 2),
        ("firmware/ahead.cpp", "return 1", "return 5", 7),
        ("firmware/part.cpp", "return 2", "return 6", 7),
        ("firmware/part.h", "int part();", "int part();\n#define ahead() 4", 6),
    ],
)
def test_a_changed_source_is_compiled(
    name: str, old: str, new: str, code: int, place: Path, tmp_path: Path
) -> None:
    built(place, tmp_path)
    (place / name).write_text(SOURCES[name].replace(old, new))
    if name.endswith(".h"):  # what the macro replaces must not be defined as well
        (place / "firmware/ahead.cpp").write_text('#include "part.h"\n')
    assert built(place, tmp_path)[0] == code


def test_damaged_entries_are_made_again(place: Path, tmp_path: Path) -> None:
    built(place, tmp_path)
    good = {path: path.read_bytes() for path in (tmp_path / "cache/objects").iterdir()}
    for path, content in good.items():
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        for bad in (b"", content[:-1], flipped, b"synq-object-1\n" + content):
            path.write_bytes(bad)
            assert built(place, tmp_path)[0] == 3
            assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_changes_nothing(place: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert built(place, tmp_path)[0] == 3


def test_an_entry_falls_with_a_file_that_it_read(tmp_path: Path) -> None:
    header = tmp_path / "system.h"
    header.write_text("one")
    cache = ObjectCache(tmp_path / "objects")
    entry = Entry(b"object\n\0", "a log\n", {str(header): objects.digest_of(header)})
    cache.store("key", entry)
    assert cache.load("key") == entry and cache.load("other") is None
    header.write_text("two")
    assert cache.load("key") is None
    header.unlink()
    assert cache.load("key") is None


def test_the_oldest_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MAX_FOLDER", 10_000)
    cache = ObjectCache(tmp_path / "objects")
    for number in range(8):
        cache.store(f"{number}", Entry(bytes(3000), "", {}))
        os.utime(tmp_path / "objects" / f"{number}", (number, number))
        assert number < 1 or cache.load("1") is not None  # which makes it the newest
    assert {path.name for path in (tmp_path / "objects").iterdir()} == {"1", "6", "7"}


def test_the_first_error_is_named(place: Path, tmp_path: Path) -> None:
    (place / "firmware/part.cpp").write_text("int part() { return oops; }\n")
    with pytest.raises(SynqError, match=r"g\+\+ could not build the C simulation: .*oops"):
        built(place, tmp_path)
