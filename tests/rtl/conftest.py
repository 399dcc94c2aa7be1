"""Fixtures of the tests of the Verilog."""

import pytest

from cores import CoreBuilder
from synq.rtl.simulate import Verilator


@pytest.fixture(scope="session")
def build_core(verilator: Verilator, tmp_path_factory: pytest.TempPathFactory) -> CoreBuilder:
    """Compiles cores."""
    return CoreBuilder(verilator, tmp_path_factory.mktemp("cores"))
