// A lane's accumulator is the exact sum of its image's terms. For as many rows as any codes allow this
// is proven of any input; beyond, it is assumed that the sum stays in the accumulator's range, which
// follows from the codes.
localparam WIDE = ACC_BITS + 4;
localparam LATE = READ - 1;  // cycles from x to its codes
localparam PRODUCT_BITS = A_BITS + VALUE_BITS;
localparam SPARE = ACC_BITS + 1 - PRODUCT_BITS;
localparam ROWS = SPARE > 0 ? (1 << (SPARE > 0 ? SPARE : 0)) - 1 : 0;  // of the largest products
localparam MOST = PRODUCT_BITS - 2;  // binary logarithm of the largest product
reg signed [A_BITS-1:0] x_at[1:LATE], factor_exact;
reg signed [VALUE_BITS-1:0] value_exact;
reg signed [PRODUCT_BITS-1:0] product_exact;
reg signed [WIDE-1:0] exact;  // the sum of the first lane
reg begins, in_range;
initial in_range = 1'b0;      // until the first image begins
reg seen;                     // an image has begun
initial seen = 1'b0;
reg [WIDE-1:0] rows;          // of this image, counted to one more than ROWS
wire signed [WIDE-1:0] bound = rows << MOST;
integer k;
reg [LATE+1:0] due;                // since when all registers hold what came in
initial due = 0;
wire signed [A_BITS-1:0] total = totals[A_BITS-1:0];
wire signed [WIDE-1:0] wider = product_exact;
wire signed [WIDE-1:0] now = (begins ? {WIDE{1'b0}} : exact) + wider;
wire fits = now[WIDE-1:ACC_BITS-1] == {WIDE - ACC_BITS + 1{now[WIDE-1]}};
always @(posedge clk) begin
    due <= {due[LATE:0], 1'b1};
    x_at[1] <= X_SIGNED != 0 ? $signed(x) : $signed({1'b0, x});
    for (k = 2; k <= LATE; k = k + 1) x_at[k] <= x_at[k-1];
    factor_exact <= HAS_TOTALS != 0 && total != 0 ? total : x_at[LATE];
    value_exact <= DIRECT != 0 ? codes[VALUE_BITS-1:0]
                               : VALUES[(DIRECT != 0 ? 0 : codes[CODE_BITS-1:0])*VALUE_BITS+:VALUE_BITS];
    product_exact <= g_lane[0].factor * g_lane[0].value;  // as they were found right
    begins <= first;
    seen <= seen | (begins & due[LATE+1]);
    exact <= now;
    in_range <= fits & ((begins & due[LATE+1]) | in_range);
    rows <= begins ? 1 : rows > ROWS ? rows : rows + 1;
end
wire signed [ACC_BITS-1:0] sum_now = sums[ACC_BITS-1:0];
always @* begin
    `REQUIRE (HAS_TOTALS == 0 || totals[A_BITS-1:0] == 0 || x_at[LATE] == 0);
    if (due[LATE-1]) assert ($signed(g_lane[0].input_now) == x_at[LATE]);
    if (due[LATE]) assert (g_lane[0].factor == factor_exact & g_lane[0].value == value_exact);
    if (due[LATE+1]) assert (g_lane[0].product == product_exact);
    if (due[0]) assert (first_now[0] == begins);
    if (in_range) assert (due[LATE+1] & seen & sum_now == exact);
    if (seen) assert (due[LATE+1] & rows >= 1 & rows <= ROWS + 1);
    if (seen & rows <= ROWS) assert (in_range & exact <= bound & exact >= -bound);
end
