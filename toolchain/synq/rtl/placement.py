"""Where the rows and the codes of each array lie in the Verilog core."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, signed_width
from synq.geometry import Geometry
from synq.network import QuantizedNetwork, SynapseArray
from synq.rtl.banks import Banks
from synq.rtl.codes import MOST_BUCKETS, RowCodes, bucket_values
from synq.rtl.design import Capacity, RtlArray, RtlDesign, wide_result
from synq.rtl.packing import Packing
from synq.rtl.places import PlacedPool, PlacedWindow
from synq.rtl.unrolled import Neuron, rounding_shift, unroll
from synq.stream import BEAT_BITS

LOGITS_A_BEAT = 2
"""Sums that the last array hands out a cycle: as many as an output beat holds."""

LESS_BITS = 3
"""Bits of what a loaded network takes off the shift that a core is built for."""

# Memories of more bits lie in block RAM, smaller ones in logic.
_MOST_CODE_BITS = 4096
_MOST_INPUT_BITS = 2048
_FEW_LANES = 16  # as many as one of `synq_copies` reaches


@dataclass(frozen=True, eq=False)
class PlacedArray:
    """One array in its place between the others.

    Attributes:
        index: number of the array.
        array: its synapses.
        plan: how it is built.
        in_lanes: inputs that arrive in a cycle.
        out_lanes: outputs that it hands out in a cycle, unless it flows into an unrolled array.
        activation: format of its outputs; None for the network's own, which are sums.
        window: what hands out a convolution's places, each of which is an image to the array; None
            of a dense layer.
        pool: what makes one of the sums of some; None for nothing.
    """

    index: int
    array: SynapseArray
    plan: RtlArray
    in_lanes: int
    out_lanes: int = LOGITS_A_BEAT
    activation: FixedPoint | None = None
    window: PlacedWindow | None = None
    pool: PlacedPool | None = None

    @property
    def coming(self) -> Packing:
        """An image as it comes to the layer: before the window, if there is one."""
        return self.arriving if self.window is None else self.window.image

    @property
    def arriving(self) -> Packing:
        """An image as it arrives at the array."""
        return Packing(self.array.n_in, self.array.input_format.width, self.in_lanes)

    @property
    def stored(self) -> Packing:
        """An image as it is stored."""
        return self.arriving

    @property
    def sums(self) -> Packing:
        """An image's sums as they are handed out."""
        capacity = self.plan.capacity
        bits = self.array.accumulator.width if capacity is None else capacity.sum_bits
        return Packing(self.array.n_out, bits, self.out_lanes)

    @property
    def parts(self) -> Packing:
        """A tile's sums as they go to converters; without these, as `sums`."""
        if self.plan.capacity is not None:
            return self.sums
        return Packing(self.array.n_out, self.array.partial.width, self.out_lanes)

    @property
    def tiles(self) -> int:
        """Tiles whose sums are converted one after another."""
        return len(self.array.tiles)


@dataclass(frozen=True, eq=False)
class UnrolledArray(PlacedArray):
    """An array whose synapses are logic.

    Raises:
        SynqError: it is read through converters.
    """

    def __post_init__(self) -> None:
        if self.array.converter is not None:
            raise SynqError(
                f"array {self.index}: an unrolled array has no converters, which would be as large "
                "as all of its sums: use datapath decode or buckets",
                settings=("datapath", "adc_bits"),
            )

    @cached_property
    def neurons(self) -> list[Neuron]:
        """Its outputs."""
        return _unrolled(self.array, self.rounded, self.plan.logic_levels)

    @property
    def rounded(self) -> FixedPoint | None:
        """Format of the neurons' outputs; None for sums, as pools take them."""
        return None if self.pool is not None else self.activation

    @property
    def sum_depth(self) -> int:
        """Cycles from a whole image to its sums."""
        return max(neuron.depth for neuron in self.neurons)


