from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import BYTE, SOME, seeds
from synq.chip import Chip, Conditions, Programming, State, program
from synq.chip_file import chip_csv, chip_npz, missing_cells, read_back, read_chip
from synq.device import load_device
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.network import QuantizedNetwork
from synq.quantizing import Mapping, Quantization, quantize_network
from synq.tile import Tile
from synq.variation import Variation

PCMO = load_device("pcmo")
TEN = Quantization(10)


def design(choice: Quantization = TEN, seed: int = 1) -> QuantizedNetwork:
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((6, 5), (5, 3)))
    inputs = rng.integers(0, 256, (50, 6), dtype=np.uint8)
    biases = (rng.normal(size=5).astype(np.float32), None)
    return quantize_network(FloatNetwork(weights, biases), choice, PCMO, BYTE, inputs)


def same(first: Chip, second: Chip) -> bool:
    pairs = zip(first.cells, second.cells, strict=True)
    return first.network.digest == second.network.digest and all(
        np.array_equal(one.target, two.target) and np.array_equal(one.actual, two.actual)
        for one, two in pairs
    )


@SOME
@given(
    seeds,
    st.sampled_from(Mapping),
    st.sampled_from(Programming),
    st.sampled_from([None, Tile(4, 2)]),
    st.sampled_from([0.0, 5.0]),
)
def test_reading_is_the_inverse_of_writing(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    mapping: Mapping,
    programming: Programming,
    tile: Tile | None,
    wires: float,
) -> None:
    choice = Quantization(10, mapping=mapping)
    variation = Variation(
        0.1, 0.01, 0.05, 0.05, drift_exponent=0.1, drift_start_s=2, wire_resistance_ohm=wires
    )
    conditions = Conditions(variation, programming, time_s=100.0, tile=tile, max_pulses=5)
    network = design(choice)
    chip = program(network, PCMO, choice, conditions, seed)
    folder = tmp_path_factory.mktemp("chip")
    (folder / "chip.npz").write_bytes(chip_npz(chip))
    (folder / "chip.csv").write_bytes(chip_csv(chip))
    again = read_chip(folder / "chip.npz", network, PCMO, choice)
    assert same(again, chip)
    assert (again.seed, again.conditions) == (seed, conditions)
    assert chip_npz(again) == chip_npz(chip)
    measured = read_back(folder / "chip.csv", network, PCMO, choice, conditions)
    assert same(measured, chip)
    assert measured.seed is None
    assert missing_cells(measured) == ""


def test_csv_by_hand() -> None:
    conditions = Conditions(Variation(stuck_at_min=1.0), tile=Tile(4, 2))
    lines = chip_csv(program(design(), PCMO, TEN, conditions)).decode().splitlines()
    assert lines[0] == "array,tile,row,column,polarity,target_S,actual_S,pulses,state"
    assert len(lines) == 1 + 2 * (7 * 5 + 5 * 3)  # a bias row
    fields = [line.split(",") for line in lines[1:]]
    # array 0 is 7 x 5: two tiles down, three across
    by_cell = {(f[0], f[2], f[3], f[4]): f for f in fields}
    assert by_cell["0", "5", "4", "-"][1] == "5"
    assert by_cell["0", "3", "1", "+"][1] == "0"
    assert by_cell["1", "4", "2", "+"][1] == "3"
    assert {f[8] for f in fields} == {"stuck-at-min"}
    assert {float(f[6]) for f in fields} == {PCMO.g_min}


def read(tmp_path: Path, text: str | bytes, choice: Quantization = TEN) -> Chip:
    path = tmp_path / "measured.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_back(path, design(choice), PCMO, choice, Conditions())


def lines_of(chip: Chip) -> list[str]:
    return chip_csv(chip).decode().splitlines(keepends=True)


