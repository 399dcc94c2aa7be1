"""One point."""

from dataclasses import replace

import pytest

from sweeps import DEVICE, points_of
from synq.errors import SynqError
from synq.quantizing import Method, Quantization, quantize_network
from synq.sweeping.evaluation import Materials
from synq.sweeping.points import Axes
from synq.workers.work import attempt


def test_a_point_is_what_quantizing_gives(small: Materials) -> None:
    axes = Axes((5,), (Method.PROPOSED,), input_bits=(8,))
    (point, *_), data = points_of(small, axes), small.dataset
    result = small.evaluate(point)
    network = quantize_network(
        small.trained[0].network, Quantization(5), DEVICE, data.input_format, data.train_inputs
    )
    accuracy = network.run(data.test_inputs).accuracy(data.test_labels)
    assert (result.software, result.reference) == (100.0, round(accuracy, 4))
    assert result.effective_levels == (5, 5)
    assert result.code_bits_total == 3 * (20 * 8 + 8 * 3)
    assert all(0 < share < 1 for share in result.zero_share)


def test_another_version_of_synq_is_refused(small: Materials) -> None:
    with pytest.raises(SynqError, match=r"the sweep is of 0\.0"):
        small.evaluate(replace(points_of(small)[0], version="0.0"))


def test_whatever_a_library_says_is_one_line(
    small: Materials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("first\nsecond")

    monkeypatch.setattr("synq.sweeping.evaluation.quantize_network", broken)
    assert attempt(points_of(small)[0], small).error == "ValueError: first second"
