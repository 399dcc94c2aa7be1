"""Chips as files: `chip.csv`, a line a cell, for people and probe stations; `chip.npz`, all of it.

Both are inverse to reading: the same conductances come back, to the last bit.
"""

import io
import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.chip import (
    Cells,
    Chip,
    Conditions,
    FaultMap,
    Programming,
    State,
    chip_network,
    targets_of,
)
from synq.definition import check_fields
from synq.device import Device
from synq.errors import SynqError
from synq.files import read_bounded
from synq.network import QuantizedNetwork
from synq.npz import Member, read_npz
from synq.quantizing import Quantization
from synq.tile import Tile
from synq.variation import Variation

_FORMAT = "synq-chip-1"
_MAX_HEADER = 1 << 20
_MOST_ARRAYS = 16
_MAX_NPZ = 1 << 30
_MAX_CSV = 128 << 20
_HEADER = Member("u", "bytes", (1, 1))
_COLUMNS = (
    *("array", "tile", "row", "column", "polarity"),
    *("target_S", "actual_S", "pulses", "state"),
)
_SIGNS = ("+", "-")
_STATES = tuple(state.name.lower().replace("_", "-") for state in State)
_MOST_NAMED = 3


def chip_csv(chip: Chip) -> bytes:
    """A line a cell: array, tile, row, column, polarity, target and actual siemens, pulses, state.

    Rows and columns are the array's; `tile` numbers the crossbars row by row, those of + and of -
    alike. Cell (row, column) is cell (row mod tile rows, column mod tile columns) of its tile.
    """
    lines = [",".join(_COLUMNS)]
    for index, cells in enumerate(chip.cells):
        rows, columns, polarity = (part.ravel() for part in np.indices(cells.target.shape))
        tiles = _tiles(rows, columns, cells.target.shape[1], chip.conditions.tile)
        lines += [
            f"{index},{tile},{row},{column},{_SIGNS[sign]},{target!r},{actual!r},{pulses},"
            f"{_STATES[state]}"
            for tile, row, column, sign, target, actual, pulses, state in zip(
                tiles.tolist(),
                rows.tolist(),
                columns.tolist(),
                polarity.tolist(),
                cells.target.ravel().tolist(),
                cells.actual.ravel().tolist(),
                cells.pulses.ravel().tolist(),
                cells.state.ravel().tolist(),
                strict=True,
            )
        ]
    return ("\n".join(lines) + "\n").encode()


def _tiles(
    rows: NDArray[np.int64], columns: NDArray[np.int64], n_out: int, tile: Tile | None
) -> NDArray[np.int64]:
    if tile is None:
        return np.zeros_like(rows)
    across = -(-n_out // tile.columns)
    return rows // tile.rows * across + columns // tile.columns


def chip_npz(chip: Chip) -> bytes:
    """The chip in one `.npz` of plain arrays; the same bytes for the same chip."""
    header = {
        "format": _FORMAT,
        "design": chip.design.digest,
        "device": chip.device.name,
        "mapping": chip.mapping.value,
        "seed": chip.seed,
        "conditions": described_conditions(chip.conditions),
        "energy_J": chip.energy_j,
    }
    parts: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    }
    for index, cells in enumerate(chip.cells):
        parts |= {f"{field.name}_{index}": getattr(cells, field.name) for field in fields(cells)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **parts)
    return buffer.getvalue()


def described_conditions(conditions: Conditions) -> dict[str, Any]:
    """For manifests and JSON."""
    tile = conditions.tile
    return {**asdict(conditions), "tile": None if tile is None else str(tile)}


def _read_conditions(fields: Any) -> Conditions:
    given = dict(fields)
    tile, variation = given.pop("tile"), Variation(**given["variation"])
    check_fields(variation)
    return Conditions(
        **{
            **given,
            "variation": variation,
            "programming": Programming(given["programming"]),
            "tile": None if tile is None else Tile.parsed(tile),
        }
    )


