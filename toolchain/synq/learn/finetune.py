"""Device-aware fine-tuning: train real weights through the arithmetic that the hardware does.

The forward pass uses the snapped codebook and quantized activations; gradients pass straight
through both roundings (Bengio et al., 2013). A layer's normalization is learned with its weights
(Esser et al., "Learned Step Size Quantization", 2020). What is trained is what runs: the integer
reference of the result computes the same values.
"""

import hashlib
import json
import logging
import math
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synq.cache import write_cached
from synq.chip import FaultMap
from synq.device import Device, Window
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.geometry import Geometry, Pooling
from synq.learn.checkpoint import checkpoint_bytes, load_cached
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.disturbance import Disturbance
from synq.learn.tensor_geometry import pooled, summed
from synq.learn.train import (
    FineTuning,
    Objective,
    Samples,
    ahead,
    learning_rates,
    reproducible_torch,
    require_labels,
)
from synq.network import QuantizedNetwork, SynapseArray, array_unit
from synq.progress import Progress
from synq.quantizing import (
    Mapping,
    Quantization,
    Ranges,
    level_values,
    nearest_index,
    quantize_network,
)
from synq.variation import Variation

_log = logging.getLogger("synq")

FINETUNE_VERSION = 7  # raise it whenever the same settings would give other weights

_SAMPLES_AT_ONCE = 1000
_ALIVE = 0.002  # the least share of samples in which a living input is not zero
# Choosing the smallest weights takes longer than a training step, and small sets have few steps.
_STEPS_BETWEEN_PRUNING = 50
_LEAST_PRUNINGS = 20


def finetuned_network(
    network: FloatNetwork,
    dataset: Dataset,
    choice: Quantization,
    device: Device,
    settings: FineTuning,
    cache_dir: Path,
    progress: Progress,
) -> tuple[FloatNetwork, Ranges, bool]:
    """What `finetune` makes, and whether it came from the cache.

    Raises:
        SynqError: as `finetune`, or the cache cannot be written.
    """
    described = {
        "network": network.digest,
        "dataset": dataset.digest,
        "choice": _of_weights(choice),
        "levels": [values.tolist() for values in level_values(choice, device)],
        "settings": settings.described(),
        "torch": version("torch").partition("+")[0],  # its builds compute the same
        "version": FINETUNE_VERSION,
    }
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    path = cache_dir / "finetuned" / f"{key}.safetensors"
    if path.exists():
        try:
            return *_read(path, key), True
        except SynqError as error:
            _log.warning("%s; fine-tuning the network again", error)
    tuned, ranges = finetune(network, dataset, choice, device, settings, progress)
    write_cached(path, _written(tuned, ranges, key))
    return tuned, ranges, False


def _of_weights(choice: Quantization) -> dict[str, Any]:
    """What of a quantization fine-tuning depends on: converters are chosen for what it gives."""
    later = ("tile", "adc_bits", "read_noise", "read_seed")
    return {name: value for name, value in asdict(choice).items() if name not in later}


def _written(network: FloatNetwork, ranges: Ranges, key: str) -> bytes:
    """One file of the weights and the ranges, which are worth nothing without each other."""
    text = ranges.to_json()
    described = {"key": key, "ranges": text, "seal": _seal(network, text, key)}
    return checkpoint_bytes(network, described)


def _read(path: Path, key: str) -> tuple[FloatNetwork, Ranges]:
    """What `_written` wrote.

    Raises:
        SynqError: the file is damaged, or was written for another key.
    """
    network, described = load_cached(path, {"key": key})
    text = described.get("ranges")
    if not isinstance(text, str) or described.get("seal") != _seal(network, text, key):
        raise SynqError(f"{path}: is damaged")
    return network, Ranges.from_json(text)


def _seal(network: FloatNetwork, ranges: str, key: str) -> str:
    return hashlib.sha256(f"{network.digest} {ranges} {key}".encode()).hexdigest()


