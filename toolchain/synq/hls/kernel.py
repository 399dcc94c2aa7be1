"""The C++ configuration of an array's kernel: one struct of constants an array."""

from synq.fixedpoint import signed_width
from synq.hls.design import ArrayPlan
from synq.hls.estimate import drain_lanes
from synq.hls.layout import Layout
from synq.network import SynapseArray
from synq.read_noise import ROUNDS, ReadNoise

CONFIG_CPP = """struct config{index} : nnet::synapse_array_config {{
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
}};
"""


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
