// sum = a + b, and with CARRY one more bit: in the carry chain, which has room for it.
`default_nettype none
module synq_adder #(
    parameter WIDTH = 4,
    parameter CARRY = 0
) (
    input wire [WIDTH-1:0] a,
    input wire [WIDTH-1:0] b,
    input wire carry,
    output wire [WIDTH:0] sum
);
    generate
        if (CARRY != 0) begin : g_carry
            wire unused;  // twice the carry makes one, without a look-up table
            assign {sum, unused} = {1'b0, a, carry} + {1'b0, b, carry};
        end else begin : g_plain
            wire unused = carry;
            assign sum = {1'b0, a} + {1'b0, b};
        end
    endgenerate
endmodule
`default_nettype wire
