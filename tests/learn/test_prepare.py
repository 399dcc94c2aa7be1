"""What does not fit together is refused before anything is computed."""

from pathlib import Path

import numpy as np
import pytest

from checkpoints import network
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.geometry import DENSE, Geometry, Window
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.load import Data
from synq.learn.data.npz import load_npz
from synq.learn.prepare import Source, Stopwatch, fitted, load_source, software_score
from synq.learn.train import RECIPES
from synq.progress import SILENT


def source(folder: Path, *sizes: int, labels: int) -> Source:
    inputs = np.random.default_rng(0).integers(0, 256, (30, 6), dtype=np.uint8)
    np.savez(folder / "data.npz", x_train=inputs, x_test=inputs, y_test=np.arange(30) % labels)
    save_checkpoint(network(*sizes), folder / "net", {})
    return Source(RECIPES["paper"], folder / "net", Data(folder / "data.npz"), None, folder)


@pytest.mark.parametrize(
    ("sizes", "labels", "said"),
    [
        (
            (6, 4, 1),
            3,
            "the network has 1 output, which tells classes 0 and 1 apart by its sign, the labels "
            "of data go up to 2",
        ),
        ((6, 4, 3), 4, "the network has 3 outputs, the labels of data go up to 3"),
        ((5, 3), 3, "the network takes 5 inputs, data has 6"),
    ],
)
def test_networks_that_do_not_fit_the_data(
    tmp_path: Path, sizes: tuple[int, ...], labels: int, said: str
) -> None:
    with pytest.raises(SynqError) as caught:
        load_source(source(tmp_path, *sizes, labels=labels), Stopwatch(), SILENT)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("labels", [1, 2])
def test_one_output_takes_two_classes(tmp_path: Path, labels: int) -> None:
    loaded = load_source(source(tmp_path, 6, 4, 1, labels=labels), Stopwatch(), SILENT)
    inputs = loaded.dataset.test_inputs / np.float32(256)
    positive = loaded.network.logits(inputs)[:, 0] > 0
    share = np.mean(positive == loaded.dataset.test_labels)
    assert loaded.software == round(100 * share, 4)


def test_accuracy_is_that_of_all_samples_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(tmp_path, 6, 3, labels=3)
    dataset, net = load_npz(tmp_path / "data.npz"), network(6, 4, 3)
    expected = net.accuracy(dataset.test_inputs / np.float32(256), dataset.test_labels)
    monkeypatch.setattr("synq.learn.prepare._VALUES_AT_ONCE", 24)
    assert software_score(net, dataset) == round(expected, 4)


def test_images_of_another_shape(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 6, 1), dtype=np.uint8)
    path = tmp_path / "data.npz"
    np.savez(path, x_train=images, x_test=images, y_test=np.arange(40) % 2)
    dataset = load_npz(path)
    window = Window((6, 4, 1), (2, 2))
    weights = (np.ones((4, 3)), np.ones((45, 2)))
    turned = FloatNetwork(weights, (None, None), (Geometry(window), DENSE))
    with pytest.raises(SynqError, match=r"images of 6 x 4 x 1 \(height .* has 4 x 6 x 1"):
        fitted(turned, dataset)
