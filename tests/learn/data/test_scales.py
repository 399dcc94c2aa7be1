"""What a network takes for the values of the data, folded into its first array.

A made-up network of 16-12-4 and its samples in every form that users have them.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synq.device import load_device
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.arrays import Columns, InputScale, dataset_of, with_scale
from synq.learn.data.load import Data
from synq.learn.data.npz import load_npz
from synq.learn.prepare import Source, Stopwatch, load_source, prepare
from synq.learn.train import RECIPES
from synq.progress import SILENT
from synq.quantizing import Quantization
from synq.score import Task

RNG = np.random.default_rng(5)
BYTES = (RNG.integers(0, 256, (600, 16)) * (RNG.random((600, 16)) < 0.6)).astype(np.uint8)
BITS = (BYTES > 90).astype(np.uint8)
MEAN, STD = 0.1307, 0.3081


def net(outputs: int = 4) -> FloatNetwork:
    rng = np.random.default_rng(9)
    weights = rng.normal(size=(16, 12)), rng.normal(size=(12, outputs))
    biases = rng.normal(size=12) / 4, rng.normal(size=outputs) / 4
    return FloatNetwork(weights, biases)


def npz(path: Path, inputs: Any, labels: Any, **others: Any) -> Path:
    np.savez(
        path,
        x_train=inputs[:400],
        y_train=labels[:400],
        x_test=inputs[400:],
        y_test=labels[400:],
        **others,
    )
    return path


def score(folder: Path, network: FloatNetwork, path: Path, **scale: Any) -> tuple[float, float]:
    """Of the software, and of the integer reference with 65 levels."""
    save_checkpoint(network, folder / "net.safetensors", {})
    data = Data(path, scale=InputScale(**scale))
    source = Source(RECIPES["paper"], folder / "net.safetensors", data, None, folder)
    made = prepare(source, "pcmo", Quantization(65), Stopwatch(), SILENT)
    assert load_device("pcmo").name == made.device.name
    return made.scores.stages["software"], made.scores.stages["reference"]


def classes(network: FloatNetwork, taken: Any) -> Any:
    outputs = network.logits(np.asarray(taken, np.float32))
    return (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)


@pytest.mark.parametrize(
    ("taken", "given", "scale", "others"),
    [
        (BYTES / 256, BYTES, {}, {}),
        (BYTES / 255, BYTES, {"divisor": 255}, {}),
        (BYTES / 255, BYTES.astype(np.float32), {"divisor": 255}, {}),
        (BYTES / 1.0, BYTES, {"divisor": 1}, {}),
        (BITS / 1.0, BITS, {"divisor": 1}, {}),
        ((BYTES / 255 - MEAN) / STD, BYTES, {"divisor": 255, "mean": MEAN, "std": STD}, {}),
        (
            (BYTES / 255 - MEAN) / STD,
            BYTES,
            {"divisor": 255},
            {"input_mean": np.full(16, MEAN), "input_std": np.float64(STD)},
        ),
        ((BITS - 0.5) * 2, BITS.astype(np.float32), {"mean": 0.5, "std": 0.5}, {}),
        (
            (BYTES / 256 - np.arange(16) / 16) / 2,
            BYTES,
            {"mean": tuple(np.arange(16) / 16), "std": 2.0},
            {},
        ),
    ],
    ids=[
        "bytes",
        "byte / 255",
        "floats 0..255",
        "bytes themselves",
        "zeros and ones",
        "normalized",
        "normalized, as the file says",
        "-1 and 1",
        "a mean for each",
    ],
)
def test_a_network_sees_what_it_was_trained_on(
    tmp_path: Path, taken: Any, given: Any, scale: dict[str, Any], others: dict[str, Any]
) -> None:
    network = net()
    path = npz(tmp_path / "data.npz", given, classes(network, taken), **others)
    software, reference = score(tmp_path, network, path, **scale)
    assert software > 98  # where the format rounds, few samples are close
    assert reference > 80


def test_without_the_scale_the_network_is_ruined(tmp_path: Path) -> None:
    network = net()
    path = npz(tmp_path / "data.npz", BITS, classes(network, BITS))
    assert score(tmp_path, network, path)[0] < 60


def test_standardized_values_are_signed_inputs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = net()
    taken = ((BYTES / 255 - 0.3) / 0.35).astype(np.float32)
    path = npz(tmp_path / "data.npz", taken, classes(network, taken))
    with caplog.at_level(logging.INFO, logger="synq"):
        dataset = load_npz(path)
    assert dataset.input_format == FixedPoint(8, 3, signed=True)
    assert dataset.train_inputs.dtype == dataset.test_inputs.dtype == np.int8
    assert "look standardized" in caplog.text and "signed, in steps of 0.03125" in caplog.text
    step = dataset.input_format.step
    assert np.abs(dataset.test_inputs * step - taken[400:]).max() <= step / 2
    software, reference = score(tmp_path, network, path)
    assert software > 97 and reference > 88


@given(
    low=st.floats(-1e4, -1e-6),
    high=st.floats(-1e4, 1e4).filter(lambda value: abs(value) > 1e-6),
)
def test_signed_formats_are_the_finest_that_reach_both_ends(low: float, high: float) -> None:
    values = np.array([[low, max(low, high)]])
    arrays = {"x_train": values, "x_test": values, "y_test": np.zeros(1, int)}
    dataset = dataset_of("here", "toy", arrays, Task.CLASSIFICATION)
    step = dataset.input_format.step
    assert np.abs(dataset.test_inputs * step - values).max() <= step / 2 * (1 + 1e-9)
    finer = np.rint(values / (step / 2))
    assert finer.min() < -128 or finer.max() > 127


def test_integers_with_negative_ones_are_parts_of_256_too() -> None:
    values = np.array([[-128, 127], [0, -1]])
    arrays = {"x_train": values, "x_test": values, "y_test": np.zeros(2, int)}
    dataset = dataset_of("here", "toy", arrays, Task.CLASSIFICATION)
    np.testing.assert_array_equal(dataset.test_inputs * dataset.input_format.step, values / 256)


def test_few_integers_fill_the_format_where_their_divisor_is_known() -> None:
    values = np.array([[0, 1], [5, 3]])
    arrays = {"x_train": values, "x_test": values, "y_test": np.zeros(2, int)}
    dataset = dataset_of("here", "toy", arrays, Task.CLASSIFICATION, InputScale(divisor=1))
    np.testing.assert_array_equal(dataset.test_inputs, values * 32)  # exactly, 5 bits higher
    assert dataset.normalization is not None
    taken = dataset.test_inputs * dataset.input_format.step / dataset.normalization.std
    np.testing.assert_allclose(taken, values)


def test_a_network_trained_on_scaled_data_is_saved_as_it_takes_them(tmp_path: Path) -> None:
    network = net()
    path = npz(tmp_path / "data.npz", BYTES, classes(network, BYTES / 256))
    data = Data(path, scale=InputScale(mean=0.3, std=0.4))
    loaded = load_source(Source(RECIPES["paper"], None, data, None, tmp_path), Stopwatch(), SILENT)
    values = (BYTES[400:] / 256).astype(np.float32)
    np.testing.assert_allclose(
        loaded.network.logits(values), loaded.given.logits((values - 0.3) / 0.4), atol=1e-4
    )
    save_checkpoint(loaded.given, tmp_path / "net.safetensors", {})
    again = Source(RECIPES["paper"], tmp_path / "net.safetensors", data, None, tmp_path)
    assert load_source(again, Stopwatch(), SILENT).network.digest == loaded.network.digest


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"divisor": 0.0}, "the input divisor must be above 0, got 0"),
        ({"divisor": float("nan")}, "the input divisor must be above 0"),
        ({"std": -1.0}, "the input std must be above 0"),
        ({"std": (1.0, 0.0)}, "the input std must be above 0"),
        ({"mean": float("inf")}, "the input mean must be finite"),
    ],
)
def test_scales_that_cannot_be(scale: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        InputScale(**scale)


def test_a_scale_is_of_all_features_or_of_each(tmp_path: Path) -> None:
    path = npz(tmp_path / "data.npz", BYTES, np.zeros(600, int), input_mean=np.zeros(3))
    with pytest.raises(SynqError, match="the input mean has 3 numbers; give one, or one for each"):
        load_npz(path)
    assert load_npz(path, scale=InputScale(mean=0.5)).normalization is not None  # comes before
    np.savez(tmp_path / "nan.npz", **{**np.load(path), "input_mean": np.nan})
    with pytest.raises(UsageError, match="the input mean must be finite"):
        load_npz(tmp_path / "nan.npz")


def test_digests_tell_scales_apart() -> None:
    def digest(scale: InputScale) -> str:
        arrays = {"x_train": BYTES, "x_test": BYTES, "y_test": np.zeros(600, int)}
        return dataset_of("here", "toy", arrays, Task.CLASSIFICATION, scale).digest

    scales = [InputScale(), InputScale(mean=1.0), InputScale(std=2.0), InputScale(divisor=255)]
    assert len({digest(scale) for scale in scales}) == 4
    assert digest(InputScale()) == digest(InputScale())


def test_offsets_of_columns_are_folded_too() -> None:
    """Standardized columns, for a network that takes the file's values."""
    values = RNG.normal(size=(50, 2)) * [3.0, 0.1] + [10.0, -4.0]
    arrays = {"x_train": values, "x_test": values, "y_test": np.zeros(50, int)}
    dataset = dataset_of(
        "here", "toy", arrays, Task.CLASSIFICATION, InputScale(0.0, 1.0), standardize=True
    )
    assert dataset.normalization is not None
    ours = dataset.test_inputs * dataset.input_format.step
    taken = (ours - dataset.normalization.mean) / dataset.normalization.std
    np.testing.assert_allclose(taken, values, atol=0.06)
    assert with_scale(dataset, InputScale(), Columns.parts_of(1)) is dataset
