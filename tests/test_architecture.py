"""The house: which room may import which. Told in docs/architecture.md."""

import ast
from pathlib import Path

import pytest

import synq

PACKAGE = Path(synq.__file__).parent

# The lower floors first: a room imports only from rooms before it, and from itself.
ROOMS = (
    "errors",
    "files",
    "archive",
    "npz",
    "progress",
    "resources",
    "cache",
    "process",
    "scratch",
    "definition",
    "fixedpoint",
    "network",
    "float_network",
    "device",
    "quantize",
    "cost",
    "board",
    "stream",
    "signed_codes",
    "request",
    "learn",
    "hls",
    "rtl",
    "plan",
    "project",
    "synth",
    "export",
    "verify",
    "sweep",
    "report",
    "cli",
)


def room_of(module: str) -> str:
    """The room of a dotted module name below `synq`; "" for the package itself."""
    return module.removeprefix("synq").lstrip(".").split(".")[0]


def imports(file: Path) -> set[str]:
    """The rooms that a file imports, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = [f"synq.{alias.name}" for alias in node.names]
            names = whole if node.module == "synq" else [node.module]
        found |= {room_of(name) for name in names if name.split(".")[0] == "synq"}
    return found - {"__version__"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of_file(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_known() -> None:
    assert {room_of_file(file) for file in files()} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_imports_upwards(file: Path) -> None:
    room = room_of_file(file)
    if room == "__init__":
        return
    allowed = {*ROOMS[: ROOMS.index(room) + 1], ""}
    assert imports(file) <= allowed, f"{room} is below {sorted(imports(file) - allowed)}"
