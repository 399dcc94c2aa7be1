"""The depths of the pipelines: told once, and the same in the documentation."""

import re
from pathlib import Path

from synq.rtl import pipeline

DOCUMENT = Path(__file__).parents[2] / "docs" / "rtl.md"


def test_the_document_says_the_same() -> None:
    told = dict(re.findall(r"^\| ([A-Z]+) \| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE))
    derived = {"CODED", "SUMMED", "SURROUND"}
    names = {name for name in vars(pipeline) if name.isupper()} - derived
    assert {name: int(cycles) for name, cycles in told.items()} == {
        name: getattr(pipeline, name) for name in names
    }


def test_what_follows_from_them() -> None:
    assert pipeline.SUMMED == pipeline.FETCH + pipeline.READ + pipeline.WEIGH
    assert [pipeline.skew(rows) for rows in (0, 1, 2)] == [0, 2, 3]
    assert [pipeline.choice(count) for count in (1, 2, 4, 5, 16, 17)] == [1, 1, 1, 2, 2, 3]
