// Array @{index}@: @{n_in}@ inputs, @{n_out}@ outputs, @{rows_text}@ a cycle.
(* keep_hierarchy = 1 *)
module synq_layer_@{index}@ (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [@{in_lanes * x_bits - 1}@:0] in_data,
    input wire in_last,
    output wire out_valid,
    input wire out_ready,
    output wire [@{out_bits - 1}@:0] out_data,
    output wire out_last
);
@% if in_lanes > lanes %@
    wire pixel_valid, pixel_ready, pixel_last;
    wire [@{x_bits - 1}@:0] pixel;
    synq_gearbox #(
        .X_BITS(@{x_bits}@), .LANES(@{in_lanes}@), .PIXELS(@{n_in}@), .COUNT(@{beat_index}@)
    ) gearbox (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .in_last(in_last), .out_valid(pixel_valid), .out_ready(pixel_ready), .out_data(pixel),
        .out_last(pixel_last)
    );
@% endif %@
    wire room, closing, put, put_last, put_tag;
    wire [@{beat_index - 1}@:0] put_index;
    wire [@{lanes * x_bits - 1}@:0] put_beat;
    synq_intake #(
        .X_BITS(@{x_bits}@), .LANES(@{lanes}@), .BEATS(@{beats}@), .INDEX(@{beat_index}@),
        .LAST_LANES(@{last_lanes}@)
    ) intake (
@% if in_lanes > lanes %@
        .clk(clk), .reset(reset), .beat_valid(pixel_valid), .beat_ready(pixel_ready), .beat(pixel),
        .beat_last(pixel_last),
@% else %@
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last),
@% endif %@
        .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );

    wire ready, start, advance, hold, empty, tag;
    wire [@{banks * x_bits - 1}@:0] x;
    wire [@{banks * address - 1}@:0] row;
    @{rows_module}@ #(
        .X_BITS(@{x_bits}@), .LANES(@{lanes}@), .INDEX(@{beat_index}@), .BANKS(@{banks}@),
@% if not event_driven %@
        .ROTATE(@{rotate}@), .WORDS(@{words}@), .FIRST_WORDS(@{first_words}@), .SKIP(@{skip}@),
        .BLOCK(@{block_inputs}@),
@% endif %@
        .GROUP(@{group}@), .ADDRESS(@{address}@), .BIAS(@{bias}@), .BIAS_BANK(@{bias_bank}@),
        .BIAS_WORD(@{bias_word}@), .BIAS_INPUT(@{bias_input}@)
    ) rows (
        .clk(clk), .reset(reset), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat), .ready(ready), .start(start),
        .advance(advance), .hold(hold), .empty(empty), .tag(tag), .x(x), .address(row)
    );

    wire [@{banks * address - 1}@:0] address;
    wire [@{banks * n_out * code_bits - 1}@:0] codes;
@% for bank in range(banks) %@
    synq_rom #(
        .WIDTH(@{n_out * code_bits}@), .DEPTH(@{depth}@), .ADDRESS(@{address}@), .BLOCK(@{block}@),
        .FILE("@{names[bank]}@")
    ) codes_@{bank}@ (
        .clk(clk), .address(address[@{bank * address}@+:@{address}@]),
        .word(codes[@{bank * n_out * code_bits}@+:@{n_out * code_bits}@])
    );
@% endfor %@

    wire sums_valid, sums_taken, sums_last, sums_tag;
    wire [@{out_lanes * acc_bits - 1}@:0] some_sums;
@% if decoded_rows %@
    wire free, done, done_tag;
    wire [@{n_out * acc_bits - 1}@:0] sums;
@% endif %@
    @{array_module}@ #(
        .N_OUT(@{n_out}@), .X_BITS(@{x_bits}@), .BANKS(@{bucket_rows}@),
@% if decoded_rows %@
        .DECODED(@{decoded_rows}@), .VALUE_BITS(@{value_bits}@), .VALUES(@{values}@),
        .IMAGES(@{images}@),
@% else %@
        .VALUE_BITS(@{value_bits}@), .VALUES(@{level_values}@), .GROUPS(@{groups}@),
@% endif %@
        .LEVELS(@{levels}@), .WORDS(@{words}@), .ADDRESS(@{address}@), .TOTAL_BITS(@{total_bits}@),
        .CODE_BITS(@{code_bits}@), .INDEX_BITS(@{index_bits}@), .ACC_BITS(@{acc_bits}@)
    ) array (
        .clk(clk), .reset(reset), .ready(ready), .start(start), .advance(advance), .hold(hold),
        .empty(empty), .tag(tag), .x(x), .row(row), .address(address), .codes(codes),
@% if decoded_rows %@
        .free(free), .done(done), .done_tag(done_tag), .sums(sums)
    );

    synq_unload #(
        .N_OUT(@{n_out}@), .ACC_BITS(@{acc_bits}@), .LANES(@{out_lanes}@), .BEATS(@{out_beats}@),
        .INDEX(@{out_index}@), .BUFFER(@{images - 1}@)
    ) unload (
        .clk(clk), .reset(reset), .done(done), .done_tag(done_tag), .sums(sums), .free(free),
        .valid(sums_valid), .taken(sums_taken), .last(sums_last), .tag(sums_tag), .beat(some_sums)
    );
@% else %@
        .valid(sums_valid), .taken(sums_taken), .last(sums_last), .sums_tag(sums_tag), .sums(some_sums)
    );
@% endif %@
@% if last %@
    synq_result #(
        .N_OUT(@{n_out}@), .ACC_BITS(@{acc_bits}@), .CLASS_BITS(@{class_bits}@)
    ) result (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums(some_sums),
        .sums_last(sums_last), .sums_tag(sums_tag), .out_valid(out_valid), .out_ready(out_ready),
        .out_data(out_data), .out_last(out_last)
    );
@% else %@
    synq_activation #(
        .ACC_BITS(@{acc_bits}@), .LANES(@{out_lanes}@), .OUT_BITS(@{activation.width}@), .SHIFT(@{shift}@),
        .ROUND(@{rounding}@), .SATURATE(@{saturate}@)
    ) activation (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums(some_sums),
        .sums_last(sums_last), .sums_tag(sums_tag), .valid(out_valid), .ready(out_ready),
        .last(out_last), .values(out_data)
    );
@% endif %@

`ifdef SYNQ_MONITOR
    synq_monitor #(
        .COUNT(@{out_lanes}@), .BITS(@{acc_bits}@), .IS_SIGNED(1), .FILE("array_@{index}@.txt")
    ) sums_monitor (
        .clk(clk), .reset(reset), .valid(sums_valid & sums_taken), .values(some_sums)
    );
@% if not last %@
    synq_monitor #(
        .COUNT(@{out_lanes}@), .BITS(@{activation.width}@), .FILE("activation_@{index}@.txt")
    ) values_monitor (
        .clk(clk), .reset(reset), .valid(out_valid & out_ready), .values(out_data)
    );
@% endif %@
`endif
endmodule
