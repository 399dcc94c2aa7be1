"""Measured devices and chips: pulse trains, device files, chips read back, chips as `.npz`."""

from functools import cache
from pathlib import Path

import numpy as np

from fuzzing.kind import TEXT, ZIP, Kind, change_json, mutated, within_zip
from strategies import BYTE
from synq.chip import Chip, Conditions, program
from synq.chip_file import chip_csv, chip_npz, read_back, read_chip, read_faults
from synq.device import Device, load_device
from synq.device_fit import fit_device, fitted_device
from synq.exported import Told, network_npz, read_exported
from synq.float_network import FloatNetwork
from synq.learn.data.load import Data
from synq.network import QuantizedNetwork
from synq.progress import SILENT
from synq.pulses import Unit, read_pulses
from synq.quantizing import Quantization, quantize_network
from synq.tile import Tile
from synq.variation import Variation

_TEN = Quantization(10)


@cache
def _design() -> tuple[QuantizedNetwork, Device]:
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((5, 4), (4, 2)))
    inputs = rng.integers(0, 256, (20, 5), dtype=np.uint8)
    device = load_device("pcmo")
    network = FloatNetwork(weights, (None, rng.normal(size=2).astype(np.float32)))
    return quantize_network(network, _TEN, device, BYTE, inputs), device


def _chip() -> Chip:
    conditions = Conditions(Variation(0.1, stuck_at_min=0.1), tile=Tile(4, 2))
    return program(*_design(), _TEN, conditions, 3)


def _network() -> bytes:
    network, device = _design()
    return network_npz(network, _TEN, device)


def read_npz(path: Path) -> None:
    chip = read_chip(path, *_design(), _TEN)
    assert chip.network.run(np.zeros((2, 5), dtype=np.uint8)).table().shape[0] == 2
    assert len(read_faults(path).states) >= 1


def read_csv(path: Path) -> None:
    chip = read_back(path, *_design(), _TEN, Conditions())
    assert chip.network.run(np.zeros((2, 5), dtype=np.uint8)).table().shape[0] == 2


def read_alone(path: Path) -> None:
    data = path.with_name("samples.npz")
    if not data.exists():
        inputs, labels = np.arange(50, dtype=np.uint8).reshape(10, 5), np.arange(10) % 2
        np.savez(data, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    found = read_exported(path, Told(data=Data(data)), path.parent, SILENT)
    conditions = Conditions(Variation(0.1))
    assert program(found.network, found.device, found.choice, conditions, 1).seed == 1


def read_traces(path: Path) -> None:
    traces, unit = read_pulses(path, read_voltage=0.1)
    scale = (1e-8, 1e-7) if unit is Unit.NORMALIZED else None
    assert fitted_device(fit_device(traces), "mine", "mine", "here", scale).name == "mine"


def _pulses() -> list[bytes]:
    curve = 10 + 40 * (1 - np.exp(-np.arange(12) / 4))
    wide = "a (nS),b (nS)\n" + "".join(f"{value},{60 - value}\n" for value in curve)
    long = "cell,pulse,G_nS,branch\n" + "".join(
        f"{cell},{pulse},{value},up\n" for cell in "ab" for pulse, value in enumerate(curve)
    )
    return [wide.encode(), long.encode()]


KINDS = {
    "chip.npz": Kind(
        "chip.npz", mutated([chip_npz(_chip())], (*ZIP, within_zip((change_json,)))), read_npz
    ),
    "network.npz alone": Kind(
        "alone.npz", mutated([_network()], (*ZIP, within_zip((change_json,)))), read_alone
    ),
    "chip read back": Kind("chip.csv", mutated([chip_csv(_chip())], TEXT), read_csv),
    "pulses.csv": Kind("pulses.csv", mutated(_pulses(), TEXT), read_traces, cost=5),
}
