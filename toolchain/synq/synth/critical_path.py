"""A routed path of a 7-series core, told in the names of its sources.

Yosys names what it makes after itself (`$flatten\\core.layer_0.$auto$ff.cc:337:slice$21978`); only
nets that stand in a source keep their names, and with them the module that declares them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synq.synth import result

_CORE = "core."  # the instance in the shell around the core
_GENERATED = re.compile(r"g_(\w+)\[(\d+)\]\.\w+")  # for ... begin : g_lane ... lane
_SOURCE = re.compile(r"(?:.*/)?(synq_\w+)\.v:(\d+)\.\d+-(\d+)\.\d+")
_PURPOSES = {"CE": "a clock enable", "SR": "a reset"}  # ports of a flip-flop
ROUTING = "routing"
"""Nextpnr's word for a net."""

_LONGEST = 80  # characters of a place: two must fit in a line


@dataclass(frozen=True)
class Step:
    """A part of a path: through a cell, or over a net from a cell to the next.

    Attributes:
        kind: nextpnr's word: "clk-skew", "clk-to-q", "logic", "routing" or "setup".
        ns: how long it takes.
        cell: where it ends.
        port: of that cell.
        net: that it runs over, if it is routing.
        sources: where the net stands in the sources, as "synq_array.v:57.23-57.28".
    """

    kind: str
    ns: float
    cell: str
    port: str
    net: str | None = None
    sources: tuple[str, ...] = ()


def length(steps: Sequence[Step]) -> float:
    """Of a path, in ns: clock to clock."""
    return sum(step.ns for step in steps)


def describe(steps: Sequence[Step], times: str | None = None) -> str | None:
    """Where a path runs, in one line: from which signal of which module to what, and of what its
    time is made; None if it is empty.

    Args:
        times: what its time is made of, if that has been added up already.

    >>> describe([Step("routing", 1.2, "core.layer_0.array.g_bank[1].bank.g_lane[5].lane.x", "CE",
    ...                "core.layer_0.array.set_at[4]", ("synq_array_serial.v:60.19-60.25",))])
    'layer_0.array.set_at[4] (synq_array_serial) to layer_0.array, bank 1, lane 5, x, a clock \
enable: 0.00 ns logic, 1.20 ns routing'
    """
    if not steps:
        return None
    last = steps[-1]
    end = _place(last.cell)
    if (purpose := _PURPOSES.get(last.port)) is not None:
        end += f", {purpose}"
    if times is None:
        routing = sum(step.ns for step in steps if step.kind == ROUTING)
        times = f"{length(steps) - routing:.2f} ns logic, {routing:.2f} ns routing"
    return result.known(f"{_start(steps)} to {end}: {times}")


def _start(steps: Sequence[Step]) -> str:
    """The first net of the path that has a name, and the module that declares it."""
    for step in steps:
        if step.net is not None and "$" not in step.net:
            module = _module(step.sources)
            return f"{_place(step.net)} ({module})" if module else _place(step.net)
    return _place(steps[0].cell)


def _module(sources: Sequence[str]) -> str | None:
    """Of a signal's sources that of its declaration; the others are of the instances around it,
    which fill several lines."""
    for source in sources:
        found = _SOURCE.fullmatch(source)
        if found is not None and found[2] == found[3]:
            return found[1]
    return None


def _place(name: str) -> str:
    """A name without what Yosys and nextpnr hang on it, and lanes and banks as one says them."""
    own = name.removeprefix("$flatten").replace("\\", "")
    own = own.removeprefix(_CORE).split("/")[0]  # nextpnr parts a memory's tables with a slash
    own = re.sub(r"\.?\$.*|(\.\d+)+$", "", own)
    told = _GENERATED.sub(r"|\1 \2|", own).split("|")
    words = [word.strip(".") for word in told]
    return ", ".join(word for word in words if word)[:_LONGEST] or "the shell around the core"
