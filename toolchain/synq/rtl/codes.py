"""What the codes of an array say: the value of a synapse, or the bucket that its input goes to."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.network import SynapseArray
from synq.rtl.packing import index_bits
from synq.signed_codes import SignedCodes

MOST_BUCKETS = 32
"""Of an output in a bank: a look-up table used as memory is so deep."""


@dataclass(frozen=True, eq=False)
class RowCodes:
    """The codes of one array, as its banks' memories hold them.

    With buckets, a code is a sign bit above the number of a bucket; without, that of
    `SignedCodes`. In both cases `values` gives each code its value.

    Attributes:
        array: whose codes they are.
        in_buckets: whether some rows go to buckets.
        most: at most so many buckets, beyond one a value; None for one a value.
        drained: steps of the drain, where they are more than there are levels.
    """

    array: SynapseArray
    in_buckets: bool
    most: int | None = None
    drained: int = 0

    @cached_property
    def signed(self) -> SignedCodes:
        """The codes without buckets."""
        return SignedCodes(self.array)

    @property
    def level_values(self) -> list[int]:
        """The value of each bucket; those to drain first."""
        return self._buckets[0]

    @property
    def levels(self) -> int:
        """Steps of the drain; one idle step without buckets."""
        if not self.in_buckets:
            return 1
        return max(1, self.drained, sum(value != 0 for value in self.level_values))

    @property
    def index_bits(self) -> int:
        """Bits of a bucket's number."""
        return index_bits(len(self.level_values))

    @property
    def code_bits(self) -> int:
        """Bits of a code."""
        return self.index_bits + 1 if self.in_buckets else self.signed.code_bits

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(n_rows, n_out) int64."""
        if not self.in_buckets:
            plain: NDArray[np.int64] = self.signed.codes.astype(np.int64)
            return plain
        negative = (self.array.weights < 0) & self.signed.has_sign
        codes: NDArray[np.int64] = self._buckets[1] | (negative.astype(np.int64) << self.index_bits)
        return codes

    @property
    def values(self) -> list[int]:
        """The value of each code."""
        if not (self.in_buckets or self.signed.has_sign):
            return _filled(list(self.signed.values), self.code_bits)
        magnitudes = self.level_values if self.in_buckets else list(self.signed.values)
        half = _filled(magnitudes, self.code_bits - 1)
        return half + [-value for value in half]

    def totals(self, rows: NDArray[np.int64]) -> tuple[int, int]:
        """The smallest and the largest sum that one output's inputs of one level can have.

        Args:
            rows: those that go to buckets.
        """
        array = self.array
        lanes = np.arange(array.n_out) << self.code_bits

        def added(drive: NDArray[np.int64]) -> NDArray[Any]:
            """(n_out, 2, levels): what drives the rows of each code, by its sign, added up."""
            driven = np.broadcast_to(drive[rows][:, None], (len(rows), array.n_out))
            return np.bincount(
                (self.codes[rows] + lanes).ravel(),
                driven.ravel(),
                minlength=array.n_out << self.code_bits,
            ).reshape(array.n_out, 2, -1)[:, :, : self.levels]

        least, most = map(added, array.drive)
        return (
            int((least[:, 0] - most[:, 1]).min()),
            int((most[:, 0] - least[:, 1]).max()),
        )

    @cached_property
    def _buckets(self) -> tuple[list[int], NDArray[np.int64]]:
        return _share_buckets(self.array, self.most)


def bucket_values(array: SynapseArray) -> list[int]:
    """The values that need a bucket, zero last: nothing is ever drained from it."""
    values = SignedCodes(array).values
    return [value for value in values if value] + [0] * (0 in values)


def _filled(values: list[int], bits: int) -> list[int]:
    return values + [0] * ((1 << bits) - len(values))


@lru_cache(maxsize=64)  # a planner tries many numbers of rows
def _share_buckets(array: SynapseArray, most: int | None) -> tuple[list[int], NDArray[np.int64]]:
    """Each bucket's value, and (n_rows, n_out) the bucket of every synapse.

    A value with several buckets takes them in turn, row by row, in every lane.
    """
    weights, values = array.weights, bucket_values(array)
    kinds = np.abs(weights) if SignedCodes(array).has_sign else weights
    counts = np.array([(kinds == value).sum(axis=0).max() for value in values])
    share = np.ones(len(values), dtype=np.int64)
    for _ in range((most or 0) - len(values)):
        busy = np.where(np.array(values) == 0, 0, counts / share)
        share[int(np.argmax(busy))] += 1
    buckets: list[int] = []
    index = np.zeros(weights.shape, dtype=np.int64)
    for value, parts in zip(values, share.tolist(), strict=True):
        here = kinds == value
        index[here] = (len(buckets) + (np.cumsum(here, axis=0) - 1) % parts)[here]
        buckets += [value] * parts
    return buckets, index
