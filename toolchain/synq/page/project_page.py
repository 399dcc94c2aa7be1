"""The page of a project: `report.html`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synq.chip import full_scale
from synq.cost import RESOURCES
from synq.errors import SynqError
from synq.files import atomic_write
from synq.network import QuantizedNetwork
from synq.page import figures, many_chips, pictures
from synq.page.document import render
from synq.page.facts import FACTS, Answers, Facts, facts_from_json
from synq.page.gather import drawn_by, noise_steps, states_of
from synq.page.many_chips import ChipsFacts, read_chips
from synq.project.manifest import read_listed, read_manifest
from synq.request import BUDGET
from synq.synth import comparison
from synq.synth.comparison import Reference
from synq.synth.reports import project_reports
from synq.synth.result import Kind, Report

PAGE = "report.html"
FRESH = f"flow/{PAGE}"
"""The page with what tools have reported since, where a project keeps the tools' products."""

_MOST_VALUES = 32  # of a codebook, shown one by one
_MOST_PAIRS = 9
_CHECKS = {
    "qkeras": ("QKeras model", "sums and activations of every layer, classes; in TensorFlow"),
    "hls4ml": ("hls4ml's library", "sums and activations of every layer, classes; its own build"),
    "csim": ("C simulation", "sums and activations of every layer, classes; emitted C++ in g++"),
    "axis": ("AXI4-Stream wrapper", "outputs and classes, as they leave on the stream"),
    "rtl": (
        "Verilog",
        "sums and activations of every layer, classes; in Verilator, twice: streams that flow and "
        "streams that stall",
    ),
}
_TOOLS = {
    Kind.HLS_CSYNTH: "HLS synthesis",
    Kind.HLS_COSIM: "HLS cosimulation",
    Kind.VIVADO_UTILIZATION: "Vivado",
    Kind.VIVADO_TIMING: "Vivado timing",
    Kind.YOSYS_STATISTICS: "Yosys",
    Kind.NEXTPNR: "nextpnr",
}
_SECTIONS = {
    "device": "Device",
    "weights": "Weights",
    "accuracy": "Accuracy",
    "samples": "Samples",
    "exactness": "Bit-exactness",
    "designs": "Designs",
    "resources": "Resources",
    "chip": "Chip",
    "chips": "Chips",
    "manifest": "Manifest",
}


@dataclass(frozen=True)
class Bar:
    """What one source says of one resource."""

    label: str
    kind: str
    used: int
    share: float


def render_page(
    facts: Facts,
    network: QuantizedNetwork,
    manifest: Mapping[str, Any],
    digests: Mapping[str, str],
    reports: Sequence[tuple[str, Report]] = (),
    chips: ChipsFacts | None = None,
) -> bytes:
    """The page; the same bytes for the same arguments and versions of the libraries that draw.

    Args:
        manifest: without its files.
        digests: SHA-256 of the project's files, by name; the page itself and the manifest are left
            out.
        reports: of tools, with the names of their files.
        chips: many of them, of this network.

    Raises:
        ValueError: the facts are another network's.
    """
    if len(facts.weights) != len(network.arrays):
        raise ValueError("the facts of the page are of another network")
    task, answers = facts.kind, facts.answers
    sections = {
        name: title
        for name, title in _SECTIONS.items()
        if {"chip": facts.chip.cells, "samples": answers.samples, "chips": chips}.get(name, True)
    }
    return render(
        "project.html",
        facts=facts,
        task=task,
        is_accuracy=figures.is_accuracy(facts),
        sections=sections,
        version=str(manifest.get("synq", "")),
        software=facts.score("software"),
        reference=facts.score("reference"),
        integers=sum(check.integers for check in facts.checks),
        speeds=[_speed(facts, flow) for flow in facts.flows],
        code_bits=sum(array.codes.size * array.code_bits for array in network.arrays),
        synapses=sum(array.codes.size for array in network.arrays),
        sizes=" – ".join(map(str, network.sizes)),
        device_figure=figures.device_curve(facts.device),
        staircase=figures.staircase(facts.device),
        window=_window(facts),
        values=_values(facts),
        arrays=[_array(facts, network, index) for index in range(len(network.arrays))],
        stage_figure=figures.stages(facts),
        stages=[(figures.STAGES.get(each.name, each.name), each.score) for each in facts.stages],
        regression=figures.regression(facts) if answers.targets else "",
        confusion=_confusion(answers),
        pairs=_pairs(answers),
        samples=[
            (each, pictures.sample(each.pixels, answers.width, answers.height))
            for each in answers.samples
        ],
        checks=[(*_CHECKS.get(each.name, (each.name, "")), each.integers) for each in facts.checks],
        flows=figures.FLOWS,
        labels=comparison.LABELS,
        resource_names=[name for name in RESOURCES if getattr(facts.board.available, name)],
        budget=BUDGET,
        designs_figure=figures.designs(facts),
        bars_of=_bars(facts, reports),
        tools=[_tool(file, report) for file, report in reports],
        deviations=figures.deviations(facts.chip) if facts.chip.cells else "",
        states=states_of(facts.chip),
        maps=[(pictures.cell_map(each), each) for each in facts.chip.maps],
        chips=None if chips is None else many_chips.shown(chips),
        told=_told(manifest),
        digests=dict(sorted(digests.items())),
    )


