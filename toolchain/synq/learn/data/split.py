"""Training and test samples of data that comes in one piece: the same ones every time."""

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 0.2
_SEED = 0


def test_rows(labels: NDArray[np.int64] | None, count: int) -> NDArray[np.bool_]:
    """Which of `count` rows are for testing: a fifth, of every class a fifth, at least one.

    Drawn with numpy's RandomState, whose numbers are the same in every version.

    Args:
        labels: (count,) class numbers; None for real targets.
    """
    draw = np.random.RandomState(_SEED)
    chosen = np.zeros(count, dtype=bool)
    groups = [np.arange(count)]
    if labels is not None:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for rows in groups:
        few = round(TEST_SHARE * len(rows))
        chosen[draw.permutation(rows)[:few]] = True
    if not chosen.any():
        chosen[draw.randint(count)] = True
    return chosen
