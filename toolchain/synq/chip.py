"""Chips: the conductance of every cell of one fabricated array, virtual or measured.

A chip is a quantized network: whatever happens to its cells ends as an effective weight of each
synapse, rounded once to the conductance table's grid. So every back end, check and board runs a
chip as it runs the design.

Random numbers are drawn by address: the same seed gives the same cell, in whatever order, and
however many of its neighbours, cells are drawn.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.definition import check_fields
from synq.device import Branch, Device, Window
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint, signed_width
from synq.network import QuantizedNetwork, SynapseArray
from synq.quantizing import Mapping, Quantization, level_values
from synq.tile import Tile
from synq.variation import Variation
from synq.wires import effective_conductance, first_order_loss

_MOST_VALUES = 256
_MOST_RAW = 1 << 20  # a weight in table units: of wider tables accumulators would not fit
_REFERENCE = 0.5  # the offset mapping's reference column, in the window: trimmed, so exact


class State(IntEnum):
    """What is known of a cell."""

    PROGRAMMED = 0
    STUCK_AT_MIN = 1
    STUCK_AT_MAX = 2
    MISSING = 3  # a read-back does not tell of it: taken at its target


class Programming(StrEnum):
    """How cells come to their targets."""

    EXACT = "exact"  # without error: what varies is the device
    OPEN_LOOP = "open-loop"  # as many pulses as the nominal curve says, from g_min
    WRITE_VERIFY = "write-verify"  # then read, and pulsed up or down until it is near enough


class _Effect(IntEnum):
    """Numbers that keep the draws of effects apart."""

    FACTOR = 1
    STUCK = 2
    DRIFT = 3
    PULSES = 4  # and one more for each round of write-verify


@dataclass(frozen=True)
class Conditions:
    """What a chip has gone through.

    Attributes:
        variation: the effects' sizes.
        programming: how it was programmed.
        tolerance: of write-verify, a share of the window g_max - g_min.
        max_pulses: of write-verify, corrections of a cell.
        time_s: seconds since programming; conductances have drifted since `drift_start_s`.
        tile: the crossbars that arrays are made of; each array is one crossbar without.

    Raises:
        UsageError: a value is out of range.
    """

    variation: Variation = field(default_factory=Variation)
    programming: Programming = Programming.EXACT
    tolerance: float = 0.01
    max_pulses: int = 100
    time_s: float = 0.0
    tile: Tile | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tolerance <= 1:
            raise UsageError(
                f"tolerance must be above 0 and at most 1, got {self.tolerance:g}",
                settings=("tolerance",),
            )
        if not 0 <= self.max_pulses <= 10_000:
            raise UsageError(
                f"max pulses must be between 0 and 10000, got {self.max_pulses}",
                settings=("max_pulses",),
            )
        if not 0 <= self.time_s <= 1e12:
            raise UsageError(
                f"time must be between 0 and 1e12 seconds, got {self.time_s:g}",
                settings=("time",),
            )


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one array: (n_rows, n_out, polarities); polarities are +, -, or + alone.

    Attributes:
        target: siemens that the design asks for, float64.
        actual: siemens, float64.
        pulses: that programmed it, int64; 0 where none was counted.
        state: uint8, of `State`.
    """

    target: NDArray[np.float64]
    actual: NDArray[np.float64]
    pulses: NDArray[np.int64]
    state: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FaultMap:
    """Which cells of a chip are stuck.

    Attributes:
        states: uint8 of `State`, one (n_rows, n_out, polarities) an array.
    """

    states: tuple[NDArray[np.uint8], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all states."""
        hashed = hashlib.sha256()
        for state in self.states:
            hashed.update(f"{state.shape}".encode() + state.tobytes())
        return hashed.hexdigest()


@dataclass(frozen=True, eq=False)
class Chip:
    """One fabricated instance of a design.

    Attributes:
        design: the network as it was meant.
        network: the network that its cells are.
        cells: one an array.
        device: that the cells are of.
        window: of its conductances, between which weights are laid.
        mapping: how a signed weight is conductances.
        conditions: what it has gone through.
        seed: that it was drawn with; None of a measured one.
        energy_j: joules that all pulses put into the cells, an estimate, see `Programmer`; None
            where no pulse was counted or the device's file does not tell of them.
    """

    design: QuantizedNetwork
    network: QuantizedNetwork
    cells: tuple[Cells, ...]
    device: Device
    window: Window
    mapping: Mapping
    conditions: Conditions
    seed: int | None
    energy_j: float | None = None

    @property
    def pulses(self) -> int:
        """That programmed it, all together."""
        return sum(int(cells.pulses.sum()) for cells in self.cells)

    @property
    def deviation(self) -> float:
        """Root mean square of actual minus target over all cells, a share of the window."""
        off = [(cells.actual - cells.target).ravel() for cells in self.cells]
        return float(np.sqrt(np.mean(np.concatenate(off) ** 2))) / self.window.width

    @property
    def faults(self) -> FaultMap:
        """Which of its cells are stuck."""
        return FaultMap(tuple(cells.state for cells in self.cells))

    def count(self, state: State) -> int:
        """Cells in a state."""
        return sum(int(np.count_nonzero(cells.state == state)) for cells in self.cells)


def program(
    design: QuantizedNetwork,
    device: Device,
    choice: Quantization,
    conditions: Conditions = Conditions(),
    seed: int = 0,
) -> Chip:
    """A virtual chip of the design.

    Args:
        choice: that the design was quantized with.
        seed: which chip, 0 to 2**63 - 1; the same seed gives the same cells.

    Raises:
        UsageError: a seed out of range.
        SynqError: the design was not quantized with `choice` for `device`.
    """
    return Programmer(design, device, choice, conditions).chip(seed)


_Loss = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Programmer:
    """Makes chips of a design: what they have in common is computed once.

    Energy is estimated as NeuroSim does it (MLP+NeuroSim V3.0, `WriteEnergyCalculation` of a real
    device, the part that the cell takes): a pulse of V volts and t seconds puts V^2 G t into a
    cell, G the mean of its conductance before and after. That is the conductance at the read
    voltage: device files tell no other. Half-selected cells, wires, drivers and the reads of
    write-verify are not in it.

    Args:
        near_wires: whether wires are solved exactly for the design alone, and to first order for
            how a chip differs from it: a thousand times as fast.

    Raises:
        SynqError: the design was not quantized with `choice` for `device`.
    """

    def __init__(
        self,
        design: QuantizedNetwork,
        device: Device,
        choice: Quantization,
        conditions: Conditions,
        near_wires: bool = False,
    ) -> None:
        self.design, self.device, self.mapping = design, device, choice.mapping
        self.conditions = conditions
        self.window = device.window(choice.branch)
        self.targets = targets_of(design, device, choice)
        # Cells are programmed up from the lowest state; of both branches' states, by potentiation.
        branch = Branch.LTP if choice.branch is Branch.UNION else choice.branch
        self._states = device.state_conductances(branch)
        self._up = device.state_conductances(Branch.LTP)
        self._down = device.state_conductances(Branch.LTD)
        middles = (self._states[1:] + self._states[:-1]) / 2
        self._pulses = [np.searchsorted(middles, target) for target in self.targets]
        self._up_j = device.pulse.joules_per_siemens(Branch.LTP)  # a siemens and pulse
        self._down_j = device.pulse.joules_per_siemens(Branch.LTD)
        spent = np.cumsum((self._states[1:] + self._states[:-1]) / 2) * self._up_j
        self._spent = np.concatenate([[0.0], spent])  # joules from the lowest state to each
        self._losses = [self._loss_near(target) if near_wires else None for target in self.targets]

    def _loss_near(self, target: NDArray[np.float64]) -> "_Loss | None":
        """What wires take of conductances near the target; None without wires."""
        resistance, tile = self.conditions.variation.wire_resistance_ohm, self.conditions.tile
        if not resistance:
            return None
        exact = 1 - effective_conductance(target, resistance, tile) / target
        beyond = exact - first_order_loss(target, resistance, tile)
        return lambda actual: first_order_loss(actual, resistance, tile) + beyond

    def _network(self, conductances: list[NDArray[np.float64]]) -> QuantizedNetwork:
        conditions = self.conditions
        if any(near is not None for near in self._losses):  # wires are in them already
            variation = replace(conditions.variation, wire_resistance_ohm=0.0)
            conditions = replace(conditions, variation=variation)
        return chip_network(self.design, self.window, self.mapping, conductances, conditions)

    def chip(self, seed: int) -> Chip:
        """The chip of a seed.

        Raises:
            UsageError: it is out of range.
        """
        if not 0 <= seed < 1 << 63:
            raise UsageError(f"seed must be 0 to {(1 << 63) - 1}, got {seed}", settings=("seed",))
        made = [self._cells(index, seed) for index in range(len(self.targets))]
        cells = tuple(each for each, _ in made)
        joules = sum(float(each.sum()) for _, each in made)
        counted = self.device.pulse.known and self.conditions.programming is not Programming.EXACT
        conductances = [
            each.actual if near is None else each.actual * (1 - near(each.actual))
            for each, near in zip(cells, self._losses, strict=True)
        ]
        network = self._network(conductances)
        return Chip(
            self.design,
            network,
            cells,
            self.device,
            self.window,
            self.mapping,
            self.conditions,
            seed,
            float(f"{joules:.6g}") if counted else None,  # sums differ in their last bits
        )

    def _cells(self, index: int, seed: int) -> tuple[Cells, NDArray[np.float64]]:
        """The cells of an array, and joules into each."""
        variation, target = self.conditions.variation, self.targets[index]
        draws = _Draws(seed, index, target.shape)
        factor: NDArray[np.float64] = np.ones(())
        if variation.device_to_device:
            factor = 1 + variation.device_to_device * draws.normal(_Effect.FACTOR)
            factor = np.maximum(factor, 0)  # a cell conducts, or does not
        pulses, joules = np.zeros(target.shape, dtype=np.int64), np.zeros(target.shape)
        if self.conditions.programming is Programming.EXACT:
            actual = target * factor
        else:
            pulses = self._pulses[index].astype(np.int64)
            joules = self._spent[pulses] * factor
            actual = self._programmed(target, pulses, joules, factor, draws)
        state = np.zeros(target.shape, dtype=np.uint8)
        if variation.stuck_share:
            uniform = draws.uniform(_Effect.STUCK)
            state[uniform < variation.stuck_share] = State.STUCK_AT_MAX
            state[uniform < variation.stuck_at_min] = State.STUCK_AT_MIN
            actual = np.where(state == State.STUCK_AT_MIN, self.window.low, actual)
            actual = np.where(state == State.STUCK_AT_MAX, self.window.high, actual)
            pulses[state != State.PROGRAMMED] = 0
            joules[state != State.PROGRAMMED] = 0
        decades = self.conditions.time_s / variation.drift_start_s
        if decades > 1 and (variation.drift_exponent or variation.drift_exponent_sigma):
            exponent: Any = variation.drift_exponent
            if variation.drift_exponent_sigma:
                exponent = exponent + variation.drift_exponent_sigma * draws.normal(_Effect.DRIFT)
            actual = actual * np.exp(-exponent * math.log(decades))
        return Cells(target, np.broadcast_to(actual, target.shape), pulses, state), joules

    def _programmed(
        self,
        target: NDArray[np.float64],
        pulses: NDArray[np.int64],
        joules: NDArray[np.float64],
        factor: NDArray[np.float64],
        draws: "_Draws",
    ) -> NDArray[np.float64]:
        """Siemens after pulsing; `pulses` is what the nominal curve asks for, and is counted up, as
        are `joules`.

        A pulse's errors add up as a random walk (NeuroSim: standard deviation times the root of the
        pulses).
        """
        width = self.window.width
        error = self.conditions.variation.cycle_to_cycle * width
        actual = self._states[pulses] * factor
        if error:
            actual = actual + error * np.sqrt(pulses) * draws.normal(_Effect.PULSES)
        actual = np.maximum(actual, 0)
        if self.conditions.programming is Programming.OPEN_LOOP:
            return actual
        near = self.conditions.tolerance * width
        factor = np.broadcast_to(factor, target.shape)
        at_end = np.zeros(target.shape, dtype=bool)
        for round_ in range(1, self.conditions.max_pulses + 1):
            off = (np.abs(actual - target) > near) & ~at_end
            if not off.any():
                break
            # One pulse along the cell's own curve, from where it stands.
            now = actual[off] / np.maximum(factor[off], 1e-9)
            up = actual[off] < target[off]
            stepped = np.where(up, _step(self._up, now, 1), _step(self._down, now, -1))
            # Its curve goes no further: the cell is given up.
            at_end[off] = np.where(up, now >= self._up[-1], now <= self._down[0])
            moved = stepped * factor[off]
            if error:
                moved = moved + error * draws.normal(_Effect.PULSES + round_, off)
            moved = np.maximum(moved, 0)
            joules[off] += np.where(up, self._up_j, self._down_j) * (actual[off] + moved) / 2
            actual[off] = moved
            pulses[off] += 1
        return actual


def _step(curve: NDArray[np.float64], now: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    """Conductances one pulse up or down a sampled curve."""
    at = np.interp(now, curve, np.arange(len(curve), dtype=np.float64)) + by
    return np.interp(at, np.arange(len(curve), dtype=np.float64), curve)


class _Draws:
    """Random numbers of an array's cells, one each for every effect.

    Philox (Salmon et al., SC 2011) is a counter: the number at an address depends on the key and
    the address alone.
    """

    def __init__(self, seed: int, array: int, shape: tuple[int, ...]) -> None:
        self._seed, self._array, self._shape = seed, array, shape

    def uniform(self, effect: int) -> NDArray[np.float64]:
        """Above 0 and below 1."""
        key = np.array([self._seed, (effect << 32) | self._array], dtype=np.uint64)
        words = np.random.Philox(key=key).random_raw(math.prod(self._shape))
        return ((words >> np.uint64(11)).astype(np.float64) + 0.5).reshape(self._shape) * 2.0**-53

    def normal(self, effect: int, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Of mean 0 and standard deviation 1; those of some cells only, where told."""
        from scipy.special import ndtri

        uniform = self.uniform(effect)
        normal: NDArray[np.float64] = ndtri(uniform if where is None else uniform[where])
        return normal


