"""The Verilog back end: the folder rtl/ of a project, and its simulation cycle by cycle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.learn.prepare import Prepared, Stopwatch
from synq.network import QuantizedNetwork, Trace, require_equal
from synq.progress import Progress, Task
from synq.project.output import write_files
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.verilog import render_rtl

_PARTS = 4  # simulations at a time, on any machine: the cycles counted depend on it
_TRAFFIC = simulate.Traffic(gap=0.3, stall=0.3, seed=1)


@dataclass(frozen=True)
class RtlSimulation:
    """What Verilator found: every integer equal, or there would be none.

    Attributes:
        classes: (n_samples,) the answers.
        cycles_mean: clock cycles from an answer to the next one, streams that never wait: counted.
        cycles_most: likewise, the most.
        latency: clock cycles from the first beat of the first image to its answer.
    """

    classes: NDArray[np.int64]
    cycles_mean: float
    cycles_most: int
    latency: int


def make_rtl(
    prepared: Prepared,
    design: RtlDesign,
    project_dir: Path,
    scratch: Path,
    watch: Stopwatch,
    progress: Progress,
) -> RtlSimulation:
    """Write the folder, and simulate it on every test input.

    Raises:
        NoToolError: Verilator is missing.
        SynqError: the design cannot be built, or an integer differs.
    """
    with watch.stage("verilog"):
        write_files(project_dir / "rtl", render_rtl(prepared.network, design))
    with watch.stage("verilator"), progress.task("Compile and run the Verilog") as task:
        return simulate_rtl(
            project_dir / "rtl",
            prepared.network,
            design,
            prepared.dataset.test_inputs,
            prepared.expected,
            scratch / "verilator",
            task,
        )


def read_design(manifest: dict[str, Any]) -> RtlDesign:
    """The design that a project's manifest describes.

    Raises:
        SynqError: it describes none.
    """
    try:
        described = dict(manifest["designs"]["rtl"])
        described.pop("estimate", None)
        arrays = tuple(RtlArray(**array) for array in described.pop("arrays"))
        return RtlDesign(arrays, **described)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SynqError(f"the manifest describes no Verilog design: {error!r}") from None


def simulate_rtl(
    place: Path,
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    task: Task | None = None,
) -> RtlSimulation:
    """Lint, compile and run the Verilog in `place`: images back to back, then with random gaps
    before the beats and random stalls of the receiver.

    Raises:
        NoToolError: Verilator is missing.
        SynqError: it warns, or an integer, a TLAST or a TKEEP differs.
    """

    def tell(what: str) -> None:
        if task is not None:
            task.update(0, what)

    tell("lint")
    simulate.lint(place)
    tell("compile")
    executable = simulate.build(place, scratch, design.beat_bits)
    free = None
    for number, traffic in enumerate([simulate.Traffic(), _TRAFFIC]):
        tell(f"run {number + 1} of 2: {len(inputs):,} images, each layer")
        run = simulate.run(
            executable, place, network, design, inputs, scratch / f"run_{number}", traffic, _PARTS
        )
        if run.fault is not None:
            raise SynqError(f"not bit-exact: {run.fault}")
        require_equal(expected, run.stages, "the Verilog")
        free = free or run
    assert free is not None
    steps = free.intervals
    return RtlSimulation(
        classes=free.stages[-1][1][:, 0],
        cycles_mean=round(float(steps.mean()), 2) if len(steps) else float(free.ends[0]),
        cycles_most=int(steps.max(initial=0)),
        latency=int(free.ends[0]),
    )
