// Every word that is put comes out once, in its turn: one word, put at any time, is followed.
(* anyseq *) wire watch;
reg watching;
reg [WIDTH-1:0] watched;
reg [ADDRESS:0] ahead;  // words before it
wire [ADDRESS-1:0] place = first + ahead[ADDRESS-1:0];
always @(posedge clk) begin
    if (reset) watching <= 1'b0;
    else if (~watching) watching <= put & watch;
    else if (take & ahead == 0) watching <= 1'b0;
    if (~watching) watched <= data;
    ahead <= (watching ? ahead : count) - take;
end
always @* begin
    `REQUIRE (reset | ~put | ~count[ADDRESS] | take);  // whoever puts knows that there is room
    if (begun) begin
        assert (count <= 1 << ADDRESS);
        assert (free == first + count[ADDRESS-1:0]);
        if (watching) assert (ahead < count);
        if (watching) assert (words[place] == watched);
        if (watching & ahead == 0) assert (valid & word == watched);
    end
end
