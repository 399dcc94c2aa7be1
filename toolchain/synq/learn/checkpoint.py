"""Trained networks in real numbers, and the files that hold them.

`load_checkpoint` reads a user's own file, so it trusts nothing in it: no code in it runs, and
whatever is wrong with it comes back as one line naming the file and the tensor.
"""

import io
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.cache import atomic_write
from synq.errors import SynqError
from synq.float_network import _ONLY_DENSE, FloatNetwork, _check_layers, _check_total, _float32

MAX_FILE_BYTES = 2 << 30


def save_checkpoint(network: FloatNetwork, path: Path, metadata: Mapping[str, str]) -> None:
    """Write `network` as safetensors: `fc1.weight` as `(n_out, n_in)`, `fc1.bias`, `fc2.weight`...

    That is the layout of a torch state dict. Equal networks and metadata give equal bytes.
    """
    from safetensors.numpy import save

    tensors = {}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True), 1):
        tensors[f"fc{layer}.weight"] = np.ascontiguousarray(weight.T)
        if bias is not None:
            tensors[f"fc{layer}.bias"] = bias
    # one metadata entry only: safetensors writes several in an order that differs from run to run
    described = json.dumps({**metadata, "digest": network.digest}, sort_keys=True)
    atomic_write(path, save(tensors, metadata={"synq": described}))


def load_checkpoint(path: Path) -> FloatNetwork:
    """Read the ReLU multilayer perceptron in a safetensors file or a saved torch state dict.

    Layers are the 2-D `*.weight` tensors, `(n_out, n_in)` as torch has them, each with an optional
    `*.bias`. Their order is the state dict's; safetensors files have none, so there it is the
    order of the names, numbers by value (`fc2` before `fc10`). float16, bfloat16 and float64
    become float32. A state dict may lie under the key `state_dict` or `model_state_dict`.

    Raises:
        SynqError: no such file, not a checkpoint or a damaged one, a pickle with more than tensors
            in it (never executed), or a network that is not a finite chain of dense layers.
    """
    try:
        network, recorded_digest = _network_in(_contents(path))
        if recorded_digest not in (None, network.digest):
            raise SynqError("the weights are not those it was saved with: the file is damaged")
    except SynqError as error:
        raise SynqError(f"{path}: {error}") from error
    return network


def _contents(path: Path) -> bytes:
    if path.is_dir():
        raise SynqError("is a folder; give a checkpoint file")
    if not path.exists():
        raise SynqError("no such file")
    if not path.is_file():
        raise SynqError("is not a regular file; give a checkpoint file")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SynqError(f"is larger than {MAX_FILE_BYTES >> 30} GiB: not a network for a board")
        return path.read_bytes()
    except OSError as error:
        raise SynqError(f"cannot be read: {error.strerror}") from error


def _network_in(data: bytes) -> tuple[FloatNetwork, str | None]:
    """The network in a file's bytes, and the digest recorded beside it if synq wrote the file."""
    # By content, not by suffix: users' files are called .pt, .pth, .bin, .ckpt, .safetensors.
    if data[8:9] == b"{":  # after the header's length comes the header, a JSON object
        tensors, digest = _read_safetensors(data)
    elif data.startswith((b"PK\x03\x04", b"\x80")):  # torch.save since 1.6, and a bare pickle
        tensors, digest = _read_torch(data), None
    else:
        raise SynqError(
            "is not a checkpoint; give a safetensors file or one written by "
            "torch.save(model.state_dict(), ...)"
        )
    return _network_of(tensors), digest


def _read_safetensors(data: bytes) -> tuple[dict[str, NDArray[Any]], str | None]:
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise SynqError(f"is a truncated or damaged safetensors file ({error})") from error
    tensors = {name: _decoded(name, entry) for name, entry in entries}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    try:
        digest = json.loads(header["__metadata__"]["synq"])["digest"]
    except (KeyError, TypeError, ValueError, RecursionError):  # not written by synq
        digest = None
    return {name: tensors[name] for name in sorted(tensors, key=_natural)}, digest


