"""From measured pulse trains to a device: the nonlinear model, and how cells spread around it.

Each trace is fitted by robust least squares (scipy, soft L1) with

    G(k) = low + (high - low) * c(k / n),   c(x) = (1 - exp(-x s)) / (1 - exp(-s)),

k the pulse, n the last one, s = 1 / A the curvature (MLP+NeuroSim V3.0 manual, eqs 1-3; depression
with k counted from its end). The device is the mean of its traces, and intervals are Student's, of
the traces' spread; with one trace, of the fit's Jacobian.

Spreads are told apart as in an analysis of variance. A cell's *factor* scales its whole curve; what
factors differ by from cell to cell, less what they differ by from cycle to cycle of one cell, is
device-to-device spread. *Cycle-to-cycle* spread is the error of single steps, which adds up from
pulse to pulse; what a read adds and the next step takes back is told from it by the covariance of
neighbouring steps.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.definition import check_fields
from synq.device import Branch, Device, Sources, nonlinearity_to_a
from synq.errors import SynqError, UsageError
from synq.pulses import Columns, Trace, Unit, read_pulses
from synq.variation import Variation

CONFIDENCE = 0.99
_STEEPEST = 60.0
_MOST_LABEL = 9.0
_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its 99 % interval."""

    value: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class BranchFit:
    """The curve of one branch.

    Attributes:
        states: points of its longest trace.
        g_min, g_max: siemens, or as the data is normalized.
        nonlinearity: NeuroSim's label.
        residual: root mean square of data minus each trace's own fit, a share of the window.
        traces: how many.
    """

    states: int
    g_min: Estimate
    g_max: Estimate
    nonlinearity: Estimate
    residual: float
    traces: int


@dataclass(frozen=True)
class DeviceFit:
    """What the traces say.

    Attributes:
        branches: by branch, those that were measured.
        device_to_device, cycle_to_cycle: as in `Variation`; None where there are too few traces.
    """

    branches: dict[Branch, BranchFit]
    device_to_device: Estimate | None
    cycle_to_cycle: Estimate | None


@dataclass(frozen=True, eq=False)
class FittedDevice:
    """A device of the user's own, and what it was fitted to.

    Attributes:
        device: to quantize for; `synq.quantize` takes it as it is.
        fit: the numbers it was made of, with their 99 % intervals.
        unit: of the file.
        traces: its pulse trains, in siemens unless they are normalized.
    """

    device: Device
    fit: DeviceFit
    unit: Unit
    traces: list[Trace]

    def to_toml(self) -> str:
        """The device as a file, for `--device` and for who has no Python."""
        return device_toml(self.device)


def fit_file(
    pulses: Path,
    name: str,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    unit: Unit | None = None,
    read_voltage: float | None = None,
    g_min: float | None = None,
    g_max: float | None = None,
    measured_points: bool = False,
) -> FittedDevice:
    """A device of the pulse trains in a CSV, which `read_pulses` describes.

    Args:
        name: of the device.
        g_min, g_max: siemens of the ends of normalized data.
        measured_points: whether the points themselves are the device, and not the fitted curve.

    Raises:
        UsageError: a column is not there, the unit or the ends do not suit the data, or the name is
            none of a device.
        SynqError: the file cannot be read, or cannot be fitted.
    """
    traces, found = read_pulses(pulses, columns, unit, read_voltage)
    scale = _ends(found is Unit.NORMALIZED, g_min, g_max)
    if measured_points and scale is not None:
        raise UsageError(
            "measured points are in siemens, and the data is normalized: fit its curve",
            settings=("measured_points",),
        )
    fit = fit_device(traces)
    source = f"synq device fit of {' '.join(pulses.name.split())}"
    description = f"Fitted to {len(traces)} measured traces"
    if measured_points:
        device = measured_device(traces, name, description, source, fit)
    else:
        device = fitted_device(fit, name, description, source, scale)
    try:
        check_fields(device)
    except ValueError as error:
        raise UsageError(f"the fit is none of a device: {error}") from None
    return FittedDevice(device, fit, found, traces)


