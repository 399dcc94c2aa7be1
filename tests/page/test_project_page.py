"""The page of a project: what it shows, how it looks, and that it is the project's."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from browser import NOTHING, WIDTHS, browser, look, window
from projects import MINE
from samples import samples
from synq.chip import Conditions
from synq.device import load_device
from synq.errors import SynqError
from synq.exporting import ChipChoice, Destination, export
from synq.learn.data.load import Data
from synq.learn.prepare import Source
from synq.learn.train import RECIPES
from synq.network import QuantizedNetwork
from synq.page.document import percent, signed
from synq.page.facts import FACTS, Facts, facts_from_json
from synq.page.many_chips import CHIPS, chips_from_json, read_chips
from synq.page.project_page import FRESH, PAGE, fresh_page, render_page, write_fresh_page
from synq.progress import SILENT
from synq.project.manifest import MANIFEST, read_manifest, write_manifest
from synq.quantizing import Mapping, Quantization
from synq.report.chips_page import chips_facts
from synq.request import Flow, Request
from synq.score import Task
from synq.synth.reports import project_reports
from synq.variation import Variation
from synq.verifying import read_vectors, verify
from synq.yields import Trial, try_chips
from told import Told

pytestmark = pytest.mark.xdist_group("page")  # one worker makes the projects once

REPORTS = Path(__file__).parents[1] / "synth" / "data" / "reports"
NAME = """a<b>&'"c"""  # of the data, as a file may be called
BOARD = '<img src="http://127.0.0.1:9/x" onerror="alert(1)">'


def make(folder: Path, chip: ChipChoice | None = None) -> Path:
    """A project with Verilog, whose names are hostile, and whose test set has wrong answers."""
    folder.mkdir(exist_ok=True)
    samples(folder, NAME)
    spoil_labels(folder / f"{NAME}.npz")
    board = MINE.replace("A board of mine", BOARD.replace('"', '\\"'))
    (folder / "mine.toml").write_text(board)
    checkpoint, data = folder / f"{NAME}.safetensors", Data(folder / f"{NAME}.npz")
    source = Source(RECIPES["paper"], checkpoint, data, None, folder / "cache")
    board_file, output = str(folder / "mine.toml"), folder / "project"
    place = Destination(board_file, (Flow.RTL,), "Vitis", "io_parallel", output, force=False)
    told = Told()
    output = export(source, "pcmo", Quantization(10), place, Request(), told, chip).output
    stages = ["Choose the designs", "Emit the project", "Compile and run the Verilog"]
    assert told.labels[-4:] == [*stages, "Draw the page"] and told.cut_short == []
    assert ("Program the chip" in told.labels) == (chip is not None)
    return output


