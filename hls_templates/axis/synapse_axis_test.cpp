// Test bench of the AXI4-Stream wrapper.
//
//   testbench [INPUT OUTPUT]
//
// INPUT and OUTPUT are files of beats, 10 bytes each: TDATA, least significant byte first, TKEEP,
// TLAST. What is left of an image at the end of INPUT waits for the rest, as it would in hardware.
//
// Without arguments it streams tb_data/inputs.txt and compares with tb_data/expected.txt: all images
// in one transfer, in several, and after a transfer that ends inside an image. It returns 1 on a
// difference. It runs under csim_design and cosim_design.
#include "firmware/synapse_axis.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace nnet {
// What hls4ml's sources refer to; nothing is traced here.
bool trace_enabled = false;
std::map<std::string, void *> *trace_outputs = NULL;
size_t trace_type_size = sizeof(double);
} // namespace nnet

static const unsigned BYTES = 10;     // of a beat in a file
static const unsigned DATA_BYTES = 8; // of those, TDATA
static const unsigned ROW = {{ row }}; // numbers an image in expected.txt; logits and class are last

typedef std::vector<long long> integers;
typedef unsigned long long word_t; // TDATA

static const word_t PIXEL_MASK = ((word_t)1 << PIXEL_BITS) - 1; // a pixel's two's complement

static int cannot_write(const std::string &path) {
    std::cerr << "cannot write " << path << ": is the disk full?" << std::endl;
    return 1;
}

// Numbers of a text file of integers, in order.
static bool read_integers(const char *path, integers &numbers) {
    std::ifstream file(path, std::ios::binary);
    if (!file.is_open()) {
        std::cerr << "cannot read " << path << std::endl;
        return false;
    }
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const char *position = text.c_str();
    for (;;) {
        char *end;
        const long long number = std::strtoll(position, &end, 10);
        if (end == position)
            return true;
        numbers.push_back(number);
        position = end;
    }
}

static void send(hls::stream<axis_t> &input, word_t data, bool last) {
    axis_t beat;
    beat.data = data;
    beat.keep = -1;
    beat.last = last;
#ifdef __VITIS_HLS__
    beat.strb = -1;
#endif
    input.write(beat);
}

static void send_image(hls::stream<axis_t> &input, const long long *pixels, bool last) {
    for (unsigned beat = 0; beat < IMAGE_BEATS; beat++) {
        word_t data = 0;
        for (unsigned lane = 0; lane < BEAT_PIXELS && beat * BEAT_PIXELS + lane < N_PIXELS; lane++)
            data |= ((word_t)pixels[beat * BEAT_PIXELS + lane] & PIXEL_MASK) << (lane * PIXEL_BITS);
        send(input, data, last && beat == IMAGE_BEATS - 1);
    }
}

// One image's beats from `output`, compared with the logits and the class in `expected`; NULL if
// only their form is known.
static bool receive_image(hls::stream<axis_t> &output, const long long *expected, bool last, unsigned image) {
    for (unsigned beat = 0; beat < RESULT_BEATS; beat++) {
        if (output.empty()) {
            std::cerr << "image " << image << ": " << beat << " of " << RESULT_BEATS << " beats" << std::endl;
            return false;
        }
        const axis_t got = output.read();
        const bool want_last = last && beat == RESULT_BEATS - 1;
        if (got.keep != 0xff || (got.last == 1) != want_last) {
            std::cerr << "image " << image << ", beat " << beat << ": expected TKEEP 255 and TLAST " << want_last
                      << ", got " << got.keep.to_uint() << " and " << got.last.to_uint() << std::endl;
            return false;
        }
        if (expected == NULL)
            continue;
        // The class stands behind the logits, in a beat of its own.
        const unsigned at = beat < LOGIT_BEATS ? 2 * beat : N_LOGITS;
        word_t want = (unsigned)expected[at];
        if (at + 1 < N_LOGITS)
            want |= (word_t)(unsigned)expected[at + 1] << LOGIT_BITS;
        if (got.data != want) {
            std::cerr << "image " << image << ", beat " << beat << ": expected 0x" << std::hex << want << ", got 0x"
                      << got.data.to_uint64() << std::dec << std::endl;
            return false;
        }
    }
    return true;
}

