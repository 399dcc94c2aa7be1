"""`synq synth` and `flow/build.sh` on a project's Verilog core, with a stand-in for Vivado."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import NASTY, Bench, assert_refused, no_installation
from synq.board import load_board
from synq.errors import UsageError
from synq.progress import SILENT
from synq.project.flow import HlsCore, RtlCore, render_flow
from synq.project.manifest import changed_files, read_manifest, write_manifest
from synq.project.output import write_files
from synq.request import Flow
from synq.synth.remote import _packed
from synq.synth.run import run_stage

RTL = RtlCore("synq_top", ("rtl/synq_top.v",), ("rtl/codes_0_0.mem",), "rtl/synq.xdc", 64, 64)
HLS = HlsCore("synapse_axis", ("hls/firmware/synapse_axis.cpp",), "hls/synapse_axis_test.cpp")
BATCH = "vivado -mode batch -nojournal -nolog -notrace -source"
END = "in build stage none settings none"


def make_project(folder: Path, hls: HlsCore | None = None, board: str = "pynq-z2") -> Path:
    folder.mkdir(parents=True)
    names = [*RTL.verilog, *RTL.memories, RTL.constraints, "synq.core"]
    if hls is not None:
        names += [*hls.sources, hls.test_bench, "hls/tb_data/inputs.txt"]
    flow = render_flow(load_board(board), hls, RTL)
    files = dict.fromkeys(names, b"x") | {f"flow/{name}": flow[name] for name in flow}
    write_files(folder, files)
    configuration = {"board": board, "part": load_board(board).part}
    write_manifest(folder, {"configuration": configuration})
    return folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, make_project(tmp_path / NASTY / "project"))
    made.tool("vivado")
    return made


@pytest.fixture
def both(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, make_project(tmp_path / NASTY / "project", HLS))
    made.tool("vivado")
    made.tool("vitis-run")
    return made


def test_every_stage_from_any_folder(bench: Bench) -> None:
    result = bench.build("all")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert bench.calls() == [
        f"{BATCH} ../{name}.tcl {END}" for name in ("rtl_ooc", "rtl_package", "rtl_system")
    ]
    logs = sorted(path.name for path in (bench.project / "flow" / "logs").iterdir())
    assert logs == ["rtl_bitstream.log", "rtl_impl.log", "rtl_package.log"]
    assert (bench.project / "driver" / "synq_rtl.bit").is_file()
    assert changed_files(bench.project, read_manifest(bench.project)) == []


def test_without_a_stage_it_implements(bench: Bench) -> None:
    assert bench.build().returncode == 0
    assert bench.calls() == [f"{BATCH} ../rtl_ooc.tcl {END}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csynth"], "the Verilog core has no stage csynth: impl, bitstream or all"),
        (["impl", "hls"], "no such core as hls: rtl"),
        (["sing"], "no stage sing"),
    ],
)
def test_stages_that_there_are_none_of(arguments: list[str], message: str, bench: Bench) -> None:
    result = bench.build(*arguments)
    assert (result.returncode, result.stdout, bench.calls()) == (2, "", [])
    assert message in result.stderr


def test_a_packaging_that_fails_makes_no_system(bench: Bench) -> None:
    result = bench.build("bitstream", FAKE="lie")
    assert (result.returncode, len(bench.calls())) == (1, 1)
    assert "rtl_package failed, see flow/logs/rtl_package.log: ERROR: [Common" in result.stderr


def test_two_cores_are_built_apart(both: Bench) -> None:
    assert both.build("impl").returncode == both.build("impl", "rtl").returncode == 0
    assert both.build("bitstream", "rtl").returncode == both.build("bitstream").returncode == 0
    reports = sorted(path.name for path in (both.project / "flow" / "reports").iterdir())
    assert reports == ["csynth.xml", "rtl_timing_routed.rpt", "timing_routed.rpt"]
    drivers = sorted(path.name for path in (both.project / "driver").iterdir())
    assert drivers == ["synq.bit", "synq.hwh", "synq_rtl.bit", "synq_rtl.hwh"]
    assert changed_files(both.project, read_manifest(both.project)) == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_runs_the_same(bench: Bench, tmp_path: Path) -> None:
    def make(project: Path, *words: str) -> int:
        command = ["make", "-C", str(project / "flow"), *words]
        return subprocess.run(command, env=bench.environment, capture_output=True).returncode

    assert make(bench.project, "impl") == make(bench.project, "all") == 0
    assert len(bench.calls()) == 4
    two = make_project(tmp_path / "two", HLS)
    assert make(two, "all", "CORE=rtl") == 0
    assert len(bench.calls()) == 7


# ---- synq synth ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "product", "log"),
    [
        ([], "flow/reports/rtl_timing_routed.rpt", "rtl_impl.log"),
        (["--stage", "impl"], "flow/reports/rtl_timing_routed.rpt", "rtl_impl.log"),
        (["--stage", "bitstream"], "driver/synq_rtl.bit", "rtl_bitstream.log"),
    ],
)
def test_a_stage_from_the_command_line(
    stage: list[str], product: str, log: str, bench: Bench
) -> None:
    result = bench.synth(bench.project, *stage, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    content = json.loads(result.stdout)
    assert [tool["name"] for tool in content["tools"]] == ["vivado"]
    assert content["product"] == str(bench.project / product)
    assert content["log"] == str(bench.project / "flow" / "logs" / log)


def test_the_core_is_chosen_where_there_are_two(both: Bench) -> None:
    def product(*arguments: str) -> str:
        result = both.synth(both.project, *arguments, "--json")
        assert (result.returncode, result.stderr) == (0, "")
        return Path(json.loads(result.stdout)["product"]).name

    assert product() == "csynth.xml"
    assert product("--flow", "rtl") == product("--flow", "rtl", "--stage", "impl")
    assert product("--flow", "rtl", "--stage", "bitstream") == "synq_rtl.bit"
    assert product("--flow", "hls", "--stage", "bitstream") == "synq.bit"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--stage", "csynth"], 2, "has no stage csynth: choose one of impl, bitstream (--stage)"),
        (["--flow", "hls"], 2, "has no hls core for AMD's tools: leave that out, or export both"),
        (["--flow", "verilog"], 2, "'verilog' is not one of 'hls', 'rtl'"),
        (["--flow", "rtl", "--tool", "yosys"], 2, "--flow is about AMD's tools"),
    ],
)
def test_usage_errors(arguments: list[str], code: int, message: str, bench: Bench) -> None:
    assert_refused(bench.synth(bench.project, *arguments), code, message)


@no_installation
@pytest.mark.parametrize("stage", ["impl", "bitstream"])
def test_no_tool_says_what_to_run_elsewhere(stage: str, bench: Bench) -> None:
    (bench.root / "bin" / "vivado").unlink()
    result = bench.synth(bench.project, "--stage", stage)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert "no vivado found: looked in" in result.stderr
    _, copied, _, ssh, _ = result.stderr.split("`")
    assert ssh.startswith("synq synth ") and ssh.endswith(f" --stage {stage} --flow rtl --ssh HOST")
    bench.tool("vivado")
    ran = subprocess.run(["bash", "-c", copied], env=bench.environment, capture_output=True)
    assert ran.returncode == 0  # the very line works where there is a tool


def test_no_bitstream_without_a_processor(tmp_path: Path) -> None:
    bench = Bench(tmp_path, make_project(tmp_path / "project", board="arty-a7-100t"))
    bench.tool("vivado")
    result = bench.build("bitstream")
    assert (result.returncode, bench.calls()) == (1, [])
    assert "arty-a7-100t (artix7) has no processing system" in result.stderr
    result = bench.synth(bench.project, "--stage", "bitstream")
    assert_refused(result, 1, "no script for a bitstream of the Verilog core", "stage impl")
    assert bench.synth(bench.project, "--stage", "impl").returncode == 0


def test_an_added_source_is_refused(bench: Bench) -> None:
    (bench.project / "rtl" / "extra.v").write_text("module x; endmodule\n")
    assert_refused(bench.synth(bench.project), 1, "rtl/extra.v was added")


def test_a_core_that_is_not_there_in_python(bench: Bench) -> None:
    with pytest.raises(UsageError, match="has no hls core"):
        run_stage(bench.project, None, None, 1, SILENT, Flow.HLS)


def test_another_machine_gets_the_verilog(bench: Bench, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "-xzf", "-"], input=_packed(bench.project), cwd=there, check=True)
    assert {path.name for path in there.iterdir()} == {"rtl", "flow", "manifest.json"}
    assert (there / "rtl" / "codes_0_0.mem").is_file()
    copy = Bench(bench.root, there)
    assert copy.build("bitstream").returncode == 0
