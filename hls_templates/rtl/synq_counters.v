// COUNT counters of six bits each: how many of them are set, in three bits.
//
// Each bit of a count is a function of six inputs, one look-up table; three tables take three bits
// off a sum (a 6:3 counter). All counters are one vector: that is faster to simulate and synthesize.
`default_nettype none
module synq_counters #(
    parameter COUNT = 1
) (
    input wire [6*COUNT-1:0] bits,     // each counter's first bit, then each one's second ...
    output wire [3*COUNT-1:0] counts   // likewise, the lowest bits first
);
    /* verilator no_inline_module */  // there are hundreds: or the C++ would take minutes to compile
    wire [COUNT-1:0] a, b, c, d, e, f;
    assign {f, e, d, c, b, a} = bits;
    wire [COUNT-1:0] low = a ^ b ^ c;
    wire [COUNT-1:0] high = d ^ e ^ f;
    wire [COUNT-1:0] low_carry = (a & b) | (c & (a ^ b));
    wire [COUNT-1:0] high_carry = (d & e) | (f & (d ^ e));
    wire [COUNT-1:0] carry = low & high;
    assign counts[0+:COUNT] = low ^ high;
    assign counts[COUNT+:COUNT] = low_carry ^ high_carry ^ carry;
    assign counts[2*COUNT+:COUNT] = (low_carry & high_carry) | (carry & (low_carry ^ high_carry));
endmodule
`default_nettype wire
