// A memristor synapse array for hls4ml: y_j = sum_i x_i * value(code_ij).
//
// Each synapse is a code into a small conductance table. `parallel_rows` input rows are read,
// weighted and accumulated for all outputs in one clock cycle: row r is word r / parallel_rows of
// bank r % parallel_rows, and one word of a bank holds the codes of all outputs. A code is an index
// into `values`, below a sign bit if the codebook is symmetric.
//
// Three datapaths weight a row:
//   decode   code -> value -> multiply-accumulate in a DSP;
//   bank     the products of the input with every value are formed once, each lane selects one;
//   buckets  each lane adds the input to the bucket of its code, and multiplies once a value at
//            the end.
// With `bank` the first `decoded_rows` of each cycle are decoded, so that DSPs carry their share.
// An event-driven array reads only rows whose input is not zero; its latency depends on the data.
//
// An array may be tiles of rows with a converter at each column: at a tile's end every sum is rounded
// to the nearest step, ties upwards, clipped to `converter_bits`, and added to the tiles before. A
// cycle's rows lie in one tile. Without converters the array is one tile and its sums are exact.
// Read noise is added to a tile's sum before: it depends on how many tiles were read since the start.
//
// All arithmetic is on raw integers. `partial_width` (of a tile's sum), `accum_width` (of a result)
// and `bucket_width` are proven from the codes: no sum that any input can produce, in any order of
// addition, overflows them.
#ifndef NNET_SYNAPSE_ARRAY_H_
#define NNET_SYNAPSE_ARRAY_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include <cassert>
#include <type_traits>

namespace nnet {

enum synapse_datapath { decode, bank, buckets };

struct synapse_array_config {
    static const unsigned n_in = 1;          // inputs
    static const unsigned n_rows = 1;        // n_in, and one more when a bias row is present
    static const unsigned n_out = 1;         // outputs
    static const unsigned n_values = 1;      // entries of the conductance table
    static const bool has_sign = false;      // the highest bit of a code negates the value
    static const unsigned code_bits = 1;     // bits of one code
    static const unsigned word_codes = 1;    // codes in one 32-bit word; none straddles two words
    static const unsigned n_words = 1;       // 32-bit words in one row
    static const unsigned parallel_rows = 1; // rows a cycle
    static const unsigned decoded_rows = 1;  // of those, rows on the decode datapath
    static const unsigned n_blocks = 1;      // n_rows / parallel_rows, rounded up
    static const synapse_datapath datapath = decode;
    static const bool event_driven = false;
    static const unsigned drain_lanes = 1; // lanes multiplied a cycle once the buckets are full
    static const bool signed_input = false; // raw inputs are two's complement
    static const unsigned table_width = 8;
    static const unsigned accum_width = 16;
    static const unsigned partial_width = 16;
    static const unsigned bucket_width = 16;
    static const int bias_input = 0;      // raw input that drives the bias row
    static const long long accum_min = 0; // the least and greatest reachable sums,
    static const long long accum_max = 0; // checked in C simulation,
    static const long long partial_min = 0; // and those of a tile
    static const long long partial_max = 0;
    static const unsigned n_tiles = 1;
    static const unsigned tile_blocks = 1; // n_blocks of a tile but the last
    static const unsigned converter_bits = 0; // 0 without converters
    static const unsigned converter_shift = 0; // bits of a tile's sum below a converter's step
    static const unsigned noise_bits = 0;      // of the noise of a read; 0 without
    static const unsigned noise_column_bits = 1; // bits of a column's number beside a read's
    static const long long noise_factor = 1;
    static const unsigned noise_shift = 0;
    static const unsigned noise_key_0 = 0;
    static const unsigned noise_key_1 = 0;
    static const unsigned noise_key_2 = 0;
    static const unsigned noise_key_3 = 0;
    static const unsigned noise_key_4 = 0;
    static const unsigned noise_key_5 = 0;
};

// A raw input.
template <class data_T, typename CONFIG_T> struct synapse_raw {
    typedef
        typename std::conditional<CONFIG_T::signed_input, ap_int<data_T::width>, ap_uint<data_T::width> >::type type;
};

// A value's bits; those of an integer are its own.
template <class raw_T, class data_T> raw_T synapse_bits(const data_T &value) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    return value.range(data_T::width - 1, 0);
}
template <class raw_T, int WIDTH> raw_T synapse_bits(const ap_uint<WIDTH> &value) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    return value;
}
template <class raw_T, int WIDTH> raw_T synapse_bits(const ap_int<WIDTH> &value) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    return value;
}

