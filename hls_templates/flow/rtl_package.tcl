# The Verilog core as an IP of Vivado's catalog: its files, memories too, its two AXI4-Streams, clock
# and reset. Needs no synthesis.
#   vivado -mode batch -source rtl_package.tcl
# Interfaces as documented in UG835 (commands) and UG1118 (packaging); the commands ipx:: explain
# themselves in Vivado by `help ipx::package_project`.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

# The packaged interface of this name. Packaging infers it from the names of its ports, by rules that
# are Vivado's and differ from version to version; where it did not, from the ports given here.
proc interface {name type ports} {
    set found [ipx::get_bus_interfaces $name -of_objects $::core]
    if {[llength $found] == 0} {
        ipx::infer_bus_interface $ports xilinx.com:$type:1.0 $::core
        set found [ipx::get_bus_interfaces $name -of_objects $::core]
    }
    if {[llength $found] != 1} {
        error "expected one interface $name of the IP, found [llength $found]"
    }
    return [lindex $found 0]
}

proc set_parameter {interface name value} {
    set found [ipx::get_bus_parameters $name -of_objects $interface]
    if {[llength $found] == 0} {
        set found [ipx::add_bus_parameter $name $interface]
    }
    set_property value $value $found
}

# The bare names of a group's files.
proc names {group} {
    set names {}
    foreach file [ipx::get_files -of_objects $group] {
        lappend names [file tail [get_property name $file]]
    }
    return $names
}

set failed [catch {
    # From here on all paths are relative to flow/build: no space, bracket or dollar sign of the
    # folder that the project lies in can reach a tool.
    file mkdir [file join $here build]
    cd [file join $here build]
    file delete -force {{ core.folder }}

    create_project -force rtl_package rtl_package -part $synq(part)
    set_property target_language Verilog [current_project]
    foreach name [concat $synq(rtl_verilog) $synq(rtl_memories)] {
        add_files -norecurse ../../$name
    }
    # By its type a memory is found by the bare name that $readmemh has, wherever the file lies.
    foreach name $synq(rtl_memories) {
        set_property file_type {Memory File} [get_files [file tail $name]]
    }
    set_property top $synq(rtl_top) [current_fileset]
    update_compile_order -fileset sources_1

    ipx::package_project -root_dir {{ core.folder }} -vendor synq -library core -name $synq(rtl_top) \
        -version 1.0 -taxonomy /UserIP -import_files -force
    set core [ipx::current_core]
    set_property display_name {synq network} $core
    set_property description {A quantized network between two AXI4-Streams} $core

    set signals {tvalid tready tdata tkeep tlast}
    foreach stream {s_axis m_axis} {
        set ports {}
        foreach signal $signals {
            lappend ports ${stream}_$signal
        }
        interface $stream interface:axis_rtl $ports
    }
    interface {{ core.clock }} signal:clock_rtl {{ core.clock }}
    set reset [interface {{ core.reset }} signal:reset_rtl {{ core.reset }}]
    set_parameter $reset POLARITY ACTIVE_LOW
    foreach stream {s_axis m_axis} {
        ipx::associate_bus_interfaces -busif $stream -clock {{ core.clock }} $core
    }
{% if core.registers %}

    # The loader's registers. Some versions give an inferred interface its memory map, others not.
    set ports {}
    foreach signal {awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready
                    araddr arvalid arready rdata rresp rvalid rready} {
        lappend ports s_axi_$signal
    }
    set registers [interface s_axi interface:aximm_rtl $ports]
    if {[llength [ipx::get_memory_maps s_axi -of_objects $core]] == 0} {
        ipx::add_memory_map s_axi $core
    }
    set_property slave_memory_map_ref s_axi $registers
    set map [ipx::get_memory_maps s_axi -of_objects $core]
    if {[llength [ipx::get_address_blocks * -of_objects $map]] == 0} {
        ipx::add_address_block reg0 $map
    }
    set_property range 4096 [lindex [ipx::get_address_blocks * -of_objects $map] 0]
    ipx::associate_bus_interfaces -busif s_axi -clock {{ core.clock }} $core
{% endif %}
    ipx::associate_bus_interfaces -clock {{ core.clock }} -reset {{ core.reset }} $core

    # Files that are no HDL are left out by some versions, and without its memories the core computes
    # nothing.
    set group [ipx::get_file_groups xilinx_anylanguagesynthesis -of_objects $core]
    foreach name $synq(rtl_memories) {
        set file [file tail $name]
        if {[lsearch -exact [names $group] $file] < 0} {
            file mkdir {{ core.folder }}/src
            file copy -force ../../$name {{ core.folder }}/src/$file
            ipx::add_file src/$file $group
        }
    }
    # A module that is left out synthesis would miss; what the core does not use may be left out.
    set names [names $group]
    foreach name [concat $synq(rtl_top).v $synq(rtl_memories)] {
        if {[lsearch -exact $names [file tail $name]] < 0} {
            error "packaging left out [file tail $name]"
        }
    }

    ipx::create_xgui_files $core
    ipx::update_checksums $core
    ipx::check_integrity $core
    ipx::save_core $core
    close_project
} message]
if {$failed} {
    puts "ERROR: \[synq\] packaging failed: $message"
    puts $::errorInfo
    exit 1
}
puts "INFO: \[synq\] package done"
exit 0
