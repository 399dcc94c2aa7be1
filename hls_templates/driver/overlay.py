"""Run the network on a PYNQ board.

    from overlay import SynapseOverlay

    network = SynapseOverlay()        # its .bit and .hwh lie beside this file
    network.self_test()               # raises with the first difference
    classes = network.predict(images) # uint8 images, (n, 28, 28) or (n, 784); int8 of signed inputs
    network.load("load.npz")          # another network, of synq load-image, in a reloadable core

The folder is complete: copy it to the board. It needs numpy and, on the board, PYNQ 2.7 or newer;
`network.json` says which network it is, `vectors.npz` holds test images with the integers that the
network must compute for them.

The stream to the accelerator has beats of the bits that `network.json` says for its bit file, 64
unless the core was built for wider ones. To it: raw pixels, as many as fit a beat, the first in the
lowest bits, negative ones in two's complement, each image padded to whole beats. From it, an image:
the logits as 32-bit integers, two in 64 bits, padded, then 64 bits with the class. A transfer is a
number of whole images.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

_HERE = Path(__file__).resolve().parent
_FORMAT = "synq-driver-2"
_DMA = "axi_dma_0"  # its name in the block design
_WORD_BITS = 64  # of the buffers, and of what the DMA moves
_WORD_BYTES = 8
_MOST_IMAGES = 4096  # a transfer; more gain nothing and take memory
_POLL_SECONDS = 20e-6
_ACCELERATOR = "accelerator"  # the core's name in the block design
_LOAD_FORMAT = "synq-load-1"
_MOST_WORDS = 1 << 24  # of a network
_CONTROL, _STATUS, _DIGEST, _CORE, _LENGTH = 0x00, 0x04, 0x08, 0x10, 0x18  # registers
_LOADED = 1
_REFUSALS = {
    2: "it is made for another core: write it with synq load-image and the project of this one",
    3: "its length is wrong: copy the file again",
    4: "its words were changed on their way: load it again",
}


class SynapseError(RuntimeError):
    """What went wrong, and what to check, in one line."""


class SynapseOverlay:
    """The network in the programmable logic.

    The bit file is loaded at the first use. Not for more than one thread.

    Args:
        bitfile: the bit file, its `.hwh` beside it. If not given, the first of those of
            `network.json` that lies beside this file: synq.bit of the HLS core, synq_rtl.bit of the
            Verilog core.
        dma: a PYNQ DMA driver to use instead of loading a bit file.
        registers: with it, what reads and writes a reloadable core's registers (PYNQ's MMIO).
        timeout: seconds that one transfer may take.
        folder: where `network.json` and `vectors.npz` are.

    Attributes:
        n_in: pixels of an image.
        n_out: logits of an image.
        input_bits: of a raw pixel.
        input_signed: whether pixels may be negative.
        output_unit: the real number that 1 in a logit stands for.
        digest: SHA-256 of the network.
        read_noise: whether an image's logits depend on how many images came before it.
        images_sent: how many, since the bit file was loaded.
    """

    def __init__(
        self,
        bitfile: str | Path | None = None,
        dma: Any = None,
        registers: Any = None,
        timeout: float = 10.0,
        folder: str | Path = _HERE,
    ) -> None:
        self._folder = Path(folder)
        self._loads = dma is None
        self._dma = dma
        self._registers = registers
        self._overlay: Any = None
        self._timeout = timeout
        self._buffers: tuple[Any, Any] | None = None

        network = _read_json(self._folder / "network.json")
        beat_bits: dict[str, int] = network["beat_bits"]
        built = [self._folder / name for name in beat_bits]
        default = next((path for path in built if path.is_file()), built[0])
        self._bitfile = Path(bitfile) if bitfile is not None else default
        self._beat_bits = _beat_bits(self._bitfile.name, beat_bits)
        self.n_in: int = network["n_in"]
        self.n_out: int = network["n_out"]
        self.input_bits: int = network["input_bits"]
        self.input_signed: bool = network["input_signed"]
        self.read_noise: bool = network["read_noise"]
        self.images_sent = 0
        self._exported = network
        self._tell(network)
        self._lanes = self._beat_bits // self.input_bits
        self._image_beats = -(-self.n_in // self._lanes)
        self._image_words = self._image_beats * self._beat_bits // _WORD_BITS
        self._result_words = -(-self.n_out // 2) + 1

    def _tell(self, network: dict[str, Any]) -> None:
        """Which network the core holds."""
        self.digest: str = network["digest"]
        self.output_unit: float = network["output_unit"]
        self._input_integer: int = network["input_integer"]

    # ---- What a user calls ----------------------------------------------------------------------

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The class of each image.

        Args:
            images: (n, ...) with n_in pixels an image, as `quantize` takes them.

        Returns:
            (n,) int64.
        """
        return self.run(self.quantize(images))[1]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The raw outputs for each image; times `output_unit` they are real numbers.

        Args:
            images: as for `predict`.

        Returns:
            (n, n_out) int32.
        """
        return self.run(self.quantize(images))[0]

    def quantize(self, images: np.ndarray) -> np.ndarray:
        """Images as the network's raw pixels.

        Integers must be bytes: 0 to 255, or -128 to 127 of a network with signed inputs. Floats
        must be in the network's input range (0 to 1 for byte images, where byte / 256 is the value)
        and first go to the nearest byte, ties to even. Bytes are then rounded to `input_bits` bits,
        half up, and saturated.

        Args:
            images: (n, ...) with n_in pixels an image, integers or floats.

        Returns:
            (n, n_in) uint8, or int8 of a network with signed inputs.
        """
        rows = self._rows(images)
        low, high = _range(8, self.input_signed)
        if rows.dtype.kind == "f":
            scale = 2.0 ** (8 - self._input_integer)
            least, most = low / scale, (high + 1) / scale
            # A comparison with NaN is false.
            if rows.size and not (rows.min() >= least and rows.max() <= most):
                raise SynapseError(
                    f"float images must be of {least:g} to {most:g}, "
                    f"got {rows.min():g} to {rows.max():g}; "
                    f"give bytes of {low} to {high} as integers"
                )
            pixels = np.minimum(np.rint(rows.astype(np.float64) * scale), high).astype(np.int16)
        else:
            pixels = self._within(rows, 8, "images").astype(np.int16)
        shift = 8 - self.input_bits
        if shift:
            half = 1 << (shift - 1)
            most_raw = _range(self.input_bits, self.input_signed)[1]
            pixels = np.minimum((pixels + half) >> shift, most_raw)
        return pixels.astype(self._pixel_type)

    def run(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The network on raw pixels, which `quantize` makes of images.

        Args:
            inputs: (n, n_in) integers of `input_bits` bits.

        Returns:
            (n, n_out) int32 logits and (n,) int64 classes.
        """
        rows = self._within(self._rows(inputs), self.input_bits, "inputs")
        n_images = len(rows)
        logits = np.empty((n_images, self.n_out), dtype=np.int32)
        classes = np.empty(n_images, dtype=np.int64)
        if n_images == 0:
            return logits, classes
        size = self._prepare(n_images)
        for first in range(0, n_images, size):
            part = rows[first : first + size]
            self._load(part)
            self._transfer(len(part))
            words = self._results(len(part))
            logits[first : first + size] = words.view("<i4")[:, : self.n_out]
            classes[first : first + size] = words[:, -1].astype(np.int64)
        n_classes = max(2, self.n_out)  # a single output tells two apart by its sign
        if classes.min() < 0 or classes.max() >= n_classes:
            raise SynapseError(
                f"the accelerator returned the class {classes.max()}, the network has {n_classes}:"
                f" {self._bitfile.name} is of another network"
            )
        return logits, classes

    def self_test(self) -> int:
        """Compare the accelerator with the reference vectors, bit by bit.

        Returns:
            How many images were compared.

        Raises:
            SynapseError: the first difference; or images of a network with read noise were sent
                before, so that theirs is not that of the vectors.
        """
        if self.read_noise and self.images_sent:
            raise SynapseError(
                f"the network has read noise, and {self.images_sent} images were sent: load the "
                "bit file anew for a self test, with a new SynapseOverlay"
            )
        vectors = self.vectors()
        logits, classes = self.run(vectors["inputs"])
        for name, got in (("logits", logits), ("classes", classes)):
            want = vectors[name]
            if got.shape != want.shape:
                raise SynapseError(f"vectors.npz: {name} have the shape {want.shape}")
            wrong = np.argwhere(got != want)
            if len(wrong):
                at = tuple(wrong[0])
                where = f"image {at[0]}, " + (f"logit {at[1]}" if len(at) > 1 else "class")
                raise SynapseError(
                    f"the accelerator differs from the reference at {where}: "
                    f"expected {want[at]}, got {got[at]}"
                )
        return len(classes)

    def throughput_test(self, n_images: int = 10_000) -> float:
        """Images a second, DMA transfers included, packing and unpacking not.

        Args:
            n_images: how many, at least 1; the reference vectors over and over.
        """
        if n_images < 1:
            raise SynapseError(f"n_images must be at least 1, got {n_images}")
        inputs = self.vectors()["inputs"]
        size = self._prepare(n_images)
        rows = self._within(inputs, self.input_bits, "inputs")
        self._load(np.resize(rows, (size, self.n_in)))
        start = time.perf_counter()
        for first in range(0, n_images, size):
            self._transfer(min(size, n_images - first))
        return n_images / (time.perf_counter() - start)

    def load(self, path: str | Path) -> None:
        """Replace the network in a core that was exported with --reloadable.

        Images that were sent before are answered by the network of then. If the load fails, that
        one stays.

        Args:
            path: a file of `synq load-image`.
        """
        path = Path(path)
        about, words = _read_load(path)
        self._prepare(1)
        registers = self._found_registers()
        core = registers.read(_CORE) | registers.read(_CORE + 4) << 32
        if core != int(words[0]):
            raise SynapseError(f"{path} is not loaded: {_REFUSALS[2]}")
        if registers.read(_LENGTH) != len(words):
            raise SynapseError(f"{path} is not loaded: {_REFUSALS[3]}")
        beat_words = self._beat_bits // _WORD_BITS
        buffer = _pynq().allocate((len(words), beat_words), dtype=np.uint64)
        buffer[:] = 0
        buffer[:, 0] = words
        registers.write(_CONTROL, 1)
        send = self._dma.sendchannel
        deadline = time.monotonic() + self._timeout
        try:
            send.transfer(buffer)
            self._await(send, "take the network", deadline)
        except RuntimeError as error:
            self._forget()
            if isinstance(error, SynapseError):
                raise
            raise SynapseError(f"the DMA failed: {error}; load the overlay again") from error
        while (status := registers.read(_STATUS)) == 0:
            if time.monotonic() > deadline:
                self._forget()
                raise SynapseError(
                    f"the accelerator did not use the network within {self._timeout:g} s; the "
                    "overlay is loaded again at the next call"
                )
            time.sleep(_POLL_SECONDS)
        if status != _LOADED:
            reason = _REFUSALS.get(status, f"the core says {status}, which no core of synq does")
            raise SynapseError(f"{path} is not loaded, the network before it stays: {reason}")
        digest = registers.read(_DIGEST) | registers.read(_DIGEST + 4) << 32
        if digest != int(words[-1]):
            raise SynapseError(f"{path} is not loaded: the core holds another network; try again")
        self._tell(about)

    def run_chips(self, paths: list[str | Path], images: np.ndarray) -> np.ndarray:
        """The classes of the same images on each of some chips.

        Args:
            paths: files of `synq load-image --chip`, loaded one after the other.
            images: as for `predict`.

        Returns:
            (n_chips, n) int64.
        """
        classes = []
        for path in paths:
            self.load(path)
            classes.append(self.predict(images))
        return np.array(classes, dtype=np.int64).reshape(len(paths), -1)

    def vectors(self) -> dict[str, np.ndarray]:
        """The reference vectors.

        Returns:
            `inputs` (n, n_in) raw pixels, `logits` (n, n_out), `classes` (n,), `labels` (n,).
        """
        path = self._folder / "vectors.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                vectors = {name: file[name] for name in file.files}
            digest = str(vectors.pop("digest"))
            missing = {"inputs", "logits", "classes", "labels"} - set(vectors)
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise SynapseError(
                f"{path} cannot be read ({error}): copy the driver folder again"
            ) from None
        if self.digest != self._exported["digest"]:
            raise SynapseError(
                "the reference vectors are of the network that the core was exported with: load "
                "that one (synq load-image with the project alone) to test it"
            )
        if missing or digest != self.digest:
            raise SynapseError(f"{path} is not of this network: copy the driver folder again")
        return vectors

    # ---- Beats ----------------------------------------------------------------------------------

    def _rows(self, images: np.ndarray) -> np.ndarray:
        """(n, n_in), of integers or floats."""
        images = np.asarray(images)
        if images.dtype.kind not in "uif":
            raise SynapseError(f"images must be integers or floats, got {images.dtype}")
        if images.ndim < 2 or int(np.prod(images.shape[1:])) != self.n_in:
            raise SynapseError(
                f"images must be (n, ...) with {self.n_in} pixels an image, got {images.shape}"
            )
        return images.reshape(len(images), self.n_in)

    @property
    def _pixel_type(self) -> type[np.int8 | np.uint8]:
        return np.int8 if self.input_signed else np.uint8

    def _within(self, rows: np.ndarray, bits: int, name: str) -> np.ndarray:
        """`rows` as bytes, if they are integers of `bits` bits."""
        low, high = _range(bits, self.input_signed)
        if rows.dtype.kind not in "ui":
            raise SynapseError(f"{name} must be integers of {low} to {high}, got {rows.dtype}")
        if rows.size and (int(rows.min()) < low or int(rows.max()) > high):
            raise SynapseError(
                f"{name} must be of {low} to {high}, got {rows.min()} to {rows.max()}"
            )
        return rows.astype(self._pixel_type)

    def _load(self, rows: np.ndarray) -> None:
        """Pack raw pixels, of `_pixel_type`, into the buffer that the DMA sends."""
        given, _ = self._allocated()
        n_images, bits, filled = len(rows), self.input_bits, self._lanes * self.input_bits
        padded = np.zeros((n_images, self._image_beats * self._lanes), dtype=np.uint8)
        padded[:, : self.n_in] = rows.view(np.uint8)
        if bits == 8:  # the bytes are in place
            given[:n_images] = padded.view("<u8")
            return
        planes = np.unpackbits(padded[:, :, None], axis=2, count=bits, bitorder="little")
        beats = np.zeros((n_images, self._image_beats, self._beat_bits), dtype=np.uint8)
        beats[:, :, :filled] = planes.reshape(n_images, self._image_beats, filled)
        packed = np.packbits(beats, axis=2, bitorder="little")
        given[:n_images] = packed.reshape(n_images, -1).view("<u8")

    def _results(self, n_images: int) -> np.ndarray:
        """(n_images, result_words) uint64: a copy of what the DMA received."""
        _, results = self._allocated()
        return np.array(results[:n_images], dtype="<u8", order="C", subok=False)

    # ---- The board ------------------------------------------------------------------------------

    def _prepare(self, n_images: int) -> int:
        """Load the overlay and allocate buffers if need be; the images that one transfer takes."""
        if self._dma is None:
            self._dma = self._loaded_dma()
        # Of older PYNQ versions the limit is one more than the DMA's register holds.
        limit = int(getattr(self._dma, "buffer_max_size", 1 << 14)) - 1
        image_bytes = _WORD_BYTES * max(self._image_words, self._result_words)
        size = min(limit // image_bytes, _MOST_IMAGES, n_images)
        if size == 0:
            raise SynapseError(
                f"an image takes {image_bytes} bytes, the DMA at most {limit}: "
                "rebuild the block design with a wider buffer length register"
            )
        if self._buffers is None or len(self._buffers[0]) < size:
            allocate = _pynq().allocate
            self._buffers = (
                allocate((size, self._image_words), dtype=np.uint64),
                allocate((size, self._result_words), dtype=np.uint64),
            )
        return size

    def _allocated(self) -> tuple[Any, Any]:
        assert self._buffers is not None  # _prepare comes first
        return self._buffers

    def _loaded_dma(self) -> Any:
        for path in (self._bitfile, self._bitfile.with_suffix(".hwh")):
            if not path.is_file():
                raise SynapseError(
                    f"{path} is missing: build it with flow/build.sh bitstream, "
                    "then copy the driver folder to the board"
                )
        self._overlay = _pynq().Overlay(str(self._bitfile))
        self._registers = getattr(self._overlay, _ACCELERATOR, None)
        self._tell(self._exported)
        self.images_sent = 0
        dma = getattr(self._overlay, _DMA, None)
        if getattr(dma, "sendchannel", None) is None or getattr(dma, "recvchannel", None) is None:
            raise SynapseError(
                f"{self._bitfile} has no {_DMA} with two channels: it is not one of synq's"
            )
        return dma

    def _found_registers(self) -> Any:
        if not hasattr(self._registers, "write"):
            raise SynapseError(
                f"the core in {self._bitfile.name} has no registers: export it with --reloadable"
            )
        return self._registers

    def _transfer(self, n_images: int) -> None:
        """Send the first images of the buffer and receive their results."""
        given, results = self._allocated()
        send, receive = self._dma.sendchannel, self._dma.recvchannel
        self.images_sent += n_images
        expected = n_images * self._result_words * _WORD_BYTES
        try:
            receive.transfer(results, nbytes=expected)
            send.transfer(given, nbytes=n_images * self._image_words * _WORD_BYTES)
            deadline = time.monotonic() + self._timeout
            self._await(send, "take the images", deadline)
            self._await(receive, "return the results", deadline)
            received = getattr(receive, "transferred", expected)
            if received != expected:
                raise SynapseError(
                    f"the accelerator returned {received} bytes, expected {expected}: "
                    f"{self._bitfile.name} is of another network"
                )
        except RuntimeError as error:
            self._forget()
            if isinstance(error, SynapseError):
                raise
            raise SynapseError(f"the DMA failed: {error}; load the overlay again") from error

    def _await(self, channel: Any, task: str, deadline: float) -> None:
        while not channel.idle:
            if getattr(channel, "error", False):
                break  # wait() says which
            if time.monotonic() > deadline:
                raise SynapseError(
                    f"the accelerator did not {task} within {self._timeout:g} s: check that "
                    f"{self._bitfile.name} is of this network and that nobody else uses the DMA; "
                    "the overlay is loaded again at the next call"
                )
            time.sleep(_POLL_SECONDS)
        channel.wait()

    def _forget(self) -> None:
        """After a failure: a DMA in an unknown state is of no use, nor is what it may write to."""
        if self._loads:
            self._dma = None
            self._buffers = None


def _range(bits: int, signed: bool) -> tuple[int, int]:
    """The least and the greatest raw pixel."""
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _beat_bits(bitfile: str, known: dict[str, int]) -> int:
    """Bits of a beat of the stream to the accelerator in a bit file; one of another name has those
    of the others, if these are the same."""
    widths = {known[bitfile]} if bitfile in known else set(known.values())
    if len(widths) > 1:
        raise SynapseError(
            f"{bitfile} is none of {', '.join(known)}: it cannot be told how wide its stream is"
        )
    return widths.pop()


def _read_load(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """What a file of `synq load-image` says of its network, and the words that load it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            words = file["words"]
        digest, unit, integer = (about[name] for name in ("digest", "output_unit", "input_integer"))
        if about["format"] != _LOAD_FORMAT:
            raise ValueError(f"its format is not {_LOAD_FORMAT}")
        if not (isinstance(digest, str) and isinstance(unit, float) and isinstance(integer, int)):
            raise ValueError("it does not describe its network")
        if words.dtype != np.uint64 or words.ndim != 1 or not 2 <= len(words) <= _MOST_WORDS:
            raise ValueError("its words are none")
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise SynapseError(
            f"{path} cannot be read ({error}): write it again with synq load-image"
        ) from None
    return about, words


def _read_json(path: Path) -> dict[str, Any]:
    try:
        network = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SynapseError(
            f"{path} cannot be read ({error}): copy the driver folder again"
        ) from None
    if not isinstance(network, dict) or network.get("format") != _FORMAT:
        raise SynapseError(f"{path} is not of the format {_FORMAT}: copy the driver folder again")
    return network


def _pynq() -> Any:
    try:
        import pynq
    except ImportError:
        raise SynapseError(
            "the Python package pynq is missing: run this on the board, in PYNQ's environment"
        ) from None
    return pynq
