{% if core.flow == "hls" %}
# Out-of-context synthesis, placement and routing of the Verilog that C synthesis made: what the
# top function takes of the part, and whether it meets its clock, without anything around it.
{% else %}
# Out-of-context synthesis, placement and routing of the Verilog core: what it takes of the part, and
# whether it meets its clock, without anything around it.
{% endif %}
#   vivado -mode batch -source {{ core.prefix }}ooc.tcl
# Interfaces as documented in UG835 (commands) and UG901 (synthesis).

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

set failed [catch {
    # From here on all paths are relative to flow/build: no space, bracket or dollar sign of the
    # folder that the project lies in can reach a tool.
    file mkdir [file join $here build] [file join $here reports]
    cd [file join $here build]
{% if core.flow == "hls" %}
    set verilog hls/solution/syn/verilog
    if {![file exists $verilog/$synq(top).v]} {
        error "there is no Verilog yet: run the stage csynth first"
    }

    create_project -in_memory -part $synq(part)
    # The whole folder: beside the Verilog lie the .dat files that $readmemh reads tables from.
    add_files $verilog
    # Ports get no buffers and their paths no constraint: only the clock is.
    set constraints [open ooc.xdc w]
    puts $constraints "create_clock -name ap_clk -period $synq(clock_ns) \[get_ports ap_clk\]"
    close $constraints
    read_xdc -mode out_of_context ooc.xdc
{% else %}

    create_project -in_memory -part $synq(part)
    # Synthesis looks for what $readmemh reads by its bare name, among the sources and in the folder
    # it runs in. Of a file that is not there it only warns, and the memory is empty: an error here.
    set_msg_config -id {Synth 8-4445} -new_severity ERROR
    foreach name $synq(rtl_memories) {
        file copy -force ../../$name .
        read_mem ../../$name
    }
    foreach name $synq(rtl_verilog) {
        read_verilog ../../$name
    }
    # Ports get no buffers and their paths no constraint: only the clock is.
    read_xdc -mode out_of_context ../../$synq(rtl_constraints)
{% endif %}

    synth_design -mode out_of_context -top {{ core.top }} -part $synq(part)
    report_utilization -file ../reports/{{ core.prefix }}utilization_synth.rpt
    opt_design
    place_design
    phys_opt_design
    route_design
    report_utilization -file ../reports/{{ core.prefix }}utilization_placed.rpt
    report_utilization -hierarchical -file ../reports/{{ core.prefix }}utilization_hierarchical.txt
    report_timing_summary -file ../reports/{{ core.prefix }}timing_routed.rpt
    write_checkpoint -force {{ core.prefix }}ooc.dcp
} message]
if {$failed} {
    puts "ERROR: \[synq\] implementation failed: $message"
    puts $::errorInfo
    exit 1
}
puts "INFO: \[synq\] impl done"
exit 0
