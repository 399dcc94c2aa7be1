"""`synq export`, also installed as `synq-export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options

if TYPE_CHECKING:
    from synq.export import Export


def export(
    levels: options.LevelsOption = 10,
    board: Annotated[
        str, typer.Option(help="Board (see `synq boards`), or your .toml.")
    ] = "pynq-z2",
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

    target = flow.Target(board, backend.capitalize(), io_type, output, force)
    result = flow.export(source, device, choice, target, console.progress(as_json))
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
        "estimate": {
            "lut": result.estimated.resources.lut,
            "ff": result.estimated.resources.ff,
            "bram_18k": result.estimated.resources.bram_18k,
            "dsp": result.estimated.resources.dsp,
            "latency_cycles": result.estimated.latency,
            "interval_cycles": result.estimated.interval,
        },
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
    budget, used = result.board.resources, result.estimated.resources
    rows = []
    for label, need, have in (
        ("LUT", used.lut, budget.lut),
        ("FF", used.ff, budget.ff),
        ("BRAM 18K", used.bram_18k, budget.bram_18k),
        ("DSP", used.dsp, budget.dsp),
    ):
        share = f"{100 * need / have:.0f} %" if have else "none on this part"
        rows.append([label, f"{need:,}", f"{have:,}", share])
    console.print_table(
        f"Estimated resources on {result.board.name} ({result.board.part})",
        ["", "estimate", "board", "used"],
        rows,
    )
    cycles, clock = result.estimated, result.board.clock_ns
    console.say(
        f"Estimated latency {cycles.latency} cycles ({cycles.latency * clock / 1000:.1f} us at "
        f"{1000 / clock:.0f} MHz), a new image every {cycles.interval} cycles"
    )
    over = [row[0] for row, (need, have) in zip(rows, _pairs(result), strict=True) if need > have]
    if over:
        console.say(f"[bold red]Over the board's budget:[/] {', '.join(over)}")
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer: Python = QKeras = "
        f"C simulation ({result.images_per_second:,.0f} images/s a core)"
    )
    console.say(f"[bold]Project:[/] {escape(str(result.output))}")
    console.say("[bold]Next:[/]")
    console.say(f"  synq verify {console.quoted(result.output)}")
    tool = (
        "vitis-run --mode hls --tcl build_prj.tcl"
        if "vitis" in result.backend.lower()
        else "vivado_hls -f build_prj.tcl"
    )
    console.say(f"  cd {console.quoted(result.output / 'hls')} && {tool}   (needs AMD's tools)")


def _pairs(result: "Export") -> list[tuple[int, int]]:
    used, budget = result.estimated.resources, result.board.resources
    return [
        (used.lut, budget.lut),
        (used.ff, budget.ff),
        (used.bram_18k, budget.bram_18k),
        (used.dsp, budget.dsp),
    ]
