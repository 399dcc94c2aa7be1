"""The Verilog back end: what a project says of its core, and the check of the core cycle by cycle.

The files of the core come from `synq.rtl.verilog.render_rtl`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.network import QuantizedNetwork, Trace, require_equal
from synq.progress import Progress, pieces
from synq.rtl import simulate
from synq.rtl.design import Capacity, RtlArray, RtlDesign

_Kind = TypeVar("_Kind", Capacity, RtlArray, RtlDesign)
_PARTS = 4  # simulations at a time, on any machine: the cycles counted depend on it
_TRAFFIC = {
    "run, streams that flow": simulate.Traffic(),
    "run, streams that stall": simulate.Traffic(gap=0.3, stall=0.3, seed=1),
}
_SHARES = {"lint": 1.0, "compile": 12.0, **dict.fromkeys(_TRAFFIC, 20.0)}  # of 10,000 of MNIST


@dataclass(frozen=True)
class RtlSimulation:
    """What Verilator found: every integer equal, or there would be none.

    Attributes:
        classes: (n_samples,) the answers.
        compared: integers compared with the reference.
        cycles_mean: clock cycles from an answer to the next one, streams that never wait: counted.
        cycles_most: likewise, the most.
        latency: clock cycles from the first beat of the first image to its answer.
    """

    classes: NDArray[np.int64]
    compared: int
    cycles_mean: float
    cycles_most: int
    latency: int


def read_design(manifest: Mapping[str, Any]) -> RtlDesign:
    """The design that a project's manifest describes.

    Raises:
        SynqError: it describes none.
    """
    try:
        described = _table(_table(manifest["designs"])["rtl"])
        if not isinstance(described["arrays"], list):
            raise TypeError("arrays is no list")
        arrays = tuple(_read_array(_table(array)) for array in described["arrays"])
        settings = {name: described[name] for name in described if name != "estimate"}
        return _filled(RtlDesign, {**settings, "arrays": arrays})
    except (KeyError, TypeError, ValueError) as error:
        raise SynqError(f"the manifest describes no Verilog design: {str(error)[:200]}") from None


def _read_array(given: dict[str, Any]) -> RtlArray:
    if given.get("capacity") is None:
        return _filled(RtlArray, given)
    return _filled(RtlArray, {**given, "capacity": _filled(Capacity, _table(given["capacity"]))})


def _table(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise TypeError(f"expected a table, got {given!r:.40}")
    return given


def _filled(kind: type[_Kind], given: dict[str, Any]) -> _Kind:
    """The data class with these attributes, if each is of its type."""
    types = {**get_type_hints(kind), "arrays": tuple}
    for name, value in given.items():
        whole = types.get(name, object)
        if not isinstance(value, whole) or (isinstance(value, bool) and whole is not bool):
            raise TypeError(f"{name} cannot be {value!r:.40}")
    return kind(**given)


def simulate_rtl(
    files: Mapping[str, bytes],
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
    progress: Progress,
) -> RtlSimulation:
    """Lint, compile and run a core: images back to back, then with random gaps before the beats
    and random stalls of the receiver.

    Args:
        files: the core's, by name: nothing else is compiled.
        inputs: (n_samples, n_in) raw integers.
        expected: the integer reference for them.
        scratch: an empty folder, whose path is harmless to make.

    Raises:
        NoToolError: Verilator is missing.
        SynqError: it warns, or an integer, a TLAST or a TKEEP differs.
    """
    place = scratch / "rtl"
    simulate.write_rtl(files, place)
    verilator = simulate.find_verilator().linked(scratch)
    runs: list[simulate.RtlRun] = []
    compared = 0
    with pieces(progress, "Compile and run the Verilog", _SHARES) as working:
        simulate.lint(place, verilator)
        working.done("lint")
        tell = partial(working.partly, "compile")
        executable = simulate.build(place, scratch, design, verilator, tell)
        working.done("compile")
        for name, traffic in _TRAFFIC.items():
            run = simulate.run(
                executable,
                place,
                network,
                design,
                inputs,
                scratch / f"run_{len(runs)}",
                traffic,
                _PARTS,
                tell=partial(working.partly, name),
            )
            if run.fault is not None:
                raise SynqError(f"not bit-exact: {run.fault}")
            compared += require_equal(expected, run.stages, "the Verilog")
            runs.append(run)
            working.done(name)
    free = runs[0]
    steps = free.intervals
    return RtlSimulation(
        classes=free.stages[-1][1][:, 0],
        compared=compared,
        cycles_mean=round(float(steps.mean()), 2) if len(steps) else float(free.ends[0]),
        cycles_most=int(steps.max(initial=0)),
        latency=int(free.ends[0]),
    )
