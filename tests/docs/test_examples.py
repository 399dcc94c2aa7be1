"""Every example runs as a user runs it, in an empty folder with an empty cache, and says what it
should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SCORE = r"9\d\.\d\d %"  # of digits; the last digits differ between processors
CHIP = r"[89]\d\.\d\d %"
EQUAL = "as the reference says"
SAID = {
    "five_lines": rf"{SCORE} of 359 test images",
    "own_network": rf"{SCORE}; 359 images bit-exact in .*/build/own",
    "device_to_yield": rf"ltp: nonlinearity 2\.\d\d, .*\ncells .*\ndesign {SCORE}, chip 7 {SCORE}\n"
    r"\d+ of 50 chips reach 90 %, the worst ",
    "levels": rf"proposed L = 10: {SCORE}\nsampling L = 5: [5-9]\d\.",
    "two_chips": rf"chip 1: {CHIP} in the core, {EQUAL}\nchip 2: {CHIP} in the core, {EQUAL}\n",
}


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """One example, with nothing of the user's own."""
    tools = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {**os.environ, "SYNQ_CACHE_DIR": str(folder / "cache"), "PATH": tools}
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_all_are_tried() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == SAID.keys()


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert re.search(SAID[name], done.stdout), done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"build", "cache"}
    if name == "two_chips":  # of one core, and not one network twice
        first, second = (np.load(tmp_path / f"build/chip-{seed}.npz")["words"] for seed in (1, 2))
        assert len(first) == len(second)
        assert first[0] == second[0]
        assert first[-1] != second[-1]
