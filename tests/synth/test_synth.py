"""`synq synth` and `flow/build.sh` with stand-ins for AMD's tools, here and over ssh."""

import asyncio
import getpass
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bench import BANNERS, INSTALLED, NASTY, Bench, assert_refused, no_installation
from synq.board import load_board
from synq.errors import NoToolError, SynqError, UsageError
from synq.progress import SILENT
from synq.project.flow import STAGES, HlsCore, render_flow
from synq.project.manifest import write_manifest
from synq.project.output import write_files
from synq.synth import remote as far
from synq.synth.remote import Remote
from synq.synth.run import run_stage
from synq.synth.tools import Tool, Version, check_version, find_tool, parse_version


def make_project(folder: Path, board: str = "pynq-z2") -> Path:
    folder.mkdir(parents=True)
    sources = {f"hls/firmware/synapse_{name}.cpp": b"x" for name in ("axis", "network")}
    bench = {"hls/synapse_axis_test.cpp": b"x", "hls/tb_data/inputs.txt": b"1 2\n"}
    core = HlsCore("synapse_axis", tuple(sources), next(iter(bench)))
    flow = render_flow(load_board(board), core, None)
    write_files(folder, {**sources, **bench, **{f"flow/{name}": flow[name] for name in flow}})
    configuration = {"board": board, "part": load_board(board).part}
    write_manifest(folder, {"configuration": configuration})
    return folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, make_project(tmp_path / NASTY / "project"))