def spoil_labels(path: Path) -> None:
    """Every tenth test sample gets another label."""
    with np.load(path) as stored:
        parts = dict(stored)
    parts["y_test"][::10] = (parts["y_test"][::10] + 1) % 4
    np.savez(path, **parts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def of_chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    conditions = Conditions(Variation(0.2, stuck_at_min=0.05))
    return make(tmp_path_factory.mktemp("chip"), ChipChoice(None, 7, conditions))


@pytest.fixture(scope="module")
def many(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many chips of `made`, as `synq chips` leaves it."""
    folder = tmp_path_factory.mktemp("many")
    network = QuantizedNetwork.from_npz(made / "network.npz")
    inputs, labels = read_vectors(made / "vectors.npz", network, Task.CLASSIFICATION)
    device, conditions = load_device("pcmo"), Conditions(Variation(0.2, stuck_at_min=0.05))
    trial = Trial(network, device, Quantization(10), inputs, labels, Task.CLASSIFICATION)
    with try_chips(trial, conditions, 30, 70.0, 3, None, None, SILENT) as result:
        facts = chips_facts(result, trial, conditions, NAME)
    (folder / CHIPS).write_bytes(facts.to_json())
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


def with_reports(project: Path) -> Path:
    """The project, as if tools had run."""
    reports = project / "flow" / "reports"
    reports.mkdir(parents=True)
    for name in (
        "yosys_0.70_xc7z020.json",
        "vivado_2019.2_xc7z020_utilization_placed.rpt",
        "vivado_2019.2_xc7z020_timing_summary_routed.rpt",
    ):
        shutil.copy(REPORTS / name, reports)
    return project


def facts_of(project: Path) -> Facts:
    return facts_from_json((project / FACTS).read_bytes())


def drawn(project: Path, facts: Facts) -> str:
    network = QuantizedNetwork.from_npz(project / "network.npz")
    return render_page(facts, network, {"synq": "0"}, {}).decode()


# ---- How it looks -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wrong_with_it(made: Path, chromium: Browser, width: int, scheme: str) -> None:
    assert look(chromium, made / PAGE, "project", width, scheme) == NOTHING


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_nothing_is_wrong_with_reports_and_a_chip(
    of_chip: Path, tmp_path: Path, chromium: Browser, width: int, scheme: str
) -> None:
    project = with_reports(shutil.copytree(of_chip, tmp_path / "project"))
    assert look(chromium, write_fresh_page(project), "chip", width, scheme) == NOTHING


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1920, "dark")])
def test_nothing_is_wrong_with_many_chips(
    project: Path, many: Path, chromium: Browser, width: int, scheme: str
) -> None:
    page = write_fresh_page(with_reports(project), many)
    assert look(chromium, page, "many", width, scheme) == NOTHING


SPOILT = {
    "a request": ("<h2>Device</h2>", '<h2>Device</h2><img alt="" src="other.png">'),
    "a message": ("<h2>Device</h2>", "<h2>Device</h2><script>console.log(1)</script>"),
    "too wide": ("<h2>Device</h2>", '<h2>Device</h2><p style="min-width: 3000px">wide</p>'),
    "no alternative": ('alt="Test sample', 'data-alt="Test sample'),
    "no contrast": ("<h2>Device</h2>", '<h2 style="color: #eee; background: #fff">Device</h2>'),
    "no language": ('<html lang="en">', "<html>"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_is_wrong_is_seen(made: Path, tmp_path: Path, chromium: Browser, fault: str) -> None:
    text = (made / PAGE).read_text()
    old, new = SPOILT[fault]
    assert old in text
    # The page's own policy would stop a script, and say so; here its effect is wanted.
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    (tmp_path / "spoilt.html").write_text(policy.sub("", text.replace(old, new)))
    assert look(chromium, tmp_path / "spoilt.html", "spoilt", 1280, "light") != NOTHING


def test_the_policy_stops_what_is_slipped_in(made: Path, tmp_path: Path, chromium: Browser) -> None:
    text = (made / PAGE).read_text()
    script = "<h2>Device</h2><script>document.title = 'taken'</script>"
    page = tmp_path / "taken.html"
    page.write_text(text.replace("<h2>Device</h2>", script))
    with window(chromium) as shown:
        shown.goto(page.as_uri())
        assert shown.title() != "taken"
    page.write_text(re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()))
    with window(chromium) as shown:
        shown.goto(page.as_uri())
        assert shown.title() == "taken"  # so the script does what it says


def test_printed_it_is_light_and_whole(made: Path, chromium: Browser) -> None:
    with window(chromium, scheme="dark") as page:
        page.goto((made / PAGE).as_uri())
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert not page.get_by_text("vectors.npz").is_visible()
        page.emulate_media(media="print")
        printed = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark, printed) == ("rgb(19, 23, 28)", "rgb(255, 255, 255)")
        assert not page.locator("nav").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_names_are_text(made: Path, chromium: Browser) -> None:
    """Those of the data and the board, which are elements if they are not escaped."""
    with window(chromium) as page:
        page.goto((made / PAGE).as_uri())
        assert page.locator("h1").inner_text() == f"{NAME}-pcmo-L10-mine"
        assert BOARD in page.locator(".kicker").inner_text()
        assert page.locator("script").count() == 0
        assert page.locator("img[onerror]").count() == 0


# ---- What it shows ------------------------------------------------------------------------------


class Text(HTMLParser):
    """The text of a page, without its style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.within.append(tag)

    def handle_data(self, data: str) -> None:
        if self.within[-1:] != ["style"]:
            self.parts.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.parts).split())


