"""Synaptic devices: conductance as a function of the pulse number.

The model is NeuroSim's (MLP+NeuroSim V3.0 manual, eqs 1-3). With x = pulse / (states - 1) in 0..1
and conductance normalized to the window g_min..g_max, both branches are

    g(x) = (1 - exp(-x / A)) / (1 - exp(-1 / A)),

potentiation (LTP) with x counted upwards from the lowest state, depression (LTD) downwards from
the highest. A positive A bends the curve up (fast at first in LTP), a negative A down (fast at
first in LTD). Data sheets give A as a "nonlinearity label" of the same sign.
"""

import logging
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from synq.definition import (
    OPTIONAL,
    Identifier,
    Key,
    Line,
    Range,
    definition_names,
    load_definition,
)
from synq.errors import UsageError
from synq.variation import Variation

_log = logging.getLogger("synq")

_MAX_LABEL = 9.0  # NeuroSim's labels end here; the formula's own limit is 10.1, a step
_Siemens = Range(1e-15, 1.0)
_Label = Annotated[float, Range(-_MAX_LABEL, _MAX_LABEL), OPTIONAL]
_Count = Annotated[int, Range(2, 65536), OPTIONAL]
_Points = Annotated[tuple[float, ...], _Siemens, OPTIONAL]
_Source = Annotated[Line, OPTIONAL]


def load_device(name_or_path: str) -> "Device":
    """The device of `device_names()`, or the one in a user's own `.toml` file.

    Raises:
        UsageError: no device has this name; names the nearest.
        SynqError: the file cannot be read or is not a device; names file and field.
    """
    device = load_definition(name_or_path, "devices", Device)
    for points in (device.curve_both, device.curve_ltp, device.curve_ltd):
        if list(points) not in (sorted(points), sorted(points, reverse=True)):
            _log.info("%s: measured conductances are not in order: sorted", device.name)
    return device


def device_names() -> list[str]:
    """The devices that ship with synq, sorted."""
    return definition_names("devices")


class Branch(StrEnum):
    """Which curve the reference values come from."""

    LTP = "ltp"
    LTD = "ltd"
    UNION = "union"


@dataclass(frozen=True)
class Sources:
    """Where each number of a device is published, document and table; or how it was measured."""

    states: _Source = ""
    g_max: Annotated[_Source, Key("g_max_S")] = ""
    g_min: Annotated[_Source, Key("g_min_S")] = ""
    nonlinearity_ltp: _Source = ""
    nonlinearity_ltd: _Source = ""
    fit: _Source = ""


_Volts = Range(-100.0, 100.0)
_Seconds = Range(1e-15, 1e3)


@dataclass(frozen=True)
class Pulse:
    """What a programming pulse is; all 0 where a device's file does not tell.

    Attributes:
        ltp_volts, ltd_volts: amplitude at the cell; the sign is that of the publication.
        ltp_seconds, ltd_seconds: width.
    """

    ltp_volts: Annotated[float, Key("ltp_V"), _Volts] = 0.0
    ltp_seconds: Annotated[float, Key("ltp_s"), _Seconds] = 0.0
    ltd_volts: Annotated[float, Key("ltd_V"), _Volts] = 0.0
    ltd_seconds: Annotated[float, Key("ltd_s"), _Seconds] = 0.0
    source: _Source = ""

    @property
    def known(self) -> bool:
        """Whether the device's file tells of it."""
        return self != Pulse()

    def joules_per_siemens(self, branch: Branch) -> float:
        """V^2 t of one pulse, up (`LTP`) or down (`LTD`): joules into a cell of one siemens.

        Raises:
            ValueError: the branch is `UNION`.
        """
        if branch is Branch.UNION:
            raise ValueError("a pulse goes up or down")
        if branch is Branch.LTP:
            return self.ltp_volts**2 * self.ltp_seconds
        return self.ltd_volts**2 * self.ltd_seconds


@dataclass(frozen=True)
class Window:
    """The conductances between which weights are laid, in siemens."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def conductance(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Siemens for conductances normalized to 0..1 of the window.

        Raises:
            ValueError: a value is outside 0..1.
        """
        return self.low + _unit_interval(normalized, "normalized conductance") * self.width


