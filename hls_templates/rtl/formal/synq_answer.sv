// Sums and class leave together, and are of the same image, one that is followed: the queues hold the
// same images, but for those whose sums are still being compared.
(* anyseq *) wire watch;
localparam DELAY = LEVELS > 0 ? LEVELS : 1;
reg [DELAY:1] late;  // of images: their sums are being compared
reg [DELAY:1] mine;  // the one that is followed
reg tag_watched, followed, classed;
reg [N_OUT*ACC_BITS-1:0] sums_watched;
reg [INDEX-1:0] class_watched;
reg [ADDRESS:0] ahead, being_compared;
wire leaves = valid & ready;
wire starts = sums_valid & watch & ~followed;
wire mine_classed = LEVELS > 0 ? mine[DELAY] : starts;
(* hierconn *) wire [ADDRESS:0] \sums_held.count , \classes.count ;
(* hierconn *) wire [ADDRESS:0] \sums_held.ahead , \classes.ahead ;
(* hierconn *) wire \sums_held.watching , \classes.watching ;
(* hierconn *) wire \sums_held.watch , \classes.watch ;
(* hierconn *) wire [N_OUT*ACC_BITS-1:0] \sums_held.watched ;
(* hierconn *) wire [INDEX:0] \classes.watched ;
integer k;
always @(posedge clk) begin
    for (k = 1; k <= DELAY; k = k + 1) begin
        late[k] <= ~reset & (k == 1 ? sums_valid : late[k-1]);
        mine[k] <= ~reset & (k == 1 ? starts : mine[k-1]);
    end
    followed <= ~reset & ~(followed & leaves & ahead == 0) & (followed | starts);
    classed <= ~reset & (mine_classed | (classed & ~(leaves & ahead == 0)));
    if (~followed) begin
        sums_watched <= sums;
        tag_watched <= sums_tag;
    end
    if (mine_classed) class_watched <= largest;
    ahead <= (followed ? ahead : \sums_held.count ) - leaves;
end
always @* begin
    `REQUIRE (reset | ~sums_valid | ~\sums_held.count [ADDRESS]);  // there is room
    // The queues' own proofs follow the same image.
    assume (\sums_held.watch == starts);
    assume (\classes.watch == mine_classed);
    being_compared = 0;
    if (LEVELS > 0) for (k = 1; k <= DELAY; k = k + 1) being_compared = being_compared + late[k];
    if (begun) begin
        if (LEVELS > 0) for (k = 1; k <= DELAY; k = k + 1) assert (g_levels.valids[k-1] == late[k]);
        assert (\sums_held.count == \classes.count + being_compared);
        assert (followed == \sums_held.watching );
        assert (classed == \classes.watching );
        if (classed) assert (followed & ahead == \classes.ahead & \classes.watched == {tag_watched, class_watched});
        if (followed) assert (ahead == \sums_held.ahead & \sums_held.watched == sums_watched);
        being_compared = 0;  // before the one that is followed
        for (k = DELAY; k >= 1; k = k - 1) if (LEVELS > 0) begin
            if (mine[k]) assert (late[k] & followed & ~classed & ahead == \classes.count + being_compared);
            if (mine[k]) assert (g_levels.tags[k-1] == tag_watched);
            being_compared = being_compared + late[k];
        end
        if (valid) assert (sums_kept);
        if (followed & ~classed) assert (LEVELS > 0 & |mine);
        if (followed & valid & ahead == 0)
            assert (classed & kept == sums_watched & {last, index} == {tag_watched, class_watched});
    end
end
