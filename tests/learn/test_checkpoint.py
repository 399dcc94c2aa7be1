"""Networks in real numbers, and every way a checkpoint file can be right or wrong."""

import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.torch import save_file as save_torch_safetensors

from checkpoints import network, perceptron, refusal
from strategies import convolutional_floats
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.learn import checkpoint
from synq.learn.checkpoint import load_checkpoint, load_network, save_checkpoint


def ones(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


# ---- FloatNetwork -------------------------------------------------------------------------------


def test_logits_are_those_of_torch() -> None:
    model = perceptron()
    first, second = model[0], model[2]
    arrays = [p.detach().numpy() for p in (first.weight, first.bias, second.weight, second.bias)]
    ours = FloatNetwork((arrays[0].T, arrays[2].T), (arrays[1], arrays[3]))
    inputs = np.random.default_rng(1).normal(size=(20, 6))
    theirs = model(torch.tensor(inputs, dtype=torch.float32)).detach().numpy()
    assert ours.sizes == (6, 4, 3)
    assert ours.logits(inputs).dtype == np.float32
    np.testing.assert_allclose(ours.logits(inputs), theirs, atol=1e-6)


def test_hidden_layers_rectify_and_the_last_does_not() -> None:
    net = FloatNetwork((np.array([[1.0, -1.0]]), np.array([[-1.0], [-3.0]])), (None, None))
    np.testing.assert_array_equal(net.logits(np.array([[2.0], [-2.0]])), [[-2.0], [-6.0]])


def test_accuracy_is_in_percent() -> None:
    net = FloatNetwork((np.eye(3),), (None,))
    assert net.accuracy(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 0])) == 75.0


def test_inputs_of_another_width_are_refused() -> None:
    with pytest.raises(SynqError, match=r"takes 6 inputs a sample, .* shape \(5,\)"):
        network(6, 3).logits(ones(2, 5))


def test_a_network_cannot_change() -> None:
    source = ones(3, 2)
    net = FloatNetwork((source,), (None,))
    source[:] = 7
    assert net.weights[0].max() == 1
    with pytest.raises(ValueError, match="read-only"):
        net.weights[0][0, 0] = 2
    with pytest.raises(FrozenInstanceError):
        net.weights = ()  # type: ignore[misc]


def test_digest_tells_values_shapes_and_biases_apart() -> None:
    networks = [
        FloatNetwork((ones(2, 3),), (None,)),
        FloatNetwork((ones(3, 2),), (None,)),
        FloatNetwork((ones(2, 3) * 2,), (None,)),
        FloatNetwork((ones(2, 3),), (ones(3),)),
        FloatNetwork((ones(2, 3),), (np.zeros(3),)),
    ]
    assert len({net.digest for net in networks}) == len(networks)
    assert FloatNetwork((ones(2, 3).astype(np.float64),), (None,)).digest == networks[0].digest


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ((), (), "at least one layer"),
        ((ones(2, 3),), (), "got 1 weights and 0 biases"),
        ((ones(2, 3), ones(4, 2)), (None, None), "weight of layer 2 takes 4 inputs, .* 3 outputs"),
        ((ones(2),), (None,), r"weight of layer 1 must have .* shape \(2,\)"),
        ((ones(2, 0),), (None,), r"weight of layer 1 must have .* shape \(2, 0\)"),
        ((ones(2, 2) * np.nan,), (None,), "weight of layer 1 holds values that are NaN"),
        ((ones(2, 2), ones(2, 2) * 0), (None, None), "weight of layer 2 is all zeros"),
        ((ones(2, 2),), (ones(3),), r"bias of layer 1 must have shape \(2,\).*got \(3,\)"),
        ((ones(2, 2),), (ones(2) * np.inf,), "bias of layer 1 holds values that are NaN or inf"),
    ],
)
def test_impossible_networks_are_refused(weights: Any, biases: Any, message: str) -> None:
    with pytest.raises(SynqError, match=message):
        FloatNetwork(weights, biases)