// A sum while it grows. In C simulation a plain integer, in which adding is fast: that it is within its
// range is checked when it is done.
template <unsigned WIDTH> struct synapse_sum {
#ifdef __SYNTHESIS__
    typedef ap_int<WIDTH> type;
#else
    typedef typename std::conditional<WIDTH <= 32, int, long long>::type type;
#endif
};

// The raw input of a row: the bias row is driven by a constant, rows beyond the last by zero.
template <class data_T, typename CONFIG_T>
typename synapse_raw<data_T, CONFIG_T>::type synapse_input(data_T data[CONFIG_T::n_in], unsigned row) {
    // Part of the pipelined loop that calls it.
    #pragma HLS INLINE
    if (row < CONFIG_T::n_in)
        return synapse_bits<typename synapse_raw<data_T, CONFIG_T>::type>(data[row]);
    return row < CONFIG_T::n_rows ? CONFIG_T::bias_input : 0;
}

template <typename CONFIG_T> unsigned synapse_index(unsigned code) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    return CONFIG_T::has_sign ? code & ((1u << (CONFIG_T::code_bits - 1)) - 1) : code;
}

template <typename CONFIG_T> bool synapse_sign(unsigned code) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    return CONFIG_T::has_sign && code >> (CONFIG_T::code_bits - 1);
}

// The inputs of block `cycle` of each bank.
template <class data_T, typename CONFIG_T> struct synapse_blocks {
    static void next(data_T data[CONFIG_T::n_in], unsigned cycle, unsigned block[CONFIG_T::parallel_rows],
                     typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows]) {
        // Part of the pipelined loop that calls it.
        #pragma HLS INLINE
    Banks:
        for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
            #pragma HLS UNROLL
            // The last tile may have fewer blocks; beyond them the inputs are zero.
            block[row] = CONFIG_T::n_tiles == 1 || cycle < CONFIG_T::n_blocks ? cycle : 0;
            input[row] = synapse_input<data_T, CONFIG_T>(data, cycle * CONFIG_T::parallel_rows + row);
        }
    }
};

// Each bank's next nonzero input, of those still pending.
template <class data_T, typename CONFIG_T> struct synapse_events {
    typedef ap_uint<CONFIG_T::n_blocks> pending_T; // a bit for each row of a bank

    static void start(data_T data[CONFIG_T::n_in], unsigned tile, pending_T pending[CONFIG_T::parallel_rows]) {
        // Part of the function that calls it.
        #pragma HLS INLINE
    Banks:
        for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
            #pragma HLS UNROLL
            pending[row] = 0;
        Blocks:
            for (unsigned block = 0; block < CONFIG_T::n_blocks; block++) {
                #pragma HLS UNROLL
                pending[row][block] = block / CONFIG_T::tile_blocks == tile &&
                                      synapse_input<data_T, CONFIG_T>(data, block * CONFIG_T::parallel_rows + row) != 0;
            }
        }
    }

    static bool any(const pending_T pending[CONFIG_T::parallel_rows]) {
        // Part of the pipelined loop that calls it.
        #pragma HLS INLINE
        bool found = false;
    Banks:
        for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
            #pragma HLS UNROLL
            found = found || pending[row] != 0;
        }
        return found;
    }

    static void next(data_T data[CONFIG_T::n_in], pending_T pending[CONFIG_T::parallel_rows],
                     unsigned block[CONFIG_T::parallel_rows], typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows]) {
        // Part of the pipelined loop that calls it.
        #pragma HLS INLINE
    Banks:
        for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
            #pragma HLS UNROLL
            block[row] = 0;
            input[row] = 0;
            if (pending[row] != 0) {
                block[row] = lowest(pending[row]);
                input[row] = synapse_input<data_T, CONFIG_T>(data, block[row] * CONFIG_T::parallel_rows + row);
                pending[row][block[row]] = 0;
            }
        }
    }

    // Position of the lowest set bit.
    static unsigned lowest(pending_T pending) {
        // Part of the pipelined loop that calls it.
        #pragma HLS INLINE
        unsigned position = 0;
#ifdef __SYNTHESIS__
    Lowest:
        for (unsigned block = CONFIG_T::n_blocks; block > 0; block--) {
            #pragma HLS UNROLL
            if (pending[block - 1])
                position = block - 1;
        }
#else
        while (!pending[position])
            position++;
#endif
        return position;
    }
};

