"""aihwkit's own fit of pulses up, then down. Runs where it is installed; needs no synq.

    python aihwkit_fit.py FOLDER

`FOLDER/job.npz`: `up`, `down`, responses after each pulse. Writes `FOLDER/result.json`: of each
device model the root mean square of its fit's errors.
"""

import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main() -> None:
    folder = Path(sys.argv[1])
    fitting = importlib.import_module("aihwkit.utils.fitting")
    configs = importlib.import_module("aihwkit.simulator.configs")
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        up, down = loaded["up"], loaded["down"]
    responses = np.concatenate([up, down]).astype(np.float32)
    pulses = np.repeat(np.array([1.0, -1.0], dtype=np.float32), [len(up), len(down)])
    found = {}
    for model in ("SoftBoundsDevice", "LinearStepDevice", "ExpStepDevice", "PowStepDevice"):
        width = float(np.ptp(responses))
        asked = {
            "dw_min": (width / len(up), width / len(up) / 20, width / len(up) * 20),
            "up_down": (0.0, -0.9, 0.9),
            # Its bounds are to lie around 0.
            "w_max": (float(responses.max()), 0.01 * width, 4 * width),
            "w_min": (float(responses.min()), -4 * width, -0.01 * width),
        }
        if model == "LinearStepDevice":
            asked |= {"gamma_up": (0.1, -1.0, 1.0), "gamma_down": (0.1, -1.0, 1.0)}
        if model == "ExpStepDevice":
            asked |= {"A_up": (1e-3, -0.5, 0.5), "A_down": (-1e-3, -0.5, 0.5)}
            asked |= {"gamma_up": (10.0, 0.0, 20.0), "gamma_down": (10.0, 0.0, 20.0)}
        if model == "PowStepDevice":
            asked |= {"pow_gamma": (1.0, 0.1, 5.0)}
        device = getattr(configs, model)()
        _, _, response = fitting.fit_measurements(asked, pulses, responses, device_config=device)
        error = np.asarray(response).ravel() - responses
        found[model] = float(np.sqrt(np.mean(error**2)))
    (folder / "result.json").write_text(
        json.dumps({"version": version("aihwkit"), "residual": found})
    )


if __name__ == "__main__":
    main()