def varied(variation: Variation, **sizes: float | None) -> Variation:
    """The variation with other sizes of some effects; None leaves one as it is.

    Raises:
        UsageError: a size is out of range.
    """
    given = {name: size for name, size in sizes.items() if size is not None}
    try:
        check_fields(replace(variation, **given))
    except ValueError as error:
        raise UsageError(str(error), settings=tuple(given)) from None
    return replace(variation, **given)


def conditions_of(
    device: Device,
    tile: Tile | None,
    programming: Programming = Programming.EXACT,
    tolerance: float = 0.01,
    max_pulses: int = 100,
    time_s: float = 0.0,
    **sizes: float | None,
) -> Conditions:
    """What chips of a device go through; sizes of effects that are None are the device's own.

    Raises:
        UsageError: a value is out of range.
    """
    variation = varied(device.variation, **sizes)
    return Conditions(variation, programming, tolerance, max_pulses, time_s, tile)


def targets_of(
    design: QuantizedNetwork, device: Device, choice: Quantization
) -> list[NDArray[np.float64]]:
    """Siemens that each cell should have: one (n_rows, n_out, polarities) an array.

    Raises:
        SynqError: a value of the design is none that `choice` gives for `device`.
    """
    _, realized = level_values(choice, device)
    targets = []
    for index, array in enumerate(design.arrays):
        full = full_scale(array.table_format)
        by_value = {round(value * full): value for value in realized.tolist()}
        if not all(int(raw) in by_value for raw in array.codebook):
            raise SynqError(
                f"array {index} holds values that {device.name} does not give at L = "
                f"{choice.levels}: program the network with the options it was quantized with"
            )
        values = np.array([by_value[int(raw)] for raw in array.codebook])
        parts = polarities(values, choice.mapping)
        targets.append(device.window(choice.branch).conductance(parts)[array.codes])
    return targets


