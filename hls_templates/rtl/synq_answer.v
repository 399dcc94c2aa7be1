// The answers to images as one wide beat each: the sums as 32-bit integers, then, in 64 bits, the class
// as synq_largest finds it. Sums come at any cycle; whoever sends them knows that there is room.
`default_nettype none
module synq_answer #(
    parameter N_OUT = 10,
    parameter ACC_BITS = 24,
    parameter ADDRESS = 5     // 2**ADDRESS answers are held
) (
    input wire clk,
    input wire reset,
    input wire sums_valid,
    input wire sums_tag,      // the image's last beat had TLAST
    input wire [N_OUT*ACC_BITS-1:0] sums,
    output wire valid,
    input wire ready,
    output wire [64*((N_OUT+1)/2)+63:0] data,
    output wire last
);
    generate  // rules of the parameters
        if (ACC_BITS > 32) begin : g_rule_1
            error_ACC_BITS_is_at_most_32 error ();
        end
    endgenerate
    localparam LEVELS = $clog2(N_OUT);  // of `synq_largest`
    localparam INDEX = N_OUT > 1 ? LEVELS : 1;
    localparam HALVES = 2 * ((N_OUT + 1) / 2);
    wire [INDEX-1:0] largest, index;
    wire [N_OUT*ACC_BITS-1:0] kept;
    wire sums_kept, class_valid, class_tag;
    synq_largest #(.COUNT(N_OUT), .BITS(ACC_BITS)) comparison (
        .clk(clk), .sums(sums), .largest(largest)
    );
    generate
        if (LEVELS > 0) begin : g_levels
            reg [LEVELS-1:0] valids, tags;
            wire [LEVELS:0] valids_next = {valids, sums_valid & ~reset};
            wire [LEVELS:0] tags_next = {tags, sums_tag};
            wire unused = tags_next[LEVELS];
            always @(posedge clk) begin
                valids <= reset ? {LEVELS{1'b0}} : valids_next[LEVELS-1:0];
                tags <= tags_next[LEVELS-1:0];
            end
            assign class_valid = valids_next[LEVELS];
            assign class_tag = tags[LEVELS-1];
        end else begin : g_no_level
            assign class_valid = sums_valid;
            assign class_tag = sums_tag;
        end
    endgenerate
    // The sums arrive first and leave with the index.
    synq_fifo #(.WIDTH(N_OUT * ACC_BITS), .ADDRESS(ADDRESS)) sums_held (
        .clk(clk), .reset(reset), .put(sums_valid), .data(sums), .valid(sums_kept),
        .taken(valid & ready), .word(kept)
    );
    synq_fifo #(.WIDTH(INDEX + 1), .ADDRESS(ADDRESS)) classes (
        .clk(clk), .reset(reset), .put(class_valid), .data({class_tag, largest}), .valid(valid),
        .taken(ready), .word({last, index})
    );
    wire unused_kept = sums_kept;
    assign data[32*HALVES+:64] = {{64 - INDEX{1'b0}}, index};
    genvar j;
    generate
        for (j = 0; j < HALVES; j = j + 1) begin : g_sum
            if (j < N_OUT) begin : g_given
                assign data[32*j+:32] =
                    {{32 - ACC_BITS{kept[j*ACC_BITS+ACC_BITS-1]}}, kept[j*ACC_BITS+:ACC_BITS]};
            end else begin : g_none
                assign data[32*j+:32] = 32'd0;
            end
        end
    endgenerate
endmodule
`default_nettype wire
