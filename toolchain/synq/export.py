"""The whole flow, from trained weights to a verified project folder."""

import io
import logging
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import __version__
from synq.board import Board, load_board
from synq.checkpoint import FloatNetwork, load_checkpoint
from synq.data import Dataset, load_mnist, load_npz, with_input_bits
from synq.device import Device, load_device
from synq.driver import render_driver
from synq.errors import SynqError
from synq.hls import axis, csim
from synq.network import QuantizedNetwork, Trace, count_mismatches, first_difference
from synq.output import check_replaceable, staged, write_files, write_manifest
from synq.plan import Plan, Request, make_plan
from synq.progress import Progress
from synq.quantize import Quantization, dequantize, level_values, quantize_network
from synq.synth.flow import PROCESSING_SYSTEMS, render_flow
from synq.tables import render_tables
from synq.train import FineTuning, Recipe, trained_network

_log = logging.getLogger("synq")
_SHIPPED_VECTORS = 100  # test images a project carries as text, for csim_design and cosim_design


@dataclass(frozen=True)
class Source:
    """Where the network and its data come from.

    Attributes:
        recipe: how to train, used without `checkpoint`.
        checkpoint: the user's own weights.
        data: the user's own inputs (`.npz`); MNIST without.
        data_dir: folder of MNIST's IDX files; fetched without.
        finetuning: how to fine-tune for the device; not at all without.
        cache_dir: where fetched data and trained networks are kept.
    """

    recipe: Recipe
    checkpoint: Path | None
    data: Path | None
    data_dir: Path | None
    finetuning: FineTuning | None
    cache_dir: Path


@dataclass(frozen=True)
class Target:
    """What to make: the board, hls4ml's backend ("Vitis", "Vivado") and interface, and where."""

    board: str
    backend: str
    io_type: str
    output: Path | None
    force: bool


@dataclass(frozen=True)
class Prepared:
    """A quantized network with everything it was made from.

    Attributes:
        expected: the integer reference on all test inputs.
        accuracy: percent on the test set, by stage.
    """

    dataset: Dataset
    device: Device
    trained: FloatNetwork
    from_cache: bool
    network: QuantizedNetwork
    expected: Trace
    accuracy: dict[str, float]


