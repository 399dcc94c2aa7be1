// What an array sees at the places of an image, a place a beat: a register of the kernel's pixels, into
// which a column is shifted a cycle. A memory has the rows above the newest pixel, a word a column.
//
// Steps go over the image with the zeros beside it. The image's last place waits until the image is
// complete, so `out_last` tells whether its last beat had `in_last`.
`default_nettype none
module synq_window_whole #(
    parameter X_BITS = 8,
    parameter LANES = 1,           // values a beat, coming in
    parameter WORDS = 1,           // beats of a pixel: LANES times WORDS channels
    parameter HEIGHT = 28,
    parameter WIDTH = 28,
    parameter KERNEL_DOWN = 5,
    parameter KERNEL_ACROSS = 5,
    parameter STRIDE_DOWN = 1,
    parameter STRIDE_ACROSS = 1,
    parameter PAD_TOP = 0,         // rows of zeros above the image
    parameter PAD_LEFT = 0,
    parameter DOWN = 24,           // places, vertically
    parameter ACROSS = 24,
    parameter QUEUE = 5,           // 2**QUEUE pixels wait in front
    parameter BLOCK = 0            // block RAM rather than logic
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [LANES*X_BITS-1:0] in_data,
    input wire in_last,
    output reg out_valid,
    input wire out_ready,
    output wire [KERNEL_DOWN*KERNEL_ACROSS*WORDS*LANES*X_BITS-1:0] out_data,
    output reg out_last
);
    localparam LAST_ROW = (DOWN - 1) * STRIDE_DOWN + KERNEL_DOWN;  // of the last places' windows
    localparam LAST_COLUMN = (ACROSS - 1) * STRIDE_ACROSS + KERNEL_ACROSS;
    localparam HIGH = LAST_ROW > PAD_TOP + HEIGHT ? LAST_ROW : PAD_TOP + HEIGHT;
    localparam WIDE = LAST_COLUMN > PAD_LEFT + WIDTH ? LAST_COLUMN : PAD_LEFT + WIDTH;
    generate  // rules of the parameters
        if (KERNEL_DOWN > 1 && WIDE < 2) begin : g_rule_1
            error_WIDTH_is_at_least_2 error ();
        end
        if (PAD_TOP >= KERNEL_DOWN || PAD_LEFT >= KERNEL_ACROSS) begin : g_rule_2
            error_PAD_is_less_than_the_kernel error ();
        end
        if (QUEUE < 2) begin : g_rule_3
            error_QUEUE_is_at_least_2 error ();
        end
    endgenerate
    localparam BEATS = HEIGHT * WIDTH * WORDS;
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam BEAT = LANES * X_BITS;
    localparam PIXEL = WORDS * BEAT;

    // ---- Pixels from beats, and a queue of them.
    wire room, closing, put, put_last, put_tag;
    wire [INDEX-1:0] put_index;
    wire [BEAT-1:0] put_beat;
    synq_intake #(.X_BITS(X_BITS), .LANES(LANES), .PIXELS(BEATS * LANES)) intake (
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );
    wire unused_intake = &{1'b0, closing, put_index, put_last};
    wire put_pixel;
    wire [PIXEL-1:0] whole;
    generate
        if (WORDS == 1) begin : g_pixel
            assign put_pixel = put;
            assign whole = put_beat;
        end else begin : g_words
            localparam WORD = $clog2(WORDS);
            localparam [WORD-1:0] FINAL = WORDS[WORD-1:0] - 1'b1;
            reg [WORD-1:0] word;
            reg [PIXEL-1:0] gathered;
            assign whole = {put_beat, gathered[PIXEL-1:BEAT]};
            assign put_pixel = put & word == FINAL;
            wire unused = &{1'b0, gathered[BEAT-1:0]};
            always @(posedge clk) begin
                if (put) gathered <= whole;
                if (reset) word <= {WORD{1'b0}};
                else if (put) word <= put_pixel ? {WORD{1'b0}} : word + 1'b1;
            end
        end
    endgenerate
    wire pixel_valid, pixel_taken, pixel_tag;
    wire [PIXEL-1:0] pixel;
    synq_fifo #(.WIDTH(PIXEL + 1), .ADDRESS(QUEUE)) queue (
        .clk(clk), .reset(reset), .put(put_pixel), .data({put_tag, whole}), .valid(pixel_valid),
        .taken(pixel_taken), .word({pixel_tag, pixel})
    );
    // A pixel is on its way as another one is taken: room for both.
    reg [QUEUE:0] waiting;
    assign room = ~waiting[QUEUE] & ~&waiting[QUEUE-1:1];
    always @(posedge clk)
        if (reset) waiting <= {QUEUE + 1{1'b0}};
        else waiting <= waiting + {{QUEUE{1'b0}}, put_pixel} - {{QUEUE{1'b0}}, pixel_taken};

    // ---- Stepping over the image and the zeros beside it.
    localparam ROW = HIGH > 1 ? $clog2(HIGH) : 1;
    localparam COLUMN = WIDE > 1 ? $clog2(WIDE) : 1;
    localparam [ROW-1:0] ROW_END = HIGH[ROW-1:0] - 1'b1;
    localparam [COLUMN-1:0] COLUMN_END = WIDE[COLUMN-1:0] - 1'b1;
    localparam [ROW-1:0] ROW_PLACED = LAST_ROW[ROW-1:0] - 1'b1;
    localparam [COLUMN-1:0] COLUMN_PLACED = LAST_COLUMN[COLUMN-1:0] - 1'b1;
    reg [ROW-1:0] row;
    reg [COLUMN-1:0] column;
    wire row_ends = column == COLUMN_END;
    wire ends = row_ends & row == ROW_END;
    wire in_image;
    wire move = ~out_valid | out_ready;
    wire step = move & (pixel_valid | ~in_image);
    assign pixel_taken = step & in_image;
    generate
        if (HIGH > HEIGHT || WIDE > WIDTH) begin : g_padded
            localparam [ROW:0] TOP = PAD_TOP[ROW:0], BOTTOM = PAD_TOP[ROW:0] + HEIGHT[ROW:0];
            localparam [COLUMN:0] LEFT = PAD_LEFT[COLUMN:0], RIGHT = PAD_LEFT[COLUMN:0] + WIDTH[COLUMN:0];
            wire [ROW:0] y = {1'b0, row};
            wire [COLUMN:0] x = {1'b0, column};
            wire below = y + ~TOP + 1'b1 < BOTTOM - TOP;  // of those above, the difference is large
            wire beside = x + ~LEFT + 1'b1 < RIGHT - LEFT;
            assign in_image = below & beside;
        end else begin : g_not_padded
            assign in_image = 1'b1;
        end
    endgenerate
    // Steps to the next row, and column, of places.
    localparam DOWN_WAIT = KERNEL_DOWN > STRIDE_DOWN ? KERNEL_DOWN : STRIDE_DOWN;
    localparam ACROSS_WAIT = KERNEL_ACROSS > STRIDE_ACROSS ? KERNEL_ACROSS : STRIDE_ACROSS;
    localparam DOWN_BITS = DOWN_WAIT > 1 ? $clog2(DOWN_WAIT) : 1;
    localparam ACROSS_BITS = ACROSS_WAIT > 1 ? $clog2(ACROSS_WAIT) : 1;
    localparam [DOWN_BITS-1:0] FIRST_DOWN = KERNEL_DOWN[DOWN_BITS-1:0] - 1'b1;
    localparam [DOWN_BITS-1:0] NEXT_DOWN = STRIDE_DOWN[DOWN_BITS-1:0] - 1'b1;
    localparam [ACROSS_BITS-1:0] FIRST_ACROSS = KERNEL_ACROSS[ACROSS_BITS-1:0] - 1'b1;
    localparam [ACROSS_BITS-1:0] NEXT_ACROSS = STRIDE_ACROSS[ACROSS_BITS-1:0] - 1'b1;
    reg [DOWN_BITS-1:0] down_left;
    reg [ACROSS_BITS-1:0] across_left;
    wire placed_row = down_left == {DOWN_BITS{1'b0}};
    wire placed_column = across_left == {ACROSS_BITS{1'b0}};
    // The last place stays in the register while what is left of the image passes.
    wire last_place = row == ROW_PLACED & column == COLUMN_PLACED;
    reg beyond;
    wire offers = ends | (placed_row & placed_column & ~last_place & ~beyond);
    always @(posedge clk) begin
        if (reset) begin
            row <= {ROW{1'b0}};
            column <= {COLUMN{1'b0}};
            down_left <= FIRST_DOWN;
            across_left <= FIRST_ACROSS;
            beyond <= 1'b0;
        end else if (step) begin
            column <= row_ends ? {COLUMN{1'b0}} : column + 1'b1;
            if (row_ends) across_left <= FIRST_ACROSS;
            else across_left <= placed_column ? NEXT_ACROSS : across_left - 1'b1;
            if (row_ends) begin
                row <= ends ? {ROW{1'b0}} : row + 1'b1;
                if (ends) down_left <= FIRST_DOWN;
                else down_left <= placed_row ? NEXT_DOWN : down_left - 1'b1;
            end
            beyond <= ~ends & (beyond | last_place);
        end
    end
    // The image's last pixel may come before the last step.
    reg tag;
    wire tag_now = pixel_taken ? pixel_tag : tag;
    always @(posedge clk) tag <= tag_now;

    // ---- A column a step; all of it stands still while a place waits.
    reg stepped, offers_then, last_then, shifts;
    reg [COLUMN-1:0] column_then;
    reg [PIXEL-1:0] newest;
    wire [KERNEL_DOWN*PIXEL-1:0] seen;  // the newest column, its uppermost pixel lowest
    assign seen[(KERNEL_DOWN-1)*PIXEL+:PIXEL] = newest;
    always @(posedge clk) begin
        if (reset) begin
            stepped <= 1'b0;
            out_valid <= 1'b0;
        end else if (move) begin
            stepped <= step;
            out_valid <= stepped & offers_then;
        end
        if (move) begin
            offers_then <= offers;
            last_then <= ends & tag_now;
            shifts <= step & ~beyond;
            column_then <= column;
            newest <= in_image ? pixel : {PIXEL{1'b0}};
            out_last <= last_then;
        end
    end
    generate
        if (KERNEL_DOWN > 1) begin : g_lines
            wire [(KERNEL_DOWN-1)*PIXEL-1:0] above;
            synq_lines #(.WIDTH((KERNEL_DOWN - 1) * PIXEL), .DEPTH(WIDE), .BLOCK(BLOCK)) lines (
                .clk(clk), .write(move & shifts), .write_address(column_then), .data(seen[KERNEL_DOWN*PIXEL-1:PIXEL]),
                .read(move), .read_address(column), .fetched(above)
            );
            assign seen[(KERNEL_DOWN-1)*PIXEL-1:0] = above;
        end else begin : g_line
            wire unused = &{1'b0, column_then};
        end
    endgenerate
    genvar k;
    generate
        for (k = 0; k < KERNEL_DOWN; k = k + 1) begin : g_row
            reg [KERNEL_ACROSS*PIXEL-1:0] pixels;
            wire [(KERNEL_ACROSS+1)*PIXEL-1:0] longer = {seen[k*PIXEL+:PIXEL], pixels};
            wire unused = &{1'b0, longer[PIXEL-1:0]};
            always @(posedge clk) if (move & shifts) pixels <= longer[(KERNEL_ACROSS+1)*PIXEL-1:PIXEL];
            assign out_data[k*KERNEL_ACROSS*PIXEL+:KERNEL_ACROSS*PIXEL] = pixels;
        end
    endgenerate
endmodule
`default_nettype wire
