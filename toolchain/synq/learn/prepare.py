"""From the user's options to a quantized network: data, training, fine-tuning, quantization."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from synq.chip import Chip
from synq.device import Device, load_device
from synq.errors import SynqError, UsageError
from synq.float_network import FloatNetwork
from synq.geometry import sides
from synq.learn.checkpoint import load_checkpoint
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.load import Data, load_data
from synq.learn.train import (
    FineTuning,
    Recipe,
    adapted,
    adapted_tuning,
    check_outputs,
    trained_network,
)
from synq.network import QuantizedNetwork, Trace
from synq.progress import Progress
from synq.quantizing import Quantization, dequantize, level_values, quantize_network
from synq.score import Scores, Task, integer_score, real_score, spread_of

_log = logging.getLogger("synq")

_VALUES_AT_ONCE = 1 << 25  # as real numbers the inputs take four times their memory


@dataclass(frozen=True)
class Source:
    """Where the network and its data come from.

    Attributes:
        recipe: how to train, used without `checkpoint`; adapted to the data.
        checkpoint: the user's own weights.
        data: which data.
        finetuning: how to fine-tune for the device, adapted to the data; not at all without.
        cache_dir: where fetched data and trained networks are kept.
        layers: names of the checkpoint's layers in their order, where the file does not tell it.
        sizes: neurons a layer, inputs first, that a network to be trained has; the recipe's hidden
            layers between the data's features and classes without.
    """

    recipe: Recipe
    checkpoint: Path | None
    data: Data
    finetuning: FineTuning | None
    cache_dir: Path
    sizes: tuple[int, ...] | None = None
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Loaded:
    """Data and a trained network for it.

    Attributes:
        network: it takes the data's values.
        given: the same as it was trained or given: it takes what the data's normalization says.
        from_cache: whether nothing had to be trained.
        recipe: that it was trained with; None of the user's own.
        finetuning: adapted to the data.
    """

    dataset: Dataset
    network: FloatNetwork
    given: FloatNetwork
    from_cache: bool
    recipe: Recipe | None
    finetuning: FineTuning | None

    @property
    def software(self) -> float:
        """The network's score in real numbers on the test set."""
        return software_score(self.network, self.dataset)


@dataclass(frozen=True)
class Quantized:
    """A quantized network with everything it was made from.

    Attributes:
        dataset: with inputs of the bits that the network takes.
        expected: the integer reference on all test inputs.
        scores: on the test set, by stage.
        chip: that the network is; None for the design.
    """

    dataset: Dataset
    device: Device
    quantization: Quantization
    loaded: Loaded
    network: QuantizedNetwork
    expected: Trace
    scores: Scores
    chip: Chip | None = None

    def on_chip(self, chip: Chip) -> "Quantized":
        """The same on one chip: its network in place of the design's.

        Raises:
            ValueError: it is a chip of another design.
        """
        if chip.design.digest != self.network.digest:
            raise ValueError("the chip is one of another network")
        expected = chip.network.run(self.dataset.test_inputs)
        dataset = self.dataset
        score = integer_score(dataset.task, chip.network, expected.answers, dataset.test_labels)
        before = {stage: own for stage, own in self.scores.stages.items() if stage != "reference"}
        stages = {**before, "design": self.scores.stages["reference"], "reference": score}
        scores = replace(self.scores, stages=stages)
        return replace(self, network=chip.network, expected=expected, scores=scores, chip=chip)

    def accuracy(self, data: Dataset | None = None) -> float:
        """Percent of the test samples that the integer reference classifies as labelled.

        Args:
            data: other samples, of the same features; its own without.

        Raises:
            SynqError: the task is no classification, or the samples do not fit the network.
        """
        if self.dataset.task is not Task.CLASSIFICATION:
            raise SynqError("a regression has no accuracy: its errors are in scores")
        if data is None or data is self.loaded.dataset:
            return self.scores.stages["reference"]
        narrow = samples_for(self.network, data, self.dataset.name)
        answers = self.network.answers(narrow.test_inputs)
        return integer_score(data.task, self.network, answers, narrow.test_labels)


def samples_for(network: QuantizedNetwork, data: Dataset, taken: str) -> Dataset:
    """The data with inputs of the bits that a network takes.

    Args:
        taken: what the network is known to take, for the error.

    Raises:
        SynqError: the network takes other values or features, or answers for other labels.
    """
    narrow = with_input_bits(data, network.input_format.width)
    if (narrow.input_format, narrow.n_features) != (network.input_format, network.sizes[0]):
        raise SynqError(
            f"{data.name} has other values or features than {taken}", settings=("data",)
        )
    check_outputs(network.sizes[-1], narrow)
    return narrow


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


def load_source(source: Source, watch: Stopwatch, progress: Progress) -> Loaded:
    """The data and the trained network.

    Raises:
        SynqError: data or checkpoint cannot be had or do not fit each other.
    """
    with watch.stage("data"):
        dataset = load_data(source.data, source.cache_dir, progress)
    finetuning = source.finetuning
    if finetuning is not None:
        finetuning = adapted_tuning(finetuning, dataset)
    with watch.stage("train"):
        if source.checkpoint is None:
            recipe: Recipe | None = (used := recipe_for(source.recipe, source.sizes, dataset))
            network, cached = trained_network(used, dataset, source.cache_dir, progress)
        else:
            path = source.checkpoint
            recipe, network, cached = (
                None,
                load_checkpoint(path, source.layers, dataset.shape),
                True,
            )
            if not source.data.is_named:
                _tell_of_scale(dataset)
    return fitted(network, dataset, cached, recipe, finetuning)