# ---- Finding tools ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        *((banner.format("2023.2"), Version(2023, 2)) for banner in BANNERS.values()),
        ("vivado v2025.1.1 (64-bit)\nTool Version Limit: 2025.05", Version(2025, 1)),
        ("Vivado v2019.2 (64-bit)\nSW Build 2708876 on Wed Nov  6 21:39:14 MST 2019", (2019, 2)),
        ("bash: vivado: command not found", None),
        ("", None),
    ],
)
def test_versions_are_read(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ((2017, 4), "too old"),
        ((2018, 1), "too old"),
        ((2018, 2), None),
        ((2020, 1), None),
        ((2020, 2), "lies between"),
        ((2022, 2), "lies between"),
        ((2023, 1), None),
        ((2025, 2), None),
        ((2026, 1), "newer"),
    ],
)
def test_versions_are_checked(
    version: tuple[int, int], word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    tool = Tool(Path("/x/vivado_hls"), Version(*version))
    with caplog.at_level(logging.WARNING, "synq"):
        if word == "too old":
            with pytest.raises(SynqError, match=r"vivado_hls 201\d\.\d .* is too old: synq needs"):
                check_version(tool)
        else:
            check_version(tool)
            assert bool(caplog.messages) is (word is not None)
            assert all(str(word) in message for message in caplog.messages)


# Where tools are, least wanted first: each one added is the one found from then on.
PLACES = [
    ("home/Xilinx/Vivado/2019.2/bin/vivado_hls", {}),
    ("home/Xilinx/Vivado/2020.1/bin/vivado_hls", {}),
    ("home/Xilinx/Vitis_HLS/2023.1/bin/vitis_hls", {}),
    ("home/Xilinx/Vitis/2023.1/bin/vitis-run", {}),
    ("home/Xilinx/Vitis/2024.2/bin/vitis-run", {}),
    ("home/Xilinx/2025.1/Vitis/bin/vitis-run", {}),
    ("home/Xilinx/2025.1.1/Vitis/bin/vitis-run", {}),
    ("old/Vivado/bin/vivado_hls", {"XILINX_VIVADO": "old/Vivado"}),
    ("other/hls/bin/vitis_hls", {"XILINX_HLS": "other/hls"}),
    ("other/vitis/bin/vitis-run", {"XILINX_VITIS": "other/vitis"}),
    ("bin/vivado_hls", {}),
    ("bin/vitis_hls", {}),
    ("bin/vitis-run", {}),
    ("mine/vivado_hls", {"SYNQ_HLS": "mine/vivado_hls"}),
]


@no_installation
def test_python_and_bash_find_the_same_tool_in_the_same_order(bench: Bench) -> None:
    variables: dict[str, str] = {}
    for place, added in PLACES:
        path = bench.tool(Path(place).name, folder=str(Path(place).parent))
        variables |= {name: str(bench.root / folder) for name, folder in added.items()}
        assert find_tool("hls", {**bench.environment, **variables}) == path
        bench.build("csim", **variables)
        assert bench.calls()[-1].startswith(path.name)
    started = [line for line in bench.build("csim", **variables).stdout.splitlines() if line]
    assert started[0] == f"synq: csim: {path} -f ../hls.tcl"


@no_installation
def test_no_tool_names_where_it_was_looked_for(bench: Bench) -> None:
    with pytest.raises(NoToolError, match=r"no vitis-run, vitis_hls or vivado_hls found: looked"):
        find_tool("hls", bench.environment)
    with pytest.raises(NoToolError, match=r"no vivado found: .*XILINX_VIVADO and /opt/Xilinx"):
        find_tool("vivado", bench.environment)
    with pytest.raises(NoToolError, match="SYNQ_HLS is /nowhere, which is not an executable"):
        find_tool("hls", {"SYNQ_HLS": "/nowhere"})


# ---- build.sh -----------------------------------------------------------------------------------


def test_every_stage_from_any_folder(bench: Bench) -> None:
    bench.tool("vitis-run")
    bench.tool("vivado")
    result = bench.build("all")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    hls = "vitis-run --mode hls --tcl ../hls.tcl in build stage"
    batch = "vivado -mode batch -nojournal -nolog -notrace -source"
    assert bench.calls() == [
        f"{hls} csim settings none",
        f"{hls} csynth settings none",
        f"{hls} cosim settings none",
        f"{batch} ../ooc.tcl in build stage none settings none",
        f"{hls} export settings none",
        f"{batch} ../system.tcl in build stage none settings none",
    ]
    logs = sorted((bench.project / "flow" / "logs").iterdir())
    assert [path.stem for path in logs] == sorted([*STAGES, "export"])
    assert all("INFO: done" in path.read_text() for path in logs)
    assert (bench.project / "driver" / "synq.bit").is_file()


@pytest.mark.parametrize("name", ["vitis_hls", "vivado_hls"])
def test_the_other_hls_tools_take_the_script_their_way(name: str, bench: Bench) -> None:
    bench.tool(name)
    assert bench.build().returncode == 0
    assert bench.calls() == [f"{name} -f ../hls.tcl in build stage csynth settings none"]


def test_a_stage_runs_what_it_needs_and_no_more(bench: Bench) -> None:
    bench.tool("vitis-run")
    bench.tool("vivado")

    def stages(*arguments: str) -> list[str]:
        bench.record.write_text("")
        assert bench.build(*arguments).returncode == 0
        return [call.split(" stage ")[1].split()[0] for call in bench.calls()]

    assert stages("cosim") == ["csynth", "cosim"]
    assert stages("cosim") == ["cosim"]
    assert stages("bitstream") == ["export", "none"]
    assert stages("bitstream") == ["none"]
    assert stages("csynth") == ["csynth"]
    later = time.time() + 5
    os.utime(bench.project / "hls" / "firmware" / "synapse_axis.cpp", (later, later))
    assert stages("impl") == ["csynth", "none"]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("fail", "ERROR: [HLS 200-70] it went wrong"),
        ("lie", "ERROR: [Common 17-39] it went wrong"),
        ("crash", "the tool ended with code 5"),
        ("silent", "the tool wrote no reports/csynth.xml"),
    ],
)
def test_failures_have_one_line_and_code_1(behaviour: str, message: str, bench: Bench) -> None:
    bench.tool("vitis-run")
    result = bench.build("cosim", FAKE=behaviour)
    assert result.returncode == 1
    line = f"synq: error: csynth failed, see flow/logs/csynth.log: {message}\n"
    assert result.stderr == line
    assert len(bench.calls()) == 1  # nothing is built on a failure
    assert not list((bench.project / "flow" / "reports").iterdir())


def test_usage_and_no_tool(bench: Bench) -> None:
    result = bench.build("sing")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no such stage as sing: csim" in result.stderr
    if not INSTALLED:
        result = bench.build("csim")
        assert (result.returncode, result.stdout) == (3, "")
        assert "neither vitis-run nor vitis_hls nor vivado_hls was found" in result.stderr


def test_no_bitstream_without_a_processor(tmp_path: Path) -> None:
    bench = Bench(tmp_path, make_project(tmp_path / "project", "alveo-u250"))
    result = bench.build("bitstream")
    assert (result.returncode, bench.calls()) == (1, [])
    assert "alveo-u250 (virtexuplus) has no processing system" in result.stderr
    result = bench.synth(bench.project, "--stage", "bitstream")
    assert_refused(result, 1, "alveo-u250", "has no processing system", "the stage impl places")


