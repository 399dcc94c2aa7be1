"""From an ONNX or QONNX file to steps; nothing is run, and no library of ONNX's is needed.

The fields of the messages: onnx.proto3 of https://github.com/onnx/onnx. What the operations mean:
its docs/Operators.md; Quant and BipolarQuant: https://github.com/fastmachinelearning/qonnx.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError, quoted
from synq.files import open_regular
from synq.float_network import check_total
from synq.geometry import Pair, Pooling
from synq.learn.importers.protobuf import DamagedError, Message
from synq.learn.importers.steps import (
    Affine,
    Array,
    Convolution,
    Dense,
    Ending,
    Flattened,
    Image,
    Padding,
    Pooled,
    Relu,
    Step,
    batch_norm,
    unsupported,
)

_log = logging.getLogger("synq")

_MOST_NODES = 10_000
_STANDARD = ("", "ai.onnx")
_QUANTIZED = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
_TYPES = {
    **{1: "<f4", 2: "<u1", 3: "<i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?"},
    **{10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8", 16: "bfloat16"},
}
_FLOAT_TYPES = (1, 10, 11, 16)
_UNSIGNED_TYPES = (0, 2, 4)  # the first: not given
_ENDINGS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax")
_PASSED = ("Identity", "Dropout")

Constant = NDArray[Any]


@dataclass(frozen=True)
class _Sizes:
    """What is known of a shape that the inputs decide; None for the number of samples."""

    values: tuple[int | None, ...]


@dataclass(frozen=True)
class _Codes:
    """What values have been quantized with.

    Attributes:
        zero: the zero point, or None for 0.
        after: how many steps came before.
    """

    scale: Any
    zero: Any
    after: int


class _Stream:
    """Stands for the values that go through the network."""


_STREAM = _Stream()


@dataclass(frozen=True)
class _Node:
    """One operation.

    Attributes:
        name: its own, or else its output's.
    """

    kind: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Message]

    @property
    def label(self) -> str:
        kind = f"{self.domain}.{self.kind}" if self.domain not in _STANDARD else self.kind
        return f"{kind[:80]} ({quoted(self.name)})"

    def integer(self, name: str, default: int) -> int:
        attribute = self.attributes.get(name)
        return default if attribute is None else attribute.integer(3, default)

    def integers(self, name: str) -> list[int] | None:
        attribute = self.attributes.get(name)
        return None if attribute is None else attribute.integers(8)

    def text(self, name: str, default: str) -> str:
        attribute = self.attributes.get(name)
        return default if attribute is None else attribute.text(4) or default

    def real(self, name: str, default: float) -> float:
        attribute = self.attributes.get(name)
        value = None if attribute is None else attribute.real(2)
        return default if value is None else value


def steps_of_onnx(content: bytes, folder: Path) -> list[Step]:
    """The steps of the network in a file's content.

    Args:
        folder: of the file; data that it keeps in other files must lie within.

    Raises:
        SynqError: the file is damaged, or its graph is no chain of operations that are read.
    """
    try:
        graphs = Message(memoryview(content)).messages(7)
        if len(graphs) != 1:
            raise DamagedError
        with np.errstate(all="ignore"):  # what is not finite in the end is refused
            return _Graph(graphs[0], folder).steps()
    except (DamagedError, RecursionError):
        raise SynqError("is no ONNX file, or a truncated or damaged one") from None
    except MemoryError:
        raise SynqError("holds more than fits into memory") from None


class _Graph:
    """A graph, read from its input to its output."""

    def __init__(self, graph: Message, folder: Path) -> None:
        nodes = graph.messages(1)
        if len(nodes) > _MOST_NODES:
            raise SynqError(f"holds {len(nodes):,} operations; at most {_MOST_NODES:,} are read")
        if graph.views(15):
            raise unsupported("a sparse initializer")
        self._folder = folder
        self._values: dict[str, Any] = {}
        self._steps: list[Step] = []
        self._codes: _Codes | None = None
        self._last = False  # whether images are transposed to channels last
        tensors = graph.messages(5)
        check_total(sum(math.prod(_sides(tensor)) for tensor in tensors))
        self._tensors = {tensor.text(8): tensor for tensor in tensors}
        self._nodes = [_node(node) for node in nodes]
        made = [name for node in self._nodes for name in node.outputs if name]
        made += [tensor.text(8) for tensor in tensors]
        twice = next((name for name, times in Counter(made).items() if times > 1), None)
        if twice is not None:
            raise SynqError(f"defines {quoted(twice)} more than once: the graph is damaged")
        inputs = [each for each in graph.messages(11) if each.text(1) not in self._tensors]
        outputs = [each.text(1) for each in graph.messages(12)]
        if len(inputs) != 1 or len(outputs) != 1:
            raise unsupported(f"a graph of {len(inputs)} inputs and {len(outputs)} outputs")
        self._output = outputs[0]
        self._values[inputs[0].text(1)] = _STREAM
        self._batch, self._shape = _input_shape(inputs[0])  # channels first
        self._see()

    def steps(self) -> list[Step]:
        needed = self._needed()
        self._uses = Counter(
            name for node in needed if node.kind != "Shape" for name in node.inputs if name
        )
        for node in needed:
            if not node.outputs:
                raise DamagedError
            values = [self._value(name, node) if name else None for name in node.inputs]
            self._values[node.outputs[0]] = self._result(node, values)
        if self._value(self._output, None) is not _STREAM:
            raise SynqError("the output of the graph does not come from its input")
        return self._steps

    def _needed(self) -> list[_Node]:
        """The nodes that the output comes from, in the order of the file."""
        makers = {name: index for index, node in enumerate(self._nodes) for name in node.outputs}
        left, found = [self._output], set()
        while left:
            index = makers.get(left.pop())
            if index is not None and index not in found:
                found.add(index)
                left += [name for name in self._nodes[index].inputs if name]
        return [self._nodes[index] for index in sorted(found)]

    def _value(self, name: str, node: _Node | None) -> Any:
        if name not in self._values:
            if name not in self._tensors:
                where = "the output" if node is None else node.label
                raise SynqError(
                    f"{where} takes {quoted(name)}, which nothing before it makes: "
                    "the graph is cyclic or damaged"
                )
            self._values[name] = _array(self._tensors[name], self._folder)
        return self._values[name]

    def _result(self, node: _Node, values: list[Any]) -> Any:
        standard = node.domain in _STANDARD
        if not standard and not (node.domain in _QUANTIZED and node.kind in _QUANTIZERS):
            raise unsupported(node.label)
        streams = [at for at, value in enumerate(values) if value is _STREAM]
        if any(isinstance(value, _Sizes) for value in values) and not streams:
            return self._sizes(node, values)
        if not streams:
            return _folded(node, values, self._folder)
        if node.kind == "Shape":
            if self._shape is None:
                return _Sizes((None, None))
            return _Sizes((None, *self._shape))
        at = streams[0]
        if self._uses[node.inputs[at]] > 1 or node.inputs[at] == self._output:
            raise unsupported(f"a branch ({quoted(node.inputs[at])} is used several times)")
        self._step(node, values, at)
        return _STREAM

    def _sizes(self, node: _Node, values: list[Any]) -> Any:
        """A shape computed from a shape, as exporters write `x.view(x.size(0), -1)`."""
        first = values[0]
        if node.kind in ("Unsqueeze", "Cast", "Identity", "Squeeze") and isinstance(first, _Sizes):
            return first
        if node.kind == "Gather" and isinstance(first, _Sizes):
            (index,) = values[1].reshape(-1).tolist() if values[1].size == 1 else (-1 << 40,)
            if -len(first.values) <= index < len(first.values):
                return _Sizes((first.values[index],))
        if node.kind == "Concat":
            parts: list[int | None] = []
            for value in values:
                parts += value.values if isinstance(value, _Sizes) else value.reshape(-1).tolist()
            return _Sizes(tuple(parts))
        raise unsupported(f"{node.label} of a shape")

    # ---- What changes the values that go through ------------------------------------------------

    def _step(self, node: _Node, values: list[Any], at: int) -> None:
        match node.kind:
            case "Gemm" | "MatMul":
                self._dense(node, values, at)
            case "Add" | "Sub" | "Mul" | "Div" | "Neg":
                self._arithmetic(node, values, at)
            case "BatchNormalization":
                self._batch_norm(node, values)
            case "Relu":
                self._steps.append(Relu(node.name))
            case "Clip" | "Max":
                low, high = [*(_number(value) for value in values[1:]), None, None][:2]
                if at != 0 or low != 0 or high is not None or len(values) > 3:
                    raise unsupported(f"{node.label} other than at 0 from below")
                self._steps.append(Relu(node.name))
            case "Conv":
                self._convolution(node, values, at)
            case "MaxPool" | "AveragePool":
                self._pool(node)
            case "GlobalMaxPool" | "GlobalAveragePool":
                kind = Pooling.MAX if node.kind == "GlobalMaxPool" else Pooling.AVERAGE
                self._pool_all(node, kind)
            case "ReduceMean":
                self._reduce(node, values)
            case "Pad":
                self._pad(node, values)
            case "Transpose":
                self._transpose(node)
            case "Flatten" | "Reshape":
                self._flatten(node, values)
            case "Squeeze":
                if self._shape is not None and len(self._shape) > 1:
                    raise unsupported(node.label)
            case "Cast":
                if node.integer("to", 1) not in _FLOAT_TYPES:
                    raise unsupported(f"{node.label} of values to integers")
            case "Quant" | "QuantizeLinear":
                self._quantize(node, values)
            case "DequantizeLinear":
                self._dequantize(node, values)
            case kind if kind in _ENDINGS:
                last = (-1, 1) if self._shape is None else (-1, len(self._shape))
                default = {"ArgMax": 0}.get(kind, -1)
                if kind != "Sigmoid" and node.integer("axis", default) not in last:
                    raise unsupported(f"{node.label} along another axis than the last")
                self._steps.append(Ending(node.name, kind))
            case kind if kind not in _PASSED:
                raise unsupported(node.label)

    def _dense(self, node: _Node, values: list[Any], at: int) -> None:
        if at != 0 or node.integer("transA", 0):
            raise unsupported(f"{node.label} with the weight first")
        if self._shape is not None and len(self._shape) != 1:
            raise unsupported(f"{node.label} on inputs of shape {self._shape}, without a Flatten")
        weight = _real(values[1], node)
        if weight.ndim != 2:
            raise unsupported(f"{node.label} with a weight of shape {weight.shape}")
        bias = None
        if node.kind == "Gemm":
            weight = weight.T if node.integer("transB", 0) else weight
            alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
            weight = weight if alpha == 1 else weight * alpha
            if len(values) > 2 and values[2] is not None:
                bias = _one_a_feature(_real(values[2], node), (weight.shape[1],), node)
                bias = np.broadcast_to(bias if beta == 1 else bias * beta, weight.shape[1:])
        self._steps.append(Dense(node.name, weight, bias))
        self._shape = weight.shape[1:]

    def _arithmetic(self, node: _Node, values: list[Any], at: int) -> None:
        one, zero = np.ones(()), np.zeros(())
        if node.kind == "Neg":
            self._steps.append(Affine(node.name, -one, zero))
            return
        other = values[1 - at] if len(values) == 2 else None
        if not isinstance(other, np.ndarray):
            raise unsupported(f"{node.label} of several tensors")
        value = _one_a_feature(_real(other, node).astype(np.float64), self._shape, node)
        if self._shape is not None and len(self._shape) > 1 and value.ndim:
            value = _one_a_channel(value, self._shape, self._last)
        match node.kind:
            case "Add":
                step = Affine(node.name, one, value)
            case "Sub":
                step = Affine(node.name, one, -value) if at == 0 else Affine(node.name, -one, value)
            case "Mul":
                step = Affine(node.name, value, zero)
            case _ if at == 0:
                step = Affine(node.name, 1 / value, zero)
            case _:
                raise unsupported(f"{node.label} by values of the network")
        self._steps.append(step)

    def _batch_norm(self, node: _Node, values: list[Any]) -> None:
        if node.integer("training_mode", 0) or len(values) != 5:
            raise unsupported(f"{node.label} in training")
        scale, shift, mean, variance = (_real(value, node) for value in values[1:])
        epsilon = node.real("epsilon", 1e-5)
        self._steps.append(batch_norm(node.name, mean, variance, scale, shift, epsilon))

    def _flatten(self, node: _Node, values: list[Any]) -> None:
        """Take a reshaping to (samples, features), whatever it is written as."""
        if node.kind == "Flatten":
            right = node.integer("axis", 1) == 1
        else:
            given = values[1] if len(values) > 1 else None
            if isinstance(given, np.ndarray):
                sides: tuple[int | None, ...] = tuple(given.reshape(-1)[:9].tolist())
            else:
                sides = given.values if isinstance(given, _Sizes) else ()
            first = (None, 0, -1, self._batch)
            features = None if self._shape is None else math.prod(self._shape)
            right = len(sides) == 2 and (
                (sides[0] in first and (features is None or sides[1] in (-1, features)))
                or (features is not None and sides[1] == features)
            )
        if not right:
            if self._is_image(node, values):
                return
            raise unsupported(f"{node.label} other than to (samples, features)")
        self._steps.append(Flattened(node.name, channels_first=not self._last))
        self._last = False
        if self._shape is not None:
            self._shape = (math.prod(self._shape),)

    # ---- Images ---------------------------------------------------------------------------------

    def _see(self) -> None:
        """Say that an image is what goes in, if it is one."""
        shape = () if self._shape is None else self._shape
        if len(shape) in (2, 3):
            channels, height, width = shape if len(shape) == 3 else (shape[0], 1, shape[1])
            self._steps.append(Image((height, width, channels)))

    def _is_image(self, node: _Node, values: list[Any]) -> bool:
        """Whether a reshaping makes an image of the features that go in."""
        given = values[1] if len(values) > 1 else None
        sides = given.reshape(-1)[:9].tolist() if isinstance(given, np.ndarray) else []
        begins = all(isinstance(each, Image) for each in self._steps)
        if len(sides) not in (3, 4) or sides[1] != 1 or min(sides[1:]) < 1 or not begins:
            return False  # of several channels the order would be another than the data's
        if self._shape is None or math.prod(self._shape) != math.prod(sides[1:]):
            return False
        self._shape = tuple(sides[1:])
        self._see()
        return True

    def _transpose(self, node: _Node) -> None:
        """Take what makes data with channels last an image of ONNX, and back."""
        axes, shape = node.integers("perm"), self._shape
        if shape is None or len(shape) != 3:
            raise unsupported(f"{node.label} of what is no image")
        begins = all(isinstance(each, Image) for each in self._steps)
        if begins and axes == [0, 3, 1, 2]:
            self._steps.clear()
            self._shape = (shape[2], *shape[:2])
            self._see()
        elif not begins and axes == [0, 2, 3, 1] and not self._last:
            self._last = True
            self._shape = (*shape[1:], shape[0])
        else:
            raise unsupported(node.label)

    def _sides(self, node: _Node, name: str, count: int, default: int) -> list[int]:
        sides = node.integers(name)
        if not sides:
            return [default] * count
        if len(sides) != count or any(not 0 <= side < 1 << 16 for side in sides):
            raise SynqError(f"{node.label}: {name} must not be {sides[:8]}")
        return sides

    def _zeros(self, node: _Node, n_axes: int) -> tuple[Pair, Pair] | str:
        match node.text("auto_pad", "NOTSET"):
            case "SAME_UPPER":
                return "same"
            case "NOTSET":
                sides = self._sides(node, "pads", 2 * n_axes, 0)
                return _two(zip(sides[:n_axes], sides[n_axes:], strict=True))
            case "VALID":
                return (0, 0), (0, 0)
        raise unsupported(f"{node.label} with auto_pad {node.text('auto_pad', '')[:20]}")

    def _check_first(self, node: _Node) -> None:
        if self._last:
            raise unsupported(f"{node.label} of transposed images")

    def _convolution(self, node: _Node, values: list[Any], at: int) -> None:
        self._check_first(node)
        weight = _real(values[1] if len(values) > 1 else None, node)
        n_axes = weight.ndim - 2
        if at != 0 or n_axes not in (1, 2):
            raise unsupported(f"{node.label} with a weight of shape {weight.shape}")
        if set(self._sides(node, "dilations", n_axes, 1)) != {1}:
            raise unsupported(f"{node.label} with dilations")
        if node.integer("group", 1) != 1:
            raise unsupported(f"{node.label} with {node.integer('group', 1)} groups")
        stride = [1, *self._sides(node, "strides", n_axes, 1)][-2:]
        bias = values[2] if len(values) > 2 else None
        kernel = weight.reshape(weight.shape[:2] + (1,) * (2 - n_axes) + weight.shape[2:])
        zeros = self._zeros(node, n_axes)
        self._steps.append(
            Convolution(
                node.name,
                kernel.transpose(2, 3, 1, 0),
                None if bias is None else _real(bias, node),
                (stride[0], stride[1]),
                zeros,
            )
        )
        if min(stride) < 1:
            raise SynqError(f"{node.label}: strides must not be 0")
        if self._shape is not None:
            self._check_axes(node, n_axes)
            made: list[int] = []
            for axis, side in enumerate([1, *self._shape[1:]][-2:]):
                if isinstance(zeros, str):
                    made.append(-(-side // stride[axis]))
                else:
                    beyond = side + sum(zeros[axis]) - kernel.shape[2 + axis]
                    made.append(beyond // stride[axis] + 1)
            self._shape = (weight.shape[0], *made[-n_axes:])

    def _check_axes(self, node: _Node, n_axes: int) -> None:
        if self._shape is not None and len(self._shape) != n_axes + 1:
            raise SynqError(f"{node.label} on inputs of shape {self._shape}")

    def _pool(self, node: _Node) -> None:
        self._check_first(node)
        n_axes = len(node.integers("kernel_shape") or [])
        if n_axes not in (1, 2):
            raise unsupported(node.label)
        self._check_axes(node, n_axes)
        size: list[int] = self._sides(node, "kernel_shape", n_axes, 1)
        if self._sides(node, "strides", n_axes, 1) != size or min(size) < 1:
            raise unsupported(f"{node.label} whose strides are not its size")
        if node.integer("ceil_mode", 0) or set(self._sides(node, "dilations", n_axes, 1)) != {1}:
            raise unsupported(f"{node.label} with ceil_mode or dilations")
        zeros = self._zeros(node, n_axes)
        if isinstance(zeros, str) or any(map(any, zeros)) or len(node.outputs) > 1:
            raise unsupported(f"{node.label} with padding, or indices")
        kind = Pooling.MAX if node.kind == "MaxPool" else Pooling.AVERAGE
        rows, columns = [1, *size][-2:]
        self._steps.append(Pooled(node.name, kind, (rows, columns)))
        if self._shape is not None:
            places = [side // step for side, step in zip(self._shape[1:], size, strict=True)]
            self._shape = (self._shape[0], *places)

    def _pool_all(self, node: _Node, kind: Pooling) -> None:
        self._check_first(node)
        self._steps.append(Pooled(node.name, kind, None))
        if self._shape is not None:
            self._shape = (self._shape[0], *(1 for _ in self._shape[1:]))

    def _reduce(self, node: _Node, values: list[Any]) -> None:
        """Take a mean over all places."""
        axes = _integers(values[1]) if len(values) > 1 else node.integers("axes")
        n_axes = 0 if self._shape is None else len(self._shape) - 1
        if not n_axes or sorted(axis % (n_axes + 2) for axis in axes or []) != [
            *range(2, n_axes + 2)
        ]:
            raise unsupported(f"{node.label} over other axes than all places")
        self._pool_all(node, Pooling.AVERAGE)
        if not node.integer("keepdims", 1):
            self._steps.append(Flattened(node.name, channels_first=True))
            self._shape = None if self._shape is None else self._shape[:1]

    def _pad(self, node: _Node, values: list[Any]) -> None:
        self._check_first(node)
        sides = _integers(values[1]) if len(values) > 1 else node.integers("pads")
        constant = _number(values[2]) if len(values) > 2 and values[2] is not None else 0
        usual = node.text("mode", "constant") == "constant" and constant == 0 and len(values) < 4
        if self._shape is None or not sides or not usual:
            raise unsupported(f"{node.label} other than of images with zeros")
        n_sides = len(self._shape) + 1
        if len(sides) != 2 * n_sides or any(not 0 <= side < 1 << 16 for side in sides):
            raise unsupported(f"{node.label} other than of images with zeros")
        pairs = [*zip(sides[:n_sides], sides[n_sides:], strict=True)]
        if any(map(any, pairs[:2])) or not 3 <= n_sides <= 4:
            raise unsupported(f"{node.label} of samples or channels")
        self._steps.append(Padding(node.name, _two(pairs[2:])))
        padded = [side + sum(pair) for side, pair in zip(self._shape[1:], pairs[2:], strict=True)]
        self._shape = (self._shape[0], *padded)

    def _quantize(self, node: _Node, values: list[Any]) -> None:
        """Pass over a quantization of activations, but for the ReLU in an unsigned one."""
        if node.kind == "Quant":
            unsigned = not node.integer("signed", 1)
        else:
            # codes that start at the zero point hold nothing below 0: quantizers leave out the ReLU
            zero = values[2] if len(values) > 2 else None
            if zero is None:
                unsigned = node.integer("output_dtype", 2) in _UNSIGNED_TYPES
            else:
                if not isinstance(zero, np.ndarray) or zero.dtype.kind not in "iu":
                    raise unsupported(f"{node.label} with a zero point that is no integer")
                lowest = zero == np.iinfo(zero.dtype).min
                if lowest.any() and not lowest.all():
                    raise unsupported(f"{node.label} with a ReLU for some features")
                unsigned = bool(lowest.all())
            self._codes = _Codes(values[1], zero, len(self._steps))
        bits = _number(values[3]) if node.kind == "Quant" and len(values) > 3 else 8
        if bits is None or bits < 2:
            raise unsupported(f"{node.label} to {bits} bits")
        if unsigned and self._steps and not isinstance(self._steps[-1], Relu):
            self._steps.append(Relu(node.name))
            if self._codes is not None:
                self._codes = replace(self._codes, after=len(self._steps))
        _log.info("%s: taken without its quantization", node.name)

    def _dequantize(self, node: _Node, values: list[Any]) -> None:
        """Pass over what undoes the quantization just before."""
        codes, self._codes = self._codes, None
        zero = values[2] if len(values) > 2 else None
        origin = np.zeros(())
        if (
            codes is None
            or codes.after != len(self._steps)
            or not np.array_equal(codes.scale, values[1])
            or not np.array_equal(
                origin if codes.zero is None else codes.zero, origin if zero is None else zero
            )
        ):
            raise unsupported(f"{node.label} that does not undo a QuantizeLinear before it")


def _node(message: Message) -> _Node:
    outputs = tuple(message.texts(2))
    attributes = {each.text(1): each for each in message.messages(5)}
    name = message.text(3) or (outputs or ("",))[0]
    return _Node(
        message.text(4), message.text(7), name, tuple(message.texts(1)), outputs, attributes
    )


def _input_shape(value: Message) -> tuple[int | None, tuple[int, ...] | None]:
    """Samples and the shape of one, as far as a graph's input says."""
    for kind in value.messages(2):
        for tensor in kind.messages(1):
            for shape in tensor.messages(2):
                sides = [side.integer(1, -1) for side in shape.messages(1)]
                if len(sides) < 2 or any(side < 1 for side in sides[1:]):
                    return None, None
                check_total(math.prod(sides[1:]))
                return (sides[0] if sides[0] > 0 else None), tuple(sides[1:])
    return None, None


