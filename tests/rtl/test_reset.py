"""A reset of a single clock, at any time: nothing of before it is seen after it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cores import Core, CoreBuilder
from strategies import images, paired_network
from synq.errors import SynqError
from synq.rtl import simulate
from synq.rtl.design import RtlArray, RtlDesign, wide_result
from synq.rtl.simulate import Traffic
from synq.stream import beats_per_result, pack_results

UNROLLED = (RtlArray(0, 0, unrolled=True),) * 2
DESIGNS = {
    "decoded": RtlDesign((RtlArray(0, 1), RtlArray(0, 2, lanes=2))),
    "serial": RtlDesign((RtlArray(1, 0), RtlArray(2, 0, lanes=3))),
    "mixed": RtlDesign((RtlArray(8, 1), RtlArray(1, 1, lanes=2))),
    "events": RtlDesign((RtlArray(3, 1, event_driven=True), RtlArray(2, 0, True, lanes=4))),
    "unrolled": RtlDesign(UNROLLED),
    "unrolled, wide answers": RtlDesign(UNROLLED, 256, wide_result(5)),
}


Spoil = Callable[[dict[str, bytes]], None]


def build(build_core: CoreBuilder, design: RtlDesign, spoil: Spoil | None = None) -> Core:
    return build_core(paired_network(np.random.default_rng(8), (30, 12, 5)), design, spoil)


def answers_are_right(core: Core, scratch: Path, n_images: int = 150) -> bool:
    """Whether all images are answered right, however often the core is reset in between."""
    design = core.design
    given = images(np.random.default_rng(9), core.network, n_images)
    expected = core.network.run(given)
    beats = pack_results(expected.accumulators[-1], expected.classes)
    n_beats = beats_per_result(5) * 64 // design.result_bits
    for seed, (gap, stall, reset) in enumerate(
        ((0, 0, 1 / 200), (0.4, 0.4, 1 / 300), (0, 0.9, 1 / 500), (0.05, 0.1, 1 / 900))
    ):
        traffic = Traffic(gap, stall, seed, images=1)
        sent = simulate.beat_records(given, 8, design.beat_bits, traffic)
        (records,) = simulate.play(
            *(core.executable, core.place, [scratch / str(seed)], [sent]),
            *([n_images * n_beats], traffic, design.result_bits, reset),
        )
        last = records["last"].reshape(n_images, n_beats)
        if not (last[:, -1].all() and not last[:, :-1].any()):
            return False
        if np.any(records["data"].ravel() != beats.ravel().astype(np.uint64)):
            return False
    return True


@pytest.mark.parametrize("name", DESIGNS)
def test_nothing_is_left_of_before(build_core: CoreBuilder, name: str, tmp_path: Path) -> None:
    assert answers_are_right(build(build_core, DESIGNS[name]), tmp_path)


def replaced(old: str, new: str) -> Spoil:
    def spoil(files: dict[str, bytes]) -> None:
        text = files["synq_top.v"].decode()
        assert text.count(old) == 1
        files["synq_top.v"] = text.replace(old, new).encode()

    return spoil


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" & ~reset;\n    assign ready_", ";\n    assign ready_"),
        ("if (~reset_n) held <= 7'd0;\n        else if (reset)", "if (reset)"),
    ],
    ids=["an answer in the reset", "a reset as short as the pin's"],
)
def test_what_is_left_would_be_seen(
    build_core: CoreBuilder, old: str, new: str, tmp_path: Path
) -> None:
    core = build(build_core, DESIGNS["serial"], replaced(old, new))
    try:
        right = answers_are_right(core, tmp_path)
    except SynqError as error:  # an answer too many, and the core waits for the next image
        assert "no transfer for" in str(error)
        right = False
    assert not right


def test_a_core_that_is_ready_too_early_is_named(build_core: CoreBuilder, tmp_path: Path) -> None:
    core = build(build_core, DESIGNS["mixed"], replaced("< 7'd64", "< 7'd63"))
    with pytest.raises(SynqError, match="a stream moves in clock 63 of the reset"):
        answers_are_right(core, tmp_path)