def test_missing_cells_are_named(tmp_path: Path) -> None:
    chip = program(design(), PCMO, TEN, Conditions(Variation(0.1)), 5)
    lines = lines_of(chip)
    measured = read(tmp_path, "".join(lines[:1] + lines[3:]))
    assert missing_cells(measured) == "array 0 row 0 column 0 +, array 0 row 0 column 0 -"
    assert measured.count(State.MISSING) == 2
    assert np.array_equal(measured.cells[0].actual[0, 0], measured.cells[0].target[0, 0])
    assert np.array_equal(measured.cells[0].actual[1:], chip.cells[0].actual[1:])
    few = read(tmp_path, "".join(lines[:2]))
    assert missing_cells(few).endswith(" and 96 more")


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    measured = read(
        tmp_path,
        b"\xef\xbb\xbfnote,actual_S,polarity,column,row,array\r\n"
        b"x,2e-8,+,4,6,0\r\ny,1e-8, - ,0,0,1\r\n",
    )
    assert measured.cells[0].actual[6, 4, 0] == 2e-8
    assert measured.cells[1].actual[0, 0, 1] == 1e-8
    assert measured.count(State.PROGRAMMED) == 2


HEAD = "array,row,column,polarity,actual_S\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns"),
        ("array,row,column,polarity\n0,0,0,+\n", "actual_S is there 0 times"),
        ("array,array," + HEAD, "array is there 3 times"),
        (HEAD, "holds no cell"),
        (HEAD + "0,0,0,+,high\n", "could not convert string 'high'"),
        (HEAD + "0,0,0,+\n", "below the header"),
        (HEAD + "0,0,0,+,-1e-9\n", "array 0 row 0 column 0 [+] is -1e-09 siemens"),
        (HEAD + "0,0,0,+,nan\n", "is nan siemens"),
        (HEAD + "0,0,0,+,7\n", "is 7 siemens: a conductance is 0 to 1"),
        (HEAD + "0,0,0,+,1e-8\n0,0,0,+,1e-8\n", "array 0 row 0 column 0 [+] is there more than"),
        (HEAD + "0,0,0,+,1e-8\n0,7,0,+,1e-8\n", "line 3: array 0 row 7 column 0 [+] is no cell"),
        (HEAD + "2,0,0,+,1e-8\n", "array 2 row 0 column 0 [+] is no cell"),
        (HEAD + "0,-1,0,+,1e-8\n", "row -1 column 0 [+] is no cell"),
        (HEAD + "0,0,0,*,1e-8\n", "column 0 [*] is no cell"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_what_is_no_read_back_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(SynqError, match=message) as failure:
        read(tmp_path, text)
    assert "\n" not in str(failure.value)


def test_one_polarity_has_no_minus(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match="column 0 - is no cell"):
        read(tmp_path, HEAD + "0,0,0,-,1e-8\n", Quantization(10, mapping=Mapping.OFFSET))


def damaged(parts: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {**parts, name: value}


def test_what_is_no_chip_is_refused(tmp_path: Path) -> None:
    network, path = design(), tmp_path / "chip.npz"
    path.write_bytes(chip_npz(program(network, PCMO, TEN)))
    with pytest.raises(SynqError, match="of another network or device"):
        read_chip(path, design(seed=2), PCMO, TEN)
    with pytest.raises(SynqError, match="of another network or device"):
        read_chip(path, network, load_device("epiram"), TEN)
    with np.load(path) as stored:
        parts = dict(stored)

    def header(**changes: Any) -> Any:
        import json

        told = json.loads(parts["header"].tobytes()) | changes
        return np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)

    for name, value, message in (
        ("header", np.zeros(3, dtype=np.uint8), "is no chip of synq program"),
        ("header", header(format="other"), "is no chip of synq program"),
        ("header", header(seed=-4), "is no chip of synq program"),
        ("header", header(conditions={}), "is no chip of synq program"),
        ("header", header(conditions=[1]), "is no chip of synq program"),
        ("actual_0", np.zeros((2, 2, 2)), r"actual_0 is of \(2, 2, 2\), array 0 of \(7, 5, 2\)"),
        ("actual_1", np.full((5, 3, 2), np.nan), "array 1 row 0 column 0 [+] is nan siemens"),
        ("state_1", np.full((5, 3, 2), 9, dtype=np.uint8), "a state that there is not"),
    ):
        np.savez(path, **damaged(parts, name, value))
        with pytest.raises(SynqError, match=message):
            read_chip(path, network, PCMO, TEN)
