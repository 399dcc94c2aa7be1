"""The output folder: written aside and renamed, never half there, never over a user's own files."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from synq.errors import SynqError, UsageError
from synq.project.manifest import _stays_inside, digests_of, read_manifest
from synq.scratch import owned_folder, scratch_folder

_FROM_HERE = -100  # AT_FDCWD, for relative names
_EXCHANGE = 2  # RENAME_EXCHANGE: see renameat2(2)


def check_replaceable(output: Path, force: bool) -> None:
    """Whether a project may be written at `output`.

    Raises:
        UsageError: it is a file, its folder cannot be written, or it holds what synq did not write
            and `force` is not given, or it would take the folder the user stands in with it.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: a project is a folder", settings=("output",))
    check_writable(output.parent)
    if not output.exists():
        return
    if any(folder.is_relative_to(output.resolve()) for folder in _users_folders()):
        raise UsageError(
            f"{output} contains the current or home folder: choose another", settings=("output",)
        )
    if not force and (strange := _not_ours(output)) is not None:
        raise UsageError(
            f"{output} holds files that synq did not write ({strange}): "
            "choose another folder, or let it be replaced",
            settings=("output", "force"),
        )


def check_writable(folder: Path) -> None:
    """Whether `folder` can be written, or made where it is missing.

    Raises:
        UsageError: it cannot; says why.
    """
    existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
    if not existing.is_dir():
        raise UsageError(f"{existing} is a file: choose another folder", settings=("output",))
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise UsageError(
            f"cannot write in {existing}: {error.strerror or error}; choose another folder",
            settings=("output",),
        ) from None


@contextmanager
def staged(output: Path, force: bool) -> Iterator[tuple[Path, Path]]:
    """A folder beside `output` to build the project in, renamed to `output` if all goes well.

    What an earlier, killed process has left beside `output` is removed.

    Yields:
        The project folder to fill, and the `scratch_folder`. If the block raises (Ctrl-C too),
        nothing is left and a former `output` is untouched.

    Raises:
        UsageError, SynqError: as `check_replaceable`, or a disk is full.
    """
    check_replaceable(output, force)
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with owned_folder(output.parent, ".synq-") as beside, scratch_folder() as temporary:
            project = beside / "project"
            project.mkdir()
            yield project, temporary
            check_replaceable(output, force)
            if not output.exists():
                project.rename(output)
            elif not _exchanged(project, output):
                _replace(output, project, beside / "former")
    except OSError as error:
        reason = (error.strerror or str(error)).partition("\n")[0]
        if isinstance(error, shutil.Error):  # its text is a list of every file
            reason = "files could not be copied"
        raise SynqError(
            f"cannot write {output}: {reason}; free some space, there and in "
            f"{tempfile.gettempdir()}, or choose another folder",
            settings=("output",),
        ) from error
    finally:
        for parent in missing:
            with suppress(OSError):  # it holds the project, or what someone else put there
                parent.rmdir()


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two names could be swapped: at once, so that a process killed now has swapped them or
    not. Linux can, on most file systems."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    return bool(rename(_FROM_HERE, names[0], _FROM_HERE, names[1], _EXCHANGE) == 0)


def _replace(output: Path, project: Path, former: Path) -> None:
    """The same in two steps: `output` to `former`, `project` to `output`."""
    try:
        output.rename(former)
        project.rename(output)
    except BaseException:
        if former.exists() and not output.exists():
            former.rename(output)
        raise


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Write relative names to contents below `root`.

    Raises:
        ValueError: a name is absolute or climbs out of `root`; nothing is written.
    """
    for name in files:
        if not _stays_inside(name):
            raise ValueError(f"file names must stay inside the project, got {name!r}")
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if content.startswith(b"#!"):
            path.chmod(0o755)


def _not_ours(output: Path) -> str | None:
    """One file in `output` that synq did not write, or None."""
    if not any(output.iterdir()):
        return None
    try:
        written = read_manifest(output)["files"]
    except SynqError:
        return next(output.iterdir()).name
    for name, digest in digests_of(output).items():
        if written.get(name) != digest:
            return name
    return None


def _users_folders() -> list[Path]:
    """Folders that must not vanish under the user: the current one and, if there is one, home."""
    folders = [Path.cwd()]
    with suppress(RuntimeError):  # no home
        folders.append(Path.home().resolve())
    return folders
