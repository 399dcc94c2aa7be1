#!/usr/bin/env bash
# Run one stage of the flow, from any folder:
#
{% if stages.hls %}
#   build.sh [csim | csynth | cosim | impl | bitstream | all]      without a stage: csynth
#
#   csim       C simulation of the top function against the integer reference
#   csynth     C synthesis
#   cosim      simulation of the Verilog that C synthesis made, against the integer reference
#   impl       out-of-context synthesis, placement and routing of that Verilog
#   bitstream  the whole system: ../driver/{{ bitstreams.hls }}.bit and ../driver/{{ bitstreams.hls }}.hwh
#
{% endif %}
{% if stages.rtl %}
#   build.sh {{ "impl | bitstream | all, then rtl" if stages.hls else "[impl | bitstream | all]      without a stage: impl" }}
#
#   impl       out-of-context synthesis, placement and routing of the Verilog core
#   bitstream  the core as an IP, then the whole system: ../driver/{{ bitstreams.rtl }}.bit and .hwh
#
{% endif %}
# A stage that needs an earlier one runs it first. Logs go to logs/, reports to reports/, all that
# the tools leave to build/. Exit code: 0 all is well, 1 a stage failed, 2 no such stage, 3 no tool.
#
# The tools are looked for, in this order:
{% if stages.hls %}
#   1. $SYNQ_HLS (vitis-run, vitis_hls or vivado_hls) and $SYNQ_VIVADO, each an executable
{% else %}
#   1. $SYNQ_VIVADO, an executable
{% endif %}
#   2. PATH
#   3. $XILINX_VITIS, $XILINX_HLS and $XILINX_VIVADO, as AMD's settings64.sh sets them
#   4. /opt/Xilinx, /tools/Xilinx and ~/Xilinx, the newest version first
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

{% if stages.hls %}
readonly top={{ top | shell_word }}
readonly solution=build/hls/solution
{% endif %}

fail() { # exit code, message
    printf 'synq: error: %s\n' "$2" >&2
    exit "$1"
}

# All that is installed under one of the usual folders as an executable of one of these names, one
# line each: version and path, in any order.
installed() { # names
    local root name path version
    for root in /opt/Xilinx /tools/Xilinx "${HOME:-/root}/Xilinx"; do
        for name in "$@"; do
            # <root>/2025.1/Vitis/bin since 2025.1, <root>/Vitis/2024.2/bin before
            for path in "$root"/20??.?*/*/bin/"$name" "$root"/*/20??.?*/bin/"$name"; do
                [[ -x $path && $path =~ /(20[0-9][0-9]\.[0-9][0-9.]*)/ ]] || continue
                version=${BASH_REMATCH[1]}
                printf '%s\t%s\n' "$version" "$path"
            done
        done
    done
}

# The path of the first of the tools `names` that is found.
find_tool() { # names
    local name folder found
    for name in "$@"; do
        if found=$(type -P "$name"); then
            printf '%s\n' "$found"
            return
        fi
    done
    for name in "$@"; do
        for folder in "${XILINX_VITIS:-}" "${XILINX_HLS:-}" "${XILINX_VIVADO:-}"; do
            if [[ -n $folder && -x $folder/bin/$name ]]; then
                printf '%s\n' "$folder/bin/$name"
                return
            fi
        done
    done
    # A stable sort keeps the order of `names` within a version.
    found=$(installed "$@" | sort -s -t "$(printf '\t')" -k 1,1Vr | head -n 1)
    printf '%s\n' "${found#*$'\t'}"
}

{% if stages.hls %}
hls_tool() {
    [[ -n ${SYNQ_HLS:-} ]] || SYNQ_HLS=$(find_tool vitis-run vitis_hls vivado_hls)
    [[ -n $SYNQ_HLS ]] || fail 3 'neither vitis-run nor vitis_hls nor vivado_hls was found'
}
{% endif %}

vivado_tool() {
    [[ -n ${SYNQ_VIVADO:-} ]] || SYNQ_VIVADO=$(find_tool vivado)
    [[ -n $SYNQ_VIVADO ]] || fail 3 'vivado was not found'
    export SYNQ_VIVADO
}

# Run a tool in build/ with the environment that its installation sets up, if it is not set up yet.
in_build() { # tool, arguments
    cd build
    local settings
    settings=$(dirname -- "$(dirname -- "$1")")/settings64.sh
    if [[ -f $settings && $(type -P "${1##*/}") != "$1" ]]; then
        set +eu
        # shellcheck disable=SC1090
        source "$settings"
        set -eu
    fi
    exec "$@" </dev/null
}

