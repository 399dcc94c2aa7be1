"""synq: from a trained network to a bit-exact memristor synapse array on an FPGA.

>>> import synq
>>> data = synq.load_data("digits")
>>> net = synq.quantize(synq.train(data), data=data, device="pcmo", levels=10)
>>> net.network.sizes
(64, 128, 10)
>>> net.accuracy() > 90
True

>>> chip = synq.program(net, seed=7, device_to_device=0.05)
>>> 0 < chip.chip.deviation < 0.05
True

Functions: `load_data`, `train`, `load_network`, `fit_device`, `quantize`, `finetune`, `program`,
`chips`, `plan`, `export`, `load_image`, `verify`, `sweep`. What they take and give are frozen data
classes. Importing synq imports nothing else yet.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synq.api import (
        chips,
        export,
        finetune,
        fit_device,
        load_data,
        load_image,
        load_network,
        plan,
        program,
        quantize,
        sweep,
        train,
        verify,
    )
    from synq.board import Board
    from synq.chip import Chip, Conditions, Programming
    from synq.device import Branch, Device
    from synq.device_fit import DeviceFit, FittedDevice
    from synq.errors import SynqError, UsageError
    from synq.exporting import Export
    from synq.fixedpoint import FixedPoint
    from synq.float_network import FloatNetwork
    from synq.learn.data.dataset import Dataset
    from synq.learn.prepare import Quantized
    from synq.network import QuantizedNetwork, SynapseArray, Trace
    from synq.planning import Plan
    from synq.pulses import Columns, Unit
    from synq.quantizing import Count, Mapping, Method, Quantization
    from synq.request import Datapath, Flow, Request, Target
    from synq.score import Scores, Task
    from synq.sweeping.summary import Sweep
    from synq.variation import Variation
    from synq.verifying import Verification
    from synq.yields import Yield

__version__ = "0.1.0"

_HOMES = {
    "synq.api": (
        *("chips", "export", "finetune", "fit_device", "load_data", "load_image", "load_network"),
        *("plan", "program", "quantize", "sweep", "train", "verify"),
    ),
    "synq.board": ("Board",),
    "synq.chip": ("Chip", "Conditions", "Programming"),
    "synq.device": ("Branch", "Device"),
    "synq.device_fit": ("DeviceFit", "FittedDevice"),
    "synq.errors": ("SynqError", "UsageError"),
    "synq.exporting": ("Export",),
    "synq.fixedpoint": ("FixedPoint",),
    "synq.float_network": ("FloatNetwork",),
    "synq.learn.data.dataset": ("Dataset",),
    "synq.learn.prepare": ("Quantized",),
    "synq.network": ("QuantizedNetwork", "SynapseArray", "Trace"),
    "synq.planning": ("Plan",),
    "synq.pulses": ("Columns", "Unit"),
    "synq.quantizing": ("Count", "Mapping", "Method", "Quantization"),
    "synq.request": ("Datapath", "Flow", "Request", "Target"),
    "synq.score": ("Scores", "Task"),
    "synq.sweeping.summary": ("Sweep",),
    "synq.variation": ("Variation",),
    "synq.verifying": ("Verification",),
    "synq.yields": ("Yield",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Board",
    "Branch",
    "Chip",
    "Columns",
    "Conditions",
    "Count",
    "Datapath",
    "Dataset",
    "Device",
    "DeviceFit",
    "Export",
    "FittedDevice",
    "FixedPoint",
    "FloatNetwork",
    "Flow",
    "Mapping",
    "Method",
    "Plan",
    "Programming",
    "Quantization",
    "Quantized",
    "QuantizedNetwork",
    "Request",
    "Scores",
    "Sweep",
    "SynapseArray",
    "SynqError",
    "Target",
    "Task",
    "Trace",
    "Unit",
    "UsageError",
    "Variation",
    "Verification",
    "Yield",
    "chips",
    "export",
    "finetune",
    "fit_device",
    "load_data",
    "load_image",
    "load_network",
    "plan",
    "program",
    "quantize",
    "sweep",
    "train",
    "verify",
]

logging.getLogger("synq").addHandler(logging.NullHandler())  # a library says nothing by itself


def __getattr__(name: str) -> Any:
    """A public name, whose module is imported now (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'synq' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
