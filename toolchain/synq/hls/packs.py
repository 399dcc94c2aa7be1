"""How values lie in the streams between hls4ml's layers (io_stream): packs of equal size.

hls4ml sends a layer's values as one stream element. Vitis HLS refuses elements of more than 4096
bits (hls4ml issue 1245), so a wide layer leaves in several packs, as few as will do. An image goes
from layer to layer pixel by pixel, all channels in an element where they fit.
"""

import math
from dataclasses import dataclass

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork
from synq.stream import pixels_per_beat

MAX_BITS = 4096  # of a stream element


@dataclass(frozen=True)
class Port:
    """The network's input or output as the C++ sees it.

    Attributes:
        type: hls4ml's name for its type: of an element, or of a pack in a stream.
        stream: whether it is a stream or an array.
        pack: values in one stream element.
    """

    type: str
    stream: bool
    pack: int


def network_ports(network: QuantizedNetwork, stream: bool) -> tuple[Port, Port]:
    """The input and the output.

    Raises:
        SynqError: no stream can carry an image.
    """
    n_in, n_out, bits = network.sizes[0], network.sizes[-1], network.input_format.width
    if not stream:
        return Port("input_t", False, n_in), Port("result_t", False, n_out)
    window = network.geometries[0].window
    pack = input_pack(n_in, bits) if window is None else pixel_pack(n_in, window.shape[2], bits)
    return (
        Port("input_t", True, pack),
        Port("result_t", True, array_pack(network, len(network.arrays) - 1)),
    )


def input_pack(n_in: int, bits: int) -> int:
    """Pixels in one stream element: all, or as many whole 64-bit beats as divide the image.

    The wrapper then sends a pack with the beat that completes it, an image without a gap.

    Raises:
        SynqError: an image fits neither.
    """
    if n_in * bits <= MAX_BITS:
        return n_in
    beat = pixels_per_beat(bits)
    packs = [size for size in range(beat, MAX_BITS // bits + 1, beat) if n_in % size == 0]
    if not packs:
        raise _no_stream(n_in, bits, beat)
    return packs[-1]


def pixel_pack(n_in: int, channels: int, bits: int) -> int:
    """Values in one stream element of an image that a convolution takes: whole pixels.

    As few as are whole beats, too, since the convolution takes pixel by pixel; or all.

    Raises:
        SynqError: an image fits neither.
    """
    beat = math.lcm(pixels_per_beat(bits), channels)
    if beat * bits <= MAX_BITS and n_in % beat == 0:
        return beat
    if n_in * bits <= MAX_BITS:
        return n_in
    raise _no_stream(n_in, bits, beat)


def _no_stream(n_in: int, bits: int, beat: int) -> SynqError:
    return SynqError(
        f"an image of {n_in} inputs of {bits} bits is {n_in * bits:,} bits, a stream element "
        f"at most {MAX_BITS:,}, and {n_in} inputs are not packs of {beat} each: use "
        "io_parallel or fewer input bits",
        settings=("io_type", "input_bits"),
    )


def array_pack(network: QuantizedNetwork, index: int) -> int:
    """Sums of array `index` in one stream element, and activations of them: a divisor."""
    array = network.arrays[index]
    widths = [array.accumulator.width, *(form.width for form in network.activations[index:][:1])]
    if network.geometries[index].pool is not None:
        widths.append(pooled_format(network, index).width)
    most = MAX_BITS // max(widths)
    return next(size for size in range(min(array.n_out, most), 0, -1) if array.n_out % size == 0)


def pooled_format(network: QuantizedNetwork, index: int) -> FixedPoint:
    """The narrowest format of what a pool makes of the sums of array `index`: none is negative."""
    form = network.arrays[index].accumulator
    width = max(1, form.width - 1 + (network.geometries[index].divisor - 1).bit_length())
    return FixedPoint(width, width - form.fraction, signed=False)


def stream_depth(network: QuantizedNetwork, layer_name: str) -> int | None:
    """Elements that wait behind a layer of a convolution: two rows of its image; else hls4ml's own.

    hls4ml would keep the whole image, though each layer takes it pixel by pixel.
    """
    kind, number = layer_name.rsplit("_", 1)
    index = int(number)
    geometry, n_out = network.geometries[index], network.arrays[index].n_out
    if geometry.window is None:
        return None
    height, width, _ = geometry.answered(n_out) if kind == "array" else geometry.passed(n_out)
    return min(height, 2) * width * (n_out // array_pack(network, index))
