// Test bench on raw integers: what it reads and writes has no decimal point, so nothing is rounded.
//
//   testbench [INPUTS RESULTS]
//
// INPUTS: 2 bytes a raw input, two's complement, image after image. RESULTS: 8 bytes an integer, an image's stages below
// in order, then its class. Both least significant byte first.
//
// Without arguments it runs on tb_data/inputs.txt and compares with tb_data/expected.txt, as
// csim_design and cosim_design do; it returns 1 on a difference, and logs only outputs and class,
// since RTL has no hidden stages to log.
#include "firmware/{{ project }}.h"
#include "firmware/nnet_utils/nnet_helpers.h"

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
bool trace_enabled = true;
std::map<std::string, void *> *trace_outputs = NULL;
size_t trace_type_size = sizeof(double);
} // namespace nnet

struct stage {
    const char *name;
    unsigned size;
    double scale; // raw integers in one; a power of two, so that value * scale is exact
};

static const unsigned N_INPUTS = {{ n_in }};
static const unsigned N_OUTPUTS = {{ n_out }};
{%- if given.stream %}
static const unsigned INPUT_PACK = {{ given.pack }};   // inputs in one stream element
static const unsigned OUTPUT_PACK = {{ result.pack }}; // outputs in one stream element
{%- endif %}
static const unsigned N_STAGES = {{ stages | length }};
static const stage STAGES[N_STAGES] = {
{%- for stage in stages %}
    {"{{ stage.name }}", {{ stage.size }}, {{ stage.scale }}},
{%- endfor %}
};

typedef std::vector<long long> integers;

static int failed(const std::string &what) {
    std::cerr << what << std::endl;
    return 1;
}

static int cannot_write(const std::string &path) { return failed("cannot write " + path + ": is the disk full?"); }

