// Drives the network's two streams in Verilator: sends the beats of a file, records the answers and
// the cycle of each, with random gaps before beats and random stalls of the receiver.
//
//   driver BEATS RESULTS N_RESULTS SEED GAP STALL LIMIT RESET
//
// BEATS: records of BEAT_BITS / 8 bytes and a byte: 1 with TLAST, 2 before which the core is told that a
// network comes, 4 after which its word on it is waited for and written to loads.bin: STATUS, 4 bytes,
// and DIGEST, 8. RESULTS: records of TDATA, a byte of TKEEP
// (of a wide stream, all of its bytes and-ed), a byte of TLAST and 8 bytes: the clock cycle since
// reset, SETTLE clocks after that of the pin. GAP and STALL: probabilities in 1/65536. LIMIT: cycles
// without any transfer after which it gives up. RESET: probability of a reset of one clock, after which
// the first transfer that is not answered to its end is sent again, and its answers are forgotten.
#include "Vsynq_top.h"
#include "verilated.h"
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

static uint64_t state;

// xorshift64* (Vigna, 2016): small, and the same on every machine.
static uint32_t random16() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<uint32_t>((state * 0x2545F4914F6CDD1Dull) >> 48);
}

#ifdef RELOADABLE
// A master of the core's registers: one access at a time, each channel late at random.
struct Registers {
    enum { IDLE, WRITING, ANSWERED, READING, READ } state = IDLE;
    bool address = false, data = false;
    uint32_t value = 0;

    void write(Vsynq_top &top, unsigned place, uint32_t given) {
        top.s_axi_awaddr = place;
        top.s_axi_wdata = given;
        top.s_axi_wstrb = 0xf;
        address = data = true;
        state = WRITING;
    }
    void read(Vsynq_top &top, unsigned place) {
        top.s_axi_araddr = place;
        address = true;
        state = READING;
    }
    void stop(Vsynq_top &top) {
        address = data = false;
        state = IDLE;
        lower(top);
    }
    void offer(Vsynq_top &top) {
        top.s_axi_awvalid |= state == WRITING && address && (random16() & 1);
        top.s_axi_wvalid |= state == WRITING && data && (random16() & 1);
        top.s_axi_arvalid |= state == READING && address && (random16() & 1);
        top.s_axi_bready = random16() & 1;
        top.s_axi_rready = random16() & 1;
    }
    void take(Vsynq_top &top) { // what the next clock edge does
        if (top.s_axi_awvalid && top.s_axi_awready)
            address = false;
        if (top.s_axi_wvalid && top.s_axi_wready)
            data = false;
        if (top.s_axi_arvalid && top.s_axi_arready)
            address = false;
        if (top.s_axi_bvalid && top.s_axi_bready)
            state = ANSWERED;
        if (top.s_axi_rvalid && top.s_axi_rready) {
            value = top.s_axi_rdata;
            state = READ;
        }
    }
    void lower(Vsynq_top &top) { // after the edge: nothing that was taken is offered again
        if (!(state == WRITING && address))
            top.s_axi_awvalid = 0;
        if (!(state == WRITING && data))
            top.s_axi_wvalid = 0;
        if (!(state == READING && address))
            top.s_axi_arvalid = 0;
    }
};
enum Loading { NONE, TELLING, SENDING, ASKING, LOW, HIGH };
#endif

static int fail(const char *what, const char *path) {
    fprintf(stderr, "cannot %s %s: %s\n", what, path, strerror(errno));
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 9) {
        fprintf(stderr, "usage: driver BEATS RESULTS N_RESULTS SEED GAP STALL LIMIT RESET\n");
        return 2;
    }
    const size_t beat_bytes = BEAT_BITS / 8;
    const long long n_results = atoll(argv[3]);
    state = 2 * strtoull(argv[4], nullptr, 10) + 1;
    const uint32_t gap = atoi(argv[5]), stall = atoi(argv[6]);
    const long long limit = atoll(argv[7]);
    const uint32_t reset = atoi(argv[8]);
    std::vector<unsigned char> beats;
    FILE *given = fopen(argv[1], "rb");
    if (!given)
        return fail("read", argv[1]);
    unsigned char buffer[65536];
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, given)) > 0;)
        beats.insert(beats.end(), buffer, buffer + got);
    if (ferror(given))
        return fail("read", argv[1]);
    fclose(given);
    FILE *results = fopen(argv[2], "wb");
    if (!results)
        return fail("write", argv[2]);

    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vsynq_top top(&context);
    auto clock = [&] {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    };
    top.clk = 0;
    top.reset_n = 0;
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 0;
    top.eval();
    for (int i = 0; i < 4; i++)
        clock();
    top.reset_n = 1;
    for (int i = 0; i < SETTLE; i++) {
        clock();
        if (top.m_axis_tvalid || top.s_axis_tready) {
            fprintf(stderr, "a stream moves in clock %d of the reset\n", i);
            return 3;
        }
    }

