"""One point, evaluated with the bit-exact integer reference: the same integers wherever it runs."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from synq import __version__
from synq.board import Board
from synq.cache import default_cache_dir
from synq.errors import SynqError
from synq.hls.design import SIMPLEST
from synq.hls.estimate import estimate
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.network import QuantizedNetwork
from synq.planning import make_plan
from synq.progress import SILENT
from synq.quantizing import quantize_network
from synq.request import Request
from synq.results import finite
from synq.score import integer_score
from synq.sweeping.points import Point, Trained
from synq.workers.work import Outcome


@dataclass(frozen=True)
class PointResult:
    """What one evaluation gives.

    Attributes:
        software: score of the trained network in real numbers.
        reference: score of the integer reference.
        effective_levels: of each array.
        code_bits_total: bits that store all codes: sum over the arrays of code bits x synapses.
        interval_cycles: estimated clock cycles an image of the planner's design for the board; of
            one row a cycle where no design fits it.
        zero_share: of each array, the share of synapses that are zero, 0..1.
        seconds: what it took; not part of the result proper.
    """

    software: float
    reference: float
    effective_levels: tuple[int, ...]
    code_bits_total: int
    interval_cycles: int
    zero_share: tuple[float, ...]
    seconds: float

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "PointResult":
        """The inverse of `asdict`, after JSON.

        Raises:
            KeyError, TypeError, ValueError: the fields are not those of a result.
        """
        return PointResult(
            software=finite(fields["software"]),
            reference=finite(fields["reference"]),
            effective_levels=tuple(int(value) for value in fields["effective_levels"]),
            code_bits_total=int(fields["code_bits_total"]),
            interval_cycles=int(fields["interval_cycles"]),
            zero_share=tuple(finite(value) for value in fields["zero_share"]),
            seconds=finite(fields["seconds"]),
        )


@dataclass(frozen=True)
class Materials:
    """What workers need beside a point, sent to each of them once."""

    dataset: Dataset
    trained: tuple[Trained, ...]

    def evaluate(self, point: Point) -> PointResult:
        """One point, in integers.

        Raises:
            SynqError: from fine-tuning and quantization.
        """
        start = time.monotonic()
        if point.version != __version__:
            raise SynqError(f"this worker has synq {__version__}, the sweep is of {point.version}")
        trained = next(each for each in self.trained if each.network.digest == point.network)
        network, ranges = trained.network, None
        if point.finetuning is not None:
            from synq.learn.finetune import finetuned_network

            with _torch:
                network, ranges, _ = finetuned_network(
                    network,
                    self.dataset,
                    point.choice,
                    point.device,
                    point.finetuning,
                    default_cache_dir(),
                    SILENT,
                )
        dataset = _reduced(self.dataset, point.choice.input_bits)
        quantized = quantize_network(
            network, point.choice, point.device, dataset.input_format, dataset.train_inputs, ranges
        )
        answers = quantized.answers(dataset.test_inputs)
        score = integer_score(dataset.task, quantized, answers, dataset.test_labels)
        return _result(quantized, point.board, trained.software, score, time.monotonic() - start)


PointOutcome = Outcome[Point, PointResult]

_torch = threading.Lock()  # its settings are the process's; a Dask worker may run several threads


@lru_cache(maxsize=2)
def _reduced(dataset: Dataset, bits: int) -> Dataset:
    return with_input_bits(dataset, bits)


def _result(
    network: QuantizedNetwork, board: Board, software: float, score: float, seconds: float
) -> PointResult:
    arrays = network.arrays
    try:
        estimated = make_plan(network, board, Request()).chosen.estimate
    except SynqError:  # a sweep is about the score first
        estimated = estimate(network, (SIMPLEST,) * len(arrays))
    return PointResult(
        software=software,
        reference=score,
        effective_levels=tuple(array.effective_levels for array in arrays),
        code_bits_total=sum(array.code_bits * array.codes.size for array in arrays),
        interval_cycles=estimated.interval,
        zero_share=tuple(round(float(np.mean(array.weights == 0)), 4) for array in arrays),
        seconds=round(seconds, 3),
    )
