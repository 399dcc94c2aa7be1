"""Convolutional networks through QKeras and hls4ml, for real: compiled, run, compared."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from projects import emit
from strategies import BYTE, convolutional_network, images, synapse_array
from synq.board import load_board
from synq.errors import SynqError
from synq.fixedpoint import Rounding
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.hls import csim
from synq.hls.back_end import check_hls
from synq.hls.converter import convert
from synq.hls.design import SIMPLEST, ArrayPlan, HlsDesign, HlsSettings
from synq.hls.estimate import estimate_layer
from synq.hls.sources import render_sources
from synq.network import QuantizedNetwork, first_difference
from synq.planning import plan_hls
from synq.progress import SILENT
from synq.request import Datapath, Request, Target

PLANS = [
    ArrayPlan(Datapath.BANK, 4, 1),
    ArrayPlan(Datapath.BUCKETS, 2, 0, event_driven=True),
    ArrayPlan(Datapath.DECODE, 3, 3),
    ArrayPlan(Datapath.BANK, 2, 0, event_driven=True),
    ArrayPlan(Datapath.BUCKETS, 3, 0),
]


def random_network(seed: int) -> QuantizedNetwork:
    """With activations as QKeras has them."""
    network = convolutional_network(np.random.default_rng(seed), saturating=True)
    forms = tuple(
        dataclasses.replace(form, rounding=Rounding.RND_CONV) for form in network.activations
    )
    inputs = (network.input_format, *forms)
    arrays = tuple(
        dataclasses.replace(array, input_format=form)
        for array, form in zip(network.arrays, inputs, strict=True)
    )
    return dataclasses.replace(network, arrays=arrays, activations=forms)


@pytest.mark.parametrize(
    ("seed", "backend", "io_type"),
    [
        (50, "Vitis", "io_parallel"),  # a pool of 2 x 2 sums
        (58, "Vitis", "io_stream"),  # two convolutions, the largest of 1 x 3
        (49, "Vivado", "io_stream"),  # two convolutions, 2 x 1 sums
    ],
)
def test_random_networks_are_bit_exact(
    seed: int, backend: str, io_type: str, tmp_path: Path
) -> None:
    network = random_network(seed)
    inputs = images(np.random.default_rng(seed), network, 60)
    expected = network.run(inputs)
    settings, board = HlsSettings(backend, io_type), load_board("pynq-z2")
    plans = tuple(PLANS[(seed + index) % len(PLANS)] for index in range(len(network.arrays)))
    core = convert(network, HlsDesign(plans), board, settings, tmp_path / "rendered")
    ours = render_sources(
        network, HlsDesign(plans), settings.stream, inputs[:10], expected.head(10)
    )
    files = {**core.files, **ours}
    found = check_hls(core, files, network, inputs, expected, tmp_path, tmp_path / "cache", SILENT)
    whole = expected.table().size
    axis = 60 * (network.sizes[-1] + 1)
    assert found.compared == {"qkeras": whole, "hls4ml": whole, "csim": whole, "axis": axis}


def test_one_wrong_code_bit_is_caught(tmp_path: Path) -> None:
    network = random_network(58)
    inputs = images(np.random.default_rng(0), network, 20)
    place = tmp_path / "hls"
    emit(network, inputs.astype(np.uint8), place, io_type="io_stream")
    header = place / "firmware" / "array_0.h"
    text = header.read_text()
    word = text.split("    {0x")[1].split("u")[0]
    header.write_text(text.replace(f"    {{0x{word}", f"    {{0x{int(word, 16) ^ 1:08x}", 1))
    bench = csim.build_test_bench(place, tmp_path, tmp_path / "cache")
    run = csim.simulate(bench, network, inputs, tmp_path)
    found = first_difference(network.run(inputs), run.stages, "C simulation")
    assert found is not None and "array_0, neuron 0" in found


def test_too_many_sums_in_parallel_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    geometries = (Geometry(Window((30, 30, 1), (3, 3)), Pool(Pooling.MAX, (4, 4))), DENSE)
    arrays = (synapse_array(random, 9, 6), synapse_array(random, 7 * 7 * 6, 2))
    network = QuantizedNetwork(arrays, (BYTE,), geometries)
    design, board = HlsDesign((SIMPLEST, SIMPLEST)), load_board("pynq-z2")
    with pytest.raises(SynqError, match=r"4704 wide.*unrolls at most 4096"):
        convert(network, design, board, HlsSettings("Vitis", "io_parallel"), tmp_path)


def test_the_slowest_layer_decides() -> None:
    network = random_network(58)
    plan = plan_hls(network, load_board("pynq-z2"), Request(target=Target.THROUGHPUT))
    cycles = [
        estimate_layer(network, index, array).interval
        for index, array in enumerate(plan.chosen.core.arrays)
    ]
    assert plan.chosen.estimate.interval == max(cycles)
    # No layer is built to be faster than it need be, if there is a smaller one.
    assert max(cycles) in cycles[:2]