# ---- Constants ----------------------------------------------------------------------------------


def _sides(tensor: Message) -> tuple[int, ...]:
    sides = tensor.integers(1)
    if len(sides) > 32 or any(not 0 <= side < 1 << 48 for side in sides):
        raise DamagedError
    return tuple(sides)


def _array(tensor: Message, folder: Path) -> Constant:
    """The values of a tensor, in the file or in one beside it."""
    sides, kind, name = _sides(tensor), tensor.integer(2), tensor.text(8)
    size = math.prod(sides)
    check_total(size)
    if kind not in _TYPES:
        raise SynqError(f"{quoted(name)} is of a type (number {kind}) that is not read")
    stored = np.dtype("<u2" if _TYPES[kind] == "bfloat16" else _TYPES[kind])
    if tensor.integer(14) == 1 or tensor.views(13):
        raw: Any = _external(tensor, name, size * stored.itemsize, folder)
    elif tensor.views(9):
        raw = tensor.view(9)
    elif kind in (1, 11):
        raw = tensor.packed(4 if kind == 1 else 10)
    else:
        field = {7: 7, 12: 11, 13: 11}.get(kind, 5)
        integers = tensor.integers(field, size)
        raw = (
            np.array(integers, dtype=np.int64)
            .astype(stored if stored.kind != "f" else "<u2")
            .tobytes()
        )
    if len(raw) != size * stored.itemsize:
        raise SynqError(f"{quoted(name)} claims {size:,} values, and has others")
    array = np.frombuffer(raw, stored).reshape(sides)
    if _TYPES[kind] == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if kind == 10 else array


