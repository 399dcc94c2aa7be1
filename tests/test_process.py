"""Child processes and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from synq import process
from synq.errors import SynqError
from synq.process import Command


def shell(script: str, *arguments: str, **settings: object) -> Command:
    return Command(["/bin/sh", "-c", script, "sh", *arguments], **settings)  # type: ignore[arg-type]


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def tag() -> Iterator[str]:
    """A variable for the environment of what a test starts, to find it by."""
    name = f"SYNQ_TEST_{uuid4().hex}"
    yield name
    for number in living(name):
        os.kill(number, signal.SIGKILL)


def living(tag: str) -> list[int]:
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{tag}=1".encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


# ---- To the end ---------------------------------------------------------------------------------


def test_what_a_command_prints_and_its_code(tmp_path: Path) -> None:
    command = shell('pwd; echo "$1 $A" >&2; exit 3', "x '$(id)' y", cwd=tmp_path)
    ended = process.run(Command(command.arguments, tmp_path, {"A": "b"}))
    assert ended == process.Ended(3, f"{tmp_path}\nx '$(id)' y b\n")
    assert ended.last_line == "x '$(id)' y b"
    assert process.run(shell("printf '\\377'")).log == "\ufffd"
    assert process.run(shell("")).last_line == "it printed nothing"
    assert process.run(shell("cat")).code == 0  # nothing to read


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"^/nonexistent/tool cannot be run: No such file"):
        process.run(Command(["/nonexistent/tool"]))
    with pytest.raises(SynqError, match=r"cannot be run: Permission denied"):
        process.run(Command([str(tmp_path)]))


def test_all_must_do_well() -> None:
    logs = process.run_all([shell("echo a"), shell("echo b")], "the test")
    assert logs == ["a\n", "b\n"]
    with pytest.raises(SynqError, match=r"^the test stopped with code 4: disk full$"):
        process.run_all([shell("echo x"), shell("echo no; echo disk full; exit 4")], "the test")
    with pytest.raises(SynqError, match=r"^the test stopped with code -9: it printed nothing$"):
        process.run_all([shell("kill -9 $$")], "the test")


def test_all_are_ended_when_one_cannot_be_started(tag: str) -> None:
    several = [shell("sleep 100", environment={tag: "1"}), Command(["/nonexistent/tool"])]
    with pytest.raises(SynqError, match="cannot be run"):
        process.run_all(several, "the test")
    wait_for(lambda: not living(tag))


def test_an_error_ends_what_is_at_work_with_its_children(tag: str) -> None:
    with (
        pytest.raises(RuntimeError),
        process.started(shell("sleep 100 & sleep 100", environment={tag: "1"})),
    ):
        wait_for(lambda: len(living(tag)) == 3)
        raise RuntimeError
    wait_for(lambda: not living(tag))


def test_a_time_limit(tag: str) -> None:
    lines: list[str] = []
    command = ["/bin/sh", "-c", "echo a; sleep 100 & sleep 100"]
    assert process.stream(command, 0.5, lines.append, {"env": {**os.environ, tag: "1"}}) is None
    assert lines == ["a"]
    wait_for(lambda: not living(tag))
    assert process.stream(["/bin/sh", "-c", "echo b; exit 7"], 60, lines.append, {}) == 7
    assert lines == ["a", "b"]


# ---- The end of the parent ----------------------------------------------------------------------

PARENT = """
import os, subprocess, sys, threading
from synq import process

# As g++ does, and as a library does without asking us: in sessions of their own, too.
deep = "sh -c 'sh -c \\"sleep 100; :\\" & setsid sleep 100; :'; :"
command = process.Command(["/bin/sh", "-c", deep])
threading.Thread(target=process.run, args=[command], daemon=True).start()
process.guard()
os.system("sleep 100 & (sleep 100 &)")
print("ready", flush=True)
{end}
"""


def parent(tag: str, end: str) -> "subprocess.Popen[str]":
    """A Python process with a tree of children below it, all of them at work."""
    started = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(end=end)],
        env={**os.environ, tag: "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    # the parent, three shells, and four times sleep
    wait_for(lambda: len(living(tag)) == 8)
    return started


def test_children_die_with_a_killed_parent(tag: str) -> None:
    killed = parent(tag, "input()")
    with killed:
        killed.kill()
    wait_for(lambda: not living(tag), 5)


def test_an_interrupt_ends_all(tag: str) -> None:
    with parent(tag, "input(); process.end_all(); print('ended', flush=True); input()") as ended:
        assert ended.stdin is not None and ended.stdout is not None
        ended.stdin.write("\n")
        ended.stdin.flush()
        assert ended.stdout.readline() == "ended\n"
        assert living(tag) == [ended.pid]
        ended.kill()


def test_what_the_parent_has_started_beside_is_not_ended(tag: str) -> None:
    """A synq that another program runs has that one's mark in its environment, not its own."""
    inherited = {**os.environ, "SYNQ_PARENT": "someone's"}
    with subprocess.Popen(["sleep", "100"], env={**inherited, tag: "1"}) as beside:
        script = "from synq import process; process.end_all()"
        subprocess.run([sys.executable, "-c", script], env=inherited, check=True)
        assert beside.poll() is None
        beside.kill()


def test_nothing_stays_of_a_parent_that_ends() -> None:
    """Its guard neither."""
    script = "from synq import process; process.guard(); print(process._watcher.pid)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert not Path("/proc", ended.stdout.strip()).exists()


def test_other_threads_start_no_more(monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    monkeypatch.setattr(process, "_ending", True)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            process.run(shell("sleep 100", environment={tag: "1"}))
        except SynqError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(caught) == 1
    wait_for(lambda: not living(tag))
    assert process.run(shell("echo the main one tidies up")).code == 0
