// The index of the largest sum, the first one on a tie: a tree of comparisons, a level a cycle. Of a
// single sum, whether it is positive.
`default_nettype none
module synq_largest #(
    parameter COUNT = 10,
    parameter BITS = 16
) (
    input wire clk,
    input wire [COUNT*BITS-1:0] sums,
    output wire [(COUNT > 1 ? $clog2(COUNT) : 1)-1:0] largest
);
    localparam LEVELS = $clog2(COUNT);
    localparam INDEX = COUNT > 1 ? LEVELS : 1;
    genvar level, i;
    generate
        for (level = 0; level <= LEVELS; level = level + 1) begin : g_level
            localparam LEFT = (COUNT + (1 << level) - 1) >> level;
            wire [LEFT*BITS-1:0] best;
            wire [LEFT*INDEX-1:0] index;
            for (i = 0; i < LEFT; i = i + 1) begin : g_place
                if (level == 0) begin : g_given
                    localparam OWN = i;
                    assign best[i*BITS+:BITS] = sums[i*BITS+:BITS];
                    assign index[i*INDEX+:INDEX] = OWN[INDEX-1:0];
                end else begin : g_pair
                    localparam BEFORE = (COUNT + (1 << (level - 1)) - 1) >> (level - 1);
                    localparam A = 2 * i;
                    localparam B = 2 * i + 1 < BEFORE ? 2 * i + 1 : A;
                    wire signed [BITS-1:0] a = g_level[level-1].best[A*BITS+:BITS];
                    wire signed [BITS-1:0] b = g_level[level-1].best[B*BITS+:BITS];
                    wire second = b > a;
                    reg [BITS-1:0] winner;
                    reg [INDEX-1:0] place;
                    always @(posedge clk) begin
                        winner <= second ? b : a;
                        place <= second ? g_level[level-1].index[B*INDEX+:INDEX]
                                        : g_level[level-1].index[A*INDEX+:INDEX];
                    end
                    assign best[i*BITS+:BITS] = winner;
                    assign index[i*INDEX+:INDEX] = place;
                end
            end
        end
        if (LEVELS > 0) begin : g_unused
            wire unused = &{1'b0, g_level[LEVELS].best};
            assign largest = g_level[LEVELS].index;
        end else begin : g_one
            wire unused = &{1'b0, clk, g_level[LEVELS].index};
            wire signed [BITS-1:0] sum = g_level[LEVELS].best;
            assign largest = {{INDEX - 1{1'b0}}, sum > $signed({BITS{1'b0}})};
        end
    endgenerate
endmodule
`default_nettype wire
