"""From an export in memory to the facts of its page."""

import base64
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board
from synq.chip import Chip, State
from synq.cost import RESOURCES
from synq.device import Branch, Device
from synq.fixedpoint import FixedPoint
from synq.learn.data.mnist import is_mnist
from synq.learn.prepare import Quantized
from synq.network import SynapseArray, class_count
from synq.page import paper
from synq.page.facts import (
    Answers,
    BoardFacts,
    BranchCurve,
    CellMap,
    Check,
    ChipFacts,
    Counted,
    DesignFacts,
    DeviceFacts,
    Facts,
    PaperFigure,
    Sample,
    Stage,
    Weights,
)
from synq.planning import Candidate, Plan, core_text
from synq.quantizing import Method, Quantization, level_values
from synq.request import Flow
from synq.rtl.back_end import RtlSimulation
from synq.score import Scores, Task

_BINS = 80
_CURVE_POINTS = 129
_MOST_REFERENCES = 256  # more would be a black bar
_MOST_CLASSES = 32  # whose confusion is a table that people can read
_WRONG, _RIGHT = 24, 8  # samples
_MOST_PIXELS = 4096
_MOST_POINTS = 400
_MAP_SIDE = 256


def drawn_by() -> str:
    """The libraries whose versions the bytes of a page depend on."""
    return ", ".join(f"{name} {version(name)}" for name in ("matplotlib", "pillow", "jinja2"))


def gather(
    title: str,
    prepared: Quantized,
    board: Board,
    plans: Mapping[Flow, Plan],
    scores: Scores,
    bit_exact: Mapping[str, Any],
    rtl: RtlSimulation | None,
) -> Facts:
    """The facts of a finished export.

    Args:
        scores: of every stage, simulations too.
        bit_exact: as the manifest has it.
        rtl: what the simulation of the Verilog counted.
    """
    designs = [each for flow, plan in plans.items() for each in _designs(flow, plan)]
    return Facts(
        title=one_line(title),
        drawn_by=drawn_by(),
        data=one_line(prepared.dataset.name),
        task=scores.task.value,
        samples=prepared.dataset.samples,
        spread=scores.spread,
        stages=tuple(Stage(name, float(score)) for name, score in scores.stages.items()),
        paper=_beside_paper(prepared, scores),
        images=bit_exact["images"],
        checks=tuple(Check(name, count) for name, count in bit_exact["compared"].items()),
        mismatches=bit_exact["mismatches"],
        device=_device(prepared.device, prepared.quantization),
        asked_levels=prepared.quantization.levels,
        weights=_weights(prepared),
        answers=_answers(prepared),
        board=BoardFacts(
            one_line(board.name),
            one_line(board.description),
            board.part,
            float(board.clock_ns),
            tuple(getattr(board.resources, name) for name in RESOURCES),
        ),
        designs=tuple(designs),
        stream_cycles=max(plan.stream_cycles for plan in plans.values()),
        counted=_counted(rtl),
        chip=chip_facts(prepared.chip),
    )


def one_line(text: str) -> str:
    """A user's name as one line of at most 1000 characters."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)[:1000]


def _counted(rtl: RtlSimulation | None) -> Counted:
    if rtl is None:
        return Counted(0.0, 0, 0)
    return Counted(float(rtl.cycles_mean), int(rtl.cycles_most), int(rtl.latency))


# ---- The device and the weights -----------------------------------------------------------------


def _device(device: Device, choice: Quantization) -> DeviceFacts:
    levels, realized = level_values(choice, device)
    window, reference = device.window(choice.branch), device.reference_values(choice.branch)
    curves = []
    for branch in (Branch.LTP, Branch.LTD):
        own = device.window(branch)
        at = device.curve(branch, np.arange(_CURVE_POINTS) / (_CURVE_POINTS - 1))
        siemens = own.conductance(np.clip(at, 0, 1))
        states = device.count_of_states(branch)
        curves.append(BranchCurve(branch.value, states, _floats(siemens)))
    return DeviceFacts(
        one_line(device.name),
        one_line(device.description),
        choice.branch.value,
        choice.mapping.value,
        choice.method.value,
        window.low,
        window.high,
        tuple(curves),
        _floats(reference) if len(reference) <= _MOST_REFERENCES else (),
        _floats(levels),
        _floats(realized),
    )


def _floats(values: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Of six digits, as they are drawn."""
    return tuple(float(f"{value:.6g}") for value in values.tolist())


