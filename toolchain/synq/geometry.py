"""Where in an image an array is used, and how its answers are pooled.

An image is channels last, (height, width, channels), and stands in a row in that order. A
convolution is an array that is used once a place of its window: it has a row for each of the
window's values, in the same order, and a column for each channel of its answer. So a dense layer is
the one whose window is all of the image. In one dimension the height is 1.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Shape = tuple[int, int, int]  # height, width, channels
Pair = tuple[int, int]  # vertical, horizontal

_Number = TypeVar("_Number", bound=np.number[Any])

MOST_VALUES = 1 << 24  # of an image: far beyond what is emulated, and what a file may ask for


@dataclass(frozen=True)
class Window:
    """The places where an array meets an image.

    Attributes:
        shape: of the image: height, width, channels.
        kernel: rows and columns of the image that the array sees at once.
        stride: from place to place.
        padding: rows of zeros above and below, columns left and right of the image.

    Raises:
        ValueError: a number out of range, or a window larger than the padded image, or wholly in
            the padding.
    """

    shape: Shape
    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        _check_pair("a kernel", self.kernel, 1)
        _check_pair("a stride", self.stride, 1)
        if len(self.padding) != 2:
            raise ValueError("padding is a pair for rows and a pair for columns")
        for size, kernel, stride, padding in zip(
            self.shape, self.kernel, self.stride, self.padding, strict=False
        ):
            _check_pair("padding", padding, 0)
            if max(padding) >= kernel:
                raise ValueError("padding is less than the kernel: it would see nothing else")
            if kernel > size + sum(padding):
                raise ValueError("the kernel is larger than the image with its padding")
            if stride > size + sum(padding):
                raise ValueError("the stride is larger than the image with its padding")

    @property
    def n_in(self) -> int:
        """Values that the array sees at once."""
        return self.kernel[0] * self.kernel[1] * self.shape[2]

    @property
    def places(self) -> Pair:
        """How many there are, vertically and horizontally."""
        down, across = (
            (size + sum(padding) - kernel) // stride + 1
            for size, kernel, stride, padding in zip(
                self.shape, self.kernel, self.stride, self.padding, strict=False
            )
        )
        return down, across

    @property
    def n_places(self) -> int:
        return self.places[0] * self.places[1]

    def patches(self, images: NDArray[_Number]) -> NDArray[_Number]:
        """What the array sees at every place.

        Args:
            images: (n_samples, height * width * channels).

        Returns:
            (n_samples * n_places, n_in): all places of a sample one after another, row by row.
        """
        (down, across), (height, width) = self.stride, self.kernel
        padded = images.reshape(-1, *self.shape)
        if any(map(sum, self.padding)):
            padded = np.pad(padded, ((0, 0), *self.padding, (0, 0)))
        seen = sliding_window_view(padded, (height, width), axis=(1, 2))[:, ::down, ::across]
        return seen.transpose(0, 1, 2, 4, 5, 3).reshape(-1, self.n_in)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(fields: Any) -> "Window":
        """Raises ValueError: the fields describe no window."""
        match fields:
            case {
                "shape": [*shape],
                "kernel": [*kernel],
                "stride": [*stride],
                "padding": [[*rows], [*columns]],
            }:
                return Window(
                    tuple(shape), tuple(kernel), tuple(stride), (tuple(rows), tuple(columns))
                )
        raise ValueError(f"this is no window: {str(fields)[:200]}")


class Pooling(StrEnum):
    MAX = "max"
    # The sum: its division by the number of values is a factor, which ReLU lets through, and piles
    # up in the unit of the logits as the arrays' scales do.
    AVERAGE = "average"


@dataclass(frozen=True)
class Pool:
    """Answers of neighbouring places made one; places that are left over at the ends are not used.

    Attributes:
        size: places that become one, vertically and horizontally.

    Raises:
        ValueError: a number out of range.
    """

    kind: Pooling
    size: Pair

    def __post_init__(self) -> None:
        _check_pair("a pool", self.size, 1)

    @property
    def n_places(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def divisor(self) -> int:
        """What its answers are still to be divided by."""
        return self.n_places if self.kind is Pooling.AVERAGE else 1

    def pooled(self, values: NDArray[_Number], shape: Shape) -> NDArray[_Number]:
        """The largest of the values at each place, or their sum.

        Args:
            values: (n_samples, height * width * channels).
            shape: height, width, channels.

        Returns:
            (n_samples, n) of the values' type.
        """
        (down, across), (height, width, channels) = self.size, shape
        rows, columns = height // down, width // across
        grid = values.reshape(-1, height, width, channels)[:, : rows * down, : columns * across]
        split = grid.reshape(-1, rows, down, columns, across, channels)
        # One axis after the other: numpy is ten times as slow on two that are not neighbours.
        if self.kind is Pooling.MAX:
            made = split.max(axis=4).max(axis=2)
        else:
            made = split.sum(axis=4, dtype=values.dtype).sum(axis=2, dtype=values.dtype)
        flat: NDArray[_Number] = made.reshape(len(values), rows * columns * channels)
        return flat

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(fields: Any) -> "Pool":
        """Raises ValueError: the fields describe no pool."""
        match fields:
            case {"kind": str(kind), "size": [*size]}:
                return Pool(Pooling(kind), tuple(size))
        raise ValueError(f"this is no pool: {str(fields)[:200]}")


@dataclass(frozen=True)
class Geometry:
    """Of a layer.

    Attributes:
        window: where its array is used; None for once, on all its inputs: a dense layer.
        pool: what is made of its answers, after ReLU; None for nothing. Only with a window.

    Raises:
        ValueError: a pool without a window, or larger than its answer.
    """

    window: Window | None = None
    pool: Pool | None = None

    def __post_init__(self) -> None:
        if self.pool is None:
            return
        if self.window is None:
            raise ValueError("only a convolution's answers are pooled")
        if any(
            size > places for size, places in zip(self.pool.size, self.window.places, strict=True)
        ):
            raise ValueError("the pool is larger than what it pools")

    @property
    def n_places(self) -> int:
        """How often the array is used for one image."""
        return 1 if self.window is None else self.window.n_places

    @property
    def divisor(self) -> int:
        """What the layer's answers are still to be divided by."""
        return 1 if self.pool is None else self.pool.divisor

    def answered(self, n_out: int) -> Shape:
        """The shape of what an array with `n_out` outputs answers, before it is pooled."""
        return (1, 1, n_out) if self.window is None else (*self.window.places, n_out)

    def passed(self, n_out: int) -> Shape:
        """The shape of what is passed to the next layer."""
        down, across, channels = self.answered(n_out)
        if self.pool is not None:
            down, across = down // self.pool.size[0], across // self.pool.size[1]
        return down, across, channels

    def __str__(self) -> str:
        """As people read it: "5 x 5 of 28 x 28 x 1 at 24 x 24 places, max of 2 x 2"."""
        window = self.window
        if window is None:
            return "dense"
        text = f"{sides(window.kernel)} of {sides(window.shape)} at {sides(window.places)} places"
        if window.stride != (1, 1):
            text += f", stride {sides(window.stride)}"
        if any(map(any, window.padding)):
            text += ", padded"
        return text if self.pool is None else f"{text}, {self.pool.kind} of {sides(self.pool.size)}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` is its inverse."""
        return {
            "window": None if self.window is None else self.window.to_dict(),
            "pool": None if self.pool is None else self.pool.to_dict(),
        }

    @staticmethod
    def from_dict(fields: Any) -> "Geometry":
        """Raises ValueError: the fields describe no geometry."""
        match fields:
            case {"window": window, "pool": pool}:
                return Geometry(
                    None if window is None else Window.from_dict(window),
                    None if pool is None else Pool.from_dict(pool),
                )
        raise ValueError(f"this is no geometry: {str(fields)[:200]}")


