"""What the Verilog core takes and how long, without synthesis: a model of what Yosys makes of it.

Counted module by module from the structure of `hls_templates/rtl`, for AMD's 7-series; compared
with Yosys and Verilator by `benchmarks/rtl_model.py`. A LUT is one look-up table of six inputs.

bucket lane: its WIDTH bits added, one LUT and one flip-flop each; a bucket memory of 32 words takes
    4 LUTs for each 8 bits (RAM32M with one address).
decoded lane: factor, product and sum are a DSP; the value of a code is a LUT a bit up to 6-bit
    codes; with buckets, taking the total instead of the input a LUT a bit that both have. Rows but
    the first add their sums, a LUT a bit.
codes: a block RAM of 36 bits up to 512 words, 18 of 1024, ... for each bank, and two registers a
    bit; in logic, one of the address and two a bit.
input, stored: block RAM or RAM32M a bank; choosing its lane, a LUT for four; rotating a beat to the
    banks, two inputs a LUT. Event lists: two counters, a comparison and a memory a lane.
delays: three cycles or more are one SRL a bit, below flip-flops.
window: some addresses and counts, the memory, and, whole, a register of all that the array sees.
pool: a comparison or a sum, and a choice, a bit, and the memory.
sums, handed out: held once (twice with events), chosen by a LUT for four words.
converters: a lane rounds, a LUT a bit of the sum, compares, clips and adds its levels, and keeps a
    total a beat; the rows' counters stop at tiles, event lists mark the tiles' ends. Read noise:
    a LUT a bit and round, and to count ones.
unrolled array: the look-up tables and flip-flops it is designed from, an image of inputs, rounding,
    and a queue of 32 answers, but between unrolled ones; choosing the class, all sums at once where
    answers are wide. Of many sums that are no powers of two apart Yosys makes up to a fifth more.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

import numpy as np

from synq.cost import Estimate, Resources, block_rams, noise_luts
from synq.network import QuantizedNetwork
from synq.rtl import pipeline
from synq.rtl.cycles import worst_case, worst_case_of_wide_answers
from synq.rtl.design import RtlDesign
from synq.rtl.packing import index_bits
from synq.rtl.placement import LESS_BITS, BankedArray, PlacedArray, UnrolledArray, place_arrays
from synq.rtl.places import PlacedPool, PlacedWindow
from synq.rtl.unrolled import SHORTEST_SRL
from synq.stream import BEAT_BITS

_LANES_A_COPY = 16  # of `synq_copies`
_DEEP = 32  # words of a LUT used as memory
# Yosys' LUT4, LUTRAM and FF of one design on ECP5 over its 7-series', which the rest counts
_ECP5 = (2.63, 2.07, 1.11)
_TOP = Resources(lut=7, ff=8)  # the top module itself
_LOADER = Resources(lut=400, ff=560)  # and its registers
_CONTROL_OF_UNROLLED = 20
_OF_A_LARGER_SUM = 1.7  # look-up tables a bit of two sums, compared and one of them chosen


def estimate_design(network: QuantizedNetwork, design: RtlDesign) -> Estimate:
    """The estimate of the whole core; with events, cycles of the worst case.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    placed = place_arrays(network, design)
    top = _TOP + _LOADER if design.reloadable else _TOP
    unrolled = [each for each in placed if isinstance(each, UnrolledArray)]
    wide = design.result_bits > BEAT_BITS and len(unrolled) == len(placed)
    cycles = worst_case_of_wide_answers(unrolled) if wide else worst_case(placed)
    used = sum(map(estimate_array, placed), top)
    for each in unrolled:
        if not design.flows(each.index + 1):
            used += _memory(_DEEP, _answer_bits(each))
    if unrolled and unrolled[-1] is placed[-1]:
        used += _classes(unrolled[-1], wide)
    return Estimate(used, *cycles)


