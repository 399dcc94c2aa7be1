"""Options that several commands take, and what they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synq.errors import UsageError

if TYPE_CHECKING:
    from synq.learn.prepare import Source
    from synq.quantize import Quantization
    from synq.request import Flow, Request

_DESIGN = "Design of the synapse arrays"
_NETWORK = "Network and data"
_DEVICE = "Device and quantization"


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


RecipeOption = Annotated[
    Literal["paper", "accurate"],
    typer.Option(help="How to train, when no checkpoint is given.", rich_help_panel=_NETWORK),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help="Seed of the training; the recipe's own without.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_NETWORK,
    ),
]
BiasOption = Annotated[
    bool, typer.Option("--bias", help="Train with a bias.", metavar="", rich_help_panel=_NETWORK)
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="Your own ReLU network: safetensors, or a torch state dict.",
        rich_help_panel=_NETWORK,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Your own data: .npz with x_train, x_test, y_test; MNIST without.",
        rich_help_panel=_NETWORK,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Folder of MNIST's IDX files; fetched without.", rich_help_panel=_NETWORK),
]
LevelsOption = Annotated[
    int,
    typer.Option(help="Levels L, 2 to 256 (the paper: 5 to 25).", parser=_integer, metavar="<int>"),
]
BoardOption = Annotated[str, typer.Option(help="Board (see `synq boards`), or your .toml.")]
FlowOption = Annotated[
    str,
    typer.Option(
        help="hls, rtl, or hls,rtl: an hls4ml project, or Verilog that needs no vendor's tool.",
        metavar="<flows>",
        rich_help_panel=_DESIGN,
    ),
]
BeatBitsOption = Annotated[
    int | None,
    typer.Option(
        help="With --flow rtl: bits of the input stream, a multiple of 64; 64 without.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DESIGN,
    ),
]
TargetOption = Annotated[
    Literal["throughput", "latency", "area"],
    typer.Option(help="What the design aims for.", rich_help_panel=_DESIGN),
]
TargetFpsOption = Annotated[
    float | None,
    typer.Option(
        help="The smallest design of so many images a second, instead.",
        parser=_number,
        metavar="<float>",
        rich_help_panel=_DESIGN,
    ),
]
RowsOption = Annotated[
    int | None,
    typer.Option(
        help="Rows a cycle of the first array, instead of the planner's choice.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DESIGN,
    ),
]
ReuseFactorOption = Annotated[
    int | None,
    typer.Option(
        help="hls4ml's word for it: cycles an image of the first array; rows follow.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DESIGN,
    ),
]
DatapathOption = Annotated[
    Literal["decode", "bank", "buckets", "unrolled"] | None,
    typer.Option(help="How rows are weighted, instead of the planner.", rich_help_panel=_DESIGN),
]
EventDrivenOption = Annotated[
    bool,
    typer.Option(
        "--event-driven",
        help="Skip rows whose input is zero: latency depends on the image.",
        metavar="",
        rich_help_panel=_DESIGN,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(help="Device (see `synq devices`), or your .toml.", rich_help_panel=_DEVICE),
]
BranchOption = Annotated[
    Literal["ltp", "ltd", "union"],
    typer.Option(help="Curve that the reference values come from.", rich_help_panel=_DEVICE),
]
MethodOption = Annotated[
    Literal["proposed", "sampling", "uniform", "nearest"],
    typer.Option(
        help="Levels snapped to the device; its curve sampled; no device; all it has.",
        rich_help_panel=_DEVICE,
    ),
]
MappingOption = Annotated[
    Literal["differential", "offset"],
    typer.Option(
        help="A pair of devices a weight, or one against a reference column.",
        rich_help_panel=_DEVICE,
    ),
]
CountOption = Annotated[
    Literal["signed", "magnitude"],
    typer.Option(
        help="Lay the levels over -1..1, or over 0..1 and mirror them.", rich_help_panel=_DEVICE
    ),
]
PercentileOption = Annotated[
    float,
    typer.Option(
        help="Percentile of absolute weights that normalizes a layer; 100 is the largest.",
        parser=_number,
        metavar="<float>",
        rich_help_panel=_DEVICE,
    ),
]
TableWidthOption = Annotated[
    int,
    typer.Option(
        help="Bits of a conductance-table value, 2 to 16.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DEVICE,
    ),
]
InputBitsOption = Annotated[
    int,
    typer.Option(
        help="Bits of an input (a pixel), 1 to 8.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DEVICE,
    ),
]
ActivationBitsOption = Annotated[
    int,
    typer.Option(
        help="Bits of a hidden activation, 1 to 16.",
        parser=_integer,
        metavar="<int>",
        rich_help_panel=_DEVICE,
    ),
]
FinetuneOption = Annotated[
    bool,
    typer.Option(
        "--finetune",
        help="Fine-tune the weights for the device, inputs and activations as in hardware.",
        metavar="",
        rich_help_panel=_DEVICE,
    ),
]
SparsityOption = Annotated[
    float,
    typer.Option(
        help="With --finetune: least share of zero synapses, 0 to 1, in all but the last array.",
        parser=_number,
        metavar="<float>",
        rich_help_panel=_DEVICE,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.", metavar="")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log what is done.", metavar="")
]


def source(
    recipe: str,
    seed: int | None,
    bias: bool,
    checkpoint: Path | None,
    data: Path | None,
    data_dir: Path | None,
    finetune: bool = False,
    sparsity: float = 0.0,
) -> "Source":
    """The network and data that the options describe.

    Raises:
        UsageError: they contradict one another.
    """
    from dataclasses import replace

    from synq.cache import default_cache_dir
    from synq.learn.prepare import Source
    from synq.learn.train import FINETUNING, RECIPES

    if data is not None and data_dir is not None:
        raise UsageError("--data and --data-dir exclude each other")
    if checkpoint is not None and (seed is not None or bias):
        raise UsageError("--seed and --bias are for training; with --checkpoint nothing is trained")
    chosen = RECIPES[recipe]
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    if sparsity and not finetune:
        raise UsageError("--sparsity is for fine-tuning: add --finetune")
    finetuning = None
    if finetune:
        # A distorted digit is still the digit; of the user's own inputs nothing is known.
        augmentation = None if data is not None else FINETUNING.recipe.augmentation
        tuning = replace(FINETUNING.recipe, augmentation=augmentation, seed=chosen.seed)
        finetuning = replace(FINETUNING, recipe=tuning).with_sparsity(sparsity)
    recipe_used = replace(chosen, bias=bias)
    return Source(recipe_used, checkpoint, data, data_dir, finetuning, default_cache_dir())


def flows(text: str) -> tuple["Flow", ...]:
    """The back ends that --flow names.

    Raises:
        UsageError: one is unknown, or named twice.
    """
    from synq.request import Flow

    names = [name.strip() for name in text.split(",")]
    known = [flow.value for flow in Flow]
    for name in names:
        if name not in known:
            raise UsageError(f"--flow takes {' and '.join(known)}, got {name!r}")
    if len(set(names)) < len(names):
        raise UsageError(f"--flow names a flow twice: {text}")
    return tuple(flow for flow in Flow if flow.value in names)


def design(
    flows: tuple["Flow", ...],
    target: str,
    target_fps: float | None,
    rows: int | None,
    reuse_factor: int | None,
    datapath: str | None,
    event_driven: bool,
    beat_bits: int | None,
) -> "Request":
    """What the options ask of the design.

    Raises:
        UsageError: a value is out of range, or two exclude each other.
    """
    from synq.request import Datapath, Flow, Request, Target

    if sum(option is not None for option in (target_fps, rows, reuse_factor)) > 1:
        raise UsageError("--target-fps, --rows and --reuse-factor exclude one another")
    if beat_bits is not None and Flow.RTL not in flows:
        raise UsageError("--beat-bits is for --flow rtl: the stream of the HLS core has 64 bits")
    chosen = Datapath(datapath) if datapath is not None else None
    return Request(
        Target(target), target_fps, rows, reuse_factor, chosen, event_driven, beat_bits or 64
    )


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


def quantization(
    levels: int,
    method: str,
    mapping: str,
    count: str,
    branch: str,
    percentile: float,
    table_width: int,
    input_bits: int,
    activation_bits: int,
) -> "Quantization":
    """The quantization that the options describe.

    Raises:
        UsageError: a value is out of range, or two exclude each other.
    """
    from synq.device import Branch
    from synq.quantize import Count, Mapping, Method, Quantization

    return Quantization(
        levels=levels,
        method=Method(method),
        mapping=Mapping(mapping),
        count=Count(count),
        branch=Branch(branch),
        percentile=percentile,
        table_width=table_width,
        input_bits=input_bits,
        activation_bits=activation_bits,
    )
