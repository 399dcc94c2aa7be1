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
    output wire m_axis_tlast@% if reload %@,
    // AXI4-Lite: see `synq_loader`.
    input wire [4:0] s_axi_awaddr,
    input wire s_axi_awvalid,
    output wire s_axi_awready,
    input wire [31:0] s_axi_wdata,
    input wire [3:0] s_axi_wstrb,
    input wire s_axi_wvalid,
    output wire s_axi_wready,
    output wire [1:0] s_axi_bresp,
    output wire s_axi_bvalid,
    input wire s_axi_bready,
    input wire [4:0] s_axi_araddr,
    input wire s_axi_arvalid,
    output wire s_axi_arready,
    output wire [31:0] s_axi_rdata,
    output wire [1:0] s_axi_rresp,
    output wire s_axi_rvalid,
    input wire s_axi_rready@% endif +%@
);
@% set count = pipeline.SETTLE.bit_length() %@
    // A reset of one clock holds the core for @{pipeline.SETTLE}@ more: what is in delays without a reset has then
    // come to nothing.
    reg reset;
    reg [@{count - 1}@:0] held;
    initial reset = 1'b1;  // from the first clock on: nothing is written before it takes effect
    initial held = @{count}@'d0;
    always @(posedge clk) begin
        if (~reset_n) held <= @{count}@'d0;
        else if (reset) held <= held + 1'b1;
        reset <= ~reset_n | (reset & held < @{count}@'d@{pipeline.SETTLE}@);
    end
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
@% if reload %@
    wire given, accepted, set, write, image_taken;
    wire [@{reload.address - 1}@:0] write_address;
    wire [63:0] write_word;
    wire [7:0] to_array, to_slice;
    wire [15:0] to_bank;
    synq_loader #(
        .CORE(64'h@{"%016x" | format(reload.core)}@), .DIGEST(64'h@{"%016x" | format(reload.digest)}@), .LENGTH(@{reload.length}@), .ADDRESS(@{reload.address}@),
        .ANSWER(@{reload.answer_beats}@)
    ) loader (
        .clk(clk), .reset(reset),
@% for name in ("awaddr", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready", "araddr", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready") %@
        .@{name}@(s_axi_@{name}@),
@% endfor %@
        .in_valid(s_axis_tvalid & ~reset), .in_ready(accepted), .in_data(s_axis_tdata[63:0]), .in_last(s_axis_tlast),
        .out_valid(given), .out_ready(ready_0), .image_taken(image_taken),
        .answer_taken(m_axis_tvalid & m_axis_tready), .write(write), .address(write_address), .word(write_word),
        .to_array(to_array), .to_slice(to_slice), .to_bank(to_bank), .set(set)
    );
    assign valid_0 = given;
    assign s_axis_tready = accepted & ~reset;
@% else %@
    assign valid_0 = s_axis_tvalid & ~reset;
    assign s_axis_tready = ready_0 & ~reset;
@% endif %@
    assign data_0 = s_axis_tdata[@{top.pixels.beat_bits - 1}@:0];
    assign last_0 = s_axis_tlast;
    assign m_axis_tvalid = valid_@{n_layers}@ & ~reset;
    assign ready_@{n_layers}@ = m_axis_tready;
    assign m_axis_tdata = data_@{n_layers}@;
    assign m_axis_tlast = last_@{n_layers}@;

@% for index in range(n_layers) %@
@% set window = top.windows[index] %@
@% if window %@
@% set place, image = window.place, window.image %@
@% set pixels = "pixel" if image.lanes > window.lanes else none %@
@% if pixels %@
    wire pixel_valid, pixel_ready, pixel_last;
    wire [@{window.bits - 1}@:0] pixel_data;
    synq_gearbox #(
        .X_BITS(@{window.bits}@), .LANES(@{image.lanes}@), .PIXELS(@{image.values}@)
    ) gearbox (
        .clk(clk), .reset(reset), .in_valid(valid_@{index}@), .in_ready(ready_@{index}@), .in_data(data_@{index}@),
        .in_last(last_@{index}@), .out_valid(pixel_valid), .out_ready(pixel_ready), .out_data(pixel_data),
        .out_last(pixel_last)
    );
@% endif %@
    wire place_valid_@{index}@, place_ready_@{index}@, place_last_@{index}@;
    wire [@{place.beat_bits - 1}@:0] place_data_@{index}@;
    @{window.module}@ #(
@% for name, value in window.parameters.items() %@
        .@{name}@(@{value}@)@{"" if loop.last else ","}@
@% endfor %@
    ) window_@{index}@ (
        .clk(clk), .reset(reset),
@% if pixels %@
        .in_valid(pixel_valid), .in_ready(pixel_ready), .in_data(pixel_data), .in_last(pixel_last),
@% else %@
        .in_valid(valid_@{index}@), .in_ready(ready_@{index}@), .in_data(data_@{index}@), .in_last(last_@{index}@),
@% endif %@
        .out_valid(place_valid_@{index}@), .out_ready(place_ready_@{index}@), .out_data(place_data_@{index}@),
        .out_last(place_last_@{index}@)
    );
@% endif %@
@% if reload and index %@
    wire unused_taken_@{index}@;
@% endif %@
    synq_layer_@{index}@ layer_@{index}@ (
@% if reload %@
        .image_taken(@{"unused_taken_%d" | format(index) if index else "image_taken"}@), .set(set), .write(write),
        .write_address(write_address), .write_word(write_word), .to_array(to_array), .to_slice(to_slice), .to_bank(to_bank),
@% endif %@
@% for side, joint in (("in", index), ("out", index + 1)) %@
@% set answer = top.joints[joint][1] %@
@% set of = "place_" if window and side == "in" else "" %@
        .@{side}@_valid(@{of}@valid_@{joint}@), .@{side}@_@{answer}@(@{of}@@{answer}@_@{joint}@),
        .@{side}@_data(@{of}@data_@{joint}@), .@{side}@_last(@{of}@last_@{joint}@),
@% endfor %@
        .clk(clk), .reset(reset)
    );
@% endfor %@
endmodule
`default_nettype wire
