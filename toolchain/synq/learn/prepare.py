"""From the user's options to a quantized network: data, training, fine-tuning, quantization."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synq.device import Device, load_device
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_checkpoint
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.mnist import load_mnist
from synq.learn.data.npz import load_npz
from synq.learn.train import FineTuning, Recipe, trained_network
from synq.network import QuantizedNetwork, Trace, class_count, classes_of
from synq.progress import Progress
from synq.quantize import Quantization, dequantize, level_values, quantize_network

_log = logging.getLogger("synq")

_VALUES_AT_ONCE = 1 << 25  # as real numbers the inputs take four times their memory


@dataclass(frozen=True)
class Source:
    """Where the network and its data come from.

    Attributes:
        recipe: how to train, used without `checkpoint`.
        checkpoint: the user's own weights.
        data: the user's own inputs (`.npz`); MNIST without.
        data_dir: folder of MNIST's IDX files; fetched without.
        finetuning: how to fine-tune for the device; not at all without.
        cache_dir: where fetched data and trained networks are kept.
    """

    recipe: Recipe
    checkpoint: Path | None
    data: Path | None
    data_dir: Path | None
    finetuning: FineTuning | None
    cache_dir: Path


@dataclass(frozen=True)
class Prepared:
    """A quantized network with everything it was made from.

    Attributes:
        expected: the integer reference on all test inputs.
        accuracy: percent on the test set, by stage.
    """

    dataset: Dataset
    device: Device
    trained: FloatNetwork
    from_cache: bool
    network: QuantizedNetwork
    expected: Trace
    accuracy: dict[str, float]


@dataclass
class Stopwatch:
    """Wall seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)
        _log.info("%s took %.1f s", name, self.seconds[name])


def load_source(
    source: Source, watch: Stopwatch, progress: Progress
) -> tuple[Dataset, FloatNetwork, bool]:
    """The data and the trained network, and whether the latter was in the cache.

    Raises:
        SynqError: data or checkpoint cannot be had or do not fit each other.
    """
    with watch.stage("data"):
        if source.data is not None:
            dataset = load_npz(source.data)
        else:
            dataset = load_mnist(source.data_dir, source.cache_dir, progress)
    with watch.stage("train"):
        if source.checkpoint is None:
            network, cached = trained_network(source.recipe, dataset, source.cache_dir, progress)
        else:
            network, cached = load_checkpoint(source.checkpoint), True
    n_features = dataset.test_inputs.shape[1]
    if network.sizes[0] != n_features:
        hint = "" if source.data else "; give its own data"
        raise SynqError(
            f"the network takes {network.sizes[0]} inputs, {dataset.name} has {n_features}{hint}",
            settings=("data",),
        )
    n_out, highest = network.sizes[-1], int(dataset.test_labels.max(initial=0))
    if highest >= class_count(n_out):
        outputs = "1 output, which tells classes 0 and 1 apart by its sign"
        if n_out > 1:
            outputs = f"{n_out} outputs"
        raise SynqError(
            f"the network has {outputs}, the labels of {dataset.name} go up to {highest}"
        )
    return dataset, network, cached


def prepare(
    source: Source,
    device_name: str,
    choice: Quantization,
    watch: Stopwatch,
    progress: Progress,
) -> Prepared:
    """Train or load, quantize, and run the integer reference on the test set.

    Raises:
        UsageError, SynqError: from the stages.
    """
    device = load_device(device_name)
    level_values(choice, device)  # refuses a branch without a curve before minutes of training
    dataset, trained, cached = load_source(source, watch, progress)
    software = accuracy_of(trained, dataset)
    tuned, ranges = trained, None
    if source.finetuning is not None:
        with watch.stage("finetune"):
            from synq.learn.finetune import finetuned_network

            tuned, ranges, _ = finetuned_network(
                trained, dataset, choice, device, source.finetuning, source.cache_dir, progress
            )
    with watch.stage("quantize"):
        dataset = with_input_bits(dataset, choice.input_bits)
        network = quantize_network(
            tuned, choice, device, dataset.input_format, dataset.train_inputs, ranges
        )
        expected = network.run(dataset.test_inputs)
        quantized = accuracy_of(dequantize(network), dataset)
        accuracy = {
            "software": software,
            "quantized": quantized,
            "reference": expected.accuracy(dataset.test_labels),
        }
    rounded = {stage: round(percent, 4) for stage, percent in accuracy.items()}
    return Prepared(dataset, device, trained, cached, network, expected, rounded)


def accuracy_of(network: FloatNetwork, dataset: Dataset) -> float:
    """Percent of the test samples whose class is the label."""
    inputs, labels = dataset.test_inputs, dataset.test_labels
    step = np.float32(dataset.input_format.step)
    at_once = max(1, _VALUES_AT_ONCE // inputs.shape[1])
    right = 0
    for start in range(0, len(labels), at_once):
        part = slice(start, start + at_once)
        classes = classes_of(network.logits(inputs[part] * step))
        right += int((classes == labels[part]).sum())
    return 100 * (right / len(labels))
