"""Networks that are loaded into a running core: what fits, and the words that are sent.

`hls_templates/rtl/synq_loader.v` says what the words mean.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.network import QuantizedNetwork
from synq.rtl.design import Capacity, RtlDesign
from synq.rtl.parameters import SLICE, BankedLayer, banked_parameters
from synq.rtl.placement import LESS_BITS, BankedArray, PlacedArray, place_arrays
from synq.rtl.unrolled import rounding_shift
from synq.stream import beats_per_result

_SHIFT_HEADROOM = 3  # of the 2**LESS_BITS shifts, so many are larger
_END = (1 << 64) - 1
_FEEDBACK = 0x1B  # x**64 + x**4 + x**3 + x + 1, primitive
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Reload:
    """What of a loader a core is rendered from.

    Attributes:
        core: its number: that of all that is not replaced.
        digest: of the network that it holds at first.
        length: words of a network.
        address: bits of a word's number in a memory.
        answer_beats: of an image.
        less_bits: of what a network takes off a shift.
    """

    core: int
    digest: int
    length: int
    address: int
    answer_beats: int
    less_bits: int = LESS_BITS


def with_capacity(network: QuantizedNetwork, design: RtlDesign, headroom: int = 0) -> RtlDesign:
    """The design, built so that this network can be replaced.

    Args:
        headroom: bits that totals of levels may be wider than this network's. Sums may be a bit
            wider even so: that costs little, a total's bit a look-up table or two in every lane.

    Raises:
        SynqError: an array is unrolled or has converters, or the design cannot be built.
    """
    placed = place_arrays(network, design)
    arrays = tuple(replace(each.plan, capacity=_capacity(each, headroom)) for each in placed)
    built = replace(design, arrays=arrays)
    place_arrays(network, built)
    return built


def _capacity(placed: PlacedArray, headroom: int) -> Capacity:
    if not isinstance(placed, BankedArray):
        raise SynqError(
            f"array {placed.index}: the synapses of an unrolled array are fixed: use datapath "
            "decode or buckets to reload them",
            settings=("datapath", "reloadable"),
        )
    buckets, shift = placed.plan.bucket_rows > 0, 0
    if placed.activation is not None:
        shift = rounding_shift(placed.array, placed.activation) + _SHIFT_HEADROOM
    return Capacity(
        buckets=len(placed.codes.level_values) if buckets else 1,
        levels=placed.codes.levels,
        total_bits=placed.total_bits + headroom * buckets,
        sum_bits=min(32, placed.array.accumulator.width + 1 + headroom),
        # A chip's cells may lie beyond its device's window; buckets take no chip.
        value_bits=placed.array.table_format.width + (not buckets),
        shift=shift,
    )


def reload_parameters(placed: Sequence[BankedArray], network: QuantizedNetwork) -> Reload:
    """What the loader of a core is, which holds this network at first."""
    words = _words(placed)
    return Reload(
        core=int(words[0]),
        digest=int(words[-1]),
        length=len(words),
        address=max(each.address_bits for each in placed),
        answer_beats=beats_per_result(network.sizes[-1]),
    )


def network_words(
    core: QuantizedNetwork, design: RtlDesign, network: QuantizedNetwork
) -> NDArray[np.uint64]:
    """(length,) uint64: the words that load a network into a core.

    Args:
        core: the network that the core was exported with.
        design: of the core.

    Raises:
        SynqError: the core's network is fixed, or it is not built for this one.
    """
    if not design.reloadable:
        raise SynqError("the core's network is fixed: export a reloadable one")
    if network.sizes != core.sizes:
        shapes = ["-".join(map(str, each.sizes)) for each in (network, core)]
        raise SynqError(f"the network is {shapes[0]}, the core is built for {shapes[1]}")
    own, other = (banked_arrays(place_arrays(each, design)) for each in (core, network))
    for built, needed in zip(_fixed(own), _fixed(other), strict=True):
        for field, value in built.items():
            if needed[field] != value:
                raise SynqError(
                    f"array {built['index']}: the core is built for another {field} than the "
                    "network's: formats, biases and rounding are not replaced"
                )
    return _words(other)


def signature(words: Sequence[int]) -> int:
    """The word after which the signature of all is zero: a register that is shifted, with feedback,
    and takes a word in each step (a multiple-input signature register)."""
    state = _MASK
    for word in words:
        state = _moved(state) ^ word
    return _moved(state)


def _moved(state: int) -> int:
    return (state << 1 & _MASK) ^ (_FEEDBACK if state >> 63 else 0)


def banked_arrays(placed: Sequence[PlacedArray]) -> list[BankedArray]:
    """Those with banks."""
    return [each for each in placed if isinstance(each, BankedArray)]


def _fixed(placed: Sequence[BankedArray]) -> list[dict[str, Any]]:
    """What of each array is not replaced."""
    return [_without_network(banked_parameters(each)) for each in placed]


def _without_network(layer: BankedLayer) -> dict[str, Any]:
    values = asdict(replace(layer, synapses=replace(layer.synapses, values="")))
    if layer.requantization is not None:
        values["requantization"] = asdict(replace(layer.requantization, less=0))
    return values


def _words(placed: Sequence[BankedArray]) -> NDArray[np.uint64]:
    described = json.dumps(_fixed(placed), sort_keys=True).encode()
    core = int.from_bytes(hashlib.sha256(described).digest()[:8], "little")
    parts = [np.array([core], dtype=np.uint64)]
    for each in placed:
        for (bank, slice_number), words in _blocks(each):
            header = len(words) - 1 | each.index << 16 | slice_number << 24 | bank << 32
            parts += [np.array([header], dtype=np.uint64), words]
    parts.append(np.array([_END], dtype=np.uint64))
    words = np.concatenate(parts)
    return np.append(words, np.uint64(signature(words.tolist())))


def _blocks(placed: BankedArray) -> Iterator[tuple[tuple[int, int], NDArray[np.uint64]]]:
    """Bank, slice, and what is written to it; behind the banks, values of levels and the shift."""
    layer = banked_parameters(placed)
    used = placed.banks.words + 2 * placed.codes.levels * placed.codes.in_buckets
    for bank in range(placed.banks.count):
        bits = placed.code_bits(bank)
        codes = placed.code_words(bank)[:used]
        flat = ((codes[:, :, None] >> np.arange(bits)) & 1).reshape(len(codes), -1)
        slices = layer.memory.slices(bank)
        padded = np.zeros((len(codes), slices * SLICE), dtype=np.uint8)
        padded[:, : flat.shape[1]] = flat
        words = np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
        for number in range(slices):
            yield (bank, number), words[:, number]
    if not placed.plan.decoded_rows:
        levels = np.array(placed.codes.level_values[: placed.codes.levels], dtype=np.int64)
        yield (placed.banks.count, 0), levels.astype(np.uint64)
    if layer.requantization is not None:
        yield (placed.banks.count + 1, 0), np.array([layer.requantization.less], dtype=np.uint64)
