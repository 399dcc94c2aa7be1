"""Figures of a sweep, as the bytes of PNG and SVG files: equal sweeps give equal bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synq.page import paper
from synq.quantizing import Method
from synq.report.style import ACCENT, GRID, INK, MUTED, PAPER, new_figure, rendered
from synq.score import Task
from synq.sweeping.summary import Cell, Curve, Sweep

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by lightness and shape too, for those who do not see the colours.
_STYLES = {
    Method.PROPOSED: (ACCENT, "o"),
    Method.SAMPLING: ("#c8553d", "s"),
    Method.UNIFORM: ("#3f8f5f", "^"),
    Method.NEAREST: ("#7c5ba6", "D"),
}
_DASHES = ("-", "--", ":", "-.")
_SHOWN_BELOW_SOFTWARE = 8.0  # percent; nobody chooses a setting that loses more


def render_figures(sweep: Sweep) -> dict[str, bytes]:
    """File names to contents: `figure2`, and `pareto` where more than levels and methods vary."""

    def draw() -> dict[str, "Figure"]:
        drawn = {"figure2": _figure2(sweep)}
        if sweep.axes.beyond_levels:
            drawn["pareto"] = _pareto(sweep)
        return drawn

    return rendered(draw)


# ---- Accuracy against levels --------------------------------------------------------------------


def _figure2(sweep: Sweep) -> "Figure":
    """Accuracy against levels, one line a curve; a close-up where small differences would drown."""
    means = [cell.mean for cell in _cells(sweep)]
    near = _close_up(means, sweep)
    figure = new_figure(10.4 if near else 7.4, 4.8)
    panels = list(figure.subplots(1, 2 if near else 1, squeeze=False)[0])
    for axes in panels:
        _draw_curves(axes, sweep)
        axes.set_xlabel("levels L")
        axes.grid(color=GRID, linewidth=0.8)
        _integer_ticks(axes)
    panels[0].set_ylabel(
        f"test {sweep.dataset.task.words} ({sweep.dataset.name}, integer reference)"
    )
    panels[0].set_title(f"{_metric(sweep)} against levels, {sweep.device.name}", pad=10)
    if sweep.paper:
        _mark_gap(panels[0], sweep)
        _mark_paper(panels[-1])
    if near:
        panels[1].set_ylim(*near)
        panels[1].set_title("close-up", color=MUTED, fontweight="normal", pad=10)
    _legend(figure, panels)
    return figure


def _is_accuracy(sweep: Sweep) -> bool:
    """Whether the scores are percent, of which points count; errors have units of their own."""
    return sweep.dataset.task is Task.CLASSIFICATION


def _metric(sweep: Sweep) -> str:
    return "Accuracy" if _is_accuracy(sweep) else "Error"


def _legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    """Each label of any panel once, below them."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    columns = 4 if len(panels) > 1 and max(map(len, handles)) < 40 else 3
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
    )


def _draw_curves(axes: "Axes", sweep: Sweep) -> None:
    mean, deviation, _ = sweep.software
    number = sweep.dataset.task.number
    several = f" ± {number(deviation)}" if len(sweep.trained) > 1 else ""
    axes.axhline(
        mean,
        color=INK,
        linewidth=1.1,
        linestyle=(0, (5, 3)),
        label=f"software {number(mean)}{several}",
    )
    for curve in sweep.curves:
        if not curve.cells:
            continue
        color, marker, dash = _style(curve, sweep)
        if curve.method is Method.NEAREST:
            axes.axhline(
                curve.cells[0].mean, color=color, linewidth=1.2, linestyle=dash, label=curve.label
            )
            continue
        levels = [cell.levels or 0 for cell in curve.cells]
        means = [cell.mean for cell in curve.cells]
        axes.plot(
            levels,
            means,
            color=color,
            marker=marker,
            linestyle=dash,
            markersize=5,
            linewidth=1.6,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=curve.label,
        )
        if len(sweep.trained) > 1:
            lower = [cell.mean - cell.deviation for cell in curve.cells]
            upper = [cell.mean + cell.deviation for cell in curve.cells]
            axes.fill_between(levels, lower, upper, color=color, alpha=0.18, linewidth=0)


def _style(curve: Curve, sweep: Sweep) -> tuple[str, str, str]:
    """Colour and marker by method, dash by its order among the curves of that method."""
    color, marker = _STYLES[curve.method]
    alike = [each.label for each in sweep.curves if each.method is curve.method]
    return color, marker, _DASHES[alike.index(curve.label) % len(_DASHES)]


def _close_up(means: Sequence[float], sweep: Sweep) -> tuple[float, float] | None:
    """The part of the accuracies near the software's, if they reach much further down."""
    software = sweep.software[0]
    if not _is_accuracy(sweep):
        return None
    if software - min(means, default=software) < _SHOWN_BELOW_SOFTWARE:
        return None
    near = [software, *(mean for mean in means if software - mean < _SHOWN_BELOW_SOFTWARE / 2)]
    if sweep.paper:
        near.append(paper.PROPOSED_AT_10)
    return min(near) - 0.3, max(near) + 0.3


