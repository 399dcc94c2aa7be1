"""Synapse arrays in CrossSim. Runs where numpy and scipy are; needs no synq.

    python crosssim_arrays.py FOLDER

`FOLDER/job.npz`: `window`, the least and the greatest siemens of a cell; `full`, what the weight of
a whole window counts; of each array `cells_0`, ... (n_rows, n_out, 2) siemens of + and -;
`inputs_0`, ... (n_samples, n_rows) reals; `steps`, of the converters of each array, 0 without;
`bits`, of a converter; `tile_rows`; `source`, the folder that `simulator` is in.

Writes `FOLDER/sums.npz`: `sums_0`, ... (n_samples, n_out) of each array's own inputs, and
`chained`, the last sums where each array's inputs are the ReLU of the sums before it; and
`FOLDER/result.json`. The public source is called, not copied.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def core_of(cells: Any, job: Any, step: float) -> Any:
    """A tile as CrossSim's balanced core."""
    simulator = importlib.import_module("simulator")
    limits = importlib.import_module("simulator.parameters.xbar_parameters").ADCRangeLimits
    low, high = map(float, job["window"])
    n_rows, n_out, _ = cells.shape
    params = simulator.CrossSimParameters()
    params.core.style, params.core.balanced.style = "BALANCED", "ONE_SIDED"
    params.core.rows_max, params.core.cols_max = n_rows, n_out
    params.core.mapping.weights.percentile = None
    params.core.mapping.weights.min, params.core.mapping.weights.max = -1.0, 1.0
    params.simulation.disable_fast_balanced = True
    params.xbar.device.Rmin, params.xbar.device.Rmax = 1 / high, 1 / low
    if step:
        # Its sums are of conductances as shares of the greatest.
        top = (2 ** (int(job["bits"]) - 1) - 1) * step / float(job["full"]) * (1 - low / high)
        params.xbar.adc.mvm.model = "SignMagnitudeADC"  # which makes other parameters
        params.xbar.adc.mvm.bits = int(job["bits"])
        params.xbar.adc.mvm.adc_range_option = limits.CALIBRATED
        params.xbar.adc.mvm.calibrated_range = [-top, top]
    core = simulator.AnalogCore(np.zeros((n_out, n_rows)), params)
    core.set_matrix(np.zeros((n_out, n_rows)))
    # The cells as they are, in place of those that its own mapping would program.
    part = cells.transpose(2, 1, 0) / high
    core.cores[0][0].core_pos.set_matrix(part[0])
    core.cores[0][0].core_neg.set_matrix(part[1])
    return core


def computed(cells: Any, job: Any, step: float, inputs: Any) -> Any:
    """The sums of an array, tile by tile."""
    tile = int(job["tile_rows"])
    return float(job["full"]) * sum(
        core_of(cells[first : first + tile], job, step).matmat(inputs[:, first : first + tile].T).T
        for first in range(0, len(cells), tile)
    )


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        job = {name: loaded[name] for name in loaded.files}
    sys.path.insert(0, str(job["source"]))
    steps = job["steps"]
    sums: dict[str, Any] = {}
    signal = job["inputs_0"]
    for index, step in enumerate(steps):
        cells, own = job[f"cells_{index}"], job[f"inputs_{index}"]
        sums[f"sums_{index}"] = computed(cells, job, float(step), own)
        bias = own[:, signal.shape[1] :]  # a row that is driven by a constant
        sums["chained"] = computed(cells, job, float(step), np.hstack([signal, bias]))
        signal = np.maximum(sums["chained"], 0)
    np.savez(folder / "sums.npz", **sums)
    (folder / "result.json").write_text(json.dumps({"version": version()}))


def version() -> str:
    """As its packaging says, beside the package."""
    source = Path(importlib.import_module("simulator").__path__[0]).parent / "pyproject.toml"
    told = [line for line in source.read_text().splitlines() if line.startswith("version")]
    return told[0].split('"')[1]


if __name__ == "__main__":
    main()
