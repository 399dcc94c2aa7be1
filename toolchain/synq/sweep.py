"""Accuracy against levels: many quantizations of a few trained networks, evaluated in parallel.

The paper's figure 2. Every point is evaluated with the bit-exact integer reference, in a process
of this machine or on a Dask cluster; the results are the same integers wherever they are counted.
A finished point is a line in a file, so that an interrupted sweep goes on where it stopped.
"""

import csv
import hashlib
import io
import itertools
import json
import logging
import os
import pickle
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from synq import __version__
from synq.board import Board
from synq.cache import default_cache_dir
from synq.device import Branch, Device
from synq.errors import SynqError, UsageError
from synq.float_network import FloatNetwork
from synq.hls.design import SIMPLEST
from synq.hls.estimate import estimate
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.mnist import is_mnist
from synq.learn.train import FineTuning
from synq.network import QuantizedNetwork
from synq.plan import make_plan
from synq.progress import SILENT, Progress
from synq.quantize import Method, Quantization, quantize_network
from synq.request import Request

_log = logging.getLogger("synq")

LOWEST_LEVELS, HIGHEST_LEVELS = 2, 256
_CONNECT_SECONDS = 5

# What Lee et al. print; on MNIST, network 784-128-10.
PAPER_SOFTWARE = 96.47
PAPER_PROPOSED_AT_10 = 95.75
PAPER_GAP_AT_5 = 11.0


# ---- What is to be evaluated --------------------------------------------------------------------


def parse_levels(text: str) -> tuple[int, ...]:
    """The levels in "10", "5,10,15", "5:25" (both ends) or "5:25:5", ascending, each once.

    Raises:
        UsageError: the text is something else, or a level is not in 2..256.
    """
    found: set[int] = set()
    for part in text.split(","):
        try:
            numbers = [int(number) for number in part.split(":")]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3:
            raise UsageError(
                f"levels must look like 10, 5,10,15, 5:25 or 5:25:5, got {text.strip()!r}"
            )
        first, last = numbers[0], numbers[min(1, len(numbers) - 1)]
        step = numbers[2] if len(numbers) == 3 else 1
        if not LOWEST_LEVELS <= first <= last <= HIGHEST_LEVELS or step < 1:
            raise UsageError(
                f"levels must be between {LOWEST_LEVELS} and {HIGHEST_LEVELS}, ranges ascending "
                f"and steps at least 1, got {part.strip()}"
            )
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))


@dataclass(frozen=True)
class Axes:
    """The values that are crossed with one another and with the networks.

    Attributes:
        sparsities: least shares of zeros to fine-tune for, 0..1; empty without fine-tuning.
    """

    levels: tuple[int, ...]
    methods: tuple[Method, ...]
    branches: tuple[Branch, ...] = (Branch.LTP,)
    input_bits: tuple[int, ...] = (8,)
    activation_bits: tuple[int, ...] = (8,)
    sparsities: tuple[float, ...] = ()

    @property
    def beyond_levels(self) -> bool:
        """Whether anything but levels and methods varies: there is a trade-off to show."""
        others = (self.branches, self.input_bits, self.activation_bits, self.sparsities)
        return any(len(values) > 1 for values in others)


@dataclass(frozen=True)
class Trained:
    """One trained network; `seed` is None for a user's own checkpoint, `software` in percent."""

    seed: int | None
    network: FloatNetwork
    software: float


