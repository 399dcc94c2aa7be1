"""What a project's page shows and nothing else in the project tells: `report.json`.

The page follows from these facts, the network, the manifest and what tools have reported. So it can
be drawn anew, by `synq report` with more reports or by `synq verify` to compare it.
"""

import base64
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from synq.cost import Resources
from synq.definition import Pattern, Range, read_table
from synq.files import in_words
from synq.score import Task

FACTS = "report.json"
_FORMAT = "synq-report-1"
_MAX_BYTES = 8 << 20

Text = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]{0,1000}", "of one line")]
Number = Annotated[float, Range(-1e30, 1e30)]  # refuses what is no number
Count = Annotated[int, Range(0, 1 << 62)]
Base64 = Annotated[str, Pattern(r"[A-Za-z0-9+/]*={0,2}", "in base 64")]
Numbers = Annotated[tuple[float, ...], Range(-1e30, 1e30)]
Counts = Annotated[tuple[int, ...], Range(0, 1 << 62)]


@dataclass(frozen=True)
class Stage:
    """The score of one stage, of `Scores`."""

    name: Text
    score: Number


@dataclass(frozen=True)
class Check:
    """How many integers a check has found equal to the reference."""

    name: Text
    integers: Count


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper beside ours."""

    name: Text
    paper: Number
    ours: Number


@dataclass(frozen=True)
class BranchCurve:
    """One branch of the device, as it is drawn.

    Attributes:
        states: conductance states, both ends counted.
        siemens: along the branch, evenly spaced, ascending.
    """

    branch: Text
    states: Count
    siemens: Numbers


@dataclass(frozen=True)
class DeviceFacts:
    """The device, and what of it is in use.

    Attributes:
        branch: that weights are laid on.
        low, high: siemens of the window in which the weights lie.
        reference: the reference values, 0..1 of the window; none where there are too many to draw.
        levels: where the quantizer decides, weights of -1..1, ascending.
        realized: the weight that each level is realized as.
    """

    name: Text
    description: Text
    branch: Text
    mapping: Text
    method: Text
    low: Number
    high: Number
    curves: tuple[BranchCurve, ...]
    reference: Numbers
    levels: Numbers
    realized: Numbers


@dataclass(frozen=True)
class Weights:
    """Trained weights of one layer, divided by the weight that normalizes it.

    Attributes:
        counts: of weights in equal bins over -1..1; what is beyond is in the last ones.
        clipped: how many are beyond.
    """

    counts: Counts
    clipped: Count


@dataclass(frozen=True)
class Sample:
    """A test sample and its answer.

    Attributes:
        index: in the test set.
        margin: of the answer over the label where it is wrong, else over the next class; in the
            unit of the logits.
        pixels: a byte a pixel, row by row.
    """

    index: Count
    label: Count
    answer: Count
    margin: Number
    pixels: Base64


@dataclass(frozen=True)
class Answers:
    """How the test samples are answered.

    Attributes:
        width, height: of a sample drawn as a picture.
        wrong: how many are answered wrongly; 0 of a regression.
        confusion: of few classes, by label and then by answer, how many.
        samples: some of them, the wrong ones first.
        targets, outputs: of a regression, the first target of some samples and what was answered.
    """

    count: Count
    width: Count
    height: Count
    wrong: Count
    classes: Count
    confusion: Counts
    samples: tuple[Sample, ...]
    targets: Numbers
    outputs: Numbers


@dataclass(frozen=True)
class DesignFacts:
    """A design of one flow, estimated.

    Attributes:
        text: its arrays, in a line.
        resources: in the order of `RESOURCES`.
    """

    flow: Text
    chosen: bool
    text: Text
    latency: Count
    interval: Count
    resources: Counts

    @property
    def used(self) -> Resources:
        return Resources(*self.resources)


@dataclass(frozen=True)
class BoardFacts:
    """The board; resources in the order of `RESOURCES`."""

    name: Text
    description: Text
    part: Text
    clock_ns: Annotated[float, Range(0.5, 1000)]
    resources: Counts

    @property
    def available(self) -> Resources:
        return Resources(*self.resources)


@dataclass(frozen=True)
class Counted:
    """Clock cycles that Verilator counted an image; `latency` 0 without Verilog."""

    mean: Number
    most: Count
    latency: Count


@dataclass(frozen=True)
class CellMap:
    """How far the cells of one array are off their targets.

    Attributes:
        rows, columns: of the map, of which one point may be several cells.
        every: rows and columns that a point stands for.
        off: a byte a point, row by row: 0 on target, 255 by `most` or more off.
        most: a share of the window.
    """

    rows: Count
    columns: Count
    every: Count
    off: Base64
    most: Number


@dataclass(frozen=True)
class ChipFacts:
    """The chip that the project is of; `cells` is 0 of a design.

    Attributes:
        name: "chip 7".
        deviation: root mean square, a share of the window.
        counts: of cells in equal bins of their deviation, over `-span..span` of the window.
        states: cells by state, in the order of `State`.
        joules: that the pulses put into the cells; 0 if it is not known.
    """

    name: Text
    cells: Count
    deviation: Number
    span: Number
    counts: Counts
    states: Counts
    pulses: Count
    joules: Number
    maps: tuple[CellMap, ...]


@dataclass(frozen=True)
class Facts:
    """Everything a project's page shows beside its network, its manifest and reports.

    Attributes:
        drawn_by: the libraries that drew the page, which other versions draw otherwise.
        spread: of `Scores`.
        samples: what samples are called.
        paper: figures of the paper beside ours; none for other data and networks.
        stream_cycles: cycles that the input stream needs an image.
    """

    title: Text
    drawn_by: Text
    data: Text
    task: Text
    samples: Text
    spread: Number
    stages: tuple[Stage, ...]
    paper: tuple[PaperFigure, ...]
    images: Count
    checks: tuple[Check, ...]
    mismatches: Count
    device: DeviceFacts
    asked_levels: Count
    weights: tuple[Weights, ...]
    answers: Answers
    board: BoardFacts
    designs: tuple[DesignFacts, ...]
    stream_cycles: Count
    counted: Counted
    chip: ChipFacts

    @property
    def kind(self) -> Task:
        return Task(self.task)

    def score(self, stage: str) -> float:
        """The score of a stage that there is."""
        return next(each.score for each in self.stages if each.name == stage)

    @property
    def flows(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(design.flow for design in self.designs))

    def chosen(self, flow: str) -> DesignFacts:
        """The design that is built."""
        return next(each for each in self.designs if each.flow == flow and each.chosen)

    def to_json(self) -> bytes:
        """The file; `facts_from_json` is its inverse."""
        told = {"format": _FORMAT, **asdict(self)}
        return json.dumps(told, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def facts_from_json(content: bytes) -> Facts:
    """Read what `Facts.to_json` gave.

    Raises:
        ValueError: it is something else, or contradicts itself.
    """
    facts = read_table(read_told(content, _FORMAT, _MAX_BYTES), Facts)
    _check(facts)
    return facts


def read_told(content: bytes, form: str, most_bytes: int) -> dict[str, Any]:
    """The table in JSON that says to be of a format, without that.

    Raises:
        ValueError: it is none, or larger.
    """
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {in_words(most_bytes)}")
    try:
        told: Any = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(told, dict) or told.pop("format", None) != form:
        raise ValueError(f"its format is not {form}")
    return told


def _check(facts: Facts) -> None:
    """Whether what belongs together is there together.

    Raises:
        ValueError: it is not.
    """
    names = [stage.name for stage in facts.stages]
    chosen = [design.flow for design in facts.designs if design.chosen]
    resources = [facts.board.resources, *(design.resources for design in facts.designs)]
    answers, chip, device = facts.answers, facts.chip, facts.device
    wrong = {
        "task": facts.task not in [each.value for each in Task],
        "stages": not {"software", "reference"} <= set(names),
        "designs": not chosen or set(chosen) != set(facts.flows) or len(chosen) != len(facts.flows),
        "resources": any(len(each) != len(Resources.__dataclass_fields__) for each in resources),
        "interval": any(not design.interval for design in facts.designs),
        "device": len(device.levels) != len(device.realized) or not device.low < device.high,
        "curves": any(len(curve.siemens) < 2 or curve.states < 2 for curve in device.curves),
        "weights": not facts.weights or any(len(each.counts) < 2 for each in facts.weights),
        "answers": len(answers.confusion) not in (0, answers.classes**2)
        or len(answers.targets) != len(answers.outputs),
        "samples": any(
            len(bytes_of(sample.pixels)) != answers.width * answers.height
            for sample in answers.samples
        ),
        "chip": bool(chip.cells) != bool(chip.maps) or (chip.cells and len(chip.states) != 4),
        "maps": any(len(bytes_of(each.off)) != each.rows * each.columns for each in chip.maps),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"{name} contradict the rest")


def bytes_of(text: str) -> bytes:
    """What a text in base 64 stands for.

    Raises:
        ValueError: it is none.
    """
    return base64.b64decode(text, validate=True)
