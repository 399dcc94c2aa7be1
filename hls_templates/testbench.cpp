// Test bench on raw integers: what it reads and prints has no decimal point, so nothing is rounded.
//
//   testbench [INPUTS [RESULTS]]
//
// INPUTS: one line an image, the raw inputs. RESULTS: one line an image, every stage below in
// order, then the class. Without arguments it runs on tb_data/inputs.txt and compares with
// tb_data/expected.txt, as csim_design and cosim_design do; it returns 1 on a difference, and
// logs only outputs and class, since RTL has no hidden stages to log.
#include "firmware/{{ project }}.h"
#include "firmware/nnet_utils/nnet_helpers.h"

#include <chrono>
#include <cstdio>
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
static const unsigned N_STAGES = {{ stages | length }};
static const stage STAGES[N_STAGES] = {
{%- for stage in stages %}
    {"{{ stage.name }}", {{ stage.size }}, {{ stage.scale }}},
{%- endfor %}
};

// Numbers of a text file of integers, in order.
static bool read_integers(const char *path, std::vector<long long> &numbers) {
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
static void run_image(const long long *image, std::vector<long long> &results) {
{%- if stream %}
    hls::stream<{{ input_type }}> inputs("inputs");
    hls::stream<{{ output_type }}> outputs("outputs");
    {{ input_type }} input_pack;
    for (unsigned i = 0; i < N_INPUTS; i++)
        input_pack[i].range({{ input_width - 1 }}, 0) = (unsigned)image[i];
    inputs.write(input_pack);
    {{ project }}(inputs, outputs);
    const {{ output_type }} result = outputs.read();
{%- else %}
    {{ input_type }} inputs[N_INPUTS];
    {{ output_type }} result[N_OUTPUTS];
    for (unsigned i = 0; i < N_INPUTS; i++)
        inputs[i].range({{ input_width - 1 }}, 0) = (unsigned)image[i];
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
    results.push_back(best);
}

static int compare(const std::vector<long long> &expected, const std::vector<long long> &results,
                   unsigned n_images) {
    unsigned row = 1; // numbers an image: all stages and the class
    for (unsigned s = 0; s < N_STAGES; s++)
        row += STAGES[s].size;
    if (expected.size() < (size_t)n_images * row) {
        std::cerr << "tb_data/expected.txt is too short" << std::endl;
        return 1;
    }
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
    return 0;
}

int main(int argc, char **argv) {
    const char *inputs_path = argc > 1 ? argv[1] : "tb_data/inputs.txt";
#ifdef RTL_SIM
    const char *default_results = "tb_data/rtl_cosim_results.log";
#else
    const char *default_results = "tb_data/csim_results.log";
#endif
    const char *results_path = argc > 2 ? argv[2] : default_results;

    nnet::trace_outputs = new std::map<std::string, void *>;
    for (unsigned s = 0; s < N_STAGES; s++)
        (*nnet::trace_outputs)[STAGES[s].name] = calloc(STAGES[s].size, sizeof(double));

    std::vector<long long> images, results;
    if (!read_integers(inputs_path, images))
        return 1;
    const unsigned n_images = images.size() / N_INPUTS;
    const auto start = std::chrono::steady_clock::now();
    for (unsigned image = 0; image < n_images; image++)
        run_image(&images[(size_t)image * N_INPUTS], results);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

    FILE *out = fopen(results_path, "w");
    if (out == NULL) {
        std::cerr << "cannot write " << results_path << std::endl;
        return 1;
    }
    const size_t row = n_images ? results.size() / n_images : 0;
    const size_t first = argc > 1 ? 0 : row - N_OUTPUTS - 1;
    for (size_t i = 0; i < results.size(); i++) {
        if (i % row >= first)
            fprintf(out, "%lld%c", results[i], (i + 1) % row ? ' ' : '\n');
    }
    if (fclose(out) != 0) {
        std::cerr << "cannot write " << results_path << std::endl;
        return 1;
    }
    std::cout << "images " << n_images << " seconds " << elapsed.count() << std::endl;

    if (argc > 1)
        return 0;
    std::vector<long long> expected;
    if (!read_integers("tb_data/expected.txt", expected))
        return 1;
    return compare(expected, results, n_images);
}
