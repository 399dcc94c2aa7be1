// The network between two AXI4-Streams, as an AXI DMA in direct register mode serves them.
//
// Input: {{ "two's-complement " if signed_pixels }}pixels of {{ pixel_bits }} bits, {{ beat_pixels }} a beat, the first in the lowest bits; an image is padded to whole
// beats, {{ image_beats }} of them. A DMA transfer carries any number of whole images and has TLAST on its last
// beat only, so images are told apart by counting beats. A TLAST inside an image ends it early: the
// missing pixels count as zero, and the next beat begins a new image. TKEEP is not looked at.
//
// Output of an image: the logits as 32-bit two's-complement integers, the raw accumulators, two a
// beat, the first in the low half, padded with zero; then one beat with the class, the index of the
// largest logit, the first one on a tie{{ "; of a single logit, whether it is positive" if n_out == 1 }}: {{ result_beats }} beats. TLAST is on the last of them if the image's last
// input beat had it. TKEEP is all ones.
#ifndef SYNAPSE_AXIS_H_
#define SYNAPSE_AXIS_H_

#include "{{ project }}.h"

#ifdef __VITIS_HLS__
// Vitis HLS makes side channels of this type only (UG1399); it defines the macro in C simulation too.
#include "ap_axi_sdata.h"
typedef ap_axiu<64, 0, 0, 0> axis_t;
#else
// Vivado HLS makes side channels of a struct with these names (UG902); plain g++ has no need of any.
struct axis_t {
    ap_uint<64> data;
    ap_uint<8> keep;
    ap_uint<1> last;
};
#endif

{% if given.stream %}
typedef {{ given.type }}::value_type pixel_t;
typedef {{ result.type }}::value_type logit_t;
{% else %}
typedef {{ given.type }} pixel_t;
typedef {{ result.type }} logit_t;
{% endif %}

static const unsigned PIXEL_BITS = {{ pixel_bits }};{{ " // sign included" if signed_pixels }}
static const unsigned BEAT_PIXELS = {{ beat_pixels }}; // pixels in one input beat
static const unsigned IMAGE_BEATS = {{ image_beats }}; // input beats of one image
static const unsigned N_PIXELS = {{ n_in }};
static const unsigned N_LOGITS = {{ n_out }};
{% if given.stream %}
static const unsigned PACK_PIXELS = {{ given.pack }}; // pixels in one element of the network's input stream
static const unsigned PACK_BEATS = {{ pack_beats }}; // input beats of those
static const unsigned PACK_LOGITS = {{ result.pack }}; // logits in one element of its output stream
{% endif %}
static const unsigned LOGIT_BITS = 32; // of a logit on the stream, sign included
static const unsigned LOGIT_BEATS = {{ logit_beats }}; // output beats of one image before its class
static const unsigned RESULT_BEATS = {{ result_beats }}; // output beats of one image

void synapse_axis(hls::stream<axis_t> &input, hls::stream<axis_t> &output);

#endif
