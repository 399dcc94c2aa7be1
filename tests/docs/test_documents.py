"""What the documents say can be done is done here, in a small form; what they name exists.

Every fenced block in `sh` or `python` runs, a document's in order and in one folder. The rules:

- Commands that would train on MNIST take a network of 36-8-4 and its samples instead (`SMALL`).
- `make` and `pip` are for `.ci/run`, which must run the same targets; `pip install` must name
  extras that there are.
- Yosys, half a minute of it, runs for docs/commands.md alone; elsewhere the command is only
  understood.
- What needs AMD's tools ends with exit code 3; reports of theirs are then put in their place.
  nextpnr for 7-series, which no package has, ends so too.
- A translation (`start.ko.md`) has the blocks of its original, as `tests/docs/test_site.py` checks:
  they run once, there.
- A comment before a block, `<!-- run: OLD => NEW -->`, has it run with NEW in place of OLD.
"""

import ast
import contextlib
import fnmatch
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from samples import samples
from synq.cli.app import app, export_app
from synq.learn.data import mnist

ROOT = Path(__file__).parents[2]
_ROOT_DOCUMENTS = (ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")
DOCUMENTS = [ROOT / "README.md", *_ROOT_DOCUMENTS, *sorted((ROOT / "docs").glob("*.md"))]
ORIGINALS = [path for path in DOCUMENTS if not path.name.endswith(".ko.md")]
COMMANDS = ROOT / "docs/commands.md"
REPORT = ROOT / "tests/synth/data/reports/vitis_hls_2025.1_xc7z020_csynth.xml"

_OURS = "--checkpoint mine.safetensors --data mine.npz"
SMALL = (
    (
        r"^(synq-export|synq (?:export|plan|quantize|sweep))(?!.*--(?:checkpoint|data) )",
        rf"\1 {_OURS}",
    ),
    (r"^(synq train)(?!.*--data )", r"\1 --data mine.npz"),
    (r"(--checkpoint .*)--recipe \w+", r"\1"),
    (r"build/mnist-", "build/mine-"),
)
_FENCE = re.compile(r"((?:^<!-- run: .* -->\n)*)^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(r"<!-- run: (.*?) => (.*?) -->")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_NO_PATH = ("build/", "flow/logs", "~", "/", "http")  # made by a command or a tool, or not ours


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    language: str
    text: str


def blocks(document: Path) -> list[Block]:
    found = []
    for markers, language, text in _FENCE.findall(document.read_text()):
        for old, new in _MARKER.findall(markers):
            assert old in text, f"{document.name}: a block is to run without {old!r}, and has none"
            text = text.replace(old, new)
        found.append(Block(language, text))
    return found


def commands(text: str) -> list[str]:
    """The commands of an `sh` block, continued lines joined, comments removed."""
    lines = text.replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [line for line in stripped if line]


def small(command: str) -> str:
    for pattern, replacement in SMALL:
        command = re.sub(pattern, replacement, command)
    return command


def spans(document: Path) -> list[str]:
    """The inline code of a document."""
    return _CODE.findall(_FENCE.sub("", document.read_text()))


def ids(document: Path) -> str:
    return str(document.relative_to(ROOT))


# ---- Blocks run ---------------------------------------------------------------------------------


def run_command(command: str, folder: Path) -> None:
    words = shlex.split(small(command))
    if words[0] == "make":
        assert f"make {words[1]}" in (ROOT / ".ci/run").read_text(), f".ci/run lacks {command}"
        return
    if words[0] == "pip":
        for extra in re.findall(r"\[(\w+)\]", command):
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert extra in project["optional-dependencies"]
        return
    if words[0] == "python":
        script, tried = ROOT / words[1], [sys.executable, str(ROOT / words[1]), "--help"]
        assert script.is_file()  # `make benchmark-small` runs it
        words = tried
    else:
        assert words[0] in ("synq", "synq-export"), f"no rule runs {command!r}"
        words[0] = str(Path(sys.executable).parent / words[0])
    environment = {**os.environ, "SYNQ_CACHE_DIR": str(folder / "cache")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}  # no vendor's tools
    environment |= {"HOME": str(folder)}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    wanted = 3 if "--stage" in words or "nextpnr" in words else 0
    assert done.returncode == wanted, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    if "--stage" in words:
        reports = folder / words[2] / "flow/reports"
        reports.mkdir(exist_ok=True)
        shutil.copy(REPORT, reports / "csynth.xml")


def run_python(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the samples in place of MNIST."""
    (folder / "python").mkdir(exist_ok=True)
    _, dataset = samples(folder / "python", "mnist")
    monkeypatch.setattr(mnist, "load_mnist", lambda *_: dataset)
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, "block", "exec"), {"__name__": "__main__"})


def run_blocks(document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples(folder)
    for block in blocks(document):
        match block.language:
            case "sh":
                for command in commands(block.text):
                    if "--tool yosys" not in command or document == COMMANDS:
                        run_command(command, folder)
                    else:
                        understood(command)
            case "python":
                run_python(block.text, folder, monkeypatch)
            case "":  # what a command prints
                pass
            case other:
                pytest.fail(f"{document.name} has a block in {other}, which no rule runs")


@pytest.mark.parametrize("document", sorted({*ORIGINALS} - {COMMANDS}), ids=ids)
def test_every_block_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_blocks(document, tmp_path, monkeypatch)


@pytest.mark.xdist_group("commands")
def test_the_commands_run_and_their_project_has_the_named_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_blocks(COMMANDS, tmp_path, monkeypatch)
    project = tmp_path / "build/mine-pcmo-L10-pynq-z2"
    emitted = {path.relative_to(project).as_posix() for path in project.rglob("*")}
    assert len(emitted) > 50
    for document in DOCUMENTS:
        for name in named_files(document):
            assert exists(name) or matches(name, emitted), f"{ids(document)} names {name}"


def named_files(document: Path) -> list[str]:
    """Inline code that is a path; `{a,b}` is two."""
    found = []
    for span in spans(document):
        is_path = re.fullmatch(r"[\w./*{},-]*(?:/[\w.*{},-]*|\.(?:md|py|v|cpp|h|json|npz))", span)
        if is_path is None or span.startswith(_NO_PATH) or span.startswith("."):
            continue
        braces = re.search(r"\{(.*?)\}", span)
        for choice in braces[1].split(",") if braces else [""]:
            found.append(span.replace(braces[0], choice) if braces else span)
    return found


def exists(name: str) -> bool:
    """Whether it is in the repository, named from its root, from docs/ or from the package."""
    places = (ROOT, ROOT / "docs", ROOT / "toolchain", ROOT / "toolchain/synq")
    return any(list(place.glob(name.rstrip("/"))) for place in places)


def matches(name: str, emitted: set[str]) -> bool:
    """Whether a project has it; a single N or B stands for a number."""
    pattern = re.sub(r"(?<![A-Za-z])[NB](?![A-Za-z])", "[0-9]*", name.rstrip("/"))
    return any(
        fnmatch.fnmatch(each, pattern) or fnmatch.fnmatch(each, f"*/{pattern}") for each in emitted
    )


# ---- What is named exists -----------------------------------------------------------------------


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=ids)
def test_links_resolve(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=ids)
def test_options_exist(document: Path) -> None:
    text = _FENCE.sub("", document.read_text())
    sh = [block.text for block in blocks(document) if block.language == "sh"]
    for code in [*_CODE.findall(text), *(line for each in sh for line in commands(each))]:
        for flag in _FLAG.findall(code):
            assert flag in known_options(), f"{code}: {flag}"


@cache
def known_options() -> set[str]:
    """Of all commands, and of the benchmarks."""
    group: Any = typer.main.get_command(app)
    single: Any = typer.main.get_command(export_app)
    found = {"--help", "--version"}
    inner = [getattr(command, "commands", {}).values() for command in group.commands.values()]
    for command in [*group.commands.values(), *chain(*inner), single]:
        found |= {name for parameter in command.params for name in parameter.opts}
    for script in (ROOT / "benchmarks").glob("*.py"):
        found |= set(re.findall(r'add_argument\("(--[\w-]+)"', script.read_text()))
    return found


def understood(text: str) -> None:
    """Parse a command of synq, which may leave out its projects, and do not run it."""
    words = text.split()
    if words[0] == "synq-export":
        command, arguments = typer.main.get_command(export_app), words[1:]
    else:
        group: Any = typer.main.get_command(app)
        assert words[1] in group.commands, text
        command, arguments = group.commands[words[1]], words[2:]
    projects = sum(param.required for param in command.params)
    if not arguments or arguments[0].startswith("-"):
        arguments = ["build"] * projects + arguments
    command.make_context("synq", arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_commands_in_the_text_are_understood(document: Path) -> None:
    for span in spans(document):
        if re.match("synq-export|synq ", span):
            understood(span)


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_modules_exist(document: Path) -> None:
    for span in spans(document):
        if re.fullmatch(r"synq(\.\w+)+", span) and not span.endswith(
            (".bit", ".hwh", ".ipynb", ".core")
        ):
            assert is_importable(span), span


def is_importable(name: str) -> bool:
    """A module, or what a module holds."""
    try:
        importlib.import_module(name)
    except ImportError:
        module, _, attribute = name.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


def test_the_readme_is_read_in_three_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) < 600
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (ROOT / picture).stat().st_size < 200_000


# ---- The house ----------------------------------------------------------------------------------


def rooms() -> tuple[str, ...]:
    """ROOMS of tests/test_architecture.py, which says what may import what."""
    tree = ast.parse((ROOT / "tests/test_architecture.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS":
            value = ast.literal_eval(node.value)
            assert isinstance(value, tuple)
            return value
    raise AssertionError("ROOMS is gone")


def test_the_architecture_names_every_room_on_its_floor() -> None:
    """The table lists the rooms as ROOMS does, the lowest first; rooms of a row are one floor."""
    table = (ROOT / "docs/architecture.md").read_text().partition("## Floor by floor")[2]
    rows = [
        re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    ]
    assert sorted(name for row in rows for name in row) == sorted(rooms())
    floors = [[rooms().index(name) for name in row] for row in rows]
    assert all(max(lower) < min(upper) for lower, upper in pairwise(floors))


def test_nothing_refers_to_what_is_not_here() -> None:
    absent = ("DESIGN" + ".md", "FACTS" + ".md")
    for path in ROOT.rglob("*"):
        if path.suffix in (".py", ".md", ".cpp", ".h", ".v", ".toml", ".tcl"):
            parts = path.relative_to(ROOT).parts
            if not parts[0].startswith(".") and parts[0] not in ("build", "node_modules"):
                text = path.read_text(errors="ignore")
                assert not any(name in text for name in absent), path
