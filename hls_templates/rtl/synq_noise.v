// Read noise of an array's tiles, some lanes a cycle, in the order in which their sums are read:
// noise = floor((ones(word) - 16) * FACTOR * 2**-SHIFT + 1/2) + OFFSET, where a word is the number of
// the tile's read and of the column after six rounds of mixing with KEYS. Reads are numbered image by
// image in the order of the tiles; an array that reads its last tile first says REVERSED.
`default_nettype none
module synq_noise #(
    parameter N_OUT = 2,     // columns of a tile
    parameter LANES = 1,     // numbers a beat; lanes may be beyond the last column: nobody reads theirs
    parameter TILES = 2,     // tiles an image
    parameter REVERSED = 0,  // whether the last one comes first
    parameter [191:0] KEYS = 192'd0,  // the first round's lowest
    parameter signed [63:0] FACTOR = 1,
    parameter SHIFT = 0,
    parameter signed [63:0] OFFSET = 0,
    parameter BITS = 6       // of a number
) (
    input wire clk,
    input wire reset,
    output wire ready,       // low for a few cycles after a reset
    input wire take,         // this beat; the next one follows
    output wire [LANES*BITS-1:0] noise
);
    localparam BEATS = (N_OUT + LANES - 1) / LANES;  // a tile
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam COLUMN = N_OUT > 1 ? $clog2(N_OUT) : 1;
    localparam [INDEX-1:0] FINAL = BEATS[INDEX-1:0] - 1'b1;
    localparam signed [63:0] ONE = 1;
    localparam signed [63:0] HALF = (ONE << SHIFT) >>> 1;

    function [31:0] mixed(input [31:0] w);
        mixed = w ^ {w[24:0], w[31:25]} ^ {w[19:0], w[31:20]} ^ {w[12:0], w[31:13]}
            ^ ({w[22:0], w[31:23]} & {w[9:0], w[31:10]});
    endfunction

    function [5:0] ones(input [31:0] w);
        integer k;
        begin
            ones = 6'd0;
            for (k = 0; k < 32; k = k + 1) ones = ones + {5'd0, w[k]};
        end
    endfunction

    // Of each number of ones: six inputs, a look-up table a bit.
    localparam WORK = BITS + SHIFT;
    localparam signed [63:0] LEAST = HALF - 16 * FACTOR + (OFFSET <<< SHIFT);
    function [64*BITS-1:0] scaled(input [WORK-1:0] least);
        reg [WORK-1:0] value;
        integer k;
        begin
            value = least;
            scaled = {64 * BITS{1'b0}};
            for (k = 0; k < 64; k = k + 1) begin
                scaled = {value[WORK-1:SHIFT], scaled[64*BITS-1:BITS]};
                value = value + FACTOR[WORK-1:0];
            end
        end
    endfunction
    localparam [64*BITS-1:0] SCALED = scaled(LEAST[WORK-1:0]);

    // ---- Three steps ahead of what is taken; all move together.
    reg [1:0] steps;
    reg [INDEX-1:0] index;
    reg [COLUMN-1:0] column;
    localparam READ = 32 - COLUMN;
    localparam FIRST = REVERSED != 0 ? TILES - 1 : 0;
    localparam NEXT_IMAGE = REVERSED != 0 ? 2 * TILES - 1 : 1;
    localparam NEXT_TILE = REVERSED != 0 ? -1 : 1;
    localparam TILE = TILES > 1 ? $clog2(TILES) : 1;
    localparam FINAL_TILE = TILES - 1;
    reg [READ-1:0] read;
    reg [TILE-1:0] tile;
    wire last_tile = tile == FINAL_TILE[TILE-1:0];
    assign ready = &steps;
    wire move = ~ready | take;
    wire final_beat = index == FINAL;
    always @(posedge clk)
        if (reset) begin
            steps <= 2'd0;
            index <= {INDEX{1'b0}};
            column <= {COLUMN{1'b0}};
            read <= FIRST[READ-1:0];
            tile <= {TILE{1'b0}};
        end else if (move) begin
            if (~ready) steps <= steps + 1'b1;
            index <= final_beat ? {INDEX{1'b0}} : index + 1'b1;
            column <= final_beat ? {COLUMN{1'b0}} : column + LANES[COLUMN-1:0];
            if (final_beat) begin
                read <= read + (last_tile ? NEXT_IMAGE[READ-1:0] : NEXT_TILE[READ-1:0]);
                tile <= last_tile ? {TILE{1'b0}} : tile + 1'b1;
            end
        end

    genvar j;
    generate
        for (j = 0; j < LANES; j = j + 1) begin : g_lane
            localparam LANE = j;
            wire [COLUMN-1:0] own = column + LANE[COLUMN-1:0];
            reg [31:0] half_mixed, word;
            reg [BITS-1:0] number;
            always @(posedge clk)
                if (move) begin
                    half_mixed <= mixed(mixed(mixed({read, own}) ^ KEYS[31:0]) ^ KEYS[63:32]) ^ KEYS[95:64];
                    word <= mixed(mixed(mixed(half_mixed) ^ KEYS[127:96]) ^ KEYS[159:128]) ^ KEYS[191:160];
                    number <= SCALED[ones(word)*BITS+:BITS];
                end
            assign noise[j*BITS+:BITS] = number;
        end
    endgenerate
endmodule
`default_nettype wire