@dataclass(frozen=True)
class Point:
    """Everything that determines one evaluation.

    Attributes:
        dataset: digest of the data, before `choice.input_bits` reduces it.
        network: digest of the trained weights.
        seed: what they were trained with; None for a checkpoint.
        finetuning: how to fine-tune them for this point, or None.
        board: whose resources bound the estimated design.
        version: of synq.
    """

    dataset: str
    network: str
    seed: int | None
    device: Device
    choice: Quantization
    finetuning: FineTuning | None
    board: Board
    version: str = __version__

    @cached_property
    def key(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def levels(self) -> int | None:
        """L, or None for the method nearest, which has none."""
        return None if self.choice.method is Method.NEAREST else self.choice.levels

    @property
    def sparsity(self) -> float | None:
        return None if self.finetuning is None else self.finetuning.sparsity

    def settings(self) -> dict[str, Any]:
        """What distinguishes it from others of the same sweep, in the order they are sorted by."""
        return {
            "method": str(self.choice.method),
            "branch": str(self.choice.branch),
            "input_bits": self.choice.input_bits,
            "activation_bits": self.choice.activation_bits,
            "sparsity": self.sparsity,
            "levels": self.levels,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        known = {name: value for name, value in self.settings().items() if value is not None}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items())


@dataclass(frozen=True)
class PointResult:
    """What one evaluation gives.

    Attributes:
        software: accuracy of the trained network in real numbers, percent.
        reference: accuracy of the integer reference, percent.
        effective_levels: of each array.
        code_bits_total: bits that store all codes: sum over the arrays of code bits x synapses.
        interval_cycles: estimated clock cycles an image of the planner's design for the board; of
            one row a cycle where no design fits it.
        zero_share: of each array, the share of synapses that are zero, 0..1.
        seconds: what it took; not part of the result proper.
    """

    software: float
    reference: float
    effective_levels: tuple[int, ...]
    code_bits_total: int
    interval_cycles: int
    zero_share: tuple[float, ...]
    seconds: float

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "PointResult":
        """The inverse of `asdict`, after JSON.

        Raises:
            KeyError, TypeError, ValueError: the fields are not those of a result.
        """
        return PointResult(
            software=float(fields["software"]),
            reference=float(fields["reference"]),
            effective_levels=tuple(int(value) for value in fields["effective_levels"]),
            code_bits_total=int(fields["code_bits_total"]),
            interval_cycles=int(fields["interval_cycles"]),
            zero_share=tuple(float(value) for value in fields["zero_share"]),
            seconds=float(fields["seconds"]),
        )


@dataclass(frozen=True)
class Outcome:
    """A point with its result, or with the reason why there is none, in one line."""

    point: Point
    result: PointResult | None
    error: str | None = None


def make_points(
    axes: Axes,
    base: Quantization,
    finetuning: FineTuning | None,
    dataset: Dataset,
    trained: Sequence[Trained],
    device: Device,
    board: Board,
) -> list[Point]:
    """Every combination once; the method nearest once for all levels.

    Args:
        base: the choices that do not vary.
        finetuning: how to fine-tune each point, its sparsity replaced by those of `axes`.

    Raises:
        UsageError: a combination that cannot be quantized at all.
    """
    tunings: list[FineTuning | None] = [finetuning]
    if finetuning is not None and axes.sparsities:
        tunings = [finetuning.with_sparsity(sparsity) for sparsity in axes.sparsities]
    points: dict[str, Point] = {}
    # Inputs vary slowest: a worker keeps only the last reduced datasets.
    for input_bits, activation_bits, branch, tuning, method, levels in itertools.product(
        axes.input_bits, axes.activation_bits, axes.branches, tunings, axes.methods, axes.levels
    ):
        choice = replace(
            base,
            levels=LOWEST_LEVELS if method is Method.NEAREST else levels,
            method=method,
            branch=branch,
            input_bits=input_bits,
            activation_bits=activation_bits,
        )
        for each in trained:
            point = Point(
                dataset=dataset.digest,
                network=each.network.digest,
                seed=each.seed,
                device=device,
                choice=choice,
                finetuning=_seeded(tuning, each.seed),
                board=board,
            )
            points.setdefault(point.key, point)
    return list(points.values())


def _seeded(tuning: FineTuning | None, seed: int | None) -> FineTuning | None:
    """Fine-tuning with the seed of the training, as the other commands do it."""
    if tuning is None or seed is None:
        return tuning
    return replace(tuning, recipe=replace(tuning.recipe, seed=seed))


# ---- Evaluation ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Materials:
    """What workers need beside a point, sent to each of them once."""

    dataset: Dataset
    trained: tuple[Trained, ...]


Submit = Callable[[Point], "Future[PointResult]"]


def run_sweep(
    points: Sequence[Point], submit: Submit, results_path: Path, progress: Progress
) -> list[Outcome]:
    """Evaluate those points that are not in `results_path` yet, adding each as it finishes.

    A point that fails is logged and does not stop the others; it is tried again the next time.

    Args:
        submit: starts one evaluation, as those of `local_processes` and `dask_cluster` do.
        results_path: a file of one JSON object a line; made if missing.

    Returns:
        The outcome of each point, in their order.

    Raises:
        SynqError: the file cannot be read or written.
        KeyboardInterrupt: what had finished is in the file.
    """
    finished = read_results(results_path)
    outcomes = {
        point.key: Outcome(point, finished[point.key]) for point in points if point.key in finished
    }
    missing = [point for point in points if point.key not in outcomes]
    futures: dict[Future[PointResult], Point] = {}
    try:
        with (
            _appending(results_path) as append,
            progress.task("Evaluate", total=len(points)) as task,
        ):
            task.update(len(outcomes), "starting")
            futures = {submit(point): point for point in missing}
            for future in as_completed(futures):
                outcome = _outcome(futures[future], future)
                outcomes[outcome.point.key] = outcome
                if outcome.result is None:
                    _log.warning("failed: %s: %s", outcome.point, outcome.error)
                else:
                    append(_line(outcome.point, outcome.result))
                task.update(len(outcomes), f"{len(outcomes)} of {len(points)}")
    except OSError as error:
        raise SynqError(f"cannot write {results_path}: {error.strerror or error}") from error
    finally:
        for future in futures:
            future.cancel()
    return [outcomes[point.key] for point in points]


def evaluate(point: Point, materials: Materials) -> PointResult:
    """One point, in integers.

    Raises:
        SynqError: from fine-tuning and quantization.
    """
    start = time.monotonic()
    if point.version != __version__:
        raise SynqError(f"this worker has synq {__version__}, the sweep is of {point.version}")
    trained = next(each for each in materials.trained if each.network.digest == point.network)
    network, ranges = trained.network, None
    if point.finetuning is not None:
        from synq.learn.finetune import finetuned_network

        with _torch:
            network, ranges, _ = finetuned_network(
                network,
                materials.dataset,
                point.choice,
                point.device,
                point.finetuning,
                default_cache_dir(),
                SILENT,
            )
    dataset = _reduced(materials.dataset, point.choice.input_bits)
    quantized = quantize_network(
        network, point.choice, point.device, dataset.input_format, dataset.train_inputs, ranges
    )
    accuracy = quantized.run(dataset.test_inputs).accuracy(dataset.test_labels)
    return _result(quantized, point.board, trained.software, accuracy, time.monotonic() - start)


_torch = threading.Lock()  # its settings are the process's; a Dask worker may run several threads


@lru_cache(maxsize=2)
def _reduced(dataset: Dataset, bits: int) -> Dataset:
    return with_input_bits(dataset, bits)


def _result(
    network: QuantizedNetwork, board: Board, software: float, accuracy: float, seconds: float
) -> PointResult:
    arrays = network.arrays
    try:
        estimated = make_plan(network, board, Request()).chosen.estimate
    except SynqError:  # a sweep is about accuracy first
        estimated = estimate(network, (SIMPLEST,) * len(arrays))
    return PointResult(
        software=round(software, 4),
        reference=round(accuracy, 4),
        effective_levels=tuple(array.effective_levels for array in arrays),
        code_bits_total=sum(array.code_bits * array.codes.size for array in arrays),
        interval_cycles=estimated.interval,
        zero_share=tuple(round(float(np.mean(array.weights == 0)), 4) for array in arrays),
        seconds=round(seconds, 3),
    )


def _outcome(point: Point, future: "Future[PointResult]") -> Outcome:
    try:
        return Outcome(point, future.result())
    except SynqError as error:
        return Outcome(point, None, str(error))
    except CancelledError:
        return Outcome(point, None, "the scheduler has dropped it; run the sweep again")
    except Exception as error:
        return Outcome(point, None, f"{type(error).__name__}: {' '.join(str(error).split())}")


# ---- Where it runs ------------------------------------------------------------------------------


@contextmanager
def local_processes(materials: Materials, workers: int | None = None) -> Iterator[Submit]:
    """Evaluation in processes of this machine, one a processor without `workers`.

    A process that ends (the system has run out of memory) takes only its own point with it.
    """
    started = _Workers(pickle.dumps(materials))
    pool = ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)))
    try:
        yield lambda point: pool.submit(started.evaluate, point)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        started.kill()
        pool.shutdown()
        started.close()


