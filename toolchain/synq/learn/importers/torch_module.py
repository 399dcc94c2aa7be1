"""From a torch module in memory to steps, by following its forward with torch.fx.

The module is the user's own object: its forward runs once, on stand-ins for values. It is taken as
in evaluation, and left as it was.
"""

import logging
import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn.utils import prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from synq.errors import SynqError, quoted
from synq.files import reason
from synq.float_network import check_total
from synq.geometry import Pair, Pooling
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

_PASSED = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout),
    nn.Identity,
)
_PASSED_CALLS = {
    *("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d"),
    *("contiguous", "float", "double", "detach", "clone", "to", "type", "requires_grad_"),
}
_LAST = (1, -1, None)  # dimensions of softmax
_ENDINGS = {"softmax": "softmax", "log_softmax": "log softmax", "sigmoid": "sigmoid"}


class _Stream:
    """Stands for the values that go through the network."""


class _Size:
    """Stands for a number that the shape of the inputs decides."""


_STREAM, _SIZE = _Stream(), _Size()


def steps_of_module(module: nn.Module) -> list[Step]:
    """What a module does in evaluation, step by step.

    Raises:
        SynqError: it does more than steps can say, or its forward cannot be followed.
    """
    while (inner := getattr(module, "_orig_mod", None)) is not None:  # of torch.compile
        module = inner
    if isinstance(module, nn.DataParallel):
        module = module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise unsupported("a TorchScript module")
    check_total(sum(parameter.numel() for parameter in _initialized(module)))
    with _evaluating(module), torch.no_grad():
        # in a Sequential, a module that is a layer itself is one too
        whole = nn.Sequential(module)
        try:
            graph = fx.Tracer().trace(whole)
        except Exception as error:  # whatever a user's forward raises where it meets no numbers
            raise SynqError(
                f"the forward of {type(module).__name__} cannot be followed "
                f"({type(error).__name__}: {reason(error)}); "
                "give its layers in order, as a torch.nn.Sequential"
            ) from error
        for node in reversed(graph.nodes):
            if not node.users and node.op not in ("placeholder", "output"):
                if _works_in_place(node, whole):
                    raise unsupported(f"a change in place ({quoted(node.name)}) without its result")
                graph.erase_node(node)
        return _Reader(whole).read(graph)


def _initialized(module: nn.Module) -> Iterator[nn.Parameter]:
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise SynqError(f"{quoted(name)} has no shape yet: run the module once")
        yield parameter


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(each, each.training) for each in module.modules()]
    try:
        for each, _ in modes:
            each.training = False
        yield
    finally:
        for each, training in modes:
            each.training = training