#ifdef RELOADABLE
    FILE *loads = fopen("loads.bin", "wb");
    if (!loads)
        return fail("write", "loads.bin");
    Registers registers;
    Loading loading = NONE;
    uint32_t status = 0, low = 0;
#endif
    const size_t n_beats = beats.size() / (beat_bytes + 1);
    size_t sent = 0;
    long long answered = 0, idle = 0;
    // Where the transfer that is being answered begins.
    size_t sent_before = 0;
    long long answered_before = 0;
    long place_before = 0;
    uint64_t cycle = 0;
    bool offered = false;
    while (answered < n_results) {
        bool waits = false;
#ifdef RELOADABLE
        const unsigned flags = sent < n_beats ? beats[sent * (beat_bytes + 1) + beat_bytes] : 0;
        if (registers.state == Registers::ANSWERED) {
            registers.state = Registers::IDLE;
            loading = SENDING;
        }
        if (registers.state == Registers::READ) {
            registers.state = Registers::IDLE;
            if (loading == ASKING && registers.value == 0) {
                registers.read(top, 4);
            } else if (loading == ASKING) {
                status = registers.value;
                registers.read(top, 8);
                loading = LOW;
            } else if (loading == LOW) {
                low = registers.value;
                registers.read(top, 12);
                loading = HIGH;
            } else {
                const uint32_t seen[3] = {status, low, registers.value};
                if (fwrite(seen, sizeof seen, 1, loads) != 1)
                    return fail("write", "loads.bin");
                loading = NONE;
            }
        }
        if (loading == NONE && !offered && (flags & 2)) {
            registers.write(top, 0, 1);
            loading = TELLING;
        }
        waits = loading != NONE && loading != SENDING;
        registers.offer(top);
#endif
        if (!offered && !waits && sent < n_beats && (gap == 0 || random16() >= gap)) {
            const unsigned char *beat = &beats[sent * (beat_bytes + 1)];
            memcpy(&top.s_axis_tdata, beat, beat_bytes);
            top.s_axis_tlast = beat[beat_bytes] & 1;
            offered = true;
        }
        top.s_axis_tvalid = offered;
        top.m_axis_tready = stall == 0 || random16() >= stall;
        const bool resets = reset != 0 && random16() < reset;
        top.reset_n = !resets;
        top.eval();
        if (resets) {
            clock();
            cycle++;
            sent = sent_before;
            answered = answered_before;
            offered = false;
#ifdef RELOADABLE
            registers.stop(top);
            loading = NONE;
#endif
            if (fseek(results, place_before, SEEK_SET) != 0)
                return fail("write", argv[2]);
            continue;
        }
        const bool takes = offered && top.s_axis_tready;
        const bool gives = top.m_axis_tvalid && top.m_axis_tready;
        if (gives) {
            // Verilator's types have just the stream's bytes: it is a multiple of 64 bits wide.
            const size_t data_bytes = sizeof top.m_axis_tdata;
            unsigned char keeps[sizeof top.m_axis_tdata], keep = 0xff;
            memcpy(keeps, &top.m_axis_tkeep, data_bytes / 8);
            for (size_t i = 0; i < data_bytes / 8; i++)
                keep &= keeps[i];
            const unsigned char last = top.m_axis_tlast;
            if (fwrite(&top.m_axis_tdata, data_bytes, 1, results) != 1 || fwrite(&keep, 1, 1, results) != 1 ||
                fwrite(&last, 1, 1, results) != 1 || fwrite(&cycle, 8, 1, results) != 1)
                return fail("write", argv[2]);
            answered++;
            if (last) {
                // Beyond the transfer that it answers, and the networks before that one.
                for (unsigned flags = 0; sent_before < n_beats && (flags & 5) != 1; sent_before++)
                    flags = beats[sent_before * (beat_bytes + 1) + beat_bytes];
                answered_before = answered;
                place_before = ftell(results);
            }
        }
#ifdef RELOADABLE
        registers.take(top);
        if (takes && loading == SENDING && (flags & 1)) {
            loading = flags & 4 ? ASKING : NONE;
            if (loading == ASKING)
                registers.read(top, 4);
        }
#endif
        clock();
#ifdef RELOADABLE
        registers.lower(top);
#endif
        cycle++;
        if (takes) {
            sent++;
            offered = false;
        }
        idle = takes || gives ? 0 : idle + 1;
        if (idle > limit) {
            fprintf(stderr, "no transfer for %lld cycles, after %lld of %lld beats of answers\n", limit, answered,
                    n_results);
            return 3;
        }
    }
    if (fclose(results) != 0)
        return fail("write", argv[2]);
#ifdef RELOADABLE
    if (fclose(loads) != 0)
        return fail("write", "loads.bin");
#endif
    top.final();
    if (fflush(nullptr) != 0) // the files of the monitors, which Verilator has opened
        return fail("write", "what the monitors saw");
    return 0;
}
