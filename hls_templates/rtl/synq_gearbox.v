// Beats of several pixels as beats of one: an image of PIXELS, in beats of LANES each.
//
//   cycle       0     1     2     3            LANES 4
//   in_data     DCBA  DCBA  DCBA  DCBA         stays until its last pixel is taken
//   out_data    A     B     C     D
//   in_ready    0     0     0     1
`default_nettype none
module synq_gearbox #(
    parameter X_BITS = 8,
    parameter LANES = 8,
    parameter PIXELS = 784
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [LANES*X_BITS-1:0] in_data,
    input wire in_last,
    output wire out_valid,
    input wire out_ready,
    output wire [X_BITS-1:0] out_data,
    output wire out_last
);
    localparam COUNT = PIXELS > 1 ? $clog2(PIXELS) : 1;
    localparam LANE = LANES > 1 ? $clog2(LANES) : 1;
    localparam [LANE-1:0] FINAL_LANE = LANES[LANE-1:0] - 1'b1;
    localparam [COUNT-1:0] FINAL_PIXEL = PIXELS[COUNT-1:0] - 1'b1;
    // Pixels are chosen from the beat on the input, which stays until its last one is taken.
    reg [LANE-1:0] lane;
    reg [COUNT-1:0] pixel;
    wire final_pixel = pixel == FINAL_PIXEL;
    wire final_lane = lane == FINAL_LANE | final_pixel;
    assign out_valid = in_valid;
    assign in_ready = out_ready & final_lane;
    assign out_data = in_data[lane*X_BITS+:X_BITS];
    assign out_last = in_last & final_lane;
    always @(posedge clk) begin
        if (reset | (in_valid & in_ready)) lane <= {LANE{1'b0}};
        else if (in_valid & out_ready) lane <= lane + 1'b1;
        if (reset | (in_valid & out_ready & (out_last | final_pixel))) pixel <= {COUNT{1'b0}};
        else if (in_valid & out_ready) pixel <= pixel + 1'b1;
    end
endmodule
`default_nettype wire
