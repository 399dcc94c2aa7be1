import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import BYTE, SOME, images, networks, synapse_array
from synq.cost import Estimate, Resources, block_rams
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.hls.design import SIMPLEST, ArrayPlan
from synq.hls.estimate import estimate, estimate_array, estimate_layer, event_intervals
from synq.network import QuantizedNetwork
from synq.request import Datapath


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
        (784, 512, 29),  # 15.5 tiles of 36K for both arrays, of which 14.5 are this one
        (128, 40, 2),
    ],
)
def test_block_rams(depth: int, width: int, blocks: int) -> None:
    assert block_rams(depth, width) == blocks


@SOME
@given(st.integers(1, 20_000), st.integers(1, 2_000))
def test_block_rams_hold_the_bits(depth: int, width: int) -> None:
    blocks = block_rams(depth, width)
    assert blocks * 18 * 1024 >= depth * width
    assert blocks <= -(-depth // 512) * -(-width // 36)


def one_row(network: QuantizedNetwork) -> Estimate:
    return estimate(network, (SIMPLEST,) * len(network.arrays))


def test_one_decoded_row_a_cycle() -> None:
    rng = np.random.default_rng(0)
    arrays = (synapse_array(rng, 784, 128, levels=10), synapse_array(rng, 128, 10, levels=10))
    first = one_row(QuantizedNetwork(arrays[:1], ()))
    both = one_row(QuantizedNetwork(arrays, (BYTE,)))
    assert first.resources.bram_18k == 29
    assert both.resources.bram_18k == 29 + 2
    assert (first.resources.dsp, both.resources.dsp) == (128, 138)
    assert both.resources.uram == 0
    assert (first.latency, first.interval) == (794, 784)
    assert (both.latency, both.interval) == (794 + 138, 784)

    # the sentences of the module, by hand
    wide, narrow = (array.accumulator.width for array in arrays)
    inputs = 8 * (1 / 4 + 1 / 64)
    lut = 128 * (4 + wide) + 784 * inputs + 250, 10 * (4 + narrow) + 128 * inputs + 250
    ff = 128 * (30 + wide) + 784 * 8 + 250 + 10 * (30 + narrow) + 128 * 8 + 250
    assert (both.resources.lut, both.resources.ff) == (sum(map(round, lut)), ff)


def test_bias_is_one_more_row() -> None:
    rng = np.random.default_rng(0)
    array = synapse_array(rng, 512, 9, levels=10, bias=True)  # 512x36 is one block
    with_bias = one_row(QuantizedNetwork((array,), ()))
    assert with_bias.resources.bram_18k == 4  # nine codes of 4 bits are two words of 32
    assert with_bias.latency == 513 + 10


@SOME
@given(networks())
def test_network_is_the_sum_of_its_arrays(network: QuantizedNetwork) -> None:
    parts = [one_row(QuantizedNetwork((array,), ())) for array in network.arrays]
    whole = one_row(network)
    for field in ("lut", "ff", "bram_18k", "dsp", "uram"):
        total = sum(getattr(part.resources, field) for part in parts)
        assert getattr(whole.resources, field) == total
    assert whole.latency == sum(part.latency for part in parts)
    assert whole.interval == max(part.interval for part in parts)


@pytest.mark.parametrize("datapath", [Datapath.DECODE, Datapath.BANK, Datapath.BUCKETS])
def test_rows_in_parallel_trade_logic_for_cycles(datapath: Datapath) -> None:
    array = synapse_array(np.random.default_rng(0), 784, 128, levels=10)
    decoded = {Datapath.DECODE: 1, Datapath.BANK: 0, Datapath.BUCKETS: 0}[datapath]
    before = estimate_array(array, ArrayPlan(datapath, 1, decoded))
    for rows in (2, 4, 8, 16):
        after = estimate_array(array, ArrayPlan(datapath, rows, decoded * rows))
        assert after.interval < before.interval
        assert after.resources.lut > before.resources.lut
        before = after


def test_events_cost_logic_and_a_gap() -> None:
    array = synapse_array(np.random.default_rng(0), 784, 128, levels=10)
    dense = estimate_array(array, ArrayPlan(Datapath.BANK, 8, 1))
    events = estimate_array(array, ArrayPlan(Datapath.BANK, 8, 1, event_driven=True))
    assert (dense.interval, events.interval) == (98, 108)
    assert events.resources.lut > dense.resources.lut
    assert events.resources.dsp == dense.resources.dsp == 128


def lenet_begins(padding: int = 0) -> QuantizedNetwork:
    """The first layer of LeNet-5, and a dense one."""
    rng = np.random.default_rng(0)
    pad = (padding, padding)
    geometry = Geometry(Window((28, 28, 1), (5, 5), padding=(pad, pad)), Pool(Pooling.MAX, (2, 2)))
    down, across, _ = geometry.passed(6)
    arrays = (synapse_array(rng, 25, 6), synapse_array(rng, down * across * 6, 10))
    return QuantizedNetwork(arrays, (BYTE,), (geometry, DENSE))


@pytest.mark.parametrize(
    ("padding", "plan", "cycles"),
    [
        (0, ArrayPlan(Datapath.BANK, 25, 12), 784),
        (0, ArrayPlan(Datapath.BANK, 5, 1), 784 + 576 * 4),
        (2, ArrayPlan(Datapath.DECODE, 1, 1), 1024 + 784 * 24),
        (0, ArrayPlan(Datapath.BANK, 25, 12, event_driven=True), 784 * 3 + 576 * (1 + 10)),
    ],
)
def test_a_convolution_takes_a_pixel_or_a_place_at_a_time(
    padding: int, plan: ArrayPlan, cycles: int
) -> None:
    found = estimate_layer(lenet_begins(padding), 0, plan)
    assert (found.interval, found.latency) == (cycles, cycles + 10)


def test_a_convolution_takes_line_buffers_a_pool_and_streams() -> None:
    network, plan = lenet_begins(), ArrayPlan(Datapath.DECODE, 1, 1)
    once = estimate_array(network.arrays[0], plan).resources
    sums = 6 * network.arrays[0].accumulator.width
    pooled = sums - 6
    luts = 4 * 2 * 4  # four lines of 28 pixels of 8 bits
    luts += -(-sums // 3) * 4 + 8 * 4  # two rows of 24 sums, of 12 activations of 48 bits
    luts += -(-pooled // 6) * 4 * 2  # a row of pools, and two that wait
    around = Resources(
        lut=luts + 3 * pooled + 500, lutram=luts, ff=2 * pooled + 500, bram_18k=0, dsp=0, uram=0
    )
    assert estimate_layer(network, 0, plan).resources == once + around


def test_events_of_a_convolution_are_counted_at_each_place() -> None:
    network = lenet_begins()
    plans = (ArrayPlan(Datapath.BANK, 2, 0, event_driven=True), ArrayPlan(Datapath.BANK, 64, 0))
    given = images(np.random.default_rng(1), network, 8)
    seen = np.lib.stride_tricks.sliding_window_view(given.reshape(-1, 28, 28), (5, 5), axis=(1, 2))
    rows = (seen != 0).reshape(8, 576, 25)
    banks = np.maximum(rows[:, :, ::2].sum(axis=2), rows[:, :, 1::2].sum(axis=2))
    wanted = banks.sum(axis=1) + 576 * 10 + 784 * 3
    assert event_intervals(network, plans, given).tolist() == wanted.tolist()
