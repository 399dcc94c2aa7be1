"""From named tensors to steps, and what stands in the way.

Tensors are as torch names them (`fc1.weight` of shape `(n_out, n_in)`, `fc1.bias`, the statistics
of a BatchNorm, what pruning and the normalizations of weights leave), as Keras does (`fc1/kernel`
of shape `(n_in, n_out)`), or aihwkit. What belongs to one layer has its name in common.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from textwrap import shorten

import numpy as np

from synq.errors import SynqError, nearest_names, quoted
from synq.float_network import check_total
from synq.learn.importers.steps import Affine, Array, Dense, Relu, Step, batch_norm
from synq.learn.importers.stored import Stored

_log = logging.getLogger("synq")

_ONLY_DENSE = (
    "only fully connected ReLU networks are read from a state dict, which tells no strides and "
    "pools: of others give the module, a .keras or an ONNX file"
)
_MOST_LAYERS = 200
_MOST_SHOWN = 3
_MOST_TRIES = 20_000
RELU = "relu"  # in a list of layers: where a ReLU stands

_CHOOSE = "name the layers of one chain in their order"

# What the last part of a tensor's name says of a layer that is not read.
_OTHERS = {
    "weight_ih_l0": "a recurrent layer",
    "in_proj_weight": "an attention layer",
}
_IGNORED = {"num_batches_tracked", "analog_ctx", "shared_weights", "input_range"}

# The sets of parts of a dense layer's weight.
_PRUNED = {"weight_orig", "weight_mask"}
_NORMED = {"weight_g", "weight_v"}
_NORMED_NEW = {"parametrizations.weight.original0", "parametrizations.weight.original1"}
_SPECTRAL = (  # the weight, and two vectors that give its largest singular value
    ("weight_orig", "weight_u", "weight_v"),
    (
        "parametrizations.weight.original",
        "parametrizations.weight.0._u",
        "parametrizations.weight.0._v",
    ),
)
_ANALOG = {"analog_tile_weights"}
_ANALOG_SCALES = {"mapping_scales", "out_scaling_alpha"}
_TILES = {"tile.weight": "analog_tile_weights"}
_NORM_NAMES = {"moving_mean": "running_mean", "moving_variance": "running_var"}


@dataclass(frozen=True)
class _Layer:
    """The tensors of one layer, by the part of their names that is not the layer's.

    Attributes:
        keras: whether its names are Keras's, where a weight is `(n_in, n_out)`.
    """

    name: str
    parts: dict[str, Stored]
    keras: bool = False

    @property
    def is_norm(self) -> bool:
        return "running_mean" in self.parts

    @property
    def epsilon(self) -> float:
        """Of a BatchNorm: the library's own, for no state dict holds it."""
        return 1e-3 if self.keras else 1e-5

    @property
    def weight_parts(self) -> set[str]:
        return set(self.parts) - {"bias", "bias_orig", "bias_mask"} - _ANALOG_SCALES

    @property
    def weight(self) -> Stored | None:
        """A tensor of the shape of the weight, if this is a dense layer."""
        for part in (
            *("weight", "weight_orig", "parametrizations.weight.original"),
            *("parametrizations.weight.original1", "weight_v", "analog_tile_weights"),
        ):
            if part in self.parts:
                return self.parts[part] if len(self.parts[part].shape) == 2 else None
        return None

    @property
    def bias_size(self) -> int | None:
        """The length of the bias, if it has one."""
        for part in ("bias", "bias_orig"):
            if part in self.parts:
                return self.parts[part].size
        return None

    def values(self, part: str) -> Array:
        """The values of a part.

        Raises:
            SynqError: it is missing, or of a type that weights cannot have.
        """
        name = f"{self.name}.{part}" if self.name else part
        if part not in self.parts:
            raise SynqError(f"{quoted(name)} is missing")
        tensor = self.parts[part]
        if not tensor.is_real:
            raise SynqError(
                f"{quoted(name)} is {tensor.dtype}; "
                "weights must be float16, bfloat16, float32 or float64"
            )
        return tensor.values()

    def matrix(self) -> Array:
        """The weight as it is in effect, in the file's orientation."""
        parts = self.weight_parts
        if parts == {"weight"}:
            return self.values("weight")
        if parts == _ANALOG:
            weight = self.values("analog_tile_weights")
            for part in sorted(_ANALOG_SCALES & set(self.parts)):
                scales = self.values(part)
                if scales.size not in (1, weight.shape[0]):
                    raise SynqError(f"'{self.name}.{part}' must have one value, or one an output")
                weight = weight * scales.reshape(-1, 1)
            return weight
        if parts == _PRUNED:
            return _product(self, "weight_orig", "weight_mask")
        if parts in (_NORMED, _NORMED_NEW):
            magnitude, direction = (self.values(part) for part in sorted(parts))
            return _normed(self.name, magnitude, direction)
        for names in _SPECTRAL:
            if parts == set(names):
                weight, left, right = (self.values(part) for part in names)
                if weight.shape != (left.size, right.size):
                    raise SynqError(f"the spectral norm of {quoted(self.name)} does not fit it")
                return weight / (left.reshape(-1) @ weight.astype(np.float64) @ right.reshape(-1))
        odd = sorted(parts - {"weight"})
        raise SynqError(
            f"{quoted(f'{self.name}.{odd[0]}')} is a parametrization that is not read (read are "
            "pruning, weight norm, spectral norm); make it permanent before saving, with "
            "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight')"
        )

    def offset(self) -> Array | None:
        """The bias as it is in effect, `(n_out,)`."""
        if "bias_orig" in self.parts:
            return _product(self, "bias_orig", "bias_mask")
        return self.values("bias") if "bias" in self.parts else None

    def affine(self) -> Affine:
        """What a BatchNorm computes once trained."""
        scale, shift = (
            self.values(part) if part in self.parts else None for part in ("weight", "bias")
        )
        mean, variance = self.values("running_mean"), self.values("running_var")
        return batch_norm(self.name, mean, variance, scale, shift, self.epsilon)


