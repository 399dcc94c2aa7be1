"""One wrong bit in each kind of file of a core is found by its simulation."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cores import Core, CoreBuilder
from strategies import images, synapse_array, with_noise
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import Converter, QuantizedNetwork
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.parameters import memory_name
from synq.rtl.placement import BankedArray, place_arrays
from synq.rtl.simulate import Traffic
from verilog import difference


def small_network() -> QuantizedNetwork:
    """10-4-2; activations are rounded, and many of them clipped."""
    random = np.random.default_rng(1)
    first = synapse_array(random, 10, 4, levels=6)
    form = FixedPoint(5, first.accumulator.integer - 5, signed=False, overflow=Overflow.SAT)
    second = synapse_array(random, 4, 2, levels=6, input_format=form)
    return QuantizedNetwork((first, second), (form,))


def signed_network() -> QuantizedNetwork:
    """The same with signed inputs."""
    network = small_network()
    first = dataclasses.replace(network.arrays[0], input_format=FixedPoint(8, 2, signed=True))
    form = dataclasses.replace(network.activations[0], integer=first.accumulator.integer - 5)
    second = dataclasses.replace(network.arrays[1], input_format=form)
    return QuantizedNetwork((first, second), (form,))


DECODED = RtlDesign((RtlArray(0, 2), RtlArray(0, 3)))
UNROLLED = RtlDesign((RtlArray(0, 0, unrolled=True),) * 2)


@pytest.fixture(scope="module")
def core(build_core: CoreBuilder) -> Core:
    return build_core(small_network(), DECODED)


def found(core: Core, scratch: Path, seed: int = 0) -> str | None:
    given = images(np.random.default_rng(2), core.network, 60)
    return difference(core.run(given, scratch, Traffic(seed=seed)), core.network.run(given))


def test_the_core_itself_is_right(core: Core, tmp_path: Path) -> None:
    """Whatever its registers hold before the reset: some words of the inputs' banks, which no
    input is ever written to, are multiplied all the same."""
    for seed in range(80):
        assert found(core, tmp_path / str(seed), seed) is None


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


@pytest.mark.parametrize("index", [0, 1])
def test_a_bit_of_a_memory(core: Core, index: int, tmp_path: Path) -> None:
    """Memories are read at run time: the same executable."""
    given = images(np.random.default_rng(2), core.network, 60)
    signal = [given, *core.network.run(given).activations][index]
    placed = place_arrays(core.network, core.design)[index]
    assert isinstance(placed, BankedArray)
    busiest = np.count_nonzero(signal, axis=0).argmax()
    ((bank, word),) = np.argwhere(placed.banks.rows == busiest)
    path = core.place / memory_name(index, bank)
    right = path.read_text()
    words = right.splitlines()
    words[word] = flipped(words[word])
    try:
        path.write_text("\n".join(words) + "\n")
        assert f"array_{index}, neuron 0" in str(found(core, tmp_path))
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


@pytest.mark.parametrize(
    ("pattern", "bit", "where"),
    [
        (r"SHIFT\((\d+)\), \.BITS", 1, "array_0"),
        (r"SHIFT\(\d+\), \.BITS\((\d+)\)", 1, "array_0"),
        (r"\.TILES\((\d+)\)", 1, "TLAST"),
        # The lowest of eight is too little for a few images.
        (r"NOISE_FACTOR\((\d+)\)", 32, "array_0"),
        (r"NOISE_SHIFT\((\d+)\)", 1, "array_0"),
        (r"NOISE_KEYS\(192'h\w*(\d)\w*\)", 1, "array_0"),
    ],
    ids=["step", "bits", "tile", "factor", "shift", "key"],
)
def test_a_bit_of_the_converters(
    build_core: CoreBuilder, tmp_path: Path, pattern: str, bit: int, where: str
) -> None:
    network = small_network()
    form = FixedPoint(5, 1, True, Rounding.RND, Overflow.SAT)  # some sums saturate
    first = dataclasses.replace(network.arrays[0], converter=Converter(4, form))
    first = with_noise(first, 0.7)
    network = dataclasses.replace(network, arrays=(first, network.arrays[1]))
    core = build_core(network, DECODED)
    assert found(core, tmp_path / "right") is None
    flip = spoil(LAYER, pattern, lambda number: f"{int(number) ^ bit}")
    assert where in str(found(build_core(network, DECODED, flip), tmp_path / "wrong"))


@pytest.mark.parametrize("name", ["synq_mac_bank.v", "synq_bucket_bank.v"])
def test_a_wrong_sign_extension(build_core: CoreBuilder, tmp_path: Path, name: str) -> None:
    design = RtlDesign((RtlArray(1, 1), RtlArray(0, 3)))
    sign = r"BITS\{(X_SIGNED != 0 && x_now\[X_BITS-1\])\}"
    spoilt = build_core(signed_network(), design, spoil(name, sign, lambda right: "1'b0"))
    assert "array_0, neuron 0" in str(found(spoilt, tmp_path))
