import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from synq.errors import SynqError, UsageError
from synq.project import output as output_module
from synq.project.manifest import MANIFEST, changed_files, read_manifest, write_manifest
from synq.project.output import check_replaceable, staged, write_files

FILES = {"hls/top.cpp": b"int main() {}\n", "tables/array_0.mem": b"01\n", "README": b""}


def make(output: Path, force: bool = False, files: dict[str, bytes] | None = None) -> None:
    """A project of `files` at `output`, as `synq-export` writes it."""
    with staged(output, force) as (project, scratch):
        write_files(project, files or FILES)
        (scratch / "build.o").write_bytes(b"scratch")
        write_manifest(project, {"synq": "test"})


def everything(root: Path) -> dict[str, bytes | None]:
    """Every path below `root`, links not followed, with the contents of files."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in root.rglob("*")
    }


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A project of ours, alone in its folder."""
    made = tmp_path / "here" / "out"
    make(made)
    return made


# ---- Written whole or not at all ----------------------------------------------------------------


def test_project_appears_alone(output: Path) -> None:
    assert names_in(output.parent) == ["out"]
    files = {name: content for name, content in everything(output).items() if content is not None}
    assert files.pop(MANIFEST)
    assert files == FILES


def test_nothing_is_there_before_the_end(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with staged(output, False) as (project, scratch):
        assert project.is_dir() and scratch.is_dir()
        assert not output.exists()
    assert output.is_dir()


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".synq-1-abcdefgh" / "project").mkdir(parents=True)
    make(tmp_path / "out")
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "error", [RuntimeError(), SynqError("no"), KeyboardInterrupt(), SystemExit()]
)
def test_a_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with (
        pytest.raises(type(error)),
        staged(tmp_path / "a" / "b" / "out", False) as (project, scratch),
    ):
        write_files(project, FILES)
        write_files(scratch, FILES)
        raise error
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_former_project(
    output: Path, force: bool, error: type[BaseException]
) -> None:
    before = everything(output.parent)
    with pytest.raises(error), staged(output, force) as (project, _):
        write_files(project, {"new": b"new"})
        raise error
    assert everything(output.parent) == before


