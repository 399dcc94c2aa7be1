"""The files that drive AMD's tools through a project: Tcl, a build script, a Makefile.

They are made of data alone, so equal networks get equal bytes, and none of them names a folder of
the machine they are made on: the tools run in `flow/build` and reach the project by relative paths.
"""

import logging
import re
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from jinja2 import Environment, StrictUndefined

from synq.board import Board
from synq.project.filesets import number
from synq.request import Flow
from synq.resources import folder

_log = logging.getLogger("synq")

STAGES = ("csim", "csynth", "cosim", "impl", "bitstream")
BITSTREAMS = {Flow.HLS: "synq", Flow.RTL: "synq_rtl"}
"""driver/NAME.bit and driver/NAME.hwh, by the core that is in it."""
_TEST_DATA = "hls/tb_data"
# The newest standard that Vivado HLS's front end takes; hls4ml builds with it under Vitis too.
_CFLAGS = "-std=c++0x"
_TEMPLATES = ("hls.tcl", "ooc.tcl", "Makefile", "build.sh")
_C_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROJECT_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_PLAIN_TCL = re.compile(r"[A-Za-z0-9_./:+=,-]+")


@dataclass(frozen=True)
class ProcessingSystem:
    """A family's processing system as a block design sees it: pins, interfaces, settings.

    Attributes:
        ip: vendor, library and name; the version is the tool's.
        document: the guide that names everything here.
        clock: output pin that clocks the logic.
        reset: output pin, active low.
        control_port: master interface to the DMA's registers, and `control_clock` its clock pin.
        memory_port: slave interface to the memory, and `memory_clock` its clock pin.
        address_bits: of a memory address.
        external: whether memory and fixed pins leave the block design as ports.
        clock_setting: the parameter that holds the frequency of `clock` in MHz.
        settings: the other parameters that this design needs, by name.
    """

    ip: str
    document: str
    clock: str
    reset: str
    control_port: str
    control_clock: str
    memory_port: str
    memory_clock: str
    address_bits: int
    external: bool
    clock_setting: str
    settings: tuple[tuple[str, str], ...]


_ZYNQ_ULTRASCALE_PLUS = ProcessingSystem(
    ip="xilinx.com:ip:zynq_ultra_ps_e",
    document="PG201 (Zynq UltraScale+ MPSoC Processing System)",
    clock="pl_clk0",
    reset="pl_resetn0",
    control_port="M_AXI_HPM0_FPD",
    control_clock="ps/maxihpm0_fpd_aclk",
    memory_port="S_AXI_HP0_FPD",
    memory_clock="ps/saxihp0_fpd_aclk",
    address_bits=40,
    external=False,
    clock_setting="PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    settings=(
        ("PSU__FPGA_PL0_ENABLE", "1"),
        ("PSU__USE__M_AXI_GP0", "1"),  # M_AXI_HPM0_FPD
        ("PSU__USE__M_AXI_GP1", "0"),
        ("PSU__USE__M_AXI_GP2", "0"),
        ("PSU__USE__S_AXI_GP2", "1"),  # S_AXI_HP0_FPD
        ("PSU__SAXIGP2__DATA_WIDTH", "64"),
    ),
)
PROCESSING_SYSTEMS = {
    "zynq": ProcessingSystem(
        ip="xilinx.com:ip:processing_system7",
        document="PG082 (Processing System 7)",
        clock="FCLK_CLK0",
        reset="FCLK_RESET0_N",
        control_port="M_AXI_GP0",
        control_clock="ps/M_AXI_GP0_ACLK",
        memory_port="S_AXI_HP0",
        memory_clock="ps/S_AXI_HP0_ACLK",
        address_bits=32,
        external=True,
        clock_setting="PCW_FPGA0_PERIPHERAL_FREQMHZ",
        settings=(
            ("PCW_FPGA_FCLK0_ENABLE", "1"),
            ("PCW_EN_CLK0_PORT", "1"),
            ("PCW_EN_RST0_PORT", "1"),
            ("PCW_USE_M_AXI_GP0", "1"),
            ("PCW_USE_S_AXI_HP0", "1"),
            ("PCW_S_AXI_HP0_DATA_WIDTH", "64"),
        ),
    ),
    "zynquplus": _ZYNQ_ULTRASCALE_PLUS,
    "zynquplusRFSOC": _ZYNQ_ULTRASCALE_PLUS,  # the same block (DS889)
}
"""By Vivado's name of the family."""