// One cycle of `decode` and `bank`: weight each row for every lane and add it up.
template <typename input_T, typename CONFIG_T>
void synapse_accumulate(const input_T input[CONFIG_T::parallel_rows], const unsigned block[CONFIG_T::parallel_rows],
                        const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                        const int values[CONFIG_T::n_values], typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out]) {
    // Part of the pipelined loop that calls it, which unrolls the loops below.
    #pragma HLS INLINE
Rows:
    for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
        #pragma HLS UNROLL
#ifndef __SYNTHESIS__
        // Adding zero changes nothing: C simulation saves the time, hardware has no use for it.
        if (input[row] == 0)
            continue;
#endif
        // Shared by all lanes. As ints the products are what they are at full width; synthesis
        // narrows them to the operands, and C simulation runs twice as fast as on ap_int.
        int product[CONFIG_T::n_values];
        // Every lane selects its own in the same cycle.
        #pragma HLS ARRAY_PARTITION variable=product complete
    Bank:
        for (unsigned value = 0; value < CONFIG_T::n_values; value++) {
            #pragma HLS UNROLL
            product[value] = values[value] * input[row].to_int();
        }
    Words:
        for (unsigned first = 0; first < CONFIG_T::n_out; first += CONFIG_T::word_codes) {
            #pragma HLS UNROLL
            unsigned left = codes[row][block[row]][first / CONFIG_T::word_codes];
        Lanes:
            for (unsigned lane = first; lane < first + CONFIG_T::word_codes; lane++) {
                #pragma HLS UNROLL
                const unsigned code = left & ((1u << CONFIG_T::code_bits) - 1);
                left >>= CONFIG_T::code_bits;
                if (lane >= CONFIG_T::n_out)
                    continue;
                const unsigned index = synapse_index<CONFIG_T>(code);
                if (CONFIG_T::datapath == bank && row >= CONFIG_T::decoded_rows) {
                    accumulator[lane] += synapse_sign<CONFIG_T>(code) ? -product[index] : product[index];
                } else {
                    const int value = synapse_sign<CONFIG_T>(code) ? -values[index] : values[index];
                    int weighted = value * input[row].to_int();
                    // A multiplier a lane: in a DSP, not in logic.
#ifdef __VITIS_HLS__
                    #pragma HLS BIND_OP variable=weighted op=mul impl=dsp
#else
                    #pragma HLS RESOURCE variable=weighted core=DSP48
#endif
                    accumulator[lane] += weighted;
                }
            }
        }
    }
}

// A round of mixing: each bit is one of six.
inline unsigned synapse_mixed(unsigned word) {
    // Logic of its caller.
    #pragma HLS INLINE
    const unsigned left_7 = word << 7 | word >> 25;
    const unsigned left_9 = word << 9 | word >> 23;
    const unsigned left_12 = word << 12 | word >> 20;
    const unsigned left_19 = word << 19 | word >> 13;
    const unsigned left_22 = word << 22 | word >> 10;
    return word ^ left_7 ^ left_12 ^ left_19 ^ (left_9 & left_22);
}

