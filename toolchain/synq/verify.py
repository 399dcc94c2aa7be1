"""Recheck a project folder: its files, its network, and its simulations, bit by bit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls import axis, csim
from synq.network import QuantizedNetwork, Trace, require_equal
from synq.npz import Member, read_npz
from synq.progress import Progress
from synq.project.manifest import changed_files, read_manifest
from synq.request import Flow
from synq.rtl.back_end import read_design, simulate_rtl
from synq.scratch import scratch_folder

_MAX_VECTOR_BYTES = 8 << 30
_VECTORS = {
    "inputs": Member("u", "uint8: (samples, inputs)", (2, 2)),
    "labels": Member("i", "int64: one a sample", (1, 1)),
}


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
    inputs, labels = read_vectors(project / "vectors.npz", network)
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
    stated = manifest.get("accuracy")
    if not isinstance(stated, dict):
        raise SynqError(f"{project}: the manifest states no accuracy: export the project again")
    for name in [{Flow.HLS: "csim", Flow.RTL: "rtl"}[flow] for flow in flows]:
        if stated.get(name) != accuracy:
            raise SynqError(
                f"the manifest states an accuracy of {stated.get(name)} %, it is {accuracy} %"
            )
    return Verification(len(manifest["files"]), flows, len(inputs), accuracy)


def _flows(project: Path, manifest: dict[str, Any]) -> tuple[Flow, ...]:
    given = manifest.get("flows")
    named = given if isinstance(given, list) else []
    flows = tuple(flow for flow in Flow if flow.value in named)
    if not flows or len(flows) != len(named):
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


def read_vectors(
    path: Path, network: QuantizedNetwork
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The test inputs and labels of a project, (n_samples, n_in) and (n_samples,).

    Raises:
        SynqError: the file cannot be read, holds no sample, or is of another network.
    """
    parts = read_npz(path, _VECTORS, _MAX_VECTOR_BYTES)
    inputs, labels = parts["inputs"], parts["labels"]
    if inputs.dtype != np.uint8 or labels.dtype != np.int64:
        raise SynqError(f"{path}: inputs must be uint8 and labels int64: export the project again")
    if inputs.shape != (len(labels), network.sizes[0]) or not len(labels):
        raise SynqError(
            f"{path}: {inputs.shape} inputs and {labels.shape} labels are not those of a network "
            f"of {network.sizes[0]} inputs: export the project again"
        )
    return inputs, labels