def _ends(normalized: bool, g_min: float | None, g_max: float | None) -> tuple[float, float] | None:
    """Siemens of the ends of normalized data; None of others.

    Raises:
        UsageError: they are missing, or given for data in siemens.
    """
    settings = ("g_min", "g_max")
    if not normalized:
        if g_min is not None or g_max is not None:
            raise UsageError(
                "the siemens of its ends are for normalized data; yours has a unit", settings
            )
        return None
    if g_min is None or g_max is None or not 0 < g_min < g_max <= 1:
        raise UsageError(
            "normalized data needs the siemens of its ends, the second the larger", settings
        )
    return g_min, g_max


def fit_device(traces: list[Trace]) -> DeviceFit:
    """Fit both branches, and the spread around them.

    Raises:
        SynqError: a trace cannot be fitted.
    """
    branches = {}
    steps: list[_Vector] = []
    factors: dict[tuple[Branch, str], list[float]] = {}
    for branch in (Branch.LTP, Branch.LTD):
        own = [trace for trace in traces if trace.branch is branch]
        if not own:
            continue
        fitted = [_fit_trace(trace) for trace in own]
        branches[branch] = _branch_fit(own, fitted)
        middle = np.mean([fit.parameters for fit in fitted], axis=0)
        width = middle[1] - middle[0]
        for trace, fit in zip(own, fitted, strict=True):
            curve = model(_positions(trace), *middle)
            factor = float(np.dot(trace.conductance, curve) / np.dot(curve, curve))
            factors.setdefault((branch, trace.cell), []).append(factor)
            errors = trace.conductance - model(_positions(trace), *fit.parameters)
            steps.append(np.diff(errors) / (abs(factor) * width))
    return DeviceFit(branches, _between_cells(factors), _of_steps(steps))


def model(x: _Vector, low: float, high: float, steepness: float) -> _Vector:
    """Conductance at positions 0..1 of a branch."""
    straight = abs(steepness) < 1e-9
    shape = x if straight else np.expm1(-x * steepness) / math.expm1(-steepness)
    return low + (high - low) * shape


def label_of(steepness: float) -> float:
    """NeuroSim's nonlinearity label, the inverse of `device.nonlinearity_to_a`."""
    size = abs(steepness)
    if size < 1e-9:
        return 0.0
    span = -math.expm1(-size)
    x = -math.log(span / size) / size
    deviation = -math.expm1(-size * x) / span - x
    return math.copysign(deviation / (0.07 * math.sqrt(2)), steepness)


def steepness_of(label: float) -> float:
    """The curvature of a nonlinearity label, 1 / A."""
    a = nonlinearity_to_a(_label(label))
    return 0.0 if math.isinf(a) else 1 / a


@dataclass(frozen=True, eq=False)
class _Fitted:
    parameters: _Vector  # low, high, steepness
    covariance: _Vector
    residual: float  # sum of squares


def _positions(trace: Trace) -> _Vector:
    """0 at the lowest state and 1 at the highest."""
    x = np.linspace(0, 1, len(trace.conductance))
    return x if trace.branch is Branch.LTP else x[::-1]


