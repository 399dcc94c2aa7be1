"""The gate, `.ci/run`, runs everything there is, and lets no test be skipped unseen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
RUN = (ROOT / ".ci/run").read_text()
# Hours; what registries have, and what is known of it, changes from day to day.
NOT_IN_THE_GATE = {"benchmark", "lock", "sbom", "audit"}


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None
    return found[1]


def test_every_target_is_made() -> None:
    named = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert named is not None
    assert set(named[1].split()) - NOT_IN_THE_GATE == set(re.findall(r"make ([a-z][\w-]*)", RUN))


@pytest.mark.parametrize("target", ["benchmark", "benchmark-small"])
def test_every_benchmark_runs(target: str) -> None:
    scripts = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py")}
    assert scripts == set(re.findall(r"benchmarks/\w+\.py", recipe(target)))


def test_system_packages_are_stated() -> None:
    installed = re.search(r"apt-get -qq install .*recommends (.*)$", RUN, re.MULTILINE)
    assert installed is not None
    stated = " ".join((ROOT / "README.md").read_text().split())
    *first, last = installed[1].split()
    assert f"the packages {', '.join(first)} and {last})" in stated


SKIPS = """
import pytest

def test_good():
    pass

@pytest.mark.skipif(True, reason="root may read everything")
def test_as_user():
    pass
"""
MORE = """
def test_with_tool():
    pytest.skip("no such tool here")
"""


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(SKIPS, ["--no-skips"], 0), (SKIPS + MORE, [], 0), (SKIPS + MORE, ["--no-skips"], 1)],
    ids=["allowed", "unasked", "refused"],
)
def test_a_skip_fails_the_run(text: str, options: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no_skips", "-n", "1", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("not to be skipped: no such tool here" in done.stdout) == (code == 1)
