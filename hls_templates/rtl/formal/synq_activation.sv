// Every beat of sums makes one beat; what is offered stays until it is taken. Values are left to the
// simulation.
reg owes;  // a beat was taken and not handed out
reg last_given, offered_then, last_then;
reg [LANES*OUT_BITS-1:0] values_then;
initial offered_then = 1'b0;
always @(posedge clk) begin
    owes <= ~reset & ((sums_valid & sums_taken) | (owes & ~(valid & ready)));
    if (sums_valid & sums_taken) last_given <= sums_last & sums_tag;
    offered_then <= valid & ~ready & ~reset;
    values_then <= values;
    last_then <= last;
end
always @* begin
    if (begun) begin
        assert (valid == owes);
        if (valid) assert (last == last_given);
    end
    if (offered_then) assert (valid & values == values_then & last == last_then);
end
