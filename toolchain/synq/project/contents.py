"""What is in a project's folder, rendered in memory: all but what TensorFlow and hls4ml write.

`export` writes these files and `verify` renders them anew, so a file that was changed together with
its digest is noticed. Left to the digests alone are hls4ml's sources and scripts (the simulations
compile them), `qkeras_model.h5`, the logs, the test vectors and labels in `vectors.npz`, and the
facts of the page, `report.json`.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board, Sources
from synq.cost import Resources
from synq.errors import SynqError
from synq.hls import axis
from synq.hls.back_end import read_hls_design
from synq.hls.design import HlsDesign
from synq.hls.sources import render_sources
from synq.network import QuantizedNetwork, Trace
from synq.project.driver import render_driver
from synq.project.filesets import CONSTRAINTS, FILE_LIST, render_filesets
from synq.project.flow import (
    BITSTREAMS,
    PROCESSING_SYSTEMS,
    HlsCore,
    RtlCore,
    render_flow,
)
from synq.project.tables import render_tables
from synq.request import Flow
from synq.rtl.back_end import read_design
from synq.rtl.design import RtlDesign
from synq.rtl.verilog import TOP, render_rtl
from synq.score import Task
from synq.stream import BEAT_BITS

_SHIPPED_VECTORS = 100  # test images that go along as text, for csim_design, cosim_design, driver


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class Contents:
    """What the files follow from.

    Attributes:
        inputs: (n_samples, n_in) raw integers, all test inputs, of the format's `byte_type`.
        labels: (n_samples,) int64 class numbers, or (n_samples, n_out) float64 targets.
        expected: the integer reference for them.
        title: of the driver's notebook.
        hls: the design of the HLS core, or None without one.
        stream: whether the HLS core's layers are joined by streams (io_stream).
        rtl: the design of the Verilog core, or None without one.
    """

    network: QuantizedNetwork
    inputs: NDArray[np.uint8 | np.int8]
    labels: NDArray[np.int64]
    expected: Trace
    board: Board
    title: str
    hls: HlsDesign | None
    stream: bool
    rtl: RtlDesign | None


def project_title(dataset: str, device: str, levels: int, board: str, chip: str = "") -> str:
    """What a project is called.

    Args:
        chip: which chip of the design it is; "" for the design.
    """
    return "-".join(part for part in (dataset, device, f"L{levels}", chip, board) if part)


def render_contents(contents: Contents) -> dict[str, bytes]:
    """The files by their names in the project; the same bytes for the same contents.

    Raises:
        SynqError: a design cannot be built for this network.
    """
    network = contents.network
    vectors = io.BytesIO()
    np.savez(vectors, inputs=contents.inputs, labels=contents.labels)
    files = {"network.npz": network.to_npz(), "vectors.npz": vectors.getvalue()}
    files |= _below("tables", render_tables(network))
    hls, rtl = None, None
    if contents.hls is not None:
        files |= _hls(contents, contents.hls)
        sources = tuple(f"hls/{source}" for source in axis.SOURCES)
        hls = HlsCore(axis.TOP, sources, f"hls/{axis.TEST_BENCH}")
    if contents.rtl is not None:
        core = render_rtl(network, contents.rtl)
        files |= _below("rtl", core)
        files |= render_filesets(contents.board, contents.title, core)
        rtl = _rtl_core(contents.rtl, core)
    if contents.board.has_hls:  # AMD's
        files |= _below("flow", render_flow(contents.board, hls, rtl))
        files |= _driver(contents, hls, rtl)
    return files


def _rtl_core(design: RtlDesign, files: Iterable[str]) -> RtlCore:
    verilog, memories = (
        tuple(sorted(f"rtl/{name}" for name in files if name.endswith(end)))
        for end in (".v", ".mem")
    )
    return RtlCore(
        TOP, verilog, memories, CONSTRAINTS, design.beat_bits, design.result_bits, design.reloadable
    )


def _hls(contents: Contents, design: HlsDesign) -> dict[str, bytes]:
    some, answers = contents.inputs[:_SHIPPED_VECTORS], contents.expected.head(_SHIPPED_VECTORS)
    return _below("hls", render_sources(contents.network, design, contents.stream, some, answers))


def _driver(contents: Contents, hls: HlsCore | None, rtl: RtlCore | None) -> dict[str, bytes]:
    """The driver, if there is a bitstream for it."""
    beat_bits = {}
    if hls is not None:
        beat_bits[Flow.HLS] = BEAT_BITS
    if rtl is not None and rtl.feedable:
        beat_bits[Flow.RTL] = rtl.beat_bits
    if contents.board.family not in PROCESSING_SYSTEMS or not beat_bits:
        return {}
    driver = render_driver(
        contents.network,
        contents.inputs[:_SHIPPED_VECTORS],
        contents.expected.head(_SHIPPED_VECTORS),
        contents.labels[:_SHIPPED_VECTORS],
        contents.title,
        {f"{BITSTREAMS[flow]}.bit": bits for flow, bits in beat_bits.items()},
    )
    return _below("driver", driver)


def rtl_core(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the Verilog core among a project's, by their names in the folder `rtl`."""
    start = "rtl/"
    return {
        name.removeprefix(start): content
        for name, content in files.items()
        if name.startswith(start) and name not in (FILE_LIST, CONSTRAINTS)
    }


