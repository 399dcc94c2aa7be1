"""What is kept, and who may write it."""

import csv
import fcntl
import io
import json
import logging
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import Here, Hook, finished, points_of, without_seconds
from synq.errors import SynqError
from synq.progress import SILENT, Progress
from synq.report.figures import render_figures
from synq.results import open_results
from synq.sweeping.evaluation import Materials, PointOutcome, PointResult
from synq.sweeping.points import Point
from synq.sweeping.run import SWEEP, run_sweep
from synq.workers.work import Evaluate


def swept(
    points: list[Point],
    evaluate: Evaluate[Point, PointResult],
    path: Path,
    progress: Progress = SILENT,
) -> list[PointOutcome]:
    with open_results(path, SWEEP) as results:
        return run_sweep(points, evaluate, results, progress)


def known(path: Path) -> dict[str, PointResult]:
    with open_results(path, SWEEP) as results:
        return results.known


def interrupt_at(count: int) -> Hook:
    def callback(done: float) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return Hook(callback)


@pytest.fixture(scope="module")
def line(small: Materials, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One line as it is written."""
    path = tmp_path_factory.mktemp("line") / "results.jsonl"
    swept(points_of(small)[:1], Here(small), path)
    return path.read_bytes()


# ---- What is kept -------------------------------------------------------------------------------


def test_an_interrupted_sweep_evaluates_only_the_rest(small: Materials, tmp_path: Path) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    with pytest.raises(KeyboardInterrupt):
        swept(points, Here(small), path, interrupt_at(5))
    kept = known(path)
    assert len(kept) == 5

    rest = Here(small)
    outcomes = swept(points, rest, path)
    assert [point.key for point in rest.evaluated] == [
        point.key for point in points if point.key not in kept
    ]
    at_once = swept(points, Here(small), tmp_path / "other.jsonl")
    assert without_seconds(outcomes) == without_seconds(at_once)
    again = Here(small)
    assert swept(points, again, path) == outcomes
    assert again.evaluated == []


def test_a_failed_point_is_alone_and_is_tried_again(
    small: Materials, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    broken = points[4]
    with caplog.at_level(logging.WARNING, "synq"):
        outcomes = swept(points, Here(small, lambda point: point == broken), path)
    assert [outcome.piece for outcome in outcomes if outcome.result is None] == [broken]
    (message,) = caplog.messages
    assert "a cosmic ray" in message
    assert str(broken) in message
    done = finished(small, outcomes)
    errors = [row["error"] for row in csv.DictReader(io.StringIO(done.to_csv().decode()))]
    assert sorted(errors)[-2:] == ["", "a cosmic ray"]
    assert [point["error"] for point in done.to_dict()["points"]].count("a cosmic ray") == 1
    assert render_figures(done)

    again = Here(small)
    assert all(outcome.result for outcome in swept(points, again, path))
    assert again.evaluated == [broken]


def test_everything_failed_is_still_reported(small: Materials, tmp_path: Path) -> None:
    folder = tmp_path / "sweep" / "of mine"
    outcomes = swept(points_of(small), Here(small, lambda _: True), folder / "r")
    done = finished(small, outcomes)
    assert len(done.failures) == len(outcomes)
    assert all(curve.cells == () for curve in done.curves)
    assert render_figures(done)
    assert list(tmp_path.iterdir()) == []  # no empty file, no folders made for it


# ---- What is left of it -------------------------------------------------------------------------


def test_a_torn_line_is_cut_off_and_a_damaged_one_reported(
    small: Materials, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    swept(points, Here(small), path)
    lines = path.read_bytes().splitlines(keepends=True)

    path.write_bytes(b"".join(lines)[:-20])
    with caplog.at_level(logging.WARNING, "synq"):
        assert len(known(path)) == len(points) - 1
        last = Here(small)
        swept(points, last, path)
    assert [point.key for point in last.evaluated] == [json.loads(lines[-1])["key"]]
    assert caplog.messages == []
    assert len(path.read_bytes().splitlines()) == len(points)  # the torn one is gone

    result = json.loads(lines[0])
    for odd in (math.nan, math.inf):
        result["result"]["reference"] = odd
        lines.append(json.dumps(result).encode() + b"\n")
    damaged = [b"\xff\n", b"[" * 5000 + b"\n", b'{"key": 1}\n', b"\n", b"3\n"]
    path.write_bytes(b"".join([*lines[:3], *damaged, *lines[3:]]))
    with caplog.at_level(logging.WARNING, "synq"):
        assert len(known(path)) == len(points)
    (message,) = caplog.messages
    assert "7 damaged" in message


@pytest.mark.parametrize("length", [1, 5, 9, 10, 100, -1])
@pytest.mark.parametrize("zeros", [0, 600], ids=["killed", "power cut"])
def test_a_line_torn_anywhere_is_cut_off(
    line: bytes, tmp_path: Path, length: int, zeros: int
) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(line + line[:length] + bytes(zeros))
    assert len(known(path)) == 1
    assert path.read_bytes() == line


@pytest.mark.parametrize(
    "content", [b"notes", b"a,b\n1,2\n", b"{}", b"\n", b'{"key": "'[:3] + b"x"]
)
def test_what_is_not_of_a_sweep_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(content)
    with pytest.raises(SynqError, match="holds no results of a sweep: choose another folder"):
        known(path)
    assert path.read_bytes() == content


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 30)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_pipe, "a device or a pipe"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("/dev/full"), "a device or a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device or a pipe"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (make_large, "has 1024 MiB, at most 64 MiB are read"),
    ],
    ids=["pipe", "folder", "full", "zero", "loop", "large"],
)
def test_what_is_no_file_of_results_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "results.jsonl"
    make(path)
    with pytest.raises(SynqError, match=words) as caught:
        known(path)
    assert "choose another folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_whole_lines(small: Materials, tmp_path: Path, line: bytes) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * len(line) + 100, limits[1]))
    try:
        with pytest.raises(SynqError, match="File too large; free some space") as full:
            swept(points, Here(small), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    lines = path.read_bytes().splitlines(keepends=True)
    assert not lines[-1].endswith(b"\n")  # what the disk still took
    assert f"goes on from the {len(lines) - 1} points in the file" in str(full.value)

    rest = Here(small)
    assert all(outcome.result for outcome in swept(points, rest, path))
    assert len(rest.evaluated) == len(points) - (len(lines) - 1)
    assert path.read_bytes().count(b"\n") == len(points)


# ---- Two sweeps ---------------------------------------------------------------------------------

_HOLD = """
import sys
from pathlib import Path
from synq.results import open_results
from synq.sweeping.run import SWEEP
with open_results(Path(sys.argv[1]), SWEEP) as results:
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_sweep_is_refused_until_the_first_ends(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(line)
    first = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"open\n"
    with pytest.raises(SynqError) as caught:
        known(path)
    assert str(caught.value) == (
        f"another sweep (process {first.pid}) is writing {path}: "
        "wait for its end, end it, or choose another folder"
    )
    first.kill()  # its lock ends with it
    first.communicate()
    assert len(known(path)) == 1


def test_a_lock_on_a_removed_file_is_not_enough(
    tmp_path: Path, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep without a result removes its file, which another may have opened just before."""
    path, real, calls = tmp_path / "results.jsonl", fcntl.flock, []

    def after_another(descriptor: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()
            path.write_bytes(line)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_another)
    assert len(known(path)) == 1
    assert len(calls) == 2


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SynqError, match="cannot be locked against a second sweep") as caught:
        known(tmp_path / "results.jsonl")
    assert "a disk of this machine" in str(caught.value)
