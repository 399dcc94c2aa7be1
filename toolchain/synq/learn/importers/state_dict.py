"""From named tensors to a chain of dense layers, and what stands in the way of one.

Tensors are as torch names them: `*.weight` of shape `(n_out, n_in)`, `*.bias` of shape `(n_out,)`.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from textwrap import shorten

from synq.errors import SynqError, quoted
from synq.float_network import ONLY_DENSE, FloatNetwork, check_layers, check_total
from synq.learn.importers.stored import Stored

_log = logging.getLogger("synq")

_MOST_LAYERS = 200
_MOST_SHOWN = 3
_MOST_TRIES = 20_000
_FEW_LAYERS = 7  # whose orders are fewer than that

# What the last part of a tensor's name, or the last two, says of a tensor that is no dense layer's.
_OTHER_PARTS = {
    "running_mean": "belongs to a BatchNorm, which is not folded yet: fold it before saving "
    "(torch.nn.utils.fuse_linear_bn_eval(linear, batch_norm) gives the linear layer to save)",
    "weight_mask": "is torch's pruning: make it permanent before saving, with "
    "torch.nn.utils.prune.remove(module, 'weight')",
    "bias_mask": "is torch's pruning: make it permanent before saving, with "
    "torch.nn.utils.prune.remove(module, 'bias')",
    "weight_u": "is torch's spectral normalization: make it permanent before saving, with "
    "torch.nn.utils.remove_spectral_norm(module)",
    "weight_g": "is torch's weight normalization: make it permanent before saving, with "
    "torch.nn.utils.remove_weight_norm(module)",
    "original": "is a parametrization: make it permanent before saving, with "
    "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight')",
    "original0": "is a parametrization (weight normalization): make it permanent before saving, "
    "with torch.nn.utils.parametrize.remove_parametrizations(module, 'weight')",
    "kernel": "is named as Keras does, whose kernels are (inputs, outputs): save its transpose as "
    "'*.weight', for each layer in order",
    "weight_ih_l0": f"belongs to a recurrent layer; {ONLY_DENSE}",
    "in_proj_weight": f"belongs to an attention layer; {ONLY_DENSE}",
}


def network_of(tensors: Mapping[str, Stored], ordered: bool) -> FloatNetwork:
    """The network whose layers are the weights in `tensors`.

    Args:
        ordered: whether their order is that of the layers. Else the order is the one that chains,
            with layers that only a number tells apart by their number (`fc2` before `fc10`).

    Raises:
        SynqError: they are not a finite chain of dense layers, or several orders chain.
    """
    check_total(sum(tensor.size for tensor in tensors.values()))
    weights = _weights(tensors)
    layers = _in_order(weights, ordered)
    if len(layers) > 1:
        _log.info(
            "layers %s, the activations between them taken as ReLU: the file does not say",
            _listed(layers),
        )
    prefixes = {layer: f"{layer}." if layer else "" for layer in layers}
    biases = [tensors.get(f"{prefix}bias") for prefix in prefixes.values()]
    arrays = tuple(weights[layer].values().T for layer in layers)
    offsets = tuple(None if bias is None else bias.values() for bias in biases)
    # FloatNetwork checks the same, but cannot name the tensors
    check_layers(
        arrays,
        offsets,
        [quoted(f"{prefix}weight") for prefix in prefixes.values()],
        [quoted(f"{prefix}bias") for prefix in prefixes.values()],
    )
    return FloatNetwork(arrays, offsets)


def _weights(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """The weights by layer, after checking that all tensors are weights and biases of layers."""
    for name in tensors:
        if (hint := _OTHER_PARTS.get(name.replace("/", ".").rpartition(".")[2])) is not None:
            raise SynqError(f"{quoted(name)} {hint}")
    weights = {}
    for name, tensor in tensors.items():
        if not tensor.is_real:
            raise SynqError(
                f"{quoted(name)} is {tensor.dtype}; "
                "weights must be float16, bfloat16, float32 or float64"
            )
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and len(tensor.shape) == 2:
            weights[layer] = tensor
        elif kind == "weight" and len(tensor.shape) == 1:
            raise SynqError(
                f"{quoted(name)} of shape {tensor.shape} is not the weight (2-D) of a dense layer "
                f"but of a normalization (BatchNorm, LayerNorm) or a PReLU; {ONLY_DENSE}"
            )
        elif kind != "bias" or len(tensor.shape) != 1:
            raise SynqError(
                f"{quoted(name)} of shape {tensor.shape} is not the weight (2-D) or bias (1-D) "
                f"of a dense layer; {ONLY_DENSE}"
            )
    if not weights:
        raise SynqError(f"holds no layer (a 2-D tensor named '*.weight'); {ONLY_DENSE}")
    if len(weights) > _MOST_LAYERS:
        raise SynqError(f"holds {len(weights)} layers; at most {_MOST_LAYERS} are supported")
    for name in tensors:
        if name.rpartition(".")[0] not in weights:
            raise SynqError(f"{quoted(name)} has no weight beside it; {ONLY_DENSE}")
    return weights


def _in_order(weights: Mapping[str, Stored], ordered: bool) -> list[str]:
    """The layers' names, input side first."""
    given = list(weights) if ordered else sorted(weights, key=_by_number)
    shapes = {layer: (weight.shape[1], weight.shape[0]) for layer, weight in weights.items()}
    if ordered and _chains(given, shapes):
        return given
    few = not ordered or len(given) <= _FEW_LAYERS
    found = list(islice(_orders(given, shapes), _MOST_SHOWN + 1)) if few else []
    if len(found) == 1 and not ordered:
        return found[0]
    if found and not ordered:
        shown = "; ".join(map(_listed, found[:_MOST_SHOWN]))
        more = " and more" if len(found) > _MOST_SHOWN else ""
        raise SynqError(
            f"the layers chain in several orders ({shown}{more}), and the file has none: save them "
            "with torch.save(model.state_dict(), ...), which keeps it, or name them 1.weight, "
            "2.weight, ..."
        )
    raise SynqError(_why_not(given, shapes, found))