// Numbers of a text file of integers, in order.
static bool read_integers(const char *path, integers &numbers) {
    std::ifstream file(path, std::ios::binary);
    if (!file.is_open()) {
        failed(std::string("cannot read ") + path);
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

// A value as a raw integer; stops if it is not one, which a wrong format would show as.
static long long raw_integer(double value, const stage &at) {
    const double scaled = value * at.scale;
    const long long raw = (long long)scaled;
    if ((double)raw != scaled) {
        std::cerr << at.name << " is not an integer in its format: " << scaled << std::endl;
        exit(1);
    }
    return raw;
}

// One image through the top function; appends its stages and class to `results`.
static void run_image(const long long *image, integers &results) {
{%- if given.stream %}
    hls::stream<{{ given.type }}> inputs("inputs");
    hls::stream<{{ result.type }}> outputs("outputs");
    for (unsigned first = 0; first < N_INPUTS; first += INPUT_PACK) {
        {{ given.type }} pack;
        for (unsigned i = 0; i < INPUT_PACK; i++)
            pack[i].range({{ input_width - 1 }}, 0) = ap_uint<{{ input_width }}>(image[first + i]);
        inputs.write(pack);
    }
    {{ project }}(inputs, outputs);
    {{ result.type }}::value_type result[N_OUTPUTS];
    for (unsigned first = 0; first < N_OUTPUTS; first += OUTPUT_PACK) {
        const {{ result.type }} pack = outputs.read();
        for (unsigned i = 0; i < OUTPUT_PACK; i++)
            result[first + i] = pack[i];
    }
{%- else %}
    {{ given.type }} inputs[N_INPUTS];
    {{ result.type }} result[N_OUTPUTS];
    for (unsigned i = 0; i < N_INPUTS; i++)
        inputs[i].range({{ input_width - 1 }}, 0) = ap_uint<{{ input_width }}>(image[i]);
    {{ project }}(inputs, result);
{%- endif %}

    for (unsigned s = 0; s + 1 < N_STAGES; s++) {
        const double *values = (const double *)(*nnet::trace_outputs)[STAGES[s].name];
        for (unsigned i = 0; i < STAGES[s].size; i++)
            results.push_back(raw_integer(values[i], STAGES[s]));
    }
    // The last stage and the class come from the ports themselves.
    unsigned best = 0;
    for (unsigned j = 0; j < N_OUTPUTS; j++) {
        results.push_back(raw_integer(result[j].to_double(), STAGES[N_STAGES - 1]));
        if (result[j] > result[best])
            best = j;
    }
    // A single output tells two classes apart by its sign.
    results.push_back(N_OUTPUTS == 1 ? result[0] > 0 : best);
}

static int compare(const integers &expected, const integers &results, unsigned n_images) {
    unsigned row = 1; // numbers an image: all stages and the class
    for (unsigned s = 0; s < N_STAGES; s++)
        row += STAGES[s].size;
    if (n_images == 0 || expected.size() != (size_t)n_images * row)
        return failed("tb_data/expected.txt and inputs.txt are not of the same images");
#ifdef RTL_SIM
    // Hidden stages are traced in C only; from RTL come the outputs and the class.
    const unsigned first = row - N_OUTPUTS - 1;
#else
    const unsigned first = 0;
#endif
    for (unsigned image = 0; image < n_images; image++) {
        for (unsigned i = first; i < row; i++) {
            const size_t at = (size_t)image * row + i;
            if (expected[at] != results[at]) {
                std::cerr << "image " << image << ", number " << i << ": expected " << expected[at] << ", got "
                          << results[at] << std::endl;
                return 1;
            }
        }
    }
    std::cout << n_images << " images equal the integer reference" << std::endl;
    return std::cout.good() ? 0 : cannot_write("standard output");
}

// What csim_design and cosim_design run.
static int run_vectors() {
#ifdef RTL_SIM
    const char *results_path = "tb_data/rtl_cosim_results.log";
#else
    const char *results_path = "tb_data/csim_results.log";
#endif
    integers images, results, expected;
    if (!read_integers("tb_data/inputs.txt", images) || !read_integers("tb_data/expected.txt", expected))
        return 1;
    const unsigned n_images = images.size() / N_INPUTS;
    for (unsigned image = 0; image < n_images; image++)
        run_image(&images[(size_t)image * N_INPUTS], results);

    FILE *out = fopen(results_path, "w");
    if (out == NULL)
        return failed(std::string("cannot write ") + results_path);
    const size_t row = n_images ? results.size() / n_images : 0;
    bool written = true;
    for (size_t i = 0; i < results.size(); i++) {
        if (i % row + N_OUTPUTS + 1 >= row)
            written = fprintf(out, "%lld%c", results[i], (i + 1) % row ? ' ' : '\n') > 0 && written;
    }
    if (fclose(out) != 0 || !written)
        return cannot_write(results_path);
    return compare(expected, results, n_images);
}

// Any number of images, one at a time.
static int run_records(const char *inputs_path, const char *results_path) {
    FILE *in = fopen(inputs_path, "rb");
    if (in == NULL)
        return failed(std::string("cannot read ") + inputs_path);
    FILE *out = fopen(results_path, "wb");
    if (out == NULL)
        return failed(std::string("cannot write ") + results_path);
    std::vector<unsigned char> record(2 * N_INPUTS);
    integers image(N_INPUTS), results;
    std::chrono::duration<double> elapsed(0);
    unsigned n_images = 0;
    bool written = true;
    size_t got;
    while ((got = fread(record.data(), 1, record.size(), in)) == record.size()) {
        for (unsigned i = 0; i < N_INPUTS; i++)
            image[i] = record[2 * i] | record[2 * i + 1] << 8;
        results.clear();
        const auto start = std::chrono::steady_clock::now();
        run_image(image.data(), results);
        elapsed += std::chrono::steady_clock::now() - start;
        std::string bytes;
        for (size_t i = 0; i < results.size(); i++) {
            for (unsigned byte = 0; byte < 8; byte++)
                bytes.push_back((char)((unsigned long long)results[i] >> (8 * byte)));
        }
        written = fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size() && written;
        n_images++;
    }
    if (got != 0 || ferror(in))
        return failed(std::string(inputs_path) + " is not of whole images");
    fclose(in);
    if (fclose(out) != 0 || !written)
        return cannot_write(results_path);
    std::cout << "images " << n_images << " seconds " << elapsed.count() << std::endl;
    return std::cout.good() ? 0 : cannot_write("standard output");
}

int main(int argc, char **argv) {
    nnet::trace_outputs = new std::map<std::string, void *>;
    for (unsigned s = 0; s < N_STAGES; s++)
        (*nnet::trace_outputs)[STAGES[s].name] = calloc(STAGES[s].size, sizeof(double));
    return argc > 2 ? run_records(argv[1], argv[2]) : run_vectors();
}
