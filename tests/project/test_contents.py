"""Which folders a project of Verilog has, by its board and its streams."""

import numpy as np
import pytest

from strategies import synapse_array
from synq.board import load_board
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork
from synq.project.contents import Contents, render_contents, rtl_core
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.verilog import render_rtl


def contents(board: str, n_out: int = 3, wide: bool = False) -> Contents:
    form = FixedPoint(1, 0, signed=False)
    random = np.random.default_rng(1)
    array = synapse_array(random, 4, n_out, levels=5, input_format=form)
    network = QuantizedNetwork((array,), ())
    inputs = random.integers(0, 2, (5, 4)).astype(np.uint8)
    design = RtlDesign((RtlArray(0, 1),))
    if wide:
        unrolled = RtlArray(0, 0, unrolled=True)
        design = RtlDesign((unrolled,), result_bits=wide_result(n_out))
    given = (network, inputs, np.zeros(5, np.int64), network.run(inputs), load_board(board))
    return Contents(*given, "a title", None, False, design)


@pytest.mark.parametrize(
    ("made", "folders", "system"),
    [
        (contents("pynq-z2"), {"driver", "flow"}, True),
        (contents("pynq-z2", 3, wide=True), {"driver", "flow"}, True),
        (contents("pynq-z2", 125, wide=True), {"driver", "flow"}, True),  # 4096 bits
        (contents("pynq-z2", 127, wide=True), {"flow"}, False),  # 64 more
        (contents("arty-a7-100t"), {"flow"}, False),
        (contents("ulx3s-85f"), set(), False),
    ],
    ids=["zynq", "wide", "widest", "too wide", "no processor", "ecp5"],
)
def test_a_driver_only_where_there_is_a_bitstream(
    made: Contents, folders: set[str], system: bool
) -> None:
    files = render_contents(made)
    found = {name.partition("/")[0] for name in files if "/" in name}
    assert found == {"rtl", "tables"} | folders
    assert ("flow/rtl_system.tcl" in files) is system
    assert ("rtl/synq.xdc" in files) is ("flow" in folders)
    assert {"rtl/synq.f", "synq.core"} < set(files)
    assert made.rtl is not None
    assert rtl_core(files) == render_rtl(made.network, made.rtl)


def test_the_settings_name_the_files_that_there_are() -> None:
    files = render_contents(contents("pynq-z2"))
    settings = files["flow/settings.tcl"].decode()
    for name in rtl_core(files):
        assert f"rtl/{name}" in settings
    listed = settings.partition("rtl_verilog) [list ")[2].partition("]")[0].split()
    listed += settings.partition("rtl_memories) [list ")[2].partition("]")[0].split()
    assert sorted(listed) == sorted(f"rtl/{name}" for name in rtl_core(files))
