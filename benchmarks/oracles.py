"""synq's physics beside simulators of analog arrays: the same conductances, what each computes.

- The arrays of a network and of a chip in CrossSim and aihwkit, in floating point: each array's
  sums, and how many test samples are right, with exact sums and with converters at tiles.
- Voltages of crossbars with wires beside badcrossbar's.
- The residual of synq's fit of measured pulses beside aihwkit's own fits.

    python benchmarks/oracles.py [--python PYTHON] [--crosssim FOLDER] [--pulses CSV] [--small]
                                 [--json]

`--python` is the Python of an environment with aihwkit and badcrossbar, and what CrossSim needs
(numpy and scipy); `--crosssim` the folder of CrossSim's source; without, their rows say "not
installed". `--pulses` holds normalized conductances, pulses up and pulses down, as the example data
of aihwkit do (`gong_et_al.csv`). `--small` is the digits network.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from networks import run_script
from numpy.typing import NDArray

import synq
from synq.chip import Conditions, full_scale, polarities, program
from synq.device_fit import fit_device
from synq.errors import SynqError
from synq.learn.prepare import Quantized
from synq.network import QuantizedNetwork, Trace, classes_of
from synq.pulses import Unit, read_pulses
from synq.variation import Variation
from synq.wires import crossbar_conductance, node_voltages

TILE, ADC_BITS = "128x128", 6
CHIP = Variation(device_to_device=0.1, stuck_at_min=0.005, stuck_at_max=0.005)
WIRES = ((32, 10.0), (128, 1.0))  # rows and columns; ohms of a segment
SIMULATORS = (("CrossSim", "crosssim_arrays.py"), ("aihwkit", "aihwkit_arrays.py"))


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        ours, theirs: the number that both have; None of a side that has none.
        note: what was compared, or why nothing was.
    """

    oracle: str
    what: str
    ours: float | None = None
    theirs: float | None = None
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", metavar="PYTHON", help="Python with aihwkit and badcrossbar")
    parser.add_argument("--crosssim", metavar="FOLDER", type=Path, help="CrossSim's source")
    parser.add_argument("--pulses", metavar="CSV", type=Path, help="normalized pulses up and down")
    parser.add_argument("--small", action="store_true", help="the digits network, small crossbars")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args()
    rows: list[Row] = []
    for row in compared(options):
        rows.append(row)
        print(line(row), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))


def compared(options: argparse.Namespace) -> Iterator[Row]:
    """All rows."""
    python: str | None = options.python
    data = synq.load_data("digits" if options.small else "mnist")
    trained = synq.train(data, recipe="paper")
    exact = synq.quantize(trained, data=data)
    read = synq.quantize(trained, data=data, tile=TILE, adc_bits=ADC_BITS)
    for name, script in SIMULATORS:
        source = options.crosssim.resolve() if name == "CrossSim" and options.crosssim else None
        yield from simulated(name, script, python, source, exact, read)
    for size, resistance in WIRES[:1] if options.small else WIRES:
        yield wires(size, resistance, python)
    if options.pulses:
        yield fits(options.pulses, python)


def simulated(
    name: str,
    script: str,
    python: str | None,
    source: Path | None,
    exact: Quantized,
    read: Quantized,
) -> Iterator[Row]:
    """A simulator of arrays: the design, a chip, and converters.

    Args:
        source: a folder that the simulator is found in, where it is not installed.
    """
    rounded = [
        exact.device.window(exact.quantization.branch).conductance(
            polarities(array.weights / full_scale(array.table_format), exact.quantization.mapping)
        )
        for array in exact.network.arrays
    ]
    chip = program(exact.network, exact.device, exact.quantization, Conditions(CHIP))
    cells = [each.actual for each in chip.cells]
    for what, quantized, network, conductances in (
        ("design", exact, exact.network, rounded),
        ("chip, spread 10 %, stuck 1 %", exact, chip.network, cells),
        (f"converters of {ADC_BITS} bits at tiles of {TILE}", read, read.network, rounded),
    ):
        if python is None:
            yield Row(name, what, note="not installed")
            continue
        try:
            trace = network.run(quantized.dataset.test_inputs)
            job = job_of(quantized, network, trace, conductances)
            job["source"] = "" if source is None else str(source)
            with tempfile.TemporaryDirectory() as scratch:
                version = run_script(script, python, job, Path(scratch))["version"]
                with np.load(Path(scratch) / "sums.npz", allow_pickle=False) as loaded:
                    sums = {each: loaded[each] for each in loaded.files}
            yield from arrays(f"{name} {version}", what, quantized, network, trace, sums)
        except SynqError as error:
            yield Row(name, what, note=str(error))


