// The beats of every image that is `done` come out once, in order, images in order: places are
// counted back from the output. One beat of one image, any, is followed with its sums.
reg [3:0] image_in, image_out;  // number of the next image at either side, modulo 16
reg [INDEX-1:0] beat_out;       // number of the next beat at the output
reg [1:0] under_way;            // images that are done and not free
wire leaves = valid & taken;
integer n, s;

// Images and beats in the stages, and the image that is followed.
(* anyseq *) wire watch;
reg [3:0] image_active, image_waiting;
reg [3:0] image_at[0:STAGES-1];
reg [INDEX-1:0] beat_at[0:STAGES-1];
reg followed, mine_active, mine_waiting;
reg [STAGES-1:0] mine_at;
(* anyconst *) wire [INDEX-1:0] beat_watched;
reg [WIDTH-1:0] watched;  // its sums
reg tag_watched;
reg [WIDTH-1:0] given, arrived, kept_back;  // the same beat of `sums`, `arriving` and `held`
wire [BEATS*WIDTH-1:0] sums_padded = sums, arriving_padded = arriving;
integer g;
always @* begin
    given = {WIDTH{1'b0}};
    arrived = {WIDTH{1'b0}};
    kept_back = {WIDTH{1'b0}};
    for (g = 0; g < BEATS; g = g + 1)
        if (beat_watched == g) begin
            given = sums_padded[g*WIDTH+:WIDTH];
            arrived = arriving_padded[g*WIDTH+:WIDTH];
            kept_back = padded[g*WIDTH+:WIDTH];
        end
end
wire starts = done & watch & ~followed;
always @(posedge clk) begin
    if (reset) begin
        image_in <= 0;
        image_out <= 0;
        beat_out <= 0;
        under_way <= 0;
    end else begin
        image_in <= image_in + done;
        if (leaves) beat_out <= last ? 0 : beat_out + 1;
        image_out <= image_out + (leaves & last);
        under_way <= under_way + done - free;
    end
    followed <= ~reset & (followed | starts);
    if (~followed) begin
        watched <= given;
        tag_watched <= done_tag;
    end
    if (load) image_active <= BUFFER != 0 ? image_waiting : image_in;
    if (done) image_waiting <= image_in;
    if (done) mine_waiting <= starts;
    if (load) mine_active <= BUFFER != 0 ? mine_waiting : starts;
    if (reset) begin
        mine_waiting <= 0;
        mine_active <= 0;
    end
    if (move) begin
        image_at[0] <= image_active;
        beat_at[0] <= index;
        mine_at[0] <= mine_active & active;
        for (n = 1; n < STAGES; n = n + 1) begin
            image_at[n] <= image_at[n-1];
            beat_at[n] <= beat_at[n-1];
            mine_at[n] <= mine_at[n-1];
        end
    end
    if (reset) mine_at <= 0;
end


(* hierconn *) wire [STAGES*WIDTH-1:0] \chooser.named ;
(* hierconn *) wire [STAGES-1:0] \chooser.known ;
reg [3:0] image;
reg [INDEX-1:0] number;
always @* begin
    `REQUIRE (reset | ~done | under_way - free < 1 + BUFFER);  // there is room
    if (begun) begin
        // Back from the output to the stages to the image that is being handed out.
        image = image_out;
        number = beat_out;
        assert (number <= FINAL);
        for (s = STAGES - 1; s >= 0; s = s - 1) if (valid_at[s]) begin
            assert (image_at[s] == image && beat_at[s] == number);
            assert (last_at[s] == (number == FINAL));
            assert (\chooser.known [s]);
            if (mine_at[s]) begin
                assert (followed);
                assert (tag_at[s] == tag_watched);
                if (beat_at[s] == beat_watched) assert (\chooser.named [s*WIDTH+:WIDTH] == watched);
            end
            image = image + (number == FINAL);
            number = number == FINAL ? 0 : number + 1;
        end
        if (active) begin
            assert (image_active == image && index == number);
            if (mine_active) assert (followed & kept_back == watched & active_tag == tag_watched);
            image = image + 1;
        end else assert (number == 0);
        if (arrives & BUFFER != 0) begin
            assert (image_waiting == image);
            if (mine_waiting) assert (followed & arrived == watched & arriving_tag == tag_watched);
            image = image + 1;
        end
        assert (image == image_in);
        assert (under_way == active + (BUFFER != 0 & arrives));
        if (valid) assert (last == (beat_out == FINAL));
        // What is followed is seen at the output as it was.
        if (valid & mine_at[STAGES-1]) begin
            assert (tag == tag_watched);
            if (beat_out == beat_watched) assert (beat == watched);
        end
    end
end
reg [LANES*ACC_BITS-1:0] beat_then;
reg offered_then, last_then, tag_then;
initial offered_then = 1'b0;
always @(posedge clk) begin
    offered_then <= valid & ~taken & ~reset;
    {beat_then, last_then, tag_then} <= {beat, last, tag};
end
always @* if (offered_then) assert (valid & beat == beat_then & last == last_then & tag == tag_then);
