// What an array sees at the places of an image, one place after another, some values a cycle: some rows
// of the image lie in a memory, each value written once; a place is read from it value by value.
//
// An image is complete before its last place is handed out, so `out_last`, at the end of that place,
// tells whether its last beat had `in_last`.
`default_nettype none
module synq_window #(
    parameter X_BITS = 8,
    parameter LANES = 1,           // values a beat, in and out
    parameter WORDS = 1,           // beats of a pixel: LANES times WORDS channels
    parameter HEIGHT = 28,
    parameter WIDTH = 28,
    parameter KERNEL_DOWN = 5,
    parameter KERNEL_ACROSS = 5,
    parameter STRIDE_DOWN = 1,
    parameter STRIDE_ACROSS = 1,
    parameter PAD_TOP = 0,         // rows of zeros above the image, not stored
    parameter PAD_LEFT = 0,
    parameter DOWN = 24,           // places, vertically
    parameter ACROSS = 24,
    parameter ROWS = 6,            // of the image that are kept
    parameter BLOCK = 1            // block RAM rather than logic
) (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [LANES*X_BITS-1:0] in_data,
    input wire in_last,
    output wire out_valid,
    input wire out_ready,
    output wire [LANES*X_BITS-1:0] out_data,
    output wire out_last
);
    generate  // rules of the parameters
        if (ROWS < KERNEL_DOWN + STRIDE_DOWN) begin : g_rule_1
            error_ROWS_hold_a_kernel_and_the_next_rows error ();
        end
        if (PAD_TOP >= KERNEL_DOWN || PAD_LEFT >= KERNEL_ACROSS) begin : g_rule_2
            error_PAD_is_less_than_the_kernel error ();
        end
    endgenerate
    localparam BEATS = HEIGHT * WIDTH * WORDS;
    localparam INDEX = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam LINE = WIDTH * WORDS;  // beats of a row
    localparam SIZE = ROWS * LINE;
    localparam ADDRESS = $clog2(SIZE);
    localparam COUNT = $clog2(ROWS + 1);
    localparam [ADDRESS-1:0] TOP_ADDRESS = SIZE[ADDRESS-1:0] - 1'b1;

    // ---- Writing: row after row, round and round.
    wire room, closing, put, put_last, put_tag;
    wire [INDEX-1:0] put_index;
    wire [LANES*X_BITS-1:0] put_beat;
    synq_intake #(.X_BITS(X_BITS), .LANES(LANES), .PIXELS(BEATS * LANES)) intake (
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );
    wire unused_intake = &{1'b0, closing, put_index};
    localparam LINE_BITS = LINE > 1 ? $clog2(LINE) : 1;
    localparam [LINE_BITS-1:0] LINE_END = LINE[LINE_BITS-1:0] - 1'b1;
    reg [ADDRESS-1:0] write_address;
    reg [LINE_BITS-1:0] along;
    wire row_ends = put & along == LINE_END;
    always @(posedge clk) begin
        if (reset) begin
            write_address <= {ADDRESS{1'b0}};
            along <= {LINE_BITS{1'b0}};
        end else if (put) begin
            write_address <= write_address == TOP_ADDRESS ? {ADDRESS{1'b0}} : write_address + 1'b1;
            along <= row_ends ? {LINE_BITS{1'b0}} : along + 1'b1;
        end
    end
    // Rows that are complete and not free again; those of more than one image, if it is low.
    reg [COUNT-1:0] held;
    wire [COUNT-1:0] freed;
    wire [COUNT-1:0] held_now = held + {{COUNT - 1{1'b0}}, row_ends};
    assign room = held_now != ROWS[COUNT-1:0];
    always @(posedge clk) held <= reset ? {COUNT{1'b0}} : held_now - freed;
    wire complete, tag, image_ends;
    synq_fifo #(.WIDTH(1), .ADDRESS($clog2(ROWS + 1))) tags (
        .clk(clk), .reset(reset), .put(put & put_last), .data(put_tag), .valid(complete),
        .taken(image_ends), .word(tag)
    );
    wire unused_complete = complete;

    // ---- Stepping: the kernel's row, then its next one, then the next place, then the next row of places.
    localparam RUN = KERNEL_ACROSS * WORDS;  // beats of a kernel's row
    localparam RUN_BITS = RUN > 1 ? $clog2(RUN) : 1;
    localparam KERNEL_BITS = KERNEL_DOWN > 1 ? $clog2(KERNEL_DOWN) : 1;
    localparam ACROSS_BITS = ACROSS > 1 ? $clog2(ACROSS) : 1;
    localparam DOWN_BITS = DOWN > 1 ? $clog2(DOWN) : 1;
    localparam [RUN_BITS-1:0] RUN_END = RUN[RUN_BITS-1:0] - 1'b1;
    localparam [KERNEL_BITS-1:0] KERNEL_END = KERNEL_DOWN[KERNEL_BITS-1:0] - 1'b1;
    localparam [ACROSS_BITS-1:0] ACROSS_END = ACROSS[ACROSS_BITS-1:0] - 1'b1;
    localparam [DOWN_BITS-1:0] DOWN_END = DOWN[DOWN_BITS-1:0] - 1'b1;
    reg [RUN_BITS-1:0] step;
    reg [KERNEL_BITS-1:0] kernel_row;
    reg [ACROSS_BITS-1:0] column;
    reg [DOWN_BITS-1:0] row;
    wire issue;
    wire run_ends = step == RUN_END;
    wire place_ends = run_ends & kernel_row == KERNEL_END;
    wire row_of_places_ends = place_ends & column == ACROSS_END;
    wire ends = row_of_places_ends & row == DOWN_END;
    assign image_ends = issue & ends;
    always @(posedge clk) begin
        if (reset) begin
            step <= {RUN_BITS{1'b0}};
            kernel_row <= {KERNEL_BITS{1'b0}};
            column <= {ACROSS_BITS{1'b0}};
            row <= {DOWN_BITS{1'b0}};
        end else if (issue) begin
            step <= run_ends ? {RUN_BITS{1'b0}} : step + 1'b1;
            if (run_ends) kernel_row <= place_ends ? {KERNEL_BITS{1'b0}} : kernel_row + 1'b1;
            if (place_ends) column <= row_of_places_ends ? {ACROSS_BITS{1'b0}} : column + 1'b1;
            if (row_of_places_ends) row <= ends ? {DOWN_BITS{1'b0}} : row + 1'b1;
        end
    end

    // Addresses go round; those of zeros beside the image are of other values, which are not used.
    localparam BEGIN_AT = (SIZE * (KERNEL_DOWN + KERNEL_ACROSS) - PAD_TOP * LINE - PAD_LEFT * WORDS) % SIZE;
    localparam NEXT_PLACE = (STRIDE_ACROSS * WORDS) % SIZE;
    localparam NEXT_ROW = (STRIDE_DOWN * LINE) % SIZE;
    localparam NEXT_IMAGE = (HEIGHT * LINE + SIZE * DOWN * STRIDE_DOWN - (DOWN - 1) * NEXT_ROW) % SIZE;
    localparam [ADDRESS:0] SIZE_WIDE = SIZE[ADDRESS:0];
    reg [ADDRESS-1:0] at, line_at, place_at, row_at;
    reg [ADDRESS-1:0] from, by;
    always @* begin
        if (row_of_places_ends) begin
            from = row_at;
            by = ends ? NEXT_IMAGE[ADDRESS-1:0] : NEXT_ROW[ADDRESS-1:0];
        end else if (place_ends) begin
            from = place_at;
            by = NEXT_PLACE[ADDRESS-1:0];
        end else if (run_ends) begin
            from = line_at;
            by = LINE[ADDRESS-1:0];
        end else begin
            from = at;
            by = {{ADDRESS - 1{1'b0}}, 1'b1};
        end
    end
    wire [ADDRESS:0] beyond = {1'b0, from} + {1'b0, by};
    wire [ADDRESS:0] wrapped = beyond - SIZE_WIDE;
    wire [ADDRESS-1:0] next = wrapped[ADDRESS] ? beyond[ADDRESS-1:0] : wrapped[ADDRESS-1:0];
    always @(posedge clk) begin
        if (reset) begin
            at <= BEGIN_AT[ADDRESS-1:0];
            line_at <= BEGIN_AT[ADDRESS-1:0];
            place_at <= BEGIN_AT[ADDRESS-1:0];
            row_at <= BEGIN_AT[ADDRESS-1:0];
        end else if (issue) begin
            at <= next;
            if (run_ends) line_at <= next;
            if (place_ends) place_at <= next;
            if (row_of_places_ends) row_at <= next;
        end
    end

    // ---- Which rows a row of places needs, and which are free after it; what lies beside the image.
    localparam SIGNED_BITS = $clog2(HEIGHT + 2 * KERNEL_DOWN + STRIDE_DOWN) + 2;
    localparam signed [SIGNED_BITS-1:0] TOP = -PAD_TOP;
    localparam signed [SIGNED_BITS-1:0] STRIDE = STRIDE_DOWN;
    // Rows between two kernels are waited for as well: then they can be freed.
    localparam signed [SIGNED_BITS-1:0] REACH = KERNEL_DOWN > STRIDE_DOWN ? KERNEL_DOWN : STRIDE_DOWN;
    localparam signed [SIGNED_BITS-1:0] BOTTOM = HEIGHT;
    reg signed [SIGNED_BITS-1:0] top;  // of the image's rows, what the places' first row is
    wire signed [SIGNED_BITS-1:0] next_top = top + STRIDE;
    wire signed [SIGNED_BITS-1:0] end_row = top + REACH;
    wire signed [SIGNED_BITS-1:0] free_before = top[SIGNED_BITS-1] ? {SIGNED_BITS{1'b0}} : top;
    wire signed [SIGNED_BITS-1:0] free_after =
        row == DOWN_END ? BOTTOM : next_top[SIGNED_BITS-1] ? {SIGNED_BITS{1'b0}} : next_top;
    wire signed [SIGNED_BITS-1:0] needed =
        row == DOWN_END || end_row > BOTTOM ? BOTTOM - free_before : end_row - free_before;
    wire signed [SIGNED_BITS-1:0] freed_wide = free_after - free_before;
    wire unused_freed = &{1'b0, freed_wide};
    assign freed = issue & row_of_places_ends ? freed_wide[COUNT-1:0] : {COUNT{1'b0}};
    wire enough = $signed({{SIGNED_BITS{1'b0}}, held}) >= $signed({{COUNT{needed[SIGNED_BITS-1]}}, needed});
    always @(posedge clk)
        if (reset) top <= TOP;
        else if (issue & row_of_places_ends) top <= ends ? TOP : next_top;

    wire in_image;
    generate
        if (PAD_TOP > 0 || PAD_LEFT > 0 || (DOWN - 1) * STRIDE_DOWN + KERNEL_DOWN > PAD_TOP + HEIGHT
            || (ACROSS - 1) * STRIDE_ACROSS + KERNEL_ACROSS > PAD_LEFT + WIDTH) begin : g_padded
            localparam BESIDE_BITS = $clog2(LINE + 2 * RUN + STRIDE_ACROSS * WORDS) + 2;
            localparam LEFT_WORDS = PAD_LEFT * WORDS, STRIDE_WORDS = STRIDE_ACROSS * WORDS;
            localparam signed [BESIDE_BITS-1:0] LEFT = -LEFT_WORDS;
            localparam signed [BESIDE_BITS-1:0] STEP = STRIDE_WORDS;
            localparam signed [BESIDE_BITS-1:0] RIGHT = LINE;
            reg signed [BESIDE_BITS-1:0] left;
            wire signed [BESIDE_BITS-1:0] x = left + $signed({{BESIDE_BITS - RUN_BITS{1'b0}}, step});
            wire signed [SIGNED_BITS-1:0] y = top + $signed({{SIGNED_BITS - KERNEL_BITS{1'b0}}, kernel_row});
            assign in_image = ~x[BESIDE_BITS-1] & x < RIGHT & ~y[SIGNED_BITS-1] & y < BOTTOM;
            always @(posedge clk)
                if (reset) left <= LEFT;
                else if (issue & place_ends) left <= row_of_places_ends ? LEFT : left + STEP;
        end else begin : g_not_padded
            assign in_image = 1'b1;
        end
    endgenerate

    // ---- Reading: a beat takes two cycles to the queue, which has a place for all that are on their way.
    localparam WAITING = 3;
    reg [WAITING:0] open;  // on their way or in the queue
    wire taken = out_valid & out_ready;
    assign issue = enough & ~open[WAITING];
    always @(posedge clk)
        if (reset) open <= {WAITING + 1{1'b0}};
        else open <= open + {{WAITING{1'b0}}, issue} - {{WAITING{1'b0}}, taken};
    wire [LANES*X_BITS-1:0] fetched;
    synq_lines #(.WIDTH(LANES * X_BITS), .DEPTH(SIZE), .BLOCK(BLOCK)) lines (
        .clk(clk), .write(put), .write_address(write_address), .data(put_beat), .read(1'b1),
        .read_address(at), .fetched(fetched)
    );
    reg [1:0] valid_at, last_at;
    reg in_image_then;
    reg [LANES*X_BITS-1:0] beat;
    always @(posedge clk) begin
        valid_at <= reset ? 2'd0 : {valid_at[0], issue};
        last_at <= {last_at[0], ends & tag};
        in_image_then <= in_image;
        beat <= fetched & {LANES * X_BITS{in_image_then}};
    end
    synq_fifo #(.WIDTH(LANES * X_BITS + 1), .ADDRESS(WAITING)) queue (
        .clk(clk), .reset(reset), .put(valid_at[1]), .data({last_at[1], beat}), .valid(out_valid),
        .taken(out_ready), .word({out_last, out_data})
    );
endmodule
`default_nettype wire