@lru_cache(maxsize=32)  # a search places the same array many times
def _unrolled(
    array: SynapseArray, activation: FixedPoint | None, logic_levels: int
) -> list[Neuron]:
    return unroll(array, activation, logic_levels)


@dataclass(frozen=True, eq=False)
class BankedArray(PlacedArray):
    """An array with its inputs and its codes in banks, a bank for each row of a cycle.

    Raises:
        SynqError: it cannot be built so.
    """

    def __post_init__(self) -> None:
        if self.plan.event_driven and self.in_lanes < self.plan.rows:
            raise SynqError(
                f"array {self.index}: an event-driven array takes at most as many rows a cycle as "
                f"inputs arrive in one, {self.in_lanes}, got {self.plan.rows}: use fewer rows"
            )
        values = len(bucket_values(self.array))
        if self.plan.bucket_rows and values > MOST_BUCKETS:
            raise SynqError(
                f"array {self.index}: level buckets hold at most {MOST_BUCKETS} values, the "
                f"codebook has {values}: use decoded rows only"
            )
        try:
            _ = self.banks
        except ValueError as error:
            raise SynqError(
                f"array {self.index}: {error}: use as many rows a cycle as divide the tile's",
                settings=("rows", "tile"),
            ) from None
        if self.plan.capacity is not None:
            self._check_capacity(self.plan.capacity)

    def _check_capacity(self, capacity: Capacity) -> None:
        if self.array.converter is not None:
            raise SynqError(
                f"array {self.index}: a core whose network is replaced has no converters: their "
                "ranges are fixed; leave out one of the two",
                settings=("reloadable", "adc_bits"),
            )
        needs = {
            "values": (len(self.codes.level_values), capacity.buckets),
            "levels": (self.codes.levels, capacity.levels),
            "bits of a total": (self._own_total_bits, capacity.total_bits),
        }
        if not self.plan.bucket_rows:
            needs = {}
        needs["bits of a sum"] = (self.array.accumulator.width, capacity.sum_bits)
        needs["bits of a value"] = (self.array.table_format.width, capacity.value_bits)
        for what, (needed, built) in needs.items():
            if needed > built:
                raise SynqError(
                    f"array {self.index}: the network takes {needed} {what}, the core is built for "
                    f"{built}: export a core from the larger network"
                )
        if self.activation is not None:
            shift = rounding_shift(self.array, self.activation)
            least = capacity.shift - (1 << LESS_BITS) + 1
            if not least <= shift <= capacity.shift:
                raise SynqError(
                    f"array {self.index}: the network shifts its sums by {shift} bits, the core is "
                    f"built for {least} to {capacity.shift}: export a core from the other network"
                )

    @property
    def stored(self) -> Packing:
        """An image as it is stored; one row a cycle needs no more than one input a cycle."""
        one_by_one = self.plan.rows == 1 and not self.plan.event_driven
        lanes = 1 if one_by_one else self.in_lanes
        return Packing(self.array.n_in, self.array.input_format.width, lanes)

    @cached_property
    def codes(self) -> RowCodes:
        """What its codes say."""
        in_buckets, capacity = self.plan.bucket_rows > 0, self.plan.capacity
        if capacity is None or not in_buckets:
            return RowCodes(self.array, in_buckets, self.plan.buckets)
        return RowCodes(self.array, in_buckets, capacity.buckets, capacity.levels)

    @cached_property
    def banks(self) -> Banks:
        """Where its rows lie."""
        return Banks(
            n_in=self.array.n_in,
            biased=self.array.bias_input is not None,
            count=self.plan.rows,
            lanes=self.stored.lanes,
            skips_zeros=self.plan.event_driven,
            waits=self.codes.levels if self.plan.bucket_rows else 0,
            tile_rows=None if self.array.converter is None else self.array.converter.tile_rows,
        )

    @property
    def total_bits(self) -> int:
        """Bits that hold the total of any level over the bucket banks; more than an input's."""
        capacity = self.plan.capacity
        return self._own_total_bits if capacity is None else capacity.total_bits

    @cached_property
    def _own_total_bits(self) -> int:
        low, high = 0, 0
        if self.plan.bucket_rows:
            rows = self.banks.rows[: self.plan.bucket_rows]
            for tile in self.array.tiles:
                within = rows[(rows >= tile.start) & (rows < tile.stop)]
                ends = self.codes.totals(within)
                low, high = min(low, ends[0]), max(high, ends[1])
        return max(signed_width(low, high), self.array.input_format.width + 2)

    @property
    def held_twice(self) -> bool:
        """Whether the sums of an image, or a tile, wait while those of the one before are handed
        out: where rows may take less time than that."""
        return self.plan.event_driven or self.tiles > 1 or self.window is not None

    @property
    def keeps(self) -> bool:
        """Whether a beat of sums that is not taken is kept: where lanes are many, so that a stall
        of the next array does not reach all of them at once."""
        return self.array.n_out > _FEW_LANES

    @property
    def address_bits(self) -> int:
        """Bits of a word's number in a bank: its rows, then, with buckets, each level twice."""
        most = self.banks.words + 2 * self.codes.levels + 1
        return max(1, (max(most, self.banks.written_words) - 1).bit_length())

    @property
    def code_depth(self) -> int:
        """Words of a bank of codes."""
        return 1 << self.address_bits

    @property
    def value_bits(self) -> int:
        """Bits of a value."""
        capacity = self.plan.capacity
        return self.array.table_format.width if capacity is None else capacity.value_bits

    @property
    def weight_bits(self) -> int:
        """Bits of a code of a decoded row: where the network is replaced, that is its value."""
        return self.codes.code_bits if self.plan.capacity is None else self.value_bits

    def code_bits(self, bank: int) -> int:
        """Bits of a code in a bank."""
        return self.codes.code_bits if bank < self.plan.bucket_rows else self.weight_bits

    def word_bits(self, bank: int) -> int:
        """Bits of a word of codes: one of every output."""
        return self.array.n_out * self.code_bits(bank)

    @property
    def codes_in_block(self) -> bool:
        """Whether a bank of codes lies in block RAM."""
        bits = self.array.n_out * self.codes.code_bits
        return self.plan.capacity is not None or self.code_depth * bits > _MOST_CODE_BITS

    @property
    def input_address_bits(self) -> int:
        """Bits of the number of a stored beat, or, where rows go in turn, of a word."""
        return self.address_bits if self.banks.in_turn else self.stored.index_bits

    @property
    def inputs_in_block(self) -> bool:
        """Whether a bank's inputs, of two images, lie in block RAM."""
        bits = self.banks.group * self.array.input_format.width
        return (2 << self.input_address_bits) * bits > _MOST_INPUT_BITS

    def code_words(self, bank: int) -> NDArray[np.int64]:
        """(code_depth, n_out) int64: the codes in each word of a bank.

        Behind the rows follow, with buckets, words that name the levels, and words that name them
        with the sign set. Where the network is replaced, decoded rows have values for codes.
        """
        words = np.zeros((self.code_depth, self.array.n_out), dtype=np.int64)
        rows, codes = self.banks.rows[bank], self.codes
        held = rows[rows >= 0]
        if self.plan.capacity is not None and bank >= self.plan.bucket_rows:
            words[: len(rows)][rows >= 0] = self.array.weights[held]
            if codes.in_buckets:
                values = np.array(codes.level_values[: codes.levels])
                words[len(rows) :][: codes.levels] = values[:, None]
            return words & ((1 << self.value_bits) - 1)
        words[: len(rows)][rows >= 0] = codes.codes[held]
        if codes.in_buckets:
            names = np.arange(codes.levels)[:, None]
            levels = words[len(rows) :]
            levels[: codes.levels] = names
            levels[codes.levels : 2 * codes.levels] = names | 1 << codes.index_bits
        return words


