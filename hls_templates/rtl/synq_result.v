// The answer to an image: its sums, two a beat, and a beat with the index of the largest one, the
// first one on a tie; of a single sum, whether it is positive. Only that beat can have `out_last`.
//
//   cycle       0     1     2     3     4     5      three sums, a receiver that never waits
//   sums        1, 0  2               next image's   at 1 with sums_last
//   sums_taken  1     1     0     0     1
//   out_data          1, 0  2           class
//   closing                 1     1
`default_nettype none
module synq_result #(
    parameter N_OUT = 10,
    parameter ACC_BITS = 24
) (
    input wire clk,
    input wire reset,
    input wire sums_valid,
    output wire sums_taken,
    input wire [2*ACC_BITS-1:0] sums,
    input wire sums_last,
    input wire sums_tag,
    output reg out_valid,
    input wire out_ready,
    output reg [63:0] out_data,
    output reg out_last
);
    generate  // rules of the parameters
        if (ACC_BITS > 32) begin : g_rule_1
            error_ACC_BITS_is_at_most_32 error ();
        end
    endgenerate
    localparam CLASS_BITS = $clog2(N_OUT + 2);  // of an index, or one of a missing partner and beyond
    wire signed [ACC_BITS-1:0] even = sums[0+:ACC_BITS];
    wire signed [ACC_BITS-1:0] odd = sums[ACC_BITS+:ACC_BITS];
    wire [31:0] even_out = {{32 - ACC_BITS{even[ACC_BITS-1]}}, even};
    wire [31:0] odd_out = {{32 - ACC_BITS{odd[ACC_BITS-1]}}, odd};
    reg signed [ACC_BITS-1:0] best;
    reg [CLASS_BITS-1:0] index, class_index;
    reg fresh;    // no sum of this image has been seen
    reg closing;  // the class is due
    reg tag;
    reg waiting;  // the better one of a pair waits to be held against the best
    reg first;
    reg signed [ACC_BITS-1:0] pair;
    reg [CLASS_BITS-1:0] pair_index;
    wire room = ~out_valid | out_ready;
    wire [CLASS_BITS-1:0] odd_index = index + 1'b1;
    wire partner = odd_index < N_OUT[CLASS_BITS-1:0];
    wire odd_wins = N_OUT == 1 ? even > $signed({ACC_BITS{1'b0}}) : partner & odd > even;
    wire signed [ACC_BITS-1:0] better = odd_wins ? odd : even;
    assign sums_taken = room & ~closing;

    always @(posedge clk) begin
        if (reset) begin
            out_valid <= 1'b0;
            fresh <= 1'b1;
            closing <= 1'b0;
            waiting <= 1'b0;
            index <= {CLASS_BITS{1'b0}};
        end else if (room) begin
            out_valid <= closing ? ~waiting : sums_valid;
            waiting <= ~closing & sums_valid;
            if (closing & ~waiting) begin
                closing <= 1'b0;
                fresh <= 1'b1;
                index <= {CLASS_BITS{1'b0}};
            end else if (~closing & sums_valid) begin
                fresh <= 1'b0;
                index <= odd_index + 1'b1;
                closing <= sums_last;
            end
        end
    end
    // What a reset need not reach.
    always @(posedge clk)
        if (room) begin
            out_last <= closing & tag;
            if (waiting && (first | pair > best)) begin
                best <= pair;
                class_index <= pair_index;
            end
            if (closing & ~waiting) out_data <= {{64 - CLASS_BITS{1'b0}}, class_index};
            else if (~closing & sums_valid) begin
                out_data <= {partner ? odd_out : 32'd0, even_out};
                tag <= sums_tag;
                first <= fresh;
                pair <= better;
                pair_index <= odd_wins ? odd_index : index;
            end
        end
endmodule
`default_nettype wire
