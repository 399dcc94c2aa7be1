"""One wrong bit in each kind of file of a core is found by its simulation."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cores import Core, CoreBuilder
from strategies import images, synapse_array
from synq.fixedpoint import FixedPoint, Overflow
from synq.network import QuantizedNetwork
from synq.rtl.design import RtlArray, RtlDesign
from verilog import difference


def small_network() -> QuantizedNetwork:
    """10-3-2; activations are rounded, and many of them clipped."""
    random = np.random.default_rng(1)
    first = synapse_array(random, 10, 3, levels=6)
    form = FixedPoint(5, first.accumulator.integer - 5, signed=False, overflow=Overflow.SAT)
    second = synapse_array(random, 3, 2, levels=6, input_format=form)
    return QuantizedNetwork((first, second), (form,))


DECODED = RtlDesign((RtlArray(0, 2), RtlArray(0, 1)))
UNROLLED = RtlDesign((RtlArray(0, 0, unrolled=True),) * 2)


@pytest.fixture(scope="module")
def core(build_core: CoreBuilder) -> Core:
    return build_core(small_network(), DECODED)


def found(core: Core, scratch: Path) -> str | None:
    given = images(np.random.default_rng(2), core.network, 60)
    return difference(core.run(given, scratch), core.network.run(given))


def test_the_core_itself_is_right(core: Core, tmp_path: Path) -> None:
    assert found(core, tmp_path) is None


def spoil(name: str, pattern: str, change: Callable[[str], str]) -> Callable[..., None]:
    """What changes the first group of a pattern, where it is first, in a file."""

    def spoilt(files: dict[str, bytes]) -> None:
        text = files[name].decode()
        match = re.search(pattern, text)
        assert match is not None
        start, end = match.span(1)
        files[name] = (text[:start] + change(match[1]) + text[end:]).encode()

    return spoilt


def flipped(digits: str) -> str:
    """Hexadecimal digits with a bit of the lowest one wrong."""
    return f"{int(digits, 16) ^ 1:0{len(digits)}x}"


@pytest.mark.parametrize("name", ["codes_0_0.mem", "codes_0_1.mem", "codes_1_0.mem"])
def test_a_bit_of_a_memory(core: Core, name: str, tmp_path: Path) -> None:
    """Memories are read at run time: the same executable."""
    path = core.place / name
    right = path.read_text()
    first, *others = right.splitlines()
    try:
        path.write_text("\n".join([flipped(first), *others]) + "\n")
        assert f"array_{name[6]}, neuron 0" in str(found(core, tmp_path))
    finally:
        path.write_text(right)


LAYER = "synq_layer_0.v"


@pytest.mark.parametrize(
    ("design", "name", "pattern", "change", "where"),
    [
        (DECODED, LAYER, r"\.VALUES\(\d+'h(\w+)\)", flipped, "array_0"),
        (DECODED, LAYER, r"\.SHIFT\((\d+)\)", lambda shift: f"{int(shift) ^ 1}", "activation_0"),
        (DECODED, LAYER, r"\.SATURATE\((1)\)", lambda saturate: "0", "activation_0"),
        (UNROLLED, "synq_neuron_0_0.v", r"(~)x\[", lambda inverter: "", "array_0, neuron 0"),
    ],
    ids=["values", "shift", "saturate", "neuron"],
)
def test_a_bit_of_the_verilog(
    build_core: CoreBuilder,
    tmp_path: Path,
    design: RtlDesign,
    name: str,
    pattern: str,
    change: Callable[[str], str],
    where: str,
) -> None:
    spoilt = build_core(small_network(), design, spoil(name, pattern, change))
    assert where in str(found(spoilt, tmp_path))