def _weights(prepared: Quantized) -> tuple[Weights, ...]:
    found = []
    arrays = prepared.network.arrays
    for weight, array in zip(prepared.loaded.network.weights, arrays, strict=True):
        normalized = weight.astype(np.float64).ravel() / array.scale
        bins = np.floor((np.clip(normalized, -1, 1) + 1) / 2 * _BINS).astype(np.int64)
        counts = np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
        clipped = int(np.count_nonzero(np.abs(normalized) > 1))
        found.append(Weights(tuple(counts.tolist()), clipped))
    return tuple(found)


# ---- Answers ------------------------------------------------------------------------------------


def _beside_paper(prepared: Quantized, scores: Scores) -> tuple[PaperFigure, ...]:
    """What the paper prints of this network on this data, beside ours."""
    if not is_mnist(prepared.dataset) or prepared.network.sizes != paper.SIZES:
        return ()
    choice, stages = prepared.quantization, scores.stages
    figures = [PaperFigure("software", paper.SOFTWARE, stages["software"])]
    if (choice.method, choice.levels) == (Method.PROPOSED, 10) and prepared.chip is None:
        ours = stages["reference"]
        figures.append(PaperFigure("proposed method at L = 10", paper.PROPOSED_AT_10, ours))
        drop = round(paper.SOFTWARE - paper.PROPOSED_AT_10, 2)
        lost = round(stages["software"] - ours, 2)
        figures.append(PaperFigure("its drop below software, points", drop, lost))
    return tuple(figures)


def _answers(prepared: Quantized) -> Answers:
    inputs, labels = prepared.dataset.test_inputs, prepared.dataset.test_labels
    network, trace = prepared.network, prepared.expected
    width, height = _shape(network.sizes[0])
    outputs = trace.accumulators[-1].astype(np.float64) * network.output_unit
    if prepared.dataset.task is Task.REGRESSION:
        some = np.linspace(0, len(labels) - 1, min(len(labels), _MOST_POINTS)).astype(np.int64)
        targets, answers = _floats(labels[some, 0]), _floats(outputs[some, 0])
        return Answers(len(labels), width, height, 0, 0, (), (), targets, answers)
    classes = max(class_count(network.sizes[-1]), int(labels.max()) + 1)
    answered = trace.classes
    confusion: tuple[int, ...] = ()
    if classes <= _MOST_CLASSES:
        cells = np.bincount(labels * classes + answered, minlength=classes**2)
        confusion = tuple(cells.tolist())
    chosen = _chosen(outputs, labels, answered)
    pixels = _pixels(inputs[[at for at, _ in chosen], : width * height], network.input_format)
    samples = [
        Sample(at, int(labels[at]), int(answered[at]), margin, text)
        for (at, margin), text in zip(chosen, pixels, strict=True)
    ]
    wrong = int(np.count_nonzero(answered != labels))
    return Answers(len(labels), width, height, wrong, classes, confusion, tuple(samples), (), ())


def _shape(n_inputs: int) -> tuple[int, int]:
    """Width and height of a sample drawn as a picture: a square where the inputs are one, else a
    strip of the first ones."""
    side = math.isqrt(n_inputs)
    if side * side == n_inputs and 5 <= side <= math.isqrt(_MOST_PIXELS):
        return side, side
    return min(n_inputs, _MOST_PIXELS), 1


