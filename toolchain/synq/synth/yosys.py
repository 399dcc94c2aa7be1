"""Open synthesis of the Verilog with Yosys, and what its statistics say.

These are resources after technology mapping, before placement: the vendor's tools pack and optimize
differently, and nothing here is routed.
"""

import importlib.util
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from synq.cost import Resources
from synq.errors import NoToolError, SynqError
from synq.process import TimeUpError, stream
from synq.rtl.verilog import TOP
from synq.synth import result
from synq.synth.result import Kind, Report

SHELL = "synq_shell"
"""Registers around the core, for place and route: it has more port bits than a part has pins."""

NETLIST = "netlist.json"
FLAT_NETLIST = "flat.blif"


@dataclass(frozen=True)
class Family:
    """Parts that are synthesized alike.

    Attributes:
        name: Yosys' own.
        command: what synthesizes; the modules of layers and bucket lanes ask to be kept apart.
        memories: the label of the command where memories are mapped.
        parts: what the part's name begins with.
    """

    name: str
    command: str
    memories: str
    parts: str


FAMILIES = (
    Family(
        "xc7",
        "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
        "map_memory",
        r"x[caq]7[askvz]",
    ),
    Family(
        "xcup",
        "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
        "map_memory",
        r"x[caq](zu|k\d\d|[kva]u\d+p|u\d)",
    ),
    Family("ecp5", "synth_ecp5", "map_ram", r"lfe5u"),
)
XC7, _, ECP5 = FAMILIES

_SCRIPT = """\
read_verilog -defer -sv {sources}
hierarchy -check -top {top}
{keep}{synthesis} -run begin:{memories}
{forget}{synthesis} -run {memories}:
tee -q -o stat.json stat -json
{netlist}"""
# What a block memory holds does not change what it costs, and Yosys would take minutes to copy it.
# But memories that hold the same, and are read at the same address, would become one: keep each.
_FORGET = """\
setattr -set keep 1 t:$mem_v2 a:ram_style=block %i
setparam -set INIT 1'bx t:$mem_v2 a:ram_style=block %i
"""
_FLATTEN = f"""\
setattr -mod -unset keep_hierarchy *
flatten -noscopeinfo
opt_clean -purge
write_blif -gates -param -noalias -top {TOP} {FLAT_NETLIST}
"""
_STATISTICS = "stat.json"

# Look-up tables that a primitive takes: UG474 (table 2-3, "Distributed RAM") and UG953; UG574 and
# UG974; of ECP5, those of four inputs: FPGA-DS-02012, "PFU Blocks".
_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
    "CCU2C": 2,  # two bits of a carry chain
}
_MEMORY_LUTS = {
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM16X1D": 2,
    "RAM16X1S": 1,
    "RAM32M": 4,
    "RAM32M16": 8,
    "RAM32X1D": 2,
    "RAM32X1S": 1,
    "RAM32X2S": 2,
    "RAM64M": 4,
    "RAM64M8": 8,
    "RAM64X1D": 2,
    "RAM64X1S": 1,
    "RAM64X8SW": 8,
    "RAM128X1D": 4,
    "RAM128X1S": 2,
    "RAM256X1D": 8,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "TRELLIS_DPR16X4": 4,
}
_WRITE_LUTS = {"TRELLIS_DPR16X4": 2}  # the slice whose look-up tables carry address and data
_BLOCKS = {
    **{"RAMB18E1": 1, "RAMB36E1": 2, "RAMB18E2": 1, "RAMB36E2": 2},
    **{"DP16KD": 1, "PDPW16KD": 1},
}
_FLIP_FLOPS = {
    *("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1"),
    "TRELLIS_FF",
}
_DSPS = {"DSP48E1", "DSP48E2", "MULT18X18D"}
# Parts of a slice beside its look-up tables, and what is not hardware.
_FREE = {"CARRY4", "CARRY8", *(f"MUXF{n}" for n in (7, 8, 9)), "PFUMX", "L6MUX21", "$scopeinfo"}


@dataclass(frozen=True)
class Synthesis:
    """What Yosys reports.

    Attributes:
        tool: name and version of the program.
        command: what synthesized; None where the statistics do not say.
        total: the whole core.
        layers: each layer's share, by the module's name; what is missing to the total joins them.
    """

    tool: str
    command: str | None
    total: Resources
    layers: dict[str, Resources]


def family_of(part: str) -> Family:
    """How a part is synthesized, by its name.

    Raises:
        SynqError: Yosys is not known to be able to.
    """
    for family in FAMILIES:
        if re.match(family.parts, part, re.IGNORECASE):
            return family
    raise SynqError(
        f"synq does not know how to synthesize for {part} with Yosys: it does for 7-series, "
        "UltraScale+ and ECP5"
    )


