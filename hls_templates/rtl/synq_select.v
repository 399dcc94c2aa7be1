// One of COUNT words, in a pipeline of four-to-one choices: each is one look-up table a bit, and
// synthesis cannot make it more. The word of an index appears STAGES enabled cycles later.
`default_nettype none
module synq_select #(
    parameter WIDTH = 8,
    parameter COUNT = 2
) (
    input wire clk,
    input wire enable,
    input wire [(COUNT > 1 ? $clog2(COUNT) : 1)-1:0] index,
    input wire [COUNT*WIDTH-1:0] words,
    output wire [WIDTH-1:0] word
);
    localparam INDEX = COUNT > 1 ? $clog2(COUNT) : 1;
    localparam STAGES = (INDEX + 1) / 2;
    localparam PADDED = 2 * STAGES + 2;  // bits of an index that every stage takes two of
    genvar s, g;
    generate
        for (s = 0; s <= STAGES; s = s + 1) begin : g_stage
            // Words that are left before stage s.
            localparam LEFT = (COUNT + (1 << (2 * s)) - 1) >> (2 * s);
            wire [LEFT*WIDTH-1:0] choice;
            wire [PADDED-1:0] at;
            if (s == 0) begin : g_first
                assign choice = words;
                assign at = {{PADDED - INDEX{1'b0}}, index};
            end else begin : g_next
                localparam BEFORE = (COUNT + (1 << (2 * s - 2)) - 1) >> (2 * s - 2);
                reg [LEFT*WIDTH-1:0] chosen;
                reg [PADDED-1:0] index_then;
                wire [4*LEFT*WIDTH-1:0] offered;
                if (4 * LEFT > BEFORE) begin : g_pad
                    assign offered = {{(4 * LEFT - BEFORE) * WIDTH{1'b0}}, g_stage[s-1].choice};
                end else begin : g_exact
                    assign offered = g_stage[s-1].choice;
                end
                always @(posedge clk) if (enable) index_then <= g_stage[s-1].at >> 2;
                for (g = 0; g < LEFT; g = g + 1) begin : g_group
                    always @(posedge clk)
                        if (enable)
                            case (g_stage[s-1].at[1:0])
                                2'd0: chosen[g*WIDTH+:WIDTH] <= offered[(4*g)*WIDTH+:WIDTH];
                                2'd1: chosen[g*WIDTH+:WIDTH] <= offered[(4*g+1)*WIDTH+:WIDTH];
                                2'd2: chosen[g*WIDTH+:WIDTH] <= offered[(4*g+2)*WIDTH+:WIDTH];
                                default: chosen[g*WIDTH+:WIDTH] <= offered[(4*g+3)*WIDTH+:WIDTH];
                            endcase
                end
                assign choice = chosen;
                assign at = index_then;
            end
        end
    endgenerate
    assign word = g_stage[STAGES].choice;
    wire unused = &{1'b0, g_stage[STAGES].at};
endmodule
`default_nettype wire
