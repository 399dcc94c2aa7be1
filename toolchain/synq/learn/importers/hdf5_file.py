"""Arrays in an HDF5 file, read in a process of its own.

The library that reads HDF5 does not end on some damaged files, and could crash on others; neither
can be mended here. So a child reads all that is wanted within a limit of time and memory
(`hdf5_child`), and nothing of the library is loaded into this process.
"""

import sys

import numpy as np

from synq.errors import SynqError, quoted
from synq.learn.importers.steps import Array
from synq.process import Command, run
from synq.scratch import scratch_folder

_SECONDS = 2  # of a processor, of which half a second is for starting
_BYTES_A_SECOND = 50_000_000


class Hdf5:
    """The datasets of a file by path, as `layers/dense/vars/0`, and its configuration.

    Attributes:
        configuration: the attribute `model_config`, if there is one.

    Raises:
        SynqError: the file is damaged, or holds what is not read.
    """

    def __init__(self, content: bytes) -> None:
        seconds = _SECONDS + len(content) // _BYTES_A_SECOND
        with scratch_folder() as folder:
            source, target = folder / "source.h5", folder / "arrays.npz"
            source.write_bytes(content)
            module = "synq.learn.importers.hdf5_child"
            arguments = [sys.executable, "-m", module, str(source), str(target), str(seconds)]
            ended = run(Command(arguments))
            problem = folder / "arrays.npz.txt"
            if problem.exists():
                raise SynqError(problem.read_text())
            if ended.code != 0:
                raise SynqError(
                    f"is a damaged HDF5 file: its reader stopped with code {ended.code}, or was "
                    f"not done in {seconds} s"
                )
            with np.load(target) as arrays:
                self._arrays = {name: arrays[name] for name in arrays.files}
        text = self._arrays.pop(".model_config", None)
        self.configuration = None if text is None else str(text)

    @property
    def paths(self) -> list[str]:
        return list(self._arrays)

    def values(self, path: str) -> Array:
        """The values of a dataset of real numbers.

        Raises:
            SynqError: it is none, or lies elsewhere.
        """
        array: Array = self._arrays[path]
        if array.dtype.kind != "f":
            raise SynqError(f"{quoted(path)} {array}")
        return array
