// One row of inputs a cycle, in every output's lane added to the bucket that the lane's code names.
//
// A bucket is never cleared by itself: what matters is the sum over all banks, modulo 2**WIDTH. With
// `merge` the neighbour's value is added instead of the input; without `write` the bucket keeps its
// value and the sum only goes on to the next bank.
//
//   cycle       0                  1     2     3                 4       READ 3
//               merge, write, set  x           codes, neighbour  sums
`default_nettype none
module synq_bucket_bank #(
    parameter N_OUT = 2,
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,    // whether inputs are two's complement
    parameter WIDTH = 16,      // of a bucket
    parameter CODE_BITS = 4,   // the highest negates, the others choose the bucket
    parameter SETS = 1,        // sets of buckets
    parameter READ = 3         // cycles from a word of the memory to its codes
) (
    input wire clk,
    input wire [X_BITS-1:0] x,               // READ - 1 cycles before its codes
    input wire merge,                        // READ cycles before
    input wire write,                        // likewise
    input wire set,                          // likewise: of the buckets
    input wire [N_OUT*CODE_BITS-1:0] codes,
    input wire [N_OUT*WIDTH-1:0] neighbour,  // with the codes
    output wire [N_OUT*WIDTH-1:0] sums       // a cycle after the codes
);
    generate  // rules of the parameters
        if (READ < 2) begin : g_rule_1
            error_READ_is_at_least_2 error ();
        end
        if (WIDTH < X_BITS) begin : g_rule_2
            error_WIDTH_holds_an_input error ();
        end
        if (X_SIGNED != 0 && X_SIGNED != 1) begin : g_rule_3
            error_X_SIGNED_is_0_or_1 error ();
        end
        if (SETS != 1 && SETS != 2) begin : g_rule_4
            error_SETS_are_1_or_2 error ();
        end
    endgenerate
    localparam CONTROLS = X_BITS + 3;
    localparam PLACE = CODE_BITS + SETS - 1;
    wire [CONTROLS-1:0] early;
    wire [N_OUT*CONTROLS-1:0] now;
    synq_delay #(.WIDTH(3), .CYCLES(READ - 1)) reading (
        .clk(clk), .data({set, merge, write}), .delayed(early[CONTROLS-1:X_BITS])
    );
    synq_delay #(.WIDTH(X_BITS), .CYCLES(READ - 2)) inputs (.clk(clk), .data(x), .delayed(early[X_BITS-1:0]));
    synq_copies #(.WIDTH(CONTROLS), .LANES(N_OUT)) copies (.clk(clk), .data(early), .copied(now));

    genvar j;
    generate
        for (j = 0; j < N_OUT; j = j + 1) begin : g_lane
            wire set_now, merge_now, write_now;
            wire [X_BITS-1:0] x_now;
            assign {set_now, merge_now, write_now, x_now} = now[j*CONTROLS+:CONTROLS];
            wire [CODE_BITS-1:0] code = codes[j*CODE_BITS+:CODE_BITS];
            wire [PLACE-1:0] place;
            if (SETS == 2) begin : g_sets
                assign place = {code[CODE_BITS-1], set_now, code[CODE_BITS-2:0]};
            end else begin : g_set
                wire unused = set_now;
                assign place = code;
            end
            synq_bucket_lane #(
                .WIDTH(WIDTH), .CODE_BITS(PLACE)
            ) lane (
                .clk(clk),
                .code(place),
                .merge(merge_now),
                .write(write_now),
                .addend({{WIDTH - X_BITS{X_SIGNED != 0 && x_now[X_BITS-1]}}, x_now}),
                .neighbour(neighbour[j*WIDTH+:WIDTH]),
                .sum(sums[j*WIDTH+:WIDTH])
            );
        end
    endgenerate
endmodule
`default_nettype wire
