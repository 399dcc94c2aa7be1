// The inputs of an array, row by row: only those that are not zero.
//
// Each lane of the beats keeps a list of its nonzero inputs. Lane i belongs to bank
// BANKS - 1 - i % BANKS, so that neighbours, often nonzero together, lie in different banks, and bank
// 0, which waits while `hold`, has the fewest. Of beat b, it is the bank's row b * GROUP + i / BANKS,
// or in bank 0 b * (its number of lanes) + i / BANKS. A bank hands out one input a cycle, from the
// first of its lanes that has any left, the last one first. An image can be written while the one
// before is read.
//
// An image is handed out in tiles of TILE_ROWS rows, each begun and ended as an image is; as lists are
// read from their ends, the last tile, which has all rows that are left, comes first.
`default_nettype none
module synq_rows_events #(
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,     // whether inputs are two's complement
    parameter PIXELS = 784,     // inputs an image
    parameter LANES = 8,        // of them a beat
    parameter BANKS = 8,
    parameter ADDRESS = 7,
    parameter TILE_ROWS = 0,    // rows a tile, but the last; 0: an image is one
    parameter FETCH = 2,        // cycles from `advance` to a word of the banks
    parameter BIAS = 0,         // whether one more row is driven by a constant
    parameter BIAS_INPUT = 0
) (
    input wire clk,
    input wire reset,
    output wire room,
    input wire closing,
    input wire put,
    input wire put_last,
    input wire put_tag,
    input wire [(PIXELS > LANES ? $clog2((PIXELS+LANES-1)/LANES) : 1)-1:0] put_index,
    input wire [LANES*X_BITS-1:0] put_beat,
    output wire ready,                       // an image, or a tile of this one, waits
    input wire start,                        // begin with it
    input wire advance,                      // take an input of every bank
    input wire hold,                         // but not of bank 0
    output wire empty,                       // none is left in the tile
    output reg tag,                          // of the image begun last
    output wire [BANKS*X_BITS-1:0] x,        // FETCH + 1 cycles after `advance`; zero without an input
    output wire [BANKS*ADDRESS-1:0] address  // its row, FETCH - 1 cycles after `advance`
);
    localparam BEATS = (PIXELS + LANES - 1) / LANES;
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam GROUP = (LANES + BANKS - 1) / BANKS;  // lanes of a bank, at most
    localparam BIAS_BANK = BANKS - 1;
    localparam BIAS_WORD = BEATS * GROUP;
    localparam TILES = TILE_ROWS > 0 ? (PIXELS + BIAS + TILE_ROWS - 1) / TILE_ROWS : 1;
    localparam TILE_BEATS = TILES > 1 ? TILE_ROWS / LANES : BEATS;
    localparam LAST_EMPTY = BEATS == (TILES - 1) * TILE_BEATS;  // but for the bias
    generate  // rules of the parameters
        if (FETCH != 2) begin : g_rule_1
            error_FETCH_is_2 error ();
        end
        if (BANKS > LANES) begin : g_rule_2
            error_LANES_are_at_least_BANKS error ();
        end
        if (BIAS_WORD + BIAS > (1 << ADDRESS)) begin : g_rule_3
            error_ADDRESS_numbers_the_words error ();
        end
        if (BIAS != 0 && BIAS_INPUT >= (1 << (X_BITS - X_SIGNED))) begin : g_rule_4
            error_X_BITS_hold_BIAS_INPUT error ();
        end
        if (TILES > 1 && TILE_ROWS % LANES != 0) begin : g_rule_5
            error_TILE_ROWS_are_whole_beats error ();
        end
    endgenerate
    localparam COUNT = INDEX + 1;
    localparam TILE = TILES > 1 ? $clog2(TILES) : 1;
    localparam FINAL = TILES - 1;
    reg complete, waiting, waiting_tag, write_set;
    wire completed = put & put_last;
    wire whole = waiting | completed;  // an image waits
    wire tiles_left;                   // of the image begun last, beyond the present one
    wire begins = start & ~tiles_left;  // another image
    assign room = ~complete | begins;
    assign ready = tiles_left | whole;
    always @(posedge clk) begin
        if (begins) tag <= completed ? put_tag : waiting_tag;
        if (completed) waiting_tag <= put_tag;
        complete <= ~reset & (closing | (complete & ~begins));
        waiting <= ~reset & whole & ~begins;
        if (reset) write_set <= 1'b0;
        else if (begins) write_set <= ~write_set;
    end

    // ---- Tiles: of the beat that comes, and the place where the end of the one before the tile that
    // `start` begins is marked.
    wire [TILE-1:0] put_tile;
    wire [TILE:0] mark;
    wire bottom;  // there is none before
    generate
        if (TILES > 1) begin : g_tiles
            localparam BEAT = TILE_BEATS > 1 ? $clog2(TILE_BEATS) : 1;
            localparam FINAL_BEAT = TILE_BEATS - 1;
            reg [TILE-1:0] left, tile;
            reg [BEAT-1:0] beat;
            localparam NEXT_TO_FINAL = TILES - 2;
            wire [TILE-1:0] lower = left - 1'b1;
            assign tiles_left = left != {TILE{1'b0}};
            assign put_tile = tile;
            assign bottom = left == {{TILE - 1{1'b0}}, 1'b1};
            assign mark = tiles_left ? {~write_set, lower - 1'b1} : {write_set, NEXT_TO_FINAL[TILE-1:0]};
            always @(posedge clk) begin
                if (reset) left <= {TILE{1'b0}};
                else if (start) left <= tiles_left ? lower : FINAL[TILE-1:0];
                if (reset | completed) begin
                    beat <= {BEAT{1'b0}};
                    tile <= {TILE{1'b0}};
                end else if (put) begin
                    beat <= beat == FINAL_BEAT[BEAT-1:0] ? {BEAT{1'b0}} : beat + 1'b1;
                    if (beat == FINAL_BEAT[BEAT-1:0]) tile <= tile + 1'b1;
                end
            end
        end else begin : g_no_tiles
            assign tiles_left = 1'b0;
            assign put_tile = 1'b0;
            assign bottom = 1'b1;
            assign mark = {TILE + 1{1'b0}};
        end
    endgenerate
    wire unused_tiles = &{1'b0, put_tile, bottom, mark};

    wire [BANKS-1:0] finished;
    assign empty = &finished;
    genvar b, l;
    generate
        for (b = 0; b < BANKS; b = b + 1) begin : g_bank
            localparam SHARE = (LANES + b) / BANKS;  // lanes of this bank
            localparam ROWS = b == 0 ? SHARE : GROUP;  // rows a beat
            wire take = advance & ~(b == 0 && hold);
            wire [GROUP:0] earlier;            // some lane before has inputs left
            wire [GROUP*X_BITS-1:0] pixels;    // each lane's choice, or zero
            wire [GROUP*ADDRESS-1:0] places;
            wire biased;
            assign earlier[0] = 1'b0;
            for (l = 0; l < GROUP; l = l + 1) begin : g_lane
                if (l < SHARE) begin : g_list
                    reg [X_BITS+INDEX-1:0] list[0:2*(1<<INDEX)-1];
                    reg [COUNT-1:0] count, left;
                    reg [X_BITS-1:0] pixel;
                    reg [INDEX-1:0] beat;
                    integer i;
                    initial for (i = 0; i < 2 * (1 << INDEX); i = i + 1) list[i] = {X_BITS + INDEX{1'b0}};
                    wire [X_BITS-1:0] offered = put_beat[(l*BANKS+BANKS-1-b)*X_BITS+:X_BITS];
                    wire store = put & offered != {X_BITS{1'b0}};
                    wire [COUNT-1:0] counted = count + {{COUNT - 1{1'b0}}, store};
                    wire [COUNT-1:0] next = left - 1'b1;
                    wire [COUNT-1:0] least;  // left of the lanes' tiles before
                    wire some = left != least;
                    wire mine = take & some & ~earlier[l];
                    wire [X_BITS+INDEX-1:0] entry = list[{~write_set, next[INDEX-1:0]}];
                    always @(posedge clk) begin
                        if (store) list[{write_set, count[INDEX-1:0]}] <= {offered, put_index};
                        if (reset | begins) count <= {COUNT{1'b0}};
                        else count <= counted;
                        if (reset) left <= {COUNT{1'b0}};
                        else if (begins) left <= counted;
                        else if (mine) left <= next;
                        if (mine) {pixel, beat} <= entry;
                        else {pixel, beat} <= {X_BITS + INDEX{1'b0}};
                    end
                    if (TILES > 1) begin : g_marks
                        reg [COUNT-1:0] marks[0:2*(1<<TILE)-1], low;
                        integer k;
                        initial for (k = 0; k < 2 * (1 << TILE); k = k + 1) marks[k] = {COUNT{1'b0}};
                        always @(posedge clk) begin
                            if (put) marks[{write_set, put_tile}] <= counted;
                            if (reset) low <= {COUNT{1'b0}};
                            else if (start) begin
                                if (tiles_left & bottom) low <= {COUNT{1'b0}};
                                else if (LAST_EMPTY && !tiles_left) low <= counted;
                                else low <= marks[mark];
                            end
                        end
                        assign least = low;
                    end else begin : g_no_marks
                        assign least = {COUNT{1'b0}};
                    end
                    assign earlier[l+1] = earlier[l] | some;
                    assign pixels[l*X_BITS+:X_BITS] = pixel;
                    reg was_mine;
                    always @(posedge clk) was_mine <= mine;
                    assign places[l*ADDRESS+:ADDRESS] =
                        was_mine ? beat * ROWS[ADDRESS-1:0] + l[ADDRESS-1:0] : {ADDRESS{1'b0}};
                end else begin : g_none
                    assign earlier[l+1] = earlier[l];
                    assign pixels[l*X_BITS+:X_BITS] = {X_BITS{1'b0}};
                    assign places[l*ADDRESS+:ADDRESS] = {ADDRESS{1'b0}};
                end
            end
            if (BIAS != 0 && b == BIAS_BANK) begin : g_bias
                reg due, given;
                always @(posedge clk) begin
                    given <= take & due & ~earlier[GROUP];
                    due <= ~reset & (begins | (due & ~(take & ~earlier[GROUP])));
                end
                assign finished[b] = ~earlier[GROUP] & ~due;
                assign biased = given;
            end else begin : g_no_bias
                assign finished[b] = ~earlier[GROUP];
                assign biased = 1'b0;
            end

            reg [X_BITS-1:0] chosen, held, pixel_out;
            reg [ADDRESS-1:0] row;
            integer k;
            always @* begin
                chosen = biased ? BIAS_INPUT[X_BITS-1:0] : {X_BITS{1'b0}};
                row = biased ? BIAS_WORD[ADDRESS-1:0] : {ADDRESS{1'b0}};
                for (k = 0; k < GROUP; k = k + 1) begin
                    chosen = chosen | pixels[k*X_BITS+:X_BITS];
                    row = row | places[k*ADDRESS+:ADDRESS];
                end
            end
            always @(posedge clk) begin
                held <= chosen;
                pixel_out <= held;
            end
            assign x[b*X_BITS+:X_BITS] = pixel_out;
            assign address[b*ADDRESS+:ADDRESS] = row;
        end
    endgenerate
endmodule
`default_nettype wire
