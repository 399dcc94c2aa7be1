"""The flow's files of the Verilog core, run by a real Tcl with stand-ins for Vivado's commands."""

from dataclasses import replace
from pathlib import Path

import pytest

from synq.board import load_board
from synq.project.flow import HlsCore, RtlCore, render_flow
from vivado import PACKAGING, VIVADO, Call, Flow, needs_tcl, tcl

VERILOG = ("rtl/synq_layer_0.v", "rtl/synq_rom.v", "rtl/synq_top.v")
MEMORIES = ("rtl/codes_0_0.mem", "rtl/codes_0_1.mem")
CORE = RtlCore("synq_top", VERILOG, MEMORIES, "rtl/synq.xdc", 64, 64)
WIDE = replace(CORE, beat_bits=128, result_bits=192)
RELOADABLE = replace(CORE, registers=True)
HLS = HlsCore("synapse_axis", ("hls/firmware/synapse_axis.cpp",), "hls/synapse_axis_test.cpp")
COMMON = {"Makefile", "build.sh", "settings.tcl"}
PART = "xc7z020clg400-1"


def made_flow(root: Path, core: RtlCore = CORE, board: str = "pynq-z2") -> Flow:
    files = (*core.verilog, *core.memories, core.constraints)
    return Flow(root, render_flow(load_board(board), None, core), files)


def packaged(root: Path, core: RtlCore = CORE, board: str = "pynq-z2") -> Flow:
    made = made_flow(root, core, board)
    made.made("flow/build/rtl_ip/component.xml")
    return made


# ---- The files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("board", "system"),
    [("pynq-z2", True), ("kv260", True), ("arty-a7-100t", False), ("alveo-u250", False)],
)
def test_a_system_only_where_there_is_a_processor(board: str, system: bool) -> None:
    files = render_flow(load_board(board), None, CORE)
    scripts = {"rtl_ooc.tcl"} | ({"rtl_package.tcl", "rtl_system.tcl"} if system else set())
    assert set(files) == COMMON | scripts
    assert ("has no processing system" in files["build.sh"].decode()) is not system
    assert ("STAGES_rtl := impl bitstream\n" in files["Makefile"].decode()) is system
    for name, content in files.items():
        assert content.isascii() and content.endswith(b"\n")
        assert b"{{" not in content and b"{%" not in content
        assert not name.endswith(".tcl") or b"hls" not in content


@pytest.mark.parametrize("core", [replace(CORE, beat_bits=4160), replace(CORE, result_bits=8192)])
def test_streams_that_no_dma_can_feed_get_a_word(
    core: RtlCore, caplog: pytest.LogCaptureFixture
) -> None:
    files = render_flow(load_board("pynq-z2"), HLS, core)
    (message,) = caplog.messages
    assert f"of {core.beat_bits} and {core.result_bits} bits, wider than the 4096" in message
    assert "system.tcl" in files and "rtl_system.tcl" not in files and "rtl_ooc.tcl" in files
    assert message in files["build.sh"].decode().replace("'\"'\"'", "'")
    assert core.feedable is False and CORE.feedable and WIDE.feedable


def test_two_cores_in_one_project_keep_apart() -> None:
    board = load_board("pynq-z2")
    hls, rtl = render_flow(board, HLS, None), render_flow(board, None, CORE)
    both = render_flow(board, HLS, CORE)
    assert set(hls) & set(rtl) == COMMON
    for name, content in both.items():
        if name not in COMMON:
            assert content == {**hls, **rtl}[name]
    assert set(both) == set(hls) | set(rtl)
    settings = both["settings.tcl"].decode().splitlines()
    assert {*hls["settings.tcl"].decode().splitlines()} < {*settings}
    assert {*rtl["settings.tcl"].decode().splitlines()} < {*settings}


def test_names_must_be_plain() -> None:
    for name in ("/abs.v", "../up.v", "a b.v", "a[b].v"):
        for field in ("verilog", "memories"):
            with pytest.raises(ValueError, match="plain relative name"):
                replace(CORE, **{field: (name,)})
        with pytest.raises(ValueError, match="plain relative name"):
            replace(CORE, constraints=name)
    with pytest.raises(ValueError, match="C identifier"):
        replace(CORE, top="a b")


@needs_tcl
@pytest.mark.parametrize("core", [CORE, WIDE, RELOADABLE])
def test_every_script_is_complete_tcl(core: RtlCore, tmp_path: Path) -> None:
    for name, content in render_flow(load_board("pynq-z2"), None, core).items():
        if name.endswith(".tcl"):
            (tmp_path / name).write_bytes(content)
            check = tmp_path / "check"
            check.write_text(f"set file [open {name}]\nputs [info complete [read $file]]\n")
            assert tcl(check, tmp_path).stdout == "1\n"


