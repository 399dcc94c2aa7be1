"""The facts of a page, in a project whose manifest vouches for them."""

import tempfile
from functools import cache
from pathlib import Path

from fuzzing.kind import JSON, Kind, mutated
from samples import samples
from synq.board import load_board
from synq.chip import Conditions, program
from synq.device import load_device
from synq.learn.prepare import Quantized, Stopwatch, fitted, quantized
from synq.page.facts import FACTS
from synq.page.gather import gather
from synq.page.project_page import fresh_page
from synq.planning import plan_rtl
from synq.progress import SILENT
from synq.project.manifest import write_manifest
from synq.project.output import write_files
from synq.quantizing import Quantization
from synq.request import Flow, Request
from synq.variation import Variation


@cache
def _prepared() -> Quantized:
    with tempfile.TemporaryDirectory() as place:
        network, dataset = samples(Path(place))
        loaded, choice = fitted(network, dataset), Quantization(10)
        watch = Stopwatch()
        return quantized(loaded, load_device("pcmo"), choice, Path(place), watch, SILENT)


def _facts(prepared: Quantized) -> bytes:
    board = load_board("pynq-z2")
    plans = {Flow.RTL: plan_rtl(prepared.network, board, Request())}
    found = {"images": 200, "compared": {"rtl": 1000}, "mismatches": 0}
    return gather("mine", prepared, board, plans, prepared.scores, found, None).to_json()


def _cases(seed: int, count: int) -> "list[bytes]":
    design = _prepared()
    given = (design.network, design.device, design.quantization)
    chip = program(*given, Conditions(Variation(0.2)))
    originals = [_facts(design), _facts(design.on_chip(chip))]
    return list(mutated(originals, JSON)(seed, count))


def read_page(path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        files = {FACTS: path.read_bytes(), "network.npz": _prepared().network.to_npz()}
        write_files(Path(place), files)
        write_manifest(Path(place), {})
        fresh_page(Path(place), [])


KINDS = {FACTS: Kind(FACTS, lambda seed, count: iter(_cases(seed, count)), read_page, cost=20)}