class _Reader:
    """Goes through a graph once, from the input to the output."""

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self._values: dict[fx.Node, Any] = {}
        self._steps: list[Step] = []

    def read(self, graph: fx.Graph) -> list[Step]:
        begun = False
        for node in graph.nodes:
            match node.op:
                case "placeholder":
                    self._values[node] = _STREAM if not begun else _default(node)
                    begun = True
                case "get_attr":
                    self._values[node] = operator.attrgetter(str(node.target))(self._root)
                case "output":
                    if self._value(node.args[0]) is not _STREAM:
                        raise unsupported("an output that is not one tensor")
                    self._check_alone(node.args[0])
                    return self._steps
                case _:
                    self._values[node] = self._called(node)
        raise AssertionError("a graph ends with its output")

    def _value(self, argument: Any) -> Any:
        """An argument with what is known of the nodes in it."""
        return fx.node.map_arg(argument, lambda node: self._values[node])

    def _check_alone(self, node: Any) -> None:
        """Raise where values that go on are used elsewhere too."""
        users = [each for each in node.users if self._values.get(each) is not _SIZE]
        if len(users) > 1:
            raise unsupported(f"a branch ({quoted(node.name)} is used {len(users)} times)")

    def _called(self, node: fx.Node) -> Any:
        args, kwargs = self._value(node.args), self._value(node.kwargs)
        inputs = [self._values[each] for each in node.all_input_nodes]
        if not any(value is _STREAM for value in inputs):
            if any(value is _SIZE for value in inputs):
                return _SIZE
            return self._constant(node, args, kwargs)
        name = _name(node)
        if _asks_shape(node):
            return _SIZE
        if sum(value is _STREAM for value in args) > 1 or inputs.count(_STREAM) > 1:
            if node.op == "call_module":
                name = f"a {type(self._root.get_submodule(name)).__name__}"
            raise unsupported(f"{name} ({quoted(node.name)}) of several tensors")
        if node.op == "call_module":
            layer = self._root.get_submodule(str(node.target))
            self._module(str(node.target).partition(".")[2] or type(layer).__name__, layer)
        else:
            self._function(name, node, args, kwargs)
        for each in node.all_input_nodes:
            if self._values[each] is _STREAM:
                self._values[node] = _STREAM
                self._later_sizes(each)
                self._check_alone(each)
        return _STREAM

    def _later_sizes(self, node: fx.Node) -> None:
        """Mark those users of a node that only ask for its shape."""
        for each in node.users:
            if _asks_shape(each):
                self._values.setdefault(each, _SIZE)

    def _constant(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """What a call gives that takes no values of the network's: a weight times its mask."""
        match node.op:
            case "call_function":
                return node.target(*args, **kwargs)  # type: ignore[operator]
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return self._root.get_submodule(str(node.target))(*args, **kwargs)

    # ---- Modules --------------------------------------------------------------------------------

    def _module(self, name: str, layer: nn.Module) -> None:
        known = (prune.BasePruningMethod, WeightNorm, SpectralNorm)
        before = layer._forward_pre_hooks.values()
        if layer._forward_hooks or not all(isinstance(hook, known) for hook in before):
            _log.info("%s: what its hooks do to values is not taken over", name)
        match layer:
            case nn.Linear():
                weight = _array(name, _effective(layer, "weight"))
                bias = None if layer.bias is None else _array(name, _effective(layer, "bias"))
                self._steps.append(Dense(name, weight.T, bias))
            case nn.Conv1d() | nn.Conv2d():
                self._check_plain(name, layer)
                self._convolution(
                    name, _effective(layer, "weight"), layer.bias, layer.stride, layer.padding
                )
            case nn.MaxPool1d() | nn.MaxPool2d():
                self._check_plain(name, layer)
                self._pool(name, Pooling.MAX, isinstance(layer, nn.MaxPool1d), vars(layer))
            case nn.AvgPool1d() | nn.AvgPool2d():
                self._check_plain(name, layer)
                self._pool(name, Pooling.AVERAGE, isinstance(layer, nn.AvgPool1d), vars(layer))
            case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
                self._pool_all(name, Pooling.AVERAGE, layer.output_size)
            case nn.AdaptiveMaxPool1d() | nn.AdaptiveMaxPool2d():
                self._pool_all(name, Pooling.MAX, layer.output_size)
            case nn.ZeroPad1d() | nn.ZeroPad2d():
                sides = [int(side) for side in layer.padding]
                across, down = (sides[0], sides[1]), (sides[2], sides[3]) if sides[2:] else (0, 0)
                self._steps.append(Padding(name, (down, across)))
            case nn.Unflatten():
                self._check_image(name, [-1, *layer.unflattened_size], layer.dim)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                mean, variance = layer.running_mean, layer.running_var
                if mean is None or variance is None:
                    kind = type(layer).__name__
                    raise unsupported(f"a {kind} ({quoted(name)}) without running statistics")
                self._batch_norm(name, mean, variance, layer.weight, layer.bias, epsilon=layer.eps)
            case nn.ReLU():
                self._steps.append(Relu(name))
            case nn.Softmax() | nn.LogSoftmax() if layer.dim not in _LAST:
                raise unsupported(f"a {type(layer).__name__} ({quoted(name)}) over the samples")
            case nn.Softmax() | nn.LogSoftmax() | nn.Sigmoid():
                self._steps.append(Ending(name, type(layer).__name__))
            case nn.Flatten():
                self._flatten(name, layer.start_dim, layer.end_dim)
            case _ if not isinstance(layer, _PASSED):
                raise unsupported(f"a {type(layer).__name__} ({quoted(name)})")

    def _batch_norm(self, name: str, *arrays: Any, epsilon: float) -> None:
        mean, variance, scale, shift = arrays
        scale, shift = (None if x is None else _array(name, x) for x in (scale, shift))
        statistics = _array(name, mean), _array(name, variance)
        self._steps.append(batch_norm(name, *statistics, scale, shift, epsilon))

    # ---- Images: torch has channels first -------------------------------------------------------

    def _convolution(self, name: str, weight: Any, bias: Any, stride: Any, padding: Any) -> None:
        kernel = _array(name, weight)
        if kernel.ndim == 3:
            kernel = kernel[:, :, None, :]  # one dimension: of height 1
        if kernel.ndim != 4:
            raise unsupported(f"a convolution ({quoted(name)}) with a weight of {kernel.shape}")
        one = weight.ndim == 3
        sides: Any = padding
        if padding == "valid":
            sides = ((0, 0), (0, 0))
        elif padding != "same":
            down, across = _pair(name, padding, one, 0)
            sides = ((down, down), (across, across))
        step = _pair(name, stride, one, 1)
        offset = None if bias is None else _array(name, bias)
        self._steps.append(Convolution(name, kernel.transpose(2, 3, 1, 0), offset, step, sides))

    def _pool(self, name: str, kind: Pooling, one: bool, given: Mapping[str, Any]) -> None:
        height, width = _pair(name, given["kernel_size"], one, 1)
        stride, padding = given.get("stride"), given.get("padding", 0)
        if stride not in (None, [], ()) and _pair(name, stride, one, 1) != (height, width):
            raise unsupported(f"a pool ({quoted(name)}) whose stride is not its size")
        if any(_pair(name, padding, one, 0)):
            raise unsupported(f"a pool ({quoted(name)}) with padding")
        self._steps.append(Pooled(name, kind, (height, width)))

    def _pool_all(self, name: str, kind: Pooling, size: Any) -> None:
        if size not in (1, (1,), (1, 1), [1], [1, 1]):
            raise unsupported(f"an adaptive pool ({quoted(name)}) to other than one place")
        self._steps.append(Pooled(name, kind, None))

    def _check_plain(self, name: str, layer: nn.Module) -> None:
        """Raise for what convolutions and pools may do beside the usual."""
        kind = type(layer).__name__
        for what, usual in _USUAL.items():
            value = getattr(layer, what, usual)
            if value not in (usual, (usual,), (usual, usual), [usual], [usual, usual]):
                raise unsupported(f"a {kind} ({quoted(name)}) with {what} {value}")

    # ---- Functions and methods ------------------------------------------------------------------

    def _function(self, name: str, node: fx.Node, args: Any, kwargs: Any) -> None:
        where = node.name
        given = dict(zip(_ARGUMENTS.get(name, ()), args, strict=False)) | kwargs
        match name:
            case "relu" | "relu_":
                self._steps.append(Relu(where))
            case "clamp" | "clamp_" | "clip" | "clamp_min":
                self._clamp(where, args, kwargs)
            case "linear":
                bias = None if given.get("bias") is None else _array(where, given["bias"])
                self._steps.append(Dense(where, _array(where, given["weight"]).T, bias))
            case "conv1d" | "conv2d":
                for what in ("dilation", "groups"):
                    if given.get(what, 1) not in (1, (1,), (1, 1), [1], [1, 1]):
                        raise unsupported(f"{name} ({quoted(where)}) with {what} {given[what]}")
                around = given.get("stride", 1), given.get("padding", 0)
                self._convolution(where, given["weight"], given.get("bias"), *around)
            case "max_pool1d" | "max_pool2d" | "avg_pool1d" | "avg_pool2d":
                for what, usual in _USUAL.items():
                    if given.get(what, usual) not in (usual, None, (usual,), (usual, usual)):
                        raise unsupported(f"{name} ({quoted(where)}) with {what} {given[what]}")
                kind = Pooling.MAX if name.startswith("max") else Pooling.AVERAGE
                self._pool(where, kind, name.endswith("1d"), given)
            case "adaptive_avg_pool1d" | "adaptive_avg_pool2d":
                self._pool_all(where, Pooling.AVERAGE, given["output_size"])
            case "adaptive_max_pool1d" | "adaptive_max_pool2d":
                self._pool_all(where, Pooling.MAX, given["output_size"])
            case "mean" if given.get("dim") in ((2, 3), [2, 3], (-2, -1), [-2, -1], (-1, -2)):
                self._steps.append(Pooled(where, Pooling.AVERAGE, None))
            case "unsqueeze" if not self._steps and given.get("dim") == 1:
                pass  # the channel of an image that has but one
            case "addmm" if given["mat1"] is _STREAM and len(given) == 3:
                bias = _array(where, given["input"])
                self._steps.append(Dense(where, _array(where, given["mat2"]), bias))
            case "matmul" | "mm" | "__matmul__":
                if args[0] is not _STREAM:
                    raise unsupported(f"{name} ({quoted(where)}) with the weight first")
                self._steps.append(Dense(where, _array(where, args[1]), None))
            case "add" | "sub" | "mul" | "truediv" | "div" | "neg" | "add_" | "mul_" | "rsub":
                if kwargs:
                    raise unsupported(f"{name} ({quoted(where)}) with {', '.join(kwargs)}")
                self._arithmetic(where, name.rstrip("_"), args)
            case "batch_norm":
                if given.get("training") or given["running_mean"] is None:
                    raise unsupported(f"batch_norm ({quoted(where)}) without running statistics")
                arrays = [given.get(each) for each in _ARGUMENTS[name][1:5]]
                self._batch_norm(where, *arrays, epsilon=float(given.get("eps", 1e-5)))
            case "flatten":
                self._flatten(where, *([*args[1:], *kwargs.values()] or [0]))
            case "view" | "reshape":
                self._check_reshaped(where, args[1:])
            case "squeeze":
                dims = [*args[1:], *kwargs.values()]
                if dims and dims[0] not in (-1, 1):
                    raise unsupported(f"{name} ({quoted(where)}) of the samples")
            case _ if name in _ENDINGS:
                if [*args[1:], kwargs.get("dim")][0] not in _LAST:
                    raise unsupported(f"{name} ({quoted(where)}) over the samples")
                self._steps.append(Ending(where, _ENDINGS[name]))
            case "to" | "type" if any(
                isinstance(each, torch.dtype) and not each.is_floating_point
                for each in (*args[1:], *kwargs.values())
            ):
                raise unsupported(f"{name} ({quoted(where)}) of values to integers")
            case _ if name not in _PASSED_CALLS:
                raise unsupported(f"{name} ({quoted(where)})")

    def _clamp(self, where: str, args: Any, kwargs: Any) -> None:
        low, high = [*args[1:], None, None][:2]
        low, high = kwargs.get("min", low), kwargs.get("max", high)
        if high is not None or low is None or low != 0:
            raise unsupported(f"a clamp ({quoted(where)}) other than at 0 from below")
        self._steps.append(Relu(where))

    def _arithmetic(self, where: str, name: str, args: Any) -> None:
        first = args[0] is _STREAM
        other = args[-1] if first else args[0]
        value = np.zeros(()) if name == "neg" else _constant_array(where, other)
        one, zero = np.ones(()), np.zeros(())
        match name:
            case "add":
                step = Affine(where, one, value)
            case "sub":
                step = Affine(where, one, -value) if first else Affine(where, -one, value)
            case "rsub":
                step = Affine(where, -one, value)
            case "mul":
                step = Affine(where, value, zero)
            case "neg":
                step = Affine(where, -one, zero)
            case _ if first:
                step = Affine(where, 1 / value, zero)
            case _:
                raise unsupported(f"a division ({quoted(where)}) by values of the network")
        self._steps.append(step)

    def _flatten(self, where: str, start: Any, end: Any = -1) -> None:
        if start != 1 or end not in (-1, 3):
            raise unsupported(f"a flattening ({quoted(where)}) of other axes than all features")
        self._steps.append(Flattened(where, channels_first=True))

    def _check_reshaped(self, where: str, shape: Any) -> None:
        sides = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
        if len(sides) in (3, 4) and all(isinstance(each, Image) for each in self._steps):
            self._check_image(where, sides, 1)
            return
        # An image's own sides may be asked for, too: x.view(-1, x.size(1) * 16).
        samples_first = len(sides) == 2 and (sides[0] is _SIZE or sides[0] == -1)
        if not samples_first:
            raise unsupported(f"a reshaping ({quoted(where)}) other than to (samples, features)")
        self._steps.append(Flattened(where, channels_first=True))

    def _check_image(self, where: str, sides: Any, dim: Any) -> None:
        """Features made an image: channels first in torch, but there is one in the data's order."""
        first, *shape = sides
        known = all(type(side) is int and side > 0 for side in shape)
        if dim != 1 or not (first is _SIZE or first == -1) or not known:
            raise unsupported(f"a reshaping ({quoted(where)}) to other than images")
        channels, height, width = (shape[0], 1, shape[1]) if len(shape) == 2 else shape
        if channels != 1:
            raise unsupported(
                f"a reshaping ({quoted(where)}) of features to images of {channels} channels (in "
                "the data's order: take images)"
            )
        self._steps.append(Image((height, width, channels)))


def _name(node: fx.Node) -> str:
    """What a node calls: "relu", "BatchNorm1d's" name where it is a module."""
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", node.target))
    return str(node.target)


def _works_in_place(node: fx.Node, root: nn.Module) -> bool:
    """Whether a call changes its argument, which counts even where its result is not used."""
    if node.op == "call_module":
        layer = root.get_submodule(str(node.target))
        return bool(getattr(layer, "inplace", False)) and not isinstance(layer, _PASSED)
    name = _name(node)
    if name.rstrip("_") in _PASSED_CALLS or name in _PASSED_CALLS:
        return False
    if name.endswith("_") and not name.endswith("__"):
        return True
    by_position = name == "relu" and True in node.args[1:]
    return by_position or node.kwargs.get("inplace") is True or "out" in node.kwargs


def _asks_shape(node: fx.Node) -> bool:
    """Whether a node only asks for the shape of a tensor, or where and of what type it is."""
    if _name(node) == "getattr":
        return node.args[1] in ("shape", "ndim", "dtype", "device")
    return _name(node) in ("size", "dim")


def _default(node: fx.Node) -> Any:
    """The value of an argument of the forward beside the first."""
    if node.users and not node.args:
        raise unsupported(f"a forward of several arguments ({quoted(node.name)})")
    return node.args[0] if node.args else None


# What the functions with several arguments call them.
_ARGUMENTS = {
    "conv1d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    **{
        f"max_pool{d}d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
        for d in (1, 2)
    },
    **{
        f"avg_pool{d}d": (
            *("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
            "divisor_override",
        )
        for d in (1, 2)
    },
    **{
        f"adaptive_{kind}_pool{d}d": ("input", "output_size")
        for kind in ("avg", "max")
        for d in (1, 2)
    },
    "mean": ("input", "dim"),
    "unsqueeze": ("input", "dim"),
    "linear": ("input", "weight", "bias"),
    "addmm": ("input", "mat1", "mat2"),
    "batch_norm": (
        *("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    ),
}


# What convolutions and pools have beside kernel, stride and padding, and what is read of it.
_USUAL = {
    "dilation": 1,
    "groups": 1,
    "padding_mode": "zeros",
    "ceil_mode": False,
    "return_indices": False,
    "divisor_override": None,
}


def _pair(name: str, given: Any, one: bool, neutral: int) -> Pair:
    """One number, or one for rows and one for columns.

    Args:
        one: whether it is of one dimension: then it is `neutral` for the rows.
    """
    sides = [given] if isinstance(given, int) else [*given]
    if not 1 <= len(sides) <= 2 or any(type(side) is not int for side in sides):
        raise unsupported(f"{quoted(name)} with {given!r:.40}")
    if one:
        return neutral, sides[0]
    return sides[0], sides[-1]


def _effective(layer: nn.Module, name: str) -> torch.Tensor:
    """A parameter as the next forward would compute it, where a hook does that."""
    for hook in layer._forward_pre_hooks.values():
        match hook:
            case prune.BasePruningMethod() if hook._tensor_name == name:
                value = hook.apply_mask(layer)  # type: ignore[no-untyped-call]
                break
            case WeightNorm() if hook.name == name:
                value = hook.compute_weight(layer)
                break
            case SpectralNorm() if hook.name == name:
                value = hook.compute_weight(layer, do_power_iteration=False)
                break
    else:
        value = getattr(layer, name)
    assert isinstance(value, torch.Tensor)
    return value


def _array(name: str, tensor: Any) -> Array:
    """The values of a parameter, float32 or float64.

    Raises:
        SynqError: it has none, or is of another type.
    """
    if not isinstance(tensor, torch.Tensor):
        raise unsupported(f"{quoted(name)} with a {type(tensor).__name__} as a parameter")
    if tensor.is_meta:
        raise SynqError(f"{quoted(name)} has no values (it is on the meta device)")
    if not tensor.is_floating_point() or tensor.is_sparse:
        raise SynqError(f"{quoted(name)} is {tensor.dtype}; weights must be dense floats")
    tensor = tensor.detach().cpu().resolve_neg()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array


def _constant_array(name: str, value: Any) -> Array:
    """A number or a tensor of one value a feature, float64."""
    if isinstance(value, torch.Tensor):
        array = value.detach().cpu().double().numpy()
        sides = [side for side in array.shape if side != 1]
        if len(sides) > 1 or (array.ndim > 1 and array.shape[-1] == 1 and sides):
            raise unsupported(f"{quoted(name)} with an array of shape {array.shape}")
        return array.reshape(sides)
    if isinstance(value, int | float):
        return np.array(value, np.float64)
    raise unsupported(f"{quoted(name)} with a {type(value).__name__}")
