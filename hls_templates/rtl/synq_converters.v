// Analog-to-digital converters behind the sums of an array's tiles, some lanes a cycle:
// total = sum over the tiles of saturate(floor((sum + noise) * 2**-SHIFT + 1/2)), handed out with the
// last tile.
`default_nettype none
module synq_converters #(
    parameter PART_BITS = 20,  // of a tile's sum
    parameter N_OUT = 2,       // sums a tile
    parameter LANES = 1,       // sums a beat
    parameter TILES = 2,       // tiles an image
    parameter SHIFT = 8,       // bits of a sum below a converter's step
    parameter BITS = 6,        // of a converter
    parameter SUM_BITS = 9,    // of a total
    // ---- Read noise and half a step, see `synq_noise`.
    parameter NOISE_BITS = 0,  // 0 without
    parameter REVERSED = 0,    // whether the last tile comes first
    parameter [191:0] NOISE_KEYS = 192'd0,
    parameter signed [63:0] NOISE_FACTOR = 1,
    parameter NOISE_SHIFT = 0
) (
    input wire clk,
    input wire reset,
    input wire parts_valid,
    output wire parts_taken,
    input wire parts_last,      // of its tile
    input wire parts_tag,
    input wire [LANES*PART_BITS-1:0] parts,
    output reg sums_valid,
    input wire sums_taken,
    output reg sums_last,
    output reg sums_tag,
    output wire [LANES*SUM_BITS-1:0] sums
);
    generate  // rules of the parameters
        if (BITS < 2) begin : g_rule_1
            error_BITS_are_at_least_2 error ();
        end
    endgenerate
    localparam BEATS = (N_OUT + LANES - 1) / LANES;  // a tile
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    // Wide enough to round without overflow, and to compare with the largest value.
    localparam WIDEST = PART_BITS > SHIFT + BITS ? PART_BITS : SHIFT + BITS;
    localparam WIDE = (WIDEST > NOISE_BITS ? WIDEST : NOISE_BITS) + 1;
    localparam TILE = TILES > 1 ? $clog2(TILES) : 1;
    localparam signed [63:0] ONE = 1;
    localparam signed [63:0] HALF = (ONE << SHIFT) >>> 1;
    localparam TOP = WIDE - SHIFT - BITS + 1;  // bits that are equal where nothing saturates
    localparam FINAL = TILES - 1;

    // ---- A converter, then a total; both move together.
    reg converted, converted_last, converted_tag;
    reg [INDEX-1:0] index;
    reg [TILE-1:0] tile;
    wire move = ~sums_valid | sums_taken;
    wire final_tile = tile == FINAL[TILE-1:0];
    wire first_tile = tile == {TILE{1'b0}};
    wire noise_ready;
    wire [LANES*WIDE-1:0] raises;  // what is added to a sum before it is cut
    assign parts_taken = move & noise_ready;
    always @(posedge clk) begin
        if (reset) begin
            converted <= 1'b0;
            sums_valid <= 1'b0;
            index <= {INDEX{1'b0}};
            tile <= {TILE{1'b0}};
        end else if (move) begin
            converted <= parts_valid & noise_ready;
            sums_valid <= converted & final_tile;
            if (converted) begin
                index <= converted_last ? {INDEX{1'b0}} : index + 1'b1;
                if (converted_last) tile <= final_tile ? {TILE{1'b0}} : tile + 1'b1;
            end
        end
        if (move) begin
            converted_last <= parts_last;
            converted_tag <= parts_tag;
            sums_last <= converted_last;
            sums_tag <= converted_tag;
        end
    end

    genvar j;
    generate
        if (NOISE_BITS > 0) begin : g_noise
            wire [LANES*NOISE_BITS-1:0] noise;
            synq_noise #(
                .N_OUT(N_OUT), .LANES(LANES), .TILES(TILES), .REVERSED(REVERSED),
                .KEYS(NOISE_KEYS), .FACTOR(NOISE_FACTOR), .SHIFT(NOISE_SHIFT), .OFFSET(HALF), .BITS(NOISE_BITS)
            ) noises (
                .clk(clk), .reset(reset), .ready(noise_ready), .take(parts_valid & parts_taken), .noise(noise)
            );
            for (j = 0; j < LANES; j = j + 1) begin : g_raise
                assign raises[j*WIDE+:WIDE] =
                    {{WIDE - NOISE_BITS{noise[(j+1)*NOISE_BITS-1]}}, noise[j*NOISE_BITS+:NOISE_BITS]};
            end
        end else begin : g_exact
            wire unused = &{1'b0, REVERSED[0], NOISE_KEYS, NOISE_FACTOR, NOISE_SHIFT[0]};
            assign noise_ready = 1'b1;
            assign raises = {LANES{HALF[WIDE-1:0]}};
        end
        for (j = 0; j < LANES; j = j + 1) begin : g_lane
            wire [PART_BITS-1:0] part = parts[j*PART_BITS+:PART_BITS];
            wire [WIDE-1:0] raised = {{WIDE - PART_BITS{part[PART_BITS-1]}}, part} + raises[j*WIDE+:WIDE];
            wire sign = raised[WIDE-1];
            wire fits = raised[WIDE-1-:TOP] == {TOP{sign}};
            reg [BITS-1:0] level;
            reg [SUM_BITS-1:0] total;
            wire [SUM_BITS-1:0] earlier;
            wire [SUM_BITS-1:0] next;
            if (SUM_BITS > BITS) begin : g_extend
                assign next = earlier + {{SUM_BITS - BITS{level[BITS-1]}}, level};
            end else begin : g_cut  // no sum is beyond what a total holds
                assign next = earlier + level[SUM_BITS-1:0];
            end
            wire unused_level = &{1'b0, level};
            if (SHIFT > 0) begin : g_below
                wire unused = &{1'b0, raised[SHIFT-1:0]};
            end
            always @(posedge clk)
                if (move) begin
                    level <= fits ? raised[SHIFT+:BITS] : {sign, {BITS - 1{~sign}}};
                    total <= next;
                end
            if (TILES > 1) begin : g_kept
                (* ram_style = "distributed" *) reg [SUM_BITS-1:0] kept[0:(1<<INDEX)-1];
                integer k;
                initial for (k = 0; k < 1 << INDEX; k = k + 1) kept[k] = {SUM_BITS{1'b0}};
                always @(posedge clk) if (move & converted) kept[index] <= next;
                assign earlier = kept[index] & {SUM_BITS{~first_tile}};
            end else begin : g_none
                wire unused = first_tile;
                assign earlier = {SUM_BITS{1'b0}};
            end
            assign sums[j*SUM_BITS+:SUM_BITS] = total;
        end
    endgenerate
endmodule
`default_nettype wire
