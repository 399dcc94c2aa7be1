import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synq.device import Branch, Device, Window, device_names, load_device, nonlinearity_to_a
from synq.errors import SynqError, UsageError
from synq.resources import folder

PCMO = load_device("pcmo")
ONE_CURVE = [Branch.LTP, Branch.LTD]

# NeuroSim V3.0 manual, section 9, Table II: states, nonlinearity up / down, R_ON, on/off ratio
NEUROSIM = {
    "ag-asi": (97, 2.4, -4.88, 26e6, 12.5),
    "alox-hfo2": (40, 1.94, -0.61, 16.9e3, 4.43),
    "epiram": (64, 0.5, -0.5, 81e3, 50.2),
    "gst-pcm": (100, 0.105, 2.4, 4.71e3, 19.8),
    "hzo-fefet": (32, 1.75, 1.46, 559.28e3, 45),
    "pcmo": (50, 3.68, -6.76, 23e6, 6.84),
    "taox-hfox": (128, 0.04, -0.63, 100e3, 10),
}

# the same table: volts and seconds of a pulse up, and down; the FeFET's is on a gate
PULSES = {
    "ag-asi": (3.2, 300e-6, -2.8, 300e-6),
    "alox-hfo2": (0.9, 100e-6, -1.0, 100e-6),
    "epiram": (5.0, 5e-6, -3.0, 5e-6),
    "gst-pcm": (0.7, 6e-6, 3.0, 125e-9),
    "hzo-fefet": (0.0, 0.0, 0.0, 0.0),
    "pcmo": (-2.0, 1e-3, 2.0, 1e-3),
    "taox-hfox": (1.6, 50e-9, 1.6, 50e-9),
}

labels = st.floats(-9, 9)
positions = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def pcmo_like(label: float) -> Device:
    return replace(PCMO, nonlinearity_ltp=label, nonlinearity_ltd=label)


def test_every_device_ships() -> None:
    assert device_names() == sorted([*NEUROSIM, "pcmo-fitted"])


@pytest.mark.parametrize("name", NEUROSIM)
def test_shipped_device(name: str) -> None:
    device = load_device(name)
    states, up, down, r_on, ratio = NEUROSIM[name]
    assert (device.name, device.states) == (name, states)
    assert (device.nonlinearity_ltp, device.nonlinearity_ltd) == (up, down)
    assert device.g_max == pytest.approx(1 / r_on, rel=1e-5)
    assert device.g_min == pytest.approx(1 / r_on / ratio, rel=1e-5)
    pulse = device.pulse
    up_volts, up_seconds, down_volts, down_seconds = PULSES[name]
    assert (pulse.ltp_volts, pulse.ltp_seconds) == (up_volts, up_seconds)
    assert (pulse.ltd_volts, pulse.ltd_seconds) == (down_volts, down_seconds)
    assert pulse.known is bool(pulse.source) is (name != "hzo-fefet")


def test_pcmo_says_that_it_is_a_stand_in() -> None:
    assert "stand-in" in PCMO.description


def test_pcmo_conductance_in_siemens() -> None:
    low, high = PCMO.window(Branch.LTP).conductance(np.array([0.0, 1.0]))
    assert low == pytest.approx(6.356e-9, abs=1e-12)
    assert high == pytest.approx(43.478e-9, abs=1e-12)


# A of NeuroSim's label table, at a few labels
@pytest.mark.parametrize(
    ("label", "a"), [(0.01, 126.268958), (0.5, 2.519877), (3.68, 0.300644), (6.76, 0.100251)]
)
def test_nonlinearity_label(label: float, a: float) -> None:
    assert nonlinearity_to_a(label) == pytest.approx(a, abs=1e-6)
    assert nonlinearity_to_a(-label) == -nonlinearity_to_a(label)


def test_label_zero_is_a_straight_line() -> None:
    assert math.isinf(nonlinearity_to_a(0.0))
    x = np.linspace(0, 1, 5)
    assert np.array_equal(pcmo_like(0.0).curve(Branch.LTP, x), x)


@pytest.mark.parametrize("label", [9.01, -10.0, math.nan, math.inf])
def test_label_out_of_range(label: float) -> None:
    with pytest.raises(ValueError, match="nonlinearity must be between -9 and 9"):
        nonlinearity_to_a(label)


def test_pcmo_ltp_values() -> None:
    values = PCMO.reference_values(Branch.LTP)
    assert len(values) == 50
    expected = [0, 0.0681, 0.1317, 0.1911, 0.2466, 0.8472, 1]
    assert values[[0, 1, 2, 3, 4, 25, 49]] == pytest.approx(expected, abs=5e-5)