def arrays(
    oracle: str,
    what: str,
    quantized: Quantized,
    network: QuantizedNetwork,
    trace: Trace,
    sums: dict[str, NDArray[np.float64]],
) -> Iterator[Row]:
    """Accuracy, and each array's sums, of the same conductances."""
    labels = quantized.dataset.test_labels
    right = float(np.mean(classes_of(sums["chained"]) == labels) * 100)
    yield Row(oracle, f"{what}: accuracy", trace.accuracy(labels), right)
    for index, (array, own) in enumerate(zip(network.arrays, trace.accumulators, strict=True)):
        off = np.abs(own * array.sum_step - sums[f"sums_{index}"])
        told = f"{own.size:,} sums"
        if array.converter is None:
            worst = float(off.max() / np.abs(own * array.sum_step).max())
            told += f": at most {worst:.1e} of the largest apart"
        else:
            others = np.count_nonzero(off > array.converter.format.step / 4)
            told += f": {others:,} are another multiple of a converter's step"
        yield Row(oracle, f"{what}: array {index}", note=told)


def job_of(
    quantized: Quantized,
    network: QuantizedNetwork,
    trace: Trace,
    conductances: list[NDArray[np.float64]],
) -> dict[str, Any]:
    """What a script is given of a network: conductances in siemens, inputs in real numbers."""
    window = quantized.device.window(quantized.quantization.branch)
    table = network.arrays[0].table_format
    tile = quantized.quantization.tile
    job: dict[str, Any] = {
        "window": [window.low, window.high],
        "full": full_scale(table) * table.step,
        "bits": ADC_BITS,
        "tile_rows": network.arrays[0].n_rows if tile is None else tile.rows,
        "steps": [
            0.0 if array.converter is None else array.converter.format.step
            for array in network.arrays
        ],
    }
    for index, (array, signal) in enumerate(
        zip(network.arrays, (quantized.dataset.test_inputs, *trace.activations), strict=True)
    ):
        rows = signal.astype(np.float64)
        if array.bias_input is not None:
            rows = np.hstack([rows, np.full((len(rows), 1), float(array.bias_input))])
        job[f"inputs_{index}"] = rows * array.input_format.step
        job[f"cells_{index}"] = conductances[index]
    return job


def wires(size: int, resistance: float, python: str | None) -> Row:
    """Voltages at every node of a crossbar, for each row driven alone."""
    what = f"wires of {resistance:g} Ohm, {size} x {size} cells"
    if python is None:
        return Row("badcrossbar", what, note="not installed")
    cells = np.random.default_rng(size).uniform(1e-6, 1e-4, (size, size))
    with tempfile.TemporaryDirectory() as scratch:
        job = {"cells": cells, "resistance": resistance}
        try:
            version = run_script("badcrossbar_nodes.py", python, job, Path(scratch))["version"]
        except SynqError as error:
            return Row("badcrossbar", what, note=str(error))
        with np.load(Path(scratch) / "sums.npz", allow_pickle=False) as loaded:
            voltages, currents = loaded["voltages"], loaded["currents"]
    of_nodes = relative(node_voltages(cells, resistance), voltages)
    of_readers = relative(crossbar_conductance(cells, resistance), currents)
    note = f"{voltages.size:,} node voltages: at most {of_nodes:.1e} relative; "
    note += f"{currents.size:,} currents: {of_readers:.1e}"
    return Row(f"badcrossbar {version}", what, note=note)


def relative(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """The largest relative difference."""
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def fits(path: Path, python: str | None) -> Row:
    """Root mean squares of the fits' errors on pulses up, then down."""
    what = f"fit of {path.name}, residual"
    traces, _ = read_pulses(path, unit=Unit.NORMALIZED)
    points = sum(len(trace.conductance) for trace in traces)
    squares = sum(
        (branch.residual * (branch.g_max.value - branch.g_min.value)) ** 2 * points / len(traces)
        for branch in fit_device(traces).branches.values()
    )
    ours = float(np.sqrt(squares / points))
    if python is None:
        return Row("aihwkit", what, ours, note="not installed")
    up, down = (trace.conductance for trace in traces)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = run_script("aihwkit_fit.py", python, {"up": up, "down": down}, Path(scratch))
        except SynqError as error:
            return Row("aihwkit", what, ours, note=str(error))
    best = min(found["residual"], key=found["residual"].get)
    note = ", ".join(f"{model} {value:.4f}" for model, value in found["residual"].items())
    return Row(f"aihwkit {found['version']}", what, ours, found["residual"][best], note)


def line(row: Row) -> str:
    """For people, and for docs/devices.md."""
    numbers = ["" if value is None else f"{value:.4g}" for value in (row.ours, row.theirs)]
    return f"| {row.oracle} | {row.what} | {' | '.join(numbers)} | {row.note} |"


if __name__ == "__main__":
    main()
