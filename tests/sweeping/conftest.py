"""A small network, several seeds of it."""

import numpy as np
import pytest

from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.npz import load_npz
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Trained


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    """Random 20-8-3 networks, and random inputs labelled by the first of them."""
    rng = np.random.default_rng(7)
    networks = [
        FloatNetwork(
            tuple(rng.normal(size=shape).astype(np.float32) for shape in ((20, 8), (8, 3))),
            (None, None),
        )
        for _ in range(3)
    ]
    train, test = rng.random((300, 20)), rng.random((200, 20))
    path = tmp_path_factory.mktemp("small") / "small.npz"
    np.savez(
        path,
        x_train=train,
        x_test=test,
        y_train=networks[0].logits(train).argmax(axis=1),
        y_test=networks[0].logits(test).argmax(axis=1),
    )
    save_checkpoint(networks[0], path.with_suffix(".safetensors"), {})
    dataset = load_npz(path)
    real = dataset.test_inputs * np.float32(dataset.input_format.step)
    return Materials(
        dataset,
        tuple(
            Trained(seed, network, round(network.accuracy(real, dataset.test_labels), 4))
            for seed, network in enumerate(networks)
        ),
    )
