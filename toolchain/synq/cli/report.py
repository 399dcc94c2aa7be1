"""`synq report`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.errors import UsageError

if TYPE_CHECKING:
    from synq.synth.comparison import Problem, Reference
    from synq.synth.result import LayerResources, Report

_NOT_GOOD = 4  # exit code: over budget, timing not met, or cosimulation failed
_KINDS = {
    "hls_csynth": "HLS synthesis",
    "hls_cosim": "HLS cosimulation",
    "vivado_utilization": "Vivado utilization",
    "vivado_timing": "Vivado timing",
    "yosys_statistics": "Yosys synthesis",
    "nextpnr": "nextpnr place and route",
}


def report(
    paths: Annotated[
        list[Path], typer.Argument(help="Project folders, or report files.", show_default=False)
    ],
    board: Annotated[
        str | None,
        typer.Option(help="Board to compare with (or your .toml); the project's without."),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--open", help="Draw a project's page anew, with its reports, and open it.", metavar=""
        ),
    ] = False,
    chips: Annotated[
        Path | None,
        typer.Option(help="With --open: also show the chips in this folder, of synq chips."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a report, one a line.", metavar="")
    ] = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Read reports of HLS, Vivado, Yosys and nextpnr, against board and estimate.

    Exits with 4 if a design is over budget, misses its timing or fails cosimulation.
    """
    console.start_logging(verbose)
    from synq.board import load_board
    from synq.synth import comparison
    from synq.synth.reports import project_reports, read_reports

    if chips is not None and not show:
        raise UsageError("--chips is for a project's page: add --open")
    given = None if board is None else load_board(board)
    if show:
        with console.progress(as_json).task("Draw the page"):
            page = _draw(paths, chips)
        if not project_reports(paths[0]):
            _open(page, as_json)
            return
    read = []
    for path in paths:
        folder = path if path.is_dir() else None
        for file, each in read_reports(path):
            reference = comparison.find_reference(file, folder, given, each.flow)
            read.append((file, each, reference))
    bad = any(comparison.problems(each, reference) for _, each, reference in read)
    if as_json:
        for file, each, reference in read:
            console.print_json(report_json(file, each, reference))
    else:
        _print(read)
    if show:
        _open(page, as_json)
    if bad:
        sys.stdout.flush()  # a full disk shows here, not on the way out
        raise SystemExit(_NOT_GOOD)


def _draw(paths: list[Path], chips: Path | None) -> Path:
    """The page of the one project that is given, drawn anew."""
    if len(paths) > 1 or not paths[0].is_dir():
        raise UsageError("--open draws the page of one project: give its folder alone")
    from synq.page.project_page import write_fresh_page

    return write_fresh_page(paths[0].resolve(), chips)


def _open(page: Path, as_json: bool) -> None:
    import webbrowser

    opened = webbrowser.open(page.as_uri())
    if not as_json:
        console.say(f"[bold]Page:[/] {escape(str(page))}")
        if not opened:
            console.say("No browser was found to open it with")


def report_json(file: Path, report: "Report", reference: "Reference") -> dict[str, Any]:
    """A report, what it is held against, and how it compares."""
    from dataclasses import asdict

    from synq.cost import RESOURCES
    from synq.synth import comparison

    content: dict[str, Any] = {"file": str(file), **asdict(report)}
    content["layers"] = [{"name": each.name, **asdict(each.resources)} for each in report.layers]
    for name in RESOURCES:
        usage = report.usage(name)
        content[name] = usage and {
            **asdict(usage),
            "percent": usage.percent,
            "budget": reference.budget(report, name),
        }
    estimate = reference.estimate
    return {
        **content,
        "worst_path_ns": report.worst_path_ns,
        "board": reference.board and reference.board.name,
        "over_budget": comparison.over_budget(report, reference),
        "estimate": estimate and asdict(estimate),
        "ratio_to_estimate": estimate and comparison.ratios(report, estimate),
        "problems": [problem.text for problem in comparison.problems(report, reference)],
    }


def _print(read: "list[tuple[Path, Report, Reference]]") -> None:
    from synq.synth import comparison

    found = [
        (file, problem)
        for file, report, reference in read
        for problem in comparison.problems(report, reference)
    ]
    for file, problem in found:
        console.say(f"[bold red]{escape(problem.text)}[/] ({console.quoted(file)})")
    if not found:
        count = "1 report" if len(read) == 1 else f"{len(read)} reports"
        console.say(f"[bold green]Nothing over budget, no timing missed[/] in {count}")
    console.say("")
    for file, report, reference in read:
        print_report(file, report, reference)
    _print_next([problem for _, problem in found], read)


def print_report(file: Path, report: "Report", reference: "Reference") -> None:
    """A table of resources and cycles, and timing in words."""
    version = f" {report.tool_version}" if report.tool_version else ""
    about = [f"{_KINDS[report.kind]}{version}", report.part, report.stage, report.top]
    title = f"{', '.join(each for each in about if each)}: {shlex.quote(str(file))}"
    rows = _rows(report, reference)
    if rows:
        board = reference.board
        available = f"of {board.name}" if board else "available"
        console.print_table(title, ["", "used", available, "%", "estimate", "ratio"], rows)
    else:
        console.say(f"[bold]{escape(title)}[/]")
    if report.layers:
        console.print_table("By layer, and percent of the whole", *_layers(report))
    lines = _lines(report, reference)
    for line in lines:
        console.say(line)
    if lines:
        console.say("")