class _Workers:
    """One process for each thread that asks.

    Not `multiprocessing`: its pool breaks with any of its processes, and its resource tracker,
    which a Ctrl-C of the command line ends with all other children, complains on the terminal.
    """

    def __init__(self, materials: bytes) -> None:
        self._materials = materials
        self._of_thread = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._ended = False

    def evaluate(self, point: Point) -> PointResult:
        """Raises: what `synq.sweep.evaluate` raises; SynqError if the process ends."""
        process: subprocess.Popen[bytes] | None = getattr(self._of_thread, "process", None)
        try:
            if process is None:
                process = self._of_thread.process = self._start()
            assert process.stdin is not None and process.stdout is not None
            pickle.dump(point, process.stdin)
            process.stdin.flush()
            result: PointResult | Exception = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._of_thread.process = None
            raise SynqError("its process ended (out of memory?); run the sweep again") from None
        if isinstance(result, Exception):
            raise result
        return result

    def kill(self) -> None:
        """End all, and start no more."""
        with self._lock:
            self._ended = True
        for process in self._started:
            process.kill()

    def close(self) -> None:
        """Leave nothing of them; no thread may be evaluating."""
        for process in self._started:
            process.communicate()

    def _start(self) -> "subprocess.Popen[bytes]":
        # The processes fill the processors already; threads of BLAS would wait for one another.
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        with self._lock:
            if self._ended:
                raise EOFError
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from synq.sweep import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **threads},
                start_new_session=True,  # Ctrl-C is for the parent, which ends this one
            )
            self._started.append(process)
        assert process.stdin is not None
        process.stdin.write(self._materials)
        return process


