"""Training: reproducible, on real MNIST, cached. Full training runs in the end-to-end tests."""

import dataclasses
import hashlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.learn import train as train_module
from synq.learn.augment import Augmentation
from synq.learn.checkpoint import load_checkpoint, save_checkpoint
from synq.learn.data.dataset import Dataset
from synq.learn.train import RECIPES, Recipe, hold_out, train, trained_network
from synq.progress import SILENT

PAPER = dataclasses.replace(RECIPES["paper"], epochs=2, batch_size=2048)
ACCURATE = dataclasses.replace(RECIPES["accurate"], epochs=1)
QUICK = Recipe(name="quick", hidden=(16,), epochs=1, batch_size=100, learning_rate=0.1)


@pytest.fixture(scope="module")
def small(mnist: Dataset) -> Dataset:
    """The first 5,000 training and 1,000 test samples of MNIST."""
    return dataclasses.replace(
        mnist,
        train_inputs=mnist.train_inputs[:5000],
        train_labels=mnist.train_labels[:5000],
        test_inputs=mnist.test_inputs[:1000],
        test_labels=mnist.test_labels[:1000],
        digest="0" * 64,
    )


class Recorder:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, float | None]] = []
        self.updates: list[tuple[float, str]] = []

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator["Recorder"]:
        self.tasks.append((label, total))
        yield self

    def update(self, done: float, detail: str = "") -> None:
        self.updates.append((done, detail))


def accuracy(network: FloatNetwork, dataset: Dataset) -> float:
    inputs = dataset.test_inputs * np.float32(dataset.input_format.step)
    return network.accuracy(inputs, dataset.test_labels)


def square_dataset(features: int, labels: list[int]) -> Dataset:
    inputs = np.arange(len(labels) * features, dtype=np.uint8).reshape(len(labels), features)
    return Dataset(
        name="toy",
        input_format=FixedPoint(8, 0, signed=False),
        train_inputs=inputs,
        train_labels=np.array(labels, np.int64),
        test_inputs=inputs,
        test_labels=np.array(labels, np.int64),
        digest="1" * 64,
    )


# ---- Training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [PAPER, ACCURATE], ids=lambda recipe: recipe.name)
def test_equal_seeds_make_equal_weights(recipe: Recipe, small: Dataset) -> None:
    torch.manual_seed(1)
    first = train(recipe, small, SILENT)
    torch.manual_seed(2)  # the global generator has no say
    assert train(recipe, small, SILENT).digest == first.digest
    other = dataclasses.replace(recipe, seed=1)
    assert train(other, small, SILENT).digest != first.digest


def test_one_epoch_on_mnist_learns_the_digits(mnist: Dataset) -> None:
    network = train(ACCURATE, mnist, SILENT)
    assert network.sizes == (784, 128, 10)
    assert network.biases == (None, None)
    assert accuracy(network, mnist) > 94


@pytest.mark.parametrize("hidden", [(), (8,), (12, 9, 8)])
def test_depth_and_biases(hidden: tuple[int, ...], small: Dataset) -> None:
    recipe = dataclasses.replace(ACCURATE, hidden=hidden, bias=True)
    network = train(recipe, small, SILENT)
    assert network.sizes == (784, *hidden, 10)
    for bias, width in zip(network.biases, network.sizes[1:], strict=True):
        assert bias is not None
        assert bias.shape == (width,)


def test_progress_counts_epochs_and_never_looks_at_the_test_set(small: Dataset) -> None:
    recipe = dataclasses.replace(QUICK, epochs=3)
    recorder, blind = Recorder(), Recorder()
    train(recipe, small, recorder)
    assert recorder.tasks == [("Train", 3)]
    assert [done for done, _ in recorder.updates] == [1, 2, 3]
    assert all(
        detail.startswith("loss ") and detail.endswith(" %") for _, detail in recorder.updates
    )
    unseen = dataclasses.replace(small, test_inputs=small.test_inputs[:0])
    train(recipe, unseen, blind)
    assert blind.updates == recorder.updates


def test_torch_settings_are_put_back(small: Dataset) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train(QUICK, small, SILENT)
        with pytest.raises(SynqError):
            train(dataclasses.replace(QUICK, learning_rate=1e30), small, SILENT)
        assert torch.get_num_threads() == 3
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)


