"""What the templates of the Verilog are rendered from: each module's parameters, by their names.

What a module's parameters mean stands in its file in `hls_templates/rtl`, which also checks that
they agree.
"""

from dataclasses import dataclass

from synq.fixedpoint import Overflow, Rounding, signed_width
from synq.read_noise import ReadNoise
from synq.rtl import pipeline
from synq.rtl.design import RtlDesign
from synq.rtl.packing import Packing, index_bits
from synq.rtl.placement import BankedArray, PlacedArray, UnrolledArray
from synq.rtl.places import PlacedPool, PlacedWindow
from synq.rtl.unrolled import Neuron, concat, rounding_shift
from synq.stream import BEAT_BITS

_ROUNDING = {Rounding.TRN: 0, Rounding.RND: 1, Rounding.RND_CONV: 2}
SLICE = 64
"""Bits of a word of a loaded network."""

_LEAST_QUEUE = 5  # binary logarithm of the answers that a queue holds: what look-up tables do


@dataclass(frozen=True)
class Requantization:
    """From sums to activations: `synq_activation` and `synq_round`.

    Attributes:
        bits: of an activation.
        shift: bits by which a sum is shifted right, at most; left where negative.
        less: what is taken off it, where it can be replaced.
        rounding: 0 down, 1 ties up, 2 ties to even.
        saturate: 1 clips what is too large, 0 keeps its lowest bits.
    """

    bits: int
    shift: int
    less: int
    rounding: int
    saturate: int

    @property
    def ties_to_even(self) -> int:
        """1 if a tie goes to the even neighbour."""
        return int(self.rounding == 2)


@dataclass(frozen=True)
class Converters:
    """From the sums of tiles to the sums of images: `synq_converters`.

    Attributes:
        tiles: of an image.
        tile_rows: rows of a tile, but the last.
        shift: bits of a tile's sum below a converter's step.
        bits: of a converter.
        noise: of a read; None without.
        reversed: 1 if an image's last tile is read first.
    """

    tiles: int
    tile_rows: int
    shift: int
    bits: int
    noise: ReadNoise | None
    reversed: int

    @property
    def noise_bits(self) -> int:
        """Bits of the noise and half a step."""
        assert self.noise is not None
        least, most = self.noise.range
        half = (1 << self.shift) >> 1
        return signed_width(least + half, most + half)

    @property
    def noise_keys(self) -> str:
        """All keys as one hexadecimal number, the first one lowest."""
        assert self.noise is not None
        return "".join(f"{key:08x}" for key in reversed(self.noise.keys))


@dataclass(frozen=True)
class Rows:
    """The inputs of an array, row by row: `synq_rows_dense` or `synq_rows_events`.

    Attributes:
        module: which of the two.
        banks: rows a cycle.
        bias: 1 if a row is driven by a constant.
        bias_input: the constant, a raw integer.
        words: words of a bank that hold rows.
        skip: the beat from which on rounds leave bank 0 out.
        block: 1 for inputs in block RAM.
    """

    module: str
    banks: int
    bias: int
    bias_input: int
    words: int
    skip: int
    block: int


