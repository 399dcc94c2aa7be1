// Some values in two sets: one is read, the other one written.
`default_nettype none
module synq_value_sets #(
    parameter WIDTH = 8,
    parameter COUNT = 2,
    parameter [COUNT*WIDTH-1:0] VALUES = 0  // what set 0 holds at first, the first one lowest
) (
    input wire clk,
    input wire set,                // that is read
    input wire [(COUNT > 1 ? $clog2(COUNT) : 1)-1:0] index,
    output wire [WIDTH-1:0] value,
    input wire write,              // to the other set
    input wire [(COUNT > 1 ? $clog2(COUNT) : 1)-1:0] write_index,
    input wire [WIDTH-1:0] write_value
);
    localparam INDEX = COUNT > 1 ? $clog2(COUNT) : 1;
    (* ram_style = "distributed" *) reg [WIDTH-1:0] words[0:(2<<INDEX)-1];
    integer k;
    initial
        for (k = 0; k < 2 << INDEX; k = k + 1)
            words[k] = k < COUNT ? VALUES[(k % COUNT)*WIDTH+:WIDTH] : {WIDTH{1'b0}};
    assign value = words[{set, index}];
    always @(posedge clk) if (write) words[{~set, write_index}] <= write_value;
endmodule
`default_nettype wire