def polarities(weights: NDArray[np.float64], mapping: Mapping) -> NDArray[np.float64]:
    """Signed weights of -1..1 as normalized conductances of their cells, on a new last axis."""
    if mapping is Mapping.OFFSET:
        return ((1 + weights) / 2)[..., None]
    return np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)], axis=-1)


def weights_of(
    actual: NDArray[np.float64], window: Window, mapping: Mapping
) -> NDArray[np.float64]:
    """(n_rows, n_out) signed weights that cells of `actual` siemens are; beyond +-1 where they are.

    A pair's conductances are subtracted. A single cell's are held against a reference column at
    half the window, and count twice.
    """
    if mapping is Mapping.OFFSET:
        reference = window.low + _REFERENCE * window.width
        return 2 * (actual[..., 0] - reference) / window.width
    return (actual[..., 0] - actual[..., 1]) / window.width


def chip_network(
    design: QuantizedNetwork,
    window: Window,
    mapping: Mapping,
    actual: list[NDArray[np.float64]],
    conditions: Conditions,
) -> QuantizedNetwork:
    """The network that cells of these conductances are.

    Args:
        actual: siemens, (n_rows, n_out, polarities) an array.
    """
    resistance = conditions.variation.wire_resistance_ohm
    arrays = []
    for array, conductance in zip(design.arrays, actual, strict=True):
        if resistance:
            conductance = effective_conductance(conductance, resistance, conditions.tile)
        arrays.append(with_weights(array, weights_of(conductance, window, mapping)))
    return replace(design, arrays=tuple(arrays))


