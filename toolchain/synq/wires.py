"""Wires: what a crossbar of cells conducts when its rows and columns are resistors themselves.

Each row is driven from its left end, each column read at its lower end, at 0 V. From the driver to
the first cell, between neighbours, and from the last cell to the reader lies one segment of the
same resistance, on rows and on columns (the circuit of Joksas and Mehonic, "badcrossbar", SoftwareX
2020). It is linear: the current of column j is the sum over rows i of V_i times an *effective
conductance*, from driver i to reader j.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from synq.tile import Tile

_Matrix = NDArray[np.float64]


def effective_conductance(
    conductance: _Matrix, resistance: float, tile: Tile | None = None
) -> _Matrix:
    """The effective conductances of an array in tiles, solved as networks of resistors.

    Args:
        conductance: (n_rows, n_out, polarities) siemens of the cells; each polarity has crossbars
            of its own.
        resistance: ohms of a segment; 0 for ideal wires.
        tile: the most rows and columns of a crossbar; one crossbar a polarity without.

    Returns:
        Siemens, same shape.
    """
    effective = conductance.astype(np.float64, copy=True)
    if resistance:
        for part in _crossbars(conductance.shape, tile):
            effective[part] = crossbar_conductance(conductance[part], resistance)
    return effective


def crossbar_conductance(conductance: _Matrix, resistance: float) -> _Matrix:
    """As `effective_conductance` for one crossbar, (rows, columns)."""
    effective = np.empty_like(conductance)
    for column, _, of_column in _voltages(conductance, resistance):
        effective[:, column] = of_column[-1] / resistance  # the current of the last segment
    return effective


def node_voltages(conductance: _Matrix, resistance: float) -> _Matrix:
    """Voltages on both wires at every cell, for 1 V on each row in turn and 0 V on the others.

    Args:
        conductance: (rows, columns) siemens.
        resistance: ohms of a segment, above 0.

    Returns:
        (rows, 2, rows, columns) volts: the driven row; 0 on rows' wires, 1 on columns'; the cell.
    """
    rows, columns = conductance.shape
    voltages = np.empty((rows, 2, rows, columns))
    for column, of_row, of_column in _voltages(conductance, resistance):
        voltages[:, 0, :, column], voltages[:, 1, :, column] = of_row.T, of_column.T
    return voltages


def _voltages(conductance: _Matrix, resistance: float) -> Iterator[tuple[int, _Matrix, _Matrix]]:
    """For each column its number and the voltages of its cells on both wires, (rows, driven row).

    With a column's wire eliminated, the rows' voltages at one column follow from those at the
    column before: a block-tridiagonal system, exact, of blocks (rows, rows).
    """
    from scipy.linalg import solve, solveh_banded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # blocks this small lose by threads
        rows, columns = conductance.shape
        # Of a column's wire, in segments' admittances: free at its upper end, read at its lower.
        wire = np.zeros((2, rows))
        wire[0, 1:], wire[1] = -1, 2
        wire[1, 0] = 1
        scaled, unit = conductance * resistance, np.eye(rows)
        ratios: list[_Matrix] = []  # rows' voltages at a column from those before it
        below: list[_Matrix] = []  # a column's voltages from its rows'
        onward: _Matrix | float = 0.0
        for column in reversed(range(columns)):
            own = scaled[:, column]
            matrix = wire.copy()
            matrix[1] += own
            if rows == 1:  # too small for LAPACK's ptsv
                below.append(own[:, None] / matrix[1])
            else:
                below.append(solveh_banded(matrix, np.diag(own)))
            drawn = own[:, None] * (unit - below[-1])
            neighbours = 1.0 if column == columns - 1 else 2.0
            ratios.append(solve(neighbours * unit + drawn - onward, unit, assume_a="pos"))
            onward = ratios[-1]
        of_row = unit  # of the drivers
        for column, (ratio, share) in enumerate(
            zip(reversed(ratios), reversed(below), strict=True)
        ):
            of_row = ratio @ of_row
            yield column, of_row, share @ of_row


def first_order_loss(conductance: _Matrix, resistance: float, tile: Tile | None = None) -> _Matrix:
    """The share of each cell's conductance that wires take, to first order in the resistance.

    A cell's current drops voltage on the segments of its row from the driver on, which all cells of
    the row share, and on those of its column to the reader. For 1 V on one row the drop at cell j
    is `resistance * sum_k min(k, j) g_k`, counting from 1, and likewise down a column.

    Returns:
        Same shape as `conductance`; `effective = conductance * (1 - loss)` but for terms of second
        order in `resistance * conductance`.
    """
    loss = np.zeros_like(conductance)
    for part in _crossbars(conductance.shape, tile):
        of_rows = _shared_drop(conductance[part].T).T
        of_columns = _shared_drop(conductance[part][::-1])[::-1]
        loss[part] = resistance * (of_rows + of_columns)
    return loss


def _shared_drop(conductance: _Matrix) -> _Matrix:
    """`sum_k min(k, j) g_k` down the first axis, k and j from 1: sums of what lies behind."""
    behind = np.cumsum(conductance[::-1], axis=0)[::-1]
    drop: _Matrix = np.cumsum(behind, axis=0)
    return drop


def _crossbars(shape: tuple[int, ...], tile: Tile | None) -> list[tuple[slice, slice, int]]:
    """The cells of each crossbar of an array (n_rows, n_out, polarities)."""
    n_rows, n_out, polarities = shape
    rows, columns = (n_rows, n_out) if tile is None else (tile.rows, tile.columns)
    return [
        (slice(top, top + rows), slice(left, left + columns), polarity)
        for polarity in range(polarities)
        for top in range(0, n_rows, rows)
        for left in range(0, n_out, columns)
    ]
