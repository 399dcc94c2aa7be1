"""Trained networks in real numbers: the files that synq writes, and users' own.

`load_checkpoint` reads a user's own file, so it trusts nothing in it: no code in it runs, and
whatever is wrong with it comes back as one line naming the file and the layer. Each format has its
importer in `importers`, which makes steps; `importers.steps` makes the network of them.
"""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.archive import ArchiveError, members
from synq.errors import SynqError, one_line, quoted
from synq.files import atomic_write, read_at_most, read_bounded
from synq.float_network import MAX_VALUES, FloatNetwork
from synq.geometry import Geometry, Shape
from synq.learn.channels_first import (
    kernel_of_matrix,
    linear_of_matrix,
    matrix_of_kernel,
    matrix_of_linear,
)
from synq.learn.importers.keras_file import steps_of_archive, steps_of_hdf5, steps_of_model
from synq.learn.importers.onnx_file import steps_of_onnx
from synq.learn.importers.safetensors_file import read_safetensors
from synq.learn.importers.state_dict import steps_of
from synq.learn.importers.steps import Step, network_of
from synq.learn.importers.stored import Stored, in_memory
from synq.learn.importers.torch_file import NO_CODE, Other, TorchTensor, read_torch

MAX_FILE_BYTES = 2 << 30
_GEOMETRIES = "geometries"  # in the metadata, JSON: those of the layers, where not all are dense
_ORDERED = "in which order its layers come: names of layers are for state dicts"
FORMATS = (
    "safetensors, torch.save(model.state_dict(), ...), a checkpoint of Lightning, "
    "Keras's .keras and .h5, ONNX"
)


def save_checkpoint(network: FloatNetwork, path: Path, metadata: Mapping[str, str]) -> None:
    """Write `network` as safetensors: `fc1.weight` as `(n_out, n_in)`, `fc1.bias`, `fc2.weight`...

    That is the layout of a torch state dict, with channels first: a convolution is `conv1.weight`,
    `(c_out, c_in, height, width)`, and the metadata have the layers' geometries. Equal networks and
    metadata give equal bytes.
    """
    atomic_write(path, checkpoint_bytes(network, metadata))


def checkpoint_bytes(network: FloatNetwork, metadata: Mapping[str, str]) -> bytes:
    """What `save_checkpoint` writes."""
    from safetensors.numpy import save

    tensors = {}
    layers = zip(_layers(network.geometries), network.weights, network.biases, strict=True)
    flattened: Shape | None = None
    for (name, geometry), weight, bias in layers:
        if geometry.window is None:
            stored = linear_of_matrix(weight, flattened)
            flattened = None
        else:
            stored = kernel_of_matrix(weight, geometry.window.kernel)
            flattened = geometry.passed(weight.shape[1])
        tensors[f"{name}.weight"] = np.ascontiguousarray(stored)
        if bias is not None:
            tensors[f"{name}.bias"] = bias
    if not network.dense:
        metadata = {**metadata, _GEOMETRIES: json.dumps([g.to_dict() for g in network.geometries])}
    # one metadata entry only: safetensors writes several in an order that differs from run to run
    described = json.dumps({**metadata, "digest": network.digest}, sort_keys=True)
    return bytes(save(tensors, metadata={"synq": described}))


def _layers(geometries: Sequence[Geometry]) -> list[tuple[str, Geometry]]:
    """The layers' names in a file that synq writes."""
    return [
        (f"{'fc' if geometry.window is None else 'conv'}{layer}", geometry)
        for layer, geometry in enumerate(geometries, 1)
    ]


def load_checkpoint(
    path: Path, layers: Sequence[str] | None = None, shape: Shape | None = None
) -> FloatNetwork:
    """Read the ReLU network in a file of any of `FORMATS`, known by its content.

    What a state dict may hold, and how its order is told: `importers.state_dict`. It may lie under
    the key `state_dict` or `model_state_dict`, beside anything, as in a checkpoint of Lightning.

    Args:
        layers: of a state dict, the names of its layers, in their order; others are left out.
        shape: of the images that it takes, where the file does not say: height, width, channels.

    Raises:
        SynqError: no such file, not a checkpoint or a damaged one, or a network that is not a
            finite chain of layers. Nothing in the file is executed.
    """
    return _loaded(path, layers, shape)[0]