def test_it_shows_what_the_manifest_states(made: Path) -> None:
    manifest, text = read_manifest(made), str(Text((made / PAGE).read_text()))
    for score in manifest["accuracy"].values():
        assert f"{score:.2f}" in text
    assert f"{manifest['bit_exact']['compared']['rtl']:,}" in text
    estimate = manifest["designs"]["rtl"]["estimate"]
    for name in ("lut", "ff", "bram_18k", "dsp"):
        assert f"{estimate['resources'][name]:,}" in text
    for array in manifest["network"]["arrays"]:
        for value in array["codebook"]:
            assert str(value) in text
    for name, digest in manifest["files"].items():
        assert name == PAGE or digest in text
    assert "beside the paper" not in text.lower()  # which has no such network


def test_answers_are_those_of_the_network(made: Path) -> None:
    """Every sample, and the confusion matrix, from the files alone."""
    facts = facts_of(made)
    with np.load(made / "vectors.npz") as vectors:
        inputs, labels = vectors["inputs"], vectors["labels"]
    network = QuantizedNetwork.from_npz(made / "network.npz")
    classes = network.run(inputs).classes
    expected = np.zeros((4, 4), dtype=np.int64)
    np.add.at(expected, (labels, classes), 1)
    assert facts.answers.confusion == tuple(expected.ravel().tolist())
    assert facts.answers.wrong == np.count_nonzero(classes != labels) > 15
    right = [sample.label == sample.answer for sample in facts.answers.samples]
    assert right == sorted(right) and len(right) == 24 - max(0, 24 - facts.answers.wrong) + 8
    for sample in facts.answers.samples:
        assert (sample.label, sample.answer) == (labels[sample.index], classes[sample.index])
    margins = [sample.margin for sample in facts.answers.samples if sample.label != sample.answer]
    assert margins == sorted(margins, reverse=True) and margins[-1] >= 0


def test_what_tools_report_stands_beside_the_estimate(project: Path) -> None:
    before = fresh_page(project, project_reports(project))
    assert before == (project / PAGE).read_bytes()
    page = write_fresh_page(with_reports(project))
    assert page == project / FRESH
    text = str(Text(page.read_text()))
    assert "Yosys, synthesized" in text and "4,391" in text
    assert "Vivado timing" in text and "timing" in text
    assert "No tool has reported" in before.decode() and "No tool has reported" not in text
    # Vivado's reports are of the HLS core, of which this project has none: only in the table
    assert "Vivado, placed" not in text
    assert "flow/reports/yosys_0.70_xc7z020.json" in text


def test_a_chip_has_its_cells(of_chip: Path, made: Path) -> None:
    text, facts = str(Text((of_chip / PAGE).read_text())), facts_of(of_chip)
    assert "The project is of chip 7" in text and facts.chip.cells == 2 * (36 * 8 + 8 * 4)
    assert sum(facts.chip.counts) == sum(facts.chip.states) == facts.chip.cells
    assert facts.chip.states[1] > 5 and "stuck at min" in text
    assert "stuck at min" not in (made / PAGE).read_text()


def test_many_chips_are_shown_where_they_are_given(project: Path, many: Path) -> None:
    plain = write_fresh_page(project).read_bytes()
    facts = read_chips(many)
    text = write_fresh_page(project, many).read_text()
    for what in ('id="chips"', "Yield", "Sensitivity", "device to device", "The worst one is chip"):
        assert what in text and (what == "Yield" or what.encode() not in plain)
    assert f"{100 * facts.result.good / 30:.1f}" in text
    assert NAME not in text  # escaped
    assert write_fresh_page(project).read_bytes() == plain


def test_chips_are_read_as_written(many: Path) -> None:
    content = (many / CHIPS).read_bytes()
    assert chips_from_json(content).to_json() == content


