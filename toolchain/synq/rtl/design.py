"""How a Verilog core is built."""

from dataclasses import dataclass

from synq.stream import beats_per_result


@dataclass(frozen=True)
class RtlArray:
    """How one array is built.

    Attributes:
        bucket_rows: rows a cycle on level buckets.
        decoded_rows: rows a cycle on multipliers, n_out a row. With 0 the buckets' totals are
            weighed by a few shared multipliers, one lane after the other.
        event_driven: whether rows whose input is zero are skipped.
        lanes: inputs that arrive in a cycle from the array before; of the first array, what a beat
            of the stream holds.
        buckets: at most so many buckets a lane. More than there are values spreads the commonest
            values over several, which makes each narrower; None for one a value.
        unrolled: whether the synapses are logic rather than codes in memories: an image a cycle.
        logic_levels: of an unrolled array, counters, adders or tables between two registers.
    """

    bucket_rows: int
    decoded_rows: int
    event_driven: bool = False
    lanes: int = 1
    buckets: int | None = None
    unrolled: bool = False
    logic_levels: int = 2

    def __post_init__(self) -> None:
        if self.unrolled and (self.bucket_rows or self.decoded_rows or self.event_driven):
            raise ValueError("an unrolled array has no rows: neither buckets nor decoded ones")
        if self.bucket_rows < 0 or self.decoded_rows < 0 or (self.rows < 1 and not self.unrolled):
            raise ValueError("an array needs at least one row a cycle")
        if self.logic_levels < 1:
            raise ValueError(f"logic_levels must be at least 1, got {self.logic_levels}")
        if self.lanes < 1:
            raise ValueError(f"lanes must be at least 1, got {self.lanes}")

    @property
    def rows(self) -> int:
        """Rows a cycle."""
        return self.bucket_rows + self.decoded_rows


@dataclass(frozen=True)
class RtlDesign:
    """How a network is built.

    Attributes:
        arrays: one an array of the network.
        beat_bits: width of the input stream; 64 is the contract of `synq.hls.axis`.
        result_bits: width of the output stream: 64, or of an unrolled last array all the 64-bit
            beats of an image side by side (see `wide_result`).
    """

    arrays: tuple[RtlArray, ...]
    beat_bits: int = 64
    result_bits: int = 64

    def __post_init__(self) -> None:
        if self.beat_bits < 64 or self.beat_bits % 64:
            raise ValueError(f"beat_bits must be a multiple of 64, got {self.beat_bits}")

    def flows(self, index: int) -> bool:
        """Whether arrays `index - 1` and `index` are one pipeline."""
        pair = self.arrays[max(0, index - 1) : index + 1]
        return len(pair) == 2 and all(array.unrolled for array in pair)


def wide_result(n_out: int) -> int:
    """Bits of an image's whole answer, in one beat."""
    return 64 * beats_per_result(n_out)
