// The network between two AXI4-Streams; synapse_axis.h says what is on them.
//
// One call is one image. Three processes work on successive images at once: read, compute, write.
// The reader's loop is all there is in its function, so that it starts over without a gap and an
// image takes no more cycles than it has beats (UG1399, "Rewinding Pipelined Loops for Performance").
#include "synapse_axis.h"
#include "nnet_utils/nnet_common.h"

static_assert(pixel_t::width == PIXEL_BITS, "the stream was laid out for another input format");
static_assert(logit_t::width <= LOGIT_BITS, "a logit fits its half of a beat");

// One image into the network's own form, and whether a transfer ended with it.
static void read_image(hls::stream<axis_t> &input, {{ image_argument }}, hls::stream<ap_uint<1> > &ends) {
    ap_uint<64> words[{{ "PACK_BEATS" if given.stream else "IMAGE_BEATS" }}];
    // Registers: every beat moves on by one in every cycle, and all leave in the last.
    #pragma HLS ARRAY_PARTITION variable=words complete
    ap_uint<1> ended; // TLAST has come

ReadBeats:
    for (unsigned beat = 0; beat < IMAGE_BEATS; beat++) {
        // One beat a cycle; the loop starts over without draining.
        #pragma HLS PIPELINE II=1 rewind
        if (beat == 0)
            ended = 0;
        ap_uint<64> word = 0;
        if (ended == 0) {
            const axis_t given = input.read();
            word = given.data;
            ended = given.last;
        }
    MoveOn:
        for (unsigned i = 0; i + 1 < {{ "PACK_BEATS" if given.stream else "IMAGE_BEATS" }}; i++) {
            // A chain of registers: no index to decode.
            #pragma HLS UNROLL
            words[i] = words[i + 1];
        }
        words[{{ "PACK_BEATS" if given.stream else "IMAGE_BEATS" }} - 1] = word;

        if ({{ "beat % PACK_BEATS == PACK_BEATS - 1" if given.stream else "beat == IMAGE_BEATS - 1" }}) {
{% if given.stream %}
            {{ given.type }} pack;
            // One wide word in the stream.
            PRAGMA_DATA_PACK(pack)
{% endif %}
        Pixels:
            for (unsigned i = 0; i < {{ "PACK_PIXELS" if given.stream else "N_PIXELS" }}; i++) {
                // A choice of bits: no logic.
                #pragma HLS UNROLL
                const ap_uint<PIXEL_BITS> raw = words[i / BEAT_PIXELS] >> (i % BEAT_PIXELS * PIXEL_BITS);
                pixel_t pixel = 0;
                pixel.range(PIXEL_BITS - 1, 0) = raw;
                {{ "pack" if given.stream else "image" }}[i] = pixel;
            }
{% if given.stream %}
            image.write(pack);
        }
        if (beat == IMAGE_BEATS - 1) {
{% endif %}
            ends.write(ended);
        }
    }
}

// A raw accumulator as it stands on the stream.
static ap_uint<LOGIT_BITS> stream_integer(const logit_t &logit) {
    // A choice of bits: no logic.
    #pragma HLS INLINE
    ap_int<logit_t::width> raw = 0;
    raw.range(logit_t::width - 1, 0) = logit.range(logit_t::width - 1, 0);
    return ap_int<LOGIT_BITS>(raw);
}

// The logits of one image, and the class, which is found on the way.
static void write_results({{ result_argument }}, hls::stream<ap_uint<1> > &ends, hls::stream<axis_t> &output) {
{% if result.stream %}
    logit_t logits[N_LOGITS];
    // Registers: two leave in every cycle.
    #pragma HLS ARRAY_PARTITION variable=logits complete
Packs:
    for (unsigned first = 0; first < N_LOGITS; first += PACK_LOGITS) {
        // One pack a cycle.
        #pragma HLS PIPELINE II=1
        const {{ result.type }} pack = result.read();
    Logits:
        for (unsigned i = 0; i < PACK_LOGITS; i++) {
            // The pack as it came.
            #pragma HLS UNROLL
            logits[first + i] = pack[i];
        }
    }
{% endif %}
    const ap_uint<1> ended = ends.read();
    logit_t best = 0;
    ap_uint<LOGIT_BITS> best_class = 0;

WriteBeats:
    for (unsigned beat = 0; beat < RESULT_BEATS; beat++) {
        // One beat a cycle.
        #pragma HLS PIPELINE II=1
        ap_uint<LOGIT_BITS> low_half = best_class;
        ap_uint<LOGIT_BITS> high_half = 0;
        if (beat < LOGIT_BEATS) {
            const unsigned first = 2 * beat;
            const logit_t low = logits[first];
            low_half = stream_integer(low);
            // The larger of the two, the first on a tie: one comparison with the best is left.
            logit_t larger = low;
            // A single one tells two classes apart by its sign.
            ap_uint<LOGIT_BITS> larger_class = N_LOGITS == 1 ? unsigned(low > 0) : first;
            if (first + 1 < N_LOGITS) {
                const logit_t high = logits[first + 1];
                high_half = stream_integer(high);
                if (high > low) {
                    larger = high;
                    larger_class = first + 1;
                }
            }
            if (beat == 0 || larger > best) {
                best = larger;
                best_class = larger_class;
            }
        }
        axis_t written;
        written.data = (high_half, low_half);
        written.keep = -1;
        written.last = ended == 1 && beat == RESULT_BEATS - 1;
#ifdef __VITIS_HLS__
        written.strb = -1;
#endif
        output.write(written);
    }
}

void synapse_axis(hls::stream<axis_t> &input, hls::stream<axis_t> &output) {
    // The two streams.
    #pragma HLS INTERFACE axis port=input
    #pragma HLS INTERFACE axis port=output
    // ap_start is tied high in the block design: an image follows the other.
    #pragma HLS INTERFACE ap_ctrl_hs port=return
    // The processes below work on successive images at once.
    #pragma HLS DATAFLOW

{% if given.stream %}
    hls::stream<{{ given.type }}> image("image");
    // One image waits while another is computed.
    #pragma HLS STREAM variable=image depth={{ 2 * n_in // given.pack }}
    hls::stream<{{ result.type }}> logits("logits");
    // One result waits while another is written.
    #pragma HLS STREAM variable=logits depth={{ 2 * n_out // result.pack }}
{% else %}
    // Their layout is that of {{ project }}'s ports, whose pragmas reach them.
    {{ given.type }} image[N_PIXELS];
    {{ result.type }} logits[N_LOGITS];
{% endif %}
    hls::stream<ap_uint<1> > ends("ends");
    // As many as images can be under way between the reader and the writer.
    #pragma HLS STREAM variable=ends depth={{ images_under_way }}

    read_image(input, image, ends);
    {{ project }}(image, logits);
    write_results(logits, ends, output);
}
