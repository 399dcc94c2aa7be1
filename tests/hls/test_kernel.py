"""The C++ kernel by itself: every datapath, number of rows and event mode, on random arrays.

One compilation holds many arrays, each with its own configuration, so that the property is checked
on many more than a project at a time would allow.
"""

import dataclasses
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hls4ml
import numpy as np
import pytest

from strategies import synapse_array, with_converters
from synq.fixedpoint import FixedPoint
from synq.hls.design import ArrayPlan
from synq.hls.kernel import CONFIG_CPP, kernel_constants
from synq.hls.layout import Layout
from synq.network import SynapseArray
from synq.request import Datapath
from synq.resources import folder

KERNEL = folder("hls_templates") / "nnet_synapse_array.h"
UTILITIES = Path(hls4ml.__file__).parent / "templates" / "vivado"
_IMAGES = 6


def random_plan(random: np.random.Generator, array: SynapseArray) -> ArrayPlan:
    """Any; with converters, one whose rows fill the tiles."""
    datapath = Datapath(random.choice(["decode", "bank", "buckets"]))
    rows = int(random.integers(1, 10))
    if array.converter is not None and len(array.tiles) > 1:
        rows = int(np.gcd(rows * int(random.integers(1, 4)), array.converter.tile_rows))
    decoded = {
        Datapath.DECODE: rows,
        Datapath.BANK: int(random.integers(0, rows)),
        Datapath.BUCKETS: 0,
    }[datapath]
    return ArrayPlan(datapath, rows, decoded, bool(random.integers(2)))


