"""From measured pulses to yield: fit a device, quantize for it, program chips, count the good ones.

A measurement of your own is a CSV with a column a cell and a line a pulse.
"""

from pathlib import Path

import numpy as np

import synq

build = Path("build")
build.mkdir(exist_ok=True)

# In place of a measurement: eight cells of 40 pulses, in siemens.
random = np.random.default_rng(1)
curve = 1e-8 + 4e-8 * (1 - np.exp(-np.arange(40) / 12))
cells = np.column_stack([curve * (1 + 0.08 * random.normal()) for _ in range(8)])
cells += np.cumsum(random.normal(0, 2e-10, cells.shape), axis=0)
np.savetxt(build / "pulses.csv", cells, delimiter=",", header=",".join("abcdefgh"), comments="")

mine = synq.fit_device(build / "pulses.csv", name="mine")
(build / "mine.toml").write_text(mine.to_toml())  # for the commands, as --device build/mine.toml
for branch, fit in mine.fit.branches.items():
    label = fit.nonlinearity
    print(f"{branch}: nonlinearity {label.value:.2f}, between {label.low:.2f} and {label.high:.2f}")

data = synq.load_data("digits")
net = synq.quantize(synq.train(data), data=data, device=mine.device, levels=10)
chip = synq.program(net, seed=7, programming="open-loop")
spread = net.device.variation
print(f"cells spread by {100 * spread.device_to_device:.1f} % of their conductance")
print(f"design {net.accuracy():.2f} %, chip 7 {chip.accuracy():.2f} %")

found = synq.chips(
    net,
    count=50,
    threshold=90,
    conditions=synq.Conditions(spread, synq.Programming.OPEN_LOOP),
    output=build / "chips",
)
print(f"{found.good} of {len(found.scores)} chips reach 90 %, the worst {found.worst:.2f} %")