def test_chips_of_another_network_are_refused(of_chip: Path, many: Path) -> None:
    before = sorted(of_chip.rglob("*"))
    with pytest.raises(SynqError, match=r"the chips are not of .*: their network is"):
        write_fresh_page(of_chip, many)
    assert sorted(of_chip.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "synq-chips-9"}, "its format is not"),
        ({"scores": []}, "scores contradict"),
        ({"scores": ["<b>"]}, "scores"),
        ({"threshold": [1.0, 2.0]}, "scores contradict"),
        ({"task": "<script>"}, "task contradict"),
        ({"samples": -1}, "samples"),
        ({"more": 1}, "more"),
    ],
)
def test_damaged_chips_are_refused(
    many: Path, project: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    told = json.loads((many / CHIPS).read_bytes())
    (tmp_path / CHIPS).write_text(json.dumps({**told, **changes}))
    with pytest.raises(SynqError, match=f"is damaged .*{message}.*run synq chips again"):
        write_fresh_page(project, tmp_path)
    assert not (project / FRESH).exists()


def test_a_folder_without_chips_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"holds no chips\.json: is it what synq chips wrote"):
        write_fresh_page(project, tmp_path)


@pytest.mark.parametrize("mapping", list(Mapping))
def test_other_facts_are_drawn(made: Path, mapping: Mapping) -> None:
    """A regression, samples that are no squares, many levels, and another mapping."""
    facts = facts_of(made)
    many = tuple(np.linspace(-1, 1, 200).tolist())
    other = replace(
        facts,
        task=Task.REGRESSION.value,
        device=replace(facts.device, mapping=mapping.value, levels=many, realized=many),
        answers=replace(
            facts.answers,
            confusion=(),
            classes=0,
            samples=(),
            targets=(0.0, 1.0),
            outputs=(0.1, 0.9),
        ),
    )
    text = drawn(made, facts_from_json(other.to_json()))
    assert "Answers of the hardware" in text and "Commonest mistakes" not in text
    strip = replace(facts.answers, width=36, height=1)
    assert "strips" in drawn(made, replace(facts, answers=strip))


def test_numbers_as_people_read_them() -> None:
    assert [percent(share) for share in (0.0, 0.12345, 0.9999, 2.5)] == [
        "0 %",
        "12.3 %",
        "100 %",
        "250 %",
    ]
    assert [signed(value) for value in (0.5, -0.5)] == ["+0.50", "−0.50"]


# ---- One file, the same bytes -------------------------------------------------------------------


def test_it_is_one_small_file(made: Path) -> None:
    text = (made / PAGE).read_text()
    assert len(text) < 3_000_000
    links = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert links and all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "#010" not in text  # colours that stand for names
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    for used in re.findall(r"url\(#([^)]*)\)", text):
        assert used in ids


def test_the_users_settings_of_matplotlib_change_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 40\nsvg.hashsalt: mine\n")
    code = (
        "import sys; from pathlib import Path; from synq.page.project_page import fresh_page;"
        "sys.stdout.buffer.write(fresh_page(Path(sys.argv[1]), []))"
    )
    settings = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    settings |= {"LC_ALL": "C", "TZ": "Asia/Seoul"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(made)],
        capture_output=True,
        check=True,
        env={**os.environ, **settings},
    )
    assert run.stdout == (made / PAGE).read_bytes()


# ---- It is the project's ------------------------------------------------------------------------


def mend(project: Path, **changes: Any) -> None:
    """Write the manifest anew, so that it vouches for whatever is there."""
    manifest = read_manifest(project)
    del manifest["files"]
    (project / MANIFEST).unlink()
    write_manifest(project, {**manifest, **changes})


def test_verify_draws_it_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fresh_page(with_reports(project))
    told = Told()
    found = verify(project, told)
    assert told.labels[-2:] == ["Render the files anew", "Compile and run the Verilog"]
    assert told.cut_short == []
    monkeypatch.setattr("synq.page.project_page.drawn_by", lambda: "matplotlib 9")
    assert verify(project, SILENT).rendered == found.rendered - 1


def test_a_page_that_says_more_is_noticed(project: Path) -> None:
    page = project / PAGE
    page.write_text(page.read_text().replace("Bit-exact", "Bit-exacter", 1))
    with pytest.raises(SynqError, match=r"report\.html has changed"):
        verify(project, SILENT)
    mend(project)
    with pytest.raises(SynqError, match=r"report\.html is not what report\.json gives"):
        verify(project, SILENT)