// The noise of a column at a read: the number of ones in 32 mixed bits, less 16, scaled.
template <typename CONFIG_T> ap_int<CONFIG_T::noise_bits + 1> synapse_noise(unsigned read, unsigned lane) {
    // Part of the loop that calls it.
    #pragma HLS INLINE
    unsigned word = synapse_mixed(read << CONFIG_T::noise_column_bits | lane) ^ CONFIG_T::noise_key_0;
    word = synapse_mixed(word) ^ CONFIG_T::noise_key_1;
    word = synapse_mixed(word) ^ CONFIG_T::noise_key_2;
    word = synapse_mixed(word) ^ CONFIG_T::noise_key_3;
    word = synapse_mixed(word) ^ CONFIG_T::noise_key_4;
    word = synapse_mixed(word) ^ CONFIG_T::noise_key_5;
    int ones = -16;
Ones:
    for (unsigned bit = 0; bit < 32; bit++) {
        #pragma HLS UNROLL
        ones += word >> bit & 1;
    }
    return (ones * CONFIG_T::noise_factor + (1LL << CONFIG_T::noise_shift) / 2) >> CONFIG_T::noise_shift;
}

// A tile's sum with its noise, and half a converter's step.
template <typename CONFIG_T> struct synapse_raised {
    static const unsigned wider =
        CONFIG_T::partial_width > CONFIG_T::converter_shift ? CONFIG_T::partial_width : CONFIG_T::converter_shift;
    static const unsigned widest = wider > CONFIG_T::noise_bits ? wider : CONFIG_T::noise_bits;
    typedef ap_int<widest + 1 + (CONFIG_T::noise_bits > 0)> type;
};

// What a converter makes of a tile's sum; without one, the sum.
template <typename CONFIG_T>
typename synapse_raised<CONFIG_T>::type synapse_converted(const typename synapse_raised<CONFIG_T>::type sum) {
    // Part of the loop that calls it.
    #pragma HLS INLINE
    if (CONFIG_T::converter_bits == 0)
        return sum;
    const long long half = (1LL << CONFIG_T::converter_shift) / 2;
    const long long most = (1LL << CONFIG_T::converter_bits) / 2 - 1;
    typename synapse_raised<CONFIG_T>::type level = sum + half;
    level >>= CONFIG_T::converter_shift;
    if (level > most)
        level = most;
    if (level < -most - 1)
        level = -most - 1;
    return level;
}

// At a tile's end its sums are converted and added to those of the tiles before.
template <typename CONFIG_T>
void synapse_convert(const typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out], bool first,
                     typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out]) {
    // Part of the loop or function that calls it.
    #pragma HLS INLINE
    static_assert(CONFIG_T::partial_max < 1LL << (CONFIG_T::partial_width - 1), "no tile's sum overflows");
    static_assert(CONFIG_T::partial_min >= -(1LL << (CONFIG_T::partial_width - 1)), "no tile's sum overflows");
    static unsigned reads = 0; // of tiles
Converters:
    for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
        #pragma HLS UNROLL
#ifndef __SYNTHESIS__
        assert(accumulator[lane] >= CONFIG_T::partial_min);
        assert(accumulator[lane] <= CONFIG_T::partial_max);
#endif
        if (CONFIG_T::converter_bits == 0) { // one tile, exact
            total[lane] = accumulator[lane];
            continue;
        }
        if (first)
            total[lane] = 0;
        typename synapse_raised<CONFIG_T>::type sum = accumulator[lane];
        if (CONFIG_T::noise_bits > 0)
            sum += synapse_noise<CONFIG_T>(reads, lane);
        total[lane] += synapse_converted<CONFIG_T>(sum).to_int64();
    }
    if (CONFIG_T::noise_bits > 0)
        reads++;
}

// The sums leave as raw integers; C simulation checks the proven range.
template <class res_T, typename CONFIG_T>
void synapse_results(const typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out], res_T res[CONFIG_T::n_out]) {
    // Part of the loop or function that calls it.
    #pragma HLS INLINE
    static_assert(CONFIG_T::accum_max < 1LL << (CONFIG_T::accum_width - 1), "no sum overflows");
    static_assert(CONFIG_T::accum_min >= -(1LL << (CONFIG_T::accum_width - 1)), "no sum overflows");
Results:
    for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
        #pragma HLS UNROLL
#ifndef __SYNTHESIS__
        assert(total[lane] >= CONFIG_T::accum_min);
        assert(total[lane] <= CONFIG_T::accum_max);
#endif
        res[lane].range(CONFIG_T::accum_width - 1, 0) = ap_int<CONFIG_T::accum_width>(total[lane]);
    }
}

