// A memory of codes: one word a row, the codes of all outputs.
//
//   cycle       0        1        2        3      READ 3
//   block RAM   address  fetched           word
//   logic       address  asked    fetched  word
`default_nettype none
module synq_rom #(
    parameter WIDTH = 8,
    parameter ADDRESS = 1,
    parameter BLOCK = 1,  // block RAM rather than logic
    parameter READ = 3,   // cycles from an address to its word
    parameter FILE = "codes.mem"
) (
    input wire clk,
    input wire [ADDRESS-1:0] address,
    output wire [WIDTH-1:0] word
);
    generate  // rules of the parameters
        if (READ < 2) begin : g_rule_1
            error_READ_is_at_least_2 error ();
        end
    endgenerate
    // A block RAM is slow and far from the lanes: of the registers behind it, one is beside it, and
    // others are at the lanes. Logic is neither: it waits for its address, which has fewer bits.
    localparam LATER = BLOCK != 0 ? READ - 1 : 1;
    reg [WIDTH-1:0] fetched;
    wire [ADDRESS-1:0] asked;
    synq_delay #(.WIDTH(ADDRESS), .CYCLES(READ - 1 - LATER)) waiting (.clk(clk), .data(address), .delayed(asked));
    synq_delay #(.WIDTH(WIDTH), .CYCLES(LATER)) following (.clk(clk), .data(fetched), .delayed(word));

    generate
        if (BLOCK != 0) begin : g_block
            (* ram_style = "block" *) reg [WIDTH-1:0] words[0:(1<<ADDRESS)-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) fetched <= words[asked];
        end else begin : g_logic
            reg [WIDTH-1:0] words[0:(1<<ADDRESS)-1];
            initial $readmemh(FILE, words);
            always @(posedge clk) fetched <= words[asked];
        end
    endgenerate
endmodule
`default_nettype wire