@dataclass(frozen=True)
class Device:
    """A synaptic device; conductances in siemens, nonlinearity as NeuroSim's signed label.

    Attributes:
        states: conductance states of a branch, both ends counted; in the file `states` of both, or
            `states_ltp` and `states_ltd`.
        g_max, g_min: ends of potentiation, and of depression unless it has its own.
        curve, curve_ltp, curve_ltd: measured conductances of both branches, or of one; they stand
            for the formula, the window and the number of states of that branch.
        pulse: that programs a cell, for the energy.
        read_noise: standard deviation of a cell's conductance from read to read, a share of the
            window; what converters see of it.

    Raises:
        ValueError: a window is empty, or the fields contradict one another.
    """

    name: Identifier
    description: Line
    g_max: Annotated[float, Key("g_max_S"), _Siemens]
    g_min: Annotated[float, Key("g_min_S"), _Siemens]
    states: _Count = 0
    states_ltp: _Count = 0
    states_ltd: _Count = 0
    nonlinearity_ltp: _Label = math.nan
    nonlinearity_ltd: _Label = math.nan
    g_max_ltd: Annotated[float, Key("g_max_ltd_S"), _Siemens, OPTIONAL] = 0.0
    g_min_ltd: Annotated[float, Key("g_min_ltd_S"), _Siemens, OPTIONAL] = 0.0
    curve_both: Annotated[_Points, Key("curve_S")] = ()
    curve_ltp: Annotated[_Points, Key("curve_ltp_S")] = ()
    curve_ltd: Annotated[_Points, Key("curve_ltd_S")] = ()
    sources: Annotated[Sources, OPTIONAL] = field(default_factory=Sources)
    variation: Annotated[Variation, OPTIONAL] = field(default_factory=Variation)
    pulse: Annotated[Pulse, OPTIONAL] = field(default_factory=Pulse)
    read_noise: Annotated[float, Range(0.0, 1.0), OPTIONAL] = 0.0

    def __post_init__(self) -> None:
        if self.curve_both and (self.curve_ltp or self.curve_ltd):
            raise ValueError("curve_S is both branches': give it, or curve_ltp_S and curve_ltd_S")
        for branch in (Branch.LTP, Branch.LTD):
            measured = self._measured(branch)
            if measured:
                if len(set(measured)) < 2:
                    raise ValueError("a measured curve must have two different conductances")
            elif not self._states(branch):
                raise ValueError(
                    "missing field states: it must be an integer between 2 and 65536, of both "
                    f"branches, or states_{branch.value} of this one"
                )
            elif math.isnan(self._label(branch)):
                raise ValueError(
                    f"missing field nonlinearity_{branch.value}: it must be a number between -9 "
                    "and 9, or curve_S be measured points"
                )
        for of, low, high in (("", self.g_min, self.g_max), ("_ltd", *self._own(Branch.LTD))):
            if low >= high:
                raise ValueError(f"g_min{of}_S must be below g_max{of}_S, got {low:g}, {high:g}")

    def _measured(self, branch: Branch) -> tuple[float, ...]:
        return self.curve_both or (self.curve_ltp if branch is Branch.LTP else self.curve_ltd)

    def _label(self, branch: Branch) -> float:
        return self.nonlinearity_ltp if branch is Branch.LTP else self.nonlinearity_ltd

    def _states(self, branch: Branch) -> int:
        return (self.states_ltp if branch is Branch.LTP else self.states_ltd) or self.states

    def _own(self, branch: Branch) -> tuple[float, float]:
        """The lowest and highest conductance of one branch."""
        measured = self._measured(branch)
        if measured:
            return min(measured), max(measured)
        if branch is Branch.LTP:
            return self.g_min, self.g_max
        return self.g_min_ltd or self.g_min, self.g_max_ltd or self.g_max

    def window(self, branch: Branch) -> Window:
        """Where the reference values of a branch lie; of `UNION`, of both."""
        if branch is not Branch.UNION:
            return Window(*self._own(branch))
        lows, highs = zip(*map(self._own, (Branch.LTP, Branch.LTD)), strict=True)
        return Window(min(lows), max(highs))

    def count_of_states(self, branch: Branch) -> int:
        """Conductance states of one branch, both ends counted."""
        measured = self._measured(branch)
        return len(set(measured)) if measured else self._states(branch)

    def curve(self, branch: Branch, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Normalized conductance, an increasing function of the position on one branch.

        Args:
            branch: `LTP`, or `LTD` read from its low end (position 0 is after all its pulses).
            position: any shape, 0..1.

        Returns:
            0..1, same shape; exactly 0 at position 0 and 1 at position 1.

        Raises:
            UsageError: the branch is `UNION`, which is two curves.
            ValueError: a position is outside 0..1.
        """
        if branch is Branch.UNION:
            raise UsageError("branch union has no single curve: choose branch ltp or ltd")
        label = self._label(branch)
        position = _unit_interval(position, "position")
        if measured := self._measured(branch):
            points = np.unique(np.array(measured))
            normalized = (points - points[0]) / (points[-1] - points[0])
            at: NDArray[np.float64] = np.interp(
                position, np.linspace(0, 1, len(points)), normalized
            )
            return at
        a = nonlinearity_to_a(label)
        if math.isinf(a):
            return position.copy()
        # math, not numpy: numpy's vector code rounds differently from one processor to the next,
        # and the same device must give the same tables everywhere
        span = math.expm1(-1 / a)
        flat = [math.expm1(-x / a) / span for x in position.ravel().tolist()]
        return np.array(flat, dtype=np.float64).reshape(position.shape)

    def reference_values(self, branch: Branch) -> NDArray[np.float64]:
        """The conductances the device can take: the curve at `states` pulses.

        Returns:
            Normalized to 0..1 of `window(branch)`, sorted, each once; `UNION` merges those of both
            branches. Measured points that are not in order are sorted.
        """
        window = self.window(branch)
        branches = [Branch.LTP, Branch.LTD] if branch is Branch.UNION else [branch]
        sampled = []
        for each in branches:
            count = self.count_of_states(each)
            values = self.curve(each, np.arange(count, dtype=np.float64) / (count - 1))
            own = self.window(each)
            if own != window:
                values = (own.conductance(values) - window.low) / window.width
            sampled.append(np.clip(values, 0, 1))
        merged: NDArray[np.float64] = np.unique(np.concatenate(sampled))
        return merged

    def state_conductances(self, branch: Branch) -> NDArray[np.float64]:
        """Siemens of each state of one branch, ascending."""
        return self.window(branch).conductance(self.reference_values(branch))


def nonlinearity_to_a(label: float) -> float:
    """NeuroSim's normalized parameter A for a nonlinearity label; infinite for 0, a straight line.

    NeuroSim tabulates A against the label (manual, eqs 1-3 and Nonlinearity-NormA). The table
    follows label = max over x of |g(x) - x| / (0.07 * sqrt(2)), solved here for A by bisection.

    Args:
        label: -9..9; A has its sign.

    Raises:
        ValueError: the label is outside -9..9.
    """
    if not -_MAX_LABEL <= label <= _MAX_LABEL:
        raise ValueError(f"nonlinearity must be between -9 and 9, got {label:g}")
    deviation = abs(label) * 0.07 * math.sqrt(2)
    # k = 1 / A, for the deviation is finite and increasing in it; at k = 64 the label is past 9
    low, high = 0.0, 64.0
    while low < (k := (low + high) / 2) < high:
        if _largest_deviation(k) < deviation:
            low = k
        else:
            high = k
    # below a label of about 1e-12 rounding hides the curvature: a straight line as well
    return math.copysign(1 / low, label) if low > 0 else math.inf


def _largest_deviation(k: float) -> float:
    """max of g(x) - x over 0..1 for A = 1 / k > 0, at the x where the slope of g is 1."""
    span = -math.expm1(-k)
    x = -math.log(span / k) / k
    return -math.expm1(-k * x) / span - x


def _unit_interval(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):  # also false for nan
        raise ValueError(f"{what} must be between 0 and 1")
    return values
