# Out-of-context synthesis, placement and routing of the Verilog that C synthesis made: what the
# top function takes of the part, and whether it meets its clock, without anything around it.
#   vivado -mode batch -source ooc.tcl
# Interfaces as documented in UG835 (commands) and UG901 (synthesis).

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

set failed [catch {
    # From here on all paths are relative to flow/build; see hls.tcl.
    file mkdir [file join $here build] [file join $here reports]
    cd [file join $here build]
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

    synth_design -mode out_of_context -top $synq(top) -part $synq(part)
    report_utilization -file ../reports/utilization_synth.rpt
    opt_design
    place_design
    phys_opt_design
    route_design
    report_utilization -file ../reports/utilization_placed.rpt
    report_utilization -hierarchical -file ../reports/utilization_hierarchical.txt
    report_timing_summary -file ../reports/timing_routed.rpt
    write_checkpoint -force ooc.dcp
} message]
if {$failed} {
    puts "ERROR: \[synq\] implementation failed: $message"
    puts $::errorInfo
    exit 1
}
puts "INFO: \[synq\] impl done"
exit 0
