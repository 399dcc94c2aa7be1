"""Models that Keras 2, Keras 3 and QKeras saved (data/saved/make.py), and others like them."""

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from checkpoints import refusal
from synq.errors import SynqError
from synq.learn.checkpoint import load_checkpoint, load_network
from synq.learn.importers import hdf5_file

SAVED = Path(__file__).parent / "data" / "saved"


def test_quantizers_of_activations_are_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    assert load_checkpoint(SAVED / "qkeras_relu.h5").sizes == (6, 4, 3)
    assert "taken without the quantizer quantized_relu" in caplog.text


@pytest.mark.parametrize("name", ["keras3_lambda.keras", "keras2_lambda.h5"])
def test_a_lambda_is_named_and_not_run(name: str) -> None:
    message = refusal(SAVED / name)
    assert "a Lambda layer ('lambda') is not supported; supported are dense layers" in message


def changed(source: str, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a `.keras` file with another configuration."""
    with zipfile.ZipFile(SAVED / source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def layer(index: int, **settings: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config["layers"][index]["config"].update(settings)


def kind(index: int, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config["layers"][index].update(class_name=name)


def branch(config: dict[str, Any]) -> None:
    config["layers"].append(copy.deepcopy(config["layers"][4]))
    config["layers"][-1]["name"] = "other"


def circle(config: dict[str, Any]) -> None:
    first, last = config["layers"][1], config["layers"][-1]
    first["inbound_nodes"] = copy.deepcopy(last["inbound_nodes"])


# Of the sequential model: input, dense, batch norm, dropout, dense, batch norm, ReLU, dense. Of the
# functional one: input, rescaling, normalization, flatten, dense, ReLU, batch norm, dense.
REFUSED: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "tanh": ("sequential", layer(1, activation="tanh"), "the activation tanh of 'dense'"),
    "softmax between": ("sequential", layer(1, activation="softmax"), "softmax .* before the last"),
    "convolution": ("sequential", kind(1, "SeparableConv2D"), "a SeparableConv2D layer"),
    "attention": ("sequential", kind(3, "MultiHeadAttention"), "a MultiHeadAttention layer"),
    "a class of one's own": ("sequential", kind(1, "os.system"), "a os.system layer"),
    "bounded ReLU": ("functional", layer(5, max_value=6.0), "a ReLU .* with a bound or slope"),
    "ReLU with a threshold": (
        "sequential",
        layer(1, activation={"class_name": "ReLU", "config": {"threshold": 1.0}}),
        "the activation ReLU",
    ),
    "a sigmoid by position": (
        "sequential",
        layer(1, activation="quantized_relu(4,0,1)"),
        "the activation quantized_relu",
    ),
    "a slope by position": (
        "sequential",
        layer(1, activation="quantized_relu(4,0,0,0.25)"),
        "the activation quantized_relu",
    ),
    "channels first": ("functional", layer(3, data_format="channels_first"), "channels first"),
    "another axis": ("sequential", layer(2, axis=0), "'batch_normalization' along axis 0"),
    "no bias": ("sequential", layer(1, use_bias=False), "'dense' has 2 arrays, not kernel"),
    "a bias": ("functional", layer(4, use_bias=True), "'first' has 1 arrays, not kernel, bias"),
    "no flatten": (
        "functional",
        kind(3, "Dropout"),
        r"'first' on inputs of shape \(2, 3\)",
    ),
    "a branch": ("functional", branch, "a branch .* 'other' is not on the way to the output"),
    "a circle": ("functional", circle, "the graph of the Keras model is damaged at"),
    "two inputs": (
        "functional",
        lambda config: config["layers"][7]["inbound_nodes"].append(
            config["layers"][6]["inbound_nodes"][0]
        ),
        "a branch .* has several inputs, or is shared",
    ),
    "epsilon": ("sequential", layer(2, epsilon="x"), "epsilon must not be 'x'"),
    "negative epsilon": ("sequential", layer(2, epsilon=-9.0), "variance .* must be above zero"),
    "scale": ("functional", layer(1, scale="x"), "settings that are no numbers"),
    "zero variance": ("functional", layer(2, variance=[0, 0, float("nan")]), "NaN or infinite"),
    "no layers": ("sequential", lambda config: config.update(layers=None), "has no layers"),
    "no name": ("functional", lambda config: config["layers"][1].pop("name"), "is damaged"),
    "no list": ("sequential", lambda config: config.update(layers=[1]), "is damaged"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, case: str) -> None:
    source, change, message = REFUSED[case]
    path = changed(f"keras3_{source}.keras", tmp_path / "net", change)
    assert re.search(message, refusal(path))


def test_too_many_layers_and_models_in_models(tmp_path: Path) -> None:
    path = tmp_path / "net"

    def deep(config: dict[str, Any]) -> None:
        for _ in range(20):
            config["layers"] = [{"class_name": "Sequential", "config": dict(config)}]

    changed("keras3_sequential.keras", path, deep)
    assert "models in models, more than 10 deep" in refusal(path)
    changed("keras3_sequential.keras", path, lambda config: config.update(layers=[{}] * 2000))
    assert "has no layers, or more than 1000" in refusal(path)


def test_names_of_layers_are_for_state_dicts() -> None:
    with pytest.raises(Exception, match="says itself in which order") as caught:
        load_checkpoint(SAVED / "keras3_sequential.keras", ("a",))
    assert caught.value.settings == ("layers",)  # type: ignore[attr-defined]


def hdf5(path: Path, fill: Callable[[Any], Any]) -> Path:
    with h5py.File(SAVED / "keras2_sequential.h5") as source:
        config = source.attrs["model_config"]
        with h5py.File(path, "w") as target:
            source.copy("model_weights", target)
            target.attrs["model_config"] = config
            fill(target)
    return path


KERNEL = "model_weights/dense/dense/kernel:0"


def replaced(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fill(file: Any) -> None:
        del file[KERNEL]
        make(file)

    return fill


HDF5: dict[str, tuple[Callable[[Any], Any], str]] = {
    "weights only": (lambda f: f.attrs.pop("model_config"), "without a Keras model's config"),
    "a number for a configuration": (lambda f: f.attrs.update(model_config=1), "is no text"),
    "no JSON": (lambda f: f.attrs.update(model_config="{"), "is not JSON"),
    "deep JSON": (lambda f: f.attrs.update(model_config="[" * 30_000), "is not JSON"),
    "a soft link": (replaced(lambda f: f.update({KERNEL: h5py.SoftLink("/x")})), "is a link to"),
    "an external link": (
        replaced(lambda f: f.update({KERNEL: h5py.ExternalLink("/etc/passwd", "x")})),
        "is a link to another place",
    ),
    "external storage": (
        replaced(lambda f: f.create_dataset(KERNEL, (6, 5), "f4", external="/etc/passwd")),
        "lies in another file",
    ),
    "nothing stored": (
        replaced(lambda f: f.create_dataset(KERNEL, (6_000, 5_000), "f4")),
        "claims more values than are stored",
    ),
    "10 GB": (
        replaced(lambda f: f.create_dataset(KERNEL, (60_000, 50_000), "f4", chunks=(9, 9))),
        "at most 100,000,000 are supported",
    ),
    "another compression": (
        replaced(lambda f: f.create_dataset(KERNEL, (6, 5), "f4", compression="lzf")),
        "has a compression other than deflate",
    ),
    "integers": (replaced(lambda f: f.create_dataset(KERNEL, (6, 5), "i4")), "must be floats"),
    "missing": (replaced(lambda f: None), "'dense' has no kernel in the file"),
    "a group in itself": (lambda f: f.update({"model_weights/self": f["model_weights"]}), "deep"),
}


@pytest.mark.parametrize("case", HDF5)
def test_hdf5_is_read_within_bounds(tmp_path: Path, case: str) -> None:
    fill, message = HDF5[case]
    assert message in refusal(hdf5(tmp_path / "net", fill))


def test_a_file_on_which_the_library_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its header, a heap's object takes 2**64 bytes, so 0: HDF5 2.0 goes round in circles."""
    content = bytearray((SAVED / "keras2_sequential.h5").read_bytes())
    at = content.index(b"GCOL") + 16 + 8
    content[at : at + 8] = b"\xf0" + b"\xff" * 7
    (tmp_path / "net").write_bytes(content)
    monkeypatch.setattr(hdf5_file, "_SECONDS", 1)
    assert "its reader stopped with code" in refusal(tmp_path / "net")


def test_compressed_arrays_are_read(tmp_path: Path) -> None:
    def compressed(file: Any) -> None:
        values = file[KERNEL][()]
        del file[KERNEL]
        file.create_dataset(KERNEL, data=values, compression="gzip", shuffle=True)

    path = hdf5(tmp_path / "net", compressed)
    assert load_checkpoint(path).digest == load_checkpoint(SAVED / "keras2_sequential.h5").digest


def test_an_archive_without_a_configuration(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    (tmp_path / "net").write_bytes(stream.getvalue())
    assert "damaged Keras archive (it has no config.json)" in refusal(tmp_path / "net")


class Kept:
    """A model in memory, as either Keras has it: layers, their arrays, their configuration."""

    def __init__(self, name: str) -> None:
        with h5py.File(SAVED / name) as file:
            self.text = file.attrs["model_config"]
            weights = file["model_weights"]
            self.layers: list[Any] = [
                SimpleNamespace(name=each, get_weights=self.arrays(weights[each]).copy)
                for each in weights
            ]

    @staticmethod
    def arrays(group: Any) -> list[Any]:
        return [group[path][()] for path in group.attrs["weight_names"]]

    def to_json(self) -> str:
        return str(self.text)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["sequential", "functional"])
def test_a_model_in_memory_is_as_its_file(version: int, name: str) -> None:
    file = f"keras{version}_{name}.h5"
    assert load_network(Kept(file)).digest == load_checkpoint(SAVED / file).digest


def test_two_layers_of_one_name_are_refused() -> None:
    model = Kept("keras3_sequential.h5")
    model.layers.append(SimpleNamespace(layers=model.layers[:1]))
    with pytest.raises(SynqError, match="two layers are named"):
        load_network(model)