# ---- rtl_ooc.tcl --------------------------------------------------------------------------------


@needs_tcl
def test_implementation_out_of_context(tmp_path: Path) -> None:
    made = made_flow(tmp_path)
    recorded = made.run("rtl_ooc.tcl", VIVADO)
    assert recorded.code == 0, recorded.printed
    reports = "../reports/rtl_"
    assert recorded.calls == [
        ("create_project", "-in_memory", "-part", PART),
        ("set_msg_config", "-id", "Synth 8-4445", "-new_severity", "ERROR"),
        *(("read_mem", f"../../{name}") for name in MEMORIES),
        *(("read_verilog", f"../../{name}") for name in VERILOG),
        ("read_xdc", "-mode", "out_of_context", "../../rtl/synq.xdc"),
        ("synth_design", "-mode", "out_of_context", "-top", "synq_top", "-part", PART),
        ("report_utilization", "-file", f"{reports}utilization_synth.rpt"),
        ("opt_design",),
        ("place_design",),
        ("phys_opt_design",),
        ("route_design",),
        ("report_utilization", "-file", f"{reports}utilization_placed.rpt"),
        ("report_utilization", "-hierarchical", "-file", f"{reports}utilization_hierarchical.txt"),
        ("report_timing_summary", "-file", f"{reports}timing_routed.rpt"),
        ("write_checkpoint", "-force", "rtl_ooc.dcp"),
    ]
    # where synthesis runs, under the name that $readmemh has
    assert all((made.work / Path(name).name).is_file() for name in MEMORIES)
    assert recorded.printed.endswith("INFO: [synq] impl done\n")


@needs_tcl
@pytest.mark.parametrize("missing", [MEMORIES[1], VERILOG[0]])
def test_a_missing_source_ends_the_implementation(missing: str, tmp_path: Path) -> None:
    made = made_flow(tmp_path)
    (made.project / missing).unlink()
    recorded = made.run("rtl_ooc.tcl", VIVADO)
    assert (recorded.code, recorded.of("synth_design")) == (1, [])
    assert missing in recorded.printed


@needs_tcl
def test_a_core_without_memories(tmp_path: Path) -> None:
    recorded = made_flow(tmp_path, replace(CORE, memories=())).run("rtl_ooc.tcl", VIVADO)
    assert (recorded.code, recorded.of("read_mem")) == (0, []), recorded.printed


# ---- rtl_package.tcl ----------------------------------------------------------------------------


@needs_tcl
def test_the_core_is_packaged_with_its_memories_and_interfaces(tmp_path: Path) -> None:
    made = made_flow(tmp_path)
    recorded = made.run("rtl_package.tcl", PACKAGING)
    assert recorded.code == 0, recorded.printed
    assert [call[-1] for call in recorded.of("add_files")] == [
        f"../../{name}" for name in (*VERILOG, *MEMORIES)
    ]
    properties = recorded.of("set_property")
    for name in MEMORIES:
        assert ("file_type", "Memory File", Path(name).name) in properties
    assert ("top", "synq_top", "it") in properties
    (package,) = recorded.of("ipx::package_project")
    options = dict(zip(package[:-2:2], package[1:-2:2], strict=True))
    assert options == {
        "-root_dir": "rtl_ip",
        "-vendor": "synq",
        "-library": "core",
        "-name": "synq_top",
        "-version": "1.0",
        "-taxonomy": "/UserIP",
    }
    assert package[-2:] == ("-import_files", "-force")
    assert recorded.of("ipx::infer_bus_interface") == recorded.of("ipx::add_file") == []
    assert recorded.of("ipx::associate_bus_interfaces") == [
        ("-busif", "s_axis", "-clock", "clk", "core"),
        ("-busif", "m_axis", "-clock", "clk", "core"),
        ("-clock", "clk", "-reset", "reset_n", "core"),
    ]
    assert recorded.of("ipx::add_bus_parameter") == [("POLARITY", "reset_n")]
    assert ("value", "ACTIVE_LOW", "POLARITY") in properties
    order = [name for name in recorded.names() if name.startswith("ipx::")][-4:]
    assert order == [
        "ipx::create_xgui_files",
        "ipx::update_checksums",
        "ipx::check_integrity",
        "ipx::save_core",
    ]
    assert (made.work / "rtl_ip" / "component.xml").is_file()


