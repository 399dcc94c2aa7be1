"""The manifest of a project: what it was made from, and the SHA-256 of each of its files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from synq.errors import SynqError

MANIFEST = "manifest.json"


_FORMAT = "synq-project-1"


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


def _digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `root` but the manifest, by POSIX name.

    A link or a special file has the digest "", which no file has: synq writes none, and what a
    link points to is not the project's.
    """
    names = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    names.pop(MANIFEST, None)
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink()
        else ""
        for name, path in sorted(names.items())
    }


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
