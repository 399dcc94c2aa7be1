"""Options that several commands take, and what they stand for.

A command takes a group of them as one parameter, a dataclass: `spread` makes its fields options.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from synq.cli import console
from synq.errors import UsageError

if TYPE_CHECKING:
    from synq.chip import Conditions
    from synq.device import Device
    from synq.exported import Exported
    from synq.learn.data.load import Data as DataChoice
    from synq.learn.prepare import Source
    from synq.learn.train import FineTuning, Recipe
    from synq.progress import Progress
    from synq.quantizing import Quantization
    from synq.request import Flow, Request
    from synq.tile import Tile

_DESIGN = "Design of the synapse arrays"
_NETWORK = "Network and data"
_DEVICE = "Device and quantization"
_CHIP = "Chip"
_UNTOLD = "Of a network's file, where it does not tell"


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the fields of its dataclass parameters in their place, for Typer to read."""
    groups: dict[str, Any] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if not is_dataclass(group):
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = group
        kinds = get_type_hints(group, include_extras=True)
        options += (
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=kinds[field.name],
            )
            for field in fields(group)
        )

    @wraps(command)
    def spread_out(**given: Any) -> None:
        gathered = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**gathered, **given)

    spread_out.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {}  # Typer shall read the signature alone
    return spread_out


def quietable(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the option `--quiet`, of which it needs to know nothing itself."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    quiet = inspect.Parameter(
        "quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Quiet
    )

    @wraps(command)
    def quiet_or_not(*, quiet: bool, **given: Any) -> None:
        console.be_quiet(quiet)
        command(**given)

    quiet_or_not.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), quiet]
    )
    quiet_or_not.__annotations__ = {}  # as in `spread`
    return quiet_or_not


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an integer") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


BoardOption = Annotated[str, typer.Option(help="Board (see `synq boards`), or your .toml.")]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help="Seed of the training; the recipe's own without.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_NETWORK,
    ),
]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Run on the Dask cluster of this scheduler's address.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.", metavar="")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log what is done.", metavar="")
]
_Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No progress and no summary; errors are still shown.", metavar=""
    ),
]


@dataclass(frozen=True)
class Data:
    """What the network is trained on, or fed with."""

    data: Annotated[
        str,
        typer.Option(
            help="mnist, fashion-mnist, kmnist, cifar10, digits, breast-cancer, wine, diabetes; "
            "or your own: an .npz, a .csv, a folder of IDX files.",
            metavar="<name or path>",
            rich_help_panel=_NETWORK,
        ),
    ] = "mnist"
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the files of mnist, fashion-mnist, kmnist or cifar10; fetched without.",
            rich_help_panel=_NETWORK,
        ),
    ] = None
    task: Annotated[
        Literal["classification", "regression"] | None,
        typer.Option(
            help="What your data's labels are; classes without.", rich_help_panel=_NETWORK
        ),
    ] = None
    input_mean: Annotated[
        float | None,
        typer.Option(
            help="What your network had subtracted from its inputs; folded into the first array.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_NETWORK,
        ),
    ] = None
    input_std: Annotated[
        float | None,
        typer.Option(
            help="What they were divided by, after that.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_NETWORK,
        ),
    ] = None
    input_divisor: Annotated[
        float | None,
        typer.Option(
            help="What they were divided by first; 256 without, 1 for real numbers.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_NETWORK,
        ),
    ] = None

    def chosen_data(self) -> "DataChoice":
        """The data that the options describe.

        Raises:
            UsageError: a value out of range.
        """
        from synq.learn.data.arrays import InputScale
        from synq.learn.data.load import Data as DataChoice
        from synq.score import Task

        return DataChoice(
            self.data,
            self.data_dir,
            None if self.task is None else Task(self.task),
            InputScale(self.input_mean, self.input_std, self.input_divisor),
        )


