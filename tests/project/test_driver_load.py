"""The board's driver loads networks into the Verilated core."""

import dataclasses
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boards import Driven, FakeBoard, FakeDMA, driver_folder, raw_inputs, small_network
from cores import Core, CoreBuilder
from synq import stream
from synq.network import QuantizedNetwork
from synq.project.loading import render_load
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.reload import network_words, with_capacity
from synq.rtl.simulate import Traffic, Verilator
from synq.stream import beats_per_result

pytestmark = pytest.mark.xdist_group("axis")
ROOT = Path(__file__).parents[2]
DESIGN = RtlDesign((RtlArray(0, 1), RtlArray(0, 1)))


@pytest.fixture(scope="module")
def core(verilator: Verilator, tmp_path_factory: pytest.TempPathFactory) -> Core:
    network = small_network(8)
    build = CoreBuilder(verilator, tmp_path_factory.mktemp("cores"))
    return build(network, with_capacity(network, DESIGN))


def other_network(network: QuantizedNetwork, seed: int) -> QuantizedNetwork:
    random = np.random.default_rng(seed)
    arrays = tuple(
        dataclasses.replace(array, codes=random.permuted(array.codes, axis=0))
        for array in network.arrays
    )
    return dataclasses.replace(network, arrays=arrays)


class Machine:
    """The core with its registers; each transfer runs it anew, after all that it was sent."""

    def __init__(self, core: Core, scratch: Path) -> None:
        self.core, self.scratch = core, scratch
        self.sent: list[NDArray[np.uint64]] = []
        self.armed = False
        own = network_words(core.network, core.design, core.network)
        self.values = {0x04: 1, 0x08: int(own[-1]), 0x10: int(own[0]), 0x18: len(own)}
        self.spoil = 0

    def write(self, place: int, value: int) -> None:
        assert (place, value) == (0, 1)
        self.armed = True

    def read(self, place: int) -> int:
        low = self.values.get(place, 0)
        if place in (0x0C, 0x14):
            low = self.values[place - 4] >> 32
        return low & 0xFFFFFFFF

    def answer(self, words: NDArray[np.uint64], last: NDArray[np.bool_]) -> stream.Beats:
        network = self.core.network
        if self.armed:
            self.armed = False
            self.sent.append(words ^ np.uint64(self.spoil))
            images = np.zeros((1, network.sizes[0]), dtype=np.int64)
        else:
            images = words.astype("<u8").view(np.uint8).reshape(-1, 48)[:, :45].astype(np.int64)
        given = [images[:0]] * len(self.sent) + [images]
        sent = dict(enumerate(self.sent))
        traffic = Traffic(0.2, 0.2, seed=3, images=len(images))
        records = simulate.stream_records(given, 8, 64, traffic, sent)
        n_results = len(images) * beats_per_result(network.sizes[-1])
        place = (self.core.executable, self.core.place, [self.scratch], [records], [n_results])
        (seen,) = simulate.play(*place, traffic)
        if self.sent:
            self.values[0x04], self.values[0x08] = simulate.read_loads(self.scratch)[-1]
        if images.any():
            return stream.Beats(seen["data"], seen["keep"], seen["last"].astype(bool))
        return stream.Beats(seen["data"][:0], seen["keep"][:0], seen["last"][:0].astype(bool))


def driven(core: Core, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Machine]:
    machine = Machine(core, root)
    inputs = raw_inputs(np.random.default_rng(1), 100, 45, core.network.input_format)
    folder = driver_folder(core.network, inputs, root / "driver", {"synq_rtl.bit": 64})
    made = Driven(folder, core.network, inputs, machine.answer)
    FakeBoard(FakeDMA(machine.answer), accelerator=machine).install(monkeypatch)
    return made.module.SynapseOverlay(), machine


def load_file(core: Core, network: QuantizedNetwork, path: Path) -> Path:
    path.write_bytes(render_load(core.network, core.design, network))
    return path


def test_networks_are_loaded_and_the_first_one_again(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay, _ = driven(core, tmp_path, monkeypatch)
    others = [other_network(core.network, seed) for seed in (1, 2)]
    networks = [core.network, *others]
    files = [load_file(core, each, tmp_path / f"{n}.npz") for n, each in enumerate(networks)]
    assert overlay.self_test() == 100
    images = raw_inputs(np.random.default_rng(2), 30, 45, core.network.input_format)
    for network, file in zip(networks[1:], files[1:], strict=True):
        overlay.load(file)
        assert (overlay.digest, overlay.output_unit) == (network.digest, network.output_unit)
        logits, classes = overlay.run(images)
        expected = network.run(images)
        assert np.array_equal(logits, expected.accumulators[-1])
        assert np.array_equal(classes, expected.classes)
        with pytest.raises(RuntimeError, match="vectors are of the network that the core was"):
            overlay.self_test()
    overlay.load(files[0])
    assert overlay.self_test() == 100
    each = overlay.run_chips(files, images)
    assert np.array_equal(each, [network.run(images).classes for network in networks])


def test_the_notebook_loads_chips(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`examples/pynq_z2.ipynb`, its cells in order."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    overlay, _ = driven(core, tmp_path / "board", monkeypatch)
    module = ModuleType("overlay")
    module.SynapseOverlay = type(overlay)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "overlay", module)
    monkeypatch.chdir(tmp_path)
    networks = [other_network(core.network, seed) for seed in (1, 2)]
    for number, network in enumerate(networks, 1):
        load_file(core, network, tmp_path / f"chip-{number}.npz")
    notebook = json.loads((ROOT / "examples/pynq_z2.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    printed = capsys.readouterr().out
    assert "100 images equal the integer reference" in printed
    assert names["names"] == ["design", "chip-1", "chip-2"]
    images = names["images"]
    assert np.array_equal(names["classes"], [network.run(images).classes for network in networks])
    assert re.search(r"^chip-2: [1-9]\d* answers differ", printed, re.MULTILINE)
    (figure,) = map(plt.figure, plt.get_fignums())
    plt.close(figure)


def test_a_network_that_is_not_taken(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay, machine = driven(core, tmp_path, monkeypatch)
    file = load_file(core, other_network(core.network, 1), tmp_path / "other.npz")
    machine.spoil = 1 << 20
    with pytest.raises(RuntimeError, match="is not loaded, the network before it stays"):
        overlay.load(file)
    machine.spoil = 0
    assert overlay.digest == core.network.digest
    assert overlay.self_test() == 100
    for place, value, message in ((0x10, 5, "made for another core"), (0x18, 5, "its length")):
        kept, machine.values[place] = machine.values[place], value
        with pytest.raises(RuntimeError, match=message):
            overlay.load(file)
        machine.values[place] = kept
    for content in (b"", b"PK", file.read_bytes()[:200]):
        broken = tmp_path / "broken.npz"
        broken.write_bytes(content)
        with pytest.raises(RuntimeError, match=r"broken\.npz cannot be read"):
            overlay.load(broken)
    with pytest.raises(RuntimeError, match="cannot be read"):
        overlay.load(tmp_path / "none.npz")


def test_a_core_without_registers(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay, machine = driven(core, tmp_path, monkeypatch)
    FakeBoard(FakeDMA(machine.answer)).install(monkeypatch)
    file = load_file(core, core.network, tmp_path / "own.npz")
    with pytest.raises(RuntimeError, match=r"synq_rtl\.bit has no registers: export it with"):
        overlay.load(file)
