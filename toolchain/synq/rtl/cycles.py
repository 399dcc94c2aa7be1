"""When the Verilog core answers, cycle by cycle, without simulating it.

The registers between arrays allow every array an image of its own, so an image's times follow from
the times of the images before it: `_Core.image` walks one image through all arrays. Where a sum, a
beat or a state of the Verilog needs a register, a cycle is added. Tested against Verilator; the
streams never wait here.

Unrolled arrays (`synq.rtl.unrolled`) are only approximated: an image a cycle behind a pipeline.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.network import QuantizedNetwork
from synq.rtl.design import RtlDesign
from synq.rtl.placement import PlacedArray, plan_layers

_STEADY = 5  # images after which dense arrays repeat themselves
_LONG_AGO = -1000


@dataclass(frozen=True)
class Cycles:
    """Clock cycles.

    Attributes:
        ends: (n_samples,) when each image's last output beat is taken, counted from the end of the
            reset.
    """

    ends: NDArray[np.int64]

    @property
    def intervals(self) -> NDArray[np.int64]:
        """(n_samples - 1,) from an image's answer to the next one's."""
        return np.diff(self.ends)


def worst_case(layers: list[PlacedArray]) -> tuple[int, int]:
    """Latency and interval in cycles, every input of every array nonzero."""
    counts = [_full(layer)[None].repeat(_STEADY, axis=0) for layer in layers]
    ends = _ends(layers, counts)
    return int(ends[0]), int(np.diff(ends)[_STEADY // 2 :].max())


def of_wide_answers(layers: list[PlacedArray]) -> tuple[int, int]:
    """Latency and interval in cycles of unrolled arrays that answer in one wide beat."""
    beats, classes = layers[0].beats, (layers[-1].array.n_out - 1).bit_length()
    depth = sum(layer.sum_depth + 1 for layer in layers) + classes
    return beats + depth + 1, beats


def count_cycles(
    network: QuantizedNetwork, design: RtlDesign, inputs: NDArray[np.integer[Any]]
) -> Cycles:
    """The cycles of images sent back to back.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    layers = plan_layers(network, design)
    signals = [inputs, *network.run(inputs).activations]
    counts = [_rows(layer, signal) for layer, signal in zip(layers, signals, strict=True)]
    return Cycles(_ends(layers, counts))


def _full(layer: PlacedArray) -> NDArray[np.int64]:
    """(banks,) rows that each bank hands out if no input is zero."""
    if layer.plan.unrolled:
        return np.ones(1, dtype=np.int64)
    if not layer.plan.event_driven:  # banks walk over words without a row, too
        words = np.full(layer.plan.rows, layer.words, dtype=np.int64)
        words[0] = layer.first_words
        return words
    full: NDArray[np.int64] = (layer.placement >= 0).sum(axis=1)
    return full