def steps_of(
    tensors: Mapping[str, Stored], ordered: bool, layers: Sequence[str] | None = None
) -> list[Step]:
    """The steps of the network whose layers' tensors these are; a ReLU between each two.

    Where neither shapes nor numbers in names (`fc2` before `fc10`) decide the order of the layers,
    `layers` must; likewise for the place of a BatchNorm. Where nothing says that it comes first or
    after a ReLU, it is taken to follow its dense layer directly, with a warning.

    Args:
        ordered: whether the order of the tensors is that in which the layers were made.
        layers: names of layers in their order, with or without what comes before their last parts;
            all others are left out. With `"relu"` among them, those are all there are.

    Raises:
        SynqError: they are not a chain of dense layers, or several orders chain.
    """
    check_total(sum(tensor.size for tensor in tensors.values()))
    found = _layers(tensors)
    chosen = None if layers is None else _chosen(found, layers)
    if chosen is None:
        _check_all_read(found)
        dense = [layer for layer in found.values() if not layer.is_norm]
    else:
        dense = [found[name] for name in chosen if name != RELU and not found[name].is_norm]
    if not dense:
        raise SynqError(f"holds no layer (a 2-D tensor named '*.weight'); {_ONLY_DENSE}")
    if len(dense) > _MOST_LAYERS:
        raise SynqError(f"holds {len(dense)} layers; at most {_MOST_LAYERS} are supported")
    order, way = _in_order(dense, ordered, fixed=chosen is not None)
    if way is not _AS_IS:
        _log.info("layers %s: %s", _listed(order), way.said)
    if chosen is not None and len(chosen) > len(dense):  # normalizations or ReLUs have been named
        program = chosen if RELU in chosen else _with_relu(chosen, found)
    else:
        places = _placed(found, [found[name] for name in order], ordered, way, chosen is not None)
        named = list(places[0])
        for name, norms in zip(order, places[1:], strict=True):
            named += [name, *norms]
        program = _with_relu(named, found)
    _say(program, found)
    steps: list[Step] = []
    for name in program:
        if name == RELU:
            steps.append(Relu(RELU))
        elif found[name].is_norm:
            steps.append(found[name].affine())
        else:
            steps.append(way.dense(found[name]))
    return steps


def _layers(tensors: Mapping[str, Stored]) -> dict[str, _Layer]:
    """The layers by name, in the order of their first tensors."""
    parts: dict[str, dict[str, Stored]] = {}
    keras = set()
    for full, tensor in tensors.items():
        name = full.replace("/", ".").removesuffix(":0")
        layer, analog, rest = name.rpartition("analog_module.")
        if analog:
            if rest == "alpha" or f"{layer}{analog}{_TILES.get(rest)}" in tensors:
                continue  # the compensation of a drift; the same weights once more
            name = f"{layer}{_TILES.get(rest, rest)}"
        match = re.fullmatch(r"(?:(.*)\.)?(parametrizations\..+)|(?:(.*)\.)?([^.]*)", name, re.S)
        assert match is not None
        layer, part = (match[1] or "", match[2]) if match[2] else (match[3] or "", match[4])
        if part in ("kernel", "gamma", "beta", *_NORM_NAMES):
            keras.add(layer)
            part = {"kernel": "weight", "gamma": "weight", "beta": "bias", **_NORM_NAMES}[part]
        if part in parts.setdefault(layer, {}):
            raise SynqError(f"holds {quoted(full)} twice, under two names")
        if part not in _IGNORED:
            parts[layer][part] = tensor
    return {name: _Layer(name, of, name in keras) for name, of in parts.items() if of}


