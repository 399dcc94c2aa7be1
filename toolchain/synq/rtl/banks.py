"""Which row of an array lies in which word of which bank of inputs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Banks:
    """The rows of an array in banks that hand out a row a cycle each.

    Rows go to the banks in turn, or, where at least as many inputs arrive in a cycle as there are
    banks and where zeros are skipped, each lane of a beat belongs to a bank. `synq_rows_dense` and
    `synq_rows_events` say it in full.

    Attributes:
        n_in: inputs.
        biased: whether one more row is driven by a constant.
        count: banks.
        lanes: inputs stored in a cycle.
        skips_zeros: whether only the inputs that are not zero are handed out.
        waits: cycles an image that bank 0 is held up.
        tile_rows: rows of each tile but the last, which are handed out apart from one another;
            without, an image is one tile.

    Raises:
        ValueError: a tile would end within a word; says which counts of banks it does not with.
    """

    n_in: int
    biased: bool
    count: int
    lanes: int
    skips_zeros: bool
    waits: int
    tile_rows: int | None = None

    def __post_init__(self) -> None:
        if self.tiles > 1 and self._part_of_tile:
            raise ValueError(
                f"tiles of {self.tile_rows} rows end within a cycle of {self.count} rows, of which "
                f"{self.lanes} arrive in one"
            )

    @property
    def tiles(self) -> int:
        """Tiles of an image."""
        n_rows = self.n_in + self.biased
        return 1 if self.tile_rows is None else -(-n_rows // self.tile_rows)

    @property
    def _part_of_tile(self) -> int:
        """Rows of a tile beyond those that end with a word of every bank."""
        assert self.tile_rows is not None
        by_beats = self.skips_zeros or (not self.in_turn and self.lanes % self.count)
        return self.tile_rows % (self.lanes if by_beats else self.count)

    @property
    def tile_words(self) -> int:
        """Words of a bank in each tile but the last."""
        return self._tile_words(self.group)

    @property
    def first_tile_words(self) -> int:
        """Words of bank 0, likewise."""
        return self._tile_words(self.lanes // self.count)

    def _tile_words(self, share: int) -> int:
        if self.tile_rows is None:
            return 0
        if self.in_turn or self.lanes % self.count == 0:
            return self.tile_rows // self.count
        return self.tile_rows // self.lanes * share

    @property
    def in_turn(self) -> bool:
        """Whether rows go to the banks in turn; else each lane belongs to a bank."""
        return not self.skips_zeros and self.lanes < self.count

    @property
    def beats(self) -> int:
        """Cycles that storing an image takes."""
        return -(-self.n_in // self.lanes)

    @property
    def group(self) -> int:
        """Lanes of a bank, at most."""
        return 1 if self.in_turn else -(-self.lanes // self.count)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(banks, words) int64: the row in each word of each bank, -1 where is none."""
        inputs = np.arange(self.n_in)
        if self.in_turn:
            bank, word = self._turns(self.skip)
            bias = bank[self.n_in], word[self.n_in]
            words = int(word[: self.n_in + self.biased].max()) + 1
            bank, word = bank[: self.n_in], word[: self.n_in]
        else:
            beat, lane = inputs // self.lanes, inputs % self.lanes
            bank = self.count - 1 - lane % self.count
            word = beat * np.where(bank, self.group, self.lanes // self.count) + lane // self.count
            words = self.beats * self.group
            bias = self.count - 1, words
            words += self.biased
        rows = np.full((self.count, words), -1, dtype=np.int64)
        rows[bank, word] = inputs
        if self.biased:
            rows[bias] = self.n_in
        return rows

    @property
    def words(self) -> int:
        """Words of a bank that hold rows."""
        return int(self.rows.shape[1])

    @property
    def first_words(self) -> int:
        """Words of bank 0, which may be fewer."""
        if self.in_turn:
            return max(1, int((self.rows[0] >= 0).sum()))
        return self.words if self.count == 1 else self.beats * (self.lanes // self.count)

    @property
    def written_words(self) -> int:
        """Words that storing the beats of an image may write, those beyond its inputs included."""
        return int(self._turns(self.skip)[1].max()) + 1 if self.in_turn else self.words

    @cached_property
    def skip(self) -> int:
        """The beat from which on bank 0 is left out, which makes up for its waiting.

        It waits in every tile: then it is never left out.
        """
        if not (self.in_turn and self.waits) or self.tile_rows is not None:
            return self.beats
        n_rows = self.n_in + self.biased
        # With every bank busy to the end, bank 0 has `waits` fewer words than the others.
        rounds = max(1, -(-(n_rows + self.waits) // self.count) - self.waits)
        skip = min(self.beats, -(-rounds * self.count // self.lanes))
        for earlier in range(skip, max(0, skip - self.count), -1):
            bank, word = (turns[:n_rows] for turns in self._turns(earlier))
            if (bank == 0).sum() + self.waits <= word.max() + 1:
                return earlier
        return skip

    def _turns(self, skip: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bank and word of every input of every beat, in their turn, and of one more.

        Args:
            skip: from this beat on a new round leaves bank 0 out.
        """
        taken = np.arange(self.beats * self.lanes + 1)
        # The first round that ends in beat `skip` or later; the next ones leave bank 0 out.
        whole = (skip * self.lanes) // self.count + 1
        later = taken - whole * self.count
        others = max(1, self.count - 1)
        bank = np.where(later < 0, taken % self.count, 1 + later % others)
        word = np.where(later < 0, taken // self.count, whole + later // others)
        return bank, word