@dataclass(frozen=True)
class Training(Data):
    """A network to train."""

    network: Annotated[
        Literal["mlp", "lenet5", "vgg"],
        typer.Option(
            help="Layers to train: 784-128-10 with MNIST, or a small convolutional network.",
            rich_help_panel=_NETWORK,
        ),
    ] = "mlp"
    recipe: Annotated[
        Literal["paper", "accurate", "lenet5", "vgg"] | None,
        typer.Option(
            help="How to train, when no checkpoint is given; by default paper, or what was made "
            "for the network.",
            rich_help_panel=_NETWORK,
            show_default=False,
        ),
    ] = None
    bias: Annotated[
        bool,
        typer.Option("--bias", help="Train with a bias.", metavar="", rich_help_panel=_NETWORK),
    ] = False
    layers: Annotated[
        str | None,
        typer.Option(
            help="Neurons of each layer, as 784,128,10, to train; names of your checkpoint's "
            "layers, where it does not tell their order.",
            metavar="<list>",
            rich_help_panel=_NETWORK,
        ),
    ] = None

    def source(
        self,
        seed: int | None,
        tuning: "Tuning | None" = None,
        checkpoint: Path | None = None,
    ) -> "Source":
        """The network and data that the options describe.

        Args:
            seed: of the training; the recipe's own without.
            tuning: whether and how to fine-tune.
            checkpoint: the user's own network instead.

        Raises:
            UsageError: they contradict one another.
        """
        from synq.cache import default_cache_dir
        from synq.learn.prepare import Source

        trains = seed is not None or self.bias or self.network != "mlp"
        if checkpoint is not None and trains:
            raise UsageError(
                "--seed, --bias and --network are for training; with --checkpoint nothing is "
                "trained"
            )
        recipe = self._recipe()
        if seed is not None:
            recipe = replace(recipe, seed=seed)
        finetuning = None if tuning is None else tuning.finetuning(recipe.seed)
        given = [part.strip() for part in self.layers.split(",")] if self.layers else []
        return Source(
            recipe,
            checkpoint,
            self.chosen_data(),
            finetuning,
            default_cache_dir(),
            sizes=_sizes(given) if given and checkpoint is None else None,
            layers=tuple(given) if given and checkpoint is not None else None,
        )

    def _recipe(self) -> "Recipe":
        """How to train which layers: without a recipe that which was made for the network, without
        a network that which the recipe was made for."""
        from synq.learn.layers import NETWORKS
        from synq.learn.train import RECIPES

        recipe = RECIPES[self.recipe or (self.network if self.network != "mlp" else "paper")]
        if self.network != "mlp":
            recipe = replace(recipe, hidden=NETWORKS[self.network])
            if self.layers:
                raise UsageError("--layers are dense ones: they do not go with --network")
        return replace(recipe, bias=self.bias or recipe.bias)


def _sizes(given: list[str]) -> tuple[int, ...]:
    """Neurons of each layer, inputs first.

    Raises:
        UsageError: they are no numbers, too few or too many.
    """
    from synq.learn.train import MOST_LAYERS

    sizes = tuple(int(size) if size.isascii() and size.isdigit() else 0 for size in given)
    if not 2 <= len(sizes) <= MOST_LAYERS + 1 or not all(0 < size < 10**9 for size in sizes):
        raise UsageError(
            f"--layers must be 2 to {MOST_LAYERS + 1} numbers of neurons, inputs first, as "
            f"784,128,10, got {','.join(given)}; names of layers are for --checkpoint"
        )
    return sizes


@dataclass(frozen=True)
class Network(Training):
    """A network to train, or the user's own."""

    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Your own ReLU network: torch, safetensors, Lightning, Keras, ONNX.",
            rich_help_panel=_NETWORK,
        ),
    ] = None

    def source(
        self,
        seed: int | None,
        tuning: "Tuning | None" = None,
        checkpoint: Path | None = None,
    ) -> "Source":
        """As of `Training`, with the checkpoint of the options."""
        return super().source(seed, tuning, checkpoint or self.checkpoint)


