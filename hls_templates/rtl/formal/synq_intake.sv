// An image is BEATS puts, numbered; each is a beat that was taken a cycle ago, or, after `beat_last`,
// zeros.
reg begun_then, takes_then, ended_then, last_then, room_then;
reg [LANES*X_BITS-1:0] beat_then;
reg ended;  // a beat with `beat_last` has been taken, the image is to be completed
reg [INDEX:0] number;  // of puts of this image before the next one
wire final_then = number == BEATS - 1;
wire takes = beat_valid & beat_ready;
initial begun_then = 1'b0;
always @(posedge clk) begin
    begun_then <= begun & ~reset;
    takes_then <= takes;
    last_then <= beat_last;
    beat_then <= beat;
    room_then <= room;
    ended_then <= ended;
    closing_then <= closing;
    if (reset) number <= 0;
    else if (put) number <= final_then ? 0 : number + 1;
    if (reset) ended <= 1'b0;
    // taken now: beat number `number`, or the one after
    else if (closing) ended <= 1'b0;
    else if (takes & beat_last) ended <= 1'b1;
end
reg closing_then;
integer i;
always @* if (begun_then) begin
    // No loss, no beat twice: what is put was taken, or completes an image.
    assert (put == (takes_then | (ended_then & room_then)));
    assert (~(takes_then & ended_then));
    if (put) begin
        assert (put_index == number);
        assert (put_last == final_then);
        assert (put_tag == (last_then & takes_then | ended_then));
        for (i = 0; i < LANES; i = i + 1)
            if (ended_then | (final_then & i >= LAST_LANES)) assert (put_beat[i*X_BITS+:X_BITS] == 0);
            else assert (put_beat[i*X_BITS+:X_BITS] == beat_then[i*X_BITS+:X_BITS]);
    end
    assert (closing_then == (put & put_last));
end
always @* if (begun) begin
    assert (ended == filling);
    assert (number < BEATS);
    if (begun_then) assert (index == (put ? (final_then ? 0 : number + 1) : number));
    else assert (index == 0 & number == 0 & ~put);
end
