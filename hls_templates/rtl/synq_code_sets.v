// A memory of codes in two sets: one is read, the other one written, SLICE bits of a word at a time.
`default_nettype none
module synq_code_sets #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,    // words of a set
    parameter ADDRESS = 1,
    parameter SLICE = 64,
    parameter SLICES = 1,
    parameter READ = 3,     // cycles from an address to its word
    parameter FILE = "codes.mem"  // what set 0 holds at first
) (
    input wire clk,
    input wire set,                  // that is read
    input wire [ADDRESS-1:0] address,
    output wire [WIDTH-1:0] word,
    input wire [SLICES-1:0] write,   // to the other set
    input wire [ADDRESS-1:0] write_address,
    input wire [SLICE-1:0] write_slice
);
    generate  // rules of the parameters
        if (DEPTH != (1 << ADDRESS)) begin : g_rule_1
            error_DEPTH_is_that_of_ADDRESS error ();
        end
        if (READ < 2) begin : g_rule_2
            error_READ_is_at_least_2 error ();
        end
        if (SLICES != (WIDTH + SLICE - 1) / SLICE) begin : g_rule_3
            error_SLICES_make_a_word error ();
        end
    endgenerate
    (* ram_style = "block" *) reg [WIDTH-1:0] words[0:2*DEPTH-1];
    initial $readmemh(FILE, words, 0, DEPTH - 1);
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