@dataclass(frozen=True)
class Tuning:
    """The device, and how weights become its conductances."""

    device: Annotated[
        str,
        typer.Option(help="Device (see `synq devices`), or your .toml.", rich_help_panel=_DEVICE),
    ] = "pcmo"
    mapping: Annotated[
        Literal["differential", "offset"],
        typer.Option(
            help="A pair of devices a weight, or one against a reference column.",
            rich_help_panel=_DEVICE,
        ),
    ] = "differential"
    count: Annotated[
        Literal["signed", "magnitude"],
        typer.Option(
            help="Lay the levels over -1..1, or over 0..1 and mirror them.", rich_help_panel=_DEVICE
        ),
    ] = "signed"
    percentile: Annotated[
        float,
        typer.Option(
            help="Percentile of absolute weights that normalizes a layer; 100 is the largest.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_DEVICE,
        ),
    ] = 100.0
    table_width: Annotated[
        int,
        typer.Option(
            help="Bits of a conductance-table value, 2 to 16.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DEVICE,
        ),
    ] = 8
    finetune: Annotated[
        bool,
        typer.Option(
            "--finetune",
            help="Fine-tune the weights for the device, inputs and activations as in hardware.",
            metavar="",
            rich_help_panel=_DEVICE,
        ),
    ] = False

    def finetuning(self, seed: int, sparsity: float = 0.0) -> "FineTuning | None":
        """How to fine-tune, if at all.

        Args:
            sparsity: least share of zero synapses.

        Raises:
            UsageError: sparsity without fine-tuning.
        """
        from synq.learn.train import FINETUNING

        if sparsity and not self.finetune:
            raise UsageError("--sparsity is for fine-tuning: add --finetune")
        if not self.finetune:
            return None
        recipe = replace(FINETUNING.recipe, seed=seed)
        return replace(FINETUNING, recipe=recipe).with_sparsity(sparsity)


@dataclass(frozen=True)
class Quantizing(Tuning):
    """One quantization: the device and all that stands beside it."""

    levels: Annotated[
        int,
        typer.Option(
            help="Levels L, 2 to 256 (the paper: 5 to 25).", parser=_integer, metavar="<int>"
        ),
    ] = 10
    branch: Annotated[
        Literal["ltp", "ltd", "union"],
        typer.Option(help="Curve that the reference values come from.", rich_help_panel=_DEVICE),
    ] = "ltp"
    method: Annotated[
        Literal["proposed", "sampling", "uniform", "nearest"],
        typer.Option(
            help="Levels snapped to the device; its curve sampled; no device; all it has.",
            rich_help_panel=_DEVICE,
        ),
    ] = "proposed"
    input_bits: Annotated[
        int,
        typer.Option(
            help="Bits of an input (a pixel), 1 to 8.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DEVICE,
        ),
    ] = 8
    activation_bits: Annotated[
        int,
        typer.Option(
            help="Bits of a hidden activation, 1 to 16.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DEVICE,
        ),
    ] = 8
    tile: Annotated[
        str | None,
        typer.Option(
            help="Rows x columns of a crossbar that arrays are made of, as 128x128.",
            metavar="<size>",
            rich_help_panel=_DEVICE,
        ),
    ] = None
    adc_bits: Annotated[
        int | None,
        typer.Option(
            help="With --tile: bits of the converter at each column of a tile, 2 to 16.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DEVICE,
        ),
    ] = None
    read_noise: Annotated[
        float | None,
        typer.Option(
            help="With --adc-bits: deviation of a cell from read to read, a share of the window.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_DEVICE,
        ),
    ] = None
    read_seed: Annotated[
        int,
        typer.Option(
            help="Seed of the read noise.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DEVICE,
        ),
    ] = 0
    sparsity: Annotated[
        float,
        typer.Option(
            help="With --finetune: least share of zeros, 0 to 1, in all arrays but the last.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_DEVICE,
        ),
    ] = 0.0

    def finetuning(self, seed: int, sparsity: float = 0.0) -> "FineTuning | None":
        """As of `Tuning`, with the sparsity of the options."""
        return super().finetuning(seed, sparsity or self.sparsity)

    def quantization(self) -> "Quantization":
        """The quantization that the options describe.

        Raises:
            UsageError: a value is out of range, or two exclude each other.
        """
        from synq.device import Branch
        from synq.quantizing import Count, Mapping, Method, Quantization
        from synq.tile import Tile

        return Quantization(
            levels=self.levels,
            method=Method(self.method),
            mapping=Mapping(self.mapping),
            count=Count(self.count),
            branch=Branch(self.branch),
            percentile=self.percentile,
            table_width=self.table_width,
            input_bits=self.input_bits,
            activation_bits=self.activation_bits,
            tile=None if self.tile is None else Tile.parsed(self.tile),
            adc_bits=self.adc_bits,
            read_noise=self.read_noise,
            read_seed=self.read_seed,
        )