@given(
    n_in=st.integers(1, 6),
    bias=st.booleans(),
    each=st.booleans(),
    factor=st.floats(0.01, 300),
    seed=st.integers(0, 1000),
)
def test_a_normalization_of_the_inputs_folds_into_the_first_layer(
    n_in: int, bias: bool, each: bool, factor: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    net = network(n_in, 4, 3, bias=bias, seed=seed)
    mean, std = rng.normal(size=n_in if each else 1), rng.uniform(0.1, 3, n_in if each else 1)
    inputs = rng.uniform(-1, 1, (20, n_in)) / factor
    folded = net.with_normalized_inputs(mean, std if each else float(std[0]), factor)
    expected = net.logits((factor * inputs - mean) / std)
    np.testing.assert_allclose(folded.logits(inputs), expected, atol=1e-4, rtol=1e-4)
    assert folded.sizes == net.sizes


@pytest.mark.parametrize(
    ("mean", "std", "factor", "message"),
    [
        ([0, 0], 1, 1, "the mean must be one number or 6, one an input of the network, got 2"),
        (0, [], 1, "the standard deviation must be one number or 6, .*, got 0"),
        (0, [1, 1, 0, 1, 1, 1], 1, "must be above zero: give 1 for an input that never changes"),
        (0, -1, 1, "must be above zero"),
        (np.nan, 1, 1, "the mean must be finite"),
        (0, np.inf, 1, "the standard deviation must be finite"),
        (0, "much", 1, "the standard deviation must be a number, or one an input"),
        (0, 1, 0, "the factor of the inputs must be finite and not zero, got 0"),
    ],
)
def test_impossible_normalizations_are_refused(
    mean: Any, std: Any, factor: float, message: str
) -> None:
    with pytest.raises(SynqError, match=message):
        network(6, 3).with_normalized_inputs(mean, std, factor)


# ---- Round trips --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=14),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_saved_is_loaded(
    sizes: list[int], bias: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "net.safetensors"
    net = network(*sizes, bias=bias, seed=seed)
    save_checkpoint(net, path, {"seed": str(seed)})
    loaded = load_checkpoint(path)
    assert loaded.digest == net.digest
    for ours, theirs in zip(net.weights + net.biases, loaded.weights + loaded.biases, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_saved_network_is_a_torch_state_dict(tmp_path: Path) -> None:
    net = network(6, 4, 3, bias=True)
    save_checkpoint(net, tmp_path / "net", {})
    tensors = load_safetensors((tmp_path / "net").read_bytes())
    assert {name: array.shape for name, array in tensors.items()} == {
        "fc1.weight": (4, 6),
        "fc1.bias": (4,),
        "fc2.weight": (3, 4),
        "fc2.bias": (3,),
    }
    np.testing.assert_array_equal(tensors["fc1.weight"], net.weights[0].T)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_saved_convolutions_are_loaded(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "convolutions.safetensors"
    net = convolutional_floats(np.random.default_rng(seed))
    save_checkpoint(net, path, {})
    loaded = load_checkpoint(path)
    assert (loaded.digest, loaded.geometries) == (net.digest, net.geometries)
    with pytest.raises(SynqError, match="says itself in which order"):
        load_checkpoint(path, ["conv1"])


@pytest.fixture
def convolutions() -> FloatNetwork:
    """Two, one of them pooled and padded, and two dense layers, of images 8 x 7 x 2."""
    random = np.random.default_rng(0)
    first = Window((8, 7, 2), (3, 2), padding=((1, 1), (0, 0)))
    second = Window((4, 3, 3), (2, 2))
    return FloatNetwork(
        tuple(random.normal(size=shape) for shape in ((12, 3), (12, 5), (30, 4), (4, 2))),
        (random.normal(size=3), None, random.normal(size=4), None),
        (Geometry(first, Pool(Pooling.MAX, (2, 2))), Geometry(second), DENSE, DENSE),
    )


def test_saved_convolutions_are_a_torch_state_dict(
    convolutions: FloatNetwork, tmp_path: Path
) -> None:
    save_checkpoint(convolutions, tmp_path / "net", {})
    model = torch.nn.Sequential()
    model.add_module("conv1", torch.nn.Conv2d(2, 3, (3, 2), padding=(1, 0)))
    model.append(torch.nn.ReLU()).append(torch.nn.MaxPool2d(2))
    model.add_module("conv2", torch.nn.Conv2d(3, 5, 2, bias=False))
    model.append(torch.nn.ReLU()).append(torch.nn.Flatten())
    model.add_module("fc3", torch.nn.Linear(30, 4))
    model.append(torch.nn.ReLU())
    model.add_module("fc4", torch.nn.Linear(4, 2, bias=False))
    tensors = load_safetensors((tmp_path / "net").read_bytes())
    model.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()})
    images = np.random.default_rng(1).normal(size=(5, 8, 7, 2)).astype(np.float32)
    theirs = model(torch.tensor(images).permute(0, 3, 1, 2)).detach().numpy()
    ours = convolutions.logits(images.reshape(5, -1))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "geometries",
    [
        3,
        "[",
        "[" * 99999,
        "[3]",
        "[]",
        json.dumps([DENSE.to_dict()] * 4),
        json.dumps([Geometry(Window((8, 7, 2), (3, 2))).to_dict()]),
        '[{"window": {"shape": [99999999999, 1, 1], "kernel": [1, 1]}, "pool": null}]',
    ],
)
def test_damaged_geometries_are_refused(
    geometries: Any, convolutions: FloatNetwork, tmp_path: Path
) -> None:
    described = json.dumps({"geometries": geometries})
    write_saved(tmp_path / "net", convolutions, described)
    assert "its tensors are not those that its geometry asks for" in refusal(tmp_path / "net")