def page_as_exported(
    facts: Facts, network: QuantizedNetwork, manifest: Mapping[str, Any]
) -> bytes | None:
    """The page that `export` has written, drawn anew; None where other versions of the libraries
    that draw are here than were there.

    Raises:
        ValueError: the facts are another network's.
    """
    return _of_project(facts, network, manifest, ()) if facts.drawn_by == drawn_by() else None


def read_facts(project: Path) -> Facts:
    """The facts of a project's page, as exported.

    Raises:
        SynqError: it is no project, has none, or they have changed.
    """
    manifest = read_manifest(project)
    _check_facts(project, manifest)
    return _facts(project, read_listed(project, manifest, (FACTS,)))


def has_page(project: Path) -> bool:
    """Whether the folder is a project with facts for a page.

    Raises:
        SynqError: it is no project.
    """
    return FACTS in read_manifest(project)["files"]


def write_fresh_page(project: Path, chips: Path | None = None) -> Path:
    """Write the page of a project with what tools have reported by now, and say where.

    Args:
        chips: a folder of many chips of the project, to show as well.

    Raises:
        SynqError: as `fresh_page`; a report cannot be read, or the page not be written.
    """
    many = None if chips is None else read_chips(chips)
    atomic_write(project / FRESH, fresh_page(project, project_reports(project), many))
    return project / FRESH


def fresh_page(
    project: Path, reports: Sequence[tuple[Path, Report]], chips: ChipsFacts | None = None
) -> bytes:
    """The page of a project on disk, with what tools have reported and how its chips do.

    Raises:
        SynqError: the project has no facts for a page, or they, the network or the manifest are not
            as exported; the chips are of another network.
    """
    manifest = read_manifest(project)
    _check_facts(project, manifest)
    files = read_listed(project, manifest, (FACTS, "network.npz"))
    network = QuantizedNetwork.from_npz(project / "network.npz")
    if chips is not None and chips.design != network.digest:
        raise SynqError(
            f"the chips are not of {project}: their network is {chips.design[:12]}, the project's "
            f"{network.digest[:12]}",
            settings=("chips",),
        )
    named = [(_relative(file, project), report) for file, report in reports]
    try:
        return _of_project(_facts(project, files), network, manifest, named, chips)
    except (ArithmeticError, ValueError) as error:
        raise _damaged(project, error) from None


def _check_facts(project: Path, manifest: Mapping[str, Any]) -> None:
    if FACTS not in manifest["files"]:
        raise SynqError(f"{project} has no {FACTS}: export it again with this synq")


def _facts(project: Path, files: Mapping[str, bytes]) -> Facts:
    try:
        return facts_from_json(files[FACTS])
    except ValueError as error:
        raise _damaged(project, error) from None


def _damaged(project: Path, error: Exception) -> SynqError:
    return SynqError(f"{project}: {FACTS} is damaged ({error!s:.200}): export the project again")


def _of_project(
    facts: Facts,
    network: QuantizedNetwork,
    manifest: Mapping[str, Any],
    reports: Sequence[tuple[str, Report]],
    chips: ChipsFacts | None = None,
) -> bytes:
    told = {name: value for name, value in manifest.items() if name not in ("files", "format")}
    digests = {name: digest for name, digest in manifest["files"].items() if name != PAGE}
    return render_page(facts, network, told, digests, reports, chips)


def _relative(file: Path, project: Path) -> str:
    try:
        return file.resolve().relative_to(project.resolve()).as_posix()
    except ValueError:
        return file.name


# ---- What the sections show ---------------------------------------------------------------------


def _speed(facts: Facts, flow: str) -> dict[str, Any]:
    design, clock = facts.chosen(flow), facts.board.clock_ns
    share, resource = figures.largest_share(facts, flow)
    return {
        "flow": figures.FLOWS.get(flow, flow),
        "rate": 1e9 / (design.interval * clock),
        "latency_us": design.latency * clock / 1000,
        "share": share,
        "resource": comparison.LABELS[resource],
    }


def _window(facts: Facts) -> str:
    factor, unit = figures.siemens(facts.device.high)
    low, high = facts.device.low * factor, facts.device.high * factor
    return f"{low:.4g} to {high:.4g} {unit}, a ratio of {facts.device.high / facts.device.low:.3g}"


def _values(facts: Facts) -> list[dict[str, Any]]:
    """Each level, what it becomes and on which conductance; none where there are many."""
    device = facts.device
    if len(device.levels) > _MOST_VALUES:
        return []
    factor, unit = figures.siemens(device.high)
    pairs = zip(device.levels, device.realized, strict=True)
    rows = []
    for level, realized in pairs:
        cell = float(figures.conductances(device, np.array([abs(realized)]))[0])
        if device.mapping == "offset":
            cell = float(figures.conductances(device, np.array([realized]))[0])
        rows.append(
            {
                "level": level,
                "realized": realized,
                "moved": realized - level,
                "cell": f"{cell * factor:.4g} {unit}",
                "side": "" if device.mapping == "offset" else ("−" if realized < 0 else "+"),
            }
        )
    return rows