def synthesize(
    place: Path,
    scratch: Path,
    keep_contents: bool = False,
    family: Family = XC7,
    seconds: float = math.inf,
    listen: Callable[[str], None] | None = None,
    netlist: bool = False,
) -> Synthesis:
    """Synthesize the Verilog in `place`.

    Args:
        scratch: folder for the script, the log, the statistics and the netlist.
        keep_contents: whether block memories keep their contents: the same counts, in minutes.
        family: of the part.
        seconds: time limit.
        listen: gets what Yosys prints, line by line, as it comes.
        netlist: whether to leave a netlist in `scratch`: of ECP5 `NETLIST` of `SHELL`, for place
            and route; else `FLAT_NETLIST`, for `synq.synth.timing`.

    Raises:
        NoToolError: there is no Yosys.
        TimeUpError: its time was up.
        SynqError: it failed.
    """
    command = find_yosys()
    scratch.mkdir(parents=True, exist_ok=True)
    sources = [path for path in sorted(place.glob("*.v")) if path.name != "synq_monitor.v"]
    if not any(path.name == f"{TOP}.v" for path in sources):
        raise SynqError(f"{place} has no {TOP}.v")
    for path in [*sources, *place.glob("*.mem")]:
        (scratch / path.name).write_bytes(path.read_bytes())
    names = [path.name for path in sources]
    shell = netlist and family is ECP5
    if shell:
        (scratch / f"{SHELL}.v").write_text(_shell((place / f"{TOP}.v").read_text()))
        names.append(f"{SHELL}.v")
    (scratch / "synth.ys").write_text(
        _SCRIPT.format(
            sources=" ".join(names),
            top=SHELL if shell else TOP,
            keep=f"setattr -mod -set keep_hierarchy 1 {TOP}\n" if shell else "",
            synthesis=family.command,
            memories=family.memories,
            forget="" if keep_contents else _FORGET,
            netlist=(f"write_json {NETLIST}\n" if shell else _FLATTEN) if netlist else "",
        )
    )
    (scratch / _STATISTICS).unlink(missing_ok=True)
    error, last = "", ""
    with (scratch / "yosys.log").open("w") as log:

        def hear(line: str) -> None:
            nonlocal error, last
            log.write(f"{line}\n")
            last = line.strip() or last
            error = line if "ERROR" in line else error
            if listen is not None:
                listen(line)

        code = stream(command, seconds, hear, {"cwd": scratch})
    if code is None:
        raise TimeUpError("Yosys took too long and was ended")
    if code != 0 or not (scratch / _STATISTICS).exists():
        reason = (error or last or "it printed nothing").strip()[:300]
        raise SynqError(f"Yosys stopped with code {code}: {reason}")
    return parse_statistics((scratch / _STATISTICS).read_text(), family.command)


def find_yosys() -> list[str]:
    """How to run Yosys on `synth.ys`: the program on PATH, or the Python package `pyosys`.

    Raises:
        NoToolError: there is neither.
    """
    if (on_path := shutil.which("yosys")) is not None:
        return [on_path, "-s", "synth.ys"]
    if importlib.util.find_spec("pyosys") is not None:
        code = (
            "from pyosys import libyosys as ys; "
            "design = ys.Design(); ys.run_pass('script synth.ys', design)"
        )
        return [sys.executable, "-c", code]
    raise NoToolError(
        "Yosys is not installed; open synthesis needs it: install the system's package yosys, or "
        "`pip install pyosys`"
    )


_PORT = re.compile(r"^ *(input|output) wire (?:\[(\d+):0\] )?(\w+),?$", re.MULTILINE)


def _shell(top: str) -> str:
    """Verilog of a module with the core `top` and three pins: every path of the core then runs
    from a register to a register, as between cores.

    Inputs come from a shift register; outputs are registered, then folded into a chain of
    exclusive ors.
    """
    header = top[: top.index(");")]
    ports = {name: (way, int(high or 0) + 1) for way, high, name in _PORT.findall(header)}
    ports.pop("clk")
    connections, widths = [".clk(clk)"], {"input": 0, "output": 0}
    for name, (way, width) in ports.items():
        signal = "given" if way == "input" else "answer"
        connections.append(f".{name}({signal}[{widths[way]}+:{width}])")
        widths[way] += width
    n_in, n_out = widths["input"], widths["output"]
    return f"""\
module {SHELL} (input wire clk, input wire serial, output wire folded);
    reg [{n_in - 1}:0] given;
    wire [{n_out - 1}:0] answer;
    reg [{n_out - 1}:0] held, chain;
    always @(posedge clk) begin
        given <= {{given[{n_in - 2}:0], serial}};
        held <= answer;
        chain <= {{chain[{n_out - 2}:0], 1'b0}} ^ held;
    end
    assign folded = chain[{n_out - 1}];
    {TOP} core ({", ".join(connections)});
endmodule
"""


