"""Recheck a project folder: its files, its network, and the C simulation, bit by bit."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls import axis, csim
from synq.network import QuantizedNetwork, count_mismatches, first_difference
from synq.output import changed_files, read_manifest
from synq.progress import Progress


@dataclass(frozen=True)
class Verification:
    """A project found to be as exported.

    Attributes:
        files: how many were compared with their SHA-256.
        images: how many were simulated and compared, every layer.
        mismatches: images that differ; 0, or there would be no verification.
        accuracy: percent, of the C simulation.
    """

    files: int
    images: int
    mismatches: int
    accuracy: float


def verify(project: Path, progress: Progress) -> Verification:
    """Recheck every digest, rebuild the C simulation, and run it against the integer reference.

    Raises:
        SynqError: a file is missing or changed, or an integer differs; names the first.
    """
    manifest = read_manifest(project)
    if changed := changed_files(project, manifest):
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise SynqError(f"{project} is not as exported: {changed[0]}{more}")
    network = QuantizedNetwork.from_npz(project / "network.npz")
    inputs, labels = _read_vectors(project / "vectors.npz", network)
    expected = network.run(inputs)
    with (
        tempfile.TemporaryDirectory(prefix="synq-") as scratch,
        progress.task("Compile and run the C simulation"),
    ):
        bench = Path(scratch) / "testbench"
        with csim.test_bench_build(project / "hls", bench) as build:
            _, simulation = csim.finish_and_simulate(build, network, inputs, Path(scratch))
        with axis.axis_bench_build(project / "hls", Path(scratch) / "axis") as build:
            build.finish()
            stream = axis.stream_difference(
                Path(scratch) / "axis", network, inputs, expected, Path(scratch)
            )
    difference = first_difference(expected, simulation.stages, "C simulation") or stream
    if difference is not None:
        raise SynqError(f"not bit-exact: {difference}")
    accuracy = round(expected.accuracy(labels), 4)
    stated = manifest.get("accuracy", {}).get("csim")
    if stated != accuracy:
        raise SynqError(f"the manifest states an accuracy of {stated} %, it is {accuracy} %")
    return Verification(
        files=len(manifest["files"]),
        images=len(inputs),
        mismatches=count_mismatches(expected, simulation.stages),
        accuracy=accuracy,
    )


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