static int run_vectors() {
    integers pixels, expected;
    if (!read_integers("tb_data/inputs.txt", pixels) || !read_integers("tb_data/expected.txt", expected))
        return 1;
    const unsigned n_images = pixels.size() / N_PIXELS;
    if (n_images == 0 || expected.size() != (size_t)n_images * ROW) {
        std::cerr << "tb_data/expected.txt and inputs.txt are not of the same images" << std::endl;
        return 1;
    }
    hls::stream<axis_t> input("input");
    hls::stream<axis_t> output("output");
    unsigned n_transfers = 0;
    // First one transfer of all images; then transfers of 1, 2, 3 and 4 images, the first behind a
    // transfer that breaks off after one beat.
    for (unsigned pass = 0; pass < 2; pass++) {
        const unsigned n_sent = pass == 0 || n_images < 10 ? n_images : 10;
        const bool broken = pass == 1 && IMAGE_BEATS > 1;
        std::vector<bool> last(n_sent, false);
        for (unsigned size = 1, end = 0; pass == 1 && end < n_sent; size++) {
            end += size;
            last[(end < n_sent ? end : n_sent) - 1] = true;
        }
        last[n_sent - 1] = true;
        if (broken) {
            send(input, 0, true);
            n_transfers++;
        }
        for (unsigned image = 0; image < n_sent; image++) {
            send_image(input, &pixels[(size_t)image * N_PIXELS], last[image]);
            n_transfers += last[image];
        }
        for (unsigned call = 0; call < n_sent + broken; call++)
            synapse_axis(input, output);
        if (broken && !receive_image(output, NULL, true, 0))
            return 1;
        for (unsigned image = 0; image < n_sent; image++) {
            const long long *row = &expected[(size_t)image * ROW + ROW - N_LOGITS - 1];
            if (!receive_image(output, row, last[image], image))
                return 1;
        }
        if (!input.empty() || !output.empty()) {
            std::cerr << "beats are left over" << std::endl;
            return 1;
        }
    }
    std::cout << n_images << " images in " << n_transfers << " transfers equal the integer reference" << std::endl;
    return std::cout.good() ? 0 : cannot_write("standard output");
}

static int run_beats(const char *input_path, const char *output_path) {
    std::ifstream file(input_path, std::ios::binary);
    if (!file.is_open()) {
        std::cerr << "cannot read " << input_path << std::endl;
        return 1;
    }
    const std::string given((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (given.size() % BYTES != 0) {
        std::cerr << input_path << " is not a file of beats" << std::endl;
        return 1;
    }
    hls::stream<axis_t> input("input");
    hls::stream<axis_t> output("output");
    // A call needs a whole image, or the part of one that TLAST ends.
    unsigned n_images = 0, n_beats = 0;
    std::vector<axis_t> waiting;
    for (size_t at = 0; at < given.size(); at += BYTES) {
        word_t data = 0;
        for (unsigned byte = 0; byte < DATA_BYTES; byte++)
            data |= (word_t)(unsigned char)given[at + byte] << (8 * byte);
        axis_t beat;
        beat.data = data;
        beat.keep = (unsigned char)given[at + DATA_BYTES];
        beat.last = given[at + DATA_BYTES + 1] != 0;
        waiting.push_back(beat);
        n_beats++;
        if (n_beats == IMAGE_BEATS || beat.last == 1) {
            for (size_t i = 0; i < waiting.size(); i++)
                input.write(waiting[i]);
            waiting.clear();
            n_beats = 0;
            n_images++;
        }
    }
    const auto start = std::chrono::steady_clock::now();
    for (unsigned image = 0; image < n_images; image++)
        synapse_axis(input, output);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

    std::string results;
    while (!output.empty()) {
        const axis_t beat = output.read();
        for (unsigned byte = 0; byte < DATA_BYTES; byte++)
            results.push_back((char)(beat.data.to_uint64() >> (8 * byte)));
        results.push_back((char)beat.keep.to_uint());
        results.push_back((char)beat.last.to_uint());
    }
    FILE *out = fopen(output_path, "wb");
    if (out == NULL) {
        std::cerr << "cannot write " << output_path << std::endl;
        return 1;
    }
    const bool written = fwrite(results.data(), 1, results.size(), out) == results.size();
    if (fclose(out) != 0 || !written)
        return cannot_write(output_path);
    std::cout << "images " << n_images << " seconds " << elapsed.count() << std::endl;
    return std::cout.good() ? 0 : cannot_write("standard output");
}

int main(int argc, char **argv) {
    return argc > 2 ? run_beats(argv[1], argv[2]) : run_vectors();
}
