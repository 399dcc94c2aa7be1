"""The whole flow, from trained weights to a verified project folder."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import __version__
from synq.board import Board, load_board
from synq.chip import Chip, Conditions, program
from synq.chip_file import chip_npz, described_conditions, read_chip
from synq.hls import converter
from synq.hls.back_end import HlsSimulation, check_hls
from synq.hls.compiler import find_compiler
from synq.hls.converter import Converted
from synq.hls.design import HlsDesign, HlsSettings
from synq.hls.packs import input_pack
from synq.learn.data.dataset import Dataset
from synq.learn.data.load import load_data
from synq.learn.prepare import Quantized, Source, Stopwatch, prepare
from synq.network import accuracy
from synq.page.facts import FACTS
from synq.page.gather import gather
from synq.page.project_page import PAGE, render_page
from synq.planning import Plan, PlanOf, plan_hls, plan_rtl
from synq.planning import check_hls as check_board
from synq.progress import Progress, pieces
from synq.project.contents import (
    Contents,
    describe_board,
    project_title,
    render_contents,
    rtl_core,
)
from synq.project.manifest import (
    as_written,
    bit_exact,
    describe_network,
    digests_of,
    write_manifest,
)
from synq.project.output import check_replaceable, staged, write_files
from synq.quantizing import Quantization
from synq.request import Flow, Request
from synq.rtl.back_end import RtlSimulation, simulate_rtl
from synq.rtl.design import RtlDesign
from synq.rtl.simulate import find_verilator
from synq.score import Scores, Task, integer_score, rounded


@dataclass(frozen=True)
class Destination:
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

    @property
    def settings(self) -> HlsSettings:
        return HlsSettings(self.backend, self.io_type)


@dataclass(frozen=True)
class ChipChoice:
    """Which chip of the design to export.

    Attributes:
        file: one that `chip_npz` has written; one of `seed` and `conditions` without.
    """

    file: Path | None
    seed: int
    conditions: Conditions

    def of(self, prepared: Quantized) -> Chip:
        """The chip.

        Raises:
            UsageError, SynqError: the seed is out of range; the file is no chip of this design.
        """
        given = (prepared.network, prepared.device, prepared.quantization)
        if self.file is not None:
            return read_chip(self.file, *given)
        return program(*given, self.conditions, self.seed)


@dataclass(frozen=True)
class Export:
    """A finished export; everything in it is bit-exact, or there would be none.

    Attributes:
        scores: on the test set, by stage, the simulations too.
        plans: the design of each back end.
        bit_exact: images, integers compared by check, and mismatches.
        csim_images_per_second: of the C simulation on one core; None without the HLS flow.
        rtl: what the simulation of the Verilog counted; None without the RTL flow.
        seconds: wall time by stage.
    """

    output: Path
    prepared: Quantized
    scores: Scores
    quantization: Quantization
    board: Board
    backend: str
    plans: dict[Flow, Plan]
    bit_exact: dict[str, Any]
    csim_images_per_second: float | None
    rtl: RtlSimulation | None
    seconds: dict[str, float]

    @property
    def images(self) -> int:
        """How many each simulation computed, every layer compared."""
        return len(self.prepared.expected.classes)


def export(
    source: Source,
    device_name: str,
    choice: Quantization,
    destination: Destination,
    request: Request,
    progress: Progress,
    chip: ChipChoice | None = None,
) -> Export:
    """Make the project folder, and check it bit-exact on every test input before it appears.

    Args:
        chip: of the design, that is exported in its place.

    Raises:
        UsageError, SynqError: from the stages; nothing is left at the output.
    """
    watch = Stopwatch()
    # What can be refused is refused before minutes of training.
    check_destination(destination)
    if Flow.HLS in destination.flows and destination.settings.stream:
        _check_stream(source, choice, progress)
    prepared = prepare(source, device_name, choice, watch, progress)
    if chip is not None:
        with progress.task("Program the chip"):
            prepared = prepared.on_chip(chip.of(prepared))
    return export_prepared(prepared, destination, request, source.cache_dir, watch, progress)


def export_prepared(
    prepared: Quantized,
    destination: Destination,
    request: Request,
    cache_dir: Path,
    watch: Stopwatch,
    progress: Progress,
) -> Export:
    """As `export`, of a network that is quantized already."""
    board, settings = check_destination(destination), destination.settings
    dataset, network, expected = prepared.dataset, prepared.network, prepared.expected
    with progress.task("Choose the designs"):
        hls = plan_hls(network, board, request) if Flow.HLS in destination.flows else None
        rtl = plan_rtl(network, board, request) if Flow.RTL in destination.flows else None
    title = project_title(
        dataset.name,
        prepared.device.name,
        prepared.quantization.levels,
        board.name,
        _chip_name(prepared.chip),
    )
    contents = Contents(
        network,
        dataset.test_inputs,
        dataset.test_labels,
        expected,
        board,
        title,
        hls.chosen.core if hls else None,
        settings.stream,
        rtl.chosen.core if rtl else None,
    )
    output = (destination.output or Path("build") / title).resolve()
    scores, compared = prepared.scores, dict[str, int]()
    converted, hls_simulation, rtl_simulation = None, None, None

    with staged(output, destination.force) as (project_dir, scratch):
        shares = {"own files": 1.0} | ({"QKeras and hls4ml": 6.0} if contents.hls else {})
        with watch.stage("emit"), pieces(progress, "Emit the project", shares) as working:
            files = render_contents(contents)
            working.done("own files")
            if contents.hls is not None:
                converted = converter.convert(
                    network, contents.hls, board, settings, scratch / "hls4ml"
                )
                theirs = {f"hls/{name}": content for name, content in converted.files.items()}
                files = {**theirs, "qkeras_model.h5": converted.model_file, **files}
                working.done("QKeras and hls4ml")
            write_files(project_dir, files)
        if converted is not None:
            with watch.stage("csim"):
                hls_simulation = check_hls(
                    converted,
                    below("hls", files),
                    network,
                    contents.inputs,
                    expected,
                    scratch,
                    cache_dir,
                    progress,
                )
            write_files(project_dir / "logs", _logs(converted, hls_simulation))
            compared |= hls_simulation.compared
            scores = scores.with_stage("csim", _simulated(prepared, hls_simulation.classes))
        if contents.rtl is not None:
            with watch.stage("verilator"):
                rtl_simulation = simulate_rtl(
                    rtl_core(files),
                    network,
                    contents.rtl,
                    contents.inputs,
                    expected,
                    scratch / "verilator",
                    progress,
                )
            compared["rtl"] = rtl_simulation.compared
            scores = scores.with_stage("rtl", _simulated(prepared, rtl_simulation.classes))
        plans: dict[Flow, Plan] = {}
        if hls is not None:
            plans[Flow.HLS] = hls
        if rtl is not None:
            plans[Flow.RTL] = rtl
        found = bit_exact(expected, compared)
        manifest = {
            **_manifest(destination, board, prepared, plans),
            **scores.to_dict(),
            "bit_exact": found,
        }
        shares = {"facts": 1.0, "figures": 2.0}
        with watch.stage("page"), pieces(progress, "Draw the page", shares) as working:
            facts = gather(title, prepared, board, plans, scores, found, rtl_simulation)
            write_files(project_dir, {FACTS: facts.to_json()})
            working.done("facts")
            page = render_page(facts, network, as_written(manifest), digests_of(project_dir))
            write_files(project_dir, {PAGE: page})
            working.done("figures")
        write_manifest(project_dir, manifest)
    return Export(
        output=output,
        prepared=prepared,
        scores=scores,
        quantization=prepared.quantization,
        board=board,
        backend=destination.backend,
        plans={flow: plans[flow] for flow in destination.flows},
        bit_exact=found,
        csim_images_per_second=hls_simulation.images_per_second if hls_simulation else None,
        rtl=rtl_simulation,
        seconds=watch.seconds,
    )


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files in a folder of the project, by their names in it."""
    start = f"{folder}/"
    return {
        name.removeprefix(start): content
        for name, content in files.items()
        if name.startswith(start)
    }


