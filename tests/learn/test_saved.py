"""Networks that other libraries saved (data/saved/make.py) give what those compute."""

from pathlib import Path

import numpy as np
import pytest

from synq.learn.checkpoint import load_checkpoint

SAVED = Path(__file__).parent / "data" / "saved"
FILES = sorted(
    path
    for path in SAVED.iterdir()
    if path.suffix not in (".npz", ".py", ".md") and path.with_suffix(".npz").exists()
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_a_saved_network_gives_what_its_library_computes(path: Path) -> None:
    network = load_checkpoint(path)
    with np.load(path.with_suffix(".npz")) as arrays:
        np.testing.assert_allclose(network.logits(arrays["x"]), arrays["y"], atol=1e-5)


def test_there_is_one_of_each_library() -> None:
    names = {path.name.partition("_")[0].partition(".")[0] for path in FILES}
    assert names == {"aihwkit", "brevitas", "keras2", "keras3", "lightning", "qkeras", "torch"}
