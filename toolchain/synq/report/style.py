"""How figures look, and how they become files: equal figures give equal bytes."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.figure import Figure

_PNG_DPI = 160
INK, MUTED, GRID = "#22272e", "#6b7280", "#e3e6ea"
ACCENT, PAPER = "#1d5fa8", "#b45309"
_SETTINGS: Any = {  # matplotlib types the names one by one
    "svg.hashsalt": "synq",  # else ids are random
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


def rendered(draw: Callable[[], dict[str, "Figure"]]) -> dict[str, bytes]:
    """File names to contents, PNG and SVG, of the figures that `draw` makes, by their names."""
    import matplotlib

    files: dict[str, bytes] = {}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what the user's matplotlibrc says
        matplotlib.rcParams.update(_SETTINGS)
        for name, figure in draw().items():
            for kind in ("png", "svg"):
                files[f"{name}.{kind}"] = _bytes(figure, kind)
    return files


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _bytes(figure: "Figure", kind: str) -> bytes:
    buffer = io.BytesIO()
    # No date and no version of matplotlib in the file.
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata=metadata)
    return buffer.getvalue()
