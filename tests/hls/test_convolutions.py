"""Convolutional networks through QKeras and hls4ml, for real: compiled, run, compared."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from strategies import convolutional_network, images
from synq.board import load_board
from synq.fixedpoint import Rounding
from synq.hls.back_end import check_hls
from synq.hls.converter import convert
from synq.hls.design import ArrayPlan, HlsDesign, HlsSettings
from synq.hls.sources import render_sources
from synq.network import QuantizedNetwork
from synq.request import Datapath

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
        (1, "Vitis", "io_parallel"),
        (2, "Vitis", "io_stream"),
        (3, "Vivado", "io_parallel"),
        (4, "Vivado", "io_stream"),
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
    found = check_hls(core, files, network, inputs, expected, tmp_path, tmp_path / "cache")
    whole = expected.table().size
    axis = 60 * (network.sizes[-1] + 1)
    assert found.compared == {"qkeras": whole, "hls4ml": whole, "csim": whole, "axis": axis}
