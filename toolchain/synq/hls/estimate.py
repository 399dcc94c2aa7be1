"""What a design costs and how long it takes, before any synthesis has run: estimates.

Counted from the structure of `nnet_synapse_array.h`; no vendor tool has been asked. A *lane* is one
output of one row: a cycle has parallel_rows x n_out of them. 7-series and UltraScale logic alike:
six-input LUTs, of which one also adds a bit of two operands that its other inputs select.

LUT:
    decoded lane: looking a value up, half a LUT a bit up to 5-bit codes (UG474: two functions of
        five inputs); adding the product.
    bank lane: selecting a product, `_mux_luts` a bit; adding it.
    bucket lane: a bucket in distributed RAM, 6 bits in 4 LUTs (UG474, "Distributed RAM"); adding;
        the forwarded sum and its comparison.
    product of the bank: a constant multiplier, about two additions.
    lane of the buckets' drain: selecting 1 of 16 lanes in each bank, adding the banks.
    input: selecting 1 of n_blocks for each bit of each row, 16 in 4 LUTs (UG474, "Multiplexers")
        and 16 of those; events: comparing each input with zero, finding the lowest pending row.
    converter: of every output, all in one cycle: rounding, comparing, adding; read noise.
    pool: of every channel: comparing or adding across and down, and selecting.
    control: 250 an array; again for a convolution, and for a pool.
FF: a sum and its pipeline a lane (one sum an output), every input bit that an array sees at once,
    two a bit of a pool's channel, 250 an array.
BRAM: one memory a bank, in the best aspect ratio of an 18K block (512x36 ... 16Kx1; UG473 table
    1-1, UG573 table 1-1).
DSP: a decoded lane, and a lane of the drain.
Of a convolution also a line buffer a row of its kernel but one, a pool's row, and the two rows that
    wait in the streams behind array, pool and activation: in LUTs up to 64 pixels wide (UG474:
    32 x 6 or 64 x 3 bits in 4 LUTs), else in block RAM.
Cycles: an array starts a new image every n_blocks cycles and needs _PIPELINE more for the first;
    with buckets, or events, the loops do not overlap, so these count in the interval too. An array
    driven by events takes as many cycles as its fullest bank has nonzero inputs. Where loops do not
    overlap, each tile that is converted is an image of its own.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.cost import Estimate, Resources, block_rams, noise_luts
from synq.geometry import Window
from synq.hls.design import ArrayPlan
from synq.hls.layout import Layout
from synq.hls.packs import array_pack, pooled_format
from synq.network import QuantizedNetwork, SynapseArray
from synq.request import Datapath

_PIPELINE = 10  # cycles: filling the row pipeline, and the activation behind it
_PIXEL = 3  # cycles: reading one, moving the window, where that is no pipeline
_CONTROL = 250
_AT_ONCE = 1 << 24  # values that a convolution sees, counted at once


def estimate(network: QuantizedNetwork, plans: tuple[ArrayPlan, ...]) -> Estimate:
    """The estimate of the whole network, its arrays running as a dataflow pipeline."""
    return total(tuple(estimate_layer(network, index, plan) for index, plan in enumerate(plans)))


def total(parts: tuple[Estimate, ...]) -> Estimate:
    """Arrays side by side, each working on an image of its own."""
    return Estimate(
        sum((part.resources for part in parts), Resources()),
        latency=sum(part.latency for part in parts),
        interval=max(part.interval for part in parts),
    )


def estimate_layer(network: QuantizedNetwork, index: int, plan: ArrayPlan) -> Estimate:
    """The estimate of an array at all its places, and of the pool behind it."""
    array, window = network.arrays[index], network.geometries[index].window
    once = estimate_array(array, plan)
    if window is None:
        return once
    interval, pixels = once.interval, math.prod(_padded(window))
    if plan.datapath is Datapath.BUCKETS or plan.event_driven:
        cycles = window.n_places * interval + pixels * _PIXEL
    else:
        packs = array.n_out // array_pack(network, index)
        cycles = window.n_places * (max(interval, packs) - 1) + pixels
    around = _place_resources(network, index)
    return Estimate(once.resources + around, latency=cycles + _PIPELINE, interval=cycles)


def estimate_array(array: SynapseArray, plan: ArrayPlan) -> Estimate:
    """The estimate of one array, used once."""
    layout = Layout(array, plan.parallel_rows)
    cycles, tiles = layout.n_blocks, len(array.tiles)
    drain = 0
    if plan.datapath is Datapath.BUCKETS:
        drain = len(layout.signed.values) * (1 + -(-array.n_out // drain_lanes(array)))
        cycles = tiles * layout.tile_blocks  # of the last one, too
    gaps = tiles * _PIPELINE if plan.event_driven or drain else 0
    return Estimate(
        _array_resources(array, layout, plan),
        latency=cycles + tiles * drain + max(_PIPELINE, gaps),
        interval=cycles + tiles * drain + gaps,
    )


def event_intervals(
    network: QuantizedNetwork, plans: tuple[ArrayPlan, ...], inputs: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """Cycles until the next image for each image, where arrays skip zero inputs.

    Args:
        inputs: (n_samples, n_in) raw inputs.

    Returns:
        (n_samples,) the cycles of the array that takes longest.
    """
    cycles = np.zeros(len(inputs), dtype=np.int64)
    signal: NDArray[np.integer[Any]] = inputs
    for index, plan in enumerate(plans):
        np.maximum(cycles, _layer_cycles(network, index, plan, signal), out=cycles)
        if index < len(network.activations):
            signal = network.activate(index, network.accumulate(index, signal))
    return cycles


def _layer_cycles(
    network: QuantizedNetwork, index: int, plan: ArrayPlan, inputs: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """(n_samples,) of an array at all its places."""
    array, window = network.arrays[index], network.geometries[index].window
    if window is None:
        return _array_cycles(array, plan, inputs)
    interval = estimate_layer(network, index, plan).interval
    cycles = np.full(len(inputs), interval, dtype=np.int64)
    if plan.event_driven:
        at_once = max(1, _AT_ONCE // (window.n_places * window.n_in))
        for first in range(0, len(inputs), at_once):
            seen = window.patches(inputs[first : first + at_once])
            places = _array_cycles(array, plan, seen).reshape(-1, window.n_places)
            cycles[first : first + at_once] = places.sum(axis=1)
        cycles += math.prod(_padded(window)) * _PIXEL
    return cycles


def _array_cycles(
    array: SynapseArray, plan: ArrayPlan, inputs: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """(n_samples,) the most nonzero inputs in one bank, and the cycles that always pass."""
    layout, interval = Layout(array, plan.parallel_rows), estimate_array(array, plan).interval
    if not plan.event_driven:
        return np.full(len(inputs), interval, dtype=np.int64)
    nonzero = np.zeros((len(inputs), layout.n_blocks * plan.parallel_rows), dtype=np.int64)
    nonzero[:, : array.n_in] = inputs != 0
    nonzero[:, array.n_in : array.n_rows] = 1  # the bias
    by_block = nonzero.reshape(len(inputs), layout.n_blocks, plan.parallel_rows)
    tiles = np.arange(0, layout.n_blocks, layout.tile_blocks)
    by_bank = np.add.reduceat(by_block, tiles, axis=1)  # (n_samples, tiles, banks)
    always = interval - layout.n_blocks
    if plan.datapath is Datapath.BUCKETS:
        always = interval - len(tiles) * layout.tile_blocks
    cycles: NDArray[np.int64] = by_bank.max(axis=2).sum(axis=1) + always
    return cycles


def drain_lanes(array: SynapseArray) -> int:
    """Lanes multiplied a cycle when buckets are drained: a sixteenth, to share the multipliers."""
    return -(-array.n_out // 16)


def _array_resources(array: SynapseArray, layout: Layout, plan: ArrayPlan) -> Resources:
    n_out, rows = array.n_out, plan.parallel_rows
    table, wide, narrow = (
        array.table_format.width,
        array.partial.width,
        array.input_format.width,
    )
    signed = array.input_format.signed
    product = table - 1 + narrow - signed  # magnitude
    n_values, code_bits = len(layout.signed.values), layout.signed.code_bits

    lookup = table * (0.5 if code_bits <= 5 else 2 ** (code_bits - 6))
    lut = plan.decoded_rows * n_out * (lookup + wide)
    lut += array.n_in * narrow * (1 / 4 + 1 / 64) + _CONTROL
    lutram = 0
    dsp = plan.decoded_rows * n_out
    lane_ff = 2 * product
    if plan.datapath is Datapath.BANK:
        sums = min(wide, product + 1 + math.log2(rows) / 2)  # the chain of adders widens
        lut += plan.fabric_rows * n_out * (product * _mux_luts(n_values) + sums)
        lut += plan.fabric_rows * sum(value != 0 for value in layout.signed.values) * 2 * product
    if plan.datapath is Datapath.BUCKETS:
        # Not the proven width, which takes a look at every code: at most this.
        bucket = (layout.n_blocks * array.input_format.max_raw).bit_length()
        bucket += layout.signed.has_sign or signed
        lanes = drain_lanes(array)
        memories = -(-n_values // 32)
        lutram = rows * n_out * -(-bucket // 6) * 4 * memories
        lut += lutram + rows * n_out * (2 * bucket + 2) * memories
        lut += lanes * rows * bucket * (1 + 16 / 3)
        dsp += lanes
        lane_ff = 2 * bucket
    if plan.event_driven:
        lut += array.n_in * (narrow / 6 + 2)
    lanes_ff = rows * n_out * lane_ff + n_out * wide
    if array.converter is not None:
        bits, total = array.converter.format.width, array.accumulator.width
        lut += n_out * (wide + (wide - bits) / 5 + bits + total)
        lut += 0 if array.noise is None else n_out * noise_luts(array.noise)
        lanes_ff += n_out * total
    return Resources(
        lut=round(lut),
        lutram=lutram,
        ff=lanes_ff + array.n_in * narrow + _CONTROL,
        bram_18k=rows * block_rams(layout.n_blocks, 32 * layout.words_per_row),
        dsp=dsp,
        uram=0,
    )


def _place_resources(network: QuantizedNetwork, index: int) -> Resources:
    """What stands around the array of a convolution."""
    array, geometry = network.arrays[index], network.geometries[index]
    window, pool = geometry.window, geometry.pool
    assert window is not None
    n_out, sums = array.n_out, array.n_out * array.accumulator.width
    _, width, _ = geometry.answered(n_out)
    _, passed, _ = geometry.passed(n_out)
    pixel = window.shape[2] * array.input_format.width
    found = _memory(_padded(window)[1], pixel) * (window.kernel[0] - 1)
    found += _memory(2 * width, sums)
    found += _memory(2 * passed, n_out * network.activations[index].width)
    found += Resources(lut=_CONTROL, ff=_CONTROL)
    if pool is not None:
        bits = n_out * pooled_format(network, index).width
        found += _memory(passed, bits) + _memory(2 * passed, bits)
        found += Resources(lut=3 * bits + _CONTROL, ff=2 * bits + _CONTROL)
    return found


def _memory(depth: int, width: int) -> Resources:
    """A memory with a port to write and one to read."""
    if depth > 64:
        return Resources(bram_18k=block_rams(depth, width))
    luts = -(-width // (6 if depth <= 32 else 3)) * 4
    return Resources(lut=luts, lutram=luts)


def _padded(window: Window) -> tuple[int, int]:
    height, width, _ = window.shape
    return height + sum(window.padding[0]), width + sum(window.padding[1])


def _mux_luts(inputs: int) -> int:
    """LUTs a bit to select one of `inputs`, where the adder's own LUT does the last selection.

    It has room for two operands beside the sum, a selection and a sign; a LUT selects one of four.
    """
    return 0 if inputs <= 2 else -(-(inputs - 1) // 4)
