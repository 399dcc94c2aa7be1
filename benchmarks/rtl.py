"""The Verilog of 784-128-10 beside its peers, on one trained network: cycles, resources, accuracy.

Every design of ours is simulated on all 10,000 test images, back to back on streams that never
wait and once more with random gaps and stalls, every integer compared with the reference: cycles
are Verilator's. Resources are Yosys' for 7-series after technology mapping, against an xc7z020:
nothing is placed, and it says nothing of the clock. da4ml's are its own estimate, published figures
are marked as such. The network is recipe `accurate`, fine-tuned for each design's bits and zeros.

    python benchmarks/rtl.py [--design NAME ...] [--da4ml PYTHON] [--plot FILE] [--small] [--json]

`--da4ml` names the Python of an environment with da4ml (it needs another numpy than synq).
`--small` takes a random network of 36-8-4 and two of the designs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from synq.board import load_board
from synq.cache import default_cache_dir
from synq.device import load_device
from synq.float_network import FloatNetwork
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.mnist import load_mnist
from synq.learn.finetune import finetuned_network
from synq.learn.train import FINETUNING, RECIPES, trained_network
from synq.network import QuantizedNetwork, first_difference
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.verilog import render_rtl
from synq.synth import yosys

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from samples import samples

BOARD = "pynq-z2"
_RESOURCES = ("lut", "lutram", "ff", "bram_18k", "dsp")


@dataclass(frozen=True)
class Network:
    """How the network is fine-tuned: its levels, bits, and the share of its zeros."""

    levels: int = 10
    pixel_bits: int = 8
    activation_bits: int = 8
    sparsity: float = 0.0

    @property
    def quantization(self) -> Quantization:
        return Quantization(
            self.levels, input_bits=self.pixel_bits, activation_bits=self.activation_bits
        )


@dataclass(frozen=True)
class Contender:
    """A design and the network it is for."""

    design: RtlDesign
    network: Network = Network()


_DECODED = RtlArray(0, 2, lanes=2)
_LATER_EVENTS = RtlArray(3, 2, True, lanes=8)
_UNROLLED = (RtlArray(0, 0, unrolled=True),) * 2
_SPARSE = Network(levels=5, pixel_bits=1, activation_bits=4, sparsity=0.8)
CONTENDERS = {
    "decode and multiply, 1 row": Contender(RtlDesign((RtlArray(0, 1), RtlArray(0, 1, lanes=2)))),
    "buckets, 1 row": Contender(RtlDesign((RtlArray(1, 0, buckets=8), RtlArray(0, 1, lanes=2)))),
    "buckets, 4 rows": Contender(RtlDesign((RtlArray(3, 1), _DECODED))),
    "buckets, 9 rows": Contender(RtlDesign((RtlArray(8, 1, buckets=8), _DECODED))),
    "events, 8 rows, 256-bit stream": Contender(
        RtlDesign((RtlArray(7, 1, True), _LATER_EVENTS), 256)
    ),
    "events, 10 rows, 4-bit pixels, 128-bit stream": Contender(
        RtlDesign((RtlArray(9, 1, True), _LATER_EVENTS), 128), Network(pixel_bits=4)
    ),
    "unrolled, 1-bit pixels": Contender(RtlDesign(_UNROLLED), _SPARSE),
    "unrolled, 1-bit pixels, 832-bit stream": Contender(
        RtlDesign(_UNROLLED, 832, wide_result(10)), _SPARSE
    ),
}
SMALL = ("buckets, 4 rows", "unrolled, 1-bit pixels")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        source: "measured", "estimated" (da4ml's own) or "published".
        cycles_mean: clock cycles an image; also the most. None where not known.
        percent: of the board's resources.
        seconds: compiling the simulation, running it twice, synthesis.
    """

    name: str
    source: str
    accuracy: float | None
    cycles_mean: float | None
    cycles_most: int | None = None
    latency: int | None = None
    lut: int | None = None
    lutram: int | None = None
    ff: int | None = None
    bram_18k: int | None = None
    dsp: int | None = None
    percent: dict[str, float] | None = None
    seconds: tuple[float, float, float] | None = None
    note: str = ""


