// A memory of codes in two sets: one is read, the other one written, SLICE bits of a word at a time.
`default_nettype none
module synq_code_sets #(
    parameter WIDTH = 8,
    parameter ADDRESS = 1,
    parameter SLICE = 64,
    parameter READ = 3,     // cycles from an address to its word
    parameter FILE = "codes.mem"  // what set 0 holds at first
) (
    input wire clk,
    input wire set,                  // that is read
    input wire [ADDRESS-1:0] address,
    output wire [WIDTH-1:0] word,
    input wire [(WIDTH+SLICE-1)/SLICE-1:0] write,  // slices to the other set
    input wire [ADDRESS-1:0] write_address,
    input wire [SLICE-1:0] write_slice
);
    generate  // rules of the parameters
        if (READ < 2) begin : g_rule_1
            error_READ_is_at_least_2 error ();
        end
    endgenerate
    localparam SLICES = (WIDTH + SLICE - 1) / SLICE;
    (* ram_style = "block" *) reg [WIDTH-1:0] words[0:(2<<ADDRESS)-1];
    initial $readmemh(FILE, words, 0, (1 << ADDRESS) - 1);
    reg [WIDTH-1:0] fetched;
    always @(posedge clk) fetched <= words[{set, address}];
    synq_delay #(.WIDTH(WIDTH), .CYCLES(READ - 1)) following (.clk(clk), .data(fetched), .delayed(word));
    wire unused = &{1'b0, write_slice};
    genvar s;
    generate
        for (s = 0; s < SLICES; s = s + 1) begin : g_slice
            localparam BITS = s == SLICES - 1 ? WIDTH - s * SLICE : SLICE;
            always @(posedge clk)
                if (write[s]) words[{~set, write_address}][s*SLICE+:BITS] <= write_slice[BITS-1:0];
        end
    endgenerate
endmodule
`default_nettype wire