def write_saved(path: Path, net: FloatNetwork, described: str) -> None:
    """A file as synq writes it, with other metadata."""
    tensors = load_safetensors(checkpoint.checkpoint_bytes(net, {}))
    as_torch = {name: torch.tensor(array) for name, array in tensors.items()}
    save_torch_safetensors(as_torch, path, metadata={"synq": described})


def test_a_pool_changed_in_a_file_is_found(convolutions: FloatNetwork, tmp_path: Path) -> None:
    geometries = json.dumps([each.to_dict() for each in convolutions.geometries])
    described = json.dumps({"geometries": geometries, "digest": convolutions.digest})
    write_saved(tmp_path / "net", convolutions, described)
    assert load_checkpoint(tmp_path / "net").digest == convolutions.digest
    write_saved(tmp_path / "net", convolutions, described.replace("max", "average"))
    assert "damaged" in refusal(tmp_path / "net")


def test_equal_networks_make_equal_files_in_any_process(tmp_path: Path) -> None:
    """safetensors itself writes metadata in an order that changes from process to process."""
    script = """if True:
        import sys, pathlib, numpy
        from synq.float_network import FloatNetwork
        from synq.learn.checkpoint import save_checkpoint
        metadata = dict.fromkeys("abcdefgh", "value")
        net = FloatNetwork((numpy.eye(3),), (numpy.ones(3),))
        save_checkpoint(net, pathlib.Path(sys.argv[1]), metadata)
        """
    for name in "123":
        subprocess.run([sys.executable, "-c", script, tmp_path / name], check=True)
    assert len({(tmp_path / name).read_bytes() for name in "123"}) == 1


def test_reading_our_own_file_does_not_import_torch(tmp_path: Path) -> None:
    save_checkpoint(network(4, 3), tmp_path / "net", {})
    script = "import sys, pathlib; from synq.learn.checkpoint import load_checkpoint as load;"
    script += "load(pathlib.Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script, tmp_path / "net"], check=True)


