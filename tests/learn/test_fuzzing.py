"""A sample of what `benchmarks/fuzz.py` does by the thousand."""

from pathlib import Path

import pytest

from fuzzing.inputs import KINDS
from fuzzing.probe import probe


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    counts = probe(name, kind, seed=1, count=200 // kind.cost, folder=tmp_path)
    assert counts.good, counts
    assert counts.accepted and counts.refused
