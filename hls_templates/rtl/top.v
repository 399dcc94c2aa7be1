@% set n_layers = top.joints | length - 1 %@
// A quantized network between two AXI4-Streams; `reset_n` as ARESETN.
//
// Input: an image is its pixels of @{top.pixels.bits}@ bits, @{top.pixels.lanes}@ a beat, the first in the lowest bits. TLAST on
// the last beat of a transfer; inside an image it ends the image, and the missing pixels are zero.
@% if top.result_bits == 64 %@
// Output of an image: the logits as 32-bit integers, two a beat, then a beat with the class, with
// TLAST if the image's last input beat had it.
@% else %@
// Output of an image: one beat, the logits as 32-bit integers, padded to 64 bits, above them the class
// in 64 bits; with TLAST if the image's last input beat had it.
@% endif %@
`default_nettype none
module synq_top (
    input wire clk,
    input wire reset_n,
    input wire s_axis_tvalid,
    output wire s_axis_tready,
    input wire [@{top.beat_bits - 1}@:0] s_axis_tdata,
    input wire [@{top.beat_bits // 8 - 1}@:0] s_axis_tkeep,
    input wire s_axis_tlast,
    output wire m_axis_tvalid,
    input wire m_axis_tready,
    output wire [@{top.result_bits - 1}@:0] m_axis_tdata,
    output wire [@{top.result_bits // 8 - 1}@:0] m_axis_tkeep,
    output wire m_axis_tlast
);
    reg reset;
    initial reset = 1'b1;  // from the first clock on: nothing is written before it takes effect
    always @(posedge clk) reset <= ~reset_n;
    assign m_axis_tkeep = {@{top.result_bits // 8}@{1'b1}};
@% if top.beat_bits > top.pixels.beat_bits %@
    wire unused = &{1'b0, s_axis_tkeep, s_axis_tdata[@{top.beat_bits - 1}@:@{top.pixels.beat_bits}@]};
@% else %@
    wire unused = &{1'b0, s_axis_tkeep};
@% endif %@

@% for width, answer in top.joints %@
    wire valid_@{loop.index0}@, @{answer}@_@{loop.index0}@, last_@{loop.index0}@;
    wire [@{width - 1}@:0] data_@{loop.index0}@;
@% endfor %@
    assign valid_0 = s_axis_tvalid & ~reset;
    assign s_axis_tready = ready_0 & ~reset;
    assign data_0 = s_axis_tdata[@{top.pixels.beat_bits - 1}@:0];
    assign last_0 = s_axis_tlast;
    assign m_axis_tvalid = valid_@{n_layers}@ & ~reset;
    assign ready_@{n_layers}@ = m_axis_tready;
    assign m_axis_tdata = data_@{n_layers}@;
    assign m_axis_tlast = last_@{n_layers}@;

@% for index in range(n_layers) %@
    synq_layer_@{index}@ layer_@{index}@ (
@% for side, joint in (("in", index), ("out", index + 1)) %@
@% set answer = top.joints[joint][1] %@
        .@{side}@_valid(valid_@{joint}@), .@{side}@_@{answer}@(@{answer}@_@{joint}@),
        .@{side}@_data(data_@{joint}@), .@{side}@_last(last_@{joint}@),
@% endfor %@
        .clk(clk), .reset(reset)
    );
@% endfor %@
endmodule
`default_nettype wire
