"""The checks of the folder hls/ of a project.

They compare every integer of every image with the reference: of the QKeras model, of hls4ml's
compiled library, of the C simulation and of the AXI4-Stream wrapper.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls import axis, csim
from synq.hls.compiler import Builds, building
from synq.hls.converter import Converted
from synq.hls.design import ArrayPlan, HlsDesign
from synq.network import QuantizedNetwork, Stages, Trace, require_equal, stage_sizes
from synq.progress import Pieces, Progress, pieces
from synq.request import MOST_ROWS, Datapath

_VALUES_AT_ONCE = 1 << 23  # integers of a check: they go from a process to another

_LABEL = "Compile and run the C simulation"
_MODEL, _LIBRARY = "QKeras", "hls4ml's library"
_COMPILE, _RUN, _AXIS = "compile", "C simulation", "AXI4-Stream wrapper"
# Seconds that each adds to the others', of 10,000 images of MNIST.
_SHARES = {_COMPILE: 6.0, _RUN: 2.0, _AXIS: 4.0}
_SHARES_OF_MODEL = {_MODEL: 2.0, _LIBRARY: 2.0}


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


def check_hls(
    converted: Converted,
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    cache_dir: Path,
    progress: Progress,
) -> HlsSimulation:
    """All four checks; see `simulate_hls`.

    Args:
        files: the whole folder `hls`, by name.

    Raises:
        SynqError: an integer differs, or a tool failed.
    """
    place = _written(files, scratch)
    programs = (csim.TEST_BENCH, axis.BENCH, csim.LIBRARY)
    with (
        pieces(progress, _LABEL, {**_SHARES, **_SHARES_OF_MODEL}) as working,
        building(place, programs, scratch, cache_dir) as builds,
        ThreadPoolExecutor(1) as pool,
    ):
        simulated = pool.submit(_simulate, builds, network, inputs, expected, scratch, working)
        compared = {
            "qkeras": _compared(converted.model_stages, network, inputs, expected, "QKeras")
        }
        working.done(_MODEL)
        library = builds.finish(csim.LIBRARY)
        compared["hls4ml"] = _compared(
            lambda some: converted.library_stages(library, some),
            network,
            inputs,
            expected,
            "hls4ml's compiled library",
        )
        working.done(_LIBRARY)
        simulation = simulated.result()
        return replace(simulation, compared={**compared, **simulation.compared})


def _compared(
    stages: Callable[[NDArray[np.integer[Any]]], Stages],
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    name: str,
) -> int:
    """How many integers of all images were compared; some images at a time, as they may be large.

    Raises:
        SynqError: one differs.
    """
    values = sum(size for _, size in stage_sizes(network))
    # Read noise counts images, from the first on each time: then all at once.
    at_once = len(inputs) if network.noisy else max(1, _VALUES_AT_ONCE // values)
    compared = 0
    for first in range(0, max(1, len(inputs)), max(1, at_once)):
        some = slice(first, first + at_once)
        wanted = Trace(
            tuple(sums[some] for sums in expected.accumulators),
            tuple(signal[some] for signal in expected.activations),
            expected.classes[some],
        )
        compared += require_equal(wanted, stages(inputs[some]), name, first)
    return compared


def simulate_hls(
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    cache_dir: Path,
    progress: Progress,
) -> HlsSimulation:
    """Compile and run the C simulation and the AXI4-Stream wrapper; needs no TensorFlow.

    Args:
        files: the folder `hls`, by name: nothing else is compiled.
        inputs: (n_samples, n_in) raw integers.
        expected: the integer reference for them.
        scratch: an empty folder.
        cache_dir: synq's cache, where compiled objects are kept.
        progress: shows the pieces of it.

    Raises:
        SynqError: an integer, a TLAST or a TKEEP differs, or g++ failed.
    """
    place = _written(files, scratch)
    with (
        pieces(progress, _LABEL, _SHARES) as working,
        building(place, (csim.TEST_BENCH, axis.BENCH), scratch, cache_dir) as builds,
    ):
        return _simulate(builds, network, inputs, expected, scratch, working)


def _simulate(
    builds: Builds,
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    working: Pieces,
) -> HlsSimulation:
    program = builds.finish(csim.TEST_BENCH)
    working.done(_COMPILE)
    run = csim.simulate(program, network, inputs, scratch)
    compared = {"csim": require_equal(expected, run.stages, "C simulation")}
    working.done(_RUN)
    bench = builds.finish(axis.BENCH)
    compared["axis"] = axis.require_exact(bench, network, inputs, expected, scratch)
    working.done(_AXIS)
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
