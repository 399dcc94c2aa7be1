"""The figures of a project's page."""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from synq.chip import full_scale
from synq.cost import RESOURCES
from synq.network import SynapseArray
from synq.page.facts import ChipFacts, DeviceFacts, Facts, Weights
from synq.page.svg import (
    ACCENT,
    FOURTH,
    GRID,
    INK,
    MUTED,
    SECOND,
    SURFACE,
    THIRD,
    drawn,
    drawn_figure,
)
from synq.quantizing import Mapping
from synq.request import BUDGET
from synq.score import Task

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_DOTS = 80
FLOWS = {"hls": "HLS", "rtl": "Verilog"}
STAGES = {
    "software": "software, real numbers",
    "quantized": "quantized weights, real sums",
    "design": "integers, as designed",
    "reference": "integers, the reference",
    "csim": "C simulation",
    "rtl": "Verilog simulation",
}


def siemens(most: float) -> tuple[float, str]:
    """A factor and the unit in which conductances up to `most` are easy to read."""
    for factor, unit in ((1.0, "S"), (1e3, "mS"), (1e6, "µS"), (1e9, "nS"), (1e12, "pS")):
        if most * factor >= 1:
            return factor, unit
    return 1e15, "fS"


def conductances(device: DeviceFacts, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Siemens of the cell that holds a weight: of a pair's positive one, for weights from 0 up."""
    share = (weights + 1) / 2 if device.mapping == Mapping.OFFSET else weights
    return device.low + np.clip(share, 0, 1) * (device.high - device.low)


def device_curve(device: DeviceFacts) -> Markup:
    """Conductance against pulses, the reference values, and those in use."""
    factor, unit = siemens(device.high)

    def draw(axes: "Axes") -> None:
        for curve in device.curves:
            used = device.branch in (curve.branch, "union")
            up = curve.branch == "ltp"
            pulses = np.linspace(0, curve.states - 1, len(curve.siemens))
            axes.plot(
                pulses,
                np.array(curve.siemens)[:: 1 if up else -1] * factor,
                color=ACCENT if used else MUTED,
                linestyle="-" if up else "--",
                linewidth=1.4 if used else 1,
                label=f"{'potentiation' if up else 'depression'} ({curve.branch.upper()})",
            )
        curve = next(each for each in device.curves if device.branch in (each.branch, "union"))
        heights = np.array(device.reference) * (device.high - device.low) + device.low
        realized = np.array(device.realized)
        if device.mapping != Mapping.OFFSET:
            realized = realized[realized >= 0]
        chosen = np.unique(conductances(device, realized))
        label = f"{len(heights)} reference values"
        if len(heights):
            at = _pulses(curve.siemens, curve.states, curve.branch, heights)
            axes.plot(at, heights * factor, ".", color=MUTED, markersize=4, label=label, zorder=3)
        if len(chosen) <= _MOST_DOTS:
            at = _pulses(curve.siemens, curve.states, curve.branch, chosen)
            axes.hlines(chosen * factor, 0, at, color=SECOND, linewidth=0.6, alpha=0.55)
            axes.plot(
                at,
                chosen * factor,
                "o",
                color=SECOND,
                markersize=6,
                markeredgecolor=SURFACE,
                markeredgewidth=1,
                label=f"{len(chosen)} in use",
                zorder=4,
            )
        axes.set_xlabel("pulse")
        axes.set_ylabel(f"conductance, {unit}")
        _legend_above(axes)
        axes.margins(x=0.02)

    words = f"Conductance of {device.name} against pulses, with the values in use marked"
    return drawn("device", words, draw)


def _legend_above(axes: "Axes") -> None:
    """Two entries a row, outside the axes, where they hide nothing."""
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside upper left", ncols=2, borderpad=0)


def _pulses(
    curve: tuple[float, ...], states: int, branch: str, heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where on its branch a conductance is."""
    along = np.interp(heights, curve, np.linspace(0, states - 1, len(curve)))
    return along if branch == "ltp" else states - 1 - along


def staircase(device: DeviceFacts) -> Markup:
    """The weight that every weight becomes."""

    def draw(axes: "Axes") -> None:
        levels, realized = np.array(device.levels), np.array(device.realized)
        ends = np.concatenate([[-1.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
        axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.stairs(realized, ends, baseline=None, color=ACCENT, linewidth=1.8, label="becomes")
        if len(levels) <= _MOST_DOTS:
            axes.plot(levels, levels, "x", color=MUTED, markersize=5, label="uniform level")
            axes.plot(
                levels,
                realized,
                "o",
                color=SECOND,
                markersize=6,
                markeredgecolor=SURFACE,
                markeredgewidth=1,
                label="what the device has",
                zorder=4,
            )
        axes.set_xlabel("trained weight, normalized")
        axes.set_ylabel("weight in the array")
        axes.set_xlim(-1.04, 1.04)
        axes.set_ylim(-1.08, 1.08)
        _legend_above(axes)

    return drawn("staircase", "The weight in the array against the trained weight", draw)


def weight_histograms(index: int, before: Weights, array: SynapseArray) -> Markup:
    """Above the trained weights, below those of the array, upside down."""
    counts = np.array(before.counts)
    used = np.bincount(array.codes.ravel(), minlength=array.effective_levels)
    values = array.codebook / full_scale(array.table_format)
    span = max(1.0, float(np.abs(values).max()))

    def draw(figure: "Figure") -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        edges = np.linspace(-1, 1, len(counts) + 1)
        above.stairs(100 * counts / max(1, counts.sum()), edges, fill=True, color=MUTED, alpha=0.55)
        above.set_ylabel("% trained")
        shares = 100 * used / used.sum()
        if len(values) <= _MOST_DOTS:
            below.vlines(values, 0, shares, color=ACCENT, linewidth=2.2)
            below.plot(values, shares, "o", color=ACCENT, markersize=4)
        else:
            below.vlines(values, 0, shares, color=ACCENT, linewidth=1)
        below.set_ylim(1.12 * float(shares.max()), 0)
        below.set_ylabel("% in array")
        below.set_xlim(-1.04 * span, 1.04 * span)
        below.xaxis.tick_top()
        below.tick_params(axis="x", length=0, labeltop=False)
        below.spines["bottom"].set_visible(False)
        below.spines["top"].set_visible(True)
        below.set_xlabel("weight, normalized")
        below.xaxis.set_label_position("bottom")
        above.tick_params(axis="x", labelbottom=True, length=0)

    words = f"Array {index}: shares of weights before and after quantization"
    return drawn_figure(f"weights-{index}", words, draw)


def stages(facts: Facts) -> Markup:
    """The score at each stage, beside the paper's."""
    task = facts.kind

    def draw(axes: "Axes") -> None:
        names = [STAGES.get(stage.name, stage.name) for stage in facts.stages]
        scores = [stage.score for stage in facts.stages]
        at = np.arange(len(names))[::-1]
        axes.hlines(at, scores[0], scores, color=GRID, linewidth=3)
        axes.axvline(scores[0], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(
            scores,
            at,
            "o",
            color=ACCENT,
            markersize=8,
            markeredgecolor=SURFACE,
            markeredgewidth=1,
            label="synq",
            zorder=4,
        )
        for score, height in zip(scores, at, strict=True):
            axes.annotate(
                task.number(score),
                (score, height),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=9.5,
            )
        rows = {"software": "software", "proposed method at L = 10": "reference"}
        order = [stage.name for stage in facts.stages]
        points = [
            (figure.paper, at[order.index(rows[figure.name])])
            for figure in facts.paper
            if rows.get(figure.name) in order
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "D", color=SECOND, markersize=6, label="paper", zorder=3)
            _legend_above(axes)
        axes.set_yticks(at, names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.6, len(names) - 0.3)
        axes.margins(x=0.14)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"test {task.words}")

    words = f"Test {task.words} at each stage"
    return drawn("stages", words, draw, height=1.1 + 0.46 * len(facts.stages))


def regression(facts: Facts) -> Markup:
    """What is answered against what is right."""
    answers = facts.answers

    def draw(axes: "Axes") -> None:
        targets, outputs = np.array(answers.targets), np.array(answers.outputs)
        ends = [float(targets.min()), float(targets.max())]
        axes.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(targets, outputs, "o", color=ACCENT, markersize=3.5, alpha=0.6)
        axes.set_xlabel("target")
        axes.set_ylabel("answer of the hardware")

    return drawn("regression", "Answers against targets", draw)


def designs(facts: Facts) -> Markup:
    """Every design's rate against what it takes of the board."""
    available = facts.board.available
    colours = {"hls": ACCENT, "rtl": THIRD}

    def draw(axes: "Axes") -> None:
        for flow in facts.flows:
            own = [each for each in facts.designs if each.flow == flow]
            rates = [1e9 / (each.interval * facts.board.clock_ns) for each in own]
            shares = [100 * min(each.used.share(available), 100.0) for each in own]
            colour = colours.get(flow, FOURTH)
            axes.plot(rates, shares, "-o", color=colour, markersize=5, linewidth=1)
            at = [each.chosen for each in own].index(True)
            axes.plot(
                rates[at],
                shares[at],
                "o",
                color=colour,
                markersize=12,
                markeredgecolor=SURFACE,
                markeredgewidth=1.5,
                zorder=4,
                label=f"{FLOWS.get(flow, flow)}, chosen",
            )
        axes.axhline(100 * BUDGET, color=SECOND, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_ylim(0, max(82, axes.get_ylim()[1]))
        axes.set_xlabel("images a second, estimated")
        axes.set_ylabel("largest share of the board, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.locator_params(axis="x", nbins=4)
        _legend_above(axes)

    return drawn("designs", "Estimated rate against the largest share of the board", draw)


def deviations(chip: ChipFacts) -> Markup:
    """How far the chip's cells are off."""

    def draw(axes: "Axes") -> None:
        edges = 100 * np.linspace(-chip.span, chip.span, len(chip.counts) + 1)
        counts = np.array(chip.counts)
        axes.stairs(np.maximum(counts, 0.5), edges, fill=True, color=ACCENT, baseline=0.5)
        axes.set_yscale("log")
        axes.set_xlabel("off target, % of the window")
        axes.set_ylabel("cells")

    return drawn("deviations", "Cells by their deviation from the target", draw)


def is_accuracy(facts: Facts) -> bool:
    return facts.kind is Task.CLASSIFICATION


def largest_share(facts: Facts, flow: str) -> tuple[float, str]:
    """The resource of which a chosen design takes most, and how much."""
    used, have = facts.chosen(flow).used, facts.board.available
    shares = {
        name: getattr(used, name) / getattr(have, name) for name in RESOURCES if getattr(have, name)
    }
    name = max(shares, key=lambda each: shares[each])
    return shares[name], name
