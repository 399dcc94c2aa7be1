"""When the Verilog core answers, cycle by cycle, without simulating it.

The registers between arrays allow every array an image of its own, so an image's times follow from
the times of the images before it: `_Core.image` walks one image through all arrays. `+ 1` is the
next cycle; what takes longer is named in `synq.rtl.pipeline`. Tested against Verilator; the streams
never wait here.

Unrolled arrays (`synq.rtl.unrolled`) are only approximated: an image a cycle behind a pipeline.

So are networks with convolutions. Each layer is counted by itself, place by place, as if what comes
in were there in time and what goes out were taken at once: the slowest one's time is the interval.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.network import QuantizedNetwork
from synq.rtl import pipeline
from synq.rtl.design import RtlDesign
from synq.rtl.placement import BankedArray, PlacedArray, UnrolledArray, place_arrays

_STEADY = 8  # images after which dense arrays repeat themselves; half of them fill what is empty
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


def worst_case(placed: list[PlacedArray]) -> tuple[int, int]:
    """Latency and interval in cycles, every input of every array nonzero."""
    if any(each.window is not None for each in placed):
        return _worst_case_of_places(placed)
    counts = [np.stack([_full(each)] * _STEADY) for each in placed]
    ends = _ends(placed, counts)
    return int(ends[0]), int(np.diff(ends)[_STEADY // 2 :].max())


def worst_case_of_wide_answers(placed: list[UnrolledArray]) -> tuple[int, int]:
    """Latency and interval in cycles of unrolled arrays that answer in one wide beat."""
    beats, levels = placed[0].arriving.beats, (placed[-1].array.n_out - 1).bit_length()
    return beats + sum(each.sum_depth + 1 for each in placed) + levels + 1, beats


def count_cycles(
    network: QuantizedNetwork, design: RtlDesign, inputs: NDArray[np.integer[Any]]
) -> Cycles:
    """The cycles of images sent back to back.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    placed = place_arrays(network, design)
    signals = [inputs, *network.run(inputs).activations]
    if network.dense:
        counts = [_rows(each, signal) for each, signal in zip(placed, signals, strict=True)]
        return Cycles(_ends(placed, counts))
    first, _ = _worst_case_of_places(placed)
    times = [_times(each, signal) for each, signal in zip(placed, signals, strict=True)]
    return Cycles(first + np.cumsum(np.max(times, axis=0)) - np.max(times, axis=0)[:1])


