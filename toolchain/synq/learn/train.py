"""Training in real numbers: from a dataset and a recipe to a network, the same one every time.

The sums in a matrix product depend on how many threads share it, which is fixed here, and on the
processor, which cannot be: weights are equal to the last bit on one machine, not on two kinds.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from synq.cache import write_cached
from synq.chip import FaultMap
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint
from synq.float_network import MAX_VALUES, FloatNetwork
from synq.geometry import DENSE, Geometry, Shape
from synq.learn.augment import CLOTHES, HANDWRITING, PHOTOS, Augmentation
from synq.learn.checkpoint import checkpoint_bytes, load_cached
from synq.learn.data.dataset import Dataset
from synq.learn.layers import NETWORKS, Convolution, Hidden, laid_out
from synq.network import class_count
from synq.progress import Progress
from synq.score import Task
from synq.variation import Variation

if TYPE_CHECKING:  # importing torch takes two seconds; a network in the cache needs none of it
    import torch

MOST_LAYERS = 16

TRAINING_VERSION = 2  # raise it when the code below makes other weights of the same recipe

# The number of threads changes the sums, so it follows from the recipe, not from the machine. Two
# halve the time of large batches; in small ones they wait for each other (on a busy machine a batch
# of 100 took six times as long with two as with one).
_BATCH_FOR_TWO_THREADS = 2000

_log = logging.getLogger("synq")
_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Recipe:
    """Everything, beside the dataset, that determines the trained weights.

    Attributes:
        name: what the user calls it by.
        hidden: the hidden layers, input side first, at most 15: the neurons of a dense one, or a
            convolution; these come first.
        outputs: neurons of the last layer: as many as the data has classes or targets, or 1 for two
            classes, which the sign then tells apart; as the data asks without.
        epochs: how many times each training sample is seen.
        batch_size: samples a step; the whole training set if it has fewer.
        learning_rate: of SGD; with the schedule "one-cycle" its highest value.
        momentum: of SGD, 0 for none.
        weight_decay: of SGD: the part of a weight, times the learning rate, that a step takes off.
        nesterov: whether the momentum is Nesterov's.
        schedule: "constant", or "one-cycle": from 1/25 of the learning rate up to it in the first
            30 % of the steps and down to almost zero in the rest (Smith, Topin, "Super-
            Convergence", 2018; torch's OneCycleLR with constant momentum), or "cosine": from the
            learning rate down to zero.
        augmentation: how training images are distorted; None for not at all.
        dropout: the share of hidden activations set to zero in training.
        bias: whether the layers have biases.
        seed: of the initial weights, the order of the samples, the distortions and the dropout.

    Raises:
        UsageError: a value outside its range.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    schedule: Literal["constant", "one-cycle", "cosine"] = "constant"
    augmentation: Augmentation | None = None
    dropout: float = 0.0
    hidden: tuple[Hidden, ...] = NETWORKS["mlp"]
    outputs: int | None = None
    bias: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < math.inf, "above 0"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "nesterov": (not self.nesterov or self.momentum > 0, "off without momentum"),
            "schedule": (
                self.schedule in ("constant", "one-cycle", "cosine"),
                "constant, one-cycle or cosine",
            ),
            "dropout": (0 <= self.dropout < 1, "at least 0 and below 1"),
            "hidden": (
                all(width >= 1 for width in self.hidden if not isinstance(width, Convolution))
                and len(self.hidden) < MOST_LAYERS,
                f"at most {MOST_LAYERS - 1} widths of at least 1",
            ),
            "outputs": (self.outputs is None or self.outputs >= 1, "at least 1"),
            "seed": (0 <= self.seed < 1 << 63, "between 0 and 2**63 - 1"),
        }
        for field, (holds, rule) in rules.items():
            if not holds:
                raise UsageError(f"{field} must be {rule}, got {getattr(self, field)}")
        kinds = [isinstance(layer, Convolution) for layer in self.hidden]
        if kinds != sorted(kinds, reverse=True):
            raise UsageError("convolutions come before dense layers")

    @property
    def convolutional(self) -> bool:
        return any(isinstance(layer, Convolution) for layer in self.hidden)


# What the recipes were made for: MNIST's training samples, and a batch and steps of theirs.
_MADE_FOR = 60_000
_LEAST_BATCH = 16
_LEAST_STEPS = 3_000
_RATE_OF_REGRESSION = 0.1
_RATE_OF_TUNING = 0.25  # times that, where targets are fine-tuned for
_EPOCHS_OF_CLOTHES = 2  # times a recipe's
_DECAY, _MOST_DECAY = 1e-4, 5e-3