def test_the_settings_of_an_installation_are_taken(bench: Bench) -> None:
    bench.tool("vitis-run", folder="home/Xilinx/2025.1/Vitis/bin")
    settings = bench.root / "home/Xilinx/2025.1/Vitis/settings64.sh"
    settings.write_text('false\nif [ -n "$LD_LIBRARY_PATH" ]; then :; fi\nexport SETTINGS=taken\n')
    environment = {"LD_LIBRARY_PATH": ""}
    assert bench.build("csim", **environment).returncode == 0
    assert bench.calls()[-1].endswith("settings taken")
    # A tool in PATH has been set up by whoever put it there.
    path = f"{settings.parent / 'bin'}:{bench.environment['PATH']}"
    assert bench.build("csim", PATH=path).returncode == 0
    assert bench.calls()[-1].endswith("settings none")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_runs_the_same(bench: Bench) -> None:
    bench.tool("vitis-run")
    flow = bench.project / "flow"

    def make(target: str) -> int:
        command = ["make", "-C", str(flow), target]
        return subprocess.run(command, env=bench.environment, capture_output=True).returncode

    assert make("csim") == 0
    assert (flow / "logs" / "csim.log").is_file()
    assert make("clean") == 0
    assert sorted(path.name for path in flow.iterdir() if path.is_dir()) == []


# ---- synq synth ---------------------------------------------------------------------------------


def test_a_stage_from_the_command_line(bench: Bench) -> None:
    bench.tool("vitis-run", "2024.1")
    result = bench.synth(bench.project)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "with vitis-run 2024.1" in lines[0]
    reports = bench.project / "flow" / "reports"
    assert f"csynth made: {reports / 'csynth.xml'}" in lines
    (next_step,) = (line for line in lines if line.startswith("  synq report "))
    command = ["sh", "-c", f"printf %s {next_step.split(maxsplit=2)[2]}"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == str(bench.project)


def test_json(bench: Bench) -> None:
    hls, vivado = bench.tool("vitis-run"), bench.tool("vivado")
    result = bench.synth(bench.project, "--stage", "impl", "--json")
    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    content = json.loads(result.stdout)
    assert content.pop("seconds") > 0
    flow = bench.project / "flow"
    names = ("csynth.xml", "timing_routed.rpt")
    assert content == {
        "stage": "impl",
        "tools": [
            {"name": "vitis-run", "version": "2023.2", "path": str(hls)},
            {"name": "vivado", "version": "2023.2", "path": str(vivado)},
        ],
        "product": str(flow / "reports" / "timing_routed.rpt"),
        "reports": [str(flow / "reports" / name) for name in names],
        "log": str(flow / "logs" / "impl.log"),
        "copy": None,
    }
    # What C synthesis left is enough from now on.
    hls.unlink()
    again = bench.synth(bench.project, "--stage", "impl", "--json")
    assert [tool["name"] for tool in json.loads(again.stdout)["tools"]] == ["vivado"]


def test_verbose_shows_what_the_tool_prints(bench: Bench) -> None:
    bench.tool("vitis-run")
    result = bench.synth(bench.project, "-v")
    assert "INFO: done" in result.stderr


def test_markup_in_what_a_tool_prints() -> None:
    """As on a terminal: a message such as [/tmp/x] is no tag."""
    from rich.text import Text

    from synq.cli.synth import _Verbatim

    shown: list[str] = []

    class Task:
        def update(self, done: float, detail: str = "") -> None:
            shown.append(Text.from_markup(detail).plain)

    class Progress:
        def task(self, label: str, total: float | None = None) -> Any:
            from contextlib import nullcontext

            return nullcontext(Task())

    with _Verbatim(Progress()).task("Run") as task:
        task.update(1, "opening [/tmp/x] with [bold] and [HLS 200-10]")
    assert shown == ["opening [/tmp/x] with [bold] and [HLS 200-10]"]


@no_installation
def test_no_tool_says_what_to_run_elsewhere(bench: Bench) -> None:
    result = bench.synth(bench.project, "--stage", "cosim")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1
    assert "no vitis-run, vitis_hls or vivado_hls found: looked in" in result.stderr
    _, copied, _, ssh, _ = result.stderr.split("`")
    assert ssh.startswith("synq synth ") and ssh.endswith(" --stage cosim --ssh HOST")
    bench.tool("vitis-run")
    ran = subprocess.run(["bash", "-c", copied], env=bench.environment, capture_output=True)
    assert ran.returncode == 0  # the very line works where there is a tool


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("2017.4", 1, ["vitis-run 2017.4", "too old", "2023.1 to 2025.2"]),
        ("2021.2", 0, ["warning", "vitis-run 2021.2", "lies between"]),
        ("2027.1", 0, ["warning", "vitis-run 2027.1", "newer than 2025.2"]),
        ("unknown", 1, ["does not say its version", "******"]),
    ],
)
def test_other_versions(version: str, code: int, words: list[str], bench: Bench) -> None:
    bench.tool("vitis-run", version)
    result = bench.synth(bench.project)
    assert result.returncode == code
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("behaviour", ["fail", "lie", "crash", "silent"])
def test_a_failing_tool(behaviour: str, bench: Bench) -> None:
    bench.tool("vitis-run")
    result = bench.synth(bench.project, FAKE=behaviour)
    log = bench.project / "flow" / "logs" / "csynth.log"
    assert_refused(result, 1, f"csynth failed, see {log}: ")
    assert log.is_file()


