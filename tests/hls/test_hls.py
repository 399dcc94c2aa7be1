"""The emitted hls4ml project, for real: converted, compiled with g++, run, compared bit by bit."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from projects import Built, emit
from strategies import quantized_network
from synq.board import load_board
from synq.device import Branch, load_device
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.hls import csim
from synq.hls.back_end import check_hls
from synq.hls.converter import convert
from synq.hls.design import SIMPLEST, ArrayPlan, HlsDesign, HlsSettings
from synq.hls.layout import Layout
from synq.hls.sources import render_sources
from synq.learn.data.dataset import Dataset
from synq.network import QuantizedNetwork, first_difference
from synq.planning import plan_hls
from synq.progress import SILENT
from synq.quantizing import Mapping, Method, Quantization, quantize_network
from synq.request import Datapath, Request
from synq.tile import Tile

BYTE = FixedPoint(8, 0, signed=False)
COMBINATIONS = [
    ("Vitis", "io_parallel", Request()),
    ("Vitis", "io_stream", Request(event_driven=True)),
    ("Vivado", "io_parallel", Request(rows=3, datapath=Datapath.BUCKETS, event_driven=True)),
    ("Vivado", "io_stream", Request(rows=2, datapath=Datapath.DECODE)),
]


def simulate(built: Built, scratch: Path) -> csim.Stages:
    scratch.mkdir(exist_ok=True)
    bench = csim.build_test_bench(built.folder, scratch, scratch / "cache")
    return csim.simulate(bench, built.network, built.inputs, scratch).stages


def difference(built: Built, scratch: Path) -> str | None:
    return first_difference(
        built.network.run(built.inputs), simulate(built, scratch), "C simulation"
    )


def random_network(
    sizes: tuple[int, ...], choice: Quantization, bias: bool, seed: int
) -> tuple[QuantizedNetwork, NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    weights = tuple(random.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    biases = tuple(
        random.normal(size=size).astype(np.float32) if bias else None for size in sizes[1:]
    )
    inputs = random.integers(0, 256, (300, sizes[0]), dtype=np.uint8)
    inputs[0], inputs[1] = 0, 255
    network = quantize_network(
        FloatNetwork(weights, biases), choice, load_device("pcmo"), BYTE, inputs
    )
    return network, inputs


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Built:
    network, inputs = random_network((20, 9, 4), Quantization(10), bias=False, seed=1)
    return emit(network, inputs, tmp_path_factory.mktemp("small") / "hls")


@pytest.mark.parametrize(("backend", "io_type", "request_"), COMBINATIONS)
def test_mnist_is_bit_exact_on_all_test_images(
    backend: str,
    io_type: str,
    request_: Request,
    paper_network: QuantizedNetwork,
    mnist: Dataset,
    tmp_path: Path,
) -> None:
    board, settings = load_board("pynq-z2"), HlsSettings(backend, io_type)
    design = plan_hls(paper_network, board, request_).chosen.core
    expected, inputs = paper_network.run(mnist.test_inputs), mnist.test_inputs
    core = convert(paper_network, design, board, settings, tmp_path / "rendered")
    ours = render_sources(paper_network, design, settings.stream, inputs[:10], expected.head(10))
    files = {**core.files, **ours}
    place = tmp_path / "a folder"
    found = check_hls(
        core, files, paper_network, inputs, expected, place, tmp_path / "cache", SILENT
    )
    whole = 10_000 * (128 + 128 + 10 + 1)
    assert found.compared == {"qkeras": whole, "hls4ml": whole, "csim": whole, "axis": 110_000}
    assert found.compiler_log == b""


# TensorFlow bears no other LLVM in its process, so none is imported into that of the tests.
RELOAD = """
import sys
from pathlib import Path
import subprocess
import sys

