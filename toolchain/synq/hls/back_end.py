"""The HLS back end: the folder hls/ of a project rendered in memory, and its checks.

The checks compare every integer of every image with the reference: of the QKeras model, of hls4ml's
compiled library, of the C simulation and of the AXI4-Stream wrapper.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board
from synq.errors import SynqError
from synq.hls import axis, csim
from synq.hls.compiler import Builds, building
from synq.hls.design import ArrayPlan, HlsDesign
from synq.network import QuantizedNetwork, Trace, require_equal
from synq.request import MOST_ROWS, Datapath


@dataclass(frozen=True)
class HlsSettings:
    """hls4ml's backend ("Vitis", "Vivado") and interface ("io_parallel", "io_stream")."""

    backend: str
    io_type: str

    @property
    def stream(self) -> bool:
        """Whether the layers are joined by streams rather than arrays."""
        return self.io_type == "io_stream"


@dataclass(frozen=True)
class HlsCore:
    """A network as QKeras and hls4ml have taken it.

    Attributes:
        files: hls4ml's own, by their names in the folder `hls`.
        model_file: the QKeras model as HDF5.
        model: the Keras model.
        graph: hls4ml's ModelGraph.
        log: what hls4ml prints; grows while `check_hls` works.
        scratch: where hls4ml has written, for `public_log`.
    """

    files: dict[str, bytes]
    model_file: bytes
    model: Any
    graph: Any
    log: io.StringIO
    scratch: Path

    def public_log(self) -> bytes:
        """The log without names of folders, so that equal runs keep equal logs."""
        return self.log.getvalue().replace(str(self.scratch), "scratch").encode()


@dataclass(frozen=True)
class HlsSimulation:
    """What was compiled and run: every integer equal, or there would be none.

    Attributes:
        classes: (n_samples,) the answers of the C simulation.
        compared: integers compared with the reference, by check.
        images_per_second: of the C simulation on one core.
        compiler_log: what g++ printed.
    """

    classes: NDArray[np.int64]
    compared: dict[str, int]
    images_per_second: float
    compiler_log: bytes


def render_hls(
    network: QuantizedNetwork,
    design: HlsDesign,
    board: Board,
    settings: HlsSettings,
    scratch: Path,
) -> HlsCore:
    """Build the QKeras model and convert it; imports TensorFlow.

    Args:
        scratch: folder that hls4ml writes to.

    Raises:
        SynqError: the network is beyond what QKeras or hls4ml compute or build.
    """
    log = io.StringIO()
    with _listening(log):
        # Imported here, TensorFlow and hls4ml log to where the output goes here.
        from synq.hls import project, qkeras_model

        model = qkeras_model.build_model(network)
        graph = project.convert(
            model, network, design, board, settings.backend, settings.io_type, scratch / "hls4ml"
        )
        files = project.hls4ml_files(graph)
        return HlsCore(files, qkeras_model.model_file(model), model, graph, log, scratch)


def check_hls(
    core: HlsCore,
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    cache_dir: Path,
) -> HlsSimulation:
    """All four checks; see `simulate_hls`.

    Args:
        files: the whole folder `hls`, by name.

    Raises:
        SynqError: an integer differs, or a tool failed.
    """
    from synq.hls import project, qkeras_model

    place = _written(files, scratch)
    programs = (csim.TEST_BENCH, axis.BENCH, project.LIBRARY)
    with (
        _listening(core.log),
        building(place, programs, scratch, cache_dir) as builds,
        ThreadPoolExecutor(1) as pool,
    ):
        simulated = pool.submit(_simulate, builds, network, inputs, expected, scratch)
        stages = qkeras_model.model_stages(core.model, network, inputs)
        compared = {"qkeras": require_equal(expected, stages, "QKeras")}
        library = builds.finish(project.LIBRARY)
        stages = project.simulate_library(core.graph, library, network, inputs)
        compared["hls4ml"] = require_equal(expected, stages, "hls4ml's compiled library")
        simulation = simulated.result()
        return replace(simulation, compared={**compared, **simulation.compared})


def simulate_hls(
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    cache_dir: Path,
) -> HlsSimulation:
    """Compile and run the C simulation and the AXI4-Stream wrapper; needs no TensorFlow.

    Args:
        files: the folder `hls`, by name: nothing else is compiled.
        inputs: (n_samples, n_in) raw integers.
        expected: the integer reference for them.
        scratch: an empty folder.
        cache_dir: synq's cache, where compiled objects are kept.

    Raises:
        SynqError: an integer, a TLAST or a TKEEP differs, or g++ failed.
    """
    place = _written(files, scratch)
    with building(place, (csim.TEST_BENCH, axis.BENCH), scratch, cache_dir) as builds:
        return _simulate(builds, network, inputs, expected, scratch)


def _simulate(
    builds: Builds,
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
) -> HlsSimulation:
    run = csim.simulate(builds.finish(csim.TEST_BENCH), network, inputs, scratch)
    compared = {"csim": require_equal(expected, run.stages, "C simulation")}
    bench = builds.finish(axis.BENCH)
    compared["axis"] = axis.require_exact(bench, network, inputs, expected, scratch)
    log = builds.log().replace(str(scratch), "scratch").encode()
    return HlsSimulation(run.stages[-1][1][:, 0], compared, run.images_per_second, log)


def read_hls_design(manifest: Mapping[str, Any]) -> HlsDesign:
    """The design that a project's manifest describes.

    Raises:
        SynqError: it describes none.
    """
    try:
        arrays = []
        for told in manifest["designs"]["hls"]["arrays"]:
            rows = (told["parallel_rows"], told["decoded_rows"])
            if any(type(count) is not int for count in rows) or not (
                1 <= rows[0] <= MOST_ROWS and 0 <= rows[1] <= rows[0]
            ):
                raise ValueError(f"rows cannot be {rows}")
            if type(told["event_driven"]) is not bool:
                raise ValueError(f"event_driven cannot be {told['event_driven']!r:.40}")
            arrays.append(ArrayPlan(Datapath(told["datapath"]), *rows, told["event_driven"]))
        return HlsDesign(tuple(arrays))
    except (KeyError, TypeError, ValueError) as error:
        raise SynqError(f"the manifest describes no HLS design: {error!r:.100}") from None


def _written(files: Mapping[str, bytes], scratch: Path) -> Path:
    """A folder with exactly these files, to compile in."""
    place = scratch / "hls"
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place


@contextmanager
def _listening(log: io.StringIO) -> Iterator[None]:
    """What libraries print goes to the log; warnings, which name folders here, go nowhere."""
    with warnings.catch_warnings(action="ignore"), redirect_stdout(log), redirect_stderr(log):
        yield
