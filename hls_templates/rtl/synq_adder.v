// sum = a + b + carry, in the carry chain. What `b` is made of vanishes in the chain's look-up tables
// if it takes five inputs a bit; `a` goes to the carry as it is.
`default_nettype none
module synq_adder #(
    parameter WIDTH = 4
) (
    input wire [WIDTH-1:0] a,
    input wire [WIDTH-1:0] b,
    input wire carry,
    output wire [WIDTH:0] sum
);
    assign sum = {1'b0, a} + {1'b0, b} + {{WIDTH{1'b0}}, carry};
endmodule
`default_nettype wire
