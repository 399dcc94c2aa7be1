"""Files that a user trains, quantizes and describes a device with."""

import gzip
import hashlib
import io
import random
import tempfile
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuzzing.kind import BINARY, JSON, TEXT, ZIP, Kind, change_json, mutated, within_zip
from synq.device import Branch, load_device
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import checkpoint_bytes, load_checkpoint
from synq.learn.data import mnist
from synq.learn.data.csv_file import load_csv
from synq.learn.data.idx import IdxFile, encode_idx
from synq.learn.data.idx_folder import load_idx_folder
from synq.learn.data.npz import load_npz
from synq.resources import folder
from synq.score import Task

_SAVED = Path(__file__).parents[1] / "learn" / "data" / "saved"
_LABELS = encode_idx(np.arange(500, dtype=np.uint8))
_IDX = IdxFile("labels-idx1-ubyte", (500,), hashlib.sha256(_LABELS).hexdigest())


def read_idx(path: Path) -> None:
    assert mnist._read_given(path.parent, _IDX) == _LABELS


def read_arrays(path: Path) -> None:
    dataset = load_npz(path)
    assert dataset.train_inputs.ndim == dataset.test_inputs.ndim == 2
    assert len(dataset.test_labels) == len(dataset.test_inputs)


def read_table(path: Path) -> None:
    for task in Task:
        with suppress(SynqError):  # a table may be of one task only
            dataset = load_csv(path, task)
            assert len(dataset.train_labels) == len(dataset.train_inputs) > 0
            assert len(dataset.test_labels) == len(dataset.test_inputs) > 0
    load_csv(path)


def read_idx_folder(path: Path) -> None:
    """A folder of which one file is the case."""
    with tempfile.TemporaryDirectory() as place:
        content = path.read_bytes()
        for name, good in _idx_files().items():
            (Path(place) / name).write_bytes(good)
        target = "test-labels" if content[:4] == b"\0\0\x08\x01" else "test-images"
        (Path(place) / target).write_bytes(content)
        dataset = load_idx_folder(Path(place))
    assert len(dataset.test_labels) == len(dataset.test_inputs)


@cache
def _idx_files() -> dict[str, bytes]:
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 3), dtype=np.uint8)
    labels = (np.arange(12) % 3).astype(np.uint8)
    return {
        "train-images": encode_idx(images),
        "train-labels": encode_idx(labels),
        "test-images": gzip.compress(encode_idx(images[:5]), mtime=0),
        "test-labels": encode_idx(labels[:5]),
    }


def _tables() -> tuple[bytes, ...]:
    """Bytes without a header; real numbers with one, a split and names of classes; semicolons."""
    rng = np.random.default_rng(0)
    whole = "".join(f"{a},{b},{c % 3}\n" for a, b, c in rng.integers(0, 256, (20, 3)))
    real = "width,split,class,height\n" + "".join(
        f'{a:.3f},{"test" if row % 4 == 0 else "train"},"{"ab"[row % 2]}",{b:.2e}\n'
        for row, (a, b) in enumerate(rng.normal(size=(20, 2)))
    )
    return whole.encode(), real.encode(), real.replace(",", ";").encode("utf-8-sig")


def read_network(path: Path) -> None:
    network = load_checkpoint(path)
    assert network.logits(np.zeros((1, network.sizes[0]))).shape == (1, network.sizes[-1])


def read_device(path: Path) -> None:
    device = load_device(str(path))
    for branch in Branch:
        assert (np.diff(device.reference_values(branch)) > 0).all()
        assert device.window(branch).width > 0


