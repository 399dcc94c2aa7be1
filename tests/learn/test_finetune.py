"""Fine-tuning: what is trained is what runs, for every method, mapping and width."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synq.device import Branch, load_device
from synq.errors import UsageError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.learn.augment import Augmentation
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.finetune import _Layer, _Levels, _Model, _Snap, finetune, finetuned_network
from synq.learn.prepare import software_score
from synq.learn.train import FINETUNING, RECIPES, FineTuning, train
from synq.network import QuantizedNetwork
from synq.progress import SILENT
from synq.quantizing import Count, Mapping, Method, Quantization, level_values, quantize_network

PCMO = load_device("pcmo")


def quick(**changes: object) -> FineTuning:
    """Two epochs are enough to move every parameter."""
    return replace(FINETUNING, recipe=replace(FINETUNING.recipe, epochs=2), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def few(mnist: Dataset) -> Dataset:
    """A tenth of MNIST."""
    return replace(
        mnist,
        train_inputs=mnist.train_inputs[:6000],
        train_labels=mnist.train_labels[:6000],
        test_inputs=mnist.test_inputs[:2000],
        test_labels=mnist.test_labels[:2000],
        digest="a tenth",
    )


@pytest.fixture(scope="module")
def trained(few: Dataset) -> FloatNetwork:
    recipe = replace(RECIPES["accurate"], augmentation=None, epochs=4, hidden=(32, 16), bias=True)
    return train(recipe, few, SILENT)


def tuned_and_quantized(
    trained: FloatNetwork, dataset: Dataset, choice: Quantization, settings: FineTuning
) -> tuple[FloatNetwork, QuantizedNetwork]:
    tuned, ranges = finetune(trained, dataset, choice, PCMO, settings, SILENT)
    narrow = with_input_bits(dataset, choice.input_bits)
    network = quantize_network(
        tuned, choice, PCMO, narrow.input_format, narrow.train_inputs, ranges
    )
    return tuned, network


def values_trained_with(layer: _Layer, levels: _Levels, choice: Quantization) -> np.ndarray:
    """(n_rows, n_out) raw codebook values, as the training looks them up."""
    with torch.no_grad():
        values = _Snap.apply(layer.rows, layer.log_scale, levels, layer.pruned).numpy().T
    return np.rint(values / choice.table_format.step).astype(np.int64)


@pytest.mark.parametrize(
    "choice",
    [
        Quantization(2),
        Quantization(5, input_bits=4, activation_bits=4),
        Quantization(10, Method.SAMPLING, branch=Branch.LTD),
        Quantization(7, Method.UNIFORM, Mapping.OFFSET, input_bits=1, activation_bits=2),
        Quantization(4, mapping=Mapping.OFFSET, count=Count.MAGNITUDE, table_width=6),
        Quantization(2, Method.NEAREST, branch=Branch.UNION),
    ],
    ids=lambda choice: f"{choice.method}-{choice.mapping}-{choice.levels}",
)
def test_what_is_trained_is_what_runs(
    choice: Quantization, trained: FloatNetwork, few: Dataset
) -> None:
    dataset = with_input_bits(few, choice.input_bits)
    tuned, network = tuned_and_quantized(trained, few, choice, quick())
    levels = _Levels(*level_values(choice, PCMO), choice)
    model = _Model(tuned, network, levels)
    real = torch.tensor(dataset.test_inputs * np.float32(dataset.input_format.step))
    with torch.no_grad():
        logits = model.logits(real, 0.0, torch.Generator()).numpy()
    trace = network.run(dataset.test_inputs)
    expected = trace.accumulators[-1] * network.output_unit
    # float32 carries the sums exactly; only the unit at the end is rounded
    close = np.isclose(logits, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    # A weight within a rounding error of a threshold may fall on its other side; it then shows in
    # every sample that drives it.
    strays = sum(
        int((values_trained_with(layer, levels, choice) != array.weights).sum())
        for layer, array in zip(model.layers, network.arrays, strict=True)
    )
    assert strays <= 3
    assert close.all(axis=1).mean() > (0.99 if strays == 0 else 0.5)


@pytest.mark.parametrize("bits", [8, 3])
def test_what_is_trained_on_signed_inputs_is_what_runs(bits: int, few: Dataset) -> None:
    def centred(inputs: np.ndarray) -> np.ndarray:
        return (inputs[:1000].astype(np.int16) - 128).astype(np.int8)

    signed = replace(
        few,
        input_format=FixedPoint(8, 0, signed=True),
        train_inputs=centred(few.train_inputs),
        train_labels=few.train_labels[:1000],
        test_inputs=centred(few.test_inputs),
        test_labels=few.test_labels[:1000],
        digest="centred",
    )
    gentle = replace(RECIPES["accurate"], augmentation=None, learning_rate=0.02)
    trained = train(replace(gentle, epochs=8, hidden=(16,), bias=True), signed, SILENT)
    assert software_score(trained, signed) > 60
    test_what_is_trained_is_what_runs(Quantization(9, input_bits=bits), trained, signed)


def test_it_recovers_what_quantization_lost(trained: FloatNetwork, few: Dataset) -> None:
    choice = Quantization(3)
    before = quantize_network(trained, choice, PCMO, few.input_format, few.train_inputs)
    _, after = tuned_and_quantized(trained, few, choice, quick())
    lost = before.run(few.test_inputs).accuracy(few.test_labels)
    assert after.run(few.test_inputs).accuracy(few.test_labels) > lost + 5


def test_sparsity_is_reached_in_all_but_the_last_array(trained: FloatNetwork, few: Dataset) -> None:
    _, network = tuned_and_quantized(trained, few, Quantization(5), quick(sparsity=0.9))
    shares = [float((array.weights == 0).mean()) for array in network.arrays]
    assert min(shares[:-1]) >= 0.9 > shares[-1]


def test_sparse_networks_see_shifted_images_only() -> None:
    sparse = FINETUNING.with_sparsity(0.9)
    assert sparse.sparsity == 0.9
    assert sparse.recipe.augmentation == Augmentation(shift=1, rotation=0, scaling=0, warp=0)
    assert FINETUNING.with_sparsity(0) == FINETUNING
    plain = replace(FINETUNING, recipe=replace(FINETUNING.recipe, augmentation=None))
    assert plain.with_sparsity(0.9).recipe.augmentation is None


def test_sparse_networks_learn_with_adam() -> None:
    assert (FINETUNING.optimizer, FINETUNING.with_sparsity(0.9).optimizer) == ("sgd", "adam")
    assert not FINETUNING.with_sparsity(0.9).recipe.nesterov


def test_sparsity_needs_a_zero_level(trained: FloatNetwork, few: Dataset) -> None:
    with pytest.raises(UsageError, match="odd number of levels"):
        finetune(trained, few, Quantization(10), PCMO, quick(sparsity=0.5), SILENT)
    with pytest.raises(UsageError, match="sparsity must be"):
        quick(sparsity=1.0)


def test_deterministic_and_cached(
    trained: FloatNetwork, few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = Quantization(5)
    arguments = (trained, few, choice, PCMO, quick(), tmp_path, SILENT)
    first, ranges, cached = finetuned_network(*arguments)
    assert not cached
    again, ranges_again = finetune(trained, few, choice, PCMO, quick(), SILENT)
    assert (first.digest, ranges) == (again.digest, ranges_again)

    monkeypatch.setattr("synq.learn.finetune.finetune", None)
    second, ranges_cached, cached = finetuned_network(*arguments)
    assert cached and (second.digest, ranges_cached) == (first.digest, ranges)

    # One file, so that weights and ranges of two runs cannot be mixed; and another's is refused.
    (path,) = (tmp_path / "finetuned").iterdir()
    content = path.read_bytes()
    monkeypatch.undo()
    other = (trained, few, replace(choice, levels=7), PCMO, quick(), tmp_path, SILENT)
    finetuned_network(*other)
    (others,) = set((tmp_path / "finetuned").iterdir()) - {path}
    for damaged in (content[:-4] + b"\0\0\0\1", content[:100], others.read_bytes()):
        path.write_bytes(damaged)
        third, ranges_third, cached = finetuned_network(*arguments)
        assert not cached and (third.digest, ranges_third) == (first.digest, ranges)
        assert path.read_bytes() == content


@pytest.mark.parametrize("samples", [1, 3, 60, 700])
def test_the_share_of_zeros_asked_for_is_delivered_on_small_data(samples: int) -> None:
    random = np.random.default_rng(0)
    few = Dataset(
        "few",
        FixedPoint(8, 0, signed=False),
        random.integers(0, 256, (samples, 16), dtype=np.uint8),
        random.integers(0, 4, samples),
        random.integers(0, 256, (10, 16), dtype=np.uint8),
        random.integers(0, 4, 10),
        f"{samples} samples",
    )
    network = FloatNetwork(
        (random.normal(size=(16, 12)), random.normal(size=(12, 4))), (None, None)
    )
    for epochs in (1, 40):
        recipe = replace(FINETUNING.recipe, augmentation=None, epochs=epochs)
        settings = replace(FINETUNING, recipe=recipe).with_sparsity(0.8)
        _, quantized = tuned_and_quantized(network, few, Quantization(5), settings)
        assert (quantized.arrays[0].weights == 0).mean() >= 0.8
