"""The model of the Verilog core (`synq.rtl.estimate`) against Yosys, over a grid of designs.

Networks are random, with codebooks as differential pairs have them. Resources are Yosys' after
technology mapping for 7-series. Cycles are not measured here: tests compare them with Verilator.

    python benchmarks/rtl_model.py [--design N ...] [--large] [--small] [--json]

`--large` adds the full-size designs, a minute or more each; `--small` is the first two designs.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import QuantizedNetwork, SynapseArray
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import estimate_design
from synq.rtl.verilog import render_rtl
from synq.synth import yosys


@dataclass(frozen=True)
class Case:
    """A network and a design.

    Attributes:
        sizes: inputs of each layer, and outputs.
        levels: L, of every array.
        pixel_bits: of the inputs; also of the activations.
    """

    sizes: tuple[int, ...]
    design: RtlDesign
    levels: int = 10
    pixel_bits: int = 8
    activation_bits: int = 8
    bias: bool = False


def _rows(buckets: int, decoded: int, lanes: int = 1, extra: int | None = None) -> RtlArray:
    return RtlArray(buckets, decoded, lanes=lanes, buckets=extra)


def _events(buckets: int, decoded: int, lanes: int = 1, extra: int | None = None) -> RtlArray:
    return RtlArray(buckets, decoded, True, lanes, extra)


def _case(
    sizes: tuple[int, ...],
    *arrays: RtlArray,
    beat_bits: int = 64,
    levels: int = 10,
    pixel_bits: int = 8,
    activation_bits: int = 8,
    bias: bool = False,
) -> Case:
    design = RtlDesign(arrays, beat_bits)
    return Case(sizes, design, levels, pixel_bits, activation_bits, bias)


_SMALL = (100, 12, 10)
_MIDDLE = (200, 12, 10)
CASES = [
    _case((16, 8), _rows(0, 1)),
    _case((16, 8), _rows(1, 0)),
    _case((64, 16, 10), _rows(1, 0), _rows(0, 1, 2)),
    _case((64, 16, 10), _rows(2, 1), _rows(0, 2, 2)),
    _case(_SMALL, _rows(4, 1), _rows(0, 2, 4), levels=25),
    _case(_SMALL, _rows(4, 1), _rows(0, 3, 2), levels=3),
    _case(_SMALL, _rows(4, 1), _rows(0, 2, 2), pixel_bits=1),
    _case(_SMALL, _rows(4, 1), _rows(0, 2), pixel_bits=4, activation_bits=4),
    _case(_SMALL, _rows(8, 1, extra=8), _rows(0, 2, 2)),
    _case(_SMALL, _rows(9, 0), _rows(0, 1, 2)),
    _case(_SMALL, _events(7, 1), _rows(5, 1, 6), beat_bits=256),
    _case(_SMALL, _events(2, 1), _rows(0, 1, 2), pixel_bits=1),
    _case(_SMALL, _events(4, 1), _events(2, 2, 4), pixel_bits=4, activation_bits=4),
    _case(_SMALL, _rows(4, 1), _rows(1, 1, 2), levels=5, bias=True),
    _case(_MIDDLE, _events(3, 1), _events(3, 1, 6)),
    _case(_MIDDLE, _rows(3, 0), _rows(2, 0, 3)),
    _case(_MIDDLE, _rows(0, 3), _rows(0, 1), bias=True),
    _case(_MIDDLE, _rows(5, 2), _rows(2, 1, 3), bias=True),
    _case(_MIDDLE, _rows(5, 2), _rows(2, 1, 3), bias=True, beat_bits=128),
    _case(_MIDDLE, _rows(7, 1, extra=8), _rows(0, 1, 2), levels=8),
    _case(_MIDDLE, _rows(0, 9), _rows(0, 2, 2), levels=6),
    _case(_MIDDLE, _rows(2, 2), _rows(1, 1, 2), levels=16),
    _case((256, 16, 12, 10), _rows(4, 1), _rows(1, 1, 2), _rows(0, 1, 2), levels=16),
    _case(
        (256, 12, 12, 10),
        *(_events(6, 1), _events(2, 1, 4), _rows(0, 2, 2)),
        levels=5,
        pixel_bits=4,
    ),
    _case((48, 12, 24, 10), _rows(0, 9), _rows(0, 2, 6), _rows(0, 1, 3)),
    _case((64, 12, 10, 8, 6), _rows(3, 1), _rows(1, 1, 2), _rows(0, 1, 2), _rows(0, 1, 2)),
    _case((400, 24, 10), _rows(1, 0, extra=12), _rows(0, 1, 2), levels=12),
    _case((400, 24, 10), _rows(6, 0, extra=12), _rows(1, 0, 4), levels=12),
    _case((400, 40, 10), _events(6, 0), _events(4, 0, 4)),
    _case((400, 32, 10), _rows(6, 1, extra=8), _rows(0, 1, 2)),
    _case((784, 16, 10), _rows(8, 1), _rows(0, 1, 2)),
    _case((784, 24, 10), _rows(1, 0, extra=8), _rows(0, 1, 2), pixel_bits=4),
]
LARGE = [
    _case((784, 128, 10), _rows(8, 1, extra=8), _rows(0, 2, 2)),
    _case((784, 128, 10), _events(7, 1), _events(3, 2, 8), beat_bits=256),
    _case((784, 128, 10), _rows(1, 0, extra=8), _rows(0, 1, 2)),
]


def network_of(case: Case) -> QuantizedNetwork:
    """A random network of a case; the same one every time."""
    random = np.random.default_rng(0)
    form = FixedPoint(case.pixel_bits, 0, signed=False)
    arrays: list[SynapseArray] = []
    activations: list[FixedPoint] = []
    magnitudes = np.sort(random.choice(127, max(1, case.levels // 2), replace=False)) + 1
    zero = [0] if case.levels % 2 else []
    codebook = np.array([*-magnitudes[::-1], *zero, *magnitudes], dtype=np.int64)
    for n_in, n_out in pairwise(case.sizes):
        if arrays:
            form = FixedPoint(
                case.activation_bits,
                arrays[-1].accumulator.integer - 1,
                signed=False,
                rounding=Rounding.RND_CONV,
                overflow=Overflow.SAT,
            )
            activations.append(form)
        # Trained weights are mostly small.
        rank = np.abs(np.arange(len(codebook)) - (len(codebook) - 1) / 2)
        share = np.exp(-rank / max(1, len(codebook) / 5))
        size = (n_in + case.bias, n_out)
        codes = random.choice(len(codebook), size, p=share / share.sum()).astype(np.uint8)
        bias_input = form.max_raw if case.bias else None
        table = FixedPoint(8, 1, signed=True)
        arrays.append(SynapseArray(codes, codebook, table, form, bias_input, 1.0))
    return QuantizedNetwork(tuple(arrays), tuple(activations))


@dataclass(frozen=True)
class Compared:
    """A row of the table: the estimate, what Yosys says, and the error in percent of that."""

    design: str
    estimated: dict[str, int]
    yosys: dict[str, int]
    error: dict[str, float]
    latency: int
    interval: int
    seconds: float


def compare(case: Case, scratch: Path) -> Compared:
    """Estimate and synthesize one design."""
    network = network_of(case)
    estimate = estimate_design(network, case.design)
    simulate.write_rtl(render_rtl(network, case.design), scratch / "rtl")
    start = time.perf_counter()
    used = asdict(yosys.synthesize(render_rtl(network, case.design), scratch / "yosys").total)
    guessed = {name: getattr(estimate.resources, name) for name in used}
    return Compared(
        design=_text(case),
        estimated=guessed,
        yosys=used,
        error={
            name: round(100 * (guessed[name] - have) / max(1, have), 1)
            for name, have in used.items()
        },
        latency=estimate.latency,
        interval=estimate.interval,
        seconds=round(time.perf_counter() - start, 1),
    )


def _text(case: Case) -> str:
    arrays = ", ".join(
        f"{array.bucket_rows}+{array.decoded_rows}"
        + ("e" if array.event_driven else "")
        + (f" b{array.buckets}" if array.buckets else "")
        + (f" l{array.lanes}" if index else "")
        for index, array in enumerate(case.design.arrays)
    )
    sizes = "-".join(map(str, case.sizes))
    bits = f"{case.pixel_bits}/{case.activation_bits} bits"
    bias = ", bias" if case.bias else ""
    return f"{sizes} L{case.levels} {bits}{bias} beat {case.design.beat_bits}: {arrays}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--large", action="store_true", help="the full-size designs, too")
    parser.add_argument("--design", action="append", type=int, help="only this number of the grid")
    parser.add_argument("--small", action="store_true", help="the first two designs")
    options = parser.parse_args()
    count = 2 if options.small else len(CASES) + (len(LARGE) if options.large else 0)
    rows = []
    for number in options.design or range(count):
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(compare((CASES + LARGE)[number], Path(scratch)))
        if not options.json:
            print(line(number, rows[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    for name in ("lut", "lutram", "ff", "bram_18k", "dsp"):
        errors = [abs(row.error[name]) for row in rows]
        print(f"{name}: {max(errors):.1f} % at worst, {np.mean(errors):.1f} % on average")


def line(number: int, row: Compared) -> str:
    counts = "  ".join(
        f"{name} {row.estimated[name]}/{row.yosys[name]} ({row.error[name]:+.1f} %)"
        for name in row.yosys
    )
    return f"{number:2} {row.design:70} {counts}  {row.seconds} s"


if __name__ == "__main__":
    main()
