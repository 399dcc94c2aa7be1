"""Figures of a page: inline SVG by matplotlib, in the colours of the page's style sheet.

A page is light or dark, which matplotlib cannot know. So figures are drawn in colours that stand
for names (`INK`, `ACCENT`), and these become variables of the style sheet. Text stays text, in the
page's font.
"""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours by the names that page.css has them by.
INK, MUTED, GRID = "#010100", "#010200", "#010300"
ACCENT, SECOND, THIRD, FOURTH, SURFACE = "#010400", "#010500", "#010600", "#010700", "#010800"
SERIES = (ACCENT, SECOND, THIRD, FOURTH)
_NAMES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    ACCENT: "accent",
    SECOND: "second",
    THIRD: "third",
    FOURTH: "fourth",
    SURFACE: "surface",
}
_SETTINGS: Any = {  # matplotlib types the names one by one
    "svg.hashsalt": "synq",  # else ids are random
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout everywhere
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.labelpad": 6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "axes.unicode_minus": True,
}
_WIDTH, _HEIGHT = 5.0, 3.4  # inches of 72 units: as wide as a phone shows it one to one
_COLOUR = re.compile(r"(fill|stroke): (#010[1-8]00)")
_FONT = re.compile(r"font: ([\d.]+)px '[^']*'(?:, [^;\"]*)?")
_ID = re.compile(r' id="([^"]*)"')
_USED = re.compile(r'(url\(#|href="#)([^")]+)')


def drawn(
    name: str,
    words: str,
    draw: Callable[["Axes"], None],
    height: float = _HEIGHT,
    width: float = _WIDTH,
) -> Markup:
    """A figure of one plot as SVG to stand in a page; equal plots give equal text.

    Args:
        name: of the figure, no other's of the page.
        words: what it shows, for who cannot see it.
        draw: draws into the axes that it is given.
        height, width: in inches.
    """

    def one(figure: "Figure") -> None:
        draw(figure.subplots())

    return drawn_figure(name, words, one, height, width)


def drawn_figure(
    name: str,
    words: str,
    draw: Callable[["Figure"], None],
    height: float = _HEIGHT,
    width: float = _WIDTH,
) -> Markup:
    """As `drawn`, of a figure that `draw` divides."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what the user's matplotlibrc says
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        FigureCanvasSVG(figure)
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _inline(buffer.getvalue().decode(), name, words)


def _inline(text: str, name: str, words: str) -> Markup:
    """matplotlib's file as an element of a page."""
    body = text[text.index("<svg") :]
    body = body[body.index(">") + 1 :]
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    used = {found[2] for found in _USED.finditer(body)}

    def named(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    body = _ID.sub(named, body)
    body = _USED.sub(rf"\g<1>{name}-\g<2>", body)
    body = _COLOUR.sub(lambda found: f"{found[1]}: var(--{_NAMES[found[2]]})", body)
    body = _FONT.sub(r"font-size: \1px", body)
    body = "\n".join(line.strip() for line in body.splitlines() if line.strip())
    label = escape(words)
    return Markup(f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">\n{body}\n')