# Cycles from images a second at the clock of the source.
PUBLISHED = [
    Row("FINN TFC-W1A1", "published", 92.96, 119, note="837 k images/s at 100 MHz, xc7z020"),
    Row("FINN SFC-max", "published", 95.8, 16, lut=91_000, note="12.3 M images/s, ZC706"),
    Row("BTHOWeN small", "published", 93.4, 25, lut=15_800, note="xc7z020"),
    Row("BTHOWeN medium", "published", 94.3, 37, lut=38_900, note="xc7z020"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--design", action="append", choices=list(CONTENDERS), help="only this one")
    parser.add_argument("--images", type=int, default=10_000, help="test images to simulate")
    parser.add_argument("--da4ml", metavar="PYTHON", help="Python with da4ml")
    parser.add_argument("--plot", type=Path, help="file of the plot")
    parser.add_argument("--small", action="store_true", help="a small network, two designs")
    options = parser.parse_args()
    rows: list[Row] = []

    def show(row: Row) -> None:
        rows.append(row)
        if not options.json:
            print(line(row), flush=True)

    for name in options.design or (SMALL if options.small else CONTENDERS):
        network, dataset = (small if options.small else prepared)(CONTENDERS[name].network)
        with tempfile.TemporaryDirectory() as scratch:
            design = CONTENDERS[name].design
            show(measure(name, design, network, dataset, options.images, Path(scratch)))
    if options.da4ml:
        for row in da4ml(options.da4ml):
            show(row)
    for row in PUBLISHED:
        show(row)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    if options.plot:
        plot(rows, options.plot)


@cache
def prepared(asked: Network) -> tuple[QuantizedNetwork, Dataset]:
    """The network fine-tuned so, and the data it takes."""
    store = default_cache_dir()
    dataset = load_mnist(None, store, SILENT)
    trained, _ = trained_network(RECIPES["accurate"], dataset, store, SILENT)
    choice, device = asked.quantization, load_device("pcmo")
    settings = FINETUNING.with_sparsity(asked.sparsity)
    tuned, ranges, _ = finetuned_network(trained, dataset, choice, device, settings, store, SILENT)
    dataset = with_input_bits(dataset, asked.pixel_bits)
    network = quantize_network(
        tuned, choice, device, dataset.input_format, dataset.train_inputs, ranges
    )
    return network, dataset


def small(asked: Network) -> tuple[QuantizedNetwork, Dataset]:
    """A random network of so many zeros, and the samples it takes."""
    with tempfile.TemporaryDirectory() as folder:
        random, dataset = samples(Path(folder))
    thinned = tuple(
        np.where(np.abs(weight) < np.quantile(np.abs(weight), asked.sparsity), 0, weight)
        for weight in random.weights
    )
    dataset = with_input_bits(dataset, asked.pixel_bits)
    network = quantize_network(
        FloatNetwork(thinned, random.biases),
        asked.quantization,
        load_device("pcmo"),
        dataset.input_format,
        dataset.train_inputs,
    )
    return network, dataset


def measure(
    name: str,
    design: RtlDesign,
    network: QuantizedNetwork,
    dataset: Dataset,
    n_images: int,
    scratch: Path,
) -> Row:
    """Simulate and synthesize one design."""
    inputs = dataset.test_inputs[:n_images]
    expected = network.run(inputs)
    place = scratch / "rtl"
    simulate.write_rtl(render_rtl(network, design), place)
    simulate.lint(place)

    start = time.perf_counter()
    executable = simulate.build(place, scratch / "build", design)
    built = time.perf_counter()
    run = simulate.run(executable, place, network, design, inputs, scratch / "free")
    traffic = simulate.Traffic(gap=0.3, stall=0.3, seed=1)
    other = simulate.run(executable, place, network, design, inputs, scratch / "random", traffic)
    ran = time.perf_counter()
    for each in (run, other):
        if difference := each.fault or first_difference(expected, each.stages, "the Verilog"):
            sys.exit(f"{name}: {difference}")

    begin = time.perf_counter()
    used = yosys.synthesize(render_rtl(network, design), scratch / "yosys").total
    synthesized = time.perf_counter()
    counts = {resource: getattr(used, resource) for resource in _RESOURCES}
    have = load_board(BOARD).resources
    return Row(
        name,
        "measured",
        round(expected.accuracy(dataset.test_labels[:n_images]), 2),
        round(float(np.mean(run.intervals)), 2),
        int(np.max(run.intervals)),
        int(run.ends[0]),
        **counts,
        percent={key: round(100 * n / getattr(have, key), 1) for key, n in counts.items()},
        seconds=(round(built - start, 1), round(ran - built, 1), round(synthesized - begin, 1)),
    )


_DA4ML = """
import json, sys, time
import numpy as np
from da4ml.cmvm import solve
weights, bits = np.load(sys.argv[1]).astype(np.float32), int(sys.argv[2])
start = time.perf_counter()
inputs = [(0.0, 2.0**bits - 1, 1.0)] * len(weights)
cost = solve(weights, qintervals=inputs, adder_size=1, carry_size=-1).cost
print(json.dumps([cost, time.perf_counter() - start]))
"""


def da4ml(python: str) -> list[Row]:
    """da4ml's own estimate for the sparse network: its first array outputs by outputs, as far as
    its solver goes, and its second."""
    network, _ = prepared(_SPARSE)
    rows = []
    for index, counts in ((0, (8, 16)), (1, (10,))):
        array = network.arrays[index]
        for count in counts:
            with tempfile.TemporaryDirectory() as scratch:
                np.save(Path(scratch) / "weights.npy", array.weights[: array.n_in, :count])
                command = [python, "-c", _DA4ML, str(Path(scratch) / "weights.npy")]
                command.append(str(array.input_format.width))
                done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"da4ml failed: {done.stderr.strip().splitlines()[-1]}")
            cost, seconds = json.loads(done.stdout)
            whole = cost * array.n_out / count
            rows.append(
                Row(
                    f"da4ml, {array.n_in} x {count}",
                    "estimated",
                    None,
                    1,
                    lut=round(cost),
                    seconds=(0.0, 0.0, round(seconds, 1)),
                    note=f"{whole:,.0f} LUT for all {array.n_out} outputs, in proportion",
                )
            )
    return rows


def line(row: Row) -> str:
    """A row as text."""
    parts = [f"{row.name:40} {row.source:9}"]
    parts.append(f"{row.accuracy:.2f} %" if row.accuracy is not None else " " * 7)
    parts.append(f"{row.cycles_mean:7.2f} cycles")
    if row.cycles_most is not None:
        parts.append(f"(most {row.cycles_most}, latency {row.latency})")
    for resource in _RESOURCES:
        if (count := getattr(row, resource)) is not None:
            share = f" ({row.percent[resource]} %)" if row.percent else ""
            parts.append(f"{resource} {count:,}{share}")
    if row.seconds is not None:
        parts.append("build {} s, runs {} s, synthesis {} s".format(*row.seconds))
    return "  ".join([*parts, row.note]).rstrip()


def plot(rows: list[Row], file: Path) -> None:
    """Cycles an image against look-up tables, with accuracies."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5))
    for number, row in enumerate(rows):
        if row.cycles_mean is None or row.lut is None or row.accuracy is None:
            continue
        published = row.source == "published"
        axes.scatter(
            row.cycles_mean,
            row.lut,
            s=60,
            color=f"C{number}",
            marker="x" if published else "o",
            label=f"{row.name}: {row.accuracy:.1f} %" + (" (published)" if published else ""),
        )
    have = load_board(BOARD).resources.lut
    axes.axhline(0.7 * have, linestyle=":", color="gray", label="70 % of the xc7z020")
    axes.set(xscale="log", xlabel="clock cycles an image", ylabel="look-up tables", ylim=(0, None))
    axes.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
