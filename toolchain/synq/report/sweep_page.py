"""The page of a sweep: accuracy against levels, and every number behind it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from synq import __version__
from synq.page import paper
from synq.page.document import render
from synq.page.svg import ACCENT, FOURTH, GRID, INK, MUTED, SECOND, SURFACE, THIRD, drawn
from synq.quantizing import Method
from synq.report.figures import pareto_front
from synq.sweeping.summary import Cell, Curve, Sweep

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes

_STYLES = {
    Method.PROPOSED: (ACCENT, "o"),
    Method.SAMPLING: (SECOND, "s"),
    Method.UNIFORM: (THIRD, "^"),
    Method.NEAREST: (FOURTH, "D"),
}
_DASHES = ("-", "--", ":", "-.")
_NEAR = 4.0  # points below software that the close-up shows
_MOST_POINTS = 600  # that are listed


def render_sweep(sweep: Sweep) -> bytes:
    """The page; equal sweeps give equal bytes."""
    task, (mean, deviation, best) = sweep.dataset.task, sweep.software
    cells = [(curve, cell) for curve in sweep.curves for cell in curve.cells]
    gain = 1 if task.higher_is_better else -1
    top = max(cells, key=lambda both: gain * both[1].mean) if cells else None
    settings = list(dict.fromkeys(curve.setting for curve in sweep.curves))
    sections = {"levels": "Levels", "cost": "Cost", "points": "Points"}
    return render(
        "sweep.html",
        version=__version__,
        sections=sections,
        title=f"{sweep.dataset.name} on {sweep.device.name}, swept",
        sweep=sweep,
        task=task,
        several=len(sweep.trained) > 1,
        software=mean,
        deviation=deviation,
        best=best,
        top=top,
        close_up=task.higher_is_better and any(mean - cell.mean > _NEAR for _, cell in cells),
        curves=_curves(sweep, "levels", None),
        near=_curves(sweep, "near", (mean - _NEAR, mean + 0.4)),
        memory=_costs(sweep, "memory", "codes, KiB", lambda cell: cell.code_bits_total / 8192),
        cycles=_costs(sweep, "cycles", "cycles an image, estimated", _cycles),
        tables=[
            (setting, [curve for curve in sweep.curves if curve.setting == setting])
            for setting in settings
        ],
        points=_points(sweep),
        most_points=_MOST_POINTS,
    )


def _cycles(cell: Cell) -> float:
    return cell.interval_cycles


def _style(curve: Curve, sweep: Sweep) -> tuple[str, str, str]:
    """Colour and marker by method, dash by its order among the curves of that method."""
    colour, marker = _STYLES[curve.method]
    alike = [each.label for each in sweep.curves if each.method is curve.method]
    return colour, marker, _DASHES[alike.index(curve.label) % len(_DASHES)]


def _curves(sweep: Sweep, name: str, limits: tuple[float, float] | None) -> Markup:
    """The score against levels, a line a curve."""
    task = sweep.dataset.task

    def draw(axes: "Axes") -> None:
        mean = sweep.software[0]
        axes.axhline(mean, color=INK, linewidth=1, linestyle=(0, (5, 3)), label="software")
        for curve in sweep.curves:
            if not curve.cells:
                continue
            colour, marker, dash = _style(curve, sweep)
            if curve.method is Method.NEAREST:
                height = curve.cells[0].mean
                axes.axhline(height, color=colour, linewidth=1.2, linestyle=dash, label=curve.label)
                continue
            levels = [cell.levels or 0 for cell in curve.cells]
            means = np.array([cell.mean for cell in curve.cells])
            off = np.array([cell.deviation for cell in curve.cells])
            axes.plot(
                levels,
                means,
                color=colour,
                marker=marker,
                linestyle=dash,
                markersize=5,
                markeredgecolor=SURFACE,
                markeredgewidth=0.7,
                label=curve.label,
            )
            if off.any():
                axes.fill_between(levels, means - off, means + off, color=colour, alpha=0.18)
        if sweep.paper and 10 in sweep.axes.levels:
            axes.plot(
                [10], [paper.PROPOSED_AT_10], "X", color=INK, markersize=8, label="paper, proposed"
            )
        if limits is not None:
            axes.set_ylim(*limits)
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("levels L")
        axes.set_ylabel(f"test {task.words}")
        figure = axes.get_figure()
        assert figure is not None
        if len(sweep.curves) <= 8:
            figure.legend(loc="outside upper left", ncols=2, borderpad=0)

    return drawn(name, f"Test {task.words} against levels", draw, height=3.8)


def _costs(sweep: Sweep, name: str, words: str, cost: Any) -> Markup:
    """The score against a cost, and the front of the best."""
    task = sweep.dataset.task
    gain = 1 if task.higher_is_better else -1

    def draw(axes: "Axes") -> None:
        cells = [cell for curve in sweep.curves for cell in curve.cells]
        front = pareto_front([(cost(cell), gain * cell.mean) for cell in cells])
        for curve in sweep.curves:
            colour, marker, _ = _style(curve, sweep)
            xs, ys = [cost(cell) for cell in curve.cells], [cell.mean for cell in curve.cells]
            axes.plot(xs, ys, marker, color=colour, markersize=5, alpha=0.85)
        best = [cells[at] for at in front]
        axes.step(
            [cost(cell) for cell in best],
            [cell.mean for cell in best],
            where="post",
            color=MUTED,
            linewidth=1,
        )
        for cell in best:
            if cell.levels is not None:
                axes.annotate(
                    f"L{cell.levels}",
                    (cost(cell), cell.mean),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=MUTED,
                )
        axes.axhline(sweep.software[0], color=INK, linewidth=1, linestyle=(0, (5, 3)))
        axes.set_xlabel(words)
        axes.set_ylabel(f"test {task.words}")
        axes.grid(color=GRID)
        axes.margins(x=0.08, y=0.12)

    return drawn(name, f"Test {task.words} against {words}", draw)


def _points(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {
            "settings": ", ".join(
                f"{name} {value}"
                for name, value in outcome.piece.settings().items()
                if value is not None
            ),
            "score": None
            if outcome.result is None
            else sweep.dataset.task.number(outcome.result.reference),
            "error": outcome.error or "",
        }
        for outcome in sweep.outcomes[:_MOST_POINTS]
    ]
