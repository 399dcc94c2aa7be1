"""Two chips in one core: a reloadable core is exported once, and chips are loaded into it.

Needs `synq` on PATH. What is loaded is a file a chip; the project's driver sends it to the running
core: `network.load("build/chip-1-load.npz")`, or `network.run_chips([...], images)` for both.
"""

import subprocess
from pathlib import Path

import synq

CORE = Path("build/reloadable")

data = synq.load_data("digits")
net = synq.quantize(synq.train(data, layers=[64, 16, 10]), data=data, levels=10)
# The sums of a chip may be wider than those of the design: a bit more for them.
request = synq.Request(
    target=synq.Target.AREA, datapath=synq.Datapath.DECODE, reloadable=True, headroom=1
)
synq.export(net, board="pynq-z2", flows=["rtl"], request=request, output=CORE)

for seed in (1, 2):
    chip = f"build/chip-{seed}.npz"
    load = f"build/chip-{seed}-load.npz"
    spread = ["--device-to-device", "0.1", "--stuck-at-min", "0.01"]
    program = ["synq", "program", CORE, "--seed", str(seed), *spread, "--output", chip]
    subprocess.run(program, check=True)
    subprocess.run(["synq", "load-image", CORE, "--chip", chip, "--output", load], check=True)
