"""Sweeps: what is evaluated, what is kept, and that it does not matter where it ran."""

import csv
import io
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synq import sweep as flow
from synq.board import load_board
from synq.cache import default_cache_dir
from synq.device import Branch, load_device
from synq.errors import SynqError, UsageError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.dataset import Dataset
from synq.learn.data.npz import load_npz
from synq.learn.train import FINETUNING, RECIPES, trained_network
from synq.progress import SILENT
from synq.quantize import Method, Quantization, quantize_network
from synq.report.figures import pareto_front, render_figures
from synq.sweep import (
    Axes,
    Materials,
    Outcome,
    Point,
    PointResult,
    Sweep,
    Trained,
    dask_cluster,
    evaluate,
    local_processes,
    make_points,
    parse_levels,
    read_results,
    run_sweep,
)

BIN = Path(sys.executable).parent
DEVICE = load_device("pcmo")
BOARD = load_board("pynq-z2")
AXES = Axes((5, 6, 10), (Method.PROPOSED, Method.SAMPLING, Method.NEAREST))


# ---- A small network, several seeds of it -------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    """Random 20-8-3 networks, and random inputs labelled by the first of them."""
    rng = np.random.default_rng(7)
    networks = [
        FloatNetwork(
            tuple(rng.normal(size=shape).astype(np.float32) for shape in ((20, 8), (8, 3))),
            (None, None),
        )
        for _ in range(3)
    ]
    train, test = rng.random((300, 20)), rng.random((200, 20))
    path = tmp_path_factory.mktemp("small") / "small.npz"
    np.savez(
        path,
        x_train=train,
        x_test=test,
        y_train=networks[0].logits(train).argmax(axis=1),
        y_test=networks[0].logits(test).argmax(axis=1),
    )
    save_checkpoint(networks[0], path.with_suffix(".safetensors"), {})
    dataset = load_npz(path)
    real = dataset.test_inputs * np.float32(dataset.input_format.step)
    return Materials(
        dataset,
        tuple(
            Trained(seed, network, round(network.accuracy(real, dataset.test_labels), 4))
            for seed, network in enumerate(networks)
        ),
    )


def points_of(materials: Materials, axes: Axes = AXES) -> list[Point]:
    return make_points(
        axes, Quantization(5), None, materials.dataset, materials.trained, DEVICE, BOARD
    )


class Here:
    """Evaluates at once, and remembers what; fails where it is told to."""

    def __init__(self, materials: Materials, broken: Callable[[Point], bool] = lambda _: False):
        self.materials, self.broken = materials, broken
        self.evaluated: list[Point] = []

    def __call__(self, point: Point) -> "Future[PointResult]":
        future: Future[PointResult] = Future()
        self.evaluated.append(point)
        if self.broken(point):
            future.set_exception(SynqError("a cosmic ray"))
        else:
            future.set_result(evaluate(point, self.materials))
        return future


class Hook:
    """A progress that calls back with how much is done."""

    def __init__(self, callback: Callable[[float], None]) -> None:
        self.callback = callback

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator["Hook"]:
        yield self

    def update(self, done: float, detail: str = "") -> None:
        self.callback(done)


def interrupt_at(count: int) -> Hook:
    def callback(done: float) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return Hook(callback)


def finished(materials: Materials, outcomes: Sequence[Outcome], axes: Axes = AXES) -> Sweep:
    return Sweep(materials.dataset, DEVICE, materials.trained, axes, tuple(outcomes))


def without_seconds(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [
        replace(outcome, result=outcome.result and replace(outcome.result, seconds=0))
        for outcome in outcomes
    ]


# ---- What is swept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("5:25", tuple(range(5, 26))),
        ("5,10,15", (5, 10, 15)),
        ("5:25:5", (5, 10, 15, 20, 25)),
        ("5:9:3", (5, 8)),
        ("10", (10,)),
        (" 10, 5:6 ,10", (5, 6, 10)),
        ("2,256", (2, 256)),
    ],
)
def test_levels_are_parsed(text: str, levels: tuple[int, ...]) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "a", "5:", ":5", "5;6", "1.5", "5\n6", "5:6:7:8"),  # not levels
        *("1", "257", "25:5", "5:25:0", "5:25:-1", "2:999999999999"),  # not these
    ],
)
def test_a_wrong_level_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_levels(text)
    assert "levels must" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_points_are_all_combinations_and_nearest_once(small: Materials) -> None:
    axes = replace(AXES, branches=(Branch.LTP, Branch.LTD), input_bits=(4, 8))
    points = points_of(small, axes)
    assert len(points) == len({point.key for point in points}) == 2 * 2 * 3 * (3 + 3 + 1)
    assert {point.levels for point in points if point.choice.method is Method.NEAREST} == {None}


