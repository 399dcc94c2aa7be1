"""The table of docs/licences.md, of what the installed packages say of themselves.

python tests/docs/licences.py
"""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
# PyTorch, of which there are several builds, is not in the lock files, nor is what it alone needs.
WITH_TORCH = ("filelock", "mpmath", "sympy", "torch")
_LONGEST = 60  # of a name: some give the whole text
_NO_NAME = re.compile(r"copyright|=|agreement", re.IGNORECASE)
_FIRST_TEXT = 5000  # characters of a licence's file; those of others may follow
_TEXTS = {
    "neither the name": "BSD-3-Clause",
    "licensed under the apache license, version 2.0": "Apache-2.0",
    "permission is hereby granted, free of charge": "MIT",
}
_APPROVED = "OSI Approved"  # says nothing by itself


def locked(file: str) -> set[str]:
    """The packages of a lock file."""
    return set(re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), re.MULTILINE))


def licence(found: Distribution) -> str:
    """The name of a package's licence: an SPDX expression where the package gives one."""
    return next(name for name in _names(found) if 0 < len(name) <= _LONGEST)


def _names(found: Distribution) -> Iterator[str]:
    fields = found.metadata
    yield (fields.get_all("License-Expression") or [""])[0]
    first = ((fields.get_all("License") or [""])[0].strip().splitlines() or [""])[0]
    if not _NO_NAME.search(first):
        yield first
    told = [each.split(" :: ") for each in fields.get_all("Classifier") or []]
    yield ", ".join(each[-1] for each in told if each[0] == "License" and each[-1] != _APPROVED)
    for file in found.files or []:
        if re.search(r"licen[cs]e", file.name, re.IGNORECASE):
            text = " ".join(file.read_text()[:_FIRST_TEXT].split()).lower()
            yield from (name for words, name in _TEXTS.items() if words in text)
    yield "not stated"


def table() -> str:
    """A line a package: its name, who needs it, its licence."""
    run, test = locked("requirements.lock"), locked("requirements-test.lock")
    lines = ["| package | for | licence |", "|---|---|---|"]
    for name in sorted(run | test | {*WITH_TORCH}):
        what = "test, extras" if name in test - run else "run"
        lines.append(f"| {name} | {what} | {licence(distribution(name))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
