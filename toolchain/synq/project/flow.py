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
STAGES_OF = {Flow.HLS: STAGES, Flow.RTL: STAGES[-2:]}
"""The Verilog core is simulated and checked by the export; Vivado alone takes it on."""
BITSTREAMS = {Flow.HLS: "synq", Flow.RTL: "synq_rtl"}
"""driver/NAME.bit and driver/NAME.hwh, by the core that is in it."""
_TEST_DATA = "hls/tb_data"
# The newest standard that Vivado HLS's front end takes; hls4ml builds with it under Vitis too.
_CFLAGS = "-std=c++0x"
_WIDEST_STREAM = 4096  # bits that the converter of widths takes (PG085)
_DMA_BITS = 64  # of the DMA's streams
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


@dataclass(frozen=True)
class HlsCore:
    """The C++ that HLS makes a core of. Files are named relative to the project folder.

    Attributes:
        top: the top function.
        sources: the files to synthesize.
        test_bench: the C++ file with the `main` that returns 0 when all is well.

    Raises:
        ValueError: a name that is none of ours; AMD's tools take no other everywhere.
    """

    top: str
    sources: tuple[str, ...]
    test_bench: str

    def __post_init__(self) -> None:
        _check_names(self.top, (*self.sources, self.test_bench))


@dataclass(frozen=True)
class RtlCore:
    """The Verilog core. Files are named relative to the project folder.

    Attributes:
        top: the top module.
        verilog: its sources.
        memories: what `$readmemh` reads, by bare names.
        constraints: of its clock.
        beat_bits: of the input stream.
        result_bits: of the output stream.
        registers: whether it has registers behind AXI4-Lite, for networks that are loaded.

    Raises:
        ValueError: as `HlsCore`.
    """

    top: str
    verilog: tuple[str, ...]
    memories: tuple[str, ...]
    constraints: str
    beat_bits: int
    result_bits: int
    registers: bool = False

    def __post_init__(self) -> None:
        _check_names(self.top, (*self.verilog, *self.memories, self.constraints))

    @property
    def feedable(self) -> bool:
        """Whether a DMA's stream can be made as wide as each of its own."""
        return max(self.beat_bits, self.result_bits) <= _WIDEST_STREAM


def _check_names(top: str, files: Sequence[str]) -> None:
    if not _C_IDENTIFIER.fullmatch(top):
        raise ValueError(f"the top must be a C identifier, got {top!r}")
    for name in files:
        if not _PROJECT_FILE.fullmatch(name):
            raise ValueError(f"a source must be a plain relative name, got {name!r}")


@dataclass(frozen=True)
class _Block:
    """A core as Vivado's scripts see it.

    Attributes:
        prefix: of its scripts, reports, logs and projects.
        top: where settings.tcl has its top.
        clock: input pin; `reset` likewise, active low.
        start: whether it has a pin that starts it.
        ip: vendor, library and name that it is packaged under.
        folder: where it is packaged, relative to flow/build.
        bitstream: the name of its bit file in the folder driver, without its end.
        in_bytes: of its input stream, where the DMA's is not as wide; else 0.
        out_bytes: likewise, 0 or the DMA's, of its output stream.
        registers: whether it has registers behind AXI4-Lite.
    """

    flow: Flow
    prefix: str
    top: str
    clock: str
    reset: str
    start: bool
    ip: str
    folder: str
    bitstream: str
    in_bytes: int = 0
    out_bytes: int = 0
    registers: bool = False


_HLS_BLOCK = _Block(
    flow=Flow.HLS,
    prefix="",
    top="$synq(top)",
    clock="ap_clk",
    reset="ap_rst_n",
    start=True,
    ip="xilinx.com:hls:$synq(top)",
    folder="hls/solution/impl/ip",
    bitstream=BITSTREAMS[Flow.HLS],
)


def _rtl_block(core: RtlCore) -> _Block:
    return _Block(
        flow=Flow.RTL,
        prefix="rtl_",
        top="$synq(rtl_top)",
        clock="clk",
        reset="reset_n",
        start=False,
        ip="synq:core:$synq(rtl_top)",
        folder="rtl_ip",
        bitstream=BITSTREAMS[Flow.RTL],
        in_bytes=core.beat_bits // 8 if core.beat_bits != _DMA_BITS else 0,
        out_bytes=_DMA_BITS // 8 if core.result_bits != _DMA_BITS else 0,
        registers=core.registers,
    )


