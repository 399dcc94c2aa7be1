"""The board's driver, run on this machine: its DMA's other end is the compiled wrapper."""

import ast
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boards import (
    HLS_BEATS,
    LABELS,
    Driven,
    FakeBoard,
    FakeDMA,
    driver_folder,
    raw_inputs,
    small_network,
)
from projects import emit
from strategies import MANY, input_formats, seeds
from synq import stream
from synq.device import load_device
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, quantize
from synq.float_network import FloatNetwork
from synq.hls import axis
from synq.learn.data.dataset import BYTE_FORMAT, Dataset, with_input_bits
from synq.network import QuantizedNetwork
from synq.project.driver import render_driver
from synq.quantizing import Quantization, quantize_network
from synq.tile import Tile

pytestmark = pytest.mark.xdist_group("axis")  # one worker compiles the projects once

SIGNED_FORMAT = FixedPoint(8, 2, signed=True)


# ---- Projects -----------------------------------------------------------------------------------


def compiled(
    network: QuantizedNetwork, inputs: NDArray[np.uint8 | np.int8], io_type: str, root: Path
) -> Driven:
    emitted = emit(network, inputs[:10], root / "hls", io_type=io_type)
    bench = axis.build_bench(emitted.folder, root, root / "cache")

    def answer(beats: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        return axis.run_axis(bench, beats, last, root)

    return Driven(driver_folder(network, inputs, root / "driver"), network, inputs, answer)


@pytest.fixture(scope="module")
def driven(
    paper_network: QuantizedNetwork, mnist: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Driven:
    """Real MNIST through the compiled wrapper."""
    root = tmp_path_factory.mktemp("driver")
    return compiled(paper_network, mnist.test_inputs, "io_parallel", root)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """A small network; the integer reference stands for the accelerator."""
    return by_reference(small_network(8), tmp_path_factory.mktemp("modelled"))


def by_reference(network: QuantizedNetwork, root: Path) -> Driven:
    form, n_in = network.input_format, network.sizes[0]
    bits = form.width
    inputs = raw_inputs(np.random.default_rng(0), 100, n_in, form)

    def answer(beats: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        lanes = stream.pixels_per_beat(bits)
        shifts = np.arange(lanes, dtype=np.uint64) * np.uint64(bits)
        pixels = (beats[:, None] >> shifts & np.uint64((1 << bits) - 1)).astype(np.uint8)
        rows = pixels.reshape(-1, stream.beats_per_image(n_in, bits) * lanes)[:, :n_in]
        rows = np.where(rows > form.max_raw, rows.astype(np.int64) - (1 << bits), rows)
        trace = network.run(rows)
        results = stream.pack_results(trace.accumulators[-1], trace.classes).ravel()
        ends = np.arange(len(results)) == len(results) - 1
        return stream.Beats(results, np.full(len(results), 255, np.uint8), ends & bool(last[-1]))

    return Driven(driver_folder(network, inputs, root / "driver"), network, inputs, answer)


@pytest.fixture
def board(modelled: Driven, monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    board = FakeBoard(FakeDMA(modelled.answer))
    board.install(monkeypatch)
    return board


# ---- Through the compiled wrapper ---------------------------------------------------------------


def test_mnist_through_the_driver_equals_the_reference(
    driven: Driven, mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = FakeBoard(FakeDMA(driven.answer))
    board.install(monkeypatch)
    overlay = driven.module.SynapseOverlay()
    assert board.overlays == []  # nothing is loaded before it is needed
    assert overlay.self_test() == 100
    assert board.overlays == [str(driven.folder / "synq.bit")]

    images = mnist.test_inputs[:1000]
    expected = driven.network.run(images)
    assert np.array_equal(overlay.predict(images.reshape(-1, 28, 28)), expected.classes)
    assert np.array_equal(overlay.logits(images), expected.accumulators[-1])
    assert np.array_equal(overlay.logits(images / np.float32(256)), expected.accumulators[-1])
    assert board.dma.sendchannel.transfers[-1] == 1000 * 784


def test_a_small_dma_takes_the_images_in_several_transfers(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = FakeBoard(FakeDMA(driven.answer, buffer_max_size=(1 << 14) - 1))
    board.install(monkeypatch)
    overlay = driven.module.SynapseOverlay()
    expected = driven.network.run(driven.inputs[:50])
    logits, classes = overlay.run(driven.inputs[:50])
    assert np.array_equal(logits, expected.accumulators[-1])
    assert np.array_equal(classes, expected.classes)
    assert board.dma.sendchannel.transfers == [20 * 784, 20 * 784, 10 * 784]
    overlay.run(driven.inputs[:45])
    assert board.allocated == [(20, 98), (20, 6)]  # once


def test_fewer_input_bits_through_a_stream_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(3, signed=True)
    inputs = raw_inputs(np.random.default_rng(1), 100, 45, network.input_format)
    driven = compiled(network, inputs, "io_stream", tmp_path)
    FakeBoard(FakeDMA(driven.answer)).install(monkeypatch)
    overlay = driven.module.SynapseOverlay()
    assert overlay.self_test() == 100
    images = np.random.default_rng(2).integers(-128, 128, (30, 5, 9), dtype=np.int8)
    reduced = reduced_images(images.reshape(30, 45), 3)
    assert np.array_equal(overlay.logits(images), network.run(reduced).accumulators[-1])


def test_read_noise_is_of_the_images_since_the_bit_file_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(8, tile=Tile(15, 15), adc_bits=6, read_noise=0.05)
    inputs = raw_inputs(np.random.default_rng(1), 100, 45, network.input_format)
    driven = compiled(network, inputs, "io_parallel", tmp_path)
    FakeBoard(FakeDMA(driven.answer)).install(monkeypatch)
    overlay = driven.module.SynapseOverlay()
    assert overlay.read_noise and overlay.images_sent == 0
    assert overlay.self_test() == overlay.images_sent == 100
    with pytest.raises(RuntimeError, match="read noise, and 100 images were sent: load the bit"):
        overlay.self_test()
    assert driven.module.SynapseOverlay().self_test() == 100


def test_a_tlast_one_beat_early_is_caught(
    driven: Driven, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dma = FakeDMA(driven.answer)
    monkeypatch.setattr(dma, "tlast", lambda n_beats: np.arange(n_beats) == n_beats - 98 - 1)
    FakeBoard(dma).install(monkeypatch)
    with pytest.raises(RuntimeError, match="returned 4752 bytes, expected 4800"):
        driven.module.SynapseOverlay().self_test()


def test_a_missing_tlast_is_not_waited_for_for_ever(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    dma = FakeDMA(driven.answer)
    monkeypatch.setattr(dma, "tlast", lambda n_beats: np.zeros(n_beats, dtype=bool))
    board = FakeBoard(dma)
    board.install(monkeypatch)
    overlay = driven.module.SynapseOverlay(timeout=0.05)
    with pytest.raises(RuntimeError, match=r"did not return the results within 0\.05 s: check"):
        overlay.self_test()

    board.dma = FakeDMA(driven.answer)
    assert overlay.self_test() == 100  # the overlay is loaded again
    assert len(board.overlays) == 2


def test_the_notebook_runs(
    driven: Driven,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    FakeBoard(FakeDMA(driven.answer)).install(monkeypatch)
    monkeypatch.setitem(sys.modules, "overlay", driven.module)
    notebook = json.loads((driven.folder / "synq.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    printed = capsys.readouterr().out
    assert "100 images equal the integer reference" in printed
    assert "of 100 test images" in printed and "images a second" in printed
    (figure,) = map(plt.figure, plt.get_fignums())
    assert [len(axes.images) for axes in figure.axes] == [1] * 10
    plt.close(figure)


# ---- The driver itself --------------------------------------------------------------------------


def reduced_images(images: NDArray[np.uint8 | np.int8], bits: int) -> NDArray[np.uint8 | np.int8]:
    """As the data of a network with fewer input bits are made."""
    none = np.zeros(0, dtype=np.int64)
    form = SIGNED_FORMAT if images.dtype == np.int8 else BYTE_FORMAT
    dataset = Dataset("bytes", form, images[:0], none, images.copy(), none, "")
    return with_input_bits(dataset, bits).test_inputs


@pytest.mark.parametrize("bits", range(2, 9))
def test_signed_images_are_quantized_as_the_network_was_made_for(bits: int, tmp_path: Path) -> None:
    driven = by_reference(small_network(bits, (256, 1), signed=True), tmp_path)
    overlay = driven.module.SynapseOverlay()
    every_byte = np.arange(256, dtype=np.uint8).view(np.int8)[None]
    quantized = overlay.quantize(every_byte)
    assert quantized.dtype == np.int8
    assert np.array_equal(quantized, reduced_images(every_byte, bits))
    reals = np.random.default_rng(0).uniform(-2, 2, (20, 256))
    reals[0, :4] = -2, 2, 0.5 / 64, -0.5 / 64
    as_bytes = quantize(reals, SIGNED_FORMAT).astype(np.int8)
    assert np.array_equal(overlay.quantize(reals), reduced_images(as_bytes, bits))
    for images, said in (
        (np.full((1, 256), 2.01), "float images must be of -2 to 2, got 2.01 to 2.01; give bytes"),
        (np.full((1, 256), 128), "images must be of -128 to 127, got 128 to 128"),
    ):
        with pytest.raises(RuntimeError, match=said):
            overlay.quantize(images)


@pytest.mark.parametrize("bits", range(1, 9))
def test_images_are_quantized_as_the_network_was_made_for(bits: int, tmp_path: Path) -> None:
    driven = by_reference(small_network(bits, (256, 2)), tmp_path)
    overlay = driven.module.SynapseOverlay()
    every_byte = np.arange(256, dtype=np.uint8)[None]
    assert np.array_equal(overlay.quantize(every_byte), reduced_images(every_byte, bits))
    reals = np.random.default_rng(0).uniform(0, 1, (20, 256))
    reals[0, :3] = 1, 0.5, 0.5 / 256
    as_bytes = quantize(reals, BYTE_FORMAT).astype(np.uint8)
    assert np.array_equal(overlay.quantize(reals), reduced_images(as_bytes, bits))


@MANY
@given(seeds, input_formats(8), st.integers(1, 90), st.integers(1, 9))
def test_the_driver_packs_and_unpacks_as_the_contract_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, form: FixedPoint, n_in: int, n_samples: int
) -> None:
    network = small_network(form.width, (n_in, 1 + seed % 5), form.signed)
    driven = by_reference(network, tmp_path_factory.mktemp("any"))
    rng = np.random.default_rng(seed)
    inputs = raw_inputs(rng, n_samples, n_in, network.input_format)
    dma = FakeDMA(driven.answer)
    with pytest.MonkeyPatch.context() as monkeypatch:
        FakeBoard(dma).install(monkeypatch)
        logits, classes = driven.module.SynapseOverlay(dma=dma).run(inputs)
    assert np.array_equal(dma.sent[0], stream.pack_images(inputs, network.input_format).ravel())
    expected = network.run(inputs)
    assert np.array_equal(logits, expected.accumulators[-1])
    assert np.array_equal(classes, expected.classes)


def test_no_images_need_no_board(modelled: Driven) -> None:
    overlay = modelled.module.SynapseOverlay(bitfile="nowhere.bit")
    assert overlay.predict(np.zeros((0, 45), np.uint8)).shape == (0,)
    assert overlay.logits(np.zeros((0, 45), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 44), np.uint8), r"with 45 pixels an image, got \(2, 44\)"),
        (np.zeros(45, np.uint8), r"images must be \(n, \.\.\.\) .* got \(45,\)"),
        (np.full((1, 45), 256), "images must be of 0 to 255, got 256 to 256"),
        (np.full((1, 45), -1), "images must be of 0 to 255, got -1 to -1"),
        (np.full((1, 45), 255.0), "float images must be of 0 to 1, got 255 to 255; give bytes"),
        (np.full((1, 45), np.nan), "float images must be of 0 to 1, got nan"),
        (np.full((1, 45), -0.1), "float images must be of 0 to 1"),
        (np.zeros((1, 45), bool), "must be integers or floats, got bool"),
        (np.zeros((1, 45), complex), "must be integers or floats, got complex128"),
    ],
)
def test_wrong_images_are_named(modelled: Driven, images: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        modelled.module.SynapseOverlay().predict(images)


def test_raw_inputs_are_integers_of_the_networks_bits(tmp_path: Path) -> None:
    overlay = by_reference(small_network(3), tmp_path).module.SynapseOverlay()
    with pytest.raises(RuntimeError, match="inputs must be of 0 to 7, got 8 to 8"):
        overlay.run(np.full((1, 45), 8))
    with pytest.raises(RuntimeError, match="inputs must be integers of 0 to 7, got float64"):
        overlay.run(np.zeros((1, 45)))


def test_a_missing_package_is_named(modelled: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(RuntimeError, match="pynq is missing: run this on the board"):
        modelled.module.SynapseOverlay().self_test()


@pytest.mark.parametrize("name", ["synq.bit", "synq.hwh"])
def test_a_missing_bit_file_is_named(
    modelled: Driven, board: FakeBoard, name: str, tmp_path: Path
) -> None:
    folder = driver_folder(modelled.network, modelled.inputs, tmp_path)
    (folder / name).unlink()
    overlay = modelled.module.SynapseOverlay(folder=folder)
    with pytest.raises(RuntimeError, match=rf"{name} is missing: build it with flow/build\.sh"):
        overlay.self_test()


def test_an_overlay_without_the_dma_is_refused(modelled: Driven, board: FakeBoard) -> None:
    board.dma = None
    with pytest.raises(RuntimeError, match="has no axi_dma_0 with two channels"):
        modelled.module.SynapseOverlay().self_test()


def test_a_dma_too_small_for_an_image_is_refused(modelled: Driven, board: FakeBoard) -> None:
    board.dma = FakeDMA(modelled.answer, buffer_max_size=32)
    with pytest.raises(RuntimeError, match="an image takes 48 bytes, the DMA at most 31"):
        modelled.module.SynapseOverlay().self_test()


def test_a_failing_dma_is_named(modelled: Driven, board: FakeBoard) -> None:
    def too_much(beats: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        got = modelled.answer(beats, last)
        return stream.Beats(np.r_[got.data, got.data], got.keep, np.r_[got.last * False, got.last])

    board.dma = FakeDMA(too_much)
    with pytest.raises(RuntimeError, match="the DMA failed: DMA Internal Error"):
        modelled.module.SynapseOverlay().self_test()


def test_a_class_the_network_lacks_is_refused(modelled: Driven, board: FakeBoard) -> None:
    def other(beats: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        got = modelled.answer(beats, last)
        return stream.Beats(np.full_like(got.data, 3), got.keep, got.last)

    board.dma = FakeDMA(other)
    with pytest.raises(RuntimeError, match=r"the class 3, .* synq\.bit is of another network"):
        modelled.module.SynapseOverlay().predict(np.zeros((1, 45), np.uint8))


def rewritten(folder: Path, **changes: NDArray[Any]) -> None:
    """vectors.npz with some arrays exchanged."""
    path = folder / "vectors.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{**arrays, **changes})


@pytest.mark.parametrize(
    ("name", "at", "where"),
    [("inputs", (7, 20), "image 7, logit"), ("logits", (5, 2), "image 5, logit 2")],
)
def test_one_flipped_bit_of_a_vector_fails_the_self_test(
    modelled: Driven, board: FakeBoard, name: str, at: tuple[int, int], where: str, tmp_path: Path
) -> None:
    folder = driver_folder(modelled.network, modelled.inputs, tmp_path)
    values = modelled.module.SynapseOverlay(folder=folder).vectors()[name]
    values[at] ^= 1 << (7 if name == "inputs" else 0)
    rewritten(folder, **{name: values})
    with pytest.raises(RuntimeError, match=f"differs from the reference at {where}"):
        modelled.module.SynapseOverlay(folder=folder).self_test()


def test_a_wrong_class_fails_the_self_test(
    modelled: Driven, board: FakeBoard, tmp_path: Path
) -> None:
    folder = driver_folder(modelled.network, modelled.inputs, tmp_path)
    classes = modelled.network.run(modelled.inputs).classes
    classes[9] = (classes[9] + 1) % 3
    rewritten(folder, classes=classes)
    with pytest.raises(RuntimeError, match="at image 9, class: expected"):
        modelled.module.SynapseOverlay(folder=folder).self_test()


def test_a_mispacked_pixel_fails_the_self_test(modelled: Driven, board: FakeBoard) -> None:
    board.dma = FakeDMA(lambda beats, last: modelled.answer(beats.byteswap(), last))
    with pytest.raises(RuntimeError, match="differs from the reference at image 0, logit"):
        modelled.module.SynapseOverlay().self_test()


def test_damaged_or_foreign_vectors_are_named(
    modelled: Driven, board: FakeBoard, tmp_path: Path
) -> None:
    folder = driver_folder(modelled.network, modelled.inputs, tmp_path)
    rewritten(folder, digest=np.array("another"))
    overlay = modelled.module.SynapseOverlay(folder=folder)
    with pytest.raises(RuntimeError, match="is not of this network"):
        overlay.self_test()
    content = bytearray((modelled.folder / "vectors.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "vectors.npz").write_bytes(content)
    with pytest.raises(RuntimeError, match=r"vectors\.npz cannot be read"):
        overlay.self_test()
    (folder / "vectors.npz").unlink()
    with pytest.raises(RuntimeError, match=r"vectors\.npz cannot be read"):
        overlay.self_test()


@pytest.mark.parametrize("content", ["", "[]", '{"format": "synq-driver-0"}'])
def test_a_foreign_description_is_named(modelled: Driven, content: str, tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text(content)
    with pytest.raises(RuntimeError, match=r"network\.json .*copy the driver folder again"):
        modelled.module.SynapseOverlay(folder=tmp_path)


def test_throughput_sends_as_many_images_as_asked(modelled: Driven, board: FakeBoard) -> None:
    overlay = modelled.module.SynapseOverlay()
    assert overlay.throughput_test(5000) > 0
    assert board.dma.sendchannel.transfers == [4096 * 48, 904 * 48]
    with pytest.raises(RuntimeError, match="at least 1, got 0"):
        overlay.throughput_test(0)


def test_the_driver_runs_on_old_pynq_images(modelled: Driven) -> None:
    source = (modelled.folder / "overlay.py").read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "pynq"}


def test_the_notebook_is_valid_and_carries_no_outputs() -> None:
    network = small_network(8)
    inputs = np.zeros((1, 45), np.uint8)
    title = 'quotes " and \\ and {{ braces }}'
    files = render_driver(network, inputs, network.run(inputs), LABELS[:1], title, HLS_BEATS)
    notebook = json.loads(files["synq.ipynb"])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 4)
    assert "".join(notebook["cells"][0]["source"]).startswith(f"# {title}\n\nA 45 - 8 - 3 network")
    for cell in notebook["cells"]:
        assert isinstance(cell["metadata"], dict) and isinstance(cell["source"], list)
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
        else:
            assert cell["cell_type"] == "markdown" and "{%" not in "".join(cell["source"])


def test_the_same_network_renders_to_the_same_files() -> None:
    network = small_network(8)
    inputs = np.zeros((1, 45), np.uint8)
    renderings = [
        render_driver(network, inputs, network.run(inputs), LABELS[:1], "title", HLS_BEATS)
        for _ in range(2)
    ]
    assert renderings[0] == renderings[1]
    assert set(renderings[0]) == {"overlay.py", "network.json", "vectors.npz", "synq.ipynb"}
    with np.load(io.BytesIO(renderings[0]["vectors.npz"])) as vectors:
        assert str(vectors["digest"]) == network.digest


def test_logits_beyond_32_bits_are_refused() -> None:
    network = quantize_network(
        FloatNetwork((np.ones((3000, 2), np.float32),), (None,)),
        Quantization(256, table_width=16),
        load_device("pcmo"),
        FixedPoint(8, 0, signed=False),
        np.ones((1, 3000), np.uint8),
    )
    inputs = np.zeros((1, 3000), np.uint8)
    assert network.arrays[-1].accumulator.width > 32
    with pytest.raises(SynqError, match="carries at most 32"):
        render_driver(network, inputs, network.run(inputs), LABELS[:1], "title", HLS_BEATS)
