"""What Yosys' `stat -json` says after technology mapping: resources of the core and its layers.

They are of before placement: the vendor's tools pack and optimize differently.
"""

from dataclasses import asdict, astuple, dataclass
from functools import cache
from typing import Any

from synq.cost import Resources
from synq.errors import SynqError
from synq.rtl.verilog import TOP
from synq.synth import result
from synq.synth.result import Kind, LayerResources, Report, Usage
from synq.synth.tool_json import MOST, Facts, count, read_json

_LAYER = "synq_layer_"  # what the modules of layers are called, before their number

# Look-up tables that a primitive takes: UG474 (table 2-3, "Distributed RAM") and UG953; UG574 and
# UG974; of ECP5, those of four inputs: FPGA-DS-02012, "PFU Blocks".
_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
    "CCU2C": 2,  # two bits of a carry chain
}
_MEMORY_LUTS = {
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM16X1D": 2,
    "RAM16X1S": 1,
    "RAM32M": 4,
    "RAM32M16": 8,
    "RAM32X1D": 2,
    "RAM32X1S": 1,
    "RAM32X2S": 2,
    "RAM64M": 4,
    "RAM64M8": 8,
    "RAM64X1D": 2,
    "RAM64X1S": 1,
    "RAM64X8SW": 8,
    "RAM128X1D": 4,
    "RAM128X1S": 2,
    "RAM256X1D": 8,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "TRELLIS_DPR16X4": 4,
}
_WRITE_LUTS = {"TRELLIS_DPR16X4": 2}  # the slice whose look-up tables carry address and data
_BLOCKS = {
    **{"RAMB18E1": 1, "RAMB36E1": 2, "RAMB18E2": 1, "RAMB36E2": 2},
    **{"DP16KD": 1, "PDPW16KD": 1},
}
_FLIP_FLOPS = {
    *("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1"),
    "TRELLIS_FF",
}
_DSPS = {"DSP48E1", "DSP48E2", "MULT18X18D"}
# Parts of a slice beside its look-up tables, and what is not hardware.
_FREE = {"CARRY4", "CARRY8", *(f"MUXF{n}" for n in (7, 8, 9)), "PFUMX", "L6MUX21", "$scopeinfo"}


@dataclass(frozen=True)
class Statistics:
    """What Yosys counted.

    Attributes:
        tool: name and version of the program.
        total: the whole core.
        layers: each layer's share, by the module's name; what is missing to the total joins them.
    """

    tool: str
    total: Resources
    layers: dict[str, Resources]


def parse_statistics(text: str) -> Statistics:
    """What `stat -json` printed after technology mapping.

    Raises:
        SynqError: it is no such text, or has a primitive whose cost is not known.
    """
    return _statistics(read_json(text, "the statistics of Yosys"))


def parse_report(text: str) -> Report:
    """The same as a report, with what `with_facts` added.

    Raises:
        SynqError: as `parse_statistics`.
    """
    content = read_json(text, "the statistics of Yosys")
    statistics, facts = _statistics(content), Facts.of(content)
    used = {name: Usage(n, None) for name, n in asdict(statistics.total).items()}
    return Report(
        kind=Kind.YOSYS_STATISTICS,
        tool_version=result.known(statistics.tool.removeprefix("Yosys ")),
        part=result.normalize_part(facts.text("part")),
        top=TOP,
        stage="synthesized",
        target_clock_ns=facts.number("clock_ns"),
        estimated_clock_ns=facts.number("estimated_clock_ns"),
        clock_model=facts.text("clock_model"),
        logic_levels=facts.count("logic_levels"),
        critical_path=facts.text("critical_path"),
        lut=used["lut"],
        lutram=used["lutram"],
        ff=used["ff"],
        bram_18k=used["bram_18k"],
        dsp=used["dsp"],
        layers=tuple(
            LayerResources(result.known(name) or "", resources)
            for name, resources in statistics.layers.items()
        ),
    )


def _statistics(content: dict[str, Any]) -> Statistics:
    try:
        modules: dict[str, dict[str, int]] = {}
        for key, module in content["modules"].items():
            if (name := key.removeprefix("\\")) in modules:
                raise ValueError(f"module {name[:80]!r} stands there twice")
            modules[name] = {
                kind.removeprefix("\\"): count(number)
                for kind, number in {
                    **module.get("num_submodules_by_type", {}),
                    **module["num_cells_by_type"],
                }.items()
            }
        tool = str(content["creator"]).split(" (")[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynqError(f"not the statistics of Yosys: {error!r}") from None
    if TOP not in modules:
        raise SynqError(f"the statistics of Yosys have no module {TOP}")
    cost = _Cost(modules)
    layers = {
        name: cost.of(name) * instances
        for name, instances in sorted(modules[TOP].items())
        if name in modules and name.startswith(_LAYER)
    }
    return Statistics(tool, cost.of(TOP), layers)


class _Cost:
    """What each module costs, with those in it."""

    def __init__(self, modules: dict[str, dict[str, int]]) -> None:
        self._modules = modules
        self._open: list[str] = []
        self.of = cache(self._of)

    def _of(self, name: str) -> Resources:
        if name in self._open or len(self._open) > 100:
            raise SynqError(f"the statistics of Yosys have module {name[:80]!r} inside itself")
        self._open.append(name)
        resources = Resources()
        for kind, instances in self._modules[name].items():
            one = self.of(kind) if kind in self._modules else _primitive(kind)
            resources += one * instances
        self._open.pop()
        if max(astuple(resources)) >= MOST:
            raise SynqError(f"the statistics of Yosys count {MOST:,} and more in {name[:80]!r}")
        return resources


def _primitive(kind: str) -> Resources:
    if kind in _LUTS:
        return Resources(lut=_LUTS[kind])
    if kind in _MEMORY_LUTS:
        memory = _MEMORY_LUTS[kind]
        return Resources(lut=memory + _WRITE_LUTS.get(kind, 0), lutram=memory)
    if kind in _BLOCKS:
        return Resources(bram_18k=_BLOCKS[kind])
    if kind in _FLIP_FLOPS:
        return Resources(ff=1)
    if kind in _DSPS:
        return Resources(dsp=1)
    if kind in _FREE:
        return Resources()
    raise SynqError(f"Yosys used {result.known(kind)}, whose cost is not known")
