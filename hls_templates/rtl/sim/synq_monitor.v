// In simulation only: writes the sums and the activations of every image to a file, as text.
`default_nettype none
module synq_monitor #(
    parameter COUNT = 1,
    parameter BITS = 8,
    parameter IS_SIGNED = 0,
    parameter FILE = "monitor.txt"
) (
    input wire clk,
    input wire reset,
    input wire valid,
    input wire [COUNT*BITS-1:0] values
);
    integer file, i;
    reg signed [BITS-1:0] number;
    reg armed;  // there has been a reset: what comes is no longer random
    initial armed = 1'b0;
    initial file = $fopen(FILE, "w");
    always @(posedge clk) begin
        if (reset) armed <= 1'b1;
        if (valid & armed & ~reset) begin
            for (i = 0; i < COUNT; i = i + 1) begin
                number = values[i*BITS+:BITS];
                if (IS_SIGNED != 0) $fwrite(file, "%0d ", number);
                else $fwrite(file, "%0d ", $unsigned(number));
            end
            $fwrite(file, "\n");
        end
    end
endmodule
`default_nettype wire
