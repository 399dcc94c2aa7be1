"""The pages of a sweep and of many chips."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from browser import NOTHING, browser, look
from samples import samples
from sweeps import AXES, Here, finished, points_of
from synq.chip import Conditions, Programming
from synq.device import load_device
from synq.learn.prepare import software_score
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network
from synq.report.chips_page import chips_facts, render_chips, worst_chip
from synq.report.sweep_page import render_sweep
from synq.score import Task
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Axes, Trained
from synq.sweeping.summary import Sweep
from synq.variation import Variation
from synq.yields import Trial, Yield, try_chips

HOSTILE = '<img src="x" onerror="alert(1)">'
CONDITIONS = Conditions(
    Variation(0.2, 0.01, 0.02, 0.02, 0.05, 0.02, 1.0), Programming.OPEN_LOOP, time_s=1e4
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    network, dataset = samples(tmp_path_factory.mktemp("materials"))
    trained = Trained(0, network, software_score(network, dataset))
    return Materials(dataset, (trained, replace(trained, seed=1)))


def swept(materials: Materials, axes: Axes = AXES, broken: bool = False) -> Sweep:
    evaluate = Here(materials, lambda point: broken and point.choice.levels == 6)
    return finished(materials, list(evaluate(points_of(materials, axes))), axes)


def tried(materials: Materials) -> Trial:
    dataset, device, choice = materials.dataset, load_device("pcmo"), Quantization(10)
    network = materials.trained[0].network
    design = quantize_network(network, choice, device, dataset.input_format, dataset.train_inputs)
    inputs, labels = dataset.test_inputs, dataset.test_labels
    return Trial(design, device, choice, inputs, labels, Task.CLASSIFICATION)


def measured(trial: Trial, threshold: float | None = None, sensitivity: int = 0) -> Yield:
    with try_chips(trial, CONDITIONS, 30, threshold, sensitivity, None, None, SILENT) as found:
        return found


def checked(page: bytes) -> str:
    """The page's text, one file that asks for nothing."""
    text = page.decode()
    links = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert links and all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids)) and "#010" not in text
    return text


def test_a_sweep_shows_every_cell(materials: Materials) -> None:
    sweep = swept(materials)
    page = render_sweep(sweep)
    assert page == render_sweep(swept(materials))
    text = checked(page)
    for curve in sweep.curves:
        for cell in curve.cells:
            assert f"{cell.mean:.2f}" in text
    assert "0 failed" in text and "Beside the paper" not in text


def test_failed_points_are_said(materials: Materials) -> None:
    text = checked(render_sweep(swept(materials, broken=True)))
    assert "4 failed" in text and "a cosmic ray" in text


def test_a_sweep_in_which_everything_failed_has_a_page(materials: Materials) -> None:
    evaluate = Here(materials, lambda _: True)
    text = checked(render_sweep(finished(materials, list(evaluate(points_of(materials))))))
    assert "a cosmic ray" in text


def test_names_in_a_sweep_are_text(materials: Materials) -> None:
    sweep = swept(materials)
    text = render_sweep(replace(sweep, dataset=replace(sweep.dataset, name=HOSTILE))).decode()
    assert HOSTILE not in text and "&lt;img" in text


def test_chips_show_yield_sensitivity_and_the_worst(materials: Materials) -> None:
    trial = tried(materials)
    result = measured(trial, 80.0, 2)
    text = checked(render_chips(chips_facts(result, trial, CONDITIONS, HOSTILE)))
    assert text.encode() == render_chips(chips_facts(result, trial, CONDITIONS, HOSTILE))
    assert f"{100 * result.good / 30:.1f}" in text and HOSTILE not in text
    for name, strengths in result.sensitivity.items():
        assert name in text and f"{strengths[1].mean:.2f}" in text
    worst = worst_chip(result, trial, CONDITIONS)
    assert worst.seed == int(np.argmin(result.scores))
    assert trial.score(worst.network) == result.worst
    assert f"The worst one is chip {worst.seed}" in text


def test_chips_without_threshold_and_sensitivity(materials: Materials) -> None:
    trial = tried(materials)
    text = checked(render_chips(chips_facts(measured(trial), trial, CONDITIONS, "mine")))
    assert 'id="sensitivity"' not in text and "Each effect" not in text
    assert ">threshold<" not in text


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark"), (1920, "light")])
def test_nothing_is_wrong_with_them(
    materials: Materials, chromium: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    trial = tried(materials)
    pages = {
        "sweep": render_sweep(swept(materials)),
        "chips": render_chips(chips_facts(measured(trial, 80.0, 1), trial, CONDITIONS, "mine")),
    }
    for name, content in pages.items():
        (tmp_path / f"{name}.html").write_bytes(content)
        assert look(chromium, tmp_path / f"{name}.html", name, width, scheme) == NOTHING
