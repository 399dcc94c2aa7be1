"""Two chips in one core: a reloadable core is exported once, and chips are loaded into it.

Needs `synq` on PATH. What is loaded is a file a chip; the project's driver sends it to the running
core: `network.load("build/chip-1-load.npz")`, or `network.run_chips([...], images)` for both. Here
Verilator stands in for the board, by `synq.rtl.simulate`, which is no part of the public API.
"""

import subprocess
from pathlib import Path

import numpy as np

import synq
from synq.rtl import simulate

CORE = Path("build/reloadable")

data = synq.load_data("digits")
net = synq.quantize(synq.train(data, layers=[64, 16, 10]), data=data, levels=10)
# The sums of a chip may be wider than those of the design: a bit more for them.
request = synq.Request(
    target=synq.Target.AREA, datapath=synq.Datapath.DECODE, reloadable=True, headroom=1
)
project = synq.export(net, board="pynq-z2", flows=["rtl"], request=request, output=CORE)

words = []
for seed in (1, 2):
    chip, load = f"build/chip-{seed}.npz", f"build/chip-{seed}-load.npz"
    program = ["synq", "program", CORE, "--seed", str(seed), "--device-to-device", "0.1"]
    subprocess.run([*program, "--output", chip], check=True)
    subprocess.run(["synq", "load-image", CORE, "--chip", chip, "--output", load], check=True)
    words.append(np.load(load)["words"])

# All test images with chip 1, then all with chip 2, without a pause.
images = data.test_inputs
design = project.plans[synq.Flow.RTL].chosen.core
core = simulate.build(CORE / "rtl", Path("build/simulation"), design)
run = simulate.run(
    core,
    CORE / "rtl",
    net.network,
    design,
    np.concatenate([images, images]),
    Path("build/run"),
    networks={0: words[0], len(images): words[1]},
)
classes = dict(run.stages)["class"].reshape(2, -1)
for seed, seen in zip((1, 2), classes, strict=True):
    wanted = synq.program(net, seed=seed, device_to_device=0.1).network.run(images).classes
    accuracy = 100 * np.mean(seen == data.test_labels)
    equal = "as the reference says" if np.array_equal(seen, wanted) else "UNLIKE THE REFERENCE"
    print(f"chip {seed}: {accuracy:.2f} % in the core, {equal}")
