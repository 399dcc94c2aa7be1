// The inputs of an array, row by row: every row of every image.
//
// Two images are held: one is being read while the next is being written. Rows lie in the banks in
// one of two ways:
//   fewer LANES than BANKS: rows go to the banks in turn, and rounds are words; a beat is rotated to
//       its banks. From beat SKIP on a new round begins with bank 1.
//   else: lane i of beat b is word b * GROUP + i / BANKS of bank BANKS - 1 - i % BANKS, or in
//       bank 0 word b * (its number of lanes) + i / BANKS.
// Bank 0 waits while `hold`, and has fewer rows to make up for it.
//
// An image is handed out in tiles of TILE_ROWS rows, each begun and ended as an image is; the last one
// has all rows that are left.
`default_nettype none
module synq_rows_dense #(
    parameter X_BITS = 8,
    parameter X_SIGNED = 0,     // whether inputs are two's complement
    parameter PIXELS = 784,     // inputs an image
    parameter LANES = 8,        // of them a beat
    parameter BANKS = 9,
    parameter SKIP = 90,        // of beats; beyond the last one, bank 0 is always in turn
    parameter TILE_ROWS = 0,    // rows a tile, but the last; 0: an image is one
    parameter ADDRESS = 7,
    parameter FETCH = 2,        // cycles from `advance` to a word of the banks
    parameter BLOCK = 1,        // block RAM rather than logic
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
    input wire advance,                      // take a row of every bank
    input wire hold,                         // but not of bank 0
    output wire empty,                       // no row is left in the tile
    output reg tag,                          // of the image begun last
    output wire [BANKS*X_BITS-1:0] x,        // FETCH + 1 cycles after `advance`; zero without a row
    output wire [BANKS*ADDRESS-1:0] address  // its word, FETCH - 1 cycles after `advance`
);
    localparam ROTATE = LANES < BANKS;
    localparam BEATS = (PIXELS + LANES - 1) / LANES;
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam GROUP = (LANES + BANKS - 1) / BANKS;  // lanes of a bank, at most; of bank 0:
    localparam FIRST_GROUP = ROTATE ? 1 : LANES / BANKS;
    // Of rows in turn, those of rounds that begin with bank 0, and those of later ones.
    localparam ROWS = PIXELS + BIAS;
    localparam WITH_FIRST = (SKIP * LANES / BANKS + 1) * BANKS;
    localparam EARLY = ROWS < WITH_FIRST ? ROWS : WITH_FIRST;
    localparam LATE = ROWS - EARLY;
    localparam OTHERS = BANKS > 1 ? BANKS - 1 : 1;
    // Words that hold rows, the last one that of a bias; those of bank 0.
    localparam FIRST_WORDS =
        ROTATE ? (EARLY + BANKS - 1) / BANKS : BEATS * FIRST_GROUP + (BANKS == 1 ? BIAS : 0);
    localparam WORDS = ROTATE ? FIRST_WORDS + (LATE + OTHERS - 1) / OTHERS : BEATS * GROUP + BIAS;
    localparam BIAS_WORD = WORDS - 1;
    localparam BIAS_BANK =
        !ROTATE ? BANKS - 1 : LATE == 0 ? (ROWS - 1) % BANKS : 1 + (LATE - 1) % OTHERS;
    localparam TILES = TILE_ROWS > 0 ? (ROWS + TILE_ROWS - 1) / TILE_ROWS : 1;
    localparam BY_BEATS = !ROTATE && LANES % BANKS != 0;  // else tiles end with any word of all banks
    localparam TILE_WORDS = BY_BEATS ? TILE_ROWS / LANES * GROUP : TILE_ROWS / BANKS;
    localparam FIRST_TILE_WORDS = BY_BEATS ? TILE_ROWS / LANES * FIRST_GROUP : TILE_ROWS / BANKS;
    generate  // rules of the parameters
        if (FETCH != 2) begin : g_rule_1
            error_FETCH_is_2 error ();
        end
        if (WORDS > (1 << ADDRESS)) begin : g_rule_2
            error_ADDRESS_numbers_the_words error ();
        end
        if (ROTATE && SKIP > BEATS) begin : g_rule_3
            error_SKIP_is_at_most_BEATS error ();
        end
        if (ROTATE && TILES > 1 && SKIP < BEATS) begin : g_rule_4
            error_SKIP_of_tiles_is_BEATS error ();
        end
        if (BIAS != 0 && BIAS_INPUT >= (1 << (X_BITS - X_SIGNED))) begin : g_rule_5
            error_X_BITS_hold_BIAS_INPUT error ();
        end
        if (TILES > 1 && TILE_ROWS % (BY_BEATS ? LANES : BANKS) != 0) begin : g_rule_6
            error_TILE_ROWS_are_whole_words error ();
        end
    endgenerate
    localparam DEPTH_BITS = ROTATE ? ADDRESS : INDEX;
    localparam GROUP_BITS = GROUP > 1 ? $clog2(GROUP) : 1;

    // ---- Which images are held.
    reg [1:0] occupied, written;
    reg write_set, read_set, reading;
    reg [1:0] tags;
    wire finish;  // the image being read is no longer needed
    wire tiles_left;  // of the image being read, beyond the present one
    wire begins = start & ~tiles_left;  // another image
    assign room = ~occupied[1];
    assign ready = tiles_left | written != 2'd0;
    always @(posedge clk) begin
        if (begins) begin
            read_set <= ~read_set;
            tag <= tags[~read_set];
        end
        if (put & put_last) begin
            write_set <= ~write_set;
            tags[write_set] <= put_tag;
        end
        if (reset) begin
            occupied <= 2'd0;
            written <= 2'd0;
            write_set <= 1'b0;
            read_set <= 1'b1;
            reading <= 1'b0;
        end else begin
            occupied <= occupied + {1'b0, closing} - {1'b0, finish};
            written <= written + {1'b0, put & put_last} - {1'b0, begins};
            reading <= begins | (reading & ~finish);
        end
    end

    // ---- Writing: the pixel and the word of each bank.
    wire [BANKS*GROUP*X_BITS-1:0] pixels;
    wire [BANKS-1:0] enable;
    wire [BANKS*DEPTH_BITS-1:0] places;
    genvar b, l;
    generate
        if (ROTATE) begin : g_rotate
            reg [BANKS-1:0] offset;  // one-hot: the bank of lane 0
            reg [DEPTH_BITS-1:0] base;  // the word of the first rotation
            wire [2*BANKS-1:0] twice = {{BANKS{1'b0}}, offset} << LANES;
            wire wraps = |twice[2*BANKS-1:BANKS];
            wire skip = {1'b0, put_index} >= SKIP[INDEX:0];
            wire [BANKS-1:0] round = skip ? twice[2*BANKS-1:BANKS] << 1 : twice[2*BANKS-1:BANKS];
            always @(posedge clk) begin
                if (reset | (put & put_last)) begin
                    offset <= {{BANKS - 1{1'b0}}, 1'b1};
                    base <= {DEPTH_BITS{1'b0}};
                end else if (put) begin
                    offset <= round | twice[BANKS-1:0];
                    base <= base + {{DEPTH_BITS - 1{1'b0}}, wraps};
                end
            end
            for (b = 0; b < BANKS; b = b + 1) begin : g_bank
                reg [X_BITS-1:0] pixel;
                reg hit, wrapped, direct, after;
                integer i;
                always @* begin
                    pixel = {X_BITS{1'b0}};
                    hit = 1'b0;
                    wrapped = 1'b0;
                    for (i = 0; i < LANES; i = i + 1) begin
                        // Lane i is this bank's, in the round of lane 0 or in the one after.
                        direct = i <= b ? offset[i<=b?b-i : 0] : 1'b0;
                        after = i > b ? ~skip & offset[i>b?b-i+BANKS : 0] : 1'b0;
                        if (b > 0 && i >= b) after = after | (skip & offset[i>=b?b-1-i+BANKS : 0]);
                        pixel = pixel | ({X_BITS{direct | after}} & put_beat[i*X_BITS+:X_BITS]);
                        hit = hit | direct | after;
                        wrapped = wrapped | after;
                    end
                end
                assign pixels[b*X_BITS+:X_BITS] = pixel;
                assign enable[b] = put & hit;
                assign places[b*DEPTH_BITS+:DEPTH_BITS] = base + {{DEPTH_BITS - 1{1'b0}}, wrapped};
            end
        end else begin : g_group
            for (b = 0; b < BANKS; b = b + 1) begin : g_bank
                localparam SHARE = (LANES + b) / BANKS;  // lanes of this bank
                assign enable[b] = put;
                assign places[b*DEPTH_BITS+:DEPTH_BITS] = put_index;
                for (l = 0; l < GROUP; l = l + 1) begin : g_lane
                    if (l < SHARE) begin : g_pixel
                        assign pixels[(b*GROUP+l)*X_BITS+:X_BITS] =
                            put_beat[(l*BANKS+BANKS-1-b)*X_BITS+:X_BITS];
                    end else begin : g_none
                        assign pixels[(b*GROUP+l)*X_BITS+:X_BITS] = {X_BITS{1'b0}};
                    end
                end
            end
        end
    endgenerate

    // ---- Reading: bank 0 by itself, since it can be held, and the others in step.
    wire [1:0] ended;  // all rows taken
    wire [1:0] takes;
    wire [2*ADDRESS-1:0] word;
    wire [2*DEPTH_BITS-1:0] place;
    wire [2*GROUP_BITS-1:0] lane;
    assign takes = {advance, advance & ~hold} & ~ended;
    wire unused_walks = &{1'b0, word, place, lane, takes};  // of the others, with one bank
    assign empty = &ended;
    assign finish = reading & empty & ~tiles_left;
    wire last_next;  // the tile that `start` begins is the image's last one
    genvar w;
    generate
        if (TILES > 1) begin : g_tiles
            localparam TILE = $clog2(TILES);
            localparam FINAL = TILES - 1;
            reg [TILE-1:0] left;
            assign tiles_left = left != {TILE{1'b0}};
            assign last_next = left == {{TILE - 1{1'b0}}, 1'b1};
            always @(posedge clk)
                if (reset) left <= {TILE{1'b0}};
                else if (start) left <= tiles_left ? left - 1'b1 : FINAL[TILE-1:0];
        end else begin : g_no_tiles
            assign tiles_left = 1'b0;
            assign last_next = 1'b1;
        end
        for (w = 0; w < 2; w = w + 1) begin : g_walk
            localparam COUNT = w == 0 ? FIRST_WORDS : WORDS;
            localparam SHARE = w == 0 ? FIRST_GROUP : GROUP;
            localparam [ADDRESS-1:0] LAST_WORD = COUNT[ADDRESS-1:0] - 1'b1;
            localparam [GROUP_BITS-1:0] LAST_LANE = SHARE[GROUP_BITS-1:0] - 1'b1;
            // With a last tile of the bias alone, bank 0 may have no row in it.
            localparam TILED = (TILES - 1) * (w == 0 ? FIRST_TILE_WORDS : TILE_WORDS);
            localparam NONE_LAST = TILES > 1 && TILED == COUNT;
            reg done;
            reg [ADDRESS-1:0] at;
            wire last_word;
            always @(posedge clk) begin
                if (reset | start) begin
                    done <= reset | (NONE_LAST & last_next);
                    if (reset | begins) at <= {ADDRESS{1'b0}};
                end else if (takes[w]) begin
                    done <= last_word;
                    at <= at + 1'b1;
                end
            end
            if (TILES > 1) begin : g_tile
                localparam SIZE = w == 0 ? FIRST_TILE_WORDS : TILE_WORDS;
                localparam [ADDRESS-1:0] STEP = SIZE[ADDRESS-1:0];
                reg [ADDRESS-1:0] stop;  // the tile's last word
                assign last_word = at == stop;
                always @(posedge clk)
                    if (begins) stop <= STEP - 1'b1;
                    else if (start) stop <= last_next ? LAST_WORD : stop + STEP;
            end else begin : g_whole
                assign last_word = at == LAST_WORD;
            end
            assign ended[w] = done;
            assign word[w*ADDRESS+:ADDRESS] = at;
            if (GROUP == 1) begin : g_single
                assign place[w*DEPTH_BITS+:DEPTH_BITS] = at[DEPTH_BITS-1:0];
                assign lane[w*GROUP_BITS+:GROUP_BITS] = 1'b0;
            end else begin : g_several
                reg [DEPTH_BITS-1:0] beat;
                reg [GROUP_BITS-1:0] slot;
                always @(posedge clk) begin
                    if (reset | begins) begin
                        beat <= {DEPTH_BITS{1'b0}};
                        slot <= {GROUP_BITS{1'b0}};
                    end else if (takes[w]) begin
                        slot <= slot == LAST_LANE ? {GROUP_BITS{1'b0}} : slot + 1'b1;
                        if (slot == LAST_LANE) beat <= beat + 1'b1;
                    end
                end
                assign place[w*DEPTH_BITS+:DEPTH_BITS] = beat;
                assign lane[w*GROUP_BITS+:GROUP_BITS] = slot;
            end
        end

        for (b = 0; b < BANKS; b = b + 1) begin : g_memory
            localparam W = b == 0 ? 0 : 1;
            wire [GROUP*X_BITS-1:0] fetched;
            wire [DEPTH_BITS:0] write_place = {write_set, places[b*DEPTH_BITS+:DEPTH_BITS]};
            wire [DEPTH_BITS:0] read_place = {read_set, place[W*DEPTH_BITS+:DEPTH_BITS]};
            synq_buffer #(
                .WIDTH(GROUP * X_BITS), .ADDRESS(DEPTH_BITS + 1), .BLOCK(BLOCK)
            ) buffer (
                .clk(clk),
                .write(enable[b]),
                .write_address(write_place),
                .data(pixels[b*GROUP*X_BITS+:GROUP*X_BITS]),
                .read_address(read_place),
                .fetched(fetched)
            );
            localparam BIAS_HERE = b == BIAS_BANK ? BIAS_INPUT : 0;
            reg taken, valid, biased, biased_then;
            reg [GROUP_BITS-1:0] lane_then, chosen;
            reg [ADDRESS-1:0] row;
            reg [GROUP*X_BITS-1:0] held;  // beside the memory, which is slow
            reg [X_BITS-1:0] pixel;
            always @(posedge clk) begin
                taken <= takes[W];
                valid <= taken;
                lane_then <= lane[W*GROUP_BITS+:GROUP_BITS];
                chosen <= lane_then;
                biased <= biased_then;
                row <= word[W*ADDRESS+:ADDRESS];
                held <= fetched;
                if (!valid) pixel <= {X_BITS{1'b0}};
                else if (biased) pixel <= BIAS_HERE[X_BITS-1:0];
                else pixel <= held[chosen*X_BITS+:X_BITS];
            end
            // Where lanes belong to banks, the word of the bias is beyond the inputs of the others.
            if (BIAS != 0 && (b == BIAS_BANK || !ROTATE)) begin : g_bias
                always @(posedge clk) biased_then <= word[W*ADDRESS+:ADDRESS] == BIAS_WORD[ADDRESS-1:0];
            end else begin : g_no_bias
                always @(posedge clk) biased_then <= 1'b0;
            end
            assign x[b*X_BITS+:X_BITS] = pixel;
            assign address[b*ADDRESS+:ADDRESS] = row;
        end
    endgenerate
endmodule
`default_nettype wire
