"""How an HLS core is built."""

from dataclasses import dataclass

from synq.request import Datapath


@dataclass(frozen=True)
class ArrayPlan:
    """How one array is built.

    Attributes:
        datapath: how the rows are weighted.
        parallel_rows: rows a cycle.
        decoded_rows: of those, rows on the decode datapath; all of them with `decode`, none with
            `buckets`.
        event_driven: whether rows whose input is zero are skipped.
    """

    datapath: Datapath
    parallel_rows: int
    decoded_rows: int
    event_driven: bool = False

    @property
    def fabric_rows(self) -> int:
        """Rows weighted in logic rather than in DSPs."""
        return self.parallel_rows - self.decoded_rows


SIMPLEST = ArrayPlan(Datapath.DECODE, 1, 1)


@dataclass(frozen=True)
class HlsDesign:
    """How the HLS core is built.

    Attributes:
        arrays: one an array of the network.
    """

    arrays: tuple[ArrayPlan, ...]


@dataclass(frozen=True)
class HlsSettings:
    """hls4ml's backend ("Vitis", "Vivado") and interface ("io_parallel", "io_stream")."""

    backend: str
    io_type: str

    @property
    def stream(self) -> bool:
        """Whether the layers are joined by streams rather than arrays."""
        return self.io_type == "io_stream"
