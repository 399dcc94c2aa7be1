"""IDX, the format of MNIST's authors, and the sets of four files that are published in it.

Each file is checked against its published SHA-256, so that a set is always the real one.
"""

import hashlib
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.learn.augment import CLOTHES, HANDWRITING, Augmentation


@dataclass(frozen=True)
class IdxFile:
    """One canonical file of unsigned bytes in IDX, the format of MNIST's authors.

    A big-endian header (magic 0x08NN for NN dimensions, then each dimension in 4 bytes), then the
    bytes in C order.

    Attributes:
        name: as published, without `.gz`.
        shape: its dimensions.
        sha256: of the uncompressed file, hex; "" where only that of the published gzip is known.
        gz_size: bytes of the published gzip; only to show progress.
        gz_sha256: of the published gzip, where `sha256` is not known.
        owner: the set it belongs to, for messages.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    gz_size: int = 0
    gz_sha256: str = ""
    owner: str = "MNIST"

    @property
    def header(self) -> bytes:
        words = (0x0800 | len(self.shape), *self.shape)
        return b"".join(word.to_bytes(4, "big") for word in words)

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)

    @property
    def cached_name(self) -> str:
        """What it is called in the cache: the gzip is kept where only that can be checked."""
        return self.name if self.sha256 else f"{self.name}.gz"


@dataclass(frozen=True)
class IdxSet:
    """A published set of images: four files, and where they are to be had.

    Attributes:
        name: what the user calls it by.
        title: what people call it.
        files: training images and labels, test images and labels.
        mirrors: addresses that end in a slash, to which `FILE.gz` is added.
        folder: where a package of the system puts the files, if there is one.
        package: what that package is called.
        distortion: under which an image stays what it is.
    """

    name: str
    title: str
    files: tuple[IdxFile, ...]
    mirrors: tuple[str, ...]
    distortion: Augmentation
    folder: Path | None = None
    package: str = ""


_SHAPES = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}


def _files(owner: str, sizes: tuple[int, ...], digests: tuple[str, ...]) -> tuple[IdxFile, ...]:
    return tuple(
        IdxFile(name, shape, digest, size, "", owner)
        for (name, shape), size, digest in zip(_SHAPES.items(), sizes, digests, strict=True)
    )


# LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.
MNIST = IdxSet(
    "mnist",
    "MNIST",
    _files(
        "MNIST",
        (9912422, 28881, 1648877, 4542),
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    HANDWRITING,
)

# Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
# Algorithms", 2017. The digests are of the files in Debian's package; with the names and times that
# Debian has taken out of the gzips, these have the MD5 sums that the authors publish.
FASHION_MNIST = IdxSet(
    "fashion-mnist",
    "Fashion-MNIST",
    _files(
        "Fashion-MNIST",
        (26421880, 29515, 4422102, 5148),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    CLOTHES,
    Path("/usr/share/datasets/fashion-mnist"),
    "dataset-fashion-mnist",
)

# Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018. The digests are of the
# gzips, as other libraries publish them (torchvision's MD5 sums are of the same files).
KMNIST = IdxSet(
    "kmnist",
    "KMNIST",
    tuple(
        IdxFile(name, shape, "", size, digest, "KMNIST")
        for (name, shape), size, digest in zip(
            _SHAPES.items(),
            (18165135, 29497, 3041136, 5120),
            (
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
            strict=True,
        )
    ),
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    HANDWRITING,
)

IDX_SETS = {each.name: each for each in (MNIST, FASHION_MNIST, KMNIST)}

GZIP_SLACK = 1 << 16  # a gzip is never longer than its content plus this, for sizes like these


class UnusableError(Exception):
    """Why a file or a source cannot be used, as a clause; the caller decides what follows."""


def encode_idx(values: NDArray[np.uint8]) -> bytes:
    """The file that holds an array."""
    return IdxFile("", values.shape, "").header + values.tobytes()


def decode_idx(content: bytes, file: IdxFile) -> NDArray[np.uint8]:
    """The array in a checked file, read-only since it shares the bytes' memory."""
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def checked_idx(content: bytes, file: IdxFile) -> bytes:
    """The uncompressed file that `content` is, gzipped or not.

    Raises:
        UnusableError: it is not `file` to the last byte.
    """
    whole = inflated(content, file)
    check_idx(whole, file)
    if not file.sha256:
        digest = hashlib.sha256(content).hexdigest()
        if digest != file.gz_sha256:
            raise UnusableError(
                f"SHA-256 is {digest[:12]}, expected {file.gz_sha256[:12]}, that of "
                f"{file.owner}'s published {file.name}.gz"
            )
    return whole


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
    if file.sha256 and digest != file.sha256:
        raise UnusableError(f"SHA-256 is {digest[:12]}, expected {file.owner}'s {file.sha256[:12]}")


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
