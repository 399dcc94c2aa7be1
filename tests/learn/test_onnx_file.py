"""ONNX graphs: every way of writing a perceptron, and those that are none or do harm."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from checkpoints import refusal
from onnx_files import message, model, node, tensor
from synq.learn.checkpoint import load_checkpoint

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=shape).astype(np.float32) for shape in ((6, 4), (4, 3)))
C, D = (RNG.normal(size=size).astype(np.float32) for size in (4, 3))
BCD: dict[str, Any] = {"b": B, "c": C, "d": D}
X = RNG.uniform(0, 1, (9, 6)).astype(np.float32)
Array = NDArray[Any]
ARRAYS: dict[str, Any] = {"a": A, "b": B, "c": C, "d": D}
SHAPE: dict[str, Any] = {"shape": ("n", 2, 3)}


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def plain(x: Array) -> Array:
    return relu(x @ A + C) @ B + D


def quant(scale: float, bits: float, zero: float = 0.0) -> dict[str, Any]:
    given = {"scale": scale, "bits": bits, "zero": zero}
    return ARRAYS | {name: np.float32(number) for name, number in given.items()}


QONNX = "qonnx.custom_op.general"
FIRST = (node("MatMul", "x a", "1"), node("Add", "1 c", "2"), node("Relu", "2", "3"))
LAST = (node("Gemm", "3 b d", "y"),)
QUANTIZED = (node("MatMul", "x q", "1"), *FIRST[1:], *LAST)
STEP = {"step": np.float32(0.5)}
INT8 = np.clip(np.rint(A / 0.02), -128, 127).astype(np.int8)
CHANNELS = np.array([0.1, 0.2, 0.3, 0.4], np.float32)

GRAPHS: dict[str, tuple[bytes, Callable[[Array], Array]]] = {
    "MatMul and Add": (
        model([*FIRST, node("MatMul", "3 b", "4"), node("Add", "d 4", "y")], ARRAYS),
        plain,
    ),
    "Gemm": (model([*FIRST, *LAST], ARRAYS), plain),
    "Gemm with factors": (
        model(
            [*FIRST, node("Gemm", "3 bt d", "y", alpha=2.0, beta=0.5, transB=1)],
            ARRAYS | {"bt": B.T.copy()},
        ),
        lambda x: 2 * (relu(x @ A + C) @ B) + 0.5 * D,
    ),
    "no bias": (model([*FIRST, node("MatMul", "3 b", "y")], ARRAYS), lambda x: plain(x) - D),
    "a number as bias": (
        model([*FIRST, node("Gemm", "3 b one", "y")], ARRAYS | {"one": np.float32(1.5)}),
        lambda x: plain(x) - D + 1.5,
    ),
    "flattened and normalized": (
        model(
            [
                node("Sub", "x mean", "s"),
                node("Div", "s std", "t"),
                node("Flatten", "t", "f"),
                node("MatMul", "f a", "1"),
                *FIRST[1:],
                *LAST,
            ],
            ARRAYS | {"mean": np.full((1, 2, 3), 0.5, np.float32), "std": np.float32([1, 2, 4])},
            **SHAPE,
        ),
        lambda x: plain((x - 0.5) / np.tile(np.float32([1, 2, 4]), 2)),
    ),
    "reshaped": (
        model(
            [node("Reshape", "x to", "r"), node("MatMul", "r a", "1"), *FIRST[1:], *LAST],
            ARRAYS | {"to": np.array([-1, 6])},
            **SHAPE,
        ),
        plain,
    ),
    "of no known shape": (
        model(
            [node("Reshape", "x to", "r"), node("MatMul", "r a", "1"), *FIRST[1:], *LAST],
            ARRAYS | {"to": np.array([0, 6])},
            shape=None,
        ),
        plain,
    ),
    "arithmetic": (
        model(
            [
                node("Neg", "x", "n"),
                node("Sub", "one n", "m"),
                node("Mul", "m half", "h"),
                node("MatMul", "h a", "1"),
                *FIRST[1:],
                *LAST,
            ],
            ARRAYS | {"one": np.float32([1]), "half": np.float32(0.5)},
        ),
        lambda x: plain((1 + x) * 0.5),
    ),
    "passed over": (
        model(
            [
                node("Identity", "x", "i"),
                node("Dropout", "i", "j"),
                node("MatMul", "j a", "1"),
                *FIRST[1:],
                node("Gemm", "3 b d", "4"),
                node("ArgMax", "4", "y", axis=1),
            ],
            ARRAYS,
        ),
        plain,
    ),
    "Clip as ReLU": (
        model([*FIRST[:2], node("Clip", "2 zero", "3"), *LAST], ARRAYS | {"zero": np.float32(0)}),
        plain,
    ),
    "batch norm": (
        model(
            [
                *FIRST[:2],
                node("BatchNormalization", "2 s t m v", "n", epsilon=0.01),
                node("Relu", "n", "3"),
                *LAST,
            ],
            ARRAYS | {"s": C, "t": C, "m": C, "v": abs(C)},
        ),
        lambda x: relu((x @ A) / np.sqrt(abs(C) + 0.01) * C + C) @ B + D,
    ),
    "what is not needed": (
        model([node("Tanh", "x", "unused"), *FIRST, *LAST], ARRAYS),
        plain,
    ),
    "a transposed constant": (
        model(
            [
                node("Constant", "", "k", value=tensor("", A.T.copy())),
                node("Transpose", "k", "kt", perm=[1, 0]),
                node("MatMul", "x kt", "1"),
                *FIRST[1:],
                *LAST,
            ],
            ARRAYS,
        ),
        plain,
    ),
    "half precision, float_data, doubles": (
        model(
            [node("Cast", "ah", "a", to=1), *FIRST, *LAST],
            {"b": B, "ah": A.astype(np.float16)},
            tensors=[
                tensor("c", C, (4, C.tobytes()), raw=False),
                tensor("d", D.astype(float), (10, D.astype(float).tobytes()), raw=False),
            ],
        ),
        lambda x: relu(x @ A.astype(np.float16).astype(np.float32) + C) @ B + D,
    ),
    "integers one by one": (
        model(
            [node("Cast", "i", "a", to=1), *FIRST, *LAST],
            BCD,
            tensors=[tensor("i", INT8, *((5, int(each)) for each in INT8.reshape(-1)), raw=False)],
        ),
        lambda x: relu(x @ INT8 + C) @ B + D,
    ),
    "Quant": (
        model(
            [node("Quant", "a scale zero bits", "q", QONNX, narrow=1, signed=1), *QUANTIZED],
            quant(0.25, 3),
        ),
        lambda x: relu(x @ (np.clip(np.rint(A / 0.25), -3, 3) * 0.25) + C) @ B + D,
    ),
    "Quant, unsigned, rounded down": (
        model(
            [
                node("Quant", "a scale zero bits", "q", QONNX, signed=0, rounding_mode="FLOOR"),
                *QUANTIZED,
            ],
            quant(0.25, 3, 4),
        ),
        lambda x: relu(x @ ((np.floor(np.clip(A / 0.25 + 4, 0, 7)) - 4) * 0.25) + C) @ B + D,
    ),
    "Quant on activations": (
        model(
            [*FIRST[:2], node("Quant", "2 scale zero bits", "3", QONNX, signed=0), *LAST],
            quant(0.25, 8),
        ),
        plain,  # the ReLU is in the quantization, which itself is left out
    ),
    "a ReLU in a zero point": (  # as quantizers of networks leave it out
        model(
            [
                *FIRST[:2],
                node("QuantizeLinear", "2 step low", "q"),
                node("DequantizeLinear", "q step low", "3"),
                *LAST,
            ],
            ARRAYS | STEP | {"low": np.int8(-128)},
        ),
        plain,
    ),
    "BipolarQuant": (
        model(
            [node("BipolarQuant", "a scale", "q", QONNX), *QUANTIZED],
            quant(0.25, 8),
        ),
        lambda x: relu(x @ np.where(A >= 0, 0.25, -0.25) + C) @ B + D,
    ),
    "integers with scales": (
        model(
            [node("DequantizeLinear", "i scales zeros", "q", axis=1), *QUANTIZED],
            ARRAYS | {"i": INT8, "scales": CHANNELS, "zeros": np.zeros(4, np.int8)},
        ),
        lambda x: relu(x @ (INT8 * CHANNELS) + C) @ B + D,
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_is_what_it_computes(tmp_path: Path, case: str) -> None:
    content, expected = GRAPHS[case]
    (tmp_path / "net").write_bytes(content)
    logits = load_checkpoint(tmp_path / "net").logits(X)
    np.testing.assert_allclose(logits, expected(X), atol=1e-5)


def test_the_log_says_what_was_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "net").write_bytes(GRAPHS["Quant on activations"][0])
    load_checkpoint(tmp_path / "net")
    assert "3: taken without its quantization" in caplog.text


def large(*sides: int) -> bytes:
    return message(*((1, side) for side in sides), (2, 1), (8, "a"), (9, b""))


def stored_outside(location: str, **entries: str) -> bytes:
    pairs = {"location": location, **entries}
    texts = [(13, message((1, key), (2, text))) for key, text in pairs.items()]
    return tensor("a", A, *texts, (14, 1), raw=False)


REFUSED: dict[str, tuple[bytes, str]] = {
    "convolution": (
        model([node("ConvTranspose", "x a", "y")], ARRAYS),
        r"ConvTranspose \('y'\) is not supported; ",
    ),
    "attention": (model([node("Attention", "x x x", "y")], ARRAYS), "is used several times"),
    "tanh": (
        model([*FIRST[:2], node("Tanh", "2", "3"), *LAST], ARRAYS),
        r"Tanh \('3'\) is not supported",
    ),
    "sigmoid between": (
        model([*FIRST[:2], node("Sigmoid", "2", "3"), *LAST], ARRAYS),
        "Sigmoid .* before the last layer is not supported",
    ),
    "a branch": (
        model([*FIRST, node("Add", "3 2", "y")], ARRAYS),
        "several tensors|several times",
    ),
    "a loop": (model([node("Loop", "x", "y")], ARRAYS), "Loop"),
    "another domain": (model([node("Relu", "x", "y", "evil")], ARRAYS), "evil.Relu"),
    "thresholds": (
        model([node("MultiThreshold", "x a", "y", QONNX)], ARRAYS),
        "MultiThreshold .* is not supported",
    ),
    "a circle": (
        model([node("Add", "x 2", "1"), node("Relu", "1", "2"), node("Relu", "2", "y")], ARRAYS),
        "takes '2', which nothing before it makes: the graph is cyclic",
    ),
    "itself": (model([node("Add", "y x", "y")], ARRAYS), "the graph is cyclic or damaged"),
    "no output": (model(FIRST, ARRAYS), "the output takes 'y', which nothing before it makes"),
    "two outputs": (model([*FIRST, *LAST], ARRAYS, outputs=("y", "1")), "1 inputs and 2 outputs"),
    "a constant": (
        model([node("Constant", "", "y", value=tensor("", A))], {}),
        "the output of the graph does not come from its input",
    ),
    "10 GB": (
        model([*FIRST, *LAST], BCD, tensors=[large(50_000, 50_000)]),
        "holds 2,500,000,019 values; at most 100,000,000",
    ),
    "beyond any memory": (
        model([*FIRST, *LAST], BCD, tensors=[large(*[1 << 40] * 30)]),
        r"holds more than 10\*\*15 values",
    ),
    "a negative side": (model([*FIRST, *LAST], BCD, tensors=[large(-1, 6)]), "damaged"),
    "claims more": (
        model([*FIRST, *LAST], BCD, tensors=[large(6, 4)]),
        "'a' claims 24 values, and has others",
    ),
    "made large": (
        model(
            [node("Add", "u v", "a"), *FIRST, *LAST],
            BCD | {"u": np.ones((20_000, 1), np.float32), "v": np.ones(20_000, np.float32)},
        ),
        "holds 400,000,000 values",
    ),
    "an absolute path": (
        model([*FIRST, *LAST], BCD, tensors=[stored_outside("/etc/passwd")]),
        "'a' lies in the file '/etc/passwd', which is not in the folder of the model",
    ),
    "a path out": (
        model([*FIRST, *LAST], BCD, tensors=[stored_outside("../other")]),
        "not in the folder of the model",
    ),
    "no path": (
        model([*FIRST, *LAST], BCD, tensors=[stored_outside("")]),
        "not in the folder of the model",
    ),
    "a missing file": (
        model([*FIRST, *LAST], BCD, tensors=[stored_outside("weights")]),
        "weights: cannot be read",
    ),
    "the model as its data": (
        model([*FIRST, *LAST], BCD, tensors=[stored_outside("net", length="7")]),
        "claims other values than its file has",
    ),
    "more integers than it claims": (
        model(
            [node("Cast", "i", "a", to=1), *FIRST, *LAST],
            BCD,
            tensors=[message((1, 1), (2, 7), (8, "i"), (7, bytes(5000)))],
        ),
        "is no ONNX file, or a truncated or damaged one",
    ),
    "text as a type": (
        model([*FIRST, *LAST], BCD, tensors=[message((1, 6), (1, 4), (2, 8), (8, "a"))]),
        r"'a' is of a type \(number 8\) that is not read",
    ),
    "integers as weights": (model([*FIRST, *LAST], ARRAYS | {"a": INT8}), "no constant of real"),
    "the weight first": (model([node("MatMul", "a x", "y")], ARRAYS), "with the weight first"),
    "no flatten": (
        model([*FIRST, *LAST], ARRAYS, **SHAPE),
        r"on inputs of shape \(2, 3\), without a Flatten",
    ),
    "another reshaping": (
        model([node("Reshape", "x to", "y")], {"to": np.array([2, -1])}, **SHAPE),
        r"other than to \(samples, features\)",
    ),
    "a constant of another shape": (
        model([node("Add", "x c", "1"), node("MatMul", "1 a", "y")], ARRAYS),
        r"of values of shape \(6,\) with a constant of shape \(4,\)",
    ),
    "a bias of another shape": (
        model([node("Gemm", "x a d", "y")], ARRAYS),
        r"of values of shape \(4,\) with a constant of shape \(3,\)",
    ),
    "one bit": (
        model(
            [*FIRST, node("Quant", "3 scale zero bits", "4", QONNX), node("Gemm", "4 b", "y")],
            quant(1, 1),
        ),
        "to 1.0 bits is not supported",
    ),
    "signs of activations": (
        model(
            [*FIRST, node("BipolarQuant", "3 scale", "4", QONNX), node("Gemm", "4 b", "y")],
            quant(1, 1),
        ),
        "BipolarQuant .* is not supported",
    ),
    "values to integers": (
        model([*FIRST, node("Cast", "3", "4", to=6), node("Gemm", "4 b", "y")], ARRAYS),
        "Cast .* of values to integers",
    ),
    "another scale back": (
        model(
            [
                *FIRST,
                node("QuantizeLinear", "3 step", "q"),
                node("DequantizeLinear", "q other", "4"),
                node("Gemm", "4 b", "y"),
            ],
            ARRAYS | STEP | {"other": np.float32(0.25)},
        ),
        "does not undo a QuantizeLinear before it",
    ),
    "a tensor twice": (
        model([*FIRST, *LAST], ARRAYS, tensors=[tensor("a", A)]),
        "defines 'a' more than once",
    ),
    "a bad permutation": (
        model([node("Transpose", "t", "a", perm=[5]), *FIRST, *LAST], BCD | {"t": A}),
        "has parameters that do not fit each other",
    ),
    "a softmax over samples": (
        model([*FIRST, node("Gemm", "3 b", "4"), node("Softmax", "4", "y", axis=0)], ARRAYS),
        "along another axis than the last",
    ),
    "trained further": (
        model([node("BatchNormalization", "x a a a a", "y", training_mode=1)], ARRAYS),
        "in training",
    ),
    "no graph": (message((1, 10), (2, "x" * 20)), "is no ONNX file, or a truncated or damaged one"),
    "a number as a graph": (message((1, 10), (7, 5), (2, "x" * 20)), "is no ONNX file"),
    "many operations": (
        model([node("Relu", "x", "y")] * 10_001, {}),
        "holds 10,001 operations; at most 10,000",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, case: str) -> None:
    content, message_ = REFUSED[case]
    (tmp_path / "net").write_bytes(content)
    answer = refusal(tmp_path / "net")
    assert re.search(message_, answer), answer
    assert len(answer) < 600


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = GRAPHS["Gemm"][0]
    for size in {*range(1, 40), *range(40, len(content) - 9, 17)}:
        (tmp_path / "net").write_bytes(content[:size])
        refusal(tmp_path / "net")


def test_data_beside_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"....." + A.tobytes() + b".....")
    outside = stored_outside("weights", offset="5", length=str(A.nbytes))
    (tmp_path / "net").write_bytes(model([*FIRST, *LAST], BCD, tensors=[outside]))
    np.testing.assert_allclose(load_checkpoint(tmp_path / "net").logits(X), plain(X), atol=1e-5)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(A.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").symlink_to(tmp_path / "secret")
    content = model([*FIRST, *LAST], BCD, tensors=[stored_outside("weights")])
    (folder / "net").write_bytes(content)
    assert "not in the folder of the model" in refusal(folder / "net")
