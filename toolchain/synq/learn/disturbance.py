"""Chips in training: what cells do to weights, drawn anew for every batch, on tensors.

The same models as `synq.chip`, restated on whole weights: the errors of a synapse's cells add up to
one normal error of the same variance.
"""

import math

import torch

from synq.chip import FaultMap, State
from synq.device import Window
from synq.quantizing import Mapping
from synq.variation import Variation


class Disturbance:
    """Turns a layer's realized weights, `(n_out, n_rows)` in -1..1, into those of a random chip.

    Device-to-device factors and stuck cells are drawn for every call. The cells of a fault map are
    stuck in every one, and no others.
    """

    def __init__(
        self,
        variation: Variation,
        faults: FaultMap | None,
        index: int,
        window: Window,
        mapping: Mapping,
        generator: torch.Generator,
    ) -> None:
        self._variation, self._mapping, self._generator = variation, mapping, generator
        self._lowest = window.low / window.width
        self._known: torch.Tensor | None = None
        if faults is not None:
            # (polarities, n_out, n_rows)
            self._known = torch.tensor(faults.states[index].transpose(2, 1, 0).astype("int64"))

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """The weights of a chip; no gradient is followed."""
        cells = self._cells(weights)
        spread = self._variation.device_to_device
        if spread:
            # Independent errors of cells: their variances add.
            size = sum((cell + self._lowest).square() for cell in cells)
            normal = torch.randn(weights.shape, generator=self._generator)
            error = spread * self._gain * torch.as_tensor(size).sqrt() * normal
        else:
            error = torch.zeros(())
        self._stick(cells)
        return self._weights(cells) + error

    @property
    def _gain(self) -> float:
        """Weight per normalized conductance of one cell."""
        return 2.0 if self._mapping is Mapping.OFFSET else 1.0

    def _cells(self, weights: torch.Tensor) -> list[torch.Tensor]:
        """Normalized conductances of each polarity, tensors of their own."""
        if self._mapping is Mapping.OFFSET:
            return [(1 + weights) / 2]
        return [weights.clamp(min=0), (-weights).clamp(min=0)]

    def _weights(self, cells: list[torch.Tensor]) -> torch.Tensor:
        return 2 * cells[0] - 1 if self._mapping is Mapping.OFFSET else cells[0] - cells[1]

    def _stick(self, cells: list[torch.Tensor]) -> None:
        if self._known is not None:
            for cell, state in zip(cells, self._known, strict=True):
                cell.masked_fill_(state == State.STUCK_AT_MIN, 0.0)
                cell.masked_fill_(state == State.STUCK_AT_MAX, 1.0)
            return
        at_min, stuck = self._variation.stuck_at_min, self._variation.stuck_share
        if not stuck:
            return
        for cell in cells:
            # Few of many: their places are drawn, not a number for each cell. Some are drawn
            # twice, so more are drawn than are stuck.
            count = round(-math.log1p(-min(stuck, 0.999)) * cell.numel())
            places = torch.randint(cell.numel(), (count,), generator=self._generator)
            lowest = torch.rand(count, generator=self._generator) * stuck < at_min
            cell.view(-1)[places] = torch.where(lowest, 0.0, 1.0)
