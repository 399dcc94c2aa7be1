"""docs/licences.md lists every package that is locked, with the licence that it states."""

import re
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from licences import ROOT, WITH_TORCH, licence, locked, table

DOCUMENT = (ROOT / "docs/licences.md").read_text()


def test_the_table_is_that_of_the_packages() -> None:
    found = re.search(r"<!-- results: licences -->\n(.*?)<!-- end -->", DOCUMENT, re.DOTALL)
    assert found is not None
    assert found[1] == table()


def test_nothing_is_left_unknown() -> None:
    assert "not stated" not in table()
    rows = re.findall(r"^\| ([\w.-]+) \| (?:run|test)", DOCUMENT, re.MULTILINE)
    assert {*rows} == locked("requirements.lock") | locked("requirements-test.lock") | {*WITH_TORCH}


def test_what_to_know_is_complete() -> None:
    """Every licence that asks for more than a notice is named above the table."""
    text, _, rows = DOCUMENT.partition("<!-- results")
    for name, terms in re.findall(r"^\| ([\w.-]+) \| .*? \| (.*) \|$", rows, re.MULTILINE):
        if re.search("GPL|MPL|Mozilla", terms) and " OR " not in terms:
            assert f"`{name}`" in text, f"{name}: {terms}"


@pytest.mark.parametrize(
    ("fields", "text", "wanted"),
    [
        ("License-Expression: MIT\nLicense: BSD", "", "MIT"),
        ("License: Copyright 2001 by us\nClassifier: License :: OSI Approved :: X", "", "X"),
        (
            "Classifier: License :: OSI Approved",
            "Permission is hereby\ngranted, free of charge",
            "MIT",
        ),
        ("Name: mine", "", "not stated"),
    ],
)
def test_where_a_package_states_it(fields: str, text: str, wanted: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nVersion: 1\n{fields}\n")
    (folder / "LICENSE").write_text(text)
    (folder / "RECORD").write_text("mine-1.dist-info/LICENSE,,\n")
    assert licence(Distribution.at(folder)) == wanted
