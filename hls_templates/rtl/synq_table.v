// A table of values of WIDTH bits at at most six inputs: a look-up table a bit.
`default_nettype none
module synq_table #(
    parameter INPUTS = 6,
    parameter WIDTH = 8
) (
    // Constant, the first value lowest. No parameter, or every table would be a module of its own.
    input wire [(WIDTH<<INPUTS)-1:0] values,
    input wire [INPUTS-1:0] index,
    output wire [WIDTH-1:0] value
);
    generate  // rules of the parameters
        if (INPUTS < 1 || INPUTS > 6) begin : g_rule_1
            error_INPUTS_are_1_to_6 error ();
        end
    endgenerate
    /* verilator no_inline_module */  // there are hundreds: or the C++ would take minutes to compile
    // Halved by each bit of the index, the highest first: plain choices, which Yosys folds far faster
    // than the choice of a part of a constant.
    genvar k;
    generate
        for (k = INPUTS; k >= 0; k = k - 1) begin : g_left
            wire [(WIDTH<<k)-1:0] left;
            if (k == INPUTS) begin : g_all
                assign left = values;
            end else begin : g_half
                assign left = index[k] ? g_left[k+1].left[(WIDTH<<k)+:WIDTH<<k]
                                       : g_left[k+1].left[0+:WIDTH<<k];
            end
        end
    endgenerate
    assign value = g_left[0].left;
endmodule
`default_nettype wire
