"""AMD's tools without AMD: a real Tcl with the vendor's commands replaced by ones that take notes.

What a stand-in accepts is what the vendor's guides document: a command, pin or interface that is
not written down here is an error, as it would be there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

NASTY = "größe [exit 7] $HOME {a \"b\" 'c' #;\\d"

# Python's own Tcl has no `exit`.
TKINTER = """
import os, sys, tkinter
def leave(code="0"):
    tcl.eval("foreach channel [file channels] {catch {flush $channel}}")
    os._exit(int(code))
tcl = tkinter.Tcl()
tcl.createcommand("exit", leave)
tcl.evalfile(sys.argv[1])
"""
if shutil.which("tclsh"):
    INTERPRETER = [str(shutil.which("tclsh"))]
elif find_spec("_tkinter"):
    INTERPRETER = [sys.executable, "-c", TKINTER]
else:
    INTERPRETER = []
needs_tcl = pytest.mark.skipif(not INTERPRETER, reason="neither tclsh nor tkinter is installed")


def tcl(script: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*INTERPRETER, str(script)],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


PRELUDE = r"""
# Every call is a line of hexadecimal words in record.txt; a failing one is named by SYNQ_FAIL.
set record [open $::env(SYNQ_RECORD) w]
proc note {words} {
    foreach word $words {
        binary scan [encoding convertto utf-8 $word] H* digits
        puts -nonewline $::record "=$digits "
    }
    puts $::record ""
    if {[info exists ::env(SYNQ_FAIL)] && $::env(SYNQ_FAIL) eq [lindex $words 0]} {
        return -code error "it failed"
    }
}
proc stand_in {names body} {
    foreach name $names {
        proc $name args "note \[concat \[list $name\] \$args\]\n$body"
    }
}
proc make_file {path {text x}} {
    file mkdir [file dirname $path]
    set file [open $path w]
    puts -nonewline $file $text
    close $file
}
"""

HLS = r"""
stand_in {open_project set_top open_solution set_part create_clock config_compile} {}
stand_in config_array_partition {}
stand_in add_files {
    set name [lindex $args [expr {[lindex $args 0] eq "-tb"}]]
    if {![file exists $name]} {error "no such file as $name"}
}
stand_in csim_design {make_file hls/solution/csim/report/synapse_axis_csim.log}
stand_in csynth_design {
    make_file hls/solution/syn/verilog/synapse_axis.v
    make_file hls/solution/syn/report/csynth.xml top
    make_file hls/solution/syn/report/synapse_axis_csynth.xml function
    make_file hls/solution/syn/report/synapse_axis_csynth.rpt
}
stand_in cosim_design {make_file hls/solution/sim/report/synapse_axis_cosim.rpt}
stand_in export_design {
    if {[info exists ::env(SYNQ_OVERFLOW)]} {
        make_file hls/solution/impl/ip/run_ippack.tcl {set Revision    "2211210930"}
        error "bad lexical cast: source type value could not be interpreted as target"
    }
    make_file hls/solution/impl/ip/component.xml
}
"""

VIVADO = r"""
stand_in {read_xdc synth_design opt_design place_design phys_opt_design route_design} {}
stand_in {update_ip_catalog create_bd_design assign_bd_address validate_bd_design save_bd_design} {}
stand_in {update_compile_order create_project} {}
stand_in {report_utilization report_timing_summary} {make_file [lindex $args end]}
stand_in {write_checkpoint write_bitstream} {make_file [lindex $args end]}
stand_in add_files {
    set name [lindex [lindex $args end] 0]
    if {![file exists $name]} {error "no such file as $name"}
}
stand_in {read_verilog read_mem} {
    if {![file exists [lindex $args 0]]} {error "no such file as $args"}
}
stand_in set_msg_config {
    if {[lrange $args 0 0] ne "-id" || [lrange $args 2 3] ne "-new_severity ERROR"} {error $args}
}
stand_in {current_project current_fileset} {return it}
stand_in get_files {return $args}
stand_in get_ports {return $args}
proc generated_of {diagram} {
    set design [file rootname $diagram]
    return $design/$design.$::env(SYNQ_PRODUCTS)/sources_1/bd/$design
}
stand_in make_wrapper {
    set diagram [lindex $args 1]
    make_file [generated_of $diagram]/hdl/[file rootname $diagram]_wrapper.v
}
stand_in generate_target {
    set diagram [lindex $args 1]
    if {![info exists ::env(SYNQ_NO_HANDOFF)]} {
        make_file [generated_of $diagram]/hw_handoff/[file rootname $diagram].hwh
    }
}
stand_in get_timing_paths {return path-[lindex $args 1]}
stand_in get_property {
    if {[lindex $args 1] eq "path-$::env(SYNQ_LATE)"} {return -0.123}
    return 0.456
}
set catalog {
    xilinx.com:ip:processing_system7:5.5 xilinx.com:ip:zynq_ultra_ps_e:3.5 xilinx.com:ip:axi_dma:7.1
    xilinx.com:ip:smartconnect:1.0 xilinx.com:ip:proc_sys_reset:5.0 xilinx.com:ip:axi_dma:6.0
    xilinx.com:hls:synapse_axis:1.0 synq:core:synq_top:1.0 xilinx.com:ip:axis_dwidth_converter:1.1
}
lappend catalog {*}$::env(SYNQ_CONSTANTS)
stand_in get_ipdefs {return [lsearch -all -inline -glob $::catalog [lindex $args end]]}

