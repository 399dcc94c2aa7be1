"""The comparison with peers: what they are given, and that a wrong answer gets no accuracy."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from samples import samples
from synq import quantize
from synq.fixedpoint import FixedPoint, Overflow, Rounding, requantize
from synq.learn.prepare import Quantized


@pytest.fixture
def networks(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("networks")


def peer(folder: Path, code: str) -> str:
    """An interpreter that runs `code` in place of a script; its last argument is the folder."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\n{code}\n")
    path.chmod(0o755)
    return str(path)


def prepared(folder: Path) -> Quantized:
    network, data = samples(folder)
    return quantize(network, data=data, input_bits=4, activation_bits=4)


ANSWER = """
result = {"version": "1", "seconds": 0, "differing": DIFFERING, "compared": 7, "latency": 3,
          "own_estimate": 10**9}
(Path(sys.argv[-1]) / "result.json").write_text(json.dumps(result))
"""


def test_what_differs_has_no_accuracy(networks: ModuleType, tmp_path: Path) -> None:
    network = prepared(tmp_path)
    good = networks.alkaid("n", network, peer(tmp_path, ANSWER.replace("DIFFERING", "0")))
    bad = networks.alkaid("n", network, peer(tmp_path, ANSWER.replace("DIFFERING", "2")))
    assert good.accuracy == network.accuracy() and "all equal" in good.note
    assert bad.accuracy is None and "2 DIFFER" in bad.note
    assert good.counted == "its own estimate" and "Yosys not started" in good.note
    # What it is given makes the reference's integers.
    job = networks.integers(network.network)
    sums = network.dataset.test_inputs.astype(np.int64) @ job["weights_0"]
    form = FixedPoint(
        int(job["bits"][1]), int(job["bits"][1]), False, Rounding.RND_CONV, Overflow.SAT
    )
    hidden = requantize(np.maximum(sums, 0), int(job["shifts"][0]), form)
    assert np.array_equal(hidden @ job["weights_1"], network.expected.accumulators[-1])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(\"ModuleNotFoundError: No module named 'alkaid'\")", "not installed: "),
        ("print('boom'); raise SystemExit(3)", "failed: boom"),
        ("import time; time.sleep(60)", "not finished in 1 s"),
    ],
)
def test_a_peer_without_an_answer_is_told(
    networks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr(networks, "SECONDS", 1.0 if "sleep" in code else 60.0)
    with pytest.raises(networks.SynqError, match=said):
        networks.run_script("any.py", peer(tmp_path, code), {}, tmp_path)


def test_absent_peers_are_rows(networks: ModuleType) -> None:
    assert networks.alkaid("n", None, None).note == "not installed (--peers)"
