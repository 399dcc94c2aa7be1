"""Convolutional networks, trained and fine-tuned: what is computed is what is trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray

from strategies import SOME, convolutional_network, images, seeds
from synq.device import load_device
from synq.errors import UsageError
from synq.fixedpoint import FixedPoint
from synq.geometry import Pool, Pooling
from synq.learn.data.dataset import Dataset
from synq.learn.finetune import finetune
from synq.learn.layers import NETWORKS, Convolution, laid_out
from synq.learn.tensor_geometry import pooled, summed
from synq.learn.train import FINETUNING, RECIPES, Recipe, train, trained_network
from synq.network import accuracy, classes_of
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network


def bars(count: int, seed: int, channels: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images of 8 x 8 with a bar that lies or stands, anywhere."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pictures = random.integers(0, 60, (count, 8, 8, channels), dtype=np.uint8)
    for picture, label, at in zip(pictures, labels, random.integers(0, 8, count), strict=True):
        if label:
            picture[at] += 150
        else:
            picture[:, at] += 150
    return pictures.reshape(count, -1), labels


def dataset(channels: int = 1) -> Dataset:
    inputs, labels = bars(600, 1, channels)
    test_inputs, test_labels = bars(200, 2, channels)
    form = FixedPoint(8, 0, signed=False)
    given = (form, inputs, labels, test_inputs, test_labels)
    return Dataset("bars", *given, f"bars {channels}", shape=(8, 8, channels))


HIDDEN = (
    Convolution(4, 3, pool=Pool(Pooling.MAX, (2, 2))),
    Convolution(5, 2, padding=1, pool=Pool(Pooling.AVERAGE, (2, 2)), batch_norm=True),
    6,
)
RECIPE = Recipe(
    "bars", epochs=12, batch_size=20, learning_rate=0.1, momentum=0.9, hidden=HIDDEN, bias=True
)


@SOME
@given(seed=seeds)
def test_tensors_are_what_the_reference_computes(seed: int) -> None:
    random = np.random.default_rng(seed)
    network = convolutional_network(random)
    inputs = images(random, network, 4)
    trace = network.run(inputs)
    signals = [inputs, *trace.activations]
    for index, (array, geometry) in enumerate(zip(network.arrays, network.geometries, strict=True)):
        weight = torch.tensor(array.weights[: array.n_in].T.copy(), dtype=torch.float64)
        bias = None
        if array.bias_input is not None:
            bias = torch.tensor(array.weights[-1] * array.bias_input, dtype=torch.float64)
        signal = torch.tensor(signals[index], dtype=torch.float64)
        sums = summed(signal, weight, bias, geometry)
        assert np.array_equal(sums.numpy(), trace.accumulators[index])
        if index < len(network.activations):
            made = pooled(torch.relu(sums), geometry, array.n_out).numpy().astype(np.int64)
            shown = trace.accumulators[index].clip(min=0)
            if geometry.pool is not None:
                shown = geometry.pool.pooled(shown, geometry.answered(array.n_out))
            assert np.array_equal(made, shown)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_learns_and_stays_what_it_is(channels: int) -> None:
    """Trained with a batch normalization that is folded, fine-tuned, quantized."""
    data = dataset(channels)
    network = train(RECIPE, data, SILENT)
    assert [geometry.window is None for geometry in network.geometries] == [
        False,
        False,
        True,
        True,
    ]
    step = np.float32(data.input_format.step)
    assert network.accuracy(data.test_inputs * step, data.test_labels) > 95
    assert train(RECIPE, data, SILENT).digest == network.digest
    choice = Quantization(5)
    tuning = replace(FINETUNING, recipe=replace(RECIPE, epochs=3, learning_rate=0.02))
    for each in (tuning, replace(tuning, sparsity=0.5)):
        tuned, ranges = finetune(network, data, choice, load_device("pcmo"), each, SILENT)
        quantized = quantize_network(
            tuned, choice, load_device("pcmo"), data.input_format, data.train_inputs, ranges
        )
        assert quantized.geometries == network.geometries
        if each.sparsity:  # of so few synapses too much to learn the bars with
            zeros = [np.mean(array.weights == 0) for array in quantized.arrays[:-1]]
            assert min(zeros) >= 0.5
        else:
            answers = quantized.answers(data.test_inputs)
            assert accuracy(classes_of(answers), data.test_labels) > 90


def test_fine_tuning_computes_the_references_logits() -> None:
    """With one epoch at no rate: its model is the integer network."""
    data = dataset()
    network = train(replace(RECIPE, epochs=1), data, SILENT)
    choice, device = Quantization(10), load_device("pcmo")
    recipe = replace(RECIPE, epochs=1, learning_rate=1e-30, momentum=0.0)
    tuned, ranges = finetune(
        network, data, choice, device, replace(FINETUNING, recipe=recipe), SILENT
    )
    quantized = quantize_network(
        tuned, choice, device, data.input_format, data.train_inputs, ranges
    )
    from synq.learn.finetune import _Levels, _Model
    from synq.quantizing import level_values

    model = _Model(tuned, quantized, _Levels(*level_values(choice, device), choice))
    real = torch.tensor(data.test_inputs * np.float32(data.input_format.step))
    with torch.no_grad():
        logits = model.logits(real, 0.0, torch.Generator()).numpy()
    answers = quantized.answers(data.test_inputs) * quantized.output_unit
    np.testing.assert_allclose(logits, answers, rtol=1e-4, atol=1e-4)


def test_images_of_other_sides_are_another_network(tmp_path: Path) -> None:
    """Their values, and so the data's digest, are the same."""
    square, wide = dataset(), replace(dataset(), shape=(4, 16, 1))
    recipe = replace(RECIPE, epochs=1)
    first, cached = trained_network(recipe, square, tmp_path, SILENT)
    second, cached_too = trained_network(recipe, wide, tmp_path, SILENT)
    assert not (cached or cached_too) and first.shapes != second.shapes
    assert trained_network(recipe, square, tmp_path, SILENT)[1]


def test_lenet_is_lenet() -> None:
    geometries = laid_out(NETWORKS["lenet5"], (28, 28, 1))
    assert [geometry.passed(n)[:2] for geometry, n in zip(geometries, (6, 16), strict=False)] == [
        (12, 12),
        (4, 4),
    ]
    assert RECIPES["lenet5"].hidden[2:] == (120, 84)


def test_layers_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="layer 1 does not fit images of 4 x 4 x 1: the kernel"):
        laid_out(NETWORKS["lenet5"], (4, 4, 1))
    with pytest.raises(UsageError, match="a convolution is for images; the 63 features of bars"):
        inputs, labels = bars(60, 1)
        flat = replace(
            dataset(),
            train_inputs=inputs[:, :63],
            test_inputs=inputs[:, :63],
            test_labels=labels,
            train_labels=labels,
            shape=None,
        )
        train(RECIPE, flat, SILENT)
    with pytest.raises(UsageError, match="convolutions come before dense layers"):
        replace(RECIPE, hidden=(6, Convolution(4, 3)))
    for wrong in ({"channels": 0}, {"kernel": 0}, {"stride": 0}, {"padding": 3}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be"):
            Convolution(**({"channels": 2, "kernel": 3} | wrong))
