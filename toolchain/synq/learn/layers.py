"""Layers of a network to be trained: what is chosen of them, before the data is known."""

from dataclasses import dataclass

from synq.errors import UsageError
from synq.geometry import DENSE, Geometry, Pool, Pooling, Shape, Window


@dataclass(frozen=True)
class Convolution:
    """A hidden layer that is used at each place of a square window, with ReLU and maybe a pool.

    Attributes:
        channels: of its answer.
        kernel: rows, and columns, that it sees at once.
        stride: from place to place.
        padding: rows and columns of zeros on each side.
        pool: what is made of its answers; None for nothing.
        batch_norm: whether it is trained with a batch normalization, which is folded into its
            weights and biases in the end.

    Raises:
        UsageError: a number out of range.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: Pool | None = None
    batch_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "kernel", "stride"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.padding < self.kernel:
            raise UsageError(f"padding must be less than the kernel, got {self.padding}")

    def geometry(self, shape: Shape) -> Geometry:
        """Where it is used in images of a shape.

        Raises:
            ValueError: it does not fit them.
        """
        side = (self.padding, self.padding)
        window = Window(shape, (self.kernel, self.kernel), (self.stride, self.stride), (side, side))
        return Geometry(window, self.pool)


Hidden = int | Convolution  # a dense layer is its number of neurons


def laid_out(hidden: tuple[Hidden, ...], shape: Shape) -> tuple[Geometry, ...]:
    """The geometry of each hidden layer, and of the dense one after them.

    Raises:
        UsageError: names the first layer that the images are too small for.
    """
    geometries = []
    for number, layer in enumerate(hidden, 1):
        if not isinstance(layer, Convolution):
            geometries.append(DENSE)
            continue
        try:
            geometries.append(layer.geometry(shape))
        except ValueError as error:
            height, width, channels = shape
            raise UsageError(
                f"layer {number} does not fit images of {height} x {width} x {channels}: {error}",
                settings=("network",),
            ) from None
        shape = geometries[-1].passed(layer.channels)
    return (*geometries, DENSE)


_HALVED = Pool(Pooling.MAX, (2, 2))


def _vgg(*widths: int) -> tuple[Hidden, ...]:
    """Pairs of 3 x 3 convolutions, pooled after each pair."""
    return tuple(
        Convolution(width, 3, padding=1, pool=pool, batch_norm=True)
        for width in widths
        for pool in (None, _HALVED)
    )


# The hidden layers of networks that are known by name. Where they come from: docs/training.md.
NETWORKS: dict[str, tuple[Hidden, ...]] = {
    "mlp": (128,),
    "lenet5": (
        Convolution(6, 5, pool=_HALVED),
        Convolution(16, 5, pool=_HALVED),
        120,
        84,
    ),
    "vgg": _vgg(32, 64, 128),
}