def _check_all_read(found: Mapping[str, _Layer]) -> None:
    """Raise for the first layer that is none of those read."""
    for layer in found.values():
        prefix = f"{layer.name}." if layer.name else ""
        for part in layer.parts:
            if part in _OTHERS:
                raise SynqError(
                    f"{quoted(prefix + part)} belongs to {_OTHERS[part]}; {_ONLY_DENSE}"
                )
        if layer.is_norm:
            missing = {"running_mean", "running_var"} - set(layer.parts)
            odd = set(layer.parts) - {"running_mean", "running_var", "weight", "bias"}
            if missing or odd:
                raise SynqError(f"{quoted(layer.name)} is no BatchNorm of torch's or Keras's")
        elif layer.weight is None:
            part = "weight" if "weight" in layer.parts else next(iter(layer.parts))
            tensor = layer.parts[part]
            if set(layer.parts) <= {"bias", "bias_orig"}:
                raise SynqError(
                    f"{quoted(prefix + part)} has no weight beside it; {_ONLY_DENSE}; or {_CHOOSE}",
                    settings=("layers",),
                )
            what = "is not the weight (2-D) or bias (1-D) of a dense layer"
            if part == "weight" and len(tensor.shape) == 1:
                what = (
                    "is not the weight (2-D) of a dense layer but of a LayerNorm, a PReLU or a "
                    "BatchNorm without statistics"
                )
            raise SynqError(
                f"{quoted(prefix + part)} of shape {tensor.shape} {what}; {_ONLY_DENSE}; "
                f"or {_CHOOSE}",
                settings=("layers",),
            )


def _chosen(found: Mapping[str, _Layer], layers: Sequence[str]) -> list[str]:
    """The full names of the layers that are named."""
    chosen = []
    for name in layers:
        if name in found or name == RELU:
            full = [name]
        else:
            full = [each for each in found if each.endswith(f".{name}")]
        if len(full) != 1:
            which = f"is one of {_listed(full)}" if full else nearest_names(name, list(found))
            raise SynqError(f"holds no layer {quoted(name)}: {which}", settings=("layers",))
        if full[0] in chosen and name != RELU:
            raise SynqError(f"layer {quoted(name)} is named twice", settings=("layers",))
        layer = found.get(full[0])
        if layer is not None and layer.weight is None and not layer.is_norm:
            _check_all_read({full[0]: layer})
        chosen.append(full[0])
    return chosen


# ---- Order --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Way:
    """How the weights lie in the file.

    Attributes:
        transposed: as `(n_in, n_out)`.
        column: the last input of a weight is the bias.
        said: what the log says of it.
    """

    transposed: bool = False
    column: bool = False
    said: str = ""

    def sizes(self, layer: _Layer) -> tuple[int, int]:
        """Inputs and outputs of a dense layer."""
        assert layer.weight is not None
        rows, columns = layer.weight.shape
        if layer.keras or self.transposed:
            return rows, columns
        return columns - self.column, rows

    def fits(self, layers: Sequence[_Layer]) -> bool:
        """Whether layers can lie so by themselves."""
        if self.column and any(each.bias_size is not None for each in layers):
            return False
        sizes = [(self.sizes(layer)[1], layer.bias_size) for layer in layers]
        return all(bias in (None, n_out) for n_out, bias in sizes)

    def dense(self, layer: _Layer) -> Dense:
        matrix = layer.matrix()
        if not (layer.keras or self.transposed):
            matrix = matrix.T
        if self.column:
            return Dense(layer.name, matrix[:-1], matrix[-1])
        return Dense(layer.name, matrix, layer.offset())


_AS_IS = _Way()
_TRANSPOSED = _Way(
    transposed=True, said="weights taken as (inputs, outputs), as only so they chain"
)
_WITH_BIAS = _Way(column=True, said="the last inputs of the tiles taken as biases")


