"""The site: what is generated is as committed, every page is in the navigation, both languages do
the same. The blocks, links and options of its pages: `tests/docs/test_documents.py`."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from synq.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCKS = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_ANCHOR = re.compile(r"\]\((\w+\.md)#([\w-]+)\)")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    specification = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "api.md"])
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
