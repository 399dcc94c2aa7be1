"""How a Verilog core is built."""

from dataclasses import dataclass, fields

from synq.stream import BEAT_BITS, beats_per_result

_LIMITS = {
    "bucket_rows": (0, 4096),
    "decoded_rows": (0, 4096),
    "lanes": (1, 65_536),
    "window": (0, 65_536),
    "buckets": (1, 256),
    "logic_levels": (1, 1000),
    "beat_bits": (BEAT_BITS, 65_536),
    "result_bits": (BEAT_BITS, 1 << 20),
    "levels": (1, 256),
    "total_bits": (1, 64),
    "sum_bits": (1, 64),
    "value_bits": (1, 64),
    "shift": (-64, 64),
}
"""What a design read from a file may say: far more than can be built, but numbers."""


@dataclass(frozen=True)
class Capacity:
    """What an array is built for whose network is replaced while it runs.

    Attributes:
        buckets: of an output in a bank; 1 without bucket rows.
        levels: steps of the drain.
        total_bits: of a level's total.
        sum_bits: of a sum.
        value_bits: of a value.
        shift: bits by which sums are shifted right, at most; 0 of the last array.

    Raises:
        ValueError: a field is not of its type or out of its range.
    """

    buckets: int
    levels: int
    total_bits: int
    sum_bits: int
    value_bits: int
    shift: int

    def __post_init__(self) -> None:
        _check_fields(self)


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
        capacity: what it can be loaded with while it runs; None if its network is fixed.
        window: of a convolution, values that its window hands out in a cycle: those that arrive in
            one, or all that the array sees at a place; 0 of a dense layer.

    Raises:
        ValueError: a field is not of its type or out of its range, or the fields disagree.
    """

    bucket_rows: int
    decoded_rows: int
    event_driven: bool = False
    lanes: int = 1
    buckets: int | None = None
    unrolled: bool = False
    logic_levels: int = 2
    capacity: Capacity | None = None
    window: int = 0

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.unrolled and (self.rows or self.event_driven):
            raise ValueError("an unrolled array has no rows: neither buckets nor decoded ones")
        if not (self.capacity is None or isinstance(self.capacity, Capacity)):
            raise ValueError(f"capacity describes no array: {self.capacity!r:.40}")
        if self.unrolled and self.capacity is not None:
            raise ValueError("the synapses of an unrolled array are fixed")
        if not (self.unrolled or self.rows):
            raise ValueError("an array needs at least one row a cycle")

    @property
    def rows(self) -> int:
        """Rows a cycle."""
        return self.bucket_rows + self.decoded_rows


@dataclass(frozen=True)
class RtlDesign:
    """How a network is built.

    Attributes:
        arrays: one an array of the network.
        beat_bits: width of the input stream; 64 is the contract of `synq.stream`.
        result_bits: width of the output stream: 64, or of an unrolled last array all the 64-bit
            beats of an image side by side (see `wide_result`).

    Raises:
        ValueError: a field is not of its type or out of its range.
    """

    arrays: tuple[RtlArray, ...]
    beat_bits: int = BEAT_BITS
    result_bits: int = BEAT_BITS

    def __post_init__(self) -> None:
        _check_fields(self)
        if not (
            isinstance(self.arrays, tuple)
            and self.arrays
            and all(isinstance(array, RtlArray) for array in self.arrays)
        ):
            raise ValueError("a design describes at least one array")
        for name in ("beat_bits", "result_bits"):
            if getattr(self, name) % BEAT_BITS:
                raise ValueError(
                    f"{name} must be a multiple of {BEAT_BITS}, got {getattr(self, name)}"
                )
        if len({array.capacity is None for array in self.arrays}) > 1:
            raise ValueError("all arrays have a capacity, or none")

    @property
    def reloadable(self) -> bool:
        """Whether its network can be replaced while it runs."""
        return self.arrays[0].capacity is not None

    def flows(self, index: int) -> bool:
        """Whether arrays `index - 1` and `index` are one pipeline."""
        pair = self.arrays[max(0, index - 1) : index + 1]
        return len(pair) == 2 and all(array.unrolled and not array.window for array in pair)


def wide_result(n_out: int) -> int:
    """Bits of an image's whole answer, in one beat."""
    return BEAT_BITS * beats_per_result(n_out)


def _check_fields(described: Capacity | RtlArray | RtlDesign) -> None:
    """Whether each number and each yes or no is one: designs are read from manifests."""
    for field in fields(described):
        value = getattr(described, field.name)
        if field.name in _LIMITS:
            least, most = _LIMITS[field.name]
            if value is None and field.default is None:
                continue
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{field.name} must be an integer of {least} to {most}, got {value!r:.40}"
                )
        elif isinstance(field.default, bool) and type(value) is not bool:
            raise ValueError(f"{field.name} must be true or false, got {value!r:.40}")