@dataclass(frozen=True)
class Design:
    """What is asked of the core."""

    flow: Annotated[
        str,
        typer.Option(
            help="hls, rtl, or hls,rtl: an hls4ml project, or Verilog that needs no vendor's tool.",
            metavar="<flows>",
            rich_help_panel=_DESIGN,
        ),
    ] = "hls"
    target: Annotated[
        Literal["throughput", "latency", "area"],
        typer.Option(help="What the design aims for.", rich_help_panel=_DESIGN),
    ] = "throughput"
    target_fps: Annotated[
        float | None,
        typer.Option(
            help="The smallest design of so many images a second, instead.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_DESIGN,
        ),
    ] = None
    rows: Annotated[
        int | None,
        typer.Option(
            help="Rows a cycle of the first array, instead of the planner's choice.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DESIGN,
        ),
    ] = None
    reuse_factor: Annotated[
        int | None,
        typer.Option(
            help="hls4ml's word for it: cycles an image of the first array; rows follow.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DESIGN,
        ),
    ] = None
    datapath: Annotated[
        Literal["decode", "bank", "buckets", "unrolled"] | None,
        typer.Option(
            help="How rows are weighted, instead of the planner.", rich_help_panel=_DESIGN
        ),
    ] = None
    event_driven: Annotated[
        bool,
        typer.Option(
            "--event-driven",
            help="Skip rows whose input is zero: latency depends on the image.",
            metavar="",
            rich_help_panel=_DESIGN,
        ),
    ] = False
    beat_bits: Annotated[
        int | None,
        typer.Option(
            help="With --flow rtl: bits of the input stream, a multiple of 64; 64 without.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DESIGN,
        ),
    ] = None
    reloadable: Annotated[
        bool,
        typer.Option(
            "--reloadable",
            help="With --flow rtl: a core that other networks, and chips, are loaded into.",
            metavar="",
            rich_help_panel=_DESIGN,
        ),
    ] = False
    reload_headroom: Annotated[
        int,
        typer.Option(
            help="Bits that the totals of later networks may be wider than this one's.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_DESIGN,
        ),
    ] = 0

    def flows(self) -> "tuple[Flow, ...]":
        """The back ends.

        Raises:
            UsageError: one is unknown, or named twice.
        """
        from synq.request import Flow

        names = [name.strip() for name in self.flow.split(",")]
        known = [flow.value for flow in Flow]
        for name in names:
            if name not in known:
                raise UsageError(f"--flow takes {' and '.join(known)}, got {name!r}")
        if len(set(names)) < len(names):
            raise UsageError(f"--flow names a flow twice: {self.flow}")
        return tuple(flow for flow in Flow if flow.value in names)

    def request(self) -> "Request":
        """What the options ask of the design.

        Raises:
            UsageError: a value is out of range, or two exclude each other.
        """
        from synq.request import Datapath, Flow, Request, Target

        given = (self.target_fps, self.rows, self.reuse_factor)
        if sum(option is not None for option in given) > 1:
            raise UsageError("--target-fps, --rows and --reuse-factor exclude one another")
        if self.beat_bits is not None and Flow.RTL not in self.flows():
            raise UsageError(
                "--beat-bits is for --flow rtl: the stream of the HLS core has 64 bits"
            )
        if self.reloadable and Flow.RTL not in self.flows():
            raise UsageError("--reloadable is for --flow rtl: the HLS core's network is fixed")
        return Request(
            Target(self.target),
            self.target_fps,
            self.rows,
            self.reuse_factor,
            Datapath(self.datapath) if self.datapath is not None else None,
            self.event_driven,
            self.beat_bits or 64,
            self.reloadable,
            self.reload_headroom,
        )


