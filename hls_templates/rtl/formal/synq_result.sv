// The answer to an image is its sums, two a beat, and the class, which a plain search for the largest
// sum finds; what is offered stays until it is taken.
localparam BEATS = (N_OUT + 1) / 2;
reg [CLASS_BITS:0] beats_in, beats_out;  // of an image: taken before, handed out before
reg tag_given;
reg [63:0] data_given;  // of the last beat taken
reg signed [ACC_BITS-1:0] largest;
reg [CLASS_BITS-1:0] place;  // of the largest one
wire takes = sums_valid & sums_taken;
wire leaves = out_valid & out_ready;
wire has_odd = 2 * beats_in + 1 < N_OUT;
wire even_is_larger = beats_in == 0 || even > largest;
wire signed [ACC_BITS-1:0] larger = even_is_larger ? even : largest;
wire odd_is_larger = has_odd && odd > larger;
wire [31:0] even_wide = $signed(even), odd_wide = $signed(odd);
always @(posedge clk) begin
    if (takes) begin
        data_given <= {has_odd ? odd_wide : 32'd0, even_wide};
        tag_given <= sums_tag;
        largest <= odd_is_larger ? odd : larger;
        if (N_OUT == 1) place <= even > $signed({ACC_BITS{1'b0}});
        else if (odd_is_larger) place <= 2 * beats_in + 1;
        else if (even_is_larger) place <= 2 * beats_in;
    end
    if (reset) begin
        beats_in <= 0;
        beats_out <= 0;
    end else begin
        if (takes) beats_in <= sums_last ? 0 : beats_in + 1;
        if (leaves) beats_out <= beats_out == BEATS ? 0 : beats_out + 1;
    end
end
wire pair_wins = waiting && (first || pair > best);
reg offered_then, last_then;
reg [63:0] data_then;
initial offered_then = 1'b0;
always @(posedge clk) begin
    offered_then <= out_valid & ~out_ready & ~reset;
    data_then <= out_data;
    last_then <= out_last;
end
always @* begin
    `REQUIRE (reset | ~sums_valid | sums_last == (beats_in == BEATS - 1));
    if (begun) begin
        // What was taken is handed out, or in the register, which holds one beat.
        assert (beats_in < BEATS & beats_out <= BEATS);
        if (closing) assert (beats_in == 0 & beats_out == (out_valid ? BEATS - 1 : BEATS));
        else if (out_valid) assert (beats_out == (beats_in == 0 ? BEATS : beats_in - 1));
        else assert (beats_out == beats_in);
        if (out_valid & beats_out < BEATS) assert (out_data == data_given & ~out_last);
        if (out_valid & beats_out == BEATS) assert (out_data == place & out_last == tag_given);
        // The search, in two steps, is as far as the plain one.
        assert (fresh == (beats_in == 0 & ~closing));
        if (~closing) assert (index == 2 * beats_in);
        else assert (tag == tag_given);
        if (fresh) assert (~waiting);
        if (waiting) assert (first == (beats_in == 1 | (closing & BEATS == 1)));
        if (~fresh) assert ((pair_wins ? pair_index : class_index) == place);
        if (~fresh & N_OUT > 1) assert ((pair_wins ? pair : best) == largest);
    end
    if (offered_then) assert (out_valid & out_data == data_then & out_last == last_then);
end
