// A synapse array on level buckets alone, whose totals GROUPS multipliers weigh one after another.
//
// BANKS banks add a row each and cycle, one cycle behind one another. There are two sets of buckets:
// while an image fills one, the levels of the image before are read from the other, each in one
// cycle stolen from the rows, and weighed in the background. The total returns to bank 0, which gives
// up another row to subtract it from its own bucket, so that the banks' sum is zero again. After a
// reset both sets are cleared so.
`default_nettype none
module synq_array_serial #(
    parameter N_OUT = 2,
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,      // whether inputs are two's complement
    parameter BANKS = 1,
    parameter LEVELS = 5,
    parameter WORDS = 784,       // rows of a bank; in its memory follow LEVELS words that name the
                                 // levels, and LEVELS that name them with the sign set
    parameter ADDRESS = 10,
    parameter TOTAL_BITS = 18,
    parameter CODE_BITS = 4,
    parameter VALUE_BITS = 8,
    parameter ACC_BITS = 24,
    parameter GROUPS = 1,        // lanes weighed, and sums handed out, a cycle
    parameter FETCH = 2,         // cycles from a step to its row, and from there to its codes
    parameter READ = 3
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
    input wire [BANKS*X_BITS-1:0] x,
    input wire [BANKS*ADDRESS-1:0] row,
    // Memories of codes, read in READ cycles.
    output reg [BANKS*ADDRESS-1:0] address,
    input wire [BANKS*N_OUT*CODE_BITS-1:0] codes,
    // The level that is weighed, and its value.
    output reg [(LEVELS > 1 ? $clog2(LEVELS) : 1)-1:0] weighed,
    input wire signed [VALUE_BITS-1:0] value,
    // Sums of an image, GROUPS a beat.
    output reg valid,
    input wire taken,
    output reg last,
    output reg sums_tag,
    output reg [GROUPS*ACC_BITS-1:0] sums
);
    generate  // rules of the parameters
        if (BANKS < 1) begin : g_rule_1
            error_BANKS_is_at_least_1 error ();
        end
        if (LEVELS > (1 << (CODE_BITS - 1))) begin : g_rule_2
            error_CODE_BITS_number_the_levels error ();
        end
        if (WORDS + 2 * LEVELS > (1 << ADDRESS)) begin : g_rule_3
            error_ADDRESS_numbers_rows_and_levels error ();
        end
    endgenerate
    localparam CODES = N_OUT * CODE_BITS;
    localparam ASKED = FETCH - 1;  // from a step to the choice of its word
    localparam CODED = FETCH + READ;  // from a step to its codes
    localparam CHAIN = CODED + BANKS;  // cycles that a step is followed
    localparam PRODUCT = 2;  // from a chosen total to its lane's sum: product, sum
    localparam TURNS = (N_OUT + GROUPS - 1) / GROUPS;
    localparam TURN = TURNS > 1 ? $clog2(TURNS) : 1;
    localparam LEVEL = LEVELS > 1 ? $clog2(LEVELS) : 1;
    localparam [TURN-1:0] FINAL_TURN = TURNS[TURN-1:0] - 1'b1;
    localparam [LEVEL-1:0] FINAL_LEVEL = LEVELS[LEVEL-1:0] - 1'b1;
    localparam [ADDRESS-1:0] TO_CLEAR = LEVELS[ADDRESS-1:0];
    localparam [ADDRESS-1:0] FIRST_LEVEL = WORDS[ADDRESS-1:0];

    // ---- Steps: a row, or a level of the image before.
    reg running, filled, pending, drained_set, drained_tag, drained_flush;
    reg [1:0] flush;
    reg [LEVEL-1:0] level;
    reg [CHAIN:1] drained;
    reg [CHAIN:0] set_at;
    reg engaged;                 // a level is being weighed
    wire close = running & empty & ~pending;
    wire drain = (pending | close) & ~engaged;
    wire [LEVEL-1:0] level_now = pending ? level : {LEVEL{1'b0}};
    wire set_now = pending ? drained_set : filled;
    wire more_flush = flush == 2'd2;
    wire clear = drained[BANKS];  // the total of a level is back
    assign hold = clear;
    assign advance = running & ~drain;
    assign start = ready & (~running | (close & ~more_flush));
    always @* set_at[0] = drain ? set_now : filled;
    always @(posedge clk) begin
        drained <= {drained[CHAIN-1:1], drain & ~reset};
        set_at[CHAIN:1] <= set_at[CHAIN-1:0];
        if (reset) begin
            running <= 1'b1;
            filled <= 1'b0;
            pending <= 1'b0;
            flush <= 2'd2;
            drained <= {CHAIN{1'b0}};
        end else begin
            running <= start | (running & ~(close & ~more_flush));
            if (close) begin
                drained_set <= filled;
                drained_tag <= tag;
                drained_flush <= flush != 2'd0;
                filled <= ~filled;
                if (flush != 2'd0) flush <= flush - 1'b1;
            end
            level <= level_now + {{LEVEL - 1{1'b0}}, drain};
            pending <= (pending | close) & ~(drain & level_now == FINAL_LEVEL);
        end
    end
    wire [ADDRESS-1:0] level_at[0:CHAIN];
    assign level_at[0] = FIRST_LEVEL + {{ADDRESS - LEVEL{1'b0}}, level_now};
    genvar i, p, j;
    generate
        for (i = 1; i <= CHAIN; i = i + 1) begin : g_level
            reg [ADDRESS-1:0] at;
            always @(posedge clk) at <= level_at[i-1];
            assign level_at[i] = at;
        end
    endgenerate

    // ---- Bucket banks.
    wire [N_OUT*TOTAL_BITS-1:0] passed[0:BANKS];
    assign passed[0] = passed[BANKS];
    generate
        for (p = 0; p < BANKS; p = p + 1) begin : g_bank
            wire [X_BITS-1:0] x_now;
            wire [ADDRESS-1:0] row_now;
            synq_delay #(.WIDTH(X_BITS + ADDRESS), .CYCLES(p)) skew (
                .clk(clk),
                .data({x[p*X_BITS+:X_BITS], row[p*ADDRESS+:ADDRESS]}),
                .delayed({x_now, row_now})
            );
            wire back = p == 0 && drained[FETCH+BANKS];
            wire back_next = p == 0 && drained[ASKED+BANKS];
            always @(posedge clk)
                address[p*ADDRESS+:ADDRESS] <=
                    drained[ASKED+p] ? level_at[ASKED+p] :
                    back_next ? level_at[ASKED+BANKS] + TO_CLEAR : row_now;
            synq_bucket_bank #(
                .N_OUT(N_OUT), .X_BITS(X_BITS), .X_SIGNED(X_SIGNED), .WIDTH(TOTAL_BITS),
                .CODE_BITS(CODE_BITS), .SETS(2), .READ(READ)
            ) bank (
                .clk(clk),
                .x(x_now),
                .merge(p == 0 ? back : drained[FETCH+p]),
                .write(~drained[FETCH+p] & ~reset),
                // A clearing goes to the set of its draining, a row to the other one.
                .set(back ? set_at[FETCH+BANKS] : set_at[FETCH+p]),
                .codes(codes[p*CODES+:CODES]),
                .neighbour(passed[p]),
                .sums(passed[p+1])
            );
        end
    endgenerate

    // ---- Weighing a level, GROUPS lanes a turn.
    reg [TURNS*GROUPS*TOTAL_BITS-1:0] totals;
    reg weighing, weighing_flush, weighing_tag, reading;
    reg [TURN-1:0] turn, read_turn;
    wire [TURN-1:0] turn_added, turn_kept;
    wire added, kept_now, kept_final;
    wire move = reading & (~valid | taken);
    // The level's last product is made: the next level may be drained, but not behind an image's last.
    wire finished = added & turn_added == FINAL_TURN;
    wire final_level = weighed == FINAL_LEVEL & ~weighing_flush;
    wire to_read = kept_now & kept_final;
    wire all_read = move & read_turn == FINAL_TURN;
    wire [N_OUT-1:0] take;
    synq_copies #(.LANES(N_OUT)) takes (.clk(clk), .data(drained[CHAIN-1]), .copied(take));
    generate
        for (j = 0; j < TURNS * GROUPS; j = j + 1) begin : g_total
            if (j < N_OUT) begin : g_lane
                always @(posedge clk)
                    if (take[j]) totals[j*TOTAL_BITS+:TOTAL_BITS] <= passed[BANKS][j*TOTAL_BITS+:TOTAL_BITS];
            end else begin : g_pad
                always @(posedge clk) totals[j*TOTAL_BITS+:TOTAL_BITS] <= {TOTAL_BITS{1'b0}};
            end
        end
    endgenerate
    always @(posedge clk) begin
        if (drain) begin
            weighed <= level_now;
            weighing_flush <= pending ? drained_flush : flush != 2'd0;
            weighing_tag <= pending ? drained_tag : tag;
        end
        if (drained[CHAIN]) turn <= {TURN{1'b0}};
        else turn <= turn + 1'b1;
        if (to_read) read_turn <= {TURN{1'b0}};
        else if (move) read_turn <= read_turn + 1'b1;
        if (move) begin
            last <= read_turn == FINAL_TURN;
            sums_tag <= weighing_tag;
        end
        if (reset) begin
            engaged <= 1'b0;
            weighing <= 1'b0;
            reading <= 1'b0;
            valid <= 1'b0;
        end else begin
            engaged <= drain | (engaged & ~(all_read | (finished & ~final_level)));
            weighing <= drained[CHAIN] | (weighing & turn != FINAL_TURN);
            reading <= to_read | (reading & ~all_read);
            valid <= move | (valid & ~taken);
        end
    end
    // A lane's total is chosen, multiplied, added to the lane's sum, and kept.
    wire [GROUPS*TOTAL_BITS-1:0] chosen;
    synq_select #(.WIDTH(GROUPS * TOTAL_BITS), .COUNT(TURNS)) chooser (
        .clk(clk), .enable(1'b1), .index(turn), .words(totals), .word(chosen)
    );
    synq_delay #(.WIDTH(TURN + 1), .CYCLES((TURN + 1) / 2)) to_added (
        .clk(clk), .data({weighing & ~reset, turn}), .delayed({added, turn_added})
    );
    synq_delay #(.WIDTH(TURN + 2), .CYCLES(PRODUCT)) to_kept (
        .clk(clk),
        .data({added & ~reset, finished & final_level, turn_added}),
        .delayed({kept_now, kept_final, turn_kept})
    );
    wire [TURN-1:0] asked = reading ? read_turn : turn_added;
    generate
        for (j = 0; j < GROUPS; j = j + 1) begin : g_group
            wire signed [TOTAL_BITS-1:0] total = chosen[j*TOTAL_BITS+:TOTAL_BITS];
            reg signed [TOTAL_BITS+VALUE_BITS-1:0] product;
            reg signed [ACC_BITS-1:0] earlier, sum;
            reg [ACC_BITS-1:0] kept[0:(1<<TURN)-1];
            wire [ACC_BITS-1:0] found = kept[asked];
            wire signed [ACC_BITS-1:0] term;
            integer k;
            initial for (k = 0; k < 1 << TURN; k = k + 1) kept[k] = {ACC_BITS{1'b0}};
            if (TOTAL_BITS + VALUE_BITS >= ACC_BITS) begin : g_cut
                assign term = product[ACC_BITS-1:0];
            end else begin : g_extend
                assign term = {
                    {ACC_BITS - TOTAL_BITS - VALUE_BITS{product[TOTAL_BITS+VALUE_BITS-1]}}, product
                };
            end
            wire unused_product = &{1'b0, product};
            always @(posedge clk) begin
                product <= total * value;
                earlier <= weighed == {LEVEL{1'b0}} ? {ACC_BITS{1'b0}} : found;
                sum <= earlier + term;
                if (kept_now) kept[turn_kept] <= sum;
                if (move) sums[j*ACC_BITS+:ACC_BITS] <= found;
            end
        end
    endgenerate
endmodule
`default_nettype wire
