// A memory with a port to write and a port to read, one cycle later, which stands still without `read`.
`default_nettype none
module synq_lines #(
    parameter WIDTH = 8,
    parameter DEPTH = 32,
    parameter BLOCK = 1  // block RAM rather than logic
) (
    input wire clk,
    input wire write,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] write_address,
    input wire [WIDTH-1:0] data,
    input wire read,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] read_address,
    output reg [WIDTH-1:0] fetched
);
    integer i;
    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) reg [WIDTH-1:0] words[0:DEPTH-1];
            initial for (i = 0; i < DEPTH; i = i + 1) words[i] = {WIDTH{1'b0}};
            // As in synq_buffer: what is written is not read in the same cycle, or not used.
            always @(posedge clk) begin
                if (write) words[write_address] <= data;
                if (read) begin
                    if (write && write_address == read_address) fetched <= {WIDTH{1'bx}};
                    else fetched <= words[read_address];
                end
            end
        end else begin : g_logic
            (* ram_style = "distributed" *) reg [WIDTH-1:0] words[0:DEPTH-1];
            initial for (i = 0; i < DEPTH; i = i + 1) words[i] = {WIDTH{1'b0}};
            always @(posedge clk) begin
                if (write) words[write_address] <= data;
                if (read) fetched <= words[read_address];
            end
        end
    endgenerate
endmodule
`default_nettype wire
