"""Steps become the network that computes the same, or are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.learn.importers.steps import Affine, Dense, Ending, Relu, Step, batch_norm, network_of

Array = NDArray[np.float64]


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    """Steps that fit each other in size: some 1 to 8, of any kinds in any order."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    size, steps = draw(st.integers(1, 4)), list[Step]()
    for kind in draw(st.lists(st.sampled_from("ddrasn"), min_size=1, max_size=8)):
        name = f"{kind}{len(steps)}"
        if kind == "d":
            size_out = draw(st.integers(1, 4))
            bias = rng.normal(size=size_out) if draw(st.booleans()) else None
            steps.append(Dense(name, rng.normal(size=(size, size_out)), bias))
            size = size_out
        elif kind == "r":
            steps.append(Relu(name))
        elif kind == "a":
            steps.append(Affine(name, rng.normal(size=size), rng.normal(size=size)))
        elif kind == "s":
            steps.append(Affine(name, np.array(0.5), np.array(-1.0)))
        else:
            mean, variance = rng.normal(size=size), rng.uniform(0.5, 2, size)
            steps.append(batch_norm(name, mean, variance, None, mean, 1e-3))
    return steps


def computed(steps: list[Step], x: Array) -> Array:
    for step in steps:
        match step:
            case Dense():
                x = x @ step.weight + (0 if step.bias is None else step.bias)
            case Affine():
                x = x * step.scale + step.shift
            case Relu():
                x = np.maximum(x, 0)
    return x


@given(programs())
def test_a_network_computes_what_its_steps_do(steps: list[Step]) -> None:
    try:
        network = network_of(steps)
    except SynqError as error:
        assert any(
            reason in str(error)
            for reason in ("ends in a ReLU", "no dense layer", "a ReLU (", "all zeros")
        )
        return
    x = np.random.default_rng(0).normal(size=(20, network.sizes[0]))
    np.testing.assert_allclose(network.logits(x), computed(steps, x), rtol=1e-3, atol=1e-3)
    relus = sum(isinstance(step, Relu) for step in steps)
    assert len(network.weights) <= relus + 1


W = np.ones((2, 3))
REFUSED: dict[str, tuple[list[Step], str]] = {
    "nothing": ([], "holds no dense layer; supported are dense layers"),
    "sizes": ([Dense("a", W, None), Relu("r"), Dense("b", W, None)], "'b' takes 2 inputs, but"),
    "sizes without a ReLU": ([Dense("a", W, None), Dense("b", W, None)], "'b' takes 2 inputs, but"),
    "bias": ([Dense("a", W, np.ones(2))], r"bias of 'a' must have shape \(3,\), .* got \(2,\)"),
    "weight": ([Dense("a", np.ones(2), None)], "weight of 'a' must have inputs and outputs"),
    "zeros": ([Dense("a", W, None), Affine("n", np.zeros(3), np.ones(3))], "'a' is all zeros"),
    "scale": ([Dense("a", W, None), Affine("n", np.ones(2), np.ones(2))], "'n' is for 2 features"),
    "scale before": ([Affine("n", np.ones(3), np.ones(3)), Dense("a", W, None)], "'n' is for 3"),
    "two scales": (
        [Affine("n", np.ones(2), np.ones(2)), Affine("m", np.ones(3), np.ones(3))],
        "'n' and 'm' after it are of different sizes",
    ),
    "infinite": ([Dense("a", W, None), Affine("n", np.ones(3), np.full(3, np.inf))], "infinite"),
    "after the end": ([Ending("e", "softmax"), Dense("a", W, None)], "softmax .* before the last"),
    "too large": (
        [Dense("a", np.ones((20_000, 1)), None), Dense("b", np.ones((1, 20_000)), None)],
        "holds 400,000,000 values",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_steps_that_are_no_network_are_refused(case: str) -> None:
    steps, message = REFUSED[case]
    with pytest.raises(SynqError, match=message):
        network_of(steps)


@pytest.mark.parametrize(
    ("mean", "variance", "scale", "message"),
    [
        (np.ones(2), np.ones(3), None, "of 'n' must be 1-D and of one length"),
        (np.ones(2), np.ones(2), np.ones((2, 1)), "must be 1-D and of one length"),
        (np.ones(2), np.array([1, -1.0]), None, "the variance of 'n' must be above zero"),
        (np.ones(2), np.array([1, np.nan]), None, "the variance of 'n' must be above zero"),
    ],
)
def test_batch_norms_that_cannot_be_are_refused(
    mean: Array, variance: Array, scale: Array | None, message: str
) -> None:
    with pytest.raises(SynqError, match=message):
        batch_norm("n", mean, variance, scale, None, 1e-5)


def test_a_weight_that_nothing_is_folded_into_stays_as_it_is() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    np.testing.assert_array_equal(network_of([Dense("a", weight, None)]).weights[0], weight)
