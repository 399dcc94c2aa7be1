// A table of WIDTH bits, each a function of at most six inputs: one look-up table.
module synq_table #(
    parameter INPUTS = 6,
    parameter WIDTH = 8
) (
    // Constant: of every index the lowest bit of its value, then of every index the next one. No
    // parameter, or every table would be a module of its own.
    input wire [WIDTH*(1<<INPUTS)-1:0] bits,
    input wire [INPUTS-1:0] index,
    output wire [WIDTH-1:0] value
);
    genvar i, k;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : g_bit
            // Halved by each bit of the index, from the highest on: plain choices, which Yosys folds
            // far faster than the choice of a constant's bit.
            for (k = INPUTS; k >= 0; k = k - 1) begin : g_left
                wire [(1<<k)-1:0] left;
                if (k == INPUTS) begin : g_all
                    assign left = bits[i*(1<<INPUTS)+:1<<INPUTS];
                end else begin : g_half
                    assign left = index[k] ? g_left[k+1].left[(1<<k)+:1<<k]
                                           : g_left[k+1].left[0+:1<<k];
                end
            end
            assign value[i] = g_left[0].left;
        end
    endgenerate
endmodule
