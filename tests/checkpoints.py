"""Small networks, and what must be said of a checkpoint that is none."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_checkpoint


def network(*sizes: int, bias: bool = False, seed: int = 0) -> FloatNetwork:
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(sizes))
    return FloatNetwork(
        tuple(rng.normal(size=pair).astype(np.float32) for pair in pairs),
        tuple(rng.normal(size=n).astype(np.float32) if bias else None for _, n in pairs),
    )


def perceptron(bias: bool = True) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(6, 4, bias=bias), torch.nn.ReLU(), torch.nn.Linear(4, 3, bias=bias)
    )


def refusal(path: Path) -> str:
    """The message of the error that loading `path` must raise: one line naming the file."""
    with pytest.raises(SynqError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message
