"""Elements of the streams between hls4ml's layers: Vitis HLS takes at most 4096 bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import BYTE, MANY, synapse_array
from synq.errors import SynqError
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.hls.packs import (
    MAX_BITS,
    array_pack,
    input_pack,
    network_ports,
    pixel_pack,
    pooled_format,
    stream_depth,
)
from synq.network import QuantizedNetwork
from synq.stream import pixels_per_beat


@pytest.mark.parametrize(
    ("n_in", "bits", "pack"),
    [(784, 8, 392), (784, 5, 784), (512, 8, 512), (520, 8, 104), (17, 8, 17), (4096, 1, 4096)],
)
def test_inputs_of_an_element(n_in: int, bits: int, pack: int) -> None:
    assert input_pack(n_in, bits) == pack


@MANY
@given(st.integers(1, 8), st.integers(1, 40))
def test_packs_are_whole_beats_of_the_image(bits: int, beats: int) -> None:
    n_in = 32 * beats * pixels_per_beat(bits)
    pack = input_pack(n_in, bits)
    assert n_in % pack == 0 and pack * bits <= MAX_BITS
    assert pack == n_in or pack % pixels_per_beat(bits) == 0


@pytest.mark.parametrize("n_in", [513, 787, 1001])
def test_an_image_that_no_stream_carries_is_refused(n_in: int) -> None:
    with pytest.raises(SynqError, match="use io_parallel or fewer input bits") as refused:
        input_pack(n_in, 8)
    assert refused.value.settings == ("io_type", "input_bits")


def test_sums_of_an_element() -> None:
    rng = np.random.default_rng(0)
    array = synapse_array(rng, 520, 200, input_format=BYTE)
    network = QuantizedNetwork((array,), ())
    assert array.accumulator.width * 200 > MAX_BITS
    assert array_pack(network, 0) == 100
    given, result = network_ports(network, stream=True)
    assert (given.pack, result.pack) == (104, 100)
    parallel = network_ports(network, stream=False)
    assert [port.pack for port in parallel] == [520, 200]


@pytest.mark.parametrize(
    ("values", "channels", "bits", "pack"),
    [(784, 1, 8, 8), (3072, 3, 8, 24), (75, 3, 8, 75), (96, 4, 5, 12), (1024, 256, 16, 256)],
)
def test_a_convolution_takes_whole_pixels(values: int, channels: int, bits: int, pack: int) -> None:
    assert pixel_pack(values, channels, bits) == pack


def test_an_image_of_pixels_that_no_stream_carries_is_refused() -> None:
    with pytest.raises(SynqError, match=r"1089 inputs are not packs of 8 each: use io_parallel"):
        pixel_pack(33 * 33, 1, 8)


def test_two_rows_wait_behind_a_convolution() -> None:
    rng = np.random.default_rng(0)
    geometry = Geometry(Window((8, 8, 1), (3, 3)), Pool(Pooling.AVERAGE, (2, 3)))
    array = synapse_array(rng, 9, 250, input_format=BYTE)
    arrays = (array, synapse_array(rng, 6 * 250, 2, input_format=BYTE))
    network = QuantizedNetwork(arrays, (BYTE,), (geometry, DENSE))
    form, sums = pooled_format(network, 0), array.accumulator
    assert (form.width, form.fraction) == (sums.width - 1 + 3, sums.fraction)
    packs = 250 // array_pack(network, 0)
    assert packs == 2 and array_pack(network, 0) * form.width <= MAX_BITS
    assert stream_depth(network, "array_0") == 2 * 6 * packs
    assert stream_depth(network, "pool_0") == stream_depth(network, "activation_0") == 2 * 2 * packs
    assert stream_depth(network, "array_1") is None
