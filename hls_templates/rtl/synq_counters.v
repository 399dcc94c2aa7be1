// COUNT counters of five bits each: how many of them are set, in three bits. With DOUBLED the last
// two count twice.
//
// An adder's look-up table in the carry chain takes six inputs: a bit as it is, and five of a count.
// So a count that is added to something costs nothing. All counters are one vector: that is faster to
// simulate and synthesize. Written as logic, since Yosys would make chains of its own of additions.
`default_nettype none
module synq_counters #(
    parameter COUNT = 1,
    parameter DOUBLED = 0
) (
    input wire [5*COUNT-1:0] bits,     // each counter's first bit, then each one's second ...
    output wire [3*COUNT-1:0] counts   // likewise, the lowest bits first
);
    generate  // rules of the parameters
        if (DOUBLED != 0 && DOUBLED != 2) begin : g_rule_1
            error_DOUBLED_is_0_or_2 error ();
        end
    endgenerate
    /* verilator no_inline_module */  // there are hundreds: or the C++ would take minutes to compile
    wire [COUNT-1:0] a, b, c, d, e;
    assign {e, d, c, b, a} = bits;
    wire [COUNT-1:0] low = a ^ b ^ c;
    wire [COUNT-1:0] carry = (a & b) | (c & (a ^ b));
    wire [COUNT-1:0] other = DOUBLED != 0 ? carry : low;  // what d and e weigh as much as
    wire [COUNT-1:0] total = other ^ d ^ e;
    wire [COUNT-1:0] over = (d & e) | (other & (d ^ e));
    assign counts[0+:COUNT] = DOUBLED != 0 ? low : total;
    assign counts[COUNT+:COUNT] = DOUBLED != 0 ? total : carry ^ over;
    assign counts[2*COUNT+:COUNT] = DOUBLED != 0 ? over : carry & over;
endmodule
`default_nettype wire
