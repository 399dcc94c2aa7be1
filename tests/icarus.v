// A test bench for simulators without a C++ driver: sends the beats of beats.hex (TLAST above TDATA),
// writes each output beat with its TLAST to results.txt. Macros: BEAT_BITS, N_BEATS, N_RESULTS, GAP
// and STALL (in 1/65536), SEED, RESULT_BITS.
`timescale 1ns / 1ns
module synq_bench;
    reg clk = 1'b0;
    reg reset_n = 1'b0;
    reg [`BEAT_BITS:0] beats[0:`N_BEATS-1];
    integer sent = 0;
    integer answered = 0;
    integer idle = 0;
    integer seed = `SEED;
    integer file;
    reg offered = 1'b0;
    reg accepting = 1'b0;
    wire ready, valid, last;
    wire [`RESULT_BITS-1:0] data;
    wire [`RESULT_BITS/8-1:0] keep;
    wire [`BEAT_BITS:0] beat = beats[sent < `N_BEATS ? sent : 0];

    synq_top top (
        .clk(clk), .reset_n(reset_n), .s_axis_tvalid(offered), .s_axis_tready(ready),
        .s_axis_tdata(beat[`BEAT_BITS-1:0]), .s_axis_tkeep({`BEAT_BITS / 8{1'b1}}),
        .s_axis_tlast(beat[`BEAT_BITS]), .m_axis_tvalid(valid), .m_axis_tready(accepting),
        .m_axis_tdata(data), .m_axis_tkeep(keep), .m_axis_tlast(last)
    );

    initial begin
        $readmemh("beats.hex", beats);
        file = $fopen("results.txt", "w");
        repeat (64) @(negedge clk);
        reset_n = 1'b1;
        repeat (2) @(negedge clk);
        // Inputs change on the falling edge, so that there is no race with the rising one.
        while (answered < `N_RESULTS && idle < 20000) begin
            if (!offered) offered = sent < `N_BEATS && ($random(seed) & 65535) >= `GAP;
            accepting = ($random(seed) & 65535) >= `STALL;
            #1;
            idle = (offered & ready) | (valid & accepting) ? 0 : idle + 1;
            if (valid & accepting) begin
                $fwrite(file, "%h %h %b\n", data, keep, last);
                answered = answered + 1;
            end
            if (offered & ready) begin
                @(posedge clk);
                #1 sent = sent + 1;
                offered = 1'b0;
            end
            @(negedge clk);
        end
        $fclose(file);
        $finish;
    end
    always #5 clk = ~clk;
endmodule