def load_network(
    source: Any, layers: Sequence[str] | None = None, shape: Shape | None = None
) -> FloatNetwork:
    """The network in a file, or that a model in memory computes, which stays as it is.

    Args:
        source: the path of a file, as of `load_checkpoint`; a `torch.nn.Module`, taken as in
            evaluation; a Keras model; or a state dict, names to arrays.
        layers: of a state dict, the names of its layers, in their order; others are left out.
        shape: of the images that convolutions take, where the source does not say: height, width
            and channels, as `Dataset.shape`. Images are taken channels last, whatever the source
            has them in.

    Raises:
        SynqError: it is not read, or no chain of layers with ReLU between them.
    """
    if isinstance(source, str | Path):
        return load_checkpoint(Path(source), layers, shape)
    if isinstance(source, Mapping):
        tensors = {str(name): in_memory(str(name), value) for name, value in source.items()}
        return network_of(steps_of(tensors, ordered=True, layers=layers))
    if layers is not None:
        raise SynqError(f"the model says itself {_ORDERED}", settings=("layers",))
    # No library is imported to ask for a class. Keras's models on torch are modules too.
    if hasattr(source, "to_json") and hasattr(source, "layers"):
        return network_of(steps_of_model(source), shape)
    if hasattr(source, "named_modules"):
        from synq.learn.importers.torch_module import steps_of_module

        return network_of(steps_of_module(source), shape)
    raise SynqError(
        f"a {type(source).__name__} is no network: give a torch.nn.Module, a state dict, "
        f"a Keras model, or the path of a file ({FORMATS})"
    )


def load_cached(path: Path, described: Mapping[str, str]) -> tuple[FloatNetwork, dict[str, Any]]:
    """The network of a file that synq wrote, and all the metadata beside it.

    Args:
        described: metadata that it must have been written with.

    Raises:
        SynqError: as `load_checkpoint`, or it was made from something else.
    """
    network, found = _loaded(path)
    if any(found.get(key) != value for key, value in described.items()):
        raise SynqError(f"{path}: is not the network that its name says")
    return network, found


def _loaded(
    path: Path, layers: Sequence[str] | None = None, shape: Shape | None = None
) -> tuple[FloatNetwork, dict[str, Any]]:
    """The network in a file, and the metadata that `checkpoint_bytes` put beside it, if it did."""
    start = read_at_most(path, 9)
    content = read_bounded(path, MAX_FILE_BYTES) if _is_known(start) else start
    try:
        network, described = _read(path, content, layers, shape)
        if layers is None and described.get("digest", network.digest) != network.digest:
            raise SynqError("the weights are not those it was saved with: the file is damaged")
    except SynqError as error:
        raise type(error)(f"{path}: {error}", settings=error.settings) from error
    return network, described


# By content, not by suffix: users' files are called .pt, .pth, .bin, .ckpt, .safetensors.
_ZIP, _PICKLE, _HDF5, _ONNX = b"PK\x03\x04", b"\x80", b"\x89HDF\r\n\x1a\n", b"\x08"


def _is_known(start: bytes) -> bool:
    # of safetensors, the header's length comes before the header, a JSON object
    return start[8:] == b"{" or start.startswith((_ZIP, _PICKLE, _HDF5, _ONNX))


def _read(
    path: Path, content: bytes, layers: Sequence[str] | None, shape: Shape | None
) -> tuple[FloatNetwork, dict[str, Any]]:
    """The network in a file's `content`, and synq's own metadata, if it wrote it."""
    if content[8:9] == b"{":
        tensors, texts = read_safetensors(content)
        described = _described(texts)
        if _GEOMETRIES in described:
            if layers is not None:
                raise SynqError(f"says itself {_ORDERED}", settings=("layers",))
            return _saved(tensors, described[_GEOMETRIES]), described
        return network_of(steps_of(tensors, ordered=False, layers=layers)), described
    return network_of(_steps(path, content, layers), shape), {}