def adapted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """`recipe` for this data: its distortions are those that the data bears; where that is less,
    weights decay.

    A batch is no larger a share of the samples than of MNIST's, but at least 16 samples; of small
    sets there are more epochs, so that there are enough steps.
    """
    # A square error's gradient grows with the error, a cross-entropy's does not.
    rate = _RATE_OF_REGRESSION if dataset.task is Task.REGRESSION else 1
    count = max(1, len(dataset.train_labels))
    share = max(_LEAST_BATCH, math.ceil(recipe.batch_size * count / _MADE_FOR))
    batch_size = min(recipe.batch_size, share, count)
    epochs = recipe.epochs
    augmentation = dataset.distortion if recipe.augmentation is not None else None
    if augmentation == CLOTHES:
        epochs *= _EPOCHS_OF_CLOTHES
    if count < _MADE_FOR:
        made_for = recipe.epochs * _MADE_FOR // recipe.batch_size
        steps = min(made_for, _LEAST_STEPS)
        epochs = max(epochs, math.ceil(steps * batch_size / count))
    # Real targets of few samples are learned by heart more easily than classes.
    decay = min(_MOST_DECAY, _DECAY * _MADE_FOR / count) if rate < 1 else _DECAY
    less = recipe.augmentation is not None and augmentation != HANDWRITING
    return replace(
        recipe,
        batch_size=batch_size,
        epochs=epochs,
        learning_rate=recipe.learning_rate * rate,
        weight_decay=max(decay, recipe.weight_decay) if less else recipe.weight_decay,
        augmentation=augmentation,
    )


# Where the numbers come from, with what else was measured: docs/training.md.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="paper", epochs=200, batch_size=16384, learning_rate=0.5),
        Recipe(
            name="accurate",
            epochs=100,
            batch_size=100,
            learning_rate=0.1,
            momentum=0.9,
            nesterov=True,
            schedule="one-cycle",
            augmentation=HANDWRITING,
        ),
        Recipe(
            name="lenet5",
            epochs=30,
            batch_size=100,
            learning_rate=0.05,
            momentum=0.9,
            nesterov=True,
            schedule="one-cycle",
            augmentation=HANDWRITING,
            hidden=NETWORKS["lenet5"],
            bias=True,
        ),
        Recipe(
            name="vgg",
            epochs=60,
            batch_size=100,
            learning_rate=0.05,
            momentum=0.9,
            weight_decay=5e-4,
            nesterov=True,
            schedule="one-cycle",
            augmentation=PHOTOS,
            hidden=NETWORKS["vgg"],
            bias=True,
        ),
    )
}


@dataclass(frozen=True)
class FineTuning:
    """Everything that determines the fine-tuned weights beside network, data and quantization.

    Attributes:
        recipe: batches, epochs, learning rate, augmentation, dropout and seed; its architecture and
            biases are the network's own.
        optimizer: "sgd", as the recipe says, or "adam", whose first decay rate is the recipe's
            momentum.
        scale_rate: learning rate of the normalizations' logarithms, relative to the weights'.
        sparsity: least share of zero codes in every array but the last, 0..1.
        variation: of the chips that it is trained through, another one for each batch; of none
            without.
        faults: the stuck cells of the one chip that it is trained for.
    """

    recipe: Recipe
    optimizer: Literal["sgd", "adam"] = "sgd"
    scale_rate: float = 0.05
    sparsity: float = 0.0
    variation: Variation | None = None
    faults: FaultMap | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise UsageError(f"sparsity must be at least 0 and below 1, got {self.sparsity:g}")

    def described(self) -> dict[str, Any]:
        """For keys and manifests, JSON; what is not used is not named."""
        described = asdict(replace(self, variation=None, faults=None))
        del described["variation"], described["faults"]
        if self.variation is not None:
            described["variation"] = asdict(self.variation)
        if self.faults is not None:
            described["faults"] = self.faults.digest
        return described

    def with_sparsity(self, share: float) -> "FineTuning":
        """The same for another share of zeros.

        Few synapses learn better with Adam, and from images that are only shifted
        (docs/finetuning.md).
        """
        if not share:
            return replace(self, sparsity=share)
        recipe = replace(self.recipe, learning_rate=0.0005, nesterov=False)
        if recipe.augmentation is not None:
            shifts = Augmentation(recipe.augmentation.shift, rotation=0, scaling=0, warp=0)
            recipe = replace(recipe, augmentation=shifts)
        return replace(self, recipe=recipe, optimizer="adam", sparsity=share)