// Cycle `cycle` of decode and bank with every row; whether it was the last, and `total` is done.
template <class data_T, typename CONFIG_T>
bool synapse_cycle(data_T data[CONFIG_T::n_in], unsigned cycle,
                   const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                   const int values[CONFIG_T::n_values], typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out],
                   typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out]) {
    // Part of the pipelined loop that calls it.
    #pragma HLS INLINE
    unsigned block[CONFIG_T::parallel_rows];
    typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows];
    // Registers: all rows of the block are used in the same cycle.
    #pragma HLS ARRAY_PARTITION variable=block complete
    #pragma HLS ARRAY_PARTITION variable=input complete
    synapse_blocks<data_T, CONFIG_T>::next(data, cycle, block, input);
    // A choice of bits where a tile is a power of two of blocks.
    const unsigned tile_cycle = CONFIG_T::n_tiles == 1 ? cycle : cycle % CONFIG_T::tile_blocks;
    if (tile_cycle == 0) {
    Reset:
        for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
            #pragma HLS UNROLL
            accumulator[lane] = 0;
        }
    }
    synapse_accumulate<typename synapse_raw<data_T, CONFIG_T>::type, CONFIG_T>(input, block, codes, values, accumulator);
    if (tile_cycle == CONFIG_T::tile_blocks - 1 || cycle == CONFIG_T::n_blocks - 1)
        synapse_convert<CONFIG_T>(accumulator, cycle < CONFIG_T::tile_blocks, total);
    return cycle == CONFIG_T::n_blocks - 1;
}

template <class data_T, class res_T, typename CONFIG_T, bool BUCKETS, bool EVENT_DRIVEN> struct synapse_engine;

// decode and bank, every row: nothing but one loop, so that the next image follows without a gap.
template <class data_T, class res_T, typename CONFIG_T> struct synapse_engine<data_T, res_T, CONFIG_T, false, false> {
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    const int values[CONFIG_T::n_values]) {
        // The kernel's one body: the pragmas on the memories reach it.
        #pragma HLS INLINE
        typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out];
        typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out];
        // Registers: every lane adds in every cycle.
        #pragma HLS ARRAY_PARTITION variable=accumulator complete
        #pragma HLS ARRAY_PARTITION variable=total complete
    Cycles:
        for (unsigned cycle = 0; cycle < CONFIG_T::n_blocks; cycle++) {
            // One block a cycle; the loop starts over without draining.
            #pragma HLS PIPELINE II=1 rewind
            if (synapse_cycle<data_T, CONFIG_T>(data, cycle, codes, values, accumulator, total))
                synapse_results<res_T, CONFIG_T>(total, res);
        }
    }
};

// decode and bank, nonzero rows only.
template <class data_T, class res_T, typename CONFIG_T> struct synapse_engine<data_T, res_T, CONFIG_T, false, true> {
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    const int values[CONFIG_T::n_values]) {
        // The kernel's one body: the pragmas on the memories reach it.
        #pragma HLS INLINE
        typedef synapse_events<data_T, CONFIG_T> events;
        typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out];
        typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out];
        // Registers: every lane adds in every cycle.
        #pragma HLS ARRAY_PARTITION variable=accumulator complete
        #pragma HLS ARRAY_PARTITION variable=total complete
        typename events::pending_T pending[CONFIG_T::parallel_rows];
        // Registers: every bank looks for its next row in every cycle.
        #pragma HLS ARRAY_PARTITION variable=pending complete
        const unsigned most = CONFIG_T::tile_blocks;
        (void)most; // only a pragma uses it
    Tiles:
        for (unsigned tile = 0; tile < CONFIG_T::n_tiles; tile++) {
        Reset:
            for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
                #pragma HLS UNROLL
                accumulator[lane] = 0;
            }
            events::start(data, tile, pending);
        Events:
            while (events::any(pending)) {
                // Data-dependent; bounded by the rows of a bank.
                #pragma HLS LOOP_TRIPCOUNT min=0 max=most
                // One row of each bank a cycle.
                #pragma HLS PIPELINE II=1
                unsigned block[CONFIG_T::parallel_rows];
                typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows];
                // Registers: all banks are used in the same cycle.
                #pragma HLS ARRAY_PARTITION variable=block complete
                #pragma HLS ARRAY_PARTITION variable=input complete
                events::next(data, pending, block, input);
                synapse_accumulate<typename synapse_raw<data_T, CONFIG_T>::type, CONFIG_T>(input, block, codes, values, accumulator);
            }
            synapse_convert<CONFIG_T>(accumulator, tile == 0, total);
        }
        synapse_results<res_T, CONFIG_T>(total, res);
    }
};

