"""The HLS back end: the folders hls/, flow/ and driver/ of a project, and their C simulation."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from synq.board import Board
from synq.errors import SynqError
from synq.hls import axis, csim
from synq.hls.design import HlsDesign
from synq.learn.prepare import Prepared, Stopwatch
from synq.network import require_equal
from synq.progress import Progress
from synq.project.driver import render_driver
from synq.project.flow import PROCESSING_SYSTEMS, render_flow
from synq.project.output import write_files

_SHIPPED_VECTORS = 100  # test images a project carries as text, for csim_design and cosim_design


@dataclass(frozen=True)
class HlsSettings:
    """hls4ml's backend ("Vitis", "Vivado") and interface ("io_parallel", "io_stream")."""

    backend: str
    io_type: str


def make_hls(
    prepared: Prepared,
    design: HlsDesign,
    board: Board,
    settings: HlsSettings,
    name: str,
    project_dir: Path,
    scratch: Path,
    watch: Stopwatch,
    progress: Progress,
) -> csim.Simulation:
    """Write the folders, and check the QKeras model, hls4ml's compiled library, the C simulation
    and the AXI4-Stream wrapper against the integer reference on every test input.

    Args:
        name: of the project, for the driver's notebook.
        project_dir: where the folders go.
        scratch: for what is not part of the project.

    Raises:
        SynqError: an integer differs, or a tool failed.
    """
    network, inputs = prepared.network, prepared.dataset.test_inputs
    build_dir = scratch / "hls"
    log = io.StringIO()
    with (
        watch.stage("emit"),
        progress.task("Emit the hls4ml project"),
        warnings.catch_warnings(action="ignore"),  # they name folders of this installation
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        # Imported here, TensorFlow and hls4ml log to where the output goes here.
        from synq.hls import project, qkeras_model

        model = qkeras_model.build_model(network)
        require_equal(
            prepared.expected, qkeras_model.model_stages(model, network, inputs), "QKeras"
        )
        qkeras_model.save_model(model, project_dir / "qkeras_model.h5")
        converted = project.convert(
            model, network, design.arrays, board, settings.backend, settings.io_type, build_dir
        )
        shipped = min(_SHIPPED_VECTORS, len(inputs))
        some, answers = inputs[:shipped], prepared.expected.head(shipped)
        write_files(project_dir / "hls", project.write(converted, some, answers))
        write_files(
            project_dir / "hls",
            axis.render_axis(network, converted.stream, *project.port_types(converted)),
        )
        sources = [f"hls/{source}" for source in axis.SOURCES]
        write_files(
            project_dir / "flow", render_flow(board, axis.TOP, sources, f"hls/{axis.TEST_BENCH}")
        )
        if board.family in PROCESSING_SYSTEMS:
            labels = prepared.dataset.test_labels[:shipped]
            write_files(project_dir / "driver", render_driver(network, some, answers, labels, name))

    with watch.stage("csim"), progress.task("Compile and run the C simulation"):
        # On one core the test bench is built and run, on the other hls4ml's own library is.
        with (
            ThreadPoolExecutor(1) as pool,
            csim.test_bench_build(project_dir / "hls", scratch / "testbench") as build,
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            simulated = pool.submit(csim.finish_and_simulate, build, network, inputs, scratch)
            try:
                library_stages = project.simulate_library(converted, inputs)
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
        require_equal(prepared.expected, simulation.stages, "C simulation")
        require_equal(prepared.expected, library_stages, "hls4ml's compiled library")
    hidden = {str(build_dir): "hls", str(scratch): "scratch", str(project_dir): "."}
    write_files(
        project_dir / "logs",
        {
            "hls4ml.log": _without(log.getvalue(), hidden).encode(),
            "g++.log": _without(compiler_log, hidden).encode(),
        },
    )
    return simulation


def _without(log: str, names: dict[str, str]) -> str:
    """The log with random folder names replaced, so that equal runs keep equal logs."""
    for folder, name in names.items():
        log = log.replace(folder, name)
    return log