def _in_order(dense: list[_Layer], ordered: bool, fixed: bool) -> tuple[list[str], _Way]:
    """The layers' names, input side first, and how their weights lie.

    Args:
        fixed: whether the order is as given.
    """
    given = [layer.name for layer in dense]
    ways = [_AS_IS]
    if not any(layer.keras for layer in dense):
        ways.append(_TRANSPOSED)
    if all(layer.weight_parts == _ANALOG for layer in dense) and len(dense) > 1:
        ways.append(_WITH_BIAS)
    for way in ways:
        shapes = {layer.name: way.sizes(layer) for layer in dense}
        if not way.fits(dense):
            continue
        if fixed:
            if _chains(given, shapes):
                return given, way
            continue
        orders = _all_orders(given, shapes, ordered)
        if len(orders) == 1:
            if ordered and orders[0] != given:
                _log.info("layers in the order in which they chain: %s", _listed(orders[0]))
            return orders[0], way
        if orders:
            shown = "; ".join(map(_listed, orders[:_MOST_SHOWN]))
            more = " and more" if len(orders) > _MOST_SHOWN else ""
            raise SynqError(
                f"the layers chain in several orders ({shown}{more}), and the file does not say "
                "which: name them in their order",
                settings=("layers",),
            )
    shapes = {layer.name: _AS_IS.sizes(layer) for layer in dense}
    for before, after in pairwise(given if ordered or fixed else sorted(given, key=_by_number)):
        if shapes[before][1] != shapes[after][0]:
            raise SynqError(
                f"{quoted(after)} takes {shapes[after][0]} inputs, but {quoted(before)} before it "
                f"gives {shapes[before][1]} outputs; {_CHOOSE}",
                settings=("layers",),
            )
    return given, _AS_IS  # a bias does not fit, which is named where it is folded


def _all_orders(
    given: list[str], shapes: Mapping[str, tuple[int, int]], ordered: bool
) -> list[list[str]]:
    """Some of the orders in which layers chain, the file's first."""
    by_number = sorted(given, key=_by_number)
    orders = []
    for start in (given, by_number) if ordered else (by_number,):
        for order in islice(_orders(start, shapes), _MOST_SHOWN + 1):
            if order not in orders:
                orders.append(order)
    return sorted(orders, key=lambda order: order != given)


def _chains(layers: list[str], shapes: Mapping[str, tuple[int, int]]) -> bool:
    return all(shapes[before][1] == shapes[after][0] for before, after in pairwise(layers))


def _orders(layers: list[str], shapes: Mapping[str, tuple[int, int]]) -> Iterator[list[str]]:
    """The orders of `layers` that chain and keep the order of those that only a number tells apart.

    Raises:
        SynqError: there are too many layers to tell.
    """
    stems = {layer: _stem(layer) for layer in layers}
    tries = 0

    def extended(order: list[str], left: list[str]) -> Iterator[list[str]]:
        nonlocal tries
        if not left:
            yield order
        begun: set[str] = set()
        for layer in left:
            first_of_its_stem = stems[layer] not in begun
            begun.add(stems[layer])
            if first_of_its_stem and _chains([*order[-1:], layer], shapes):
                tries += 1
                if tries > _MOST_TRIES:
                    raise SynqError(
                        "its layers could chain in too many orders: name them in their order",
                        settings=("layers",),
                    )
                yield from extended([*order, layer], [each for each in left if each != layer])

    yield from extended([], layers)


# ---- Normalizations -----------------------------------------------------------------------------


def _placed(
    found: Mapping[str, _Layer], dense: list[_Layer], ordered: bool, way: _Way, some: bool
) -> list[list[str]]:
    """The normalizations before the first dense layer, and after each one.

    Args:
        dense: the dense layers in their order.
        ordered: whether all layers come in the order in which they were made.
        some: whether there may be normalizations of other layers, which are left out.
    """
    names = list(found)
    sizes = [way.sizes(dense[0])[0], *(way.sizes(layer)[1] for layer in dense)]
    if not ordered and len({_stem(name) for name in names}) == 1:
        names, ordered = sorted(names, key=_by_number), True
    at = {layer.name: index for index, layer in enumerate(dense, 1)}
    placed: list[list[str]] = [[] for _ in sizes]
    for norm in (layer for layer in found.values() if layer.is_norm):
        n_features = norm.parts["running_mean"].size
        fitting = [index for index, size in enumerate(sizes) if size == n_features]
        if not fitting and some:
            continue
        if not fitting:
            raise SynqError(
                f"{quoted(norm.name)} normalizes {n_features} features, as many as no layer has; "
                f"{_CHOOSE}",
                settings=("layers",),
            )
        said = set(fitting) if len(fitting) == 1 else set()
        numbers = re.findall(r"[0-9]+", norm.name)
        alike = [
            at[each.name]
            for each in dense
            if numbers and re.findall(r"[0-9]+", each.name) == numbers and at[each.name] in fitting
        ]
        said |= set(alike if len(alike) == 1 else ())
        if ordered:
            before = [at[name] for name in names[: names.index(norm.name)] if name in at]
            said |= {before[-1] if before else 0} & set(fitting)
        free = {index for index in said if not placed[index]}
        if len(free) != 1:
            raise SynqError(
                f"the file does not say where {quoted(norm.name)} stands: name the layers with "
                "their normalizations in their order",
                settings=("layers",),
            )
        index = free.pop()
        if 0 < index < len(dense) and _follows_relu(
            norm.name, dense[index - 1].name, dense[index].name
        ):
            placed[index].append(RELU)
        placed[index].append(norm.name)
    return placed