# ---- Files of users -----------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_state_dicts_load(tmp_path: Path, wrap: str | None, zipped: bool) -> None:
    model = perceptron()
    state: Any = model.state_dict()
    content = state if wrap is None else {wrap: state, "epoch": 3, "optimizer": {"lr": 0.1}}
    path = tmp_path / "model.any"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    net = load_checkpoint(path)
    np.testing.assert_array_equal(net.weights[1], state["2.weight"].numpy().T)
    np.testing.assert_array_equal(net.biases[0], state["0.bias"].numpy())  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_load_in_any_protocol(tmp_path: Path, protocol: int, zipped: bool) -> None:
    state = perceptron().state_dict()
    beside = {
        "path": tmp_path,
        "set": {1},
        "frozen": frozenset({2}),
        "bytes": b"x",
        "long": 1 << 70,
    }
    torch.save(
        {"state_dict": state, "callbacks": {(1, 2): beside}, "complex": [1j, print]},
        tmp_path / "net",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    net = load_checkpoint(tmp_path / "net")
    np.testing.assert_array_equal(net.weights[1], state["2.weight"].numpy().T)


def test_a_single_linear_layer_loads(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(5, 2).state_dict(), tmp_path / "net")
    assert load_checkpoint(tmp_path / "net").sizes == (5, 2)


def test_a_state_dict_keeps_its_order(tmp_path: Path) -> None:
    torch.save({"z.weight": torch.ones(4, 6), "a.weight": torch.ones(3, 4)}, tmp_path / "net")
    assert load_checkpoint(tmp_path / "net").sizes == (6, 4, 3)


def test_safetensors_layers_count_by_value(tmp_path: Path) -> None:
    sizes = list(range(14, 1, -1))
    tensors = {
        f"fc{layer}.weight": torch.ones(n_out, n_in)
        for layer, (n_in, n_out) in enumerate(pairwise(sizes), 1)
    }
    save_torch_safetensors(tensors, tmp_path / "net")
    assert load_checkpoint(tmp_path / "net").sizes == tuple(sizes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_other_float_types_become_float32(
    tmp_path: Path, dtype: torch.dtype, save: Callable[[Any, Path], None]
) -> None:
    state = perceptron().to(dtype).state_dict()
    save(dict(state), tmp_path / "net")
    net = load_checkpoint(tmp_path / "net")
    np.testing.assert_array_equal(net.weights[0], state["0.weight"].float().numpy().T)
    np.testing.assert_array_equal(net.biases[1], state["2.bias"].float().numpy())  # type: ignore[arg-type]


def test_parameters_that_require_gradients_load(tmp_path: Path) -> None:
    torch.save(dict(perceptron().named_parameters()), tmp_path / "net")
    assert load_checkpoint(tmp_path / "net").sizes == (6, 4, 3)


# ---- What is in memory --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_network_is_loaded_from_where_it_is(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    model = perceptron()
    torch.save(model.state_dict(), tmp_path / "net")
    expected = load_checkpoint(tmp_path / "net").digest
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    for source in (kind(tmp_path / "net"), model, model.state_dict(), arrays):
        assert load_network(source).digest == expected
    assert load_network(arrays, ("0", "2")).digest == expected
    half = {name: value.bfloat16() for name, value in model.state_dict().items()}
    assert load_network(half).sizes == (6, 4, 3)


@pytest.mark.parametrize(
    ("source", "layers", "message"),
    [
        (7, None, r"a int is no network: give a torch.nn.Module, a state dict, .* ONNX\)"),
        (None, None, "a NoneType is no network"),
        (perceptron(), ("0",), "says itself in which order its layers come"),
        ({"a.weight": "x"}, None, "'a.weight' is a str, not a tensor or array"),
        ({"a.weight": [[1, 2], [3]]}, None, "'a.weight' is a list, not a tensor"),
        ({"a.weight": np.ones((2, 2), int)}, None, "'a.weight' is int64; weights must be"),
        ({}, None, "holds no layer"),
    ],
)
def test_what_is_no_network_is_refused(source: Any, layers: Any, message: str) -> None:
    with pytest.raises(SynqError, match=message):
        load_network(source, layers)


# ---- Refusals -----------------------------------------------------------------------------------

Tensors = dict[str, torch.Tensor]
BAD_TENSORS: dict[str, tuple[Tensors, str]] = {
    "empty": ({}, "holds no layer"),
    "bias only": ({"fc1.bias": torch.ones(3)}, "'fc1.bias' has no weight beside it"),
    "convolution": (
        {"conv1.weight": torch.ones(8, 1, 3, 3), "fc.weight": torch.ones(10, 8)},
        r"'conv1.weight' of shape \(8, 1, 3, 3\) is not .* only fully connected ReLU",
    ),
    "batch norm": (
        {"fc.weight": torch.ones(3, 4), "bn.weight": torch.ones(3), "bn.bias": torch.ones(3)},
        r"'bn.weight' of shape \(3,\) is not .* a BatchNorm without statistics; only fully",
    ),
    "running statistics": (
        {"fc.weight": torch.ones(3, 4), "bn.running_mean": torch.ones(3)},
        "'bn' is no BatchNorm of torch's",
    ),
    "stray bias": (
        {"fc1.weight": torch.ones(3, 4), "fc2.bias": torch.ones(3)},
        "'fc2.bias' has no weight beside it",
    ),
    "broken chain": (
        {"fc1.weight": torch.ones(3, 4), "fc2.weight": torch.ones(2, 5)},
        "'fc2' takes 5 inputs, but 'fc1' before it gives 3 outputs",
    ),
    "bias too long": (
        {"fc1.weight": torch.ones(3, 5), "fc1.bias": torch.ones(4)},
        r"the bias of 'fc1' must have shape \(3,\), one value an output, got \(4,\)",
    ),
    "NaN": ({"fc1.weight": torch.full((3, 4), torch.nan)}, "the weight of 'fc1' holds .* NaN"),
    "infinite": (
        {"fc1.weight": torch.ones(3, 4), "fc1.bias": torch.full((3,), torch.inf)},
        "the bias of 'fc1' holds .* infinite",
    ),
    "too large for float32": (
        {"fc1.weight": torch.full((3, 4), 1e300, dtype=torch.float64)},
        "the weight of 'fc1' holds .* infinite in float32",
    ),
    "zeros": ({"fc1.weight": torch.zeros(3, 4)}, "the weight of 'fc1' is all zeros"),
    "no outputs": (
        {"fc1.weight": torch.zeros(0, 4)},
        "the weight of 'fc1' must have inputs and outputs",
    ),
    "integers": (
        {"fc1.weight": torch.ones(3, 4, dtype=torch.int8)},
        "'fc1.weight' is (int8|I8); weights must be float16",
    ),
    "newline in a name": (
        {"fc1.weight": torch.ones(3, 4), "x\ny": torch.ones(3)},
        r"'x\\ny' of shape",
    ),
}


@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
@pytest.mark.parametrize("case", BAD_TENSORS)
def test_bad_tensors_are_named(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    tensors, message = BAD_TENSORS[case]
    save(tensors, tmp_path / "net")
    assert re.search(message, refusal(tmp_path / "net"))


BAD_OBJECTS: dict[str, tuple[Any, str]] = {
    "a list": ([torch.ones(2, 2)], "holds a list, not a state dict"),
    "a tensor": (torch.ones(2, 2), "holds a Tensor, not a state dict"),
    "a training run": ({"epoch": 3, "net": {}}, "entry 'epoch' is a int, .* 'state_dict'"),
    "numbered": ({1: torch.ones(2, 2)}, "entry 1 is a Tensor"),
    "negated": (
        {"a.weight": torch._neg_view(torch.eye(3))},  # type: ignore[attr-defined]
        "a negated or conjugated view",
    ),
    "sparse": ({"a.weight": torch.eye(3).to_sparse()}, "'a.weight' is sparse, quantized or"),
    "meta": ({"a.weight": torch.ones(3, 3, device="meta")}, "'a.weight' is .* without values"),
    "a tiny file that claims terabytes": (
        {"a.weight": torch.ones(1, 1).expand(1_000_000, 1_000_000)},
        "holds 1,000,000,000,000 values; at most 100,000,000",
    ),
}


@pytest.mark.parametrize("case", BAD_OBJECTS)
def test_bad_torch_files_are_refused(tmp_path: Path, case: str) -> None:
    content, message = BAD_OBJECTS[case]
    torch.save(content, tmp_path / "net")
    assert re.search(message, refusal(tmp_path / "net"))


class Malicious:
    """What an attacker would pickle: loading it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("where", ["alone", "beside tensors", "legacy", "bare pickle"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, where: str) -> None:
    path, target = tmp_path / "net.pt", tmp_path / "pwned"
    attack: Any = Malicious(target)
    if where == "bare pickle":
        path.write_bytes(pickle.dumps(attack))
    elif where == "beside tensors":
        torch.save({"fc1.weight": torch.ones(2, 2), "x": attack}, path)
    else:
        torch.save(attack, path, _use_new_zipfile_serialization=where == "alone")
    message = refusal(path)
    assert "never runs code" in message
    assert "state_dict()" in message
    assert not target.exists()
    if where == "alone":  # that the attack is one: torch's own unsafe way runs it
        torch.load(path, weights_only=False)
        assert target.exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(perceptron(), tmp_path / "net")
    assert "never runs code" in refusal(tmp_path / "net")


def checkpoints(folder: Path) -> Iterator[Path]:
    save_checkpoint(network(6, 4, 3, bias=True), folder / "safetensors", {})
    yield folder / "safetensors"
    for name, zipped in (("torch", True), ("legacy", False)):
        path = folder / name
        torch.save(perceptron().state_dict(), path, _use_new_zipfile_serialization=zipped)
        yield path


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    for path in checkpoints(tmp_path):
        content = path.read_bytes()
        load_checkpoint(path)
        for size in {*range(0, 40), *range(40, len(content), 97), len(content) - 1}:
            path.write_bytes(content[:size])
            refusal(path)


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """Whatever bytes change, the answer is a network or a SynqError, never another exception."""
    rng = np.random.default_rng(2)
    for path in checkpoints(tmp_path):
        content = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(content)
            for at in rng.integers(len(content), size=3):
                damaged[at] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                load_checkpoint(path)
            except SynqError as error:
                assert "\n" not in str(error)


def test_one_flipped_bit_in_our_own_weights_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net"
    save_checkpoint(network(6, 4, 3), path, {})
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_metadata_of_others_is_no_reason_to_refuse(tmp_path: Path) -> None:
    for metadata in (
        {"format": "pt"},
        {"synq": "none"},
        {"synq": "[1]"},
        {"synq": '"x"'},
        {"synq": "[" * 99999},
    ):
        save_torch_safetensors({"a.weight": torch.ones(2, 3)}, tmp_path / "net", metadata=metadata)
        assert load_checkpoint(tmp_path / "net").sizes == (3, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a network in a format that is read: safetensors, torch.save"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is a damaged HDF5 file"),
        (
            b"hello world, this is a text file",
            "is not a network in a format that is read: safetensors, torch.save",
        ),
        (struct.pack("<Q", 1 << 60) + b"{}", "truncated or damaged safetensors"),
        (struct.pack("<Q", 2) + b"{}", "holds no layer"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "net").write_bytes(content)
    assert message in refusal(tmp_path / "net")


def test_safetensors_of_a_type_numpy_lacks_are_refused(tmp_path: Path) -> None:
    header = {"a.weight": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    (tmp_path / "net").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    assert "'a.weight' is F8_E4M3; weights must be" in refusal(tmp_path / "net")


def test_an_npz_is_not_a_checkpoint(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w=np.eye(3))
    assert "is not a torch state dict" in refusal(tmp_path / "net.npz")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert "cannot be read (No such file" in refusal(tmp_path / "none.pt")
    assert "cannot be read (Is a directory)" in refusal(tmp_path)
    assert "not a regular file" in refusal(Path("/dev/zero"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(b"x")
    (tmp_path / "net").chmod(0)
    assert "cannot be read (Permission denied)" in refusal(tmp_path / "net")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "net").open("wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.truncate(checkpoint.MAX_FILE_BYTES + 1)  # sparse: takes no room
    assert "larger than 2 GiB" in refusal(tmp_path / "net")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net", "w") as archive:
        archive.writestr("net/data.pkl", b"x")
        archive.writestr("net/data/0", bytes(1 << 20), zipfile.ZIP_DEFLATED)
    content = bytearray((tmp_path / "net").read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # the size of the last member in the list of members
    content[at : at + 4] = struct.pack("<I", 1 << 30)
    (tmp_path / "net").write_bytes(content)
    assert re.search("unpacks from .* KiB to 1 GiB, more than 100 times", refusal(tmp_path / "net"))
