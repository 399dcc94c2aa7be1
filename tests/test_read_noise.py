import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import SOME, noise_of_read, seeds
from synq.read_noise import ReadNoise

KEYS = (1, 2, 3, 4, 5, 6)


@SOME
@given(
    st.integers(1, 300),
    st.integers(0, 1 << 40),
    st.integers(1, 1 << 30),
    st.integers(0, 16),
    seeds,
)
def test_numbers_are_those_of_integers_one_by_one(
    n_out: int, read: int, factor: int, shift: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    noise = ReadNoise(tuple(random.integers(0, 1 << 32, 6).tolist()), factor, shift)
    drawn = noise.draw(np.array([read]), n_out)[0].tolist()
    assert drawn == [noise_of_read(noise, read, column, n_out) for column in range(n_out)]
    assert noise.range[0] <= min(drawn) and max(drawn) <= noise.range[1]


@pytest.mark.parametrize("deviation", [0.4, 1.0, 37.0, 12_345.6, 4e8])
def test_deviation_is_as_asked(deviation: float) -> None:
    noise = ReadNoise.of(deviation, 3, 1)
    assert noise is not None
    assert noise.deviation == pytest.approx(deviation, rel=0.005)
    drawn = noise.draw(np.arange(20_000), 10)
    rounding = 1 / 12  # of integers
    near = 0.02 if deviation > 3 else 0.15  # the steps of a small one are rounded to few integers
    assert drawn.std() == pytest.approx(math.sqrt(deviation**2 + rounding), rel=near)
    assert abs(drawn.mean()) < 5 * deviation / math.sqrt(drawn.size) + 0.01


def test_too_little_to_count_is_none() -> None:
    assert ReadNoise.of(0.0, 0, 0) is None
    assert ReadNoise.of(1e-9, 0, 0) is None


@pytest.mark.parametrize("n_out", [3, 10, 128])
def test_reads_and_columns_are_uncorrelated(n_out: int) -> None:
    """Numbers of counted words: none of these sums is beyond what chance gives in 1 of 10,000."""
    noise = ReadNoise.of(1000.0, 7, 0)
    assert noise is not None
    drawn = noise.draw(np.arange(400_000 // n_out), n_out) / noise.deviation
    assert abs(drawn.mean()) * math.sqrt(drawn.size) < 4
    assert abs(drawn.var() - 1) * math.sqrt(drawn.size / 2) < 4
    for lag in (1, 2, 3, 7, 8, 14, 16, 64, 128, 1024):
        ahead, behind = drawn[lag:], drawn[:-lag]
        assert abs(np.mean(ahead * behind)) * math.sqrt(ahead.size) < 4.5, lag
    between = drawn.T @ drawn / math.sqrt(len(drawn))
    pairs = between[np.triu_indices(n_out, 1)]
    assert abs(np.mean(pairs**2) - 1) < 5 * math.sqrt(2 / len(pairs))
    columns = drawn.mean(axis=0) * math.sqrt(len(drawn))
    assert abs(np.mean(columns**2) - 1) < 5 * math.sqrt(2 / n_out)


def test_the_same_seed_gives_the_same_numbers_and_another_array_others() -> None:
    first, again, other, array = (
        ReadNoise.of(9.0, seed, index) for seed, index in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert first == again
    assert len({each.keys for each in (first, other, array) if each is not None}) == 3


@pytest.mark.parametrize(
    ("keys", "factor", "shift", "message"),
    [
        (KEYS[:5], 1, 0, "6 keys"),
        ((*KEYS, 7), 1, 0, "6 keys"),
        ((-1, *KEYS[1:]), 1, 0, "6 keys"),
        ((1 << 32, *KEYS[1:]), 1, 0, "6 keys"),
        ((1.0, *KEYS[1:]), 1, 0, "6 keys"),
        (KEYS, 0, 0, "factor"),
        (KEYS, (1 << 30) + 1, 0, "factor"),
        (KEYS, 1.5, 0, "factor"),
        (KEYS, 1, -1, "shift"),
        (KEYS, 1, 17, "shift"),
        (KEYS, 1, True, "shift"),
    ],
)
def test_invalid(keys: Any, factor: Any, shift: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadNoise(keys, factor, shift)
