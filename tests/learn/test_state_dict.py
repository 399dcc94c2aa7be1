"""Tensors that are no chain of dense layers: what is said of them, and that it helps."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_torch_safetensors
from torch.nn.utils import parametrize, prune

from checkpoints import network, perceptron, refusal
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_checkpoint, load_network

Tensors = dict[str, torch.Tensor]
pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of its older ways


def batch_normed() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 3)
    )


def pruned() -> torch.nn.Module:
    model = perceptron()
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


def weight_normed(parametrized: bool) -> torch.nn.Module:
    model = perceptron()
    if parametrized:
        torch.nn.utils.parametrizations.weight_norm(model[0])
    else:
        torch.nn.utils.weight_norm(model[0])
    return model


def spectrally_normed(parametrized: bool) -> torch.nn.Module:
    model = perceptron()
    if parametrized:
        torch.nn.utils.parametrizations.spectral_norm(model[0])
    else:
        torch.nn.utils.spectral_norm(model[2])
    return model


def wide(*names: str) -> torch.nn.Module:
    """Layers of one width but the last, declared in an order: `fc` dense, `bn` normalizing."""
    model = torch.nn.Module()
    for name in names:
        made: torch.nn.Module = torch.nn.BatchNorm1d(6)
        if name.startswith("fc"):
            made = torch.nn.Linear(6, 3 if name == "fc3" else 6)
        model.add_module(name, made)
    return model


def four_normed() -> torch.nn.Module:
    return torch.nn.BatchNorm1d(4)


NORMED_FIRST = (
    *(torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU()),
    *(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3, affine=False)),
)
COMPUTED: dict[str, Callable[[], torch.nn.Module]] = {
    "batch norm": batch_normed,
    "batch norms first and last": lambda: torch.nn.Sequential(*NORMED_FIRST),
    "pruning": pruned,
    "old weight norm": lambda: weight_normed(False),
    "weight norm": lambda: weight_normed(True),
    "old spectral norm": lambda: spectrally_normed(False),
    "spectral norm": lambda: spectrally_normed(True),
}


@pytest.mark.parametrize("case", COMPUTED)
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_what_torch_makes_of_dense_layers_is_computed(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    torch.manual_seed(1)
    model = COMPUTED[case]()
    inputs = torch.rand(20, 6)
    for _ in range(5):
        model(3 * inputs - torch.rand(6))  # statistics of batches, and steps of the power method
    model.eval()
    save({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "net")
    ours = load_checkpoint(tmp_path / "net").logits(inputs.numpy())
    np.testing.assert_allclose(ours, model(inputs).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_pruned_biases_are_computed(tmp_path: Path, bias: bool) -> None:
    model = perceptron()
    prune.random_unstructured(model[2], "weight", 0.3)
    if bias:
        prune.random_unstructured(model[2], "bias", 0.6)
    torch.save(model.state_dict(), tmp_path / "net")
    inputs = torch.rand(20, 6)
    ours = load_checkpoint(tmp_path / "net").logits(inputs.numpy())
    np.testing.assert_allclose(ours, model(inputs).detach().numpy(), atol=1e-6)


def symmetric() -> torch.nn.Module:
    class Symmetric(torch.nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight.triu() + weight.triu(1).T

    layer = torch.nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return layer


OTHER_MODELS: dict[str, tuple[Callable[[], torch.nn.Module], str]] = {
    "layer norm": (
        lambda: torch.nn.Sequential(
            torch.nn.Linear(6, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 3)
        ),
        r"'1.weight' of shape \(4,\) is not .* but of a LayerNorm",
    ),
    "a parametrization": (
        symmetric,
        "'.parametrizations.weight.original' is a parametrization that is not read .*"
        "remove_parametrizations",
    ),
    "recurrent": (lambda: torch.nn.LSTM(6, 4), "'weight_ih_l0' belongs to a recurrent layer"),
    "attention": (
        lambda: torch.nn.MultiheadAttention(4, 2),
        "'in_proj_weight' belongs to an attention layer",
    ),
}


@pytest.mark.parametrize("case", OTHER_MODELS)
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_what_is_no_dense_layer_is_named_with_what_to_do(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    make, message = OTHER_MODELS[case]
    save(dict(make().state_dict()), tmp_path / "net")
    assert re.search(message, refusal(tmp_path / "net"))


INCOMPLETE: dict[str, tuple[Tensors, tuple[str, ...] | None, str]] = {
    "no mask of a bias": (
        {"a.weight": torch.ones(3, 4), "a.bias_orig": torch.ones(3)},
        None,
        "'a.bias_mask' is missing",
    ),
    "no mask": ({"a.weight_orig": torch.ones(3, 4)}, None, "'a.weight_orig' is a parametrization"),
    "another mask": (
        {"a.weight_orig": torch.ones(3, 4), "a.weight_mask": torch.ones(4, 3)},
        None,
        "'a.weight_mask' is of another shape than weight_orig",
    ),
    "no variance": (
        {"a.weight": torch.ones(3, 4), "n.running_mean": torch.ones(3)},
        ("a", "n"),
        "'n.running_var' is missing",
    ),
    "no variance, not named": (
        {"a.weight": torch.ones(3, 4), "n.running_mean": torch.ones(3)},
        ("a",),
        "'n.running_var' is missing",
    ),
    "magnitudes": (
        {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.ones(3, 4)},
        None,
        "the magnitudes in the weight norm of 'a' do not fit it",
    ),
    "vectors": (
        {
            "a.weight_orig": torch.ones(3, 4),
            "a.weight_u": torch.ones(4),
            "a.weight_v": torch.ones(4),
        },
        None,
        "the spectral norm of 'a' does not fit it",
    ),
    "twice": (
        {"a.weight": torch.ones(3, 4), "a.kernel": torch.ones(4, 3)},
        None,
        "holds 'a.kernel' twice",
    ),
    "no place": (
        {"a.weight": torch.ones(3, 4)}
        | {f"n.running_{name}": torch.ones(7) for name in ("mean", "var")},
        None,
        "'n' normalizes 7 features, as many as no layer has",
    ),
    "scales of a tile": (
        {"a.analog_module.analog_tile_weights": torch.ones(3, 4)}
        | {"a.analog_module.mapping_scales": torch.ones(2)},
        None,
        "'a.mapping_scales' must have one value, or one an output",
    ),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_parts_of_layers_that_do_not_fit_are_named(case: str) -> None:
    tensors, layers, message = INCOMPLETE[case]
    with pytest.raises(SynqError, match=message):
        load_network(tensors, layers)


def test_keras_names_have_keras_epsilon() -> None:
    arrays = {"d/kernel": np.eye(2), "n/moving_mean": np.zeros(2), "n/moving_variance": np.zeros(2)}
    assert load_network(arrays).weights[0][0, 0] == pytest.approx(1e-3**-0.5)


# The names of layers in a file; the place of each batch normalization: of which dense layer it
# follows, 0 for the inputs; or None where the file does not say.
_EACH = {"bn1": 1, "bn2": 2}
PLACES: dict[str, tuple[tuple[str, ...], dict[str, int] | None, dict[str, int] | None]] = {
    "as they come": (
        ("fc1", "bn1", "fc2", "bn2", "fc3"),
        {"bn1": 1, "bn2": 2},
        {"bn1": 1, "bn2": 2},
    ),
    "dense ones first": (
        ("fc1", "fc2", "fc3", "bn1", "bn2"),
        {"bn1": 1, "bn2": 2},
        {"bn1": 1, "bn2": 2},
    ),
    "first": (("bn", "fc1", "fc2", "fc3"), {"bn": 0}, None),
    "by order": (("fc1", "fc2", "bn", "fc3"), {"bn": 2}, None),
    "order and number differ": (("fc1", "fc2", "bn1", "fc3"), None, {"bn1": 1}),
}


@pytest.mark.parametrize("case", PLACES)
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_batch_norms_stand_where_order_or_numbers_say(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    names, ordered, unordered = PLACES[case]
    places = ordered if save is torch.save else unordered
    torch.manual_seed(0)
    model = wide(*names)
    layers = dict(model.named_children())
    for name, layer in layers.items():
        if name.startswith("bn"):
            for array in (layer.running_mean, layer.running_var, layer.weight):
                torch.nn.init.uniform_(array, 0.1, 2)  # type: ignore[arg-type]
    save(dict(model.state_dict()), tmp_path / "net")
    if places is None:
        assert "the file does not say where 'bn" in refusal(tmp_path / "net")
        return
    order = [*(name for name, at in places.items() if at == 0)]
    for index in (1, 2, 3):
        order += [f"fc{index}", *(name for name, at in places.items() if at == index)]
        order += ["relu"] * (index < 3)
    inputs = torch.rand(10, 6)
    expected = inputs
    for name in order:
        expected = torch.relu(expected) if name == "relu" else layers[name].eval()(expected)
    for chosen in (None, order, [name for name in order if name != "relu"]):
        ours = load_checkpoint(tmp_path / "net", chosen).logits(inputs.numpy())
        np.testing.assert_allclose(ours, expected.detach().numpy(), atol=1e-5)


_RELU, _DROPOUT = torch.nn.ReLU, torch.nn.Dropout
BETWEEN: dict[str, tuple[tuple[Callable[[], torch.nn.Module], ...], str | None]] = {
    "before ReLU": ((four_normed, _RELU), None),
    "before ReLU and dropout": ((four_normed, _RELU, _DROPOUT), None),
    "after ReLU": ((_RELU, four_normed), None),
    "after ReLU and dropout": ((_RELU, _DROPOUT, four_normed), None),
    "before dropout": ((_RELU, four_normed, _DROPOUT), "0,relu,2,4"),
}


@pytest.mark.parametrize("case", BETWEEN)
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_numbers_say_on_which_side_of_a_relu_a_batch_norm_stands(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    torch.manual_seed(0)
    between, layers = BETWEEN[case]
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 4), *(make() for make in between), torch.nn.Linear(4, 3)
    )
    inputs = torch.rand(20, 6)
    for _ in range(5):
        model(inputs)
    save(dict(model.eval().state_dict()), tmp_path / "net")
    if layers is not None:
        assert f"and the ReLU, as {layers}" in refusal(tmp_path / "net")
    ours = load_checkpoint(tmp_path / "net", layers and layers.split(",")).logits(inputs.numpy())
    np.testing.assert_allclose(ours, model(inputs).detach().numpy(), atol=1e-5)


def test_a_batch_norm_whose_side_is_not_known_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(wide("fc1", "bn1", "fc3").state_dict(), tmp_path / "net")
    load_checkpoint(tmp_path / "net")
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "batch normalization bn1 is taken to stand between fc1 and its ReLU: the file does not "
        "say; if it stands after the ReLU, name the layers with it, as fc1,relu,bn1,fc3"
    ]
    caplog.clear()
    torch.save(batch_normed().state_dict(), tmp_path / "net")
    load_checkpoint(tmp_path / "net", None)
    assert not caplog.records


def test_one_output_as_two_gives_the_same_classes() -> None:
    """What a network of one output is told to become."""
    net = network(6, 4, 1, bias=True)
    inputs = np.random.default_rng(0).normal(size=(50, 6))
    weight, bias = net.weights[1], net.biases[1]
    assert bias is not None
    two = FloatNetwork(
        (net.weights[0], np.hstack([-weight, weight])), (net.biases[0], np.hstack([-bias, bias]))
    )
    ours = two.logits(inputs).argmax(axis=1)
    np.testing.assert_array_equal(ours, net.logits(inputs)[:, 0] > 0)


def shaped(**shapes: tuple[int, int]) -> Tensors:
    return {f"{name}.weight": torch.ones(n_out, n_in) for name, (n_in, n_out) in shapes.items()}


_MANY = "holds 201 layers; at most 200"
_AUX = (
    "'head' takes 4 inputs, but 'fc2' before it gives 3 outputs; "
    "name the layers of one chain in their order"
)

# what a file holds; its sizes or refusal as a state dict; and as safetensors, which has no order
CHAINS: dict[str, tuple[Tensors, tuple[int, ...] | str, tuple[int, ...] | str]] = {
    "names in another order": (
        shaped(encoder=(8, 8), body=(8, 8), head=(8, 4)),
        "chain in several orders (encoder, body, head; body, encoder, head), and the file does not",
        "chain in several orders (body, encoder, head; encoder, body, head), and the file does not",
    ),
    "one order only": (shaped(inner=(9, 8), outer=(8, 5), deep=(5, 2)), (9, 8, 5, 2), (9, 8, 5, 2)),
    "numbers": (
        shaped(fc1=(8, 8), fc10=(8, 4), fc2=(8, 8)),
        (8, 8, 8, 4),
        (8, 8, 8, 4),
    ),
    "numbers against the order": (
        shaped(fc2=(8, 8), fc1=(8, 8)),
        "chain in several orders (fc2, fc1; fc1, fc2)",
        (8, 8, 8),
    ),
    "numbers and a name": (
        shaped(fc1=(9, 8), fc2=(8, 8), fc3=(8, 8), a=(8, 4)),
        (9, 8, 8, 8, 4),
        (9, 8, 8, 8, 4),
    ),
    "another order": (shaped(last=(4, 3), first=(6, 4)), (6, 4, 3), (6, 4, 3)),
    "another order of three": (
        shaped(b=(5, 4), a=(6, 5), c=(4, 3)),
        (6, 5, 4, 3),
        (6, 5, 4, 3),
    ),
    "transposed": (shaped(fc1=(4, 6), fc2=(3, 4)), (6, 4, 3), (6, 4, 3)),
    "transposed, by the bias": (
        {"a.weight": torch.ones(6, 4), "a.bias": torch.ones(4), "b.weight": torch.ones(4, 3)},
        (6, 4, 3),
        (6, 4, 3),
    ),
    "an auxiliary head": (shaped(fc1=(6, 4), fc2=(4, 3), head=(4, 3)), _AUX, _AUX),
    "Keras": (
        {"dense.kernel": torch.ones(6, 4), "dense.bias": torch.ones(4)},
        (6, 4),
        (6, 4),
    ),
    "Keras's paths": (
        {"a/dense/kernel:0": torch.ones(6, 6), "a/dense/bias:0": torch.ones(6)},
        (6, 6),
        (6, 6),
    ),
    "many": (shaped(**{f"fc{index}": (2, 2) for index in range(201)}), _MANY, _MANY),
    "all alike": (
        shaped(**{f"fc{'x' * index}": (2, 2) for index in range(100)}),
        "chain in several orders (fc",
        "chain in several orders (fc",
    ),
    "too many ways": (
        shaped(**{"q" * index: (2, 2) for index in range(1, 12)}, a=(2, 5), b=(2, 5)),
        "could chain in too many orders",
        "could chain in too many orders",
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_the_order_is_the_only_one_that_chains(tmp_path: Path, case: str) -> None:
    tensors, ordered, unordered = CHAINS[case]
    for save, expected in ((torch.save, ordered), (save_torch_safetensors, unordered)):
        save(tensors, tmp_path / "net")
        if isinstance(expected, str):
            assert expected in refusal(tmp_path / "net")
        else:
            assert load_checkpoint(tmp_path / "net").sizes == expected


def test_the_log_says_what_a_file_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    torch.save(perceptron().state_dict(), tmp_path / "net")
    load_checkpoint(tmp_path / "net")
    assert "layers 0, 2, the activations between them taken as ReLU" in caplog.text


@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_layers_that_are_named_are_taken_in_that_order(
    tmp_path: Path, save: Callable[[Tensors, Path], None]
) -> None:
    tensors = {f"net.{name}": tensor for name, tensor in shaped(a=(5, 5), b=(5, 5)).items()}
    tensors["net.b.weight"] *= 2
    tensors["loss.weight"] = torch.ones(3)
    save(tensors, tmp_path / "net")
    for layers, weights in (
        (("a", "b"), [1, 2]),
        (("b", "net.a"), [2, 1]),
        (("b",), [2]),
    ):
        net = load_checkpoint(tmp_path / "net", layers)
        assert [weight[0, 0] for weight in net.weights] == weights


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (("fc2", "fc9"), "holds no layer 'fc9': did you mean fc2"),
        (("fc2", "x"), "holds no layer 'x': known: net.fc1, other.fc1, fc2"),
        (("fc1",), "holds no layer 'fc1': is one of net.fc1, other.fc1"),
        (("fc2", "fc2"), "layer 'fc2' is named twice"),
        (("net.fc1", "other.fc1"), "'other.fc1' takes 6 inputs, but 'net.fc1' before it gives 5"),
        ((), "holds no layer"),
        (("scale",), r"'scale.weight' of shape \(3,\) is not the weight"),
    ],
)
def test_layers_that_cannot_be_are_refused(
    tmp_path: Path, layers: tuple[str, ...], message: str
) -> None:
    tensors = {f"{name}.fc1.weight": torch.ones(5, 6) for name in ("net", "other")}
    tensors |= {"fc2.weight": torch.ones(5, 5), "scale.weight": torch.ones(3)}
    torch.save(tensors, tmp_path / "net")
    with pytest.raises(SynqError, match=message):
        load_checkpoint(tmp_path / "net", layers)


# ---- aihwkit ------------------------------------------------------------------------------------


def analog(bias: str, scales: bool) -> tuple[dict[str, Any], FloatNetwork]:
    """A state dict as aihwkit 1.1 has it, and the network in it.

    Args:
        bias: "digital", "analog" (a column of the weights) or "none".
    """
    net = network(6, 4, 3, bias=bias != "none")
    state: dict[str, Any] = {}
    for index, (weight, offset) in enumerate(zip(net.weights, net.biases, strict=True)):
        rows, prefix = torch.tensor(weight.T), f"{2 * index}.analog_module"
        if bias == "digital":
            state[f"{prefix}.bias"] = torch.tensor(offset)
        if bias == "analog":
            rows = torch.hstack([rows, torch.tensor(offset)[:, None]])
        if scales:
            largest = rows.abs().amax(1)
            rows = rows / largest[:, None]
            state[f"{prefix}.mapping_scales"] = largest
        state[f"{prefix}.analog_ctx"] = torch.ones(0)
        state[f"{prefix}.analog_tile_state"] = {
            "analog_tile_weights": rows,
            "analog_tile_class": "InferenceTile",
        }
    return state, net


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize("bias", ["digital", "analog", "none"])
def test_the_weights_of_aihwkits_tiles_are_read(tmp_path: Path, bias: str, scales: bool) -> None:
    state, net = analog(bias, scales)
    torch.save(state, tmp_path / "net")
    inputs = np.random.default_rng(0).uniform(0, 1, (9, 6))
    ours = load_checkpoint(tmp_path / "net").logits(inputs)
    np.testing.assert_allclose(ours, net.logits(inputs), atol=1e-5)


def test_aihwkits_tiles_without_weights_are_told_how_to_export(tmp_path: Path) -> None:
    torch.save({"0.analog_module.analog_tile_state": {}}, tmp_path / "net")
    assert "is an aihwkit tile without weights" in refusal(tmp_path / "net")
    assert "convert_to_digital(model).state_dict()" in refusal(tmp_path / "net")