def fitted(
    network: FloatNetwork,
    dataset: Dataset,
    from_cache: bool = True,
    recipe: Recipe | None = None,
    finetuning: FineTuning | None = None,
) -> Loaded:
    """A network with data that it takes.

    Raises:
        SynqError: they do not fit each other.
    """
    if network.sizes[0] != dataset.n_features:
        hint = "; give its own data" if dataset.name == "mnist" else ""
        raise SynqError(
            f"the network takes {network.sizes[0]} inputs, {dataset.name} has "
            f"{dataset.n_features}{hint}",
            settings=("data",),
        )
    window = network.geometries[0].window
    if window is not None and dataset.shape is not None and dataset.shape != window.shape:
        raise SynqError(
            f"the network takes images of {sides(window.shape)} (height x width x channels), "
            f"{dataset.name} has {sides(dataset.shape)}",
            settings=("data",),
        )
    check_outputs(network.sizes[-1], dataset)
    if network.ending and dataset.task is Task.REGRESSION:
        raise SynqError(
            f"the network ends in a {network.ending}, which changes the values that a regression "
            "is for: save it without",
        )
    taking = dataset.for_hardware(network)
    return Loaded(dataset, taking, network, from_cache, recipe, finetuning)


def recipe_for(recipe: Recipe, sizes: tuple[int, ...] | None, dataset: Dataset) -> Recipe:
    """The recipe for this data and these layers.

    Args:
        sizes: neurons a layer, inputs first; the recipe's own without.

    Raises:
        UsageError: the first or the last layer is not of the data's size.
    """
    if sizes is not None:
        first, *hidden, last = sizes
        one_output = dataset.task is Task.CLASSIFICATION and dataset.n_targets == 2 and last == 1
        if first != dataset.n_features or not (last == dataset.n_targets or one_output):
            what = "classes" if dataset.task is Task.CLASSIFICATION else "targets"
            example = ",".join(map(str, (dataset.n_features, *hidden, dataset.n_targets)))
            raise UsageError(
                f"the layers must go from the {dataset.n_features} features of {dataset.name} to "
                f"its {dataset.n_targets} {what}, as {example}; got "
                f"{','.join(map(str, sizes))}",
                settings=("layers",),
            )
        recipe = replace(recipe, hidden=tuple(hidden), outputs=1 if one_output else None)
    return adapted(recipe, dataset)


def _tell_of_scale(dataset: Dataset) -> None:
    if dataset.standardized and dataset.normalization is None:
        _log.warning(
            "%s: the features are standardized by the training samples, as the network must have "
            "been trained; for one that takes the file's values say input mean 0 and std 1",
            dataset.name,
        )


def prepare(
    source: Source,
    device_name: str,
    choice: Quantization,
    watch: Stopwatch,
    progress: Progress,
) -> Quantized:
    """Train or load, quantize, and run the integer reference on the test set.

    Raises:
        UsageError, SynqError: from the stages.
    """
    device = load_device(device_name)
    level_values(choice, device)  # refuses a branch without a curve before minutes of training
    loaded = load_source(source, watch, progress)
    return quantized(loaded, device, choice, source.cache_dir, watch, progress)


def quantized(
    loaded: Loaded,
    device: Device,
    choice: Quantization,
    cache_dir: Path,
    watch: Stopwatch,
    progress: Progress,
) -> Quantized:
    """Fine-tune if asked for, quantize, and run the integer reference on the test set.

    Raises:
        UsageError, SynqError: from the stages.
    """
    dataset = loaded.dataset
    scores = Scores(dataset.task, spread_of(dataset.task, dataset.test_labels))
    scores = scores.with_stage("software", loaded.software)
    tuned, ranges = loaded.network, None
    if loaded.finetuning is not None:
        with watch.stage("finetune"):
            from synq.learn.finetune import finetuned_network

            tuned, ranges, _ = finetuned_network(
                tuned, dataset, choice, device, loaded.finetuning, cache_dir, progress
            )
    with watch.stage("quantize"), progress.task("Quantize"):
        dataset = with_input_bits(dataset, choice.input_bits)
        network = quantize_network(
            tuned, choice, device, dataset.input_format, dataset.train_inputs, ranges
        )
        expected = network.run(dataset.test_inputs)
        scores = scores.with_stage("quantized", software_score(dequantize(network), dataset))
        reference = integer_score(dataset.task, network, expected.answers, dataset.test_labels)
        scores = scores.with_stage("reference", reference)
    return Quantized(dataset, device, choice, loaded, network, expected, scores)


def software_score(network: FloatNetwork, dataset: Dataset) -> float:
    """The score in real numbers of a network that takes the dataset's values, on the test set."""
    inputs = dataset.test_inputs
    step = np.float32(dataset.input_format.step)
    at_once = max(1, _VALUES_AT_ONCE // inputs.shape[1])
    outputs = np.concatenate(
        [
            network.logits(inputs[start : start + at_once] * step)
            for start in range(0, len(inputs), at_once)
        ]
    )
    return real_score(dataset.task, outputs, dataset.test_labels)
