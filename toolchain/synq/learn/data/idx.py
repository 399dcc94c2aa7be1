"""IDX, the format of MNIST's authors, and the four files of MNIST.

Each file is checked against its canonical SHA-256, so that MNIST is always the real one.
"""

import hashlib
import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IdxFile:
    """One canonical file of unsigned bytes in IDX, the format of MNIST's authors.

    A big-endian header (magic 0x08NN for NN dimensions, then each dimension in 4 bytes), then the
    bytes in C order.

    Attributes:
        name: as published, without `.gz`.
        shape: its dimensions.
        sha256: of the uncompressed file, hex.
        gz_size: bytes of the published gzip; only to show progress.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    gz_size: int = 0

    @property
    def header(self) -> bytes:
        words = (0x0800 | len(self.shape), *self.shape)
        return b"".join(word.to_bytes(4, "big") for word in words)

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)


MNIST_FILES = (  # in this order everywhere: training images and labels, test images and labels
    IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        9912422,
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        28881,
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        1648877,
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        4542,
    ),
)

GZIP_SLACK = 1 << 16  # a gzip is never longer than its content plus this, for sizes like these


class UnusableError(Exception):
    """Why a file or a source cannot be used, as a clause; the caller decides what follows."""


def encode_idx(values: NDArray[np.uint8]) -> bytes:
    """The file that holds an array."""
    return IdxFile("", values.shape, "").header + values.tobytes()


def decode_idx(content: bytes, file: IdxFile) -> NDArray[np.uint8]:
    """The array in a checked file, read-only since it shares the bytes' memory."""
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def check_idx(content: bytes, file: IdxFile) -> None:
    """Refuse content that is not `file` to the last byte, saying what is wrong in a user's terms.

    The digest alone would do; the other checks are for the message.
    """
    header = file.header
    if len(content) >= 4 and content[:4] != header[:4]:
        raise UnusableError(
            f"not an IDX file of {len(file.shape)}-dimensional bytes: "
            f"magic 0x{content[:4].hex()}, expected 0x{header[:4].hex()}"
        )
    if len(content) >= len(header) and content[: len(header)] != header:
        words = [content[at : at + 4] for at in range(4, len(header), 4)]
        shape = " x ".join(str(int.from_bytes(word, "big")) for word in words)
        expected = " x ".join(map(str, file.shape))
        raise UnusableError(f"holds {shape} bytes, expected {expected}")
    if len(content) < file.size:
        raise UnusableError(f"truncated: expected {file.size} bytes, got {len(content)}")
    if len(content) > file.size:
        raise UnusableError(f"too long: expected {file.size} bytes, got more")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise UnusableError(f"SHA-256 is {digest[:12]}, expected MNIST's {file.sha256[:12]}")


def inflated(content: bytes, file: IdxFile) -> bytes:
    """`content`, decompressed if it is a gzip; at most one byte more than `file` has."""
    if not content.startswith(b"\x1f\x8b"):
        return content  # an IDX file starts with zeros, so the name need not be trusted
    # Not GzipFile: it goes on to further streams, of which a small file can hold millions.
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        whole = stream.decompress(content, file.size + 1)
    except zlib.error as error:
        raise UnusableError(f"corrupt gzip: {error}") from error
    if not stream.eof and len(whole) <= file.size:
        raise UnusableError("truncated: the gzip stream ends early")
    if stream.unused_data:
        raise UnusableError("corrupt gzip: it goes on after its end")
    return whole
