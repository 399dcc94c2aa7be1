"""What is left of exports that were killed at random moments: benchmarks/kill.py, a few times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILL = Path(__file__).parents[2] / "benchmarks" / "kill.py"


@pytest.mark.parametrize(("number", "seed"), [("KILL", 1), ("INT", 3)])
def test_nothing_lives_on_and_nothing_is_left(number: str, seed: int) -> None:
    arguments = ["--count", "2", "--signal", number, "--flow", "hls,rtl", "--seed", str(seed)]
    ran = subprocess.run(
        [sys.executable, str(KILL), *arguments, "--json"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert len(result["tries"]) == 2
    assert [each["living"] for each in result["tries"]] == [0, 0]
    assert result["left"] == []
