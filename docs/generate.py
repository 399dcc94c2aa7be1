"""Write docs/cli.md and docs/api.md, from the commands and the docstrings, and the picture of the
house, docs/figures/architecture.svg, from where its rooms stand in it.

The pages are committed, so that they can be read where nothing is built and so that building the
site does not need synq. A test writes them anew and compares.
"""

import ast
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

import synq
from synq.cli.app import app

DOCS = Path(__file__).parent
_HEAD = "<!-- Written by docs/generate.py: change the {source} and run it again. -->\n"
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.MULTILINE)


def pages() -> dict[str, str]:
    """What is generated, by its name in docs/."""
    return {"cli.md": cli_page(), "api.md": api_page(), "figures/architecture.svg": picture()}


# ---- The command line ---------------------------------------------------------------------------


def cli_page() -> str:
    parts = [
        _HEAD.format(source="help in toolchain/synq/cli"),
        "# The command line\n",
        "`synq-export` is `synq export`. Every command takes `--help`. Exit codes: 0 done, "
        "1 failed, 2 used wrongly, 3 without a tool that is needed, 4 over budget or timing not "
        "met, 130 interrupted.\n",
    ]
    for name, command in _commands("synq", typer.main.get_command(app)):
        parts += [f"## {name}\n", _prose(command.help or "") + "\n", *_parameters(name, command)]
    return "\n".join(parts)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """All commands that do something, with their whole names."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for each, subcommand in inner.items():
        yield from _commands(f"{name} {each}", subcommand)


def _parameters(name: str, command: Any) -> Iterator[str]:
    """A table for each group of options, as `--help` groups them."""
    context = command.make_context(name, [], resilient_parsing=True)
    shown = [parameter for parameter in command.params if not parameter.hidden]
    # What a command has for itself stands before the groups that it shares with others.
    order = list(dict.fromkeys([None, *(parameter.rich_help_panel for parameter in shown)]))
    shown.sort(key=lambda parameter: order.index(parameter.rich_help_panel))
    for panel, group in groupby(shown, key=lambda parameter: parameter.rich_help_panel):
        if panel:
            yield f"**{panel}**\n"
        yield "| option | meaning |\n|---|---|"
        for parameter in group:
            usage, text = parameter.get_help_record(context)
            yield f"| `{_plain(usage).replace('|', '/')}` | {_cell(text)} |"
        yield ""


def _plain(text: str) -> str:
    """On one line."""
    return " ".join(text.split())


def _prose(text: str) -> str:
    """On one line, with no tag outside of inline code."""
    spans = _plain(text).split("`")
    spans[::2] = [span.replace("<", "&lt;") for span in spans[::2]]
    return "`".join(spans)


def _cell(text: str) -> str:
    """Of a table, which a bar would end."""
    return _prose(text).replace("|", r"\|")


# ---- The Python API -----------------------------------------------------------------------------


def api_page() -> str:
    named = [(name, getattr(synq, name)) for name in synq.__all__]
    kinds = {
        "Functions": [each for each in named if inspect.isfunction(each[1])],
        "Choices": [each for each in named if isinstance(each[1], enum.EnumMeta)],
    }
    others = [each for group in kinds.values() for each in group]
    classes = [each for each in named if inspect.isclass(each[1]) and each not in others]
    kinds["Errors"] = [each for each in classes if issubclass(each[1], Exception)]
    kinds["Classes"] = [each for each in classes if each not in kinds["Errors"]]
    parts = [
        _HEAD.format(source="docstrings"),
        "# The Python API\n",
        "`import synq` gives what is listed here. Nothing is printed; what you can mend is a "
        "`synq.SynqError`. Wherever a choice is an enumeration, its value as text will do. "
        "`synq.Plan` is the plan of either back end.\n",
    ]
    for title, members in kinds.items():
        parts.append(f"## {title}\n")
        for name, value in members:
            parts += [f"### {name}\n", *_described(name, value)]
    return "\n".join(parts)


def _described(name: str, value: Any) -> Iterator[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    if isinstance(tree, ast.FunctionDef):
        yield _fenced(_signature(name, tree))
    elif isinstance(tree, ast.ClassDef) and not isinstance(value, enum.EnumMeta):
        fields = [ast.unparse(each) for each in tree.body if isinstance(each, ast.AnnAssign)]
        public = [field for field in fields if not field.startswith("_")]
        if public:
            yield _fenced("\n".join(public))
    yield from _docstring(inspect.getdoc(value) or "")
    if isinstance(value, enum.EnumMeta):
        members: list[enum.Enum] = list(value)
        yield "\n".join(f'- `"{member.value}"`' for member in members) + "\n"
    elif isinstance(tree, ast.ClassDef):
        yield from _methods(tree)


def _signature(name: str, function: ast.FunctionDef) -> str:
    """One argument a line, as it stands in the source: the same in every version of Python."""
    given = function.args
    plain, default = [*given.posonlyargs, *given.args], given.defaults
    values = [None] * (len(plain) - len(default)) + default
    lines = [_argument(*each) for each in zip(plain, values, strict=True) if each[0].arg != "self"]
    if given.kwonlyargs:
        lines.append("*")
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    lines += [_argument(*each) for each in pairs if each[0].arg != "progress"]
    result = "" if function.returns is None else f" -> {ast.unparse(function.returns)}"
    if sum(map(len, lines)) < 60:
        return f"{name}({', '.join(lines)}){result}"
    return f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + f"){result}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = "" if argument.annotation is None else f": {ast.unparse(argument.annotation)}"
    return f"{argument.arg}{kind}" + ("" if default is None else f" = {ast.unparse(default)}")


def _methods(tree: ast.ClassDef) -> Iterator[str]:
    """The public methods and properties that say what they do, a line each."""
    lines = []
    for each in tree.body:
        if not isinstance(each, ast.FunctionDef) or each.name.startswith("_"):
            continue
        text = ast.get_docstring(each)
        if text is not None:
            marks = [ast.unparse(mark) for mark in each.decorator_list]
            is_value = any(mark.endswith("property") for mark in marks)
            usage = each.name if is_value else _signature(each.name, each)
            summary = text.partition("\n\n")[0]
            lines.append(f"- `{_plain(usage)}`: {_prose(summary)}")
    if lines:
        yield "\n".join(["**Methods and properties**\n", *lines]) + "\n"


def _docstring(text: str) -> Iterator[str]:
    """Text as paragraphs; sections (Args, Raises, ...) as lists."""
    first, *rest = _SECTION.split(text)
    if first.strip():
        yield "\n\n".join(map(_prose, first.strip().split("\n\n"))) + "\n"
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        yield f"**{title}**\n"
        lines = textwrap.dedent(body.strip("\n")).rstrip()
        entries = re.split(r"\n(?! )", lines)
        for entry in entries:
            names, colon, meaning = entry.partition(": ")
            if colon and re.fullmatch(r"[\w, ]+", names):
                yield f"- `{names}`: {_prose(meaning)}"
            else:
                yield f"- {_prose(entry)}"
        yield ""


def _fenced(text: str) -> str:
    """Without a language: it is read, not run."""
    return f"```\n{text}\n```\n"


# ---- The picture of the house -------------------------------------------------------------------

# A room's column and row; what is no room has a text.
ROOMS = {
    "sweeping": (4, 0),
    "learn": (1, 1),
    "quantizing": (2, 1),
    "network": (3, 1),
    "chip": (4, 1),
    "yields": (5, 1),
    "report": (6, 1),
    "device": (1, 2),
    "request": (2, 2),
    "planning": (3, 2),
    "board": (4, 2),
    "pulses": (0, 3),
    "device_fit": (1, 3),
    "hls": (2.5, 3),
    "rtl": (3.5, 3),
    "exported": (5, 3),
    "project": (3, 4),
    "exporting": (4, 4),
    "synth": (6, 4),
    "page": (4, 5),
    "verifying": (6, 5),
}
OTHERS = {"weights, data": (0, 1), "device file": (0, 2), "project folder": (5, 4)}
# Which way an arrow leaves and arrives: h sideways, v up or down.
ARROWS = (
    ("weights, data", "learn", "hh"),
    ("learn", "quantizing", "hh"),
    ("device file", "device", "hh"),
    ("pulses", "device_fit", "hh"),
    ("device_fit", "device", "vv"),
    ("device", "quantizing", "hh"),
    ("quantizing", "network", "hh"),
    ("network", "chip", "hh"),
    ("chip", "network", "hh"),
    ("network", "sweeping", "vh"),
    ("sweeping", "report", "hv"),
    ("chip", "yields", "hh"),
    ("yields", "report", "hh"),
    ("network", "planning", "vv"),
    ("request", "planning", "hh"),
    ("board", "planning", "hh"),
    ("planning", "hls", "vv"),
    ("planning", "rtl", "vv"),
    ("hls", "project", "vv"),
    ("rtl", "project", "vv"),
    ("project", "exporting", "hh"),
    ("page", "exporting", "vv"),
    ("exporting", "project folder", "hh"),
    ("project folder", "exported", "vv"),
    ("exported", "yields", "vv"),
    ("project folder", "synth", "hh"),
    ("project folder", "verifying", "hh"),
    ("synth", "report", "vv"),
)
_PITCH = (122, 60)
_BOX = (96, 30)
# Of both themes: the page's own colour is behind it.
_STYLE = """
text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1c2b3a; }
rect { fill: #e8eef7; stroke: #4a6fa5; rx: 4px; }
.other { fill: #f8f0dd; stroke: #a5824a; rx: 15px; }
path { fill: none; stroke: #7d8794; stroke-width: 1.3; }
marker path { fill: #7d8794; stroke: none; }
"""


def picture() -> str:
    """The rooms that data flows through, as SVG that asks for nothing."""
    columns, rows = (max(place[axis] for place in ROOMS.values()) + 1 for axis in (0, 1))
    width, height = columns * _PITCH[0], rows * _PITCH[1]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        "<title>Data flows from weights and devices to the network, to a project, to what "
        "checks it</title>",
        f"<style>{_STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z"/></marker>',
    ]
    lines += [f'<path d="{_way(*arrow)}" marker-end="url(#tip)"/>' for arrow in ARROWS]
    for name in (*ROOMS, *OTHERS):
        x, y = _centre(name)
        kind = "" if name in ROOMS else 'class="other" '
        lines.append(
            f'<rect {kind}x="{x - _BOX[0] / 2:g}" y="{y - _BOX[1] / 2:g}" width="{_BOX[0]}" '
            f'height="{_BOX[1]}"/><text x="{x:g}" y="{y + 4.5:g}">{name}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _centre(name: str) -> tuple[float, float]:
    column, row = (ROOMS | OTHERS)[name]
    return (column + 0.5) * _PITCH[0], (row + 0.5) * _PITCH[1]


def _way(source: str, target: str, directions: str) -> str:
    """A curve from one box's edge to another's."""
    start, end = _centre(source), _centre(target)
    leaves, arrives = ("hv".index(direction) for direction in directions)
    first, last = [*start], [*end]
    for point, axis, other in ((first, leaves, end), (last, arrives, start)):
        point[axis] += _BOX[axis] / 2 * (1 if other[axis] > point[axis] else -1)
    if (target, source, directions) in ARROWS:  # both ways: side by side
        shift = 5 if first < last else -5
        first[1 - leaves] += shift
        last[1 - leaves] += shift
    bends = []
    for point, axis in ((first, leaves), (last, arrives)):
        bend, opposite = [*point], last if point is first else first
        bend[axis] = opposite[axis] if leaves != arrives else (first[axis] + last[axis]) / 2
        bends.append(bend)
    (a, b), (c, d), (e, f), (g, h) = first, *bends, last
    return f"M{a:g} {b:g}C{c:g} {d:g} {e:g} {f:g} {g:g} {h:g}"


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
