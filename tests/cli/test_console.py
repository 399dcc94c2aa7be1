"""What commands say beside their results: time left, `--quiet`, `--version`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.main import get_command

from samples import dense_samples
from synq import __version__
from synq.cli import console
from synq.cli.app import app
from synq.cli.console import Bars, _Left, be_quiet, print_table, progress, say
from synq.progress import SILENT, pieces
from told import Told

SILENT_ANYWAY = {"show", "diff", "boards", "devices"}  # their output is their result


@pytest.fixture
def quiet() -> Iterator[Callable[[bool], None]]:
    yield be_quiet
    be_quiet(False)


def run(*arguments: Any, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "synq"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


# ---- Time left ----------------------------------------------------------------------------------


def test_time_left_follows_from_the_time_taken() -> None:
    now = [100.0]
    left = _Left(10.0, lambda: now[0])
    assert str(left) == ""
    now[0] = 104.0
    left.update(2)
    assert str(left) == "0:16 left"
    now[0] = 110.0
    assert str(left) == "0:10 left"  # it goes on while nothing is told
    now[0] = 200.0
    assert str(left) == "0:00 left"
    left.update(2.5)
    assert str(left) == "5:00 left"
    now[0] = 20_100.0
    left.update(5)
    assert str(left) == "5:33:20 left"
    left.update(10)
    assert str(left) == ""


def test_what_an_earlier_run_has_done_took_no_time() -> None:
    now = [0.0]
    left = _Left(100.0, lambda: now[0])
    now[0] = 0.1
    left.update(90)
    assert str(left) == ""
    now[0] = 10.0
    left.update(95)
    assert str(left) == "0:10 left"


def test_of_a_size_that_is_unknown_no_time_is_told() -> None:
    now = [0.0]
    left = _Left(None, lambda: now[0])
    now[0] = 5.0
    left.update(3)
    assert str(left) == ""


def test_bars_show_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    bars = Bars()
    bars._console = Console(record=True, force_terminal=True, width=120, quiet=False)
    with bars.task("Train", 10) as task:
        now[0] = 4.0
        task.update(2, "loss 0.1")
        bars_shown = task._bars.get_renderable()
        bars._console.print(bars_shown)
    text = bars._console.export_text()
    assert "Train" in text and "loss 0.1" in text and "0:16 left" in text


def test_pieces_add_up_in_any_order() -> None:
    told = Told()
    with pieces(told, "Build", {"one": 1.0, "two": 3.0}) as working:
        working.partly("two", 0.5)
        working.done("two")
        assert told.tasks[0].done == 3 and told.cut_short == ["Build"]
        working.done("one")
    assert told.tasks[0].details == ["one", "one", "one", ""] and told.cut_short == []


# ---- --quiet and --version ----------------------------------------------------------------------


def test_every_command_that_says_more_than_its_result_can_be_quiet() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    commands = {**commands, **commands["device"].commands}
    can = {
        name
        for name, command in commands.items()
        if any("--quiet" in each.opts for each in command.params)
    }
    assert can == set(commands) - SILENT_ANYWAY - {"device"}


def test_quiet_is_silence(
    quiet: Callable[[bool], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for wanted in (True, False):
        quiet(wanted)
        say("a summary")
        print_table("a table", ["a", "b"], [["1", "2"]])
        assert ("table" in capsys.readouterr().out) is not wanted
        assert (progress(as_json=False) is SILENT) is wanted


def test_quiet_commands_say_errors_and_json_alone(tmp_path: Path) -> None:
    dense_samples(tmp_path)
    given = ["plan", "--checkpoint", "net", "--data", "data.npz", "--quiet"]
    done = run(*given, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(*given, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["hls"]
    done = run(*given, "--board", "none-such", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("synq: error: ") and done.stderr.count("\n") == 1


def test_the_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"synq {__version__}\n", "")