def serve() -> None:
    """A worker process: `Materials`, then points, pickled on standard input; results on output."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the results
    materials = pickle.load(sys.stdin.buffer)
    with suppress(EOFError, BrokenPipeError):  # the parent has ended
        while True:
            point = pickle.load(sys.stdin.buffer)
            try:
                result: PointResult | Exception = evaluate(point, materials)
            except SynqError as error:
                result = error
            except Exception as error:  # of a library: maybe not to be pickled
                result = RuntimeError(f"{type(error).__name__}: {error}")
            pickle.dump(result, results)
            results.flush()


@contextmanager
def dask_cluster(address: str, materials: Materials) -> Iterator[Submit]:
    """Evaluation on the Dask cluster whose scheduler is at `address`.

    The workers need the same version of synq. Data and networks are sent to them, also to those
    that join later; a point whose worker dies is evaluated by another.

    Raises:
        SynqError: Dask is not installed, or no scheduler or no worker is there.
    """
    try:
        dask: Any = import_module("distributed")
    except ImportError:
        raise SynqError("--scheduler needs Dask: pip install 'synq[dask]'") from None

    token = f"synq-{uuid4().hex}"  # two sweeps of the same data must not remove each other's

    class Install(dask.WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            from synq.sweep import installed_materials  # the worker's, not a pickled copy

            installed_materials[token] = materials

        def teardown(self, worker: Any) -> None:
            from synq.sweep import installed_materials

            installed_materials.pop(token, None)

    # What it logs of lost connections is for those who run the cluster.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = dask.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise SynqError(
            f"no Dask scheduler answers at {address} ({' '.join(str(error).split())[:200]}); "
            "start one with `dask scheduler`"
        ) from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise SynqError(
                f"the Dask scheduler at {address} has no workers; start some with "
                f"`dask worker {address}`"
            )
        client.register_plugin(Install(), name=token)
        executor = client.get_executor(pure=False)
        try:
            yield lambda point: executor.submit(_evaluate_installed, point, token)
        finally:
            executor.shutdown(wait=False)
            with suppress(Exception):  # a cluster that is gone has nothing to remove
                client.unregister_worker_plugin(token)


installed_materials: dict[str, Materials] = {}  # of this Dask worker, by sweep


def _evaluate_installed(point: Point, token: str) -> PointResult:
    return evaluate(point, installed_materials[token])


# ---- The file of results ------------------------------------------------------------------------


def read_results(path: Path) -> dict[str, PointResult]:
    """The results in a file of `run_sweep`, by the points' keys; empty if there is no file.

    A last line without its end is what an interrupted write leaves, and is passed over. Other
    lines that are not results are passed over with a warning.

    Raises:
        SynqError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SynqError(f"cannot read {path}: {error.strerror or error}") from error
    results: dict[str, PointResult] = {}
    damaged = 0
    for line in content.split(b"\n")[:-1]:
        try:
            fields = json.loads(line)
            results[str(fields["key"])] = PointResult.from_dict(fields["result"])
        except (ValueError, KeyError, TypeError, RecursionError):
            damaged += 1
    if damaged:
        _log.warning("%s: %d damaged line(s) ignored; their points are new", path, damaged)
    return results