def test_finetuning_has_the_seed_of_the_training(small: Materials) -> None:
    axes = Axes((5,), (Method.PROPOSED,), sparsities=(0.5, 0.9))
    points = make_points(
        axes, Quantization(5), FINETUNING, small.dataset, small.trained, DEVICE, BOARD
    )
    seen = {
        (point.sparsity, point.seed, point.finetuning.recipe.seed)
        for point in points
        if point.finetuning is not None
    }
    assert seen == {(sparsity, seed, seed) for sparsity in (0.5, 0.9) for seed in range(3)}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"network": "other"},
        {"device": replace(DEVICE, states=51)},
        {"choice": Quantization(6)},
        {"version": "0"},
    ],
)
def test_the_key_follows_everything(small: Materials, change: dict[str, object]) -> None:
    point = points_of(small)[0]
    assert replace(point, **change).key != point.key  # type: ignore[arg-type]
    assert replace(point).key == point.key


def test_a_point_is_what_quantizing_gives(small: Materials) -> None:
    axes = Axes((5,), (Method.PROPOSED,), input_bits=(8,))
    (point, *_), data = points_of(small, axes), small.dataset
    result = evaluate(point, small)
    network = quantize_network(
        small.trained[0].network, Quantization(5), DEVICE, data.input_format, data.train_inputs
    )
    accuracy = network.run(data.test_inputs).accuracy(data.test_labels)
    assert (result.software, result.reference) == (100.0, round(accuracy, 4))
    assert result.effective_levels == (5, 5)
    assert result.code_bits_total == 3 * (20 * 8 + 8 * 3)
    assert all(0 < share < 1 for share in result.zero_share)


def test_another_version_of_synq_is_refused(small: Materials) -> None:
    with pytest.raises(SynqError, match=r"the sweep is of 0\.0"):
        evaluate(replace(points_of(small)[0], version="0.0"), small)


# ---- What is kept -------------------------------------------------------------------------------


def test_an_interrupted_sweep_evaluates_only_the_rest(small: Materials, tmp_path: Path) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_sweep(points, Here(small), path, interrupt_at(5))
    kept = read_results(path)
    assert len(kept) == 5

    rest = Here(small)
    outcomes = run_sweep(points, rest, path, SILENT)
    assert [point.key for point in rest.evaluated] == [
        point.key for point in points if point.key not in kept
    ]
    at_once = run_sweep(points, Here(small), tmp_path / "other.jsonl", SILENT)
    assert without_seconds(outcomes) == without_seconds(at_once)
    again = Here(small)
    assert run_sweep(points, again, path, SILENT) == outcomes
    assert again.evaluated == []


