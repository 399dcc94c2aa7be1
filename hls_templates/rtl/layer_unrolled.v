@% set arriving, sums = layer.arriving, layer.sums %@
// Array @{layer.index}@: @{arriving.values}@ inputs, @{sums.values}@ outputs, unrolled: an image a cycle.
@% if layer.flows_in or layer.flows_out %@
//
// Nothing waits between unrolled arrays: the first one admits as many images as the last one can hold,
// which tells by `left` that one has gone.
@% endif %@
`default_nettype none
(* keep_hierarchy = 1 *)
module synq_layer_@{layer.index}@ (
    input wire clk,
    input wire reset,
    input wire in_valid,
@% if layer.flows_in %@
    output wire in_left,
@% else %@
    output wire in_ready,
@% endif %@
    input wire [@{arriving.beat_bits - 1}@:0] in_data,
    input wire in_last,
    output wire out_valid,
@% if layer.flows_out %@
    input wire out_left,
@% else %@
    input wire out_ready,
@% endif %@
    output wire [@{layer.out_bits - 1}@:0] out_data,
    output wire out_last
);
    wire left;
@% if layer.flows_in %@
    wire [@{arriving.values * arriving.bits - 1}@:0] image = in_data;
    wire [@{layer.depth}@:0] valid, tag;
    assign valid[0] = in_valid;
    assign tag[0] = in_last;
    assign in_left = left;
@% else %@
    wire room, closing, put, put_last, put_tag;
    wire [@{arriving.index_bits - 1}@:0] put_index;
    wire [@{arriving.beat_bits - 1}@:0] put_beat;
    synq_intake #(
        .X_BITS(@{arriving.bits}@), .LANES(@{arriving.lanes}@), .PIXELS(@{arriving.values}@)
    ) intake (
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );
    wire [@{layer.depth}@:0] valid, tag;
    wire [@{arriving.beats * arriving.beat_bits - 1}@:0] image;
    synq_collect #(.WIDTH(@{arriving.beat_bits}@), .BEATS(@{arriving.beats}@), .ADDRESS(@{layer.address}@)) collect (
        .clk(clk), .reset(reset), .room(room), .closing(closing), .left(left), .put(put),
        .put_last(put_last), .put_tag(put_tag), .put_beat(put_beat), .valid(valid[0]), .tag(tag[0]),
        .image(image)
    );
    wire unused_index = &{1'b0, put_index};
@% endif %@

    // ---- The outputs; all of them @{layer.depth}@ cycles after the image.
    reg [@{layer.depth - 1}@:0] valid_later, tag_later;
    assign valid[@{layer.depth}@:1] = valid_later;
    assign tag[@{layer.depth}@:1] = tag_later;
    always @(posedge clk) begin
        valid_later <= reset ? @{layer.depth}@'d0 : valid[@{layer.depth - 1}@:0];
        tag_later <= tag[@{layer.depth - 1}@:0];
    end
    wire [@{sums.values * layer.value_bits - 1}@:0] values;
@% if layer.rounding %@
`ifdef SYNQ_MONITOR
    wire [@{sums.values * sums.bits - 1}@:0] sums;
`endif
@% endif %@
@% for neuron in layer.neurons %@
@% set j = neuron.number %@
    wire [@{layer.value_bits - 1}@:0] value_@{j}@;
@% if layer.rounding %@
`ifdef SYNQ_MONITOR
    wire [@{sums.bits - 1}@:0] sum_@{j}@;
`endif
@% endif %@
    synq_neuron_@{layer.index}@_@{j}@ neuron_@{j}@ (
        .clk(clk),
@% if neuron.n_inputs %@
        .x(@{neuron.x | indent(8)}@),
@% endif %@
@% if layer.rounding %@
`ifdef SYNQ_MONITOR
        .exact(sum_@{j}@),
`endif
@% endif %@
        .value(value_@{j}@)
    );
    synq_delay #(.WIDTH(@{layer.value_bits}@), .CYCLES(@{neuron.delay}@)) later_@{j}@ (
        .clk(clk), .data(value_@{j}@), .delayed(values[@{j * layer.value_bits}@+:@{layer.value_bits}@])
    );
@% if layer.rounding %@
`ifdef SYNQ_MONITOR
    synq_delay #(.WIDTH(@{sums.bits}@), .CYCLES(@{neuron.delay}@)) later_sum_@{j}@ (
        .clk(clk), .data(sum_@{j}@), .delayed(sums[@{j * sums.bits}@+:@{sums.bits}@])
    );
