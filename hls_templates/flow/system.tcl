# The block design around the packaged IP, and its bitstream: driver/{{ core.bitstream }}.bit and .hwh.
#   vivado -mode batch -source {{ core.prefix }}system.tcl
#
#   DDR <- {{ ps.memory_port }} <- memory <- axi_dma_0 <-> accelerator (AXI4-Stream, 64 bits)
#          {{ ps.control_port }} -> control -> axi_dma_0/S_AXI_LITE
{% if core.registers %}
#                          control -> accelerator/s_axi
{% endif %}
{% if core.in_bytes %}
#   axi_dma_0/M_AXIS_MM2S -> widen ({{ core.in_bytes * 8 }} bits) -> accelerator
{% endif %}
{% if core.out_bytes %}
#   accelerator -> narrow -> axi_dma_0/S_AXIS_S2MM
{% endif %}
#
# One clock, the processing system's {{ ps.clock }}.
{% if core.start %}
# ap_start is tied high: a frame follows the other without the processor's doing.
{% endif %}
# Nothing needs a board file. The DDR and pin settings of the processing system in settings.tcl serve
# a first-stage boot loader made from this design; under PYNQ a running Linux has set both long
# before, and loading the overlay sets only the clock, the ports' widths and the logic.
#
# Interfaces as documented in UG994 (block designs), UG835 (commands), PG021 (AXI DMA),
{% if core.in_bytes or core.out_bytes %}
# PG085 (AXI4-Stream data width converters),
{% endif %}
# {{ ps.document }}.
# IPs are taken in the version that the Vivado at work has.
{% set converters = (["widen"] if core.in_bytes else []) + (["narrow"] if core.out_bytes else []) %}

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

# The newest version of the first IP of `names` that is in the catalog.
proc newest_ip {args} {
    foreach name $args {
        set found [lsort -dictionary [get_ipdefs -all $name:*]]
        if {[llength $found] > 0} {
            return [lindex $found end]
        }
    }
    error "this Vivado's IP catalog has no [join $args { and no }]"
}

proc add_ip {name args} {
    set vlnv [newest_ip {*}$args]
    # Constants became inline HDL in 2024.2, with a type of cell of their own.
    if {[string match *:inline_hdl:* $vlnv]} {
        return [create_bd_cell -type inline_hdl -vlnv $vlnv $name]
    }
    return [create_bd_cell -type ip -vlnv $vlnv $name]
}

proc the_one {found what} {
    if {[llength $found] != 1} {
        error "expected one $what, found [llength $found]: $found"
    }
    return [lindex $found 0]
}

# What Vivado has generated for the block design: in system.gen since 2020.2, in system.srcs before.
proc generated {name} {
    set folder sources_1/bd/{{ core.prefix }}system
    set design {{ core.prefix }}system
    set found [glob -nocomplain $design/$design.gen/$folder/$name $design/$design.srcs/$folder/$name]
    if {[llength $found] == 0} {
        error "Vivado wrote no [file tail $name]"
    }
    return [lindex $found 0]
}

proc bd_pin {name} {
    return [the_one [get_bd_pins $name] "pin $name"]
}

proc bd_interface {name} {
    return [the_one [get_bd_intf_pins $name] "interface $name"]
}

# The accelerator's one stream in a direction{% if core.start %}: HLS renames ports that are words of Verilog{% endif %}.
proc bd_stream {mode} {
    set found [get_bd_intf_pins -of_objects [get_bd_cells accelerator] \
        -filter "MODE == $mode && VLNV == xilinx.com:interface:axis_rtl:1.0"]
    return [the_one $found "AXI4-Stream interface of the accelerator with the mode $mode"]
}