# Chosen on a validation split: docs/finetuning.md.
FINETUNING = FineTuning(
    Recipe(
        name="finetune",
        epochs=40,
        batch_size=200,
        learning_rate=0.04,
        momentum=0.9,
        nesterov=True,
        schedule="cosine",
        augmentation=HANDWRITING,
    )
)


def adapted_tuning(tuning: FineTuning, dataset: Dataset) -> FineTuning:
    """`tuning` for this data, as `adapted`."""
    recipe = adapted(tuning.recipe, dataset)
    if dataset.task is Task.REGRESSION:
        recipe = replace(recipe, learning_rate=recipe.learning_rate * _RATE_OF_TUNING)
    return replace(tuning, recipe=recipe).with_sparsity(tuning.sparsity)


def trained_network(
    recipe: Recipe, dataset: Dataset, cache_dir: Path, progress: Progress
) -> tuple[FloatNetwork, bool]:
    """The network `train` makes, and whether it came from the cache.

    A damaged file in the cache is reported to the log and replaced.

    Raises:
        SynqError: as `train`, or the cache cannot be written.
    """
    described = {
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "dataset": dataset.digest,
        "torch": version("torch").partition("+")[0],  # its builds compute the same
        "training": str(TRAINING_VERSION),
    }
    if recipe.convolutional:  # the same values may be images of other sides
        described["shape"] = str(image_shape(dataset))
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    path = cache_dir / "networks" / f"{key}.safetensors"
    if path.exists():
        try:
            return load_cached(path, described)[0], True
        except SynqError as error:
            _log.warning("%s; training the network again", error)
    network = train(recipe, dataset, progress)
    write_cached(path, checkpoint_bytes(network, described))
    return network, False


