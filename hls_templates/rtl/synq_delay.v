// A word, CYCLES later.
`default_nettype none
module synq_delay #(
    parameter WIDTH = 1,
    parameter CYCLES = 1
) (
    input wire clk,
    input wire [WIDTH-1:0] data,
    output wire [WIDTH-1:0] delayed
);
    generate
        if (CYCLES == 0) begin : g_wire
            wire unused = clk;
            assign delayed = data;
        end else begin : g_stages
            reg [WIDTH-1:0] stage[0:CYCLES-1];
            integer i;
            always @(posedge clk) begin
                stage[0] <= data;
                for (i = 1; i < CYCLES; i = i + 1) stage[i] <= stage[i-1];
            end
            assign delayed = stage[CYCLES-1];
        end
    endgenerate
endmodule
`default_nettype wire
