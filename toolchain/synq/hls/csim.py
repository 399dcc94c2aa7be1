"""C simulation: build the emitted sources with g++, run every image, read raw integers back.

Needs neither TensorFlow nor hls4ml, so `synq verify` starts at once.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.network import QuantizedNetwork, Stages, stage_sizes

PROJECT = "synapse_network"  # the top function; a fixed C++ identifier, never a user's text


@dataclass(frozen=True)
class Simulation:
    """What the test bench computed.

    Attributes:
        stages: as `Trace.stages`.
        images_per_second: of one process, without reading and writing files.
    """

    stages: Stages
    images_per_second: float


def find_compiler() -> str:
    """The path of g++.

    Raises:
        SynqError: it is not installed.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise SynqError(
            "g++ is not installed; the C simulation needs it: "
            "install your system's C++ compiler (Debian and Ubuntu: the package g++)"
        )
    return compiler


_SOURCES = (f"{PROJECT}_test.cpp", f"firmware/{PROJECT}.cpp")


@contextmanager
def test_bench_build(
    folder: Path, executable: Path, sources: Sequence[str] = _SOURCES
) -> Iterator["Build"]:
    """Start compiling the project in `folder`; the compiler runs while the caller works.

    The flags are those of a plain `csim_design`: the sources, the ap_types, no tuning for one
    machine.
    """
    command = [
        find_compiler(),
        "-std=c++14",
        "-O3",
        "-Ifirmware/ap_types",
        '-DWEIGHTS_DIR="firmware/weights"',
        "-o",
        str(executable),
        *sources,
    ]
    process = subprocess.Popen(
        command,
        cwd=folder,
        # An interrupted compiler may leave its temporary files: they go with our scratch folder.
        env={**os.environ, "TMPDIR": str(executable.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Build(process, executable)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Build:
    """A compiler at work."""

    process: subprocess.Popen[str]
    executable: Path

    def finish(self) -> str:
        """Wait for the compiler and return what it printed.

        Raises:
            SynqError: it failed.
        """
        log, _ = self.process.communicate()
        if self.process.returncode != 0:
            errors = [line for line in log.splitlines() if "error" in line.lower()]
            reason = errors[0] if errors else f"exit code {self.process.returncode}"
            raise SynqError(f"g++ could not build the C simulation: {reason}")
        return log


def simulate(
    executable: Path, network: QuantizedNetwork, inputs: NDArray[np.uint8], scratch: Path
) -> Simulation:
    """Run the compiled test bench on all inputs, on every core.

    Args:
        inputs: (n_samples, n_in) raw integers.
        scratch: folder for the input and result files.

    Raises:
        SynqError: the test bench failed (an accumulator left its proven range, a full disk).
    """
    parts = np.array_split(inputs, max(1, min(os.cpu_count() or 1, len(inputs))))
    processes: list[subprocess.Popen[str]] = []
    try:
        for number, part in enumerate(parts):
            given = scratch / f"inputs_{number}.txt"
            given.write_bytes(integer_lines(part))
            command = [str(executable), str(given), str(scratch / f"results_{number}.txt")]
            processes.append(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        logs = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, log in zip(processes, logs, strict=True):
        if process.returncode != 0:
            last = log.strip().splitlines()[-1] if log.strip() else "it printed nothing"
            raise SynqError(f"the C simulation stopped with code {process.returncode}: {last}")
    rows = np.concatenate(
        [read_integers(scratch / f"results_{number}.txt") for number in range(len(parts))]
    )
    widths = [size for _, size in stage_sizes(network)] + [1]
    names = [name for name, _ in stage_sizes(network)] + ["class"]
    if rows.size != len(inputs) * sum(widths):
        raise SynqError(f"the C simulation printed {rows.size} integers, not what was asked for")
    table = rows.reshape(len(inputs), sum(widths))
    columns = np.split(table, np.cumsum(widths)[:-1], axis=1)
    seconds = sum(float(log.split()[-1]) for log in logs)
    return Simulation(list(zip(names, columns, strict=True)), len(inputs) / seconds)


def finish_and_simulate(
    build: Build, network: QuantizedNetwork, inputs: NDArray[np.uint8], scratch: Path
) -> tuple[str, Simulation]:
    """Wait for the build, then `simulate`; the compiler's log and the simulation."""
    log = build.finish()
    return log, simulate(build.executable, network, inputs, scratch)


def integer_lines(rows: NDArray[np.integer[Any]]) -> bytes:
    """A matrix of integers as text, one line a row."""
    return b"".join(b" ".join(b"%d" % value for value in row) + b"\n" for row in rows.tolist())


def read_integers(path: Path) -> NDArray[np.int64]:
    """All integers of a text file, flat."""
    return np.fromstring(path.read_text(), dtype=np.int64, sep=" ")
