// Array @{index}@: @{n_in}@ inputs, @{n_out}@ outputs, unrolled: an image a cycle.
@% if flows_in or flows_out %@
//
// Nothing waits between unrolled arrays, so `ready` says something else there: that an image has left
// the last of them. The first one admits as many as the last one can hold.
@% endif %@
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
    wire left;
@% if flows_in %@
    wire [@{n_in * x_bits - 1}@:0] image = in_data;
    wire [@{depth}@:0] valid, tag;
    assign valid[0] = in_valid;
    assign tag[0] = in_last;
    assign in_ready = left;
@% else %@
    wire room, closing, put, put_last, put_tag;
    wire [@{beat_index - 1}@:0] put_index;
    wire [@{in_lanes * x_bits - 1}@:0] put_beat;
    synq_intake #(
        .X_BITS(@{x_bits}@), .LANES(@{in_lanes}@), .BEATS(@{beats}@), .INDEX(@{beat_index}@),
        .LAST_LANES(@{last_lanes}@)
    ) intake (
        .clk(clk), .reset(reset), .beat_valid(in_valid), .beat_ready(in_ready), .beat(in_data),
        .beat_last(in_last), .room(room), .closing(closing), .put(put), .put_last(put_last),
        .put_tag(put_tag), .put_index(put_index), .put_beat(put_beat)
    );
    wire [@{depth}@:0] valid, tag;
    wire [@{beats * in_lanes * x_bits - 1}@:0] image;
    synq_collect #(.WIDTH(@{in_lanes * x_bits}@), .BEATS(@{beats}@), .ADDRESS(@{address}@)) collect (
        .clk(clk), .reset(reset), .room(room), .closing(closing), .left(left), .put(put),
        .put_last(put_last), .put_tag(put_tag), .put_beat(put_beat), .valid(valid[0]), .tag(tag[0]),
        .image(image)
    );
    wire unused_index = &{1'b0, put_index};
@% endif %@

    // ---- The outputs; all of them @{depth}@ cycles after the image.
    reg [@{depth - 1}@:0] valid_later, tag_later;
    assign valid[@{depth}@:1] = valid_later;
    assign tag[@{depth}@:1] = tag_later;
    always @(posedge clk) begin
        valid_later <= reset ? @{depth}@'d0 : valid[@{depth - 1}@:0];
        tag_later <= tag[@{depth - 1}@:0];
    end
    wire [@{n_out * value_bits - 1}@:0] values;
@% if not last %@
`ifdef SYNQ_MONITOR
    wire [@{n_out * acc_bits - 1}@:0] sums;
`endif
@% endif %@
@% for neuron in neurons %@
@% set j = loop.index0 %@
    wire [@{value_bits - 1}@:0] value_@{j}@;
@% if not last %@
`ifdef SYNQ_MONITOR
    wire [@{acc_bits - 1}@:0] sum_@{j}@;
`endif
@% endif %@
    synq_neuron_@{index}@_@{j}@ neuron_@{j}@ (
        .clk(clk),
@% if neuron.inputs %@
        .x(@{x_of(neuron) | indent(8)}@),
@% endif %@
@% if not last %@
`ifdef SYNQ_MONITOR
        .exact(sum_@{j}@),
`endif
@% endif %@
        .value(value_@{j}@)
    );
    synq_delay #(.WIDTH(@{value_bits}@), .CYCLES(@{sum_depth - neuron.depth}@)) later_@{j}@ (
        .clk(clk), .data(value_@{j}@), .delayed(values[@{j * value_bits}@+:@{value_bits}@])
    );
@% if not last %@
`ifdef SYNQ_MONITOR
    synq_delay #(.WIDTH(@{acc_bits}@), .CYCLES(@{sum_depth - neuron.depth}@)) later_sum_@{j}@ (
        .clk(clk), .data(sum_@{j}@), .delayed(sums[@{j * acc_bits}@+:@{acc_bits}@])
    );
`endif
@% endif %@
@% endfor %@
    wire unused_image = &{1'b0, image};

@% if flows_out %@
    assign out_valid = valid[@{depth}@];
    assign out_data = values;
    assign out_last = tag[@{depth}@];
    assign left = out_ready;
@% elif wide %@
    synq_answer #(
        .N_OUT(@{n_out}@), .ACC_BITS(@{acc_bits}@), .INDEX(@{class_index}@), .LEVELS(@{class_levels}@),
        .ADDRESS(@{address}@)
    ) answer (
        .clk(clk), .reset(reset), .sums_valid(valid[@{depth}@]), .sums_tag(tag[@{depth}@]), .sums(values),
        .valid(out_valid), .ready(out_ready), .data(out_data), .last(out_last)
    );
    assign left = out_valid & out_ready;
@% else %@
    // ---- A queue for all images under way, emptied @{out_lanes}@ values a cycle.
    wire held, held_tag, free;
    wire [@{n_out * value_bits - 1}@:0] held_values;
    reg busy;
    assign left = held & (~busy | free);
    always @(posedge clk) busy <= ~reset & (left | (busy & ~free));
    synq_fifo #(.WIDTH(@{n_out * value_bits + 1}@), .ADDRESS(@{address}@)) queue (
        .clk(clk), .reset(reset), .put(valid[@{depth}@]), .data({tag[@{depth}@], values}), .valid(held),
        .taken(left), .word({held_tag, held_values})
    );
@% if last %@
    wire sums_valid, sums_taken, sums_last, sums_tag;
    wire [@{out_lanes * value_bits - 1}@:0] some_sums;
@% else %@
    wire beat_last, beat_tag;
    assign out_last = beat_last & beat_tag;
@% endif %@
    synq_unload #(
        .N_OUT(@{n_out}@), .ACC_BITS(@{value_bits}@), .LANES(@{out_lanes}@), .BEATS(@{out_beats}@),
        .INDEX(@{out_index}@), .BUFFER(0)
    ) unload (
        .clk(clk), .reset(reset), .done(left), .done_tag(held_tag), .sums(held_values), .free(free),
@% if last %@
        .valid(sums_valid), .taken(sums_taken), .last(sums_last), .tag(sums_tag), .beat(some_sums)
    );
    synq_result #(
        .N_OUT(@{n_out}@), .ACC_BITS(@{acc_bits}@), .CLASS_BITS(@{class_bits}@)
    ) result (
        .clk(clk), .reset(reset), .sums_valid(sums_valid), .sums_taken(sums_taken), .sums(some_sums),
        .sums_last(sums_last), .sums_tag(sums_tag), .out_valid(out_valid), .out_ready(out_ready),
        .out_data(out_data), .out_last(out_last)
    );
@% else %@
        .valid(out_valid), .taken(out_ready), .last(beat_last), .tag(beat_tag), .beat(out_data)
    );
@% endif %@
@% endif %@

`ifdef SYNQ_MONITOR
    synq_monitor #(
        .COUNT(@{n_out}@), .BITS(@{acc_bits}@), .IS_SIGNED(1), .FILE("array_@{index}@.txt")
    ) sums_monitor (
        .clk(clk), .reset(reset), .valid(valid[@{sum_depth}@]), .values(@{"values" if last else "sums"}@)
    );
@% if not last %@
    synq_monitor #(
        .COUNT(@{n_out}@), .BITS(@{value_bits}@), .FILE("activation_@{index}@.txt")
    ) values_monitor (
        .clk(clk), .reset(reset), .valid(valid[@{depth}@]), .values(values)
    );
@% endif %@
`endif
endmodule