# What each cell has, from its guide. {pins} {interfaces}
set has(processing_system7) {
    {FCLK_CLK0 FCLK_RESET0_N M_AXI_GP0_ACLK S_AXI_HP0_ACLK} {DDR FIXED_IO M_AXI_GP0 S_AXI_HP0}
}
set has(zynq_ultra_ps_e) {
    {pl_clk0 pl_resetn0 maxihpm0_fpd_aclk saxihp0_fpd_aclk} {M_AXI_HPM0_FPD S_AXI_HP0_FPD}
}
set has(axi_dma) {
    {s_axi_lite_aclk m_axi_mm2s_aclk m_axi_s2mm_aclk axi_resetn mm2s_introut s2mm_introut}
    {S_AXI_LITE M_AXI_MM2S M_AXI_S2MM M_AXIS_MM2S S_AXIS_S2MM}
}
set has(smartconnect) {{aclk aresetn} {S00_AXI S01_AXI M00_AXI M01_AXI}}
set has(proc_sys_reset) {
    {slowest_sync_clk ext_reset_in aux_reset_in mb_debug_sys_rst dcm_locked mb_reset
     bus_struct_reset peripheral_reset interconnect_aresetn peripheral_aresetn} {}
}
set has(xlconstant) {dout {}}
set has(ilconstant) {dout {}}
set has(axis_dwidth_converter) {{aclk aresetn} {S_AXIS M_AXIS}}
set has(synq_top) {{clk reset_n} {s_axis m_axis s_axi}}
set has(synapse_axis) {
    {ap_clk ap_rst_n ap_start ap_done ap_idle ap_ready} {input_r output_r ap_ctrl}
}
set cells {}
stand_in create_bd_cell {
    dict set ::cells [lindex $args end] [lindex [split [lindex $args 3] :] 2]
}
stand_in create_bd_intf_port {}
stand_in get_bd_intf_ports {return $args}
stand_in get_bd_cells {
    if {![dict exists $::cells $args]} {error "no cell $args"}
    return $args
}
proc part_of {name at} {
    lassign [split $name /] cell part
    if {![dict exists $::cells $cell]} {return {}}
    if {[lsearch -exact [lindex $::has([dict get $::cells $cell]) $at] $part] < 0} {return {}}
    return [list $name]
}
stand_in get_bd_pins {return [part_of [lindex $args 0] 0]}
stand_in get_bd_intf_pins {
    if {[lindex $args 0] ne "-of_objects"} {return [part_of [lindex $args 0] 1]}
    switch -exact -- [lindex $args 3] {
        {MODE == Slave && VLNV == xilinx.com:interface:axis_rtl:1.0} {return $::env(SYNQ_INPUTS)}
        {MODE == Master && VLNV == xilinx.com:interface:axis_rtl:1.0} {return $::env(SYNQ_OUTPUTS)}
    }
}
stand_in {connect_bd_net connect_bd_intf_net} {
    if {[llength $args] != 2 || {} in $args} {error "connects nothing: $args"}
}
stand_in set_property {
    if {[lindex $args 0] eq "-dict" && [llength [lindex $args 1]] % 2} {error "odd list"}
}
"""

# Packaging: which interfaces it infers by itself, and which files it leaves out, differs.
PACKAGING = r"""
namespace eval ipx {}
stand_in create_project {}
stand_in {update_compile_order close_project} {}
stand_in {current_project current_fileset} {return it}
set added {}
stand_in add_files {
    set name [lindex $args end]
    if {![file exists $name]} {error "no such file as $name"}
    lappend ::added [file tail $name]
}
stand_in get_files {
    if {[lsearch -exact $::added $args] < 0} {error "no file $args in the project"}
    return $args
}
stand_in get_property {return [lindex $args 1]}
stand_in set_property {}
set interfaces {}
set parameters {}
set packaged {}
stand_in ipx::package_project {
    set ::root [lindex $args [expr {[lsearch $args -root_dir] + 1}]]
    file mkdir $::root
    set ::interfaces $::env(SYNQ_INFERRED)
    foreach name $::added {
        if {![string match $::env(SYNQ_LEFT_OUT) $name]} {lappend ::packaged src/$name}
    }
}
stand_in ipx::current_core {return core}
proc of_core {arguments} {
    if {[lrange $arguments 1 end] ne "-of_objects core"} {error "of what core? $arguments"}
    return [lindex $arguments 0]
}
stand_in ipx::get_bus_interfaces {
    return [lsearch -all -inline -exact $::interfaces [of_core $args]]
}
set top_ports {clk reset_n}
foreach stream {s_axis m_axis} {
    foreach signal {tvalid tready tdata tkeep tlast} {lappend ::top_ports ${stream}_$signal}
}
foreach signal {awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready
                araddr arvalid arready rdata rresp rvalid rready} {
    lappend top_ports s_axi_$signal
}
set maps [expr {[info exists ::env(SYNQ_MAPPED)] ? "s_axi" : ""}]
set blocks [expr {[info exists ::env(SYNQ_MAPPED)] ? "reg0" : ""}]
stand_in ipx::get_memory_maps {return [lsearch -all -inline -exact $::maps [of_core $args]]}
stand_in ipx::add_memory_map {lappend ::maps [lindex $args 0]}
stand_in ipx::get_address_blocks {
    if {[lrange $args 1 end] ne "-of_objects s_axi"} {error "of what map? $args"}
    return $::blocks
}
stand_in ipx::add_address_block {lappend ::blocks [lindex $args 0]}
stand_in ipx::infer_bus_interface {
    lassign $args given vlnv core
    foreach port $given {
        if {[lsearch -exact $::top_ports $port] < 0} {error "no port $port"}
    }
    set kinds {
        xilinx.com:interface:axis_rtl:1.0 5 xilinx.com:signal:clock_rtl:1.0 1
        xilinx.com:signal:reset_rtl:1.0 1 xilinx.com:interface:aximm_rtl:1.0 17
    }
    if {[dict get $kinds $vlnv] != [llength $given] || $core ne "core"} {error "cannot infer $vlnv"}
    if {[info exists ::env(SYNQ_NOT_INFERRED)]} return
    lappend ::interfaces [regsub {_(tvalid|awaddr)$} [lindex $given 0] {}]
}
stand_in ipx::get_bus_parameters {
    if {[dict exists $::parameters [lindex $args 0]]} {return [lindex $args 0]}
}
stand_in ipx::add_bus_parameter {
    dict set ::parameters [lindex $args 0] x
    return [lindex $args 0]
}
stand_in ipx::associate_bus_interfaces {
    foreach {option name} [lrange $args 0 end-1] {
        if {[lsearch -exact $::interfaces $name] < 0} {error "no interface $name"}
    }
}
stand_in ipx::get_file_groups {return [of_core $args]}
stand_in ipx::get_files {return $::packaged}
stand_in ipx::add_file {
    if {![file exists $::root/[lindex $args 0]]} {error "no such file as [lindex $args 0]"}
    lappend ::packaged [lindex $args 0]
}
stand_in {ipx::create_xgui_files ipx::update_checksums ipx::check_integrity} {}
stand_in ipx::save_core {make_file $::root/component.xml}
"""

Call = tuple[str, ...]


@dataclass(frozen=True)
class Recorded:
    """What a script did."""

    code: int
    printed: str
    calls: list[Call]

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def of(self, name: str) -> list[Call]:
        return [call[1:] for call in self.calls if call[0] == name]


class Flow:
    """A project's `flow` in a folder whose name no shell and no Tcl would take unquoted."""

    def __init__(self, root: Path, flow: Mapping[str, bytes], sources: Iterable[str]) -> None:
        self.project = root / NASTY / "project"
        for name, content in flow.items():
            path = self.project / "flow" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name in sources:
            self.made(name)
        self.work = self.project / "flow" / "build"
        self.work.mkdir()

    def made(self, name: str) -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        return path

    def run(self, script: str, stand_ins: str, **environment: str) -> Recorded:
        record = self.project / "record.txt"
        driver = self.project / "driver.tcl"
        driver.write_text(f"{PRELUDE}\n{stand_ins}\nsource ../{script}\nputs {{NOT REACHED}}\n")
        defaults = {
            "SYNQ_RECORD": str(record),
            "SYNQ_PRODUCTS": "gen",
            "SYNQ_LATE": "never",
            "SYNQ_CONSTANTS": "xilinx.com:ip:xlconstant:1.1 xilinx.com:inline_hdl:ilconstant:1.0",
            "SYNQ_INPUTS": "accelerator/input_r",
            "SYNQ_OUTPUTS": "accelerator/output_r",
            "SYNQ_INFERRED": "s_axis m_axis clk reset_n",
            "SYNQ_LEFT_OUT": "none",
        }
        result = tcl(driver, self.work, **{**defaults, **environment})
        assert "NOT REACHED" not in result.stdout  # it exits, whatever happened
        assert result.stderr == ""
        calls = [
            tuple(bytes.fromhex(word[1:]).decode() for word in line.split())
            for line in record.read_text().splitlines()
        ]
        return Recorded(result.returncode, result.stdout, calls)
