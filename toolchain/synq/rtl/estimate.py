"""What the Verilog core takes and how long, without synthesis: a model of what Yosys makes of it.

Counted module by module from the structure of `hls_templates/rtl`, for AMD's 7-series; compared
with Yosys and Verilator by `benchmarks/rtl_model.py`. A LUT is one look-up table of six inputs.

bucket lane: its WIDTH bits added, one LUT and one flip-flop each; a bucket memory of 32 words takes
    4 LUTs for each 8 bits (RAM32M with one address).
decoded lane: factor, product and sum are a DSP; the value of a code is a LUT a bit up to 6-bit
    codes; with buckets, taking the total instead of the input a LUT a bit that both have. Rows but
    the first add their sums, a LUT a bit.
codes: a block RAM of 36 bits up to 512 words, 18 of 1024, ... for each bank, and a register a bit.
input, stored: block RAM or RAM32M a bank; choosing its lane, a LUT for four; rotating a beat to the
    banks, two inputs a LUT. Event lists: two counters, a comparison and a memory a lane.
delays: three cycles or more are one SRL a bit, below flip-flops.
sums, handed out: held once (twice with events), chosen by a LUT for four words.
unrolled array: the look-up tables and flip-flops it is designed from, an image of inputs, rounding,
    and a queue of 32 answers; not compared with Yosys here.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from synq.cost import Estimate, Resources
from synq.network import QuantizedNetwork
from synq.rtl.cycles import worst_case
from synq.rtl.design import RtlDesign
from synq.rtl.placement import PlacedArray, plan_layers
from synq.rtl.verilog import BLOCK_BITS

_SHORTEST_SRL = 3
_DEEP = 32  # words of a LUT used as memory
# Yosys' LUT4, LUTRAM and FF of one design on ECP5 over its 7-series', which the rest counts
_ECP5 = (2.63, 2.07, 1.11)


@dataclass(frozen=True)
class RtlEstimate:
    """A design's estimate, and each layer's share of it."""

    total: Estimate
    layers: tuple[Resources, ...]


def estimate_design(network: QuantizedNetwork, design: RtlDesign) -> Estimate:
    """The estimate of the whole core; with events, cycles of the worst case.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    return estimate_layers(plan_layers(network, design)).total


def estimate_layers(layers: list[PlacedArray]) -> RtlEstimate:
    """The same, of layers as `plan_layers` makes them."""
    shares = tuple(
        estimate_layer(layer, layers[index + 1].in_lanes if index + 1 < len(layers) else 2)
        for index, layer in enumerate(layers)
    )
    whole = sum(shares, Resources(lut=3, ff=1))
    latency, interval = worst_case(layers)
    return RtlEstimate(Estimate(whole, latency, interval), shares)


def for_family(estimate: Estimate, family: str) -> Estimate:
    """An estimate, which counts look-up tables of six inputs, for those of the board's family."""
    if family != "ecp5":
        return estimate
    used = estimate.resources
    counts = (used.lut, used.lutram, used.ff)
    lut, lutram, ff = (round(n * factor) for n, factor in zip(counts, _ECP5, strict=True))
    return replace(estimate, resources=replace(used, lut=lut, lutram=lutram, ff=ff))


def estimate_layer(layer: PlacedArray, out_lanes: int) -> Resources:
    """One layer; without the top module's few LUTs.

    Args:
        out_lanes: sums that it hands out a cycle.
    """
    if layer.plan.unrolled:
        return _unrolled(layer)
    parts = [_intake(layer), _codes(layer)]
    parts.append(_events(layer) if layer.plan.event_driven else _dense(layer))
    parts.append(_banks(layer))
    if layer.plan.decoded_rows:
        parts += [_multipliers(layer), _unload(layer, out_lanes)]
    else:
        parts.append(_weigher(layer, out_lanes))
    parts.append(_result(layer) if layer.activation is None else _activation(layer, out_lanes))
    return sum(parts, Resources())


def _unrolled(layer: PlacedArray) -> Resources:
    inputs = layer.array.n_in * layer.array.input_format.width
    answer = layer.array.n_out * layer.array.accumulator.width
    lut = sum(neuron.luts for neuron in layer.neurons)
    ff = sum(neuron.ffs for neuron in layer.neurons)
    if layer.activation is not None:
        answer = layer.array.n_out * layer.activation.width
        lut += 2 * answer
    return Resources(lut=lut + 50, ff=ff + inputs + answer + 50) + _memory(_DEEP, answer)


