"""Convolutions in the Verilog: every sum and activation at every place, in Verilator and Icarus."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cores import Core, CoreBuilder
from strategies import (
    convolutional_network,
    images,
    random_design,
    seeds,
    synapse_array,
    tiled,
    with_converters,
    with_noise,
)
from synq.board import load_board
from synq.errors import SynqError, UsageError
from synq.fixedpoint import FixedPoint, Overflow
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.network import QuantizedNetwork
from synq.planning import plan_rtl
from synq.request import Datapath, Request
from synq.rtl import simulate
from synq.rtl.cycles import count_cycles, worst_case
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.estimate import estimate_design
from synq.rtl.placement import place_arrays
from synq.rtl.simulate import Traffic
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result, pack_results
from synq.synth import yosys
from verilog import difference, icarus_difference

ANEW = settings(
    deadline=None,
    derandomize=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
ONE_COLUMN = "an image of one column"


def two_convolutions(overflow: Overflow = Overflow.SAT) -> QuantizedNetwork:
    """7x6x1, 3x3 to 2 channels with padding, pooled; 2x2 to 4 channels, pooled with places left
    over; 3 outputs."""
    random = np.random.default_rng(5)
    first = Window((7, 6, 1), (3, 3), padding=((1, 1), (1, 1)))
    second = Window((3, 3, 2), (2, 2), padding=((1, 0), (0, 1)))
    geometries = (
        Geometry(first, Pool(Pooling.MAX, (2, 2))),
        Geometry(second, Pool(Pooling.AVERAGE, (2, 2))),
        DENSE,
    )
    arrays, activations = [], []
    form = FixedPoint(8, 0, signed=True)
    for n_in, n_out in ((9, 2), (8, 4), (4, 3)):
        if arrays:
            integer = arrays[-1].accumulator.integer - 2
            form = FixedPoint(6, integer, signed=False, overflow=overflow)
            activations.append(form)
        arrays.append(
            synapse_array(random, n_in, n_out, levels=5, input_format=form, bias=n_in == 8)
        )
    return QuantizedNetwork(tuple(arrays), tuple(activations), geometries)


SMALL = RtlDesign((RtlArray(1, 0, window=1), RtlArray(0, 1, lanes=2, window=2), RtlArray(0, 1)))
WHOLE = RtlDesign(
    (
        RtlArray(0, 0, unrolled=True, window=9),
        RtlArray(2, 2, lanes=2, window=8),
        RtlArray(0, 1, lanes=4),
    )
)
EVENTS = RtlDesign(
    (
        RtlArray(2, 1, event_driven=True, window=9),
        RtlArray(0, 0, lanes=2, unrolled=True, window=2),
        RtlArray(0, 0, lanes=2, unrolled=True),
    )
)
DESIGNS = {"small": SMALL, "whole": WHOLE, "events": EVENTS}


@pytest.fixture(scope="module")
def cores(build_core: CoreBuilder) -> dict[str, Core]:
    return {name: build_core(two_convolutions(), design) for name, design in DESIGNS.items()}


@settings(ANEW, max_examples=2)
@given(seed=seeds)
def test_random_convolutions_and_designs(build_core: CoreBuilder, seed: int) -> None:
    random = np.random.default_rng(seed)
    network = convolutional_network(random)
    design = random_design(random, network)
    if seed % 2:
        network = tiled(random, network, design)
    try:
        core = build_core(network, design)
    except SynqError as error:
        assert ONE_COLUMN in str(error)
        return
    given_images = images(random, network, 24)
    for gap, stall, transfer in ((0, 0, 1), (0.5, 0.5, 3), (0, 0.95, 1), (0.9, 0, 100)):
        traffic = Traffic(gap, stall, seed & 0xFFFF, transfer)
        core.check(given_images, core.folder / f"{gap}_{stall}", traffic)


@settings(ANEW, max_examples=2)
@given(seed=seeds)
def test_random_convolutions_are_lint_clean(
    verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    random = np.random.default_rng(seed)
    network = convolutional_network(random)
    place = tmp_path_factory.mktemp("lint")
    try:
        files = render_rtl(network, random_design(random, network))
    except SynqError as error:
        assert ONE_COLUMN in str(error)
        return
    simulate.write_rtl(files, place)
    simulate.lint(place, verilator)


@pytest.mark.parametrize("name", DESIGNS)
def test_icarus(cores: dict[str, Core], name: str, tmp_path: Path) -> None:
    core = cores[name]
    given_images = images(np.random.default_rng(2), core.network, 6)
    where = (core.place, core.network, core.design, given_images, tmp_path)
    assert icarus_difference(*where, Traffic(0.2, 0.2, 1, 2)) is None


def test_wrapping_activations(build_core: CoreBuilder, tmp_path: Path) -> None:
    """The largest is that of the sums: of what is left of them it would be another one."""
    network = two_convolutions(Overflow.WRAP)
    core = build_core(network, WHOLE)
    core.check(images(np.random.default_rng(2), network, 30), tmp_path)


def test_read_noise_counts_places(build_core: CoreBuilder, tmp_path: Path) -> None:
    network = two_convolutions()
    random = np.random.default_rng(3)
    first = with_noise(with_converters(random, network.arrays[0], 3), 1.3)
    network = dataclasses.replace(network, arrays=(first, *network.arrays[1:]))
    core = build_core(network, SMALL)
    core.check(images(random, network, 12), tmp_path)


@pytest.mark.parametrize("name", DESIGNS)
def test_an_image_that_ends_early(cores: dict[str, Core], name: str, tmp_path: Path) -> None:
    """Its missing pixels are zero, and the next image is whole."""
    core = cores[name]
    network = core.network
    given_images = images(np.random.default_rng(4), network, 12)
    n_beats = -(-network.n_in // 8)
    kept = [n_beats, 1, 3, n_beats, n_beats - 1, 2] * 2
    records, cut = [], given_images.copy()
    for image, beats in zip(cut, kept, strict=True):
        image[beats * 8 :] = 0
        sent = simulate.beat_records(image[None], 8, 64, Traffic(images=1))
        part = np.frombuffer(sent, dtype=np.uint8).reshape(n_beats, 9)[:beats].copy()
        part[-1, 8] = 1
        records.append(part.tobytes())
    expected = network.run(cut)
    n_results = beats_per_result(3) * len(cut)
    (answer,) = simulate.play(
        *(core.executable, core.place, [tmp_path], [b"".join(records)], [n_results]),
        Traffic(0.3, 0.3, 2),
    )
    wanted = pack_results(expected.answers, expected.classes)
    np.testing.assert_array_equal(answer["data"], wanted.ravel())
    assert answer["last"].reshape(len(cut), -1)[:, -1].all()


@pytest.mark.parametrize("name", DESIGNS)
def test_resets(cores: dict[str, Core], name: str, tmp_path: Path) -> None:
    core = cores[name]
    given_images = images(np.random.default_rng(9), core.network, 40)
    expected = core.network.run(given_images)
    traffic = Traffic(0.1, 0.2, 3, images=1)
    sent = simulate.beat_records(given_images, 8, 64, traffic)
    n_results = beats_per_result(3) * len(given_images)
    where = (core.executable, core.place, [tmp_path], [sent], [n_results], traffic)
    (answer,) = simulate.play(*where, reset=1 / 2000)
    wanted = pack_results(expected.answers, expected.classes)
    np.testing.assert_array_equal(answer["data"], wanted.ravel())


def replaced(name: str, old: str, new: str) -> Callable[[dict[str, bytes]], None]:
    def spoil(files: dict[str, bytes]) -> None:
        text = files[name].decode()
        assert old in text
        files[name] = text.replace(old, new, 1).encode()

    return spoil


@pytest.mark.parametrize(
    ("design", "name", "old", "new", "where"),
    [
        ("small", "synq_window.v", ".data(put_beat)", ".data(~put_beat)", "array_0"),
        ("small", "synq_window.v", "{in_image_then}", "{in_image_then | valid_at[0]}", "array_0"),
        ("whole", "synq_window_whole.v", "seen[KERNEL_DOWN*PIXEL-1:PIXEL])", "~above)", "array_0"),
        ("whole", "synq_pool.v", ".data(result)", ".data(~result)", "activation_0"),
        ("whole", "synq_pool.v", "repeated ? written", "repeated ? ~written", "activation_0"),
        ("small", "synq_pool.v", "only_kept ? earlier", "only_kept ? positive", "activation_0"),
    ],
    ids=["line", "zeros", "lines", "pool", "repeated", "left over"],
)
def test_a_fault_is_found(
    build_core: CoreBuilder, tmp_path: Path, design: str, name: str, old: str, new: str, where: str
) -> None:
    network = two_convolutions()
    core = build_core(network, DESIGNS[design], replaced(name, old, new))
    given_images = images(np.random.default_rng(2), network, 30)
    assert where in str(difference(core.run(given_images, tmp_path), network.run(given_images)))


def test_tlast_of_the_last_place_alone(build_core: CoreBuilder, tmp_path: Path) -> None:
    core = build_core(
        two_convolutions(), SMALL, replaced("synq_window.v", "ends & tag", "place_ends & tag")
    )
    given_images = images(np.random.default_rng(2), core.network, 10)
    with pytest.raises((AssertionError, SynqError)):
        core.check(given_images, tmp_path, Traffic(images=1))


def test_cycles_are_near_the_count(cores: dict[str, Core], tmp_path: Path) -> None:
    for name, core in cores.items():
        given_images = images(np.random.default_rng(2), core.network, 30)
        run = core.check(given_images, tmp_path / name)
        counted = count_cycles(core.network, core.design, given_images).intervals
        assert 0.8 < run.intervals[5:].mean() / counted[5:].mean() < 1.3, name
        latency, interval = worst_case(place_arrays(core.network, core.design))
        assert interval >= counted.max()
        assert 0.5 < run.ends[0] / latency < 2


@pytest.mark.parametrize(
    ("plans", "complaint"),
    [
        ((RtlArray(0, 1), RtlArray(0, 1, window=1), RtlArray(0, 1)), "hands out 1 or 9 values"),
        (
            (RtlArray(0, 1, window=1), RtlArray(0, 1, lanes=3, window=3), RtlArray(0, 1)),
            "handed out in a cycle, 3, divide the 2 channels",
        ),
        (
            (RtlArray(0, 1, window=1), RtlArray(0, 1, window=1), RtlArray(0, 1, lanes=3)),
            "handed out in a cycle, 3, divide the 4 channels",
        ),
        (
            (RtlArray(0, 1, window=1), RtlArray(0, 1, window=1), RtlArray(0, 1, window=1)),
            "a dense layer has no window",
        ),
    ],
)
def test_designs_that_cannot_be_built(plans: tuple[RtlArray, ...], complaint: str) -> None:
    with pytest.raises(SynqError, match=re.escape(complaint)):
        place_arrays(two_convolutions(), RtlDesign(plans))


@pytest.mark.parametrize("name", ["small", "whole"])
def test_resources_are_near_those_of_yosys(name: str, tmp_path: Path) -> None:
    network, design = two_convolutions(), DESIGNS[name]
    used = yosys.synthesize(render_rtl(network, design), tmp_path / "yosys").total
    estimated = estimate_design(network, design).resources
    assert estimated.lut == pytest.approx(used.lut, rel=0.2)
    assert estimated.ff == pytest.approx(used.ff, rel=0.2)
    assert (estimated.bram_18k, estimated.dsp) == (used.bram_18k, used.dsp)


def test_the_planner_balances_the_layers() -> None:
    network, board = two_convolutions(), load_board("pynq-z2")
    fast = plan_rtl(network, board, Request()).chosen
    slow = plan_rtl(network, board, Request(target_fps=1e8 / 2000)).chosen
    assert fast.estimate.interval < slow.estimate.interval <= 2000
    assert slow.share(board) <= fast.share(board) <= 0.7
    for datapath in (Datapath.DECODE, Datapath.BUCKETS, Datapath.UNROLLED):
        arrays = plan_rtl(network, board, Request(datapath=datapath)).chosen.core.arrays
        assert all(array.unrolled is (datapath is Datapath.UNROLLED) for array in arrays)
    with pytest.raises(UsageError, match="cannot be loaded with another network"):
        plan_rtl(network, board, Request(reloadable=True))
