"""Pictures of a page, as data URIs of PNG files: samples, arrays, cells."""

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synq.network import SynapseArray
from synq.page.facts import CellMap, bytes_of

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_CELLS = 1 << 18  # of an array; larger ones are drawn in part
_FIELDS = 32
_POSITIVE, _NEGATIVE, _WARM = (45, 111, 191), (201, 88, 36), (214, 69, 65)


def sample(pixels: str, width: int, height: int) -> str:
    """A sample in shades of grey, 255 dark: as ink on paper."""
    shades = np.frombuffer(bytes_of(pixels), dtype=np.uint8).reshape(height, width)
    return _uri(_image(255 - shades, "L"))


def array_map(array: SynapseArray) -> tuple[str, int]:
    """Every synapse of an array as a point in the colour of its weight, a line an output; and every
    how-manieth row and column is drawn."""
    every = math.ceil(math.sqrt(array.codes.size / _MOST_CELLS))
    return _weights(array, array.codes[::every, ::every].T), every


def fields(array: SynapseArray, side: int) -> tuple[str, int]:
    """What the first outputs weigh each input with, the inputs as a square; and how many outputs.

    Args:
        side: of the square.
    """
    count = min(_FIELDS, array.n_out)
    across = math.ceil(math.sqrt(2 * count))
    down = math.ceil(count / across)
    step, nothing = side + 1, len(array.codebook)
    sheet = np.full((down * step, across * step), nothing, dtype=np.int64)
    for at in range(count):
        row, column = divmod(at, across)
        square = array.codes[: side * side, at].reshape(side, side)
        top, left = row * step, column * step
        sheet[top : top + side, left : left + side] = square
    return _weights(array, sheet[:-1, :-1]), count


def _weights(array: SynapseArray, codes: NDArray[np.integer[Any]]) -> str:
    """Codes in the colours of their weights; a code beyond the codebook is clear.

    Weights of one sign have one colour, the more opaque the larger they are: so the picture stands
    on a dark page as on a light one.
    """
    most = max(1, int(np.abs(array.codebook).max()))
    colours = [_POSITIVE if value >= 0 else _NEGATIVE for value in array.codebook.tolist()]
    opacity = [min(255, abs(value) * 255 // most) for value in array.codebook.tolist()]
    if len(colours) == 256:  # there is no 257th for what is clear
        image = _image(np.minimum(codes, 255).astype(np.uint8), "P")
    else:
        image = _image(codes.astype(np.uint8), "P")
        colours, opacity = [*colours, (0, 0, 0)], [*opacity, 0]
    image.putpalette([part for colour in colours for part in colour])
    return _uri(image, transparency=bytes(opacity))


def cell_map(of: CellMap) -> str:
    """Cells the more opaque, the further they are off; a line an output."""
    shades = np.frombuffer(bytes_of(of.off), dtype=np.uint8).reshape(of.rows, of.columns)
    image = _image(np.ascontiguousarray(shades.T), "P")
    image.putpalette([part for _ in range(256) for part in _WARM])
    return _uri(image, transparency=bytes(range(256)))


def _image(values: NDArray[np.uint8], mode: str) -> "Image":
    from PIL.Image import frombytes

    height, width = values.shape
    return frombytes(mode, (width, height), np.ascontiguousarray(values).tobytes())


def _uri(image: "Image", **settings: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, **settings)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