@dataclass(frozen=True)
class Memory:
    """The codes of an array: a `synq_rom` a bank.

    Attributes:
        widths: bits of a word of each bank: the codes of all outputs.
        address: bits of a word's number.
        block: 1 for block RAM.
        files: a bank's words, for `$readmemh`.
    """

    widths: tuple[int, ...]
    address: int
    block: int
    files: tuple[str, ...]

    def offset(self, bank: int) -> int:
        """Where a bank's word begins among those of all."""
        return sum(self.widths[:bank])

    def slices(self, bank: int) -> int:
        """Words of a loaded network in one of a bank."""
        return -(-self.widths[bank] // SLICE)


@dataclass(frozen=True)
class Synapses:
    """From rows and codes to sums: `synq_array` or `synq_array_serial`.

    Attributes:
        module: which of the two.
        bucket_rows: rows a cycle that go to buckets.
        decoded_rows: rows a cycle that are multiplied.
        levels: steps of the drain.
        total_bits: of a level's total.
        code_bits: of a code.
        direct: 1 if that of a decoded row is a value.
        value_bits: of a value.
        values: what multipliers take, side by side, the first lowest: the value of each code, or,
            where totals are weighed one after another, of each level.
        images: of whose sums some are not free yet, from the drain on: 1 or 2.
        keeps: 1 if a beat of sums that is not taken is kept.
    """

    module: str
    bucket_rows: int
    decoded_rows: int
    levels: int
    total_bits: int
    code_bits: int
    direct: int
    value_bits: int
    values: str
    images: int
    keeps: int

    @property
    def weighed_bits(self) -> int:
        """Bits of the number of a level."""
        return index_bits(self.levels)


@dataclass(frozen=True)
class BankedLayer:
    """What `layer.v` is rendered from.

    Attributes:
        index: number of the array.
        x_signed: 1 if its inputs are two's complement.
        arriving: an image as it arrives.
        stored: an image as it is stored.
        rows: its inputs.
        memory: its codes.
        synapses: its datapath.
        parts: the sums of a tile as they are handed out.
        converters: of these; None where the whole array is one exact sum.
        sums: its sums as they are handed out.
        pool: of its sums; None for nothing.
        requantization: of its sums; None for the network's own outputs.
        out_bits: of an output beat.
    """

    index: int
    x_signed: int
    arriving: Packing
    stored: Packing
    rows: Rows
    memory: Memory
    synapses: Synapses
    parts: Packing
    converters: Converters | None
    sums: Packing
    pool: PlacedPool | None
    requantization: Requantization | None
    out_bits: int

    @property
    def title(self) -> str:
        """What it is, for people."""
        kinds = {
            "in buckets": self.synapses.bucket_rows,
            "in multipliers": self.synapses.decoded_rows,
        }
        parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        title = (
            f"{self.arriving.values} inputs, {self.sums.values} outputs, "
            f"{self.rows.banks} rows ({parts}) a cycle"
        )
        if self.converters is None:
            return title
        return f"{title}, {self.converters.tiles} tiles read through {self.converters.bits} bits"


@dataclass(frozen=True)
class NeuronModule:
    """What `neuron.v` is rendered from: an output of an unrolled array.

    Attributes:
        index: number of the array.
        number: of the output.
        body: Verilog from the inputs `x` to the register `sum`.
        n_inputs: bits of `x`.
        x: of the layer's `image`, the bits that make `x`.
        sum_bits: of `sum`.
        sum: `sum` in `acc_bits` bits.
        offset: what `sum` holds beyond the accumulator: half a step of the output, to round.
        whole: `sum` without the offset, which takes a bit more, in `acc_bits` bits.
        acc_bits: of an accumulator.
        delay: cycles that its sum is ready before the layer's last one.
        requantization: of its sum; None for an output of the network.
    """

    index: int
    number: int
    body: str
    n_inputs: int
    x: str
    sum_bits: int
    sum: str
    offset: int
    whole: str
    acc_bits: int
    delay: int
    requantization: Requantization | None

    @property
    def name(self) -> str:
        """Of the module."""
        return f"synq_neuron_{self.index}_{self.number}"


@dataclass(frozen=True)
class UnrolledLayer:
    """What `layer_unrolled.v` is rendered from.

    Attributes:
        index: number of the array.
        arriving: an image as it arrives.
        flows_in: whether images come from an unrolled array.
        flows_out: whether they go on to one.
        wide: whether an image's whole answer is one beat.
        neurons: its outputs.
        sums: its sums as they are handed out.
        sum_depth: cycles from a whole image to its sums.
        address: binary logarithm of the images under way at a time.
        pool: of its sums; None for nothing.
        requantization: of its sums; None for the network's own outputs.
        out_bits: of an output beat.
    """

    index: int
    arriving: Packing
    flows_in: bool
    flows_out: bool
    wide: bool
    neurons: tuple[NeuronModule, ...]
    sums: Packing
    sum_depth: int
    address: int
    pool: PlacedPool | None
    requantization: Requantization | None
    out_bits: int

    @property
    def rounding(self) -> Requantization | None:
        """What its neurons do themselves: nothing before a pool."""
        return None if self.pool is not None else self.requantization

    @property
    def value_bits(self) -> int:
        """Of a neuron's output: an activation or a sum."""
        return self.sums.bits if self.rounding is None else self.rounding.bits

    @property
    def depth(self) -> int:
        """Cycles from a whole image to its outputs."""
        return self.sum_depth + (self.rounding is not None)


@dataclass(frozen=True)
class Top:
    """What `top.v` is rendered from.

    Attributes:
        pixels: an image as it arrives.
        windows: what stands before each layer's array; None of a dense layer.
        beat_bits: of the input stream.
        result_bits: of the output stream.
        joints: of what is before, between and behind the layers: bits of a beat, and what the
            receiver answers: that it is `ready`, or, inside a pipeline, that an image has `left`.
    """

    pixels: Packing
    windows: tuple[PlacedWindow | None, ...]
    beat_bits: int
    result_bits: int
    joints: tuple[tuple[int, str], ...]


def top_parameters(placed: list[PlacedArray], design: RtlDesign) -> Top:
    """The top module's."""
    widths = [*(each.coming.beat_bits for each in placed), design.result_bits]
    joints = tuple(
        (width, "left" if design.flows(index) else "ready") for index, width in enumerate(widths)
    )
    windows = tuple(each.window for each in placed)
    return Top(placed[0].coming, windows, design.beat_bits, design.result_bits, joints)


def banked_parameters(placed: BankedArray) -> BankedLayer:
    """The parameters of a layer with banks."""
    array, plan, banks, codes = placed.array, placed.plan, placed.banks, placed.codes
    return BankedLayer(
        index=placed.index,
        x_signed=int(array.input_format.signed),
        arriving=placed.arriving,
        stored=placed.stored,
        rows=Rows(
            module="synq_rows_events" if plan.event_driven else "synq_rows_dense",
            banks=banks.count,
            bias=int(banks.biased),
            bias_input=array.bias_input or 0,
            words=banks.words,
            skip=banks.skip,
            block=int(placed.inputs_in_block),
        ),
        memory=Memory(
            widths=tuple(placed.word_bits(bank) for bank in range(banks.count)),
            address=placed.address_bits,
            block=int(placed.codes_in_block),
            files=tuple(memory_name(placed.index, bank) for bank in range(banks.count)),
        ),
        synapses=Synapses(
            module="synq_array" if plan.decoded_rows else "synq_array_serial",
            bucket_rows=plan.bucket_rows,
            decoded_rows=plan.decoded_rows,
            levels=codes.levels,
            total_bits=placed.total_bits,
            code_bits=placed.code_bits(0),
            direct=int(plan.capacity is not None),
            value_bits=placed.value_bits,
            values=_values(placed),
            images=1 + placed.held_twice,
            keeps=int(placed.keeps),
        ),
        parts=placed.parts,
        converters=_converters(placed),
        sums=placed.sums,
        pool=placed.pool,
        requantization=_requantization(placed),
        out_bits=_out_bits(placed, BEAT_BITS),
    )


def _values(placed: BankedArray) -> str:
    codes = placed.codes
    if not placed.plan.decoded_rows:
        return _constant(codes.level_values[: codes.levels], placed.value_bits)
    return "" if placed.plan.capacity is not None else _constant(codes.values, placed.value_bits)


def memory_name(index: int, bank: int) -> str:
    """The file of a bank's codes."""
    return f"codes_{index}_{bank}.mem"


def unrolled_parameters(
    placed: UnrolledArray, others: list[PlacedArray], design: RtlDesign
) -> UnrolledLayer:
    """The parameters of an unrolled layer.

    Args:
        others: all arrays, this one among them.
    """
    index = placed.index
    requantization = _requantization(placed)
    return UnrolledLayer(
        index=index,
        arriving=placed.arriving,
        flows_in=design.flows(index),
        flows_out=design.flows(index + 1),
        wide=placed.activation is None and design.result_bits != BEAT_BITS,
        neurons=tuple(
            _neuron(placed, number, neuron, None if placed.pool else requantization)
            for number, neuron in enumerate(placed.neurons)
        ),
        sums=placed.sums,
        sum_depth=placed.sum_depth,
        address=_queue_address(index, others, design),
        pool=placed.pool,
        requantization=requantization,
        out_bits=_out_bits(placed, design.result_bits),
    )


def _neuron(
    placed: UnrolledArray, number: int, neuron: Neuron, requantization: Requantization | None
) -> NeuronModule:
    x_bits, acc_bits = placed.array.input_format.width, placed.array.accumulator.width
    return NeuronModule(
        index=placed.index,
        number=number,
        body=neuron.body,
        n_inputs=len(neuron.inputs),
        x=concat([f"image[{place * x_bits + bit}]" for place, bit in neuron.inputs]),
        sum_bits=neuron.width,
        sum=_resized("sum", neuron.width, acc_bits),
        offset=neuron.offset,
        whole=_resized("whole", neuron.width + 1, acc_bits),
        acc_bits=acc_bits,
        delay=placed.sum_depth - neuron.depth,
        requantization=requantization,
    )


def _resized(name: str, width: int, wanted: int) -> str:
    """A two's complement in another width, which holds its value."""
    if width < wanted:
        return f"{{{{{wanted - width}{{{name}[{width - 1}]}}}}, {name}}}"
    return name if width == wanted else f"{name}[{wanted - 1}:0]"


def _requantization(placed: PlacedArray) -> Requantization | None:
    activation = placed.activation
    if activation is None:
        return None
    own, capacity = rounding_shift(placed.array, activation), placed.plan.capacity
    shift = own if capacity is None else capacity.shift
    return Requantization(
        bits=activation.width,
        shift=shift,
        less=shift - own,
        rounding=_ROUNDING[activation.rounding],
        saturate=int(activation.overflow is Overflow.SAT),
    )


def _converters(placed: PlacedArray) -> Converters | None:
    array = placed.array
    if array.converter is None:
        return None
    form = array.converter.format
    return Converters(
        placed.tiles,
        array.converter.tile_rows,
        array.partial.fraction - form.fraction,
        form.width,
        array.noise,
        int(placed.plan.event_driven),
    )


def _out_bits(placed: PlacedArray, result_bits: int) -> int:
    if placed.activation is None:
        return result_bits
    return placed.out_lanes * placed.activation.width


def _queue_address(index: int, placed: list[PlacedArray], design: RtlDesign) -> int:
    """Binary logarithm of how many images are under way in the unrolled arrays around `index`.

    As many as keep the pipeline full: one a cycle, from the last beat's arrival to the answer.
    """
    first = end = index
    while design.flows(first):
        first -= 1
    while design.flows(end + 1):
        end += 1
    chain = [each for each in placed[first : end + 1] if isinstance(each, UnrolledArray)]
    cycles = sum(each.sum_depth + 1 for each in chain)
    cycles += (chain[-1].array.n_out - 1).bit_length()  # the comparison of a wide answer
    return max(_LEAST_QUEUE, (cycles + pipeline.SURROUND - 1).bit_length())


def _constant(values: list[int], bits: int) -> str:
    """A Verilog constant: the values side by side, the first lowest."""
    packed = sum((value & ((1 << bits) - 1)) << (bits * i) for i, value in enumerate(values))
    return f"{len(values) * bits}'h{packed:x}"
