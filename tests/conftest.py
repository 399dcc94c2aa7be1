"""Fixtures that more than one test module uses."""

import pytest
from synq.cache import default_cache_dir
from synq.data import Dataset, load_mnist
from synq.progress import SILENT


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """The real MNIST, from the user's cache (filled on the first run)."""
    return load_mnist(None, default_cache_dir(), SILENT)