def test_facts_that_say_more_are_noticed(project: Path) -> None:
    facts = facts_of(project)
    better = tuple(replace(stage, score=99.99) for stage in facts.stages)
    (project / FACTS).write_bytes(replace(facts, stages=better).to_json())
    with pytest.raises(SynqError, match=r"report\.json has changed"):
        fresh_page(project, [])
    mend(project)
    (project / PAGE).write_bytes(fresh_page(project, []))
    mend(project)
    with pytest.raises(SynqError, match=r"report\.json states other scores"):
        verify(project, SILENT)


@pytest.mark.parametrize("name", [PAGE, FACTS])
def test_a_page_that_is_gone_is_noticed(project: Path, name: str) -> None:
    (project / name).unlink()
    with pytest.raises(SynqError, match=re.escape(f"{name} is missing")):
        verify(project, SILENT)
    mend(project)
    with pytest.raises(SynqError, match="is not as exported"):
        verify(project, SILENT)


def test_another_page_is_refused(project: Path) -> None:
    (project / "report2.html").write_text("mine")
    with pytest.raises(SynqError, match=r"report2\.html was added"):
        verify(project, SILENT)


# ---- Damaged facts ------------------------------------------------------------------------------


DAMAGED = {
    "nothing": lambda told: None,
    "another format": lambda told: told.update(format="synq-report-0"),
    "a stage less": lambda told: told.update(stages=told["stages"][1:]),
    "no design": lambda told: told.update(designs=[]),
    "two chosen": lambda told: (
        [each.update(chosen=True) for each in told["designs"]] * 2
        and told["designs"].append(told["designs"][0])
    ),
    "no interval": lambda told: told["designs"][0].update(interval=0),
    "another task": lambda told: told.update(task="driving"),
    "half a picture": lambda told: told["answers"]["samples"][0].update(pixels="AAAA"),
    "no picture": lambda told: told["answers"]["samples"][0].update(pixels="<script>"),
    "a class too many": lambda told: told["answers"].update(classes=5),
    "no window": lambda told: told["device"].update(low=1.0, high=0.5),
    "a level less": lambda told: told["device"].update(levels=told["device"]["levels"][1:]),
    "an endless number": lambda told: told.update(spread=float("inf")),
    "no number": lambda told: told.update(spread=float("nan")),
    "a word for a number": lambda told: told.update(images="many"),
    "two lines": lambda told: told.update(title="a\nb"),
    "something more": lambda told: told.update(more=1),
    "resources of another board": lambda told: told["board"].update(resources=[1, 2]),
    "no clock": lambda told: told["board"].update(clock_ns=0.0),
    "cells without a map": lambda told: told["chip"].update(cells=7),
}


@pytest.mark.parametrize("how", [how for how in DAMAGED if how != "nothing"])
def test_damaged_facts_are_refused(project: Path, how: str) -> None:
    told = json.loads((project / FACTS).read_bytes())
    DAMAGED[how](told)
    (project / FACTS).write_text(json.dumps(told))
    mend(project)
    with pytest.raises(SynqError, match=r"report\.json is damaged") as caught:
        fresh_page(project, [])
    assert "\n" not in str(caught.value)


def test_facts_that_are_no_json_or_too_many_are_refused(project: Path) -> None:
    for content in (b"", b"[" * 100_000, b"{}", b"\xff", b" " * (9 << 20)):
        with pytest.raises(ValueError):
            facts_from_json(content)


def test_facts_are_read_as_written(made: Path, of_chip: Path) -> None:
    for project in (made, of_chip):
        facts = facts_of(project)
        assert facts_from_json(facts.to_json()) == facts


def test_a_project_of_an_older_synq_has_no_page(project: Path) -> None:
    (project / FACTS).unlink()
    mend(project)
    with pytest.raises(SynqError, match=r"has no report\.json: export it again"):
        fresh_page(project, [])


def test_facts_of_another_network_are_refused(project: Path) -> None:
    facts = facts_of(project)
    (project / FACTS).write_bytes(replace(facts, weights=facts.weights[:1]).to_json())
    mend(project)
    with pytest.raises(SynqError, match="of another network"):
        fresh_page(project, [])