def test_ltd_is_the_depression_curve_from_its_low_end() -> None:
    pulse = np.arange(50) / 49
    a = 0.100251  # of label 6.76
    depressed = 1 - (1 - np.exp(-pulse / a)) / (1 - np.exp(-1 / a))
    assert PCMO.curve(Branch.LTD, 1 - pulse) == pytest.approx(depressed, abs=1e-5)
    assert depressed[1] < 0.83  # a negative label: steep first, from the high end


def test_positive_depression_label_is_slow_first() -> None:
    gst = load_device("gst-pcm")
    first, last = gst.curve(Branch.LTD, np.array([0.99, 0.01]))
    assert 1 - first < 0.01 < last


def test_union_merges_both_branches() -> None:
    union = PCMO.reference_values(Branch.UNION)
    assert len(union) == 98  # 0 and 1 are on both
    for branch in ONE_CURVE:
        assert np.isin(PCMO.reference_values(branch), union).all()


def test_union_has_no_single_curve() -> None:
    with pytest.raises(UsageError, match="choose branch ltp or ltd"):
        PCMO.curve(Branch.UNION, np.array([0.5]))


# Distinct values left of L uniform levels, each moved to its nearest reference value
@pytest.mark.parametrize(
    ("branch", "effective"),
    [
        (Branch.LTP, [5, 15, 19, 23]),
        (Branch.LTD, [5, 11, 13, 14]),
        (Branch.UNION, [5, 15, 20, 25]),
    ],
)
def test_levels_collapse(branch: Branch, effective: list[int]) -> None:
    values = PCMO.reference_values(branch)
    counts = []
    for levels in (5, 15, 20, 25):
        uniform = np.linspace(0, 1, levels)
        counts.append(len(set(np.abs(values - uniform[:, None]).argmin(axis=1).tolist())))
    assert counts == effective


@given(labels, positions, st.sampled_from(ONE_CURVE))
def test_curve_increases_from_0_to_1(label: float, where: list[float], branch: Branch) -> None:
    device = pcmo_like(label)
    values = device.curve(branch, np.array([0.0, *sorted(where), 1.0]))
    assert (values[0], values[-1]) == (0.0, 1.0)
    assert (np.diff(values) >= -1e-15).all()  # neighbours may round past each other


@given(st.floats(0.001, 9))
def test_label_is_the_largest_deviation(label: float) -> None:
    x = np.linspace(0, 1, 4001)
    for sign in (1, -1):
        deviation = np.abs(pcmo_like(sign * label).curve(Branch.LTP, x) - x).max()
        assert deviation / (0.07 * math.sqrt(2)) == pytest.approx(label, rel=1e-3)


@given(labels, positions)
def test_opposite_labels_mirror(label: float, where: list[float]) -> None:
    x = np.array(where, dtype=np.float64)
    mirrored = 1 - pcmo_like(-label).curve(Branch.LTP, 1 - x)
    assert pcmo_like(label).curve(Branch.LTP, x) == pytest.approx(mirrored, abs=1e-12)


@given(labels, st.integers(2, 200), st.sampled_from(Branch))
def test_reference_values_are_sorted_and_unique(label: float, states: int, branch: Branch) -> None:
    values = replace(pcmo_like(label), states=states).reference_values(branch)
    assert (values[0], values[-1]) == (0.0, 1.0)
    assert (np.diff(values) > 0).all()


def test_curve_keeps_the_shape() -> None:
    x = np.array([[0.0, 0.5], [0.25, 1.0]])
    assert PCMO.curve(Branch.LTP, x).shape == (2, 2)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_outside_the_window(value: float) -> None:
    with pytest.raises(ValueError, match="position must be between 0 and 1"):
        PCMO.curve(Branch.LTP, np.array([value]))
    with pytest.raises(ValueError, match="normalized conductance must be between 0 and 1"):
        PCMO.window(Branch.LTP).conductance(np.array([value]))


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown device 'pcm0'; did you mean pcmo"):
        load_device("pcm0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("states = 50", "states = 1", "states must be an integer between 2 and 65536, got 1"),
        ("g_max_S = 4.34783e-08", "g_max_S = 43.5", "g_max_S must be a number between 1e-15 and 1"),
        ("g_max_S = 4.34783e-08", "g_max = 1e-9", "unknown field g_max; did you mean g_max_S"),
        ("g_max_S = 4.34783e-08", "g_max_S = 1e-9", "g_min_S must be below g_max_S, got 6.3"),
        ("nonlinearity_ltd = -6.76", "nonlinearity_ltd = -9.5", "nonlinearity_ltd must be"),
        ("nonlinearity_ltd = -6.76", "", "missing field nonlinearity_ltd"),
        ("ltp_s = 1e-3", "", "missing field pulse.ltp_s: it must be a number between 1e-15"),
        ("ltd_V = 2.0", "ltd_V = 200", "pulse.ltd_V must be a number between -100 and 100"),
        ("ltd_s = 1e-3", "ltd_s = 1e-3\nwidth = 1", "unknown field pulse.width"),
    ],
)
def test_broken_file_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    text = (folder("devices") / "pcmo.toml").read_text(encoding="utf-8")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SynqError, match=message) as caught:
        load_device(str(file))
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a." * 50_000 + "a = 1", "is larger than 64 KiB, the most that is read"),
        ("a." * 16_000 + "a = 1", "not valid TOML: a line is longer than 1000 characters"),
        ("a = " + "[" * 900, "not valid TOML"),
        ("a = " + "{a = " * 190, "not valid TOML"),
        ("[" + "a." * 490 + "a]", "unknown field a; "),
        ('"' + "x" * 990 + '" = 1', "unknown field 'x"),
        ("a = 1e" + "9" * 900, "unknown field a; "),
    ],
)
def test_hostile_files_are_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SynqError) as caught:
        load_device(str(file))
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


