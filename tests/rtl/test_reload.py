"""Networks loaded into a running core, in Verilator: each image meets one network, whole."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cores import Core, CoreBuilder
from strategies import images, paired_network, random_design, random_network, seeds
from synq.errors import SynqError
from synq.network import QuantizedNetwork, SynapseArray
from synq.rtl import simulate
from synq.rtl.back_end import read_design
from synq.rtl.design import Capacity, RtlArray, RtlDesign
from synq.rtl.placement import LESS_BITS
from synq.rtl.reload import network_words, signature, with_capacity
from synq.rtl.simulate import Traffic
from synq.stream import pack_results

ANEW = settings(
    deadline=None,
    derandomize=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
LOADED, OTHER_CORE, WRONG_LENGTH, WRONG_SIGNATURE = 1, 2, 3, 4
SMALL = RtlDesign((RtlArray(1, 1), RtlArray(1, 0)))


def mixed(random: np.random.Generator, network: QuantizedNetwork) -> QuantizedNetwork:
    """Another network of the shape: each array's codes in another order."""

    def other(array: SynapseArray) -> SynapseArray:
        codes = random.permuted(array.codes.ravel()).reshape(array.codes.shape)
        return dataclasses.replace(array, codes=codes)

    return dataclasses.replace(network, arrays=tuple(map(other, network.arrays)))


def roomy(design: RtlDesign) -> RtlDesign:
    """A core for every network of the shape, codebooks and formats given."""

    def wide(plan: RtlArray) -> RtlArray:
        assert plan.capacity is not None
        more = dataclasses.replace(plan.capacity, total_bits=24, sum_bits=30)
        return dataclasses.replace(plan, capacity=more)

    return dataclasses.replace(design, arrays=tuple(map(wide, design.arrays)))


def check(
    core: Core,
    networks: list[QuantizedNetwork],
    order: dict[int, int],
    given: np.ndarray,
    scratch: Path,
    traffic: Traffic,
) -> None:
    """Every integer of every layer, the network `order[k]` loaded before image k."""
    words = [network_words(core.network, core.design, each) for each in networks]
    sent = {image: words[number] for image, number in order.items()}
    run = core.run(given, scratch, traffic, networks=sent)
    assert run.fault is None
    digests = [int(words[number][-1]) for _, number in sorted(order.items())]
    assert run.loads == tuple((LOADED, digest) for digest in digests)
    traces = [network.run(given).stages() for network in networks]
    which = np.zeros(len(given), dtype=np.int64)
    for image, number in sorted(order.items()):
        which[image:] = number
    for stage, (name, seen) in enumerate(run.stages):
        wanted = np.stack([trace[stage][1] for trace in traces])[which, np.arange(len(given))]
        np.testing.assert_array_equal(seen, wanted, err_msg=name)


@settings(ANEW, max_examples=3)
@given(seed=seeds)
def test_random_cores_and_networks(build_core: CoreBuilder, seed: int) -> None:
    random = np.random.default_rng(seed)
    network = random_network(random, max_size=16)
    plans = random_design(random, network)
    arrays = tuple(RtlArray(1, 2) if plan.unrolled else plan for plan in plans.arrays)
    design = roomy(with_capacity(network, RtlDesign(arrays, plans.beat_bits)))
    networks = [network, mixed(random, network), mixed(random, network)]
    core = build_core(network, design)
    given = images(random, network, 40)
    order = {0: 2, 7: 1, 8: 0, 9: 2, 25: 1, 39: 0}
    for number, (gap, stall, transfer) in enumerate(((0, 0, 100), (0.5, 0.5, 3), (0, 0.95, 1))):
        traffic = Traffic(gap, stall, seed & 0xFFFF, transfer)
        check(core, networks, order, given, core.folder / f"run_{number}", traffic)


@pytest.fixture(scope="module")
def network() -> QuantizedNetwork:
    return paired_network(np.random.default_rng(5), (12, 6, 3), bias=True)