DENSE = Geometry()


def sides(shape: tuple[int, ...]) -> str:
    """A shape or a pair as people write it: "28 x 28 x 1"."""
    return " x ".join(map(str, shape))


def check_chain(geometries: tuple[Geometry, ...], matrices: list[tuple[int, int]]) -> None:
    """Whether layers follow one another.

    Args:
        matrices: inputs that each layer's array sees at once, and its outputs.

    Raises:
        ValueError: the first layer that does not fit, and why.
    """
    if len(geometries) != len(matrices):
        raise ValueError("a network has one geometry a layer")
    if geometries and geometries[-1].window is not None:
        raise ValueError("the last layer is dense")
    before: Shape | None = None
    for number, (geometry, (n_in, n_out)) in enumerate(
        zip(geometries, matrices, strict=True), start=1
    ):
        window = geometry.window
        if window is not None and window.n_in != n_in:
            raise ValueError(f"layer {number} has {n_in} inputs, its window {window.n_in}")
        if before is not None:
            fits = (
                n_in == before[0] * before[1] * before[2]
                if window is None
                else window.shape == before
            )
            if not fits:
                raise ValueError(f"layer {number} does not take what the layer before gives")
        before = geometry.passed(n_out)


def _check_shape(shape: Shape) -> None:
    if len(shape) != 3 or any(type(side) is not int or side < 1 for side in shape):
        raise ValueError("a shape is height, width and channels, at least 1 each")
    if shape[0] * shape[1] * shape[2] > MOST_VALUES:
        raise ValueError(f"an image has at most {MOST_VALUES:,} values")


def _check_pair(what: str, pair: Pair, least: int) -> None:
    if len(pair) != 2 or any(type(each) is not int or not least <= each < 1 << 16 for each in pair):
        raise ValueError(f"{what} is two numbers of at least {least}")
