"""A network that synq has written, for who goes on from there: a project's, or a file alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.device import Branch, Device, load_device
from synq.errors import SynqError, UsageError
from synq.learn.data.load import Data, load_data
from synq.learn.prepare import samples_for
from synq.network import QuantizedNetwork
from synq.npz import Member, read_npz
from synq.progress import Progress
from synq.project.contents import read_flows, read_task
from synq.project.loading import render_load
from synq.project.manifest import MANIFEST, read_files, read_manifest
from synq.quantizing import Count, Mapping, Method, Quantization
from synq.request import Flow
from synq.rtl.back_end import read_design
from synq.score import Task
from synq.tile import Tile
from synq.verifying import read_vectors

_NETWORK = "network.npz"
_ORIGIN = "origin"  # the array that says what a network was quantized with
_MAX_ORIGIN = 1 << 16


@dataclass(frozen=True, eq=False)
class Exported:
    """A quantized network, and its test set.

    Attributes:
        choice: that it was quantized with.
        device: that it was quantized for.
        inputs: (n_samples, n_in) raw integers.
        labels: (n_samples,) class numbers, or (n_samples, n_out) float64 targets.
    """

    network: QuantizedNetwork
    choice: Quantization
    device: Device
    inputs: NDArray[np.uint8 | np.int8]
    labels: NDArray[Any]
    task: Task


@dataclass(frozen=True)
class Told:
    """What a user says of a network whose file does not.

    Attributes:
        device: a known one's name, or the path of a `.toml`.
        choice: that it was quantized with.
        data: whose test set it is tried on.
    """

    device: str | None = None
    choice: Quantization | None = None
    data: Data | None = None


def network_npz(network: QuantizedNetwork, choice: Quantization, device: Device) -> bytes:
    """The network as a file that says what it was quantized with."""
    told = {"device": device.name, "quantization": asdict(choice)}
    text = json.dumps(told, sort_keys=True).encode()
    return network.to_npz(**{_ORIGIN: np.frombuffer(text, dtype=np.uint8)})


def read_exported(path: Path, told: Told, cache_dir: Path, progress: Progress) -> Exported:
    """The network and the test set of a project, or of a network's file and what is told of it.

    A project's own `network.npz`, in its place, stands for the project.

    Raises:
        UsageError: what is needed is not told, or what the file says is told again.
        SynqError: it is neither, is damaged, or network, device and data do not fit each other.
    """
    if path.name == _NETWORK and (path.parent / MANIFEST).is_file():
        path = path.parent
    if path.suffix != ".npz" or path.is_dir():
        if told.choice is not None or told.data is not None:
            raise UsageError(
                f"{path}: a project holds its test set and says what it was quantized with: leave "
                "that out",
                settings=("levels", "data"),
            )
        return _read_project(path, told.device)
    if not path.exists():
        raise SynqError(f"{path}: there is no such file")
    network = QuantizedNetwork.from_npz(path)
    choice, device = _read_origin(path)
    if choice is not None and told.choice is not None:
        raise UsageError(
            f"{path} says what it was quantized with: leave that out", settings=("levels",)
        )
    choice, device = choice or told.choice, told.device or device
    if choice is None or device is None or told.data is None:
        missing = {"device": device, "levels": choice, "data": told.data}
        names = tuple(name for name, value in missing.items() if value is None)
        words = {
            "device": "which device it was quantized for",
            "levels": "at how many levels",
            "data": "which data it is tried on",
        }
        asked = ", ".join(words[name] for name in names)
        raise UsageError(f"{path} does not tell {asked}: say it", settings=names)
    data = samples_for(network, load_data(told.data, cache_dir, progress), "the network takes")
    return Exported(
        network, choice, load_device(device), data.test_inputs, data.test_labels, data.task
    )


def read_network(path: Path) -> QuantizedNetwork:
    """The network of a project, whose files must be as exported, or of a network's file.

    Raises:
        SynqError: it is neither, or is damaged.
    """
    if path.suffix == ".npz" and not path.is_dir():
        return QuantizedNetwork.from_npz(path)
    read_files(path, read_manifest(path))
    return QuantizedNetwork.from_npz(path / _NETWORK)


def read_design_of(path: Path, device: str | None) -> tuple[QuantizedNetwork, Device, Quantization]:
    """The network of a project, or of its file, and what it was quantized with: of what chips are.

    Args:
        device: in place of the one whose name is told.

    Raises:
        UsageError: the file does not tell it.
        SynqError: it is neither, or is damaged.
    """
    if path.suffix != ".npz" or path.is_dir():
        found = _read_project(path, device)
        return found.network, found.device, found.choice
    network = QuantizedNetwork.from_npz(path)
    choice, name = _read_origin(path)
    if choice is None or (device or name) is None:
        raise UsageError(
            f"{path} does not tell what it was quantized with: give the project of the chip's "
            "design"
        )
    return network, load_device(device or str(name)), choice


def load_image(core: Path, network: QuantizedNetwork) -> bytes:
    """A network, or a chip, as a file that the core of a project takes while it runs.

    Args:
        core: a project of Verilog, exported reloadable; its files must be as exported.

    Raises:
        SynqError: it is no project, a file is missing, changed or added, its network is fixed, or
            it is not built for this one.
    """
    manifest = read_manifest(core)
    if Flow.RTL not in read_flows(manifest):
        raise SynqError(f"{core}: has no Verilog core: export it with one, reloadable")
    return render_load(read_network(core), read_design(manifest), network)


def _read_project(project: Path, device: str | None) -> Exported:
    """The network and the test set of a project, whose files must be as exported.

    Args:
        device: in place of the one whose name the manifest has.

    Raises:
        SynqError: it is no project, or a file is missing, changed or added.
    """
    manifest = read_manifest(project)
    read_files(project, manifest)
    network, task = QuantizedNetwork.from_npz(project / _NETWORK), read_task(manifest)
    inputs, labels = read_vectors(project / "vectors.npz", network, task)
    try:
        configuration = manifest["configuration"]
        choice, name = _choice(configuration["quantization"]), _name(configuration["device"])
    except (SynqError, ValueError, TypeError, KeyError) as error:
        raise SynqError(f"{project}: the manifest describes no quantization ({error})") from None
    if manifest.get("chip") is not None:
        raise SynqError(f"{project}: is the project of a chip: take that of its design")
    return Exported(network, choice, load_device(device or name), inputs, labels, task)


def _read_origin(path: Path) -> tuple[Quantization | None, str | None]:
    """What a network's file says it was quantized with, and for which device; None if nothing.

    Raises:
        SynqError: it says something else.
    """
    member = Member("u", "bytes", (1, 1), required=False)
    parts = read_npz(path, {_ORIGIN: member}, _MAX_ORIGIN)
    if _ORIGIN not in parts:
        return None, None
    try:
        origin = json.loads(parts[_ORIGIN].tobytes())
        return _choice(origin["quantization"]), _name(origin["device"])
    except (SynqError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise SynqError(
            f"{path}: says in no way that synq writes what it was quantized with ({error!s:.100})"
        ) from None


def _name(device: Any) -> str:
    if not isinstance(device, str):
        raise TypeError(f"its device is {device!r:.40}")
    return device


def _choice(fields: Any) -> Quantization:
    """The quantization that a manifest or a network's file describes."""
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