@needs_tcl
def test_interfaces_that_a_version_does_not_infer_are_given(tmp_path: Path) -> None:
    recorded = made_flow(tmp_path).run("rtl_package.tcl", PACKAGING, SYNQ_INFERRED="m_axis")
    assert recorded.code == 0, recorded.printed
    stream = " ".join(f"s_axis_{name}" for name in ("tvalid", "tready", "tdata", "tkeep", "tlast"))
    assert recorded.of("ipx::infer_bus_interface") == [
        (stream, "xilinx.com:interface:axis_rtl:1.0", "core"),
        ("clk", "xilinx.com:signal:clock_rtl:1.0", "core"),
        ("reset_n", "xilinx.com:signal:reset_rtl:1.0", "core"),
    ]
    assert len(recorded.of("ipx::associate_bus_interfaces")) == 3


@needs_tcl
@pytest.mark.parametrize("mapped", [False, True])
def test_registers_are_packaged_with_their_addresses(mapped: bool, tmp_path: Path) -> None:
    """Whether or not a version gives the interface that it infers a memory map."""
    settings = {"SYNQ_MAPPED": "1"} if mapped else {}
    inferred = "s_axis m_axis s_axi clk reset_n" if mapped else "s_axis m_axis clk reset_n"
    made = made_flow(tmp_path, RELOADABLE)
    recorded = made.run("rtl_package.tcl", PACKAGING, SYNQ_INFERRED=inferred, **settings)
    assert recorded.code == 0, recorded.printed
    given = recorded.of("ipx::infer_bus_interface")
    assert [call[1] for call in given] == [] if mapped else ["xilinx.com:interface:aximm_rtl:1.0"]
    assert recorded.of("ipx::add_memory_map") == ([] if mapped else [("s_axi", "core")])
    assert recorded.of("ipx::add_address_block") == ([] if mapped else [("reg0", "s_axi")])
    assert ("slave_memory_map_ref", "s_axi", "s_axi") in recorded.of("set_property")
    assert ("range", "4096", "reg0") in recorded.of("set_property")
    assert ("-busif", "s_axi", "-clock", "clk", "core") in recorded.of(
        "ipx::associate_bus_interfaces"
    )


@needs_tcl
def test_registers_are_reached_by_the_processor(tmp_path: Path) -> None:
    made = packaged(tmp_path, RELOADABLE)
    recorded = made.run("rtl_system.tcl", VIVADO, **RTL_STREAMS)
    assert recorded.code == 0, recorded.printed
    assert ("control/M01_AXI", "accelerator/s_axi") in recorded.of("connect_bd_intf_net")
    assert ("-dict", "CONFIG.NUM_SI 1 CONFIG.NUM_MI 2", "control") in recorded.of("set_property")


@needs_tcl
def test_memories_that_a_version_leaves_out_are_added(tmp_path: Path) -> None:
    made = made_flow(tmp_path)
    recorded = made.run("rtl_package.tcl", PACKAGING, SYNQ_LEFT_OUT="*.mem")
    assert recorded.code == 0, recorded.printed
    assert recorded.of("ipx::add_file") == [
        (f"src/{Path(name).name}", "xilinx_anylanguagesynthesis") for name in MEMORIES
    ]
    for name in MEMORIES:
        assert (made.work / "rtl_ip" / "src" / Path(name).name).is_file()


@needs_tcl
def test_modules_that_the_core_does_not_use_may_be_left_out(tmp_path: Path) -> None:
    recorded = made_flow(tmp_path).run("rtl_package.tcl", PACKAGING, SYNQ_LEFT_OUT="synq_rom.v")
    assert (recorded.code, recorded.of("ipx::add_file")) == (0, []), recorded.printed


