// The sums of an array, some lanes a cycle.
//
//   cycle       0     1     2     3     4     BEATS 2; with BUFFER all but `done` a cycle later
//   done        1
//   index             0     1                 STAGES cycles before its beat
//   free                    1
//   valid                   1     1           taken at once
`default_nettype none
module synq_unload #(
    parameter N_OUT = 2,
    parameter ACC_BITS = 24,
    parameter LANES = 1,    // sums a beat
    parameter BUFFER = 0,   // whether one more image can wait
    parameter KEEP = 0      // whether a beat that is not taken is kept: for many lanes
) (
    input wire clk,
    input wire reset,
    input wire done,
    input wire done_tag,
    input wire [N_OUT*ACC_BITS-1:0] sums,
    output wire free,
    output wire valid,
    input wire taken,      // the beat, if valid
    output wire last,      // of its image
    output wire tag,
    output wire [LANES*ACC_BITS-1:0] beat
);
    localparam WIDTH = LANES * ACC_BITS;
    localparam BEATS = (N_OUT + LANES - 1) / LANES;  // an image
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam STAGES = (INDEX + 1) / 2;
    localparam [INDEX-1:0] FINAL = BEATS[INDEX-1:0] - 1'b1;
    wire arrives, arriving_tag;
    wire [N_OUT*ACC_BITS-1:0] arriving;
    reg active, active_tag;
    reg [INDEX-1:0] index;
    reg [N_OUT*ACC_BITS-1:0] held;
    wire [BEATS*WIDTH-1:0] padded;
    // The choice of a beat takes STAGES cycles; all stages move together. With KEEP they do even when the
    // beat they show is not taken: then a register, not the receiver, is what stops all lanes.
    reg [STAGES-1:0] valid_at, last_at, tag_at;
    wire [WIDTH-1:0] chosen;
    reg kept_valid, kept_last, kept_tag;
    reg [WIDTH-1:0] kept_beat;
    wire move = KEEP != 0 ? ~kept_valid : ~valid_at[STAGES-1] | taken;
    wire final_beat = index == FINAL;
    assign free = active & move & final_beat;
    assign valid = kept_valid | valid_at[STAGES-1];
    assign last = kept_valid ? kept_last : last_at[STAGES-1];
    assign tag = kept_valid ? kept_tag : tag_at[STAGES-1];
    assign beat = kept_valid ? kept_beat : chosen;
    wire load = arrives & (~active | free);

    generate
        if (BUFFER != 0) begin : g_buffer
            reg waiting, waiting_tag;
            reg [N_OUT*ACC_BITS-1:0] kept;
            always @(posedge clk) begin
                if (done) begin
                    kept <= sums;
                    waiting_tag <= done_tag;
                end
                waiting <= ~reset & (done | (waiting & ~load));
            end
            assign arrives = waiting;
            assign arriving = kept;
            assign arriving_tag = waiting_tag;
        end else begin : g_direct
            assign arrives = done;
            assign arriving = sums;
            assign arriving_tag = done_tag;
        end
        if (BEATS * LANES > N_OUT) begin : g_pad
            assign padded = {{BEATS * WIDTH - N_OUT * ACC_BITS{1'b0}}, held};
        end else begin : g_exact
            assign padded = held;
        end
    endgenerate

    integer i;
    always @(posedge clk) begin
        if (load) begin
            held <= arriving;
            active_tag <= arriving_tag;
            index <= {INDEX{1'b0}};
        end else if (active & move) index <= index + 1'b1;
        active <= ~reset & (load | (active & ~free));
        kept_valid <= KEEP != 0 & valid & ~taken & ~reset;
        if (move) begin
            kept_beat <= chosen;
            kept_last <= last_at[STAGES-1];
            kept_tag <= tag_at[STAGES-1];
            valid_at[0] <= active;
            last_at[0] <= final_beat;
            tag_at[0] <= active_tag;
            for (i = 1; i < STAGES; i = i + 1) begin
                valid_at[i] <= valid_at[i-1];
                last_at[i] <= last_at[i-1];
                tag_at[i] <= tag_at[i-1];
            end
        end
        if (reset) valid_at <= {STAGES{1'b0}};
    end
    synq_select #(.WIDTH(WIDTH), .COUNT(BEATS)) chooser (
        .clk(clk), .enable(move), .index(index), .words(padded), .word(chosen)
    );
endmodule
`default_nettype wire
