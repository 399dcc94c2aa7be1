"""The public API: `import synq`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import synq

SCRIPT = """
from pathlib import Path

import synq

data = synq.load_data("digits")
float_network: synq.FloatNetwork = synq.train(data, layers=[64, 8, 10], seed=1)
net: synq.Quantized = synq.quantize(float_network, data=data, device="pcmo", levels=5)
tuned = synq.finetune(net, sparsity=0.1)
plan: synq.Plan = synq.plan(tuned, board="kv260", flow="rtl")
print(plan.chosen.estimate.interval, net.accuracy(data), net.scores.stages["software"])
project: synq.Export = synq.export(tuned, board="pynq-z2", flows=["rtl"], output=Path("mine"))
checked: synq.Verification = synq.verify(project.output)
mine: synq.FittedDevice = synq.fit_device("pulses.csv", unit="nS", columns=synq.Columns(cell="c"))
held: synq.Quantized = synq.quantize(float_network, data=data, device=mine.device)
loaded: Path = synq.load_image(project, synq.program(held, seed=1), output="load.npz")
print(checked.images, net.network.arrays[0].codes.shape, synq.Method.PROPOSED)
try:
    synq.quantize(float_network, data=data, levels=1)
except synq.SynqError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def digits() -> synq.Dataset:
    return synq.load_data("digits")


@pytest.fixture(scope="module")
def small(digits: synq.Dataset) -> synq.Quantized:
    network = synq.train(digits, layers=[64, 12, 10])
    return synq.quantize(network, data=digits, levels=5, input_bits=4)


def test_importing_synq_imports_nothing_heavy() -> None:
    code = "import sys, synq; print(sorted({name.split('.')[0] for name in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(run.stdout))
    assert not loaded & {"numpy", "torch", "tensorflow", "typer", "rich", "h5py", "sklearn"}


def test_every_public_name_is_there() -> None:
    for name in synq.__all__:
        assert getattr(synq, name) is getattr(synq, name)
        assert name == "Plan" or getattr(synq, name).__doc__  # a union of types has none
    assert set(synq.__all__) <= set(dir(synq))
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        synq.quantise  # noqa: B018


