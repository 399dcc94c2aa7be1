// Output @{neuron.number}@ of array @{neuron.index}@, a pipeline. See synq_counters, synq_adder and synq_table.
//
// Kept apart: across outputs, synthesis would share what vanishes in each one's carry chains, which
// then takes look-up tables of its own.
`default_nettype none
(* keep_hierarchy = 1 *)
module @{neuron.name}@ (
    input wire clk,
@% if neuron.n_inputs %@
    input wire [@{neuron.n_inputs - 1}@:0] x,
@% endif %@
@% if neuron.requantization %@
`ifdef SYNQ_MONITOR
    output wire [@{neuron.acc_bits - 1}@:0] exact,
`endif
    output wire [@{neuron.requantization.bits - 1}@:0] value
@% else %@
    output wire [@{neuron.acc_bits - 1}@:0] value
@% endif %@
);
@{neuron.body | indent(4, true)}@
@% if neuron.requantization %@
    synq_round #(
        .BITS(@{neuron.sum_bits}@), .OUT_BITS(@{neuron.requantization.bits}@), .SHIFT(@{neuron.requantization.shift}@),
        .TIES_TO_EVEN(@{neuron.requantization.ties_to_even}@), .SATURATE(@{neuron.requantization.saturate}@)
    ) rounding (.clk(clk), .sum(sum), .value(value));
`ifdef SYNQ_MONITOR
    wire [@{neuron.sum_bits}@:0] whole = {sum[@{neuron.sum_bits - 1}@], sum} - @{neuron.sum_bits + 1}@'d@{neuron.offset}@;
    assign exact = @{neuron.whole}@;
`endif
@% else %@
    assign value = @{neuron.sum}@;
@% endif %@
endmodule
`default_nettype wire
