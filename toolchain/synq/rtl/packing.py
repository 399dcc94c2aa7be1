"""Values side by side, several a beat: how an image's numbers go from array to array."""

from dataclasses import dataclass


def index_bits(count: int) -> int:
    """Bits of a number that tells `count` things apart; at least one."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True)
class Packing:
    """An image's values in beats.

    Attributes:
        values: of an image.
        bits: of a value.
        lanes: values a beat; the last beat of an image may hold fewer.
    """

    values: int
    bits: int
    lanes: int

    @property
    def beats(self) -> int:
        """Beats of an image."""
        return -(-self.values // self.lanes)

    @property
    def beat_bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.bits

    @property
    def index_bits(self) -> int:
        """Bits of a beat's number."""
        return index_bits(self.beats)
