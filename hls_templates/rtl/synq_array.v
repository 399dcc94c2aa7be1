// A synapse array: BANKS bucket banks, and DECODED rows weighted in multipliers, work on one row each
// and cycle.
//
// The banks stand in a row, each a cycle behind the one before. After an image's rows the buckets are
// drained, a level a cycle: bank p adds to its bucket what bank p - 1 passes on, so that the last
// one passes on the level's total over all banks, and the first decoded row's multipliers weigh it.
// The total also returns to bank 0, which subtracts it from its own bucket: the banks' sum is zero
// again, and the next image may have begun long before. With BANKS 0 there is one idle step instead.
`default_nettype none
module synq_array #(
    parameter N_OUT = 2,
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,      // whether inputs are two's complement
    parameter BANKS = 8,
    parameter DECODED = 1,
    parameter LEVELS = 5,        // steps of the drain; of those buckets that have a value
    parameter WORDS = 88,        // rows of a bank; in its memory follow LEVELS words that name the
                                 // levels, and LEVELS that name them with the sign set
    parameter ADDRESS = 7,
    parameter TOTAL_BITS = 18,
    parameter CODE_BITS = 4,
    parameter VALUE_BITS = 8,
    parameter DIRECT = 0,        // whether the codes of decoded rows are values themselves
    parameter [(DIRECT != 0 ? 1 : 1<<CODE_BITS)*VALUE_BITS-1:0] VALUES = 0,
    parameter ACC_BITS = 24,
    parameter IMAGES = 1,        // from the drain on, until they are free: 1 or 2
    parameter FETCH = 2,         // cycles from a step to its row, from there to its codes, from there
    parameter READ = 3,          // to its sums
    parameter WEIGH = 3
) (
    input wire clk,
    input wire reset,
    // Rows: `row` FETCH - 1 cycles after `advance`, its word is chosen, then held; x FETCH + 1 cycles.
    input wire ready,
    output wire start,
    output wire advance,
    output wire hold,
    input wire empty,
    input wire tag,
    input wire [(BANKS+DECODED)*X_BITS-1:0] x,
    input wire [(BANKS+DECODED)*ADDRESS-1:0] row,
    // Memories of codes, read in READ cycles.
    output reg [(BANKS+DECODED)*ADDRESS-1:0] address,
    input wire [N_OUT*(BANKS*CODE_BITS+DECODED*(DIRECT != 0 ? VALUE_BITS : CODE_BITS))-1:0] codes,
    // Sums of an image; `done` for one cycle. `free`: the last ones are no longer needed.
    input wire free,
    output wire done,
    output wire done_tag,
    output wire [N_OUT*ACC_BITS-1:0] sums
);
    generate  // rules of the parameters
        if (DECODED < 1) begin : g_rule_1
            error_DECODED_is_at_least_1 error ();
        end
        if (IMAGES != 1 && IMAGES != 2) begin : g_rule_2
            error_IMAGES_is_1_or_2 error ();
        end
        if (BANKS > 0 && LEVELS > (1 << (CODE_BITS - 1))) begin : g_rule_3
            error_CODE_BITS_number_the_levels error ();
        end
        if (WORDS + (BANKS > 0 ? 2 * LEVELS : 0) > (1 << ADDRESS)) begin : g_rule_4
            error_ADDRESS_numbers_rows_and_levels error ();
        end
    endgenerate
    localparam CODES = N_OUT * CODE_BITS;
    localparam WEIGHTS = N_OUT * (DIRECT != 0 ? VALUE_BITS : CODE_BITS);
    localparam SKEW = BANKS > 0 ? BANKS + 1 : 0;               // of the decoded rows
    localparam CLEARING = BANKS > LEVELS ? BANKS : LEVELS;     // from a drain step to its clearing
    localparam ASKED = FETCH - 1;                              // from a step to the choice of its word
    localparam CODED = FETCH + READ;                           // from a step to its codes
    localparam SUMMED = CODED + WEIGH;                         // from a step to its sums
    localparam CHAIN = SUMMED + (CLEARING > SKEW ? CLEARING : SKEW);  // cycles that a step is followed
    localparam [ADDRESS-1:0] TO_CLEAR = LEVELS[ADDRESS-1:0];
    localparam [ADDRESS-1:0] FIRST_LEVEL = WORDS[ADDRESS-1:0];
    localparam [ADDRESS-1:0] LAST_LEVEL = FIRST_LEVEL + TO_CLEAR - 1'b1;

    // ---- Steps: rows until none is left, then the levels. The first drain only clears.
    localparam [1:0] IDLE = 2'd0, ROWS = 2'd1, DRAIN = 2'd2;
    reg [1:0] state;
    reg [ADDRESS-1:0] level;
    reg flush;
    reg [1:0] busy;
    reg [CHAIN:1] drained, ended, counted, tags;
    wire clearing;
    wire open = busy != IMAGES[1:0] & ~clearing;
    wire drain = state == DRAIN | (state == ROWS & empty & open);
    wire [ADDRESS-1:0] level_now = state == DRAIN ? level : FIRST_LEVEL;
    wire last = drain & level_now == LAST_LEVEL;
    assign advance = state == ROWS;
    assign start = ready & (last | state == IDLE);
    always @(posedge clk) begin
        drained <= {drained[CHAIN-1:1], drain & ~reset};
        ended <= {ended[CHAIN-1:1], last & ~reset};
        counted <= {counted[CHAIN-1:1], ~flush};
        tags <= {tags[CHAIN-1:1], tag};
        if (reset) begin
            state <= DRAIN;
            level <= FIRST_LEVEL;
            flush <= 1'b1;
            busy <= 2'd0;
            drained <= {CHAIN{1'b0}};
            ended <= {CHAIN{1'b0}};
        end else begin
            if (start) state <= ROWS;
            else if (last) state <= IDLE;
            else if (drain) state <= DRAIN;
            if (drain) level <= level_now + 1'b1;
            if (last) flush <= 1'b0;
            busy <= busy + {1'b0, drain & level_now == FIRST_LEVEL & ~flush} - {1'b0, free};
        end
    end
    wire [ADDRESS-1:0] level_at[0:CHAIN];
    assign level_at[0] = level_now;
    assign done = ended[SUMMED+SKEW] & counted[SUMMED+SKEW];
    assign done_tag = tags[SUMMED+SKEW];
    genvar i, p, j;
    generate
        for (i = 1; i <= CHAIN; i = i + 1) begin : g_level
            reg [ADDRESS-1:0] at;
            always @(posedge clk) at <= level_at[i-1];
            assign level_at[i] = at;
        end
    endgenerate

    // ---- Bucket banks.
    generate
        wire [N_OUT*TOTAL_BITS-1:0] total;  // gated: zero but in the drain
        if (BANKS > 0) begin : g_buckets
            wire [N_OUT*TOTAL_BITS-1:0] passed[0:BANKS-1];
            wire [N_OUT*TOTAL_BITS-1:0] returned;
            reg [N_OUT*TOTAL_BITS-1:0] gated;
            assign hold = drained[CLEARING];
            assign clearing = |drained[CLEARING:1];
            for (p = 0; p < BANKS; p = p + 1) begin : g_bank
                wire [X_BITS-1:0] x_now;
                wire [ADDRESS-1:0] row_now;
                synq_delay #(.WIDTH(X_BITS + ADDRESS), .CYCLES(p)) skew (
                    .clk(clk),
                    .data({x[p*X_BITS+:X_BITS], row[p*ADDRESS+:ADDRESS]}),
                    .delayed({x_now, row_now})
                );
                wire clear_next = p == 0 && drained[ASKED+CLEARING];
                wire merge = p == 0 ? drained[FETCH+CLEARING] : drained[FETCH+p];
                always @(posedge clk)
                    address[p*ADDRESS+:ADDRESS] <=
                        drained[ASKED+p] ? level_at[ASKED+p] :
                        clear_next ? level_at[ASKED+CLEARING] + TO_CLEAR : row_now;
                synq_bucket_bank #(
                    .N_OUT(N_OUT), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .WIDTH(TOTAL_BITS),
                    .CODE_BITS(CODE_BITS), .READ(READ)
                ) bank (
                    .clk(clk),
                    .x(x_now),
                    .merge(merge),
                    .write(~drained[FETCH+p] & ~reset),
                    .set(1'b0),
                    .codes(codes[p*CODES+:CODES]),
                    .neighbour(p == 0 ? returned : passed[p == 0 ? 0 : p-1]),
                    .sums(passed[p])
                );
            end
            synq_delay #(.WIDTH(N_OUT * TOTAL_BITS), .CYCLES(CLEARING - BANKS)) back (
                .clk(clk), .data(passed[BANKS-1]), .delayed(returned)
            );
            wire [N_OUT-1:0] open_gate;
            synq_copies #(.LANES(N_OUT)) gates (.clk(clk), .data(drained[CODED+BANKS-1]), .copied(open_gate));
            for (j = 0; j < N_OUT; j = j + 1) begin : g_gate
                always @(posedge clk)
                    gated[j*TOTAL_BITS+:TOTAL_BITS] <=
                        open_gate[j] ? passed[BANKS-1][j*TOTAL_BITS+:TOTAL_BITS] : {TOTAL_BITS{1'b0}};
            end
            assign total = gated;
        end else begin : g_no_buckets
            assign hold = 1'b0;
            assign clearing = 1'b0;
            assign total = {N_OUT * TOTAL_BITS{1'b0}};
        end

        // ---- Decoded rows; their sums are added up.
        wire [N_OUT*ACC_BITS-1:0] partial[0:DECODED];
        assign partial[0] = {N_OUT * ACC_BITS{1'b0}};
        assign sums = partial[DECODED];
        for (p = BANKS; p < BANKS + DECODED; p = p + 1) begin : g_decoded
            wire [X_BITS-1:0] x_now;
            wire [ADDRESS-1:0] row_now;
            wire [N_OUT*ACC_BITS-1:0] own;
            synq_delay #(.WIDTH(X_BITS + ADDRESS), .CYCLES(SKEW)) skew (
                .clk(clk),
                .data({x[p*X_BITS+:X_BITS], row[p*ADDRESS+:ADDRESS]}),
                .delayed({x_now, row_now})
            );
            always @(posedge clk)
                address[p*ADDRESS+:ADDRESS] <= BANKS > 0 && drained[ASKED+SKEW] ? level_at[ASKED+SKEW] : row_now;
            synq_mac_bank #(
                .N_OUT(N_OUT), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .TOTAL_BITS(TOTAL_BITS),
                .HAS_TOTALS(BANKS > 0 && p == BANKS ? 1 : 0), .CODE_BITS(CODE_BITS),
                .VALUE_BITS(VALUE_BITS), .DIRECT(DIRECT), .VALUES(VALUES), .ACC_BITS(ACC_BITS),
                .READ(READ), .WEIGH(WEIGH)
            ) bank (
                .clk(clk),
                .x(x_now),
                .codes(codes[BANKS*CODES+(p-BANKS)*WEIGHTS+:WEIGHTS]),
                .totals(total),
                .first(ended[SUMMED+SKEW-1]),
                .sums(own)
            );
            for (j = 0; j < N_OUT; j = j + 1) begin : g_sum
                assign partial[p-BANKS+1][j*ACC_BITS+:ACC_BITS] =
                    partial[p-BANKS][j*ACC_BITS+:ACC_BITS] + own[j*ACC_BITS+:ACC_BITS];
            end
        end
    endgenerate
endmodule
`default_nettype wire
