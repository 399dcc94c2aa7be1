"""Networks and chips that take turns in one core; docs/rtl.md tells.

Two networks of 784-128-10 (MNIST, recipe `paper`, two seeds, PCMO at L = 10) and, where the core
takes them, five chips of the first: each sees all test images in turns, in Verilator, and every
integer of every layer is compared. Yosys counts the same designs with a fixed network and with one
that is loaded.

    python benchmarks/reload.py [--small] [--json]

`--small` is the digits network, two chips, and synthesizes nothing.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import synq
from synq.board import load_board
from synq.errors import SynqError
from synq.network import QuantizedNetwork
from synq.planning import plan_rtl
from synq.request import MOST_HEADROOM, Datapath, Request, Target
from synq.rtl import simulate
from synq.rtl.design import RtlDesign
from synq.rtl.reload import network_words, with_capacity
from synq.rtl.verilog import render_rtl
from synq.synth import yosys

BOARD = "pynq-z2"
TURNS = 4  # of each network
CASES = {
    "decoded rows": (Request(datapath=Datapath.DECODE, target=Target.AREA), True),
    "smallest": (Request(target=Target.AREA), False),
    "fastest that fits": (Request(), False),
}
_LOADED = 1
_COUNTED = ("lut", "lutram", "ff", "bram_18k", "dsp")


@dataclass(frozen=True)
class Row:
    """One core.

    Attributes:
        networks: that took turns in it, chips among them.
        loads: how often one was loaded.
        compared: integers, all equal.
        words: of a network, as many cycles.
        gap: cycles from the last answer of a network to the first of the next one, at most; the
            first network's words come while it still computes.
        headroom: bits that the core's totals are wider than the first network's.
        fixed, reloadable: what Yosys counts, by resource.
    """

    name: str
    networks: int
    loads: int
    compared: int
    words: int
    gap: int
    headroom: int
    fixed: dict[str, int]
    reloadable: dict[str, int]


def measured(
    name: str,
    networks: list[QuantizedNetwork],
    design: RtlDesign,
    inputs: np.ndarray,
    scratch: Path,
    synthesizes: bool,
) -> Row:
    """One core, built for the first network."""
    built, words, headroom = fitting(networks, design)
    place = scratch / "rtl"
    simulate.write_rtl(render_rtl(networks[0], built), place)
    simulate.lint(place)
    executable = simulate.build(place, scratch / "build", built)
    shares = np.array_split(np.arange(len(inputs)), TURNS)
    turns = [(number, share) for share in shares for number in range(len(networks))]
    starts = np.cumsum([0] + [len(share) for _, share in turns[:-1]]).tolist()
    sent = {start: words[number] for start, (number, _) in zip(starts, turns, strict=True)}
    order = np.concatenate([share for _, share in turns])
    which = np.concatenate([np.full(len(share), number) for number, share in turns])
    run = simulate.run(
        executable, place, networks[0], built, inputs[order], scratch / "run", networks=sent
    )
    wanted = tuple((_LOADED, int(words[number][-1])) for number, _ in turns)
    if run.fault or run.loads != wanted:
        sys.exit(f"{name}: {run.fault or 'a network was not loaded'}")
    compared = 0
    traces = [network.run(inputs).stages() for network in networks]
    for stage, (layer, seen) in enumerate(run.stages):
        every = np.stack([trace[stage][1] for trace in traces])
        if np.any(every[which, order] != seen):
            sys.exit(f"{name}: {layer} differs")
        compared += seen.size
    gaps = [int(run.ends[start] - run.ends[start - 1]) for start in starts[1:]]
    counts: list[dict[str, int]] = [{}, {}]
    if synthesizes:
        for each, core in zip(counts, (design, built), strict=True):
            folder = scratch / ("fixed" if core is design else "reloadable")
            used = yosys.synthesize(render_rtl(networks[0], core), folder).total
            each.update({resource: getattr(used, resource) for resource in _COUNTED})
    return Row(
        name=name,
        networks=len(networks),
        loads=len(turns),
        compared=compared,
        words=len(words[0]),
        gap=max(gaps),
        headroom=headroom,
        fixed=counts[0],
        reloadable=counts[1],
    )


def without_capacity(design: RtlDesign) -> RtlDesign:
    """The same for one network."""
    return replace(design, arrays=tuple(replace(each, capacity=None) for each in design.arrays))


def fitting(
    networks: list[QuantizedNetwork], design: RtlDesign
) -> tuple[RtlDesign, list[np.ndarray], int]:
    """The core with the least headroom that takes all networks, their words, and the headroom."""
    for headroom in range(MOST_HEADROOM):
        built = with_capacity(networks[0], design, headroom)
        try:
            return built, [network_words(networks[0], built, each) for each in networks], headroom
        except SynqError:
            continue
    sys.exit("no headroom is enough for these networks")


def line(row: Row) -> str:
    """A row as text."""
    text = (
        f"{row.name:20} {row.networks} networks, {row.loads} loads, {row.compared:,} integers "
        f"equal; {row.words:,} words, next answer {row.gap:,} cycles later, "
        f"headroom {row.headroom}"
    )
    for resource in row.fixed:
        before, after = row.fixed[resource], row.reloadable[resource]
        text += f"; {resource} {before:,} -> {after:,}"
        if before:
            text += f" ({100 * (after - before) / before:+.1f} %)"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the digits, nothing synthesized")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    data = synq.load_data("digits" if asked.small else "mnist")
    hidden = 32 if asked.small else 128
    networks = [
        synq.quantize(
            synq.train(
                data, recipe="paper", layers=(data.test_inputs.shape[1], hidden, 10), seed=seed
            ),
            device="pcmo",
            levels=10,
            data=data,
        )
        for seed in (0, 1)
    ]
    chips = [
        synq.program(networks[0], seed=seed, device_to_device=0.1, stuck_at_min=0.005)
        for seed in range(2 if asked.small else 5)
    ]
    for name, (request, holds_chips) in CASES.items():
        asks = replace(request, reloadable=True)
        plan = plan_rtl(networks[0].network, load_board(BOARD), asks)
        loaded = [each.network for each in networks]
        if holds_chips:
            loaded += [chip.network for chip in chips]
        with tempfile.TemporaryDirectory() as scratch:
            row = measured(
                *(name, loaded, without_capacity(plan.chosen.core)),
                *(data.test_inputs, Path(scratch), not asked.small),
            )
        print(json.dumps(asdict(row)) if asked.json else line(row), flush=True)


if __name__ == "__main__":
    main()
