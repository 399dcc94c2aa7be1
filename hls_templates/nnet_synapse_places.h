// A synapse array at the places of an image, and pools of what it answers there.
//
// The image comes pixel by pixel, each read once. The last rows that the kernel covers are kept in
// line buffers, what it covers now in registers, `seen`: from pixel to pixel these move to the left,
// and a new column comes from the line buffers and the pixel. The padding's zeros pass like pixels.
// Where there is a place, `seen` is what nnet_synapse_array.h takes as its inputs.
//
// With decode and bank all is one loop that never drains: a place takes n_blocks cycles, a pixel
// without one takes one. With buckets or events each place is a run of the array by itself.
#ifndef NNET_SYNAPSE_PLACES_H_
#define NNET_SYNAPSE_PLACES_H_

#include "nnet_synapse_array.h"

namespace nnet {

// Beside the constants of synapse_array_config, which are those of the array.
struct synapse_places_config : synapse_array_config {
    static const unsigned height = 1; // of the image
    static const unsigned width = 1;
    static const unsigned channels = 1;
    static const unsigned kernel_height = 1;
    static const unsigned kernel_width = 1;
    static const unsigned stride_height = 1;
    static const unsigned stride_width = 1;
    static const unsigned pad_top = 0; // rows of zeros above
    static const unsigned pad_left = 0;
    static const unsigned padded_height = 1; // of the image with its padding
    static const unsigned padded_width = 1;
    static const unsigned n_places = 1;
    static const unsigned n_lines = 1; // kernel_height - 1, at least 1
    static const unsigned n_steps = 1; // cycles of an image: n_blocks a place, one for another pixel
};

struct synapse_pool_config {
    static const unsigned height = 1; // of the answers
    static const unsigned width = 1;
    static const unsigned channels = 1;
    static const unsigned pool_height = 1;
    static const unsigned pool_width = 1;
    static const unsigned pooled_height = 1; // of what is made of them
    static const unsigned pooled_width = 1;
    static const bool largest = true; // else the sum
    static const unsigned in_bits = 1;
    static const unsigned out_bits = 1;
};

// An image as an array (io_parallel).
template <class data_T> struct synapse_in_array {
    typedef data_T value_T;
    typedef data_T *image_T;
    static const unsigned size = 1;

    // Pixel `number`.
    template <unsigned CHANNELS>
    static void read(data_T *image, unsigned number, unsigned &, value_T[size], value_T pixel[CHANNELS]) {
        // Part of the loop that calls it.
        #pragma HLS INLINE
    Channels:
        for (unsigned channel = 0; channel < CHANNELS; channel++) {
            #pragma HLS UNROLL
            pixel[channel] = image[number * CHANNELS + channel];
        }
    }

    template <unsigned CHANNELS> static void write(data_T *image, unsigned number, const value_T pixel[CHANNELS]) {
        // Part of the loop that calls it.
        #pragma HLS INLINE
    Channels:
        for (unsigned channel = 0; channel < CHANNELS; channel++) {
            #pragma HLS UNROLL
            image[number * CHANNELS + channel] = pixel[channel];
        }
    }
};

// An image as a stream (io_stream) of packs: of several pixels, of one, or of a part of one.
template <class data_T> struct synapse_in_stream {
    typedef typename data_T::value_type value_T;
    typedef hls::stream<data_T> &image_T;
    static const unsigned size = data_T::size;

    // The next pixel. `waiting` holds the pixels of a pack that are still to come, `left` of them.
    template <unsigned CHANNELS>
    static void read(hls::stream<data_T> &image, unsigned, unsigned &left, value_T waiting[size], value_T pixel[CHANNELS]) {
        // Part of the loop that calls it.
        #pragma HLS INLINE
        if (size > CHANNELS) {
            if (left == 0) {
                const data_T pack = image.read();
            Pack:
                for (unsigned i = 0; i < size; i++) {
                    #pragma HLS UNROLL
                    waiting[i] = pack[i];
                }
                left = size / CHANNELS - 1;
            } else {
            MoveOn:
                for (unsigned i = 0; i + CHANNELS < size; i++) {
                    // A chain of registers: no index to decode.
                    #pragma HLS UNROLL
                    waiting[i] = waiting[i + CHANNELS];
                }
                left--;
            }
        Channels:
            for (unsigned channel = 0; channel < CHANNELS; channel++) {
                #pragma HLS UNROLL
                pixel[channel] = waiting[channel];
            }
        } else {
        Packs:
            for (unsigned first = 0; first < CHANNELS; first += size) {
                #pragma HLS UNROLL
                const data_T pack = image.read();
            Part:
                for (unsigned i = 0; i < size; i++) {
                    #pragma HLS UNROLL
                    if (first + i < CHANNELS)
                        pixel[first + i] = pack[i];
                }
            }
        }
    }

    template <unsigned CHANNELS> static void write(hls::stream<data_T> &image, unsigned, const value_T pixel[CHANNELS]) {
        // Part of the loop that calls it.
        #pragma HLS INLINE
    Packs:
        for (unsigned first = 0; first < CHANNELS; first += size) {
            #pragma HLS UNROLL
            data_T pack;
            // One wide word in the stream.
            PRAGMA_DATA_PACK(pack)
        Part:
            for (unsigned i = 0; i < size; i++) {
                #pragma HLS UNROLL
                pack[i] = pixel[first + i];
            }
            image.write(pack);
        }
    }
};

// Where in the padded image the kernel's last pixel is, and where it is at the next place.
struct synapse_position {
    unsigned row, column;
    unsigned place_row, place_column;

