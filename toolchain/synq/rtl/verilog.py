"""The network as synthesizable Verilog-2005 between two AXI4-Streams.

A library of parameterized modules (`hls_templates/rtl/synq_*.v`), a module a layer and a top module
made from templates, and a memory file of codes for every bank. The streams' contract is that of
`synq.hls.axis`, so that both back ends answer the same beats, unless a design asks for wider ones.

How an array is built (`RtlArray`):
- `bucket_rows` banks add one input each and cycle to the bucket of every output's code;
- `decoded_rows` rows a cycle are weighted in multipliers, one an output and row. The first of these
  also weighs the totals of the buckets at the end of an image;
- or `unrolled`: the synapses are logic, a pipeline takes an image a cycle (`synq.rtl.unrolled`).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, signed_width
from synq.hls.axis import beats_per_result, check_logits
from synq.layout import Layout
from synq.network import QuantizedNetwork, SynapseArray
from synq.resources import folder
from synq.rtl.unrolled import Neuron, concat, rounding_shift, unroll

TOP = "synq_top"
_MOST_BUCKETS = 32  # a look-up table used as memory is 32 deep
_BLOCK_INPUT_BITS = 2048  # likewise, of inputs, which can be written
BLOCK_BITS = 4096  # a memory smaller than this is built from logic
_QUEUE = 5  # likewise: binary logarithm
_MARGIN = 4  # cycles in and out of a pipeline, beside its own
_ROUNDING = {Rounding.TRN: 0, Rounding.RND: 1, Rounding.RND_CONV: 2}


@dataclass(frozen=True)
class RtlArray:
    """How one array is built.

    Attributes:
        bucket_rows: rows a cycle on level buckets.
        decoded_rows: rows a cycle on multipliers, n_out a row. With 0 the buckets' totals are
            weighed by a few shared multipliers, one lane after the other.
        event_driven: whether rows whose input is zero are skipped.
        lanes: inputs that arrive in a cycle from the array before; of the first array, what a beat
            of the stream holds.
        buckets: at most so many buckets a lane. More than there are values spreads the commonest
            values over several, which makes each narrower; None for one a value.
        unrolled: whether the synapses are logic rather than codes in memories: an image a cycle.
        logic_levels: of an unrolled array, counters, adders or tables between two registers.
    """

    bucket_rows: int
    decoded_rows: int
    event_driven: bool = False
    lanes: int = 1
    buckets: int | None = None
    unrolled: bool = False
    logic_levels: int = 2

    def __post_init__(self) -> None:
        if self.unrolled and (self.bucket_rows or self.decoded_rows or self.event_driven):
            raise ValueError("an unrolled array has no rows: neither buckets nor decoded ones")
        if self.bucket_rows < 0 or self.decoded_rows < 0 or (self.rows < 1 and not self.unrolled):
            raise ValueError("an array needs at least one row a cycle")
        if self.logic_levels < 1:
            raise ValueError(f"logic_levels must be at least 1, got {self.logic_levels}")
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, got {self.lanes}")

    @property
    def rows(self) -> int:
        """Rows a cycle."""
        return self.bucket_rows + self.decoded_rows


@dataclass(frozen=True)
class RtlDesign:
    """How a network is built.

    Attributes:
        arrays: one an array of the network.
        beat_bits: width of the input stream; 64 is the contract of `synq.hls.axis`.
        result_bits: width of the output stream: 64, or of an unrolled last array all the 64-bit
            beats of an image side by side (see `wide_result`).
    """

    arrays: tuple[RtlArray, ...]
    beat_bits: int = 64
    result_bits: int = 64

    def __post_init__(self) -> None:
        if self.beat_bits < 64 or self.beat_bits % 64:
            raise ValueError(f"beat_bits must be a multiple of 64, got {self.beat_bits}")

    def flows(self, index: int) -> bool:
        """Whether arrays `index - 1` and `index` are one pipeline."""
        pair = self.arrays[max(0, index - 1) : index + 1]
        return len(pair) == 2 and all(array.unrolled for array in pair)


def wide_result(n_out: int) -> int:
    """Bits of an image's whole answer, in one beat."""
    return 64 * beats_per_result(n_out)