def test_a_failed_point_is_alone_and_is_tried_again(
    small: Materials, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    broken = points[4]
    with caplog.at_level(logging.WARNING, "synq"):
        outcomes = run_sweep(points, Here(small, lambda point: point == broken), path, SILENT)
    assert [outcome.point for outcome in outcomes if outcome.result is None] == [broken]
    (message,) = caplog.messages
    assert "a cosmic ray" in message
    assert str(broken) in message
    done = finished(small, outcomes)
    errors = [row["error"] for row in csv.DictReader(io.StringIO(done.to_csv().decode()))]
    assert sorted(errors)[-2:] == ["", "a cosmic ray"]
    assert [point["error"] for point in done.to_dict()["points"]].count("a cosmic ray") == 1
    assert render_figures(done)

    again = Here(small)
    assert all(outcome.result for outcome in run_sweep(points, again, path, SILENT))
    assert again.evaluated == [broken]


def test_everything_failed_is_still_reported(small: Materials, tmp_path: Path) -> None:
    outcomes = run_sweep(points_of(small), Here(small, lambda _: True), tmp_path / "r", SILENT)
    done = finished(small, outcomes)
    assert len(done.failures) == len(outcomes)
    assert all(curve.cells == () for curve in done.curves)
    assert render_figures(done)


def test_a_truncated_line_is_passed_over_and_a_damaged_one_reported(
    small: Materials, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points, path = points_of(small), tmp_path / "results.jsonl"
    run_sweep(points, Here(small), path, SILENT)
    lines = path.read_bytes().splitlines(keepends=True)

    path.write_bytes(b"".join(lines)[:-20])
    with caplog.at_level(logging.WARNING, "synq"):
        assert len(read_results(path)) == len(points) - 1
        last = Here(small)
        run_sweep(points, last, path, SILENT)
    assert [point.key for point in last.evaluated] == [json.loads(lines[-1])["key"]]
    assert caplog.messages == []
    assert len(path.read_bytes().splitlines()) == len(points)  # the truncated one is gone

    damaged = [b"\xff\n", b"[" * 5000 + b"\n", b'{"key": 1}\n', b"\n", b"3\n"]
    path.write_bytes(b"".join([*lines[:3], *damaged, *lines[3:]]))
    with caplog.at_level(logging.WARNING, "synq"):
        assert len(read_results(path)) == len(points)
    (message,) = caplog.messages
    assert "5 damaged" in message


# ---- What comes out -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(small: Materials, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    methods = (Method.PROPOSED, Method.NEAREST)
    axes = Axes((5, 6, 10), methods, (Branch.LTP, Branch.LTD), input_bits=(2, 8))
    path = tmp_path_factory.mktemp("done") / "results.jsonl"
    return finished(small, run_sweep(points_of(small, axes), Here(small), path, SILENT), axes)


def test_seeds_have_mean_deviation_and_best(done: Sweep) -> None:
    curve = done.curves[0]
    cell = curve.at(6)
    assert cell is not None
    accuracies = [
        outcome.result.reference
        for outcome in done.outcomes
        if outcome.result is not None
        and outcome.point.choice == Quantization(6, Method.PROPOSED, input_bits=2)
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


# ---- Where it runs ------------------------------------------------------------------------------


def test_processes_give_what_one_gives(small: Materials, tmp_path: Path) -> None:
    points = points_of(small)
    serial = run_sweep(points, Here(small), tmp_path / "serial.jsonl", SILENT)
    before = dict(os.environ)
    with local_processes(small, 2) as submit:
        parallel = run_sweep(points, submit, tmp_path / "parallel.jsonl", SILENT)
    assert without_seconds(parallel) == without_seconds(serial)
    assert dict(os.environ) == before


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(process) for task in tasks for process in task.read_text().split()}


def test_a_process_that_ends_takes_only_its_point(small: Materials, tmp_path: Path) -> None:
    points = points_of(small)

    before = children()

    def kill(done: float) -> None:
        if done == 3:
            (worker,) = children() - before
            os.kill(worker, signal.SIGKILL)

    with local_processes(small, 1) as submit:
        outcomes = run_sweep(points, submit, tmp_path / "results.jsonl", Hook(kill))
    errors = [outcome.error for outcome in outcomes if outcome.error]
    assert errors == ["its process ended (out of memory?); run the sweep again"]


def test_dask_is_optional(small: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(SynqError, match=r"pip install 'synq\[dask\]'"),
        dask_cluster("127.0.0.1:1", small),
    ):
        pass


def started(*arguments: str, log: Path, stack: ExitStack) -> "subprocess.Popen[bytes]":
    """A process of a cluster that ends with the test."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(BIN / "dask"), *arguments], stdout=stream, stderr=stream, cwd=log.parent
        )

    def end() -> None:
        process.kill()
        process.wait(10)

    stack.callback(end)
    return process


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.05)


def test_a_cluster_that_loses_a_worker_gives_the_same(small: Materials, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    axes = Axes(tuple(range(2, 42)), (Method.PROPOSED,))
    points = points_of(small, axes)
    local = run_sweep(points, Here(small), tmp_path / "local.jsonl", SILENT)
    with ExitStack() as stack:
        described = tmp_path / "scheduler.json"
        started(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--no-show", "--scheduler-file", str(described)),
            log=tmp_path / "scheduler.log",
            stack=stack,
        )
        until(described.exists, 30, "scheduler")
        address = json.loads(described.read_text())["address"]
        workers = [
            started(
                *("worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"),
                *("--no-dashboard", "--local-directory", str(tmp_path / f"worker{index}")),
                log=tmp_path / f"worker{index}.log",
                stack=stack,
            )
            for index in range(2)
        ]
        with distributed.Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)

        def kill_one(done: float) -> None:
            if done >= 10 and workers[0].poll() is None:
                workers[0].send_signal(signal.SIGKILL)
                workers[0].wait(10)

        with dask_cluster(address, small) as submit:
            cluster = run_sweep(points, submit, tmp_path / "cluster.jsonl", Hook(kill_one))
        assert workers[0].returncode == -signal.SIGKILL
    assert without_seconds(cluster) == without_seconds(local)
    assert len(read_results(tmp_path / "cluster.jsonl")) == len(points)


# ---- The paper's network ------------------------------------------------------------------------


def test_the_proposed_method_is_better_and_the_gap_shrinks(mnist: Dataset, tmp_path: Path) -> None:
    network, _ = trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)
    real = mnist.test_inputs * np.float32(mnist.input_format.step)
    trained = Trained(0, network, network.accuracy(real, mnist.test_labels))
    axes = Axes(parse_levels("5:25:5"), (Method.PROPOSED, Method.SAMPLING))
    materials = Materials(mnist, (trained,))
    with local_processes(materials) as submit:
        outcomes = run_sweep(points_of(materials, axes), submit, tmp_path / "r.jsonl", SILENT)
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
    assert [ours is not None for _, _, ours in done.paper] == [True] * 4


# ---- The command --------------------------------------------------------------------------------


def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(BIN / "synq"), "sweep", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **settings,  # type: ignore[call-overload]
    )


@pytest.fixture
def user(tmp_path: Path, small: Materials) -> list[str]:
    """The options of a user with a network of their own, and a folder of results."""
    rng = np.random.default_rng(3)
    data, checkpoint = tmp_path / "mine.npz", tmp_path / "mine.safetensors"
    np.savez(
        data,
        x_train=rng.random((100, 20)),
        x_test=rng.random((100, 20)),
        y_test=rng.integers(0, 3, 100),
    )
    save_checkpoint(small.trained[0].network, checkpoint, {})
    output = str(tmp_path / "out")
    return ["--data", str(data), "--checkpoint", str(checkpoint), "--output", output]


def test_the_command_writes_and_prints_the_same(user: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("--levels", "5,7", "--methods", "proposed,nearest", *user)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert sorted(path.name for path in out.iterdir()) == [
        *("figure2.png", "figure2.svg", "results.jsonl", "sweep.json", "table.csv")
    ]
    content = json.loads((out / "sweep.json").read_bytes())
    for cell in content["curves"][0]["cells"]:
        assert f"{cell['mean']:.2f}" in first.stdout
    written = (out / "sweep.json").read_bytes()

    second = run("--levels", "5,7", "--methods", "proposed,nearest", *user, "--json")
    assert second.returncode == 0, second.stderr
    printed = json.loads(second.stdout)
    assert printed["resumed"] == 3
    assert {name: printed[name] for name in content} == content
    assert (out / "sweep.json").read_bytes() == written


def test_a_failure_is_the_exit_code(user: list[str], small: Materials, tmp_path: Path) -> None:
    weights = [weight.copy() for weight in small.trained[0].network.weights]
    weights[0][:15] = 0  # three in four: their median cannot normalize
    sparse = tmp_path / "sparse.safetensors"
    save_checkpoint(FloatNetwork(tuple(weights), (None, None)), sparse, {})
    arguments = ["--levels", "5,7", "--methods", "proposed", "--percentile", "50"]
    result = run(*user, *arguments, "--checkpoint", str(sparse))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 3
    assert result.stderr.count("synq: warning: failed: method proposed") == 2
    assert "2 of 2 points failed" in result.stderr
    assert result.stdout.count("failed") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--levels", "x"], ["levels must look like"]),
        (["--methods", "propose"], ["'propose'", "did you mean proposed"]),
        (["--branches", "up"], ["--branches", "'up'"]),
        (["--input-bits", "8,x"], ["--input-bits"]),
        (["--input-bits", "9"], ["input bits must be between 1 and 8"]),
        (["--sparsities", "0.5"], ["--sparsities needs --finetune"]),
        (["--seeds", "2"], ["--seeds", "--checkpoint"]),
        (["--methods", "sampling", "--branches", "union"], ["union has no single curve"]),
        (["--output", "/dev/null"], ["/dev/null is a file"]),
        (["--output", "/usr"], ["choose another --output"]),
    ],
)
def test_a_wrong_argument_is_one_line(
    user: list[str], arguments: list[str], words: list[str]
) -> None:
    result = run(*user, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_no_scheduler_is_one_line(user: list[str]) -> None:
    pytest.importorskip("distributed")
    result = run(*user, "--scheduler", "tcp://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.stderr


def test_ctrl_c_keeps_what_is_finished(mnist: Dataset, tmp_path: Path) -> None:
    trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)  # into the cache
    output = tmp_path / "out"
    arguments = ["--levels", "2:256", "--methods", "proposed", "--output", str(output)]
    process = subprocess.Popen(
        [str(BIN / "synq"), "sweep", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    results = output / "results.jsonl"
    until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 2, 60, "result")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, ""), stderr
    kept = len(read_results(results))
    assert 2 <= kept < 255
    assert stderr == (
        f"synq: error: interrupted; {kept} of 255 points are kept in {results}: "
        "the same command goes on from there\n"
    )
    again = run("--levels", "2:6", "--methods", "proposed", "--output", str(output), "--json")
    assert json.loads(again.stdout)["resumed"] >= 2, again.stderr


def test_the_module_needs_no_torch() -> None:
    """A worker starts in a quarter of a second."""
    code = "import synq.sweep, sys; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
    assert flow.installed_materials == {}