// The buckets of all lanes, one set a parallel row, in distributed RAM.
template <class data_T, typename CONFIG_T> struct synapse_buckets {
    typedef ap_int<CONFIG_T::bucket_width> bucket_T;

    // One cycle: each lane adds each row's input to the bucket of its code. `last` holds what was
    // written in the cycle before, which the memory does not show yet.
    static void add(const typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows],
                    const unsigned block[CONFIG_T::parallel_rows],
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    bucket_T bucket[CONFIG_T::parallel_rows][CONFIG_T::n_out][CONFIG_T::n_values],
                    unsigned last_index[CONFIG_T::parallel_rows][CONFIG_T::n_out],
                    bucket_T last[CONFIG_T::parallel_rows][CONFIG_T::n_out]) {
        // Part of the pipelined loop that calls it, which unrolls the loops below.
        #pragma HLS INLINE
    Rows:
        for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
            #pragma HLS UNROLL
#ifndef __SYNTHESIS__
            // Adding zero changes nothing: C simulation saves the time.
            if (input[row] == 0)
                continue;
#endif
        Words:
            for (unsigned first = 0; first < CONFIG_T::n_out; first += CONFIG_T::word_codes) {
                #pragma HLS UNROLL
                unsigned left = codes[row][block[row]][first / CONFIG_T::word_codes];
            Lanes:
                for (unsigned lane = first; lane < first + CONFIG_T::word_codes; lane++) {
                    #pragma HLS UNROLL
                    const unsigned code = left & ((1u << CONFIG_T::code_bits) - 1);
                    left >>= CONFIG_T::code_bits;
                    if (lane >= CONFIG_T::n_out)
                        continue;
                    const unsigned index = synapse_index<CONFIG_T>(code);
                    const int signed_input = synapse_sign<CONFIG_T>(code) ? -input[row].to_int() : input[row].to_int();
                    const bool again = index == last_index[row][lane];
                    const bucket_T sum = (again ? last[row][lane] : bucket[row][lane][index]) + signed_input;
                    bucket[row][lane][index] = sum;
                    last_index[row][lane] = index;
                    last[row][lane] = sum;
                }
            }
        }
    }
};

