// A beat is handed out as its lanes, each once, in order; PIXELS make an image.
reg [COUNT:0] number;  // of the image's next pixel
reg [LANE:0] place;    // of the beat's next pixel
wire takes = out_valid & out_ready;
always @(posedge clk) begin
    if (reset | (in_valid & in_ready)) place <= 0;
    else if (takes) place <= place + 1;
    if (reset) number <= 0;
    else if (takes) number <= number == PIXELS - 1 | out_last ? 0 : number + 1;
end
reg offered_then, last_then;
reg [LANES*X_BITS-1:0] data_then;
initial offered_then = 1'b0;
always @(posedge clk) begin
    offered_then <= in_valid & ~in_ready & ~reset;
    last_then <= in_last;
    data_then <= in_data;
end
wire [LANES*X_BITS-1:0] rest = in_data >> place * X_BITS;
always @* begin
    // A beat that is offered stays until it is taken.
    `REQUIRE (reset | ~offered_then | (in_valid & in_last == last_then & in_data == data_then));
    if (begun & ~reset) begin
        assert (place < LANES & number < PIXELS);
        assert (lane == place & pixel == number);
        assert (out_valid == in_valid);
        if (out_valid) assert (out_data == rest[X_BITS-1:0]);
        // With its last lane, or the image's last pixel, a beat is taken, and not before.
        assert ((in_valid & in_ready) == (takes & (place == LANES - 1 | number == PIXELS - 1)));
        if (takes) assert (out_last == (in_last & in_ready));
    end
end