def render_flow(board: Board, hls: HlsCore | None, rtl: RtlCore | None) -> dict[str, bytes]:
    """The flow's files, by their name in the project's folder `flow`.

    There is no script for a bitstream of a board without a processing system, or of a core with
    streams that no DMA can feed; a warning says so.
    """
    system = PROCESSING_SYSTEMS.get(board.family)
    hindered = {flow: no_system(board.name, board.family) for flow in Flow if system is None}
    if system is not None and rtl is not None and not rtl.feedable:
        hindered[Flow.RTL] = no_feed(rtl)
    for reason in dict.fromkeys(hindered.values()):
        _log.warning("%s", reason)
    scripts: list[tuple[str, str, _Block | None]] = [("Makefile", "Makefile", None)]
    scripts.append(("build.sh", "build.sh", None))
    if hls is not None:
        scripts += [("hls.tcl", "hls.tcl", None), ("ooc.tcl", "ooc.tcl", _HLS_BLOCK)]
        if Flow.HLS not in hindered:
            scripts.append(("system.tcl", "system.tcl", _HLS_BLOCK))
    if rtl is not None:
        block = _rtl_block(rtl)
        scripts.append(("rtl_ooc.tcl", "ooc.tcl", block))
        if Flow.RTL not in hindered:
            scripts.append(("rtl_package.tcl", "rtl_package.tcl", block))
            scripts.append(("rtl_system.tcl", "system.tcl", block))
    cores = [flow for flow, core in ((Flow.HLS, hls), (Flow.RTL, rtl)) if core is not None]
    stages = {
        flow.value: () if flow not in cores else STAGES_OF[flow][: -1 if flow in hindered else None]
        for flow in Flow
    }
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shell_word"] = shlex.quote
    templates = folder("hls_templates") / "flow"
    files = {
        name: environment.from_string((templates / template).read_text("ascii")).render(
            all_stages=STAGES_OF[cores[0]],
            bitstreams={flow.value: name for flow, name in BITSTREAMS.items()},
            core=asdict(block) if block else {},
            cores=[flow.value for flow in cores],
            hindered={flow.value: reason for flow, reason in hindered.items()},
            ps=asdict(system) if system else {},
            stages=stages,
            top=hls.top if hls else "",
        )
        for name, template, block in scripts
    }
    files["settings.tcl"] = _settings(board, hls, rtl, system)
    return {name: text.encode("ascii") for name, text in sorted(files.items())}


def no_system(board: str, family: str) -> str:
    """Why a board gets no bitstream, in one line."""
    return (
        f"{board} ({family}) has no processing system that synq knows to feed the accelerator "
        f"(families {', '.join(PROCESSING_SYSTEMS)} have): no driver and no bitstream, the stage "
        "impl places and routes the accelerator by itself"
    )


def no_feed(core: RtlCore) -> str:
    """Why a core gets no bitstream, in one line."""
    return (
        f"the Verilog core has streams of {core.beat_bits} and {core.result_bits} bits, wider than "
        f"the {_WIDEST_STREAM} of a converter: no driver and no bitstream of it, the stage impl "
        "places and routes it by itself"
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
    board: Board, hls: HlsCore | None, rtl: RtlCore | None, system: ProcessingSystem | None
) -> str:
    """`settings.tcl`: the data that all the other scripts take."""
    lines = [
        "# What the scripts beside this one work on. Names are relative to the project folder.",
        f"set synq(board) {tcl_word(board.name)}",
        f"set synq(part) {tcl_word(board.part)}",
        f"set synq(clock_ns) {tcl_word(number(board.clock_ns))}",
    ]
    if hls is not None:
        lines += [
            f"set synq(top) {tcl_word(hls.top)}",
            f"set synq(sources) {tcl_list(hls.sources)}",
            f"set synq(test_bench) {tcl_word(hls.test_bench)}",
            f"set synq(test_data) {tcl_word(_TEST_DATA)}",
            f"set synq(cflags) {tcl_word(_CFLAGS)}",
        ]
    if rtl is not None:
        lines += [
            f"set synq(rtl_top) {tcl_word(rtl.top)}",
            f"set synq(rtl_verilog) {tcl_list(rtl.verilog)}",
            f"set synq(rtl_memories) {tcl_list(rtl.memories)}",
            f"set synq(rtl_constraints) {tcl_word(rtl.constraints)}",
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
