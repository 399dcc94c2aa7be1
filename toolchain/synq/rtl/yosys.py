"""Open synthesis of the Verilog for AMD's 7-series with Yosys, and what its statistics say.

These are resources after technology mapping, before placement: Vivado packs and optimizes
differently. Yosys knows no timing that would include routing, so this module says nothing of it.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synq.errors import SynqError
from synq.rtl.verilog import TOP
from synq.synth.tools import NoToolError

SYNTHESIS = "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"
"""The command; the modules of layers and bucket lanes ask to be kept apart."""

_SCRIPT = """\
read_verilog -defer -sv {sources}
hierarchy -check -top {top}
{synthesis} -run begin:map_memory
{forget}{synthesis} -run map_memory:
tee -q -o stat.json stat -json
"""
# What a block memory holds does not change what it costs, and Yosys would take minutes to copy it.
_FORGET = "setparam -set INIT 1'bx t:$mem_v2 a:ram_style=block %i\n"
_LOG, _STATISTICS = "yosys.log", "stat.json"

# Look-up tables that a primitive takes (UG474, table 2-3 and "Distributed RAM"; UG953).
_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
}
_MEMORY_LUTS = {
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM16X1D": 2,
    "RAM16X1S": 1,
    "RAM32M": 4,
    "RAM32X1D": 2,
    "RAM32X1S": 1,
    "RAM32X2S": 2,
    "RAM64M": 4,
    "RAM64X1D": 2,
    "RAM64X1S": 1,
    "RAM128X1D": 4,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
}
_BLOCKS = {"RAMB18E1": 1, "RAMB36E1": 2}
_FLIP_FLOPS = {"FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1"}
_DSPS = {"DSP48E1"}
# Parts of a slice beside its look-up tables, and what is not hardware.
_FREE = {"CARRY4", "MUXF7", "MUXF8", "$scopeinfo"}


@dataclass(frozen=True)
class Usage:
    """What a design, or a part of one, takes.

    Attributes:
        lut: six-input look-up tables, those used as memory included.
        lutram: of these, used as memory or shift register.
        ff: flip-flops.
        bram_18k: block RAM in units of 18 Kbit.
        dsp: DSP48 slices.
    """

    lut: int = 0
    lutram: int = 0
    ff: int = 0
    bram_18k: int = 0
    dsp: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.lut + other.lut,
            self.lutram + other.lutram,
            self.ff + other.ff,
            self.bram_18k + other.bram_18k,
            self.dsp + other.dsp,
        )

    def times(self, count: int) -> "Usage":
        """`count` of them."""
        return Usage(
            self.lut * count,
            self.lutram * count,
            self.ff * count,
            self.bram_18k * count,
            self.dsp * count,
        )


@dataclass(frozen=True)
class Synthesis:
    """What Yosys reports.

    Attributes:
        tool: name and version of the program.
        command: what synthesized.
        total: the whole core.
        layers: each layer's share, by the module's name; what is missing to the total joins them.
    """

    tool: str
    command: str
    total: Usage
    layers: dict[str, Usage]


def synthesize(place: Path, scratch: Path, keep_contents: bool = False) -> Synthesis:
    """Synthesize the Verilog in `place`.

    Args:
        scratch: folder for the script, the log and the statistics.
        keep_contents: whether block memories keep their contents: the same counts, in minutes.

    Raises:
        NoToolError: there is no Yosys.
        SynqError: it failed.
    """
    command = find_yosys()
    scratch.mkdir(parents=True, exist_ok=True)
    sources = [path for path in sorted(place.glob("*.v")) if path.name != "synq_monitor.v"]
    for path in [*sources, *place.glob("*.mem")]:
        (scratch / path.name).write_bytes(path.read_bytes())
    (scratch / "synth.ys").write_text(
        _SCRIPT.format(
            sources=" ".join(path.name for path in sources),
            top=TOP,
            synthesis=SYNTHESIS,
            forget="" if keep_contents else _FORGET,
        )
    )
    (scratch / _STATISTICS).unlink(missing_ok=True)
    with (scratch / _LOG).open("w") as log:
        process = subprocess.run(command, cwd=scratch, stdout=log, stderr=subprocess.STDOUT)
    if process.returncode != 0 or not (scratch / _STATISTICS).exists():
        lines = (scratch / _LOG).read_text(errors="replace").strip().splitlines()
        reason = next((line for line in reversed(lines) if "ERROR" in line), (lines or [""])[-1])
        raise SynqError(
            f"Yosys stopped with code {process.returncode}: {reason.strip()[:300]} "
            f"(see {scratch / _LOG})"
        )
    return parse_statistics((scratch / _STATISTICS).read_text())


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


def parse_statistics(text: str) -> Synthesis:
    """What `stat -json` printed after technology mapping.

    Raises:
        SynqError: it is no such text, or has a primitive whose cost is not known.
    """
    try:
        report: dict[str, Any] = json.loads(text)
        modules = {
            name.removeprefix("\\"): {
                kind.removeprefix("\\"): int(count)
                for kind, count in {
                    **module.get("num_submodules_by_type", {}),
                    **module["num_cells_by_type"],
                }.items()
            }
            for name, module in report["modules"].items()
        }
        tool = str(report["creator"]).split(" (")[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynqError(f"not the statistics of Yosys: {error!r}") from error
    if TOP not in modules:
        raise SynqError(f"the statistics of Yosys have no module {TOP}")
    layers = {
        name: _module_usage(name, modules)
        for name in sorted(modules[TOP])
        if name in modules and name.startswith("synq_layer_")
    }
    return Synthesis(tool, SYNTHESIS, _module_usage(TOP, modules), layers)


def _module_usage(name: str, modules: dict[str, dict[str, int]]) -> Usage:
    usage = Usage()
    for kind, count in modules[name].items():
        if kind in modules:
            usage += _module_usage(kind, modules).times(count)
        else:
            usage += _primitive_usage(kind).times(count)
    return usage


def _primitive_usage(kind: str) -> Usage:
    if kind in _LUTS:
        return Usage(lut=_LUTS[kind])
    if kind in _MEMORY_LUTS:
        return Usage(lut=_MEMORY_LUTS[kind], lutram=_MEMORY_LUTS[kind])
    if kind in _BLOCKS:
        return Usage(bram_18k=_BLOCKS[kind])
    if kind in _FLIP_FLOPS:
        return Usage(ff=1)
    if kind in _DSPS:
        return Usage(dsp=1)
    if kind in _FREE:
        return Usage()
    raise SynqError(f"Yosys used {kind}, whose cost is not known")
