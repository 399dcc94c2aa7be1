"""`synq synth`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.errors import SynqError, UsageError
from synq.progress import Progress, Task

if TYPE_CHECKING:
    from synq.synth.himbaechel import Given
    from synq.synth.open_synthesis import OpenRun
    from synq.synth.run import StageRun


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 < minutes <= 100_000:
        raise ValueError(f"{text} is not between 0 and 100,000 minutes")
    return minutes


class _Verbatim:
    """Shows what a tool prints as it is: it is full of brackets, which rich takes as markup."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def task(self, label: str, total: float | None = None) -> Iterator[Task]:
        with self._progress.task(escape(label), total) as task:
            yield _VerbatimTask(task)


class _VerbatimTask:
    def __init__(self, task: Task) -> None:
        self._task = task

    def update(self, done: float, detail: str = "") -> None:
        self._task.update(done, escape(detail))


def synth(
    project: Annotated[Path, typer.Argument(help="A folder that synq-export made.")],
    tool: Annotated[
        Literal["amd", "yosys", "nextpnr"],
        typer.Option(
            help="AMD's tools; or Yosys on the Verilog; or Yosys and nextpnr, which places and "
            "routes for 7-series and ECP5."
        ),
    ] = "amd",
    flow: Annotated[
        Literal["hls", "rtl"] | None,
        typer.Option(help="Which core AMD's tools take, hls without if the project has both."),
    ] = None,
    stage: Annotated[
        Literal["csim", "csynth", "cosim", "impl", "bitstream"] | None,
        typer.Option(
            help="How far AMD's tools go, csynth without, of the Verilog core (impl and bitstream "
            "only) impl; an earlier stage that is needed runs first."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Time limit in minutes.", parser=_minutes, metavar="<minutes>")
    ] = 240.0,
    ssh: Annotated[
        str | None, typer.Option(help="Run on this host: copy there, bring the reports back.")
    ] = None,
    ssh_dir: Annotated[
        str | None, typer.Option(help="Folder for the copy on the host; ~/.cache/synq without.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the copy on the host.", metavar="")
    ] = False,
    chip_database: Annotated[
        Path | None,
        typer.Option(help="nextpnr's chip database of a 7-series part, chipdb-*.bin."),
    ] = None,
    nextpnr: Annotated[
        Path | None, typer.Option(help="nextpnr-himbaechel, where it is not on PATH.")
    ] = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Synthesize a project: AMD's tools to the bitstream, or Yosys, or Yosys and nextpnr."""
    console.start_logging(verbose)
    folder = project.resolve()
    if tool != "nextpnr":
        _refuse({"--chip-database": chip_database, "--nextpnr": nextpnr}, "nextpnr", tool)
    if tool != "amd":
        amds = {
            "--flow": flow,
            "--stage": stage,
            "--ssh": ssh,
            "--ssh-dir": ssh_dir,
            "--keep": keep or None,
        }
        _refuse(amds, "AMD's tools", tool)
        from synq.synth.himbaechel import Given

        given = Given(nextpnr, chip_database) if tool == "nextpnr" else None
        _open(folder, timeout, as_json, given)
        return
    from synq.request import Flow
    from synq.synth.remote import Remote
    from synq.synth.run import run_stage

    if ssh is None and (keep or ssh_dir is not None):
        raise UsageError("--keep and --ssh-dir are about the copy on a host: add --ssh HOST")
    remote = None
    if ssh is not None:
        remote = Remote(ssh, ssh_dir if ssh_dir is not None else Remote.folder, keep)
    core = None if flow is None else Flow(flow)
    progress = console.progress(as_json)
    result = run_stage(folder, stage, remote, timeout, _Verbatim(progress), core)
    page = _draw(folder, progress)
    if as_json:
        console.print_json(_json(result))
    else:
        _print(folder, result, page)


def _draw(project: Path, progress: Progress) -> Path | None:
    """The project's page with the new reports; None where it cannot be drawn, as the log says: what
    the tools have done stands."""
    from synq.page.project_page import has_page, write_fresh_page

    try:
        with progress.task("Draw the page"):
            return write_fresh_page(project) if has_page(project) else None
    except SynqError as error:
        logging.getLogger("synq").warning("the page is not drawn anew: %s", error)
        return None


def _print_page(page: Path | None) -> None:
    if page is not None:
        console.say(f"[bold]Page:[/] {escape(str(page))}")


def _refuse(given: dict[str, Any], about: str, tool: str) -> None:
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option} is about {about}: leave it out with --tool {tool}")


def _json(result: "StageRun") -> dict[str, Any]:
    return {
        "stage": result.stage,
        "tools": [
            {"name": tool.path.name, "version": str(tool.version), "path": str(tool.path)}
            for tool in result.tools
        ],
        "product": str(result.product),
        "reports": [str(path) for path in result.reports],
        "log": str(result.log),
        "copy": result.copy,
        "seconds": result.seconds,
    }


def _print(project: Path, result: "StageRun", page: Path | None) -> None:
    tools = ", ".join(str(tool) for tool in result.tools)
    console.say(
        f"[bold green]Done:[/] {result.stage} in {result.seconds / 60:.1f} min"
        + (f" with {escape(tools)}" if tools else "")
    )
    console.say(f"[bold]{result.stage} made:[/] {escape(str(result.product))}")
    console.say(f"[bold]Reports:[/] {escape(str(project / 'flow' / 'reports'))}")
    console.say(f"[bold]Log:[/] {escape(str(result.log))}")
    _print_page(page)
    if result.copy is not None:
        console.say(f"[bold]Copy on the host:[/] {escape(result.copy)}")
    console.say("[bold]Next:[/]")
    console.say(f"  synq report {console.quoted(project)}")


def _open(project: Path, minutes: float, as_json: bool, given: "Given | None") -> None:
    from synq.cli.report import print_report, report_json
    from synq.synth import comparison
    from synq.synth.open_synthesis import run_open
    from synq.synth.reports import read_report

    progress = console.progress(as_json)
    result = run_open(project, minutes, _Verbatim(progress), given)
    read = []
    for file in result.reports:
        report = read_report(file)
        reference = comparison.find_reference(file, project, None, report.flow)
        read.append((file, report, reference))
    page = _draw(project, progress)
    if as_json:
        console.print_json(
            {
                "tools": list(result.tools),
                "reports": [report_json(*each) for each in read],
                "logs": [str(path) for path in result.logs],
                "seconds": result.seconds,
            }
        )
        return
    _print_open(project, result)
    _print_page(page)
    console.say("")
    for each in read:
        print_report(*each)
    for _, report, reference in read:
        for problem in comparison.problems(report, reference):
            console.say(f"[bold red]{escape(problem.text)}[/]")
    console.say("[bold]Next:[/]")
    console.say(f"  synq report {console.quoted(project)}")


def _print_open(project: Path, result: "OpenRun") -> None:
    tools = escape(", ".join(result.tools))
    console.say(f"[bold green]Done:[/] {tools} in {result.seconds / 60:.1f} min")
    console.say(f"[bold]Reports:[/] {escape(str(project / 'flow' / 'reports'))}")
    console.say(f"[bold]Log:[/] {escape(', '.join(str(log) for log in result.logs))}")
