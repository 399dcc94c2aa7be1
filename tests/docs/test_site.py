"""The site: what is generated is as committed, every page is in the navigation, both languages do
the same. The blocks, links and options of its pages: `tests/docs/test_documents.py`."""

import importlib.util
import re
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer

from synq.cli.app import app
from test_architecture import ROOMS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCKS = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_ANCHOR = re.compile(r"\]\((\w+\.md)#([\w-]+)\)")


def script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    specification = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return script("generate")


@pytest.mark.parametrize("name", ["cli.md", "api.md", "figures/architecture.svg"])
def test_generated_pages_are_as_committed(generate: ModuleType, name: str) -> None:
    assert generate.pages()[name] == (DOCS / name).read_text(), "run python docs/generate.py"


def test_the_command_line_has_every_option(generate: ModuleType) -> None:
    page = generate.cli_page()
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        section = page.partition(f"## synq {name}")[2].partition("\n## ")[0]
        assert section
        for parameter in command.params:
            assert all(option in section for option in parameter.opts if option.startswith("-"))


def test_a_changed_help_or_docstring_changes_the_page(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generate.pages()
    group: Any = typer.main.get_command(app)
    monkeypatch.setattr(group.commands["verify"].params[0], "help", "Another | <help>.")
    monkeypatch.setattr(typer.main, "get_command", lambda _: group)
    monkeypatch.setattr(generate.synq.verify, "__doc__", "Others.\n\nRaises:\n    Wrong: it is.")
    after = generate.pages()
    assert r"Another \| &lt;help>." in after["cli.md"] and after["cli.md"] != before["cli.md"]
    assert "Others.\n\n**Raises**\n\n- `Wrong`: it is.\n" in after["api.md"]


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"[\w.]+\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_anchors_are_headings() -> None:
    """As python-markdown makes them; files are what `test_links_resolve` looks for."""
    found = [each for page in DOCS.glob("*.md") for each in _ANCHOR.findall(page.read_text())]
    assert len(found) > 3
    for name, anchor in found:
        headings = re.findall(
            r"^#+ (.*)$", _BLOCKS.sub("", (DOCS / name).read_text()), re.MULTILINE
        )
        kept = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
        assert anchor in {re.sub(r"[-\s]+", "-", heading) for heading in kept}, f"{name}#{anchor}"


def test_a_translation_does_what_its_original_does() -> None:
    translations = list(DOCS.glob("*.ko.md"))
    assert translations
    for translation in translations:
        original = DOCS / translation.name.replace(".ko.md", ".md")
        found = _BLOCKS.findall(original.read_text())
        assert len(found) > 4
        assert _BLOCKS.findall(translation.read_text()) == found


# ---- The picture of the house -------------------------------------------------------------------


def test_the_picture_shows_rooms(generate: ModuleType) -> None:
    assert generate.ROOMS.keys() <= set(ROOMS)
    drawn = {name for source, target, _ in generate.ARROWS for name in (source, target)}
    assert drawn == generate.ROOMS.keys() | generate.OTHERS.keys()
    for document, place in (
        ("docs/architecture.md", "figures"),
        ("CONTRIBUTING.md", "docs/figures"),
    ):
        assert (ROOT / document).read_text().count(f"]({place}/architecture.svg)") == 1


def test_its_boxes_and_arrows_keep_apart(generate: ModuleType) -> None:
    """No box covers another, and no arrow passes through a third."""
    size = np.array(generate._BOX) / 2
    centres = {name: np.array(generate._centre(name)) for name in generate.ROOMS | generate.OTHERS}
    for one, other in combinations(centres.values(), 2):
        assert (abs(one - other) > 2 * size).any()
    for source, target, way in generate.ARROWS:
        numbers = re.findall(r"[\d.]+", generate._way(source, target, way))
        a, b, c, d = np.array(numbers, dtype=float).reshape(4, 1, 2)
        t = np.linspace(0, 1, 101).reshape(-1, 1)
        curve = a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3
        for name, centre in centres.items():
            if name not in (source, target):
                assert (abs(curve - centre) > size).any(axis=1).all(), (source, target, name)


# ---- Nothing from elsewhere ---------------------------------------------------------------------

FOREIGN = {
    "script.html": '<script src="https://unpkg.com/mermaid@11/dist/mermaid.min.js"></script>',
    "font.html": '<link rel="preconnect stylesheet" href="//fonts.gstatic.com">',
    "picture.html": '<img src="HTTPS://example.org/a.png">',
    "style.html": "<style>@import 'http://example.org/a.css';</style>",
    "inline.html": '<p style="background: url(https://example.org/a.png)">',
    "frame.html": '<object data="http://example.org/a.svg"></object>',
    "diagram.html": '<pre class="mermaid"><code>flowchart LR</code></pre>',
    "drawn.svg": '<svg><image xlink:href="https://example.org/a.png"/></svg>',
    "sheet.css": '@font-face { src: url("https://fonts.example.org/a.woff2") }',
}
OWN = {
    "a.html": '<a href="https://example.org">x</a><script src="assets/a.js"></script>'
    '<link rel="canonical" href="https://example.org/a.html"><pre>url(https://example.org)</pre>',
    "b.css": "a { background: url(data:image/svg+xml;charset=utf-8,x); }",
}


@pytest.mark.parametrize("name", [*FOREIGN, *OWN])
def test_what_is_loaded_from_elsewhere_fails_the_build(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_text((FOREIGN | OWN)[name])
    script("offline").on_post_build({"site_dir": tmp_path})
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == (name in FOREIGN)
    assert all(each.startswith(f"{name} loads ") for each in warned)


def test_the_build_is_strict_and_looks() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    assert "\nstrict: true\n" in text and "\nhooks: [docs/offline.py]\n" in text
    assert "\n  font: false" in text


def test_pages_of_the_repository_have_no_diagram_that_is_drawn_elsewhere() -> None:
    for page in DOCS.glob("*.md"):
        assert "```mermaid" not in page.read_text(), page
