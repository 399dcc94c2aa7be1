"""The C++ that synq itself writes into a project's folder `hls`; hls4ml writes the rest.

Needs neither TensorFlow nor hls4ml, so `synq verify` renders these files anew.
"""

from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.fixedpoint import FixedPoint
from synq.hls.axis import render_axis
from synq.hls.csim import PROJECT, integer_lines
from synq.hls.design import HlsDesign
from synq.hls.layout import Layout
from synq.hls.packs import Port, network_ports, pooled_format
from synq.network import QuantizedNetwork, Trace, stage_sizes
from synq.resources import folder

KERNEL = "nnet_synapse_array.h"
PLACES_KERNEL = "nnet_synapse_places.h"


def render_sources(
    network: QuantizedNetwork,
    design: HlsDesign,
    stream: bool,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
) -> dict[str, bytes]:
    """The files by their names in the folder `hls`; the same bytes for the same arguments.

    Args:
        stream: whether the interfaces are streams (io_stream) or arrays (io_parallel).
        inputs: (n_samples, n_in) raw integers, shipped as the test benches' vectors.
        expected: the integer reference for them.

    Raises:
        SynqError: a logit does not fit the AXI4-Stream, or no stream can carry an image.
    """
    ports = network_ports(network, stream)
    files = {
        f"{PROJECT}_test.cpp": _test_bench(network, *ports),
        "tb_data/inputs.txt": integer_lines(inputs),
        "tb_data/expected.txt": integer_lines(expected.table()),
        f"firmware/nnet_utils/{KERNEL}": (folder("hls_templates") / KERNEL).read_bytes(),
        # hls4ml's build script adds this folder; the tables are headers instead.
        "firmware/weights/README": b"The tables are ../array_*.h.\n",
        **render_axis(network, *ports),
    }
    if not network.dense:
        kernel = (folder("hls_templates") / PLACES_KERNEL).read_bytes()
        files[f"firmware/nnet_utils/{PLACES_KERNEL}"] = kernel
    for index, (array, plan) in enumerate(zip(network.arrays, design.arrays, strict=True)):
        header = Layout(array, plan.parallel_rows).header(f"array_{index}")
        files[f"firmware/array_{index}.h"] = header.encode("ascii")
    return files


def _test_bench(network: QuantizedNetwork, given: Port, result: Port) -> bytes:
    """The raw-integer test bench."""
    stages = [
        {"name": name, "size": size, "scale": repr(2.0 ** layer_format(network, name).fraction)}
        for name, size in stage_sizes(network)
    ]
    source = (folder("hls_templates") / "testbench.cpp").read_text("ascii")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    text = environment.from_string(source).render(
        project=PROJECT,
        n_in=network.sizes[0],
        n_out=network.sizes[-1],
        input_width=network.input_format.width,
        stages=stages,
        given=given,
        result=result,
    )
    return text.encode("ascii")


def layer_names(network: QuantizedNetwork) -> list[str]:
    """Of all layers of the emitted model, in order of computation: the stages, and the pools."""
    names: list[str] = []
    for name, _ in stage_sizes(network):
        names.append(name)
        kind, index = name.rsplit("_", 1)
        if kind == "array" and network.geometries[int(index)].pool is not None:
            names.append(f"pool_{index}")
    return names


def layer_format(network: QuantizedNetwork, layer_name: str) -> FixedPoint:
    """The output format of the layer `array_N`, `pool_N` or `activation_N`."""
    kind, index = layer_name.rsplit("_", 1)
    if kind == "pool":
        return pooled_format(network, int(index))
    if kind == "array":
        return network.arrays[int(index)].accumulator
    return network.activations[int(index)]
