"""Figures of a yield, as the bytes of PNG and SVG files: equal yields give equal bytes."""

from typing import TYPE_CHECKING

from synq.report.style import ACCENT, MUTED, PAPER, new_figure, rendered
from synq.yields import Yield

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.figure import Figure

_COLOURS = ("#1d5fa8", "#c8553d", "#3f8f5f", "#7c5ba6", "#8a6d1d")
_MARKERS = "os^Dv"


def render_yield(result: Yield) -> dict[str, bytes]:
    """File names to contents: `yield`, and `sensitivity` where effects were tried."""

    def draw() -> dict[str, "Figure"]:
        drawn = {"yield": _distribution(result)}
        if result.sensitivity:
            drawn["sensitivity"] = _sensitivity(result)
        return drawn

    return rendered(draw)


def _distribution(result: Yield) -> "Figure":
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    axes.hist(result.scores, bins=min(40, max(5, len(result.scores) // 10)), color=ACCENT)
    axes.axvline(result.design, color=MUTED, linestyle="--", label="as designed")
    if result.threshold is not None:
        axes.axvline(result.threshold, color=PAPER, label="threshold")
    axes.set_title(f"{len(result.scores):,} chips")
    axes.set_xlabel(_words(result))
    axes.set_ylabel("chips")
    axes.legend()
    return figure


def _sensitivity(result: Yield) -> "Figure":
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    axes.axhline(result.design, color=MUTED, linestyle="--", label="as designed")
    for number, (name, tried) in enumerate(result.sensitivity.items()):
        axes.errorbar(
            [each.factor for each in tried],
            [each.mean for each in tried],
            [each.std for each in tried],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            capsize=3,
            label=name,
        )
    axes.set_title("Each effect alone")
    axes.set_xlabel("strength, 1 as given")
    axes.set_ylabel(_words(result))
    axes.legend()
    return figure


def _words(result: Yield) -> str:
    return f"test {result.task.words}"
