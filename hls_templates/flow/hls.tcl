# C simulation, C synthesis, co-simulation and IP export of the top function, by one script for
#   vitis-run --mode hls --tcl hls.tcl     Vitis 2023.1 and later
#   vitis_hls -f hls.tcl                   Vitis HLS 2020.2 to 2024.x
#   vivado_hls -f hls.tcl                  Vivado HLS 2020.1 and earlier
# Interfaces as documented in UG1399 (Vitis HLS) and UG902 (Vivado HLS): only commands and options
# that both have, and open_solution's default flow, which is the Vivado IP flow.
#
# The environment variable SYNQ_STAGE says what to do, since vitis-run passes no arguments on:
# csim, csynth, cosim (of what csynth made) or export (an IP of what csynth made).

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]
set stage csynth
if {[info exists ::env(SYNQ_STAGE)]} {
    set stage $::env(SYNQ_STAGE)
}

# Vivado HLS and Vitis HLS up to 2021.2 number an exported IP by the date, YYMMDDhhmm, which has not
# fitted 32 bits since 2022 (AMD's answer record 76960 has a patch). Everything else is in place by
# then: give the packaging script a number that fits, and run it again.
proc repair_export {ip} {
    set script [file join $ip run_ippack.tcl]
    if {![file exists $script]} {
        return
    }
    set file [open $script]
    set text [read $file]
    close $file
    if {![regsub {(set Revision\s+)"?[0-9]{10}"?} $text {\1"1"} text]} {
        return
    }
    set file [open $script w]
    puts -nonewline $file $text
    close $file
    set vivado vivado
    if {[info exists ::env(SYNQ_VIVADO)]} {
        set vivado $::env(SYNQ_VIVADO)
    }
    puts "INFO: \[synq\] packaging the IP again, with a revision number that fits 32 bits"
    set before [pwd]
    cd $ip
    catch {exec $vivado -mode batch -nojournal -nolog -notrace -source run_ippack.tcl >@ stdout 2>@ stdout}
    cd $before
}

# The first of `sources` that exists, as flow/reports/`name`.
proc keep_report {name sources} {
    foreach source $sources {
        if {[file exists $source]} {
            file mkdir ../reports
            file copy -force $source ../reports/$name
            return
        }
    }
    error "the tool left no [lindex $sources 0]"
}

set failed [catch {
    if {[lsearch -exact {csim csynth cosim export} $stage] < 0} {
        error "SYNQ_STAGE must be csim, csynth, cosim or export, got $stage"
    }
    # From here on all paths are relative to flow/build: no space, bracket or dollar sign of the
    # folder that the project lies in can reach a tool.
    file mkdir [file join $here build]
    cd [file join $here build]
    set top $synq(top)
    set solution hls/solution

    if {[lsearch -exact {cosim export} $stage] >= 0 && ![file exists $solution/syn/verilog/$top.v]} {
        error "there is no Verilog yet: run the stage csynth first"
    }

    open_project hls
    set_top $top
    foreach name $synq(sources) {
        add_files ../../$name -cflags $synq(cflags)
    }
    add_files -tb ../../$synq(test_bench) -cflags $synq(cflags)
    # A folder beside the HLS project, so that the simulations see it under its own name.
    set data [file tail $synq(test_data)]
    file delete -force $data
    file copy ../../$synq(test_data) $data
    add_files -tb $data
    if {$stage eq "csynth"} {
        open_solution -reset solution
    } else {
        open_solution solution
    }
    set_part $synq(part)
    create_clock -period $synq(clock_ns) -name default
    config_compile -name_max_length 80
    # Vivado HLS partitions no array of more than 1,024 elements unless told to; Vitis HLS has no
    # such limit and refuses the option.
    if {[string match vivado_hls* [file tail [info nameofexecutable]]]} {
        config_array_partition -maximum_size 4096
    }

    switch -exact -- $stage {
        csim {
            csim_design
            keep_report csim.log [list $solution/csim/report/${top}_csim.log]
        }
        csynth {
            csynth_design
            if {![file exists $solution/syn/verilog/$top.v]} {
                error "csynth_design wrote no $top.v"
            }
            keep_report csynth.rpt [list $solution/syn/report/${top}_csynth.rpt $solution/syn/report/csynth.rpt]
            keep_report csynth.xml [list $solution/syn/report/csynth.xml $solution/syn/report/${top}_csynth.xml]
        }
        cosim {
            cosim_design -rtl verilog
            keep_report cosim.rpt [list $solution/sim/report/${top}_cosim.rpt]
        }
        export {
            set ip $solution/impl/ip
            file delete -force $ip
            if {[catch {export_design -rtl verilog -format ip_catalog} message]} {
                puts "INFO: \[synq\] export_design failed: $message"
            }
            if {![file exists $ip/component.xml]} {
                repair_export $ip
            }
            if {![file exists $ip/component.xml]} {
                error "export_design packaged no IP; if it was refused its revision number, install AMD's patch of answer record 76960"
            }
        }
    }
} message]
if {$failed} {
    puts "ERROR: \[synq\] $stage failed: $message"
    puts $::errorInfo
    exit 1
}
puts "INFO: \[synq\] $stage done"
exit 0