@pytest.fixture(scope="module")
def core(build_core: CoreBuilder, network: QuantizedNetwork) -> Core:
    return build_core(network, with_capacity(network, SMALL))


def test_a_broken_network_is_noticed_and_leaves_the_old_one(
    core: Core, network: QuantizedNetwork, tmp_path: Path
) -> None:
    """A wrong bit in each word; a word too few, too many, twice, alone; another core's."""
    random = np.random.default_rng(6)
    words = network_words(network, core.design, mixed(random, network))
    broken: list[tuple[np.ndarray, set[int]]] = []
    for place in range(len(words)):
        wrong = words.copy()
        wrong[place] ^= np.uint64(1) << np.uint64(random.integers(64))
        status = {OTHER_CORE} if place == 0 else {WRONG_LENGTH, WRONG_SIGNATURE}
        broken.append((wrong, status))
    swapped = words.copy()
    swapped[[2, 3]] = words[[3, 2]]
    assert words[2] != words[3]
    broken += [
        (words[:-1], {WRONG_LENGTH}),
        (words[:1], {WRONG_LENGTH}),
        (words[:4], {WRONG_LENGTH}),
        (np.append(words, np.uint64(0)), {WRONG_LENGTH}),
        (np.insert(words, 4, words[4]), {WRONG_LENGTH, WRONG_SIGNATURE}),
        (swapped, {WRONG_SIGNATURE}),
    ]
    given = images(random, network, len(broken) + 1)
    sent = {number: wrong for number, (wrong, _) in enumerate(broken)}
    for traffic in (Traffic(), Traffic(0.3, 0.3, 7)):
        run = core.run(given, tmp_path / str(traffic.seed), traffic, networks=sent)
        own = int(network_words(network, core.design, network)[-1])
        for (status, digest), (_, wanted) in zip(run.loads, broken, strict=True):
            assert status in wanted
            assert digest == own
        assert run.fault is None
        for (name, seen), (_, expected) in zip(
            run.stages, network.run(given).stages(), strict=True
        ):
            np.testing.assert_array_equal(seen, expected, err_msg=name)


def test_images_right_behind_networks(
    core: Core, network: QuantizedNetwork, tmp_path: Path
) -> None:
    """Nobody asks what became of a network: the next beat is an image's. A broken one changes
    nothing."""
    random = np.random.default_rng(11)
    networks = [network, mixed(random, network), mixed(random, network)]
    words = [network_words(network, core.design, each) for each in networks]
    given = [images(random, network, 5) for _ in range(31)]
    order = random.integers(-1, 3, size=30).tolist()
    sent, expected, used = {}, [network.run(given[0])], network
    for number, (which, some) in enumerate(zip(order, given[1:], strict=True)):
        sent[number] = words[which].copy()
        if which < 0:
            sent[number][5] ^= np.uint64(1)
        else:
            used = networks[which]
        expected.append(used.run(some))
    beats = np.concatenate([pack_results(each.accumulators[-1], each.classes) for each in expected])
    for seed, (gap, stall) in enumerate(((0, 0), (0.3, 0.3), (0, 0.9))):
        traffic = Traffic(gap, stall, seed, images=5)
        records = simulate.stream_records(
            given, 8, core.design.beat_bits, traffic, sent, asks=False
        )
        (answers,) = simulate.play(
            core.executable, core.place, [tmp_path / str(seed)], [records], [beats.size], traffic
        )
        np.testing.assert_array_equal(answers["data"], beats.ravel().astype(np.uint64))


