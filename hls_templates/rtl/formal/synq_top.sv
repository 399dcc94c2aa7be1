// The rules of AXI4-Stream at both sides, whatever the arrays do: these are cut out, and of the last one
// is assumed what is proven of the modules at its end (synq_result, synq_answer): its output is not
// valid after a clock in reset, and what it offers stays until it is taken.
reg layer_offered_then, layer_last_then, layer_reset_then;
reg offered_then, last_then, reset_n_then;
reg [$bits(m_axis_tdata)-1:0] layer_data_then, data_then;
initial layer_offered_then = 1'b0;
initial layer_reset_then = 1'b0;
initial offered_then = 1'b0;
initial reset_n_then = 1'b1;
always @(posedge clk) begin
    layer_reset_then <= reset;
    layer_offered_then <= `OUT_VALID & ~`OUT_READY & ~reset;
    layer_data_then <= `OUT_DATA;
    layer_last_then <= `OUT_LAST;
    reset_n_then <= reset_n;
    offered_then <= m_axis_tvalid & ~m_axis_tready & reset_n;
    data_then <= m_axis_tdata;
    last_then <= m_axis_tlast;
end
always @* begin
    if (layer_reset_then) assume (~`OUT_VALID);
    if (layer_offered_then)
        assume (`OUT_VALID & `OUT_DATA == layer_data_then & `OUT_LAST == layer_last_then);
    // What is offered stays until it is taken, or until a reset.
    if (offered_then) assert (m_axis_tvalid & m_axis_tdata == data_then & m_axis_tlast == last_then);
    if (m_axis_tvalid) assert (&m_axis_tkeep);
    // In a reset nothing is offered.
    if (~reset_n_then) assert (~m_axis_tvalid);
    // What is taken outside is taken inside, and nothing else; likewise what is handed out.
`ifdef LOADER
    if (valid_0 & ready_0 & ~reset) assert (s_axis_tvalid & s_axis_tready);  // the rest: synq_loader
`else
    assert ((s_axis_tvalid & s_axis_tready) == (valid_0 & ready_0 & ~reset));
`endif
    if (valid_0) assert (data_0 == s_axis_tdata[$bits(data_0)-1:0] & last_0 == s_axis_tlast);
    if (~reset) assert ((m_axis_tvalid & m_axis_tready) == (`OUT_VALID & `OUT_READY));
    if (m_axis_tvalid) assert (m_axis_tdata == `OUT_DATA & m_axis_tlast == `OUT_LAST);
end
