"""Every example runs as a user runs it, in an empty folder with an empty cache, and says what it
should.

Notebooks are committed without outputs, which would be those of one processor, and stale unseen;
their cells run here in order, as a script. The one for the board runs in
`tests/project/test_driver_load.py`, before a simulated core.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SCORE = r"9\d\.\d\d %"  # of digits; the last digits differ between processors
NOTEBOOK = "jupyter"
ON_THE_BOARD = "pynq_z2"
CHIP = r"[89]\d\.\d\d %"
EQUAL = "as the reference says"
SAID = {
    "five_lines": rf"{SCORE} of 359 test images",
    "own_network": rf"{SCORE}; 359 images bit-exact in .*/build/own",
    "device_to_yield": rf"ltp: nonlinearity 3\.\d\d, .*\ncells .*\ndesign {SCORE}, chip 7 {SCORE}\n"
    r"\d+ of 50 chips reach 90 %, the worst ",
    "levels": rf"proposed L = 10: {SCORE}\nsampling L = 5: [5-9]\d\.",
    "two_chips": rf"chip 1: {CHIP} in the core, {EQUAL}\nchip 2: {CHIP} in the core, {EQUAL}\n",
}


def cells(name: str, kind: str) -> list[str]:
    """The sources of a notebook's cells."""
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """One example, with nothing of the user's own."""
    tools = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    own = {"SYNQ_CACHE_DIR": str(folder / "cache"), "PATH": tools, "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_all_are_tried() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == SAID.keys()
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {NOTEBOOK, ON_THE_BOARD}


@pytest.mark.parametrize("name", [NOTEBOOK, ON_THE_BOARD])
def test_a_notebook_is_told_and_holds_no_outputs(name: str) -> None:
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 4)
    assert cells(name, "markdown")[0].startswith("# ")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


def test_the_notebook_runs(tmp_path: Path) -> None:
    count = "len(plt.get_fignums())"
    text = "\n".join([*cells(NOTEBOOK, "code"), f'print({count}, "figures")'])
    script = tmp_path / "notebook.py"
    script.write_text(text)
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for said in (
        rf"^{SCORE} of 359 test images$",
        r"^\d+ of 100 chips reach 90 %",
        r"^359 images bit-exact in .*/build/notebook$",
        "^359 images again$",
        rf"^chip-3\.npz: {CHIP}",
        "^4 figures$",
    ):
        assert re.search(said, done.stdout, re.MULTILINE), done.stdout
    assert {path.name for path in (tmp_path / "build").iterdir()} == {
        "notebook",
        *(f"chip-{seed}.npz" for seed in (1, 2, 3)),
    }


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    done = run(FOLDER / f"{name}.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert re.search(SAID[name], done.stdout), done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"build", "cache"}
    if name == "two_chips":  # of one core, and not one network twice
        first, second = (np.load(tmp_path / f"build/chip-{seed}.npz")["words"] for seed in (1, 2))
        assert len(first) == len(second)
        assert first[0] == second[0]
        assert first[-1] != second[-1]
