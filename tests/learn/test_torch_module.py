"""Modules in memory: what each computes in evaluation, and what is said of those that do more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn
from torch.nn.utils import parametrizations, prune

from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_network

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of its older ways


class Written(nn.Module):
    """Layers that a forward calls in its own way."""

    def __init__(self, forward: Callable[[Any, Any], Any], **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)
        self._forward = forward

    def forward(self, x: Any) -> Any:
        return self._forward(self, x)


def two() -> dict[str, nn.Module]:
    return {"a": nn.Linear(6, 4), "b": nn.Linear(4, 3)}


def changed(model: nn.Module, change: Callable[[nn.Module], Any]) -> nn.Module:
    change(next(each for each in model.modules() if isinstance(each, nn.Linear)))
    return model


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def with_statistics(model: nn.Module) -> nn.Module:
    for _ in range(5):
        model(torch.rand(16, 6) * 2 - torch.rand(6))
    return model


class Masked(nn.Linear):
    """A layer that computes its own weight."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight * (self.weight > 0), self.bias)


def stepped(model: nn.Module) -> nn.Module:
    """A model whose parameters have changed since its last forward."""
    model(torch.rand(2, 6)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    return model


MODULES: dict[str, Callable[[], nn.Module]] = {
    "a layer": lambda: nn.Linear(6, 3),
    "no bias": lambda: nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)),
    "double": lambda: plain().double().float(),
    "batch norm before ReLU": lambda: with_statistics(
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    ),
    "batch norm after ReLU": lambda: with_statistics(
        nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4, eps=0.1), nn.Linear(4, 3))
    ),
    "batch norm first and last": lambda: with_statistics(
        nn.Sequential(
            *(nn.BatchNorm1d(6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
            nn.BatchNorm1d(3, affine=False),
        )
    ),
    "two batch norms": lambda: with_statistics(
        nn.Sequential(
            *(nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Dropout(), nn.BatchNorm1d(4)),
            nn.Linear(4, 3, bias=False),
        )
    ),
    "passed over": lambda: nn.Sequential(
        *(nn.Flatten(), nn.Dropout(), nn.Identity(), plain(), nn.Softmax(dim=1))
    ),
    "dense after dense": lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4, bias=False)),
    "ReLU twice": lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.ReLU(), nn.Linear(4, 3)),
    "pruned": lambda: stepped(changed(plain(), lambda x: prune.l1_unstructured(x, "weight", 0.5))),
    "weight norm": lambda: stepped(changed(plain(), parametrizations.weight_norm)),
    "old weight norm": lambda: stepped(changed(plain(), nn.utils.weight_norm)),
    "spectral norm": lambda: stepped(changed(plain(), parametrizations.spectral_norm)),
    "old spectral norm": lambda: stepped(changed(plain(), nn.utils.spectral_norm)),
    "a layer of one's own": lambda: nn.Sequential(Masked(6, 4), nn.ReLU(), Masked(4, 3)),
    "functions": lambda: Written(
        lambda m, x: functional.log_softmax(
            m.b(functional.dropout(functional.relu(m.a(torch.flatten(x, 1))), 0.5, m.training)), 1
        ),
        **two(),
    ),
    "methods": lambda: Written(lambda m, x: m.b(m.a(x.view(x.size(0), -1)).relu()), **two()),
    "a shape": lambda: Written(
        lambda m, x: m.b(m.a(x.reshape(x.shape[0], 6)).clamp(min=0)), **two()
    ),
    "minus one": lambda: Written(lambda m, x: m.b(m.a(x.reshape(-1, 6)).clamp(0)), **two()),
    "normalized": lambda: Written(
        lambda m, x: m.b(torch.relu(m.a((x - 0.5) / m.std))), **two(), std=torch.rand(6) + 0.5
    ),
    "arithmetic": lambda: Written(
        lambda m, x: m.b(torch.relu(m.a(1 - 2 * x) + m.shift)) * 3, **two(), shift=torch.rand(1, 4)
    ),
    "matrices": lambda: Written(
        lambda m, x: torch.addmm(m.shift, torch.relu(x @ m.first), m.second),
        **{"first": torch.rand(6, 4), "second": torch.rand(4, 3), "shift": torch.rand(3)},
    ),
    "batch norm as a function": lambda: Written(
        lambda m, x: m.b(functional.relu(functional.batch_norm(m.a(x), m.mean, m.var, eps=0.01))),
        **two(),
        **{"mean": torch.rand(4), "var": torch.rand(4)},
    ),
    "unused": lambda: Written(lambda m, x: (m.a(x), m.b(torch.relu(m.a(x))))[1], **two()),
}