def random_array(random: np.random.Generator) -> SynapseArray:
    """Any shape, width and codebook; every other one symmetric, as a differential pair's is."""
    width = int(random.integers(1, 13))
    array = synapse_array(
        random,
        n_in=int(random.integers(1, 40)),
        n_out=int(random.integers(1, 40)),
        levels=int(random.choice([1, 2, 3, 5, 10, 25, 256])),
        table_width=int(random.integers(2, 17)),
        input_format=FixedPoint(width, 0, signed=width > 1 and bool(random.integers(2))),
        bias=bool(random.integers(2)),
    )
    if random.integers(2):
        return array
    half = np.abs(array.codebook[array.codebook > array.table_format.min_raw])
    codebook = np.unique(np.concatenate([half, -half, [0] * int(random.integers(2))]))
    codebook = codebook[:: -(-len(codebook) // 100) or 1]
    codebook = np.unique(np.concatenate([codebook, -codebook])).astype(np.int64)
    if len(codebook) == 0:
        return array
    codes = random.integers(0, len(codebook), array.codes.shape, dtype=np.uint8)
    return dataclasses.replace(array, codes=codes, codebook=codebook)


def program(cases: list[tuple[SynapseArray, ArrayPlan]]) -> str:
    """C++ that runs each array on inputs from standard input and prints the sums."""
    parts = ['#include "nnet_synapse_array.h"', "#include <cstdio>"]
    calls = []
    for index, (array, plan) in enumerate(cases):
        low, high = array.accumulator_range
        config = CONFIG_CPP.format(
            index=index,
            n_in=array.n_in,
            n_rows=array.n_rows,
            n_out=array.n_out,
            table_width=array.table_format.width,
            accum_width=array.accumulator.width,
            bias_input=array.bias_input or 0,
            accum_min=low,
            accum_max=high,
            **kernel_constants(array, plan),
        )
        data_t, width = array.input_format.ap_type, array.input_format.width
        result_t = array.accumulator.ap_type
        parts += [Layout(array, plan.parallel_rows).header(f"array_{index}"), config]
        calls.append(f"""
    for (int image = 0; image < {_IMAGES}; image++) {{
        {data_t} data[{array.n_in}];
        {result_t} res[{array.n_out}];
        for (int i = 0; i < {array.n_in}; i++) {{
            int raw;
            if (scanf("%d", &raw) != 1) return 1;
            data[i].range({width - 1}, 0) = ap_uint<{width}>(raw);
        }}
        nnet::synapse_array<{data_t}, {result_t}, config{index}>(
            data, res, array_{index}_codes, array_{index}_values);
        for (int j = 0; j < {array.n_out}; j++) {{
            ap_int<{array.accumulator.width}> raw = res[j].range({array.accumulator.width - 1}, 0);
            printf("%lld ", (long long)raw.to_int64());
        }}
    }}""")
    return "\n".join([*parts, "int main() {", *calls, "return 0;", "}"])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("kernel")
    (place / "nnet_synapse_array.h").write_text(KERNEL.read_text())
    yield place


@pytest.mark.parametrize("seed", range(3))
def test_every_datapath_is_exact_on_random_arrays(build: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    arrays = [random_array(random) for _ in range(20)]
    arrays[::2] = [with_converters(random, array) for array in arrays[::2]]
    cases = [(array, random_plan(random, array)) for array in arrays]
    inputs = []
    for array, _ in cases:
        bottom, top = array.input_format.min_raw, array.input_format.max_raw
        images = random.integers(bottom, top + 1, (_IMAGES, array.n_in))
        images[0], images[1], images[4] = 0, top, bottom
        images[2:4] *= random.random((2, array.n_in)) < 0.3
        inputs.append(images)
    (build / "main.cpp").write_text(program(cases))
    # Vivado HLS takes no later standard.
    command = ["g++", "-std=c++11", "-O1", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-label"]
    command += ["-I.", f"-I{UTILITIES / 'ap_types'}", f"-I{UTILITIES / 'nnet_utils'}"]
    compiled = subprocess.run(
        [*command, "-o", "main", "main.cpp"], cwd=build, capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stderr[:3000]
    assert not re.search(r"nnet_synapse_array\.h:\d+:\d+: warning", compiled.stderr)
    given_text = " ".join(str(value) for images in inputs for value in images.flatten())
    ran = subprocess.run(
        [build / "main"], input=given_text, capture_output=True, text=True, check=True
    )
    expected = np.concatenate(
        [
            array.accumulate(images).flatten()
            for (array, _), images in zip(cases, inputs, strict=True)
        ]
    )
    assert np.array_equal(np.array(ran.stdout.split(), dtype=np.int64), expected)


# ---- Rules of HLS that no C++ compiler checks ---------------------------------------------------


@pytest.mark.parametrize(
    "name", ["nnet_synapse_array.h", "nnet_synapse_places.h", "axis/synapse_axis.cpp"]
)
def test_pragmas_follow_the_rules(name: str) -> None:
    """What Vivado HLS and Vitis HLS refuse or get wrong, read off the source.

    Every loop is labelled, so that reports name it; every loop is unrolled, pipelined, holds
    nothing but another loop or says that its runs follow one another (LOOP_FLATTEN off); every
    pragma has its reason on the comment above it or its group.
    """
    assert problems((folder("hls_templates") / name).read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("Cycles:\n", "", "no label"),
        ("    #pragma HLS UNROLL\n", "", "neither pipelined nor unrolled"),
        (
            "            // Data-dependent; bounded by the rows of a bank.\n"
            "            #pragma HLS LOOP_TRIPCOUNT min=0 max=most\n",
            "",
            "no trip count",
        ),
        ("impl=bram", "impl=auto", "not bound to block RAM"),
        ("PIPELINE II=1 rewind", "PIPELINE rewind", "without II=1"),
        ("    // Part of the pipelined loop that calls it.\n", "", "without a reason"),
    ],
)
def test_broken_rules_are_found(old: str, new: str, found: str) -> None:
    source = KERNEL.read_text()
    assert old in source
    assert any(found in problem for problem in problems(source.replace(old, new, 1)))


def problems(source: str) -> list[str]:
    """The rules that a kernel source breaks."""
    wrong: list[str] = []
    lines = source.splitlines()
    for number, line in enumerate(lines):
        text = line.strip()
        where = f"line {number + 1}"
        if re.match(r"(for|while) \(", text):
            body = _pragmas(lines, number)
            label = lines[number - 1].strip()
            native = "#else" in lines[number - 1]  # C simulation only
            if not native and not re.fullmatch(r"\w+:", label):
                wrong.append(f"{where}: a loop has no label")
            inner = next((each.strip() for each in lines[number + 1 :] if each.strip()), "")
            nested = re.fullmatch(r"\w+:", inner) is not None
            if (
                not native
                and not nested
                and not any(
                    word in pragma
                    for word in ("UNROLL", "PIPELINE", "LOOP_FLATTEN off")
                    for pragma in body
                )
            ):
                wrong.append(f"{where}: a loop is neither pipelined nor unrolled")
            if (
                text.startswith("while")
                and not native
                and not any("LOOP_TRIPCOUNT" in pragma for pragma in body)
            ):
                wrong.append(f"{where}: a data-dependent loop has no trip count")
        if text.startswith("#pragma HLS"):
            if "PIPELINE" in text and "II=1" not in text:
                wrong.append(f"{where}: a pipeline without II=1")
            above = number - 1
            while lines[above].strip().startswith(("#pragma HLS", "#if", "#else", "#endif")):
                above -= 1
            reason = lines[above].strip().startswith("//")
            if "UNROLL" not in text and not reason:
                wrong.append(f"{where}: a pragma without a reason")
    bound = (
        "BIND_STORAGE variable=codes type=rom_1p impl=bram",
        "RESOURCE variable=codes core=ROM_1P_BRAM",
    )
    if "variable=codes" in source and not all(pragma in source for pragma in bound):
        wrong.append("the codes are not bound to block RAM")
    return wrong


def _pragmas(lines: list[str], loop: int) -> list[str]:
    """The pragmas and comments at the head of a loop's body."""
    found = []
    for line in lines[loop + 1 :]:
        if not line.strip().startswith(("#pragma", "//")):
            break
        found.append(line.strip())
    return found
