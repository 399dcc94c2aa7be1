// One bucket, any, is followed: it is the exact sum of what was added and taken off, as long as that
// sum is in its range, which follows from the codes; and what is passed on is the sum after this row.
localparam WIDE = WIDTH + 2;
(* anyconst *) wire [INDEX_BITS-1:0] place;
reg signed [WIDE-1:0] exact;
reg in_range;
initial exact = {WIDE{1'b0}};
initial in_range = 1'b1;
wire signed [WIDTH-1:0] added = merge ? neighbour : addend;
wire signed [WIDE-1:0] wider = added;
wire signed [WIDE-1:0] now = sign ? exact - wider : exact + wider;
wire fits = now[WIDE-1:WIDTH-1] == {WIDE - WIDTH + 1{now[WIDE-1]}};
reg passed_on;
reg signed [WIDE-1:0] passed;
initial passed_on = 1'b0;
wire signed [WIDTH-1:0] bucket_now = bucket[place], sum_now = sum;
always @(posedge clk) begin
    if (write & index == place) begin
        exact <= now;
        in_range <= in_range & fits;
    end
    passed_on <= in_range & fits & index == place;
    passed <= now;
end
always @* begin
    if (in_range) assert (bucket_now == exact);
    if (passed_on) assert (sum_now == passed);
end