def full_scale(table_format: FixedPoint) -> int:
    """The table's integer for the weight 1."""
    return (1 << table_format.fraction) - 1


def with_weights(array: SynapseArray, weights: NDArray[np.float64]) -> SynapseArray:
    """The array with other weights, in the same unit: 1 is the design's full scale.

    They are rounded to the table's grid, or, where that would be more than 256 values, to the
    finest multiple of it by a power of two that is not. Weights beyond full scale widen the table.
    """
    exact = weights * full_scale(array.table_format)
    if not np.all(np.abs(exact) <= _MOST_RAW):  # also false for NaN
        raise SynqError("a cell's conductance is thousands of times the device's window")
    for coarse in range(63):
        raw = np.rint(exact * 0.5**coarse).astype(np.int64) << coarse
        used = np.zeros(int(raw.max() - raw.min()) + 1, dtype=bool)
        used[raw - raw.min()] = True
        if np.count_nonzero(used) <= _MOST_VALUES:
            break
    if np.array_equal(raw, array.weights):
        return array
    codebook = np.flatnonzero(used) + raw.min()
    code_of = np.cumsum(used) - 1
    width = max(array.table_format.width, signed_width(int(codebook[0]), int(codebook[-1])))
    form = FixedPoint(width, width - array.table_format.fraction, signed=True)
    return SynapseArray(
        code_of[raw - raw.min()].astype(np.uint8),
        codebook,
        form,
        array.input_format,
        array.bias_input,
        array.scale,
        array.converter,
    )
