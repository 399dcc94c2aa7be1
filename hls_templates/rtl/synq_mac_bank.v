// One row of inputs a cycle, in every output's lane multiplied by the value of the lane's code and
// accumulated. The bucket banks' totals, if there are any, take the place of the input.
//
//   cycle       0     1     2               3              4                       5     READ 3
//               x           codes, totals   factor, value  product, first if last  sums
`default_nettype none
module synq_mac_bank #(
    parameter N_OUT = 2,
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,     // whether inputs are two's complement
    parameter TOTAL_BITS = 18,  // of a bucket bank's total: signed
    parameter HAS_TOTALS = 0,
    parameter CODE_BITS = 4,
    parameter VALUE_BITS = 8,
    parameter DIRECT = 0,       // whether a code is its value, and as wide
    parameter [(DIRECT != 0 ? 1 : 1<<CODE_BITS)*VALUE_BITS-1:0] VALUES = 0,  // else: signed, by code
    parameter ACC_BITS = 24,
    parameter READ = 3,         // cycles from a word of the memory to its codes
    parameter WEIGH = 3         // cycles from its codes to its sums: factor, product, sum
) (
    input wire clk,
    input wire [X_BITS-1:0] x,
    input wire [N_OUT*(DIRECT != 0 ? VALUE_BITS : CODE_BITS)-1:0] codes,  // READ - 1 cycles after x
    input wire [N_OUT*TOTAL_BITS-1:0] totals,  // likewise; zero but with x zero
    input wire first,                          // READ + WEIGH - 2 cycles after x: begin with its successor
    output wire [N_OUT*ACC_BITS-1:0] sums      // WEIGH cycles after the codes
);
    generate  // rules of the parameters
        if (READ < 2) begin : g_rule_1
            error_READ_is_at_least_2 error ();
        end
        if (WEIGH != 3) begin : g_rule_2
            error_WEIGH_is_3 error ();
        end
        if (X_SIGNED != 0 && X_SIGNED != 1) begin : g_rule_3
            error_X_SIGNED_is_0_or_1 error ();
        end
    endgenerate
    localparam WIDTH = DIRECT != 0 ? VALUE_BITS : CODE_BITS;  // of a code
    localparam A_BITS = HAS_TOTALS != 0 && TOTAL_BITS > X_BITS ? TOTAL_BITS : X_BITS + 1 - X_SIGNED;
    wire [X_BITS-1:0] x_early;
    wire [N_OUT*X_BITS-1:0] x_copies;
    wire [N_OUT-1:0] first_now;
    synq_delay #(.WIDTH(X_BITS), .CYCLES(READ - 2)) reading (.clk(clk), .data(x), .delayed(x_early));
    synq_copies #(.WIDTH(X_BITS), .LANES(N_OUT)) inputs (.clk(clk), .data(x_early), .copied(x_copies));
    synq_copies #(.LANES(N_OUT)) firsts (.clk(clk), .data(first), .copied(first_now));

    wire unused_totals = &{1'b0, totals};

    genvar j;
    generate
        for (j = 0; j < N_OUT; j = j + 1) begin : g_lane
            wire [WIDTH-1:0] code = codes[j*WIDTH+:WIDTH];
            wire [X_BITS-1:0] x_now = x_copies[j*X_BITS+:X_BITS];
            wire [A_BITS-1:0] input_now = {{A_BITS - X_BITS{X_SIGNED != 0 && x_now[X_BITS-1]}}, x_now};
            reg signed [A_BITS-1:0] factor;
            reg signed [VALUE_BITS-1:0] value;
            reg signed [A_BITS+VALUE_BITS-1:0] product;
            reg signed [ACC_BITS-1:0] sum;
            wire signed [ACC_BITS-1:0] term;
            if (A_BITS + VALUE_BITS >= ACC_BITS) begin : g_cut
                assign term = product[ACC_BITS-1:0];
            end else begin : g_extend
                assign term = {{ACC_BITS - A_BITS - VALUE_BITS{product[A_BITS+VALUE_BITS-1]}}, product};
            end
            always @(posedge clk) begin
                if (HAS_TOTALS != 0) factor <= input_now | totals[j*TOTAL_BITS+:A_BITS];
                else factor <= input_now;
                product <= factor * value;
                sum <= (first_now[j] ? $signed({ACC_BITS{1'b0}}) : sum) + term;
            end
            if (DIRECT != 0) begin : g_direct
                always @(posedge clk) value <= code;
            end else begin : g_table
                always @(posedge clk) value <= VALUES[code*VALUE_BITS+:VALUE_BITS];
            end
            wire unused_product = &{1'b0, product};
            assign sums[j*ACC_BITS+:ACC_BITS] = sum;
        end
    endgenerate
endmodule
`default_nettype wire
