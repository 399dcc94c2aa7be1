"""How values lie in the streams between hls4ml's layers (io_stream): packs of equal size.

hls4ml sends a layer's values as one stream element. Vitis HLS refuses elements of more than 4096
bits (hls4ml issue 1245), so a wide layer leaves in several packs, as few as will do.
"""

from dataclasses import dataclass

from synq.errors import SynqError
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
    n_in, n_out = network.sizes[0], network.sizes[-1]
    if not stream:
        return Port("input_t", False, n_in), Port("result_t", False, n_out)
    return (
        Port("input_t", True, input_pack(n_in, network.input_format.width)),
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
        raise SynqError(
            f"an image of {n_in} inputs of {bits} bits is {n_in * bits:,} bits, a stream element "
            f"at most {MAX_BITS:,}, and {n_in} inputs are not packs of {beat} each: use "
            "io_parallel or fewer input bits",
            settings=("io_type", "input_bits"),
        )
    return packs[-1]


def array_pack(network: QuantizedNetwork, index: int) -> int:
    """Sums of array `index` in one stream element, and activations of them: a divisor."""
    array = network.arrays[index]
    widths = [array.accumulator.width, *(form.width for form in network.activations[index:][:1])]
    most = MAX_BITS // max(widths)
    return next(size for size in range(min(array.n_out, most), 0, -1) if array.n_out % size == 0)
