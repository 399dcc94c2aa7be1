"""Synaptic devices: conductance as a function of the pulse number.

The model is NeuroSim's (MLP+NeuroSim V3.0 manual, eqs 1-3). With x = pulse / (states - 1) in 0..1
and conductance normalized to the window g_min..g_max, both branches are

    g(x) = (1 - exp(-x / A)) / (1 - exp(-1 / A)),

potentiation (LTP) with x counted upwards from the lowest state, depression (LTD) downwards from
the highest. A positive A bends the curve up (fast at first in LTP), a negative A down (fast at
first in LTD). Data sheets give A as a "nonlinearity label" of the same sign.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from synq.definition import Identifier, Key, Line, Range, definition_names, load_definition
from synq.errors import UsageError
from synq.variation import Variation

_MAX_LABEL = 9.0  # NeuroSim's labels end here; the formula's own limit is 10.1, a step
_Siemens = Range(1e-15, 1.0)
_Label = Annotated[float, Range(-_MAX_LABEL, _MAX_LABEL)]


def load_device(name_or_path: str) -> "Device":
    """The device of `device_names()`, or the one in a user's own `.toml` file.

    Raises:
        UsageError: no device has this name; names the nearest.
        SynqError: the file cannot be read or is not a device; names file and field.
    """
    return load_definition(name_or_path, "devices", Device)


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
    """Where each number of a device is published: document and table."""

    states: Line
    g_max: Annotated[Line, Key("g_max_S")]
    g_min: Annotated[Line, Key("g_min_S")]
    nonlinearity_ltp: Line
    nonlinearity_ltd: Line


@dataclass(frozen=True)
class Device:
    """A synaptic device; conductances in siemens, nonlinearity as NeuroSim's signed label.

    Raises:
        ValueError: g_min_S is not below g_max_S.
    """

    name: Identifier
    description: Line
    states: Annotated[int, Range(2, 65536)]  # conductance states of one branch, both ends counted
    g_max: Annotated[float, Key("g_max_S"), _Siemens]
    g_min: Annotated[float, Key("g_min_S"), _Siemens]
    nonlinearity_ltp: _Label
    nonlinearity_ltd: _Label
    sources: Sources
    variation: Variation = field(default_factory=Variation)

    def __post_init__(self) -> None:
        if self.g_min >= self.g_max:
            raise ValueError(f"g_min_S must be below g_max_S, got {self.g_min:g}, {self.g_max:g}")

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
        label = self.nonlinearity_ltp if branch is Branch.LTP else self.nonlinearity_ltd
        position = _unit_interval(position, "position")
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
            Normalized to 0..1, sorted, each once; `UNION` merges those of both branches.
        """
        pulses = np.arange(self.states, dtype=np.float64) / (self.states - 1)
        branches = [Branch.LTP, Branch.LTD] if branch is Branch.UNION else [branch]
        sampled = [self.curve(each, pulses) for each in branches]
        values: NDArray[np.float64] = np.unique(np.concatenate(sampled))
        return values

    def conductance(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Siemens for conductances normalized to 0..1 of the window g_min..g_max.

        Raises:
            ValueError: a value is outside 0..1.
        """
        normalized = _unit_interval(normalized, "normalized conductance")
        return self.g_min + normalized * (self.g_max - self.g_min)


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
