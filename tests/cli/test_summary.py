"""What `synq-export` says at its end: all that matters, on one screen of 24 lines of 80 columns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samples import SIZES, samples
from synq.board import load_board
from synq.chip import Conditions
from synq.cli.export import _print
from synq.exporting import ChipChoice, Export
from synq.learn.data.load import Data
from synq.learn.prepare import Quantized, Source, Stopwatch, prepare
from synq.learn.train import RECIPES
from synq.planning import make_plan
from synq.progress import SILENT
from synq.quantizing import Quantization
from synq.request import Flow, Request
from synq.rtl.back_end import RtlSimulation
from synq.tile import Tile
from synq.variation import Variation

COLUMNS, LINES = 80, 24 - 1  # one is the prompt's
DEEP = (36, 16, 16, 12, 12, 8, 8, 4)
HLS, RTL = Flow.HLS, Flow.RTL
COMPARED = {HLS: ("qkeras", "hls4ml", "csim", "axis"), RTL: ("rtl",)}


def prepared(folder: Path, sizes: tuple[int, ...] = SIZES, converters: bool = False) -> Quantized:
    samples(folder, sizes=sizes)
    data = Data(folder / "mine.npz")
    source = Source(RECIPES["paper"], folder / "mine.safetensors", data, None, folder / "cache")
    choice = Quantization(10)
    if converters:
        choice = Quantization(10, tile=Tile(8, 4), adc_bits=6, read_noise=0.05)
    return prepare(source, "pcmo", choice, Stopwatch(), SILENT)


def exported(made: Quantized, flows: tuple[Flow, ...], board: str, request: Request) -> Export:
    """As if it had been exported."""
    chosen = load_board(board)
    scores, reference = made.scores, made.scores.stages["reference"]
    for flow, stage in ((HLS, "csim"), (RTL, "rtl")):
        if flow in flows:
            scores = scores.with_stage(stage, reference)
    compared = {check: 99_999_999 for flow in flows for check in COMPARED[flow]}
    return Export(
        Path("build/mine"),
        made,
        scores,
        made.quantization,
        chosen,
        "Vitis",
        {flow: make_plan(made.network, chosen, request, flow) for flow in flows},
        {"images": 200, "mismatches": 0, "compared": compared},
        98_765.0 if HLS in flows else None,
        RtlSimulation(np.zeros(200, int), 9, 12_345.6, 23_456, 34_567) if RTL in flows else None,
        {},
    )


def printed(result: Export, capsys: pytest.CaptureFixture[str]) -> list[str]:
    _print(result)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("flows", "board", "sizes", "converters", "events"),
    [
        ((HLS,), "pynq-z2", SIZES, False, False),
        ((RTL,), "ulx3s-85f", SIZES, False, False),
        ((HLS, RTL), "kv260", SIZES, False, True),
        ((HLS, RTL), "pynq-z2", DEEP, False, False),
        ((RTL,), "pynq-z2", SIZES, True, False),
    ],
)
def test_it_fits_a_screen(
    flows: tuple[Flow, ...],
    board: str,
    sizes: tuple[int, ...],
    converters: bool,
    events: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = prepared(tmp_path, sizes, converters)
    lines = printed(exported(made, flows, board, Request(event_driven=events)), capsys)
    assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS, lines
    text = "\n".join(lines)
    for name, score in made.scores.stages.items():
        assert f"{score:.2f}" in text, name
    for flow in flows:
        assert any(line.startswith(f"{flow.value}  ") for line in lines)
    assert "Bit-exact: 200 samples" in text or "Bit-exact: 200 images" in text
    assert "Details: build/mine/report.html" in lines and "Next: synq verify build/mine" in lines
    assert ("Verilator: " in text) == (RTL in flows)
    assert ("needs AMD's tools" in text) == (HLS in flows)
    assert ("7 arrays" in text) == (sizes is DEEP)
    assert ("converters of 6 bits, read noise" in text) == converters
    assert (">=" in text) == events


def test_both_flows_of_a_chip_over_budget_fit_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longest one that there is."""
    chip = prepared(tmp_path, converters=True)
    chip = chip.on_chip(ChipChoice(None, 7, Conditions(Variation(0.1))).of(chip))
    result = exported(chip, (HLS, RTL), "kv260", Request())
    tiny = replace(result.board.resources, lut=100, ff=100, bram_18k=1, dsp=1, lutram=10)
    lines = printed(replace(result, board=replace(result.board, resources=tiny)), capsys)
    assert any(line.startswith("Over the board's budget: ") for line in lines)
    assert len(lines) <= LINES, lines
    assert max(map(len, lines)) <= COLUMNS, lines
