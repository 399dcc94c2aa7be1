// A memory of codes: one word a row, the codes of all outputs, read in two cycles.
module synq_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDRESS = 1,
    parameter BLOCK = 1,  // block RAM rather than logic
    parameter FILE = "codes.mem"
) (
    input wire clk,
    input wire [ADDRESS-1:0] address,
    output reg [WIDTH-1:0] word
);
    reg [WIDTH-1:0] fetched;
    always @(posedge clk) word <= fetched;

    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) reg [WIDTH-1:0] words[0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) fetched <= words[address];
        end else begin : g_logic
            reg [WIDTH-1:0] words[0:DEPTH-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) fetched <= words[address];
        end
    endgenerate
endmodule
