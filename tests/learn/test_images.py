"""Convolutional networks in memory: what torch computes of images, and what is said of others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from onnx_files import model, node
from synq.errors import SynqError
from synq.geometry import Shape
from synq.learn.checkpoint import load_network
from synq.learn.importers.onnx_file import steps_of_onnx
from synq.learn.importers.steps import network_of

SHAPE: Shape = (8, 6, 2)


class Written(nn.Module):
    """Layers that a forward calls in its own way."""

    def __init__(self, forward: Callable[[Any, Any], Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._forward = forward

    def forward(self, x: Any) -> Any:
        return self._forward(self.layers, x)


def with_statistics(network: nn.Sequential, images: int) -> nn.Module:
    """With running statistics of its normalizations; `images` modules take images."""
    with torch.no_grad():
        for _ in range(5):
            network[:images](torch.rand(16, SHAPE[2], *SHAPE[:2]) * 2 - torch.rand(2, 1, 1))
    return network


def last(size: int) -> tuple[nn.Module, nn.Module]:
    return nn.Flatten(), nn.Linear(size, 3)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "one convolution": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), *last(96)),
    "strides and padding": lambda: nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 3), padding=(1, 0), bias=False), nn.ReLU(), *last(32)
    ),
    "padding of zeros, same": lambda: nn.Sequential(
        *(nn.ZeroPad2d((1, 0, 0, 1)), nn.Conv2d(2, 4, 4, padding="same"), nn.ReLU()), *last(252)
    ),
    "max pool before ReLU": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d((2, 4)), nn.ReLU(), *last(12)
    ),
    "average pool": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU(), *last(10)
    ),
    "all places": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ),
    "batch norm everywhere": lambda: with_statistics(
        nn.Sequential(
            *(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 2), nn.ReLU()),
            *(nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 3)),
        ),
        9,
    ),
    "batch norm after flattening": lambda: nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(96), nn.Linear(96, 3))
    ),
    "as large as the image": lambda: nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, (6, 4)), nn.ReLU(), nn.Conv2d(5, 3, 1)),
        nn.Flatten(),
    ),
    "functions": lambda: Written(
        lambda m, x: m[2](
            functional.avg_pool2d(
                functional.relu(
                    functional.conv2d(
                        functional.max_pool2d(functional.relu(m[0](x)), 2),
                        m[1].weight,
                        m[1].bias,
                        stride=1,
                        padding=1,
                    )
                ),
                kernel_size=(3, 1),
            ).reshape(-1, 10)
        ),
        *(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 5, 3), nn.Linear(10, 3)),
    ),
    "a mean": lambda: Written(
        lambda m, x: m[1](torch.relu(m[0](x)).mean(dim=(2, 3))), nn.Conv2d(2, 4, 3), nn.Linear(4, 3)
    ),
    "the shape asked for": lambda: Written(
        lambda m, x: m[1](torch.relu(m[0](x)).reshape(x.size(0), -1)),
        *(nn.Conv2d(2, 4, 3), nn.Linear(96, 3)),
    ),
    "dropout of channels": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Dropout2d(), *last(96)
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_gives_what_torch_computes(case: str) -> None:
    torch.manual_seed(1)
    network = NETWORKS[case]().eval()
    images = np.random.default_rng(0).uniform(-1, 1, (7, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
    logits = load_network(network, shape=SHAPE).logits(images.reshape(7, -1))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    "first",
    [
        lambda m, x: m[0](x.view(-1, 1, 24)),
        lambda m, x: m[0](x.unsqueeze(1)),
        lambda m, x: m[0](m[5](x)),
    ],
)
def test_one_dimension(first: Callable[[Any, Any], Any]) -> None:
    torch.manual_seed(1)
    network = Written(
        lambda m, x: m[4](m[3](m[2](torch.relu(first(m, x))))),
        *(nn.Conv1d(1, 4, 3, stride=2), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Sequential(nn.Conv1d(4, 3, 2), nn.ReLU(), nn.AvgPool1d(2)), nn.Sequential(*last(6))),
        nn.Unflatten(1, (1, 24)),
    ).eval()
    rows = np.random.default_rng(0).uniform(-1, 1, (7, 24)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.tensor(rows)).numpy()
    loaded = load_network(network, shape=(1, 24, 1))
    np.testing.assert_allclose(loaded.logits(rows), expected, atol=1e-5)


def conv(*modules: nn.Module, **options: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3, **options), *modules)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "dilated": (lambda: conv(dilation=2), r"a Conv2d \('0'\) with dilation"),
    "grouped": (lambda: conv(groups=2), r"a Conv2d \('0'\) with groups 2"),
    "mirrored": (lambda: conv(padding=1, padding_mode="reflect"), "with padding_mode reflect"),
    "too large": (
        lambda: conv(nn.ReLU(), nn.Conv2d(4, 2, 7)),
        r"'2' on an image of 6 x 4 x 4: the kernel is larger than the image",
    ),
    "other channels": (
        lambda: conv(nn.ReLU(), nn.Conv2d(3, 2, 2)),
        "'2' takes 3 channels, but gets 4 of an image of 6 x 4 x 4",
    ),
    "padded beyond the kernel": (lambda: conv(padding=3), "padding is less than the kernel"),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 3)),
        r"a ConvTranspose2d \('0'\) is not supported",
    ),
    "overlapping pools": (lambda: conv(nn.ReLU(), nn.MaxPool2d(3, 2)), "stride is not its size"),
    "padded pools": (lambda: conv(nn.ReLU(), nn.MaxPool2d(2, padding=1)), "'2'.* with padding"),
    "rounded up": (lambda: conv(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode True"),
    "pools of pools": (lambda: conv(nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2)), "right after"),
    "large pools": (lambda: conv(nn.ReLU(), nn.MaxPool2d(7)), "the pool is larger"),
    "a pool first": (lambda: nn.Sequential(nn.MaxPool2d(2)), "of what no convolution answers"),
    "an average before the ReLU": (lambda: conv(nn.AvgPool2d(2)), "without a ReLU before it"),
    "no ReLU": (lambda: conv(nn.Conv2d(4, 2, 2)), "'1' after '0' without a ReLU between"),
    "a dense layer of an image": (lambda: conv(nn.ReLU(), nn.Linear(4, 3)), "without a flattening"),
    "a convolution last": (lambda: conv(), r"a convolution \('0'\) as the last layer"),
    "shifted padding": (
        lambda: with_statistics(nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding=1)), 1),
        "a padding of '1' with zeros of what '0' has shifted",
    ),
    "a norm of the pooled": (
        lambda: conv(nn.MaxPool2d(2), nn.BatchNorm2d(4)),
        "'2' between a pool and the ReLU",
    ),
    "padding for nothing": (
        lambda: conv(nn.ReLU(), nn.ZeroPad2d(1), nn.MaxPool2d(2)),
        r"a padding \('2'\) before '3', which is no convolution",
    ),
    "adaptive": (lambda: conv(nn.ReLU(), nn.AdaptiveAvgPool2d(2)), "to other than one place"),
    "no such features": (lambda: conv(nn.ReLU(), *last(95)), "'3' takes 95 inputs, but gets"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_named(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(SynqError, match=message) as caught:
        load_network(make().eval(), shape=SHAPE)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_images_of_an_unknown_shape() -> None:
    with pytest.raises(SynqError, match="the shape of the images that '0' takes is not known"):
        load_network(conv(nn.ReLU(), *last(96)))
    with pytest.raises(SynqError, match="'0' takes 2 channels, but gets 3"):
        load_network(conv(nn.ReLU(), *last(96)), shape=(8, 6, 3))


def test_a_state_dict_does_not_tell_of_strides() -> None:
    with pytest.raises(SynqError, match=r"tells no strides and pools: .* the module"):
        load_network(conv(nn.ReLU(), *last(96)).state_dict())


ONNX_REFUSED = {
    "dilated": ({"dilations": [2, 2]}, "with dilations"),
    "grouped": ({"group": 2}, "with 2 groups"),
    "strides of none": ({"strides": [0, 1]}, "strides must not be 0|a stride is two numbers"),
    "one stride": ({"strides": [1]}, r"strides must not be \[1\]"),
    "much padding": ({"pads": [1, 1, 1]}, r"pads must not be"),
    "negative padding": ({"pads": [-1, 0, 0, 0]}, r"pads must not be"),
    "padded the other way": ({"auto_pad": "SAME_LOWER"}, "auto_pad SAME_LOWER"),
}


@pytest.mark.parametrize("case", ONNX_REFUSED)
def test_what_onnx_says_that_is_not_supported(case: str, tmp_path: Any) -> None:
    attributes, message = ONNX_REFUSED[case]
    weight = np.ones((4, 2, 3, 3), np.float32)
    nodes = [node("Conv", "x w", "1", **attributes), node("Relu", "1", "2")]
    nodes += [node("GlobalAveragePool", "2", "3"), node("Flatten", "3", "4")]
    nodes += [node("MatMul", "4 a", "y")]
    content = model(nodes, {"w": weight, "a": np.ones((4, 3), np.float32)}, ("n", 2, 8, 6))
    with pytest.raises(SynqError, match=message):
        network_of(steps_of_onnx(content, tmp_path))


def test_images_of_onnx_that_are_transposed(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    kernel, weight = (
        rng.normal(size=shape).astype(np.float32) for shape in ((4, 2, 3, 3), (96, 3))
    )
    nodes = [
        node("Transpose", "x", "0", perm=[0, 3, 1, 2]),
        node("Conv", "0 w", "1", auto_pad="VALID"),
        node("Relu", "1", "2"),
        node("Transpose", "2", "3", perm=[0, 2, 3, 1]),
        node("Reshape", "3 to", "4"),
        node("MatMul", "4 a", "y"),
    ]
    arrays = {"w": kernel, "a": weight, "to": np.array([-1, 96])}
    network = network_of(steps_of_onnx(model(nodes, arrays, ("n", *SHAPE)), tmp_path))
    images = rng.uniform(-1, 1, (5, *SHAPE)).astype(np.float32)
    sums = functional.conv2d(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(kernel))
    expected = torch.relu(sums).permute(0, 2, 3, 1).reshape(5, -1) @ torch.tensor(weight)
    np.testing.assert_allclose(network.logits(images.reshape(5, -1)), expected, atol=1e-4)
