"""How a device's cells differ from its curve: what `synq.chip` draws for every cell of a chip.

- *Device to device*: every conductance of a cell is multiplied by the cell's own factor, normal
  around 1 (Agarwal et al., "Resistive memory device requirements for a neural algorithm
  accelerator", IJCNN 2016).
- *Cycle to cycle*: each pulse misses by a normal error, a share of the window (MLP+NeuroSim V3.0
  manual, cycle-to-cycle variation).
- *Stuck cells*: a share of the cells stays at g_min, another at g_max (Chen et al.,
  "Accelerator-friendly neural-network training", DATE 2017).
- *Drift*: G(t) = G (t / t0)**-nu, nu normal from cell to cell (Le Gallo and Sebastian, "An overview
  of phase-change memory device physics", J. Phys. D 2020).
- *Wires*: a resistor between neighbouring cells of a row, and of a column (`synq.wires`).
"""

from dataclasses import dataclass
from typing import Annotated

from synq.definition import OPTIONAL, Range

_Share = Annotated[float, Range(0.0, 1.0), OPTIONAL]


@dataclass(frozen=True)
class Variation:
    """Sizes of the effects; all are 0 unless a device's file says otherwise.

    Attributes:
        device_to_device: standard deviation of a cell's factor, 0 to 1.
        cycle_to_cycle: standard deviation of one pulse's error, a share of g_max - g_min.
        stuck_at_min: share of cells that stay at g_min.
        stuck_at_max: share of cells that stay at g_max.
        drift_exponent: mean of nu.
        drift_exponent_sigma: its standard deviation from cell to cell.
        drift_start_s: t0, seconds after programming at which conductances are as programmed.
        wire_resistance_ohm: of a wire from one cell to the next.

    Raises:
        ValueError: more than all cells are stuck.
    """

    device_to_device: _Share = 0.0
    cycle_to_cycle: _Share = 0.0
    stuck_at_min: _Share = 0.0
    stuck_at_max: _Share = 0.0
    drift_exponent: Annotated[float, Range(-1.0, 1.0), OPTIONAL] = 0.0
    drift_exponent_sigma: _Share = 0.0
    drift_start_s: Annotated[float, Range(1e-9, 1e9), OPTIONAL] = 1.0
    wire_resistance_ohm: Annotated[float, Range(0.0, 1e9), OPTIONAL] = 0.0

    def __post_init__(self) -> None:
        if self.stuck_at_min + self.stuck_at_max > 1:
            raise ValueError(
                "stuck_at_min and stuck_at_max must be at most 1 together, got "
                f"{self.stuck_at_min:g} and {self.stuck_at_max:g}"
            )

    @property
    def stuck_share(self) -> float:
        """Of all cells, at either end."""
        return self.stuck_at_min + self.stuck_at_max
