"""C simulation: run every image through the compiled test bench, read raw integers back.

Needs neither TensorFlow nor hls4ml, so `synq verify` starts at once.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls.compiler import Program, Unit, building
from synq.network import QuantizedNetwork, Stages, stage_sizes
from synq.process import Command, run_all

PROJECT = "synapse_network"  # the top function; a fixed C++ identifier, never a user's text
FIRMWARE = Unit(f"firmware/{PROJECT}.cpp")
TEST_BENCH = Program("test_bench", (Unit(f"{PROJECT}_test.cpp"), FIRMWARE))
LIBRARY = Program("library.so", (Unit(f"{PROJECT}_bridge.cpp"), FIRMWARE), shared=True)  # hls4ml's


@dataclass(frozen=True)
class Simulation:
    """What the test bench computed.

    Attributes:
        stages: as `Trace.stages`.
        images_per_second: of one process, without reading and writing files.
    """

    stages: Stages
    images_per_second: float


def build_test_bench(place: Path, scratch: Path, cache_dir: Path) -> Path:
    """The compiled test bench of the project's folder `hls`.

    Raises:
        SynqError: g++ is missing or fails.
    """
    with building(place, [TEST_BENCH], scratch, cache_dir) as builds:
        return builds.finish(TEST_BENCH)


def simulate(
    executable: Path,
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    parts: int | None = None,
) -> Simulation:
    """Run the compiled test bench on all inputs.

    Args:
        inputs: (n_samples, n_in) raw integers.
        scratch: folder for the input and result files.
        parts: processes at a time; one a core without. With read noise, which counts images, it
            is one.

    Raises:
        SynqError: the test bench failed (an accumulator left its proven range, a full disk).
    """
    parts = 1 if network.noisy else parts or os.cpu_count() or 1
    shares = np.array_split(inputs, max(1, min(parts, len(inputs))))
    commands = []
    for number, share in enumerate(shares):
        given = scratch / f"inputs_{number}.bin"
        given.write_bytes(share.astype("<u2").tobytes())
        commands.append(
            Command([str(executable), str(given), str(scratch / f"results_{number}.bin")])
        )
    logs = run_all(commands, "the C simulation")
    widths = [size for _, size in stage_sizes(network)] + [1]
    names = [name for name, _ in stage_sizes(network)] + ["class"]
    table = np.empty((len(inputs), sum(widths)), dtype=np.int64)
    first = 0
    for number, share in enumerate(shares):
        path = scratch / f"results_{number}.bin"
        if path.stat().st_size != 8 * len(share) * sum(widths):
            raise SynqError(
                f"the C simulation wrote {path.stat().st_size} bytes, not "
                f"{8 * len(share) * sum(widths)}: is the disk full?"
            )
        if len(share):
            # Mapped: every integer of every image is much, and is in memory once.
            table[first : first + len(share)] = np.memmap(
                path, "<i8", "r", shape=(len(share), sum(widths))
            )
        first += len(share)
        path.unlink()
    columns = np.split(table, np.cumsum(widths)[:-1], axis=1)
    seconds = sum(float(log.split()[-1]) for log in logs)
    return Simulation(list(zip(names, columns, strict=True)), len(inputs) / seconds)


def integer_lines(rows: NDArray[np.integer[Any]]) -> bytes:
    """A matrix of integers as text, one line a row."""
    return b"".join(b" ".join(b"%d" % value for value in row) + b"\n" for row in rows.tolist())
