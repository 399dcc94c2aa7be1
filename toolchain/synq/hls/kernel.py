"""The C++ configuration of the kernels: one struct of constants an array, one a pool."""

from synq.fixedpoint import signed_width
from synq.geometry import Pooling, Window
from synq.hls.design import ArrayPlan
from synq.hls.estimate import drain_lanes
from synq.hls.layout import Layout
from synq.hls.packs import pooled_format
from synq.network import QuantizedNetwork, SynapseArray
from synq.read_noise import ROUNDS, ReadNoise

_ARRAY = """\
    static const unsigned n_in = {n_in};
    static const unsigned n_rows = {n_rows};
    static const unsigned n_out = {n_out};
    static const unsigned n_values = {n_values};
    static const bool has_sign = {has_sign};
    static const unsigned code_bits = {code_bits};
    static const unsigned word_codes = {word_codes};
    static const unsigned n_words = {n_words};
    static const unsigned parallel_rows = {parallel_rows};
    static const unsigned decoded_rows = {decoded_rows};
    static const unsigned n_blocks = {n_blocks};
    static const nnet::synapse_datapath datapath = nnet::{datapath};
    static const bool event_driven = {event_driven};
    static const unsigned drain_lanes = {drain_lanes};
    static const bool signed_input = {signed_input};
    static const unsigned table_width = {table_width};
    static const unsigned accum_width = {accum_width};
    static const unsigned partial_width = {partial_width};
    static const unsigned bucket_width = {bucket_width};
    static const int bias_input = {bias_input};
    static const long long accum_min = {accum_min};
    static const long long accum_max = {accum_max};
    static const long long partial_min = {partial_min};
    static const long long partial_max = {partial_max};
    static const unsigned n_tiles = {n_tiles};
    static const unsigned tile_blocks = {tile_blocks};
    static const unsigned converter_bits = {converter_bits};
    static const unsigned converter_shift = {converter_shift};
    static const unsigned noise_bits = {noise_bits};
    static const unsigned noise_column_bits = {noise_column_bits};
    static const long long noise_factor = {noise_factor};
    static const unsigned noise_shift = {noise_shift};
    static const unsigned noise_key_0 = {noise_key_0};
    static const unsigned noise_key_1 = {noise_key_1};
    static const unsigned noise_key_2 = {noise_key_2};
    static const unsigned noise_key_3 = {noise_key_3};
    static const unsigned noise_key_4 = {noise_key_4};
    static const unsigned noise_key_5 = {noise_key_5};
"""
_PLACES = """\
    static const unsigned height = {height};
    static const unsigned width = {width};
    static const unsigned channels = {channels};
    static const unsigned kernel_height = {kernel_height};
    static const unsigned kernel_width = {kernel_width};
    static const unsigned stride_height = {stride_height};
    static const unsigned stride_width = {stride_width};
    static const unsigned pad_top = {pad_top};
    static const unsigned pad_left = {pad_left};
    static const unsigned padded_height = {padded_height};
    static const unsigned padded_width = {padded_width};
    static const unsigned n_places = {n_places};
    static const unsigned n_lines = {n_lines};
    static const unsigned n_steps = {n_steps};
"""
CONFIG_CPP = f"struct config{{index}} : nnet::synapse_array_config {{{{\n{_ARRAY}}}}};\n"
PLACES_CPP = f"struct config{{index}} : nnet::synapse_places_config {{{{\n{_ARRAY}{_PLACES}}}}};\n"
POOL_CPP = """struct config{index} : nnet::synapse_pool_config {{
    static const unsigned height = {height};
    static const unsigned width = {width};
    static const unsigned channels = {channels};
    static const unsigned pool_height = {pool_height};
    static const unsigned pool_width = {pool_width};
    static const unsigned pooled_height = {pooled_height};
    static const unsigned pooled_width = {pooled_width};
    static const bool largest = {largest};
    static const unsigned in_bits = {in_bits};
    static const unsigned out_bits = {out_bits};
}};
"""


def places_constants(window: Window, n_blocks: int) -> dict[str, int]:
    """What the C++ config of a convolution says beside its array: where the array is used."""
    (top, bottom), (left, right) = window.padding
    padded = window.shape[0] + top + bottom, window.shape[1] + left + right
    return {
        "height": window.shape[0],
        "width": window.shape[1],
        "channels": window.shape[2],
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride_height": window.stride[0],
        "stride_width": window.stride[1],
        "pad_top": top,
        "pad_left": left,
        "padded_height": padded[0],
        "padded_width": padded[1],
        "n_places": window.n_places,
        "n_lines": max(1, window.kernel[0] - 1),
        "n_steps": padded[0] * padded[1] + window.n_places * (n_blocks - 1),
    }


def pool_constants(network: QuantizedNetwork, index: int) -> dict[str, int | str]:
    """What the C++ config of the pool after array `index` says."""
    geometry, array = network.geometries[index], network.arrays[index]
    assert geometry.pool is not None
    height, width, channels = geometry.answered(array.n_out)
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "pool_height": geometry.pool.size[0],
        "pool_width": geometry.pool.size[1],
        "pooled_height": height // geometry.pool.size[0],
        "pooled_width": width // geometry.pool.size[1],
        "largest": str(geometry.pool.kind is Pooling.MAX).lower(),
        "in_bits": array.accumulator.width,
        "out_bits": pooled_format(network, index).width,
    }


def kernel_constants(array: SynapseArray, plan: ArrayPlan) -> dict[str, int | str]:
    """What the C++ config of an array says beyond what its Keras layer knows: how it is built."""
    layout = Layout(array, plan.parallel_rows)
    converter, partial = array.converter, array.partial
    return {
        "n_values": len(layout.signed.values),
        "has_sign": str(layout.signed.has_sign).lower(),
        "code_bits": layout.signed.code_bits,
        "word_codes": layout.codes_per_word,
        "n_words": layout.words_per_row,
        "parallel_rows": plan.parallel_rows,
        "decoded_rows": plan.decoded_rows,
        "n_blocks": layout.n_blocks,
        "datapath": plan.datapath.value,
        "event_driven": str(plan.event_driven).lower(),
        "drain_lanes": drain_lanes(array),
        "signed_input": str(array.input_format.signed).lower(),
        "bucket_width": layout.bucket_width,
        "partial_width": partial.width,
        "partial_min": array.partial_range[0],
        "partial_max": array.partial_range[1],
        "n_tiles": len(array.tiles),
        "tile_blocks": layout.tile_blocks,
        "converter_bits": 0 if converter is None else converter.format.width,
        "converter_shift": 0 if converter is None else partial.fraction - converter.format.fraction,
        **_noise_constants(array),
    }


def _noise_constants(array: SynapseArray) -> dict[str, int | str]:
    noise = array.noise
    keys = (0,) * ROUNDS if noise is None else noise.keys
    return {
        "noise_bits": 0 if noise is None else signed_width(*noise.range),
        "noise_column_bits": ReadNoise.column_bits(array.n_out),
        "noise_factor": 1 if noise is None else noise.factor,
        "noise_shift": 0 if noise is None else noise.shift,
        **{f"noise_key_{number}": f"{key}u" for number, key in enumerate(keys)},
    }