@cache
def _arrays() -> tuple[bytes, ...]:
    """Bytes, and real numbers in Fortran's order; compressed and not."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 4, 4), dtype=np.uint8)
    labels = np.arange(20) % 3
    contents = []
    for save, given in (
        (np.savez_compressed, images),
        (np.savez, np.asfortranarray(images / np.float32(255))),
    ):
        stream = io.BytesIO()
        save(stream, x_train=given, y_train=labels, x_test=given[:5], y_test=labels[:5, None])
        contents.append(stream.getvalue())
    return tuple(contents)


def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    return dict(model.state_dict())


def _torch_saved(content: Any, zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _safetensors() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=size).astype(np.float32) for size in ((6, 4), (4, 3)))
    bias = np.ones(3, dtype=np.float32)
    networks = (FloatNetwork((first, second), (None, bias)), FloatNetwork((first,), (None,)))
    return tuple(checkpoint_bytes(network, {"recipe": "none"}) for network in networks)


def _change_header(rng: random.Random, content: bytes) -> bytes:
    """The header of a safetensors file is other, and its length again right."""
    end = 8 + int.from_bytes(content[:8], "little")
    changed = rng.choice((*JSON, change_json, change_json))(rng, content[8:end])
    return len(changed).to_bytes(8, "little") + changed + content[end:]


def _change_pickle(rng: random.Random, content: bytes) -> bytes:
    """The program in a torch archive is other; its members stay as torch writes them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged, in as many ways as there are exceptions
        return content
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in members.items():
            changed = rng.choice(BINARY)(rng, member) if name.endswith("data.pkl") else member
            archive.writestr(zipfile.ZipInfo(name), changed)
    return written.getvalue()


_MEASURED = b"""name = "mine"
description = "of measured points, and with a window of its own"
g_max_S = 4e-8
g_min_S = 1e-8
states_ltp = 7
nonlinearity_ltp = 2.5
curve_ltd_S = [1e-8, 1.4e-8, 1.3e-8, 2.1e-8, 2.4e-8]

[variation]
device_to_device = 0.1
stuck_at_min = 0.01
"""


def _devices() -> tuple[bytes, ...]:
    shipped = sorted(folder("devices").iterdir(), key=lambda file: file.name)
    return (*(file.read_bytes() for file in shipped), _MEASURED)


def _saved(*names: str) -> list[bytes]:
    return [(_SAVED / name).read_bytes() for name in names]


_WITHIN_KERAS = within_zip((*BINARY, *JSON, *(change_json,) * 10))

KINDS = {
    "MNIST (IDX)": Kind(
        _IDX.name, mutated([_LABELS, gzip.compress(_LABELS, mtime=0)], BINARY), read_idx
    ),
    "data.csv": Kind("data.csv", mutated(_tables(), TEXT), read_table),
    "a folder's IDX": Kind(
        "images",
        mutated([_idx_files()["test-images"], _idx_files()["test-labels"]], BINARY),
        read_idx_folder,
    ),
    "data.npz": Kind("data.npz", mutated(_arrays(), ZIP), read_arrays),
    "checkpoint.safetensors": Kind(
        "net.safetensors",
        mutated(_safetensors(), (*BINARY, *(_change_header,) * len(BINARY))),
        read_network,
    ),
    "checkpoint.pt": Kind(
        "net.pt",
        mutated(
            [
                _torch_saved(_state(), True),
                _torch_saved({"state_dict": _state(), "epoch": 3}, True),
            ],
            (*ZIP, *(_change_pickle,) * len(ZIP)),
        ),
        read_network,
    ),
    "checkpoint.pt (legacy)": Kind(
        "net.pt", mutated([_torch_saved(_state(), False)], BINARY), read_network
    ),
    "network.keras": Kind(
        "net.keras",
        mutated(
            _saved(
                "keras3_sequential.keras",
                "keras2_functional.keras",
                "qkeras.keras",
                "keras3_image.keras",
            ),
            (*BINARY, *(_WITHIN_KERAS,) * 2 * len(BINARY)),
        ),
        read_network,
        cost=10,  # a process for each
    ),
    "network.h5": Kind(
        "net.h5",
        mutated(_saved("keras2_sequential.h5", "keras3_nested.h5", "keras3_line.h5"), BINARY),
        read_network,
        cost=10,
    ),
    "network.onnx": Kind(
        "net.onnx",
        mutated(
            _saved(
                "torch_script.onnx", "torch_scaled.onnx", "brevitas.onnx", "torch_image_script.onnx"
            ),
            BINARY,
        ),
        read_network,
    ),
    "device.toml": Kind("mine.toml", mutated(_devices(), TEXT), read_device),
}