def check_destination(destination: Destination) -> Board:
    """The board, after all checks that need no network.

    Raises:
        UsageError, SynqError: it is unknown, a tool is missing, or the folder is another's.
    """
    board = load_board(destination.board)
    if Flow.HLS in destination.flows:
        check_board(board)
    find_compiler()
    if Flow.RTL in destination.flows:
        find_verilator()
    if destination.output is not None:
        check_replaceable(destination.output.resolve(), destination.force)
    if Flow.HLS in destination.flows:
        converter.warm_up()
    return board


def _check_stream(source: Source, choice: Quantization, progress: Progress) -> None:
    """Refuse images that no stream between hls4ml's layers can carry."""
    dataset = load_data(source.data, source.cache_dir, progress)
    input_pack(dataset.n_features, choice.input_bits)


def _logs(converted: Converted, simulation: HlsSimulation) -> dict[str, bytes]:
    return {"hls4ml.log": converted.log().encode(), "compiler.log": simulation.compiler_log}


def _simulated(prepared: Quantized, classes: NDArray[np.int64]) -> float:
    """The score of a simulation, whose outputs are those of the reference, as has been checked."""
    dataset = prepared.dataset
    if dataset.task is Task.CLASSIFICATION:
        return rounded(dataset.task, accuracy(classes, dataset.test_labels))
    answers = prepared.expected.answers
    return integer_score(dataset.task, prepared.network, answers, dataset.test_labels)


