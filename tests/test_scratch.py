"""Folders that a process owns while it lives."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from synq import scratch as module
from synq.errors import SynqError
from synq.scratch import owned_folder, scratch_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files, this process's and its children's."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


OWNER = """
import sys
from pathlib import Path
from synq.scratch import owned_folder
with owned_folder(Path(sys.argv[1]), ".synq-") as folder:
    (folder / "below").mkdir()
    (folder / "below" / "file").touch()
    print(folder, flush=True)
    input()
"""


def owner(place: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Another process with a folder in `place`."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_everything_temporary_lies_in_it(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == temporary
        library = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115
        child = subprocess.run(["mktemp"], capture_output=True, text=True).stdout.strip()
        with scratch_folder() as inner, scratch_folder() as other:
            assert inner != other
            assert {Path(name).parent for name in (library.name, child, inner, other)} == {folder}
    assert names(temporary) == []
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == (str(temporary), str(temporary))


def test_it_goes_with_an_error(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder() as folder:
        (folder / "file").touch()
        raise KeyboardInterrupt
    assert names(temporary) == []
    with scratch_folder() as folder:
        assert folder.parent == temporary


def test_a_name_that_shells_read_otherwise_is_avoided(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = temporary / "a b$(touch x)\"'"
    odd.mkdir()
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setattr(module, "_OTHERS", (str(temporary / "missing"), str(temporary)))
    with scratch_folder() as folder:
        assert folder.parent == temporary
        assert os.environ["TMPDIR"] == str(folder)
    monkeypatch.setattr(module, "_OTHERS", ())
    with pytest.raises(SynqError, match=r"no folder for temporary files .*: set TMPDIR to one"):
        scratch_folder().__enter__()
    assert os.environ["TMPDIR"] == str(odd)


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed, left = owner(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (left / "below" / "file").exists()
    living, used = owner(tmp_path)
    assert not left.exists()  # the living one has removed it
    for name in (".synq-settings", ".synq-1-a", "x.synq-1-abcdefgh", ".synq-x-abcdefgh"):
        (tmp_path / name).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".synq-1-abcdefgh").symlink_to(elsewhere)
    (tmp_path / ".synq-2-abcdefgh").touch()
    (tmp_path / ".synq-3-abcdefgh").mkdir()  # left
    before = set(names(tmp_path))
    with owned_folder(tmp_path, ".synq-") as folder:
        assert set(names(tmp_path)) == (before - {".synq-3-abcdefgh"}) | {folder.name}
    assert (used / "below" / "file").exists()
    living.communicate("\n")
    assert living.returncode == 0
    assert not used.exists()


def test_a_folder_taken_for_left_as_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def hasty(*arguments: object, **options: object) -> str:
        made.append(mkdtemp(*arguments, **options))  # type: ignore[call-overload]
        if len(made) == 1:
            module._remove_left(tmp_path, ".synq-")
        return made[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", hasty)
    with owned_folder(tmp_path, ".synq-") as folder:
        assert str(folder) == made[1] and folder.is_dir()
    assert names(tmp_path) == []