def for_family(estimate: Estimate, family: str) -> Estimate:
    """An estimate, which counts look-up tables of six inputs, for those of the board's family."""
    if family != "ecp5":
        return estimate
    used = estimate.resources
    counts = (used.lut, used.lutram, used.ff)
    lut, lutram, ff = (round(n * factor) for n, factor in zip(counts, _ECP5, strict=True))
    return replace(estimate, resources=replace(used, lut=lut, lutram=lutram, ff=ff))


def estimate_array(placed: PlacedArray) -> Resources:
    """One array; without the top module's few LUTs."""
    if isinstance(placed, UnrolledArray):
        return _unrolled(placed)
    assert isinstance(placed, BankedArray)
    parts = [_intake(placed), _codes(placed)]
    parts.append(_events(placed) if placed.plan.event_driven else _dense(placed))
    parts.append(_banks(placed))
    if placed.plan.decoded_rows:
        parts += [_multipliers(placed), _unload(placed)]
    else:
        parts.append(_weigher(placed))
    if placed.array.converter is not None:
        parts.append(_converters(placed))
    parts.append(_result(placed) if placed.activation is None else _activation(placed))
    return sum(parts, _around(placed))


def _around(placed: PlacedArray) -> Resources:
    """What stands before and behind a convolution's array."""
    usage = Resources()
    if placed.window is not None:
        usage += _whole_window(placed.window) if placed.window.whole else _window(placed.window)
    if placed.pool is not None:
        usage += _pool(placed.pool)
    return usage