def _steps(path: Path, content: bytes, layers: Sequence[str] | None) -> list[Step]:
    """The steps of the network in the `content` of a file that is not safetensors."""
    if content.startswith(_PICKLE) or (content.startswith(_ZIP) and not _is_keras(content)):
        return steps_of(_state_dict(read_torch(content)), ordered=True, layers=layers)
    if not _is_known(content):
        raise SynqError(f"is not a network in a format that is read: {FORMATS}")
    if layers is not None:
        raise SynqError(f"says itself {_ORDERED}", settings=("layers",))
    if content.startswith(_ONNX):
        return steps_of_onnx(content, path.parent)
    return (steps_of_archive if content.startswith(_ZIP) else steps_of_hdf5)(content)


def _is_keras(content: bytes) -> bool:
    """Whether a zip archive is one of Keras's, and not one of torch's."""
    try:
        return not {"config.json", "model.weights.h5"}.isdisjoint(members(BytesIO(content)))
    except ArchiveError:
        return False


def _described(texts: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that synq wrote into a safetensors file, or none."""
    try:
        described = json.loads(texts["synq"])
    except (KeyError, TypeError, ValueError, RecursionError):  # not written by synq
        return {}
    return described if isinstance(described, dict) else {}


def _saved(tensors: Mapping[str, Stored], text: Any) -> FloatNetwork:
    """The network of `checkpoint_bytes` whose geometries are `text`."""
    weights: list[NDArray[np.float32]] = []
    biases: list[NDArray[np.float32] | None] = []
    left = dict(tensors)
    flattened: Shape | None = None
    try:
        geometries = tuple(map(Geometry.from_dict, json.loads(text)))
        for name, geometry in _layers(geometries):
            weight = _float32(left.pop(f"{name}.weight"))
            bias = left.pop(f"{name}.bias", None)
            if geometry.window is None:
                weights.append(matrix_of_linear(weight, flattened))
                flattened = None
            else:
                if weight.shape[2:] != geometry.window.kernel:
                    raise ValueError("a kernel has another size than its window")
                weights.append(matrix_of_kernel(weight))
                flattened = geometry.passed(weight.shape[0])
            biases.append(None if bias is None else _float32(bias))
        if left:
            raise ValueError("there are more tensors than layers")
    except (KeyError, TypeError, ValueError, RecursionError):
        raise SynqError("its tensors are not those that its geometry asks for") from None
    return FloatNetwork(tuple(weights), tuple(biases), geometries)


def _float32(tensor: Stored) -> NDArray[np.float32]:
    if tensor.dtype != "float32" or tensor.size > MAX_VALUES:
        raise ValueError("no weights of synq's")
    return tensor.values()


def _state_dict(content: Any) -> dict[str, Stored]:
    """The tensors in what `torch.save` wrote, in their order."""
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise SynqError(f"holds a {_kind(content)}, not a state dict; {NO_CODE}")
    tensors = {}
    for name, value in content.items():
        if isinstance(name, str) and name.endswith("analog_tile_state"):
            tensors[f"{name.removesuffix('state')}weights"] = _tile(name, value)
        elif isinstance(name, str) and isinstance(value, TorchTensor):
            tensors[name] = value.stored()
        elif isinstance(value, Other) and value.is_tensor:
            raise SynqError(f"{quoted(name)} is sparse, quantized or without values; save it dense")
        else:
            raise SynqError(
                f"entry {quoted(name)} is a {_kind(value)}, not a tensor; give a state dict, "
                f"alone or under the key 'state_dict' or 'model_state_dict'; {NO_CODE}"
            )
    return tensors


def _tile(name: str, state: Any) -> Stored:
    """The weights in the state of an aihwkit tile."""
    weights = state.get("analog_tile_weights") if isinstance(state, dict) else None
    if not isinstance(weights, TorchTensor):
        raise SynqError(
            f"{quoted(name)} is an aihwkit tile without weights: save the weights of its layers, "
            "with torch.save(convert_to_digital(model).state_dict(), ...) (aihwkit.nn.conversion)"
        )
    return weights.stored()


def _kind(value: Any) -> str:
    match value:
        case TorchTensor():
            return "Tensor"
        case Other():
            return one_line(f"{value.module}.{value.name}"[:100])
    return type(value).__name__