def render_rtl(network: QuantizedNetwork, design: RtlDesign) -> dict[str, bytes]:
    """All files of the core, by name; the same bytes for the same arguments.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    check_logits(network)
    layers = plan_layers(network, design)
    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Verilog is full of braces.
        variable_start_string="@{",
        variable_end_string="}@",
        block_start_string="@%",
        block_end_string="%@",
        comment_start_string="@#",
        comment_end_string="#@",
    )
    templates = folder("hls_templates") / "rtl"
    files: dict[str, bytes] = {}
    for item in sorted(templates.iterdir(), key=lambda item: item.name):
        if item.name.startswith("synq_"):
            files[item.name] = item.read_bytes()

    def write(name: str, template: str, settings: dict[str, object]) -> None:
        text = (templates / template).read_text("ascii")
        files[name] = environment.from_string(text).render(settings).encode("ascii")

    for layer in layers:
        name = f"synq_layer_{layer.index}.v"
        if layer.plan.unrolled:
            settings = _unrolled_settings(layer, layers, design)
            write(name, "layer_unrolled.v", settings)
            write(f"synq_neurons_{layer.index}.v", "neurons.v", settings)
        else:
            write(name, "layer.v", _settings(layer, layers))
            files |= layer.memories
    widths = [layer.in_lanes * layer.array.input_format.width for layer in layers]
    top_settings: dict[str, object] = {
        "pixel_bits": network.input_format.width,
        "lanes": layers[0].in_lanes,
        "beat_bits": design.beat_bits,
        "result_bits": design.result_bits,
        "widths": [*widths, design.result_bits],
        "n_layers": len(layers),
    }
    write(f"{TOP}.v", "top.v", top_settings)
    return files


def plan_layers(network: QuantizedNetwork, design: RtlDesign) -> list["Layer"]:
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
        layers.append(Layer(index, array, plan, lanes, activation))
    return layers


@dataclass(frozen=True, eq=False)
class Layer:
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
    def _layout(self) -> Layout:
        return Layout(self.array, 1)

    @property
    def _bucket_values(self) -> list[int]:
        return _bucket_values(self._layout)

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
        return self.index_bits + 1 if self.plan.bucket_rows else self._layout.code_bits

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(n_rows, n_out) int64."""
        if not self.plan.bucket_rows:
            plain: NDArray[np.int64] = self._layout.codes[0].astype(np.int64)
            return plain
        sign = (self.array.weights < 0) & self._layout.has_sign
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
        values = list(self._layout.values)
        if not self._layout.has_sign:
            return values + [0] * ((1 << self.code_bits) - len(values))
        half = values + [0] * ((1 << (self.code_bits - 1)) - len(values))
        return half + [-value for value in half]


def _bucket_values(layout: Layout) -> list[int]:
    """The value of each level, zero last: nothing is ever drained from it."""
    return [value for value in layout.values if value] + [0] * (0 in layout.values)


@lru_cache(maxsize=64)  # a planner tries many numbers of rows
def _share_buckets(array: SynapseArray, most: int | None) -> tuple[list[int], NDArray[np.int64]]:
    layout, weights = Layout(array, 1), array.weights
    values = _bucket_values(layout)
    kinds = np.abs(weights) if layout.has_sign else weights
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


def _vector(values: list[int], bits: int) -> str:
    """A Verilog constant: the values side by side, the first lowest."""
    packed = sum((value & ((1 << bits) - 1)) << (bits * i) for i, value in enumerate(values))
    return f"{len(values) * bits}'h{packed:x}"


