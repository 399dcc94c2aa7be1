"""The board's driver, run on this machine: its DMA's other end is the Verilated core."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from boards import Driven, FakeBoard, FakeDMA, driver_folder, raw_inputs, small_network
from cores import Core, CoreBuilder
from synq import stream
from synq.network import QuantizedNetwork
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.simulate import Verilator

pytestmark = pytest.mark.xdist_group("axis")
UNROLLED = RtlArray(0, 0, unrolled=True)
ONE_ROW = RtlArray(0, 1)


@dataclass(frozen=True)
class Case:
    """A core that a driver has to feed.

    Attributes:
        bits: of a pixel.
        image_words: 64-bit words that the DMA sends of an image.
    """

    bits: int
    signed: bool
    design: RtlDesign
    image_words: int


# 45 pixels; 3 outputs, whose answer is three words.
CASES = {
    "8 bits, as the HLS core": Case(8, False, RtlDesign((RtlArray(1, 1), ONE_ROW)), 6),
    "3 signed bits in 64": Case(3, True, RtlDesign((ONE_ROW, ONE_ROW)), 3),
    # the 22nd of a beat's 42 pixels lies in both words
    "3 signed bits in 128": Case(3, True, RtlDesign((ONE_ROW, ONE_ROW), beat_bits=128), 4),
    "an image and an answer a beat": Case(
        5, False, RtlDesign((UNROLLED, UNROLLED), beat_bits=256, result_bits=wide_result(3)), 4
    ),
}


def driven(core: Core, root: Path, spoil: Callable[[Path], None] = lambda folder: None) -> Driven:
    network = core.network
    inputs = raw_inputs(np.random.default_rng(1), 100, network.sizes[0], network.input_format)
    beat_bits = {"synq_rtl.bit": core.design.beat_bits}
    folder = driver_folder(network, inputs, root / "driver", beat_bits)
    spoil(folder)
    return Driven(folder, network, inputs, lambda words, last: core.answer(words, last, root))


@pytest.fixture(scope="module")
def build_core(verilator: Verilator, tmp_path_factory: pytest.TempPathFactory) -> CoreBuilder:
    return CoreBuilder(verilator, tmp_path_factory.mktemp("cores"))


def network_of(case: Case) -> QuantizedNetwork:
    return small_network(case.bits, signed=case.signed)


@pytest.mark.parametrize("name", CASES)
def test_the_verilog_through_the_driver_equals_the_reference(
    name: str, build_core: CoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    core = build_core(network_of(case), case.design)
    made = driven(core, tmp_path)
    board = FakeBoard(FakeDMA(made.answer))
    board.install(monkeypatch)
    overlay = made.module.SynapseOverlay()
    assert overlay.self_test() == 100
    assert board.overlays == [str(made.folder / "synq_rtl.bit")]
    assert board.allocated == [(100, case.image_words), (100, 3)]
    inputs = raw_inputs(np.random.default_rng(2), 30, 45, core.network.input_format)
    logits, classes = overlay.run(inputs)
    expected = core.network.run(inputs)
    assert np.array_equal(logits, expected.accumulators[-1])
    assert np.array_equal(classes, expected.classes)
    assert board.dma.sendchannel.transfers[-1] == 30 * case.image_words * 8


def test_one_wrong_bit_of_a_memory_fails_the_self_test(
    build_core: CoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["3 signed bits in 64"]

    def flip(files: dict[str, bytes]) -> None:
        name = next(name for name in sorted(files) if name.endswith(".mem"))
        digit = int(files[name][:1], 16) ^ 1
        files[name] = b"%x" % digit + files[name][1:]

    made = driven(build_core(network_of(case), case.design, flip), tmp_path)
    FakeBoard(FakeDMA(made.answer)).install(monkeypatch)
    with pytest.raises(RuntimeError, match="differs from the reference at image"):
        made.module.SynapseOverlay().self_test()


def test_beats_of_another_width_fail_the_self_test(
    build_core: CoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["3 signed bits in 64"]

    def widen(folder: Path) -> None:
        path = folder / "network.json"
        about = json.loads(path.read_text())
        path.write_text(json.dumps({**about, "beat_bits": {"synq_rtl.bit": 192}}))

    made = driven(build_core(network_of(case), case.design), tmp_path, widen)
    FakeBoard(FakeDMA(made.answer)).install(monkeypatch)
    with pytest.raises(RuntimeError, match="differs from the reference"):
        made.module.SynapseOverlay().self_test()


# ---- Which bit file -----------------------------------------------------------------------------


def test_the_bit_file_that_is_there_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(8)
    inputs = raw_inputs(np.random.default_rng(1), 10, 45, network.input_format)

    def mute(words: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        raise RuntimeError("no answer")

    folder = driver_folder(network, inputs, tmp_path, {"synq.bit": 64, "synq_rtl.bit": 256})
    overlay_class = Driven(folder, network, inputs, mute).module.SynapseOverlay
    board = FakeBoard(FakeDMA(mute))
    board.install(monkeypatch)

    def loaded(*bitfile: Path) -> tuple[str, int]:
        board.dma = FakeDMA(mute)
        with pytest.raises(RuntimeError, match="the DMA failed: no answer"):
            overlay_class(*bitfile).self_test()
        return Path(board.overlays[-1]).name, board.allocated[-2][1]

    assert loaded() == ("synq.bit", 6)
    assert loaded(folder / "synq_rtl.bit") == ("synq_rtl.bit", 8)
    with pytest.raises(
        RuntimeError, match=r"other\.bit is none of synq\.bit, synq_rtl\.bit: it can"
    ):
        overlay_class(folder / "other.bit")
    (folder / "synq.bit").unlink()
    assert loaded() == ("synq_rtl.bit", 8)
    (folder / "synq_rtl.bit").unlink()
    with pytest.raises(RuntimeError, match=r"synq\.bit is missing"):
        overlay_class().self_test()
