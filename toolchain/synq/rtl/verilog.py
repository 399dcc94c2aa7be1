"""The network as synthesizable Verilog-2005 between two AXI4-Streams.

A library of parameterized modules (`hls_templates/rtl/synq_*.v`), a module a layer and a top module
made from templates, and a memory file of codes for every bank. The streams' contract is that of
`synq.hls.axis`, so that both back ends answer the same beats, unless a design asks for wider ones.

How an array is built (`RtlArray`):
- `bucket_rows` banks add one input each and cycle to the bucket of every output's code;
- `decoded_rows` rows a cycle are weighted in multipliers, one an output and row. The first of these
  also weighs the totals of the buckets at the end of an image;
- or `unrolled`: the synapses are logic, a pipeline takes an image a cycle (`synq.rtl.unrolled`).
"""

import numpy as np
from jinja2 import Environment, StrictUndefined

from synq.fixedpoint import Overflow, Rounding
from synq.network import QuantizedNetwork
from synq.resources import folder
from synq.rtl.design import RtlDesign
from synq.rtl.placement import PlacedArray, plan_layers
from synq.rtl.unrolled import Neuron, concat, rounding_shift
from synq.stream import check_logits

TOP = "synq_top"
BLOCK_BITS = 4096  # a memory smaller than this is built from logic
_QUEUE = 5  # likewise: binary logarithm
_MARGIN = 4  # cycles in and out of a pipeline, beside its own
_ROUNDING = {Rounding.TRN: 0, Rounding.RND: 1, Rounding.RND_CONV: 2}


