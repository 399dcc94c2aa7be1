"""`SynapseDense`, `SynapseConv2D` and `SynapsePool` for hls4ml: parsers, layers, C++ templates.

Through hls4ml's extension API (hls4ml documentation, "Extension API"). Importing this module
imports hls4ml.
"""

import math
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import as_file
from typing import Any

import hls4ml
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute
from hls4ml.model.layers import Layer

from synq.hls.kernel import CONFIG_CPP, PLACES_CPP, POOL_CPP
from synq.hls.sources import KERNEL, PLACES_KERNEL
from synq.resources import folder

BACKENDS = ("Vitis", "Vivado")


def packed_shape(size: int, pack: int) -> list[int]:
    """`size` values as hls4ml lays them in a stream: the last axis is one element."""
    return [size] if pack == size else [size // pack, pack]


class SynapseArrayLayer(Layer):  # type: ignore[misc]
    """hls4ml's node for a synapse array; the attributes are constants of its C++ config.

    The others are those of `synq.hls.kernel`, from the layer's entry `Kernel` in hls4ml's
    configuration. Its entry `Pack` says how many sums are one stream element.
    """

    _expected_attributes = [  # noqa: RUF012 (hls4ml's own convention)
        Attribute(name)
        for name in (
            "n_in",
            "n_rows",
            "n_out",
            "n_sums",
            "table_width",
            "accum_width",
            "bias_input",
            "accum_min",
            "accum_max",
        )
    ]

    def initialize(self) -> None:
        n_sums, pack = self.get_attr("n_sums"), self.model.config.get_layer_config(self)["Pack"]
        self.add_output_variable(packed_shape(n_sums, pack))


class SynapsePlacesLayer(SynapseArrayLayer):
    """The same for one that is used at the places of an image."""


class SynapsePoolLayer(Layer):  # type: ignore[misc]
    """hls4ml's node for a pool; `Kernel` and `Pack` as those of an array."""

    _expected_attributes = [Attribute("n_pooled")]  # noqa: RUF012 (hls4ml's own convention)

    def initialize(self) -> None:
        n_pooled, pack = self.get_attr("n_pooled"), self.model.config.get_layer_config(self)["Pack"]
        self.add_output_variable(packed_shape(n_pooled, pack))


@dataclass(frozen=True)
class _Kind:
    """How a node becomes C++.

    Attributes:
        node: its class.
        config: of its struct of constants.
        function: of its call.
        header: in which the function is.
        tables: whether the node has a header of its own, with codes.
    """

    node: type[Layer]
    config: str
    function: str
    header: str
    tables: bool = True


_CALL = "nnet::{function}<{input_t}, {output_t}, {config}>({input}, {output}{tables});"
_KINDS = (
    _Kind(SynapseArrayLayer, CONFIG_CPP, "synapse_array", KERNEL),
    _Kind(SynapsePlacesLayer, PLACES_CPP, "synapse_convolution", PLACES_KERNEL),
    _Kind(SynapsePoolLayer, POOL_CPP, "synapse_pool", PLACES_KERNEL, tables=False),
)


class _ConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    def __init__(self, kind: _Kind) -> None:
        super().__init__(kind.node)
        self._kind = kind

    def format(self, node: Layer) -> str:
        constants = node.model.config.get_layer_config(node)["Kernel"]
        return self._kind.config.format(**self._default_params(node), **constants)


class _FunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    def __init__(self, kind: _Kind) -> None:
        super().__init__(kind.node)
        self._kind = kind

    def transform(self, model: Any, node: Layer) -> bool:
        changed = super().transform(model, node)
        own = [f"{node.name}.h"] if self._kind.tables else []
        node.set_attr("include_header", [f"nnet_utils/{self._kind.header}", *own])
        return bool(changed)

    def format(self, node: Layer) -> str:
        parameters: dict[str, Any] = self._default_function_params(node)
        tables = f", {node.name}_codes, {node.name}_values" if self._kind.tables else ""
        function = self._kind.function
        return _CALL.format(**parameters | {"function": function, "tables": tables})


def _parse_array(
    keras_layer: dict[str, Any],
    input_names: list[str],
    input_shapes: list[list[int]],
    data_reader: Any,
) -> tuple[dict[str, Any], list[int]]:
    settings, (batch, *shape) = keras_layer["config"], input_shapes[0]
    n_out = int(settings["units"])
    convolution = keras_layer["class_name"] == "SynapseConv2D"
    n_in, answered = math.prod(shape), [n_out]
    if convolution:
        kernel, steps = settings["kernel_size"], settings["strides"]
        n_in = kernel[0] * kernel[1] * shape[2]
        sizes = zip(shape, settings["padding"], kernel, steps, strict=False)
        answered = [(size + sum(pad) - seen) // step + 1 for size, pad, seen, step in sizes]
        answered.append(n_out)
    layer = {
        "class_name": "SynapsePlacesLayer" if convolution else "SynapseArrayLayer",
        "name": settings["name"],
        "inputs": input_names,
        "n_in": n_in,
        "n_rows": n_in + (settings["bias_input"] is not None),
        "n_out": n_out,
        "n_sums": math.prod(answered),
        "table_width": settings["table_width"],
        "accum_width": settings["accum_width"],
        "bias_input": settings["bias_input"] or 0,
        "accum_min": settings["accum_range"][0],
        "accum_max": settings["accum_range"][1],
    }
    return layer, [batch, *answered]


def _parse_pool(
    keras_layer: dict[str, Any],
    input_names: list[str],
    input_shapes: list[list[int]],
    data_reader: Any,
) -> tuple[dict[str, Any], list[int]]:
    settings, (batch, height, width, channels) = keras_layer["config"], input_shapes[0]
    down, across = settings["pool_size"]
    pooled = [height // down, width // across, channels]
    layer = {
        "class_name": "SynapsePoolLayer",
        "name": settings["name"],
        "inputs": input_names,
        "n_pooled": math.prod(pooled),
    }
    return layer, [batch, *pooled]


@cache
def register() -> None:
    """Teach hls4ml the layers, once a process."""
    for keras_class, parser in (
        ("SynapseDense", _parse_array),
        ("SynapseConv2D", _parse_array),
        ("SynapsePool", _parse_pool),
    ):
        hls4ml.converters.register_keras_v2_layer_handler(keras_class, parser)
    for kind in _KINDS:
        hls4ml.model.layers.register_layer(kind.node.__name__, kind.node)
    for name in BACKENDS:
        backend = hls4ml.backends.get_backend(name)
        for kind in _KINDS:
            backend.register_template(partial(_ConfigTemplate, kind))
            backend.register_template(partial(_FunctionTemplate, kind))
        with as_file(folder("hls_templates") / KERNEL) as kernel:
            backend.register_source(kernel)