def test_disk_full_is_one_line(tmp_path: Path) -> None:
    message = "No space left on device; free some space"
    with (
        pytest.raises(SynqError, match=message) as caught,
        staged(tmp_path / "new" / "out", False),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == {}


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_former_project_comes_back_if_the_rename_fails(
    output: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = everything(output.parent)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "project":
            raise error
        return rename(self, target)

    monkeypatch.setattr(output_module, "_exchanged", lambda *_: False)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((SynqError, KeyboardInterrupt)):
        make(output)
    assert everything(output.parent) == before


def test_a_former_project_is_never_away(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for the moment in which a process can be killed."""
    monkeypatch.setattr(output_module, "_replace", None)
    make(output, files={"new": b"new"})
    assert (output / "new").exists()


def test_a_system_that_cannot_exchange(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: None)
    make(output, files={"new": b"new"})
    assert (output / "new").exists()
    assert names_in(output.parent) == ["out"]


def test_parents_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RuntimeError), staged(tmp_path / "a" / "b" / "c" / "out", False):
        (tmp_path / "a" / "b" / "theirs").touch()
        raise RuntimeError
    assert everything(tmp_path) == {"a": None, "a/b": None, "a/b/theirs": b""}


def test_the_longest_name_leaves_no_parents(tmp_path: Path) -> None:
    with pytest.raises((OSError, SynqError), match="name too long"):
        make(tmp_path / "new" / ("x" * 300))
    make(tmp_path / ("x" * 255))
    assert names_in(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("name", ["with space", "größe 电导", "a'b\"c", "-rf", ".hidden"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    output = tmp_path / name / name
    make(output, files={name: b"1"})
    make(output, files={f"{name}/in/{name}": b"2"})
    assert changed_files(output, read_manifest(output)) == []
    assert names_in(output.parent) == [name]


# ---- What may be replaced -----------------------------------------------------------------------


def test_own_project_is_replaced(output: Path) -> None:
    make(output, files={"new": b"new"})
    assert set(everything(output)) == {"new", MANIFEST}
    assert names_in(output.parent) == ["out"]


def test_empty_folder_is_replaced(tmp_path: Path) -> None:
    make(tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    make(empty)
    assert (empty / MANIFEST).exists()


def add(output: Path) -> None:
    (output / "hls" / "notes.txt").write_text("mine")


def modify(output: Path) -> None:
    (output / "README").write_text("mine")


def drop_manifest(output: Path) -> None:
    (output / MANIFEST).unlink()


def damage_manifest(output: Path) -> None:
    (output / MANIFEST).write_text("{")


def link_file(output: Path) -> None:
    (output / "link").symlink_to(output / "README")


def link_folder(output: Path) -> None:
    (output / "link").symlink_to(output.parent, target_is_directory=True)


def link_nothing(output: Path) -> None:
    (output / "link").symlink_to("nowhere")


def link_in_place_of_a_file(output: Path) -> None:
    (output / "README").rename(output.parent / "README")
    (output / "README").symlink_to(output.parent / "README")


def pipe(output: Path) -> None:
    os.mkfifo(output / "pipe")


FOREIGN = [
    add,
    modify,
    drop_manifest,
    damage_manifest,
    link_file,
    link_folder,
    link_nothing,
    link_in_place_of_a_file,
    pipe,
]


@pytest.mark.parametrize("change", FOREIGN)
def test_files_of_others_are_kept_without_force(
    output: Path, change: Callable[[Path], None]
) -> None:
    change(output)
    before = everything(output.parent)
    with pytest.raises(
        UsageError, match=r"holds files that synq did not write .* let it be replaced"
    ):
        make(output)
    assert everything(output.parent) == before
    make(output, force=True)
    assert changed_files(output, read_manifest(output)) == []


def test_a_file_that_came_while_we_worked_is_kept(output: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"did not write \(README\)"),
        staged(output, False) as (project, _),
    ):
        write_files(project, FILES)
        modify(output)
    assert (output / "README").read_text() == "mine"
    assert names_in(output.parent) == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_not_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below" / "out"):
        with pytest.raises(UsageError, match=r"file is a file"):
            make(output, force)
    assert everything(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("force", [False, True])
def test_the_current_folder_is_not_replaced(
    output: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    for inside in (output, output / "hls"):
        monkeypatch.chdir(inside)
        for name in (output, output / "hls" / "..", Path(os.path.relpath(output))):
            with pytest.raises(UsageError, match="contains the current or home folder"):
                check_replaceable(name, force)
    monkeypatch.chdir(output.parent)
    check_replaceable(output, force)


def test_the_home_folder_is_not_replaced(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = output.parent / "home"
    link.symlink_to(output / "hls", target_is_directory=True)
    for home in (output, output / "hls", link):
        monkeypatch.setenv("HOME", str(home))
        with pytest.raises(UsageError, match="contains the current or home folder"):
            check_replaceable(output, force=True)


def test_a_user_without_a_home(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    make(output)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)  # root may write anywhere
    with pytest.raises(UsageError, match=r"cannot write in .*: Permission denied; choose another"):
        check_replaceable(tmp_path / "a" / "out", force=False)


# ---- Links --------------------------------------------------------------------------------------


def test_what_links_point_to_is_never_deleted(output: Path) -> None:
    outside = output.parent / "outside"
    write_files(outside, {"precious": b"1", "in/precious": b"2"})
    (output / "file").symlink_to(outside / "precious")
    (output / "folder").symlink_to(outside, target_is_directory=True)
    (output / "hls" / "folder").symlink_to(outside, target_is_directory=True)
    make(output, force=True)
    assert everything(outside) == {"precious": b"1", "in": None, "in/precious": b"2"}
    assert not (output / "folder").is_symlink()


def test_what_links_point_to_is_never_hashed(output: Path) -> None:
    outside = output.parent / "outside"
    (output / "hls").rename(outside)
    (output / "hls").symlink_to(outside, target_is_directory=True)
    found = ["hls/top.cpp is missing", "hls was added"]
    assert changed_files(output, read_manifest(output)) == found
    link_in_place_of_a_file(output)
    assert "README has changed" in changed_files(output, read_manifest(output))


def test_output_that_is_a_link_is_replaced_itself(output: Path) -> None:
    link = output.parent / "link"
    link.symlink_to(output, target_is_directory=True)
    before = everything(output)
    make(link, files={"new": b"new"})
    assert not link.is_symlink() and (link / "new").exists()
    assert everything(output) == before


# ---- Manifest -----------------------------------------------------------------------------------


def test_manifest(output: Path) -> None:
    manifest = read_manifest(output)
    assert manifest["synq"] == "test"
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert manifest["files"] == digests
    assert changed_files(output, manifest) == []


def test_equal_projects_have_equal_bytes(output: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", files=dict(reversed(FILES.items())))
    assert everything(tmp_path / "again") == everything(output)


def test_changed_files_are_named(output: Path) -> None:
    manifest = read_manifest(output)
    modify(output)
    assert changed_files(output, manifest) == ["README has changed"]
    (output / "hls" / "top.cpp").unlink()
    assert changed_files(output, manifest) == ["hls/top.cpp is missing", "README has changed"]
    add(output)
    assert changed_files(output, manifest)[1:2] == ["hls/notes.txt was added"]


def test_a_folder_in_place_of_a_file(output: Path) -> None:
    (output / "README").unlink()
    (output / "README").mkdir()
    assert changed_files(output, read_manifest(output)) == ["README is missing"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ".."])
def test_names_stay_inside(output: Path, name: str) -> None:
    manifest = json.loads((output / MANIFEST).read_text())
    manifest["files"][name] = "0" * 64
    (output / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(SynqError, match="lists files in a way synq does not write"):
        read_manifest(output)
    with pytest.raises(ValueError, match="must stay inside"):
        write_files(output, {"fine": b"", name: b""})
    assert not (output / "fine").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "is not the manifest of a synq project"),
        (b"{}", "is not the manifest of a synq project"),
        (b'{"format": "other"}', "is not the manifest of a synq project"),
        (b'{"format": "synq-project-1"}', "lists files in a way"),
        (b'{"format": "synq-project-1", "files": ["README"]}', "lists files in a way"),
        (b'{"format": "synq-project-1", "files": {"README": 1}}', "lists files in a way"),
    ],
)
def test_not_a_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(SynqError, match=message):
        read_manifest(tmp_path)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"cannot be read .*is it a synq project"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(SynqError, match="cannot be read"):
        read_manifest(tmp_path)


def test_manifest_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, {"accuracy": float("nan")})
