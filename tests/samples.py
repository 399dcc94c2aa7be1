"""A small network with samples that it classifies, for whatever would else train on MNIST."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.dataset import Dataset
from synq.learn.data.npz import load_npz

SIZES = (36, 8, 4)  # images of 6 x 6


def samples(
    folder: Path, name: str = "mine", sizes: tuple[int, ...] = SIZES
) -> tuple[FloatNetwork, Dataset]:
    """A random network and its 300 training and 200 test samples; also written into `folder`, as
    NAME.safetensors and NAME.npz.

    Inputs are as sparse as MNIST's: four in five are 0.
    """
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    network = FloatNetwork(weights, (None,) * len(weights))
    inputs = rng.integers(0, 256, (500, sizes[0])) * (rng.random((500, sizes[0])) < 0.2)
    labels = network.logits(inputs / 256).argmax(axis=1)
    save_checkpoint(network, folder / f"{name}.safetensors", {})
    path = folder / f"{name}.npz"
    inputs = inputs.astype(np.uint8)
    train, test = slice(300), slice(300, None)
    np.savez(
        path,
        x_train=inputs[train],
        y_train=labels[train],
        x_test=inputs[test],
        y_test=labels[test],
    )
    return network, load_npz(path)


def dense_samples(folder: Path) -> None:
    """Another one, 20-8-3, as `net` and `data.npz`: none of its inputs is likely 0."""
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((20, 8), (8, 3)))
    network = FloatNetwork(weights, (None, None))
    inputs = rng.integers(0, 256, (500, 20)).astype(np.uint8)
    labels = network.logits(inputs / 256).argmax(axis=1)
    save_checkpoint(network, folder / "net", {})
    np.savez(
        folder / "data.npz",
        x_train=inputs[:300],
        y_train=labels[:300],
        x_test=inputs[300:],
        y_test=labels[300:],
    )