def _mark_paper(axes: "Axes") -> None:
    """The two accuracies that the paper prints."""
    left, right = axes.get_xlim()
    axes.plot(
        [right],
        [paper.SOFTWARE],
        marker="*",
        markersize=11,
        linestyle="none",
        color=PAPER,
        clip_on=False,
        zorder=5,
        label=f"paper: software {paper.SOFTWARE}",
    )
    if left <= 10 <= right:
        axes.plot(
            [10],
            [paper.PROPOSED_AT_10],
            marker="X",
            markersize=8,
            linestyle="none",
            color=PAPER,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=5,
            label=f"paper: proposed {paper.PROPOSED_AT_10} at L = 10",
        )


def _mark_gap(axes: "Axes", sweep: Sweep) -> None:
    """How far below our proposed method the paper's gap at L = 5 would put the sampling method."""
    proposed = next((curve for curve in sweep.curves if curve.method is Method.PROPOSED), None)
    cell = None if proposed is None else proposed.at(5)
    if cell is None:
        return
    axes.plot(
        [5, 5],
        [cell.mean, cell.mean - paper.GAP_AT_5],
        color=PAPER,
        linewidth=1.4,
        marker="_",
        markersize=10,
        markeredgewidth=1.6,
        zorder=1.9,
        label=f"paper: gap of about {paper.GAP_AT_5:g} at L = 5",
    )


def _integer_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


# ---- Accuracy against cost ----------------------------------------------------------------------


def _pareto(sweep: Sweep) -> "Figure":
    """Every setting as a dot against code memory and against cycles, and the best of them."""
    figure = new_figure(10.4, 4.9)
    memory, cycles = figure.subplots(1, 2, sharey=True)
    _draw_front(
        memory, sweep, [cell.code_bits_total / 8192 for cell in _cells(sweep)], "codes, KiB"
    )
    _draw_front(
        cycles, sweep, [cell.interval_cycles for cell in _cells(sweep)], "estimated cycles an image"
    )
    memory.set_ylabel(f"test {sweep.dataset.task.words} ({sweep.dataset.name}, integer reference)")
    memory.set_title(f"{_metric(sweep)} against cost, {sweep.device.name}", pad=10)
    means = [cell.mean for cell in _cells(sweep)] or [sweep.software[0]]
    lowest = sweep.software[0] - _SHOWN_BELOW_SOFTWARE
    if _is_accuracy(sweep) and min(means) < lowest < max(means):
        memory.set_ylim(lowest, max(*means, sweep.software[0]) + 0.6)
        cycles.set_title(
            f"settings below {lowest:.1f} % are not shown",
            color=MUTED,
            fontsize=9,
            fontweight="normal",
        )
    _legend(figure, [memory, cycles])
    return figure


def _cells(sweep: Sweep) -> list[Cell]:
    return [cell for curve in sweep.curves for cell in curve.cells]


def _draw_front(axes: "Axes", sweep: Sweep, costs: Sequence[float], label: str) -> None:
    """Dots of all cells, `costs` in their order, and the front as a staircase."""
    rest = iter(costs)
    for index, curve in enumerate(sweep.curves):
        own = [next(rest) for _ in curve.cells]
        color, marker, _ = _style(curve, sweep)
        alike = [each.label for each in sweep.curves if each.method is curve.method]
        lightness = 0.95 - 0.65 * alike.index(curve.label) / max(1, len(alike) - 1)
        axes.plot(
            own,
            [cell.mean for cell in curve.cells],
            color=color,
            alpha=lightness,
            marker=marker,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linestyle="none",
            zorder=3 + index / 100,
            label=curve.label,
        )
    cells = _cells(sweep)
    gain = 1 if sweep.dataset.task.higher_is_better else -1
    front = pareto_front(
        [(cost, gain * cell.mean) for cost, cell in zip(costs, cells, strict=True)]
    )
    axes.step(
        [costs[at] for at in front],
        [cells[at].mean for at in front],
        where="post",
        color=INK,
        linewidth=1.2,
        zorder=2,
        label="Pareto front",
    )
    for at in front:
        if (levels := cells[at].levels) is not None:
            axes.annotate(
                f"L{levels}",
                xy=(costs[at], cells[at].mean),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color=MUTED,
                annotation_clip=True,
            )
    axes.axhline(sweep.software[0], color=INK, linewidth=1, linestyle=(0, (5, 3)))
    axes.set_xlabel(label)
    axes.grid(color=GRID, linewidth=0.8)
    axes.margins(x=0.08, y=0.1)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of those (cost, gain) that no other beats in both, by ascending cost."""
    front: list[int] = []
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1])):
        if not front or points[at][1] > points[front[-1]][1]:
            front.append(at)
    return front
