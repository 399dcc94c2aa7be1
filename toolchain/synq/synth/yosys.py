"""Open synthesis of the Verilog with Yosys.

What it leaves is of after technology mapping: nothing here is placed or routed.
"""

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from synq.errors import NoToolError, SynqError
from synq.process import TimeUpError, stream
from synq.rtl.verilog import TOP
from synq.synth.yosys_statistics import Statistics, parse_statistics

SHELL = "synq_shell"
"""Registers around the core, for place and route: it has more port bits than a part has pins."""
SHELL_PORTS = ("clk", "serial", "folded")
"""Its clock, input and output."""

# Files in the scratch folder.
NETLIST = "netlist.json"
FLAT_NETLIST = "flat.blif"
STATISTICS = "stat.json"
LOG = "yosys.log"
_SCRIPT_FILE = "synth.ys"

_MONITOR = "synq_monitor.v"  # prints sums in a simulation
_NAME = re.compile(r"[A-Za-z0-9_]+\.(v|mem)")


@dataclass(frozen=True)
class Family:
    """Parts that are synthesized alike.

    Attributes:
        name: Yosys' own.
        command: what synthesizes; the modules of layers and bucket lanes ask to be kept apart.
        memories: the label of the command where memories are mapped.
        parts: what the part's name begins with.
        shell: whether its netlist is for place and route, of `SHELL`.
    """

    name: str
    command: str
    memories: str
    parts: str
    shell: bool = False


XC7 = Family(
    "xc7", "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf", "map_memory", r"x[caq]7[askvz]"
)
XCUP = Family(
    "xcup",
    "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    "map_memory",
    r"x[caq](zu|k\d\d|[kva]u\d+p|u\d)",
)
ECP5 = Family("ecp5", "synth_ecp5", "map_ram", r"lfe5u", shell=True)
# As nextpnr's himbaechel takes it: with buffers for the shell's pins and its clock, and no shift
# registers in look-up tables, whose outputs come 1.2 ns after the clock.
XC7_ROUTED = replace(XC7, command="synth_xilinx -family xc7 -flatten -abc9 -nosrl", shell=True)

# What a block memory holds does not change what it costs, and Yosys would take minutes to copy it.
# But memories that hold the same, and are read at the same address, would become one: keep each.
_SCRIPT = """\
read_verilog -defer -sv {sources}
hierarchy -check -top {top}
{keep}{synthesis} -run begin:{memories}
setattr -set keep 1 t:$mem_v2 a:ram_style=block %i
setparam -set INIT 1'bx t:$mem_v2 a:ram_style=block %i
{synthesis} -run {memories}:
tee -q -o {statistics} stat -json
{netlist}"""
_FLATTEN = f"""\
setattr -mod -unset keep_hierarchy *
flatten -noscopeinfo
opt_clean -purge
write_blif -gates -param -noalias -top {TOP} {FLAT_NETLIST}
"""
_ROUTE = f"write_json {NETLIST}\n"
# The core flat for the estimate of its clock, then the shell with the core in it.
_FLATTEN_AND_ROUTE = f"""\
setattr -mod -unset keep_hierarchy *
setattr -mod -set keep_hierarchy 1 {TOP}
flatten -noscopeinfo
opt_clean -purge
design -push-copy
delete {SHELL}
write_blif -gates -param -noalias -top {TOP} {FLAT_NETLIST}
design -pop
setattr -mod -unset keep_hierarchy *
flatten -noscopeinfo
opt_clean -purge
{_ROUTE}"""


def family_of(part: str) -> Family:
    """How a part is synthesized, by its name.

    Raises:
        SynqError: Yosys is not known to be able to.
    """
    for family in (XC7, XCUP, ECP5):
        if re.match(family.parts, part, re.IGNORECASE):
            return family
    raise SynqError(
        f"synq does not know how to synthesize for {part} with Yosys: it does for 7-series, "
        "UltraScale+ and ECP5"
    )


