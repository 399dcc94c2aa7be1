"""The C++ kernels of convolutions and pools by themselves: every datapath, arrays and streams.

One compilation holds many layers, so that the property is checked on many more than a project at a
time would allow.
"""

import dataclasses
import re
import subprocess
from pathlib import Path

import hls4ml
import numpy as np
import pytest
from numpy.typing import NDArray

from strategies import BYTE, convolutional_network, images, synapse_array, with_converters
from synq.fixedpoint import FixedPoint
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.hls.design import ArrayPlan
from synq.hls.kernel import (
    PLACES_CPP,
    POOL_CPP,
    kernel_constants,
    places_constants,
    pool_constants,
)
from synq.hls.layout import Layout
from synq.hls.packs import pooled_format
from synq.network import QuantizedNetwork, rectified
from synq.request import Datapath
from synq.resources import folder

KERNELS = ("nnet_synapse_array.h", "nnet_synapse_places.h")
UTILITIES = Path(hls4ml.__file__).parent / "templates" / "vivado"
_IMAGES = 5


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution and its pool, and how they are built; elements of streams where there are."""

    network: QuantizedNetwork
    plan: ArrayPlan
    packs: tuple[int, int] | None

    @property
    def window(self) -> Window:
        window = self.network.geometries[0].window
        assert window is not None
        return window


def random_layer(random: np.random.Generator) -> Layer:
    network = convolutional_network(random, convolutions=1)
    if network.geometries[0].pool is None:
        pool = Pool(Pooling.AVERAGE if random.integers(2) else Pooling.MAX, (1, 1))
        geometry = Geometry(network.geometries[0].window, pool)
        network = dataclasses.replace(network, geometries=(geometry, *network.geometries[1:]))
    array = network.arrays[0]
    if random.integers(3) == 0:
        array = with_converters(random, array)
        network = dataclasses.replace(network, arrays=(array, *network.arrays[1:]))
    datapath = Datapath(random.choice(["decode", "bank", "buckets"]))
    rows = int(random.integers(1, 10))
    if array.converter is not None and len(array.tiles) > 1:
        rows = int(np.gcd(rows * int(random.integers(1, 4)), array.converter.tile_rows))
    decoded = {Datapath.DECODE: rows, Datapath.BANK: rows // 2, Datapath.BUCKETS: 0}[datapath]
    plan = ArrayPlan(datapath, rows, decoded, bool(random.integers(3) == 0))
    if random.integers(3) == 0:
        return Layer(network, plan, None)
    values, channels = network.n_in, network.geometries[0].window.shape[2]
    given = [n for n in range(1, values + 1) if n % channels == 0 and values % n == 0]
    given += [n for n in range(1, channels) if channels % n == 0]
    made = [n for n in range(1, array.n_out + 1) if array.n_out % n == 0]
    return Layer(network, plan, (int(random.choice(given)), int(random.choice(made))))


def program(layers: list[Layer]) -> str:
    """C++ that runs each layer on images from standard input, prints its sums and their pools."""
    parts = ['#include "nnet_synapse_places.h"', '#include "nnet_types.h"', "#include <cstdio>"]
    calls = []
    for index, layer in enumerate(layers):
        array, window = layer.network.arrays[0], layer.window
        low, high = array.accumulator_range
        constants = kernel_constants(array, layer.plan)
        parts += [
            Layout(array, layer.plan.parallel_rows).header(f"array_{index}"),
            PLACES_CPP.format(
                index=index,
                n_in=array.n_in,
                n_rows=array.n_rows,
                n_out=array.n_out,
                table_width=array.table_format.width,
                accum_width=array.accumulator.width,
                bias_input=array.bias_input or 0,
                accum_min=low,
                accum_max=high,
                **places_constants(window, int(constants["n_blocks"])),
                **constants,
            ),
            POOL_CPP.format(index=f"{index}_pool", **pool_constants(layer.network, 0)),
        ]
        calls.append(call(layer, index))
    return "\n".join([*parts, "int main() {", *calls, "return 0;", "}"])


def call(layer: Layer, index: int) -> str:
    network = layer.network
    n_in, array = network.n_in, network.arrays[0]
    n_sums, n_pooled = layer.window.n_places * array.n_out, network.sizes[1]
    types = [form.ap_type for form in (array.input_format, array.accumulator)]
    types.append(pooled_format(network, 0).ap_type)
    if layer.packs is None:
        names = types
        ports = [
            f"{name} {port}[{n}];"
            for name, port, n in zip(
                names, ("data", "sums", "pools"), (n_in, n_sums, n_pooled), strict=True
            )
        ]
        give, take = "data[i] = value;", "const auto made = {port}[i];"
        more = ""
    else:
        packs = (layer.packs[0], layer.packs[1], layer.packs[1])
        names = [f"nnet::array<{name}, {pack}>" for name, pack in zip(types, packs, strict=True)]
        ports = [
            f"hls::stream<{name}> {port};"
            for name, port in zip(names, ("data", "sums", "pools"), strict=True)
        ]
        ports.append(f"{names[0]} pack;")
        give = f"pack[i % {packs[0]}] = value; if (i % {packs[0]} == {packs[0]} - 1) "
        give += "data.write(pack);"
        take = (
            f"static {{type}} got; if (i % {packs[1]} == 0) got = {{port}}.read();"
            f"const auto made = got[i % {packs[1]}];"
        )
        # Read to be printed, and sent again.
        more = f"if (i % {packs[1]} == {packs[1]} - 1) again.write(got);"
        ports.append(f"hls::stream<{names[1]}> again;")
    width = array.input_format.width

    def printed(port: str, name: str, count: int, form: FixedPoint, after: str) -> str:
        bits = f"made.range({form.width - 1}, 0)"
        raw = f"ap_{'' if form.signed else 'u'}int<{form.width}>({bits})"
        return f"""
        for (int i = 0; i < {count}; i++) {{
            {take.format(port=port, type=name)}
            printf("%lld ", (long long){raw});
            {after}
        }}"""

    pool_input = "sums" if layer.packs is None else "again"
    return f"""
    for (int image = 0; image < {_IMAGES}; image++) {{
        {" ".join(ports)}
        for (int i = 0; i < {n_in}; i++) {{
            int raw;
            if (scanf("%d", &raw) != 1) return 1;
            {types[0]} value;
            value.range({width - 1}, 0) = ap_uint<{width}>(raw);
            {give}
        }}
        nnet::synapse_convolution<{names[0]}, {names[1]}, config{index}>(
            data, sums, array_{index}_codes, array_{index}_values);
        {printed("sums", names[1], n_sums, array.accumulator, more)}
        nnet::synapse_pool<{names[1]}, {names[2]}, config{index}_pool>({pool_input}, pools);
        {printed("pools", names[2], n_pooled, pooled_format(network, 0), "")}
    }}"""


def expected(layer: Layer, given: NDArray[np.int64]) -> NDArray[np.int64]:
    network = layer.network
    sums = network.accumulate(0, given)
    return np.hstack([sums, rectified(network.arrays[0], network.geometries[0], sums)]).flatten()


@pytest.mark.parametrize("seed", range(1, 2))
def test_every_layer_is_exact(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    layers = [random_layer(random) for _ in range(16)]
    given = [images(random, layer.network, _IMAGES) for layer in layers]
    assert {layer.packs is None for layer in layers} == {True, False}
    ran = run(program(layers), given, tmp_path)
    wanted = [expected(layer, inputs) for layer, inputs in zip(layers, given, strict=True)]
    assert np.array_equal(ran, np.concatenate(wanted))


def test_one_wrong_constant_is_caught(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    window = Window((5, 6, 2), (3, 3), padding=((1, 1), (1, 1)))
    geometry = Geometry(window, Pool(Pooling.MAX, (2, 2)))
    arrays = (synapse_array(random, 18, 3), synapse_array(random, 18, 2))
    network = QuantizedNetwork(arrays, (BYTE,), (geometry, DENSE))
    layer = Layer(network, ArrayPlan(Datapath.BANK, 4, 1), None)
    wrong = [
        ("largest = true", "largest = false"),
        ("pad_top = 1", "pad_top = 0"),
        ("pad_left = 1", "pad_left = 2"),
        ("pool_width = 2", "pool_width = 1"),
    ]
    given = images(random, network, _IMAGES)
    source = program([layer] * (len(wrong) + 1))
    for index, (old, new) in enumerate(wrong, start=1):  # the first is as it should be
        before, mark, own = source.partition(f"struct config{index} ")
        assert own.index(old) < own.find(f"struct config{index + 1} ") % len(own)
        source = before + mark + own.replace(old, new, 1)
    ran = run(source, [given] * (len(wrong) + 1), tmp_path).reshape(len(wrong) + 1, -1)
    equal = (ran == expected(layer, given)).all(axis=1)
    assert equal.tolist() == [True] + [False] * len(wrong)


def run(source: str, given: list[NDArray[np.int64]], place: Path) -> NDArray[np.int64]:
    for name in KERNELS:
        (place / name).write_text((folder("hls_templates") / name).read_text())
    (place / "main.cpp").write_text(source)
    # Vivado HLS takes no later standard.
    command = ["g++", "-std=c++11", "-O1", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-label"]
    command += ["-Wno-maybe-uninitialized"]  # counters that a loop sets in its first step
    command += ["-I.", f"-I{UTILITIES / 'ap_types'}", f"-I{UTILITIES / 'nnet_utils'}"]
    compiled = subprocess.run(
        [*command, "-o", "main", "main.cpp"], cwd=place, capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stderr[:3000]
    assert not re.search(r"nnet_synapse_\w+\.h:\d+:\d+: warning", compiled.stderr), compiled.stderr
    text = " ".join(str(value) for inputs in given for value in inputs.flatten())
    ran = subprocess.run([place / "main"], input=text, capture_output=True, text=True, check=True)
    return np.array(ran.stdout.split(), dtype=np.int64)