def read_chip(path: Path, design: QuantizedNetwork, device: Device, choice: Quantization) -> Chip:
    """The chip in a file that `chip_npz` has written.

    Args:
        design, device, choice: what it was programmed with.

    Raises:
        SynqError: the file cannot be read, is damaged, or is a chip of another design.
    """
    text = read_npz(path, {"header": _HEADER}, _MAX_HEADER)["header"].tobytes()
    try:
        header = json.loads(text)
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {header['format']!r:.40}")
        seed, conditions = header["seed"], _read_conditions(header["conditions"])
        if not (seed is None or (type(seed) is int and 0 <= seed < 1 << 63)):
            raise ValueError(f"its seed is {seed!r:.40}")
        energy = header.get("energy_J")
        if not (energy is None or (type(energy) is float and 0 <= energy < math.inf)):
            raise ValueError(f"its energy is {energy!r:.40}")
    except (SynqError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SynqError(f"{path}: is no chip of synq program ({error!s:.100})") from None
    wanted = (design.digest, device.name, choice.mapping.value)
    if (header.get("design"), header.get("device"), header.get("mapping")) != wanted:
        raise SynqError(
            f"{path}: is a chip of another network or device: give the options that it was "
            "programmed with"
        )
    chip = _chip(path, design, device, choice, conditions, seed)
    return replace(chip, energy_j=energy)


def _chip(
    path: Path,
    design: QuantizedNetwork,
    device: Device,
    choice: Quantization,
    conditions: Conditions,
    seed: int | None,
) -> Chip:
    targets = targets_of(design, device, choice)
    words = {
        "target": ("f", "float64"),
        "actual": ("f", "float64"),
        "pulses": ("i", "int64"),
        "state": ("u", "uint8"),
    }
    members = {
        f"{name}_{index}": Member(kind, f"{dtype}: (rows, columns, polarities)", (3, 3))
        for index in range(len(targets))
        for name, (kind, dtype) in words.items()
    }
    parts = read_npz(path, members, _MAX_NPZ)
    cells = []
    for index, target in enumerate(targets):
        read = {name: parts[f"{name}_{index}"].astype(dtype) for name, (_, dtype) in words.items()}
        for name, values in read.items():
            if values.shape != target.shape:
                raise SynqError(
                    f"{path}: {name}_{index} is of {values.shape}, array {index} of {target.shape}"
                )
        _check_siemens(path, index, read["actual"])
        if read["state"].max(initial=0) > max(State):
            raise SynqError(f"{path}: state_{index} holds a state that there is not")
        cells.append(Cells(**read))
    actual = [each.actual for each in cells]
    window = device.window(choice.branch)
    network = chip_network(design, window, choice.mapping, actual, conditions)
    return Chip(design, network, tuple(cells), device, window, choice.mapping, conditions, seed)


def _check_siemens(path: Path, index: int, actual: NDArray[np.float64]) -> None:
    wrong = np.argwhere(~((actual >= 0) & (actual <= 1)))  # also NaN
    if len(wrong):
        at = _named(index, *(int(part) for part in wrong[0]))
        raise SynqError(
            f"{path}: {at} is {actual[tuple(wrong[0])]:g} siemens: a conductance is 0 to 1"
        )


def _named(index: int, row: int, column: int, polarity: int) -> str:
    return f"array {index} row {row} column {column} {_SIGNS[polarity]}"


def read_back(
    path: Path,
    design: QuantizedNetwork,
    device: Device,
    choice: Quantization,
    conditions: Conditions,
) -> Chip:
    """The chip that was measured: a CSV with a line a cell, as `chip_csv` writes.

    Needed are the columns array, row, column, polarity and actual_S; a column state is read where
    there is one. A cell without a line is taken at its target and has the state `MISSING`.

    Args:
        conditions: what of it the conductances do not hold: wires, and how the array is tiled.

    Raises:
        SynqError: the file cannot be read, a column is missing, a value is none, or a cell is
            twice in it or not in the design.
    """
    targets = targets_of(design, device, choice)
    try:
        text = read_bounded(path, _MAX_CSV).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SynqError(f"{path}: is not text in UTF-8") from None
    first, _, body = text.partition("\n")
    names = [name.strip() for name in first.split(",")]
    kinds: dict[str, Any] = {
        **dict.fromkeys(("array", "row", "column"), np.int64),
        "polarity": np.dtype("U2"),
        "actual_S": np.float64,
    }
    for name in kinds:
        if names.count(name) != 1:
            raise SynqError(
                f"{path}: its first line must name the columns {', '.join(kinds)}, each once; "
                f"{name} is there {names.count(name)} times"
            )
    if names.count("state") == 1:
        kinds["state"] = np.dtype("U20")
    if not body.strip():
        raise SynqError(f"{path}: holds no cell")
    try:
        lines = np.loadtxt(
            io.StringIO(body),
            delimiter=",",
            comments=None,
            ndmin=1,
            dtype=list(kinds.items()),
            usecols=[names.index(name) for name in kinds],
        )
    except (ValueError, IndexError) as error:
        # numpy counts lines from the one after the header
        raise SynqError(f"{path}: below the header, {' '.join(str(error).split())}") from None
    return _measured(path, lines, targets, design, device, choice, conditions)


def _measured(
    path: Path,
    lines: NDArray[Any],
    targets: list[NDArray[np.float64]],
    design: QuantizedNetwork,
    device: Device,
    choice: Quantization,
    conditions: Conditions,
) -> Chip:
    polarity = np.full(len(lines), -1)
    for number, sign in enumerate(_SIGNS):
        polarity[np.char.strip(lines["polarity"]) == sign] = number
    told = np.full(len(lines), State.PROGRAMMED, dtype=np.uint8)
    if lines.dtype.names is not None and "state" in lines.dtype.names:
        words = np.char.strip(lines["state"])
        told[:] = len(_STATES)
        for number, word in enumerate(_STATES):
            told[words == word] = number
        if told.max(initial=0) == len(_STATES):
            unknown = str(words[int(np.argmax(told == len(_STATES)))])
            raise SynqError(f"{path}: state {unknown!r} is none of {', '.join(_STATES)}")
    cells = []
    known = np.zeros(len(lines), dtype=bool)
    for index, target in enumerate(targets):
        address = np.stack([lines["row"], lines["column"], polarity], axis=1)
        inside = np.all((address >= 0) & (address < target.shape), axis=1)
        own = inside & (lines["array"] == index)
        known |= own
        flat = np.ravel_multi_index(tuple(address[own].T), target.shape)
        times = np.bincount(flat, minlength=target.size)
        if times.max(initial=0) > 1:
            twice = np.unravel_index(int(times.argmax()), target.shape)
            raise SynqError(f"{path}: {_named(index, *map(int, twice))} is there more than once")
        actual = target.copy()
        actual.ravel()[flat] = lines["actual_S"][own]
        state = np.full(target.size, State.MISSING, dtype=np.uint8)
        state[flat] = told[own]
        _check_siemens(path, index, actual)
        cells.append(
            Cells(
                target,
                actual,
                np.zeros(target.shape, dtype=np.int64),
                state.reshape(target.shape),
            )
        )
    if not known.all():
        first_unknown = int(np.argmin(known))
        line = lines[first_unknown]
        raise SynqError(
            f"{path}: line {first_unknown + 2}: array {line['array']} row {line['row']} column "
            f"{line['column']} {line['polarity']} is no cell of this network"
        )
    if not known.any():
        raise SynqError(f"{path}: holds no cell")
    window, actuals = device.window(choice.branch), [each.actual for each in cells]
    network = chip_network(design, window, choice.mapping, actuals, conditions)
    return Chip(design, network, tuple(cells), device, window, choice.mapping, conditions, None)


def read_faults(path: Path) -> FaultMap:
    """The stuck cells of the chip in a file that `chip_npz` has written.

    Raises:
        SynqError: the file cannot be read, or is no chip.
    """
    text = read_npz(path, {"header": _HEADER}, _MAX_HEADER)["header"].tobytes()
    try:
        if json.loads(text)["format"] != _FORMAT:
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise SynqError(f"{path}: is no chip of synq program") from None
    words = "uint8: (rows, columns, polarities)"
    members = {
        f"state_{index}": Member("u", words, (3, 3), required=index == 0)
        for index in range(_MOST_ARRAYS)
    }
    states = read_npz(path, members, _MAX_NPZ)
    return FaultMap(tuple(state.astype(np.uint8) for state in states.values()))


def missing_cells(chip: Chip) -> str:
    """The first cells that a read-back does not tell of, in words; "" if it tells of all."""
    found = [
        _named(index, *(int(part) for part in at))
        for index, cells in enumerate(chip.cells)
        for at in np.argwhere(cells.state == State.MISSING)[:_MOST_NAMED]
    ]
    count = chip.count(State.MISSING)
    more = f" and {count - _MOST_NAMED:,} more" if count > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more
