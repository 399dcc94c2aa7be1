"""The output folder: written aside and renamed, never half there, never over a user's own files."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from synq.errors import SynqError, UsageError

MANIFEST = "manifest.json"
_FORMAT = "synq-project-1"


def check_replaceable(output: Path, force: bool) -> None:
    """Whether a project may be written at `output`.

    Raises:
        UsageError: it is a file, its folder cannot be written, or it holds what synq did not write
            and `force` is not given, or it would take the folder the user stands in with it.
    """
    for parent in [output, *output.parents]:
        if parent.exists():
            if not parent.is_dir():
                raise UsageError(f"{parent} is a file: give --output a folder")
            break
    if not output.exists():
        return
    if Path.cwd().is_relative_to(output) or Path.home().is_relative_to(output):
        raise UsageError(f"{output} contains the current or home folder: choose another --output")
    if not force and (strange := _not_ours(output)) is not None:
        raise UsageError(
            f"{output} holds files that synq did not write ({strange}): "
            "choose another --output, or replace the folder with --force"
        )


@contextmanager
def staged(output: Path, force: bool) -> Iterator[tuple[Path, Path]]:
    """A folder beside `output` to build the project in, renamed to `output` if all goes well.

    Yields:
        The project folder to fill, and a scratch folder that is always removed. If the block
        raises (Ctrl-C too), nothing is left and a former `output` is untouched.

    Raises:
        UsageError, SynqError: as `check_replaceable`, or the folder cannot be made.
    """
    check_replaceable(output, force)
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"cannot write in {output.parent}: {reason}; choose another --output"
        ) from None
    finished = False
    try:
        project, scratch = beside / "project", beside / "scratch"
        project.mkdir()
        scratch.mkdir()
        yield project, scratch
        check_replaceable(output, force)
        if output.exists():
            output.rename(beside / "former")
        project.rename(output)
        finished = True
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if not finished:
            for parent in missing:
                _remove_if_empty(parent)


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Write relative names to contents below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if content.startswith(b"#!"):
            path.chmod(0o755)


def write_manifest(root: Path, content: Mapping[str, Any]) -> None:
    """Add `manifest.json`: `content`, and the SHA-256 of every other file."""
    manifest = {"format": _FORMAT, **content, "files": _digests(root)}
    text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    (root / MANIFEST).write_text(text)


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a project.

    Raises:
        SynqError: there is none, or it is not one of ours.
    """
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise SynqError(
            f"{path} cannot be read ({error.strerror}): is it a synq project?"
        ) from None
    except (ValueError, RecursionError):
        raise SynqError(f"{path} is not valid JSON: export the project again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise SynqError(f"{path} is not the manifest of a synq project")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(digest, str) and _stays_inside(name) for name, digest in files.items()
    ):
        raise SynqError(f"{path} lists files in a way synq does not write")
    return manifest


def changed_files(root: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What the manifest lists and the folder lacks or has changed, in words."""
    present = _digests(root)
    found: list[str] = []
    for name, digest in manifest["files"].items():
        if name not in present:
            found.append(f"{name} is missing")
        elif present[name] != digest:
            found.append(f"{name} has changed")
    return found


def _not_ours(output: Path) -> str | None:
    """One file in `output` that synq did not write, or None."""
    if not any(output.iterdir()):
        return None
    try:
        written = read_manifest(output)["files"]
    except SynqError:
        return next(output.iterdir()).name
    for name, digest in _digests(output).items():
        if written.get(name) != digest:
            return name
    return None


def _digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `root` but the manifest, by POSIX name."""
    names = {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if not path.is_dir()
    }
    names.pop(MANIFEST, None)
    return {
        name: hashlib.sha256(names[name].read_bytes()).hexdigest() if names[name].is_file() else ""
        for name in sorted(names)
    }


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
