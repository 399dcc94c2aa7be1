"""Recheck a project folder: its files, its network, and its simulations, bit by bit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls import axis, csim
from synq.network import QuantizedNetwork, Trace, require_equal
from synq.progress import Progress
from synq.project.manifest import changed_files, read_manifest
from synq.request import Flow
from synq.rtl.back_end import read_design, simulate_rtl
from synq.scratch import scratch_folder


@dataclass(frozen=True)
class Verification:
    """A project found to be as exported.

    Attributes:
        files: how many were compared with their SHA-256.
        flows: back ends that were simulated.
        images: how many were simulated by each and compared, every layer.
        accuracy: percent, of the integer reference and so of every simulation.
    """

    files: int
    flows: tuple[Flow, ...]
    images: int
    accuracy: float


def verify(project: Path, progress: Progress) -> Verification:
    """Recheck every digest, rebuild the simulations, and run them against the integer reference.

    Raises:
        NoToolError: the project has Verilog, and Verilator is missing.
        SynqError: a file is missing or changed, or an integer differs; names the first.
    """
    manifest = read_manifest(project)
    if changed := changed_files(project, manifest):
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise SynqError(f"{project} is not as exported: {changed[0]}{more}")
    flows = _flows(project, manifest)
    network = QuantizedNetwork.from_npz(project / "network.npz")
    inputs, labels = _read_vectors(project / "vectors.npz", network)
    expected = network.run(inputs)
    with scratch_folder() as scratch:
        if Flow.HLS in flows:
            with progress.task("Compile and run the C simulation"):
                _verify_hls(project / "hls", network, inputs, expected, scratch)
        if Flow.RTL in flows:
            design = read_design(manifest)
            with progress.task("Compile and run the Verilog") as task:
                files = {
                    name.removeprefix("rtl/"): (project / name).read_bytes()
                    for name in manifest["files"]
                    if name.startswith("rtl/")
                }
                simulate_rtl(files, network, design, inputs, expected, scratch / "verilog", task)
    accuracy = round(expected.accuracy(labels), 4)
    stated = manifest.get("accuracy", {})
    for name in [{Flow.HLS: "csim", Flow.RTL: "rtl"}[flow] for flow in flows]:
        if stated.get(name) != accuracy:
            raise SynqError(
                f"the manifest states an accuracy of {stated.get(name)} %, it is {accuracy} %"
            )
    return Verification(len(manifest["files"]), flows, len(inputs), accuracy)


def _flows(project: Path, manifest: dict[str, Any]) -> tuple[Flow, ...]:
    try:
        flows = tuple(Flow(name) for name in manifest["flows"])
    except (KeyError, TypeError, ValueError):
        flows = ()
    if not flows:
        raise SynqError(f"{project}: the manifest names no flow: export it again with this synq")
    return flows


def _verify_hls(
    sources: Path,
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8],
    expected: Trace,
    scratch: Path,
) -> None:
    with csim.test_bench_build(sources, scratch / "testbench") as build:
        _, simulation = csim.finish_and_simulate(build, network, inputs, scratch)
    with axis.axis_bench_build(sources, scratch / "axis") as build:
        build.finish()
        stream = axis.stream_difference(scratch / "axis", network, inputs, expected, scratch)
    require_equal(expected, simulation.stages, "C simulation")
    if stream is not None:
        raise SynqError(f"not bit-exact: {stream}")


def _read_vectors(
    path: Path, network: QuantizedNetwork
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with np.load(path, allow_pickle=False) as parts:
            inputs: NDArray[Any] = parts["inputs"]
            labels: NDArray[Any] = parts["labels"]
    except Exception as error:
        raise SynqError(f"{path} cannot be read: {error}") from None
    if inputs.ndim != 2 or inputs.shape[1] != network.sizes[0] or len(labels) != len(inputs):
        raise SynqError(f"{path} does not fit the network")
    return inputs, labels
