"""Pulse trains as a lab measures them: conductance after each pulse, in a CSV.

Two forms are read. *Long*: a line a pulse, with columns of the pulse number and the conductance,
and, where there are several, of the cell, the cycle and the branch. *Wide*: a column a trace, a
line a pulse, with a header or without. A trace without a branch is potentiation if it rises.
"""

import csv
import io
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.device import Branch
from synq.errors import SynqError, UsageError, quoted
from synq.files import read_bounded

_MAX_BYTES = 32 << 20
_MAX_LINES = 1_000_000
_MAX_TRACES = 10_000
_LEAST_POINTS = 4

_HEADS = {
    "pulse": ("pulse", "pulse number", "n", "number", "step"),
    "conductance": ("conductance", "g", "i", "current"),
    "cell": ("cell", "device"),
    "cycle": ("cycle",),
    "branch": ("branch", "direction"),
}
_SETTINGS = {what: f"{what}_column" for what in _HEADS}
_BRANCHES = {
    **dict.fromkeys(("ltp", "up", "set", "potentiation", "1", "+"), Branch.LTP),
    **dict.fromkeys(("ltd", "down", "reset", "depression", "-1", "-"), Branch.LTD),
}


class Unit(StrEnum):
    """What the numbers of a file are."""

    S = "S"
    MS = "mS"
    US = "uS"
    NS = "nS"
    A = "A"
    UA = "uA"
    NA = "nA"
    NORMALIZED = "normalized"

    @property
    def is_current(self) -> bool:
        return self in (Unit.A, Unit.UA, Unit.NA)

    @property
    def factor(self) -> float:
        """Siemens, or amperes, in one of it."""
        powers = {"m": -3, "u": -6, "n": -9}
        return 1.0 if len(self.value) != 2 else 10.0 ** powers[self.value[0]]


@dataclass(frozen=True, eq=False)
class Trace:
    """One cell's way along one branch.

    Attributes:
        cell, cycle: which one; cycles of a cell are its repetitions.
        conductance: (n_pulses + 1,) siemens, or normalized, after each pulse, in their order.
    """

    cell: str
    cycle: str
    branch: Branch
    conductance: NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Names of a file's columns, where the header does not tell."""

    pulse: str | None = None
    conductance: str | None = None
    cell: str | None = None
    cycle: str | None = None
    branch: str | None = None


def read_pulses(
    path: Path,
    columns: Columns = Columns(),
    unit: Unit | None = None,
    read_voltage: float | None = None,
) -> tuple[list[Trace], Unit]:
    """The traces in a CSV, and their unit.

    Args:
        unit: of the numbers; what the header says without, or siemens.
        read_voltage: volts that currents were read at.

    Raises:
        UsageError: a column is not there, or units contradict the file.
        SynqError: the file cannot be read, or holds no traces; says where.
    """
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SynqError(f"{path}: is not text in UTF-8") from None
    lines = text.splitlines()
    if len(lines) > _MAX_LINES:
        raise SynqError(
            f"{path}: has {len(lines):,} lines, at most {_MAX_LINES:,} are read: give fewer cells"
        )
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        rows = [
            [field.strip() for field in row]
            for row in csv.reader(io.StringIO(text), delimiter=separator)
            if any(field.strip() for field in row)
        ]
    except csv.Error as error:
        raise SynqError(f"{path}: {error}") from None
    if not rows:
        raise SynqError(f"{path}: is empty")
    head = [] if all(map(_is_number, rows[0])) else rows[0]
    body = rows[1:] if head else rows
    places = _places(path, head, columns)
    unit = _unit(path, head, places, unit)
    if unit.is_current and not (read_voltage and math.isfinite(read_voltage)):
        raise UsageError(
            f"{path}: holds currents: say the voltage they were read at",
            settings=("read_voltage",),
        )
    scale = unit.factor / (abs(read_voltage) if unit.is_current and read_voltage else 1.0)
    traces = _long(path, body, places) if "pulse" in places else _wide(path, head, body)
    if not traces:
        raise SynqError(f"{path}: holds no number")
    scaled = []
    for trace in traces:
        siemens = trace.conductance * scale
        if unit is not Unit.NORMALIZED:
            if np.any(siemens < 0):
                raise SynqError(
                    f"{path}: {_named(trace)} has {siemens.min():g} siemens: conductances are "
                    "positive; if they are normalized, say so"
                )
            if np.any(siemens > 1):
                raise SynqError(
                    f"{path}: {_named(trace)} has {siemens.max():g} siemens: say the unit"
                )
        if len(siemens) < _LEAST_POINTS:
            raise SynqError(
                f"{path}: {_named(trace)} has {len(siemens)} points, a fit needs {_LEAST_POINTS}"
            )
        if siemens.min() == siemens.max():
            raise SynqError(f"{path}: {_named(trace)} is constant: nothing can be fitted")
        scaled.append(Trace(trace.cell, trace.cycle, trace.branch, siemens))
    return scaled, unit