def _fit_trace(trace: Trace) -> _Fitted:
    from scipy.optimize import least_squares

    x, data = _positions(trace), trace.conductance
    size = float(np.ptp(data))
    lowest = float(data.min())
    normalized = (data - lowest) / size

    def errors(parameters: _Vector) -> _Vector:
        return model(x, *parameters) - normalized

    # The ends are means of a few points; the middle of the curve lies at 1 / (1 + exp(-s / 2)).
    few = max(1, len(data) // 20)
    order = np.argsort(x, kind="stable")
    bottom, top = (float(normalized[part].mean()) for part in (order[:few], order[-few:]))
    if not top > bottom:
        raise SynqError(f"cell {trace.cell!r} {trace.branch}: its conductance does not rise")
    at = len(data) // 2
    middle = (float(normalized[max(0, at - few) : at + few + 1].mean()) - bottom) / (top - bottom)
    middle = min(0.98, max(0.02, middle))
    best = least_squares(
        errors,
        [bottom, top, 2 * math.log(middle / (1 - middle))],
        loss="soft_l1",
        f_scale=0.1,
        bounds=([-2, -2, -_STEEPEST], [3, 3, _STEEPEST]),
    )
    low, high, steepness = best.x
    if not high > low:
        raise SynqError(f"cell {trace.cell!r} {trace.branch}: no curve rises through its points")
    residual = errors(best.x)
    free = max(1, len(data) - 3)
    squares = float(np.dot(residual, residual))
    covariance = np.linalg.pinv(best.jac.T @ best.jac) * squares / free
    unit = np.diag([size, size, 1.0])
    return _Fitted(
        np.array([lowest + low * size, lowest + high * size, steepness]),
        unit @ covariance @ unit,
        squares * size**2,
    )


def _branch_fit(traces: list[Trace], fitted: list[_Fitted]) -> BranchFit:
    parameters = np.array([fit.parameters for fit in fitted])
    labels = np.array([label_of(steepness) for steepness in parameters[:, 2]])
    columns = [parameters[:, 0], parameters[:, 1], labels]
    if len(fitted) > 1:
        low, high, label = (_mean_of(column) for column in columns)
    else:
        deviations = np.sqrt(np.diag(fitted[0].covariance))
        steepness = parameters[0, 2]
        slope = (label_of(steepness + 1e-4) - label_of(steepness - 1e-4)) / 2e-4
        low, high, label = (
            _normal(float(column[0]), float(deviation))
            for column, deviation in zip(
                columns, (*deviations[:2], abs(slope) * deviations[2]), strict=True
            )
        )
    points = sum(len(trace.conductance) for trace in traces)
    residual = math.sqrt(sum(fit.residual for fit in fitted) / points)
    states = max(len(trace.conductance) for trace in traces)
    return BranchFit(states, low, high, label, residual / (high.value - low.value), len(traces))


def _mean_of(values: _Vector) -> Estimate:
    """The mean with Student's interval."""
    from scipy.stats import t

    mean, count = float(values.mean()), len(values)
    off = float(t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return Estimate(mean, mean - off, mean + off)


def _normal(value: float, deviation: float) -> Estimate:
    from scipy.stats import norm

    off = float(norm.ppf((1 + CONFIDENCE) / 2)) * deviation
    return Estimate(value, value - off, value + off)


def _between_cells(factors: dict[tuple[Branch, str], list[float]]) -> Estimate | None:
    """Device-to-device spread: a one-way analysis of variance with random effects.

    The interval is that of a variance with as many degrees of freedom as cells less one
    (Satterthwaite would widen it by little: cycles differ far less than cells).
    """
    from scipy.stats import chi2

    groups = list(factors.values())
    cells = len({cell for _, cell in factors})
    if cells < 3:
        return None
    by_cell: dict[str, list[float]] = {}
    for (_, cell), values in factors.items():
        by_cell.setdefault(cell, []).extend(values)
    means = np.array([np.mean(values) for values in by_cell.values()])
    inner = [np.array(values) - np.mean(values) for values in groups]
    free = sum(len(values) - 1 for values in inner)
    within = float(sum(np.dot(values, values) for values in inner)) / free if free else 0.0
    often = float(np.mean([len(values) for values in by_cell.values()]))
    variance = max(0.0, float(means.var(ddof=1)) - within / often)
    low, high = (
        math.sqrt((cells - 1) * variance / float(chi2.ppf(share, cells - 1)))
        for share in ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
    )
    return Estimate(math.sqrt(variance), low, high)


def _of_steps(steps: list[_Vector]) -> Estimate | None:
    """Cycle-to-cycle spread: the variance of steps that neighbours do not take back."""
    long = [step for step in steps if len(step) > 3]
    total = sum(map(len, long))
    if total < 20:
        return None
    # The window and the curvature of a fit take two degrees of freedom of its steps.
    variance = sum(float(np.dot(step, step)) for step in long) / (total - 2 * len(long))
    taken_back = sum(float(np.dot(step[1:], step[:-1])) for step in long) / total
    # What the fits take makes neighbours a little unlike even without a read's noise.
    noise = math.sqrt(3 / total) * variance
    if taken_back < -noise:
        variance = max(0.0, variance + 2 * taken_back)
    value = math.sqrt(variance)
    # Of a variance and a covariance of neighbours: four times that of a variance alone, at most.
    off = _normal(1.0, math.sqrt(4 * 2 / total) / 2)
    return Estimate(value, value * max(0.0, off.low), value * off.high)


def fitted_device(
    fit: DeviceFit,
    name: str,
    description: str,
    source: str,
    scale: tuple[float, float] | None = None,
) -> Device:
    """The device that a fit describes.

    Args:
        source: what was measured, for the file.
        scale: g_min and g_max in siemens of normalized data.

    Raises:
        SynqError: its numbers are none of a device.
    """
    up = fit.branches.get(Branch.LTP) or fit.branches[Branch.LTD]
    down = fit.branches.get(Branch.LTD)

    def siemens(value: float) -> float:
        if scale is None:
            return value
        low, high = up.g_min.value, up.g_max.value
        return scale[0] + (value - low) / (high - low) * (scale[1] - scale[0])

    mirrored = -up.nonlinearity.value if down is None else down.nonlinearity.value
    spread = fit.device_to_device
    step = fit.cycle_to_cycle
    try:
        return Device(
            name=name,
            description=description,
            g_max=siemens(up.g_max.value),
            g_min=siemens(up.g_min.value),
            states_ltp=up.states,
            states_ltd=up.states if down is None else down.states,
            nonlinearity_ltp=_label(up.nonlinearity.value),
            nonlinearity_ltd=_label(mirrored),
            g_max_ltd=0.0 if down is None else siemens(down.g_max.value),
            g_min_ltd=0.0 if down is None else siemens(down.g_min.value),
            sources=Sources(fit=source),
            variation=Variation(
                device_to_device=0.0 if spread is None else min(1.0, spread.value),
                cycle_to_cycle=0.0 if step is None else min(1.0, step.value),
            ),
        )
    except ValueError as error:
        raise SynqError(f"the fit is none of a device: {error}") from None


def _label(value: float) -> float:
    return max(-_MOST_LABEL, min(_MOST_LABEL, value))


def measured_device(
    traces: list[Trace], name: str, description: str, source: str, fit: DeviceFit
) -> Device:
    """The device of the measured points themselves: each branch's mean over its traces.

    Raises:
        SynqError: the points are none of a device.
    """
    curves = {}
    for branch in (Branch.LTP, Branch.LTD):
        own = [trace.conductance for trace in traces if trace.branch is branch]
        if own:
            count = min(map(len, own))
            curves[branch] = tuple(np.mean([data[:count] for data in own], axis=0).tolist())
    up = curves.get(Branch.LTP) or curves[Branch.LTD]
    down = curves.get(Branch.LTD) or up
    fitted = fitted_device(fit, name, description, source)
    try:
        return Device(
            name=name,
            description=description,
            g_max=max(up),
            g_min=min(up),
            curve_ltp=up,
            curve_ltd=down,
            sources=Sources(fit=source),
            variation=fitted.variation,
        )
    except ValueError as error:
        raise SynqError(f"the points are none of a device: {error}") from None


def device_toml(device: Device) -> str:
    """A device as a file that `load_device` reads."""
    lines = [
        f"name = {_text(device.name)}",
        f"description = {_text(device.description)}",
        f"g_max_S = {device.g_max!r}",
        f"g_min_S = {device.g_min!r}",
    ]
    for key, points in (("curve_ltp_S", device.curve_ltp), ("curve_ltd_S", device.curve_ltd)):
        if points:
            lines += [f"{key} = [", *(f"    {point!r}," for point in points), "]"]
    if not device.curve_ltp:
        lines += [
            f"states_ltp = {device.states_ltp}",
            f"states_ltd = {device.states_ltd}",
            f"nonlinearity_ltp = {device.nonlinearity_ltp!r}",
            f"nonlinearity_ltd = {device.nonlinearity_ltd!r}",
        ]
        if device.g_max_ltd:
            lines += [
                f"g_max_ltd_S = {device.g_max_ltd!r}",
                f"g_min_ltd_S = {device.g_min_ltd!r}",
            ]
    lines += ["", "[sources]", f"fit = {_text(device.sources.fit)}", "", "[variation]"]
    lines += [
        f"device_to_device = {device.variation.device_to_device!r}",
        f"cycle_to_cycle = {device.variation.cycle_to_cycle!r}",
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
