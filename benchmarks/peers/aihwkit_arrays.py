"""Synapse arrays in aihwkit. Runs where it is installed; needs no synq.

    python aihwkit_arrays.py FOLDER

Reads and writes as `crosssim_arrays.py`. Its tiles hold signed weights: differences of conductances
as shares of the window.
"""

import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def layer_of(cells: Any, job: Any, step: float) -> Any:
    """A tile as aihwkit's analog layer without noise."""
    torch, nn = importlib.import_module("torch"), importlib.import_module("aihwkit.nn")
    configs = importlib.import_module("aihwkit.simulator.configs")
    low, high = map(float, job["window"])
    n_rows, n_out, _ = cells.shape
    config = configs.InferenceRPUConfig()
    forward = config.forward
    for name in ("inp_noise", "out_noise", "w_noise"):
        setattr(forward, name, 0.0)
    for name in ("inp_res", "inp_bound", "out_res", "out_bound"):
        setattr(forward, name, -1.0)
    if step:
        half = 2 ** (int(job["bits"]) - 1) - 1
        forward.out_bound = half * step / float(job["full"])
        forward.out_res = 1 / (2 * half)
    forward.noise_management = configs.NoiseManagementType.NONE
    forward.bound_management = configs.BoundManagementType.NONE
    config.mapping.max_input_size, config.mapping.max_output_size = 0, 0
    config.mapping.weight_scaling_omega = 0.0
    config.mapping.learn_out_scaling = config.mapping.weight_scaling_columnwise = False
    layer = nn.AnalogLinear(n_rows, n_out, bias=False, rpu_config=config)
    weights = (cells[..., 0] - cells[..., 1]) / (high - low)
    layer.set_weights(torch.from_numpy(weights.T.astype(np.float32)))
    return layer.eval()


def computed(cells: Any, job: Any, step: float, inputs: Any) -> Any:
    """The sums of an array, tile by tile."""
    torch, tile = importlib.import_module("torch"), int(job["tile_rows"])
    given = torch.from_numpy(inputs.astype(np.float32))
    with torch.no_grad():
        return float(job["full"]) * sum(
            layer_of(cells[first : first + tile], job, step)(given[:, first : first + tile]).numpy()
            for first in range(0, len(cells), tile)
        )


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        job = {name: loaded[name] for name in loaded.files}
    sums: dict[str, Any] = {}
    signal = job["inputs_0"]
    for index, step in enumerate(job["steps"]):
        cells, own = job[f"cells_{index}"], job[f"inputs_{index}"]
        sums[f"sums_{index}"] = computed(cells, job, float(step), own)
        bias = own[:, signal.shape[1] :]
        sums["chained"] = computed(cells, job, float(step), np.hstack([signal, bias]))
        signal = np.maximum(sums["chained"], 0)
    np.savez(folder / "sums.npz", **sums)
    (folder / "result.json").write_text(json.dumps({"version": version("aihwkit")}))


if __name__ == "__main__":
    main()
