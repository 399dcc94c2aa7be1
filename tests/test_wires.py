import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import SOME, seeds
from synq.tile import Tile
from synq.wires import (
    crossbar_conductance,
    effective_conductance,
    first_order_loss,
    node_voltages,
)


def nodal(conductance: NDArray[np.float64], resistance: float) -> NDArray[np.float64]:
    """Kirchhoff's current law at every node, solved as one dense system: the voltages of
    `node_voltages`."""
    rows, columns = conductance.shape
    cells = rows * columns
    matrix = np.zeros((2 * cells, 2 * cells))
    segment = 1 / resistance

    def joined(first: int, second: int, admittance: float) -> None:
        matrix[[first, second], [first, second]] += admittance
        matrix[[first, second], [second, first]] -= admittance

    for i in range(rows):
        for j in range(columns):
            node = i * columns + j
            joined(node, cells + node, conductance[i, j])
            if j:
                joined(node, node - 1, segment)
            else:
                matrix[node, node] += segment
            if i:
                joined(cells + node, cells + node - columns, segment)
            if i == rows - 1:
                matrix[cells + node, cells + node] += segment
    driven = np.zeros((2 * cells, rows))
    driven[np.arange(rows) * columns, np.arange(rows)] = segment
    return np.linalg.solve(matrix, driven).T.reshape(rows, 2, rows, columns)


@SOME
@given(st.integers(1, 7), st.integers(1, 7), seeds, st.sampled_from([1e-3, 1.0, 300.0]))
def test_voltages_are_those_of_the_whole_circuit(
    rows: int, columns: int, seed: int, resistance: float
) -> None:
    conductance = np.random.default_rng(seed).uniform(0, 1e-2, (rows, columns))
    expected = nodal(conductance, resistance)
    assert node_voltages(conductance, resistance) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    current = (expected[:, 0] - expected[:, 1]) * conductance
    effective = crossbar_conductance(conductance, resistance)
    assert effective == pytest.approx(current.sum(axis=1), rel=1e-9, abs=1e-15)


def test_a_single_cell_is_three_resistors_in_series() -> None:
    assert crossbar_conductance(np.array([[1e-3]]), 10.0) == pytest.approx(1 / (1e3 + 20))


def test_a_ladder_by_hand() -> None:
    # one row of two equal cells of g: the second lies behind one more segment
    g, r = 1e-3, 50.0
    far = 1 / (1 / g + r)  # the cell and its column
    behind = 1 / (r + 1 / far)
    voltage = 1 / (1 + r * (far + behind))  # at the first cell
    expected = [voltage * far, voltage * behind]
    assert crossbar_conductance(np.full((1, 2), g), r)[0] == pytest.approx(expected)


def test_drivers_and_readers_can_change_places() -> None:
    conductance = np.random.default_rng(1).uniform(1e-6, 1e-4, (20, 33))
    effective = crossbar_conductance(conductance, 5.0)
    swapped = crossbar_conductance(conductance[::-1, ::-1].T, 5.0)
    assert swapped == pytest.approx(effective[::-1, ::-1].T, rel=1e-10)


def test_wires_only_take() -> None:
    conductance = np.random.default_rng(2).uniform(0, 1e-4, (30, 20))
    effective = crossbar_conductance(conductance, 2.0)
    total = effective.sum(axis=0)
    assert np.all(total <= conductance.sum(axis=0))
    assert np.all(effective >= 0)


def test_first_order() -> None:
    conductance = np.random.default_rng(3).uniform(1e-8, 4e-8, (40, 25, 2))
    errors = []
    for resistance in (1.0, 10.0, 100.0):
        exact = effective_conductance(conductance, resistance)
        near = conductance * (1 - first_order_loss(conductance, resistance))
        errors.append(np.abs(near - exact).max() / conductance.max())
    # of second order: ten times the resistance, a hundred times the error
    assert errors[1] / errors[0] == pytest.approx(100, rel=0.05)
    assert errors[2] / errors[1] == pytest.approx(100, rel=0.05)
    assert errors[0] < 1e-9


def test_tiles_are_crossbars_of_their_own() -> None:
    conductance = np.random.default_rng(4).uniform(1e-6, 1e-4, (10, 7, 2))
    effective = effective_conductance(conductance, 3.0, Tile(4, 5))
    loss = first_order_loss(conductance, 3.0, Tile(4, 5))
    for polarity in range(2):
        for top, left in ((0, 0), (4, 5), (8, 0)):
            part = (slice(top, top + 4), slice(left, left + 5), polarity)
            assert effective[part] == pytest.approx(crossbar_conductance(conductance[part], 3.0))
            alone = first_order_loss(conductance[part][..., None], 3.0)[..., 0]
            assert loss[part] == pytest.approx(alone)


def test_without_resistance_nothing_is_lost() -> None:
    conductance = np.random.default_rng(5).uniform(0, 1e-4, (3, 4, 1))
    assert np.array_equal(effective_conductance(conductance, 0.0), conductance)
