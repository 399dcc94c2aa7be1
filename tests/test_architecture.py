"""The house: which room may import which, and which one speaks of options. Told in
docs/architecture.md.
"""

import ast
import re
from pathlib import Path

import pytest
import typer

import synq
from synq.cli.app import app

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
    "geometry",
    "read_noise",
    "network",
    "score",
    "float_network",
    "variation",
    "device",
    "pulses",
    "device_fit",
    "tile",
    "quantizing",
    "wires",
    "chip",
    "chip_file",
    "cost",
    "board",
    "stream",
    "signed_codes",
    "request",
    "learn",
    "hls",
    "rtl",
    "planning",
    "project",
    "synth",
    "results",
    "workers",
    "yields",
    "page",
    "exporting",
    "verifying",
    "exported",
    "differing",
    "sweeping",
    "report",
    "api",
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
    """The package's own; the installed one holds the templates too, of which some are Python."""
    return sorted(file for file in PACKAGE.rglob("*.py") if room_of_file(file) != "hls_templates")


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


def options() -> set[str]:
    """Every option of every command, without its dashes."""
    commands = [*typer.main.get_command(app).commands.values()]  # type: ignore[attr-defined]
    for group in [each for each in commands if hasattr(each, "commands")]:
        commands += group.commands.values()
    opts = {opt for command in commands for parameter in command.params for opt in parameter.opts}
    return {opt.removeprefix("--") for opt in opts if opt.startswith("--")}


def errors(file: Path) -> list[ast.Call]:
    """Every place of a file that makes an exception."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and "Error" in call.func.id]


def texts(node: ast.AST) -> list[str]:
    """Every text within a piece of code."""
    constants = [each for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return [each.value for each in constants if isinstance(each.value, str)]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_errors_name_settings_and_only_the_command_line_options(file: Path) -> None:
    named = {
        text
        for error in errors(file)
        for keyword in error.keywords
        if keyword.arg == "settings"
        for text in texts(keyword.value)
    }
    assert named <= {option.replace("-", "_") for option in options()}
    if room_of_file(file) != "cli":
        said = [text for error in errors(file) for text in texts(error)]
        assert [text for text in said if re.search(r"--[a-z]", text)] == []


# Each brings an LLVM, or a Keras, that does not bear another in its process.
OF_THEIR_OWN = {"tensorflow", "tf_keras", "keras", "qkeras", "hls4ml"}


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_converters_process_imports_tensorflow(file: Path) -> None:
    if file.is_relative_to(PACKAGE / "hls" / "keras"):
        return
    named = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in named} & OF_THEIR_OWN == set()
    if file != PACKAGE / "hls" / "converter.py":  # which imports it in the other process
        assert not any(name.startswith("synq.hls.keras") for name in named)
