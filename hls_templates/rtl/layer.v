@% set arriving, stored, sums = layer.arriving, layer.stored, layer.sums %@
@% set rows, memory, synapses = layer.rows, layer.memory, layer.synapses %@
@% set requantization, parts, converters = layer.requantization, layer.parts, layer.converters %@
// Array @{layer.index}@: @{layer.title}@.
`default_nettype none
(* keep_hierarchy = 1 *)
module synq_layer_@{layer.index}@ (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [@{arriving.beat_bits - 1}@:0] in_data,
    input wire in_last,
    output wire out_valid,
    input wire out_ready,
    output wire [@{layer.out_bits - 1}@:0] out_data,
    output wire out_last@% if reload %@,
    output wire image_taken,
    input wire set,
    input wire write,
    input wire [@{reload.address - 1}@:0] write_address,
    input wire [63:0] write_word,
    input wire [7:0] to_array,
    input wire [7:0] to_slice,
    input wire [15:0] to_bank@% endif +%@
);
@% if reload %@
    // What a write goes to, a cycle before it.
    reg to_this;
    reg [15:0] to_part;
    always @(posedge clk) begin
        to_this <= to_array == 8'd@{layer.index}@;
        to_part <= to_bank;
    end
    wire unused_write = &{1'b0, to_this, to_part, write_address, write_word};
@% endif %@
@% if arriving.lanes > stored.lanes %@
    wire pixel_valid, pixel_ready, pixel_last;
    wire [@{arriving.bits - 1}@:0] pixel;
    synq_gearbox #(
        .X_BITS(@{arriving.bits}@), .LANES(@{arriving.lanes}@), .PIXELS(@{arriving.values}@)
    ) gearbox (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .in_last(in_last), .out_valid(pixel_valid), .out_ready(pixel_ready), .out_data(pixel),
        .out_last(pixel_last)
    );
@% endif %@
    wire room, closing, put, put_last, put_tag;
    wire [@{stored.index_bits - 1}@:0] put_index;
    wire [@{stored.beat_bits - 1}@:0] put_beat;
    synq_intake #(
        .X_BITS(@{arriving.bits}@), .LANES(@{stored.lanes}@), .PIXELS(@{stored.values}@)
    ) intake (
@% if arriving.lanes > stored.lanes %@
        .clk(clk), .reset(reset), .beat_valid(pixel_valid), .beat_ready(pixel_ready), .beat(pixel),
        .beat_last(pixel_last),
@% else %@
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last),
@% endif %@
        .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );

@% if reload %@
    assign image_taken = closing;
@% endif %@
    wire ready, start, advance, hold, empty, tag;
    wire [@{rows.banks * arriving.bits - 1}@:0] x;
    wire [@{rows.banks * memory.address - 1}@:0] row;
    @{rows.module}@ #(
        .X_BITS(@{arriving.bits}@), .X_SIGNED(@{layer.x_signed}@), .PIXELS(@{stored.values}@), .LANES(@{stored.lanes}@), .BANKS(@{rows.banks}@),
@% if rows.module == "synq_rows_dense" %@
        .SKIP(@{rows.skip}@), .BLOCK(@{rows.block}@),
@% endif %@
@% if converters %@
        .TILE_ROWS(@{converters.tile_rows}@),
@% endif %@
        .FETCH(@{pipeline.FETCH}@), .ADDRESS(@{memory.address}@), .BIAS(@{rows.bias}@), .BIAS_INPUT(@{rows.bias_input}@)
    ) rows (
        .clk(clk), .reset(reset), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat), .ready(ready), .start(start),
        .advance(advance), .hold(hold), .empty(empty), .tag(tag), .x(x), .address(row)
    );

    wire [@{rows.banks * memory.address - 1}@:0] address;
    wire [@{memory.widths | sum - 1}@:0] codes;
@% for bank in range(rows.banks) %@
@% if reload %@
    reg [@{memory.slices(bank) - 1}@:0] to_codes_@{bank}@;
    always @(posedge clk)
        to_codes_@{bank}@ <= {
@% for slice in range(memory.slices(bank)) | reverse %@
            to_array == 8'd@{layer.index}@ & to_bank == 16'd@{bank}@ & to_slice == 8'd@{slice}@@{"" if loop.last else ","}@
@% endfor %@
        };
    synq_code_sets #(
        .WIDTH(@{memory.widths[bank]}@), .ADDRESS(@{memory.address}@), .READ(@{pipeline.READ}@), .FILE("@{memory.files[bank]}@")
    ) codes_@{bank}@ (
        .clk(clk), .set(set), .address(address[@{bank * memory.address}@+:@{memory.address}@]),
        .word(codes[@{memory.offset(bank)}@+:@{memory.widths[bank]}@]),
        .write(to_codes_@{bank}@ & {@{memory.slices(bank)}@{write}}), .write_address(write_address[@{memory.address - 1}@:0]),
        .write_slice(write_word)
    );
@% else %@
    synq_rom #(
        .WIDTH(@{memory.widths[bank]}@), .ADDRESS(@{memory.address}@), .BLOCK(@{memory.block}@),
        .READ(@{pipeline.READ}@), .FILE("@{memory.files[bank]}@")
    ) codes_@{bank}@ (
        .clk(clk), .address(address[@{bank * memory.address}@+:@{memory.address}@]),
        .word(codes[@{memory.offset(bank)}@+:@{memory.widths[bank]}@])
    );
@% endif %@
@% endfor %@

    wire sums_valid, sums_taken, sums_last, sums_tag;
    wire [@{sums.beat_bits - 1}@:0] some_sums;
@% set handed = "parts" if converters else "sums" %@
@% if converters %@
    wire parts_valid, parts_taken, parts_last, parts_tag;
    wire [@{parts.beat_bits - 1}@:0] some_parts;
    synq_converters #(
        .PART_BITS(@{parts.bits}@), .N_OUT(@{sums.values}@), .LANES(@{sums.lanes}@),
        .TILES(@{converters.tiles}@), .SHIFT(@{converters.shift}@), .BITS(@{converters.bits}@), .SUM_BITS(@{sums.bits}@)@% if converters.noise %@,
        .NOISE_BITS(@{converters.noise_bits}@), .REVERSED(@{converters.reversed}@), .NOISE_FACTOR(@{converters.noise.factor}@),
        .NOISE_SHIFT(@{converters.noise.shift}@), .NOISE_KEYS(192'h@{converters.noise_keys}@)@% endif +%@
    ) converters (
        .clk(clk), .reset(reset), .parts_valid(parts_valid), .parts_taken(parts_taken), .parts_last(parts_last),
        .parts_tag(parts_tag), .parts(some_parts), .sums_valid(sums_valid), .sums_taken(sums_taken),
        .sums_last(sums_last), .sums_tag(sums_tag), .sums(some_sums)
    );
@% endif %@
@% if synapses.decoded_rows %@
    wire free, done, done_tag;
    wire [@{parts.values * parts.bits - 1}@:0] sums;
@% else %@
    wire [@{synapses.weighed_bits - 1}@:0] weighed;
    wire signed [@{synapses.value_bits - 1}@:0] value;
@% if reload %@
    synq_value_sets #(
        .WIDTH(@{synapses.value_bits}@), .COUNT(@{synapses.levels}@), .VALUES(@{synapses.values}@)
    ) level_values (
        .clk(clk), .set(set), .index(weighed), .value(value),
        .write(write & to_this & to_part == 16'd@{rows.banks}@), .write_index(write_address[@{synapses.weighed_bits - 1}@:0]),
        .write_value(write_word[@{synapses.value_bits - 1}@:0])
    );
@% else %@
    localparam [@{synapses.levels * synapses.value_bits - 1}@:0] VALUES = @{synapses.values}@;
    assign value = VALUES[weighed*@{synapses.value_bits}@+:@{synapses.value_bits}@];
@% endif %@
@% endif %@
    @{synapses.module}@ #(
        .N_OUT(@{sums.values}@), .X_BITS(@{arriving.bits}@), .X_SIGNED(@{layer.x_signed}@), .BANKS(@{synapses.bucket_rows}@),
@% if synapses.decoded_rows %@
        .DECODED(@{synapses.decoded_rows}@), .VALUE_BITS(@{synapses.value_bits}@),
        .DIRECT(@{synapses.direct}@)@% if not synapses.direct %@, .VALUES(@{synapses.values}@)@% endif %@,
        .IMAGES(@{synapses.images}@), .WEIGH(@{pipeline.WEIGH}@),
@% else %@
        .VALUE_BITS(@{synapses.value_bits}@), .GROUPS(@{sums.lanes}@),
@% endif %@
        .LEVELS(@{synapses.levels}@), .WORDS(@{rows.words}@), .ADDRESS(@{memory.address}@), .TOTAL_BITS(@{synapses.total_bits}@),
        .CODE_BITS(@{synapses.code_bits}@), .ACC_BITS(@{parts.bits}@),
        .FETCH(@{pipeline.FETCH}@), .READ(@{pipeline.READ}@)
    ) array (
        .clk(clk), .reset(reset), .ready(ready), .start(start), .advance(advance), .hold(hold),
        .empty(empty), .tag(tag), .x(x), .row(row), .address(address), .codes(codes),
@% if synapses.decoded_rows %@
        .free(free), .done(done), .done_tag(done_tag), .sums(sums)
    );

    synq_unload #(
        .N_OUT(@{sums.values}@), .ACC_BITS(@{parts.bits}@), .LANES(@{sums.lanes}@),
        .BUFFER(@{synapses.images - 1}@), .KEEP(@{synapses.keeps}@)
    ) unload (
        .clk(clk), .reset(reset), .done(done), .done_tag(done_tag), .sums(sums), .free(free),
        .valid(@{handed}@_valid), .taken(@{handed}@_taken), .last(@{handed}@_last), .tag(@{handed}@_tag), .beat(some_@{handed}@)
    );
@% else %@
        .weighed(weighed), .value(value),
        .valid(@{handed}@_valid), .taken(@{handed}@_taken), .last(@{handed}@_last), .sums_tag(@{handed}@_tag), .sums(some_@{handed}@)
    );
@% endif %@
@% if not requantization %@
    synq_result #(
        .N_OUT(@{sums.values}@), .ACC_BITS(@{sums.bits}@)
    ) result (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums(some_sums),
        .sums_last(sums_last), .sums_tag(sums_tag), .out_valid(out_valid), .out_ready(out_ready),
        .out_data(out_data), .out_last(out_last)
    );
@% else %@
@% set made = "pooled" if layer.pool else "sums" %@
@% if layer.pool %@
    wire pooled_valid, pooled_taken, pooled_last, pooled_tag;
    wire [@{sums.lanes * layer.pool.out_bits - 1}@:0] some_pooled;
    synq_pool #(
@% for name, value in layer.pool.parameters.items() %@
        .@{name}@(@{value}@)@{"" if loop.last else ","}@
@% endfor %@
    ) pool (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums_last(sums_last),
        .sums_tag(sums_tag), .sums(some_sums), .valid(pooled_valid), .taken(pooled_taken), .last(pooled_last),
        .tag(pooled_tag), .pooled(some_pooled)
    );
@% endif %@
@% if reload %@
    wire [@{reload.less_bits - 1}@:0] less;
    synq_value_sets #(
        .WIDTH(@{reload.less_bits}@), .COUNT(1), .VALUES(@{reload.less_bits}@'d@{requantization.less}@)
    ) shift (
        .clk(clk), .set(set), .index(1'b0), .value(less), .write(write & to_this & to_part == 16'd@{rows.banks + 1}@),
        .write_index(1'b0), .write_value(write_word[@{reload.less_bits - 1}@:0])
    );
@% endif %@
    synq_activation #(
        .ACC_BITS(@{layer.pool.out_bits if layer.pool else sums.bits}@), .LANES(@{sums.lanes}@), .OUT_BITS(@{requantization.bits}@), .SHIFT(@{requantization.shift}@)@% if reload %@, .LESS_BITS(@{reload.less_bits}@)@% endif %@,
        .ROUND(@{requantization.rounding}@), .SATURATE(@{requantization.saturate}@)
    ) activation (
        .clk(clk), .reset(reset), .sums_valid(@{made}@_valid), .sums_taken(@{made}@_taken), .sums(some_@{made}@),
        .sums_last(@{made}@_last), .sums_tag(@{made}@_tag), .less(@{"less" if reload else "1'b0"}@), .valid(out_valid), .ready(out_ready),
        .last(out_last), .values(out_data)
    );
@% endif %@

`ifdef SYNQ_MONITOR
    synq_monitor #(
        .COUNT(@{sums.lanes}@), .BITS(@{sums.bits}@), .IS_SIGNED(1), .FILE("array_@{layer.index}@.txt")
    ) sums_monitor (
        .clk(clk), .reset(reset), .valid(sums_valid & sums_taken), .values(some_sums)
    );
@% if requantization %@
    synq_monitor #(
        .COUNT(@{sums.lanes}@), .BITS(@{requantization.bits}@), .FILE("activation_@{layer.index}@.txt")
    ) values_monitor (
        .clk(clk), .reset(reset), .valid(out_valid & out_ready), .values(out_data)
    );
@% endif %@
`endif
endmodule
`default_nettype wire
