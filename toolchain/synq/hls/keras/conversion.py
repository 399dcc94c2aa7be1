"""A quantized network taken through QKeras and hls4ml."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import Board
from synq.hls.design import HlsDesign, HlsSettings
from synq.hls.keras import project, qkeras_model
from synq.network import QuantizedNetwork, Stages


class Conversion:
    """The QKeras model of a network, and what hls4ml made of it.

    Attributes:
        files: hls4ml's own, by their names in the folder `hls`.
        model_file: the model as HDF5.
        model: the Keras model.
        graph: hls4ml's ModelGraph.

    Raises:
        SynqError: the network is beyond what QKeras or hls4ml compute or build.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        design: HlsDesign,
        board: Board,
        settings: HlsSettings,
        folder: Path,
    ) -> None:
        """Build and convert; hls4ml writes to `folder`."""
        self._network = network
        self._folder = folder
        self._printed = io.StringIO()
        with self._listening():
            self.model = qkeras_model.build_model(network)
            self.graph: Any = project.convert(
                self.model, network, design, board, settings.backend, settings.io_type, folder
            )
            self.files = project.hls4ml_files(self.graph)
            self.model_file = qkeras_model.model_file(self.model)

    def model_stages(self, inputs: NDArray[np.integer[Any]]) -> Stages:
        """What the QKeras model computes; see `qkeras_model.model_stages`."""
        with self._listening():
            stages: Stages = qkeras_model.model_stages(self.model, self._network, inputs)
        return stages

    def library_stages(self, library: Path, inputs: NDArray[np.integer[Any]]) -> Stages:
        """What hls4ml's compiled library computes; see `project.simulate_library`."""
        with self._listening():
            return project.simulate_library(self.graph, library, self._network, inputs)

    def log(self) -> str:
        """What hls4ml has printed, without names of folders: equal runs keep equal logs."""
        return self._printed.getvalue().replace(str(self._folder.parent), "scratch")

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """What libraries print goes to the log; warnings, which name folders here, go nowhere."""
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(self._printed),
            redirect_stderr(self._printed),
        ):
            yield
