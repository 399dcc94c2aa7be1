"""Any perceptron on any data: regressions, one output, layers, small sets; and their projects."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import synq
from synq.device import load_device
from synq.errors import SynqError, UsageError
from synq.exporting import Destination, export
from synq.learn.augment import CLOTHES, HANDWRITING, PHOTOS, Augmentation
from synq.learn.checkpoint import save_checkpoint
from synq.learn.data.dataset import Dataset
from synq.learn.data.load import Data
from synq.learn.data.sklearn_sets import load_sklearn_set
from synq.learn.finetune import finetune
from synq.learn.prepare import Source, Stopwatch, load_source, prepare, software_score
from synq.learn.train import FINETUNING, RECIPES, adapted, adapted_tuning, train
from synq.progress import SILENT
from synq.project.manifest import MANIFEST, read_manifest, write_manifest
from synq.quantizing import Quantization, quantize_network
from synq.request import Flow, Request
from synq.score import Task, integer_score
from synq.sweeping.points import Trained
from synq.verifying import verify

PCMO = load_device("pcmo")


def regression(folder: Path, targets: int = 2) -> Path:
    """Targets far from zero, of very different units."""
    rng = np.random.default_rng(0)
    inputs = rng.random((400, 6)).astype(np.float32)
    hidden = np.maximum(inputs @ rng.normal(size=(6, 8)), 0)
    values = hidden @ rng.normal(size=(8, targets)) * [100.0, 0.01][:targets] + 500
    path = folder / "data.npz"
    np.savez(
        path, x_train=inputs[:300], y_train=values[:300], x_test=inputs[300:], y_test=values[300:]
    )
    return path


def source(folder: Path, data: Data, recipe: str = "accurate", **others: Any) -> Source:
    return Source(RECIPES[recipe], None, data, others.pop("finetuning", None), folder, **others)


@pytest.mark.parametrize("recipe", ["paper", "accurate"])
def test_targets_are_learned_in_their_units(tmp_path: Path, recipe: str) -> None:
    data = Data(regression(tmp_path), task=Task.REGRESSION)
    loaded = load_source(source(tmp_path, data, recipe), Stopwatch(), SILENT)
    dataset = loaded.dataset
    assert loaded.network.sizes == (6, 128, 2)
    assert loaded.network.biases[0] is None and loaded.network.biases[1] is not None
    outputs = loaded.network.logits(dataset.test_inputs * np.float32(dataset.input_format.step))
    errors = np.sqrt(np.mean((outputs - dataset.test_labels) ** 2, axis=0))
    assert (errors < 0.3 * dataset.test_labels.std(axis=0)).all()


def test_fine_tuning_is_for_the_error(tmp_path: Path) -> None:
    data = Data(regression(tmp_path, 1), task=Task.REGRESSION)
    loaded = load_source(source(tmp_path, data, sizes=(6, 16, 1)), Stopwatch(), SILENT)
    dataset, choice = loaded.dataset, Quantization(5)
    before = quantize_network(
        loaded.network, choice, PCMO, dataset.input_format, dataset.train_inputs
    )
    tuning = adapted_tuning(FINETUNING, dataset)
    tuned, ranges = finetune(loaded.network, dataset, choice, PCMO, tuning, SILENT)
    after = quantize_network(
        tuned, choice, PCMO, dataset.input_format, dataset.train_inputs, ranges
    )
    errors = [
        integer_score(dataset.task, each, each.answers(dataset.test_inputs), dataset.test_labels)
        for each in (before, after)
    ]
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.5 * dataset.test_labels.std()


def test_a_project_is_of_its_task(tmp_path: Path) -> None:
    """Exported with Verilog, verified; a target that is another is noticed."""
    task = Task.REGRESSION
    given = source(tmp_path, Data(regression(tmp_path), task=task), "paper", sizes=(6, 3, 2))
    place = Destination(
        "pynq-z2", (Flow.RTL,), "Vitis", "io_parallel", tmp_path / "project", force=False
    )
    made = export(given, "pcmo", Quantization(9), place, Request(), SILENT)
    stages = made.scores.stages
    assert stages["rtl"] == stages["reference"]
    manifest = read_manifest(made.output)
    assert manifest["dataset"]["task"] == task.value
    assert manifest["rmse"] == stages and "r2" in manifest and "accuracy" not in manifest
    found = verify(made.output, SILENT)
    assert found.task is task and found.score == stages["rtl"]

    with np.load(made.output / "vectors.npz") as file:
        vectors = dict(file)
    wrong = vectors["labels"].copy()
    wrong[0] = 1 - wrong[0]
    np.savez(made.output / "vectors.npz", **{**vectors, "labels": wrong})
    del manifest["files"]
    (made.output / MANIFEST).unlink()
    write_manifest(made.output, manifest)
    with pytest.raises(SynqError, match=r"driver/vectors\.npz is not what its network"):
        verify(made.output, SILENT)


def test_a_project_without_a_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(
        json.dumps({"format": "synq-project-1", "files": {}, "flows": ["rtl"], "dataset": {}})
    )
    with pytest.raises(SynqError):
        verify(tmp_path, SILENT)


def test_one_output_tells_two_classes_apart(tmp_path: Path) -> None:
    given = source(tmp_path, Data("breast-cancer"), sizes=(30, 8, 1))
    made = prepare(given, "pcmo", Quantization(17), Stopwatch(), SILENT)
    assert made.network.sizes == (30, 8, 1)
    assert made.scores.stages["software"] > 93
    assert made.scores.stages["reference"] > 90


def test_sixteen_layers(tmp_path: Path) -> None:
    given = replace(source(tmp_path, Data("wine"), "paper"), sizes=(13, *(8,) * 15, 3))
    loaded = load_source(given, Stopwatch(), SILENT)
    assert len(loaded.network.weights) == 16
    assert software_score(loaded.network, loaded.dataset) == loaded.software


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            (64, 10),
            "must go from the 13 features of wine to its 3 classes, as 13,3; got 64,10",
        ),
        ((13, 5, 2), "to its 3 classes, as 13,5,3; got 13,5,2"),
        ((13, 5, 1), "to its 3 classes"),
        ((13, 5, 4), "to its 3 classes"),
    ],
)
def test_layers_fit_the_data(tmp_path: Path, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_source(source(tmp_path, Data("wine"), sizes=sizes), Stopwatch(), SILENT)


def test_a_sigmoid_at_the_end_is_no_regression(tmp_path: Path) -> None:
    data = synq.load_data(regression(tmp_path, 1), task="regression")
    network = synq.load_network(nn.Sequential(nn.Linear(6, 1), nn.Sigmoid()))
    with pytest.raises(SynqError, match="ends in a Sigmoid, which changes the values"):
        synq.quantize(network, data=data)


def test_a_checkpoint_has_as_many_outputs_as_there_are_targets(tmp_path: Path) -> None:
    data = Data(regression(tmp_path, 1), task=Task.REGRESSION)
    loaded = load_source(source(tmp_path, data, "paper"), Stopwatch(), SILENT)
    save_checkpoint(loaded.given, tmp_path / "net", {})
    regression(tmp_path, 2)
    with pytest.raises(SynqError, match="the network has 1 outputs, data has 2 targets a sample"):
        load_source(
            Source(RECIPES["paper"], tmp_path / "net", data, None, tmp_path), Stopwatch(), SILENT
        )


# ---- Recipes for any data -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "recipe", "least"),
    [
        ("digits", "paper", 95),
        ("breast-cancer", "paper", 94),
        ("breast-cancer", "accurate", 94),
        ("wine", "paper", 91),
        ("wine", "accurate", 91),
    ],
)
def test_small_sets_are_learned_by_both_recipes(name: str, recipe: str, least: float) -> None:
    dataset = load_sklearn_set(name)
    used = replace(adapted(RECIPES[recipe], dataset), hidden=(16,))
    assert software_score(train(used, dataset, SILENT), dataset) > least


def toy(count: int, distortion: Augmentation | None) -> Dataset:
    dataset = load_sklearn_set("digits")
    rows = np.arange(count) % len(dataset.train_labels)
    return replace(
        dataset,
        train_inputs=dataset.train_inputs[rows],
        train_labels=dataset.train_labels[rows],
        distortion=distortion,
    )


def test_recipes_are_as_they_were_for_what_they_were_made_for() -> None:
    dataset = toy(60_000, HANDWRITING)
    for recipe in (*RECIPES.values(), FINETUNING.recipe):
        if recipe.augmentation in (None, HANDWRITING):
            assert adapted(recipe, dataset) == recipe
    photos = replace(dataset, distortion=PHOTOS)
    assert adapted(RECIPES["vgg"], photos) == RECIPES["vgg"]
    for sparsity in (0.0, 0.5):
        tuning = FINETUNING.with_sparsity(sparsity)
        assert adapted_tuning(tuning, dataset) == tuning


@pytest.mark.parametrize("distortion", [None, CLOTHES, HANDWRITING.scaled(8 / 28)])
def test_what_bears_less_distortion_decays_instead(distortion: Augmentation | None) -> None:
    recipe = adapted(RECIPES["accurate"], toy(60_000, distortion))
    assert recipe.augmentation == distortion and recipe.weight_decay > 0
    plain = adapted(RECIPES["paper"], toy(60_000, distortion))
    assert plain.augmentation is None and plain.weight_decay == 0


@pytest.mark.parametrize("count", [1, 20, 142, 1438, 59_999])
def test_small_sets_have_small_batches_and_enough_steps(count: int) -> None:
    for recipe in RECIPES.values():
        used = adapted(recipe, toy(count, None))
        assert 1 <= used.batch_size <= min(count, recipe.batch_size)
        assert used.epochs >= recipe.epochs
        assert used.epochs * count // used.batch_size >= 732


def test_a_trained_network_keeps_its_score(tmp_path: Path) -> None:
    loaded = load_source(source(tmp_path, Data("wine"), "paper"), Stopwatch(), SILENT)
    assert Trained(0, loaded.network, loaded.software).software == loaded.software
    again = load_source(source(tmp_path, Data("wine"), "paper"), Stopwatch(), SILENT)
    assert again.from_cache and again.given.digest == loaded.given.digest


def test_flips_mirror_half_of_the_images() -> None:
    import torch

    images = torch.arange(4.0).repeat(2000, 1)  # 2 x 2: 0 1 / 2 3
    flips = replace(CLOTHES, shift=0)
    seen = flips.distort(images, torch.Generator().manual_seed(0))
    mirrored = (seen == torch.tensor([1.0, 0.0, 3.0, 2.0])).all(dim=1)
    assert ((seen == images).all(dim=1) ^ mirrored).all()
    assert 900 < int(mirrored.sum()) < 1100
