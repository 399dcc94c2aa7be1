"""The network as synthesizable Verilog-2005 between two AXI4-Streams.

A library of parameterized modules (`hls_templates/rtl/synq_*.v`), a module a layer and a top module
made from templates, and a memory file of codes for every bank. The streams' contract is that of
`synq.stream`, so that both back ends answer the same beats, unless a design asks for wider ones.

How an array is built (`RtlArray`):
- `bucket_rows` banks add one input each and cycle to the bucket of every output's code;
- `decoded_rows` rows a cycle are weighted in multipliers, one an output and row. The first of these
  also weighs the totals of the buckets at the end of an image;
- or `unrolled`: the synapses are logic, a pipeline takes an image a cycle (`synq.rtl.unrolled`).
"""

from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.network import QuantizedNetwork
from synq.resources import folder
from synq.rtl import pipeline
from synq.rtl.design import RtlDesign
from synq.rtl.parameters import banked_parameters, top_parameters, unrolled_parameters
from synq.rtl.placement import BankedArray, UnrolledArray, place_arrays
from synq.rtl.reload import banked_arrays, reload_parameters
from synq.stream import check_logits

TOP = "synq_top"


def render_rtl(network: QuantizedNetwork, design: RtlDesign) -> dict[str, bytes]:
    """All files of the core, by name; the same bytes for the same arguments.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    check_logits(network)
    placed = place_arrays(network, design)
    templates = folder("hls_templates") / "rtl"
    files = {
        item.name: item.read_bytes()
        for item in sorted(templates.iterdir(), key=lambda item: item.name)
        if item.name.startswith("synq_")
    }
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

    def render(template: str, **parameters: Any) -> bytes:
        text = (templates / template).read_text("ascii")
        rendered = environment.from_string(text).render(parameters, pipeline=pipeline)
        return rendered.encode("ascii")

    reload = reload_parameters(banked_arrays(placed), network) if design.reloadable else None
    for each in placed:
        name = f"synq_layer_{each.index}.v"
        if isinstance(each, UnrolledArray):
            layer = unrolled_parameters(each, placed, design)
            files[name] = render("layer_unrolled.v", layer=layer)
            for neuron in layer.neurons:
                files[f"{neuron.name}.v"] = render("neuron.v", neuron=neuron)
        elif isinstance(each, BankedArray):
            banked = banked_parameters(each)
            files[name] = render("layer.v", layer=banked, reload=reload)
            for bank, file in enumerate(banked.memory.files):
                files[file] = _hexadecimal(each.code_words(bank), each.code_bits(bank))
    files[f"{TOP}.v"] = render("top.v", top=top_parameters(placed, design), reload=reload)
    return files


def _hexadecimal(words: NDArray[np.int64], code_bits: int) -> bytes:
    """(n_words, n_out) codes as lines for `$readmemh`, output 0 lowest."""
    bits = (words[:, :, None] >> np.arange(code_bits)) & 1
    flat = bits.reshape(len(words), -1).astype(np.uint8)
    packed = np.packbits(flat, axis=1, bitorder="little")[:, ::-1]
    digits = -(-flat.shape[1] // 4)
    return "".join(row.tobytes().hex()[-digits:] + "\n" for row in packed).encode()
