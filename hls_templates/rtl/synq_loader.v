// Networks loaded while the core runs: registers behind AXI4-Lite, a gate in front of the input stream,
// and the writes to the memories' other set.
//
// After a one is written to CONTROL the next transfer is a network, in words of 64 bits, the lowest of
// a beat each: the number of the core it is made for; blocks, of a header and as many words as it
// says; a header of ones; a word that makes the signature of all words zero. TLAST is on that one.
// Whatever is wrong, the network in use stays. A right one is used from the next image on, once the
// images before it are answered.
//
//   header   15:0 words - 1, 23:16 array, 31:24 slice, 47:32 bank; array 0xff: the end
//   0x00     CONTROL  1 waits for a network
//   0x04     STATUS   0 at work, 1 loaded, 2 another core's, 3 a wrong length, 4 a wrong signature
//   0x08     DIGEST   of the network in use, 64 bits: its last word
//   0x10     CORE     64 bits: the first word of the networks it takes
//   0x18     LENGTH   words of a network
//
//   cycle       0          1        2         3         4      the network's last word is taken at 0
//   arrived                1
//   settling                        1         1                until no image is in the core
//   set                                                 other  with status and digest
`default_nettype none
module synq_loader #(
    parameter [63:0] CORE = 64'd0,
    parameter [63:0] DIGEST = 64'd0,
    parameter LENGTH = 8,
    parameter ADDRESS = 10,
    parameter ANSWER = 2          // beats of an answer
) (
    input wire clk,
    input wire reset,
    // AXI4-Lite.
    input wire [4:0] awaddr,
    input wire awvalid,
    output wire awready,
    input wire [31:0] wdata,
    input wire [3:0] wstrb,
    input wire wvalid,
    output wire wready,
    output wire [1:0] bresp,
    output reg bvalid,
    input wire bready,
    input wire [4:0] araddr,
    input wire arvalid,
    output wire arready,
    output reg [31:0] rdata,
    output wire [1:0] rresp,
    output reg rvalid,
    input wire rready,
    // The stream, and what of it are images.
    input wire in_valid,
    output wire in_ready,
    input wire [63:0] in_data,
    input wire in_last,
    output wire out_valid,
    input wire out_ready,
    input wire image_taken,       // the last beat of an image
    input wire answer_taken,      // a beat of an answer
    // Writes, a cycle after what they go to is known.
    output reg write,
    output reg [ADDRESS-1:0] address,
    output reg [63:0] word,
    output reg [7:0] to_array,
    output reg [7:0] to_slice,
    output reg [15:0] to_bank,
    output reg set                // that is read; writes go to the other one
);
    generate  // rules of the parameters
        if (ANSWER < 1 || ANSWER > 65535) begin : g_rule_1
            error_ANSWER_is_at_least_1_beat error ();
        end
    endgenerate
    localparam [2:0] CORES = 3'd0, HEADER = 3'd1, WORDS = 3'd2, SIGNATURE = 3'd3, REST = 3'd4;
    localparam COUNT = $clog2(ANSWER + 1);
    localparam WORDS_BITS = $clog2(LENGTH + 1);
    localparam [COUNT-1:0] FINAL = ANSWER[COUNT-1:0] - 1'b1;

    // ---- The gate. A network may come once the transfer before has ended.
    reg armed, midway, loading;
    reg settling;  // a network is right, and waits for answers
    reg offered;   // a beat is, and stays so: a gearbox may have begun with it
    wire ending;   // a transfer has come, and may be right: no image begins behind it
    wire takes = (armed & ~midway & ~offered) | loading;
    assign out_valid = in_valid & ~takes & ~settling & ~ending;
    assign in_ready = takes | (out_ready & ~settling & ~ending);
    wire arrives = takes & in_valid;
    wire passes = out_valid & out_ready;

    // ---- Images in the core.
    reg [7:0] images;
    reg part;      // of an image is in
    reg [COUNT-1:0] beat;
    wire answered = answer_taken & beat == FINAL;
    wire quiet = images == 8'd0 & ~part;

    // ---- What arrived, a cycle later.
    reg arrived, arrived_last;
    assign ending = arrived & arrived_last;
    reg [63:0] arrived_word;
    reg [2:0] state;
    reg [15:0] left;
    reg [WORDS_BITS-1:0] count;
    reg [63:0] signature, digest, coming;
    reg mismatch;
    reg [2:0] status;
    wire [63:0] moved = {signature[62:0], 1'b0} ^ {59'd0, {2{signature[63]}}, 1'b0, {2{signature[63]}}};
    wire [63:0] next = moved ^ arrived_word;
    wire whole = state == SIGNATURE & count == LENGTH[WORDS_BITS-1:0] - 1'b1;

    // ---- Registers.
    wire asked = awready & awaddr == 5'h00 & wstrb[0] & ~loading & ~arrived & ~settling;
    assign awready = awvalid & wvalid & ~bvalid & ~reset;
    assign wready = awready;
    assign bresp = 2'b00;
    assign arready = ~rvalid & ~reset;
    assign rresp = 2'b00;
    wire unused = &{1'b0, wstrb[3:1], wdata[31:1], araddr[1:0]};

    always @(posedge clk) begin
        if (arvalid & arready)
            case (araddr[4:2])
                3'd0: rdata <= {31'd0, armed | loading};
                3'd1: rdata <= {29'd0, status};
                3'd2: rdata <= digest[31:0];
                3'd3: rdata <= digest[63:32];
                3'd4: rdata <= CORE[31:0];
                3'd5: rdata <= CORE[63:32];
                default: rdata <= LENGTH[31:0];
            endcase
        write <= arrived & state == WORDS;
        word <= arrived_word;
        if (write) address <= address + 1'b1;
        arrived_word <= in_data;
        arrived_last <= in_last;
        if (arrived & state == HEADER) begin
            left <= arrived_word[15:0];
            to_array <= arrived_word[23:16];
            to_slice <= arrived_word[31:24];
            to_bank <= arrived_word[47:32];
            address <= {ADDRESS{1'b0}};
        end
        if (arrived & state == WORDS) left <= left - 1'b1;
        if (arrived) begin
            signature <= next;
            count <= count + 1'b1;
            coming <= arrived_word;
        end
        if (~loading & ~arrived) begin
            signature <= {64{1'b1}};
            count <= {WORDS_BITS{1'b0}};
            mismatch <= 1'b0;
        end
        if (reset) begin
            armed <= 1'b0;
            midway <= 1'b0;
            offered <= 1'b0;
            loading <= 1'b0;
            settling <= 1'b0;
            arrived <= 1'b0;
            state <= CORES;
            status <= 3'd1;
            images <= 8'd0;
            part <= 1'b0;
            beat <= {COUNT{1'b0}};
            bvalid <= 1'b0;
            rvalid <= 1'b0;
            write <= 1'b0;
        end else begin
            bvalid <= awready | (bvalid & ~bready);
            rvalid <= (arvalid & arready) | (rvalid & ~rready);
            if (passes) midway <= ~in_last;
            offered <= out_valid & ~out_ready;
            images <= images + {7'd0, image_taken} - {7'd0, answered};
            part <= ~image_taken & (part | passes);
            if (answer_taken) beat <= beat == FINAL ? {COUNT{1'b0}} : beat + 1'b1;
            if (asked) begin
                armed <= wdata[0];
                if (wdata[0]) status <= 3'd0;
            end
            arrived <= arrives;
            if (arrives) begin
                armed <= 1'b0;
                loading <= ~in_last;
            end
            if (arrived) begin
                if (arrived_last) state <= CORES;
                else
                    case (state)
                        CORES: state <= HEADER;
                        HEADER: state <= arrived_word[23:16] == 8'hff ? SIGNATURE : WORDS;
                        WORDS: if (left == 16'd0) state <= HEADER;
                        default: state <= REST;
                    endcase
                if (state == CORES & arrived_word != CORE) mismatch <= 1'b1;
                if (arrived_last) begin
                    if (mismatch | (state == CORES & arrived_word != CORE)) status <= 3'd2;
                    else if (~whole) status <= 3'd3;
                    else if (next != 64'd0) status <= 3'd4;
                    else settling <= 1'b1;
                end
            end
            if (settling & quiet) begin
                settling <= 1'b0;
                status <= 3'd1;
            end
        end
        if (settling & quiet) begin
            set <= ~set;
            digest <= coming;
        end
    end
    initial begin
        set = 1'b0;
        digest = DIGEST;
    end
endmodule
`default_nettype wire
