"""What comes out of a sweep."""

import csv
import io
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweeps import Here, finished, points_of
from synq.cache import default_cache_dir
from synq.device import Branch
from synq.learn.data.dataset import Dataset
from synq.learn.train import RECIPES, trained_network
from synq.progress import SILENT
from synq.quantizing import Method, Quantization
from synq.report.figures import pareto_front, render_figures
from synq.results import open_results
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Axes, Trained, parse_levels
from synq.sweeping.run import SWEEP, run_sweep
from synq.sweeping.summary import Sweep
from synq.workers.processes import local_processes


@pytest.fixture(scope="module")
def done(small: Materials, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    methods = (Method.PROPOSED, Method.NEAREST)
    axes = Axes((5, 6, 10), methods, (Branch.LTP, Branch.LTD), input_bits=(2, 8))
    with open_results(tmp_path_factory.mktemp("done") / "results.jsonl", SWEEP) as results:
        outcomes = run_sweep(points_of(small, axes), Here(small), results, SILENT)
    return finished(small, outcomes, axes)


def test_seeds_have_mean_deviation_and_best(done: Sweep) -> None:
    curve = done.curves[0]
    cell = curve.at(6)
    assert cell is not None
    accuracies = [
        outcome.result.reference
        for outcome in done.outcomes
        if outcome.result is not None
        and outcome.piece.choice == Quantization(6, Method.PROPOSED, input_bits=2)
    ]
    assert cell.seeds == len(accuracies) == 3
    assert cell.mean == pytest.approx(statistics.fmean(accuracies), abs=1e-4)
    assert cell.deviation == pytest.approx(statistics.stdev(accuracies), abs=1e-4)
    assert cell.best == max(accuracies)
    assert done.software[2] == 100.0


def test_a_curve_is_named_by_what_varies(done: Sweep) -> None:
    labels = [curve.label for curve in done.curves]
    assert labels[0] == "proposed, ltp, 2-bit inputs"
    assert len(labels) == len(set(labels)) == 2 * 2 * 2
    nearest = next(curve for curve in done.curves if curve.method is Method.NEAREST)
    assert nearest.at(5) == nearest.at(10) is not None


def test_csv_and_json_agree(done: Sweep) -> None:
    rows = list(csv.DictReader(io.StringIO(done.to_csv().decode())))
    content = json.loads(done.to_json())
    assert len(rows) == len(content["points"]) == len(done.outcomes)
    for row, point in zip(rows, content["points"], strict=True):
        for name, text in row.items():
            value = point[name]
            if isinstance(value, list):
                assert text == " ".join(map(str, value))
            else:
                assert text == ("" if value is None else str(value))
    for curve in content["curves"]:
        for cell in curve["cells"]:
            matching = [
                float(row["reference"])
                for row in rows
                if row["levels"] == str(cell["levels"] or "")
                and all(
                    row[name] == str(curve[name]) for name in ("method", "branch", "input_bits")
                )
            ]
            assert cell["mean"] == pytest.approx(statistics.fmean(matching), abs=1e-4)


def test_files_are_deterministic(done: Sweep) -> None:
    other = Sweep(
        done.dataset,
        done.device,
        done.trained,
        done.axes,
        tuple(
            replace(outcome, result=outcome.result and replace(outcome.result, seconds=9))
            for outcome in done.outcomes
        ),
    )
    figures = render_figures(done)
    assert sorted(figures) == ["figure2.png", "figure2.svg", "pareto.png", "pareto.svg"]
    assert figures == render_figures(other)
    assert (done.to_json(), done.to_csv()) == (other.to_json(), other.to_csv())
    for name, content in figures.items():
        assert len(content) > 10_000
        for word in (b"matplotlib.org", b"Software", b"<dc:date>"):
            assert word not in content, name


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(1.0, 50.0), (2.0, 40.0), (2.0, 60.0), (3.0, 60.0), (4.0, 90.0)]
    assert pareto_front(points) == [0, 2, 4]
    assert pareto_front([]) == []


def test_the_proposed_method_is_better_and_the_gap_shrinks(mnist: Dataset, tmp_path: Path) -> None:
    network, _ = trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)
    real = mnist.test_inputs * np.float32(mnist.input_format.step)
    trained = Trained(0, network, network.accuracy(real, mnist.test_labels))
    axes = Axes(parse_levels("5:25:5"), (Method.PROPOSED, Method.SAMPLING))
    materials = Materials(mnist, (trained,))
    with (
        local_processes(materials) as evaluate,
        open_results(tmp_path / "r.jsonl", SWEEP) as results,
    ):
        outcomes = run_sweep(points_of(materials, axes), evaluate, results, SILENT)
    done = finished(materials, outcomes, axes)
    proposed, sampling = done.curves
    gaps = [
        better.mean - worse.mean
        for better, worse in zip(proposed.cells, sampling.cells, strict=True)
    ]
    assert min(gaps) >= 0
    assert gaps[0] > gaps[-1]
    at_10 = proposed.at(10)
    assert at_10 is not None
    assert done.software[0] - at_10.mean < 1  # "less than 1 point below software"
    assert [each.ours is not None for each in done.paper] == [True] * 4


def test_a_file_called_mnist_is_not_compared_with_the_paper(done: Sweep) -> None:
    other = replace(done, dataset=replace(done.dataset, name="mnist"))
    assert other.paper == []
    assert other.to_dict()["paper"] == []
    assert render_figures(other)["figure2.svg"].count(b"paper") == 0
