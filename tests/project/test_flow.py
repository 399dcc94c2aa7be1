"""The flow's files of the HLS core, run by a real Tcl with stand-ins for the vendor's commands."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vivado
from synq.board import Board, load_board
from synq.project.flow import PROCESSING_SYSTEMS, STAGES, HlsCore, render_flow, tcl_list, tcl_word
from vivado import HLS, INTERPRETER, VIVADO, Call, Flow, needs_tcl, tcl

TOP = "synapse_axis"
SOURCES = ("hls/firmware/synapse_axis.cpp", "hls/firmware/synapse_network.cpp")
TEST_BENCH = "hls/synapse_axis_test.cpp"
CORE = HlsCore(TOP, SOURCES, TEST_BENCH)


def flow(board: Board) -> dict[str, bytes]:
    return render_flow(board, CORE, None)


# ---- Quoting ------------------------------------------------------------------------------------


def through_tcl(script: str, folder: Path) -> list[str]:
    """The words of the list `words` after the script, as Tcl sees them, character by character."""
    path = folder / "script.tcl"
    show = 'foreach c [split $word {}] {puts -nonewline "[scan $c %c] "}'
    show = f"foreach word $words {{{show}; puts {{}}}}"
    path.write_text(f"{script}\n{show}\n", "ascii")
    result = tcl(path, folder)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.split("\n")[:-1]
    raw = ["".join(chr(int(code)) for code in line.split()) for line in lines]
    return [word.encode("utf-16-le", "surrogatepass").decode("utf-16-le") for word in raw]


@needs_tcl
@given(texts=st.lists(st.text(max_size=20), min_size=1, max_size=10))
def test_any_text_survives_tcl(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tcl")
    lines = [f"lappend words {tcl_word(text)}" for text in texts]
    assert through_tcl("\n".join(lines), folder) == texts
    # in a body in braces too, where an unbalanced brace would swallow the rest
    assert through_tcl(f"if 1 {{\n{chr(10).join(lines)}\n}}", folder) == texts
    assert through_tcl(f"set words {tcl_list(texts)}", folder) == texts


@needs_tcl
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        '"',
        "\\",
        "a\\",
        "$x",
        "[exit 1]",
        "#",
        ";",
        "{*}",
        "a\nb",
        "\0",
        "~",
        "é😀",
    ],
)
def test_awkward_texts_survive_tcl(text: str, tmp_path: Path) -> None:
    assert through_tcl(f"set words {tcl_list([text, text])}", tmp_path) == [text, text]


# ---- The files ----------------------------------------------------------------------------------

FILES = {"settings.tcl", "hls.tcl", "ooc.tcl", "Makefile", "build.sh"}


@pytest.mark.parametrize(
    ("board", "system"),
    [("pynq-z2", True), ("kv260", True), ("arty-a7-100t", False), ("alveo-u250", False)],
)
def test_a_system_only_where_there_is_a_processor(board: str, system: bool) -> None:
    files = flow(load_board(board))
    assert set(files) == FILES | ({"system.tcl"} if system else set())
    assert ("has no processing system" in files["build.sh"].decode()) is not system
    assert ("impl bitstream\n" in files["Makefile"].decode().partition(".PHONY")[0]) is system
    for content in files.values():
        assert content.isascii() and content.endswith(b"\n")
        assert b"{{" not in content and b"{%" not in content
        assert str(Path(__file__).parents[1]).encode() not in content
    assert files == flow(load_board(board))
    assert files["build.sh"].startswith(b"#!")  # so that write_files makes it executable


def test_an_rfsoc_has_the_processing_system_of_zynq_ultrascale_plus() -> None:
    """And so a block design; the driver goes by the same table."""
    mpsoc = load_board("zcu104")
    rfsoc = replace(mpsoc, family="zynquplusRFSOC")
    assert "system.tcl" in flow(rfsoc)
    assert flow(rfsoc) == flow(mpsoc)
    assert rfsoc.family in PROCESSING_SYSTEMS


def test_a_family_without_a_known_processing_system_gets_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flow(load_board("zcu104"))
    assert caplog.messages == []
    flow(replace(load_board("zcu104"), family="zynquplusrfsoc"))
    (message,) = caplog.messages
    assert "zcu104 (zynquplusrfsoc) has no processing system that synq knows" in message
    assert "zynquplus, zynquplusRFSOC have" in message and "no driver and no bitstream" in message


@pytest.mark.parametrize("top", ["", "1st", "a b", "a;b", "größe"])
def test_top_must_be_an_identifier(top: str) -> None:
    with pytest.raises(ValueError, match="C identifier"):
        HlsCore(top, SOURCES, TEST_BENCH)


@pytest.mark.parametrize("name", ["", "/abs.cpp", "../up.cpp", "a b.cpp", "a[b].cpp", "a//b", "-f"])
def test_sources_must_be_plain_names(name: str) -> None:
    for sources, bench in (((name,), TEST_BENCH), (SOURCES, name)):
        with pytest.raises(ValueError, match="plain relative name"):
            HlsCore(TOP, sources, bench)


@pytest.mark.parametrize(
    ("board", "clock_ns", "settings"),
    [
        ("pynq-z2", 10.0, ["set synq(clock_ns) 10\n", "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100\n"]),
        ("pynq-z2", 7.5, ["set synq(clock_ns) 7.5\n", "FPGA0_PERIPHERAL_FREQMHZ 133.333333\n"]),
        ("kv260", 5.0, ["CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 200\n"]),
        ("pynq-z1", 10.0, ['CONFIG.PCW_UIPARAM_DDR_PARTNO "MT41J256M16 RE-125"\n']),
    ],
)
def test_settings_follow_the_board(board: str, clock_ns: float, settings: list[str]) -> None:
    text = flow(replace(load_board(board), clock_ns=clock_ns))["settings.tcl"].decode()
    assert f"set synq(part) {load_board(board).part}\n" in text
    for line in settings:
        assert line in text


def test_an_unknown_board_of_a_known_family_gets_the_ports_alone() -> None:
    text = flow(replace(load_board("pynq-z2"), name="mine"))["settings.tcl"].decode()
    assert "PCW_UIPARAM_DDR" not in text
    assert "lappend synq(ps) CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64\n" in text


def made_flow(root: Path, board: str) -> Flow:
    files = (*SOURCES, TEST_BENCH, "hls/tb_data/inputs.txt")
    return Flow(root, flow(load_board(board)), files)


@pytest.fixture
def zynq(tmp_path: Path) -> Flow:
    return made_flow(tmp_path, "pynq-z2")


@needs_tcl
@pytest.mark.parametrize("board", ["pynq-z2", "kv260", "alveo-u250"])
def test_every_script_is_complete_tcl(board: str, tmp_path: Path) -> None:
    for name, content in flow(load_board(board)).items():
        if name.endswith(".tcl"):
            (tmp_path / name).write_bytes(content)
            check = tmp_path / "check"
            check.write_text(
                f"set file [open {name}]\nputs [info complete [read $file]]\n", "ascii"
            )
            assert tcl(check, tmp_path).stdout == "1\n"


# ---- hls.tcl ------------------------------------------------------------------------------------

SET_UP: list[Call] = [
    ("open_project", "hls"),
    ("set_top", TOP),
    ("add_files", f"../../{SOURCES[0]}", "-cflags", "-std=c++0x"),
    ("add_files", f"../../{SOURCES[1]}", "-cflags", "-std=c++0x"),
    ("add_files", "-tb", f"../../{TEST_BENCH}", "-cflags", "-std=c++0x"),
    ("add_files", "-tb", "tb_data"),
    ("open_solution", "solution"),
    ("set_part", "xc7z020clg400-1"),
    ("create_clock", "-period", "10", "-name", "default"),
    ("config_compile", "-name_max_length", "80"),
]


@needs_tcl
@pytest.mark.parametrize(
    ("stage", "last", "reports"),
    [
        ("csim", ("csim_design",), ["csim.log"]),
        ("csynth", ("csynth_design",), ["csynth.rpt", "csynth.xml"]),
        ("cosim", ("cosim_design", "-rtl", "verilog"), ["cosim.rpt"]),
        ("export", ("export_design", "-rtl", "verilog", "-format", "ip_catalog"), []),
    ],
)
def test_hls_stages(stage: str, last: Call, reports: list[str], zynq: Flow) -> None:
    zynq.made(f"flow/build/hls/solution/syn/verilog/{TOP}.v")
    recorded = zynq.run("hls.tcl", HLS, SYNQ_STAGE=stage)
    assert recorded.code == 0, recorded.printed
    expected = list(SET_UP)
    if stage == "csynth":
        expected[6] = ("open_solution", "-reset", "solution")
    assert recorded.calls == [*expected, last]
    assert recorded.printed.endswith(f"INFO: [synq] {stage} done\n")
    found = (zynq.project / "flow" / "reports").glob("*")
    assert sorted(path.name for path in found) == reports
    assert (zynq.work / "tb_data" / "inputs.txt").is_file()


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")
def test_vivado_hls_is_told_to_partition_larger_arrays(
    zynq: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / "vivado_hls"
    executable.symlink_to(INTERPRETER[0])
    monkeypatch.setattr(vivado, "INTERPRETER", [str(executable)])
    recorded = zynq.run("hls.tcl", HLS, SYNQ_STAGE="csim")
    assert recorded.code == 0, recorded.printed
    option: Call = ("config_array_partition", "-maximum_size", "4096")
    assert recorded.calls == [*SET_UP, option, ("csim_design",)]


@needs_tcl
def test_the_report_of_the_top_is_the_one_kept(zynq: Flow) -> None:
    assert zynq.run("hls.tcl", HLS).code == 0  # the stage is csynth without being told
    assert (zynq.project / "flow" / "reports" / "csynth.xml").read_text() == "top"


@needs_tcl
@pytest.mark.parametrize("failing", ["csim_design", "open_project", "add_files", "set_part"])
def test_an_hls_error_ends_with_code_1(failing: str, zynq: Flow) -> None:
    recorded = zynq.run("hls.tcl", HLS, SYNQ_STAGE="csim", SYNQ_FAIL=failing)
    assert recorded.code == 1
    assert recorded.calls[-1][0] == failing
    assert "\nERROR: [synq] csim failed: it failed\n" in f"\n{recorded.printed}"


@needs_tcl
@pytest.mark.parametrize("stage", ["cosim", "export"])
def test_verilog_comes_before_what_needs_it(stage: str, zynq: Flow) -> None:
    recorded = zynq.run("hls.tcl", HLS, SYNQ_STAGE=stage)
    assert (recorded.code, recorded.calls) == (1, [])
    assert "run the stage csynth first" in recorded.printed


@needs_tcl
def test_an_unknown_stage_is_refused(zynq: Flow) -> None:
    recorded = zynq.run("hls.tcl", HLS, SYNQ_STAGE="sing")
    assert (recorded.code, recorded.calls) == (1, [])
    assert "must be csim, csynth, cosim or export, got sing" in recorded.printed


@needs_tcl
def test_a_tool_that_leaves_no_report_failed(zynq: Flow) -> None:
    silent = f"{HLS}\nstand_in csynth_design {{}}"
    recorded = zynq.run("hls.tcl", silent, SYNQ_STAGE="csynth")
    assert recorded.code == 1
    assert "csynth_design wrote no synapse_axis.v" in recorded.printed


@needs_tcl
def test_an_export_that_overflows_its_revision_is_repaired(zynq: Flow, tmp_path: Path) -> None:
    zynq.made(f"flow/build/hls/solution/syn/verilog/{TOP}.v")
    vivado = tmp_path / "vi vado"
    vivado.write_text(
        '#!/bin/sh\n[ "$*" = "-mode batch -nojournal -nolog -notrace -source run_ippack.tcl" ] &&\n'
        "grep -qx 'set Revision    \"1\"' run_ippack.tcl && echo x > component.xml\n"
    )
    vivado.chmod(0o755)
    settings = {"SYNQ_STAGE": "export", "SYNQ_OVERFLOW": "1", "SYNQ_VIVADO": str(vivado)}
    recorded = zynq.run("hls.tcl", HLS, **settings)
    assert recorded.code == 0, recorded.printed
    assert (zynq.work / "hls/solution/impl/ip/component.xml").is_file()
    vivado.write_text("#!/bin/sh\nexit 1\n")
    recorded = zynq.run("hls.tcl", HLS, **settings)
    assert recorded.code == 1
    assert "answer record 76960" in recorded.printed


# ---- ooc.tcl ------------------------------------------------------------------------------------


@needs_tcl
def test_implementation_out_of_context(zynq: Flow) -> None:
    zynq.made(f"flow/build/hls/solution/syn/verilog/{TOP}.v")
    recorded = zynq.run("ooc.tcl", VIVADO)
    assert recorded.code == 0, recorded.printed
    part = "xc7z020clg400-1"
    assert recorded.calls == [
        ("create_project", "-in_memory", "-part", part),
        ("add_files", "hls/solution/syn/verilog"),
        ("read_xdc", "-mode", "out_of_context", "ooc.xdc"),
        ("synth_design", "-mode", "out_of_context", "-top", TOP, "-part", part),
        ("report_utilization", "-file", "../reports/utilization_synth.rpt"),
        ("opt_design",),
        ("place_design",),
        ("phys_opt_design",),
        ("route_design",),
        ("report_utilization", "-file", "../reports/utilization_placed.rpt"),
        ("report_utilization", "-hierarchical", "-file", "../reports/utilization_hierarchical.txt"),
        ("report_timing_summary", "-file", "../reports/timing_routed.rpt"),
        ("write_checkpoint", "-force", "ooc.dcp"),
    ]
    constraints = (zynq.work / "ooc.xdc").read_text()
    assert constraints == "create_clock -name ap_clk -period 10 [get_ports ap_clk]\n"


@needs_tcl
def test_implementation_needs_verilog_and_reports_errors(zynq: Flow) -> None:
    assert "run the stage csynth first" in zynq.run("ooc.tcl", VIVADO).printed
    zynq.made(f"flow/build/hls/solution/syn/verilog/{TOP}.v")
    recorded = zynq.run("ooc.tcl", VIVADO, SYNQ_FAIL="place_design")
    assert (recorded.code, recorded.names()[-1]) == (1, "place_design")


# ---- system.tcl ---------------------------------------------------------------------------------

CLOCKED = {
    "reset/slowest_sync_clk",
    "control/aclk",
    "memory/aclk",
    "accelerator/ap_clk",
    "axi_dma_0/s_axi_lite_aclk",
    "axi_dma_0/m_axi_mm2s_aclk",
    "axi_dma_0/m_axi_s2mm_aclk",
}
STREAMS = {
    ("control/M00_AXI", "axi_dma_0/S_AXI_LITE"),
    ("axi_dma_0/M_AXI_MM2S", "memory/S00_AXI"),
    ("axi_dma_0/M_AXI_S2MM", "memory/S01_AXI"),
    ("axi_dma_0/M_AXIS_MM2S", "accelerator/input_r"),
    ("accelerator/output_r", "axi_dma_0/S_AXIS_S2MM"),
}
ORDER = [
    "create_project",
    "update_ip_catalog",
    "create_bd_design",
    "create_bd_cell",
    "connect_bd_net",
    "connect_bd_intf_net",
    "assign_bd_address",
    "validate_bd_design",
    "save_bd_design",
    "generate_target",
    "make_wrapper",
    "update_compile_order",
    "synth_design",
    "opt_design",
    "place_design",
    "phys_opt_design",
    "route_design",
    "report_utilization",
    "report_timing_summary",
    "get_timing_paths",
    "write_bitstream",
]


def exported(tmp_path: Path, board: str) -> Flow:
    made = made_flow(tmp_path, board)
    made.made("flow/build/hls/solution/impl/ip/component.xml")
    return made


def dictionary(call: Call) -> dict[str, str]:
    words = call[1].split()
    return dict(zip(words[::2], words[1::2], strict=True))


@needs_tcl
@pytest.mark.parametrize(
    ("board", "ps", "clock", "clocked", "reset", "ports", "address_bits"),
    [
        (
            "pynq-z2",
            "xilinx.com:ip:processing_system7:5.5",
            "FCLK_CLK0",
            {"ps/M_AXI_GP0_ACLK", "ps/S_AXI_HP0_ACLK"},
            "FCLK_RESET0_N",
            {
                ("ps/M_AXI_GP0", "control/S00_AXI"),
                ("memory/M00_AXI", "ps/S_AXI_HP0"),
                ("DDR", "ps/DDR"),
                ("FIXED_IO", "ps/FIXED_IO"),
            },
            "32",
        ),
        (
            "kv260",
            "xilinx.com:ip:zynq_ultra_ps_e:3.5",
            "pl_clk0",
            {"ps/maxihpm0_fpd_aclk", "ps/saxihp0_fpd_aclk"},
            "pl_resetn0",
            {("ps/M_AXI_HPM0_FPD", "control/S00_AXI"), ("memory/M00_AXI", "ps/S_AXI_HP0_FPD")},
            "40",
        ),
    ],
)
def test_the_system(
    board: str,
    ps: str,
    clock: str,
    clocked: set[str],
    reset: str,
    ports: set[Call],
    address_bits: str,
    tmp_path: Path,
) -> None:
    made = exported(tmp_path, board)
    recorded = made.run("system.tcl", VIVADO)
    assert recorded.code == 0, recorded.printed

    last = {name: number for number, name in enumerate(recorded.names()) if name in ORDER}
    assert sorted(last, key=lambda name: last[name]) == ORDER
    assert recorded.of("create_bd_cell") == [
        ("-type", "ip", "-vlnv", ps, "ps"),
        ("-type", "ip", "-vlnv", "xilinx.com:ip:axi_dma:7.1", "axi_dma_0"),
        ("-type", "ip", "-vlnv", "xilinx.com:hls:synapse_axis:1.0", "accelerator"),
        ("-type", "ip", "-vlnv", "xilinx.com:ip:smartconnect:1.0", "control"),
        ("-type", "ip", "-vlnv", "xilinx.com:ip:smartconnect:1.0", "memory"),
        ("-type", "ip", "-vlnv", "xilinx.com:ip:proc_sys_reset:5.0", "reset"),
        ("-type", "ip", "-vlnv", "xilinx.com:ip:xlconstant:1.1", "one"),
    ]

    nets = recorded.of("connect_bd_net")
    assert {sink for source, sink in nets if source == f"ps/{clock}"} == CLOCKED | clocked
    assert {sink for source, sink in nets if source == "reset/peripheral_aresetn"} == {
        "control/aresetn",
        "memory/aresetn",
        "axi_dma_0/axi_resetn",
        "accelerator/ap_rst_n",
    }
    assert (f"ps/{reset}", "reset/ext_reset_in") in nets
    assert ("one/dout", "accelerator/ap_start") in nets
    sinks = [sink for _, sink in nets]
    assert len(sinks) == len(set(sinks))
    assert set(recorded.of("connect_bd_intf_net")) == STREAMS | ports

    properties = {call[-1]: call for call in recorded.of("set_property") if call[0] == "-dict"}
    dma = dictionary(properties["axi_dma_0"])
    assert dma["CONFIG.c_include_sg"] == "0"
    assert dma["CONFIG.c_sg_length_width"] == "26"
    assert dma["CONFIG.c_addr_width"] == address_bits
    widths = {name: value for name, value in dma.items() if name.endswith("data_width")}
    assert len(widths) == 3 and set(widths.values()) == {"64"}
    assert dictionary(properties["memory"]) == {"CONFIG.NUM_SI": "2", "CONFIG.NUM_MI": "1"}
    assert dictionary(properties["one"]) == {"CONFIG.CONST_WIDTH": "1", "CONFIG.CONST_VAL": "1"}
    assert properties["ps"][1].endswith(("FREQMHZ 100", "FREQMHZ 200"))

    assert ("synth_checkpoint_mode", "None", "system.bd") in recorded.of("set_property")
    wrapper = "system/system.gen/sources_1/bd/system/hdl/system_wrapper.v"
    assert recorded.of("add_files") == [("-norecurse", wrapper)]
    for name in ("driver/synq.bit", "driver/synq.hwh", "flow/reports/system_timing.rpt"):
        assert (made.project / name).is_file()


@needs_tcl
def test_no_board_file_is_asked_for(zynq: Flow) -> None:
    for content in flow(load_board("pynq-z2")).values():
        assert b"board_part" not in content and b"apply_bd_automation" not in content


@needs_tcl
def test_older_and_newer_vivado(tmp_path: Path) -> None:
    """Up to 2020.1 output products lie in .srcs; constants are to become inline HDL for good."""
    made = exported(tmp_path, "pynq-z2")
    assert made.run("system.tcl", VIVADO, SYNQ_PRODUCTS="srcs").code == 0
    recorded = made.run("system.tcl", VIVADO, SYNQ_CONSTANTS="xilinx.com:inline_hdl:ilconstant:1.0")
    assert recorded.code == 0, recorded.printed
    inline = ("-type", "inline_hdl", "-vlnv", "xilinx.com:inline_hdl:ilconstant:1.0", "one")
    assert recorded.of("create_bd_cell")[-1] == inline


@needs_tcl
@pytest.mark.parametrize(
    ("settings", "message", "last"),
    [
        ({"SYNQ_FAIL": "validate_bd_design"}, "it failed", "validate_bd_design"),
        ({"SYNQ_CONSTANTS": ""}, "no xilinx.com:ip:xlconstant and no", "get_ipdefs"),
        ({"SYNQ_INPUTS": ""}, "expected one AXI4-Stream interface", "get_bd_intf_pins"),
        ({"SYNQ_INPUTS": "accelerator/a accelerator/b"}, "found 2", "get_bd_intf_pins"),
        ({"SYNQ_LATE": "max"}, "timing is not met (setup slack -0.123 ns)", "get_property"),
        ({"SYNQ_LATE": "min"}, "timing is not met (hold slack -0.123 ns)", "get_property"),
        ({"SYNQ_PRODUCTS": "elsewhere"}, "wrote no system_wrapper.v", "make_wrapper"),
        ({"SYNQ_NO_HANDOFF": "1"}, "wrote no system.hwh", "write_bitstream"),
    ],
)
def test_a_failing_system_leaves_no_bitstream(
    settings: dict[str, str], message: str, last: str, tmp_path: Path
) -> None:
    made = exported(tmp_path, "pynq-z2")
    recorded = made.run("system.tcl", VIVADO, **settings)
    assert (recorded.code, recorded.names()[-1]) == (1, last)
    assert message in recorded.printed and "\nERROR: [synq]" in f"\n{recorded.printed}"
    assert list((made.project / "driver").iterdir()) == []


@needs_tcl
def test_a_system_needs_the_ip(zynq: Flow) -> None:
    recorded = zynq.run("system.tcl", VIVADO)
    assert (recorded.code, recorded.calls) == (1, [])
    assert "there is no IP yet" in recorded.printed


def test_stages_are_those_of_the_command() -> None:
    from typing import get_args, get_type_hints

    from synq.cli.synth import synth

    literal, _ = get_args(get_type_hints(synth)["stage"])  # or None
    assert get_args(literal) == STAGES