// buckets, with or without events.
template <class data_T, class res_T, typename CONFIG_T, bool EVENT_DRIVEN>
struct synapse_engine<data_T, res_T, CONFIG_T, true, EVENT_DRIVEN> {
    static void run(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    const int values[CONFIG_T::n_values]) {
        // The kernel's one body: the pragmas on the memories reach it.
        #pragma HLS INLINE
        typedef synapse_buckets<data_T, CONFIG_T> set;
        typename set::bucket_T bucket[CONFIG_T::parallel_rows][CONFIG_T::n_out][CONFIG_T::n_values];
        // A small memory a lane and row: each reads and writes its own in every cycle.
        #pragma HLS ARRAY_PARTITION variable=bucket complete dim=1
        #pragma HLS ARRAY_PARTITION variable=bucket complete dim=2
#ifdef __VITIS_HLS__
        #pragma HLS BIND_STORAGE variable=bucket type=ram_s2p impl=lutram
        // `last` covers the cycle between a write and the next read.
        #pragma HLS DEPENDENCE variable=bucket type=inter direction=RAW distance=2 dependent=true
#else
        #pragma HLS RESOURCE variable=bucket core=RAM_S2P_LUTRAM
        // `last` covers the cycle between a write and the next read.
        #pragma HLS DEPENDENCE variable=bucket inter RAW distance=2 true
#endif
        unsigned last_index[CONFIG_T::parallel_rows][CONFIG_T::n_out];
        typename set::bucket_T last[CONFIG_T::parallel_rows][CONFIG_T::n_out];
        // Registers: used in every cycle.
        #pragma HLS ARRAY_PARTITION variable=last_index complete dim=0
        #pragma HLS ARRAY_PARTITION variable=last complete dim=0

        typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out];
        typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out];
        // Registers: a group of lanes adds in every cycle.
        #pragma HLS ARRAY_PARTITION variable=accumulator complete
        #pragma HLS ARRAY_PARTITION variable=total complete

    Tiles:
        for (unsigned tile = 0; tile < CONFIG_T::n_tiles; tile++) {
        Clear:
            for (unsigned value = 0; value < CONFIG_T::n_values; value++) {
                // One bucket of every lane a cycle.
                #pragma HLS PIPELINE II=1
            ClearRows:
                for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
                    #pragma HLS UNROLL
                ClearLanes:
                    for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
                        #pragma HLS UNROLL
                        bucket[row][lane][value] = 0;
                        last[row][lane] = 0;
                        last_index[row][lane] = 0;
                    }
                }
            }
            fill(data, tile, codes, bucket, last_index, last, std::integral_constant<bool, EVENT_DRIVEN>());
        Reset:
            for (unsigned lane = 0; lane < CONFIG_T::n_out; lane++) {
                #pragma HLS UNROLL
                accumulator[lane] = 0;
            }
        Groups:
            for (unsigned first = 0; first < CONFIG_T::n_out; first += CONFIG_T::drain_lanes) {
            Drain:
                for (unsigned value = 0; value < CONFIG_T::n_values; value++) {
                    // One value of a group of lanes a cycle: the loops flatten into one.
                    #pragma HLS PIPELINE II=1
                DrainLanes:
                    for (unsigned i = 0; i < CONFIG_T::drain_lanes; i++) {
                        #pragma HLS UNROLL
                        const unsigned lane = first + i;
                        if (lane < CONFIG_T::n_out) {
                            int bucket_total = 0;
                        DrainRows:
                            for (unsigned row = 0; row < CONFIG_T::parallel_rows; row++) {
                                #pragma HLS UNROLL
                                bucket_total += bucket[row][lane][value].to_int();
                            }
                            accumulator[lane] += bucket_total * values[value];
                        }
                    }
                }
            }
            synapse_convert<CONFIG_T>(accumulator, tile == 0, total);
        }
        synapse_results<res_T, CONFIG_T>(total, res);
    }

    template <typename codes_T, typename bucket_T, typename index_T, typename last_T>
    static void fill(data_T data[CONFIG_T::n_in], unsigned tile, codes_T codes, bucket_T bucket, index_T last_index, last_T last,
                     std::false_type) {
        // Part of the function that calls it.
        #pragma HLS INLINE
    Cycles:
        for (unsigned cycle = 0; cycle < CONFIG_T::tile_blocks; cycle++) {
            // One block a cycle.
            #pragma HLS PIPELINE II=1
            unsigned block[CONFIG_T::parallel_rows];
            typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows];
            // Registers: all rows of the block are used in the same cycle.
            #pragma HLS ARRAY_PARTITION variable=block complete
            #pragma HLS ARRAY_PARTITION variable=input complete
            synapse_blocks<data_T, CONFIG_T>::next(data, tile * CONFIG_T::tile_blocks + cycle, block, input);
            synapse_buckets<data_T, CONFIG_T>::add(input, block, codes, bucket, last_index, last);
        }
    }

    template <typename codes_T, typename bucket_T, typename index_T, typename last_T>
    static void fill(data_T data[CONFIG_T::n_in], unsigned tile, codes_T codes, bucket_T bucket, index_T last_index, last_T last,
                     std::true_type) {
        // Part of the function that calls it.
        #pragma HLS INLINE
        typedef synapse_events<data_T, CONFIG_T> events;
        typename events::pending_T pending[CONFIG_T::parallel_rows];
        // Registers: every bank looks for its next row in every cycle.
        #pragma HLS ARRAY_PARTITION variable=pending complete
        events::start(data, tile, pending);
        const unsigned most = CONFIG_T::tile_blocks;
        (void)most; // only a pragma uses it
    Events:
        while (events::any(pending)) {
            // Data-dependent; bounded by the rows of a bank.
            #pragma HLS LOOP_TRIPCOUNT min=0 max=most
            // One row of each bank a cycle.
            #pragma HLS PIPELINE II=1
            unsigned block[CONFIG_T::parallel_rows];
            typename synapse_raw<data_T, CONFIG_T>::type input[CONFIG_T::parallel_rows];
            // Registers: all banks are used in the same cycle.
            #pragma HLS ARRAY_PARTITION variable=block complete
            #pragma HLS ARRAY_PARTITION variable=input complete
            events::next(data, pending, block, input);
            synapse_buckets<data_T, CONFIG_T>::add(input, block, codes, bucket, last_index, last);
        }
    }
};