# ---- Statistics ---------------------------------------------------------------------------------


def parse_statistics(text: str, command: str | None = None) -> Synthesis:
    """What `stat -json` printed after technology mapping.

    Raises:
        SynqError: it is no such text, or has a primitive whose cost is not known.
    """
    return _synthesis(read_json(text, "the statistics of Yosys"), command)


def parse_report(text: str) -> Report:
    """The same as a report, with what `with_facts` added.

    Raises:
        SynqError: as `parse_statistics`.
    """
    content = read_json(text, "the statistics of Yosys")
    synthesis = _synthesis(content, None)
    facts = content.get("synq")
    known = _Facts(facts if isinstance(facts, dict) else {})
    used = {name: result.Usage(count, None) for name, count in asdict(synthesis.total).items()}
    return Report(
        kind=Kind.YOSYS_STATISTICS,
        tool_version=result.known(synthesis.tool.removeprefix("Yosys ")),
        part=result.normalize_part(known.text("part")),
        top=TOP,
        stage="synthesized",
        target_clock_ns=known.number("clock_ns"),
        estimated_clock_ns=known.number("estimated_clock_ns"),
        clock_model=known.text("clock_model"),
        logic_levels=known.count("logic_levels"),
        critical_path=known.text("critical_path"),
        lut=used["lut"],
        lutram=used["lutram"],
        ff=used["ff"],
        bram_18k=used["bram_18k"],
        dsp=used["dsp"],
        layers=tuple(
            result.LayerUsage(result.known(name) or "", usage)
            for name, usage in synthesis.layers.items()
        ),
    )


@dataclass(frozen=True)
class _Facts:
    """What `with_facts` added, as far as it is what it should be."""

    given: dict[str, Any]

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        return result.known(value) if isinstance(value, str) else None

    def number(self, name: str) -> float | None:
        value = self.given.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if 0 < value < 1e6 else None

    def count(self, name: str) -> int | None:
        value = self.given.get(name)
        return value if type(value) is int and 0 <= value < 10**6 else None


def with_facts(statistics: str, facts: dict[str, Any]) -> str:
    """The statistics as printed, and what is known beside them: fields of `Report`."""
    return json.dumps({**json.loads(statistics), "synq": facts}, indent=2) + "\n"


def read_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        SynqError: it is none, or names a key twice; says that it is not `what`.
    """

    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{key[:80]!r} stands there twice")
            found[key] = value
        return found

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        raise SynqError(f"not {what}: {error}") from None
    return content


def _synthesis(content: dict[str, Any], command: str | None) -> Synthesis:
    try:
        modules: dict[str, dict[str, int]] = {}
        for key, module in content["modules"].items():
            if (name := key.removeprefix("\\")) in modules:
                raise ValueError(f"module {name} stands there twice")
            modules[name] = {
                kind.removeprefix("\\"): _count(count)
                for kind, count in {
                    **module.get("num_submodules_by_type", {}),
                    **module["num_cells_by_type"],
                }.items()
            }
        tool = str(content["creator"]).split(" (")[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynqError(f"not the statistics of Yosys: {error!r}") from None
    if TOP not in modules:
        raise SynqError(f"the statistics of Yosys have no module {TOP}")
    usages = _Usages(modules)
    layers = {
        name: usages.of(name) * (count)
        for name, count in sorted(modules[TOP].items())
        if name in modules and name.startswith("synq_layer_")
    }
    return Synthesis(tool, command, usages.of(TOP), layers)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 10**12:
        raise ValueError(f"{value!r} is no count")
    return value


class _Usages:
    """What each module takes, with those in it."""

    def __init__(self, modules: dict[str, dict[str, int]]) -> None:
        self._modules = modules
        self._open: list[str] = []
        self.of = cache(self._of)

    def _of(self, name: str) -> Resources:
        if name in self._open or len(self._open) > 100:
            raise SynqError(f"the statistics of Yosys have module {name} inside itself")
        self._open.append(name)
        usage = Resources()
        for kind, count in self._modules[name].items():
            known = kind in self._modules
            usage += (self.of(kind) if known else _primitive_usage(kind)) * (count)
        self._open.pop()
        return usage


def _primitive_usage(kind: str) -> Resources:
    if kind in _LUTS:
        return Resources(lut=_LUTS[kind])
    if kind in _MEMORY_LUTS:
        memory = _MEMORY_LUTS[kind]
        return Resources(lut=memory + _WRITE_LUTS.get(kind, 0), lutram=memory)
    if kind in _BLOCKS:
        return Resources(bram_18k=_BLOCKS[kind])
    if kind in _FLIP_FLOPS:
        return Resources(ff=1)
    if kind in _DSPS:
        return Resources(dsp=1)
    if kind in _FREE:
        return Resources()
    raise SynqError(f"Yosys used {kind}, whose cost is not known")