def test_functions_stay_functions_whatever_is_imported() -> None:
    import synq.exporting
    import synq.sweeping.run

    assert all(callable(getattr(synq, name)) for name in ("export", "plan", "verify", "sweep"))


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    """`py.typed` and annotations that mypy --strict takes."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    root = Path(synq.__file__).parent.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    # What synq itself imports need not be typed, nor checked here.
    command += ["--follow-imports=silent", "--ignore-missing-imports", "mine.py"]
    # mypy finds an installed package by itself, and wants it nowhere else.
    path = {} if root.name == "site-packages" else {"MYPYPATH": str(root)}
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_quantize_plan_export_verify(small: synq.Quantized, tmp_path: Path) -> None:
    assert small.network.sizes == (64, 12, 10) and small.quantization.levels == 5
    assert small.accuracy() == small.scores.stages["reference"] > 60
    designs = synq.plan(small, board="kv260", flow="rtl")
    assert designs.chosen.estimate.interval > 0
    assert synq.plan(small.network, board="pynq-z2").chosen.estimate.interval > 0
    made = synq.export(small, flows=["rtl"], output=tmp_path / "mine")
    assert made.output == (tmp_path / "mine").resolve()
    checked = synq.verify(tmp_path / "mine")
    assert checked.images == len(small.dataset.test_labels)
    (tmp_path / "mine" / "network.npz").unlink()
    with pytest.raises(synq.SynqError, match="missing"):
        synq.verify(tmp_path / "mine")


def test_verilog_needs_no_tensorflow(small: synq.Quantized, tmp_path: Path) -> None:
    from synq.hls import converter

    before = converter._converter
    synq.export(small, flows=["rtl"], output=tmp_path / "mine")
    assert converter._converter is before
    assert "tensorflow" not in sys.modules or before is not None


def test_finetuning_helps_and_leaves_the_start_alone(small: synq.Quantized) -> None:
    tuned = synq.finetune(small)
    assert tuned.accuracy() >= small.accuracy()
    assert tuned.network.digest != small.network.digest
    assert small.loaded.finetuning is None and tuned.loaded.finetuning is not None


def test_accuracy_on_other_data_is_that_of_its_samples(small: synq.Quantized) -> None:
    again = synq.load_data("digits")
    assert small.accuracy(again) == small.accuracy()
    with pytest.raises(synq.SynqError, match="wine has other values or features than digits"):
        small.accuracy(synq.load_data("wine"))


def test_a_sweep_goes_on_from_its_folder(digits: synq.Dataset, tmp_path: Path) -> None:
    network = synq.train(digits, layers=[64, 12, 10])
    options = {"data": digits, "output": tmp_path, "methods": ["proposed"]}
    first = synq.sweep(network, levels=[5], **options)
    size = (tmp_path / "results.jsonl").stat().st_size
    both = synq.sweep(network, levels=[5, 9], **options)
    assert len(first.outcomes) == 1 and len(both.outcomes) == 2
    assert (tmp_path / "results.jsonl").stat().st_size > size
    assert both.outcomes[0].result == first.outcomes[0].result


def test_chips_go_on_from_their_folder(small: synq.Quantized, tmp_path: Path) -> None:
    conditions = synq.Conditions(synq.Variation(0.2), synq.Programming.OPEN_LOOP)
    first = synq.chips(small, count=2, conditions=conditions, output=tmp_path / "chips")
    size = (tmp_path / "chips" / "chips.jsonl").stat().st_size
    more = synq.chips(small, count=4, conditions=conditions, output=tmp_path / "chips")
    assert more.scores[:2] == first.scores and len(more.scores) == 4
    assert (tmp_path / "chips" / "chips.jsonl").stat().st_size > size
    assert first.pulses > 0 and first.energy_j is not None and first.energy_j > 0
    chip = synq.program(small, seed=1, programming="open-loop", device_to_device=0.2).chip
    assert chip is not None and chip.energy_j is not None and chip.pulses > 0


def test_folders_of_other_files_are_refused(
    digits: synq.Dataset, small: synq.Quantized, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").touch()
    network = synq.train(digits, layers=[64, 12, 10])
    with pytest.raises(synq.UsageError, match="holds no sweep but other files"):
        synq.sweep(network, data=digits, levels=[5], output=tmp_path)
    with pytest.raises(synq.UsageError, match="holds no run of chips but other files"):
        synq.chips(small, count=1, output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


OF_QUANTIZED = ("flow 'vhdl' is unknown", "backend 'quartus' is unknown", "pynq-z")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda net, data: synq.load_data("mnits"), "did you mean mnist"),
        (lambda net, data: synq.load_data("digits", task="ranking"), "task 'ranking' is unknown"),
        (lambda net, data: synq.train(data, recipe="papers"), "did you mean paper"),
        (lambda net, data: synq.train(data, layers=[63, 10]), "64 features"),
        (lambda net, data: synq.quantize(net, data=data, levels=1), "levels must be"),
        (lambda net, data: synq.quantize(None, data=data), "network must be a FloatNetwork"),
        (lambda net, data: synq.quantize(net, data=None), "data must be a Dataset"),
        (lambda net, data: synq.quantize(net, data=data, method="best"), "method 'best' is"),
        (lambda net, data: synq.quantize(net, data=data, device="pcm0"), "did you mean pcmo"),
        (lambda net, data: synq.export(net, flows=["vhdl"]), "flow 'vhdl' is unknown"),
        (lambda net, data: synq.export(net, backend="quartus"), "backend 'quartus' is unknown"),
        (lambda net, data: synq.plan(net, board="pynq"), "pynq-z"),
    ],
)
def test_mistakes_are_one_clear_line(
    call: object, said: str, digits: synq.Dataset, small: synq.Quantized
) -> None:
    net = synq.FloatNetwork((np.eye(64)[:, :10],), (None,))
    with pytest.raises(synq.SynqError, match=said) as refused:
        call(small if said in OF_QUANTIZED else net, digits)  # type: ignore[operator]
    assert "\n" not in str(refused.value)


# ---- A device of one's own ----------------------------------------------------------------------


def write_pulses(path: Path, curve: np.ndarray, head: str = "a,b,c") -> Path:
    random = np.random.default_rng(1)
    cells = np.column_stack([curve * (1 + 0.05 * random.normal()) for _ in range(3)])
    np.savetxt(path, cells, delimiter=",", header=head, comments="")
    return path


def test_a_device_is_fitted_to_pulses(tmp_path: Path, digits: synq.Dataset) -> None:
    curve = 10 + 40 * (1 - np.exp(-np.arange(30) / 8))
    found = synq.fit_device(write_pulses(tmp_path / "mine.csv", curve), unit="nS")
    assert found.device.name == "mine" and len(found.traces) == 3
    assert found.device.g_max == pytest.approx(49e-9, rel=0.1)
    assert found.fit.branches[synq.Branch.LTP].g_max.value == found.device.g_max
    assert found.unit is synq.Unit.NS
    network = synq.train(digits, layers=[64, 12, 10])
    (tmp_path / "mine.toml").write_text(found.to_toml())
    as_file = synq.quantize(network, data=digits, device=tmp_path / "mine.toml", levels=5)
    as_value = synq.quantize(network, data=digits, device=found.device, levels=5)
    assert as_file.network.digest == as_value.network.digest
    assert as_file.network.digest != synq.quantize(network, data=digits, levels=5).network.digest


def test_normalized_pulses_need_their_ends(tmp_path: Path) -> None:
    pulses = write_pulses(tmp_path / "mine.csv", 1 - np.exp(-np.arange(30) / 8))
    ends = {"g_min": 1e-9, "g_max": 5e-9}
    found = synq.fit_device(pulses, name="other", unit="normalized", **ends)
    assert (found.device.name, found.device.g_min, found.device.g_max) == ("other", 1e-9, 5e-9)
    above = write_pulses(tmp_path / "above.csv", 11 - np.exp(-np.arange(30) / 8))
    points = synq.fit_device(above, unit="nS", measured_points=True)
    assert len(points.device.curve_ltp) == 30
    for options, message in (
        ({"unit": "normalized"}, "needs the siemens of its ends"),
        ({"unit": "normalized", "g_min": 2e-9, "g_max": 1e-9}, "the second the larger"),
        ({"unit": "normalized", "measured_points": True, **ends}, "fit its curve"),
        ({"unit": "nS", **ends}, "yours has a unit"),
        ({"unit": "nA"}, "say the voltage"),
        ({"unit": "furlongs"}, "unit 'furlongs' is unknown"),
        ({"unit": "nS", "columns": synq.Columns(cell="x")}, "'x'"),
        ({"unit": "nS", "name": "a\nb"}, "none of a device"),
    ):
        with pytest.raises(synq.UsageError, match=message):
            synq.fit_device(pulses, **options)
    with pytest.raises(synq.SynqError, match=r"none\.csv"):
        synq.fit_device(tmp_path / "none.csv")


# ---- A core whose network is replaced -----------------------------------------------------------


def test_a_chip_becomes_what_a_core_is_loaded_with(
    small: synq.Quantized, digits: synq.Dataset, tmp_path: Path
) -> None:
    request = synq.Request(
        target=synq.Target.AREA, datapath=synq.Datapath.DECODE, reloadable=True, headroom=1
    )
    core = synq.export(small, flows=["rtl"], request=request, output=tmp_path / "core")
    chip = synq.program(small, seed=1, device_to_device=0.1)
    path = synq.load_image(core, chip, output=tmp_path / "loads" / "chip.npz")
    again = synq.load_image(tmp_path / "core", chip.network, output=tmp_path / "again.npz")
    assert path == tmp_path / "loads" / "chip.npz"
    assert path.read_bytes() == again.read_bytes()
    own = synq.load_image(core, small, output=tmp_path / "own.npz")
    first, second = (np.load(each)["words"] for each in (own, path))
    assert len(first) == len(second) and first[0] == second[0] and first[-1] != second[-1]

    other = synq.quantize(synq.train(digits, layers=[64, 10]), data=digits, levels=5)
    with pytest.raises(synq.SynqError, match="core"):
        synq.load_image(core, other, output=tmp_path / "other.npz")
    with pytest.raises(synq.UsageError, match=r"must end in \.npz"):
        synq.load_image(core, chip, output=tmp_path / "other.bin")
    with pytest.raises(synq.SynqError, match=r"none"):
        synq.load_image(tmp_path / "none", chip, output=tmp_path / "other.npz")
    assert not (tmp_path / "other.npz").exists()