def living(bench: Bench) -> list[int]:
    """Processes that the stand-ins have started and that are still there."""
    pids = Path(f"{bench.record}.pids")
    numbers = [int(line) for line in pids.read_text().split()] if pids.exists() else []
    return [number for number in numbers if _lives(number)]


def _lives(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_time_limit(bench: Bench) -> None:
    bench.tool("vitis-run")
    result = bench.synth(bench.project, "--timeout", "0.02", FAKE="stubborn")
    assert_refused(result, 1, "csynth took longer than 0.02 minutes", "(--timeout)")
    assert "working [now]" in (bench.project / "flow/logs/csynth.log").read_text()
    wait_for(lambda: not living(bench))


@pytest.mark.parametrize(
    ("number", "behaviour"),
    [(signal.SIGINT, "stubborn"), (signal.SIGTERM, "hang"), (signal.SIGHUP, "hang")],
)
def test_an_interrupt_keeps_the_log_and_no_process(
    number: signal.Signals, behaviour: str, bench: Bench
) -> None:
    bench.tool("vitis-run")
    process = subprocess.Popen(
        [bench.command(), "synth", str(bench.project)],
        env={**bench.environment, "FAKE": behaviour},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: living(bench))
    process.send_signal(number)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    log = bench.project / "flow" / "logs" / "csynth.log"
    assert (process.returncode, stdout) == (130, "")
    assert stderr == f"synq: error: csynth was interrupted; its log is {log}\n"
    assert "working [now]" in log.read_text()
    wait_for(lambda: not living(bench))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "sing"], "'sing' is not one of 'csim', 'csynth', 'cosim', 'impl'"),
        (["--timeout", "0"], "not between 0 and"),
        (["--timeout", "long"], "'long' is not a number"),
        (["--timeout", "nan"], "not between 0 and"),
        (["--keep"], "add --ssh HOST"),
        (["--ssh-dir", "x"], "add --ssh HOST"),
        (["--ssh", "-oProxyCommand=evil"], "must be a host name"),
        (["--ssh", "a b"], "must be a host name"),
        (["--ssh", ""], "must be a host name"),
        (["--ssh", "host", "--ssh-dir", ""], "must be a folder"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, bench: Bench) -> None:
    assert_refused(bench.synth(bench.project, *arguments), 2, message)


def test_folders_that_are_no_project(bench: Bench) -> None:
    assert_refused(bench.synth(bench.root), 1, "is it a synq project?")
    (bench.project / "flow" / "build.sh").unlink()
    assert_refused(bench.synth(bench.project), 1, "has no flow/build.sh: export it again")


def test_an_unknown_stage_in_python(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no such stage as sing: choose one of csim"):
        run_stage(bench.project, "sing", None, 1, SILENT)


# ---- Over ssh -----------------------------------------------------------------------------------


class AsyncServer:
    """asyncssh's server: as OpenSSH's, it runs a command in a shell and ends its input with it."""

    def __init__(
        self, folder: Path, key: Path, host_key: Path, environment: dict[str, str]
    ) -> None:
        self._key, self._host_key = key, host_key
        self._folder, self._environment = folder, environment
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._server.get_port()

    async def _listen(self) -> Any:
        import asyncssh

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(self._host_key)],
            authorized_client_keys=f"{self._key}.pub",
            process_factory=self._serve,
            encoding=None,
        )

    async def _serve(self, process: Any) -> None:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", process.command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await process.redirect(shell.stdin, shell.stdout, shell.stderr)
        code = await self._loop.run_in_executor(None, shell.wait)
        process.exit(code)
        await process.wait_closed()

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            await self._server.wait_closed()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


