from pathlib import Path

import numpy as np
import pytest

from synq.device import Branch, load_device, nonlinearity_to_a
from synq.device_fit import (
    CONFIDENCE,
    device_toml,
    fit_device,
    fitted_device,
    label_of,
    measured_device,
    model,
    steepness_of,
)
from synq.errors import SynqError, UsageError
from synq.pulses import Columns, Trace, Unit, read_pulses

LOW, HIGH = 1e-8, 5e-8
LABELS = {Branch.LTP: 3.0, Branch.LTD: -4.0}


def measured(
    seed: int,
    spread: float = 0.1,
    step: float = 0.004,
    cells: int = 12,
    pulses: int = 40,
    read: float = 0.0,
) -> list[Trace]:
    """Traces of known parameters."""
    rng = np.random.default_rng(seed)
    traces = []
    for cell in range(cells):
        factor = 1 + spread * rng.normal()
        for branch, label in LABELS.items():
            x = np.linspace(0, 1, pulses)
            walk = np.cumsum(rng.normal(0, step, pulses)) * (HIGH - LOW)
            noise = rng.normal(0, read, pulses) * (HIGH - LOW)
            order = x if branch is Branch.LTP else 1 - x
            curve = model(order, LOW, HIGH, steepness_of(label))
            traces.append(Trace(str(cell), "", branch, factor * (curve + walk - walk[0]) + noise))
    return traces


def test_labels_are_neurosims() -> None:
    for label in (-9, -4.88, -0.5, 0.04, 1.0, 3.68, 8.9):
        assert label_of(1 / nonlinearity_to_a(label)) == pytest.approx(label, rel=1e-6)
    assert label_of(0.0) == 0


def test_without_spread_the_parameters_come_back() -> None:
    fit = fit_device(measured(1, spread=0, step=0))
    for branch, label in LABELS.items():
        found = fit.branches[branch]
        assert found.g_min.value == pytest.approx(LOW, rel=1e-4)
        assert found.g_max.value == pytest.approx(HIGH, rel=1e-4)
        assert found.nonlinearity.value == pytest.approx(label, rel=1e-3)
        assert found.residual < 1e-5
        assert (found.states, found.traces) == (40, 12)
    assert fit.device_to_device is not None and fit.device_to_device.value < 1e-5
    assert fit.cycle_to_cycle is not None and fit.cycle_to_cycle.value < 1e-5


def test_known_parameters_lie_in_their_intervals() -> None:
    """In at least 95 of 100 draws, each of them."""
    assert CONFIDENCE >= 0.95
    hits: dict[str, int] = {}
    for seed in range(100):
        fit = fit_device(measured(seed))
        for branch, label in LABELS.items():
            found = fit.branches[branch]
            for name, true, estimate in (
                ("g_min", LOW, found.g_min),
                ("g_max", HIGH, found.g_max),
                ("nonlinearity", label, found.nonlinearity),
            ):
                key = f"{branch} {name}"
                hits[key] = hits.get(key, 0) + (true in estimate)
        for name, true_spread, spread in (
            ("device to device", 0.1, fit.device_to_device),
            ("cycle to cycle", 0.004, fit.cycle_to_cycle),
        ):
            assert spread is not None
            hits[name] = hits.get(name, 0) + (true_spread in spread)
    assert min(hits.values()) >= 95, hits


def test_what_a_read_adds_is_no_step() -> None:
    quiet, noisy = (fit_device(measured(3, read=read)).cycle_to_cycle for read in (0.0, 0.01))
    assert quiet is not None and noisy is not None
    assert noisy.value < 0.008  # the read alone would make steps of 0.014


def test_cycles_of_a_cell_are_no_spread_of_cells() -> None:
    rng = np.random.default_rng(4)
    curve = model(np.linspace(0, 1, 30), LOW, HIGH, steepness_of(2.0))
    traces = [
        Trace(str(cell), str(cycle), Branch.LTP, curve * (1 + 0.03 * rng.normal()))
        for cell in range(20)
        for cycle in range(10)
    ]
    fit = fit_device(traces)
    assert fit.device_to_device is not None
    assert fit.device_to_device.value < 0.012  # all of 0.03 is from cycle to cycle


@pytest.mark.parametrize("points", [False, True])
def test_the_file_is_the_device(tmp_path: Path, points: bool) -> None:
    traces = measured(1)
    fit = fit_device(traces)
    if points:
        device = measured_device(traces, "mine", 'from "me"', "a \\ b", fit)
    else:
        device = fitted_device(fit, "mine", 'from "me"', "a \\ b")
    path = tmp_path / "mine.toml"
    path.write_text(device_toml(device))
    again = load_device(str(path))
    for branch in Branch:
        assert np.array_equal(again.reference_values(branch), device.reference_values(branch))
        assert again.window(branch) == device.window(branch)
    assert again.variation == device.variation
    assert again.sources.fit == "a \\ b"
    assert again.count_of_states(Branch.LTD) == 40


