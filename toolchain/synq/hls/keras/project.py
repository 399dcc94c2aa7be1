"""What hls4ml makes of the QKeras model: conversion, sources, and its own compiled library.

Importing this module imports TensorFlow and hls4ml.
"""

import ctypes
import re
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import tensorflow as tf
import yaml
from hls4ml.converters.keras_v2_to_hls import get_model_arch, parse_keras_model
from numpy.typing import NDArray

from synq.board import Board
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.hls.csim import PROJECT
from synq.hls.design import HlsDesign
from synq.hls.keras import extension
from synq.hls.keras.qkeras_model import raw_integers
from synq.hls.kernel import kernel_constants, places_constants, pool_constants
from synq.hls.packs import array_pack, network_ports, stream_depth
from synq.hls.sources import layer_format, layer_names
from synq.network import QuantizedNetwork, Stages, classes_of, stage_sizes

MAX_WIDTH = 4096  # Vivado HLS refuses to unroll further (hls4ml issues 904, 1013, 1157)


def convert(
    model: tf.keras.Model,
    network: QuantizedNetwork,
    design: HlsDesign,
    board: Board,
    backend: str,
    io_type: str,
    output: Path,
) -> Any:
    """Convert the QKeras model of `network` with hls4ml.

    Args:
        design: how the arrays are built.
        backend: "Vitis" or "Vivado".
        io_type: "io_parallel" or "io_stream".
        output: folder that hls4ml writes to; nothing is written yet.

    Returns:
        hls4ml's ModelGraph.

    Raises:
        SynqError: a layer is too wide to unroll, or hls4ml did not take a layer or a format as
            given.
    """
    extension.register()
    stream = io_type == "io_stream"
    widest = _widest(network, stream)
    if widest > MAX_WIDTH:
        other = "" if network.dense or stream else ": use io_stream, which takes it pixel by pixel"
        raise SynqError(
            f"a layer is {widest} wide; hls4ml unrolls a layer and HLS unrolls at most "
            f"{MAX_WIDTH}{other}",
            settings=("io_type",) if other else (),
        )
    # `convert_from_keras_model` in its steps, to say how the inputs lie in a stream.
    config = hls4ml.converters.create_config(
        output_dir=str(output),
        project_name=PROJECT,
        backend=backend,
        io_type=io_type,
        part=board.part,
        clock_period=board.clock_ns,
    )
    config |= {"KerasModel": model, "InputData": None, "OutputPredictions": None}
    config["HLSConfig"] = _hls_config(network, design, stream)
    layers, inputs, outputs, _ = parse_keras_model(*get_model_arch(config))
    given, _ = network_ports(network, stream)
    layers[0]["input_shape"] = extension.packed_shape(network.sizes[0], given.pack)
    graph = hls4ml.model.ModelGraph.from_layer_list(config, layers, inputs, outputs)
    if stream:
        for name in layer_names(network):
            depth = stream_depth(network, name)
            if depth is not None:
                graph.get_layer_output_variable(name).pragma = ("stream", depth)
    # The test bench reads every layer; hls4ml's own switch is a side effect of its trace().
    graph.config.trace_output = True
    _assert_converted(graph, network, stream)
    return graph


def _widest(network: QuantizedNetwork, stream: bool) -> int:
    """The most values that stand in registers at once: of a layer, or of what an array sees."""
    seen = [side for array in network.arrays for side in (array.n_in, array.n_out)]
    if stream:
        return max(seen)
    return max(network.n_in, *seen, *(size for _, size in stage_sizes(network)))


def hls4ml_files(graph: Any) -> dict[str, bytes]:
    """The sources and scripts of hls4ml, by their names in the project's folder `hls`.

    The same bytes for the same network, wherever it writes them.
    """
    root = Path(graph.config.get_output_dir())
    graph.write()
    _make_reproducible(root, graph.config.get_config_value("Stamp"))
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _hls_config(network: QuantizedNetwork, design: HlsDesign, stream: bool) -> dict[str, Any]:
    layers: dict[str, Any] = {"inputs": {"Precision": {"result": _precision(network.input_format)}}}
    stages = [name for name, _ in stage_sizes(network)]
    for name in layer_names(network):
        form = layer_format(network, name)
        layers[name] = {"Precision": {"result": _precision(form)}, "Trace": name in stages}
    sizes = dict(stage_sizes(network))
    for index, (array, plan) in enumerate(zip(network.arrays, design.arrays, strict=True)):
        geometry, pack = network.geometries[index], array_pack(network, index)
        constants = kernel_constants(array, plan)
        if geometry.window is not None:
            constants |= places_constants(geometry.window, int(constants["n_blocks"]))
        layers[f"array_{index}"] |= {
            "Kernel": constants,
            "Pack": pack if stream else sizes[f"array_{index}"],
        }
        if geometry.pool is not None:
            layers[f"pool_{index}"] |= {
                "Kernel": pool_constants(network, index),
                "Pack": pack if stream else sizes[f"activation_{index}"],
            }
    return {
        # Dataflow between the layers. hls4ml's own choice for io_parallel is to pipeline the top
        # function, which would unroll every row loop.
        "Model": {
            "Precision": "fixed<16,6>",
            "ReuseFactor": 1,
            "PipelineStyle": "dataflow",
            "BitExact": None,
        },
        "LayerName": layers,
    }


