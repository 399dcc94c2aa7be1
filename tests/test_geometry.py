"""Windows and pools against plain loops, and what does not fit."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from strategies import (
    SOME,
    assigned_raw,
    convolutional_network,
    images,
    random_geometry,
    seeds,
    with_converters,
)
from synq.errors import SynqError
from synq.float_network import FloatNetwork
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window, check_chain
from synq.network import QuantizedNetwork

WINDOW = Window((4, 5, 2), (3, 2))


def convolved(
    image: list[int], window: Window, column: list[int], bias: int
) -> dict[tuple[int, int], int]:
    """One output's sum at each place, from Python's integers and the definition alone."""
    height, width, channels = window.shape
    (top, _), (left, _) = window.padding
    sums = {}
    for row, col in itertools.product(*map(range, window.places)):
        total, rows = bias, iter(column)
        for down, across, channel in itertools.product(*map(range, (*window.kernel, channels))):
            y = row * window.stride[0] + down - top
            x = col * window.stride[1] + across - left
            weight = next(rows)
            if 0 <= y < height and 0 <= x < width:
                total += weight * image[(y * width + x) * channels + channel]
        sums[row, col] = total
    return sums


def by_hand(network: QuantizedNetwork, image: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Sums and activations of one image."""
    accumulators, activations = [], []
    for index, (array, geometry) in enumerate(zip(network.arrays, network.geometries, strict=True)):
        # A dense layer is the window that is as large as the image.
        window = geometry.window or Window((1, 1, array.n_in), (1, 1))
        bias = 0 if array.bias_input is None else array.bias_input
        rows = array.weights.tolist()
        outputs = [
            convolved(
                image,
                window,
                [row[j] for row in rows[: array.n_in]],
                bias * rows[-1][j] if bias else 0,
            )
            for j in range(array.n_out)
        ]
        places = list(itertools.product(*map(range, window.places)))
        accumulators.append([output[place] for place in places for output in outputs])
        if index == len(network.activations):
            continue
        pool = geometry.pool or Pool(Pooling.MAX, (1, 1))
        (down, across), image = pool.size, []
        for row, col in itertools.product(
            range(window.places[0] // down), range(window.places[1] // across)
        ):
            for output in outputs:
                pooled = [
                    max(0, output[row * down + y, col * across + x])
                    for y, x in itertools.product(range(down), range(across))
                ]
                value = max(pooled) if pool.kind is Pooling.MAX else sum(pooled)
                fraction = array.accumulator.fraction
                image.append(assigned_raw(value, fraction, network.activations[index]))
        activations.append(image)
    return accumulators, activations


@SOME
@given(seed=seeds)
def test_the_reference_is_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    network = convolutional_network(random)
    inputs = images(random, network, 4)
    trace = network.run(inputs)
    for sample in range(4):
        accumulators, activations = by_hand(network, inputs[sample].tolist())
        assert [each[sample].tolist() for each in trace.accumulators] == accumulators
        assert [each[sample].tolist() for each in trace.activations] == activations


@SOME
@given(seed=seeds)
def test_a_file_holds_all_of_it(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    network = convolutional_network(np.random.default_rng(seed))
    path = tmp_path_factory.getbasetemp() / "network.npz"
    path.write_bytes(network.to_npz())
    read = QuantizedNetwork.from_npz(path)
    assert (read.digest, read.geometries) == (network.digest, network.geometries)


def test_geometry_is_part_of_the_digest() -> None:
    network = convolutional_network(np.random.default_rng(3), convolutions=1)
    geometry = network.geometries[0]
    assert geometry.window is not None
    size = geometry.pool.size if geometry.pool else (1, 1)
    rest = network.geometries[1:]
    others = {
        dataclasses.replace(network, geometries=(Geometry(geometry.window, pool), *rest)).digest
        for pool in (Pool(kind, size) for kind in Pooling)
    }
    assert len(others) == 2


def test_images_in_blocks_are_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    network = convolutional_network(random, convolutions=2)
    network = dataclasses.replace(
        network, arrays=tuple(with_converters(random, array, 5) for array in network.arrays)
    )
    inputs = images(random, network, 7)
    whole = network.run(inputs, first=9)
    monkeypatch.setattr("synq.network._VALUES_AT_ONCE", 1)
    monkeypatch.setattr("synq.network._SUMS_AT_ONCE", 1)
    assert np.array_equal(network.run(inputs, first=9).table(), whole.table())
    assert np.array_equal(network.answers(inputs, first=9), whole.answers)
    assert network.answers(inputs[:0]).shape == whole.answers[:0].shape


def test_read_noise_counts_places() -> None:
    random = np.random.default_rng(8)
    network = convolutional_network(random, convolutions=2)
    network = dataclasses.replace(
        network, arrays=tuple(with_converters(random, array, 5) for array in network.arrays)
    )
    inputs = images(random, network, 6)
    parts = [network.run(inputs[:2], first=0), network.run(inputs[2:], first=2)]
    together = np.vstack([part.table() for part in parts])
    assert np.array_equal(together, network.run(inputs).table())


@SOME
@given(seed=seeds)
def test_real_numbers_agree_with_integers(seed: int) -> None:
    random = np.random.default_rng(seed)
    network = convolutional_network(random)
    real = FloatNetwork(
        tuple(random.normal(size=(array.n_in, array.n_out)) for array in network.arrays),
        tuple(random.normal(size=array.n_out) for array in network.arrays),
        network.geometries,
    )
    inputs = random.normal(size=(3, network.n_in)).astype(np.float32)
    signal = inputs
    for index, geometry in enumerate(network.geometries):
        weight, bias = real.weights[index], real.biases[index]
        assert bias is not None
        seen = signal if geometry.window is None else geometry.window.patches(signal)
        signal = (seen @ weight + bias).reshape(3, -1)
        if index < len(real.weights) - 1:
            signal = np.maximum(signal, 0)
            if geometry.pool is not None:
                signal = geometry.pool.pooled(signal, geometry.answered(weight.shape[1]))
                signal = signal / geometry.pool.divisor
    np.testing.assert_allclose(real.logits(inputs), signal, rtol=2e-4, atol=2e-3)
    assert real.sizes == network.sizes


def test_geometry_is_part_of_a_float_networks_digest() -> None:
    weights = (np.ones((4, 3)), np.ones((12, 2)))
    networks = {
        FloatNetwork(weights, (None, None), (Geometry(window), DENSE)).digest
        for window in (Window((4, 4, 1), (2, 2), (2, 2)), Window((3, 3, 1), (2, 2)))
    }
    assert len(networks) == 2


@SOME
@given(seed=seeds)
def test_normalized_inputs_are_taken_up_by_a_convolution(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (5, 6, 3)
    geometry = random_geometry(random, shape)
    assert geometry.window is not None
    last = geometry.passed(2)
    network = FloatNetwork(
        (random.normal(size=(geometry.window.n_in, 2)), random.normal(size=(np.prod(last), 2))),
        (None, None),
        (geometry, DENSE),
    )
    mean = np.tile(random.normal(size=3), 30)
    std = np.tile(random.uniform(0.5, 2, size=3), 30)
    inputs = random.normal(size=(3, 90))
    if any(map(any, geometry.window.padding)):
        with pytest.raises(SynqError, match="padding is zeros of normalized inputs"):
            network.with_normalized_inputs(mean, std)
        mean = np.zeros(90)
    got = network.with_normalized_inputs(mean, std).logits(inputs)
    want = network.logits((inputs - mean) / std)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
    with pytest.raises(SynqError, match="one number, or one a channel"):
        network.with_normalized_inputs(0.0, np.linspace(1, 2, 90))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": (0, 1)}, "a kernel is two numbers of at least 1"),
        ({"kernel": (5, 1)}, "the kernel is larger than the image"),
        ({"kernel": (2.0, 1)}, "a kernel is two numbers"),
        ({"stride": (0, 1)}, "a stride is two numbers of at least 1"),
        ({"stride": (1, 9)}, "the stride is larger"),
        ({"padding": ((0, 0), (2, 0))}, "padding is less than the kernel"),
        ({"padding": ((0, 0), (-1, 0))}, "padding is two numbers of at least 0"),
        ({"padding": ((0, 0),)}, "padding is a pair"),
        ({"shape": (4, 5)}, "a shape is height, width and channels"),
        ({"shape": (1 << 12, 1 << 12, 2)}, "an image has at most"),
    ],
)
def test_windows_that_are_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(WINDOW, **fields)
    described = WINDOW.to_dict() | fields
    with pytest.raises(ValueError):
        Window.from_dict(described)


def test_pools_that_are_none() -> None:
    with pytest.raises(ValueError, match="a pool is two numbers"):
        Pool(Pooling.MAX, (0, 1))
    with pytest.raises(ValueError, match="only a convolution's answers"):
        Geometry(None, Pool(Pooling.MAX, (1, 1)))
    with pytest.raises(ValueError, match="the pool is larger"):
        Geometry(WINDOW, Pool(Pooling.MAX, (3, 1)))
    for fields in (3, {"kind": "least", "size": [1, 1]}, {"kind": "max", "size": [1]}):
        with pytest.raises(ValueError):
            Pool.from_dict(fields)
    for fields in (3, {"window": 3, "pool": None}, {"window": WINDOW.to_dict()}):
        with pytest.raises(ValueError):
            Geometry.from_dict(fields)


def test_layers_that_do_not_follow_one_another() -> None:
    first = Geometry(WINDOW)
    check_chain((first, DENSE), [(12, 3), (24, 2)])
    for geometries, matrices, message in [
        ((first,), [(12, 3)], "the last layer is dense"),
        ((first, DENSE), [(11, 3), (24, 2)], "layer 1 has 11 inputs, its window 12"),
        ((first, DENSE), [(12, 3), (23, 2)], "layer 2 does not take"),
        ((DENSE, first, DENSE), [(9, 40), (12, 3), (24, 2)], "layer 2 does not take"),
        ((first,), [(12, 3), (24, 2)], "one geometry a layer"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_chain(geometries, matrices)
        weights = tuple(np.ones(shape) for shape in matrices)
        with pytest.raises(SynqError, match=f"{message}|layer 2 takes 23 inputs"):
            FloatNetwork(weights, (None,) * len(weights), geometries)


def test_what_people_read() -> None:
    pool = Pool(Pooling.MAX, (2, 2))
    assert str(Geometry(Window((28, 28, 1), (5, 5)), pool)) == (
        "5 x 5 of 28 x 28 x 1 at 24 x 24 places, max of 2 x 2"
    )
    padded = Window((8, 8, 3), (3, 3), (2, 2), ((1, 1), (1, 1)))
    assert str(Geometry(padded)) == "3 x 3 of 8 x 8 x 3 at 4 x 4 places, stride 2 x 2, padded"
    assert str(DENSE) == "dense"