def _follows_relu(norm: str, before: str, after: str) -> bool:
    """Whether a normalization between two dense layers stands after the ReLU between them.

    In a torch.nn.Sequential a layer without tensors leaves a gap in the numbers. Without such
    numbers, or gaps, it is taken to follow the dense layer directly, which is said.

    Raises:
        SynqError: there is a gap on either side.
    """
    numbers = [re.fullmatch(r"(.*?)([0-9]{1,6})", name, re.S) for name in (before, norm, after)]
    first, at, last = (match and (match[1], int(match[2])) for match in numbers)
    if first and at and last and first[0] == at[0] == last[0]:
        gaps = (at[1] - first[1] > 1, last[1] - at[1] > 1)
        if all(gaps):
            raise SynqError(
                f"the file does not say on which side of the ReLU {quoted(norm)} stands: name the "
                f"layers with their normalizations and the ReLU, as {before},relu,{norm},{after}",
                settings=("layers",),
            )
        if any(gaps):
            return gaps[0]
    _log.warning(
        "batch normalization %s is taken to stand between %s and its ReLU: the file does not say; "
        "if it stands after the ReLU, name the layers with it, as %s,relu,%s,%s",
        *(norm, before, before, norm, after),
    )
    return False


def _with_relu(names: Sequence[str], found: Mapping[str, _Layer]) -> list[str]:
    """The layers with a ReLU before each dense one but the first, where there is none yet."""
    program: list[str] = []
    linear = False  # since the last ReLU
    for name in names:
        if name != RELU and not found[name].is_norm:
            if linear:
                program.append(RELU)
            linear = True
        linear = linear and name != RELU
        program.append(name)
    return program


def _say(program: list[str], found: Mapping[str, _Layer]) -> None:
    """Say in the log what the file does not."""
    dense = [name for name in program if name != RELU and not found[name].is_norm]
    if len(dense) > 1:
        _log.info(
            "layers %s, the activations between them taken as ReLU: the file does not say",
            _listed(dense),
        )
    norms = [name for name in program if name != RELU and found[name].is_norm]
    for norm in norms:
        at = program.index(norm)
        where = f"after {program[at - 1]}" if at else "before the first layer"
        _log.info(
            "batch normalization %s %s, taken with epsilon %g", norm, where, found[norm].epsilon
        )


# ---- Weights ------------------------------------------------------------------------------------


def _product(layer: _Layer, first: str, second: str) -> Array:
    one, other = layer.values(first), layer.values(second)
    if one.shape != other.shape:
        raise SynqError(f"{quoted(f'{layer.name}.{second}')} is of another shape than {first}")
    return one * other


def _normed(name: str, magnitude: Array, direction: Array) -> Array:
    """A weight that torch's weight norm holds as a direction, and a length for each slice of it."""
    sides = magnitude.shape or (1,) * direction.ndim
    pairs = list(zip(sides, direction.shape, strict=False))
    if len(sides) != direction.ndim or any(side not in (1, full) for side, full in pairs):
        raise SynqError(f"the magnitudes in the weight norm of {quoted(name)} do not fit it")
    axes = tuple(axis for axis, side in enumerate(sides) if side == 1)
    length = np.sqrt(np.sum(direction.astype(np.float64) ** 2, axis=axes, keepdims=True))
    weight: Array = direction * (magnitude.reshape(sides) / length)
    return weight


# ---- Names --------------------------------------------------------------------------------------


def _stem(name: str) -> str:
    """What two names have in common that only a number tells apart."""
    return re.sub(r"[0-9]+", "#", name)


def _listed(layers: Sequence[str]) -> str:
    return shorten(", ".join(layers), 120, placeholder=" ...")


def _by_number(name: str) -> str:
    """A sorting key by which numbers inside names count by value."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(20), name)
