"""Files: read within bounds, written whole, kept in the cache."""

import os
import threading
from pathlib import Path

import pytest

from synq.cache import default_cache_dir, write_cached
from synq.errors import SynqError, UsageError, one_line
from synq.files import atomic_write, in_words, read_at_most, read_bounded


def test_default_cache_dir_honours_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNQ_CACHE_DIR", "/some/where")
    assert default_cache_dir() == Path("/some/where")
    monkeypatch.setenv("SYNQ_CACHE_DIR", "~/here")
    assert default_cache_dir() == Path.home() / "here"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("SYNQ_CACHE_DIR")
        else:
            monkeypatch.setenv("SYNQ_CACHE_DIR", unset)
        assert default_cache_dir().name == "synq"


def test_atomic_write_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file"
    contents = [bytes([n]) * 100_000 for n in range(8)]
    threads = [threading.Thread(target=atomic_write, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_is_told_with_advice_that_fits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SynqError, match=r"cannot write .*: File exists; free some space$"):
        atomic_write(tmp_path / "file" / "below", b"")
    with pytest.raises(SynqError, match=r"File exists; .* set SYNQ_CACHE_DIR to a folder"):
        write_cached(tmp_path / "file" / "below", b"")


def test_a_cache_in_the_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNQ_CACHE_DIR", "~no-such-user/cache")
    with pytest.raises(UsageError, match="SYNQ_CACHE_DIR is ~no-such-user/cache: no such home"):
        default_cache_dir()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path, why in {
        tmp_path / "pipe": "not a regular file",
        Path("/dev/zero"): "not a regular file",
        tmp_path: "Is a directory",
        tmp_path / "none": "No such file or directory",
        tmp_path / "loop": "Too many levels of symbolic links",
        tmp_path / ("x" * 300): "File name too long",
        tmp_path / "nul\0": "embedded null byte",
    }.items():
        for read in (read_bounded, read_at_most):
            with pytest.raises(SynqError) as caught:
                read(path, 10)
            assert str(caught.value) == f"{path}: cannot be read ({why})".replace("\0", r"\x00")


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    assert read_at_most(path, 3) == b"123"
    with pytest.raises(SynqError, match="file: is larger than 4 bytes, the most that is read"):
        read_bounded(path, 4)
    assert len(read_bounded(Path("/proc/self/status"), 1 << 20)) > 0  # states a size of 0
    with pytest.raises(SynqError, match="larger than 10 bytes"):
        read_bounded(Path("/proc/self/status"), 10)


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (5, 1024, 3 << 29)] == ["5 bytes", "1 KiB", "1.5 GiB"]


def test_an_error_is_one_line_that_a_terminal_can_show() -> None:
    assert str(SynqError("a\nb\r\x1b[31m \u2028 \udcff é")) == r"a\nb\r\x1b[31m \u2028 \udcff é"
    assert len(one_line("x" * 10**6)) < 3000