import numpy as np
from synq.hls.keras import qkeras_model
from synq.network import QuantizedNetwork
folder = Path(sys.argv[1])
network = QuantizedNetwork.from_npz(folder / "network.npz")
model = qkeras_model.load_model(folder / "model.h5")
stages = qkeras_model.model_stages(model, network, np.load(folder / "inputs.npy"))
np.savez(folder / "stages.npz", **dict(stages))
"""


def test_the_qkeras_model_reloads(
    paper_network: QuantizedNetwork, mnist: Dataset, tmp_path: Path
) -> None:
    design = HlsDesign((SIMPLEST, SIMPLEST))
    settings, board = HlsSettings("Vitis", "io_parallel"), load_board("pynq-z2")
    core = convert(paper_network, design, board, settings, tmp_path / "hls4ml")
    (tmp_path / "model.h5").write_bytes(core.model_file)
    (tmp_path / "network.npz").write_bytes(paper_network.to_npz())
    np.save(tmp_path / "inputs.npy", mnist.test_inputs)
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True)
    with np.load(tmp_path / "stages.npz") as stages:
        expected = paper_network.run(mnist.test_inputs)
        assert first_difference(expected, list(stages.items()), "QKeras") is None


@pytest.mark.parametrize(
    ("sizes", "choice", "bias", "io_type", "plan"),
    [
        ((7, 1), Quantization(2), False, "io_parallel", SIMPLEST),
        (
            (1, 3, 2),
            Quantization(5, Method.SAMPLING),
            True,
            "io_stream",
            ArrayPlan(Datapath.BUCKETS, 2, 0, event_driven=True),
        ),
        (
            (33, 17, 9, 5, 3),
            Quantization(25, branch=Branch.UNION),
            True,
            "io_parallel",
            ArrayPlan(Datapath.BANK, 5, 2, event_driven=True),
        ),
        (
            (40, 70, 10),
            Quantization(256, Method.UNIFORM),
            False,
            "io_stream",
            ArrayPlan(Datapath.BANK, 3, 1),
        ),
        (
            (50, 12, 6),
            Quantization(7, mapping=Mapping.OFFSET, table_width=12),
            True,
            "io_parallel",
            ArrayPlan(Datapath.BUCKETS, 4, 0),
        ),
        (
            (40, 16, 6),
            Quantization(10, tile=Tile(8, 8), adc_bits=5),
            True,
            "io_stream",
            ArrayPlan(Datapath.BANK, 4, 2),
        ),
        (
            (45, 12, 6),
            Quantization(10, tile=Tile(12, 12), adc_bits=4, read_noise=0.05),
            True,
            "io_parallel",
            ArrayPlan(Datapath.BUCKETS, 3, 0, event_driven=True),
        ),
    ],
)
def test_other_shapes_and_designs_are_bit_exact(
    sizes: tuple[int, ...],
    choice: Quantization,
    bias: bool,
    io_type: str,
    plan: ArrayPlan,
    tmp_path: Path,
) -> None:
    network, inputs = random_network(sizes, choice, bias, seed=len(sizes))
    plans = (plan,) * len(network.arrays)
    built = emit(network, inputs, tmp_path / "hls", io_type=io_type, plans=plans)
    assert difference(built, tmp_path / "run") is None


@pytest.mark.parametrize(
    ("layers", "backend", "io_type"), [(1, "Vitis", "io_parallel"), (16, "Vivado", "io_stream")]
)
def test_signed_inputs_and_one_output_in_1_to_16_layers(
    layers: int, backend: str, io_type: str, tmp_path: Path
) -> None:
    network, inputs = quantized_network(layers)
    kinds = [
        ArrayPlan(Datapath.BUCKETS, 2, 0, event_driven=True),
        ArrayPlan(Datapath.BANK, 2, 1),
        ArrayPlan(Datapath.DECODE, 1, 1),
        ArrayPlan(Datapath.BUCKETS, 1, 0),
    ] * 4
    settings, board = HlsSettings(backend, io_type), load_board("pynq-z2")
    design, expected = HlsDesign(tuple(kinds[:layers])), network.run(inputs)
    assert 0 < expected.classes.sum() < len(inputs)
    core = convert(network, design, board, settings, tmp_path / "rendered")
    ours = render_sources(network, design, settings.stream, inputs[:10], expected.head(10))
    files = {**core.files, **ours}
    found = check_hls(core, files, network, inputs, expected, tmp_path, tmp_path / "cache", SILENT)
    whole = expected.table().size
    assert found.compared == {"qkeras": whole, "hls4ml": whole, "csim": whole, "axis": 600}


def test_steps_larger_than_one_are_bit_exact(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = tuple(
        random.uniform(0.9, 1.1, shape).astype(np.float32) for shape in ((500, 6), (6, 3))
    )
    inputs = random.integers(0, 256, (50, 500), dtype=np.uint8)
    choice = Quantization(9, activation_bits=3)
    network = quantize_network(
        FloatNetwork(weights, (None, None)), choice, load_device("pcmo"), BYTE, inputs
    )
    assert network.activations[0].fraction < -3
    assert difference(emit(network, inputs, tmp_path / "hls"), tmp_path / "run") is None


def test_shipped_vectors_pass_as_csim_design_runs_them(small: Built, tmp_path: Path) -> None:
    csim.build_test_bench(small.folder, tmp_path, tmp_path / "cache")
    copy = shutil.copytree(small.folder / "tb_data", tmp_path / "tb_data")
    run = subprocess.run([tmp_path / "test_bench"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0 and "10 images equal" in run.stdout
    expected = copy / "expected.txt"
    text = expected.read_text()
    expected.write_text(text.replace(text.split()[0], "12345", 1))
    run = subprocess.run([tmp_path / "test_bench"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "image 0, number 0: expected 12345" in run.stderr


def test_a_full_disk_is_said_in_one_line(small: Built, tmp_path: Path) -> None:
    bench = csim.build_test_bench(small.folder, tmp_path, tmp_path / "cache")
    given = tmp_path / "inputs.bin"
    given.write_bytes(small.inputs.astype("<u2").tobytes())
    run = subprocess.run([bench, given, "/dev/full"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, "cannot write /dev/full: is the disk full?\n")
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [bench, given, tmp_path / "out"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (1, "cannot write standard output: is the disk full?\n")
    given.write_bytes(given.read_bytes()[:-1])
    run = subprocess.run([bench, given, tmp_path / "out"], capture_output=True, text=True)
    assert run.returncode == 1 and "is not of whole images" in run.stderr


def corrupted(small: Built, folder: Path, file: str, old: str, new: str) -> Built:
    shutil.copytree(small.folder, folder)
    path = folder / "firmware" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return Built(folder, small.network, small.inputs)


def test_one_wrong_code_bit_is_caught(small: Built, tmp_path: Path) -> None:
    header = Layout(small.network.arrays[0], 1).header("array_0")
    word = next(line for line in header.splitlines() if line.startswith("    {0x")).split("{")[1]
    first = word.split("u")[0]
    flipped = f"0x{int(first, 16) ^ 1:08x}"
    broken = corrupted(small, tmp_path / "hls", "array_0.h", f"{{{first}", f"{{{flipped}")
    found = difference(broken, tmp_path / "run")
    assert found is not None and "array_0, neuron 0" in found


def test_one_wrong_table_bit_is_caught(small: Built, tmp_path: Path) -> None:
    value = Layout(small.network.arrays[1], 1).signed.values[-1]
    broken = corrupted(small, tmp_path / "hls", "array_1.h", f", {value}}}", f", {value ^ 1}}}")
    found = difference(broken, tmp_path / "run")
    assert found is not None and "array_1" in found


def test_one_wrong_requantization_bit_is_caught(small: Built, tmp_path: Path) -> None:
    integer = small.network.activations[0].integer
    broken = corrupted(
        small,
        tmp_path / "hls",
        "defines.h",
        f"ap_ufixed<8,{integer},",
        f"ap_ufixed<8,{integer ^ 1},",
    )
    # The test bench notices that the format is not the one it was made for, or the values differ.
    try:
        found = difference(broken, tmp_path / "run")
    except SynqError as error:
        found = str(error)
    assert found is not None and "activation_0" in found


def test_wrong_rounding_is_caught(small: Built, tmp_path: Path) -> None:
    broken = corrupted(small, tmp_path / "hls", "defines.h", "AP_RND_CONV", "AP_TRN")
    found = difference(broken, tmp_path / "run")
    assert found is not None and "activation_0" in found


@pytest.mark.parametrize(
    "constant",
    ["converter_shift", "converter_bits", "noise_factor", "noise_shift", "noise_column_bits"],
)
def test_one_wrong_bit_of_a_converter_is_caught(constant: str, tmp_path: Path) -> None:
    choice = Quantization(10, tile=Tile(8, 8), adc_bits=3, read_noise=0.1)
    network, inputs = random_network((20, 8, 3), choice, bias=False, seed=1)
    right = emit(network, inputs, tmp_path / "right")
    array = network.arrays[0]
    assert array.converter is not None
    form = array.converter.format
    assert array.noise is not None
    number = {
        "converter_shift": array.partial.fraction - form.fraction,
        "converter_bits": 3,
        "noise_factor": array.noise.factor,
        "noise_shift": array.noise.shift,
        "noise_column_bits": 3,
    }
    old, new = (f"{constant} = {number[constant] ^ bit};" for bit in (0, 1))
    broken = corrupted(right, tmp_path / "wrong", "parameters.h", old, new)
    try:
        found = difference(broken, tmp_path / "run")
    except SynqError as error:  # a sum beyond what is proven
        found = str(error)
    assert found is not None
    assert "array_0" in found or "accum_m" in found


def test_sum_outside_the_proven_range_stops_the_simulation(small: Built, tmp_path: Path) -> None:
    _, high = small.network.arrays[0].accumulator_range
    broken = corrupted(
        small, tmp_path / "hls", "parameters.h", f"accum_max = {high}", f"accum_max = {high // 64}"
    )
    with pytest.raises(SynqError, match="accum_max"):
        difference(broken, tmp_path / "run")


def test_broken_source_names_the_error(small: Built, tmp_path: Path) -> None:
    broken = corrupted(small, tmp_path / "hls", "parameters.h", "struct config2", "strukt config2")
    with pytest.raises(SynqError, match=r"g\+\+ could not build .*error"):
        difference(broken, tmp_path / "run")


def test_emitted_files_are_the_same_everywhere(small: Built, tmp_path: Path) -> None:
    again = emit(small.network, small.inputs, tmp_path / "another place" / "hls")
    ours = {p.relative_to(small.folder): p.read_bytes() for p in files(small.folder)}
    theirs = {p.relative_to(again.folder): p.read_bytes() for p in files(again.folder)}
    assert ours == theirs
    for content in ours.values():
        assert str(tmp_path).encode() not in content


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_too_wide_a_layer_is_refused(tmp_path: Path) -> None:
    network, _ = random_network((2, 4097, 2), Quantization(3), bias=False, seed=0)
    design, board = HlsDesign((SIMPLEST, SIMPLEST)), load_board("pynq-z2")
    with pytest.raises(SynqError, match="4097 wide"):
        convert(network, design, board, HlsSettings("Vitis", "io_parallel"), tmp_path)


def test_sums_beyond_float32_are_refused(tmp_path: Path) -> None:
    network, _ = random_network(
        (600, 3), Quantization(256, Method.UNIFORM, table_width=16), bias=False, seed=0
    )
    design, board = HlsDesign((SIMPLEST,)), load_board("pynq-z2")
    with pytest.raises(SynqError, match="use a smaller table width"):
        convert(network, design, board, HlsSettings("Vitis", "io_parallel"), tmp_path)
