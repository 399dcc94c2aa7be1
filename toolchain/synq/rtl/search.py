"""The designs of the Verilog core that are worth a look."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synq.cost import TYPICAL_EVENTS, Estimate, Resources
from synq.errors import SynqError, UsageError
from synq.network import QuantizedNetwork, SynapseArray
from synq.request import BUDGET, Datapath, Request
from synq.rtl import pipeline
from synq.rtl.codes import MOST_BUCKETS, bucket_values
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.estimate import estimate_array, estimate_design
from synq.rtl.place_search import convolutional_designs
from synq.rtl.placement import BankedArray
from synq.rtl.reload import with_capacity
from synq.stream import BEAT_BITS

_MEMORY_BITS = 8  # of a bucket, in each four LUTs
_MORE_BUCKETS = 8
_LEAST_LANE = 10  # LUTs of a bucket lane
_LANES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_LATER_ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
_MOST_ROWS = 64


def rtl_designs(
    network: QuantizedNetwork, available: Resources, request: Request
) -> Iterator[tuple[RtlDesign, Estimate]]:
    """Designs whose later arrays do not hold up the first, as far as there are any.

    Args:
        available: resources of the board.

    Raises:
        UsageError: the datapath is not one of the Verilog's, or not one that can be reloaded.
        SynqError: no design can be built.
    """
    if request.datapath is Datapath.BANK:
        raise UsageError(
            "datapath bank needs flow hls; flow rtl has decode, buckets and unrolled",
            settings=("datapath", "flow"),
        )
    designs = _designs if network.dense else convolutional_designs
    for design in designs(network, available, request):
        built = with_capacity(network, design, request.headroom) if request.reloadable else design
        yield built, estimate_design(network, built)


def _designs(
    network: QuantizedNetwork, available: Resources, request: Request
) -> Iterator[RtlDesign]:
    converts = any(array.converter is not None for array in network.arrays)
    if request.reloadable and request.datapath is Datapath.UNROLLED:
        raise UsageError(
            "an unrolled core's synapses are fixed: use datapath decode or buckets to reload it",
            settings=("datapath", "reloadable"),
        )
    if request.datapath is Datapath.UNROLLED or (
        not (request.fixes_rows or request.datapath or request.event_driven or converts)
        and not request.reloadable
        and _synapse_bits(network) <= BUDGET * available.lut
    ):
        arrays = (RtlArray(0, 0, unrolled=True),) * len(network.arrays)
        # A wide stream is not to wait for answers of 64 bits.
        wide = request.beat_bits > BEAT_BITS
        result_bits = wide_result(network.sizes[-1]) if wide else BEAT_BITS
        yield RtlDesign(arrays, request.beat_bits, result_bits)
    if request.datapath is Datapath.UNROLLED:
        return
    later = [
        _Later(array, index, available, request)
        for index, array in enumerate(network.arrays[1:], start=1)
    ]
    found = False
    lanes = request.beat_bits // network.input_format.width
    for first in _first_arrays(network, available, request):
        placed = _tried(0, network.arrays[0], first, lanes)
        if placed is None:
            continue
        interval, busy = _interval(placed), _busy(placed)
        if request.event_driven:
            interval = -(-interval // TYPICAL_EVENTS)
        rest = [
            each.balanced(array, interval, 0 if index else busy)
            for index, (each, array) in enumerate(zip(later, network.arrays[:-1], strict=True))
        ]
        if None in rest:
            continue
        plans = (first, *(plan for plan in rest if plan is not None))
        found = True
        yield RtlDesign(plans, request.beat_bits)
    if not found:
        raise SynqError(
            "no Verilog design can be built as asked: an event-driven array takes at most as many "
            "rows a cycle as inputs arrive in one, level buckets hold at most "
            f"{MOST_BUCKETS} values, and the rows of a cycle lie in one tile; use fewer rows or "
            "levels, other tiles, or wider beats",
            settings=("rows", "levels", "tile", "beat_bits"),
        )


def _tried(index: int, array: SynapseArray, plan: RtlArray, lanes: int) -> BankedArray | None:
    """The array, if it can be built so."""
    try:
        return BankedArray(index, array, plan, lanes)
    except SynqError:
        return None


def _synapse_bits(network: QuantizedNetwork) -> int:
    """Bits that an unrolled network adds up: each takes a look-up table or so."""
    return sum(
        int(np.count_nonzero(array.weights)) * array.input_format.width for array in network.arrays
    )


def _first_arrays(
    network: QuantizedNetwork, available: Resources, request: Request
) -> Iterator[RtlArray]:
    array = network.arrays[0]
    rows_asked = request.rows_of(array)
    arriving = request.beat_bits // network.input_format.width
    if rows_asked is not None:
        counts = [min(rows_asked, array.n_rows)]
    else:  # the fewest rows of each number of cycles
        most = min(_MOST_ROWS, array.n_rows)
        counts = _row_counts(array, most)
    wider = _narrowing_buckets(array)
    # Later arrays take about two rows of multipliers.
    left = int(BUDGET * available.dsp) - 2 * sum(each.n_out for each in network.arrays[1:])
    affordable = max(0, left) // array.n_out
    for rows in counts:
        if request.event_driven and rows > arriving:
            continue
        for decoded in sorted({int(rows > 2), 1, min(rows, affordable), rows}):
            buckets = rows - decoded
            if (buckets and not _has_buckets(array)) or not _has(
                request.datapath, buckets, decoded
            ):
                continue
            small = RtlArray(buckets, decoded, request.event_driven)
            lut = buckets * array.n_out * _LEAST_LANE
            too_large = lut > available.lut or decoded * array.n_out > available.dsp
            if rows_asked is None and too_large and rows > 2:
                continue
            yield small
            if buckets and wider is not None:
                yield replace(small, buckets=wider)


def _row_counts(array: SynapseArray, most: int) -> list[int]:
    """The fewest rows a cycle of each number of cycles; with converters, those that fill tiles."""
    if array.converter is not None and len(array.tiles) > 1:
        return [rows for rows in range(1, most + 1) if array.converter.tile_rows % rows == 0]
    cycles = {-(-array.n_rows // rows) for rows in range(1, most + 1)}
    return sorted({-(-array.n_rows // count) for count in cycles})


def _has(datapath: Datapath | None, buckets: int, decoded: int) -> bool:
    """Whether an array of so many rows is of the datapath."""
    if datapath is Datapath.DECODE:
        return not buckets
    if datapath is Datapath.BUCKETS:
        return buckets > 0
    return buckets + decoded > 0


def _has_buckets(array: SynapseArray) -> bool:
    return len(bucket_values(array)) <= MOST_BUCKETS


def _narrowing_buckets(array: SynapseArray) -> int | None:
    """The fewest buckets beyond one a value that save memory in every lane."""
    if not _has_buckets(array):
        return None
    plain = BankedArray(0, array, RtlArray(1, 0), 1)
    values = len(plain.codes.level_values)
    memories = -(-plain.total_bits // _MEMORY_BITS)
    for buckets in range(values + 1, min(MOST_BUCKETS, values + _MORE_BUCKETS) + 1):
        wider = BankedArray(0, array, RtlArray(1, 0, buckets=buckets), 1)
        if -(-wider.total_bits // _MEMORY_BITS) < memories:
            return buckets
    return None


class _Later:
    """What a later array can be, once counted, for every first one."""

    def __init__(
        self, array: SynapseArray, index: int, available: Resources, request: Request
    ) -> None:
        self.options: dict[int, list[_Option]] = {}  # by lanes; the fewest rows first
        for lanes in (each for each in _LANES if each <= array.n_in):
            options = []
            for rows in (each for each in _LATER_ROWS if each <= array.n_rows):
                if request.event_driven and rows > lanes:
                    break
                for decoded in sorted({int(rows > 1), 1, min(rows, 2), rows}):
                    if rows > decoded and not _has_buckets(array):
                        continue
                    if _has(request.datapath, rows - decoded, decoded):
                        plan = RtlArray(rows - decoded, decoded, request.event_driven, lanes)
                        placed = _tried(index, array, plan, lanes)
                        if placed is not None:
                            options.append(_Option(placed, available))
            self.options[lanes] = options

    def balanced(self, earlier: SynapseArray, interval: int, busy: int) -> RtlArray | None:
        """The smallest array that takes its inputs, and an image, in `interval` cycles, or else
        the fastest; None if there is none.

        Args:
            earlier: the array before, which hands out all sums of each of its tiles.
            busy: cycles of that array, beside handing out its sums, before the next tile's.
        """
        fast: list[_Option] = []
        every: list[tuple[int, _Option]] = []
        for lanes, options in self.options.items():
            arrival = len(earlier.tiles) * (-(-earlier.n_out // lanes) + max(1, busy))
            if fast and arrival > interval:
                continue
            kinds: set[int] = set()
            for option in options:
                every.append((max(arrival, option.interval), option))
                # More rows of the same kind are never smaller.
                decoded = option.placed.plan.decoded_rows
                kind = -1 if decoded == option.placed.plan.rows else decoded
                if max(arrival, option.interval) <= interval and kind not in kinds:
                    kinds.add(kind)
                    fast.append(option)
        if fast:
            return min(fast, key=lambda option: option.share).placed.plan
        return min(every, key=lambda each: each[0])[1].placed.plan if every else None


@dataclass(eq=False)
class _Option:
    """A later array."""

    placed: BankedArray
    available: Resources

    @cached_property
    def interval(self) -> int:
        return _interval(self.placed)

    @cached_property
    def share(self) -> float:
        """The shares of each of the board's resources, added: any of them may become scarce."""
        # Its lanes cost in the array before, too, but less than rows do.
        used = estimate_array(self.placed)
        pairs = (
            (used.lut, self.available.lut),
            (used.lutram, self.available.lutram),
            (used.bram_18k, self.available.bram_18k),
            (used.dsp, self.available.dsp),
        )
        return sum(need / have for need, have in pairs if have)


def _busy(placed: BankedArray) -> int:
    """Cycles from a tile's drain to its sums, where they are held once."""
    if placed.held_twice or not placed.plan.decoded_rows:
        return 0
    return placed.codes.levels + pipeline.SUMMED + pipeline.skew(placed.plan.bucket_rows)


def _interval(placed: BankedArray) -> int:
    """Cycles an image of an array alone, every input nonzero."""
    plan, banks, levels = placed.plan, placed.banks, placed.codes.levels
    turns = placed.sums.beats
    last = banks.tiles - 1
    tiles = [(banks.tile_words, banks.first_tile_words)] * last
    tiles.append(
        (banks.words - last * banks.tile_words, banks.first_words - last * banks.first_tile_words)
    )
    cycles = 0
    for words, first_words in tiles:
        rows = max(words, first_words + banks.waits) + levels
        if not plan.decoded_rows:
            level = pipeline.level_cycles(plan.bucket_rows, turns)
            rows = max(rows, levels * level + pipeline.PRODUCT + turns)
        cycles += rows
    return max(cycles, banks.beats)
