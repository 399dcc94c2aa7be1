"""The proofs with the parameters of the designs in docs/rtl.md, of 784-128-10."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from strategies import synapse_array
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork, SynapseArray
from synq.progress import SILENT
from synq.resources import folder
from synq.rtl.formal import Outcome, proofs_of, prove_all

# One of each kind of array; the others' parameters are among the modules' own proofs.
KINDS = ("buckets, 1 row", "buckets, 9 rows", "unrolled, 1-bit pixels, 832-bit stream")
MODULES = {
    "synq_activation",
    "synq_answer",
    "synq_bucket_lane",
    "synq_buffer",
    "synq_fifo",
    "synq_gearbox",
    "synq_intake",
    "synq_mac_bank",
    "synq_result",
    "synq_select",
    "synq_unload",
}


def sparse(array: SynapseArray) -> SynapseArray:
    """Almost all of its synapses zero, so that it is unrolled in no time."""
    codebook = np.sort(np.append(array.codebook[array.codebook != 0][:4], 0))
    codes = np.full(array.codes.shape, int(np.argmax(codebook == 0)), dtype=np.uint8)
    np.fill_diagonal(codes, 1)
    return SynapseArray(
        codes, codebook, array.table_format, array.input_format, array.bias_input, array.scale
    )


def test_the_designs_of_the_table_are_proven(
    benchmark: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    proofs = {}
    contenders = benchmark("rtl").CONTENDERS
    for contender in (contenders[name] for name in KINDS):
        given, design = contender.network, contender.design
        formats = [
            FixedPoint(bits, 0, signed=False) for bits in (given.pixel_bits, given.activation_bits)
        ]
        arrays = [
            synapse_array(random, n_in, n_out, levels=given.levels, input_format=form, bias=True)
            for n_in, n_out, form in zip((784, 128), (128, 10), formats, strict=True)
        ]
        if design.arrays[0].unrolled:
            arrays = [sparse(array) for array in arrays]
        network = QuantizedNetwork(tuple(arrays), (formats[1],))
        proofs |= dict.fromkeys(proofs_of(network, design))
    library = {
        item.name: item.read_bytes()
        for item in (folder("hls_templates") / "rtl").iterdir()
        if item.name.startswith("synq_")
    }
    of_modules = [proof for proof in proofs if proof.module != "synq_top"]  # others do the top
    verdicts = prove_all(of_modules, library, tmp_path, SILENT)
    assert [each for each in verdicts if each.outcome is not Outcome.PROVEN] == []
    assert {each.proof.module for each in verdicts} == MODULES