def _precision(form: FixedPoint) -> str:
    kind = "fixed" if form.signed else "ufixed"
    modes = f"{form.rounding.name},{form.overflow.name}"
    return f"{kind}<{form.width},{form.integer},{modes}>"


def _assert_converted(graph: Any, network: QuantizedNetwork, stream: bool) -> None:
    """hls4ml drops a layer whose template does not match, and guesses a format it does not find."""
    layers = {layer.name: layer for layer in graph.get_layers()}
    expected = ["inputs", *layer_names(network)]
    if list(layers) != expected:
        raise SynqError(f"hls4ml made the layers {list(layers)}, expected {expected}")
    for name in expected[1:]:
        layer = layers[name]
        function = (
            "nnet::"
            + {"array": "synapse_", "pool": "synapse_pool<", "activation": "relu<"}[
                name.rsplit("_", 1)[0]
            ]
        )
        if not str(layer.get_attr("function_cpp", "")).strip("[]'\" ").startswith(function):
            raise SynqError(f"hls4ml did not match a template to the layer {name}")
    formats = [("inputs", network.input_format)]
    formats += [(name, layer_format(network, name)) for name in expected[1:]]
    for name, form in formats:
        got = layers[name].get_output_variable().type.precision
        wanted = (form.width, form.integer, form.signed)
        if (got.width, got.integer, got.signed) != wanted or (
            not name.startswith("inputs")
            and (
                str(got.rounding_mode) != form.rounding.name
                or str(got.saturation_mode) != form.overflow.name
            )
        ):
            raise SynqError(f"hls4ml gave the layer {name} the format {got}, not {form.ap_type}")
    ends = (graph.get_input_variables()[0], graph.get_output_variables()[0])
    for variable, port in zip(ends, network_ports(network, stream), strict=True):
        pack = variable.shape[-1]
        if (variable.type.name, pack) != (port.type, port.pack):
            raise SynqError(
                f"hls4ml calls a port {variable.type.name}, {pack} values wide, "
                f"not {port.type} of {port.pack}"
            )


def _make_reproducible(root: Path, stamp: str) -> None:
    """Remove what differs from run to run: a random stamp, folder names, a dated model file."""
    script = root / "build_lib.sh"
    script.write_text(script.read_text().replace(stamp, "synq"))
    (root / "keras_model.keras").unlink(missing_ok=True)
    settings = root / "hls4ml_config.yml"
    text = re.sub(r"!keras_model .*", "null", settings.read_text())
    config = yaml.load(text, Loader=yaml.SafeLoader)
    config.update(OutputDir=".", Stamp="synq", KerasModel=None)
    settings.write_text(yaml.safe_dump(config))


def simulate_library(
    graph: Any, library: Path, network: QuantizedNetwork, inputs: NDArray[np.integer[Any]]
) -> Stages:
    """Run every image through hls4ml's own `trace()` and compiled library.

    Args:
        library: `csim.LIBRARY`, linked as hls4ml's build script does, from its bridge.
        inputs: (n_samples, n_in) raw integers.

    Returns:
        The stages as raw integers, as `Trace.stages`; exact because hls4ml passes float64.
    """
    real = np.ascontiguousarray(inputs * network.input_format.step, dtype=np.float64)
    graph._top_function_lib = ctypes.CDLL(str(library))
    graph.compile = lambda: None  # trace() would compile the firmware once more
    outputs, traced = graph.trace(real)
    # The last layer's port is what hardware shows; take it from there, not from the trace.
    traced[stage_sizes(network)[-1][0]] = outputs
    stages: Stages = []
    for name, size in stage_sizes(network):
        values = np.asarray(traced[name]).reshape(len(inputs), size)
        form = layer_format(network, name)
        stages.append((name, raw_integers("the compiled library", name, values, form)))
    stages.append(("class", classes_of(stages[-1][1])[:, None]))
    return stages
