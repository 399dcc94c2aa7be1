// After so many enabled cycles as there are stages, the word of the index: the word that was named
// travels beside the stages, and each of them still names it.
wire [STAGES*WIDTH-1:0] named;
wire [STAGES-1:0] known;  // the index named one of the words
genvar n;
generate
    for (n = 1; n <= STAGES; n = n + 1) begin : g_named
        localparam LEFT = (COUNT + (1 << (2 * n)) - 1) >> (2 * n);
        reg [WIDTH-1:0] own, still;
        reg own_known, exists;
        initial own_known = 1'b0;
        assign named[(n-1)*WIDTH+:WIDTH] = own;
        assign known[n-1] = own_known;
        integer i;
        if (n == 1) begin : g_first
            always @(posedge clk)
                if (enable) begin
                    own_known <= 1'b0;
                    for (i = 0; i < COUNT; i = i + 1)
                        if (index == i) begin
                            own <= words[i*WIDTH+:WIDTH];
                            own_known <= 1'b1;
                        end
                end
        end else begin : g_next
            always @(posedge clk)
                if (enable) begin
                    own <= named[(n-2)*WIDTH+:WIDTH];
                    own_known <= known[n-2];
                end
        end
        always @* begin
            still = {WIDTH{1'b0}};
            exists = 1'b0;
            for (i = 0; i < LEFT; i = i + 1)
                if (g_stage[n].at == i) begin
                    still = g_stage[n].choice[i*WIDTH+:WIDTH];
                    exists = 1'b1;
                end
            if (own_known) assert (exists & still == own);
        end
    end
endgenerate
always @* if (known[STAGES-1]) assert (word == named[(STAGES-1)*WIDTH+:WIDTH]);