def _settings(layer: Layer, layers: list[Layer]) -> dict[str, object]:
    array, plan = layer.array, layer.plan
    last = layer is layers[-1]
    following = None if last else layers[layer.index + 1]
    out_lanes = 2 if following is None else following.in_lanes
    out_beats = -(-array.n_out // out_lanes)
    activation = None if following is None else following.array.input_format
    shift = rounding_shift(array, activation)
    bias_bank, bias_word = 0, 0
    if array.bias_input is not None:
        bias_bank, bias_word = (int(i) for i in np.argwhere(layer.placement == array.n_in)[0])
    depth = 1 << layer.address
    parts = []
    if plan.bucket_rows:
        parts.append(f"{plan.bucket_rows} in buckets")
    if plan.decoded_rows:
        parts.append(f"{plan.decoded_rows} in multipliers")
    return {
        "index": layer.index,
        "n_in": array.n_in,
        "n_out": array.n_out,
        "rows_text": f"{plan.rows} rows ({', '.join(parts)})",
        "x_bits": array.input_format.width,
        "in_lanes": layer.in_lanes,
        "lanes": layer.lanes,
        "block_inputs": int(layer.block_inputs),
        "beats": layer.beats,
        "beat_index": max(1, (layer.beats - 1).bit_length()),
        "last_lanes": array.n_in - (layer.beats - 1) * layer.lanes,
        "banks": plan.rows,
        "bucket_rows": plan.bucket_rows,
        "decoded_rows": plan.decoded_rows,
        "event_driven": plan.event_driven,
        "rows_module": "synq_rows_events" if plan.event_driven else "synq_rows_dense",
        "array_module": "synq_array" if plan.decoded_rows else "synq_array_serial",
        "rotate": int(layer.rotate),
        "group": layer.group,
        "words": layer.words,
        "first_words": layer.first_words,
        "skip": layer.skip,
        "address": layer.address,
        "depth": depth,
        "block": int(depth * array.n_out * layer.code_bits > BLOCK_BITS),
        "names": [layer.memory_name(bank) for bank in range(plan.rows)],
        "bias": int(array.bias_input is not None),
        "bias_bank": bias_bank,
        "bias_word": bias_word,
        "bias_input": array.bias_input or 0,
        "levels": layer.levels,
        "total_bits": layer.total_bits,
        "code_bits": layer.code_bits,
        "index_bits": layer.index_bits,
        "value_bits": array.table_format.width,
        "values": _vector(layer.values, array.table_format.width),
        "level_values": _vector(layer.level_values[: layer.levels], array.table_format.width),
        "groups": out_lanes,
        "acc_bits": array.accumulator.width,
        "images": 2 if plan.event_driven else 1,
        "out_lanes": out_lanes,
        "out_beats": out_beats,
        "out_index": max(1, (out_beats - 1).bit_length()),
        "out_bits": 64 if activation is None else out_lanes * activation.width,
        "last": last,
        "activation": activation,
        "shift": shift,
        "rounding": 0 if activation is None else _ROUNDING[activation.rounding],
        "saturate": int(activation is not None and activation.overflow is Overflow.SAT),
        "class_bits": out_beats.bit_length() + 1,
    }


def _unrolled_settings(layer: Layer, layers: list[Layer], design: RtlDesign) -> dict[str, object]:
    array, index = layer.array, layer.index
    last = layer is layers[-1]
    activation = None if last else layers[index + 1].array.input_format
    x_bits = array.input_format.width
    acc_bits = array.accumulator.width
    wide = last and design.result_bits != 64
    flows_out = design.flows(index + 1)
    out_lanes = 2 if last else layers[index + 1].in_lanes
    out_beats = -(-array.n_out // out_lanes)

    def x_of(neuron: Neuron) -> str:
        return concat([f"image[{number * x_bits + bit}]" for number, bit in neuron.inputs])

    def resized(name: str, width: int, wanted: int) -> str:
        """A two's complement in another width, which holds its value."""
        if width < wanted:
            return f"{{{{{wanted - width}{{{name}[{width - 1}]}}}}, {name}}}"
        return name if width == wanted else f"{name}[{wanted - 1}:0]"

    return {
        "index": index,
        "n_in": array.n_in,
        "n_out": array.n_out,
        "x_bits": x_bits,
        "resized": resized,
        "in_lanes": layer.in_lanes,
        "beats": layer.beats,
        "beat_index": max(1, (layer.beats - 1).bit_length()),
        "last_lanes": array.n_in - (layer.beats - 1) * layer.lanes,
        "flows_in": design.flows(index),
        "flows_out": flows_out,
        "neurons": layer.neurons,
        "x_of": x_of,
        "acc_bits": acc_bits,
        "value_bits": acc_bits if activation is None else activation.width,
        "sum_depth": layer.sum_depth,
        "depth": layer.sum_depth + (not last),
        "address": _queue_address(layer, layers, design),
        "last": last,
        "wide": wide,
        "class_index": max(1, (array.n_out - 1).bit_length()),
        "class_levels": (array.n_out - 1).bit_length(),
        "class_bits": out_beats.bit_length() + 1,
        "out_lanes": out_lanes,
        "out_beats": out_beats,
        "out_index": max(1, (out_beats - 1).bit_length()),
        "out_bits": design.result_bits if activation is None else out_lanes * activation.width,
        "activation": activation,
        "shift": rounding_shift(array, activation),
        "ties_to_even": int(activation is not None and activation.rounding is Rounding.RND_CONV),
        "saturate": int(activation is not None and activation.overflow is Overflow.SAT),
    }


def _queue_address(layer: Layer, layers: list[Layer], design: RtlDesign) -> int:
    """Binary logarithm of how many images are under way in the unrolled arrays around `layer`.

    As many as keep the pipeline full: one a cycle, from the last beat's arrival to the answer.
    """
    first = end = layer.index
    while design.flows(first):
        first -= 1
    while design.flows(end + 1):
        end += 1
    cycles = sum(each.sum_depth + 1 for each in layers[first : end + 1])
    cycles += (layers[end].array.n_out - 1).bit_length()  # the comparison of a wide answer
    return max(_QUEUE, (cycles + _MARGIN - 1).bit_length())
