"""A machine with a project, and with stand-ins for AMD's tools where a test puts them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NASTY = "größe [x] $HOME 'a' \"b\""
INSTALLED = [folder for folder in ("/opt/Xilinx", "/tools/Xilinx") if Path(folder).exists()]
no_installation = pytest.mark.skipif(bool(INSTALLED), reason="AMD's tools are installed here")

BANNERS = {
    "vitis-run": "****** vitis-run v{} (64-bit)",
    "vitis_hls": "****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v{} (64-bit)",
    "vivado_hls": "****** Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC v{}",
    "vivado": "****** Vivado v{} (64-bit)",
}

# Writes down how it was called, then does what FAKE says, or what the real one would.
STAND_IN = r"""#!/bin/sh
case "$*" in *-version*) echo '{banner}'; exit 0 ;; esac
echo
echo '{banner}'
where="in ${{PWD##*/flow/}} stage ${{SYNQ_STAGE:-none}} settings ${{SETTINGS:-none}}"
echo "{name} $* $where" >>'{record}'
[ -t 0 ] || read -r line && exit 9
case "${{FAKE:-}}" in
    fail) echo "ERROR: [HLS 200-70] it went wrong"; echo "ERROR: and more"; exit 1 ;;
    crash) exit 5 ;;
    lie) echo "ERROR: [Common 17-39] it went wrong" ;;
    silent) exit 0 ;;
    stubborn) trap '' TERM ;;
esac
case "${{FAKE:-}}" in
    stubborn | hang) echo working [now] $$; sleep 100 & echo $! >>'{record}'.pids; wait ;;
esac
made() {{ mkdir -p "$(dirname "$1")"; echo "$1" >"$1"; }}
case "$*" in
    *rtl_ooc.tcl) SYNQ_STAGE=rtl_impl ;;
    *rtl_package.tcl) SYNQ_STAGE=rtl_package ;;
    *rtl_system.tcl) SYNQ_STAGE=rtl_bitstream ;;
    *ooc.tcl) SYNQ_STAGE=impl ;;
    *system.tcl) SYNQ_STAGE=bitstream ;;
esac
case "$SYNQ_STAGE" in
    csim) made ../reports/csim.log ;;
    csynth) made hls/solution/syn/verilog/synapse_axis.v; made ../reports/csynth.xml ;;
    cosim) made ../reports/cosim.rpt ;;
    export) echo "ERROR: repaired"; made hls/solution/impl/ip/component.xml ;;
    impl) made ../reports/timing_routed.rpt ;;
    bitstream) made ../../driver/synq.bit; made ../../driver/synq.hwh ;;
    rtl_impl) made ../reports/rtl_timing_routed.rpt ;;
    rtl_package) made rtl_ip/component.xml ;;
    rtl_bitstream) made ../../driver/synq_rtl.bit; made ../../driver/synq_rtl.hwh ;;
esac
echo "INFO: done"
"""


def stand_in(path: Path, version: str, record: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    banner = BANNERS[path.name].format(version)
    path.write_text(STAND_IN.format(banner=banner, name=path.name, record=record))
    path.chmod(0o755)
    return path


@dataclass
class Bench:
    """A machine with a project, and with tools where a test puts them."""

    root: Path
    project: Path

    @property
    def record(self) -> Path:
        return self.root / "record"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XILINX", "SYNQ_"))
        }
        path = [str(self.root / "bin"), "/usr/bin", "/bin"]
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return {**inherited, "PATH": os.pathsep.join(path), "HOME": str(home)}

    def tool(self, name: str, version: str = "2023.2", folder: str = "bin") -> Path:
        return stand_in(self.root / folder / name, version, self.record)

    def calls(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def build(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.project / "flow" / "build.sh"), *arguments],
            cwd=self.root,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
            input="not for the tool\n",
        )

    def synth(self, *arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command(), "synth", *map(str, arguments)],
            cwd=self.root,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=120,
        )

    @staticmethod
    def command() -> str:
        return str(Path(sys.executable).parent / "synq")


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