def test_one_branch_is_mirrored_and_normalized_data_scaled() -> None:
    traces = [each for each in measured(1, 0, 0) if each.branch is Branch.LTP]
    device = fitted_device(fit_device(traces), "m", "d", "s", (1e-6, 2e-6))
    assert device.nonlinearity_ltd == -device.nonlinearity_ltp
    assert (device.g_min, device.g_max) == pytest.approx((1e-6, 2e-6))


# ---- Files --------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "pulses.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


RISING = [1e-8, 1.4e-8, 1.7e-8, 1.9e-8, 2e-8]


def test_long_files(tmp_path: Path) -> None:
    lines = ["cell;pulse number;G (nS);branch"]
    for cell in ("a", "b"):
        for branch, values in (("up", RISING), ("down", RISING[::-1])):
            lines += [f"{cell};{k};{v * 1e9};{branch}" for k, v in enumerate(values)]
    traces, unit = read_pulses(written(tmp_path, "\n".join(lines)))
    assert unit is Unit.NS
    assert [(t.cell, t.branch) for t in traces] == [
        ("a", Branch.LTP),
        ("a", Branch.LTD),
        ("b", Branch.LTP),
        ("b", Branch.LTD),
    ]
    assert traces[1].conductance == pytest.approx(RISING[::-1], rel=1e-12)


def test_wide_files(tmp_path: Path) -> None:
    text = "first,second\n" + "\n".join(f"{v},{3e-8 - v}" for v in RISING)
    traces, unit = read_pulses(written(tmp_path, text))
    assert unit is Unit.S
    assert [(t.cell, t.branch) for t in traces] == [("first", Branch.LTP), ("second", Branch.LTD)]
    bare, _ = read_pulses(
        written(tmp_path, "\n".join(f"{v}\t{-v}" for v in (-1, 0, 1, 2))), unit=Unit.NORMALIZED
    )
    assert [t.branch for t in bare] == [Branch.LTP, Branch.LTD]


def test_currents(tmp_path: Path) -> None:
    text = "pulse,current (nA)\n" + "\n".join(f"{k},{v * 1e9}" for k, v in enumerate(RISING))
    traces, unit = read_pulses(written(tmp_path, text), read_voltage=0.1)
    assert unit is Unit.NA
    assert traces[0].conductance == pytest.approx(np.array(RISING) * 10)
    with pytest.raises(UsageError, match="say the voltage"):
        read_pulses(written(tmp_path, text))


def test_columns_by_name(tmp_path: Path) -> None:
    text = "a,b\n" + "\n".join(f"{v},{k}" for k, v in enumerate(RISING))
    traces, _ = read_pulses(written(tmp_path, text), Columns(pulse="b", conductance="a"))
    assert traces[0].conductance == pytest.approx(RISING, abs=0)
    with pytest.raises(UsageError, match="has 0 columns 'c'; its columns are a, b"):
        read_pulses(written(tmp_path, text), Columns(pulse="c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "holds no number"),
        ("pulse,g\n0,1e-8\n1,high\n", "data line 2: 'high' is not a number"),
        ("pulse,g\n0,1e-8\n1,nan\n", "data line 2: 'nan' is not a number"),
        ("pulse,g\n0\n", "data line 1 has 1 fields"),
        ("pulse,g\n0,1e-8\n", "has 1 points, a fit needs 4"),
        ("1e-8\n1e-8\n1e-8\n1e-8\n", "is constant: nothing can be fitted"),
        ("1e-8\n-2e-8\n3e-8\n4e-8\n", "has -2e-08 siemens: conductances are positive"),
        ("10\n20\n30\n40\n", "has 40 siemens: say the unit"),
        ("pulse,g\n0,1e-8\n0,2e-8\n", "a pulse number is there twice"),
        ("G_uS,G_nS\n1,2\n", "the header mixes units, nS, uS"),
        ("pulse,G (uS),H (nS)\n0,1,2\n", r"'G \(uS\)' and 'H \(nS\)' both have a unit"),
        ("pulse,x\n0,1\n", "no column of conductances is found in pulse, x"),
        ("pulse,g,branch\n0,1e-8,sideways\n", "branch 'sideways' is none of"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
    ],
)
def test_what_holds_no_pulses_is_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(SynqError, match=message) as caught:
        read_pulses(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_too_long_a_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "1\n" * 1_000_001)
    with pytest.raises(SynqError, match="at most 1,000,000 are read"):
        read_pulses(path)
    with path.open("ab") as stream:
        stream.truncate(33 << 20)
    with pytest.raises(SynqError, match="larger than 32 MiB"):
        read_pulses(path)
