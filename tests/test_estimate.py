import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import BYTE, SOME, networks, synapse_array

from synq.estimate import estimate, rom_blocks
from synq.network import QuantizedNetwork


@pytest.mark.parametrize(
    ("depth", "width", "blocks"),
    [
        (1, 1, 1),
        (512, 36, 1),
        (512, 37, 2),
        (513, 36, 2),
        (1024, 18, 1),
        (1024, 19, 2),
        (2048, 9, 1),
        (4096, 4, 1),
        (8192, 2, 1),
        (16384, 1, 1),
        (16385, 1, 2),
        (784, 512, 29),  # FACTS: 15.5 tiles of 36K for both arrays, of which 14.5 are this one
        (128, 40, 2),
    ],
)
def test_rom_blocks(depth: int, width: int, blocks: int) -> None:
    assert rom_blocks(depth, width) == blocks


@SOME
@given(st.integers(1, 20_000), st.integers(1, 2_000))
def test_rom_blocks_hold_the_bits(depth: int, width: int) -> None:
    blocks = rom_blocks(depth, width)
    assert blocks * 18 * 1024 >= depth * width
    assert blocks <= -(-depth // 512) * -(-width // 36)


def test_mnist_network() -> None:
    rng = np.random.default_rng(0)
    arrays = (synapse_array(rng, 784, 128, levels=10), synapse_array(rng, 128, 10, levels=10))
    first = estimate(QuantizedNetwork(arrays[:1], ()))
    both = estimate(QuantizedNetwork(arrays, (BYTE,)))
    assert first.resources.bram_18k == 29
    assert both.resources.bram_18k == 29 + 2
    assert (first.resources.dsp, both.resources.dsp) == (128, 138)
    assert both.resources.uram == 0
    assert (first.latency, first.interval) == (794, 794)
    assert (both.latency, both.interval) == (794 + 138, 794)

    # the sentences of the module, by hand
    wide, narrow = (array.accumulator.width for array in arrays)
    lut = 128 * (8 + wide) + 784 * 8 // 3 + 250 + 10 * (8 + narrow) + 128 * 8 // 3 + 250
    ff = 128 * (2 * wide + 16) + 784 * 8 + 250 + 10 * (2 * narrow + 16) + 128 * 8 + 250
    assert (both.resources.lut, both.resources.ff) == (lut, ff)


def test_bias_is_one_more_row() -> None:
    rng = np.random.default_rng(0)
    array = synapse_array(rng, 512, 9, levels=10, bias=True)  # 512x36 is one block
    with_bias = estimate(QuantizedNetwork((array,), ()))
    assert with_bias.resources.bram_18k == 2
    assert with_bias.latency == 513 + 10


@SOME
@given(networks())
def test_network_is_the_sum_of_its_arrays(network: QuantizedNetwork) -> None:
    parts = [estimate(QuantizedNetwork((array,), ())) for array in network.arrays]
    whole = estimate(network)
    for field in ("lut", "ff", "bram_18k", "dsp", "uram"):
        total = sum(getattr(part.resources, field) for part in parts)
        assert getattr(whole.resources, field) == total
    assert whole.latency == sum(part.latency for part in parts)
    assert whole.interval == max(part.interval for part in parts)
