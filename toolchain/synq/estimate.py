"""An estimate of what the HLS kernel costs, before any synthesis has run.

Counted from the structure of `nnet_synapse_array.h`, a decode-and-multiply datapath at one row a
cycle. It is an estimate: no vendor tool has been asked.

BRAM: the code ROM, n_rows words of n_out * code_bits bits, in the best aspect ratio of an 18K block
    (512x36 ... 16Kx1; UG473 table 1-1, UG573 table 1-1).
DSP: one multiplier an output.
LUT: an output takes table_width * ceil(levels / 64) to look a value up in 6-input LUTs, and
    accum_width to add; an input a third of its bits, to select one of n_in; 250 an array, control.
FF: an output takes two accumulators and the product; an input its bits; 250 an array, control.
Cycles: an array takes n_rows + 10; the latency is their sum, the interval the slowest one's.
"""

from dataclasses import dataclass

from synq.board import Resources
from synq.network import QuantizedNetwork, SynapseArray

_BRAM_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
_PIPELINE_CYCLES = 10  # filling the row pipeline, and the activation behind it
_CONTROL = 250


@dataclass(frozen=True)
class Estimate:
    """Resources and clock cycles of one design; latency and interval in cycles an image."""

    resources: Resources
    latency: int
    interval: int


def estimate(network: QuantizedNetwork) -> Estimate:
    """The estimate of the whole network, its arrays running as a dataflow pipeline."""
    parts = [_array_resources(array) for array in network.arrays]
    cycles = [array.n_rows + _PIPELINE_CYCLES for array in network.arrays]
    total = Resources(
        lut=sum(part.lut for part in parts),
        ff=sum(part.ff for part in parts),
        bram_18k=sum(part.bram_18k for part in parts),
        dsp=sum(part.dsp for part in parts),
        uram=0,
    )
    return Estimate(total, latency=sum(cycles), interval=max(cycles))


def _array_resources(array: SynapseArray) -> Resources:
    table, accumulator = array.table_format.width, array.accumulator.width
    inputs = array.n_in * array.input_format.width
    lookup = table * -(-array.effective_levels // 64)
    product = table + array.input_format.width
    return Resources(
        lut=array.n_out * (lookup + accumulator) + inputs // 3 + _CONTROL,
        ff=array.n_out * (2 * accumulator + product) + inputs + _CONTROL,
        bram_18k=rom_blocks(array.n_rows, array.n_out * array.code_bits),
        dsp=array.n_out,
        uram=0,
    )


def rom_blocks(depth: int, width: int) -> int:
    """18K blocks of a memory of `depth` words of `width` bits."""
    return min(-(-depth // rows) * -(-width // bits) for rows, bits in _BRAM_SHAPES)