# Run a tool as a step of the flow. It has to end with 0, write its product and log no error: some
# versions of the tools end with 0 whatever happened.
step() { # name, product, tool, arguments
    local name=$1 product=$2 log=logs/$1.log code=0 first
    shift 2
    mkdir -p build logs reports ../driver
    rm -f -- "$product"
    printf 'synq: %s: %s\n' "$name" "$*"
    # tee outlives a Ctrl-C, so that the last lines are in the log.
    (in_build "$@") 2>&1 | tee -i -- "$log" || code=$?
    # hls.tcl itself mends what some versions report as an error when they export an IP.
    first=$([[ $name == export ]] || grep -m 1 '^ERROR:' -- "$log" || true)
    if [[ $code -ne 0 || -n $first || ! -s $product ]]; then
        rm -f -- "$product"
        [[ $code -eq 0 ]] || first=${first:-"the tool ended with code $code"}
        fail 1 "$name failed, see flow/$log: ${first:-"the tool wrote no ${product#../}"}"
    fi
}

{% if stages.hls %}
hls() { # stage, product
    hls_tool
    case ${SYNQ_HLS##*/} in
        vitis-run) SYNQ_STAGE=$1 step "$1" "$2" "$SYNQ_HLS" --mode hls --tcl ../hls.tcl ;;
        *) SYNQ_STAGE=$1 step "$1" "$2" "$SYNQ_HLS" -f ../hls.tcl ;;
    esac
}
{% endif %}

vivado() { # stage, product, script
    vivado_tool
    step "$1" "$2" "$SYNQ_VIVADO" -mode batch -nojournal -nolog -notrace -source "../$3"
}

{% if stages.hls %}
# Whether a product is there and no source is newer.
fresh() { # product
    [[ -s $1 && -z $(find ../hls/firmware settings.tcl hls.tcl -type f -newer "$1" -print -quit) ]]
}

csim() { hls csim reports/csim.log; }
csynth() { hls csynth reports/csynth.xml; }
cosim() {
    synthesized
    hls cosim reports/cosim.rpt
}
impl() {
    vivado_tool
    synthesized
    vivado impl reports/timing_routed.rpt ooc.tcl
}
{% if "bitstream" in stages.hls %}
bitstream() {
    vivado_tool
    synthesized
    exported
    vivado bitstream {{ ("../driver/" ~ bitstreams.hls ~ ".bit") | shell_word }} system.tcl
}
{% else %}
bitstream() { fail 1 {{ hindered.hls | shell_word }}; }
{% endif %}

synthesized() {
    if ! fresh "$solution/syn/verilog/$top.v" || [[ ! -s reports/csynth.xml ]]; then
        csynth
    fi
}
exported() {
    local ip=$solution/impl/ip/component.xml
    if [[ ! -s $ip || $solution/syn/verilog/$top.v -nt $ip ]]; then
        hls export "$ip"
    fi
}
all() { {{ stages.hls | join("; ") }}; }
{% endif %}
{% if stages.rtl %}

rtl_impl() { vivado rtl_impl reports/rtl_timing_routed.rpt rtl_ooc.tcl; }
{% if "bitstream" in stages.rtl %}
rtl_bitstream() {
    vivado rtl_package build/rtl_ip/component.xml rtl_package.tcl
    vivado rtl_bitstream {{ ("../driver/" ~ bitstreams.rtl ~ ".bit") | shell_word }} rtl_system.tcl
}
{% else %}
rtl_bitstream() { fail 1 {{ hindered.rtl | shell_word }}; }
{% endif %}
rtl_all() { {% for stage in stages.rtl %}rtl_{{ stage }}{{ "; " if not loop.last }}{% endfor %}; }
{% endif %}

readonly stage=${1-{{ "csynth" if stages.hls else "impl" }}} core=${2-{{ cores[0] }}}
case $core-$stage in
{% if stages.hls %}
    hls-csim | hls-csynth | hls-cosim | hls-impl | hls-bitstream | hls-all) "$stage" ;;
    hls-*) fail 2 "no such stage as $stage: csim, csynth, cosim, impl, bitstream or all" ;;
{% endif %}
{% if stages.rtl %}
    rtl-impl | rtl-bitstream | rtl-all) "rtl_$stage" ;;
    rtl-*) fail 2 "the Verilog core has no stage $stage: impl, bitstream or all" ;;
{% endif %}
    *) fail 2 "no such core as $core: {{ cores | join(" or ") }}" ;;
esac
