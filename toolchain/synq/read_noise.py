"""Read noise: what two reads of the same cells differ by, as integers that every back end draws.

Each conversion of a tile's sum adds a number of its own. It is the number of ones in 32 mixed bits,
less 16, scaled: a binomial distribution, normal but for its tails, which end at 5.7 standard
deviations. The bits depend on keys, on how many tiles the array has read since it was reset, and on
the column, and on nothing else: not on how the array is built, nor on how fast it is fed.

The mixing is a round function of one look-up table a bit of an FPGA: six bits, of which two meet in
an AND, chosen so that after five rounds no correlation of counted columns or reads was found
(`tests/test_read_noise.py` looks); six are done.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
_WORD = 32  # bits
_FACTOR_BITS = 8
_DEVIATION = math.sqrt(_WORD / 4)  # of the number of ones in a word
_MOST_SHIFT = 16
_MOST_FACTOR = 1 << 30


@dataclass(frozen=True)
class ReadNoise:
    """What is added to each sum of a tile: `((ones - 16) * factor + 2**shift / 2) >> shift`.

    Attributes:
        keys: `ROUNDS` words of 32 bits.
        factor: 1 to 2**30.
        shift: 0 to 16.

    Raises:
        ValueError: a value out of range.
    """

    keys: tuple[int, ...]
    factor: int
    shift: int

    def __post_init__(self) -> None:
        words = [key for key in self.keys if type(key) is int and 0 <= key < 1 << _WORD]
        if len(words) != ROUNDS or len(self.keys) != ROUNDS:
            raise ValueError(f"read noise has {ROUNDS} keys of {_WORD} bits")
        if type(self.factor) is not int or not 1 <= self.factor <= _MOST_FACTOR:
            raise ValueError(f"the factor of read noise is 1 to {_MOST_FACTOR}")
        if type(self.shift) is not int or not 0 <= self.shift <= _MOST_SHIFT:
            raise ValueError(f"the shift of read noise is 0 to {_MOST_SHIFT}")

    @staticmethod
    def of(deviation: float, seed: int, array: int) -> "ReadNoise | None":
        """Noise of a standard deviation, to half a percent; None where it is too little to count.

        Args:
            deviation: in raw units of a tile's sum.
            seed, array: which numbers are drawn.

        Raises:
            ValueError: the deviation is beyond all sums.
        """
        scale = deviation / _DEVIATION
        shift = max(0, _FACTOR_BITS - math.frexp(scale)[1])
        if shift > _MOST_SHIFT or not scale:
            return None
        digest = hashlib.sha256(f"synq read noise {seed} {array}".encode()).digest()
        keys = np.frombuffer(digest, dtype="<u4")[:ROUNDS].tolist()
        noise = ReadNoise(tuple(keys), round(scale * 2.0**shift), shift)
        return noise if noise.range != (0, 0) else None

    @staticmethod
    def column_bits(n_out: int) -> int:
        """Bits of a column's number beside that of a tile's read."""
        return max(1, (n_out - 1).bit_length())

    @property
    def deviation(self) -> float:
        """Standard deviation in raw units of a tile's sum, before rounding."""
        return _DEVIATION * self.factor * 2.0**-self.shift

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest number that is added."""
        half = _WORD // 2
        return self._scaled(-half), self._scaled(half)

    def draw(self, reads: NDArray[np.integer[Any]], n_out: int) -> NDArray[np.int64]:
        """What is added to the sums of some reads of a tile.

        Args:
            reads: (n,) how many tiles the array has read before.

        Returns:
            (n, n_out) int64.
        """
        columns = np.arange(n_out, dtype=np.uint32)
        first = np.uint32(self.column_bits(n_out))
        word = (reads.astype(np.uint32)[:, None] << first) | columns
        for key in self.keys:
            word = _mixed(word) ^ np.uint32(key)
        drawn: NDArray[np.int64] = self._scaled(
            np.bitwise_count(word).astype(np.int64) - _WORD // 2
        )
        return drawn

    def _scaled(self, number: Any) -> Any:
        return (number * self.factor + ((1 << self.shift) >> 1)) >> self.shift


def _mixed(word: NDArray[np.uint32]) -> NDArray[np.uint32]:
    def left(by: int) -> NDArray[np.uint32]:
        rotated: NDArray[np.uint32] = (word << np.uint32(by)) | (word >> np.uint32(_WORD - by))
        return rotated

    mixed: NDArray[np.uint32] = word ^ left(7) ^ left(12) ^ left(19) ^ (left(9) & left(22))
    return mixed
