// A register in copies, one for every PER_COPY lanes: a signal that reaches a hundred lanes from one
// register spends most of a clock cycle on its way.
`default_nettype none
module synq_copies #(
    parameter WIDTH = 1,
    parameter LANES = 16,
    parameter PER_COPY = 16
) (
    input wire clk,
    input wire [WIDTH-1:0] data,
    output wire [LANES*WIDTH-1:0] copied  // a cycle later, for every lane
);
    genvar j;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : g_lane
            if (j % PER_COPY == 0) begin : g_copy
                wire [WIDTH-1:0] own;
                synq_copy #(.WIDTH(WIDTH)) copy (.clk(clk), .data(data), .copied(own));
                assign copied[j*WIDTH+:WIDTH] = own;
            end else begin : g_same
                assign copied[j*WIDTH+:WIDTH] = copied[(j-1)*WIDTH+:WIDTH];
            end
        end
    endgenerate
endmodule
`default_nettype wire
