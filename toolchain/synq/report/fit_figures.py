"""The figure of a device's fit: data, curve, residuals and reference values."""

from typing import TYPE_CHECKING

import numpy as np

from synq.device import Branch, Device
from synq.device_fit import DeviceFit, model, steepness_of
from synq.pulses import Trace
from synq.report.style import ACCENT, MUTED, PAPER, new_figure, rendered

if TYPE_CHECKING:  # loading matplotlib takes half a second
    from matplotlib.figure import Figure

_MOST_TRACES = 200


def render_fit(traces: list[Trace], fit: DeviceFit, device: Device) -> dict[str, bytes]:
    """File names to contents, PNG and SVG."""
    return rendered(lambda: {"fit": _draw(traces, fit, device)})


def _draw(traces: list[Trace], fit: DeviceFit, device: Device) -> "Figure":
    figure = new_figure(5.2 * len(fit.branches), 5.2)
    panels = figure.subplots(2, len(fit.branches), squeeze=False, height_ratios=[3, 1])
    for column, (branch, curve) in enumerate(fit.branches.items()):
        above, below = panels[0][column], panels[1][column]
        low, high = curve.g_min.value, curve.g_max.value
        steepness = steepness_of(curve.nonlinearity.value)
        for trace in [each for each in traces if each.branch is branch][:_MOST_TRACES]:
            x = np.linspace(0, 1, len(trace.conductance))
            fitted = model(x if branch is Branch.LTP else 1 - x, low, high, steepness)
            pulses = np.arange(len(x))
            above.plot(pulses, trace.conductance, ".", color=MUTED, markersize=2)
            below.plot(pulses, trace.conductance - fitted, ".", color=MUTED, markersize=2)
        x = np.linspace(0, 1, 200)
        line = model(x if branch is Branch.LTP else 1 - x, low, high, steepness)
        above.plot(x * (curve.states - 1), line, color=ACCENT, label="fit")
        states = low + device.reference_values(branch) * (high - low)
        places = np.linspace(0, curve.states - 1, len(states))
        if branch is Branch.LTD:
            places = places[::-1]
        above.plot(places, states, "|", color=PAPER, label="reference values")
        below.axhline(0, color=ACCENT, linewidth=1)
        above.set_title(
            f"{branch.value.upper()}: nonlinearity {curve.nonlinearity.value:+.2f}, "
            f"{curve.traces} trace{'s' if curve.traces > 1 else ''}"
        )
        above.set_ylabel("conductance")
        below.set_ylabel("data - fit")
        below.set_xlabel("pulse")
        above.legend()
    return figure
