// A whole core, its data cut out: every image that came in is answered, by one answer and in its turn,
// and neither stream ever waits for the core for LIMIT cycles. It begins with RESET cycles of reset.
localparam [7:0] FIRST_CYCLES = `RESET;
reg [7:0] cycle;
initial cycle = 8'd0;
reg [7:0] beats_in, beats_out, waited;
reg [3:0] images_in, images_out;
wire takes = s_axis_tvalid & s_axis_tready;
wire leaves = m_axis_tvalid & m_axis_tready;
wire completes = takes & (beats_in == `BEATS - 1 | s_axis_tlast);
wire answers = leaves & beats_out == `ANSWER - 1;
wire owes = images_in != images_out;
wire stalled = m_axis_tvalid & ~m_axis_tready;
reg offered_then, last_then;
reg [$bits(s_axis_tdata)-1:0] data_then;
initial offered_then = 1'b0;
(* anyseq *) wire watch;
reg watching, tag_watched;
reg [3:0] image_watched;
initial watching = 1'b0;
always @(posedge clk) begin
    if (cycle < FIRST_CYCLES) cycle <= cycle + 1;
    offered_then <= s_axis_tvalid & ~s_axis_tready;
    data_then <= s_axis_tdata;
    last_then <= s_axis_tlast;
    if (~reset_n) begin
        beats_in <= 0;
        beats_out <= 0;
        images_in <= 0;
        images_out <= 0;
        waited <= 0;
    end else begin
        if (takes) beats_in <= completes ? 0 : beats_in + 1;
        images_in <= images_in + completes;
        if (leaves) beats_out <= answers ? 0 : beats_out + 1;
        images_out <= images_out + answers;
        waited <= takes | leaves | stalled | ~(owes | s_axis_tvalid) ? 0 : waited + 1;
        if (completes & watch & ~watching) begin
            watching <= 1'b1;
            tag_watched <= s_axis_tlast;
            image_watched <= images_in;
        end
    end
end
always @* begin
    assume (reset_n == (cycle == FIRST_CYCLES));
    // The sender keeps the rules, too.
    if (offered_then)
        assume (s_axis_tvalid & s_axis_tdata == data_then & s_axis_tlast == last_then);
    if (reset_n) begin
        if (m_axis_tvalid) assert (owes);
        if (m_axis_tvalid & beats_out != `ANSWER - 1) assert (~m_axis_tlast);
        if (watching & m_axis_tvalid & images_out == image_watched & beats_out == `ANSWER - 1)
            assert (m_axis_tlast == tag_watched);
        assert (waited < `LIMIT);
    end
end