def _rows(report: "Report", reference: "Reference") -> list[list[str]]:
    from synq.cost import RESOURCES
    from synq.synth import comparison
    from synq.synth.result import percent

    estimate = reference.estimate
    ratio = comparison.ratios(report, estimate) if estimate else {}
    rows = []
    for name in RESOURCES:
        if (usage := report.usage(name)) is None:
            continue
        budget = reference.budget(report, name)
        share = percent(usage.used, budget)
        rows.append(
            [
                comparison.LABELS[name],
                f"{usage.used:,}",
                _whole(budget),
                "-" if share is None else f"{share:.1f}",
                _whole(getattr(estimate.resources, name) if estimate else None),
                _ratio(ratio.get(name)),
            ]
        )
    cycles = [
        ("latency", "latency, cycles", report.latency_worst),
        ("interval", "interval, cycles", report.interval_max),
    ]
    for name, label, reported in cycles:
        if reported is not None:
            expected = getattr(estimate, name) if estimate else None
            rows.append([label, f"{reported:,}", "", "", _whole(expected), _ratio(ratio.get(name))])
    return rows


def _layers(report: "Report") -> tuple[list[str], list[list[str]]]:
    from synq.cost import RESOURCES
    from synq.synth import comparison
    from synq.synth.result import percent

    names = [name for name in RESOURCES if name != "uram" and report.usage(name) is not None]

    def cell(layer: "LayerResources", name: str) -> str:
        usage = report.usage(name)
        used: int = getattr(layer.resources, name)
        share = percent(used, usage.used if usage else None)
        return f"{used:,}" if share is None else f"{used:,} ({share:.0f})"

    header = ["", *(comparison.LABELS[name] for name in names)]
    return header, [[layer.name, *(cell(layer, n) for n in names)] for layer in report.layers]


def _lines(report: "Report", reference: "Reference") -> list[str]:
    """Timing in words, and what a table cannot say."""
    lines = []
    if report.latency_worst is not None:
        low, high = report.latency_best, report.latency_worst
        text = f"Latency: {high:,} cycles at worst"
        if low is not None and low != high:
            text += f", {low:,} at best"
        if report.target_clock_ns is not None:
            text += f"; {high * report.target_clock_ns / 1000:,.3f} us at the target clock"
        lines.append(text)
    elif report.kind == "hls_csynth":
        lines.append("Latency: depends on the data, says HLS")
    if report.target_clock_ns is not None:
        text = f"Clock: target {report.target_clock_ns:.3f} ns"
        if (worst := report.worst_path_ns) is not None:
            text += f", worst path {worst:.3f} ns"
            text += f" ({1000 / worst:.1f} MHz)" if report.flow == "rtl" and worst else ""
        lines.append(text)
    if report.critical_path is not None:
        levels = report.logic_levels
        depth = "" if levels is None else f"{levels} logic levels, "
        lines.append(f"Worst path: {depth}{escape(report.critical_path)}")
    if report.clock_model is not None:
        lines.append(f"[yellow]The worst path is an estimate:[/] {escape(report.clock_model)}")
    if report.kind == "vivado_timing":
        slacks = {"setup": report.wns_ns, "hold": report.whs_ns, "pulse width": report.wpws_ns}
        known = [f"{name} {ns:.3f} ns" for name, ns in slacks.items() if ns is not None]
        none = "no timed path" if report.clocks else "there are no timing constraints"
        lines.append(f"Worst slack: {', '.join(known) or f'none, {none}'}")
    met = {True: "[green]met[/]", False: "[bold red]not met[/]", None: "not known"}
    if report.kind in ("hls_csynth", "vivado_timing", "nextpnr"):
        final = report.stage == "routed" or report.timing_met is None
        lines.append(f"Timing: {met[report.timing_met]}{'' if final else ' (an estimate)'}")
    if report.kind == "hls_cosim":
        status = {"pass": "[green]pass[/]", "fail": "[bold red]fail[/]", None: "not run"}
        lines.append(f"Cosimulation: {status[report.cosim_status]}")
    if report.black_boxes:
        boxes = (
            "1 black box is" if report.black_boxes == 1 else f"{report.black_boxes} black boxes are"
        )
        lines.append(f"[yellow]{boxes} not counted:[/] synthesized apart, see their own reports")
    if (part := reference.other_part(report)) is not None and reference.board is not None:
        lines.append(
            f"[yellow]The report is for {escape(report.part or '')}, "
            f"{escape(reference.board.name)} has {escape(part)}[/]"
        )
    return lines


# What mends a problem, by its fault: what to run or read, and what for.
_NEXT = {
    "too large": [
        ("synq boards", "a larger board, for synq export --board"),
        ("synq export --help", "fewer levels or bits; --target area or fewer --rows"),
    ],
    "too slow": [
        ("synq export --help", "a --board file of your own, with a larger clock_ns"),
    ],
    "too fast": [
        ("the report's details", "the paths: hold and pulse width are not the period's doing"),
    ],
    "wrong": [
        ("synq verify PROJECT", "whether the project is as exported and its C simulation right"),
        ("flow/logs/cosim.log", "what the simulator says; if the project is right, report it"),
    ],
}


def _print_next(found: "list[Problem]", read: "list[tuple[Path, Report, Reference]]") -> None:
    if found:
        console.say("Next steps:")
        steps = [step for fault in {each.fault: None for each in found} for step in _NEXT[fault]]
        for what, purpose in steps:
            console.say(f"  {what:<22}{purpose}")
    elif all(reference.board is None for _, _, reference in read):
        console.say("--board NAME compares with a board's resources (see synq boards).")


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