def _rows(layer: PlacedArray, inputs: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(n_samples, banks) rows that each bank hands out."""
    if layer.plan.unrolled or not layer.plan.event_driven:
        return np.broadcast_to(_full(layer), (len(inputs), max(1, layer.plan.rows)))
    counts = []
    for rows in layer.placement:
        pixels = rows[(rows >= 0) & (rows < layer.array.n_in)]
        biased = layer.array.n_in in rows
        counts.append(np.count_nonzero(inputs[:, pixels], axis=1) + biased)
    return np.stack(counts, axis=1)


def _ends(layers: list[PlacedArray], counts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    core = _Core(layers)
    first = [each[:, 0].tolist() for each in counts]
    others = [each[:, 1:].max(axis=1, initial=0).tolist() for each in counts]
    ends = [core.image(now) for now in zip(*map(zip, first, others), strict=True)]
    return np.array(ends, dtype=np.int64)


class _Core:
    def __init__(self, layers: list[PlacedArray]) -> None:
        self.stages = [_Stage(layer, _out_lanes(layers, layer.index)) for layer in layers]
        self.answer = _LONG_AGO  # when the last beat of sums was taken

    def image(self, counts: tuple[tuple[int, int], ...]) -> int:
        """When the image's class is taken.

        Args:
            counts: rows of bank 0, and the most of another bank, for each array.
        """
        for stage, (first, other) in zip(self.stages, counts, strict=True):
            if stage is self.stages[0]:
                stage.accept_stream()
            offered = stage.compute(first, other)
            following = stage.following(self.stages)
            taken: list[int] = []
            for beat in range(stage.out_beats):
                at = offered if beat == 0 else max(taken[-1], offered + beat - 1) + 1
                if following is None:
                    at = max(at, self.answer + (3 if beat == 0 else 1))
                    self.answer = at
                else:
                    # The activation holds a beat; the next one enters as it leaves.
                    at = max(at, stage.left)
                    stage.left = following.accept(at + 1, beat)
                taken.append(at)
            stage.release(taken)
        return self.answer + 3  # choosing the largest takes a cycle longer


def _out_lanes(layers: list[PlacedArray], index: int) -> int:
    return layers[index + 1].in_lanes if index + 1 < len(layers) else 2


@dataclass
class _Stage:
    """An array, and the times of the images that it still remembers."""

    layer: PlacedArray
    out_lanes: int
    closed: int = _LONG_AGO  # the last beat of the latest image was taken
    accepted: int = _LONG_AGO  # the latest beat was taken
    started: int = _LONG_AGO
    finishes: list[int] = field(default_factory=lambda: [_LONG_AGO] * 2)  # rows of an image
    drains: list[int] = field(default_factory=list)  # of the image before
    frees: list[int] = field(default_factory=lambda: [_LONG_AGO] * 2)
    left: int = _LONG_AGO  # the activation's register is empty again
    engaged: int = 0  # serial: until then the multipliers are busy
    loaded: int = 0

    def __post_init__(self) -> None:
        plan = self.layer.plan
        self.in_lanes, self.lanes = self.layer.in_lanes, self.layer.lanes
        self.n_in, self.event_driven = self.layer.array.n_in, plan.event_driven
        self.serial = plan.decoded_rows == 0 and not plan.unrolled
        self.out_beats = -(-self.layer.array.n_out // self.out_lanes)
        index = max(1, (self.out_beats - 1).bit_length())
        self.select = (index + 1) // 2  # stages of the choice of a beat
        banks, levels = plan.bucket_rows, self.layer.levels
        self.back = max(banks, levels)
        self.skew = banks + 1 if banks else 0
        # A reset clears the buckets first.
        if self.serial:
            chain = banks + 4
            self.level_cycles = chain + self.out_beats + self.select + 3
            drains = [1 + i * self.level_cycles for i in range(2 * levels + 1)]
            self.engaged = drains.pop()
            self.drains = drains[levels:]
            self.ready_at = drains[levels - 1] + 1
        else:
            self.drains = [1 + i for i in range(levels)]
            self.ready_at = levels

    def following(self, stages: list["_Stage"]) -> "_Stage | None":
        """The next array."""
        index = self.layer.index + 1
        return stages[index] if index < len(stages) else None

    def _room(self) -> int:
        """The first cycle at which a beat of the next image can be taken."""
        if self.layer.plan.unrolled:
            return self.accepted + 1
        if self.layer.plan.event_driven:
            return max(self.closed + 1, self.started)
        return max(self.closed + 1, self.finishes[-2] + 1)

    def accept_stream(self) -> None:
        """Take an image from the input stream."""
        pixels = self.layer.in_lanes // self.layer.lanes  # through a gearbox, one at a time
        first = max(self._room(), self.accepted + 1, 1)
        beats = self.layer.array.n_in if pixels > 1 else self.layer.beats
        self.closed = self.accepted = first + beats - 1

    def accept(self, at: int, beat: int) -> int:
        """Take beat `beat` of an image, offered from cycle `at` on; when it has been taken."""
        lanes = self.in_lanes
        if beat == 0:
            at = max(at, self._room())
        if at <= self.accepted:
            at = self.accepted + 1
        if self.lanes < lanes:  # the gearbox's pixels
            at += min(lanes, self.n_in - beat * lanes) - 1
        self.accepted = at
        if (beat + 1) * lanes >= self.n_in:
            self.closed = at
        return at

    def compute(self, first: int, other: int) -> int:
        """An image's rows and drain.

        Args:
            first: rows of bank 0.
            other: the most rows of another bank.

        Returns:
            The first cycle in which the first beat of sums is offered; the next ones follow.
        """
        if self.layer.plan.unrolled:
            return self.closed + self.layer.sum_depth + 4
        if self.serial:
            return self._compute_serial(first, other)
        ready = self.closed + (1 if self.layer.plan.event_driven else 2)
        start = max(ready, self.drains[-1], self.ready_at)
        self.started = start
        begin, levels = start + 1, self.layer.levels
        ended = begin + other
        banks = self.layer.plan.bucket_rows
        held = (self.drains[0] + self.back, self.drains[-1] + self.back)
        ended_first = begin + first
        if banks and held[1] >= begin and first > max(0, held[0] - begin):
            ended_first += held[1] - max(begin, held[0]) + 1
        ended = max(ended, ended_first)
        drain = ended
        if banks:
            drain = max(drain, self.drains[-1] + self.back + 1)
        images = 2 if self.layer.plan.event_driven else 1
        drain = max(drain, self.frees[-images] + 1)
        self.finishes = [self.finishes[-1], ended]
        self.drains = list(range(drain, drain + levels))
        loaded = self.drains[-1] + 7 + self.skew
        if images == 2:
            loaded = max(loaded + 1, self.frees[-1])
        self.loaded = loaded
        return loaded + 1 + self.select

    def _compute_serial(self, first: int, other: int) -> int:
        ready = self.closed + (1 if self.layer.plan.event_driven else 2)
        start = max(ready, self.ready_at)
        self.started = start
        begin = start + 1
        steals = [at for at in self.drains if at >= begin]
        holds = [at + self.layer.plan.bucket_rows for at in self.drains]
        ended = begin + other
        for at in steals:
            ended += at < ended
        ended_first = begin + first
        for at in sorted({*steals, *(at for at in holds if at >= begin)}):
            ended_first += at < ended_first
        ended = max(ended, ended_first)
        self.finishes = [self.finishes[-1], ended]
        close = max(ended, self.drains[-1] + 1 if self.drains else 0)
        self.ready_at = close
        drain = max(close, self.engaged)
        self.drains = [drain + i * self.level_cycles for i in range(self.layer.levels)]
        finished = self.drains[-1] + self.level_cycles - 1
        self.loaded = finished
        return finished + 2

    def release(self, taken: list[int]) -> None:
        """The sums' registers are free again.

        Args:
            taken: when each beat of sums was taken.
        """
        if self.serial:
            # Beats are read one behind the one that waits to be taken.
            read = self.loaded + 1
            for at in taken[:-1]:
                read = max(read + 1, at)
            self.engaged = read + 1
            return
        behind = self.out_beats - 1 - self.select
        free = self.loaded + self.out_beats
        if behind >= 0:
            free = max(free, taken[behind])
        self.frees = [self.frees[-1], free]
