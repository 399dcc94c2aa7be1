// What was written last to an address is read from it, a cycle later: one address, any, is followed.
(* anyconst *) wire [ADDRESS-1:0] address;
reg [WIDTH-1:0] expected, expected_then;
reg read;  // a cycle ago, and in a block RAM not in a cycle in which it was written
initial expected = {WIDTH{1'b0}};
initial read = 1'b0;
always @(posedge clk) begin
    if (write && write_address == address) expected <= data;
    read <= read_address == address && !(BLOCK != 0 && write && write_address == address);
    expected_then <= expected;
end
generate
    if (BLOCK != 0) begin : g_block_proof
        always @* assert (g_block.words[address] == expected);
    end else begin : g_logic_proof
        always @* assert (g_logic.words[address] == expected);
    end
endgenerate
always @* if (read) assert (fetched == expected_then);