@dataclass(frozen=True)
class Chip:
    """What the cells of a chip have gone through; sizes of effects are the device's own without."""

    device_to_device: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of a cell's conductance factor, 0 to 1.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    cycle_to_cycle: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of a pulse's error, a share of the window.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    stuck_at_min: Annotated[
        float | None,
        typer.Option(
            help="Share of cells that stay at g_min.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    stuck_at_max: Annotated[
        float | None,
        typer.Option(
            help="Share of cells that stay at g_max.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    drift_exponent: Annotated[
        float | None,
        typer.Option(
            help="Conductances fall as (time / drift start) to minus this.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    drift_exponent_sigma: Annotated[
        float | None,
        typer.Option(
            help="Its standard deviation from cell to cell.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    wire_resistance: Annotated[
        float | None,
        typer.Option(
            help="Ohms of a wire from one cell to the next.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = None
    time: Annotated[
        float,
        typer.Option(
            help="Seconds since programming.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = 0.0
    programming: Annotated[
        Literal["exact", "open-loop", "write-verify"],
        typer.Option(
            help="Without error; by the curve's number of pulses; or read and corrected.",
            rich_help_panel=_CHIP,
        ),
    ] = "exact"
    tolerance: Annotated[
        float,
        typer.Option(
            help="Of write-verify, a share of the window.",
            parser=_number,
            metavar="<float>",
            rich_help_panel=_CHIP,
        ),
    ] = 0.01
    max_pulses: Annotated[
        int,
        typer.Option(
            help="Of write-verify, corrections of a cell.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_CHIP,
        ),
    ] = 100

    def conditions(self, device: "Device", tile: "Tile | None") -> "Conditions":
        """What the options describe, beside what the device says.

        Raises:
            UsageError: a value is out of range.
        """
        from synq.chip import Programming, conditions_of

        return conditions_of(
            device,
            tile,
            Programming(self.programming),
            self.tolerance,
            self.max_pulses,
            self.time,
            device_to_device=self.device_to_device,
            cycle_to_cycle=self.cycle_to_cycle,
            stuck_at_min=self.stuck_at_min,
            stuck_at_max=self.stuck_at_max,
            drift_exponent=self.drift_exponent,
            drift_exponent_sigma=self.drift_exponent_sigma,
            wire_resistance_ohm=self.wire_resistance,
        )


@dataclass(frozen=True)
class Made:
    """A network that synq has written: what of it its file may not tell."""

    made: Annotated[
        Path,
        typer.Argument(
            help="A folder that synq-export made, or a network's .npz.", metavar="PROJECT|NETWORK"
        ),
    ]
    device: Annotated[
        str | None,
        typer.Option(help="The device, where the file has none or it was your own .toml."),
    ] = None
    tile: Annotated[
        str | None,
        typer.Option(
            help="Rows x columns of a crossbar; those of the quantization without.",
            metavar="<size>",
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            help="Data that it is tried on: a set's name, or your own.",
            metavar="<name or path>",
            rich_help_panel=_UNTOLD,
        ),
    ] = None
    data_dir: Annotated[
        Path | None,
        typer.Option(help="With --data: folder of its files.", rich_help_panel=_UNTOLD),
    ] = None
    task: Annotated[
        Literal["classification", "regression"] | None,
        typer.Option(help="With --data: what its labels are.", rich_help_panel=_UNTOLD),
    ] = None
    levels: Annotated[
        int | None,
        typer.Option(
            help="Levels L that it was quantized to.",
            parser=_integer,
            metavar="<int>",
            rich_help_panel=_UNTOLD,
        ),
    ] = None
    method: Annotated[
        Literal["proposed", "sampling", "uniform", "nearest"],
        typer.Option(help="With --levels, as of synq quantize.", rich_help_panel=_UNTOLD),
    ] = "proposed"
    mapping: Annotated[
        Literal["differential", "offset"],
        typer.Option(help="With --levels, as of synq quantize.", rich_help_panel=_UNTOLD),
    ] = "differential"
    magnitude: Annotated[
        bool,
        typer.Option(
            "--magnitude",
            help="With --levels: they were counted over the magnitude.",
            metavar="",
            rich_help_panel=_UNTOLD,
        ),
    ] = False
    branch: Annotated[
        Literal["ltp", "ltd", "union"],
        typer.Option(help="With --levels, as of synq quantize.", rich_help_panel=_UNTOLD),
    ] = "ltp"

    def read(self, progress: "Progress") -> "Exported":
        """The network, its device and its test set.

        Raises:
            UsageError: options are missing, or contradict one another or the file.
            SynqError: the file cannot be read, or does not fit what is said of it.
        """
        from synq.cache import default_cache_dir
        from synq.exported import Told, read_exported
        from synq.learn.data.load import Data as DataChoice
        from synq.score import Task

        if self.data is None and (self.data_dir is not None or self.task is not None):
            raise UsageError("--data-dir and --task are for --data: say which")
        data = None
        if self.data is not None:
            task = None if self.task is None else Task(self.task)
            data = DataChoice(self.data, self.data_dir, task)
        told = Told(self.device, self._choice(), data)
        return read_exported(self.made.resolve(), told, default_cache_dir(), progress)

    def _choice(self) -> "Quantization | None":
        how = (self.method, self.mapping, self.magnitude, self.branch)
        if self.levels is None and self.method != "nearest":  # which has none
            if how != ("proposed", "differential", False, "ltp"):
                raise UsageError("--method, --mapping, --magnitude and --branch are for --levels")
            return None
        return Quantizing(
            levels=self.levels or 2,
            method=self.method,
            mapping=self.mapping,
            count="magnitude" if self.magnitude else "signed",
            branch=self.branch,
        ).quantization()

    def conditions(self, chip: "Chip", made: "Exported") -> "Conditions":
        """What its chips go through.

        Raises:
            UsageError: a value is out of range.
        """
        from synq.tile import Tile

        tile = made.choice.tile if self.tile is None else Tile.parsed(self.tile)
        return chip.conditions(made.device, tile)


@dataclass(frozen=True)
class TunedChip(Chip):
    """Chips, and whether to fine-tune for them."""

    variation: Annotated[
        bool,
        typer.Option(
            "--variation",
            help="With --finetune: train through chips with these effects, new ones each batch.",
            metavar="",
            rich_help_panel=_CHIP,
        ),
    ] = False
    faults: Annotated[
        Path | None,
        typer.Option(
            help="With --finetune: train around the stuck cells of this chip, an .npz of program.",
            rich_help_panel=_CHIP,
        ),
    ] = None

    @property
    def has_effects(self) -> bool:
        """Whether an option of a chip is given."""
        return replace(self, variation=False, faults=None) != TunedChip()

    def tuned(self, source: "Source", device: str) -> "Source":
        """The source with fine-tuning as the options say.

        Raises:
            UsageError: they are for fine-tuning, which is not asked for; or a size is out of range.
            SynqError: the file of a chip cannot be read.
        """
        if not self.variation and self.faults is None:
            return source
        if source.finetuning is None:
            raise UsageError("--variation and --faults are for fine-tuning: add --finetune")
        from synq.chip_file import read_faults
        from synq.device import load_device

        variation = self.conditions(load_device(device), None).variation if self.variation else None
        if variation is not None and not (variation.device_to_device or variation.stuck_share):
            raise UsageError(
                "--variation trains for device-to-device spread and stuck cells, and both are 0: "
                "give --device-to-device, --stuck-at-min or --stuck-at-max"
            )
        faults = None if self.faults is None else read_faults(self.faults)
        tuning = replace(source.finetuning, variation=variation, faults=faults)
        return replace(source, finetuning=tuning)


def check_output_file(output: Path | None) -> None:
    """Refuse an --output that cannot be written, before minutes of training rather than after.

    Raises:
        UsageError: it is a folder, or its own folder cannot be made or written.
    """
    from synq.project.output import check_writable

    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"{output} is a folder: give --output a file")
    check_writable(output.resolve().parent)
