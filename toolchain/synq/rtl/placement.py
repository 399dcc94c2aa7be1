"""Where an array's rows and codes lie in the Verilog core's memories."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, signed_width
from synq.network import QuantizedNetwork, SynapseArray
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.unrolled import Neuron, unroll
from synq.signed_codes import SignedCodes

_MOST_BUCKETS = 32  # a look-up table used as memory is 32 deep


_BLOCK_INPUT_BITS = 2048  # likewise, of inputs, which can be written


def plan_layers(network: QuantizedNetwork, design: RtlDesign) -> list["PlacedArray"]:
    """The layers of a design.

    Raises:
        SynqError: a layer cannot be built so.
    """
    if len(design.arrays) != len(network.arrays):
        raise SynqError(
            f"the design describes {len(design.arrays)} arrays, the network has "
            f"{len(network.arrays)}"
        )
    n_out = network.sizes[-1]
    if design.result_bits != 64:
        if design.result_bits != wide_result(n_out):
            raise SynqError(
                f"the output stream of {n_out} outputs has 64 bits or {wide_result(n_out)}, got "
                f"{design.result_bits}"
            )
        if not design.arrays[-1].unrolled:
            raise SynqError(
                "only an unrolled last array answers in one wide beat: use a 64-bit output stream"
            )
    layers = []
    for index, (array, plan) in enumerate(zip(network.arrays, design.arrays, strict=True)):
        lanes = array.n_in if design.flows(index) else plan.lanes
        if index == 0:
            lanes = design.beat_bits // array.input_format.width
        activation = (*network.activations, None)[index]
        layers.append(PlacedArray(index, array, plan, lanes, activation))
    return layers


@dataclass(frozen=True, eq=False)
class PlacedArray:
    """One array and how it is built: where its rows and codes lie.

    Attributes:
        index: number of the array.
        array: its synapses.
        plan: how it is built.
        in_lanes: inputs that arrive in a cycle.
        activation: format of its outputs; None for the network's own.
    """

    index: int
    array: SynapseArray
    plan: RtlArray
    in_lanes: int
    activation: FixedPoint | None = None

    def __post_init__(self) -> None:
        if self.plan.event_driven and self.lanes < self.plan.rows:
            raise SynqError(
                f"array {self.index}: an event-driven array takes at most as many rows a cycle as "
                f"inputs arrive in one, {self.lanes}, got {self.plan.rows}: use fewer rows"
            )
        if self.plan.bucket_rows and len(self._bucket_values) > _MOST_BUCKETS:
            raise SynqError(
                f"array {self.index}: level buckets hold at most {_MOST_BUCKETS} values, the "
                f"codebook has {len(self._bucket_values)}: use decoded rows only"
            )

    @cached_property
    def neurons(self) -> list[Neuron]:
        """The outputs of an unrolled array."""
        return unroll(self.array, self.activation, self.plan.logic_levels)

    @property
    def sum_depth(self) -> int:
        """Cycles from a whole image to the sums of an unrolled array."""
        return max(neuron.depth for neuron in self.neurons)

    @property
    def lanes(self) -> int:
        """Inputs stored in a cycle; an array of one row a cycle needs no more than one."""
        return 1 if self.plan.rows == 1 and not self.plan.event_driven else self.in_lanes

    @property
    def beats(self) -> int:
        """Cycles that storing an image takes."""
        return -(-self.array.n_in // self.lanes)

    @property
    def rotate(self) -> bool:
        """Whether rows go to the banks in turn; else each lane belongs to a bank."""
        return not self.plan.event_driven and self.lanes < self.plan.rows

    @property
    def group(self) -> int:
        """Lanes of a bank, at most."""
        return 1 if self.rotate else -(-self.lanes // self.plan.rows)

    @property
    def block_inputs(self) -> bool:
        """Whether a bank's inputs, of two images, lie in block RAM."""
        words = 2 << (self.address if self.rotate else max(1, (self.beats - 1).bit_length()))
        bits = words * self.group * self.array.input_format.width
        return bits > _BLOCK_INPUT_BITS

    @cached_property
    def placement(self) -> NDArray[np.int64]:
        """(rows, words) int64: the array's row in each word of each bank, -1 where is none."""
        n_in, banks = self.array.n_in, self.plan.rows
        rows = np.arange(n_in)
        biased = self.array.bias_input is not None
        if self.rotate:
            bank, word = self._turns(self.skip)
            bias = bank[n_in], word[n_in]
            words = int(word[: n_in + biased].max()) + 1
            bank, word = bank[:n_in], word[:n_in]
        else:
            beat, lane = rows // self.lanes, rows % self.lanes
            bank = banks - 1 - lane % banks
            word = beat * np.where(bank, self.group, self.lanes // banks) + lane // banks
            words = self.beats * self.group
            bias = banks - 1, words
            words += biased
        placement = np.full((banks, words), -1, dtype=np.int64)
        placement[bank, word] = rows
        if biased:
            placement[bias] = n_in
        return placement

    def _turns(self, skip: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bank and word of every input of every beat, in their turn, and of one more.

        Args:
            skip: from this beat on a new round leaves bank 0 out.
        """
        banks, taken = self.plan.rows, np.arange(self.beats * self.lanes + 1)
        # The first round that ends in beat `skip` or later; the next ones leave bank 0 out.
        whole = (skip * self.lanes) // banks + 1
        later = taken - whole * banks
        bank = np.where(later < 0, taken % banks, 1 + later % max(1, banks - 1))
        word = np.where(later < 0, taken // banks, whole + later // max(1, banks - 1))
        return bank, word

    @cached_property
    def skip(self) -> int:
        """The beat from which on bank 0 is left out, which makes up for the cycles of its drain."""
        if not (self.rotate and self.plan.bucket_rows):
            return self.beats
        n_rows, waits = self.array.n_rows, self.levels
        # With every bank busy to the end, bank 0 has `waits` fewer words than the others.
        rounds = max(1, -(-(n_rows + waits) // self.plan.rows) - waits)
        skip = min(self.beats, -(-rounds * self.plan.rows // self.lanes))
        for earlier in range(skip, max(0, skip - self.plan.rows), -1):
            bank, word = (turns[:n_rows] for turns in self._turns(earlier))
            if (bank == 0).sum() + waits <= word.max() + 1:
                return earlier
        return skip

    @property
    def first_words(self) -> int:
        """Rows of bank 0."""
        if self.rotate:
            return max(1, int((self.placement[0] >= 0).sum()))
        return self.words if self.plan.rows == 1 else self.beats * (self.lanes // self.plan.rows)

    @property
    def words(self) -> int:
        """Rows of a bank."""
        return self.placement.shape[1]

    @cached_property
    def signed(self) -> SignedCodes:
        """The codes, in the array's order."""
        return SignedCodes(self.array)

    @property
    def _bucket_values(self) -> list[int]:
        return _bucket_values(self.signed)

    @cached_property
    def level_values(self) -> list[int]:
        """The value of each bucket; those to drain first."""
        return self._buckets[0]

    @cached_property
    def _buckets(self) -> tuple[list[int], NDArray[np.int64]]:
        """Each bucket's value, and (n_rows, n_out) the bucket of every synapse.

        A value with several buckets takes them in turn, row by row, in every lane.
        """
        return _share_buckets(self.array, self.plan.buckets)

    @property
    def levels(self) -> int:
        """Steps of the drain; one idle step without buckets."""
        if not self.plan.bucket_rows:
            return 1
        return max(1, sum(value != 0 for value in self.level_values))

    @property
    def index_bits(self) -> int:
        """Bits of a bucket's number."""
        return max(1, (len(self.level_values) - 1).bit_length())

    @property
    def code_bits(self) -> int:
        """Bits of a code; with buckets, a sign above the bucket's number."""
        return self.index_bits + 1 if self.plan.bucket_rows else self.signed.code_bits

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(n_rows, n_out) int64."""
        if not self.plan.bucket_rows:
            plain: NDArray[np.int64] = self.signed.codes.astype(np.int64)
            return plain
        sign = (self.array.weights < 0) & self.signed.has_sign
        codes: NDArray[np.int64] = self._buckets[1] | (sign.astype(np.int64) << self.index_bits)
        return codes

    @cached_property
    def total_bits(self) -> int:
        """Bits that hold the total of any level over the bucket banks; more than an input's."""
        array, low, high = self.array, 0, 0
        drive = np.full(array.n_rows, array.input_format.max_raw, dtype=np.int64)
        if array.bias_input is not None:
            drive[-1] = array.bias_input
        rows = self.placement[: self.plan.bucket_rows]
        rows = rows[rows >= 0]
        if self.plan.bucket_rows:
            # The inputs of each lane's codes, added up.
            lanes = np.arange(array.n_out) << self.code_bits
            driven = np.broadcast_to(drive[rows][:, None], (len(rows), array.n_out))
            totals = np.bincount(
                (self.codes[rows] + lanes).ravel(),
                driven.ravel(),
                minlength=array.n_out << self.code_bits,
            ).reshape(array.n_out, 2, -1)[:, :, : self.levels]
            high, low = int(totals[:, 0].max()), -int(totals[:, 1].max())
        return max(signed_width(low, high), array.input_format.width + 2)

    @property
    def address(self) -> int:
        """Bits of a word's number in a bank: its rows, then, with buckets, each level twice."""
        most = self.words + 2 * self.levels + 1
        if self.rotate:
            most = max(most, int(self._turns(self.skip)[1].max()) + 1)
        return max(1, (most - 1).bit_length())

    @property
    def memories(self) -> dict[str, bytes]:
        """A memory file a bank: lines of hexadecimal digits, output 0 lowest."""
        word_bits = self.array.n_out * self.code_bits
        files = {}
        for bank in range(self.plan.rows):
            codes = np.zeros((1 << self.address, self.array.n_out), dtype=np.int64)
            rows = self.placement[bank]
            codes[: self.words][rows >= 0] = self.codes[rows[rows >= 0]]
            if self.plan.bucket_rows:
                for level in range(self.levels):
                    codes[self.words + level] = level
                    codes[self.words + self.levels + level] = level | 1 << self.index_bits
            files[self.memory_name(bank)] = _hex_lines(codes, self.code_bits, word_bits)
        return files

    def memory_name(self, bank: int) -> str:
        return f"codes_{self.index}_{bank}.mem"

    @property
    def values(self) -> list[int]:
        """The value of each code."""
        if self.plan.bucket_rows:
            magnitudes = self.level_values + [0] * ((1 << self.index_bits) - len(self.level_values))
            return magnitudes + [-value for value in magnitudes]
        values = list(self.signed.values)
        if not self.signed.has_sign:
            return values + [0] * ((1 << self.code_bits) - len(values))
        half = values + [0] * ((1 << (self.code_bits - 1)) - len(values))
        return half + [-value for value in half]


def _bucket_values(signed: SignedCodes) -> list[int]:
    """The value of each level, zero last: nothing is ever drained from it."""
    return [value for value in signed.values if value] + [0] * (0 in signed.values)


@lru_cache(maxsize=64)  # a planner tries many numbers of rows
def _share_buckets(array: SynapseArray, most: int | None) -> tuple[list[int], NDArray[np.int64]]:
    signed, weights = SignedCodes(array), array.weights
    values = _bucket_values(signed)
    kinds = np.abs(weights) if signed.has_sign else weights
    counts = np.array([(kinds == value).sum(axis=0).max() for value in values])
    share = np.ones(len(values), dtype=np.int64)
    for _ in range((most or 0) - len(values)):
        busy = np.where(np.array(values) == 0, 0, counts / share)
        share[int(np.argmax(busy))] += 1
    buckets: list[int] = []
    index = np.zeros(weights.shape, dtype=np.int64)
    for value, parts in zip(values, share.tolist(), strict=True):
        here = kinds == value
        index[here] = (len(buckets) + (np.cumsum(here, axis=0) - 1) % parts)[here]
        buckets += [value] * parts
    return buckets, index


def _hex_lines(codes: NDArray[np.int64], code_bits: int, word_bits: int) -> bytes:
    bits = (codes[:, :, None] >> np.arange(code_bits)) & 1
    flat = bits.reshape(len(codes), word_bits).astype(np.uint8)
    packed = np.packbits(flat, axis=1, bitorder="little")[:, ::-1]
    digits = -(-word_bits // 4)
    return "".join(row.tobytes().hex()[-digits:] + "\n" for row in packed).encode()
