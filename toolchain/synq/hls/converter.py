"""QKeras and hls4ml at work in a process of their own.

TensorFlow is never imported into synq's own process: it takes seconds and half a gigabyte, wants a
Keras of its own (see `synq.hls.keras`), and does not always live with PyTorch (each brings an LLVM;
with PyTorch's CUDA build the second one crashes the process).
"""

import atexit
import os
import pickle
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq import process
from synq.board import Board
from synq.errors import SynqError
from synq.hls.design import HlsDesign, HlsSettings
from synq.network import QuantizedNetwork, Stages

_SERVE = "import sys; from synq.hls.converter import serve; serve(int(sys.argv[1]))"


@dataclass(frozen=True)
class Converted:
    """A `Conversion` in the other process, with the same methods.

    Attributes:
        files: hls4ml's own, by their names in the folder `hls`.
        model_file: the QKeras model as HDF5.
    """

    files: dict[str, bytes]
    model_file: bytes
    _converter: "_Converter"
    _number: int

    def model_stages(self, inputs: NDArray[np.integer[Any]]) -> Stages:
        """What the QKeras model computes for raw inputs (n_samples, n_in)."""
        stages: Stages = self._converter.ask("model_stages", self._number, inputs)
        return stages

    def library_stages(self, library: Path, inputs: NDArray[np.integer[Any]]) -> Stages:
        """What hls4ml's compiled library computes for raw inputs (n_samples, n_in)."""
        stages: Stages = self._converter.ask("library_stages", self._number, library, inputs)
        return stages

    def log(self) -> str:
        """What hls4ml has printed."""
        return str(self._converter.ask("log", self._number))


def convert(
    network: QuantizedNetwork,
    design: HlsDesign,
    board: Board,
    settings: HlsSettings,
    folder: Path,
) -> Converted:
    """Build the QKeras model and convert it with hls4ml, which writes to `folder`.

    Raises:
        SynqError: the network is beyond what QKeras or hls4ml compute or build, or their process
            cannot be started or has ended.
    """
    converter = _running()
    number, files, model_file = converter.ask("convert", network, design, board, settings, folder)
    return Converted(files, model_file, converter, number)


def warm_up() -> None:
    """Start the process now: TensorFlow takes seconds to import, while the caller does other work.

    Raises:
        SynqError: it cannot be started.
    """
    _running()


class _Converter:
    """The process, from this side."""

    def __init__(self) -> None:
        process.guard()
        self._lock = threading.Lock()
        ours, its = Pipe()
        with its:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _SERVE, str(its.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[its.fileno()],
                    start_new_session=True,  # Ctrl-C is for the parent, which ends this one
                )
            except OSError as error:
                ours.close()
                raise SynqError(f"cannot start a process: {error.strerror}") from error
        self._connection: Connection[bytes, bytes] = ours
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def living(self) -> bool:
        return self._process.poll() is None

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of the other process; what it raises is raised here."""
        with self._lock:
            try:
                self._connection.send_bytes(pickle.dumps((name, arguments), protocol=5))
                answer = pickle.loads(self._connection.recv_bytes())
            except (OSError, EOFError):
                self._process.kill()
                code = self._process.wait()
                raise SynqError(
                    f"the process of TensorFlow and hls4ml ended with code {code}: out of memory?"
                ) from None
        match answer:
            case ("done", value):
                return value
            case ("refused", Exception() as error):
                raise error
            case (_, text):
                raise RuntimeError(f"in the process of TensorFlow and hls4ml: {text}")


_converter: _Converter | None = None
_starting = threading.Lock()


def _running() -> _Converter:
    global _converter
    with _starting:
        if _converter is None or not _converter.living:
            _converter = _Converter()
        return _converter


def serve(connection_number: int) -> None:
    """The other process: questions come and answers go on an inherited connection."""
    connection: Connection[bytes, bytes] = Connection(connection_number)
    with suppress(OSError, EOFError):  # the parent has ended
        _answer_all(connection)
    os._exit(0)  # TensorFlow would take a second to be taken apart


def _answer_all(connection: "Connection[bytes, bytes]") -> None:
    conversions: list[Any] = []
    failure: BaseException | None = None
    try:
        from synq.hls.keras.conversion import Conversion
    except Exception as error:  # said when the first question comes
        failure = error
    while True:
        name, arguments = pickle.loads(connection.recv_bytes())
        try:
            if failure is not None:
                raise failure
            if name == "convert":
                # The last one only is kept: a model and its graph take tens of megabytes.
                conversion = Conversion(*arguments)
                conversions[:] = [None] * len(conversions) + [conversion]
                value: Any = (len(conversions) - 1, conversion.files, conversion.model_file)
            else:
                number, *rest = arguments
                if number != len(conversions) - 1:
                    raise SynqError("another network has been converted since")
                value = getattr(conversions[number], name)(*rest)
            answer: tuple[str, Any] = ("done", value)
        except (SynqError, OSError, MemoryError) as error:  # which are said without a traceback
            answer = ("refused", error)
        except Exception as error:
            answer = ("failed", f"{error!r}\n{traceback.format_exc()}")
        connection.send_bytes(pickle.dumps(answer, protocol=5))