@dataclass
class Stopwatch:
    """Wall seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)
        _log.info("%s took %.1f s", name, self.seconds[name])


@dataclass(frozen=True)
class Export:
    """A finished export; `mismatches` is 0, or there would be none."""

    output: Path
    prepared: Prepared
    quantization: Quantization
    board: Board
    backend: str
    plan: Plan
    images: int
    mismatches: int
    images_per_second: float
    seconds: dict[str, float]


def load_source(
    source: Source, watch: Stopwatch, progress: Progress
) -> tuple[Dataset, FloatNetwork, bool]:
    """The data and the trained network, and whether the latter was in the cache.

    Raises:
        SynqError: data or checkpoint cannot be had or do not fit each other.
    """
    with watch.stage("data"):
        if source.data is not None:
            dataset = load_npz(source.data)
        else:
            dataset = load_mnist(source.data_dir, source.cache_dir, progress)
    with watch.stage("train"):
        if source.checkpoint is None:
            network, cached = trained_network(source.recipe, dataset, source.cache_dir, progress)
        else:
            network, cached = load_checkpoint(source.checkpoint), True
    n_features = dataset.test_inputs.shape[1]
    if network.sizes[0] != n_features:
        hint = "" if source.data else "; give its inputs with --data"
        raise SynqError(
            f"the network takes {network.sizes[0]} inputs, {dataset.name} has {n_features}{hint}"
        )
    if dataset.test_labels.max(initial=0) >= network.sizes[-1]:
        raise SynqError(
            f"the network has {network.sizes[-1]} outputs, "
            f"the labels of {dataset.name} go up to {dataset.test_labels.max()}"
        )
    return dataset, network, cached


def prepare(
    source: Source,
    device_name: str,
    choice: Quantization,
    watch: Stopwatch,
    progress: Progress,
) -> Prepared:
    """Train or load, quantize, and run the integer reference on the test set.

    Raises:
        UsageError, SynqError: from the stages.
    """
    device = load_device(device_name)
    level_values(choice, device)  # refuses a branch without a curve before minutes of training
    dataset, trained, cached = load_source(source, watch, progress)
    software = trained.accuracy(_real_inputs(dataset), dataset.test_labels)
    tuned, ranges = trained, None
    if source.finetuning is not None:
        with watch.stage("finetune"):
            from synq.finetune import finetuned_network

            tuned, ranges, _ = finetuned_network(
                trained, dataset, choice, device, source.finetuning, source.cache_dir, progress
            )
    with watch.stage("quantize"):
        dataset = with_input_bits(dataset, choice.input_bits)
        network = quantize_network(
            tuned, choice, device, dataset.input_format, dataset.train_inputs, ranges
        )
        expected = network.run(dataset.test_inputs)
        quantized = dequantize(network).accuracy(_real_inputs(dataset), dataset.test_labels)
        accuracy = {
            "software": software,
            "quantized": quantized,
            "reference": expected.accuracy(dataset.test_labels),
        }
    rounded = {stage: round(percent, 4) for stage, percent in accuracy.items()}
    return Prepared(dataset, device, trained, cached, network, expected, rounded)


def _real_inputs(dataset: Dataset) -> NDArray[np.float32]:
    return dataset.test_inputs * np.float32(dataset.input_format.step)


def export(
    source: Source,
    device_name: str,
    choice: Quantization,
    target: Target,
    request: Request,
    progress: Progress,
) -> Export:
    """Make the project folder, and check it bit-exact on every test input before it appears.

    Raises:
        UsageError, SynqError: from the stages; nothing is left at the output.
    """
    watch = Stopwatch()
    board = load_board(target.board)
    csim.find_compiler()  # before minutes of training rather than after
    if target.output is not None:
        check_replaceable(target.output.resolve(), target.force)
    prepared = prepare(source, device_name, choice, watch, progress)
    network, inputs = prepared.network, prepared.dataset.test_inputs
    plan = make_plan(network, board, request)
    name = f"{prepared.dataset.name}-{prepared.device.name}-L{choice.levels}-{board.name}"
    output = (target.output or Path("build") / name).resolve()

    with staged(output, target.force) as (project_dir, scratch):
        log = io.StringIO()
        with (
            watch.stage("emit"),
            progress.task("Emit the hls4ml project"),
            warnings.catch_warnings(action="ignore"),  # they name folders of this installation
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            # The imports take seconds and half a gigabyte.
            from synq.hls import project as hls
            from synq.hls import qkeras_model

            model = qkeras_model.build_model(network)
            _compare(prepared.expected, qkeras_model.model_stages(model, network, inputs), "QKeras")
            qkeras_model.save_model(model, project_dir / "qkeras_model.h5")
            build_dir = scratch / "hls"
            converted = hls.convert(
                model,
                network,
                plan.chosen.arrays,
                board,
                target.backend,
                target.io_type,
                build_dir,
            )
            shipped = min(_SHIPPED_VECTORS, len(inputs))
            sources = hls.write(converted, inputs[:shipped], prepared.expected.head(shipped))
            write_files(project_dir / "hls", sources)
            write_files(
                project_dir / "hls",
                axis.render_axis(network, converted.stream, *hls.port_types(converted)),
            )
            write_files(
                project_dir / "flow",
                render_flow(
                    board,
                    axis.TOP,
                    [f"hls/{source}" for source in axis.SOURCES],
                    f"hls/{axis.TEST_BENCH}",
                ),
            )
            if board.family in PROCESSING_SYSTEMS:
                labels = prepared.dataset.test_labels[:shipped]
                write_files(
                    project_dir / "driver",
                    render_driver(
                        network, inputs[:shipped], prepared.expected.head(shipped), labels, name
                    ),
                )
            write_files(project_dir / "tables", render_tables(network))
            (project_dir / "network.npz").write_bytes(network.to_npz())
            (project_dir / "vectors.npz").write_bytes(_vectors(prepared.dataset))

        with watch.stage("csim"), progress.task("Compile and run the C simulation"):
            bench = scratch / "testbench"
            # On one core the test bench is built and run, on the other hls4ml's own library is.
            with (
                ThreadPoolExecutor(1) as pool,
                csim.test_bench_build(project_dir / "hls", bench) as build,
                redirect_stdout(log),
                redirect_stderr(log),
            ):
                simulated = pool.submit(csim.finish_and_simulate, build, network, inputs, scratch)
                try:
                    library_stages = hls.simulate_library(converted, inputs)
                except Exception:  # hls4ml's own says nothing; our compiler says what is wrong
                    simulated.result()
                    raise
                compiler_log, simulation = simulated.result()
            with axis.axis_bench_build(project_dir / "hls", scratch / "axis") as build:
                compiler_log += build.finish()
                difference = axis.stream_difference(
                    scratch / "axis", network, inputs, prepared.expected, scratch
                )
            if difference is not None:
                raise SynqError(f"not bit-exact: {difference}")
            _compare(prepared.expected, simulation.stages, "C simulation")
            _compare(prepared.expected, library_stages, "hls4ml's compiled library")
        accuracy = {
            **prepared.accuracy,
            "csim": round(
                float(np.mean(simulation.stages[-1][1][:, 0] == prepared.dataset.test_labels))
                * 100,
                4,
            ),
        }
        prepared = Prepared(**{**vars(prepared), "accuracy": accuracy})
        hidden = {str(build_dir): "hls", str(scratch): "scratch", str(project_dir): "."}
        write_files(
            project_dir / "logs",
            {
                "hls4ml.log": _without(log.getvalue(), hidden).encode(),
                "g++.log": _without(compiler_log, hidden).encode(),
            },
        )
        mismatches = count_mismatches(prepared.expected, simulation.stages)
        write_manifest(
            project_dir,
            _manifest(source, choice, target, board, prepared, plan, mismatches),
        )
    return Export(
        output=output,
        prepared=prepared,
        quantization=choice,
        board=board,
        backend=target.backend,
        plan=plan,
        images=len(inputs),
        mismatches=mismatches,
        images_per_second=simulation.images_per_second,
        seconds=watch.seconds,
    )


def _compare(expected: Trace, got: csim.Stages, name: str) -> None:
    difference = first_difference(expected, got, name)
    if difference is not None:
        raise SynqError(f"not bit-exact: {difference}")


def _vectors(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=dataset.test_inputs, labels=dataset.test_labels)
    return buffer.getvalue()


def _without(log: str, names: dict[str, str]) -> str:
    """The log with random folder names replaced, so that equal runs keep equal logs."""
    for folder, name in names.items():
        log = log.replace(folder, name)
    return log


def _manifest(
    source: Source,
    choice: Quantization,
    target: Target,
    board: Board,
    prepared: Prepared,
    plan: Plan,
    mismatches: int,
) -> dict[str, Any]:
    network = prepared.network
    arrays = [
        {
            "n_in": array.n_in,
            "n_out": array.n_out,
            "bias_input": array.bias_input,
            "effective_levels": array.effective_levels,
            "codebook": array.codebook.tolist(),
            "code_bits": array.code_bits,
            "scale": array.scale,
            "table_format": array.table_format.to_dict(),
            "input_format": array.input_format.to_dict(),
            "accumulator": array.accumulator.to_dict(),
            "accumulator_range": list(array.accumulator_range),
        }
        for array in network.arrays
    ]
    return {
        "synq": __version__,
        "configuration": {
            "quantization": asdict(choice),
            "device": prepared.device.name,
            "board": board.name,
            "part": board.part,
            "clock_ns": board.clock_ns,
            "backend": target.backend,
            "io_type": target.io_type,
        },
        "training": asdict(source.recipe) if source.checkpoint is None else None,
        "finetuning": asdict(source.finetuning) if source.finetuning is not None else None,
        "checkpoint": prepared.trained.digest,
        "dataset": {"name": prepared.dataset.name, "digest": prepared.dataset.digest},
        "network": {"digest": network.digest, "arrays": arrays, "output_unit": network.output_unit},
        "accuracy": prepared.accuracy,
        "bit_exact": {"images": len(prepared.expected.classes), "mismatches": mismatches},
        "design": [asdict(array) for array in plan.chosen.arrays],
        "estimate": asdict(plan.chosen.estimate),
    }
