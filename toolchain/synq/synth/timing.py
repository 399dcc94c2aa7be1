"""An estimate of the clock of a 7-series netlist: its longest path. Nothing is placed.

The model, for speed grade -1:
- a look-up table takes 0.124 ns (T_ILO, DS187), a flip-flop 0.456 ns to its output, as Vivado
  reports them; other cells what Yosys' models say (`xilinx/cells_sim.v`: Project X-Ray, Artix-7);
- a routed net takes 0.8 ns: 0.82 ns is the mean of the nine on the worst path of a routed design
  that fills a third of an xc7z020 (vivado_2019.2_xc7z020_timing_summary_routed.rpt in tests/data).
  To compare: `report_failfast` (AMD's Tcl Store, designutils) budgets 0.575 ns a look-up table and
  net, thus 0.451 ns a net, for paths that are hard to meet;
- a net that more than 64 pins listen to takes 0.5 ns more for each doubling: so the clocks agree
  with those that nextpnr routed on an xc7z020 (docs/rtl.md has them);
- what a slice holds together needs no routed net: a carry chain, a wide multiplexer, a register
  behind its table or chain.
A crowded part makes nets slower.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from synq.errors import SynqError

MODEL = "0.124 ns a LUT, 0.8 ns a net, more with many pins, 7-series -1; nothing placed"

_NET, _LUT = 0.8, 0.124
_NEAR, _DOUBLED = 64, 0.5  # pins that a net reaches in that time; ns more for twice as many
_CONSTANTS = {"$false", "$true", "$undef"}
# CARRY4, by output bit: from CI, from CYINIT; then from S of the same bit, from other S and DI.
_O_CI, _O_INIT = (0.222, 0.334, 0.239, 0.313), (0.482, 0.598, 0.584, 0.642)
_CO_CI, _CO_INIT = (0.271, 0.157, 0.228, 0.114), (0.536, 0.494, 0.592, 0.580)
_O_S, _O_OTHER, _CO_OTHER = 0.227, 0.618, 0.548
_MUXES = {"MUXF7": (0.223, 0.296), "MUXF8": (0.104, 0.273)}  # from I0 and I1, from S
_FLIP_FLOP = 0.456
_FLIP_FLOP_SETUP = {"CE": 0.109, "R": 0.404, "S": 0.404, "CLR": 0.404, "PRE": 0.404}
_MEMORY, _SHIFT = 1.190, 1.472  # clock to output
_MEMORY_SETUP = 0.654
_BLOCK, _BLOCK_REGISTERED, _BLOCK_SETUP = 2.454, 0.882, 0.737
_DSP = 0.329  # with PREG; without: from MREG or CREG, from AREG or BREG
_DSP_M, _DSP_INPUT = 1.687, 2.952
_DSP_SETUP = {"AREG": 0.254, "MREG": 1.416, "PREG": 2.700}  # to the first register there is
_CLOCKS = {"C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"}


@dataclass(frozen=True)
class Longest:
    """The longest path from a register to a register.

    Attributes:
        ns: clock to clock, setup time included.
        nets_ns: of these, on nets.
        levels: look-up tables, those read as memory included, and carry chains.
        start: what the register drives that it leaves.
        end: what the register drives where it ends.
    """

    ns: float
    nets_ns: float
    levels: int
    start: str
    end: str


def facts(longest: Longest | None) -> dict[str, Any]:
    """The fields of a report."""
    if longest is None:
        return {}
    logic = longest.ns - longest.nets_ns
    return {
        "estimated_clock_ns": round(longest.ns, 3),
        "clock_model": MODEL,
        "logic_levels": longest.levels,
        "critical_path": f"{longest.start} to {longest.end}: {logic:.2f} ns logic, "
        f"{longest.nets_ns:.2f} ns nets",
    }


def analyse(netlist: Path) -> Longest | None:
    """The longest path of a flat netlist, as Yosys writes it for `synth_xilinx -family xc7`.

    Returns:
        None if there is no path, or a loop of logic, which has no longest one.

    Raises:
        SynqError: a cell is not known.
    """
    pins: Counter[str] = Counter()
    for cell in _cells(netlist):
        if cell.kind != "alias":
            pins.update(net for pin, net in cell.pins.items() if not _is_output(cell.kind, pin))
    graph = _Graph(pins)
    for cell in _cells(netlist):
        graph.add(cell)
    return graph.longest()


class _Cell(NamedTuple):
    kind: str
    pins: dict[str, str]
    parameters: dict[str, str]

    def has(self, register: str) -> bool:
        return self.parameters.get(register, "0").strip('"').lstrip("0") != ""

    @property
    def name(self) -> str:
        """A net that it drives; the shortest, since made-up names are long."""
        driven = [net for pin, net in self.pins.items() if _is_output(self.kind, pin)]
        return min(driven, key=lambda net: ("$" in net, len(net), net), default=self.kind)


class _Arc(NamedTuple):
    """From a net through a cell: how long, how many levels, and how much of it is net."""

    net: str
    ns: float
    levels: int
    net_ns: float


class _Arrival(NamedTuple):
    ns: float
    nets_ns: float
    levels: int
    start: str


def _cells(netlist: Path) -> Iterator[_Cell]:
    cell: _Cell | None = None
    alias: list[str] = []
    with netlist.open() as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == ".param" and cell is not None:
                cell.parameters[words[1]] = words[2]
                continue
            if len(alias) == 2 and words == ["1", "1"]:
                yield _Cell("alias", {"I": alias[0], "O": alias[1]}, {})
            alias = words[1:] if words[0] == ".names" else []
            if cell is not None:
                yield cell
                cell = None
            if words[0] == ".gate":
                pins = (word.partition("=") for word in words[2:])
                used = {pin: net for pin, _, net in pins if net and net not in _CONSTANTS}
                cell = _Cell(words[1], used, {})
    if cell is not None:
        yield cell


def _is_output(kind: str, pin: str) -> bool:
    name = pin.partition("[")[0]
    if kind.startswith("RAMB"):
        return name.startswith("DO")
    if kind == "DSP48E1":
        return name in ("P", "PCOUT")
    if kind == "CARRY4":
        return name in ("O", "CO")
    if kind.startswith(("RAM", "SRL")):
        return name.startswith(("DO", "Q")) or name in ("O", "SPO", "DPO")
    return name in ("O", "Q")


class _Graph:
    """Nets, the arcs to each, where paths start, and where they end."""

    def __init__(self, pins: Counter[str]) -> None:
        self._pins = pins  # that listen to a net
        self._arcs: dict[str, list[_Arc]] = defaultdict(list)
        self._starts: dict[str, _Arrival] = {}
        self._ends: list[tuple[str, float, float, str]] = []  # net, net ns, setup ns, name
        self._slices: set[str] = set()  # nets that a table, a chain or a multiplexer drives
        self._tables: set[str] = set()
        self._chains: set[str] = set()

    def _net(self, net: str) -> float:
        """ns from what drives a net to the furthest of its pins."""
        return _NET + _DOUBLED * math.log2(max(1.0, self._pins[net] / _NEAR))

    def add(self, cell: _Cell) -> None:
        kind, pins = cell.kind, cell.pins
        if not any(_is_output(kind, pin) for pin in pins):
            return
        if kind in ("alias", "INV", "BUF"):
            self._arcs[pins["O"]] += [_Arc(pins["I"], 0, 0, 0)] if "I" in pins else []
        elif re.fullmatch("LUT[1-6]", kind):
            self._tables.add(pins["O"])
            self._gate(pins["O"], [net for pin, net in pins.items() if pin != "O"], _LUT, 1)
        elif kind == "CARRY4":
            self._carry(pins)
        elif kind in _MUXES:
            for pin in ("I0", "I1", "S"):
                if pin in pins:
                    net_ns = self._net(pins[pin]) if pin == "S" else 0.0
                    ns = _MUXES[kind][pin == "S"]
                    self._arcs[pins["O"]].append(_Arc(pins[pin], ns, 0, net_ns))
            self._tables.add(pins["O"])
        elif kind in ("FDRE", "FDSE", "FDCE", "FDPE"):
            self._register(cell, lambda _: _FLIP_FLOP, lambda pin: _FLIP_FLOP_SETUP.get(pin, 0.0))
        elif kind.startswith("RAMB"):
            self._register(cell, lambda pin: _block(cell, pin), lambda _: _BLOCK_SETUP)
        elif kind == "DSP48E1":
            self._register(cell, lambda _: _dsp_output(cell), lambda pin: _dsp_setup(cell, pin))
        elif kind.startswith(("RAM", "SRL")):
            out = _SHIFT if kind.startswith("SRL") else _MEMORY
            self._register(cell, lambda _: out, lambda _: _MEMORY_SETUP)
            self._read(cell)
        else:
            raise SynqError(f"Yosys used {kind}, whose delay is not known")

    def _gate(self, output: str, inputs: list[str], ns: float, levels: int) -> None:
        self._arcs[output] += [_Arc(net, ns, levels, self._net(net)) for net in inputs]

    def _carry(self, pins: dict[str, str]) -> None:
        for bit in range(4):
            for pin, ci, init, other in (
                ("O", _O_CI, _O_INIT, _O_OTHER),
                ("CO", _CO_CI, _CO_INIT, _CO_OTHER),
            ):
                if (output := pins.get(f"{pin}[{bit}]")) is None:
                    continue
                self._chains.add(output)
                arcs = self._arcs[output]
                if "CI" in pins:
                    arcs.append(_Arc(pins["CI"], ci[bit], 0, 0.0))
                if "CYINIT" in pins:
                    arcs.append(_Arc(pins["CYINIT"], init[bit], 1, self._net(pins["CYINIT"])))
                for lower in range(bit + 1):
                    own = pin == "O" and lower == bit
                    if (net := pins.get(f"S[{lower}]")) is not None:
                        arcs.append(_Arc(net, _O_S if own else other, 1, 0.0))
                    if not own and (net := pins.get(f"DI[{lower}]")) is not None:
                        arcs.append(_Arc(net, other, 1, self._net(net)))

    def _register(self, cell: _Cell, out: Any, setup: Any) -> None:
        name = _shown(cell.name)
        for pin, net in cell.pins.items():
            stem = pin.partition("[")[0]
            if _is_output(cell.kind, pin):
                self._starts[net] = _Arrival(out(stem), 0.0, 0, _shown(net))
            elif stem not in _CLOCKS:
                beside = cell.kind.startswith("FD") and stem == "D"
                self._ends.append((net, 0.0 if beside else self._net(net), setup(stem), name))

    def _read(self, cell: _Cell) -> None:
        """A memory in look-up tables is read as they are: output X from addresses X."""
        addresses = defaultdict(list)
        for pin, net in cell.pins.items():
            stem = pin.partition("[")[0]
            if stem.startswith(("ADDR", "A", "DPRA")):
                addresses[stem].append(net)
        for pin, net in cell.pins.items():
            stem = pin.partition("[")[0]
            if not _is_output(cell.kind, pin):
                continue
            one = f"ADDR{stem[-1]}"
            inputs = addresses.get(one) or [n for each in addresses.values() for n in each]
            self._gate(net, inputs, _LUT, 1)

    def longest(self) -> Longest | None:
        arrivals = dict(self._starts)
        waiting = {net: len(arcs) for net, arcs in self._arcs.items()}
        readers: dict[str, list[str]] = defaultdict(list)
        for net, arcs in self._arcs.items():
            for arc in arcs:
                readers[arc.net].append(net)
        ready = [net for net in [*readers, *waiting] if not waiting.get(net)]
        settled = 0
        for net in (ready := list(dict.fromkeys(ready))):
            if net in waiting:
                settled += 1
                self._settle(net, arrivals)
            for reader in readers.get(net, ()):
                waiting[reader] -= 1
                if waiting[reader] == 0:
                    ready.append(reader)
        if settled < len(waiting):
            return None
        best: Longest | None = None
        for net, net_ns, setup, name in self._ends:
            if (arrival := arrivals.get(net)) is None:
                continue
            if net_ns == 0 and net not in self._tables and net not in self._chains:
                net_ns = self._net(net)
            ns = arrival.ns + net_ns + setup
            if best is None or ns > best.ns:
                nets_ns = arrival.nets_ns + net_ns
                best = Longest(ns, nets_ns, arrival.levels, arrival.start, name)
        return best

    def _settle(self, net: str, arrivals: dict[str, _Arrival]) -> None:
        """The latest arrival over a net's arcs, and over what its register drives."""
        latest = arrivals.get(net)
        for arc in self._arcs[net]:
            if (before := arrivals.get(arc.net)) is None:
                continue
            ns = before.ns + arc.ns + arc.net_ns
            if latest is None or ns > latest.ns:
                levels = before.levels + arc.levels
                latest = _Arrival(ns, before.nets_ns + arc.net_ns, levels, before.start)
        if latest is not None:
            arrivals[net] = latest


def _block(cell: _Cell, pin: str) -> float:
    side = "DOA_REG" if pin.startswith(("DOA", "DOPA")) else "DOB_REG"
    return _BLOCK_REGISTERED if cell.has(side) else _BLOCK


def _dsp_output(cell: _Cell) -> float:
    if cell.has("PREG"):
        return _DSP
    return _DSP_M if cell.has("MREG") or cell.has("CREG") else _DSP_INPUT


def _dsp_setup(cell: _Cell, pin: str) -> float:
    if pin in ("A", "B", "C", "D") and cell.has(f"{pin}REG"):
        return _DSP_SETUP["AREG"]
    if pin in ("A", "B", "D") and cell.has("MREG"):
        return _DSP_SETUP["MREG"]
    return _DSP_SETUP["PREG"] if pin in ("A", "B", "D") else _DSP_SETUP["MREG"]


def _shown(net: str) -> str:
    """A net's name in the sources where it has one; else where in the hierarchy it is."""
    name = re.sub(r"^\$flatten\\", "", net).replace("\\", "")
    return re.split(r"\.?\$", name)[0][:80] or "a net without a name"
