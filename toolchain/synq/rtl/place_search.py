"""The designs of a Verilog core with convolutions that are worth a look.

Layers work on images of their own, so the slowest one sets the interval: for each of a range of
intervals, the layers are those that keep to it and are the smallest together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from synq.cost import Resources
from synq.errors import SynqError, UsageError
from synq.geometry import Geometry
from synq.network import QuantizedNetwork, SynapseArray
from synq.request import BUDGET, Datapath, Request
from synq.rtl.codes import MOST_BUCKETS, bucket_values
from synq.rtl.cycles import image_interval
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import estimate_array
from synq.rtl.placement import LOGITS_A_BEAT, place_layer

_ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 32, 50)
_LANES = (1, 2, 4, 8)
_STEP = 0.95  # from an interval to the next shorter one
_DSP_WEIGHTS = (1.0, 3.0)  # multipliers of all layers together may be scarcer than of one


def convolutional_designs(
    network: QuantizedNetwork, available: Resources, request: Request
) -> Iterator[RtlDesign]:
    """Designs whose layers are as small as an interval allows.

    Args:
        available: resources of the board.

    Raises:
        UsageError: it cannot be loaded with another network.
        SynqError: no design can be built.
    """
    if request.reloadable:
        raise UsageError(
            "a core with convolutions cannot be loaded with another network: leave out reloadable",
            settings=("reloadable",),
        )
    stream = request.beat_bits // network.input_format.width
    layers = [
        _Layer(network, index, available, request, stream) for index in range(len(network.arrays))
    ]
    slowest = _chosen(layers, None, _DSP_WEIGHTS[0])
    if slowest is None:
        raise SynqError(
            "no Verilog design of the convolutions can be built as asked: an event-driven array "
            "takes at most as many rows a cycle as inputs arrive in one, level buckets hold at "
            f"most {MOST_BUCKETS} values, and the rows of a cycle lie in one tile; use fewer rows "
            "or levels, or other tiles",
            settings=("rows", "levels", "tile", "datapath"),
        )
    seen = set()
    for weight in _DSP_WEIGHTS:
        options: list[_Option] | None = slowest
        while options is not None:
            plans = tuple(option.plan for option in options)
            if plans not in seen:
                seen.add(plans)
                yield RtlDesign(plans, request.beat_bits)
            interval = max(option.interval for option in options)
            options = _chosen(layers, int(interval * _STEP), weight)


def _chosen(layers: list["_Layer"], most: int | None, weight: float) -> "list[_Option] | None":
    """The options of all layers that take the smallest share of the board together.

    From the last layer on: what a layer takes a cycle, the one before hands out.

    Args:
        most: cycles an image.
        weight: of multipliers among the shares.
    """
    # The best rest of the network by what its first layer takes a cycle.
    best: dict[int, tuple[float, list[_Option]]] = {LOGITS_A_BEAT: (0.0, [])}
    for layer in reversed(layers):
        found: dict[int, tuple[float, list[_Option]]] = {}
        for handed_out, (share, rest) in best.items():
            for option in layer.options(handed_out):
                if most is not None and option.interval > most:
                    continue
                total = share + option.share + (weight - 1) * option.dsp_share
                lanes = option.plan.lanes
                if lanes not in found or total < found[lanes][0]:
                    found[lanes] = total, [option, *rest]
        best = found
    return min(best.values(), key=lambda each: each[0])[1] if best else None


@dataclass(frozen=True)
class _Option:
    """A way to build a layer.

    Attributes:
        interval: cycles an image.
        share: of the board's resources, added: any of them may become scarce.
        dsp_share: of its multipliers alone.
    """

    plan: RtlArray
    interval: int
    share: float
    dsp_share: float


@dataclass
class _Layer:
    """A layer, and what it can be."""

    network: QuantizedNetwork
    index: int
    available: Resources
    request: Request
    stream: int  # values a beat of the input stream
    tried: dict[int, list[_Option]] = field(default_factory=dict)

    @property
    def array(self) -> SynapseArray:
        return self.network.arrays[self.index]

    @property
    def geometry(self) -> Geometry:
        return self.network.geometries[self.index]

    def options(self, handed_out: int) -> list[_Option]:
        """All that can be built, if it hands out so many outputs in a cycle."""
        if handed_out not in self.tried:
            costs = (
                self._cost(plan, handed_out)
                for lanes in self._lanes()
                for plan in self._plans(lanes)
            )
            self.tried[handed_out] = [option for option in costs if option is not None]
        return self.tried[handed_out]

    def _lanes(self) -> list[int]:
        """Values that may arrive in a cycle."""
        if self.index == 0:
            return [1]
        earlier = self.network.geometries[self.index - 1]
        n_out = self.network.arrays[self.index - 1].n_out
        if earlier.window is None:
            return [lanes for lanes in _LANES if lanes <= n_out]
        divisors = [lanes for lanes in range(1, n_out + 1) if n_out % lanes == 0]
        return sorted({*divisors[: len(_LANES) - 1], n_out})

    def _plans(self, lanes: int) -> Iterator[RtlArray]:
        window = self.geometry.window
        for seen in (0,) if window is None else sorted({lanes, window.n_in}):
            for plan in self._datapaths(seen or (lanes if self.index else self.stream)):
                yield replace(plan, lanes=lanes, window=seen)

    def _datapaths(self, arriving: int) -> Iterator[RtlArray]:
        """Ways to build the array, as many values as arrive in a cycle."""
        array, request = self.array, self.request
        asked = request.datapath
        if asked is Datapath.UNROLLED or (asked is None and self._is_small()):
            yield RtlArray(0, 0, unrolled=True)
        if asked is Datapath.UNROLLED:
            return
        rows_asked = request.rows_of(array) if self.index == 0 else None
        counts = [rows for rows in _ROWS if rows <= array.n_rows]
        if rows_asked is not None:
            counts = [min(rows_asked, array.n_rows)]
        has_buckets = len(bucket_values(array)) <= MOST_BUCKETS
        for rows in counts:
            if request.event_driven and rows > arriving:
                continue
            for decoded in sorted({int(rows > 1), 1, min(rows, 2), rows}):
                buckets = rows - decoded
                if decoded * array.n_out > self.available.dsp or (buckets and not has_buckets):
                    continue
                if asked is Datapath.DECODE and buckets:
                    continue
                if asked is Datapath.BUCKETS and not buckets:
                    continue
                yield RtlArray(buckets, decoded, request.event_driven)

    def _is_small(self) -> bool:
        """Whether its synapses as logic may fit the board: about a look-up table a bit."""
        if self.request.event_driven or self.geometry.window is None:
            return False
        bits = int(np.count_nonzero(self.array.weights)) * self.array.input_format.width
        return bits <= BUDGET * self.available.lut

    def _cost(self, plan: RtlArray, handed_out: int) -> _Option | None:
        lanes = plan.lanes if self.index else self.stream
        try:
            placed = place_layer(self.network, self.index, plan, lanes, handed_out)
        except SynqError:
            return None
        used, have = estimate_array(placed), self.available
        pairs = (
            (used.lut, have.lut),
            (used.lutram, have.lutram),
            (used.bram_18k, have.bram_18k),
            (used.dsp, have.dsp),
        )
        share = sum(need / all_of_it for need, all_of_it in pairs if all_of_it)
        dsp_share = used.dsp / have.dsp if have.dsp else 0.0
        return _Option(plan, image_interval(placed), share, dsp_share)