def place_arrays(network: QuantizedNetwork, design: RtlDesign) -> list[PlacedArray]:
    """The arrays of a network as a design builds them.

    Raises:
        SynqError: an array cannot be built so.
    """
    if len(design.arrays) != len(network.arrays):
        raise SynqError(
            f"the design describes {len(design.arrays)} arrays, the network has "
            f"{len(network.arrays)}"
        )
    _check_result(network.sizes[-1], design)
    lanes = [
        array.n_in if design.flows(index) else plan.lanes
        for index, (array, plan) in enumerate(zip(network.arrays, design.arrays, strict=True))
    ]
    lanes[0] = design.beat_bits // network.input_format.width
    lanes.append(LOGITS_A_BEAT)
    return [
        place_layer(network, index, plan, *lanes[index : index + 2])
        for index, plan in enumerate(design.arrays)
    ]


def place_layer(
    network: QuantizedNetwork, index: int, plan: RtlArray, arriving: int, handed_out: int
) -> PlacedArray:
    """A layer as its plan builds it.

    Args:
        arriving: values that come in a cycle.
        handed_out: outputs that it hands out in a cycle.

    Raises:
        SynqError: it cannot be built so.
    """
    kind = UnrolledArray if plan.unrolled else BankedArray
    array, geometry = network.arrays[index], network.geometries[index]
    activation = (*network.activations, None)[index]
    window = _window(index, array, plan, geometry, arriving)
    pool = _pool(index, array, geometry, handed_out)
    lanes = arriving if window is None else window.place.lanes
    return kind(index, array, plan, lanes, handed_out, activation, window, pool)


