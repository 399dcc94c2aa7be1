"""Cores that are rendered, compiled and run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq import stream
from synq.network import QuantizedNetwork
from synq.rtl import simulate
from synq.rtl.design import RtlDesign
from synq.rtl.simulate import RtlRun, Traffic
from synq.rtl.verilog import render_rtl
from verilog import difference


@dataclass(frozen=True, eq=False)
class Core:
    """A compiled core with what it must reproduce.

    Attributes:
        network: what it computes.
        design: how.
        folder: its own.
        executable: the simulation.
    """

    network: QuantizedNetwork
    design: RtlDesign
    folder: Path
    executable: Path

    @property
    def place(self) -> Path:
        """Its Verilog and memories."""
        return self.folder / "rtl"

    def run(
        self,
        inputs: np.ndarray,
        scratch: Path,
        traffic: Traffic | None = None,
        parts: int = 1,
        networks: Mapping[int, np.ndarray] | None = None,
    ) -> RtlRun:
        """See `simulate.run`."""
        which = (self.executable, self.place, self.network, self.design)
        return simulate.run(*which, inputs, scratch, traffic, parts, networks)

    def check(self, inputs: np.ndarray, scratch: Path, traffic: Traffic | None = None) -> RtlRun:
        """The same, every integer that of the reference."""
        run = self.run(inputs, scratch, traffic)
        assert difference(run, self.network.run(inputs)) is None, (self.design, traffic)
        return run

    def answer(
        self, words: NDArray[np.uint64], last: NDArray[np.bool_], scratch: Path
    ) -> stream.Beats:
        """What a DMA of 64 bits receives for what it sends, through converters of width where the
        core's streams are wider. Gaps and stalls are random.

        Args:
            words: of whole images.
            last: (n_words,) TLAST.
        """
        width, result_bits = self.design.beat_bits // 64, self.design.result_bits
        beats = np.ascontiguousarray(words, dtype="<u8").reshape(-1, width)
        ends = last.reshape(-1, width)[:, -1:].astype(np.uint8)
        given = np.hstack([beats.view(np.uint8), ends]).tobytes()
        sizes, bits = self.network.sizes, self.network.input_format.width
        n_images = len(beats) // stream.beats_per_image(sizes[0], bits, self.design.beat_bits)
        n_results = n_images * stream.beats_per_result(sizes[-1]) * 64 // result_bits
        place = (self.executable, self.place, [scratch], [given], [n_results])
        (records,) = simulate.play(*place, Traffic(0.2, 0.2, seed=3), result_bits)
        n_words = result_bits // 64
        at_end = np.zeros((len(records), n_words), dtype=bool)
        at_end[:, -1] = records["last"]
        keep = np.repeat(records["keep"], n_words)
        return stream.Beats(records["data"].ravel().astype(np.uint64), keep, at_end.ravel())


@dataclass
class CoreBuilder:
    """Compiles cores.

    Attributes:
        verilator: what compiles.
        scratch: a folder for all of them.
        built: how many.
    """

    verilator: simulate.Verilator
    scratch: Path
    built: int = 0

    def __call__(
        self,
        network: QuantizedNetwork,
        design: RtlDesign,
        spoil: Callable[[dict[str, bytes]], None] | None = None,
    ) -> Core:
        """Render, lint and compile a core, its files spoilt before."""
        folder = self.scratch / str(self.built)
        self.built += 1
        files = render_rtl(network, design)
        if spoil is not None:
            spoil(files)
        simulate.write_rtl(files, folder / "rtl")
        simulate.lint(folder / "rtl", self.verilator)
        executable = simulate.build(folder / "rtl", folder, design, self.verilator)
        return Core(network, design, folder, executable)
