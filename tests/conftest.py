"""Fixtures that more than one test module uses."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from synq.cache import default_cache_dir
from synq.device import load_device
from synq.learn.data.dataset import Dataset
from synq.learn.data.mnist import load_mnist
from synq.learn.train import RECIPES, trained_network
from synq.network import QuantizedNetwork
from synq.progress import SILENT
from synq.quantizing import Quantization, quantize_network
from synq.rtl.simulate import Verilator, find_verilator

# A machine may be slow; what an example does must still be right.
settings.register_profile("synq", deadline=None)
settings.load_profile("synq")


pytest_plugins = ["no_skips"]


@pytest.fixture(scope="session", autouse=True)
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever compiles a simulation, processes of synq too, shares the objects that do not depend
    on the core."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    (folder / "objects").mkdir(exist_ok=True)
    command = [str(Path(__file__).with_name("objcache.sh")), str(folder / "objects")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBJCACHE", shlex.join(command))
        yield


@pytest.fixture(scope="session")
def verilator() -> Verilator:
    """It comes with the extra `test`: without it the tests fail rather than prove nothing."""
    return find_verilator()


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """The real MNIST, from the user's cache (filled on the first run)."""
    return load_mnist(None, default_cache_dir(), SILENT)


@pytest.fixture(scope="session")
def paper_network(mnist: Dataset) -> QuantizedNetwork:
    """What `synq-export --levels 10` emits; trained on the first run, then from the cache."""
    trained, _ = trained_network(RECIPES["paper"], mnist, default_cache_dir(), SILENT)
    return quantize_network(
        trained, Quantization(10), load_device("pcmo"), mnist.input_format, mnist.train_inputs
    )
