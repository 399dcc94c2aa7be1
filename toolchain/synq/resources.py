"""Where the data files that ship with synq are: boards, devices, templates.

`boards/` and `hls_templates/` stand at the top of the repository and inside the installed package;
an editable install sees only the former.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


def folder(name: str) -> Traversable:
    """The folder `name` ("boards", "devices" or "hls_templates") of this installation."""
    packaged = files("synq") / name
    return packaged if packaged.is_dir() else _REPOSITORY / name
