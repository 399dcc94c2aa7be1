"""What differs between two projects: configuration, scores, codes, designs and reports."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.chip import full_scale
from synq.cost import RESOURCES
from synq.network import QuantizedNetwork, SynapseArray
from synq.page.facts import Facts
from synq.page.project_page import read_facts
from synq.project.manifest import read_listed, read_manifest
from synq.synth.reports import project_reports
from synq.synth.result import Report

_MADE_FROM = (
    "synq",
    "configuration",
    "board",
    "dataset",
    "training",
    "finetuning",
    "checkpoint",
    "chip",
)
_NOTHING = "-"  # where only one of the two has something


@dataclass(frozen=True)
class Change:
    """A number or a name that differs, as text; `_NOTHING` where a project has none."""

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class Scored:
    """The scores of a stage; None where a project has no such stage."""

    stage: str
    first: float | None
    second: float | None


@dataclass(frozen=True)
class ArrayChange:
    """How one array differs.

    Attributes:
        changes: of its shape, its values and its formats.
        synapses: how many there are; 0 where the shapes differ.
        moved: how many hold another weight, by its share of full scale.
        furthest: the largest such move, of full scale 1.
    """

    index: int
    changes: tuple[Change, ...]
    synapses: int
    moved: int
    furthest: float


@dataclass(frozen=True)
class Differences:
    """How a second project differs from a first.

    Attributes:
        made_from: of what their manifests say they were made from.
        scores: of all stages that either has.
        arrays: those of both that differ.
        designs: what was built, and its estimate.
        reports: of tools, where both have one of a kind.
        files, same_files: how many names there are in either, and how many are the same bytes.
    """

    first: str
    second: str
    metric: str
    made_from: tuple[Change, ...]
    scores: tuple[Scored, ...]
    arrays: tuple[ArrayChange, ...]
    designs: tuple[Change, ...]
    reports: tuple[Change, ...]
    files: int
    same_files: int

    @property
    def same(self) -> bool:
        """Whether nothing at all differs."""
        found = (self.made_from, self.arrays, self.designs, self.reports)
        return not any(found) and self.files == self.same_files

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Project:
    manifest: dict[str, Any]
    facts: Facts
    network: QuantizedNetwork
    reports: list[Report]


def differences(first: Path, second: Path) -> Differences:
    """How the second project differs from the first.

    Raises:
        SynqError: one is no project, or what is read of it is not as exported.
    """
    one, two = _read(first), _read(second)
    scores = [{stage.name: stage.score for stage in each.facts.stages} for each in (one, two)]
    files = one.manifest["files"], two.manifest["files"]
    names = files[0].keys() | files[1].keys()
    return Differences(
        first=one.facts.title,
        second=two.facts.title,
        metric=one.facts.kind.metric,
        made_from=tuple(_changes(_origin(one.manifest), _origin(two.manifest))),
        scores=tuple(
            Scored(stage, scores[0].get(stage), scores[1].get(stage))
            for stage in {**scores[0], **scores[1]}
        ),
        arrays=tuple(_arrays(one.network, two.network)),
        designs=tuple(_changes(_designs(one.facts), _designs(two.facts))),
        reports=tuple(_changes(*_both(_reports(one.reports), _reports(two.reports)))),
        files=len(names),
        same_files=sum(files[0].get(name) == files[1].get(name) for name in names),
    )


def _read(project: Path) -> _Project:
    manifest, facts = read_manifest(project), read_facts(project)
    read_listed(project, manifest, ("network.npz",))
    network = QuantizedNetwork.from_npz(project / "network.npz")
    return _Project(manifest, facts, network, [report for _, report in project_reports(project)])


def _changes(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Change]:
    for name in {**first, **second}:
        pair = first.get(name, _NOTHING), second.get(name, _NOTHING)
        if pair[0] != pair[1]:
            yield Change(name, *pair)


def _origin(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a project was made from, by the path in its manifest."""
    told: dict[str, str] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in sorted(value.items()):
                walk(f"{path}.{name}", inner)
        elif value is not None:
            told[path.removeprefix("configuration.")] = str(value)

    for name in _MADE_FROM:
        walk(name, manifest.get(name))
    return told


def _arrays(first: QuantizedNetwork, second: QuantizedNetwork) -> Iterator[ArrayChange]:
    for index, (one, two) in enumerate(zip(first.arrays, second.arrays, strict=False)):
        changes = tuple(_changes(_described(first, index), _described(second, index)))
        synapses, moved, furthest = 0, 0, 0.0
        if one.codes.shape == two.codes.shape:
            off = np.abs(_weights(one) - _weights(two))
            synapses, moved = off.size, int(np.count_nonzero(off))
            furthest = float(off.max())
        if changes or moved or not synapses:
            yield ArrayChange(index, changes, synapses, moved, furthest)
    for index in range(min(len(first.arrays), len(second.arrays)), len(first.arrays)):
        yield ArrayChange(index, tuple(_changes(_described(first, index), {})), 0, 0, 0.0)
    for index in range(min(len(first.arrays), len(second.arrays)), len(second.arrays)):
        yield ArrayChange(index, tuple(_changes({}, _described(second, index))), 0, 0, 0.0)


def _weights(array: SynapseArray) -> NDArray[np.float64]:
    """Normalized: 1 is full scale."""
    weights: NDArray[np.float64] = array.weights / full_scale(array.table_format)
    return weights


def _described(network: QuantizedNetwork, index: int) -> dict[str, str]:
    array = network.arrays[index]
    return {
        "places": str(network.geometries[index]),
        "shape": f"{array.n_in} x {array.n_out}" + (" + bias" if array.bias_input else ""),
        "effective levels": str(array.effective_levels),
        "codebook": _shortened(" ".join(map(str, array.codebook.tolist()))),
        "code bits": str(array.code_bits),
        "input bits": str(array.input_format.width),
        "table bits": str(array.table_format.width),
        "accumulator bits": str(array.accumulator.width),
    }


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]} ... ({text.count(' ') + 1} values)"


def _designs(facts: Facts) -> dict[str, str]:
    """Numbers of the chosen designs, by flow and name."""
    told: dict[str, str] = {}
    for flow in facts.flows:
        design = facts.chosen(flow)
        told[f"{flow}: arrays"] = design.text
        told[f"{flow}: interval, cycles"] = f"{design.interval:,}"
        told[f"{flow}: latency, cycles"] = f"{design.latency:,}"
        for name, used in zip(RESOURCES, design.resources, strict=True):
            told[f"{flow}: {name}"] = f"{used:,}"
    return told


def _reports(reports: list[Report]) -> dict[str, dict[str, str]]:
    """What tools say, by their kind of report."""
    told: dict[str, dict[str, str]] = {}
    for report in reports:
        kind = " ".join(filter(None, (str(report.kind).replace("_", " "), report.stage)))
        numbers = {name: usage.used for name in RESOURCES if (usage := report.usage(name))}
        if report.latency_worst is not None:
            numbers["latency, cycles"] = report.latency_worst
        if report.interval_max is not None:
            numbers["interval, cycles"] = report.interval_max
        own = {f"{kind}: {name}": f"{n:,}" for name, n in numbers.items()}
        if report.worst_path_ns is not None:
            own[f"{kind}: worst path, ns"] = f"{report.worst_path_ns:.3f}"
        told[kind] = own
    return told


def _both(
    first: dict[str, dict[str, str]], second: dict[str, dict[str, str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """The reports of the kinds that both have."""
    pairs = [(first[kind], second[kind]) for kind in first if kind in second]
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for one, two in pairs:
        ours |= one
        theirs |= two
    return ours, theirs