set failed [catch {
    # From here on paths are relative to flow/build: no space, bracket or dollar sign of the folder
    # that the project lies in can reach a tool. But for the IP repository's, which Vivado keeps.
    file mkdir [file join $here build] [file join $here reports] [file join $here .. driver]
    cd [file join $here build]
    set ip {{ core.folder }}
    if {![file exists $ip/component.xml]} {
        error "there is no IP yet: run {{ "the stage export of hls.tcl" if core.start else "rtl_package.tcl" }} first"
    }
    set design {{ core.prefix }}system

    create_project -force $design $design -part $synq(part)
    set_property target_language Verilog [current_project]
    set_property ip_repo_paths [list [file normalize $ip]] [current_project]
    update_ip_catalog -rebuild
    create_bd_design $design

    # The processing system.
    add_ip ps {{ ps.ip }}
    set_property -dict $synq(ps) [get_bd_cells ps]
{% if ps.external %}
    create_bd_intf_port -mode Master -vlnv xilinx.com:interface:ddrx_rtl:1.0 DDR
    create_bd_intf_port -mode Master -vlnv xilinx.com:display_processing_system7:fixedio_rtl:1.0 FIXED_IO
    connect_bd_intf_net [get_bd_intf_ports DDR] [bd_interface ps/DDR]
    connect_bd_intf_net [get_bd_intf_ports FIXED_IO] [bd_interface ps/FIXED_IO]
{% endif %}

    # Direct register mode, and the longest transfer it has: one stream of up to 64 MiB of images.
    add_ip axi_dma_0 xilinx.com:ip:axi_dma
    set_property -dict [list \
        CONFIG.c_include_sg 0 \
        CONFIG.c_sg_include_stscntrl_strm 0 \
        CONFIG.c_sg_length_width 26 \
        CONFIG.c_addr_width {{ ps.address_bits }} \
        CONFIG.c_include_mm2s 1 \
        CONFIG.c_m_axi_mm2s_data_width 64 \
        CONFIG.c_m_axis_mm2s_tdata_width 64 \
        CONFIG.c_mm2s_burst_size 16 \
        CONFIG.c_include_s2mm 1 \
        CONFIG.c_m_axi_s2mm_data_width 64 \
        CONFIG.c_s2mm_burst_size 16 \
    ] [get_bd_cells axi_dma_0]

    add_ip accelerator {{ core.ip }}
    add_ip control xilinx.com:ip:smartconnect
    set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI {{ 2 if core.registers else 1 }}] [get_bd_cells control]
    add_ip memory xilinx.com:ip:smartconnect
    set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] [get_bd_cells memory]
    add_ip reset xilinx.com:ip:proc_sys_reset
{% if core.start %}
    add_ip one xilinx.com:ip:xlconstant xilinx.com:inline_hdl:ilconstant
    set_property -dict [list CONFIG.CONST_WIDTH 1 CONFIG.CONST_VAL 1] [get_bd_cells one]
{% endif %}
{% if core.in_bytes %}
    add_ip widen xilinx.com:ip:axis_dwidth_converter
    set_property -dict [list CONFIG.M_TDATA_NUM_BYTES {{ core.in_bytes }}] [get_bd_cells widen]
{% endif %}
{% if core.out_bytes %}
    add_ip narrow xilinx.com:ip:axis_dwidth_converter
    set_property -dict [list CONFIG.M_TDATA_NUM_BYTES {{ core.out_bytes }}] [get_bd_cells narrow]
{% endif %}

    # Clock and reset.
    foreach sink {
        {{ ps.control_clock }} {{ ps.memory_clock }}
        reset/slowest_sync_clk control/aclk memory/aclk accelerator/{{ core.clock }}
        axi_dma_0/s_axi_lite_aclk axi_dma_0/m_axi_mm2s_aclk axi_dma_0/m_axi_s2mm_aclk
{% for converter in converters %}
        {{ converter }}/aclk
{% endfor %}
    } {
        connect_bd_net [bd_pin ps/{{ ps.clock }}] [bd_pin $sink]
    }
    connect_bd_net [bd_pin ps/{{ ps.reset }}] [bd_pin reset/ext_reset_in]
    foreach sink {
        control/aresetn memory/aresetn axi_dma_0/axi_resetn accelerator/{{ core.reset }}
{% for converter in converters %}
        {{ converter }}/aresetn
{% endfor %}
    } {
        connect_bd_net [bd_pin reset/peripheral_aresetn] [bd_pin $sink]
    }
{% if core.start %}
    connect_bd_net [bd_pin one/dout] [bd_pin accelerator/ap_start]
{% endif %}

    # Control, memory, streams.
    connect_bd_intf_net [bd_interface ps/{{ ps.control_port }}] [bd_interface control/S00_AXI]
    connect_bd_intf_net [bd_interface control/M00_AXI] [bd_interface axi_dma_0/S_AXI_LITE]
{% if core.registers %}
    connect_bd_intf_net [bd_interface control/M01_AXI] [bd_interface accelerator/s_axi]
{% endif %}
    connect_bd_intf_net [bd_interface axi_dma_0/M_AXI_MM2S] [bd_interface memory/S00_AXI]
    connect_bd_intf_net [bd_interface axi_dma_0/M_AXI_S2MM] [bd_interface memory/S01_AXI]
    connect_bd_intf_net [bd_interface memory/M00_AXI] [bd_interface ps/{{ ps.memory_port }}]
{% if core.in_bytes %}
    connect_bd_intf_net [bd_interface axi_dma_0/M_AXIS_MM2S] [bd_interface widen/S_AXIS]
    connect_bd_intf_net [bd_interface widen/M_AXIS] [bd_stream Slave]
{% else %}
    connect_bd_intf_net [bd_interface axi_dma_0/M_AXIS_MM2S] [bd_stream Slave]
{% endif %}
{% if core.out_bytes %}
    connect_bd_intf_net [bd_stream Master] [bd_interface narrow/S_AXIS]
    connect_bd_intf_net [bd_interface narrow/M_AXIS] [bd_interface axi_dma_0/S_AXIS_S2MM]
{% else %}
    connect_bd_intf_net [bd_stream Master] [bd_interface axi_dma_0/S_AXIS_S2MM]
{% endif %}

    assign_bd_address
    validate_bd_design
    save_bd_design

    # Synthesized with the top, in this process: an error ends it, and one log holds everything.
    set diagram [get_files $design.bd]
    set_property synth_checkpoint_mode None $diagram
    generate_target all $diagram
    make_wrapper -files $diagram -top
    add_files -norecurse [generated hdl/${design}_wrapper.v]
    set_property top ${design}_wrapper [current_fileset]
    update_compile_order -fileset sources_1
{% if not core.start %}
    # As in rtl_ooc.tcl: a memory whose file is not found would be empty.
    set_msg_config -id {Synth 8-4445} -new_severity ERROR
    foreach name $synq(rtl_memories) {
        file copy -force ../../$name .
    }
{% endif %}
    synth_design -top ${design}_wrapper -part $synq(part)
    opt_design
    place_design
    phys_opt_design
    route_design
    report_utilization -file ../reports/{{ core.prefix }}system_utilization.rpt
    report_timing_summary -file ../reports/{{ core.prefix }}system_timing.rpt

    foreach {delay name} {max setup min hold} {
        set worst [get_timing_paths -delay_type $delay -max_paths 1]
        if {[llength $worst] == 0} {
            continue
        }
        set slack [get_property SLACK [lindex $worst 0]]
        if {$slack < 0} {
            error "timing is not met ($name slack $slack ns), and a bitstream that misses its clock computes wrong results; reports/{{ core.prefix }}system_timing.rpt says where, and a board file with a larger clock_ns gives it time"
        }
    }
    write_bitstream -force $design.bit
    file copy -force [generated hw_handoff/$design.hwh] ../../driver/{{ core.bitstream }}.hwh
    file copy -force $design.bit ../../driver/{{ core.bitstream }}.bit
} message]
if {$failed} {
    puts "ERROR: \[synq\] the bitstream failed: $message"
    puts $::errorInfo
    exit 1
}
puts "INFO: \[synq\] bitstream done"
exit 0
