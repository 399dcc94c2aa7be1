"""What of a project a tool is given: the files that its manifest lists, and no other."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synq.errors import SynqError
from synq.project.flow import OUTPUTS

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""What the tools take everywhere: no blank, quote, bracket or semicolon, no leading dash."""


def check_sources(project: Path, manifest: dict[str, Any], folders: Sequence[str]) -> list[str]:
    """The files that the manifest lists in some of a project's folders, by their names in it.

    A tool is free to take whatever lies beside its sources, so nothing else may be there but what
    the flow itself leaves.

    Raises:
        SynqError: one is missing, is a link, or has a name that synq does not give; or there is
            another file.
    """
    listed = [name for name in manifest["files"] if name.partition("/")[0] in set(folders)]
    for name in listed:
        if not _NAME.fullmatch(name):
            raise SynqError(f"the manifest lists {name!r}, a name that synq gives to no file")
    found = {name for folder in folders for name in _files(project, folder)}
    for name in sorted(found - set(listed)):
        raise SynqError(
            f"{project} has {name!r}, which its manifest does not list: remove it, or export the "
            "project again"
        )
    for name in listed:
        if name not in found:
            raise SynqError(f"{project} lacks {name}: export it again")
    return listed


def _files(project: Path, folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(project / folder):
        place = Path(parent).relative_to(project)
        folders[:] = [name for name in folders if (place / name).as_posix() not in OUTPUTS]
        for name in (*folders, *files):
            path = Path(parent, name)
            shown = (place / name).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise SynqError(f"{project} has {shown!r}, a link or no file: remove it")
            if path.is_file():
                yield shown
