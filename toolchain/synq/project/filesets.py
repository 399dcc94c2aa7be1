"""What other tools read instead of a folder: a file list, a clock constraint, a FuseSoC core.

Each names the files of the Verilog core as the project has them. The memories are files of the
core as well: `$readmemh` looks for them by their bare names, in the folder that a simulator runs in
and in Vivado among the project's sources, wherever these lie (UG901, "Initializing RAM Contents").
"""

import json
import re
from collections.abc import Iterable

from jinja2 import Environment, StrictUndefined

from synq import __version__
from synq.board import Board
from synq.resources import folder
from synq.rtl.verilog import TOP

FILE_LIST = "rtl/synq.f"
CONSTRAINTS = "rtl/synq.xdc"
CORE = "synq.core"
CLOCK = "clk"  # of the core


def render_filesets(board: Board, title: str, files: Iterable[str]) -> dict[str, bytes]:
    """The lists, by their names in the project.

    Args:
        title: of the project.
        files: the core's, by their names in the folder `rtl`.
    """
    names = sorted(files)
    verilog = [name for name in names if name.endswith(".v")]
    memories = [name for name in names if name.endswith(".mem")]
    lists = {FILE_LIST: _file_list(verilog), CORE: _core(board, title, verilog, memories)}
    if board.has_hls:
        lists[CONSTRAINTS] = _constraints(board)
    return {name: text.encode("ascii") for name, text in lists.items()}


def _file_list(verilog: list[str]) -> str:
    lines = [
        "// The core's Verilog. In the project's folder:",
        f"//   verilator --lint-only -Wall -Wno-DECLFILENAME --top-module {TOP} -f {FILE_LIST}",
        f"//   iverilog -g2005 -s {TOP} -c {FILE_LIST}",
        f"//   xvlog -f {FILE_LIST}",
        "// A simulation runs in the folder rtl, or beside copies of its .mem files.",
    ]
    return "\n".join([*lines, *(f"rtl/{name}" for name in verilog)]) + "\n"


def _constraints(board: Board) -> str:
    return (
        f"# The clock of {TOP}. Its ports lie inside a system: their paths have no constraint.\n"
        f"create_clock -name {CLOCK} -period {number(board.clock_ns)} [get_ports {CLOCK}]\n"
    )


def _core(board: Board, title: str, verilog: list[str], memories: list[str]) -> str:
    sources = ["rtl", "memories"] if memories else ["rtl"]
    template = (folder("hls_templates") / "flow" / "synq.core").read_text("ascii")
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    return environment.from_string(template).render(
        vlnv=f"synq:core:{re.sub(r'[^A-Za-z0-9]+', '_', title)}:{__version__}",
        description=json.dumps(f"A quantized network between two AXI4-Streams: {title}"),
        verilog=verilog,
        memories=memories,
        sources=_flow_sequence(sources),
        constrained=_flow_sequence([*sources, "constraints"]),
        top=TOP,
        part=board.part if board.has_hls else "",
        family=board.family,
    )


def _flow_sequence(names: list[str]) -> str:
    return f"[{', '.join(names)}]"


def number(value: float) -> str:
    """A number to a millionth, without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