def _array(facts: Facts, network: QuantizedNetwork, index: int) -> dict[str, Any]:
    array, geometry = network.arrays[index], network.geometries[index]
    used = np.bincount(array.codes.ravel(), minlength=array.effective_levels)
    most = max(1, int(used.max()))
    usage = [
        {
            "code": code,
            "raw": int(value),
            "weight": int(value) / full_scale(array.table_format),
            "count": int(count),
            "share": _share(int(count) / array.codes.size),
            "height": int(count) / most,
        }
        for code, (value, count) in enumerate(zip(array.codebook, used, strict=True))
    ]
    shares = used[used > 0] / array.codes.size
    entropy = float(-(shares * np.log2(shares)).sum())
    picture, every = pictures.array_map(array)
    answers = facts.answers
    square = index == 0 and answers.height > 1 and array.n_in == answers.width * answers.height
    field, count = pictures.fields(array, answers.width) if square else ("", 0)
    return {
        "index": index,
        "shape": f"{array.n_in} × {array.n_out}" + (" + bias" if array.bias_input else ""),
        "places": "" if geometry.window is None else f"{geometry}".replace(" x ", " × "),
        "array": array,
        "zero": float((array.weights == 0).mean()),
        "noise": noise_steps(array),
        "entropy": abs(entropy),
        "figure": figures.weight_histograms(index, facts.weights[index], array),
        "clipped": facts.weights[index].clipped,
        "usage": usage if len(usage) <= _MOST_VALUES else [],
        "map": picture,
        "every": every,
        "fields": field,
        "field_count": count,
    }


def _share(share: float) -> str:
    """Percent in few characters."""
    if 0 < share < 0.001:
        return "<0.1"
    return f"{100 * share:.1f}" if share else "0"


def _confusion(answers: Answers) -> list[list[tuple[int, float]]]:
    """Rows by label of (count, share of all wrong answers' largest)."""
    if not answers.confusion:
        return []
    classes = answers.classes
    cells = np.array(answers.confusion).reshape(classes, classes)
    wrong = cells * (1 - np.eye(classes, dtype=np.int64))
    most = max(1, int(wrong.max()))
    return [
        [(int(count), float(off) / most) for count, off in zip(*both, strict=True)]
        for both in zip(cells, wrong, strict=True)
    ]


def _pairs(answers: Answers) -> list[tuple[int, int, int]]:
    """The commonest mistakes: label, answer, how often."""
    if not answers.confusion:
        return []
    cells = np.array(answers.confusion).reshape(answers.classes, answers.classes)
    np.fill_diagonal(cells, 0)
    order = np.argsort(-cells.ravel(), kind="stable")[:_MOST_PAIRS]
    pairs = [(*divmod(int(at), answers.classes), int(cells.ravel()[at])) for at in order]
    return [pair for pair in pairs if pair[2]]


def _bars(facts: Facts, reports: Sequence[tuple[str, Report]]) -> dict[str, list[Bar]]:
    """By resource of the board: each flow's estimate, and beside it what tools say."""
    found: dict[str, list[Bar]] = {}
    for name in RESOURCES:
        have = getattr(facts.board.available, name)
        if not have:
            continue
        bars = []
        for flow in facts.flows:
            used = getattr(facts.chosen(flow).used, name)
            label = f"{figures.FLOWS.get(flow, flow)}, estimate"
            bars.append(Bar(label, "estimate", used, used / have))
            for _, report in reports:
                usage = report.usage(name)
                if report.flow == flow and usage is not None:
                    stage = f", {report.stage}" if report.stage else ""
                    label = f"{_TOOLS[report.kind]}{stage}"
                    bars.append(Bar(label, "tool", usage.used, usage.used / have))
        found[name] = bars
    return found


def _tool(file: str, report: Report) -> dict[str, Any]:
    """A report in a line of the table of tools."""
    problems = comparison.problems(report, Reference(None, None))
    return {
        "file": file,
        "tool": f"{_TOOLS[report.kind]} {report.tool_version or ''}".strip(),
        "stage": report.stage or "",
        "target": report.target_clock_ns,
        "worst": report.worst_path_ns,
        "latency": report.latency_worst,
        "interval": report.interval_max,
        "verdict": _verdict(report),
        "bad": bool(problems),
        "problems": [problem.text for problem in problems],
    }


def _verdict(report: Report) -> str:
    if report.cosim_status is not None:
        return f"cosimulation: {report.cosim_status}"
    if report.timing_met is None:
        return ""
    return "timing met" if report.timing_met else "timing not met"


def _told(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The manifest in lines: what it says by the path to it."""
    lines: list[tuple[str, str]] = []

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in sorted(value.items()):
                walk(f"{path} › {name}" if path else str(name), inner)
        else:
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
            lines.append((path, text.strip('"') if isinstance(value, str) else text))

    walk("", {name: value for name, value in manifest.items() if name != "network"})
    return [(path, text if len(text) <= 400 else f"{text[:400]} …") for path, text in lines]