def _chosen(
    outputs: NDArray[np.float64], labels: NDArray[np.int64], answered: NDArray[np.int64]
) -> list[tuple[int, float]]:
    """Samples and their margins: the wrong answers that are surest, then the right ones that were
    closest to another."""
    if outputs.shape[1] == 1:
        outputs = np.hstack([np.zeros_like(outputs), outputs])
    rows = np.arange(len(labels))
    best = outputs[rows, answered]
    known = np.minimum(labels, outputs.shape[1] - 1)
    wrong = answered != labels
    rest = outputs.copy()
    rest[rows, answered] = -np.inf
    margins = np.where(wrong, best - outputs[rows, known], best - rest.max(axis=1))
    surest = np.flatnonzero(wrong)
    surest = surest[np.argsort(-margins[surest], kind="stable")][:_WRONG]
    closest = np.flatnonzero(~wrong)
    closest = closest[np.argsort(margins[closest], kind="stable")][:_RIGHT]
    order = [*surest.tolist(), *closest.tolist()]
    return [(at, float(f"{margins[at]:.6g}")) for at in order]


def _pixels(inputs: NDArray[np.integer[Any]], form: FixedPoint) -> list[str]:
    """Each sample as bytes in base 64: 0 is the format's least value, 255 its greatest."""
    span = form.max_raw - form.min_raw
    shades = (inputs.astype(np.int64) - form.min_raw) * 255 // span
    return [base64.b64encode(row.astype(np.uint8).tobytes()).decode() for row in shades]


# ---- Designs and chips --------------------------------------------------------------------------


def _designs(flow: Flow, plan: Plan) -> list[DesignFacts]:
    both: list[Candidate[Any]] = [plan.chosen, *plan.neighbours]
    return [
        DesignFacts(
            flow.value,
            each is plan.chosen,
            core_text(each.core),
            each.estimate.latency,
            each.estimate.interval,
            tuple(getattr(each.estimate.resources, name) for name in RESOURCES),
        )
        for each in sorted(both, key=lambda each: each.estimate.interval)
    ]


def chip_facts(chip: Chip | None) -> ChipFacts:
    """What a page shows of a chip; nothing of None."""
    if chip is None:
        return ChipFacts("", 0, 0.0, 1.0, (), (), 0, 0.0, ())
    width = chip.window.width
    off = [(cells.actual - cells.target) / width for cells in chip.cells]
    flat = np.concatenate([each.ravel() for each in off])
    span = max(4 * chip.deviation, 1e-9)
    bins = np.floor((np.clip(flat / span, -1, 1) + 1) / 2 * _BINS).astype(np.int64)
    counts = np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
    states = [chip.count(state) for state in State]
    name = "a measured chip" if chip.seed is None else f"chip {chip.seed}"
    maps = tuple(_cell_map(np.abs(each).max(axis=2), span) for each in off)
    told = (span, tuple(counts.tolist()), tuple(states), chip.pulses, chip.energy_j or 0.0, maps)
    return ChipFacts(name, int(flat.size), chip.deviation, *told)


def states_of(chip: ChipFacts) -> list[tuple[str, int]]:
    """Cells of a chip by the name of their state."""
    names = [state.name.lower().replace("_", " ") for state in State]
    return list(zip(names, chip.states, strict=False))


def noise_steps(array: SynapseArray) -> float:
    """Standard deviation of the read noise in steps of the converters; 0 without."""
    if array.converter is None or array.noise is None:
        return 0.0
    step = 2.0 ** (array.partial.fraction - array.converter.format.fraction)
    return array.noise.deviation / step


def _cell_map(off: NDArray[np.float64], most: float) -> CellMap:
    """Of the worse cell of each pair; of larger arrays the worst of each square of cells."""
    every = -(-max(off.shape) // _MAP_SIDE)
    rows, columns = (-(-side // every) for side in off.shape)
    padded = np.zeros((rows * every, columns * every))
    padded[: off.shape[0], : off.shape[1]] = off
    worst = padded.reshape(rows, every, columns, every).max(axis=(1, 3))
    shades = np.minimum(np.rint(worst / most * 255), 255).astype(np.uint8)
    text = base64.b64encode(shades.tobytes()).decode()
    return CellMap(rows, columns, every, text, most)
