"""How many cycles the parts of the Verilog take: named here, drawn in docs/rtl.md.

The Verilog is given `FETCH`, `READ` and `WEIGH`, and checks at elaboration that its modules are as
deep; the others say what its modules are, and the count of cycles, which is tested against
Verilator, stands on them.
"""

from synq.rtl.packing import index_bits

SETTLE = 64
"""From the end of a reset on the pin to the end of the core's (`synq_top`): longer than all delays
that have no reset themselves. Only rows on their way to distant banks can take longer, and they
arrive before the first steps after the reset do, as in any image."""

# ---- From the stream to a row.
STORE = 1
"""From a beat taken to its values stored (`synq_intake`)."""
NOTICE = 1
"""From an image stored to its being seen by who reads all rows (`synq_rows_dense`)."""

# ---- A step: a row of every bank, or a level of the drain.
FETCH = 2
"""From a step to the inputs of the rows and their words in the banks (`synq_rows_*`)."""
READ = 3
"""From a word to the codes in it (`synq_rom`)."""
WEIGH = 3
"""From a code to the sum of its lane: factor, product, sum (`synq_mac_bank`)."""
GATE = 1
"""From the last bucket bank's sum to the total that multipliers weigh (`synq_array`)."""
CODED = FETCH + READ
"""From a step to its codes."""
SUMMED = CODED + WEIGH
"""From a step to its sums."""

# ---- From the sums to the stream.
OFFER = 1
"""From sums held to the first choice of a beat of them (`synq_unload`)."""
CLASS = 3
"""From an image's last sums to the class, and to the next image's first sums (`synq_result`)."""

CONVERT = 2
"""From a tile's sums taken to the image's total: converter, sum (`synq_converters`)."""

# ---- Buckets whose totals are weighed one after another (`synq_array_serial`).
PRODUCT = 2
"""From a chosen total to the sum of its lane: product, sum."""
SHOW = 2
"""From the last sum to the first beat of sums."""

# ---- Unrolled arrays.
SURROUND = 4
"""In and out of the pipeline of unrolled arrays: storing, collecting, queueing, offering."""


def skew(bucket_rows: int) -> int:
    """Cycles that decoded rows stand behind bank 0.

    Bucket banks stand in a row, each a cycle behind the one before, so that a total passes through
    all of them in its drain.
    """
    return bucket_rows + GATE if bucket_rows else 0


def clearing(bucket_rows: int, levels: int) -> int:
    """Cycles from a level's drain to the step in which bank 0 takes its total off again: the total
    has passed all banks, and the drain of all levels is over."""
    return max(bucket_rows, levels)


def followed(bucket_rows: int, levels: int) -> int:
    """Cycles that a step is followed, where decoded rows weigh the totals."""
    return SUMMED + max(clearing(bucket_rows, levels), skew(bucket_rows))


def drained(bucket_rows: int) -> int:
    """Cycles from a level's drain to its total behind the last bank."""
    return CODED + bucket_rows


def choice(count: int) -> int:
    """Stages of a choice of one of `count` words, four to one each (`synq_select`)."""
    return (index_bits(count) + 1) // 2


def level_cycles(bucket_rows: int, turns: int) -> int:
    """Cycles from a level's drain to the next one's, where totals are weighed in so many turns."""
    return drained(bucket_rows) + turns + choice(turns) + 1
