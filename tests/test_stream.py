"""The streams' contract where the HLS wrapper's own tests do not go: wide pixels, wide beats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import BYTE, MANY, seeds
from synq.fixedpoint import FixedPoint
from synq.stream import beats_per_image, pack_images, pack_results, pixels_per_beat


@MANY
@given(seeds, st.integers(1, 63), st.integers(1, 40))
def test_pixels_of_any_width_are_packed(seed: int, bits: int, n_in: int) -> None:
    form = FixedPoint(bits, 0, signed=bits > 1 and bool(seed & 1))
    shape = (3, n_in)
    images = np.random.default_rng(seed).integers(form.min_raw, form.max_raw, shape, endpoint=True)
    lanes = 64 // bits
    for beats, image in zip(pack_images(images, form).tolist(), images.tolist(), strict=True):
        pixels = [beat >> bits * lane & (1 << bits) - 1 for beat in beats for lane in range(lanes)]
        assert pixels[:n_in] == [pixel % (1 << bits) for pixel in image]  # two's complement
        assert not any(pixels[n_in:])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_images_of_every_integer_type(dtype: type[np.integer]) -> None:
    assert pack_images(np.array([[1, 2, 3]], dtype=dtype), BYTE).tolist() == [[0x030201]]


@pytest.mark.parametrize("bits", range(2, 9))
def test_negative_pixels_are_packed_in_twos_complement(bits: int) -> None:
    form = FixedPoint(bits, 1, signed=True)
    images = np.array([[-1, form.min_raw, 1]], dtype=np.int8)
    ones = (1 << bits) - 1
    wanted = ones | 1 << bits - 1 << bits | 1 << 2 * bits
    assert pack_images(images, form).tolist() == [[wanted]]


@pytest.mark.parametrize(
    ("inputs", "bits", "message"),
    [
        (np.array([[256]]), 8, "0 to 255, got 256 to 256"),
        (np.array([[-1, 1]]), 8, "0 to 255, got -1 to 1"),
        (np.array([[2**64 - 1]], dtype=np.uint64), 63, f"got {2**64 - 1}"),
        (np.array([[0.5]]), 8, "pixels must be integers, got float64"),
        (np.array([[True]]), 8, "pixels must be integers, got bool"),
    ],
)
def test_images_that_cannot_be_packed(inputs: np.ndarray, bits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_images(inputs, FixedPoint(bits, 0, signed=False))


@pytest.mark.parametrize("pixel", [-9, 8])
def test_signed_images_that_cannot_be_packed(pixel: int) -> None:
    with pytest.raises(ValueError, match=f"pixels must be of -8 to 7, got {pixel} to {pixel}"):
        pack_images(np.array([[pixel]]), FixedPoint(4, 0, signed=True))


@pytest.mark.parametrize("bits", [0, 65])
def test_pixels_wider_than_a_beat(bits: int) -> None:
    with pytest.raises(ValueError, match=f"pixels of 1 to 64 bits, got {bits}"):
        pixels_per_beat(bits)


@pytest.mark.parametrize("logit", [2**31, -(2**31) - 1])
def test_logits_that_do_not_fit(logit: int) -> None:
    with pytest.raises(ValueError, match=f"logits must be of -2147483648 to .* to {max(0, logit)}"):
        pack_results(np.array([[0, logit]]), np.array([0]))


@pytest.mark.parametrize(
    ("bits", "beat_bits", "pixels", "beats"),
    [(8, 64, 8, 98), (3, 64, 21, 38), (8, 256, 32, 25), (7, 128, 18, 44)],
)
def test_beats_of_an_mnist_image(bits: int, beat_bits: int, pixels: int, beats: int) -> None:
    assert pixels_per_beat(bits, beat_bits) == pixels
    assert beats_per_image(784, bits, beat_bits) == beats