def _line(point: Point, result: PointResult) -> bytes:
    fields = {"key": point.key, "point": point.settings(), "result": asdict(result)}
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


@contextmanager
def _appending(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Adds lines, each handed to the system at once; first drops a last line without an end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(0)
        content = stream.read()
        stream.truncate(content.rfind(b"\n") + 1)

        def append(line: bytes) -> None:
            stream.write(line)
            stream.flush()

        yield append


# ---- What came out ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One setting over all seeds; accuracies of the integer reference in percent.

    Attributes:
        levels: L, or None for the method nearest.
        deviation: sample standard deviation over the seeds; 0 for one.
        code_bits_total, interval_cycles: means over the seeds.
    """

    levels: int | None
    seeds: int
    mean: float
    deviation: float
    best: float
    code_bits_total: float
    interval_cycles: float


@dataclass(frozen=True)
class Curve:
    """One method, with all else fixed, over the levels.

    Attributes:
        setting: whatever varies in the sweep beside method, levels and seed; may be empty.
        settings: method, branch, input bits, activation bits, sparsity.
        cells: by ascending levels; without those where every seed failed.
    """

    setting: str
    method: Method
    settings: dict[str, Any]
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        return f"{self.method}, {self.setting}" if self.setting else str(self.method)

    def at(self, levels: int) -> Cell | None:
        """The cell of L = `levels`; of the method nearest its only one."""
        return next((cell for cell in self.cells if cell.levels in (levels, None)), None)


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: everything that the files and the terminal show."""

    dataset: Dataset
    device: Device
    trained: tuple[Trained, ...]
    axes: Axes
    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.result is None]

    @cached_property
    def software(self) -> tuple[float, float, float]:
        """Mean, deviation and best of the trained networks' accuracy, percent."""
        return _statistics([each.software for each in self.trained])

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """In the order of the axes."""
        groups: dict[tuple[Any, ...], dict[int | None, list[PointResult]]] = {}
        for outcome in self.outcomes:
            *setting, levels, _seed = outcome.point.settings().values()
            results = groups.setdefault(tuple(setting), {}).setdefault(levels, [])
            if outcome.result is not None:
                results.append(outcome.result)
        names = list(self.outcomes[0].point.settings())[:-2] if self.outcomes else []
        varying = [
            position
            for position in range(1, len(names))
            if len({setting[position] for setting in groups}) > 1
        ]
        return tuple(
            Curve(
                setting=", ".join(_named(names[at], setting[at]) for at in varying),
                method=Method(setting[0]),
                settings=dict(zip(names, setting, strict=True)),
                cells=tuple(
                    _cell(levels, results) for levels, results in by_levels.items() if results
                ),
            )
            for setting, by_levels in groups.items()
        )

    @cached_property
    def paper(self) -> list[tuple[str, float, float | None]]:
        """What the paper prints, its value and ours; empty for other data than MNIST."""
        if not is_mnist(self.dataset):
            return []
        proposed_at_10 = self._mean(Method.PROPOSED, 10)
        proposed_at_5, sampling_at_5 = (
            self._mean(method, 5) for method in (Method.PROPOSED, Method.SAMPLING)
        )
        software = self.software[0]
        return [
            ("software, %", PAPER_SOFTWARE, software),
            ("proposed at L = 10, %", PAPER_PROPOSED_AT_10, proposed_at_10),
            (
                "its drop below software, points",
                round(PAPER_SOFTWARE - PAPER_PROPOSED_AT_10, 2),
                _minus(software, proposed_at_10),
            ),
            (
                "gap to sampling at L = 5, points",
                PAPER_GAP_AT_5,
                _minus(proposed_at_5, sampling_at_5),
            ),
        ]

    def _mean(self, method: Method, levels: int) -> float | None:
        curve = next((curve for curve in self.curves if curve.method is method), None)
        cell = None if curve is None else curve.at(levels)
        return None if cell is None else cell.mean

    def to_dict(self) -> dict[str, Any]:
        """Everything, without how long it took: the same for the same sweep, wherever it ran."""
        mean, deviation, best = self.software
        return {
            "format": "synq-sweep-1",
            "synq": __version__,
            "dataset": {"name": self.dataset.name, "digest": self.dataset.digest},
            "device": asdict(self.device),
            "networks": [
                {"seed": each.seed, "digest": each.network.digest, "software": each.software}
                for each in self.trained
            ],
            "software": {"mean": mean, "deviation": deviation, "best": best},
            "curves": [
                {
                    "label": curve.label,
                    **curve.settings,
                    "cells": [asdict(cell) for cell in curve.cells],
                }
                for curve in self.curves
            ],
            "paper": [
                {"figure": name, "paper": paper, "ours": ours} for name, paper, ours in self.paper
            ],
            "points": [
                {"key": outcome.point.key, "error": outcome.error, **_row(outcome)}
                for outcome in self.outcomes
            ],
        }

    def to_json(self) -> bytes:
        """`to_dict` as the file sweep.json."""
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)
        return text.encode() + b"\n"

    def to_csv(self) -> bytes:
        """One row a point: its settings, its result (lists separated by spaces), its error."""
        buffer = io.StringIO()
        writer: csv.DictWriter[str] | None = None
        for outcome in self.outcomes:
            row = {**_row(outcome), "error": outcome.error}
            if writer is None:
                writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _text(value) for name, value in row.items()})
        return buffer.getvalue().encode()


def _row(outcome: Outcome) -> dict[str, Any]:
    row = outcome.point.settings()
    for name in PointResult.__dataclass_fields__:
        if name != "seconds":
            row[name] = None if outcome.result is None else getattr(outcome.result, name)
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cell(levels: int | None, results: Sequence[PointResult]) -> Cell:
    mean, deviation, best = _statistics([result.reference for result in results])
    return Cell(
        levels,
        len(results),
        mean,
        deviation,
        best,
        statistics.fmean(result.code_bits_total for result in results),
        statistics.fmean(result.interval_cycles for result in results),
    )


def _statistics(values: Sequence[float]) -> tuple[float, float, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return round(statistics.fmean(values), 4), round(deviation, 4), max(values)


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else round(first - second, 4)


def _named(name: str, value: Any) -> str:
    match name:
        case "input_bits":
            return f"{value}-bit inputs"
        case "activation_bits":
            return f"{value}-bit activations"
        case "sparsity":
            return f"{100 * value:g} % zeros"
    return str(value)
