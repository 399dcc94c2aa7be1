// A register that synthesis does not merge with others like it: see `synq_copies`.
`default_nettype none
(* keep_hierarchy = 1 *)
module synq_copy #(
    parameter WIDTH = 1
) (
    input wire clk,
    input wire [WIDTH-1:0] data,
    output reg [WIDTH-1:0] copied
);
    always @(posedge clk) copied <= data;
endmodule
`default_nettype wire
