// A queue in distributed RAM. It does not watch for overflow: whoever puts knows that there is room.
`default_nettype none
module synq_fifo #(
    parameter WIDTH = 8,
    parameter ADDRESS = 5
) (
    input wire clk,
    input wire reset,
    input wire put,
    input wire [WIDTH-1:0] data,
    output wire valid,
    input wire taken,      // the word, if valid
    output wire [WIDTH-1:0] word
);
    (* ram_style = "distributed" *) reg [WIDTH-1:0] words[0:(1<<ADDRESS)-1];
    reg [ADDRESS-1:0] first, free;
    reg [ADDRESS:0] count;
    wire take = valid & taken;
    assign valid = count != {ADDRESS + 1{1'b0}};
    assign word = words[first];
    always @(posedge clk) begin
        if (put) words[free] <= data;
        if (reset) begin
            first <= {ADDRESS{1'b0}};
            free <= {ADDRESS{1'b0}};
            count <= {ADDRESS + 1{1'b0}};
        end else begin
            if (take) first <= first + 1'b1;
            if (put) free <= free + 1'b1;
            count <= count + {{ADDRESS{1'b0}}, put} - {{ADDRESS{1'b0}}, take};
        end
    end
endmodule
`default_nettype wire
