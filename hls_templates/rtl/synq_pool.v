// Answers of neighbouring places made one, as they come: the largest, or the sum, of what is positive.
// A memory has the unfinished ones of a row of pools.
//
// Places that are left over at the ends are not used; but an image's last answer leaves with its last
// place, since that one knows the tag.
`default_nettype none
module synq_pool #(
    parameter BITS = 24,
    parameter LANES = 1,
    parameter BEATS = 6,          // beats of a place
    parameter DOWN = 24,          // places, vertically
    parameter ACROSS = 24,
    parameter POOL_DOWN = 2,      // places that become one
    parameter POOL_ACROSS = 2,
    parameter ADDS = 0,           // the sum rather than the largest
    parameter OUT_BITS = 24,
    parameter BLOCK = 0           // block RAM rather than logic
) (
    input wire clk,
    input wire reset,
    input wire sums_valid,
    output wire sums_taken,
    input wire sums_last,         // of their place
    input wire sums_tag,          // the image's last beat had TLAST: with its last place
    input wire [LANES*BITS-1:0] sums,
    output reg valid,
    input wire taken,
    output reg last,
    output reg tag,
    output wire [LANES*OUT_BITS-1:0] pooled
);
    generate  // rules of the parameters
        if (OUT_BITS < BITS + (ADDS != 0 ? $clog2(POOL_DOWN * POOL_ACROSS) : 0)) begin : g_rule_1
            error_OUT_BITS_hold_what_is_pooled error ();
        end
        if (POOL_DOWN > DOWN || POOL_ACROSS > ACROSS) begin : g_rule_2
            error_POOL_is_not_larger_than_what_is_pooled error ();
        end
    endgenerate
    localparam POOLS_DOWN = DOWN / POOL_DOWN, POOLS_ACROSS = ACROSS / POOL_ACROSS;
    localparam LEFT_OVER = DOWN % POOL_DOWN != 0 || ACROSS % POOL_ACROSS != 0;
    localparam DEPTH = POOLS_ACROSS * BEATS;
    localparam ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam FINAL_BASE = (POOLS_ACROSS - 1) * BEATS;

    // ---- Where the beat belongs.
    localparam Y = DOWN > 1 ? $clog2(DOWN) : 1, X = ACROSS > 1 ? $clog2(ACROSS) : 1;
    localparam YP = POOL_DOWN > 1 ? $clog2(POOL_DOWN) : 1, XP = POOL_ACROSS > 1 ? $clog2(POOL_ACROSS) : 1;
    localparam [Y-1:0] Y_END = DOWN[Y-1:0] - 1'b1;
    localparam [X-1:0] X_END = ACROSS[X-1:0] - 1'b1;
    localparam [YP-1:0] YP_END = POOL_DOWN[YP-1:0] - 1'b1;
    localparam [XP-1:0] XP_END = POOL_ACROSS[XP-1:0] - 1'b1;
    localparam POOLED_Y = POOLS_DOWN * POOL_DOWN - 1, POOLED_X = POOLS_ACROSS * POOL_ACROSS - 1;
    reg [Y-1:0] y;
    reg [X-1:0] x;
    reg [YP-1:0] y_in_pool;
    reg [XP-1:0] x_in_pool;
    reg [ADDRESS-1:0] base, beat;  // of the pool, and within it
    wire begins = y_in_pool == {YP{1'b0}} & x_in_pool == {XP{1'b0}};
    wire pool_ends = y_in_pool == YP_END & x_in_pool == XP_END;
    wire final_place = y == Y_END & x == X_END;
    wire used = {1'b0, y} <= POOLED_Y[Y:0] & {1'b0, x} <= POOLED_X[X:0];
    wire final_pool = y == POOLED_Y[Y-1:0] & x == POOLED_X[X-1:0];
    wire waits = LEFT_OVER != 0 & final_pool;  // the image's last answer
    wire [ADDRESS-1:0] address = (used ? base : FINAL_BASE[ADDRESS-1:0]) + beat;
    wire move = ~valid | taken;
    wire take = sums_valid & move;
    wire row_ends = x == X_END;
    wire x_pool_ends = x_in_pool == XP_END;
    assign sums_taken = move;
    always @(posedge clk) begin
        if (reset) begin
            y <= {Y{1'b0}};
            x <= {X{1'b0}};
            y_in_pool <= {YP{1'b0}};
            x_in_pool <= {XP{1'b0}};
            base <= {ADDRESS{1'b0}};
            beat <= {ADDRESS{1'b0}};
        end else if (take) begin
            beat <= sums_last ? {ADDRESS{1'b0}} : beat + 1'b1;
            if (sums_last) begin
                x <= row_ends ? {X{1'b0}} : x + 1'b1;
                x_in_pool <= row_ends | x_pool_ends ? {XP{1'b0}} : x_in_pool + 1'b1;
                if (row_ends) base <= {ADDRESS{1'b0}};
                else if (x_pool_ends) base <= base + BEATS[ADDRESS-1:0];
                if (row_ends) begin
                    y <= final_place ? {Y{1'b0}} : y + 1'b1;
                    y_in_pool <= final_place | y_in_pool == YP_END ? {YP{1'b0}} : y_in_pool + 1'b1;
                end
            end
        end
    end

    // ---- Read, combine, write back; a word that is being written is taken from the register beside.
    reg took, first, emits, keeps, only_kept, repeated;
    reg then_last, then_tag;
    reg [ADDRESS-1:0] address_then;
    reg [LANES*BITS-1:0] given;
    reg [LANES*OUT_BITS-1:0] written;
    wire [LANES*OUT_BITS-1:0] fetched, result;
    synq_lines #(.WIDTH(LANES * OUT_BITS), .DEPTH(DEPTH), .BLOCK(BLOCK)) partial (
        .clk(clk), .write(move & took & keeps), .write_address(address_then), .data(result), .read(move),
        .read_address(address), .fetched(fetched)
    );
    always @(posedge clk) begin
        if (reset) begin
            took <= 1'b0;
            valid <= 1'b0;
        end else if (move) begin
            took <= take;
            valid <= took & emits;
        end
        if (move) begin
            first <= begins;
            emits <= (used & pool_ends & ~waits) | (LEFT_OVER != 0 & final_place);
            keeps <= used & (~pool_ends | waits);
            only_kept <= ~used;
            repeated <= took & keeps & address_then == address;
            address_then <= address;
            given <= sums;
            then_last <= sums_last;
            then_tag <= sums_tag;
            written <= result;
            last <= then_last;
            tag <= then_tag;
        end
    end
    reg [LANES*OUT_BITS-1:0] answer;
    always @(posedge clk) if (move) answer <= result;
    assign pooled = answer;
    genvar j;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : g_lane
            wire [BITS-1:0] sum = given[j*BITS+:BITS];
            wire [OUT_BITS-1:0] positive;
            if (OUT_BITS > BITS) begin : g_wider
                assign positive = {{OUT_BITS - BITS{1'b0}}, sum & {BITS{~sum[BITS-1]}}};
            end else begin : g_as_wide
                assign positive = sum & {BITS{~sum[BITS-1]}};
            end
            wire [OUT_BITS-1:0] earlier =
                repeated ? written[j*OUT_BITS+:OUT_BITS] : fetched[j*OUT_BITS+:OUT_BITS];
            wire [OUT_BITS-1:0] both;
            if (ADDS != 0) begin : g_sum
                assign both = earlier + positive;
            end else begin : g_largest
                assign both = earlier > positive ? earlier : positive;
            end
            assign result[j*OUT_BITS+:OUT_BITS] = only_kept ? earlier : first ? positive : both;
        end
    endgenerate
endmodule
`default_nettype wire
