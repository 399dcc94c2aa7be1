"""Files of an exported project: its network, its test vectors, its manifest."""

import io
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzzing.kind import JSON, ZIP, Kind, change_json, mutated, within_zip
from strategies import BYTE, convolutional_network, synapse_array, with_converters
from synq.board import load_board
from synq.cost import Estimate
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding
from synq.network import QuantizedNetwork
from synq.planning import make_plan
from synq.progress import SILENT
from synq.project.contents import describe_board, read_contents
from synq.project.manifest import MANIFEST, describe_network, read_manifest
from synq.project.output import check_replaceable
from synq.request import Flow, Request
from synq.score import Task
from synq.synth.comparison import find_reference
from synq.synth.open_synthesis import run_open
from synq.synth.run import run_stage
from synq.verifying import _compare_rendered, read_vectors, verify

_HIDDEN = FixedPoint(8, 2, False, Rounding.RND_CONV, Overflow.SAT)


@cache
def _networks() -> tuple[QuantizedNetwork, ...]:
    """One array; two; three with biases."""
    rng = np.random.default_rng(0)
    one = synapse_array(rng, 6, 3)
    two = (synapse_array(rng, 12, 5), synapse_array(rng, 5, 3, levels=5, input_format=_HIDDEN))
    three = tuple(
        synapse_array(rng, n, 7, table_width=12, input_format=form, bias=True)
        for n, form in ((20, BYTE), (7, _HIDDEN), (7, _HIDDEN))
    )
    return (
        QuantizedNetwork((one,), ()),
        QuantizedNetwork(two, (_HIDDEN,)),
        QuantizedNetwork(three, (_HIDDEN, _HIDDEN)),
        QuantizedNetwork((with_converters(rng, one, 4),), ()),
        convolutional_network(rng, convolutions=2),
    )


def read_network(path: Path) -> None:
    network = QuantizedNetwork.from_npz(path)
    trace = network.run(np.zeros((2, network.sizes[0]), dtype=np.uint8))
    assert trace.table().shape[0] == 2 and network.digest


def read_inputs(path: Path) -> None:
    network = _networks()[1]
    inputs, labels = read_vectors(path, network, Task.CLASSIFICATION)
    assert network.run(inputs).accuracy(labels) >= 0


def _vectors() -> bytes:
    rng = np.random.default_rng(1)
    buffer = io.BytesIO()
    inputs = rng.integers(0, 256, (30, 12), dtype=np.uint8)
    np.savez(buffer, inputs=inputs, labels=rng.integers(0, 3, 30))
    return buffer.getvalue()


def _manifest(flows: tuple[Flow, ...], **changes: Any) -> bytes:
    network = _networks()[1]
    board = load_board("pynq-z2")
    plans = {flow: make_plan(network, board, Request(), flow).chosen for flow in flows}
    content = {
        "format": "synq-project-1",
        "flows": [flow.value for flow in flows],
        "board": describe_board(board),
        "configuration": {
            "board": board.name,
            "part": board.part,
            "clock_ns": board.clock_ns,
            "device": "pcmo",
            "quantization": {"levels": 10},
            "io_type": "io_stream",
        },
        "accuracy": {"software": 96.5, "csim": 95.0, "rtl": 95.0},
        "dataset": {"name": "mnist"},
        "network": describe_network(network),
        "designs": {
            flow.value: {**asdict(plan.core), "estimate": asdict(plan.estimate)}
            for flow, plan in plans.items()
        },
        "files": {},
    }
    return json.dumps({**content, **changes}, indent=2).encode()


def read_everywhere(path: Path) -> None:
    """Give a manifest to all that read one; its folder, empty else, is refused by some of them."""
    root = path.parent
    manifest = read_manifest(root)
    for flow in Flow:
        estimate = find_reference(root / "x.rpt", root, None, flow.value).estimate
        assert estimate is None or isinstance(estimate, Estimate)
    for read in (
        lambda: verify(root, SILENT),
        lambda: run_open(root, 1, SILENT),
        lambda: run_stage(root, "bitstream", None, 1, SILENT),
        lambda: check_replaceable(root, force=False),
    ):
        try:
            read()
        except SynqError as error:
            if len(str(error)) > 400:
                raise
    network = _networks()[1]
    inputs = np.zeros((3, 12), dtype=np.uint8)
    labels = np.zeros(3, dtype=np.int64)
    contents = read_contents(manifest, network, inputs, labels, network.run(inputs))
    with pytest.raises(SynqError) as caught:
        _compare_rendered(root, {}, contents)
    if not str(caught.value).endswith("is missing"):  # the first file, but it was rendered
        raise caught.value


KINDS = {
    "network.npz": Kind(
        "network.npz",
        mutated(
            [network.to_npz() for network in _networks()],
            (*ZIP, within_zip((change_json,)), within_zip((change_json,))),
        ),
        read_network,
    ),
    "vectors.npz": Kind("vectors.npz", mutated([_vectors()], ZIP), read_inputs),
    "manifest.json": Kind(
        MANIFEST,
        mutated(
            [
                _manifest((Flow.HLS,)),
                _manifest((Flow.RTL,)),
                _manifest(tuple(Flow), files={"network.npz": "0" * 64, "rtl/a.v": "1" * 64}),
            ],
            JSON,
        ),
        read_everywhere,
    ),
}
