"""Recheck a project folder: its files, its network, and its simulations, bit by bit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import __version__
from synq.cache import default_cache_dir
from synq.errors import SynqError
from synq.exporting import below
from synq.hls.back_end import simulate_hls
from synq.network import QuantizedNetwork
from synq.npz import Member, read_npz
from synq.page.facts import FACTS, facts_from_json
from synq.page.project_page import PAGE, page_as_exported
from synq.progress import Progress
from synq.project.contents import (
    Contents,
    read_contents,
    read_flows,
    read_task,
    render_contents,
    rtl_core,
)
from synq.project.manifest import (
    bit_exact,
    describe_network,
    in_a_line,
    read_files,
    read_manifest,
)
from synq.request import Flow
from synq.rtl.back_end import simulate_rtl
from synq.rtl.formal import Verdict, prove_core, require_packages
from synq.score import Task, integer_score
from synq.scratch import scratch_folder

_MAX_VECTOR_BYTES = 8 << 30
_VECTORS = {
    "inputs": Member("iu", "uint8 or int8: (samples, inputs)", (2, 2)),
    "labels": Member("if", "int64, one a sample, or float64 targets", (1, 2)),
}


@dataclass(frozen=True)
class Verification:
    """A project found to be as exported.

    Attributes:
        files: how many were compared with their SHA-256.
        rendered: how many of them were rendered anew and are the same; none if another version of
            synq has made the project, `made_by`.
        flows: back ends that were simulated.
        bit_exact: images, integers compared by check, and mismatches.
        score: of the integer reference and so of every simulation, in its task's metric.
        proofs: of the Verilog, all of them proven; empty unless they were asked for.
    """

    files: int
    rendered: int
    made_by: str
    flows: tuple[Flow, ...]
    bit_exact: dict[str, Any]
    task: Task
    score: float
    proofs: tuple[Verdict, ...] = ()

    @property
    def shown_score(self) -> str:
        """As people read it: "96.50 % accuracy"."""
        shown = self.task.shown(self.score)
        return f"{shown} accuracy" if self.task is Task.CLASSIFICATION else shown

    @property
    def images(self) -> int:
        """How many were simulated by each back end and compared, every layer."""
        return int(self.bit_exact["images"])


def verify(project: Path, progress: Progress, formal: bool = False) -> Verification:
    """Recheck every digest, render anew what needs no TensorFlow, and run every simulation.

    Args:
        formal: whether the Verilog's modules are proven, too, with the project's parameters.

    Raises:
        NoToolError: the project has Verilog, and Verilator is missing, or what proofs need.
        SynqError: a file is missing, changed or added, is not as synq renders it, an integer
            differs, or a proof fails; names the first.
    """
    manifest = read_manifest(project)
    with progress.task("Read the files"):
        files = read_files(project, manifest)
    flows = read_flows(manifest)
    network = QuantizedNetwork.from_npz(project / "network.npz")
    if manifest.get("network") != json.loads(json.dumps(describe_network(network))):
        raise SynqError(f"{project}: network.npz is not the network that the manifest describes")
    task = read_task(manifest)
    inputs, labels = read_vectors(project / "vectors.npz", network, task)
    with progress.task("Compute the reference"):
        expected = network.run(inputs)
    contents = read_contents(manifest, network, inputs, labels, expected)
    if formal:
        if contents.rtl is None:
            raise SynqError(f"{project} has no Verilog to prove", settings=("formal",))
        require_packages()
    made_by = str(manifest.get("synq"))
    rendered = 0
    if made_by == __version__:
        with progress.task("Render the files anew"):
            rendered = _compare_rendered(project, files, contents)
            rendered += _compare_page(project, files, network, manifest)
    compared: dict[str, int] = {}
    proofs: tuple[Verdict, ...] = ()
    with scratch_folder() as scratch:
        if contents.hls is not None:
            hls, place = below("hls", files), scratch / "csim"
            compared |= simulate_hls(
                hls, network, inputs, expected, place, default_cache_dir(), progress
            ).compared
        if contents.rtl is not None:
            rtl, place = rtl_core(files), scratch / "verilog"
            compared["rtl"] = simulate_rtl(
                rtl, network, contents.rtl, inputs, expected, place, progress
            ).compared
            if formal:
                proofs = prove_core(rtl, network, contents.rtl, scratch / "formal", progress)
    score = integer_score(task, network, expected.answers, labels)
    stated = manifest.get(task.metric)
    if not isinstance(stated, dict):
        raise SynqError(f"{project}: the manifest states no {task.metric}: export it again")
    for name in [{Flow.HLS: "csim", Flow.RTL: "rtl"}[flow] for flow in flows]:
        if stated.get(name) != score:
            raise SynqError(
                f"the manifest states an {task.words} of {stated.get(name)}, it is {score}"
            )
    found = bit_exact(expected, compared)
    return Verification(len(files), rendered, made_by, flows, found, task, score, proofs)


def _compare_rendered(project: Path, files: Mapping[str, bytes], contents: Contents) -> int:
    """Refuse files that are not what their network and design give; how many are.

    Raises:
        SynqError: one differs or is missing; names it.
    """
    try:
        rendered = render_contents(contents)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SynqError(f"{project}: the manifest describes no project: {error!r:.100}") from None
    for name, content in rendered.items():
        if files.get(name) != content:
            what = "is not what its network and design give" if name in files else "is missing"
            raise SynqError(f"{project} is not as exported: {name} {what}")
    # Of hls4ml and TensorFlow; and the page's, which libraries of other versions draw otherwise.
    others = ("hls/", "logs/", "qkeras_model.h5", FACTS, PAGE)
    strange = [name for name in files if name not in rendered and not name.startswith(others)]
    if strange:
        raise SynqError(f"{project} is not as exported: {in_a_line(strange[0])} was added")
    return len(rendered)


def _compare_page(
    project: Path,
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    manifest: Mapping[str, Any],
) -> int:
    """Refuse a page that is not what its facts give; whether it was drawn anew, as a number.

    Raises:
        SynqError: it differs or is missing; or its facts are damaged, or other scores than the
            manifest's.
    """
    try:
        facts = facts_from_json(files.get(FACTS, b""))
        page = page_as_exported(facts, network, manifest)
    except ValueError as error:
        raise SynqError(f"{project} is not as exported: {FACTS}: {error!s:.200}") from None
    if {stage.name: stage.score for stage in facts.stages} != manifest.get(facts.kind.metric):
        raise SynqError(f"{project} is not as exported: {FACTS} states other scores")
    if PAGE not in files or page not in (None, files[PAGE]):
        raise SynqError(f"{project} is not as exported: {PAGE} is not what {FACTS} gives")
    return int(page is not None)


def read_vectors(
    path: Path, network: QuantizedNetwork, task: Task
) -> tuple[NDArray[np.uint8 | np.int8], NDArray[Any]]:
    """The test inputs and labels of a project: (n_samples, n_in), and class numbers (n_samples,) or
    real targets (n_samples, n_out).

    Inputs of a signed format are int8, others uint8.

    Raises:
        SynqError: the file cannot be read, holds no sample, or is of another network.
    """
    parts = read_npz(path, _VECTORS, _MAX_VECTOR_BYTES)
    inputs, labels = parts["inputs"], parts["labels"]
    wanted = network.input_format.byte_type
    whole = task is Task.CLASSIFICATION
    if inputs.dtype != wanted or labels.dtype != (np.int64 if whole else np.float64):
        raise SynqError(
            f"{path}: inputs must be {np.dtype(wanted)} and labels "
            f"{'int64' if whole else 'float64'}: export the project again"
        )
    if labels.shape[1:] != (() if whole else network.sizes[-1:]) or not np.isfinite(labels).all():
        raise SynqError(f"{path}: {labels.shape} labels are not those of a {task}")
    if inputs.shape != (len(labels), network.sizes[0]) or not len(labels):
        raise SynqError(
            f"{path}: {inputs.shape} inputs and {labels.shape} labels are not those of a network "
            f"of {network.sizes[0]} inputs: export the project again"
        )
    return inputs, labels