    template <typename CONFIG_T> void start() {
        // Part of the loop that calls it.
        #pragma HLS INLINE
        row = column = 0;
        place_row = CONFIG_T::kernel_height - 1;
        place_column = CONFIG_T::kernel_width - 1;
    }

    // Whether the pixel is one of the image's, not of its padding.
    template <typename CONFIG_T> bool inside() const {
        // Part of the loop that calls it.
        #pragma HLS INLINE
        return row >= CONFIG_T::pad_top && row < CONFIG_T::pad_top + CONFIG_T::height && column >= CONFIG_T::pad_left &&
               column < CONFIG_T::pad_left + CONFIG_T::width;
    }

    bool at_place() const {
        // Part of the loop that calls it.
        #pragma HLS INLINE
        return row == place_row && column == place_column;
    }

    template <typename CONFIG_T> void advance() {
        // Part of the loop that calls it.
        #pragma HLS INLINE
        if (column == place_column)
            place_column += CONFIG_T::stride_width;
        if (column == CONFIG_T::padded_width - 1) {
            column = 0;
            place_column = CONFIG_T::kernel_width - 1;
            if (row == place_row)
                place_row += CONFIG_T::stride_height;
            row++;
        } else {
            column++;
        }
    }
};

// The kernel moves on by a pixel.
template <class raw_T, typename CONFIG_T>
void synapse_move(const raw_T pixel[CONFIG_T::channels], unsigned column,
                  raw_T lines[CONFIG_T::n_lines][CONFIG_T::padded_width][CONFIG_T::channels], raw_T seen[CONFIG_T::n_in]) {
    // Part of the loop that calls it.
    #pragma HLS INLINE
    const unsigned of_row = CONFIG_T::kernel_width * CONFIG_T::channels;
Left:
    for (unsigned row = 0; row < CONFIG_T::n_in; row += of_row) {
        // A chain of registers in each row of the kernel.
        #pragma HLS UNROLL
    LeftRow:
        for (unsigned i = CONFIG_T::channels; i < of_row; i++) {
            #pragma HLS UNROLL
            seen[row + i - CONFIG_T::channels] = seen[row + i];
        }
    }
Channels:
    for (unsigned channel = 0; channel < CONFIG_T::channels; channel++) {
        #pragma HLS UNROLL
        raw_T newest = pixel[channel];
    Rows:
        for (unsigned row = CONFIG_T::kernel_height; row > 0; row--) {
            // Each row gets what the one below it had; the last gets the pixel.
            #pragma HLS UNROLL
            seen[row * of_row - CONFIG_T::channels + channel] = newest;
            if (row > 1) {
                const raw_T above = lines[row - 2][column][channel];
                lines[row - 2][column][channel] = newest;
                newest = above;
            }
        }
    }
}

// The next pixel of the padded image, raw: read, or zero.
template <class given_T, typename CONFIG_T, class raw_T>
void synapse_pixel(typename given_T::image_T image, bool inside, unsigned &number, unsigned &left,
                   typename given_T::value_T waiting[given_T::size], raw_T pixel[CONFIG_T::channels]) {
    // Part of the loop that calls it.
    #pragma HLS INLINE
    typename given_T::value_T given[CONFIG_T::channels];
    // Registers: all channels come in the same cycle.
    #pragma HLS ARRAY_PARTITION variable=given complete
    if (inside)
        given_T::template read<CONFIG_T::channels>(image, number++, left, waiting, given);
Raw:
    for (unsigned channel = 0; channel < CONFIG_T::channels; channel++) {
        #pragma HLS UNROLL
        pixel[channel] = 0;
        if (inside)
            pixel[channel] = synapse_bits<raw_T>(given[channel]);
    }
}

// A run of the array at each place; `given_T` and `made_T` are a synapse_in_array or _in_stream.
template <class given_T, class made_T, typename CONFIG_T, bool ONE_LOOP> struct synapse_places {
    static void run(typename given_T::image_T image, typename made_T::image_T sums,
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    const int values[CONFIG_T::n_values]) {
        // The kernel's one body: the pragmas on the memories reach it.
        #pragma HLS INLINE
        typedef typename synapse_raw<typename given_T::value_T, CONFIG_T>::type raw_T;
        typedef typename made_T::value_T sum_T;
        raw_T lines[CONFIG_T::n_lines][CONFIG_T::padded_width][CONFIG_T::channels];
        // A memory a line, as wide as a pixel.
        #pragma HLS ARRAY_PARTITION variable=lines complete dim=1
        #pragma HLS ARRAY_RESHAPE variable=lines complete dim=3
        raw_T seen[CONFIG_T::n_in], pixel[CONFIG_T::channels];
        typename given_T::value_T waiting[given_T::size];
        sum_T answer[CONFIG_T::n_out];
        // Registers: all move, or are used, in the same cycle.
        #pragma HLS ARRAY_PARTITION variable=seen complete
        #pragma HLS ARRAY_PARTITION variable=waiting complete
        #pragma HLS ARRAY_PARTITION variable=pixel complete
        #pragma HLS ARRAY_PARTITION variable=answer complete
        synapse_position position;
        position.template start<CONFIG_T>();
        unsigned left = 0, n_read = 0, n_written = 0;
    Pixels:
        for (unsigned step = 0; step < CONFIG_T::padded_height * CONFIG_T::padded_width; step++) {
            // Nothing to pipeline: the array's own loops are, and take most of the time.
            #pragma HLS LOOP_FLATTEN off
            synapse_pixel<given_T, CONFIG_T, raw_T>(image, position.template inside<CONFIG_T>(), n_read, left, waiting, pixel);
            synapse_move<raw_T, CONFIG_T>(pixel, position.column, lines, seen);
            if (position.at_place()) {
                synapse_engine<raw_T, sum_T, CONFIG_T, CONFIG_T::datapath == buckets, CONFIG_T::event_driven>::run(
                    seen, answer, codes, values);
                made_T::template write<CONFIG_T::n_out>(sums, n_written++, answer);
            }
            position.template advance<CONFIG_T>();
        }
    }
};

// decode and bank, every row: nothing but one loop.
template <class given_T, class made_T, typename CONFIG_T> struct synapse_places<given_T, made_T, CONFIG_T, true> {
    static void run(typename given_T::image_T image, typename made_T::image_T sums,
                    const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                    const int values[CONFIG_T::n_values]) {
        // The kernel's one body: the pragmas on the memories reach it.
        #pragma HLS INLINE
        typedef typename synapse_raw<typename given_T::value_T, CONFIG_T>::type raw_T;
        typedef typename made_T::value_T sum_T;
        raw_T lines[CONFIG_T::n_lines][CONFIG_T::padded_width][CONFIG_T::channels];
        // A memory a line, as wide as a pixel.
        #pragma HLS ARRAY_PARTITION variable=lines complete dim=1
        #pragma HLS ARRAY_RESHAPE variable=lines complete dim=3
        const unsigned row = CONFIG_T::padded_width;
        (void)row; // only a pragma uses it
        // A column is read again a row later.
#ifdef __VITIS_HLS__
        #pragma HLS DEPENDENCE variable=lines type=inter direction=RAW distance=row dependent=true
#else
        #pragma HLS DEPENDENCE variable=lines inter RAW distance=row true
#endif
        raw_T seen[CONFIG_T::n_in], pixel[CONFIG_T::channels];
        typename given_T::value_T waiting[given_T::size];
        sum_T answer[CONFIG_T::n_out];
        typename synapse_sum<CONFIG_T::partial_width>::type accumulator[CONFIG_T::n_out];
        typename synapse_sum<CONFIG_T::accum_width>::type total[CONFIG_T::n_out];
        // Registers: all move, or are used, in the same cycle.
        #pragma HLS ARRAY_PARTITION variable=seen complete
        #pragma HLS ARRAY_PARTITION variable=waiting complete
        #pragma HLS ARRAY_PARTITION variable=pixel complete
        #pragma HLS ARRAY_PARTITION variable=answer complete
        #pragma HLS ARRAY_PARTITION variable=accumulator complete
        #pragma HLS ARRAY_PARTITION variable=total complete
        synapse_position position;
        unsigned left, n_read, n_written, cycle;
    Steps:
        for (unsigned step = 0; step < CONFIG_T::n_steps; step++) {
            // One block of a place a cycle; the loop starts over without draining.
            #pragma HLS PIPELINE II=1 rewind
            if (step == 0) {
                position.template start<CONFIG_T>();
                left = n_read = n_written = cycle = 0;
            }
            if (cycle == 0) {
                synapse_pixel<given_T, CONFIG_T, raw_T>(image, position.template inside<CONFIG_T>(), n_read, left, waiting, pixel);
                synapse_move<raw_T, CONFIG_T>(pixel, position.column, lines, seen);
            }
            bool done = true;
            if (position.at_place()) {
                done = synapse_cycle<raw_T, CONFIG_T>(seen, cycle, codes, values, accumulator, total);
                if (done) {
                    synapse_results<sum_T, CONFIG_T>(total, answer);
                    made_T::template write<CONFIG_T::n_out>(sums, n_written++, answer);
                }
            }
            cycle = done ? 0 : cycle + 1;
            if (done)
                position.template advance<CONFIG_T>();
        }
    }
};

template <class given_T, class made_T, typename CONFIG_T>
void synapse_at_places(typename given_T::image_T image, typename made_T::image_T sums,
                       const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                       const int values[CONFIG_T::n_values]) {
    // Part of the function that calls it.
    #pragma HLS INLINE
    static_assert(made_T::value_T::width == CONFIG_T::accum_width, "the result holds the raw accumulator");
    static_assert(given_T::value_T::width + CONFIG_T::table_width < 32, "a product fits an int");
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
    synapse_places<given_T, made_T, CONFIG_T, CONFIG_T::datapath != buckets && !CONFIG_T::event_driven>::run(image, sums,
                                                                                                            codes, values);
}

template <class data_T, class res_T, typename CONFIG_T>
void synapse_convolution(data_T data[CONFIG_T::height * CONFIG_T::width * CONFIG_T::channels], res_T res[CONFIG_T::n_places * CONFIG_T::n_out],
                         const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                         const int values[CONFIG_T::n_values]) {
    synapse_at_places<synapse_in_array<data_T>, synapse_in_array<res_T>, CONFIG_T>(data, res, codes, values);
}

template <class data_T, class res_T, typename CONFIG_T>
void synapse_convolution(hls::stream<data_T> &data, hls::stream<res_T> &res,
                         const unsigned codes[CONFIG_T::parallel_rows][CONFIG_T::n_blocks][CONFIG_T::n_words],
                         const int values[CONFIG_T::n_values]) {
    synapse_at_places<synapse_in_stream<data_T>, synapse_in_stream<res_T>, CONFIG_T>(data, res, codes, values);
}

template <class pooled_T, bool LARGEST> pooled_T synapse_pooled(const pooled_T &so_far, const pooled_T &next) {
    // Part of the loop that calls it.
    #pragma HLS INLINE
    if (LARGEST)
        return so_far > next ? so_far : next;
    return so_far + next;
}

// ReLU, then the largest or the sum of the answers in each pool, pixel by pixel. What is left over at
// the right and below is read and dropped.
template <class given_T, class made_T, typename CONFIG_T>
void synapse_pools(typename given_T::image_T answers, typename made_T::image_T pooled) {
    // Part of the function that calls it.
    #pragma HLS INLINE
    typedef typename synapse_sum<CONFIG_T::out_bits + 1>::type pooled_T;
    typename given_T::value_T waiting[given_T::size], pixel[CONFIG_T::channels];
    typename made_T::value_T answer[CONFIG_T::channels];
    pooled_T across[CONFIG_T::channels]; // of the pool's row so far
    // Registers: used in every cycle.
    #pragma HLS ARRAY_PARTITION variable=waiting complete
    #pragma HLS ARRAY_PARTITION variable=pixel complete
    #pragma HLS ARRAY_PARTITION variable=answer complete
    #pragma HLS ARRAY_PARTITION variable=across complete
    pooled_T above[CONFIG_T::pooled_width][CONFIG_T::channels]; // of each pool's rows so far
    // One memory, as wide as a pixel.
    #pragma HLS ARRAY_RESHAPE variable=above complete dim=2
    const unsigned row_pixels = CONFIG_T::width;
    (void)row_pixels; // only a pragma uses it
    // A pool's part is read again a row later.
#ifdef __VITIS_HLS__
    #pragma HLS DEPENDENCE variable=above type=inter direction=RAW distance=row_pixels dependent=true
#else
    #pragma HLS DEPENDENCE variable=above inter RAW distance=row_pixels true
#endif
    unsigned column, pool, in_row, in_column, n_pooled_rows, left, n_written;
Pixels:
    for (unsigned step = 0; step < CONFIG_T::height * CONFIG_T::width; step++) {
        // One pixel a cycle; the loop starts over without draining.
        #pragma HLS PIPELINE II=1 rewind
        if (step == 0)
            column = pool = in_row = in_column = n_pooled_rows = left = n_written = 0;
        given_T::template read<CONFIG_T::channels>(answers, step, left, waiting, pixel);
        const bool used = pool < CONFIG_T::pooled_width && n_pooled_rows < CONFIG_T::pooled_height;
        const bool row_ends = in_column == CONFIG_T::pool_width - 1;
        const bool ends = row_ends && in_row == CONFIG_T::pool_height - 1;
        if (used) {
        Channels:
            for (unsigned channel = 0; channel < CONFIG_T::channels; channel++) {
                #pragma HLS UNROLL
                pooled_T made = 0;
                if (pixel[channel] > 0)
                    made = synapse_bits<ap_int<CONFIG_T::in_bits> >(pixel[channel]);
                if (in_column > 0)
                    made = synapse_pooled<pooled_T, CONFIG_T::largest>(across[channel], made);
                across[channel] = made;
                if (row_ends) {
                    if (in_row > 0)
                        made = synapse_pooled<pooled_T, CONFIG_T::largest>(above[pool][channel], made);
                    above[pool][channel] = made;
                }
                if (ends)
                    answer[channel].range(CONFIG_T::out_bits - 1, 0) = ap_uint<CONFIG_T::out_bits>(made);
            }
            if (ends)
                made_T::template write<CONFIG_T::channels>(pooled, n_written++, answer);
        }
        in_column = row_ends ? 0 : in_column + 1;
        pool += row_ends;
        if (column == CONFIG_T::width - 1) {
            column = pool = in_column = 0;
            n_pooled_rows += in_row == CONFIG_T::pool_height - 1;
            in_row = in_row == CONFIG_T::pool_height - 1 ? 0 : in_row + 1;
        } else {
            column++;
        }
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void synapse_pool(data_T data[CONFIG_T::height * CONFIG_T::width * CONFIG_T::channels],
                  res_T res[CONFIG_T::pooled_height * CONFIG_T::pooled_width * CONFIG_T::channels]) {
    synapse_pools<synapse_in_array<data_T>, synapse_in_array<res_T>, CONFIG_T>(data, res);
}

template <class data_T, class res_T, typename CONFIG_T>
void synapse_pool(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    synapse_pools<synapse_in_stream<data_T>, synapse_in_stream<res_T>, CONFIG_T>(data, res);
}

} // namespace nnet

#endif
