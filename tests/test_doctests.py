"""Every example in a docstring does what it says."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import synq

PACKAGE = Path(synq.__file__).parent


def modules() -> list[str]:
    """Those with examples."""
    files = sorted(file for file in PACKAGE.rglob("*.py") if ">>> " in file.read_text())
    parts = [file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files]
    return [".".join(each).removesuffix(".__init__") for each in parts]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(import_module(name))
    assert tried and not failed