def _why_not(
    layers: list[str], shapes: Mapping[str, tuple[int, int]], chaining: list[list[str]]
) -> str:
    """Why layers in this order are not a network, and what would be."""
    before, after = next(
        (before, after)
        for before, after in pairwise(layers)
        if shapes[before][1] != shapes[after][0]
    )
    name, before_name = (quoted(f"{layer}.weight") for layer in (after, before))
    problem = (
        f"{name} takes {shapes[after][0]} inputs, but {before_name} before it gives "
        f"{shapes[before][1]} outputs"
    )
    hints = []
    if chaining:
        hints.append(f"in another order: {_listed(chaining[0])}")
    if _chains(layers, {layer: (n_out, n_in) for layer, (n_in, n_out) in shapes.items()}):
        hints.append("transposed: a weight is (outputs, inputs), as torch has it")
    if hints:
        return f"{problem}; they chain {' or '.join(hints)}; save them so"
    return f"{problem}; save only the layers of one chain, in its order: {ONLY_DENSE}"


def _chains(layers: list[str], shapes: Mapping[str, tuple[int, int]]) -> bool:
    return all(shapes[before][1] == shapes[after][0] for before, after in pairwise(layers))


def _orders(layers: list[str], shapes: Mapping[str, tuple[int, int]]) -> Iterator[list[str]]:
    """The orders of `layers` that chain and keep the order of those that only a number tells apart.

    Raises:
        SynqError: there are too many layers to tell.
    """
    stems = {layer: re.sub(r"[0-9]+", "#", layer) for layer in layers}
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
                        "its layers could chain in too many orders: name them 1.weight, ..."
                    )
                yield from extended([*order, layer], [each for each in left if each != layer])

    yield from extended([], layers)


def _listed(layers: list[str]) -> str:
    return shorten(", ".join(layers), 120, placeholder=" ...")


def _by_number(name: str) -> str:
    """A sorting key by which numbers inside names count by value."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(20), name)
