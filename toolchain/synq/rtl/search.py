"""The designs of the Verilog core that are worth a look."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synq.cost import Estimate, Resources
from synq.errors import SynqError, UsageError
from synq.network import QuantizedNetwork, SynapseArray
from synq.request import BUDGET, Datapath, Request
from synq.rtl.cycles import of_wide_answers
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.estimate import estimate_layer, estimate_layers
from synq.rtl.placement import PlacedArray, plan_layers

_TYPICAL_EVENTS = 3  # an event-driven array rarely takes more than a third of its worst case
_MOST_VALUES = 32  # of buckets
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
        UsageError: the datapath is not one of the Verilog's.
        SynqError: no design can be built.
    """
    if request.datapath is Datapath.BANK:
        raise UsageError("--datapath bank needs --flow hls; the Verilog has decode and buckets")
    if request.datapath is Datapath.UNROLLED or (
        not (request.fixes_rows or request.datapath or request.event_driven)
        and _synapse_bits(network) <= BUDGET * available.lut
    ):
        arrays = (RtlArray(0, 0, unrolled=True),) * len(network.arrays)
        # A wide stream is not to wait for answers of 64 bits.
        wide = wide_result(network.sizes[-1]) if request.beat_bits > 64 else 64
        design = RtlDesign(arrays, request.beat_bits, wide)
        layers = plan_layers(network, design)
        estimate = estimate_layers(layers).total
        if wide > 64:
            latency, interval = of_wide_answers(layers)
            estimate = replace(estimate, latency=latency, interval=interval)
        yield design, estimate
    if request.datapath is Datapath.UNROLLED:
        return
    later = [
        _Later(array, index, available, request)
        for index, array in enumerate(network.arrays[1:], start=1)
    ]
    found = False
    for first in _first_arrays(network, available, request):
        layer = _first_layer(network, first, request.beat_bits)
        interval, busy = _interval(layer), _busy(layer)
        if request.event_driven:
            interval = -(-interval // _TYPICAL_EVENTS)
        rest = [
            each.balanced(array.n_out, interval, 0 if index else busy)
            for index, (each, array) in enumerate(zip(later, network.arrays[:-1], strict=True))
        ]
        if None in rest:
            continue
        plans = (first, *(plan for plan in rest if plan is not None))
        design = RtlDesign(plans, request.beat_bits)
        found = True
        yield design, estimate_layers(plan_layers(network, design)).total
    if not found:
        raise SynqError(
            "no Verilog design can be built as asked: an event-driven array takes at most as many "
            "rows a cycle as inputs arrive in one, level buckets hold at most "
            f"{_MOST_VALUES} values; use fewer --rows or --levels, or more --beat-bits"
        )


def _first_layer(network: QuantizedNetwork, plan: RtlArray, beat_bits: int) -> PlacedArray:
    return PlacedArray(0, network.arrays[0], plan, beat_bits // network.input_format.width)


def _synapse_bits(network: QuantizedNetwork) -> int:
    """Bits that an unrolled network adds up: each takes a look-up table or so."""
    return sum(
        np.count_nonzero(array.weights) * array.input_format.width for array in network.arrays
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
        cycles = {-(-array.n_rows // rows) for rows in range(1, most + 1)}
        counts = sorted({-(-array.n_rows // count) for count in cycles})
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


def _has(datapath: Datapath | None, buckets: int, decoded: int) -> bool:
    """Whether an array of so many rows is of the datapath."""
    if datapath is Datapath.DECODE:
        return not buckets
    if datapath is Datapath.BUCKETS:
        return buckets > 0
    return buckets + decoded > 0


def _has_buckets(array: SynapseArray) -> bool:
    return len(set(abs(array.codebook).tolist())) <= _MOST_VALUES


def _narrowing_buckets(array: SynapseArray) -> int | None:
    """The fewest buckets beyond one a value that save memory in every lane."""
    if not _has_buckets(array):
        return None
    plain = PlacedArray(0, array, RtlArray(1, 0), 1)
    values = len(plain.level_values)
    memories = -(-plain.total_bits // _MEMORY_BITS)
    for buckets in range(values + 1, min(_MOST_VALUES, values + _MORE_BUCKETS) + 1):
        wider = PlacedArray(0, array, RtlArray(1, 0, buckets=buckets), 1)
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
                        options.append(_Option(PlacedArray(index, array, plan, lanes), available))
            self.options[lanes] = options

    def balanced(self, n_in: int, interval: int, busy: int) -> RtlArray | None:
        """The smallest array that takes its inputs, and an image, in `interval` cycles, or else
        the fastest; None if there is none.

        Args:
            n_in: of its inputs.
            busy: cycles of the array before, beside handing out its sums, before the next image's.
        """
        fast: list[_Option] = []
        every: list[tuple[int, _Option]] = []
        for lanes, options in self.options.items():
            arrival = -(-n_in // lanes) + max(1, busy)
            if fast and arrival > interval:
                continue
            kinds: set[int] = set()
            for option in options:
                every.append((max(arrival, option.interval), option))
                # More rows of the same kind are never smaller.
                decoded = option.layer.plan.decoded_rows
                kind = -1 if decoded == option.layer.plan.rows else decoded
                if max(arrival, option.interval) <= interval and kind not in kinds:
                    kinds.add(kind)
                    fast.append(option)
        if fast:
            return min(fast, key=lambda option: option.share).layer.plan
        return min(every, key=lambda each: each[0])[1].layer.plan if every else None


@dataclass(eq=False)
class _Option:
    """A later array."""

    layer: PlacedArray
    available: Resources

    @cached_property
    def interval(self) -> int:
        return _interval(self.layer)

    @cached_property
    def share(self) -> float:
        """The shares of each of the board's resources, added: any of them may become scarce."""
        # Its lanes cost in the array before, too, but less than rows do.
        used = estimate_layer(self.layer, 2)
        pairs = (
            (used.lut, self.available.lut),
            (used.lutram, self.available.lutram),
            (used.bram_18k, self.available.bram_18k),
            (used.dsp, self.available.dsp),
        )
        return sum(need / have for need, have in pairs if have)


def _busy(layer: PlacedArray) -> int:
    """Cycles from an image's drain to its sums, where they are held once."""
    plan = layer.plan
    if plan.event_driven or not plan.decoded_rows:
        return 0
    return layer.levels + 7 + (plan.bucket_rows + 1 if plan.bucket_rows else 0)


def _interval(layer: PlacedArray) -> int:
    """Cycles an image of an array alone, every input nonzero."""
    plan, levels = layer.plan, layer.levels
    held = levels if plan.bucket_rows else 0
    rows = max(layer.words, layer.first_words + held) + levels
    if plan.decoded_rows:
        return max(rows, layer.beats)
    turns = -(-layer.array.n_out // 2)
    weighing = levels * (plan.bucket_rows + turns + turns.bit_length() + 7) + turns
    return max(rows, weighing, layer.beats)
