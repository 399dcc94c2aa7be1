"""Checkpoints as they turn up: each is an example of a kind (data/field/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints import refusal
from synq.learn.checkpoint import load_checkpoint

FIELD = Path(__file__).parent / "data" / "field"
_ORDER = ("encoder", "body", "head")

# file; its layers where they must be named; inputs; percent right
RIGHT: tuple[tuple[str, tuple[str, ...] | None, str, float], ...] = (
    ("plain.pt", None, "base", 91.6),
    ("named_order.pt", _ORDER, "base", 92.4),
    ("named_order.safetensors", _ORDER, "base", 92.4),
    ("batchnorm.pt", None, "base", 91.6),
    ("batchnorm_nocount.pt", None, "base", 91.6),
    ("prune.pt", None, "base", 91.6),
    ("weightnorm_old.pt", None, "base", 91.6),
    ("transposed.safetensors", None, "base", 91.6),
    ("keras_kernel.safetensors", None, "base", 91.6),
    ("aihwkit.pt", None, "base", 91.6),
    ("auxhead.pt", ("fc1", "fc2"), "base", 91.6),
    ("on_normalised.pt", None, "normalised", 91.2),
    ("on_normalised_folded.pt", None, "base", 91.2),
    ("tanh.pt", None, "base", 89.6),
    ("binary.pt", None, "binary", 92.0),
)


@pytest.mark.parametrize(("name", "layers", "data", "percent"), RIGHT)
def test_a_network_is_read_as_it_was_meant(
    name: str, layers: tuple[str, ...] | None, data: str, percent: float
) -> None:
    network = load_checkpoint(FIELD / name, layers)
    with np.load(FIELD / f"{data}.npz") as arrays:
        inputs, labels = arrays["x_test"], arrays["y_test"]
    if inputs.dtype == np.uint8:
        inputs = inputs / 256
    logits = network.logits(inputs)
    classes = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0] > 0
    assert 100 * np.mean(classes == labels) == pytest.approx(percent)


@pytest.mark.parametrize("name", ["named_order.pt", "named_order.safetensors"])
def test_an_order_that_nothing_decides_is_refused(name: str) -> None:
    message = refusal(FIELD / name)
    assert "several orders" in message
    assert "encoder, body, head" in message and "body, encoder, head" in message


def test_an_auxiliary_head_is_named() -> None:
    assert "'aux' takes 12 inputs, but 'fc2' before it gives 4" in refusal(FIELD / "auxhead.pt")