def _below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def read_contents(
    manifest: Mapping[str, Any],
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8 | np.int8],
    labels: NDArray[np.int64],
    expected: Trace,
) -> Contents:
    """The contents of an exported project, as its manifest tells them.

    Raises:
        SynqError: it does not.
    """
    flows = read_flows(manifest)
    hls = read_hls_design(manifest) if Flow.HLS in flows else None
    rtl = read_design(manifest) if Flow.RTL in flows else None
    if hls is not None and len(hls.arrays) != len(network.arrays):
        raise SynqError("the manifest describes an HLS design of another network")
    try:
        configuration = manifest["configuration"]
        title = project_title(
            manifest["dataset"]["name"],
            configuration["device"],
            configuration["quantization"]["levels"],
            manifest["board"]["name"],
            configuration.get("chip", ""),
        )
        stream = configuration.get("io_type") == "io_stream"
        return Contents(
            network, inputs, labels, expected, _board(manifest["board"]), title, hls, stream, rtl
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise SynqError(
            f"the manifest does not tell what the project is of: {error!r:.100}"
        ) from None


def read_flows(manifest: Mapping[str, Any]) -> tuple[Flow, ...]:
    """The back ends of a project.

    Raises:
        SynqError: its manifest names none.
    """
    given = manifest.get("flows")
    named = given if isinstance(given, list) else []
    flows = tuple(flow for flow in Flow if flow.value in named)
    if not flows or len(flows) != len(named):
        raise SynqError("the manifest names no flow: export the project again with this synq")
    return flows


def read_task(manifest: Mapping[str, Any]) -> Task:
    """What the outputs of a project mean.

    Raises:
        SynqError: its manifest does not tell.
    """
    try:
        return Task(manifest["dataset"]["task"])
    except (KeyError, TypeError, ValueError):
        raise SynqError(
            "the manifest names no task: export the project again with this synq"
        ) from None


def describe_board(board: Board) -> dict[str, Any]:
    """The board as the manifest holds it: its whole definition."""
    return asdict(board)


def _board(told: Mapping[str, Any]) -> Board:
    resources, sources = Resources(**told["resources"]), Sources(**told["sources"])
    board = Board(**{**told, "resources": resources, "sources": sources})
    texts = (board.name, board.description, board.part, board.family)
    if not all(isinstance(text, str) for text in texts) or type(board.clock_ns) not in (int, float):
        raise TypeError("a board of other types")
    if not 0.5 <= board.clock_ns <= 1000:
        raise TypeError(f"a board with a clock of {board.clock_ns:g} ns")
    return board