def _chip_name(chip: Chip | None) -> str:
    if chip is None:
        return ""
    return "chip" if chip.seed is None else f"chip{chip.seed}"


def _describe_chip(chip: Chip) -> dict[str, Any]:
    """The chip as the manifest shows it."""
    return {
        "seed": chip.seed,
        "digest": hashlib.sha256(chip_npz(chip)).hexdigest(),
        "design": chip.design.digest,
        "deviation": chip.deviation,
        "conditions": described_conditions(chip.conditions),
    }


def _manifest(
    destination: Destination,
    board: Board,
    prepared: Quantized,
    plans: dict[Flow, PlanOf[HlsDesign] | PlanOf[RtlDesign]],
) -> dict[str, Any]:
    loaded = prepared.loaded
    configuration = {
        "quantization": asdict(prepared.quantization),
        "device": prepared.device.name,
        "board": board.name,
        "part": board.part,
        "clock_ns": board.clock_ns,
        "chip": _chip_name(prepared.chip),
    }
    if Flow.HLS in plans:
        configuration |= {"backend": destination.backend, "io_type": destination.io_type}
    return {
        "synq": __version__,
        "flows": [flow.value for flow in plans],
        "configuration": configuration,
        "board": describe_board(board),
        "training": asdict(loaded.recipe) if loaded.recipe is not None else None,
        "finetuning": loaded.finetuning.described() if loaded.finetuning is not None else None,
        "checkpoint": loaded.given.digest,
        "dataset": describe_dataset(loaded.dataset, prepared.dataset.digest),
        "network": describe_network(prepared.network),
        "chip": None if prepared.chip is None else _describe_chip(prepared.chip),
        "designs": {flow.value: _design(plan) for flow, plan in plans.items()},
    }


def describe_dataset(dataset: Dataset, digest: str) -> dict[str, Any]:
    """The data as the manifest shows it.

    Args:
        digest: of the data as the network sees it, its inputs reduced to fewer bits.
    """
    shown: dict[str, Any] = {"name": dataset.name, "digest": digest, "task": dataset.task.value}
    if dataset.normalization is not None:
        mean, std = dataset.normalization.mean, dataset.normalization.std
        shown["normalization"] = {"mean": mean.tolist(), "std": std.tolist()}
    return shown


def _design(plan: Plan) -> dict[str, Any]:
    """The chosen design: what `verify` reads again, and its estimate."""
    core = asdict(plan.chosen.core)
    return {**core, "estimate": asdict(plan.chosen.estimate)}
