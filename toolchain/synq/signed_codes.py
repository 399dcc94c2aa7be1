"""An array's codes with a sign bit: as both back ends store them.

In a symmetric codebook (a differential pair's always is) a code is a sign bit above the index of a
magnitude, which halves the table and takes no more bits.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synq.network import SynapseArray


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class SignedCodes:
    """The codes of one array.

    Attributes:
        array: whose codes they are.
    """

    array: SynapseArray

    @cached_property
    def has_sign(self) -> bool:
        """Whether the highest bit of a code negates its value."""
        codebook = self.array.codebook
        return len(codebook) > 1 and bool(np.array_equal(codebook, -codebook[::-1]))

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The conductance table: the magnitudes, ascending, or the codebook if it has no sign."""
        codebook = self.array.codebook.tolist()
        return tuple(value for value in codebook if value >= 0 or not self.has_sign)

    @property
    def code_bits(self) -> int:
        """Bits of one code, its sign included."""
        index_bits = (len(self.values) - 1).bit_length()
        return max(1, index_bits + self.has_sign)

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """(n_rows, n_out) uint8."""
        weights = self.array.weights
        index = np.searchsorted(self.values, np.abs(weights) if self.has_sign else weights)
        sign_bit = 1 << (self.code_bits - 1)
        return np.where((weights < 0) & self.has_sign, index | sign_bit, index).astype(np.uint8)
