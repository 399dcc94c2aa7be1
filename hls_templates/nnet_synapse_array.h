// A memristor synapse array for hls4ml: y_j = sum_i x_i * codebook[code_ij].
//
// Each synapse is a code into a small conductance table (the codebook). The codes of one input row
// lie side by side in one wide block-RAM word, so a row is read, decoded and accumulated for all
// outputs in one clock cycle.
//
// All arithmetic is on raw integers. `accum_width` is proven from the codes: no sum that any input
// can produce, in any order of addition, overflows it.
#ifndef NNET_SYNAPSE_ARRAY_H_
#define NNET_SYNAPSE_ARRAY_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include <cassert>

namespace nnet {

struct synapse_array_config {
    static const unsigned n_in = 1;       // inputs
    static const unsigned n_rows = 1;     // n_in, and one more when a bias row is present
    static const unsigned n_out = 1;      // outputs
    static const unsigned n_levels = 2;   // values in the codebook
    static const unsigned code_bits = 1;  // bits of one code
    static const unsigned word_codes = 1; // codes in one 32-bit word; no code straddles two words
    static const unsigned n_words = 1;    // 32-bit words in one row
    static const unsigned table_width = 8;
    static const unsigned accum_width = 16;
    static const int bias_input = 0;        // raw input that drives the bias row
    static const long long accum_min = 0;   // the least and greatest reachable sums,
    static const long long accum_max = 0;   // checked in C simulation
};

template <class data_T, class res_T, typename CONFIG_T>
void synapse_array(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                   const unsigned codes[CONFIG_T::n_rows][CONFIG_T::n_words],
                   const int codebook[CONFIG_T::n_levels]) {
    static_assert(res_T::width == CONFIG_T::accum_width, "the result holds the raw accumulator");
    static_assert(data_T::width + CONFIG_T::table_width < 32, "a product fits an int");

    // One word a row for all lanes: a ROM as wide as the row, one read port.
    #pragma HLS ARRAY_RESHAPE variable=codes complete dim=2
#ifdef __VITIS_HLS__
    #pragma HLS BIND_STORAGE variable=codes type=rom_1p impl=bram
#else
    #pragma HLS RESOURCE variable=codes core=ROM_1P_BRAM
#endif

    // Every lane looks up its own code in the same cycle: the table becomes constants in logic.
    ap_int<CONFIG_T::table_width> table[CONFIG_T::n_levels];
    #pragma HLS ARRAY_PARTITION variable=table complete
    ap_int<CONFIG_T::accum_width> accumulator[CONFIG_T::n_out];
    #pragma HLS ARRAY_PARTITION variable=accumulator complete

LoadTable:
    for (unsigned level = 0; level < CONFIG_T::n_levels; level++) {
        #pragma HLS UNROLL
        table[level] = codebook[level];
    }

Reset:
    for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
        #pragma HLS UNROLL
        accumulator[lane] = 0;
    }

Rows:
    for (unsigned row = 0; row < CONFIG_T::n_rows; row++) {
        // One row a cycle; the lanes below are unrolled by the pipeline.
        #pragma HLS PIPELINE II=1
        ap_uint<data_T::width> input = CONFIG_T::bias_input;
        if (row < CONFIG_T::n_in)
            input = data[row].range(data_T::width - 1, 0);
#ifndef __SYNTHESIS__
        // Adding zero changes nothing: C simulation saves the time, hardware has no use for it.
        if (input == 0)
            continue;
#endif
    Lanes:
        for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
            #pragma HLS UNROLL
            const unsigned word = codes[row][lane / CONFIG_T::word_codes];
            const unsigned shift = (lane % CONFIG_T::word_codes) * CONFIG_T::code_bits;
            const unsigned code = (word >> shift) & ((1u << CONFIG_T::code_bits) - 1);
            // As ints the product is what it is at full width; synthesis narrows it to the
            // operands, and C simulation runs twice as fast as on ap_int.
            accumulator[lane] += table[code].to_int() * input.to_int();
        }
    }

Results:
    for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
        #pragma HLS UNROLL
#ifndef __SYNTHESIS__
        assert(accumulator[lane].to_int64() >= CONFIG_T::accum_min);
        assert(accumulator[lane].to_int64() <= CONFIG_T::accum_max);
#endif
        res[lane].range(CONFIG_T::accum_width - 1, 0) = accumulator[lane];
    }
}

// io_stream: the inputs arrive in packs of data_T::size, the outputs leave in one pack.
template <class data_T, class res_T, typename CONFIG_T>
void synapse_array(hls::stream<data_T> &data_stream, hls::stream<res_T> &res_stream,
                   const unsigned codes[CONFIG_T::n_rows][CONFIG_T::n_words],
                   const int codebook[CONFIG_T::n_levels]) {
    typename data_T::value_type data[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=data complete
    typename res_T::value_type res[CONFIG_T::n_out];
    #pragma HLS ARRAY_PARTITION variable=res complete

ReadPacks:
    for (unsigned pack = 0; pack < CONFIG_T::n_in / data_T::size; pack++) {
        #pragma HLS PIPELINE II=1
        const data_T inputs = data_stream.read();
    ReadPack:
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS UNROLL
            data[pack * data_T::size + i] = inputs[i];
        }
    }

    synapse_array<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(data, res, codes, codebook);

    res_T outputs;
WritePack:
    for (unsigned i = 0; i < res_T::size; i++) {
        #pragma HLS UNROLL
        outputs[i] = res[i];
    }
    res_stream.write(outputs);
}

} // namespace nnet

#endif
