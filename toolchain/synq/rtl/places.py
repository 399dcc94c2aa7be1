"""Convolutions in the Verilog core: what stands before and behind an array that is used at places.

To the array a place is an image. A window before it keeps some rows of the image and hands out what
the array sees at one place after another; a pool behind it makes one of neighbouring places'
sums. Everything else is as in a dense layer.
"""

from dataclasses import dataclass

from synq.geometry import Pool, Pooling, Window
from synq.rtl.packing import Packing

# Memories of at most so many words lie in logic.
_FEW_WORDS = 64
_BLOCK_BITS = 18 * 1024
_QUEUE = 5  # binary logarithm of the pixels before a window: what look-up tables hold


@dataclass(frozen=True)
class PlacedWindow:
    """What stands before an array: `synq_window`, or `synq_window_whole`.

    Attributes:
        window: the places.
        bits: of a value.
        lanes: values that arrive in a cycle; they divide the channels.
        arriving: values a beat of what is before: more than `lanes` on the input stream.
        whole: whether all that the array sees at a place is one beat, rather than `lanes` values.
    """

    window: Window
    bits: int
    lanes: int
    arriving: int
    whole: bool

    @property
    def image(self) -> Packing:
        """An image as it arrives."""
        height, width, channels = self.window.shape
        return Packing(height * width * channels, self.bits, self.arriving)

    @property
    def place(self) -> Packing:
        """What the array sees at a place, as it is handed out."""
        lanes = self.window.n_in if self.whole else self.lanes
        return Packing(self.window.n_in, self.bits, lanes)

    @property
    def words(self) -> int:
        """Beats of a pixel, of `lanes` values."""
        return self.window.shape[2] // self.lanes

    @property
    def rows(self) -> int:
        """Rows of the image that are kept: a kernel, and what comes while it is used; twice as many
        where they fit the same block of memory."""
        least = self.window.kernel[0] + self.window.stride[0]
        line = self.window.shape[1] * self.words
        if line * least <= _FEW_WORDS:
            return least
        words = _BLOCK_BITS // max(18, 1 << (self.lanes * self.bits - 1).bit_length())
        return max(least, min(2 * least, words // line))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns that are stepped over: the image's, and the zeros beside it."""
        high, wide = (
            max((places - 1) * stride + kernel, padding[0] + size)
            for places, stride, kernel, padding, size in zip(
                self.window.places,
                self.window.stride,
                self.window.kernel,
                self.window.padding,
                self.window.shape,
                strict=False,
            )
        )
        return high, wide

    def waits(self) -> list[int]:
        """Cycles before each place that the window takes at least, if the image is there."""
        down, across = self.window.places
        kernel, stride = self.window.kernel, self.window.stride
        above = self.window.padding[0][0]
        if not self.whole:
            # The next image's first rows come while the last ones are used, if there is room.
            missing = max(0, 2 * kernel[0] - above - self.rows) * self.window.shape[1] * self.words
            return [1 + missing] + [1] * (down * across - 1)
        high, wide = self.grid
        reach = (across - 1) * stride[1] + kernel[1]
        row = [wide - reach + kernel[1] + (stride[0] - 1) * wide] + [stride[1]] * (across - 1)
        waits = row * down
        left_over = (high - (down - 1) * stride[0] - kernel[0]) * wide
        waits[0] = (kernel[0] - 1) * wide + kernel[1]
        waits[-1] += left_over + wide - reach
        return waits

    @property
    def depth(self) -> int:
        """Words of the memory."""
        if self.whole:
            return self.grid[1]
        return self.rows * self.window.shape[1] * self.words

    @property
    def word_bits(self) -> int:
        """Bits of a word of it."""
        if self.whole:
            return (self.window.kernel[0] - 1) * self.window.shape[2] * self.bits
        return self.lanes * self.bits

    @property
    def in_block(self) -> bool:
        """Whether it is block RAM."""
        return self.depth > _FEW_WORDS

    @property
    def module(self) -> str:
        """Which of the two."""
        return "synq_window_whole" if self.whole else "synq_window"

    @property
    def parameters(self) -> dict[str, int]:
        """Of the module."""
        window = self.window
        own = {"QUEUE": _QUEUE} if self.whole else {"ROWS": self.rows}
        return {
            "X_BITS": self.bits,
            "LANES": self.lanes,
            "WORDS": self.words,
            "HEIGHT": window.shape[0],
            "WIDTH": window.shape[1],
            "KERNEL_DOWN": window.kernel[0],
            "KERNEL_ACROSS": window.kernel[1],
            "STRIDE_DOWN": window.stride[0],
            "STRIDE_ACROSS": window.stride[1],
            "PAD_TOP": window.padding[0][0],
            "PAD_LEFT": window.padding[1][0],
            "DOWN": window.places[0],
            "ACROSS": window.places[1],
            **own,
            "BLOCK": int(self.in_block),
        }


@dataclass(frozen=True)
class PlacedPool:
    """What stands between an array's sums and their requantization: `synq_pool`.

    Attributes:
        pool: what it makes.
        places: that the array has, vertically and horizontally.
        sums: of a place, as they are handed out.
    """

    pool: Pool
    places: tuple[int, int]
    sums: Packing

    @property
    def out_bits(self) -> int:
        """Of what was pooled, with a sign that is never set."""
        return self.sums.bits + (self.pool.divisor - 1).bit_length()

    @property
    def depth(self) -> int:
        """Beats that wait for the rest of their pools."""
        return self.places[1] // self.pool.size[1] * self.sums.beats

    @property
    def in_block(self) -> bool:
        """Whether they wait in block RAM."""
        return self.depth > _FEW_WORDS

    @property
    def parameters(self) -> dict[str, int]:
        """Of the module."""
        return {
            "BITS": self.sums.bits,
            "LANES": self.sums.lanes,
            "BEATS": self.sums.beats,
            "DOWN": self.places[0],
            "ACROSS": self.places[1],
            "POOL_DOWN": self.pool.size[0],
            "POOL_ACROSS": self.pool.size[1],
            "ADDS": int(self.pool.kind is Pooling.AVERAGE),
            "OUT_BITS": self.out_bits,
            "BLOCK": int(self.in_block),
        }
