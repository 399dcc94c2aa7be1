"""Small projects and boards that several tests build on."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strategies import synapse_array
from synq.board import load_board
from synq.fixedpoint import FixedPoint
from synq.hls.converter import convert
from synq.hls.design import SIMPLEST, ArrayPlan, HlsDesign, HlsSettings
from synq.hls.sources import render_sources
from synq.network import QuantizedNetwork
from synq.project.manifest import write_manifest
from synq.project.output import write_files
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.verilog import render_rtl

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


@dataclass(frozen=True)
class Built:
    """A project on disk with what it must reproduce."""

    folder: Path
    network: QuantizedNetwork
    inputs: NDArray[np.uint8]


def emit(
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8],
    folder: Path,
    backend: str = "Vitis",
    io_type: str = "io_parallel",
    plans: tuple[ArrayPlan, ...] | None = None,
) -> Built:
    design = HlsDesign(plans or (SIMPLEST,) * len(network.arrays))
    settings, board = HlsSettings(backend, io_type), load_board("pynq-z2")
    core = convert(network, design, board, settings, folder.parent / f"{folder.name} by hls4ml")
    some, expected = inputs[:10], network.run(inputs[:10])
    ours = render_sources(network, design, settings.stream, some, expected)
    write_files(folder, {**core.files, **ours})
    return Built(folder, network, inputs)


MINE = """
name = "mine"
description = "A board of mine"
part = "xc7a35tcpg236-1"
family = "artix7"
clock_ns = 10

[resources]
lut = 20800
lutram = 9600
ff = 41600
bram_18k = 100
dsp = 90
uram = 0

[sources]
part = "s"
lut = "s"
lutram = "s"
ff = "s"
bram_18k = "s"
dsp = "s"
uram = "s"
"""