def finetune(
    network: FloatNetwork,
    dataset: Dataset,
    choice: Quantization,
    device: Device,
    settings: FineTuning,
    progress: Progress,
) -> tuple[FloatNetwork, Ranges]:
    """Fine-tune `network` for the quantization `choice` on `device`.

    The formats of the activations are chosen once, before, on the network as it is. The test set is
    not looked at.

    Args:
        dataset: inputs as they are; `choice` says how many of their bits the hardware will see.

    Returns:
        The real weights, and the normalizations and activation formats they were trained with:
        `quantize_network` needs both.

    Raises:
        UsageError: sparsity without a level at zero.
        SynqError: no training labels, a loss that diverged, or faults of another network.
    """
    require_labels(dataset)
    recipe = settings.recipe
    if settings.faults is not None:
        _check_faults(settings.faults, network, choice.mapping)
    levels, realized = level_values(choice, device)
    if settings.sparsity and 0 not in np.rint(realized * choice.table_format.max_raw):
        raise UsageError(
            "sparsity needs a level at zero: use an odd number of levels, or count magnitude",
            settings=("levels", "count"),
        )
    narrow = with_input_bits(dataset, choice.input_bits)
    start = quantize_network(
        network,
        choice,
        device,
        narrow.input_format,
        narrow.train_inputs,
        Ranges(tuple(_closest_scale(weight, levels, realized) for weight in network.weights), None),
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    with reproducible_torch(1), progress.task("Fine-tune", total=recipe.epochs) as task:
        # Batches are made in a thread of their own, and draw from a generator of their own.
        samples = Samples(
            recipe, dataset, torch.Generator().manual_seed(recipe.seed), narrow.input_format
        )
        objective = Objective(dataset)
        model = _Model(network, start, _Levels(levels, realized, choice))
        if settings.variation is not None or settings.faults is not None:
            model.disturb(settings, device.window(choice.branch), choice.mapping)
        if settings.sparsity:
            model.find_alive(start, narrow.train_inputs)
        weights: dict[str, Any] = {"params": [layer.rows for layer in model.layers]}
        scales: dict[str, Any] = {
            "params": [layer.log_scale for layer in model.layers],
            "lr": recipe.learning_rate * settings.scale_rate,
            "weight_decay": 0.0,  # of a logarithm it would be a pull towards 1
        }
        optimizer = _optimizer([weights, scales], settings)
        schedule = learning_rates(recipe, optimizer, samples.steps)
        between = min(_STEPS_BETWEEN_PRUNING, max(1, samples.steps // _LEAST_PRUNINGS))
        step, pruned = 0, 0.0
        for epoch in range(1, recipe.epochs + 1):
            loss_sum, correct, batches = 0.0, 0.0, 0
            for inputs, labels in ahead(samples.epoch()):
                if settings.sparsity and step % between == 0:
                    pruned = settings.sparsity * _ramp(2 * step / samples.steps)
                    model.prune(pruned)
                outputs = model.logits(inputs, recipe.dropout, generator)
                loss = objective.loss(objective.standardized(outputs), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                step += 1
                loss_sum += loss.item()
                correct += objective.correct(outputs, labels)
                batches += 1
            if not math.isfinite(loss_sum):
                raise SynqError(
                    f"fine-tuning diverged in epoch {epoch}: the loss is not finite; "
                    "is the network trained on these inputs?"
                )
            said = objective.said(correct / (batches * samples.batch_size))
            task.update(epoch, f"loss {loss_sum / batches:.3f}{said}")
        if pruned < settings.sparsity:  # so few steps that the ramp was not climbed
            model.prune(settings.sparsity)
        return model.result()


def _check_faults(faults: FaultMap, network: FloatNetwork, mapping: Mapping) -> None:
    polarities = 1 if mapping is Mapping.OFFSET else 2
    shapes = [
        (weight.shape[0] + (bias is not None), weight.shape[1], polarities)
        for weight, bias in zip(network.weights, network.biases, strict=True)
    ]
    if [state.shape for state in faults.states] != shapes:
        raise SynqError("the stuck cells are of a chip of another network or mapping")


def _optimizer(groups: list[dict[str, Any]], settings: FineTuning) -> torch.optim.Optimizer:
    recipe = settings.recipe
    if settings.optimizer == "adam":
        betas = (recipe.momentum, 0.999)
        return torch.optim.Adam(groups, lr=recipe.learning_rate, betas=betas, fused=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=True,
    )


def _closest_scale(
    weight: NDArray[np.float32], levels: NDArray[np.float64], realized: NDArray[np.float64]
) -> float:
    """The normalization with the least squared error of the realized weights, to start from.

    The largest weight wastes few levels on many weights: with two levels, all would be the largest.
    """
    largest = float(np.abs(weight).max())

    def error(scale: float) -> float:
        snapped = realized[nearest_index(weight / scale, levels)] * scale
        return float(np.mean((snapped - weight) ** 2))

    candidates: list[float] = (largest * np.linspace(0.02, 1, 50)).tolist()
    return min(candidates, key=error)


def _ramp(progress: float) -> float:
    """From 0 to 1, fast at first, as a network bears pruning (Zhu and Gupta, 2017, eq. 1)."""
    return 1 - (1 - min(1.0, progress)) ** 3


class _Levels:
    """The quantizer on tensors: normalized weights to realized values, gradients straight through.

    The values are those of the integer codebook, exactly.
    """

    def __init__(
        self, levels: NDArray[np.float64], realized: NDArray[np.float64], choice: Quantization
    ) -> None:
        form = choice.table_format
        values = np.rint(realized * form.max_raw) * form.step
        self._values = torch.tensor(values, dtype=torch.float32)
        self._middles = torch.tensor((levels[1:] + levels[:-1]) / 2, dtype=torch.float32)
        # Looking up a uniform grid by rounding is ten times as fast as by searching.
        steps = np.diff(levels)
        self._step = float(steps[0]) if np.allclose(steps, steps[0]) else None
        self._first = float(levels[0])

    def values_of(self, normalized: torch.Tensor) -> torch.Tensor:
        """The realized value of each weight."""
        if self._step is None:
            index = torch.bucketize(normalized, self._middles)
        else:
            index = normalized.sub(self._first).div_(self._step).round_()
            index = index.clamp_(0, len(self._values) - 1).int()
        return self._values.index_select(0, index.flatten()).view_as(normalized)


class _Layer:
    """One array's parameters, `(n_out, n_rows)` as torch wants them, and its fixed surroundings."""

    def __init__(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        unit: float,
        array: SynapseArray,
        geometry: Geometry,
    ) -> None:
        self.geometry = geometry
        rows = weight.T
        self.drive = None
        if bias is not None and array.bias_input is not None:
            self.drive = array.bias_input * array.input_format.step
            rows = np.hstack([rows, bias[:, None] / np.float32(self.drive * unit)])
        self.rows = torch.tensor(np.ascontiguousarray(rows)).requires_grad_()
        # Learned as a logarithm, a scale stays positive.
        self.log_scale = torch.tensor(math.log(array.scale)).requires_grad_()
        self.full_scale = array_unit(array) / array.scale
        self._one = 1 / self.full_scale  # the value that the weight 1 is realized as
        self.pruned: torch.Tensor | None = None
        self.alive = torch.ones(())
        self.disturbance: Disturbance | None = None

    @property
    def scale(self) -> torch.Tensor:
        """The weight that normalizes the layer."""
        return self.log_scale.exp()

    def sums(self, inputs: torch.Tensor, levels: _Levels) -> torch.Tensor:
        """The accumulators' values for inputs `(n, values)`, at all places."""
        values = _Snap.apply(  # type: ignore[no-untyped-call]
            self.rows, self.log_scale, levels, self.pruned
        )
        if self.disturbance is not None:
            with torch.no_grad():
                moved = self.disturbance(values / self._one) * self._one - values
            values = values + moved  # the gradient passes as without
        if self.drive is None:
            return summed(inputs, values, None, self.geometry)
        return summed(inputs, values[:, :-1], self.drive * values[:, -1], self.geometry)

    def passed(self, made: torch.Tensor, form: FixedPoint) -> torch.Tensor:
        """What the next layer takes of the sums, in its format."""
        pool = self.geometry.pool
        if pool is not None:
            # The largest of the sums is the one after ReLU, too, and one of it is enough.
            rectified = made if pool.kind is Pooling.MAX else torch.relu(made)
            made = pooled(rectified, self.geometry, len(self.rows))
        signal: torch.Tensor = _Activate.apply(made, form)  # type: ignore[no-untyped-call]
        return signal

    def prune(self, share: float) -> None:
        """Choose the smallest `share` of the synapses to be zero until the next choice.

        Those of inputs that are hardly ever on go first: a border pixel's weight carries nothing,
        however large it was drawn.
        """
        size = self.rows.detach().abs() * self.alive
        count = math.ceil(share * size.numel())
        threshold = torch.kthvalue(size.flatten(), count).values if count else -1
        self.pruned = size <= threshold


class _Model:
    """The network in array units: what the hardware computes, on float tensors."""

    def __init__(self, network: FloatNetwork, start: QuantizedNetwork, levels: _Levels) -> None:
        self._levels = levels
        self._formats = start.activations
        self.layers: list[_Layer] = []
        unit = 1.0
        for weight, bias, array, geometry in zip(
            network.weights, network.biases, start.arrays, network.geometries, strict=True
        ):
            self.layers.append(_Layer(weight, bias, unit, array, geometry))
            unit *= array_unit(array) / geometry.divisor

    def logits(
        self, inputs: torch.Tensor, dropout: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Logits in real units, `(n, classes)`, of real inputs `(n, features)`."""
        signal = inputs
        unit = torch.ones(())
        for index, layer in enumerate(self.layers):
            signal = layer.sums(signal, self._levels)
            unit = unit * layer.scale * (layer.full_scale / layer.geometry.divisor)
            if index < len(self._formats):
                signal = layer.passed(signal, self._formats[index])
                if dropout:
                    kept = torch.rand(signal.shape, generator=generator) >= dropout
                    signal = signal * kept / (1 - dropout)
        return signal * unit

    def disturb(self, settings: FineTuning, window: Window, mapping: Mapping) -> None:
        """Train through chips from here on."""
        variation = settings.variation or Variation()
        for index, layer in enumerate(self.layers):
            generator = torch.Generator().manual_seed(settings.recipe.seed + index)
            layer.disturbance = Disturbance(
                variation, settings.faults, index, window, mapping, generator
            )

    def find_alive(self, start: QuantizedNetwork, inputs: NDArray[np.integer[Any]]) -> None:
        """Which inputs of each array are on in at least a few of the samples."""
        counts = [np.zeros((1, size), dtype=np.int64) for size in start.sizes[:-1]]
        for first in range(0, len(inputs), _SAMPLES_AT_ONCE):
            some = inputs[first : first + _SAMPLES_AT_ONCE]
            for count, signal in zip(
                counts, [some, *start.run(some, first).activations], strict=True
            ):
                count += np.count_nonzero(signal, axis=0)
        for layer, array, count in zip(self.layers, start.arrays, counts, strict=True):
            window = layer.geometry.window
            share = count / len(inputs)
            alive = (share[0] if window is None else window.patches(share).mean(axis=0)) >= _ALIVE
            if array.bias_input is not None:
                alive = np.append(alive, True)
            layer.alive = torch.tensor(alive, dtype=torch.float32)

    def prune(self, share: float) -> None:
        """Prune every array but the last, which is small and sensitive."""
        for layer in self.layers[:-1]:
            layer.prune(share)

    def result(self) -> tuple[FloatNetwork, Ranges]:
        """The weights, pruned ones at zero, and the ranges they belong to."""
        weights: list[NDArray[np.float32]] = []
        biases: list[NDArray[np.float32] | None] = []
        scales: list[float] = []
        unit = 1.0
        for layer in self.layers:
            rows = layer.rows.detach()
            if layer.pruned is not None:
                rows = rows.masked_fill(layer.pruned, 0)
            matrix = rows.cpu().numpy().T
            scales.append(layer.scale.item())
            if layer.drive is None:
                weights.append(matrix)
                biases.append(None)
            else:
                weights.append(matrix[:-1])
                biases.append(matrix[-1] * np.float32(layer.drive * unit))
            unit *= scales[-1] * layer.full_scale / layer.geometry.divisor
        geometries = tuple(layer.geometry for layer in self.layers)
        network = FloatNetwork(tuple(weights), tuple(biases), geometries)
        return network, Ranges(tuple(scales), self._formats)


class _Snap(torch.autograd.Function):
    """Realized values of `rows / exp(log_scale)`.

    The gradient passes where the normalized weight is within -1..1, pruned or not. Differentiated
    by hand: autograd takes twice as long over the same passes.
    """

    @staticmethod
    def forward(
        context: Any,
        rows: torch.Tensor,
        log_scale: torch.Tensor,
        levels: _Levels,
        pruned: torch.Tensor | None,
    ) -> torch.Tensor:
        normalized = rows * (-log_scale).exp()
        context.save_for_backward(normalized, log_scale)
        values = levels.values_of(normalized)
        return values if pruned is None else values.masked_fill_(pruned, 0)

    @staticmethod
    def backward(
        context: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        normalized, log_scale = context.saved_tensors
        passed = torch.where(normalized.abs() <= 1, gradient, 0)
        of_scale = -torch.dot(passed.flatten(), normalized.flatten())
        return passed * (-log_scale).exp(), of_scale, None, None


class _Activate(torch.autograd.Function):
    """ReLU, rounding and saturation; the gradient passes where neither end clips."""

    @staticmethod
    def forward(context: Any, sums: torch.Tensor, form: FixedPoint) -> torch.Tensor:
        context.save_for_backward(sums)
        context.largest = form.max_raw * form.step
        # Ties to even, as AP_RND_CONV.
        return torch.round(sums.clamp(0, context.largest) / form.step) * form.step

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (sums,) = context.saved_tensors
        return gradient * ((sums > 0) & (sums < context.largest)), None
