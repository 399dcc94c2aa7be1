"""The Verilog of 784-128-10 at L = 10, measured: cycles an image, and resources of an xc7z020.

Cycles are counted by Verilator, all 10,000 test images back to back on streams that never wait;
every sum, activation, logit and class is compared with the integer reference, there and once more
with random gaps and stalls. Resources are Yosys' after technology mapping: not Vivado's, and no
timing.

    python benchmarks/rtl.py [--design NAME ...] [--images N] [--json]
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from synq.board import load_board
from synq.cache import default_cache_dir
from synq.data import load_mnist, with_input_bits
from synq.device import load_device
from synq.progress import SILENT
from synq.quantize import Quantization, quantize_network
from synq.rtl import simulate, yosys
from synq.rtl.verilog import RtlArray, RtlDesign, render_rtl
from synq.train import RECIPES, trained_network


@dataclass(frozen=True)
class Contender:
    """A design, and the bits of a pixel that it is measured with."""

    pixel_bits: int
    design: RtlDesign


_EVENTS = (RtlArray(7, 1, event_driven=True), RtlArray(5, 1, lanes=6))
CONTENDERS = {
    "fast": Contender(8, RtlDesign((RtlArray(8, 1), RtlArray(0, 2, lanes=2)))),
    "events": Contender(8, RtlDesign(_EVENTS, beat_bits=256)),
    "events, 4 bits": Contender(4, RtlDesign(_EVENTS)),
    "small": Contender(8, RtlDesign((RtlArray(1, 0, buckets=8), RtlArray(0, 1, lanes=2)))),
}
BOARD = "pynq-z2"


@dataclass(frozen=True)
class Measured:
    """A row of the table.

    Attributes:
        exact: whether every integer equals the reference, without and with random traffic.
        cycles_mean: from an image's answer to the next one's; also the most.
        latency: cycles from reset to the first answer.
        percent: of the board's resources.
        build_s: seconds to compile the simulation; also to run it, and to synthesize.
    """

    design: str
    beat_bits: int
    pixel_bits: int
    accuracy: float
    exact: bool
    cycles_mean: float
    cycles_most: int
    latency: int
    lut: int
    lutram: int
    ff: int
    bram_18k: int
    dsp: int
    percent: dict[str, float]
    layers: dict[str, dict[str, int]]
    build_s: float
    run_s: float
    synthesis_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--images", type=int, default=10_000, help="test images to simulate")
    parser.add_argument("--design", action="append", choices=list(CONTENDERS), help="only this one")
    options = parser.parse_args()
    rows = []
    for name in options.design or CONTENDERS:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(measure(name, CONTENDERS[name], options.images, Path(scratch)))
        if not options.json:
            print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))


def measure(name: str, contender: Contender, n_images: int, scratch: Path) -> Measured:
    """Simulate and synthesize one design."""
    dataset = load_mnist(None, default_cache_dir(), SILENT)
    trained, _ = trained_network(RECIPES["paper"], dataset, default_cache_dir(), SILENT)
    dataset = with_input_bits(dataset, contender.pixel_bits)
    network = quantize_network(
        trained,
        Quantization(10, input_bits=contender.pixel_bits),
        load_device("pcmo"),
        dataset.input_format,
        dataset.train_inputs,
    )
    inputs, design = dataset.test_inputs[:n_images], contender.design
    place = scratch / "rtl"
    simulate.write_rtl(render_rtl(network, design), place)
    simulate.lint(place)

    start = time.perf_counter()
    executable = simulate.build(place, scratch / "build", design.beat_bits)
    built = time.perf_counter()
    run = simulate.run(executable, place, network, design, inputs, scratch / "free")
    ran = time.perf_counter()
    random = simulate.Traffic(gap=0.3, stall=0.3, seed=1)
    other = simulate.run(executable, place, network, design, inputs, scratch / "random", random)
    expected = network.run(inputs)

    begin = time.perf_counter()
    synthesis = yosys.synthesize(place, scratch / "yosys")
    synthesized = time.perf_counter()
    used, have = synthesis.total, load_board(BOARD).resources
    return Measured(
        design=name,
        beat_bits=design.beat_bits,
        pixel_bits=contender.pixel_bits,
        accuracy=expected.accuracy(dataset.test_labels[:n_images]),
        exact=run.difference(expected) is None and other.difference(expected) is None,
        cycles_mean=round(float(np.mean(run.intervals)), 2),
        cycles_most=int(np.max(run.intervals)),
        latency=int(run.ends[0]),
        lut=used.lut,
        lutram=used.lutram,
        ff=used.ff,
        bram_18k=used.bram_18k,
        dsp=used.dsp,
        percent={
            "lut": round(100 * used.lut / have.lut, 1),
            "ff": round(100 * used.ff / have.ff, 1),
            "bram_18k": round(100 * used.bram_18k / have.bram_18k, 1),
            "dsp": round(100 * used.dsp / have.dsp, 1),
        },
        layers={layer: asdict(usage) for layer, usage in synthesis.layers.items()},
        build_s=round(built - start, 1),
        run_s=round(ran - built, 1),
        synthesis_s=round(synthesized - begin, 1),
    )


def line(row: Measured) -> str:
    return (
        f"{row.design:15} {row.accuracy:.2f} % {'exact' if row.exact else 'WRONG':5} "
        f"{row.cycles_mean:7.2f} cycles (most {row.cycles_most}, latency {row.latency})  "
        f"LUT {row.lut} ({row.percent['lut']} %, {row.lutram} as memory)  FF {row.ff}  "
        f"BRAM18 {row.bram_18k} ({row.percent['bram_18k']} %)  "
        f"DSP {row.dsp} ({row.percent['dsp']} %)  "
        f"build {row.build_s} s, run {row.run_s} s, synthesis {row.synthesis_s} s"
    )


if __name__ == "__main__":
    main()
