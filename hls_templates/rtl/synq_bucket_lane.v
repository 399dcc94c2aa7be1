// One output's buckets in one bank: adds the input, or the neighbour's sum, to the bucket that the
// code names, or subtracts it if the code's highest bit is set.
`default_nettype none
(* keep_hierarchy = 1 *)
module synq_bucket_lane #(
    parameter WIDTH = 16,
    parameter CODE_BITS = 4  // a sign above the number of a bucket
) (
    input wire clk,
    input wire [CODE_BITS-1:0] code,
    input wire merge,   // take the neighbour
    input wire write,   // keep the sum in the bucket
    input wire [WIDTH-1:0] addend,
    input wire [WIDTH-1:0] neighbour,
    output reg [WIDTH-1:0] sum
);  /* verilator no_inline_module */  // a thousand lanes are compiled as one
    generate  // rules of the parameters
        if (CODE_BITS < 2) begin : g_rule_1
            error_CODE_BITS_are_at_least_2 error ();
        end
    endgenerate
    localparam INDEX_BITS = CODE_BITS - 1;
    wire [INDEX_BITS-1:0] index = code[INDEX_BITS-1:0];
    wire sign = code[CODE_BITS-1];
    wire [WIDTH-1:0] stored;

    // stored + (operand ^ sign) + sign, written as a difference: the bucket as it is then feeds the
    // carry chain, and synthesis needs one look-up table a bit for the choice, the sign and the sum.
    wire [WIDTH-1:0] operand = merge ? neighbour : addend;
    wire [WIDTH:0] next = {stored, sign} - {~(operand ^ {WIDTH{sign}}), 1'b1};
    wire unused = next[0];

    (* ram_style = "distributed" *) reg [WIDTH-1:0] bucket[0:(1<<INDEX_BITS)-1];
    integer i;
    initial for (i = 0; i < 1 << INDEX_BITS; i = i + 1) bucket[i] = {WIDTH{1'b0}};
    assign stored = bucket[index];
    always @(posedge clk) begin
        if (write) bucket[index] <= next[WIDTH:1];
        sum <= next[WIDTH:1];
    end
endmodule
`default_nettype wire