def test_every_sample_is_seen_once_an_epoch_in_full_batches() -> None:
    """70 samples in batches of 30: 2, 2 and 3 batches, each sample three times in all."""
    toy = square_dataset(1, [0, 1] * 35)
    recipe = dataclasses.replace(QUICK, epochs=3, batch_size=30)
    samples = train_module.Samples(recipe, toy, torch.Generator().manual_seed(0))
    epochs = [[inputs[:, 0].clone() for inputs, _ in samples.epoch()] for _ in range(3)]
    assert [len(batches) for batches in epochs] == [2, 2, 3]
    assert samples.steps == 7
    assert all(len(batch) == 30 for batches in epochs for batch in batches)
    seen = torch.cat([batch for batches in epochs for batch in batches]) * 256
    counts = np.bincount(seen.numpy().astype(int), minlength=256)
    assert counts[toy.train_inputs[:, 0]].tolist() == [3] * 70


def test_a_dataset_smaller_than_the_batch() -> None:
    toy = square_dataset(4, [0, 1, 2])
    assert train(RECIPES["paper"], toy, SILENT).sizes == (4, 128, 3)


def test_inputs_mean_what_their_format_says() -> None:
    """Twice the step and half the raw value: the same inputs, the same network."""
    toy = square_dataset(4, [0, 1] * 8)
    doubled = dataclasses.replace(
        toy, train_inputs=toy.train_inputs * 2, input_format=FixedPoint(8, -1, signed=False)
    )
    assert train(QUICK, doubled, SILENT).digest == train(QUICK, toy, SILENT).digest


# ---- Refusals -----------------------------------------------------------------------------------


def test_divergence_is_an_error(small: Dataset) -> None:
    wild = dataclasses.replace(QUICK, learning_rate=1e20)
    with pytest.raises(SynqError, match=r"diverged in epoch 1: .* below 1e\+20"):
        train(wild, small, SILENT)


def test_distortions_need_square_images() -> None:
    toy = square_dataset(5, [0, 1])
    with pytest.raises(SynqError, match=r"recipe accurate distorts images.* got 5 features"):
        train(RECIPES["accurate"], toy, SILENT)
    assert train(QUICK, toy, SILENT).sizes == (5, 16, 2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "toy has no training labels"),
        ([0, 0], "toy has one class only"),
        ([0, 1 << 60], "at most 100,000,000 are supported"),
    ],
)
def test_labels_that_cannot_be_learned(labels: list[int], message: str) -> None:
    with pytest.raises(SynqError, match=message):
        train(QUICK, square_dataset(4, labels), SILENT)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"nesterov": True},
        {"weight_decay": 1.0},
        {"outputs": 0},
        {"hidden": (4,) * 16},
        {"schedule": "linear"},
        {"dropout": 1.0},
        {"hidden": (16, 0)},
        {"seed": -1},
        {"seed": 1 << 63},
    ],
    ids=str,
)
def test_recipes_outside_their_ranges_are_refused(change: dict[str, Any]) -> None:
    (field,) = change
    with pytest.raises(UsageError, match=rf"^{field} must be "):
        dataclasses.replace(QUICK, **change)


# ---- The validation split -----------------------------------------------------------------------


def test_hold_out_tests_on_training_samples(small: Dataset) -> None:
    split = hold_out(small, 1000)
    np.testing.assert_array_equal(split.train_inputs, small.train_inputs[:4000])
    np.testing.assert_array_equal(split.test_inputs, small.train_inputs[4000:])
    np.testing.assert_array_equal(split.test_labels, small.train_labels[4000:])
    assert len(split.train_labels) == 4000
    assert len({small.digest, split.digest, hold_out(small, 999).digest}) == 3


@pytest.mark.parametrize("count", [-1, 0, 5000])
def test_hold_out_leaves_samples_on_both_sides(count: int, small: Dataset) -> None:
    with pytest.raises(UsageError, match="between 1 and 4999 samples"):
        hold_out(small, count)


# ---- The cache ----------------------------------------------------------------------------------