def train(recipe: Recipe, dataset: Dataset, progress: Progress) -> FloatNetwork:
    """Train a ReLU multilayer perceptron with SGD, on what networks of this data take.

    The loss is the cross-entropy; of a regression, whose last layer always has a bias, the mean
    square error of standardized targets, which the last layer then turns into their units. The
    initial weights are those of torch's `Linear`. Batches are always full: what an epoch leaves
    over begins the first batch of the next. The progress shows the mean loss and the score of each
    epoch on the training samples as they passed; the test set is not looked at.

    Raises:
        SynqError: the dataset has no training labels or fewer than two classes, distortions of
            what are not square images, a network beyond any reason, or a loss that diverged.
    """
    import torch

    geometries, sizes = _plan(recipe, dataset)
    generator = torch.Generator().manual_seed(recipe.seed)
    threads = 2 if recipe.batch_size >= _BATCH_FOR_TWO_THREADS else 1
    with reproducible_torch(threads), progress.task("Train", total=recipe.epochs) as task:
        with_bias = [recipe.bias] * len(sizes)
        with_bias[-1] = recipe.bias or dataset.task is Task.REGRESSION
        normed = [isinstance(each, Convolution) and each.batch_norm for each in recipe.hidden]
        layers = [
            _Layer(geometry, n_in, n_out, bias, norm, generator)
            for geometry, (n_in, n_out), bias, norm in zip(
                geometries, sizes, with_bias, [*normed, False], strict=True
            )
        ]
        objective = Objective(dataset)
        samples = Samples(recipe, dataset, generator)
        optimizer = torch.optim.SGD(
            [parameter for layer in layers for parameter in layer.parameters],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            fused=True,
        )
        schedule = learning_rates(recipe, optimizer, samples.steps)
        for epoch in range(1, recipe.epochs + 1):
            loss_sum, correct, batches = 0.0, 0.0, 0
            for inputs, labels in samples.epoch():
                outputs = _forward(layers, inputs, recipe.dropout, generator)
                loss = objective.loss(outputs, labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                loss_sum += loss.item()
                correct += objective.correct(outputs, labels)
                batches += 1
            if not math.isfinite(loss_sum):
                raise SynqError(
                    f"training diverged in epoch {epoch}: the loss is not finite; "
                    f"try a learning rate below {recipe.learning_rate:g}"
                )
            said = objective.said(correct / (batches * samples.batch_size))
            task.update(epoch, f"loss {loss_sum / batches:.3f}{said}")
    made = [layer.made() for layer in layers]
    made[-1] = objective.in_units(*made[-1])
    weights, biases = zip(*made, strict=True)
    return FloatNetwork(weights, biases, geometries)


class Objective:
    """What a network is trained towards: classes, or standardized targets."""

    def __init__(self, dataset: Dataset) -> None:
        self._task = dataset.task
        self._mean = np.zeros(1)
        self._std = np.ones(1)
        if dataset.task is Task.REGRESSION:
            self._mean = dataset.train_labels.mean(axis=0)
            std = dataset.train_labels.std(axis=0)
            self._std = np.where(std > 0, std, 1.0)

    def labels(self, labels: NDArray[Any]) -> "torch.Tensor":
        """Class numbers, or targets shifted and divided so that their spread is 1, float32."""
        import torch

        if self._task is Task.CLASSIFICATION:
            return torch.tensor(labels)
        return torch.tensor(((labels - self._mean) / self._std).astype(np.float32))

    def standardized(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """Outputs in the targets' units, as `loss` wants them."""
        import torch

        if self._task is Task.CLASSIFICATION:
            return outputs
        mean, std = (torch.tensor(part, dtype=torch.float32) for part in (self._mean, self._std))
        return (outputs - mean) / std

    def in_units(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The last layer of a network whose outputs shall be in the targets' units."""
        if self._task is Task.CLASSIFICATION or bias is None:
            return weight, bias
        scaled = (weight * self._std).astype(np.float32)
        return scaled, (bias * self._std + self._mean).astype(np.float32)

    def loss(self, outputs: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """The mean over a batch: outputs `(n, n_out)`, labels of `labels`."""
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

        if self._task is Task.REGRESSION:
            return mse_loss(outputs, labels)
        if outputs.shape[1] == 1:
            return binary_cross_entropy_with_logits(outputs[:, 0], labels.to(outputs.dtype))
        return cross_entropy(outputs, labels)

    def correct(self, outputs: "torch.Tensor", labels: "torch.Tensor") -> float:
        """How many classes of a batch are right; 0 for targets."""
        if self._task is Task.REGRESSION:
            return 0.0
        classes = outputs.argmax(dim=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0
        return float((classes == labels).sum())

    def said(self, share: float) -> str:
        """What the progress adds to the loss, of the share of classes that are right."""
        return "" if self._task is Task.REGRESSION else f", accuracy {100 * share:.1f} %"


def learning_rates(
    recipe: Recipe, optimizer: "torch.optim.Optimizer", steps: int
) -> "torch.optim.lr_scheduler.LRScheduler":
    """The recipe's schedule, to be stepped after each of `steps` batches."""
    from torch.optim import lr_scheduler

    if recipe.schedule == "one-cycle":
        return lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps, cycle_momentum=False
        )
    if recipe.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return lr_scheduler.ConstantLR(optimizer, factor=1)


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """`dataset` with its last `count` training samples in place of the test samples.

    For choosing a recipe: what is chosen by the test set is no longer measured by it.
    """
    inputs, labels = dataset.train_inputs, dataset.train_labels
    if not 0 < count < len(labels):
        raise UsageError(f"hold out between 1 and {len(labels) - 1} samples, got {count}")
    digest = hashlib.sha256(f"{dataset.digest} without the last {count}".encode()).hexdigest()
    return replace(
        dataset,
        train_inputs=inputs[:-count],
        train_labels=labels[:-count],
        test_inputs=inputs[-count:],
        test_labels=labels[-count:],
        digest=digest,
    )


def _plan(recipe: Recipe, dataset: Dataset) -> tuple[tuple[Geometry, ...], list[tuple[int, int]]]:
    """Each layer's geometry, and its inputs and outputs, after checking that the dataset can be
    trained on."""
    require_labels(dataset)
    n_targets = dataset.n_targets
    if dataset.task is Task.CLASSIFICATION and n_targets < 2:
        raise SynqError(f"dataset {dataset.name} has one class only; training needs at least two")
    features = dataset.train_inputs.shape[1]
    shape = image_shape(dataset)
    if recipe.augmentation is not None and (shape is None or shape[0] != shape[1]):
        raise SynqError(
            f"recipe {recipe.name} distorts images, which must be square, got {features} "
            "features; use a recipe without augmentation"
        )
    n_out = recipe.outputs or n_targets
    check_outputs(n_out, dataset)
    if not recipe.convolutional:
        geometries: tuple[Geometry, ...] = (DENSE,) * (len(recipe.hidden) + 1)
    elif shape is None:
        raise UsageError(
            f"a convolution is for images; the {features} features of {dataset.name} are none that "
            "is known: take a network of dense layers",
            settings=("network",),
        )
    else:
        geometries = laid_out(recipe.hidden, shape)
    widths = [each.channels if isinstance(each, Convolution) else each for each in recipe.hidden]
    sizes = []
    passed = features
    for geometry, width in zip(geometries, [*widths, n_out], strict=True):
        sizes.append((passed if geometry.window is None else geometry.window.n_in, width))
        passed = math.prod(geometry.passed(width))
    values = sum(n_in * n_out for n_in, n_out in sizes)
    if values > MAX_VALUES:
        shown = "-".join(map(str, (features, *widths, n_out)))
        raise SynqError(
            f"a network {shown} has {values:,} weights; at most {MAX_VALUES:,} are supported"
        )
    return geometries, sizes


def image_shape(dataset: Dataset) -> Shape | None:
    """Height, width and channels of the samples, where they are images or could be one."""
    if dataset.shape is not None:
        return dataset.shape
    features = dataset.train_inputs.shape[1]
    side = math.isqrt(features)
    return (side, side, 1) if side * side == features else None


def require_labels(dataset: Dataset) -> None:
    """Refuse data that cannot be trained on.

    Raises:
        SynqError: it has no training labels.
    """
    if len(dataset.train_labels) == 0:
        raise SynqError(
            f"dataset {dataset.name} has no training labels; add them, or give a trained checkpoint"
        )


def check_outputs(n_out: int, dataset: Dataset) -> None:
    """Refuse a network with outputs for other labels.

    Raises:
        SynqError: says which the labels need.
    """
    needed = dataset.n_targets
    if dataset.task is Task.REGRESSION:
        if n_out != needed:
            raise SynqError(
                f"the network has {n_out} outputs, {dataset.name} has {needed} targets a sample; "
                "they must be equal"
            )
    elif class_count(n_out) < needed:
        outputs = "1 output, which tells classes 0 and 1 apart by its sign"
        if n_out > 1:
            outputs = f"{n_out} outputs"
        raise SynqError(
            f"the network has {outputs}, the labels of {dataset.name} go up to {needed - 1}"
        )


@contextmanager
def reproducible_torch(threads: int) -> Iterator[None]:
    """Fix what the sums depend on; torch's settings are the process's, so put them back."""
    import torch

    threads_before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Every element is written before it is read; filling new tensors first costs a third more.
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]


class _Layer:
    """A layer's parameters, drawn as torch's `Linear` and `Conv2d` do but from our own generator.

    Args:
        norm: with a batch normalization.
    """

    def __init__(
        self,
        geometry: Geometry,
        n_in: int,
        n_out: int,
        bias: bool,
        norm: bool,
        generator: "torch.Generator",
    ) -> None:
        import torch

        def drawn(*shape: int) -> torch.Tensor:
            bound = 1 / math.sqrt(n_in)
            values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            return values.requires_grad_()

        self.geometry, self.n_out = geometry, n_out
        self.weight = drawn(n_out, n_in)
        self.bias = drawn(n_out) if bias and not norm else None
        self.norm = _BatchNorm(n_out) if norm else None
        self.parameters = [self.weight]
        if self.bias is not None:
            self.parameters.append(self.bias)
        if self.norm is not None:
            self.parameters += [self.norm.scale, self.norm.shift]

    def sums(self, inputs: "torch.Tensor") -> "torch.Tensor":
        """Of a batch in training."""
        from synq.learn.tensor_geometry import summed

        made = summed(inputs, self.weight, self.bias, self.geometry)
        return made if self.norm is None else self.norm(made)

    def passed(self, made: "torch.Tensor") -> "torch.Tensor":
        """What the next layer takes of the sums."""
        import torch

        from synq.learn.tensor_geometry import pooled

        values = pooled(torch.relu(made), self.geometry, self.n_out)
        divisor = self.geometry.divisor
        return values if divisor == 1 else values / divisor

    def made(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Weights `(n_in, n_out)` and biases, as they have been learned."""
        weight = self.weight.detach().cpu().numpy().T
        if self.norm is not None:
            return self.norm.folded(weight)
        return weight, None if self.bias is None else self.bias.detach().cpu().numpy()


class _BatchNorm:
    """A batch normalization of channels."""

    _EPSILON = 1e-5

    def __init__(self, channels: int) -> None:
        import torch

        self.scale = torch.ones(channels).requires_grad_()
        self.shift = torch.zeros(channels).requires_grad_()
        self._mean, self._variance = torch.zeros(channels), torch.ones(channels)

    def __call__(self, sums: "torch.Tensor") -> "torch.Tensor":
        """`(n, n_places * channels)`, normalized by the batch's own mean and variance."""
        from torch.nn.functional import batch_norm

        made = batch_norm(
            sums.view(-1, len(self.scale)),
            self._mean,
            self._variance,
            self.scale,
            self.shift,
            training=True,
            eps=self._EPSILON,
        )
        return made.view_as(sums)

    def folded(self, weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Weights `(n_in, channels)` and biases that do the same, by the mean over batches."""
        scale, shift, mean, variance = (
            each.detach().cpu().double().numpy()
            for each in (self.scale, self.shift, self._mean, self._variance)
        )
        factor = scale / np.sqrt(variance + self._EPSILON)
        return (weight * factor).astype(np.float32), (shift - mean * factor).astype(np.float32)


def _forward(
    layers: list[_Layer], inputs: "torch.Tensor", dropout: float, generator: "torch.Generator"
) -> "torch.Tensor":
    """Logits `(n, classes)` of float32 inputs `(n, features)`."""
    import torch

    made = layers[0].sums(inputs)
    for before, layer in pairwise(layers):
        activations = before.passed(made)
        if dropout:  # torch's own draws from the global generator
            kept = torch.rand(activations.shape, generator=generator) >= dropout
            activations = activations * kept / (1 - dropout)
        made = layer.sums(activations)
    return made


class Samples:
    """The training set as the stream of batches a recipe asks for.

    Attributes:
        batch_size: of every batch.
        steps: batches in all epochs together.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        generator: "torch.Generator",
        form: FixedPoint | None = None,
    ) -> None:
        """With `form` inputs are the hardware's, rounded to it after a distortion; without, they
        are what networks of this data take.
        """
        import torch

        count = len(dataset.train_labels)
        self.batch_size = min(recipe.batch_size, count)
        self.steps = recipe.epochs * count // self.batch_size
        self._generator = generator
        self._augmentation = recipe.augmentation
        self._channels = (image_shape(dataset) or (0, 0, 1))[2]
        self._form = form
        self._labels = Objective(dataset).labels(dataset.train_labels)
        self._normalization = None
        if form is None and dataset.normalization is not None:
            self._normalization = tuple(
                torch.tensor(part, dtype=torch.float32)
                for part in (dataset.normalization.mean, dataset.normalization.std)
            )
        self._left_over = torch.empty(0, dtype=torch.int64)
        # As bytes: as real numbers all samples together would take four times the memory.
        self._raw = torch.from_numpy(dataset.train_inputs.copy())
        self._step = float(np.float32(dataset.input_format.step))
        # gathering a large batch into fresh memory takes three times as long as into this
        self._batch = torch.empty(self.batch_size, self._raw.shape[1])

    def epoch(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
        """The next epoch's batches: inputs `(batch_size, features)` and labels `(batch_size,)`.

        Inputs are valid until the next batch is asked for, or for good if they are rounded.
        """
        import torch

        shuffled = torch.randperm(len(self._labels), generator=self._generator)
        order = torch.cat([self._left_over, shuffled])
        full = len(order) - len(order) % self.batch_size
        self._left_over = order[full:]
        for rows in order[:full].view(-1, self.batch_size):
            raw = self._raw.index_select(0, rows)
            inputs = self._batch.copy_(raw).mul_(self._step)
            if self._augmentation is not None:
                inputs = self._augmentation.distort(inputs, self._generator, self._channels)
            if self._form is not None:
                inputs = _rounded(inputs, self._form)
            if self._normalization is not None:
                mean, std = self._normalization
                inputs = (inputs - mean) / std
            yield inputs, self._labels.index_select(0, rows)


def ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """The same batches, each made in a thread while the caller works on the one before.

    Each has to be in memory of its own.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _rounded(inputs: "torch.Tensor", form: FixedPoint) -> "torch.Tensor":
    """Values of `form`, rounded half up and saturated as `with_input_bits` does."""
    raw = (inputs / form.step + 0.5).floor_()
    return raw.clamp_(form.min_raw, form.max_raw).mul_(form.step)
