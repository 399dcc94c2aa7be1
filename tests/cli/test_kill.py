"""What is left of exports that were killed at random moments: benchmarks/kill.py, a few times."""

import json
import subprocess
import sys
from pathlib import Path

KILL = Path(__file__).parents[2] / "benchmarks" / "kill.py"


def test_nothing_lives_on_and_nothing_is_left() -> None:
    """Of the flow with the deepest processes: Verilator, make, g++, cc1plus."""
    arguments = ["--count", "2", "--flow", "rtl", "--seed", "1", "--json"]
    ran = subprocess.run([sys.executable, KILL, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert [each["living"] for each in result["tries"]] == [0, 0]
    assert result["left"] == []