@needs_tcl
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SYNQ_LEFT_OUT": "synq_top.v"}, "packaging left out synq_top.v"),
        ({"SYNQ_INFERRED": "", "SYNQ_NOT_INFERRED": "1"}, "expected one interface s_axis"),
        ({"SYNQ_INFERRED": "s_axis s_axis m_axis clk reset_n"}, "s_axis of the IP, found 2"),
        ({"SYNQ_FAIL": "ipx::check_integrity"}, "it failed"),
    ],
)
def test_a_package_that_is_not_whole_is_none(
    settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    made = packaged(tmp_path)  # by an earlier run
    recorded = made.run("rtl_package.tcl", PACKAGING, **settings)
    assert recorded.code == 1
    assert "ERROR: [synq] packaging failed: " in recorded.printed and message in recorded.printed
    assert not (made.work / "rtl_ip" / "component.xml").exists()


# ---- rtl_system.tcl -----------------------------------------------------------------------------

RTL_STREAMS = {"SYNQ_INPUTS": "accelerator/s_axis", "SYNQ_OUTPUTS": "accelerator/m_axis"}
DIRECT = {
    ("axi_dma_0/M_AXIS_MM2S", "accelerator/s_axis"),
    ("accelerator/m_axis", "axi_dma_0/S_AXIS_S2MM"),
}
CONVERTED = {
    ("axi_dma_0/M_AXIS_MM2S", "widen/S_AXIS"),
    ("widen/M_AXIS", "accelerator/s_axis"),
    ("accelerator/m_axis", "narrow/S_AXIS"),
    ("narrow/M_AXIS", "axi_dma_0/S_AXIS_S2MM"),
}


def streams(calls: list[Call]) -> set[Call]:
    return {call for call in calls if any("axis" in end.lower() for end in call)}


@needs_tcl
@pytest.mark.parametrize(
    ("board", "clock", "reset"),
    [("pynq-z2", "FCLK_CLK0", "FCLK_RESET0_N"), ("kv260", "pl_clk0", "pl_resetn0")],
)
@pytest.mark.parametrize(
    ("core", "cells", "connected"),
    [(CORE, set(), DIRECT), (WIDE, {"widen", "narrow"}, CONVERTED)],
    ids=["64 bits", "wider"],
)
def test_the_system(
    board: str,
    clock: str,
    reset: str,
    core: RtlCore,
    cells: set[str],
    connected: set[Call],
    tmp_path: Path,
) -> None:
    made = packaged(tmp_path, core, board)
    recorded = made.run("rtl_system.tcl", VIVADO, **RTL_STREAMS)
    assert recorded.code == 0, recorded.printed
    made_cells = {call[-1]: call for call in recorded.of("create_bd_cell")}
    usual = {"ps", "axi_dma_0", "accelerator", "control", "memory", "reset"}
    assert set(made_cells) == usual | cells
    assert made_cells["accelerator"][3] == "synq:core:synq_top:1.0"
    for cell in cells:
        assert made_cells[cell][3] == "xilinx.com:ip:axis_dwidth_converter:1.1"
    nets = recorded.of("connect_bd_net")
    clocked = {sink for source, sink in nets if source == f"ps/{clock}"}
    assert {"accelerator/clk", *(f"{cell}/aclk" for cell in cells)} < clocked
    released = {sink for source, sink in nets if source == "reset/peripheral_aresetn"}
    assert released == {
        "control/aresetn",
        "memory/aresetn",
        "axi_dma_0/axi_resetn",
        "accelerator/reset_n",
        *(f"{cell}/aresetn" for cell in cells),
    }
    assert (f"ps/{reset}", "reset/ext_reset_in") in nets
    assert streams(recorded.of("connect_bd_intf_net")) == connected
    widths = {
        call[-1]: call[1] for call in recorded.of("set_property") if "M_TDATA_NUM_BYTES" in call[1]
    }
    assert widths == (
        {"widen": "CONFIG.M_TDATA_NUM_BYTES 16", "narrow": "CONFIG.M_TDATA_NUM_BYTES 8"}
        if cells
        else {}
    )
    names = recorded.names()
    assert names.index("set_msg_config") < names.index("synth_design")
    assert recorded.of("synth_design")[0][:2] == ("-top", "rtl_system_wrapper")
    assert all((made.work / Path(name).name).is_file() for name in MEMORIES)
    for name in (
        "driver/synq_rtl.bit",
        "driver/synq_rtl.hwh",
        "flow/reports/rtl_system_timing.rpt",
    ):
        assert (made.project / name).is_file()
    assert not (made.project / "driver" / "synq.bit").exists()


@needs_tcl
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SYNQ_LATE": "max"}, "timing is not met (setup slack -0.123 ns)"),
        ({"SYNQ_OUTPUTS": ""}, "expected one AXI4-Stream interface of the accelerator"),
        ({"SYNQ_PRODUCTS": "elsewhere"}, "wrote no rtl_system_wrapper.v"),
        ({"SYNQ_NO_HANDOFF": "1"}, "wrote no rtl_system.hwh"),
    ],
)
def test_a_failing_system_leaves_no_bitstream(
    settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    made = packaged(tmp_path)
    recorded = made.run("rtl_system.tcl", VIVADO, **{**RTL_STREAMS, **settings})
    assert recorded.code == 1
    assert message in recorded.printed
    assert list((made.project / "driver").iterdir()) == []


@needs_tcl
def test_a_system_needs_the_ip(tmp_path: Path) -> None:
    recorded = made_flow(tmp_path).run("rtl_system.tcl", VIVADO)
    assert (recorded.code, recorded.calls) == (1, [])
    assert "there is no IP yet: run rtl_package.tcl first" in recorded.printed