# ---- Own windows, own counts, measured points ----------------------------------------------------

TWO = """
name = "two"
description = "two branches"
g_max_S = 4e-8
g_min_S = 1e-8
nonlinearity_ltp = 3.0
nonlinearity_ltd = -2.0
"""


def read(tmp_path: Path, text: str) -> Device:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_device(str(path))


def test_branches_with_their_own_counts(tmp_path: Path) -> None:
    device = read(tmp_path, TWO + "states_ltp = 9\nstates_ltd = 5\n")
    assert len(device.reference_values(Branch.LTP)) == 9
    assert len(device.reference_values(Branch.LTD)) == 5
    assert len(device.reference_values(Branch.UNION)) == 12  # both ends are shared


def test_branches_with_their_own_windows(tmp_path: Path) -> None:
    device = read(tmp_path, TWO + "states = 11\ng_max_ltd_S = 3e-8\n")
    assert device.window(Branch.LTP) == Window(1e-8, 4e-8)
    assert device.window(Branch.LTD) == Window(1e-8, 3e-8)
    assert device.window(Branch.UNION) == Window(1e-8, 4e-8)
    assert device.state_conductances(Branch.LTD)[[0, -1]] == pytest.approx([1e-8, 3e-8], abs=0)
    both = device.window(Branch.UNION).conductance(device.reference_values(Branch.UNION))
    for branch in ONE_CURVE:
        for value in device.state_conductances(branch):
            assert np.abs(both - value).min() < 1e-20


def test_measured_points_are_the_device(tmp_path: Path) -> None:
    points = "curve_S = [1e-8, 1.4e-8, 1.3e-8, 2.1e-8, 2.4e-8]\n"
    device = read(tmp_path, TWO + points)
    assert device.window(Branch.LTP) == Window(1e-8, 2.4e-8)
    sorted_points = [1e-8, 1.3e-8, 1.4e-8, 2.1e-8, 2.4e-8]
    assert device.state_conductances(Branch.LTP) == pytest.approx(sorted_points, abs=0)
    assert device.count_of_states(Branch.LTD) == 5
    only = 'name = "m"\ndescription = "d"\ng_max_S = 4e-8\ng_min_S = 1e-8\n'
    assert read(tmp_path, only + points).window(Branch.UNION) == Window(1e-8, 2.4e-8)
    one = read(tmp_path, TWO + "states = 7\ncurve_ltd_S = [2e-8, 1e-8, 3e-8]\n")
    assert len(one.reference_values(Branch.LTP)) == 7
    assert one.reference_values(Branch.LTD) == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing field states: it must be an integer between 2 and 65536"),
        ("states_ltp = 5", "missing field states"),
        ("states = 5\ng_max_ltd_S = 1e-9", "g_min_ltd_S must be below g_max_ltd_S"),
        ("curve_S = [1e-8]", "must have two different conductances"),
        ("curve_S = [1e-8, 1e-8]", "must have two different conductances"),
        ("curve_S = []", "missing field states"),
        ("curve_S = 3", "curve_S must be a list, each a number between 1e-15 and 1, got 3"),
        ('curve_S = [1e-8, "a"]', r"curve_S\[1\] must be a number between 1e-15 and 1, got 'a'"),
        ("curve_S = [1e-8, -1e-8]", r"curve_S\[1\] must be a number between 1e-15 and 1"),
        ("curve_S = [1e-8, 2e-8]\ncurve_ltp_S = [1e-8, 2e-8]", "curve_S is both branches'"),
    ],
)
def test_contradictory_devices_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SynqError, match=message) as caught:
        read(tmp_path, TWO + text + "\n")
    assert "\n" not in str(caught.value)