class OpenSshServer:
    """The real thing, run by the user who runs the tests."""

    def __init__(
        self, folder: Path, key: Path, host_key: Path, environment: dict[str, str]
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        wanted = {name: environment[name] for name in ("PATH", "FAKE") if name in environment}
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"SetEnv {' '.join(f'{name}={value}' for name, value in wanted.items())}\n"
        )
        self._process = subprocess.Popen(
            [sshd(), "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        if "listening" not in said:
            self.close()
            pytest.skip(f"sshd does not start here: {said.strip()}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def sshd() -> str:
    """An absolute path, as sshd wants to be started by."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return str(Path(shutil.which("sshd", path=path) or "/sshd is not installed").absolute())


SERVERS = {"asyncssh": AsyncServer, "sshd": OpenSshServer}


@dataclass
class Host:
    """A machine named `fpga` that ssh knows, with tools and a folder for copies of its own."""

    here: Bench
    there: Bench

    def synth(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        options = ["--ssh", "fpga", "--ssh-dir", self.copies, *arguments]
        return self.here.synth(self.here.project, *options)

    @property
    def copies(self) -> Path:
        return self.there.root / "the copies"

    def left(self) -> list[str]:
        return [path.name for path in self.copies.iterdir()] if self.copies.exists() else []


@pytest.fixture(params=SERVERS)
def connect(
    request: pytest.FixtureRequest, bench: Bench, tmp_path: Path
) -> Iterator[Callable[..., Host]]:
    """Makes the host, with what its environment is to say."""
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.skip("ssh is not installed")
    if request.param == "asyncssh":
        pytest.importorskip("asyncssh")
    elif not Path(sshd()).exists():
        pytest.skip("sshd is not installed")
    far = tmp_path / "far"
    far.mkdir()
    there = Bench(far, bench.project)
    names = [tmp_path / "key", tmp_path / "host_key"]
    for name in names:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(name)], check=True)
    started: list[Any] = []

    def make(**environment: str) -> Host:
        server = SERVERS[request.param](far, *names, {**there.environment, **environment})
        started.append(server)
        known = f"[127.0.0.1]:{server.port} {names[1].with_suffix('.pub').read_text()}"
        (tmp_path / "known").write_text(known)
        (tmp_path / "config").write_text(
            f"Host fpga\nHostName 127.0.0.1\nPort {server.port}\nUser {getpass.getuser()}\n"
            f"IdentityFile {names[0]}\nIdentitiesOnly yes\nLogLevel ERROR\n"
            f"UserKnownHostsFile {tmp_path}/known\nStrictHostKeyChecking yes\n"
        )
        wrapper = bench.root / "bin" / "ssh"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {tmp_path}/config "$@"\n')
        wrapper.chmod(0o755)
        return Host(bench, there)

    yield make
    for server in started:
        server.close()


def test_a_remote_run_brings_everything_back_and_leaves_nothing(
    connect: Callable[..., Host],
) -> None:
    host = connect()
    host.there.tool("vitis-run", "2024.2")
    host.there.tool("vivado", "2024.2")
    old = host.here.project / "flow" / "build" / "huge"
    old.mkdir(parents=True)
    result = host.synth("--stage", "bitstream", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    content = json.loads(result.stdout)
    assert [tool["name"] for tool in content["tools"]] == ["vitis-run", "vivado"]
    assert {tool["version"] for tool in content["tools"]} == {"2024.2"}
    stages = [call.split(" stage ")[1].split()[0] for call in host.there.calls()]
    assert stages == ["csynth", "export", "none"]
    for name in ("driver/synq.bit", "driver/synq.hwh", "flow/reports/csynth.xml"):
        assert (host.here.project / name).is_file()
    logs = sorted(path.name for path in (host.here.project / "flow" / "logs").iterdir())
    assert logs == ["bitstream.log", "csynth.log", "export.log"]
    assert host.left() == []
    assert host.here.calls() == []


def test_a_copy_may_stay(connect: Callable[..., Host]) -> None:
    host = connect()
    host.there.tool("vivado_hls", "2020.1")
    result = host.synth("--keep")
    assert (result.returncode, result.stderr) == (0, "")
    (name,) = host.left()
    assert f"Copy on the host: {host.copies / name}" in result.stdout.splitlines()
    assert (host.copies / name / "hls" / "tb_data" / "inputs.txt").is_file()


@pytest.mark.parametrize(
    ("behaviour", "version", "code", "words"),
    [
        ("fail", "2023.2", 1, ["csynth failed, see ", "flow/logs/csynth.log: ERROR: [HLS 200-70]"]),
        ("silent", "2023.2", 1, ["the tool wrote no reports/csynth.xml"]),
        ("", "2017.1", 1, ["vitis-run 2017.1", "too old"]),
    ],
)
def test_remote_failures(
    behaviour: str, version: str, code: int, words: list[str], connect: Callable[..., Host]
) -> None:
    host = connect(FAKE=behaviour)
    host.there.tool("vitis-run", version)
    result = host.synth()
    assert_refused(result, code, *words)
    assert version in (host.here.project / "flow" / "logs" / "csynth.log").read_text()
    assert host.left() == []


@no_installation
def test_no_tool_there(connect: Callable[..., Host]) -> None:
    host = connect()
    result = host.synth("--stage", "csim")
    assert (result.returncode, result.stdout) == (3, "")
    assert "neither vitis-run nor vitis_hls nor vivado_hls was found on fpga" in result.stderr
    assert host.left() == []


@pytest.mark.parametrize("way", ["timeout", "interrupt", "connection"])
def test_the_tools_there_end_with_the_run_here(way: str, connect: Callable[..., Host]) -> None:
    host = connect(FAKE="stubborn" if way == "interrupt" else "hang")
    host.there.tool("vitis-run")
    minutes = "0.05" if way == "timeout" else "10"
    process = subprocess.Popen(
        [
            *(host.here.command(), "synth", str(host.here.project), "--timeout", minutes),
            *("--ssh", "fpga", "--ssh-dir", str(host.copies)),
        ],
        env=host.here.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: living(host.there))
    if way == "interrupt":
        process.send_signal(signal.SIGINT)
    elif way == "connection":
        log = host.here.project / "flow" / "logs" / "csynth.log"
        wait_for(lambda: "working" in log.read_text())
        # the machine here dies: nobody is left to tidy up
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for number in [process.pid, *map(int, children)]:
            os.kill(number, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    expected = {"timeout": (1, "took longer than"), "interrupt": (130, "was interrupted; its log")}
    if way in expected:
        assert process.returncode == expected[way][0]
        assert expected[way][1] in stderr and stdout == ""
    wait_for(lambda: not living(host.there))
    if way != "connection":
        assert host.left() == []
    assert "working [now]" in (host.here.project / "flow/logs/csynth.log").read_text()


def test_a_host_that_cannot_be_reached(bench: Bench) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    with socket.socket() as closed:  # bound, not listening
        closed.bind(("127.0.0.1", 0))
        wrapper = bench.root / "bin" / "ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -p {closed.getsockname()[1]} "$@"\n'
        )
        wrapper.chmod(0o755)
        result = bench.synth(bench.project, "--ssh", "127.0.0.1")
    assert_refused(result, 1, "ssh to 127.0.0.1 failed: ", "refused")


def test_only_reports_logs_and_bitstream_are_unpacked(tmp_path: Path) -> None:
    buffer = BytesIO()
    names = ["flow/reports/a.rpt", "flow/hls.tcl", "../up", "/abs", "driver/synq.bit", "driver/x"]
    names += ["flow/reports/../../up", "flow/logs/deep/er"]
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 1
            archive.addfile(entry, BytesIO(b"x"))
        link = tarfile.TarInfo("flow/reports/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    project = tmp_path / "project"
    far._unpack(project, buffer.getvalue(), "fpga")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert found == {"project/flow/reports/a.rpt", "project/driver/synq.bit"}
    with pytest.raises(SynqError, match="what fpga sent is no archive"):
        far._unpack(project, b"Welcome to fpga!\n", "fpga")


@pytest.mark.parametrize(
    ("folder", "expanded"),
    [
        ("~", "/home/me"),
        ("~/a b/$c", "/home/me/a b/$c"),
        ("/x/~/y", "/x/~/y"),
        ("-x", "./-x"),
        ("~you", "./~you"),
    ],
)
def test_folders_there_are_quoted(folder: str, expanded: str) -> None:
    Remote("fpga", folder)
    script = f"printf %s {far._remote_path(folder)}"
    result = subprocess.run(
        ["sh", "-c", script], env={"HOME": "/home/me"}, capture_output=True, text=True
    )
    assert result.stdout == expanded
