// A memory with a port to write and a port to read, one cycle later.
`default_nettype none
module synq_buffer #(
    parameter WIDTH = 8,
    parameter ADDRESS = 8,
    parameter BLOCK = 1  // block RAM rather than logic
) (
    input wire clk,
    input wire write,
    input wire [ADDRESS-1:0] write_address,
    input wire [WIDTH-1:0] data,
    input wire [ADDRESS-1:0] read_address,
    output reg [WIDTH-1:0] fetched
);
    integer i;
    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) reg [WIDTH-1:0] words[0:(1<<ADDRESS)-1];
            initial for (i = 0; i < 1 << ADDRESS; i = i + 1) words[i] = {WIDTH{1'b0}};
            // What is written is not read in the same cycle, or not used: block RAMs differ in what they
            // show then, and a promise of one of them would cost logic.
            always @(posedge clk) begin
                if (write) words[write_address] <= data;
                if (write && write_address == read_address) fetched <= {WIDTH{1'bx}};
                else fetched <= words[read_address];
            end
        end else begin : g_logic
            (* ram_style = "distributed" *) reg [WIDTH-1:0] words[0:(1<<ADDRESS)-1];
            initial for (i = 0; i < 1 << ADDRESS; i = i + 1) words[i] = {WIDTH{1'b0}};
            always @(posedge clk) begin
                if (write) words[write_address] <= data;
                fetched <= words[read_address];
            end
        end
    endgenerate
endmodule
`default_nettype wire