def _entrance(window: PlacedWindow) -> Resources:
    """Beats of an image, counted; from the stream, its pixels one by one."""
    beat, index = window.lanes * window.bits, index_bits(window.image.values // window.lanes)
    usage = Resources(lut=beat + 2 * index + 6, ff=beat + 2 * index + 4)
    if window.arriving > window.lanes:
        lane, count = index_bits(window.arriving), index_bits(window.image.values)
        choice = beat * ceil((window.arriving - 1) / 3)
        usage += Resources(lut=choice + lane + 2 * count, ff=lane + count)
    return usage


def _window(window: PlacedWindow) -> Resources:
    beat, address = window.word_bits, index_bits(window.depth)
    line = index_bits(window.window.shape[1] * window.words)
    counters = sum(map(index_bits, (*window.window.places, *window.window.kernel)))
    usage = _entrance(window) + _store(window.depth, beat, window.in_block)
    # Five addresses, one adder with a choice of four; rows that are held and needed.
    usage += Resources(
        lut=7 * address + 2 * (line + counters) + 40, ff=5 * address + line + counters
    )
    return usage + Resources(lut=beat, ff=beat + 20) + _memory(_DEEP, beat + 1)


def _whole_window(window: PlacedWindow) -> Resources:
    pixel = window.window.shape[2] * window.bits
    grid = sum(map(index_bits, (*window.grid, *window.grid)))
    usage = _entrance(window) + _memory(_DEEP, pixel + 1)
    if window.window.kernel[0] > 1:
        usage += _store(window.depth, window.word_bits, window.in_block)
    gathered = pixel if window.words > 1 else 0
    usage += Resources(lut=2 * grid + 40, ff=grid + 30 + gathered)
    return usage + Resources(lut=pixel, ff=pixel + window.window.n_in * window.bits)


def _pool(pool: PlacedPool) -> Resources:
    value, given = pool.sums.lanes * pool.out_bits, pool.sums.beat_bits
    count = sum(map(index_bits, (*pool.places, *pool.pool.size, pool.depth)))
    usage = _store(pool.depth, value, pool.in_block) + Resources(lut=count + 12, ff=count + 20)
    return usage + Resources(lut=2 * value, ff=given + 2 * value)


def _store(depth: int, width: int, block: bool) -> Resources:
    """A memory that is read a cycle later."""
    if block:
        return Resources(bram_18k=block_rams(depth, width))
    return _memory(depth, width) + Resources(ff=width)


def _unrolled(placed: UnrolledArray) -> Resources:
    """One without its queue and the choice of the class."""
    inputs = placed.array.n_in * placed.array.input_format.width
    answer = _answer_bits(placed)
    srl = sum(neuron.srls for neuron in placed.neurons)
    lut = sum(neuron.luts for neuron in placed.neurons) + srl
    ff = sum(neuron.ffs for neuron in placed.neurons)
    if placed.rounded is not None:
        lut += 2 * answer
    control = Resources(lut=_CONTROL_OF_UNROLLED, ff=_CONTROL_OF_UNROLLED)
    usage = Resources(lut=lut, lutram=srl, ff=ff + inputs + answer) + control
    if placed.pool is not None:
        usage += _activation(placed)
    return usage + _around(placed)


def _answer_bits(placed: UnrolledArray) -> int:
    form = placed.rounded or placed.array.accumulator
    return placed.array.n_out * form.width


def _classes(placed: UnrolledArray, wide: bool) -> Resources:
    """Choosing the largest sum: of all at once, or as they are handed out."""
    bits = placed.array.accumulator.width
    if not wide:
        return Resources(lut=3 * bits + 30, ff=4 * bits + 25)
    pairs = placed.array.n_out - 1
    return Resources(lut=round(_OF_A_LARGER_SUM * bits * pairs), ff=bits * pairs)


def _delay(width: int, cycles: int) -> Resources:
    if cycles >= SHORTEST_SRL:
        return Resources(lut=width, lutram=width)
    return Resources(ff=width * cycles)


def _memory(depth: int, width: int) -> Resources:
    """A memory of logic with a port to write and one to read: RAM32M or RAM64M, 6 or 3 bits."""
    bits = 6 if depth <= _DEEP else 3
    luts = 4 * ceil(depth / (_DEEP if depth <= _DEEP else 64)) * ceil(width / bits)
    return Resources(lut=luts, lutram=luts)


def _intake(placed: BankedArray) -> Resources:
    x, index = placed.array.input_format.width, placed.stored.index_bits
    wide = placed.stored.beat_bits
    usage = Resources(lut=wide + 2 * index + 6, ff=wide + 2 * index + 4)
    if placed.arriving.lanes > placed.stored.lanes:  # gearbox
        lane = index_bits(placed.arriving.lanes)
        count = index_bits(placed.array.n_in)
        choice = x * ceil((placed.arriving.lanes - 1) / 3)
        usage += Resources(lut=choice + lane + 2 * count, ff=lane + count)
    return usage


def _codes(placed: BankedArray) -> Resources:
    depth, codes = placed.code_depth, placed.codes
    named = 0  # bits of the words that name the levels
    if codes.in_buckets:
        named = int(np.bitwise_or.reduce(np.arange(codes.levels))) | 1 << codes.index_bits
    usage = Resources()
    for bank, rows in enumerate(placed.banks.rows):
        # Bits that are zero in every word are no memory.
        ones = np.bitwise_or.reduce(codes.codes[rows[rows >= 0]], axis=0) | named
        width = sum(int(each).bit_count() for each in ones)
        if placed.plan.capacity is not None:
            width, depth = placed.word_bits(bank), 2 * placed.code_depth
        if placed.codes_in_block:
            later = pipeline.READ - 1  # registers behind the memory's own
            usage += Resources(ff=later * width, bram_18k=block_rams(depth, width))
        else:
            earlier = (pipeline.READ - 2) * placed.address_bits
            usage += Resources(lut=width * max(1, depth // 64), ff=2 * width + earlier)
    return usage


def _dense(placed: BankedArray) -> Resources:
    x, address = placed.array.input_format.width, placed.address_bits
    banks, group, index = placed.plan.rows, placed.banks.group, placed.input_address_bits
    lane = index_bits(group) if group > 1 else 0
    usage = Resources(lut=14, ff=10)
    # Bank 0 is read by itself where it waits or has fewer rows.
    shorter = placed.banks.first_words != placed.banks.words
    apart = banks > 1 and (placed.plan.bucket_rows > 0 or shorter)
    walk = Resources(lut=address + 5, ff=2 * address + 2)
    if group > 1:
        walk += Resources(lut=index + lane + 3, ff=index + 2 * lane)
    usage += walk * (1 + apart)
    bank = Resources(lut=x * (ceil((group - 1) / 3) + bool(placed.array.bias_input)), ff=x)
    depth, width = 2 << index, group * x
    if placed.inputs_in_block:
        bank += Resources(bram_18k=block_rams(depth, width))
    else:
        bank += _memory(depth, width) + Resources(ff=width)
    if placed.banks.in_turn:
        pixel = ceil(placed.stored.lanes / 3) + (placed.stored.lanes > 3)
        bank += Resources(lut=x * pixel + placed.stored.lanes + 5 + index)
        usage += Resources(lut=banks + index, ff=banks + index)
    return usage + bank * banks


def _events(placed: BankedArray) -> Resources:
    x, address, group = placed.array.input_format.width, placed.address_bits, placed.banks.group
    index = placed.stored.index_bits
    count = index + 1
    lane = Resources(lut=3 * count + 4, ff=2 * count + x + index + 1)
    lane += _memory(2 << index, x + index)
    if group > 1:
        lane += Resources(
            lut=address // 2
        )  # naming the row; half of it joins the choice of the lane
    bank = Resources(lut=(x + address) * ceil((group - 1) / 5) + 2, ff=x)
    usage = Resources(lut=8, ff=5) + lane * placed.stored.lanes + bank * placed.plan.rows
    return usage + Resources(lut=4, ff=2) * (placed.array.bias_input is not None)


def _banks(placed: BankedArray) -> Resources:
    """The bucket banks, their place in time, and the control of the array."""
    n_out, x, address, width = (
        placed.array.n_out,
        placed.array.input_format.width,
        placed.address_bits,
        placed.total_bits,
    )
    banks, decoded, levels = placed.plan.bucket_rows, placed.plan.decoded_rows, placed.codes.levels
    skew = pipeline.skew(banks)
    if decoded:
        back = pipeline.clearing(banks, levels)
        chain, ending = pipeline.followed(banks, levels), pipeline.SUMMED + skew
    else:
        back = banks
        chain = ending = pipeline.drained(banks)
    usage = Resources(lut=25 if banks else 8, ff=chain + ending + 12)
    # The numbers of rows and levels, one chain for all banks.
    if decoded:  # two bits that follow an image to its end
        usage += Resources(lut=2, lutram=2)
    followed = pipeline.FETCH - 1 + max(back, skew)
    usage += Resources(lut=address * (banks > 0), ff=address * followed)
    usage += Resources(ff=address * max(0, banks - 1))
    held = pipeline.READ - 1 + _copies(n_out)  # what goes to the lanes, while codes are read
    for bank in range(banks):
        usage += _delay(x, bank) + Resources(lut=address, ff=address + (x + 2) * held)
    words = 2 << placed.codes.index_bits if not decoded else 1 << placed.codes.index_bits
    memory = 4 * ceil(width / 8) * ceil(words / _DEEP)
    lane = Resources(lut=width + memory, lutram=memory, ff=width)
    usage += lane * (banks * n_out)
    if decoded and banks:
        usage += _delay(n_out * width, back - banks) + Resources(ff=n_out * width)
    return usage + Resources(ff=_copies(n_out))  # of what lets a total pass


def _copies(n_out: int) -> int:
    """Registers that hold the same for all lanes, so that none reaches more than a few."""
    return ceil(n_out / _LANES_A_COPY)


def _multipliers(placed: BankedArray) -> Resources:
    n_out, x, address = placed.array.n_out, placed.array.input_format.width, placed.address_bits
    banks, decoded = placed.plan.bucket_rows, placed.plan.decoded_rows
    value = _value_luts(placed) * (1 << max(0, placed.codes.code_bits - 6))
    held = address + x * (pipeline.READ - 1) + (x + 1) * _copies(n_out)
    row = Resources(lut=n_out * value, ff=held, dsp=n_out)
    usage = (row + _delay(x, pipeline.skew(banks))) * decoded
    if banks:
        both = placed.total_bits if placed.array.input_format.signed else min(x, placed.total_bits)
        usage += Resources(lut=n_out * both + address * decoded)
    # Three sums are added at once: measured, one and a half LUTs a bit.
    adders = 1.5 if decoded == 3 else decoded - 1
    return usage + Resources(lut=round(n_out * placed.parts.bits * adders))


def _value_luts(placed: BankedArray) -> int:
    """Different bits of a code's value that are neither constant nor a bit of the code."""
    if placed.plan.capacity is not None:  # a code is its value
        return 0
    values = placed.codes.values

    def column(numbers: Iterable[int], bit: int) -> tuple[int, ...]:
        return tuple(number >> bit & 1 for number in numbers)

    given = [column(range(len(values)), bit) for bit in range(placed.codes.code_bits)]
    bits = {column(values, bit) for bit in range(placed.array.table_format.width)}
    return sum(len(set(bit)) > 1 and bit not in given for bit in bits)


def _unload(placed: BankedArray) -> Resources:
    sums = placed.parts
    held, index = sums.values * sums.bits, sums.index_bits
    kept = sums.beat_bits * placed.keeps  # a beat that is not taken
    usage = _select(sums.beat_bits, sums.beats)
    usage += Resources(lut=index + 10 + kept, ff=held + index + 11 + kept)
    if placed.held_twice:
        usage += Resources(lut=2, ff=held + 2)
    return usage


def _select(width: int, count: int) -> Resources:
    usage, left, index = Resources(), count, index_bits(count)
    for _ in range(pipeline.choice(count)):
        left = -(-left // 4)
        index = max(0, index - 2)
        usage += Resources(lut=left * width, ff=left * width + index)
    return usage


def _weigher(placed: BankedArray) -> Resources:
    sums, lanes = placed.parts, placed.parts.lanes
    usage = _select(lanes * placed.total_bits, sums.beats)
    usage += Resources(ff=sums.beats * lanes * placed.total_bits)
    group = Resources(lut=sums.bits, ff=sums.bits, dsp=1)
    group += _memory(1 << sums.index_bits, sums.bits)
    return usage + group * lanes + Resources(lut=20, ff=20)


def _converters(placed: BankedArray) -> Resources:
    converter, parts, sums = placed.array.converter, placed.parts, placed.sums
    assert converter is not None
    bits = converter.format.width
    above = max(0, parts.bits - (placed.array.partial.fraction - converter.format.fraction) - bits)
    lane = Resources(lut=parts.bits + above // 5 + 1 + bits + sums.bits, ff=bits + sums.bits)
    usage = Resources(lut=sums.index_bits + 6, ff=sums.index_bits + 6)
    if converter.noise is not None:
        lane += Resources(lut=noise_luts(converter.noise), ff=64 + parts.bits)
        usage += Resources(lut=48, ff=48)  # numbers of a read, a beat and a column
    if placed.tiles > 1:
        lane += _memory(1 << sums.index_bits, sums.bits)
        tile = index_bits(placed.tiles)
        usage += Resources(lut=2 * tile, ff=tile)
        if placed.plan.event_driven:
            count = placed.stored.index_bits + 1
            mark = _memory(2 << tile, count) + Resources(lut=count // 2 + count, ff=count)
            usage += mark * placed.stored.lanes + Resources(lut=12, ff=2 * tile + 6)
        else:
            walks = 1 + (placed.plan.rows > 1)
            stop = Resources(lut=placed.address_bits + 2, ff=placed.address_bits)
            usage += stop * walks + Resources(lut=tile + 3, ff=tile)
    return usage + lane * sums.lanes


def _activation(placed: PlacedArray) -> Resources:
    assert placed.activation is not None
    sums, width = placed.sums, placed.activation.width
    usage = Resources(lut=sums.lanes * (sums.bits + width + 4) + 3, ff=sums.lanes * width + 2)
    if placed.plan.capacity is not None:
        usage += Resources(lut=sums.lanes * LESS_BITS * (sums.bits + LESS_BITS) // 2)
    return usage


def _result(placed: BankedArray) -> Resources:
    accumulator = placed.array.accumulator.width
    return Resources(lut=3 * accumulator, ff=4 * accumulator + 25)