def place_interval(placed: PlacedArray) -> int:
    """Cycles from place to place of a convolution's array alone, every input nonzero; of a dense
    layer from image to image."""
    alone, tiles = _Alone(placed), _pairs(_full(placed)[None])[0]
    ends = [alone.place(1, tiles) for _ in range(_STEADY)]
    return int(np.diff(ends)[_STEADY // 2 :].max())


def image_interval(placed: PlacedArray) -> int:
    """Cycles from image to image of a layer alone, every input nonzero."""
    cycles = place_interval(placed)
    if placed.window is not None:
        cycles = sum(max(cycles, wait) for wait in placed.window.waits())
    return max(cycles, _arrival(placed))


def _arrival(placed: PlacedArray) -> int:
    """Cycles in which an image comes in."""
    window = placed.window
    if window is None:
        return placed.arriving.beats
    return window.image.values // window.lanes


def _worst_case_of_places(placed: list[PlacedArray]) -> tuple[int, int]:
    intervals = [image_interval(each) for each in placed]
    begins, latency = 0, intervals[0] + _place_latency(placed[0])
    for each, interval, earlier in zip(placed[1:], intervals[1:], intervals, strict=False):
        if each.window is not None:
            # It begins with the first rows of the image; of the last ones a row of places is left.
            window = each.window.window
            begins += earlier * min(window.kernel[0], window.shape[0]) // window.shape[0]
            latency = max(latency + interval // window.places[0], begins + interval)
        latency += _place_latency(each)
    return latency, max(intervals)


def _place_latency(placed: PlacedArray) -> int:
    """Cycles from the last beat of a place, or an image, to its last sums."""
    alone, tiles = _Alone(placed), _pairs(_full(placed)[None])[0]
    settled = alone.place(1, tiles)  # what a reset began is over
    return alone.place(settled, tiles) - alone.at


def _times(placed: PlacedArray, signal: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(n_samples,) cycles from image to image of a layer alone."""
    waits = [1]
    if placed.window is not None:
        signal, waits = placed.window.window.patches(signal), placed.window.waits()
    if not placed.plan.event_driven:
        return np.full(len(signal) // len(waits), image_interval(placed), dtype=np.int64)
    alone, counts = _Alone(placed), _pairs(_rows(placed, signal))
    ends = [alone.place(waits[at % len(waits)], tiles) for at, tiles in enumerate(counts)]
    times = np.diff(ends[len(waits) - 1 :: len(waits)], prepend=0)
    return np.maximum(times, _arrival(placed))


def _full(placed: PlacedArray) -> NDArray[np.int64]:
    """(tiles, banks) rows that each bank hands out if no input is zero."""
    if not isinstance(placed, BankedArray):
        return np.ones((1, 1), dtype=np.int64)
    banks = placed.banks
    if banks.skips_zeros:
        full: NDArray[np.int64] = _rows(placed, np.ones((1, placed.array.n_in), dtype=np.int64))[0]
        return full
    # Banks walk over words without a row, too.
    words = np.full((banks.tiles, banks.count), banks.tile_words, dtype=np.int64)
    words[:, 0] = banks.first_tile_words
    words[-1] = banks.words - words[:-1, -1:].sum()
    words[-1, 0] = banks.first_words - words[:-1, 0].sum()
    return words


def _rows(placed: PlacedArray, inputs: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(n_samples, tiles, banks) rows that each bank hands out, the tiles as they come."""
    if not (isinstance(placed, BankedArray) and placed.banks.skips_zeros):
        full = _full(placed)
        return np.broadcast_to(full, (len(inputs), *full.shape))
    tiles = placed.array.tiles[::-1]
    counts = np.zeros((len(inputs), len(tiles), placed.banks.count), dtype=np.int64)
    for bank, rows in enumerate(placed.banks.rows):
        for number, tile in enumerate(tiles):
            within = rows[(rows >= tile.start) & (rows < tile.stop)]
            pixels = within[within < placed.array.n_in]
            biased = len(within) - len(pixels)
            counts[:, number, bank] = np.count_nonzero(inputs[:, pixels], axis=1) + biased
    return counts


def _ends(placed: list[PlacedArray], counts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    core = _Core(placed)
    pairs = map(_pairs, counts)
    return np.array([core.image(now) for now in zip(*pairs, strict=True)], dtype=np.int64)


def _pairs(counts: NDArray[np.int64]) -> list[list[list[int]]]:
    """Of each image and tile, the rows of bank 0, and the most of another bank."""
    others = counts[..., 1:].max(axis=-1, initial=0)
    pairs: list[list[list[int]]] = np.stack([counts[..., 0], others], axis=-1).tolist()
    return pairs


class _Core:
    """All arrays, each with an image of its own."""

    def __init__(self, placed: list[PlacedArray]) -> None:
        self.stages = [_stage(each) for each in placed]
        self.answer = _LONG_AGO  # when the last beat of sums was taken

    def image(self, counts: tuple[list[list[int]], ...]) -> int:
        """When the image's class is taken.

        Args:
            counts: of each array and tile, the rows of bank 0, and the most of another bank.
        """
        self.stages[0].accept_stream()
        return self.answered(counts)

    def answered(self, counts: tuple[list[list[int]], ...]) -> int:
        """The same of an image that the first array has taken."""
        followers = [*self.stages[1:], None]
        for stage, following, tiles in zip(self.stages, followers, counts, strict=True):
            for number, (first, other) in enumerate(tiles):
                final = number == len(tiles) - 1
                offered = stage.compute(first, other, begins=number == 0, ends=final)
                taken: list[int] = []
                for beat in range(stage.out_beats):
                    at = offered if beat == 0 else max(taken[-1], offered + beat - 1) + 1
                    if stage.converters is not None:
                        at = stage.converters.accept(at)
                    if stage.converters is None:
                        at = self._hand_out(stage, following, beat, at)
                    elif final:
                        shown = stage.converters.shown(at)
                        left = self._hand_out(stage, following, beat, shown)
                        stage.converters.totals.add(shown, left)
                    taken.append(at)
                stage.release(taken)
        return self.answer + pipeline.CLASS

    def _hand_out(self, stage: "_Stage", following: "_Stage | None", beat: int, at: int) -> int:
        """When a beat of an image's sums, offered from cycle `at` on, is taken."""
        if following is None:
            self.answer = max(at, self.answer + (pipeline.CLASS if beat == 0 else 1))
            return self.answer
        # The activation holds a beat; the next one enters as it leaves.
        at = max(at, stage.left)
        stage.left = following.accept(at + 1, beat)
        return at


class _Alone(_Core):
    """A layer whose sums are taken at once."""

    def __init__(self, placed: PlacedArray) -> None:
        super().__init__([placed])
        self.at = 0  # the latest beat has been taken

    def place(self, wait: int, tiles: list[list[int]]) -> int:
        """When a place's last sums are taken, which is offered after so many cycles."""
        stage = self.stages[0]
        for beat in range(stage.arriving.beats):
            self.at = stage.accept(self.at + (1 if beat else wait), beat)
        self.answered((tiles,))
        return stage.left

    def _hand_out(self, stage: "_Stage", following: "_Stage | None", beat: int, at: int) -> int:
        at = max(at, stage.left)
        stage.left = at + 1
        return at


class _Converters:
    """`synq_converters`: its two steps stand still while a total is shown and not taken."""

    def __init__(self) -> None:
        self.totals = _Waits(pipeline.CONVERT)
        self.accepted = _LONG_AGO

    def accept(self, at: int) -> int:
        """When a beat, offered from cycle `at` on, is taken."""
        self.accepted = self.totals.move(max(at, self.accepted + 1))
        return self.accepted

    def shown(self, at: int) -> int:
        """From when on the total is shown of a beat taken at `at`."""
        return self.totals.move(at + 1) + pipeline.CONVERT - 1


class _Waits:
    """A pipeline of some steps that stands still while its last one waits to be taken."""

    def __init__(self, steps: int) -> None:
        self.latest = [(_LONG_AGO, _LONG_AGO)] * steps  # shown, taken

    def move(self, at: int) -> int:
        """The first cycle from `at` on in which it moves."""
        for shown, taken in self.latest:
            if shown <= at < taken:
                at = taken
        return at

    def add(self, shown: int, taken: int) -> None:
        """Something was shown, and taken."""
        self.latest = [*self.latest[1:], (shown, taken)]


class _Stage(ABC):
    """An array, and the times of the images that it still remembers."""

    def __init__(self, placed: PlacedArray) -> None:
        self.arriving, self.stored = placed.arriving, placed.stored
        self.out_beats = placed.sums.beats
        self.converters = None if placed.array.converter is None else _Converters()
        self.accepted = _LONG_AGO  # the latest beat was taken
        self.closed = _LONG_AGO  # the last beat of the latest image was taken
        self.left = _LONG_AGO  # the activation's register is empty again

    @abstractmethod
    def room(self) -> int:
        """The first cycle in which a beat of the next image can be taken."""

    @abstractmethod
    def compute(self, first: int, other: int, begins: bool, ends: bool) -> int:
        """A tile's rows and drain.

        Args:
            first: rows of bank 0.
            other: the most rows of another bank.
            begins: whether it is its image's first tile.
            ends: whether it is its image's last one.

        Returns:
            The first cycle in which the first beat of sums is offered; the next ones follow.
        """

    @abstractmethod
    def release(self, taken: list[int]) -> None:
        """The sums' registers are free again.

        Args:
            taken: when each beat of sums was taken.
        """

    def accept_stream(self) -> None:
        """Take an image from the input stream."""
        first = max(self.room(), self.accepted + 1, 1)
        self.closed = self.accepted = first + self.stored.beats - 1

    def accept(self, at: int, beat: int) -> int:
        """Take beat `beat` of an image, offered from cycle `at` on; when it has been taken."""
        lanes = self.arriving.lanes
        if beat == 0:
            at = max(at, self.room())
        at = max(at, self.accepted + 1)
        if self.stored.lanes < lanes:  # the gearbox's pixels
            at += min(lanes, self.arriving.values - beat * lanes) - 1
        self.accepted = at
        if beat == self.arriving.beats - 1:
            self.closed = at
        return at


class _Unrolled(_Stage):
    """A pipeline that takes an image a cycle."""

    def __init__(self, placed: UnrolledArray) -> None:
        super().__init__(placed)
        self.depth = placed.sum_depth + pipeline.SURROUND

    def room(self) -> int:
        return self.accepted + 1

    def compute(self, first: int, other: int, begins: bool, ends: bool) -> int:
        return self.closed + self.depth

    def release(self, taken: list[int]) -> None:
        pass  # it has none


class _Banked(_Stage):
    """An array with rows in banks: what both ways of weighing totals have in common."""

    def __init__(self, placed: BankedArray) -> None:
        super().__init__(placed)
        self.skips_zeros = placed.plan.event_driven
        self.bucket_rows, self.levels = placed.plan.bucket_rows, placed.codes.levels
        self.choice = pipeline.choice(self.out_beats)
        self.begun = _LONG_AGO  # the latest image
        self.finishes = (_LONG_AGO, _LONG_AGO)  # the rows of the latest two images
        self.ready_at = 0  # the steps of a reset are over
        self.drains: list[int] = []  # of the latest image
        self.loaded = 0  # all sums are there

    def room(self) -> int:
        if self.skips_zeros:
            return max(self.closed + 1, self.begun)
        return max(self.closed, self.finishes[0]) + 1

    def _ready(self, begins: bool) -> int:
        """When the latest image, or its next tile, may begin."""
        if not begins:
            return self.ready_at
        stored = self.closed + pipeline.STORE
        return max(stored if self.skips_zeros else stored + pipeline.NOTICE, self.ready_at)

    def _note(self, started: int, ended: int, begins: bool, ends: bool) -> None:
        """A tile has been begun and its rows have been handed out."""
        if begins:
            self.begun = started
        if ends:
            self.finishes = (self.finishes[1], ended)


class _Multiplied(_Banked):
    """Totals are weighed by the multipliers of a decoded row: `synq_array`."""

    def __init__(self, placed: BankedArray) -> None:
        super().__init__(placed)
        self.held_twice, self.keeps = placed.held_twice, placed.keeps
        self.clearing = pipeline.clearing(self.bucket_rows, self.levels)
        self.summed = pipeline.SUMMED + pipeline.skew(self.bucket_rows)
        self.frees = (_LONG_AGO, _LONG_AGO)  # the sums of the latest two images
        self.beats = _Waits(self.choice + self.keeps)
        self.entered: list[int] = []  # when the first beats entered their choice
        self.handed = _LONG_AGO  # the latest beat was taken
        # A reset clears the buckets first.
        self.drains = [1 + level for level in range(self.levels)]
        self.ready_at = self.levels

    def compute(self, first: int, other: int, begins: bool, ends: bool) -> int:
        started = max(self._ready(begins), self.drains[-1])
        begin = started + 1
        cleared = (self.drains[0] + self.clearing, self.drains[-1] + self.clearing)
        ended_first = begin + first
        if self.bucket_rows and cleared[1] >= begin and first > max(0, cleared[0] - begin):
            ended_first += cleared[1] - max(begin, cleared[0]) + 1  # bank 0 waits
        ended = max(begin + other, ended_first)
        drain = max(ended, self.frees[0 if self.held_twice else 1] + 1)
        if self.bucket_rows:
            drain = max(drain, cleared[1] + 1)
        self._note(started, ended, begins, ends)
        self.drains = [drain + level for level in range(self.levels)]
        self.loaded = self.drains[-1] + self.summed
        if self.held_twice:  # a second image's sums wait
            self.loaded = max(self.loaded + 1, self.frees[1])
        self.entered = [self.beats.move(self.loaded + pipeline.OFFER)]
        for _ in range(1, self.choice):
            self.entered.append(self.beats.move(self.entered[-1] + 1))
        return self.entered[-1] + 1

    def release(self, taken: list[int]) -> None:
        shown = [max(self.entered[-1], self.handed) + 1, *(at + 1 for at in taken)]
        self.handed = taken[-1]
        # If the choice is full, a beat enters it as another one leaves; with a place to keep that
        # in, as it is shown: the choice stands still from the next cycle on until it is taken.
        moves = [*self.entered, *(shown if self.keeps else taken)]
        self.frees = (self.frees[1], moves[self.out_beats - 1])
        for begin, at in zip(shown, taken, strict=False):
            self.beats.add(begin + self.keeps, at + self.keeps)


class _Serial(_Banked):
    """Totals are weighed one lane after another: `synq_array_serial`."""

    def __init__(self, placed: BankedArray) -> None:
        super().__init__(placed)
        self.level_cycles = pipeline.level_cycles(self.bucket_rows, self.out_beats)
        # A reset clears both sets of buckets first.
        resets = [1 + level * self.level_cycles for level in range(2 * self.levels + 1)]
        self.engaged = resets.pop()  # until then the multipliers are busy
        self.drains = resets[self.levels :]
        self.drains_before: list[int] = []  # of the image before the latest
        self.ready_at = resets[self.levels - 1] + 1

    def compute(self, first: int, other: int, begins: bool, ends: bool) -> int:
        started = self._ready(begins)
        begin = started + 1
        drains = {at for at in self.drains if at >= begin}  # take a cycle from every bank
        # An image may begin right behind the last drain of the one before the latest.
        clears = {at + self.bucket_rows for at in (*self.drains_before, *self.drains)}
        ended = begin + other
        for at in sorted(drains):
            ended += at < ended
        ended_first = begin + first
        for at in sorted(at for at in drains | clears if at >= begin):  # bank 0 waits
            ended_first += at < ended_first
        ended = max(ended, ended_first)
        self._note(started, ended, begins, ends)
        self.ready_at = max(ended, self.drains[-1] + 1)
        drain = max(self.ready_at, self.engaged)
        self.drains_before = self.drains
        self.drains = [drain + level * self.level_cycles for level in range(self.levels)]
        self.loaded = self.drains[-1] + self.level_cycles - 1 + pipeline.PRODUCT
        return self.loaded + pipeline.SHOW

    def release(self, taken: list[int]) -> None:
        # Beats are read one behind the one that waits to be taken.
        read = self.loaded + 1
        for at in taken[:-1]:
            read = max(read + 1, at)
        self.engaged = read + 1


def _stage(placed: PlacedArray) -> _Stage:
    if isinstance(placed, UnrolledArray):
        return _Unrolled(placed)
    assert isinstance(placed, BankedArray)
    return _Multiplied(placed) if placed.plan.decoded_rows else _Serial(placed)
