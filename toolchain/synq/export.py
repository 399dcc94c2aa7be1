"""The whole flow, from trained weights to a verified project folder."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synq import __version__
from synq.board import Board, load_board
from synq.hls import csim
from synq.hls.back_end import HlsSettings, make_hls
from synq.hls.design import HlsDesign
from synq.learn.data.dataset import Dataset
from synq.learn.prepare import Prepared, Source, Stopwatch, prepare
from synq.network import QuantizedNetwork
from synq.plan import Plan, check_hls, make_plan
from synq.progress import Progress
from synq.project.manifest import write_manifest
from synq.project.output import check_replaceable, staged, write_files
from synq.project.tables import render_tables
from synq.quantize import Quantization
from synq.request import Flow, Request
from synq.rtl.back_end import RtlSimulation, simulate_rtl
from synq.rtl.design import RtlDesign
from synq.rtl.simulate import find_verilator
from synq.rtl.verilog import render_rtl


@dataclass(frozen=True)
class Target:
    """What to make: for which board, by which back ends, and where.

    Attributes:
        backend: hls4ml's, "Vitis" or "Vivado".
        io_type: hls4ml's interface, "io_parallel" or "io_stream".
        output: the project's folder; build/<name> without.
        force: whether a folder may be replaced that synq did not write.
    """

    board: str
    flows: tuple[Flow, ...]
    backend: str
    io_type: str
    output: Path | None
    force: bool


@dataclass(frozen=True)
class Export:
    """A finished export; everything in it is bit-exact, or there would be none.

    Attributes:
        plans: the design of each back end.
        images: how many each simulation computed, every layer compared.
        csim_images_per_second: of the C simulation on one core; None without the HLS flow.
        rtl: what the simulation of the Verilog counted; None without the RTL flow.
        seconds: wall time by stage.
    """

    output: Path
    prepared: Prepared
    quantization: Quantization
    board: Board
    backend: str
    plans: dict[Flow, Plan]
    images: int
    csim_images_per_second: float | None
    rtl: RtlSimulation | None
    seconds: dict[str, float]


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
    _check_tools(target, board)  # before minutes of training rather than after
    if target.output is not None:
        check_replaceable(target.output.resolve(), target.force)
    prepared = prepare(source, device_name, choice, watch, progress)
    network = prepared.network
    plans = {flow: make_plan(network, board, request, flow) for flow in target.flows}
    name = f"{prepared.dataset.name}-{prepared.device.name}-L{choice.levels}-{board.name}"
    output = (target.output or Path("build") / name).resolve()
    accuracy = dict(prepared.accuracy)
    labels = prepared.dataset.test_labels
    images_per_second, rtl = None, None

    with staged(output, target.force) as (project_dir, scratch):
        write_files(project_dir / "tables", render_tables(network))
        (project_dir / "network.npz").write_bytes(network.to_npz())
        (project_dir / "vectors.npz").write_bytes(_vectors(prepared.dataset))
        if Flow.HLS in plans:
            settings = HlsSettings(target.backend, target.io_type)
            hls_core = plans[Flow.HLS].chosen.core
            assert isinstance(hls_core, HlsDesign)
            simulation = make_hls(
                prepared, hls_core, board, settings, name, project_dir, scratch, watch, progress
            )
            images_per_second = simulation.images_per_second
            accuracy["csim"] = _percent(simulation.stages[-1][1][:, 0] == labels)
        if Flow.RTL in plans:
            rtl_core = plans[Flow.RTL].chosen.core
            assert isinstance(rtl_core, RtlDesign)
            with watch.stage("verilog"):
                files = render_rtl(network, rtl_core)
                write_files(project_dir / "rtl", files)
            with watch.stage("verilator"), progress.task("Compile and run the Verilog") as task:
                inputs, expected = prepared.dataset.test_inputs, prepared.expected
                place = scratch / "verilator"
                rtl = simulate_rtl(files, network, rtl_core, inputs, expected, place, task)
            accuracy["rtl"] = _percent(rtl.classes == labels)
        prepared = Prepared(**{**vars(prepared), "accuracy": accuracy})
        write_manifest(project_dir, _manifest(source, choice, target, board, prepared, plans))
    return Export(
        output=output,
        prepared=prepared,
        quantization=choice,
        board=board,
        backend=target.backend,
        plans=plans,
        images=len(labels),
        csim_images_per_second=images_per_second,
        rtl=rtl,
        seconds=watch.seconds,
    )


def _check_tools(target: Target, board: Board) -> None:
    csim.find_compiler()
    if Flow.RTL in target.flows:
        find_verilator()
    if Flow.HLS in target.flows:
        check_hls(board)


def _percent(right: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return round(float(np.mean(right)) * 100, 4)


def _vectors(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=dataset.test_inputs, labels=dataset.test_labels)
    return buffer.getvalue()


def _manifest(
    source: Source,
    choice: Quantization,
    target: Target,
    board: Board,
    prepared: Prepared,
    plans: dict[Flow, Plan],
) -> dict[str, Any]:
    configuration = {
        "quantization": asdict(choice),
        "device": prepared.device.name,
        "board": board.name,
        "part": board.part,
        "clock_ns": board.clock_ns,
    }
    if Flow.HLS in plans:
        configuration |= {"backend": target.backend, "io_type": target.io_type}
    return {
        "synq": __version__,
        "flows": [flow.value for flow in plans],
        "configuration": configuration,
        "training": asdict(source.recipe) if source.checkpoint is None else None,
        "finetuning": asdict(source.finetuning) if source.finetuning is not None else None,
        "checkpoint": prepared.trained.digest,
        "dataset": {"name": prepared.dataset.name, "digest": prepared.dataset.digest},
        "network": _network(prepared.network),
        "accuracy": prepared.accuracy,
        "bit_exact": {"images": len(prepared.expected.classes), "mismatches": 0},
        "designs": {flow.value: _design(plan) for flow, plan in plans.items()},
    }


def _network(network: QuantizedNetwork) -> dict[str, Any]:
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
    return {"digest": network.digest, "arrays": arrays, "output_unit": network.output_unit}


def _design(plan: Plan) -> dict[str, Any]:
    """The chosen design: what `read_design` reads again, and its estimate."""
    core = asdict(plan.chosen.core)
    return {**core, "estimate": asdict(plan.chosen.estimate)}
