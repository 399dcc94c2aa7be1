"""CITATION.cff names this version, and the paper as it is named elsewhere."""

from pathlib import Path

import yaml

import synq

ROOT = Path(__file__).parents[2]


def test_the_citation_is_of_this_version_and_the_paper() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {
        "cff-version",
        "message",
        "title",
        "authors",
    } <= cited.keys()
    assert cited["version"] == synq.__version__
    assert f'license = "{cited["license"]}"' in (ROOT / "pyproject.toml").read_text()
    (paper,) = cited["references"]
    assert paper["title"] in (ROOT / "docs/reproduction.md").read_text()
    names = [each["family-names"] for each in paper["authors"]]
    assert names == ["Lee", "Lee", "Lee", "Kim", "Seo"]
