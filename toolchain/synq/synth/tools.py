"""AMD's tools on this machine: where they are, and whether their version will do."""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from synq.errors import NoToolError, SynqError
from synq.process import stream

_log = logging.getLogger("synq")

Kind = Literal["hls", "vivado"]
NAMES: dict[Kind, tuple[str, ...]] = {
    "hls": ("vitis-run", "vitis_hls", "vivado_hls"),  # preferred first
    "vivado": ("vivado",),
}
OVERRIDES: dict[Kind, str] = {"hls": "SYNQ_HLS", "vivado": "SYNQ_VIVADO"}
_VARIABLES = ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO")
_FOLDERS = ("/opt/Xilinx", "/tools/Xilinx", "~/Xilinx")
_VERSION = re.compile(r"\bv(20\d\d)\.(\d+)")
_SECONDS_TO_ANSWER = 120  # the first start of a tool on a network drive is slow


class Version(NamedTuple):
    """A release of AMD's tools, as 2023.1; updates (2023.1.1) count as their release."""

    year: int
    release: int

    def __str__(self) -> str:
        return f"{self.year}.{self.release}"


OLDEST = Version(2018, 2)  # the oldest that hls4ml supports
LAST_VIVADO_HLS = Version(2020, 1)
FIRST_CURRENT = Version(2023, 1)
NEWEST = Version(2025, 2)


@dataclass(frozen=True)
class Tool:
    """An executable and the version that it said it is."""

    path: Path
    version: Version

    def __str__(self) -> str:
        return f"{self.path.name} {self.version}"


def find_tool(kind: Kind, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the HLS tool or Vivado is; `flow/build.sh` looks in the same places in the same order.

    These are: the variable SYNQ_HLS or SYNQ_VIVADO, PATH, the installations that XILINX_VITIS,
    XILINX_HLS and XILINX_VIVADO name, and the usual folders, the newest version first.

    Raises:
        NoToolError: it is in none of them; or the variable names no executable.
    """
    if given := environment.get(OVERRIDES[kind]):
        if not _is_executable(Path(given)):
            raise NoToolError(f"{OVERRIDES[kind]} is {given}, which is not an executable")
        return Path(given).absolute()
    for name in NAMES[kind]:
        if found := shutil.which(name, path=environment.get("PATH", "")):
            return Path(found).absolute()
    for name in NAMES[kind]:
        for variable in _VARIABLES:
            root = environment.get(variable)
            if root and _is_executable(path := Path(root) / "bin" / name):
                return path
    # max() keeps the first of equals, which is the preferred name.
    installed = list(_installed(NAMES[kind], environment.get("HOME")))
    if installed:
        return max(installed, key=lambda entry: entry[0])[1]
    *names, last = NAMES[kind]
    wanted = f"{', '.join(names)} or {last}" if names else last
    raise NoToolError(
        f"no {wanted} found: looked in PATH, {', '.join(_VARIABLES)} and {', '.join(_FOLDERS)}"
    )


def identify(path: Path, seconds: float) -> Tool:
    """Ask a tool for its version.

    Args:
        seconds: time limit; a tool that has more does not need it.

    Raises:
        SynqError: it cannot be run, or does not say; or the version is not one that synq's flow is
            for. Of a version that nobody has tried it only warns.
    """
    seconds = min(seconds, _SECONDS_TO_ANSWER)
    option = "--version" if path.name == "vitis-run" else "-version"
    lines: list[str] = []
    if stream([str(path), option], seconds, lines.append, {}) is None:
        raise SynqError(
            f"{path} {option} did not answer within {seconds:.0f} s: is its licence or "
            "network drive at hand?"
        )
    version = parse_version("\n".join(lines))
    if version is None:
        said = " ".join(lines[0].split()) if lines else "nothing"
        raise SynqError(f"{path} {option} does not say its version, it says: {said[:200]}")
    tool = Tool(path, version)
    check_version(tool)
    return tool


def parse_version(text: str) -> Version | None:
    """The version in what a tool prints of itself, as `****** vitis-run v2023.2 (64-bit)`."""
    found = _VERSION.search(text)
    return Version(int(found[1]), int(found[2])) if found else None


def check_version(tool: Tool) -> None:
    """Refuse a version that cannot work, warn of one that nobody has tried.

    Raises:
        SynqError: it is too old.
    """
    given, version = f"{tool} ({tool.path})", tool.version
    if version < OLDEST:
        raise SynqError(
            f"{given} is too old: synq needs Vitis HLS and Vivado {FIRST_CURRENT} to {NEWEST}, or "
            f"Vivado HLS {OLDEST} to {LAST_VIVADO_HLS}"
        )
    if version > NEWEST:
        _log.warning("%s is newer than %s, the last that synq was made for", given, NEWEST)
    elif LAST_VIVADO_HLS < version < FIRST_CURRENT:
        _log.warning(
            "%s lies between Vivado HLS %s and Vitis HLS %s, which synq was made for",
            given,
            LAST_VIVADO_HLS,
            FIRST_CURRENT,
        )


def _installed(names: tuple[str, ...], home: str | None) -> Iterator[tuple[tuple[int, ...], Path]]:
    """All executables of these names in the usual folders, with their version."""
    for folder in _FOLDERS:
        root = Path(folder.replace("~", home or "/root", 1))
        for name in names:
            # <root>/2025.1/Vitis/bin since 2025.1, <root>/Vitis/2024.2/bin before
            for pattern in (f"20??.?*/*/bin/{name}", f"*/20??.?*/bin/{name}"):
                for path in sorted(root.glob(pattern)):
                    version = re.search(r"/(20\d\d\.\d[0-9.]*)/", str(path)[len(str(root)) :])
                    if version and _is_executable(path):
                        yield tuple(int(part) for part in version[1].split(".") if part), path


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
