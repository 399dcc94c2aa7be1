// ReLU and requantization of a sum that half a step of the output has been added to already:
// value = saturate(round(max(sum, 0) * 2**-SHIFT)), as synq_activation does.
//
// With the half step, rounding down rounds to the nearest, ties up. A tie is where nothing is left
// below the step; clearing the lowest bit there makes it even.
`default_nettype none
module synq_round #(
    parameter BITS = 16,
    parameter OUT_BITS = 8,
    parameter SHIFT = 8,
    parameter TIES_TO_EVEN = 1,
    parameter SATURATE = 1
) (
    input wire clk,
    input wire [BITS-1:0] sum,
    output reg [OUT_BITS-1:0] value
);
    localparam RIGHT = SHIFT > 0 ? SHIFT : 0;
    localparam LEFT = SHIFT < 0 ? -SHIFT : 0;
    localparam WIDE = (BITS > RIGHT ? BITS : RIGHT) + LEFT + OUT_BITS + 1;
    wire [WIDE-1:0] wide = {{WIDE - BITS{1'b0}}, sum & {BITS{~sum[BITS-1]}}} << LEFT;
    wire tie;
    generate
        if (TIES_TO_EVEN != 0 && RIGHT > 0) begin : g_tie
            assign tie = wide[RIGHT-1:0] == {RIGHT{1'b0}};
        end else begin : g_no_tie
            assign tie = 1'b0;
        end
        if (RIGHT > 0) begin : g_below
            wire unused = &{1'b0, wide[RIGHT-1:0]};
        end
    endgenerate
    wire [OUT_BITS-1:0] step = 1;
    wire [OUT_BITS-1:0] rounded = wide[RIGHT+:OUT_BITS] & ~(step & {OUT_BITS{tie}});
    wire over = SATURATE != 0 && |wide[WIDE-1:RIGHT+OUT_BITS];
    always @(posedge clk) value <= rounded | {OUT_BITS{over}};
endmodule
`default_nettype wire