def cached_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_second_call_reads_the_cache(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cached = trained_network(QUICK, small, tmp_path, SILENT)
    assert not cached
    monkeypatch.setattr(train_module, "train", pytest.fail)
    second, cached = trained_network(QUICK, small, tmp_path, SILENT)
    assert cached
    assert second.digest == first.digest
    (path,) = cached_files(tmp_path)
    assert load_checkpoint(path).digest == first.digest


def test_the_cache_needs_no_torch(tmp_path: Path) -> None:
    script = """if True:
        import sys, pathlib, numpy
        from synq.learn.data.dataset import BYTE_FORMAT, Dataset
        from synq.learn.train import Recipe, trained_network
        from synq.progress import SILENT
        inputs, labels = numpy.eye(4, dtype=numpy.uint8), numpy.arange(4)
        dataset = Dataset("toy", BYTE_FORMAT, inputs, labels, inputs, labels, "")
        recipe = Recipe(name="quick", epochs=1, batch_size=4, learning_rate=0.1)
        _, cached = trained_network(recipe, dataset, pathlib.Path(sys.argv[1]), SILENT)
        print(cached, "torch" in sys.modules)
        """
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["False True\n", "True False\n"]


def test_whatever_changes_the_weights_changes_the_file(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = FloatNetwork((np.eye(3),), (None,))
    monkeypatch.setattr(train_module, "train", lambda *_: network)
    changes: dict[str, Any] = {
        "hidden": (17,),
        "epochs": 2,
        "batch_size": 101,
        "learning_rate": 0.2,
        "momentum": 0.5,
        "weight_decay": 0.1,
        "outputs": 11,
        "nesterov": True,
        "schedule": "one-cycle",
        "augmentation": Augmentation(1, 10, 0.1, 0.4),
        "dropout": 0.5,
        "bias": True,
        "seed": 1,
    }
    fields = {field.name for field in dataclasses.fields(Recipe)}
    assert fields - {"name"} == set(changes)
    base = dataclasses.replace(QUICK, momentum=0.9)
    recipes = [base, *(dataclasses.replace(base, **{f: v}) for f, v in changes.items())]
    for recipe in recipes:
        trained_network(recipe, small, tmp_path, SILENT)
    assert len(cached_files(tmp_path)) == len(recipes)

    digest = hashlib.sha256(b"other data").hexdigest()
    trained_network(base, dataclasses.replace(small, digest=digest), tmp_path, SILENT)
    monkeypatch.setattr(train_module, "version", lambda _: "99.0")
    trained_network(base, small, tmp_path, SILENT)
    monkeypatch.setattr(train_module, "TRAINING_VERSION", 99)
    trained_network(base, small, tmp_path, SILENT)
    assert len(cached_files(tmp_path)) == len(recipes) + 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_cache_is_reported_and_replaced(
    damage: str, tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    network, _ = trained_network(QUICK, small, tmp_path, SILENT)
    (path,) = cached_files(tmp_path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-3] ^= 0x10
    path.write_bytes(
        {
            "truncated": content[:-5],
            "flipped": bytes(flipped),
            "empty": b"",
            "text": b"not a network at all",
        }[damage]
    )
    with caplog.at_level(logging.WARNING, logger="synq"):
        again, cached = trained_network(QUICK, small, tmp_path, SILENT)
    assert not cached
    assert again.digest == network.digest
    assert path.read_bytes() == content
    assert str(path) in caplog.text


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, small: Dataset) -> None:
    class Interrupting(Recorder):
        def update(self, done: float, detail: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained_network(QUICK, small, tmp_path, Interrupting())
    assert cached_files(tmp_path) == []


def test_the_file_says_how_it_was_made(tmp_path: Path) -> None:
    toy = square_dataset(4, [0, 1, 2])
    network, _ = trained_network(QUICK, toy, tmp_path, SILENT)
    (path,) = cached_files(tmp_path)
    assert b"learning_rate" in path.read_bytes()
    assert toy.digest.encode() in path.read_bytes()
    save_checkpoint(network, tmp_path / "plain", {})
    assert load_checkpoint(tmp_path / "plain").digest == load_checkpoint(path).digest
