"""What an exported project holds of its network, for who goes on from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.device import Branch
from synq.errors import SynqError
from synq.network import QuantizedNetwork
from synq.project.contents import read_task
from synq.project.manifest import read_files, read_manifest
from synq.quantizing import Count, Mapping, Method, Quantization
from synq.score import Task
from synq.tile import Tile
from synq.verifying import read_vectors


@dataclass(frozen=True, eq=False)
class Exported:
    """The network of a project, and its test set.

    Attributes:
        choice: that it was quantized with.
        device: name of the device.
        inputs: (n_samples, n_in) raw integers.
        labels: (n_samples,) class numbers, or (n_samples, n_out) float64 targets.
    """

    network: QuantizedNetwork
    choice: Quantization
    device: str
    inputs: NDArray[np.uint8 | np.int8]
    labels: NDArray[Any]
    task: Task


def read_project(project: Path) -> Exported:
    """The network and the test set of a project, whose files must be as exported.

    Raises:
        SynqError: it is no project, or a file is missing, changed or added.
    """
    manifest = read_manifest(project)
    read_files(project, manifest)
    network, task = QuantizedNetwork.from_npz(project / "network.npz"), read_task(manifest)
    inputs, labels = read_vectors(project / "vectors.npz", network, task)
    try:
        configuration = manifest["configuration"]
        choice, device = _choice(configuration["quantization"]), configuration["device"]
        if not isinstance(device, str):
            raise TypeError(f"its device is {device!r:.40}")
    except (SynqError, ValueError, TypeError, KeyError) as error:
        raise SynqError(f"{project}: the manifest describes no quantization ({error})") from None
    if manifest.get("chip") is not None:
        raise SynqError(f"{project}: is the project of a chip: take that of its design")
    return Exported(network, choice, device, inputs, labels, task)


def _choice(fields: Any) -> Quantization:
    """The quantization that a manifest describes."""
    given = dict(fields)
    tile = given.get("tile")
    return Quantization(
        **{
            **given,
            "method": Method(given["method"]),
            "mapping": Mapping(given["mapping"]),
            "count": Count(given["count"]),
            "branch": Branch(given["branch"]),
            "tile": None if tile is None else Tile(tile["rows"], tile["columns"]),
        }
    )