def test_resets_while_networks_come(core: Core, network: QuantizedNetwork, tmp_path: Path) -> None:
    """At any clock of a load: it begins anew, and no image meets half a network."""
    random = np.random.default_rng(10)
    networks = [network, mixed(random, network), mixed(random, network)]
    words = [network_words(network, core.design, each) for each in networks]
    given = [images(random, network, 5) for _ in range(61)]
    order = random.integers(3, size=60).tolist()
    sent = {number: words[which] for number, which in enumerate(order)}
    expected = [networks[0].run(given[0])]
    expected += [networks[which].run(some) for which, some in zip(order, given[1:], strict=True)]
    beats = np.concatenate([pack_results(each.accumulators[-1], each.classes) for each in expected])
    for seed, (gap, stall, reset) in enumerate(((0, 0, 1 / 900), (0.3, 0.3, 1 / 1500))):
        traffic = Traffic(gap, stall, seed, images=1)
        records = simulate.stream_records(given, 8, core.design.beat_bits, traffic, sent)
        place = tmp_path / str(seed)
        (answers,) = simulate.play(
            core.executable, core.place, [place], [records], [beats.size], traffic, reset=reset
        )
        np.testing.assert_array_equal(answers["data"], beats.ravel().astype(np.uint64))
        loads = simulate.read_loads(place)
        assert len(loads) > len(order)  # some were sent again
        assert {status for status, _ in loads} == {LOADED}


def test_what_is_no_network_is_no_load(core: Core, network: QuantizedNetwork) -> None:
    """A network of other words has another digest, the words of the core's number first."""
    words = network_words(network, core.design, network)
    other = network_words(network, core.design, mixed(np.random.default_rng(8), network))
    assert words[0] == other[0]
    assert words[-1] != other[-1]
    assert int(words[-1]) == signature(words[:-1].tolist())
    assert len(words) == len(other)


def test_networks_that_do_not_fit(network: QuantizedNetwork) -> None:
    """Each in a line that says what is too large."""
    random = np.random.default_rng(9)
    design = with_capacity(network, SMALL)

    def loaded(other: QuantizedNetwork) -> str:
        with pytest.raises(SynqError) as refused:
            network_words(network, design, other)
        return str(refused.value)

    with pytest.raises(SynqError, match="the core's network is fixed"):
        network_words(network, SMALL, network)
    assert "is 12-5-3, the core is built for 12-6-3" in loaded(
        paired_network(random, (12, 5, 3), bias=True)
    )
    wide = roomy(design)
    with pytest.raises(SynqError, match="array 0: the core is built for another"):
        network_words(network, wide, paired_network(random, (12, 6, 3), bias=False))

    def with_first(**changes: int) -> RtlDesign:
        first = design.arrays[0]
        assert first.capacity is not None
        smaller = dataclasses.replace(first.capacity, **changes)
        plans = (dataclasses.replace(first, capacity=smaller), design.arrays[1])
        return dataclasses.replace(design, arrays=plans)

    capacity = design.arrays[0].capacity
    assert isinstance(capacity, Capacity)
    most = capacity.shift
    for changes, what in (
        ({"buckets": 1}, "values"),
        ({"levels": 1}, "levels"),
        ({"total_bits": 4}, "bits of a total"),
        ({"sum_bits": 4}, "bits of a sum"),
        ({"value_bits": 2}, "bits of a value"),
        ({"shift": most + (1 << LESS_BITS)}, "shifts its sums"),
        ({"shift": most - 4}, "shifts its sums"),
    ):
        with pytest.raises(SynqError, match=f"array 0: .*{what}"):
            network_words(network, with_first(**changes), network)


def test_the_design_is_read_from_its_manifest(network: QuantizedNetwork) -> None:
    design = with_capacity(network, SMALL)
    described = {"designs": {"rtl": dataclasses.asdict(design)}}
    described["designs"]["rtl"]["arrays"] = list(described["designs"]["rtl"]["arrays"])
    assert read_design(described) == design
    described["designs"]["rtl"]["arrays"][0]["capacity"]["shift"] = "1"
    with pytest.raises(SynqError, match="describes no Verilog design"):
        read_design(described)
    with pytest.raises(ValueError, match="all arrays have a capacity, or none"):
        RtlDesign((design.arrays[0], SMALL.arrays[1]))
    with pytest.raises(ValueError, match="fixed"):
        RtlArray(0, 0, unrolled=True, capacity=design.arrays[0].capacity)
