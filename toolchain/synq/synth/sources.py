"""What of a project a tool is given: the files that its manifest lists, and no other."""

import re
from pathlib import Path
from typing import Any

from synq.errors import SynqError
from synq.project.manifest import in_a_line, not_as_listed

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""What the tools take everywhere: no blank, quote, bracket or semicolon, no leading dash."""


def check_sources(project: Path, manifest: dict[str, Any]) -> list[str]:
    """The names of the project's files.

    A tool is free to take whatever lies beside its sources, so nothing may be there but what the
    manifest lists and what the flow itself leaves. A file that has changed is the user's affair.

    Raises:
        SynqError: a file is missing, was added or is a link, or has a name that synq does not give.
    """
    if found := not_as_listed(project, manifest):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise SynqError(
            f"{project} is not as exported: {in_a_line(found[0])}{more}; mend that, or export the "
            "project again"
        )
    names = list(manifest["files"])
    for name in names:
        if not _NAME.fullmatch(name):
            raise SynqError(f"the manifest lists {name!r}, a name that synq gives to no file")
    return names
