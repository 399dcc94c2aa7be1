// An image from beats: complete for one cycle, in which its reader must take it.
`default_nettype none
module synq_collect #(
    parameter WIDTH = 64,    // of a beat
    parameter BEATS = 13,
    parameter ADDRESS = 5    // images under way at a time, from here until they have `left`: 2**ADDRESS
) (
    input wire clk,
    input wire reset,
    output wire room,
    input wire closing,
    input wire left,
    input wire put,
    input wire put_last,
    input wire put_tag,
    input wire [WIDTH-1:0] put_beat,
    output wire valid,
    output wire tag,
    output wire [BEATS*WIDTH-1:0] image
);
    reg [ADDRESS:0] under_way;
    assign room = ~under_way[ADDRESS];
    always @(posedge clk)
        if (reset) under_way <= {ADDRESS + 1{1'b0}};
        else under_way <= under_way + {{ADDRESS{1'b0}}, closing} - {{ADDRESS{1'b0}}, left};
    generate
        if (BEATS == 1) begin : g_whole
            wire unused = put_last;
            assign valid = put;
            assign tag = put_tag;
            assign image = put_beat;
        end else begin : g_beats
            reg complete, complete_tag;
            reg [BEATS*WIDTH-1:0] beats;
            always @(posedge clk) begin
                complete <= put & put_last & ~reset;
                complete_tag <= put_tag;
                if (put) beats <= {put_beat, beats[BEATS*WIDTH-1:WIDTH]};
            end
            assign valid = complete;
            assign tag = complete_tag;
            assign image = beats;
        end
    endgenerate
endmodule
`default_nettype wire
