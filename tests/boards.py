"""A board without a board: PYNQ's DMA, memory and overlay, and a driver folder that meets them."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synq import stream
from synq.device import load_device
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.network import QuantizedNetwork
from synq.project.driver import render_driver
from synq.project.output import write_files
from synq.quantizing import Quantization, quantize_network

Answer = Callable[[NDArray[np.uint64], NDArray[np.bool_]], stream.Beats]
LABELS = np.arange(100) % 10
HLS_BEATS = {"synq.bit": 64}


class Buffer(np.ndarray):
    """What pynq.allocate returns: the processor's view of memory that the DMA sees only flushed."""

    memory: bytearray

    def flush(self) -> None:
        self.memory[:] = self.tobytes()

    def invalidate(self) -> None:
        self[...] = np.frombuffer(self.memory, dtype=self.dtype).reshape(self.shape)


@dataclass
class Channel:
    """A channel of PYNQ's DMA driver, of the register behaviour that PG021 documents."""

    max_size: int
    sends: bool
    run: Callable[[], None] = lambda: None
    buffer: Any = None
    nbytes: int = 0
    transferred: int = 0
    transfers: list[int] = field(default_factory=list)
    idle: bool = False
    error: bool = False

    def transfer(self, array: Any, start: int = 0, nbytes: int = 0) -> None:
        nbytes = nbytes or array.nbytes - start
        if nbytes > self.max_size:
            raise ValueError(f"Transfer size is {nbytes} bytes")
        if self.transfers and not self.idle:
            raise RuntimeError("DMA channel not idle")
        if self.sends:
            array.flush()
        self.buffer, self.nbytes, self.idle = array, nbytes, False
        self.transfers.append(nbytes)
        self.run()

    def wait(self) -> None:
        if self.error:
            raise RuntimeError("DMA Internal Error (transfer length 0?)")
        assert self.idle, "this would hang"
        if not self.sends:
            self.buffer.invalidate()


class FakeDMA:
    """AXI DMA in direct register mode with `answer` between its two streams."""

    def __init__(self, answer: Answer, buffer_max_size: int = (1 << 26) - 1) -> None:
        self.answer = answer
        self.buffer_max_size = buffer_max_size
        self.sendchannel = Channel(buffer_max_size, sends=True, run=self.stream)
        self.recvchannel = Channel(buffer_max_size, sends=False)
        self.sent: list[NDArray[np.uint64]] = []

    def tlast(self, n_beats: int) -> NDArray[np.bool_]:
        return np.arange(n_beats) == n_beats - 1

    def stream(self) -> None:
        send, receive = self.sendchannel, self.recvchannel
        beats = np.frombuffer(bytes(send.buffer.memory[: send.nbytes]), dtype=np.uint64)
        self.sent.append(beats)
        send.idle = True
        got = self.answer(beats, self.tlast(len(beats)))
        if not got.last.any():
            return  # the receiving channel waits for TLAST for ever
        packet = got.data[: int(np.argmax(got.last)) + 1].tobytes()
        if len(packet) > receive.nbytes:
            receive.error = True
            return
        receive.buffer.memory[: len(packet)] = packet
        receive.transferred, receive.idle = len(packet), True


@dataclass
class FakeBoard:
    """A stand-in for the module pynq."""

    dma: Any
    overlays: list[str] = field(default_factory=list)
    accelerator: Any = None
    allocated: list[tuple[int, ...]] = field(default_factory=list)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("pynq")
        module.Overlay = self.overlay  # type: ignore[attr-defined]
        module.allocate = self.allocate  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pynq", module)

    def overlay(self, bitfile: str) -> Any:
        self.overlays.append(bitfile)
        overlay = ModuleType("overlay")
        if self.accelerator is not None:
            overlay.accelerator = self.accelerator  # type: ignore[attr-defined]
        if self.dma is not None:
            overlay.axi_dma_0 = self.dma  # type: ignore[attr-defined]
        return overlay

    def allocate(self, shape: tuple[int, ...], dtype: Any = np.uint32) -> Buffer:
        self.allocated.append(shape)
        buffer = np.zeros(shape, dtype=dtype).view(Buffer)
        buffer.memory = bytearray(buffer.nbytes)
        return buffer


@dataclass(frozen=True)
class Driven:
    """A network, its driver folder, and what stands for the accelerator."""

    folder: Path
    network: QuantizedNetwork
    inputs: NDArray[np.uint8 | np.int8]
    answer: Answer

    @property
    def module(self) -> Any:
        spec = importlib.util.spec_from_file_location("overlay", self.folder / "overlay.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def driver_folder(
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8 | np.int8],
    folder: Path,
    beat_bits: Mapping[str, int] = HLS_BEATS,
) -> Path:
    """The driver with the bit files that it knows."""
    shipped = inputs[:100]
    labels = LABELS[: len(shipped)]
    files = render_driver(network, shipped, network.run(shipped), labels, "a title", beat_bits)
    write_files(folder, files)
    for name in beat_bits:
        (folder / name).write_text("as Vivado wrote it")
        (folder / name).with_suffix(".hwh").write_text("as Vivado wrote it")
    return folder


def small_network(
    bits: int, sizes: tuple[int, ...] = (45, 8, 3), signed: bool = False, **options: Any
) -> QuantizedNetwork:
    rng = np.random.default_rng(bits)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    form = FixedPoint(bits, 2 if signed else 0, signed)
    inputs = raw_inputs(rng, 50, sizes[0], form)
    choice = Quantization(10, input_bits=bits, **options)
    return quantize_network(
        FloatNetwork(weights, (None,) * len(weights)), choice, load_device("pcmo"), form, inputs
    )


def raw_inputs(
    rng: np.random.Generator, n_samples: int, n_in: int, form: FixedPoint
) -> NDArray[np.uint8 | np.int8]:
    shape = (n_samples, n_in)
    return rng.integers(form.min_raw, form.max_raw + 1, shape).astype(form.byte_type)
