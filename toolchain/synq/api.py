"""The public functions. Nothing is printed; a failure that a user can mend is a `SynqError`.

Progress goes to `progress`, warnings to the log "synq".
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from synq import exported, exporting, verifying
from synq.board import load_board
from synq.cache import default_cache_dir
from synq.chip import Chip, Conditions, Programming, conditions_of, varied
from synq.chip import program as fabricated
from synq.device import Branch, Device, load_device
from synq.device_fit import FittedDevice, fit_file
from synq.errors import UsageError, nearest_names
from synq.exporting import Destination, Export
from synq.files import atomic_write
from synq.float_network import FloatNetwork
from synq.learn.checkpoint import load_network
from synq.learn.data.arrays import InputScale
from synq.learn.data.dataset import Dataset
from synq.learn.data.load import Data
from synq.learn.data.load import load_data as load
from synq.learn.prepare import Quantized, Stopwatch, fitted, quantized, recipe_for
from synq.learn.train import FINETUNING, RECIPES, adapted_tuning, trained_network
from synq.network import QuantizedNetwork
from synq.planning import Plan, make_plan
from synq.progress import SILENT, Progress
from synq.pulses import Columns, Unit
from synq.quantizing import Count, Mapping, Method, Quantization
from synq.request import Flow, Request
from synq.score import Task
from synq.sweeping import run as sweeping
from synq.sweeping.points import Axes, Trained
from synq.sweeping.run import Swept
from synq.sweeping.summary import Sweep
from synq.tile import Tile
from synq.variation import Variation
from synq.verifying import Verification
from synq.yields import Trial, Yield, try_chips

__all__ = [
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

_Choice = TypeVar("_Choice", bound=StrEnum)


def load_data(
    source: str | Path = "mnist",
    *,
    task: Task | str | None = None,
    input_mean: float | Sequence[float] | None = None,
    input_std: float | Sequence[float] | None = None,
    input_divisor: float | None = None,
    progress: Progress = SILENT,
) -> Dataset:
    """Training and test samples.

    Args:
        source: "mnist", "fashion-mnist", "kmnist", "cifar10", "digits", "breast-cancer", "wine";
            or the path of a `.npz`, a `.csv`, or a folder of IDX files.
        task: "classification" or "regression"; that of the set, or classification, without.
        input_mean, input_std, input_divisor: what networks of this data take for a value x of it:
            `(x / divisor - mean) / std`; numbers, mean and std also one a feature.

    Raises:
        UsageError: there is no such set or file, or a number is out of range.
        SynqError: the data cannot be had, or is damaged.
    """
    kind = None if task is None else _one_of(Task, "task", task)
    scale = InputScale(_numbers(input_mean), _numbers(input_std), input_divisor)
    return load(Data(source, None, kind, scale), default_cache_dir(), progress)


def train(
    data: Dataset,
    *,
    recipe: str = "paper",
    layers: Sequence[int] | None = None,
    seed: int | None = None,
    bias: bool = False,
    progress: Progress = SILENT,
) -> FloatNetwork:
    """A network with ReLU, trained on `data`; from the cache if it has been before.

    Args:
        recipe: "paper" or "accurate", of 784-128-10 with MNIST; "lenet5" or "vgg", of small
            convolutional networks of these names.
        layers: neurons of each layer, inputs first; those of the recipe without.
        seed: of the training; the recipe's own without.

    Raises:
        UsageError: an unknown recipe, or layers that do not fit the data.
        SynqError: the data has no training labels, or the training diverged.
    """
    if recipe not in RECIPES:
        raise UsageError(f"recipe {recipe!r} is unknown; {nearest_names(recipe, list(RECIPES))}")
    chosen = replace(RECIPES[recipe], bias=bias or RECIPES[recipe].bias)
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    sizes = None if layers is None else tuple(layers)
    used = recipe_for(chosen, sizes, data)
    return trained_network(used, data, default_cache_dir(), progress)[0]


def quantize(
    network: FloatNetwork,
    *,
    data: Dataset,
    device: str | Path | Device = "pcmo",
    levels: int = 10,
    method: Method | str = Method.PROPOSED,
    mapping: Mapping | str = Mapping.DIFFERENTIAL,
    count: Count | str = Count.SIGNED,
    branch: Branch | str = Branch.LTP,
    percentile: float = 100.0,
    table_width: int = 8,
    input_bits: int = 8,
    activation_bits: int = 8,
    tile: Tile | str | None = None,
    adc_bits: int | None = None,
    read_noise: float | None = None,
    read_seed: int = 0,
    progress: Progress = SILENT,
) -> Quantized:
    """The network as the device holds it, with the integer reference of all test samples.

    Args:
        network: trained on `data`, whose training inputs the activations' formats are chosen on.
        device: a known device's name, the path of a `.toml`, or a `Device`.
        levels: L, 2 to 256.
        method: "proposed" (uniform levels snapped to the device), "sampling" (of its curve),
            "uniform" (no device), "nearest" (all it has).
        mapping: "differential" (a pair of cells a weight) or "offset".
        count: "signed" (levels over -1..1) or "magnitude" (over 0..1, mirrored).
        branch: "ltp", "ltd" or "union".
        percentile: of absolute weights, that normalizes a layer.
        table_width: bits of a conductance-table value, 2 to 16.
        input_bits: 1 to 8; activation_bits: 1 to 16.
        tile: rows and columns of the crossbars that arrays are made of, as "128x128".
        adc_bits: of the converters at the tiles' columns, 2 to 16; exact sums without.
        read_noise: with converters, the standard deviation of a cell from read to read, a share of
            the window; the device's own without.
        read_seed: of that noise.

    Raises:
        UsageError: a value is out of range.
        SynqError: network and data do not fit each other.
    """
    if not isinstance(network, FloatNetwork):
        raise UsageError(
            f"network must be a FloatNetwork, got {type(network).__name__}: take what load_network "
            "or train returns"
        )
    if not isinstance(data, Dataset):
        raise UsageError(
            f"data must be a Dataset, got {type(data).__name__}: take what load_data returns"
        )
    choice = Quantization(
        levels=levels,
        method=_one_of(Method, "method", method),
        mapping=_one_of(Mapping, "mapping", mapping),
        count=_one_of(Count, "count", count),
        branch=_one_of(Branch, "branch", branch),
        percentile=percentile,
        table_width=table_width,
        input_bits=input_bits,
        activation_bits=activation_bits,
        tile=Tile.parsed(tile) if isinstance(tile, str) else tile,
        adc_bits=adc_bits,
        read_noise=read_noise,
        read_seed=read_seed,
    )
    return quantized(
        fitted(network, data),
        _device(device),
        choice,
        default_cache_dir(),
        Stopwatch(),
        progress,
    )


def finetune(
    start: Quantized,
    *,
    sparsity: float = 0.0,
    device_to_device: float = 0.0,
    stuck_at_min: float = 0.0,
    stuck_at_max: float = 0.0,
    around: Chip | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Quantized:
    """The same quantization, fine-tuned for the device, inputs and activations as in hardware.

    Args:
        start: from `quantize`; it stays as it is.
        sparsity: least share of zero synapses in all arrays but the last, 0 to 1.
        device_to_device, stuck_at_min, stuck_at_max: of the chips that it is trained through, a
            new one each batch.
        around: the chip whose stuck cells it is trained for.

    Raises:
        UsageError: a value is out of range, or sparsity without a level at zero.
        SynqError: the chip is one of another network, the data has no training labels, or the
            training diverged.
    """
    data = start.loaded.dataset
    settings = replace(FINETUNING, recipe=replace(FINETUNING.recipe, seed=seed))
    if device_to_device or stuck_at_min or stuck_at_max:
        variation = varied(
            Variation(),
            device_to_device=device_to_device,
            stuck_at_min=stuck_at_min,
            stuck_at_max=stuck_at_max,
        )
        settings = replace(settings, variation=variation)
    if around is not None:
        settings = replace(settings, faults=around.faults)
    settings = adapted_tuning(settings.with_sparsity(sparsity), data)
    loaded = replace(start.loaded, finetuning=settings)
    cache_dir = default_cache_dir()
    return quantized(loaded, start.device, start.quantization, cache_dir, Stopwatch(), progress)


def fit_device(
    pulses: str | Path,
    *,
    name: str | None = None,
    unit: Unit | str | None = None,
    read_voltage: float | None = None,
    g_min: float | None = None,
    g_max: float | None = None,
    measured_points: bool = False,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
) -> FittedDevice:
    """A device of your own, of pulse trains that were measured; `quantize` takes its `device`.

    Args:
        pulses: a `.csv` of conductances after each pulse: a line a pulse and a column a trace, or
            columns of pulse, conductance, cell, cycle and branch.
        name: of the device; that of the file without.
        unit: of the numbers: "S", "mS", "uS", "nS", "A", "uA", "nA" or "normalized"; what the
            header says, or siemens, without.
        read_voltage: volts that currents were read at.
        g_min, g_max: siemens of the ends of normalized data.
        measured_points: whether the points themselves are the device, and not the fitted curve.
        columns: their names, where the header does not tell.

    Raises:
        UsageError: a column is not there, or the unit or the ends do not suit the data.
        SynqError: the file cannot be read, or cannot be fitted; says where.
    """
    path = Path(pulses)
    told = None if unit is None else _one_of(Unit, "unit", unit)
    ends = (g_min, g_max)
    return fit_file(path, name or path.stem, columns, told, read_voltage, *ends, measured_points)


def program(
    network: Quantized,
    *,
    seed: int = 0,
    programming: Programming | str = Programming.EXACT,
    tolerance: float = 0.01,
    max_pulses: int = 100,
    time: float = 0.0,
    device_to_device: float | None = None,
    cycle_to_cycle: float | None = None,
    stuck_at_min: float | None = None,
    stuck_at_max: float | None = None,
    drift_exponent: float | None = None,
    drift_exponent_sigma: float | None = None,
    wire_resistance: float | None = None,
) -> Quantized:
    """A virtual chip of the network: again a network, with its cells in `chip`.

    Sizes of effects that are not given are those of the device.

    Args:
        seed: which chip; the same seed gives the same cells.
        programming: "exact", "open-loop" or "write-verify".
        tolerance, max_pulses: of write-verify: a share of the window; corrections of a cell.
        time: seconds since programming.
        device_to_device: standard deviation of a cell's conductance factor.
        cycle_to_cycle: of a pulse's error, a share of the window.
        stuck_at_min, stuck_at_max: shares of cells that stay there.
        drift_exponent, drift_exponent_sigma: conductances fall as (time / drift start) to minus
            this; mean, and standard deviation from cell to cell.
        wire_resistance: ohms of a wire from one cell to the next.

    Raises:
        UsageError: a value is out of range, or the network is a chip already.
    """
    if network.chip is not None:
        raise UsageError("the network is a chip already: program that of its design")
    conditions = conditions_of(
        network.device,
        network.quantization.tile,
        _one_of(Programming, "programming", programming),
        tolerance,
        max_pulses,
        time,
        device_to_device=device_to_device,
        cycle_to_cycle=cycle_to_cycle,
        stuck_at_min=stuck_at_min,
        stuck_at_max=stuck_at_max,
        drift_exponent=drift_exponent,
        drift_exponent_sigma=drift_exponent_sigma,
        wire_resistance_ohm=wire_resistance,
    )
    return network.on_chip(
        fabricated(network.network, network.device, network.quantization, conditions, seed)
    )


def chips(
    network: Quantized,
    *,
    count: int = 1000,
    threshold: float | None = None,
    sensitivity: int = 0,
    conditions: Conditions | None = None,
    output: str | Path | None = None,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Yield:
    """The yield of a network: the scores of many chips, with the seeds 0 to count - 1.

    Args:
        threshold: what a good chip reaches.
        sensitivity: chips for each effect alone and strength; 0 for none.
        conditions: what chips go through; exact programming and the device's own effects without.
        output: a folder for the results, from which an interrupted run goes on.
        scheduler: of a Dask cluster; in processes of this machine without.

    Raises:
        UsageError: a value is out of range, the network is a chip itself, or the folder holds other
            files.
        SynqError: a chip cannot be tried, the folder holds another network's chips, or another run
            writes there.
    """
    if network.chip is not None:
        raise UsageError("the network is a chip already: ask for the yield of its design")
    data = network.dataset
    given = (network.network, network.device, network.quantization)
    trial = Trial(*given, data.test_inputs, data.test_labels, data.task)
    if conditions is None:
        conditions = conditions_of(network.device, network.quantization.tile)
    folder = None if output is None else Path(output).resolve()
    with try_chips(
        trial, conditions, count, threshold, sensitivity, folder, scheduler, progress
    ) as found:
        return found


def plan(
    network: Quantized | QuantizedNetwork,
    *,
    board: str | Path = "pynq-z2",
    flow: Flow | str = Flow.HLS,
    request: Request = Request(),  # noqa: B008 (frozen)
) -> Plan:
    """The design for a board, among its neighbours; all its numbers are estimates.

    Raises:
        UsageError: the board is unknown, or the back end cannot do what is asked.
        SynqError: nothing fits the board, or not at the asked rate.
    """
    integers = network.network if isinstance(network, Quantized) else network
    return make_plan(integers, load_board(str(board)), request, _one_of(Flow, "flow", flow))


def export(
    network: Quantized,
    *,
    board: str | Path = "pynq-z2",
    output: str | Path | None = None,
    flows: Iterable[Flow | str] = (Flow.HLS,),
    backend: str = "vitis",
    io_type: str = "io_parallel",
    request: Request = Request(),  # noqa: B008 (frozen)
    force: bool = False,
    progress: Progress = SILENT,
) -> Export:
    """Write a project for a board; every test sample has been simulated bit-exactly before it
    appears.

    Args:
        output: the project's folder; build/<name> without.
        flows: "hls" (an hls4ml project), "rtl" (Verilog of our own), or both.
        backend: hls4ml's, "vitis" or "vivado".
        io_type: hls4ml's, "io_parallel" or "io_stream".
        force: whether a folder may be replaced that synq did not write.

    Raises:
        UsageError: the board is unknown, or the output another's folder.
        SynqError: a tool is missing or fails, or an integer differs; nothing is left at `output`.
    """
    chosen = {_one_of(Flow, "flow", flow) for flow in flows}
    _check_name("backend", backend, ["vitis", "vivado"])
    _check_name("io type", io_type, ["io_parallel", "io_stream"])
    destination = Destination(
        str(board),
        tuple(flow for flow in Flow if flow in chosen),
        backend.capitalize(),
        io_type,
        None if output is None else Path(output),
        force,
    )
    return exporting.export_prepared(
        network, destination, request, default_cache_dir(), Stopwatch(), progress
    )


def verify(project: str | Path, *, progress: Progress = SILENT) -> Verification:
    """Recheck a project: the digest of every file, and every simulation against the reference.

    Raises:
        SynqError: a file is missing, changed or added, or an integer differs; names the first.
    """
    return verifying.verify(Path(project).resolve(), progress)


def load_image(
    core: str | Path | Export, network: Quantized | QuantizedNetwork, *, output: str | Path
) -> Path:
    """Write a network, or a chip of `program`, as a file that a running core takes.

    The driver on the board loads it: `SynapseOverlay().load("load.npz")`.

    Args:
        core: a project of Verilog whose `Request` was `reloadable`.
        network: with the core's sizes; its sums may need the `headroom` of the core's `Request`.
        output: the file, `.npz`; one that is there is replaced.

    Returns:
        The file's path.

    Raises:
        UsageError: the output does not end in `.npz`.
        SynqError: the core is no such project, or is not built for this network.
    """
    path = Path(output).resolve()
    if path.suffix != ".npz":
        raise UsageError(f"the output must end in .npz, got {output}", settings=("output",))
    project = core.output if isinstance(core, Export) else Path(core).resolve()
    integers = network.network if isinstance(network, Quantized) else network
    content = exported.load_image(project, integers)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content)
    return path


def sweep(
    network: FloatNetwork,
    *,
    data: Dataset,
    output: str | Path,
    levels: Iterable[int] = range(5, 26),
    methods: Iterable[Method | str] = (Method.PROPOSED, Method.SAMPLING),
    device: str | Path | Device = "pcmo",
    board: str | Path = "pynq-z2",
    finetuning: bool = False,
    scheduler: str | None = None,
    progress: Progress = SILENT,
) -> Sweep:
    """Accuracy against levels and methods.

    Args:
        output: a folder for the results, from which an interrupted sweep goes on.
        scheduler: of a Dask cluster; in processes of this machine without.

    Raises:
        UsageError: a value is out of range, or the folder holds other files.
        SynqError: network and data do not fit each other, or another sweep writes there.
    """
    tuning = adapted_tuning(FINETUNING, data) if finetuning else None
    loaded, chosen = fitted(network, data, finetuning=tuning), _device(device)
    axes = Axes(
        levels=tuple(levels), methods=tuple(_one_of(Method, "method", each) for each in methods)
    )
    trained = (Trained(None, loaded.network, loaded.software),)
    with sweeping.sweep(
        lambda: Swept(data, trained, tuning),
        axes,
        Quantization(axes.levels[0]),
        chosen,
        load_board(str(board)),
        Path(output).resolve(),
        scheduler,
        Stopwatch(),
        progress,
    ) as finished:
        return finished


def _one_of(kind: type[_Choice], name: str, value: Any) -> _Choice:
    """`value` as a member of an enumeration."""
    _check_name(name, str(value), [each.value for each in kind])
    return kind(str(value))


def _check_name(name: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise UsageError(f"{name} {value!r} is unknown; {nearest_names(value, known)}")


def _numbers(given: float | Sequence[float] | None) -> float | tuple[float, ...] | None:
    return given if given is None or isinstance(given, int | float) else tuple(map(float, given))


def _device(device: str | Path | Device) -> Device:
    return device if isinstance(device, Device) else load_device(str(device))
