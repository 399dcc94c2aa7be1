// What comes is an image's beat and goes on, or a network's word and does not; networks are whole
// transfers. The set is changed when no image is in the core, and for a network whose signature is
// right. AXI4-Lite: an answer stays until it is taken.
reg offered_then;    // a beat was offered, and not taken, and the sender kept it
initial offered_then = 1'b0;
reg set_then, known, bvalid_then, rvalid_then;
reg [31:0] rdata_then;
initial known = 1'b0;
always @(posedge clk) begin
    known <= 1'b1;
    set_then <= set;
    bvalid_then <= bvalid & ~bready & ~reset;
    rvalid_then <= rvalid & ~rready & ~reset;
    rdata_then <= rdata;
    offered_then <= out_valid & ~out_ready & ~reset;
end
reg quiet_then, right_then;   // before the last clock
always @(posedge clk) begin
    quiet_then <= images == 8'd0 & ~part & ~(out_valid & out_ready);
    right_then <= settling;
end
always @* begin
    if (~known) assume (reset);
    // The gate.
    assert ((in_valid & in_ready) == ((out_valid & out_ready) | (in_valid & takes)));
    assert (~(out_valid & takes));
    if (known & ~reset) begin
        assert (~(midway & loading));
        assert (~(settling & (loading | arrived)));
        assert (~(armed & (loading | arrived | settling)));
        assert (~(arrived & arrived_last & loading));
    end
    if (offered_then & in_valid & ~reset) assert (out_valid);
    if (known & ~reset) assert (offered == offered_then);
    // The set.
    if (known & set != set_then) assert (quiet_then & right_then);
    if (bvalid_then) assert (bvalid | reset);
    if (rvalid_then) assert (reset | (rvalid & rdata == rdata_then));
    if (known & write) assert (~settling);
end
