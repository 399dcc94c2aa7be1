"""A small project with Verilog, as open synthesis takes it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from strategies import synapse_array

from synq.board import load_board
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork
from synq.output import write_files, write_manifest
from synq.rtl.verilog import RtlArray, RtlDesign, render_rtl

ESTIMATE = {
    "resources": {"lut": 700, "lutram": 60, "ff": 700, "bram_18k": 0, "dsp": 9, "uram": 0},
    "latency": 60,
    "interval": 20,
}


def make_project(folder: Path, board: str, clock_ns: float | None = None) -> Path:
    """A project of 24-6-3 for a board."""
    random = np.random.default_rng(7)
    first = synapse_array(random, 24, 6, levels=5, table_width=5)
    form = FixedPoint(4, first.accumulator.integer - 1, signed=False)
    second = synapse_array(random, 6, 3, levels=5, table_width=5, input_format=form)
    network = QuantizedNetwork((first, second), (form,))
    design = RtlDesign((RtlArray(1, 1), RtlArray(0, 1)))
    chosen = load_board(board)
    write_files(folder / "rtl", render_rtl(network, design))
    arrays = [asdict(array) for array in design.arrays]
    configuration = {
        "board": chosen.name,
        "part": chosen.part,
        "clock_ns": clock_ns or chosen.clock_ns,
    }
    designs = {"rtl": {"arrays": arrays, "beat_bits": design.beat_bits, "estimate": ESTIMATE}}
    write_manifest(folder, {"configuration": configuration, "flows": ["rtl"], "designs": designs})
    return folder
