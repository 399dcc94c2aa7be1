"""Two chips in one core: a reloadable core is exported once, and chips are loaded into it.

What is loaded is a file a chip; the project's driver sends it to the running core:
`network.load("build/chip-1.npz")`, or `network.run_chips([...], images)` for both. Here Verilator
stands in for the board, by `synq.rtl.simulate`, which is no part of the public API.
"""

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

chips = [synq.program(net, seed=seed, device_to_device=0.1) for seed in (1, 2)]
loads = [
    synq.load_image(project, chip, output=f"build/chip-{seed}.npz")
    for seed, chip in enumerate(chips, 1)
]

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
    networks={place * len(images): np.load(load)["words"] for place, load in enumerate(loads)},
)
classes = dict(run.stages)["class"].reshape(2, -1)
for seed, (chip, seen) in enumerate(zip(chips, classes, strict=True), 1):
    accuracy = 100 * np.mean(seen == data.test_labels)
    is_equal = np.array_equal(seen, chip.network.run(images).classes)
    told = "as the reference says" if is_equal else "UNLIKE THE REFERENCE"
    print(f"chip {seed}: {accuracy:.2f} % in the core, {told}")
