"""The contract of the AXI4-Streams around a network, and its beats."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork

BEAT_BITS = 64
LOGIT_BITS = 32

_KEEP_ALL = 0xFF

# A beat in the test bench's files.
_RECORD = np.dtype([("data", "<u8"), ("keep", "u1"), ("last", "u1")])


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class Beats:
    """What is on a stream, beat by beat.

    Attributes:
        data: (n_beats,) uint64, TDATA.
        keep: (n_beats,) uint8, TKEEP.
        last: (n_beats,) bool, TLAST.
    """

    data: NDArray[np.uint64]
    keep: NDArray[np.uint8]
    last: NDArray[np.bool_]


def check_logits(network: QuantizedNetwork) -> None:
    """Whether the network's outputs fit the stream.

    Raises:
        SynqError: they do not; says what would help.
    """
    width = network.arrays[-1].accumulator.width
    if width > LOGIT_BITS:
        raise SynqError(
            f"the outputs have {width} bits, the stream carries at most {LOGIT_BITS}: "
            "use a smaller table width or fewer activation bits",
            settings=("table_width", "activation_bits"),
        )


def pixels_per_beat(bits: int, beat_bits: int = BEAT_BITS) -> int:
    """Pixels of `bits` bits in one input beat; none straddles two beats.

    Raises:
        ValueError: not even one does.
    """
    if not 1 <= bits <= beat_bits:
        raise ValueError(f"a beat holds pixels of 1 to {beat_bits} bits, got {bits}")
    return beat_bits // bits


def beats_per_image(n_in: int, bits: int, beat_bits: int = BEAT_BITS) -> int:
    """Input beats of one image of `n_in` pixels of `bits` bits."""
    return -(-n_in // pixels_per_beat(bits, beat_bits))


def beats_per_result(n_out: int) -> int:
    """Output beats of one image: two logits a beat, and the class."""
    return -(-n_out // 2) + 1


def pack_images(inputs: NDArray[np.integer[Any]], form: FixedPoint) -> NDArray[np.uint64]:
    """Images as input beats; negative pixels in two's complement.

    Args:
        inputs: (n_samples, n_in) raw integers in `form`.

    Returns:
        (n_samples, beats_per_image) uint64.

    Raises:
        ValueError: a pixel is no integer, or outside the format.
    """
    lanes, bits = pixels_per_beat(form.width), form.width
    if inputs.dtype.kind not in "iu":
        raise ValueError(f"pixels must be integers, got {inputs.dtype}")
    if inputs.size and not form.min_raw <= int(inputs.min()) <= int(inputs.max()) <= form.max_raw:
        raise ValueError(
            f"pixels must be of {form.min_raw} to {form.max_raw}, "
            f"got {inputs.min()} to {inputs.max()}"
        )
    n_samples, n_in = inputs.shape
    padded = np.zeros((n_samples, beats_per_image(n_in, bits) * lanes), dtype=np.uint64)
    padded[:, :n_in] = inputs.astype(np.uint64) & np.uint64((1 << bits) - 1)
    beats = np.zeros((n_samples, beats_per_image(n_in, bits)), dtype=np.uint64)
    for lane in range(lanes):
        beats |= padded[:, lane::lanes] << np.uint64(lane * bits)
    return beats


def transfer_ends(n_samples: int, n_beats: int, images: int) -> NDArray[np.bool_]:
    """TLAST of `n_samples` images of `n_beats` beats, sent `images` images a transfer.

    Returns:
        (n_samples * n_beats,) bool.
    """
    last = np.zeros((n_samples, n_beats), dtype=bool)
    last[images - 1 :: images, -1] = True
    last[-1:, -1] = True
    return last.ravel()


def pack_results(
    logits: NDArray[np.integer[Any]], classes: NDArray[np.integer[Any]]
) -> NDArray[np.uint64]:
    """The output beats of images.

    Args:
        logits: (n_samples, n_out) raw accumulators of at most 32 bits.
        classes: (n_samples,).

    Returns:
        (n_samples, beats_per_result) uint64.

    Raises:
        ValueError: a logit does not fit.
    """
    half = 1 << (LOGIT_BITS - 1)
    if logits.size and not -half <= int(logits.min()) <= int(logits.max()) < half:
        raise ValueError(
            f"logits must be of {-half} to {half - 1}, got {logits.min()} to {logits.max()}"
        )
    n_samples, n_out = logits.shape
    halves = np.zeros((n_samples, 2 * beats_per_result(n_out)), dtype="<i4")
    halves[:, :n_out] = logits
    halves[:, -2] = classes
    return halves.view("<u8").astype(np.uint64)


def unpack_results(
    beats: NDArray[np.uint64], n_out: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Output beats as logits and classes.

    Args:
        beats: (n_samples, beats_per_result) uint64, or flat.

    Returns:
        (n_samples, n_out) int64 raw accumulators, and (n_samples,) int64 classes.

    Raises:
        ValueError: not whole results.
    """
    n_beats = beats_per_result(n_out)
    if beats.size % n_beats:
        raise ValueError(f"{beats.size} beats are not results of {n_beats} beats each")
    rows = np.ascontiguousarray(beats, dtype="<u8").reshape(-1, n_beats)
    halves = rows.view("<i4").astype(np.int64)
    return halves[:, :n_out], rows[:, -1].astype(np.int64)
