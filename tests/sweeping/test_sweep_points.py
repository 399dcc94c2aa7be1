"""What is swept."""

from dataclasses import replace

import pytest

from sweeps import AXES, BOARD, DEVICE, points_of
from synq.device import Branch
from synq.errors import UsageError
from synq.learn.train import FINETUNING
from synq.quantizing import Method, Quantization
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Axes, make_points, parse_levels


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("5:25", tuple(range(5, 26))),
        ("5,10,15", (5, 10, 15)),
        ("5:25:5", (5, 10, 15, 20, 25)),
        ("5:9:3", (5, 8)),
        ("10", (10,)),
        (" 10, 5:6 ,10", (5, 6, 10)),
        ("2,256", (2, 256)),
    ],
)
def test_levels_are_parsed(text: str, levels: tuple[int, ...]) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "a", "5:", ":5", "5;6", "1.5", "5\n6", "5:6:7:8"),  # not levels
        *("1", "257", "25:5", "5:25:0", "5:25:-1", "2:999999999999"),  # not these
    ],
)
def test_a_wrong_level_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_levels(text)
    assert "levels must" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_points_are_all_combinations_and_nearest_once(small: Materials) -> None:
    axes = replace(AXES, branches=(Branch.LTP, Branch.LTD), input_bits=(4, 8))
    points = points_of(small, axes)
    assert len(points) == len({point.key for point in points}) == 2 * 2 * 3 * (3 + 3 + 1)
    assert {point.levels for point in points if point.choice.method is Method.NEAREST} == {None}


def test_finetuning_has_the_seed_of_the_training(small: Materials) -> None:
    axes = Axes((5,), (Method.PROPOSED,), sparsities=(0.5, 0.9))
    points = make_points(
        axes, Quantization(5), FINETUNING, small.dataset, small.trained, DEVICE, BOARD
    )
    seen = {
        (point.sparsity, point.seed, point.finetuning.recipe.seed)
        for point in points
        if point.finetuning is not None
    }
    assert seen == {(sparsity, seed, seed) for sparsity in (0.5, 0.9) for seed in range(3)}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"network": "other"},
        {"device": replace(DEVICE, states=51)},
        {"choice": Quantization(6)},
        {"version": "0"},
    ],
)
def test_the_key_follows_everything(small: Materials, change: dict[str, object]) -> None:
    point = points_of(small)[0]
    assert replace(point, **change).key != point.key  # type: ignore[arg-type]
    assert replace(point).key == point.key
