"""Tensors that are no chain of dense layers: what is said of them, and that it helps."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_torch_safetensors
from torch.nn.utils import parametrize, prune

from checkpoints import network, perceptron, refusal
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_checkpoint

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


OTHER_MODELS: dict[str, tuple[Callable[[], torch.nn.Module], str]] = {
    "batch norm": (batch_normed, "'1.running_mean' belongs to a BatchNorm, which is not folded"),
    "layer norm": (
        lambda: torch.nn.Sequential(
            torch.nn.Linear(6, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 3)
        ),
        r"'1.weight' of shape \(4,\) is not .* but of a normalization",
    ),
    "pruning": (pruned, r"'0.weight_mask' is torch's pruning: .*prune.remove\(module, 'weight'\)"),
    "old weight norm": (
        lambda: weight_normed(False),
        r"'0.weight_g' is torch's weight normalization: .*remove_weight_norm\(module\)",
    ),
    "weight norm": (
        lambda: weight_normed(True),
        r"'0.parametrizations.weight.original0' is a parametrization .*remove_parametrizations",
    ),
    "old spectral norm": (
        lambda: torch.nn.utils.spectral_norm(torch.nn.Linear(6, 4)),
        r"'weight_u' is torch's spectral normalization: .*remove_spectral_norm",
    ),
    "spectral norm": (
        lambda: torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(6, 4)),
        "'parametrizations.weight.original' is a parametrization: .*remove_parametrizations",
    ),
    "recurrent": (lambda: torch.nn.LSTM(6, 4), "'weight_ih_l0' belongs to a recurrent layer"),
}


@pytest.mark.parametrize("case", OTHER_MODELS)
@pytest.mark.parametrize("save", [torch.save, save_torch_safetensors])
def test_what_is_no_dense_layer_is_named_with_what_to_do(
    tmp_path: Path, case: str, save: Callable[[Tensors, Path], None]
) -> None:
    make, message = OTHER_MODELS[case]
    save(dict(make().state_dict()), tmp_path / "net")
    assert re.search(message, refusal(tmp_path / "net"))


def test_what_is_advised_helps(tmp_path: Path) -> None:
    normed = batch_normed().eval()
    linear, batch_norm, _, last = normed.children()
    folded = torch.nn.Sequential(
        torch.nn.utils.fuse_linear_bn_eval(linear, batch_norm),  # type: ignore[arg-type]
        torch.nn.ReLU(),
        last,
    )
    unpruned, old, new = pruned(), weight_normed(False), weight_normed(True)
    prune.remove(next(unpruned.children()), "weight")
    torch.nn.utils.remove_weight_norm(next(old.children()))
    parametrize.remove_parametrizations(next(new.children()), "weight")
    inputs = torch.rand(5, 6)
    for model in (folded, unpruned, old, new):
        torch.save(model.state_dict(), tmp_path / "net")
        ours = load_checkpoint(tmp_path / "net").logits(inputs.numpy())
        np.testing.assert_allclose(ours, model(inputs).detach().numpy(), atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(folded(inputs), normed(inputs), atol=1e-5)


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


_TRANSPOSED = "before it gives 6 outputs; they chain transposed: a weight is (outputs, inputs)"
_KERAS = "'dense.kernel' is named as Keras does, whose kernels are (inputs, outputs): save its"
_MANY = "holds 201 layers; at most 200"

# what a file holds; its sizes or refusal as a state dict; and as safetensors, which has no order
CHAINS: dict[str, tuple[Tensors, tuple[int, ...] | str, tuple[int, ...] | str]] = {
    "names in another order": (
        shaped(encoder=(8, 8), body=(8, 8), head=(8, 4)),
        (8, 8, 8, 4),
        "chain in several orders (body, encoder, head; encoder, body, head), and the file has none",
    ),
    "one order only": (shaped(inner=(9, 8), outer=(8, 5), deep=(5, 2)), (9, 8, 5, 2), (9, 8, 5, 2)),
    "numbers": (shaped(fc1=(8, 8), fc10=(8, 4), fc2=(8, 8)), "'fc2.weight' takes 8", (8, 8, 8, 4)),
    "numbers and a name": (
        shaped(fc1=(9, 8), fc2=(8, 8), fc3=(8, 8), a=(8, 4)),
        (9, 8, 8, 8, 4),
        (9, 8, 8, 8, 4),
    ),
    "another order": (
        shaped(last=(4, 3), first=(6, 4)),
        "'first.weight' takes 6 inputs, but 'last.weight' before it gives 3 outputs; "
        "they chain in another order: first, last or transposed: a weight is (outputs, inputs)",
        (6, 4, 3),
    ),
    "transposed": (shaped(fc1=(4, 6), fc2=(3, 4)), _TRANSPOSED, _TRANSPOSED),
    "another order of three": (
        shaped(b=(5, 4), a=(6, 5), c=(4, 3)),
        "they chain in another order: a, b, c; save them so",
        (6, 5, 4, 3),
    ),
    "an auxiliary head": (
        shaped(fc1=(6, 4), fc2=(4, 3), head=(4, 3)),
        "'head.weight' takes 4 inputs, but 'fc2.weight' before it gives 3 outputs; save only the "
        "layers of one chain",
        "'head.weight' takes 4 inputs, but 'fc2.weight' before it gives 3 outputs; save only the "
        "layers of one chain",
    ),
    "Keras": ({"dense.kernel": torch.ones(6, 4), "dense.bias": torch.ones(4)}, _KERAS, _KERAS),
    "many": (shaped(**{f"fc{index}": (2, 2) for index in range(201)}), _MANY, _MANY),
    "all alike": (
        shaped(**{f"fc{'x' * index}": (2, 2) for index in range(100)}),
        (2,) * 101,
        "chain in several orders (fc",
    ),
    "too many ways": (
        shaped(**{"q" * index: (2, 2) for index in range(1, 12)}, a=(2, 5), b=(2, 5)),
        "'b.weight' takes 2 inputs, but 'a.weight' before it gives 5",
        "could chain in too many orders",
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_the_order_is_the_files_or_the_only_one(tmp_path: Path, case: str) -> None:
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


def test_aihwkit_is_told_how_to_export(tmp_path: Path) -> None:
    state = {
        "0.analog_module.analog_tile_state": {
            "analog_tile_weights": torch.ones(4, 6),
            "analog_tile_class": "InferenceTile",
        },
        "0.analog_module.analog_ctx": torch.ones(0),
        "0.bias": torch.ones(4),
    }
    torch.save(state, tmp_path / "net")
    assert "is aihwkit's" in refusal(tmp_path / "net")
    assert "convert_to_digital(model).state_dict()" in refusal(tmp_path / "net")
