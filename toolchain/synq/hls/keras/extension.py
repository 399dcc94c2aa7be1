"""`SynapseDense` for hls4ml: its parser, its layer and its C++ templates.

Through hls4ml's extension API (hls4ml documentation, "Extension API"). Importing this module
imports hls4ml.
"""

from functools import cache
from importlib.resources import as_file
from typing import Any

import hls4ml
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute
from hls4ml.model.layers import Layer

from synq.hls.kernel import CONFIG_CPP
from synq.hls.sources import KERNEL
from synq.resources import folder

BACKENDS = ("Vitis", "Vivado")

_FUNCTION_CPP = (
    "nnet::synapse_array<{input_t}, {output_t}, {config}>"
    "({input}, {output}, {name}_codes, {name}_values);"
)


def packed_shape(size: int, pack: int) -> list[int]:
    """`size` values as hls4ml lays them in a stream: the last axis is one element."""
    return [size] if pack == size else [size // pack, pack]


class SynapseArrayLayer(Layer):  # type: ignore[misc]
    """hls4ml's node for a synapse array; the attributes are constants of its C++ config.

    The others are those of `kernel.kernel_constants`, from the layer's entry `Kernel` in hls4ml's
    configuration. Its entry `Pack` says how many sums are one stream element.
    """

    _expected_attributes = [  # noqa: RUF012 (hls4ml's own convention)
        Attribute(name)
        for name in (
            "n_in",
            "n_rows",
            "n_out",
            "table_width",
            "accum_width",
            "bias_input",
            "accum_min",
            "accum_max",
        )
    ]

    def initialize(self) -> None:
        n_out, pack = self.get_attr("n_out"), self.model.config.get_layer_config(self)["Pack"]
        self.add_output_variable(packed_shape(n_out, pack))


class _ConfigTemplate(LayerConfigTemplate):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(SynapseArrayLayer)

    def format(self, node: Layer) -> str:
        constants = node.model.config.get_layer_config(node)["Kernel"]
        return CONFIG_CPP.format(**self._default_params(node), **constants)


class _FunctionTemplate(FunctionCallTemplate):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(SynapseArrayLayer)

    def transform(self, model: Any, node: Layer) -> bool:
        changed = super().transform(model, node)
        node.set_attr("include_header", [f"nnet_utils/{KERNEL}", f"{node.name}.h"])
        return bool(changed)

    def format(self, node: Layer) -> str:
        return _FUNCTION_CPP.format(name=node.name, **_without_name(self, node))


def _without_name(template: FunctionCallTemplate, node: Layer) -> dict[str, Any]:
    parameters: dict[str, Any] = template._default_function_params(node)
    parameters.pop("name", None)
    return parameters


def _parse_synapse_dense(
    keras_layer: dict[str, Any],
    input_names: list[str],
    input_shapes: list[list[int]],
    data_reader: Any,
) -> tuple[dict[str, Any], list[int]]:
    settings = keras_layer["config"]
    n_in, n_out = int(input_shapes[0][-1]), int(settings["units"])
    layer = {
        "class_name": "SynapseArrayLayer",
        "name": settings["name"],
        "inputs": input_names,
        "n_in": n_in,
        "n_rows": n_in + (settings["bias_input"] is not None),
        "n_out": n_out,
        "table_width": settings["table_width"],
        "accum_width": settings["accum_width"],
        "bias_input": settings["bias_input"] or 0,
        "accum_min": settings["accum_range"][0],
        "accum_max": settings["accum_range"][1],
    }
    return layer, [input_shapes[0][0], n_out]


@cache
def register() -> None:
    """Teach hls4ml the layer, once a process."""
    hls4ml.converters.register_keras_v2_layer_handler("SynapseDense", _parse_synapse_dense)
    hls4ml.model.layers.register_layer("SynapseArrayLayer", SynapseArrayLayer)
    for name in BACKENDS:
        backend = hls4ml.backends.get_backend(name)
        backend.register_template(_ConfigTemplate)
        backend.register_template(_FunctionTemplate)
        with as_file(folder("hls_templates") / KERNEL) as kernel:
            backend.register_source(kernel)
