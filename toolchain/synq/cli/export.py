"""`synq export`, also installed as `synq-export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.plan import design_json, print_plan

if TYPE_CHECKING:
    from synq.export import Export


def export(
    levels: options.LevelsOption = 10,
    board: options.BoardOption = "pynq-z2",
    backend: Annotated[
        Literal["vitis", "vivado"], typer.Option(help="hls4ml backend.", case_sensitive=False)
    ] = "vitis",
    io_type: Annotated[
        Literal["io_parallel", "io_stream"], typer.Option(help="Interfaces between layers.")
    ] = "io_parallel",
    output: Annotated[
        Path | None, typer.Option(help="Project folder; build/<name> without.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a folder that synq did not write.", metavar="")
    ] = False,
    target: options.TargetOption = "throughput",
    target_fps: options.TargetFpsOption = None,
    rows: options.RowsOption = None,
    reuse_factor: options.ReuseFactorOption = None,
    datapath: options.DatapathOption = None,
    event_driven: options.EventDrivenOption = False,
    recipe: options.RecipeOption = "paper",
    seed: options.SeedOption = None,
    bias: options.BiasOption = False,
    checkpoint: options.CheckpointOption = None,
    data: options.DataOption = None,
    data_dir: options.DataDirOption = None,
    device: options.DeviceOption = "pcmo",
    branch: options.BranchOption = "ltp",
    method: options.MethodOption = "proposed",
    mapping: options.MappingOption = "differential",
    count: options.CountOption = "signed",
    percentile: options.PercentileOption = 100.0,
    table_width: options.TableWidthOption = 8,
    input_bits: options.InputBitsOption = 8,
    activation_bits: options.ActivationBitsOption = 8,
    finetune: options.FinetuneOption = False,
    sparsity: options.SparsityOption = 0.0,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Train, quantize to the device, emit the hls4ml project for a board, check it bit-exact."""
    console.start_logging(verbose)
    choice = options.quantization(
        levels,
        method,
        mapping,
        count,
        branch,
        percentile,
        table_width,
        input_bits,
        activation_bits,
    )
    source = options.source(recipe, seed, bias, checkpoint, data, data_dir, finetune, sparsity)
    from synq import export as flow

    request = options.design(target, target_fps, rows, reuse_factor, datapath, event_driven)
    project = flow.Target(board, backend.capitalize(), io_type, output, force)
    result = flow.export(source, device, choice, project, request, console.progress(as_json))
    if as_json:
        console.print_json(_json(result))
    else:
        _print(result)


def _json(result: "Export") -> dict[str, Any]:
    network = result.prepared.network
    return {
        "levels": result.quantization.levels,
        "effective_levels": [array.effective_levels for array in network.arrays],
        "accuracy": result.prepared.accuracy,
        "bit_exact": {"images": result.images, "mismatches": result.mismatches},
        "csim_images_per_second": round(result.images_per_second, 1),
        "design": design_json(result.plan.chosen),
        "board": result.board.name,
        "output": str(result.output),
        "seconds": result.seconds,
    }


def _print(result: "Export") -> None:
    console.print_accuracy(
        f"Accuracy on {result.images:,} test images, {result.prepared.dataset.name}",
        result.prepared.accuracy,
    )
    console.print_table(
        f"Synapse arrays, {result.prepared.device.name} at L = {result.quantization.levels}",
        ["array", "synapses", "effective levels", "code bits", "accumulator bits"],
        [
            [
                f"{index}: {array.n_in} x {array.n_out}" + (" + bias" if array.bias_input else ""),
                f"{array.codes.size:,}",
                str(array.effective_levels),
                str(array.code_bits),
                str(array.accumulator.width),
            ]
            for index, array in enumerate(result.prepared.network.arrays)
        ],
    )
    print_plan(result.plan, result.board)
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer: Python = QKeras = "
        f"C simulation = AXI4-Stream wrapper ({result.images_per_second:,.0f} images/s a core)"
    )
    console.say(f"[bold]Project:[/] {escape(str(result.output))}")
    console.say("[bold]Next:[/]")
    console.say(f"  synq verify {console.quoted(result.output)}")
    console.say(f"  synq synth {console.quoted(result.output)}   (needs AMD's tools)")
