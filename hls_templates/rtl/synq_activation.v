// ReLU and requantization of some sums a cycle: out = saturate(round(max(sum, 0) * 2**-SHIFT)).
`default_nettype none
module synq_activation #(
    parameter ACC_BITS = 24,
    parameter LANES = 1,
    parameter OUT_BITS = 8,
    parameter SHIFT = 12,
    parameter LESS_BITS = 0,  // of what is taken off SHIFT while it runs
    parameter ROUND = 2,      // 0 down (AP_TRN), 1 ties up (AP_RND), 2 ties to even (AP_RND_CONV)
    parameter SATURATE = 1    // 0 keeps the lowest bits (AP_WRAP), 1 clips (AP_SAT)
) (
    input wire clk,
    input wire reset,
    input wire sums_valid,
    output wire sums_taken,
    input wire [LANES*ACC_BITS-1:0] sums,
    input wire sums_last,
    input wire sums_tag,
    input wire [(LESS_BITS > 0 ? LESS_BITS : 1)-1:0] less,
    output reg valid,
    input wire ready,
    output reg last,     // TLAST of the image's last beat
    output wire [LANES*OUT_BITS-1:0] values
);
    generate  // rules of the parameters
        if (ROUND < 0 || ROUND > 2) begin : g_rule_1
            error_ROUND_is_0_1_or_2 error ();
        end
    endgenerate
    localparam RIGHT = SHIFT > 0 ? SHIFT : 0;
    localparam LEFT = SHIFT < 0 ? -SHIFT : 0;
    localparam MOST_LESS = (1 << LESS_BITS) - 1;
    // Wide enough to round without overflow, and to compare with the largest value.
    localparam WIDE = (ACC_BITS > RIGHT ? ACC_BITS : RIGHT) + LEFT + MOST_LESS + OUT_BITS + 1;
    localparam [WIDE-1:0] ONE = 1;
    localparam [WIDE-1:0] HALF = RIGHT > 0 && ROUND != 0 ? ONE << (RIGHT > 0 ? RIGHT - 1 : 0) : 0;
    localparam [WIDE-1:0] LESS = RIGHT > 0 && ROUND == 2 ? 1 : 0;
    localparam [WIDE-1:0] MOST = (ONE << OUT_BITS) - ONE;

    assign sums_taken = ~valid | ready;
    always @(posedge clk) begin
        valid <= ~reset & (sums_valid | (valid & ~ready));
        if (sums_taken) last <= sums_last & sums_tag;
    end
    genvar j;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : g_lane
            wire [ACC_BITS-1:0] sum = sums[j*ACC_BITS+:ACC_BITS];
            wire [WIDE-1:0] kept = {{WIDE - ACC_BITS{1'b0}}, sum & {ACC_BITS{~sum[ACC_BITS-1]}}};
            wire [WIDE-1:0] positive;
            if (LESS_BITS > 0) begin : g_less
                assign positive = kept << less;
            end else begin : g_fixed
                wire unused = &{1'b0, less};
                assign positive = kept;
            end
            wire odd = ROUND == 2 && RIGHT > 0 && positive[RIGHT];
            wire [WIDE-1:0] rounded =
                ((positive << LEFT) + HALF - LESS + {{WIDE - 1{1'b0}}, odd}) >> RIGHT;
            reg [OUT_BITS-1:0] value;
            always @(posedge clk)
                if (sums_taken)
                    value <= SATURATE != 0 && rounded > MOST ? {OUT_BITS{1'b1}} : rounded[OUT_BITS-1:0];
            assign values[j*OUT_BITS+:OUT_BITS] = value;
        end
    endgenerate
endmodule
`default_nettype wire
