"""What lies beside a project's own files reaches no tool, least of all by its name."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from projects import make_project
from synq.errors import SynqError, UsageError
from synq.progress import SILENT
from synq.project.manifest import read_manifest, write_manifest
from synq.synth import yosys
from synq.synth.open_synthesis import run_open
from synq.synth.remote import Remote
from synq.synth.run import run_stage
from synq.synth.sources import check_sources

EVIL = "x.mem; exec -- touch executed; #.v"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("hls/a.cpp", "hls/firmware/b.h", "flow/build.sh", "rtl/synq_top.v", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    write_manifest(folder, {"configuration": {"part": "xc7z020clg400-1", "clock_ns": 10}})
    return folder


def check(project: Path, *folders: str) -> list[str]:
    return check_sources(project, read_manifest(project), folders)


def test_what_the_manifest_lists(project: Path) -> None:
    assert sorted(check(project, "hls", "flow")) == [
        "flow/build.sh",
        "hls/a.cpp",
        "hls/firmware/b.h",
    ]
    assert check(project, "rtl") == ["rtl/synq_top.v"]
    (project / "flow" / "build" / "deep").mkdir(parents=True)
    (project / "flow" / "build" / "deep" / EVIL).write_text("left by a tool")
    (project / "flow" / "logs").symlink_to("/tmp")
    (project / "driver").mkdir()
    (project / "driver" / "synq.bit").write_text("no source")
    assert len(check(project, "hls", "flow")) == 3


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def file(path: Path) -> None:
    path.write_text("x")


@pytest.mark.parametrize("add", [file, link, Path.mkdir], ids=["file", "link", "folder"])
@pytest.mark.parametrize(
    "name", [f"rtl/{EVIL}", "rtl/extra.v", "hls/firmware/extra.h", "flow/x.tcl", "hls/.hidden"]
)
def test_what_it_does_not_list_is_refused(
    add: Callable[[Path], None], name: str, project: Path
) -> None:
    add(project / name)
    if add is Path.mkdir:  # empty, it holds nothing that a tool could take
        check(project, "hls", "flow", "rtl")
        file(project / name / "x.v")
    with pytest.raises(SynqError, match="which its manifest does not list|a link or no file") as e:
        check(project, "hls", "flow", "rtl")
    assert "\n" not in str(e.value) and Path(name).name in str(e.value)


def test_a_file_that_is_missing_or_a_link(project: Path) -> None:
    (project / "hls" / "a.cpp").unlink()
    with pytest.raises(SynqError, match=r"lacks hls/a\.cpp: export it again"):
        check(project, "hls")
    link(project / "hls" / "a.cpp")
    with pytest.raises(SynqError, match="a link or no file"):
        check(project, "hls")


@pytest.mark.parametrize(
    "name", [EVIL, "a b.v", "-f.v", "$(x).v", "a'b.v", "é.v", "a\nb.v", ".v", "a//b.v", "", "`x`.v"]
)
def test_names_in_the_manifest_are_checked(name: str, project: Path) -> None:
    path = project / "manifest.json"
    content = json.loads(path.read_text())
    content["files"][f"rtl/{name}"] = content["files"]["rtl/synq_top.v"]
    path.write_text(json.dumps(content))
    with pytest.raises(SynqError, match="a name that synq gives to no file") as caught:
        check(project, "rtl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [EVIL, "sub/x.v", "../x.v", "x.tcl", "x.v\n", "a b.v", ""])
def test_yosys_takes_no_other_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(SynqError, match="is no name for a file of the Verilog"):
        yosys.synthesize({"synq_top.v": b"", name: b""}, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_a_name_is_not_executed(tmp_path: Path) -> None:
    """The tool's script would run it, were it to get there."""
    project = make_project(tmp_path / "project", "pynq-z2")
    (project / "rtl" / EVIL).write_text("module x; endmodule\n")
    command = [str(Path(sys.executable).parent / "synq"), "synth", str(project), "--tool", "yosys"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "exec -- touch executed" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("executed"))


def test_the_flow_of_amd_is_checked_too(project: Path) -> None:
    file(project / "hls" / "extra.cpp")
    with pytest.raises(SynqError, match=r"'hls/extra\.cpp', which its manifest does not list"):
        run_stage(project, "csynth", None, 1, SILENT)


@pytest.mark.parametrize(
    "configuration",
    [None, [], {}, {"part": 1, "clock_ns": 10}, {"part": "xc7z020clg400-1", "clock_ns": "fast"}]
    + [{"part": "xc7z020clg400-1", "clock_ns": n} for n in (0, -1, float("nan"), 10**400, None)],
)
def test_a_manifest_that_does_not_say_its_part_and_clock(configuration: Any, project: Path) -> None:
    path = project / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "configuration": configuration}))
    with pytest.raises(SynqError, match="does not say its part and clock"):
        run_open(project, 1, SILENT)


@pytest.mark.parametrize(
    "host", ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a`b`", "a|b", "a&b", "a\nb", "a'b", "ä"]
)
def test_hosts_that_a_shell_would_read_otherwise(host: str) -> None:
    with pytest.raises(UsageError, match="must be a host name"):
        Remote(host)


@pytest.mark.parametrize("host", ["fpga", "me@fpga.example", "ssh://me@[::1]:22", "fe80::1%eth0"])
def test_hosts(host: str) -> None:
    assert Remote(host).host == host
