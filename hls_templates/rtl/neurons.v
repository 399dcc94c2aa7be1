// The outputs of array @{index}@, each a pipeline. See synq_counters, synq_adder and synq_table.
@% for neuron in neurons %@
module synq_neuron_@{index}@_@{loop.index0}@ (
    input wire clk,
@% if neuron.inputs %@
    input wire [@{neuron.inputs | length - 1}@:0] x,
@% endif %@
@% if activation %@
`ifdef SYNQ_MONITOR
    output wire [@{acc_bits - 1}@:0] exact,
`endif
    output wire [@{activation.width - 1}@:0] value
@% else %@
    output wire [@{acc_bits - 1}@:0] value
@% endif %@
);
@{neuron.body | indent(4, true)}@
@% if activation %@
    synq_round #(
        .BITS(@{neuron.width}@), .OUT_BITS(@{activation.width}@), .SHIFT(@{shift}@), .TIES_TO_EVEN(@{ties_to_even}@),
        .SATURATE(@{saturate}@)
    ) rounding (.clk(clk), .sum(sum), .value(value));
`ifdef SYNQ_MONITOR
    wire [@{neuron.width}@:0] whole = {sum[@{neuron.width - 1}@], sum} - @{neuron.width + 1}@'d@{neuron.offset}@;
    assign exact = @{resized("whole", neuron.width + 1, acc_bits)}@;
`endif
@% else %@
    assign value = @{resized("sum", neuron.width, acc_bits)}@;
@% endif %@
endmodule
@% endfor %@