def _decoded(name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    dtype, shape = entry["dtype"], entry["shape"]
    if dtype == "BF16":  # numpy has no bfloat16; it is the upper half of a float32
        halves = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    numpy_types = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
    if dtype not in numpy_types:
        raise SynqError(_not_real(name, dtype))
    return np.frombuffer(entry["data"], numpy_types[dtype]).reshape(shape)


def _natural(name: str) -> str:
    """A sorting key by which numbers inside names count by value."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(20), name)


def _read_torch(data: bytes) -> dict[str, NDArray[Any]]:
    import pickle

    import torch

    if data.startswith(b"PK"):
        _check_archive(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters becomes an error below
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SynqError(
            "is not a plain state dict, or damaged; synq never runs code from a checkpoint: "
            "save with torch.save(model.state_dict(), ...)"
        ) from error
    except Exception as error:  # a damaged file can make the reader raise nearly anything
        raise SynqError(
            "is not a torch state dict, or damaged; save with torch.save(model.state_dict(), ...)"
        ) from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise SynqError(f"holds a {type(loaded).__name__}, not a state dict")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise SynqError(
                f"entry {name!r} is a {type(tensor).__name__}, not a tensor; give a state dict, "
                f"alone or under the key 'state_dict' or 'model_state_dict'"
            )
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise SynqError(f"{name!r} is sparse, quantized or without values; save it dense")
        if not tensor.dtype.is_floating_point:
            raise SynqError(_not_real(name, str(tensor.dtype).removeprefix("torch.")))
    _check_total(sum(tensor.numel() for tensor in loaded.values()))
    return {name: tensor.detach().float().numpy() for name, tensor in loaded.items()}


def _check_archive(data: bytes) -> None:
    """Refuse a damaged zip archive, and one that would unpack to more memory than is sane."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # zipfile raises others than its own: UnicodeDecodeError...
        raise SynqError("is a truncated or damaged torch checkpoint") from error
    if unpacked > MAX_FILE_BYTES:
        raise SynqError(f"unpacks to more than {MAX_FILE_BYTES >> 30} GiB")


def _network_of(tensors: Mapping[str, NDArray[Any]]) -> FloatNetwork:
    """The network whose layers are the weights in `tensors`, in their order."""
    _check_total(sum(tensor.size for tensor in tensors.values()))
    weights = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and tensor.ndim == 2:
            weights[layer] = tensor.T
        elif kind != "bias" or tensor.ndim != 1:
            raise SynqError(
                f"{name!r} of shape {tensor.shape} is not the weight (2-D) or bias (1-D) of a "
                f"dense layer; {_ONLY_DENSE}"
            )
    if not weights:
        raise SynqError(f"holds no layer (a 2-D tensor named '*.weight'); {_ONLY_DENSE}")
    prefixes = {layer: f"{layer}." if layer else "" for layer in weights}
    biases = [tensors.get(f"{prefix}bias") for prefix in prefixes.values()]
    for name in tensors:
        if name.rpartition(".")[0] not in weights:
            raise SynqError(f"{name!r} has no weight beside it; {_ONLY_DENSE}")
    arrays = tuple(_float32(weight) for weight in weights.values())
    offsets = tuple(None if bias is None else _float32(bias) for bias in biases)
    # FloatNetwork checks the same, but cannot name the tensors
    _check_layers(
        arrays,
        offsets,
        [repr(f"{prefix}weight") for prefix in prefixes.values()],
        [repr(f"{prefix}bias") for prefix in prefixes.values()],
    )
    return FloatNetwork(arrays, offsets)


def _not_real(name: str, dtype: str) -> str:
    return f"{name!r} is {dtype}; weights must be float16, bfloat16, float32 or float64"