def render_rtl(network: QuantizedNetwork, design: RtlDesign) -> dict[str, bytes]:
    """All files of the core, by name; the same bytes for the same arguments.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    check_logits(network)
    layers = plan_layers(network, design)
    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Verilog is full of braces.
        variable_start_string="@{",
        variable_end_string="}@",
        block_start_string="@%",
        block_end_string="%@",
        comment_start_string="@#",
        comment_end_string="#@",
    )
    templates = folder("hls_templates") / "rtl"
    files: dict[str, bytes] = {}
    for item in sorted(templates.iterdir(), key=lambda item: item.name):
        if item.name.startswith("synq_"):
            files[item.name] = item.read_bytes()

    def write(name: str, template: str, settings: dict[str, object]) -> None:
        text = (templates / template).read_text("ascii")
        files[name] = environment.from_string(text).render(settings).encode("ascii")

    for layer in layers:
        name = f"synq_layer_{layer.index}.v"
        if layer.plan.unrolled:
            settings = _unrolled_settings(layer, layers, design)
            write(name, "layer_unrolled.v", settings)
            write(f"synq_neurons_{layer.index}.v", "neurons.v", settings)
        else:
            write(name, "layer.v", _settings(layer, layers))
            files |= layer.memories
    widths = [layer.in_lanes * layer.array.input_format.width for layer in layers]
    top_settings: dict[str, object] = {
        "pixel_bits": network.input_format.width,
        "lanes": layers[0].in_lanes,
        "beat_bits": design.beat_bits,
        "result_bits": design.result_bits,
        "widths": [*widths, design.result_bits],
        "n_layers": len(layers),
    }
    write(f"{TOP}.v", "top.v", top_settings)
    return files


def _vector(values: list[int], bits: int) -> str:
    """A Verilog constant: the values side by side, the first lowest."""
    packed = sum((value & ((1 << bits) - 1)) << (bits * i) for i, value in enumerate(values))
    return f"{len(values) * bits}'h{packed:x}"


def _settings(layer: PlacedArray, layers: list[PlacedArray]) -> dict[str, object]:
    array, plan = layer.array, layer.plan
    last = layer is layers[-1]
    following = None if last else layers[layer.index + 1]
    out_lanes = 2 if following is None else following.in_lanes
    out_beats = -(-array.n_out // out_lanes)
    activation = None if following is None else following.array.input_format
    shift = rounding_shift(array, activation)
    bias_bank, bias_word = 0, 0
    if array.bias_input is not None:
        bias_bank, bias_word = (int(i) for i in np.argwhere(layer.placement == array.n_in)[0])
    depth = 1 << layer.address
    parts = []
    if plan.bucket_rows:
        parts.append(f"{plan.bucket_rows} in buckets")
    if plan.decoded_rows:
        parts.append(f"{plan.decoded_rows} in multipliers")
    return {
        "index": layer.index,
        "n_in": array.n_in,
        "n_out": array.n_out,
        "rows_text": f"{plan.rows} rows ({', '.join(parts)})",
        "x_bits": array.input_format.width,
        "in_lanes": layer.in_lanes,
        "lanes": layer.lanes,
        "block_inputs": int(layer.block_inputs),
        "beats": layer.beats,
        "beat_index": max(1, (layer.beats - 1).bit_length()),
        "last_lanes": array.n_in - (layer.beats - 1) * layer.lanes,
        "banks": plan.rows,
        "bucket_rows": plan.bucket_rows,
        "decoded_rows": plan.decoded_rows,
        "event_driven": plan.event_driven,
        "rows_module": "synq_rows_events" if plan.event_driven else "synq_rows_dense",
        "array_module": "synq_array" if plan.decoded_rows else "synq_array_serial",
        "rotate": int(layer.rotate),
        "group": layer.group,
        "words": layer.words,
        "first_words": layer.first_words,
        "skip": layer.skip,
        "address": layer.address,
        "depth": depth,
        "block": int(depth * array.n_out * layer.code_bits > BLOCK_BITS),
        "names": [layer.memory_name(bank) for bank in range(plan.rows)],
        "bias": int(array.bias_input is not None),
        "bias_bank": bias_bank,
        "bias_word": bias_word,
        "bias_input": array.bias_input or 0,
        "levels": layer.levels,
        "total_bits": layer.total_bits,
        "code_bits": layer.code_bits,
        "index_bits": layer.index_bits,
        "value_bits": array.table_format.width,
        "values": _vector(layer.values, array.table_format.width),
        "level_values": _vector(layer.level_values[: layer.levels], array.table_format.width),
        "groups": out_lanes,
        "acc_bits": array.accumulator.width,
        "images": 2 if plan.event_driven else 1,
        "out_lanes": out_lanes,
        "out_beats": out_beats,
        "out_index": max(1, (out_beats - 1).bit_length()),
        "out_bits": 64 if activation is None else out_lanes * activation.width,
        "last": last,
        "activation": activation,
        "shift": shift,
        "rounding": 0 if activation is None else _ROUNDING[activation.rounding],
        "saturate": int(activation is not None and activation.overflow is Overflow.SAT),
        "class_bits": out_beats.bit_length() + 1,
    }


def _unrolled_settings(
    layer: PlacedArray, layers: list[PlacedArray], design: RtlDesign
) -> dict[str, object]:
    array, index = layer.array, layer.index
    last = layer is layers[-1]
    activation = None if last else layers[index + 1].array.input_format
    x_bits = array.input_format.width
    acc_bits = array.accumulator.width
    wide = last and design.result_bits != 64
    flows_out = design.flows(index + 1)
    out_lanes = 2 if last else layers[index + 1].in_lanes
    out_beats = -(-array.n_out // out_lanes)

    def x_of(neuron: Neuron) -> str:
        return concat([f"image[{number * x_bits + bit}]" for number, bit in neuron.inputs])

    def resized(name: str, width: int, wanted: int) -> str:
        """A two's complement in another width, which holds its value."""
        if width < wanted:
            return f"{{{{{wanted - width}{{{name}[{width - 1}]}}}}, {name}}}"
        return name if width == wanted else f"{name}[{wanted - 1}:0]"

    return {
        "index": index,
        "n_in": array.n_in,
        "n_out": array.n_out,
        "x_bits": x_bits,
        "resized": resized,
        "in_lanes": layer.in_lanes,
        "beats": layer.beats,
        "beat_index": max(1, (layer.beats - 1).bit_length()),
        "last_lanes": array.n_in - (layer.beats - 1) * layer.lanes,
        "flows_in": design.flows(index),
        "flows_out": flows_out,
        "neurons": layer.neurons,
        "x_of": x_of,
        "acc_bits": acc_bits,
        "value_bits": acc_bits if activation is None else activation.width,
        "sum_depth": layer.sum_depth,
        "depth": layer.sum_depth + (not last),
        "address": _queue_address(layer, layers, design),
        "last": last,
        "wide": wide,
        "class_index": max(1, (array.n_out - 1).bit_length()),
        "class_levels": (array.n_out - 1).bit_length(),
        "class_bits": out_beats.bit_length() + 1,
        "out_lanes": out_lanes,
        "out_beats": out_beats,
        "out_index": max(1, (out_beats - 1).bit_length()),
        "out_bits": design.result_bits if activation is None else out_lanes * activation.width,
        "activation": activation,
        "shift": rounding_shift(array, activation),
        "ties_to_even": int(activation is not None and activation.rounding is Rounding.RND_CONV),
        "saturate": int(activation is not None and activation.overflow is Overflow.SAT),
    }


def _queue_address(layer: PlacedArray, layers: list[PlacedArray], design: RtlDesign) -> int:
    """Binary logarithm of how many images are under way in the unrolled arrays around `layer`.

    As many as keep the pipeline full: one a cycle, from the last beat's arrival to the answer.
    """
    first = end = layer.index
    while design.flows(first):
        first -= 1
    while design.flows(end + 1):
        end += 1
    cycles = sum(each.sum_depth + 1 for each in layers[first : end + 1])
    cycles += (layers[end].array.n_out - 1).bit_length()  # the comparison of a wide answer
    return max(_QUEUE, (cycles + _MARGIN - 1).bit_length())