def _window(
    index: int, array: SynapseArray, plan: RtlArray, geometry: Geometry, arriving: int
) -> PlacedWindow | None:
    """What stands before the array, if anything.

    Args:
        arriving: values a beat of what is before.
    """
    window = geometry.window
    if window is None:
        if plan.window:
            raise SynqError(f"array {index}: a dense layer has no window")
        return None
    if plan.capacity is not None:
        raise SynqError(
            f"array {index}: a core with convolutions cannot be loaded with another network: leave "
            "out reloadable",
            settings=("reloadable",),
        )
    lanes = arriving if index else 1  # the stream's pixels one after another
    if window.shape[2] % lanes:
        raise SynqError(
            f"array {index}: values that arrive in a cycle, {lanes}, divide the "
            f"{window.shape[2]} channels"
        )
    if plan.window not in (lanes, window.n_in):
        raise SynqError(
            f"array {index}: a window hands out {lanes} or {window.n_in} values in a cycle, got "
            f"{plan.window}"
        )
    placed = PlacedWindow(
        window, array.input_format.width, lanes, arriving, whole=plan.window != lanes
    )
    if placed.whole and window.kernel[0] > 1 and placed.grid[1] < 2:
        raise SynqError(
            f"array {index}: an image of one column has no window that hands out places whole"
        )
    return placed


def _pool(
    index: int, array: SynapseArray, geometry: Geometry, handed_out: int
) -> PlacedPool | None:
    """What stands behind the array's sums, if anything.

    Args:
        handed_out: outputs that the array hands out in a cycle.
    """
    if geometry.window is None:
        return None
    if array.n_out % handed_out:
        raise SynqError(
            f"array {index}: outputs that are handed out in a cycle, {handed_out}, divide the "
            f"{array.n_out} channels"
        )
    if geometry.pool is None:
        return None
    sums = Packing(array.n_out, array.accumulator.width, handed_out)
    return PlacedPool(geometry.pool, geometry.window.places, sums)


def _check_result(n_out: int, design: RtlDesign) -> None:
    if design.result_bits == BEAT_BITS:
        return
    if design.result_bits != wide_result(n_out):
        raise SynqError(
            f"the output stream of {n_out} outputs has {BEAT_BITS} bits or {wide_result(n_out)}, "
            f"got {design.result_bits}"
        )
    if not design.arrays[-1].unrolled:
        raise SynqError(
            "only an unrolled last array answers in one wide beat: use a 64-bit output stream"
        )
