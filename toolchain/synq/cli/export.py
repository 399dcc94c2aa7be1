"""`synq export`, also installed as `synq-export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.plan import design_json, print_plan
from synq.errors import UsageError

if TYPE_CHECKING:
    from synq.exporting import ChipChoice, Export
    from synq.tile import Tile


@options.spread
def export(
    quantizing: options.Quantizing,
    given: options.Network,
    design: options.Design,
    cells: options.TunedChip,
    board: options.BoardOption = "pynq-z2",
    backend: Annotated[
        Literal["vitis", "vivado"], typer.Option(help="hls4ml backend.", case_sensitive=False)
    ] = "vitis",
    io_type: Annotated[
        Literal["io_parallel", "io_stream"], typer.Option(help="Interfaces between layers.")
    ] = "io_parallel",
    chip: Annotated[
        Path | None,
        typer.Option(help="Export this chip of the design, an .npz of synq program."),
    ] = None,
    chip_seed: Annotated[
        int | None,
        typer.Option(help="Export the chip of this seed.", metavar="<int>"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Project folder; build/<name> without.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a folder that synq did not write.", metavar="")
    ] = False,
    seed: options.SeedOption = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Train, quantize to the device, emit the project for a board, check it bit-exact."""
    console.start_logging(verbose)
    choice = quantizing.quantization()
    source = cells.tuned(given.source(seed, quantizing), quantizing.device)
    flows, request = design.flows(), design.request()
    from synq.exporting import Destination
    from synq.exporting import export as make

    project = Destination(board, flows, backend.capitalize(), io_type, output, force)
    which = _chip_choice(chip, chip_seed, cells, quantizing.device, choice.tile)
    shown = console.progress(as_json)
    result = make(source, quantizing.device, choice, project, request, shown, which)
    if as_json:
        console.print_json(_json(result))
    else:
        _print(result)


def _chip_choice(
    file: Path | None,
    seed: int | None,
    cells: options.TunedChip,
    device: str,
    tile: "Tile | None",
) -> "ChipChoice | None":
    """The chip that the options name; None for the design.

    Raises:
        UsageError: they contradict one another.
    """
    from synq.device import load_device
    from synq.exporting import ChipChoice

    if file is not None and (seed is not None or (cells.has_effects and not cells.variation)):
        raise UsageError("--chip names a chip that is made: leave out --chip-seed and its effects")
    if file is None and seed is None:
        if cells.has_effects and not cells.variation:
            raise UsageError("the options of a chip are for --chip-seed: say which chip")
        return None
    return ChipChoice(file, seed or 0, cells.conditions(load_device(device), tile))


def _json(result: "Export") -> dict[str, Any]:
    network = result.prepared.network
    content: dict[str, Any] = {
        "levels": result.quantization.levels,
        "effective_levels": [array.effective_levels for array in network.arrays],
        **result.scores.to_dict(),
        "bit_exact": result.bit_exact,
        "designs": {flow.value: design_json(plan.chosen) for flow, plan in result.plans.items()},
        "board": result.board.name,
        "output": str(result.output),
        "seconds": result.seconds,
    }
    if result.csim_images_per_second is not None:
        content["csim_images_per_second"] = round(result.csim_images_per_second, 1)
    if result.rtl is not None:
        content["rtl_cycles"] = {
            "mean": result.rtl.cycles_mean,
            "most": result.rtl.cycles_most,
            "latency": result.rtl.latency,
        }
    return content


def _print(result: "Export") -> None:
    from synq.page.project_page import PAGE

    dataset = result.prepared.dataset
    metric = dataset.task.words.split(",")[0].capitalize()
    console.print_scores(
        f"{metric} on {result.images:,} test {dataset.samples}, {dataset.name}",
        result.scores,
    )
    console.print_table(
        f"Synapse arrays, {result.prepared.device.name} at L = {result.quantization.levels}",
        ["array", "synapses", "effective levels", "zero", "code bits", "accumulator bits"],
        [
            [
                f"{index}: {array.n_in} x {array.n_out}" + (" + bias" if array.bias_input else ""),
                f"{array.codes.size:,}",
                str(array.effective_levels),
                f"{100 * float((array.weights == 0).mean()):.0f} %",
                str(array.code_bits),
                str(array.accumulator.width),
            ]
            for index, array in enumerate(result.prepared.network.arrays)
        ],
    )
    console.print_converters(result.prepared.network)
    for flow, plan in result.plans.items():
        print_plan(plan, result.board, flow)
    names = {
        "qkeras": "QKeras",
        "hls4ml": "hls4ml's library",
        "csim": f"C simulation ({result.csim_images_per_second or 0:,.0f} images/s a core)",
        "axis": "AXI4-Stream wrapper",
        "rtl": "Verilog",
    }
    compared = result.bit_exact["compared"]
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} images, every layer: "
        f"{' = '.join(['Python', *(names[check] for check in compared)])} "
        f"({sum(compared.values()):,} integers compared)"
    )
    if result.rtl is not None:
        clock = result.board.clock_ns
        console.say(
            f"[bold]Verilator counted[/] a new image every {result.rtl.cycles_mean:.1f} cycles on "
            f"average, {result.rtl.cycles_most} at most "
            f"({1e9 / (clock * result.rtl.cycles_mean):,.0f} images/s at {1000 / clock:g} MHz); "
            f"{result.rtl.latency} cycles from the first beat to the first answer"
        )
    console.say(f"[bold]Project:[/] {escape(str(result.output))}")
    console.say(f"[bold]Page:[/] {escape(str(result.output / PAGE))}")
    console.say("[bold]Next:[/]")
    console.say(f"  synq verify {console.quoted(result.output)}")
    if result.csim_images_per_second is not None:
        console.say(f"  synq synth {console.quoted(result.output)}   (needs AMD's tools)")
    if result.rtl is not None:
        console.say(f"  synq synth {console.quoted(result.output)} --tool yosys")
        if result.board.has_hls:
            console.say(f"  synq synth {console.quoted(result.output)} --flow rtl   (needs Vivado)")
