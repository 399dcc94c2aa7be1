"""`synq show`, `synq diff` and `synq report --open`, as a user runs them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samples import samples

pytestmark = pytest.mark.xdist_group("pages")  # one worker makes the projects once

SYNQ = str(Path(sys.executable).parent / "synq")
REPORTS = Path(__file__).parents[1] / "synth" / "data" / "reports"


def run(*arguments: Any, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [SYNQ, *map(str, arguments)]
    settings = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=settings)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Verilog at 10 levels, and the same at 5."""
    folder = tmp_path_factory.mktemp("projects")
    samples(folder)
    given = ["--checkpoint", folder / "mine.safetensors", "--data", folder / "mine.npz"]
    made = {}
    for name, more in {"ten": [], "five": ["--levels", 5]}.items():
        made[name] = folder / name
        done = run("export", *given, "--flow", "rtl", *more, "--output", made[name])
        assert (done.returncode, done.stderr) == (0, "")
    return made


@pytest.fixture
def project(projects: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(projects["ten"], tmp_path / "project")


def test_show_fits_a_screen(projects: dict[str, Path]) -> None:
    shown = run("show", projects["ten"])
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines[:-1])) <= 80  # the last one is a path
    assert lines[0] == "mine-pcmo-L10-pynq-z2"
    assert lines[-1] == f"Page: {projects['ten'] / 'report.html'}"
    told = json.loads(run("show", projects["ten"], "--json").stdout)
    manifest = json.loads((projects["ten"] / "manifest.json").read_text())
    assert told["accuracy"] == manifest["accuracy"]
    assert told["bit_exact"] == manifest["bit_exact"]
    assert told["levels"] == 10 and told["chip"] is None
    assert f"{manifest['accuracy']['rtl']:.2f}" in shown.stdout


def test_diff_says_what_changed(projects: dict[str, Path]) -> None:
    shown = run("diff", projects["ten"], projects["five"])
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in ("quantization.levels", "effective levels", "hold another weight", "rtl: lut"):
        assert words in shown.stdout
    told = json.loads(run("diff", projects["ten"], projects["five"], "--json").stdout)
    assert not told["same"]
    levels = [each for each in told["made_from"] if each["name"] == "quantization.levels"]
    assert levels == [{"name": "quantization.levels", "first": "10", "second": "5"}]
    manifests = [json.loads((each / "manifest.json").read_text()) for each in projects.values()]
    scores = {each["stage"]: (each["first"], each["second"]) for each in told["scores"]}
    expected = [manifest["accuracy"]["rtl"] for manifest in manifests]
    assert scores["rtl"] == tuple(expected)
    assert all(0 < each["moved"] <= each["synapses"] for each in told["arrays"])


def test_diff_of_the_same(projects: dict[str, Path], project: Path) -> None:
    shown = run("diff", projects["ten"], project)
    assert shown.stdout.startswith("The same: all ") and shown.returncode == 0
    told = json.loads(run("diff", projects["ten"], project, "--json").stdout)
    assert told["same"] and told["arrays"] == [] and told["files"] == told["same_files"]


def browser(folder: Path) -> dict[str, str]:
    """One that writes down what it is to open."""
    script = folder / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > "{folder}/opened"\n')
    script.chmod(0o755)
    return {"BROWSER": f"{script} %s", "DISPLAY": ""}


def test_report_opens_the_page(project: Path, tmp_path: Path) -> None:
    """Without reports it is that of the export; with some, they are in it."""
    opened, page = tmp_path / "opened", project / "flow" / "report.html"
    shown = run("report", project, "--open", **browser(tmp_path))
    assert (shown.returncode, shown.stderr, shown.stdout) == (0, "", f"Page: {page}\n")
    assert opened.read_text() == page.as_uri()
    assert page.read_bytes() == (project / "report.html").read_bytes()
    (project / "flow" / "reports").mkdir()
    shutil.copy(REPORTS / "yosys_0.70_xc7z020.json", project / "flow/reports/yosys.json")
    shown = run("report", project, "--open", **browser(tmp_path))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Yosys synthesis" in shown.stdout and shown.stdout.endswith(f"Page: {page}\n")
    assert "Yosys, synthesized" in page.read_text()
    assert run("show", project).stdout.endswith(f"Page: {page}\n")
    assert run("verify", project).returncode == 0


def test_report_shows_chips(project: Path, tmp_path: Path) -> None:
    made = ["--device-to-device", 0.1, "--count", 4, "--sensitivity", 1, "--threshold", 70]
    done = run("chips", project, *made, "--output", tmp_path / "chips", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown = run("report", project, "--open", "--chips", tmp_path / "chips", **browser(tmp_path))
    assert (shown.returncode, shown.stderr) == (0, "")
    page = (project / "flow" / "report.html").read_text()
    assert 'id="chips"' in page and "4 chips of " in page and "device to device" in page


def test_a_report_that_is_cut_off_opens_nothing(project: Path, tmp_path: Path) -> None:
    (project / "flow" / "reports").mkdir(parents=True)
    whole = (REPORTS / "yosys_0.70_xc7z020.json").read_bytes()
    (project / "flow/reports/yosys.json").write_bytes(whole[: len(whole) // 2])
    refused = run("report", project, "--open", **browser(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1 and "yosys.json" in refused.stderr
    assert not (tmp_path / "opened").exists() and not (project / "flow/report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "{empty}"], 1, "is it a synq project?"),
        (["diff", "{project}", "{empty}"], 1, "is it a synq project?"),
        (["report", "{empty}", "--open"], 1, "is it a synq project?"),
        (["report", "{project}", "--chips", "{empty}"], 2, "add --open"),
        (["report", "{project}", "--open", "--chips", "{empty}"], 1, "holds no chips.json"),
        (["report", "{project}", "{project}", "--open"], 2, "give its folder alone"),
        (["report", "{project}/manifest.json", "--open"], 2, "give its folder alone"),
        (["show", "{spoilt}"], 1, "report.json has changed"),
        (["diff", "{project}", "{spoilt}"], 1, "report.json has changed"),
    ],
)
def test_mistakes_are_one_line(
    project: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    spoilt = shutil.copytree(project, tmp_path / "spoilt")
    with (spoilt / "report.json").open("a") as file:
        file.write(" ")
    places = {"empty": tmp_path / "empty", "project": project, "spoilt": spoilt}
    refused = run(*(each.format(**places) for each in arguments), **browser(tmp_path))
    assert (refused.returncode, refused.stdout) == (code, "")
    assert refused.stderr.count("\n") == 1 and said in refused.stderr
