"""The hls4ml project: convert the QKeras model, write the sources, prove that all of it matched.

Importing this module imports TensorFlow and hls4ml.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import tensorflow as tf
import yaml
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.board import Board
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.hls import extension
from synq.hls.csim import PROJECT, integer_lines
from synq.hls.design import ArrayPlan
from synq.hls.layout import Layout
from synq.hls.qkeras_model import layer_format, raw_integers
from synq.network import QuantizedNetwork, Stages, Trace, stage_sizes
from synq.resources import folder

MAX_WIDTH = 4096  # Vivado HLS refuses to unroll further (hls4ml issues 904, 1013, 1157)


@dataclass(frozen=True)
class HlsProject:
    """A converted network.

    Attributes:
        graph: hls4ml's ModelGraph; it compiles and simulates in its own output folder.
        network: what it was made from.
        plans: how each array is built.
        stream: whether the interfaces are streams (io_stream) or arrays (io_parallel).
    """

    graph: Any
    network: QuantizedNetwork
    plans: tuple[ArrayPlan, ...]
    stream: bool


def convert(
    model: tf.keras.Model,
    network: QuantizedNetwork,
    plans: tuple[ArrayPlan, ...],
    board: Board,
    backend: str,
    io_type: str,
    output: Path,
) -> HlsProject:
    """Convert the QKeras model of `network` with hls4ml.

    Args:
        plans: how each array is built.
        backend: "Vitis" or "Vivado".
        io_type: "io_parallel" or "io_stream".
        output: folder that hls4ml writes to and compiles in; nothing is written yet.

    Raises:
        SynqError: a layer is too wide to unroll, or hls4ml did not take a layer or a format as
            given.
    """
    widest = max(network.sizes)
    if widest > MAX_WIDTH:
        raise SynqError(
            f"a layer is {widest} wide; hls4ml unrolls a layer and HLS unrolls at most {MAX_WIDTH}"
        )
    extension.register()
    graph = hls4ml.converters.convert_from_keras_model(
        model,
        output_dir=str(output),
        project_name=PROJECT,
        backend=backend,
        io_type=io_type,
        part=board.part,
        clock_period=board.clock_ns,
        hls_config=_hls_config(network, plans),
    )
    # The test bench reads every layer; hls4ml's own switch is a side effect of its trace().
    graph.config.trace_output = True
    project = HlsProject(graph, network, plans, stream=io_type == "io_stream")
    _assert_converted(project)
    return project


def write(project: HlsProject, inputs: NDArray[Any], trace: Trace) -> dict[str, bytes]:
    """Write the project to the graph's output folder.

    Args:
        inputs: (n_samples, n_in) raw test inputs shipped as test-bench vectors.
        trace: the reference's integers for them.

    Returns:
        Every file of the project, relative name to contents; the same bytes for the same network
        wherever it is written.
    """
    root = Path(project.graph.config.get_output_dir())
    project.graph.write()
    (root / f"{PROJECT}_test.cpp").write_text(test_bench(project))
    for index, (array, plan) in enumerate(zip(project.network.arrays, project.plans, strict=True)):
        name = f"array_{index}"
        header = Layout(array, plan.parallel_rows).header(name)
        (root / "firmware" / f"{name}.h").write_text(header)
    (root / "tb_data" / "inputs.txt").write_bytes(integer_lines(inputs))
    (root / "tb_data" / "expected.txt").write_bytes(integer_lines(trace.table()))
    # hls4ml's build script adds this folder; the tables are headers instead.
    (root / "firmware" / "weights" / "README").write_text("The tables are ../array_*.h.\n")
    _make_reproducible(root, project.graph.config.get_config_value("Stamp"))
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def port_types(project: HlsProject) -> tuple[str, str]:
    """C++ types of the top function's input and output: of an element, or of a pack in a stream."""
    (given,), (result,) = project.graph.get_input_variables(), project.graph.get_output_variables()
    return given.type.name, result.type.name


def test_bench(project: HlsProject) -> str:
    """The C++ source of the raw-integer test bench."""
    network = project.network
    input_type, output_type = port_types(project)
    stages = [
        {
            "name": name,
            "size": size,
            "scale": repr(2.0 ** layer_format(network, name).fraction),
        }
        for name, size in stage_sizes(network)
    ]
    source = (folder("hls_templates") / "testbench.cpp").read_text()
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(source).render(
        project=PROJECT,
        n_in=network.sizes[0],
        n_out=network.sizes[-1],
        input_width=network.input_format.width,
        stages=stages,
        stream=project.stream,
        input_type=input_type,
        output_type=output_type,
    )


def _hls_config(network: QuantizedNetwork, plans: tuple[ArrayPlan, ...]) -> dict[str, Any]:
    layers: dict[str, Any] = {"inputs": {"Precision": {"result": _precision(network.input_format)}}}
    for name, _ in stage_sizes(network):
        form = layer_format(network, name)
        layers[name] = {"Precision": {"result": _precision(form)}, "Trace": True}
    for index, (array, plan) in enumerate(zip(network.arrays, plans, strict=True)):
        layers[f"array_{index}"]["Kernel"] = extension.kernel_constants(array, plan)
    return {
        # Dataflow between the layers. hls4ml's own choice for io_parallel is to pipeline the top
        # function, which would unroll every row loop.
        "Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1, "PipelineStyle": "dataflow"},
        "LayerName": layers,
    }


def _precision(form: FixedPoint) -> str:
    kind = "fixed" if form.signed else "ufixed"
    modes = f"{form.rounding.name},{form.overflow.name}"
    return f"{kind}<{form.width},{form.integer},{modes}>"


def _assert_converted(project: HlsProject) -> None:
    """hls4ml drops a layer whose template does not match, and guesses a format it does not find."""
    graph, network = project.graph, project.network
    layers = {layer.name: layer for layer in graph.get_layers()}
    expected = ["inputs", *(name for name, _ in stage_sizes(network))]
    if list(layers) != expected:
        raise SynqError(f"hls4ml made the layers {list(layers)}, expected {expected}")
    for name in expected[1:]:
        layer = layers[name]
        function = "nnet::synapse_array<" if name.startswith("array") else "nnet::relu<"
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


def simulate_library(project: HlsProject, inputs: NDArray[Any]) -> Stages:
    """Compile through hls4ml's own `compile()` and run every image through the shared library.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Returns:
        The stages as raw integers, as `Trace.stages`; exact because hls4ml passes float64.
    """
    network = project.network
    real = np.ascontiguousarray(inputs * network.input_format.step, dtype=np.float64)
    with _temporary_files_in(Path(project.graph.config.get_output_dir())):
        outputs, traced = project.graph.trace(real)
    # The last layer's port is what hardware shows; take it from there, not from the trace.
    traced[stage_sizes(network)[-1][0]] = outputs
    stages: Stages = []
    for name, size in stage_sizes(network):
        values = np.asarray(traced[name]).reshape(len(inputs), size)
        form = layer_format(network, name)
        stages.append((name, raw_integers("the compiled library", name, values, form)))
    stages.append(("class", np.argmax(stages[-1][1], axis=1)[:, None].astype(np.int64)))
    return stages


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Where compilers put what they leave when interrupted; hls4ml passes its environment on."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before