def _external(tensor: Message, name: str, size: int, folder: Path) -> bytes:
    """The bytes of a tensor in a file beside the model."""
    entries = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
    location = entries.get("location", "")
    path = folder / location
    try:
        inside = (
            path.resolve().is_relative_to(folder.resolve()) and not Path(location).is_absolute()
        )
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not location or not inside:
        raise SynqError(
            f"{quoted(name)} lies in the file {quoted(location)}, which is not in the folder of "
            "the model"
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        raise DamagedError from None
    if length != size or not 0 <= offset < 1 << 48:
        raise SynqError(f"{quoted(name)} claims other values than its file has")
    with open_regular(path) as stream:
        stream.seek(offset)
        return stream.read(size)


def _real(value: Any, node: _Node) -> Array:
    """A constant of real numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise unsupported(f"{node.label} with a parameter that is no constant of real numbers")
    return value


def _number(value: Any) -> float | None:
    """A constant of one number, or None for none."""
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.size != 1:
        return math.nan
    return float(value.reshape(-1)[0])


def _one_a_feature(array: Array, shape: tuple[int, ...] | None, node: _Node) -> Array:
    """A constant for values of a shape: one number, shape `()`, or one a feature, 1-D."""
    if array.size == 1:
        return array.reshape(())
    sides = array.shape
    if shape is None:
        shape = (array.size,)
    if len(sides) == len(shape) + 1 and sides[0] == 1:
        sides = sides[1:]
    try:
        return np.broadcast_to(array.reshape(sides), shape).reshape(-1)
    except ValueError:
        raise unsupported(
            f"{node.label} of values of shape {shape} with a constant of shape {array.shape}"
        ) from None


def _one_a_channel(array: Array, shape: tuple[int, ...], last: bool) -> Array:
    """One value for each value of an image, as one a channel, where it is that."""
    by_channel = array.reshape(-1, shape[-1]).T if last else array.reshape(shape[0], -1)
    return by_channel[:, 0] if (by_channel == by_channel[:, :1]).all() else array


def _integers(value: Any) -> list[int] | None:
    """A constant of a few integers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.size > 16:
        return None
    return [int(each) for each in value.reshape(-1)]


def _two(pairs: Iterable[Pair]) -> tuple[Pair, Pair]:
    """Of rows and columns; no rows of one dimension."""
    rows, columns = [(0, 0), *pairs][-2:]
    return rows, columns


# ---- Operations on constants --------------------------------------------------------------------


def _folded(node: _Node, values: list[Any], folder: Path) -> Constant:
    """What an operation makes of constants alone."""
    if node.kind == "Constant":
        return _constant(node, folder)
    operation = _CONSTANT_OPERATIONS.get(node.kind)
    if operation is None or not values or any(value is None for value in values):
        raise unsupported(f"{node.label} of constants")
    if node.kind in ("Add", "Sub", "Mul", "Div", "Quant", "BipolarQuant"):
        try:
            check_total(math.prod(np.broadcast_shapes(*(value.shape for value in values))))
        except ValueError:
            raise SynqError(f"{node.label} of shapes that do not fit each other") from None
    try:
        return np.asarray(operation(node, *values))
    except (ValueError, TypeError, IndexError, OverflowError):
        raise SynqError(f"{node.label} has parameters that do not fit each other") from None


def _constant(node: _Node, folder: Path) -> Constant:
    for name, field in (("value", 5), ("value_float", 2), ("value_int", 3), ("value_ints", 8)):
        attribute = node.attributes.get(name)
        if attribute is None:
            continue
        if field == 5:
            (tensor,) = attribute.messages(5) or [Message(memoryview(b""))]
            return _array(tensor, folder)
        if field == 2:
            return np.array(attribute.real(2) or 0.0, np.float32)
        values = attribute.integers(field)
        return np.array(values if field == 8 else values[-1:] or [0], np.int64).reshape(
            -1 if field == 8 else ()
        )
    raise unsupported(f"{node.label} of another kind")


def _transposed(node: _Node, array: Constant) -> Constant:
    axes = node.integers("perm")
    return array.transpose(axes) if axes else array.T


def _reshaped(node: _Node, array: Constant, shape: Constant) -> Constant:
    sides = [array.shape[at] if side == 0 else side for at, side in enumerate(shape.tolist())]
    return array.reshape(sides)


def _flattened(node: _Node, array: Constant) -> Constant:
    axis = node.integer("axis", 1)
    return array.reshape(math.prod(array.shape[:axis]), -1)


def _unsqueezed(node: _Node, array: Constant, axes: Constant | None = None) -> Constant:
    given = node.integers("axes") if axes is None else axes.reshape(-1)[:32].tolist()
    return np.expand_dims(array, tuple(given or ()))


def _squeezed(node: _Node, array: Constant, axes: Constant | None = None) -> Constant:
    given = node.integers("axes") if axes is None else axes.reshape(-1)[:32].tolist()
    return np.squeeze(array, tuple(given) if given else None)


def _cast(node: _Node, array: Constant) -> Constant:
    kind = _TYPES.get(node.integer("to", 1), "")
    if kind in ("", "bfloat16"):
        raise unsupported(f"{node.label} to another type")
    return array.astype(kind)


def _along(node: _Node, array: Constant, parameter: Constant) -> Constant:
    """A scale or zero point, of one value or one for each index along an axis."""
    if parameter.ndim != 1 or parameter.size == 1:
        return parameter.reshape(())
    sides = [1] * array.ndim
    sides[node.integer("axis", 1)] = parameter.size
    return parameter.reshape(sides)


def _quantize_linear(
    node: _Node, array: Constant, scale: Constant, zero: Constant | None = None
) -> Constant:
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    offset = 0 if zero is None else _along(node, array, zero).astype(np.int64)
    limits = np.iinfo(kind)
    codes = np.rint(array / _along(node, array, scale)) + offset
    return np.clip(codes, limits.min, limits.max).astype(kind)


def _dequantize_linear(
    node: _Node, array: Constant, scale: Constant, zero: Constant | None = None
) -> Constant:
    codes = array.astype(np.int64)
    if zero is not None:
        codes = codes - _along(node, array, zero).astype(np.int64)
    return codes.astype(np.float32) * _along(node, array, scale)


_ROUNDINGS: Mapping[str, Callable[[Constant], Constant]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}


def _quant(
    node: _Node, array: Constant, scale: Constant, zero: Constant, bits: Constant
) -> Constant:
    """QONNX's Quant: integers of a width, times a scale."""
    attribute = node.attributes.get("rounding_mode")
    mode = "ROUND" if attribute is None else (attribute.text(4) or "ROUND").upper()
    if mode not in _ROUNDINGS:
        raise unsupported(f"{node.label} with the rounding {quoted(mode)}")
    signed, narrow = node.integer("signed", 1), node.integer("narrow", 0)
    width = _number(bits)
    if width is None or not 1 <= width <= 64:
        raise unsupported(f"{node.label} to other than 1 to 64 bits")
    if signed:
        low, high = -(2.0 ** (width - 1)) + bool(narrow), 2.0 ** (width - 1) - 1
    else:
        low, high = 0.0, 2.0**width - 1 - bool(narrow)
    codes = _ROUNDINGS[mode](np.clip(array / scale + zero, low, high))
    return (codes - zero) * scale


def _bipolar(node: _Node, array: Constant, scale: Constant) -> Constant:
    return np.where(array >= 0, scale, -scale)


_QUANTIZERS = ("Quant", "BipolarQuant")
_CONSTANT_OPERATIONS: Mapping[str, Callable[..., Constant]] = {
    "Identity": lambda node, array: array,
    "Cast": _cast,
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Add": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Div": lambda node, a, b: a / b if a.dtype.kind == "f" else a // b,
    "Neg": lambda node, array: -array,
    "Sqrt": lambda node, array: np.sqrt(array),
    "Clip": lambda node, array, low, high: np.clip(array, low, high),
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "Quant": _quant,
    "BipolarQuant": _bipolar,
}