template <class data_T, class res_T, typename CONFIG_T>
void synapse_array(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                   const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                   const int values[CONFIG_T::n_values]) {
    static_assert(res_T::width == CONFIG_T::accum_width, "the result holds the raw accumulator");
    static_assert(data_T::width + CONFIG_T::table_width < 32, "a product fits an int");
    static_assert(CONFIG_T::bucket_width < 32, "a bucket fits an int");

    // One memory a bank, as wide as a row, so that all lanes read in the same cycle.
    #pragma HLS ARRAY_PARTITION variable=codes complete dim=1
    #pragma HLS ARRAY_RESHAPE variable=codes complete dim=3
#ifdef __VITIS_HLS__
    #pragma HLS BIND_STORAGE variable=codes type=rom_1p impl=bram
#else
    #pragma HLS RESOURCE variable=codes core=ROM_1P_BRAM
#endif
    // Every lane looks up its own value in the same cycle: the table becomes constants in logic.
    #pragma HLS ARRAY_PARTITION variable=values complete
    synapse_engine<data_T, res_T, CONFIG_T, CONFIG_T::datapath == buckets, CONFIG_T::event_driven>::run(data, res, codes,
                                                                                                        values);
}

// io_stream: the inputs arrive in packs of data_T::size, the outputs leave in packs of res_T::size.
template <class data_T, class res_T, typename CONFIG_T>
void synapse_array(hls::stream<data_T> &data_stream, hls::stream<res_T> &res_stream,
                   const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                   const int values[CONFIG_T::n_values]) {
    typename data_T::value_type data[CONFIG_T::n_in];
    // Registers: a block's rows are read in the same cycle.
    #pragma HLS ARRAY_PARTITION variable=data complete
    typename res_T::value_type res[CONFIG_T::n_out];
    // Registers: all outputs of a pack leave in the same cycle.
    #pragma HLS ARRAY_PARTITION variable=res complete

ReadPacks:
    for (unsigned pack = 0; pack < CONFIG_T::n_in / data_T::size; pack++) {
        // One pack a cycle.
        #pragma HLS PIPELINE II=1
        const data_T inputs = data_stream.read();
    ReadPack:
        for (unsigned i = 0; i < data_T::size; i++) {
            #pragma HLS UNROLL
            data[pack * data_T::size + i] = inputs[i];
        }
    }

    synapse_array<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(data, res, codes, values);

WritePacks:
    for (unsigned pack = 0; pack < CONFIG_T::n_out / res_T::size; pack++) {
        // One pack a cycle.
        #pragma HLS PIPELINE II=1
        res_T outputs;
    WritePack:
        for (unsigned i = 0; i < res_T::size; i++) {
            #pragma HLS UNROLL
            outputs[i] = res[pack * res_T::size + i];
        }
        res_stream.write(outputs);
    }
}

} // namespace nnet

#endif
