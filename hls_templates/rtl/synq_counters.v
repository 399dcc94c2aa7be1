// COUNT counters of six bits each: how many of them are set, in three bits.
//
// Each bit of a count is a function of six inputs, one look-up table; three tables take three bits
// off a sum (a 6:3 counter).
module synq_counters #(
    parameter COUNT = 1
) (
    input wire [6*COUNT-1:0] bits,
    output wire [3*COUNT-1:0] counts
);
    genvar i;
    generate
        for (i = 0; i < COUNT; i = i + 1) begin : g_counter
            wire a, b, c, d, e, f;
            assign {a, b, c, d, e, f} = bits[6*i+:6];
            wire low = a ^ b ^ c;
            wire high = d ^ e ^ f;
            wire low_carry = (a & b) | (c & (a ^ b));
            wire high_carry = (d & e) | (f & (d ^ e));
            wire carry = low & high;
            assign counts[3*i] = low ^ high;
            assign counts[3*i+1] = low_carry ^ high_carry ^ carry;
            assign counts[3*i+2] = (low_carry & high_carry) | (carry & (low_carry ^ high_carry));
        end
    endgenerate
endmodule
