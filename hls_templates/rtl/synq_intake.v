// Whole images from beats: counts the beats of an image, clears what lies beyond its last pixel, and
// completes with zeros an image that `beat_last` ends early.
//
//   cycle       0     1     2     3     4      BEATS 4; A1 has beat_last
//   beat        A0    A1    B0    B0    B0     B0 waits: what is missing of A is filled with zeros
//   beat_ready  1     1     0     0     1
//   closing     0     0     0     1     0
//   put_beat          A0    A1    0     0      at 4 with put_last and put_tag
`default_nettype none
module synq_intake #(
    parameter X_BITS = 8,
    parameter LANES = 8,     // pixels a beat
    parameter PIXELS = 784   // pixels an image
) (
    input wire clk,
    input wire reset,
    input wire beat_valid,
    output wire beat_ready,
    input wire [LANES*X_BITS-1:0] beat,
    input wire beat_last,
    input wire room,           // there is room for (the rest of) an image
    output wire closing,       // the last beat of an image is being taken
    // One cycle later: a beat to store.
    output reg put,
    output reg put_last,       // the last one of its image
    output reg put_tag,        // and, with it: the image's last beat had `beat_last`
    output reg [(PIXELS > LANES ? $clog2((PIXELS+LANES-1)/LANES) : 1)-1:0] put_index,
    output reg [LANES*X_BITS-1:0] put_beat
);
    localparam BEATS = (PIXELS + LANES - 1) / LANES;
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam LAST_LANES = PIXELS - (BEATS - 1) * LANES;
    localparam [INDEX-1:0] FINAL = BEATS[INDEX-1:0] - 1'b1;
    localparam [LANES*X_BITS-1:0] LAST_MASK = {LANES*X_BITS{1'b1}} >> ((LANES - LAST_LANES) * X_BITS);

    reg filling;
    reg [INDEX-1:0] index;
    wire taken = room & (beat_valid | filling);
    wire final_beat = index == FINAL;
    wire [LANES*X_BITS-1:0] pixels = final_beat ? beat & LAST_MASK : beat;

    assign beat_ready = room & ~filling;
    assign closing = taken & final_beat;

    initial put = 1'b0;  // words of a bank without a row are never cleared
    always @(posedge clk) begin
        put <= taken & ~reset;
        put_last <= final_beat;
        put_tag <= filling | beat_last;
        put_index <= index;
        put_beat <= filling ? {LANES * X_BITS{1'b0}} : pixels;
        if (reset) begin
            index <= 0;
            filling <= 1'b0;
        end else if (taken) begin
            index <= final_beat ? {INDEX{1'b0}} : index + 1'b1;
            filling <= ~final_beat & (filling | beat_last);
        end
    end
endmodule
`default_nettype wire