`endif
@% endif %@
@% endfor %@
    wire unused_image = &{1'b0, image};

@% if layer.flows_out %@
    assign out_valid = valid[@{layer.depth}@];
    assign out_data = values;
    assign out_last = tag[@{layer.depth}@];
    assign left = out_left;
@% elif layer.wide %@
    synq_answer #(
        .N_OUT(@{sums.values}@), .ACC_BITS(@{sums.bits}@), .ADDRESS(@{layer.address}@)
    ) answer (
        .clk(clk), .reset(reset), .sums_valid(valid[@{layer.depth}@]), .sums_tag(tag[@{layer.depth}@]), .sums(values),
        .valid(out_valid), .ready(out_ready), .data(out_data), .last(out_last)
    );
    assign left = out_valid & out_ready;
@% else %@
    // ---- A queue for all images under way, emptied @{sums.lanes}@ values a cycle.
    wire held, held_tag, free;
    wire [@{sums.values * layer.value_bits - 1}@:0] held_values;
    reg busy;
    assign left = held & (~busy | free);
    always @(posedge clk) busy <= ~reset & (left | (busy & ~free));
    synq_fifo #(.WIDTH(@{sums.values * layer.value_bits + 1}@), .ADDRESS(@{layer.address}@)) queue (
        .clk(clk), .reset(reset), .put(valid[@{layer.depth}@]), .data({tag[@{layer.depth}@], values}), .valid(held),
        .taken(left), .word({held_tag, held_values})
    );
@% if not layer.rounding %@
    wire sums_valid, sums_taken, sums_last, sums_tag;
    wire [@{sums.lanes * layer.value_bits - 1}@:0] some_sums;
@% else %@
    wire beat_last, beat_tag;
    assign out_last = beat_last & beat_tag;
@% endif %@
    synq_unload #(
        .N_OUT(@{sums.values}@), .ACC_BITS(@{layer.value_bits}@), .LANES(@{sums.lanes}@), .BUFFER(0)
    ) unload (
        .clk(clk), .reset(reset), .done(left), .done_tag(held_tag), .sums(held_values), .free(free),
@% if not layer.rounding %@
        .valid(sums_valid), .taken(sums_taken), .last(sums_last), .tag(sums_tag), .beat(some_sums)
    );
@% if layer.pool %@
@% set requantization = layer.requantization %@
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
    synq_activation #(
        .ACC_BITS(@{layer.pool.out_bits}@), .LANES(@{sums.lanes}@), .OUT_BITS(@{requantization.bits}@),
        .SHIFT(@{requantization.shift}@), .ROUND(@{requantization.rounding}@), .SATURATE(@{requantization.saturate}@)
    ) activation (
        .clk(clk), .reset(reset), .sums_valid(pooled_valid), .sums_taken(pooled_taken), .sums(some_pooled),
        .sums_last(pooled_last), .sums_tag(pooled_tag), .less(1'b0), .valid(out_valid), .ready(out_ready),
        .last(out_last), .values(out_data)
    );
@% else %@
    synq_result #(
        .N_OUT(@{sums.values}@), .ACC_BITS(@{sums.bits}@)
    ) result (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums(some_sums),
        .sums_last(sums_last), .sums_tag(sums_tag), .out_valid(out_valid), .out_ready(out_ready),
        .out_data(out_data), .out_last(out_last)
    );
@% endif %@
@% else %@
        .valid(out_valid), .taken(out_ready), .last(beat_last), .tag(beat_tag), .beat(out_data)
    );
@% endif %@
@% endif %@

`ifdef SYNQ_MONITOR
    synq_monitor #(
        .COUNT(@{sums.values}@), .BITS(@{sums.bits}@), .IS_SIGNED(1), .FILE("array_@{layer.index}@.txt")
    ) sums_monitor (
        .clk(clk), .reset(reset), .valid(valid[@{layer.sum_depth}@]), .values(@{"sums" if layer.rounding else "values"}@)
    );
@% if layer.pool %@
    synq_monitor #(
        .COUNT(@{sums.lanes}@), .BITS(@{layer.requantization.bits}@), .FILE("activation_@{layer.index}@.txt")
    ) values_monitor (
        .clk(clk), .reset(reset), .valid(out_valid & out_ready), .values(out_data)
    );
@% elif layer.rounding %@
    synq_monitor #(
        .COUNT(@{sums.values}@), .BITS(@{layer.value_bits}@), .FILE("activation_@{layer.index}@.txt")
    ) values_monitor (
        .clk(clk), .reset(reset), .valid(valid[@{layer.depth}@]), .values(values)
    );
@% endif %@
`endif
endmodule
`default_nettype wire