def synthesize(
    files: Mapping[str, bytes],
    scratch: Path,
    family: Family = XC7,
    seconds: float = float("inf"),
    listen: Callable[[str], None] | None = None,
    netlist: bool = False,
) -> Statistics:
    """Synthesize a core.

    Args:
        files: its Verilog and memory files, by name; no name can be more than a name to Yosys.
        scratch: folder for them, the script, the log, the statistics and the netlist.
        family: of the part.
        seconds: time limit.
        listen: gets what Yosys prints, line by line, as it comes.
        netlist: whether to leave netlists in `scratch`: `NETLIST` of `SHELL` if the family is for
            place and route, and but for ECP5 `FLAT_NETLIST`, for `synq.synth.timing`.

    Raises:
        NoToolError: there is no Yosys.
        TimeUpError: its time was up.
        SynqError: a name will not do, the top is missing, or Yosys failed.
    """
    command = find_yosys()
    for name in files:
        if not _NAME.fullmatch(name):
            raise SynqError(f"{name!r} is no name for a file of the Verilog")
    if f"{TOP}.v" not in files:
        raise SynqError(f"the Verilog has no {TOP}.v")
    shell = netlist and family.shell
    given = {name: content for name, content in sorted(files.items()) if name != _MONITOR}
    if shell:
        given[f"{SHELL}.v"] = _shell(files[f"{TOP}.v"].decode(errors="replace")).encode()
    scratch.mkdir(parents=True, exist_ok=True)
    for name, content in given.items():
        (scratch / name).write_bytes(content)
    (scratch / _SCRIPT_FILE).write_text(
        _SCRIPT.format(
            sources=" ".join(name for name in given if name.endswith(".v")),
            top=SHELL if shell else TOP,
            keep=f"setattr -mod -set keep_hierarchy 1 {TOP}\n" if shell else "",
            synthesis=family.command,
            memories=family.memories,
            statistics=STATISTICS,
            netlist=_last_steps(family) if netlist else "",
        )
    )
    (scratch / STATISTICS).unlink(missing_ok=True)
    error, last = "", ""
    with (scratch / LOG).open("w") as log:

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
    if code != 0 or not (scratch / STATISTICS).exists():
        reason = (error or last or "it printed nothing").strip()[:300]
        raise SynqError(f"Yosys stopped with code {code}: {reason}")
    return parse_statistics((scratch / STATISTICS).read_text())


def _last_steps(family: Family) -> str:
    """What leaves the netlists."""
    if not family.shell:
        return _FLATTEN
    return _ROUTE if family is ECP5 else _FLATTEN_AND_ROUTE


def find_yosys() -> list[str]:
    """How to run Yosys on the script: the program on PATH, or the Python package `pyosys`.

    Raises:
        NoToolError: there is neither.
    """
    if (on_path := shutil.which("yosys")) is not None:
        return [on_path, "-s", _SCRIPT_FILE]
    if importlib.util.find_spec("pyosys") is not None:
        code = (
            "from pyosys import libyosys as ys; "
            f"design = ys.Design(); ys.run_pass('script {_SCRIPT_FILE}', design)"
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

    Raises:
        SynqError: the top has no ports as synq writes them.
    """
    ports = {
        name: (way, int(high or 0) + 1) for way, high, name in _PORT.findall(top.partition(");")[0])
    }
    connections, widths = [".clk(clk)"], {"input": 0, "output": 0}
    for name, (way, width) in ports.items():
        if name != "clk":
            signal = "given" if way == "input" else "answer"
            connections.append(f".{name}({signal}[{widths[way]}+:{width}])")
            widths[way] += width
    n_in, n_out = widths["input"], widths["output"]
    if "clk" not in ports or min(n_in, n_out) < 2:
        raise SynqError(f"{TOP}.v does not have the ports of a core: export the project again")
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