@pytest.mark.parametrize("case", MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_a_module_is_what_it_computes_in_evaluation(case: str, training: bool) -> None:
    torch.manual_seed(0)
    model = MODULES[case]().train(training)
    modes = [each.training for each in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ours = load_network(model)
    assert [each.training for each in model.modules()] == modes
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    inputs = torch.rand(20, 6)
    expected = model.eval()(inputs).detach().numpy()
    logits = ours.logits(inputs.numpy())
    if isinstance(expected, np.ndarray) and case in ("passed over", "functions"):
        logits = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = np.exp(expected) if case == "functions" else expected
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_parameters_of_half_precision_are_read() -> None:
    assert load_network(plain().to(torch.bfloat16)).sizes == (6, 4, 3)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrapped_modules_are_read(wrap: Any) -> None:
    model = plain()
    assert load_network(wrap(model)).digest == load_network(model).digest


def test_weights_stay_exactly_what_they_are() -> None:
    model = plain()
    ours = load_network(model)
    np.testing.assert_array_equal(ours.weights[0], model[0].weight.detach().numpy().T)


def data_dependent(m: Any, x: torch.Tensor) -> Any:
    return m.b(m.a(x).relu()) if x.sum() > 0 else x


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "convolution": (
        lambda: nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(6, 3)),
        r"a Conv3d \('0'\) is not supported; supported are dense layers and convolutions, ReLU",
    ),
    "attention": (
        lambda: Written(lambda m, x: m.a(x, x, x)[0], a=nn.MultiheadAttention(6, 2)),
        "a MultiheadAttention .* is not supported",
    ),
    "sigmoid between": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)),
        "Sigmoid .* before the last layer is not supported",
    ),
    "tanh": (lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)), "a Tanh"),
    "tanh function": (lambda: Written(lambda m, x: m.b(torch.tanh(m.a(x))), **two()), "tanh"),
    "ReLU6": (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU6(), nn.Linear(4, 3)), "a ReLU6"),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4)), "a LayerNorm"),
    "ReLU last": (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU()), "ends in a ReLU, .* without"),
    "ReLU first": (lambda: nn.Sequential(nn.ReLU(), nn.Linear(6, 4)), "before the first dense"),
    "no layer": (lambda: nn.Sequential(nn.Flatten()), "holds no dense layer"),
    "ReLU after a normalization": (
        lambda: nn.Sequential(
            nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)
        ),
        "after the normalization",
    ),
    "no statistics": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        "without running statistics",
    ),
    "a branch": (
        lambda: Written(lambda m, x: m.b(m.a(x).relu()) + m.c(x), **two(), c=nn.Linear(6, 3)),
        "several tensors|is used 2 times",
    ),
    "two outputs": (
        lambda: Written(lambda m, x: (m.a(x), 1), **two()),
        "an output that is not",
    ),
    "a square": (lambda: Written(lambda m, x: m.a(x * x), **two()), "mul .* of several tensors"),
    "the data decide": (
        lambda: Written(data_dependent, **two()),
        "the forward .* cannot be",
    ),
    "other axes": (lambda: Written(lambda m, x: m.a(x.flatten()), **two()), "a flattening"),
    "other shape": (lambda: Written(lambda m, x: m.a(x.view(2, 6)), **two()), "a reshaping"),
    "other clamp": (lambda: Written(lambda m, x: m.a(x).clamp(0, 6), **two()), "a clamp"),
    "inverse": (lambda: Written(lambda m, x: m.a(1 / x), **two()), "a division"),
    "weight first": (
        lambda: Written(lambda m, x: m.first @ x, first=torch.rand(6, 6)),
        "with the weight first",
    ),
    "no values": (lambda: plain().to("meta"), "has no values"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(4)), "has no shape yet: run the module once"),
    "wrong sizes": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(5, 3)),
        "takes 5 inputs, but .* gives 4 outputs",
    ),
    "wrong batch norm": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(5)),
        "'1' is for 5 features, but '0' beside it has 4",
    ),
    "softmax over samples": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Softmax(0)),
        r"a Softmax \('1'\) over the samples",
    ),
    "softmax over samples, a function": (
        lambda: Written(lambda m, x: functional.softmax(m.a(x), dim=0), **two()),
        "softmax .* over the samples",
    ),
    "a ReLU in place": (
        lambda: Written(lambda m, x: m.b([y := m.a(x), y.relu_()][0]), **two()),
        "a change in place",
    ),
    "a ReLU in place, a function": (
        lambda: Written(
            lambda m, x: m.b([y := m.a(x), functional.relu(y, inplace=True)][0]), **two()
        ),
        "a change in place",
    ),
    "a ReLU in place, a module": (
        lambda: Written(lambda m, x: m.b([y := m.a(x), m.r(y)][0]), **two(), r=nn.ReLU(True)),
        "a change in place",
    ),
    "to integers": (
        lambda: Written(lambda m, x: m.b(m.a(x).to(torch.int32).float()), **two()),
        "to .* of values to integers",
    ),
    "script": (lambda: torch.jit.script(plain()), "a TorchScript module"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_named(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(SynqError, match=message) as caught:
        load_network(make())
    assert len(str(caught.value)) < 600


def test_what_a_forward_raises_is_not_left_alone() -> None:
    model = Written(lambda m, x: m.missing(x), **two()).train()
    with pytest.raises(SynqError, match=r"AttributeError: .*missing"):
        load_network(model)
    assert model.training


def test_the_log_says_that_hooks_are_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = plain()
    model[2].register_forward_hook(lambda *_: None)
    load_network(model)
    load_network(changed(plain(), nn.utils.weight_norm))
    assert [each.getMessage() for each in caplog.records] == [
        "2: what its hooks do to values is not taken over"
    ]


def test_the_log_says_what_was_changed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    load_network(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Softmax(1)))
    assert "1 follows 0 without a ReLU between: made one layer" in caplog.text
    assert "Softmax at the end passed over: classes stay" in caplog.text
    assert isinstance(load_network(plain()), FloatNetwork)