def render_flow(
    board: Board, top: str, sources: Sequence[str], test_bench: str
) -> dict[str, bytes]:
    """The flow's files, by their name in the project's folder `flow`.

    There is no `system.tcl` for a board without a processing system; a warning says so.

    Args:
        top: the top function, a C identifier.
        sources: the files to synthesize, relative to the project folder.
        test_bench: the C++ file with the `main` that returns 0 when all is well, likewise.

    Raises:
        ValueError: a name that is none of ours; AMD's tools take no other everywhere.
    """
    if not _C_IDENTIFIER.fullmatch(top):
        raise ValueError(f"the top function must be a C identifier, got {top!r}")
    for name in (*sources, test_bench):
        if not _PROJECT_FILE.fullmatch(name):
            raise ValueError(f"a source must be a plain relative name, got {name!r}")
    system = PROCESSING_SYSTEMS.get(board.family)
    if system is None:
        _log.warning("%s", no_system(board.name, board.family))
    stages = STAGES if system else STAGES[:-1]
    names = (*_TEMPLATES, "system.tcl") if system else _TEMPLATES
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shell_word"] = shlex.quote
    templates = folder("hls_templates") / "flow"
    files = {
        name: environment.from_string((templates / name).read_text("ascii")).render(
            all_stages=STAGES,
            bitstream=BITSTREAMS[Flow.HLS],
            no_system=no_system(board.name, board.family),
            ps=asdict(system) if system else {},
            stages=stages,
            system=system is not None,
            top=top,
        )
        for name in names
    }
    files["settings.tcl"] = _settings(board, top, sources, test_bench, system)
    return {name: text.encode("ascii") for name, text in sorted(files.items())}


def no_system(board: str, family: str) -> str:
    """Why a board gets no bitstream, in one line."""
    return (
        f"{board} ({family}) has no processing system that synq knows to feed the accelerator "
        f"(families {', '.join(PROCESSING_SYSTEMS)} have): no driver and no bitstream, the stage "
        "impl places and routes the accelerator by itself"
    )


def tcl_word(text: str) -> str:
    """`text` as one word of a Tcl script, whatever it holds; the word is plain ASCII.

    A character beyond U+FFFF becomes two, as Tcl 8 holds it.

    >>> print(tcl_word("a [b] $c"), tcl_word("xc7z020clg400-1"))
    "a \\[b\\] \\$c" xc7z020clg400-1
    """
    if _PLAIN_TCL.fullmatch(text):
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return f'"{"".join(_tcl_character(code) for code in codes)}"'


def _tcl_character(code: int) -> str:
    if not 0x20 <= code < 0x7F:
        return f"\\u{code:04x}"
    character = chr(code)
    return character if character.isalnum() or character in " _./:+=,-" else f"\\{character}"


def tcl_list(words: Sequence[str]) -> str:
    """A Tcl command substitution that makes a list of exactly these words."""
    return f"[list {' '.join(tcl_word(word) for word in words)}]"


def _settings(
    board: Board,
    top: str,
    sources: Sequence[str],
    test_bench: str,
    system: ProcessingSystem | None,
) -> str:
    """`settings.tcl`: the data that all the other scripts take."""
    lines = [
        "# What the scripts beside this one work on. Names are relative to the project folder.",
        f"set synq(board) {tcl_word(board.name)}",
        f"set synq(part) {tcl_word(board.part)}",
        f"set synq(clock_ns) {tcl_word(number(board.clock_ns))}",
        f"set synq(top) {tcl_word(top)}",
        f"set synq(sources) {tcl_list(sources)}",
        f"set synq(test_bench) {tcl_word(test_bench)}",
        f"set synq(test_data) {tcl_word(_TEST_DATA)}",
        f"set synq(cflags) {tcl_word(_CFLAGS)}",
    ]
    if system is not None:
        settings, source = _board_settings(board.name)
        settings |= dict(system.settings)
        settings[system.clock_setting] = number(1000 / board.clock_ns)
        lines += ["", "# The processing system's parameters."]
        if source:
            lines.append(f"# Memory and pins: {source}")
        lines.append("set synq(ps) {}")
        lines += [
            f"lappend synq(ps) {tcl_word(f'CONFIG.{name}')} {tcl_word(value)}"
            for name, value in settings.items()
        ]
    return "\n".join(lines) + "\n"


def _board_settings(board: str) -> tuple[dict[str, str], str]:
    """How a board's processing system is wired, and where that is published; nothing if unknown."""
    text = (folder("hls_templates") / "flow" / "ps7.toml").read_text()
    for preset in tomllib.loads(text)["preset"]:
        if board in preset["boards"]:
            return dict(preset["settings"]), preset["source"]
    return {}, ""