def _index_bits(count: int) -> int:
    return max(1, (count - 1).bit_length())


def _delay(width: int, cycles: int) -> Resources:
    if cycles >= _SHORTEST_SRL:
        return Resources(lut=width, lutram=width)
    return Resources(ff=width * cycles)


def _memory(depth: int, width: int) -> Resources:
    """A memory of logic with a port to write and one to read: RAM32M or RAM64M, 6 or 3 bits."""
    bits = 6 if depth <= _DEEP else 3
    luts = 4 * ceil(depth / (_DEEP if depth <= _DEEP else 64)) * ceil(width / bits)
    return Resources(lut=luts, lutram=luts)


def block_rams(depth: int, width: int) -> int:
    """Blocks of 18 Kbit of a memory with one port to write and one to read."""
    choices = [(512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)]
    small = min(-(-depth // words) * -(-width // bits) for words, bits in choices)
    large = min(
        2 * -(-depth // words) * -(-width // bits)
        for words, bits in [(2 * words, bits) for words, bits in choices] + [(512, 72)]
    )
    return min(small, large)


def _intake(layer: PlacedArray) -> Resources:
    x, index = layer.array.input_format.width, _index_bits(layer.beats)
    wide = layer.lanes * x
    usage = Resources(lut=wide + 2 * index + 6, ff=wide + 2 * index + 4)
    if layer.in_lanes > layer.lanes:  # gearbox
        lane = _index_bits(layer.in_lanes)
        count = _index_bits(layer.array.n_in)
        choice = x * ceil((layer.in_lanes - 1) / 3)
        usage += Resources(lut=choice + lane + 2 * count, ff=lane + count)
    return usage


def _codes(layer: PlacedArray) -> Resources:
    depth = 1 << layer.address
    named = 0  # bits of the words that name the levels
    if layer.plan.bucket_rows:
        named = int(np.bitwise_or.reduce(np.arange(layer.levels))) | 1 << layer.index_bits
    usage = Resources()
    for rows in layer.placement:
        # Bits that are zero in every word are no memory.
        ones = np.bitwise_or.reduce(layer.codes[rows[rows >= 0]], axis=0) | named
        width = sum(int(each).bit_count() for each in ones)
        if depth * layer.array.n_out * layer.code_bits > BLOCK_BITS:
            usage += Resources(ff=width, bram_18k=block_rams(depth, width))
        else:
            usage += Resources(lut=width * max(1, depth // 64), ff=2 * width)
    return usage


def _dense(layer: PlacedArray) -> Resources:
    x, address, banks, group = (
        layer.array.input_format.width,
        layer.address,
        layer.plan.rows,
        layer.group,
    )
    index = address if layer.rotate else _index_bits(layer.beats)
    lane = _index_bits(group) if group > 1 else 0
    usage = Resources(lut=14, ff=10)
    # Bank 0 is read by itself where it waits or has fewer rows.
    apart = banks > 1 and (layer.plan.bucket_rows > 0 or layer.first_words != layer.words)
    walk = Resources(lut=address + 5, ff=3 * address + 2)
    if group > 1:
        walk += Resources(lut=index + lane + 3, ff=index + 2 * lane)
    usage += walk * (1 + apart)
    bank = Resources(lut=x * (ceil((group - 1) / 3) + bool(layer.array.bias_input)), ff=x)
    depth, width = 2 << index, group * x
    if layer.block_inputs:
        bank += Resources(bram_18k=block_rams(depth, width))
    else:
        bank += _memory(depth, width) + Resources(ff=width)
    if layer.rotate:
        pixel = ceil(layer.lanes / 3) + (layer.lanes > 3)
        bank += Resources(lut=x * pixel + layer.lanes + 5 + index)
        usage += Resources(lut=banks + index, ff=banks + index)
    return usage + bank * (banks)


def _events(layer: PlacedArray) -> Resources:
    x, address, group = layer.array.input_format.width, layer.address, layer.group
    index = _index_bits(layer.beats)
    count = index + 1
    lane = Resources(lut=3 * count + 4, ff=2 * count + x + index + 1)
    lane += _memory(2 << index, x + index)
    if group > 1:
        lane += Resources(
            lut=address // 2
        )  # naming the row; half of it joins the choice of the lane
    bank = Resources(lut=(x + address) * ceil((group - 1) / 5) + 2, ff=x + address)
    usage = Resources(lut=8, ff=5) + lane * (layer.lanes) + bank * (layer.plan.rows)
    return usage + Resources(lut=4, ff=2) * (layer.array.bias_input is not None)


def _banks(layer: PlacedArray) -> Resources:
    """The bucket banks, their place in time, and the control of the array."""
    n_out, x, address, width = (
        layer.array.n_out,
        layer.array.input_format.width,
        layer.address,
        layer.total_bits,
    )
    banks, decoded, levels = layer.plan.bucket_rows, layer.plan.decoded_rows, layer.levels
    skew = banks + 1 if banks else 0
    back = max(banks, levels) if decoded else banks
    chain = 7 + max(back, skew) if decoded else banks + 4
    usage = Resources(lut=25 if banks else 8, ff=chain + (7 + skew if decoded else chain) + 12)
    # The numbers of rows and levels, one chain for all banks.
    if decoded:  # two bits that follow an image to its end
        usage += Resources(lut=2, lutram=2)
    usage += Resources(lut=2 * address * (banks > 0), ff=address * (2 + max(back, skew)))
    usage += Resources(ff=address * max(0, banks - 1))
    for bank in range(banks):
        usage += _delay(x, bank) + Resources(lut=address, ff=2 * x + 4)
    words = 2 << layer.index_bits if not decoded else 1 << layer.index_bits
    memory = 4 * ceil(width / 8) * ceil(words / _DEEP)
    lane = Resources(lut=width + memory, lutram=memory, ff=width)
    usage += lane * (banks * n_out)
    if decoded and banks:
        usage += _delay(n_out * width, back - banks) + Resources(ff=n_out * width)
    return usage


def _multipliers(layer: PlacedArray) -> Resources:
    n_out, x, address = layer.array.n_out, layer.array.input_format.width, layer.address
    banks, decoded = layer.plan.bucket_rows, layer.plan.decoded_rows
    value = _value_luts(layer) * (1 << max(0, layer.code_bits - 6))
    row = Resources(lut=n_out * value, ff=2 * x, dsp=n_out) + _delay(x, banks + 1 if banks else 0)
    usage = row * (decoded)
    if banks:
        usage += Resources(lut=n_out * min(x, layer.total_bits) + address * decoded)
    # Three sums are added at once: measured, one and a half LUTs a bit.
    adders = 1.5 if decoded == 3 else decoded - 1
    return usage + Resources(lut=round(n_out * layer.array.accumulator.width * adders))


def _value_luts(layer: PlacedArray) -> int:
    """Different bits of a code's value that are neither constant nor a bit of the code."""
    values = layer.values
    given = [
        tuple(code >> bit & 1 for code in range(len(values))) for bit in range(layer.code_bits)
    ]
    bits = {
        tuple(value >> bit & 1 for value in values) for bit in range(layer.array.table_format.width)
    }
    return sum(len(set(bit)) > 1 and bit not in given for bit in bits)


def _unload(layer: PlacedArray, lanes: int) -> Resources:
    n_out, accumulator = layer.array.n_out, layer.array.accumulator.width
    held = n_out * accumulator
    beats = -(-n_out // lanes)
    index = _index_bits(beats)
    usage = _select(lanes * accumulator, beats) + Resources(lut=index + 10, ff=held + index + 8)
    if layer.plan.event_driven:
        usage += Resources(lut=2, ff=held + 2)
    return usage


def _select(width: int, count: int) -> Resources:
    usage, left, index = Resources(), count, _index_bits(count)
    for _ in range((index + 1) // 2):
        left = -(-left // 4)
        index = max(0, index - 2)
        usage += Resources(lut=left * width, ff=left * width + index)
    return usage


def _weigher(layer: PlacedArray, lanes: int) -> Resources:
    n_out, accumulator = layer.array.n_out, layer.array.accumulator.width
    turns = -(-n_out // lanes)
    usage = _select(lanes * layer.total_bits, turns)
    usage += Resources(ff=turns * lanes * layer.total_bits)
    group = Resources(lut=accumulator, ff=accumulator, dsp=1)
    group += _memory(1 << _index_bits(turns), accumulator)
    return usage + group * (lanes) + Resources(lut=20, ff=20)


def _activation(layer: PlacedArray, lanes: int) -> Resources:
    assert layer.activation is not None
    accumulator, width = layer.array.accumulator.width, layer.activation.width
    return Resources(lut=lanes * (accumulator + width + 4) + 3, ff=lanes * width + 2)


def _result(layer: PlacedArray) -> Resources:
    accumulator = layer.array.accumulator.width
    return Resources(lut=3 * accumulator, ff=4 * accumulator + 25)