def _named(trace: Trace) -> str:
    return f"cell {quoted(trace.cell)} cycle {quoted(trace.cycle)} {trace.branch}"


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return not field
    return True


def _places(path: Path, head: list[str], columns: Columns) -> dict[str, int]:
    """The number of each column that is known."""
    places = {}
    plain = [re.split(r"[\s(_\[]", name.lower())[0] for name in head]
    for what, heads in _HEADS.items():
        name = getattr(columns, what)
        if name is not None:
            if head.count(name) != 1:
                raise UsageError(
                    f"{path}: has {head.count(name)} columns {name!r}; its columns are "
                    f"{', '.join(head)[:200] or 'without names'}",
                    settings=(_SETTINGS[what],),
                )
            places[what] = head.index(name)
            continue
        found = [at for at, word in enumerate(plain) if word in heads]
        if len(found) == 1:
            places[what] = found[0]
    if "pulse" in places and "conductance" not in places:
        raise UsageError(
            f"{path}: no column of conductances is found in {', '.join(head)[:200]}: name it",
            settings=("conductance_column",),
        )
    if "conductance" in places and columns.conductance is None:
        others = [name for at, name in enumerate(head) if at not in places.values()]
        if others := [name for name in others if _units_in(name)]:
            taken = quoted(head[places["conductance"]])
            raise UsageError(
                f"{path}: {taken} and {quoted(others[0])} both have a unit: name the column of "
                "conductances",
                settings=("conductance_column",),
            )
    return places


def _units_in(name: str) -> set[Unit]:
    """What a column's name says of its unit."""
    return {unit for unit in Unit if re.search(rf"(?:^|[\s_(\[/]){unit.value}(?:$|[\s_)\]])", name)}


def _unit(path: Path, head: list[str], places: dict[str, int], told: Unit | None) -> Unit:
    """The unit that the user or the header says."""
    names = head if "conductance" not in places else [head[places["conductance"]]]
    found = {unit for name in names for unit in _units_in(name)}
    if len(found) > 1:
        raise SynqError(
            f"{path}: the header mixes units, {', '.join(sorted(found))}: give one unit"
        )
    if told is not None:
        return told
    return found.pop() if found else Unit.S


def _value(path: Path, field: str, line: int) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SynqError(f"{path}: data line {line}: {quoted(field)} is not a number")
    return value


def _long(path: Path, body: list[list[str]], places: dict[str, int]) -> list[Trace]:
    grouped: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for line, row in enumerate(body, 1):
        if len(row) <= max(places.values()):
            raise SynqError(f"{path}: data line {line} has {len(row)} fields")
        named = [row[places[what]] if what in places else "" for what in ("cell", "cycle")]
        branch = row[places["branch"]].lower() if "branch" in places else ""
        if branch and branch not in _BRANCHES:
            raise SynqError(
                f"{path}: data line {line}: branch {quoted(branch)} is none of "
                f"{', '.join(_BRANCHES)}"
            )
        values = [_value(path, row[places[what]], line) for what in ("pulse", "conductance")]
        key = (named[0], named[1], _BRANCHES[branch].value if branch else "")
        grouped.setdefault(key, []).append((values[0], values[1]))
        if len(grouped) > _MAX_TRACES:
            raise SynqError(f"{path}: has more than {_MAX_TRACES:,} traces: give fewer cells")
    traces = []
    for (cell, cycle, branch), points in grouped.items():
        ordered = sorted(points)
        numbers = [number for number, _ in ordered]
        if len(set(numbers)) < len(numbers):
            raise SynqError(
                f"{path}: cell {quoted(cell)} cycle {quoted(cycle)}: a pulse number is there "
                "twice: name the columns of cells, cycles and branches"
            )
        values_of = np.array([value for _, value in ordered])
        traces.append(Trace(cell, cycle, _branch(branch, values_of), values_of))
    return traces


def _wide(path: Path, head: list[str], body: list[list[str]]) -> list[Trace]:
    width = max(map(len, body), default=0)
    if width > _MAX_TRACES:
        raise SynqError(f"{path}: has {width:,} columns, at most {_MAX_TRACES:,} are read")
    traces = []
    for at in range(width):
        name = head[at] if at < len(head) and head[at] else str(at + 1)
        fields = [(line, row[at]) for line, row in enumerate(body, 1) if at < len(row) and row[at]]
        values = np.array([_value(path, field, line) for line, field in fields])
        if len(values):
            traces.append(Trace(name, "", _branch("", values), values))
    return traces


def _branch(told: str, values: NDArray[np.float64]) -> Branch:
    """The branch that a file says, or the direction of the trace: first against last third."""
    if told:
        return Branch(told)
    third = max(1, len(values) // 3)
    rises = values[-third:].mean() >= values[:third].mean()
    return Branch.LTP if rises else Branch.LTD
