"""`synq export`, also installed as `synq-export`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.cli.plan import design_json
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


_MOST_NAMED = 3  # arrays whose levels are said one by one


def _print(result: "Export") -> None:
    """All that matters on one screen; the page has the details."""
    from synq.page.project_page import PAGE

    dataset, scores = result.prepared.dataset, result.scores
    metric = dataset.task.words.split(",")[0].capitalize()
    simulated = ("csim", "rtl")  # equal to the reference, or there were no export
    told = {name: score for name, score in scores.stages.items() if name not in simulated}
    console.print_scores(
        f"{metric} on {result.images:,} test {dataset.samples}, {dataset.name}",
        replace(scores, stages=told),
    )
    _print_designs(result)
    console.say(f"[bold]Effective levels[/] of L = {result.quantization.levels}: {_levels(result)}")
    _print_exactness(result)
    if result.rtl is not None:
        console.say(
            f"[bold]Verilator:[/] an image every {result.rtl.cycles_mean:.1f} cycles, "
            f"{result.rtl.cycles_most} at most; latency {result.rtl.latency} cycles"
        )
    console.say(f"[bold]Details:[/] {escape(str(result.output / PAGE))}")
    project = console.quoted(_from_here(result.output))
    steps = [f"synq verify {project}"]
    if result.csim_images_per_second is not None:
        steps.append(f"synq synth {project}   (needs AMD's tools)")
    elif result.board.has_hls:
        steps.append(f"synq synth {project} --flow rtl   (needs Vivado)")
    if result.rtl is not None:
        steps.append(f"synq synth {project} --tool yosys")
    for number, step in enumerate(steps):
        console.say(f"[bold]Next:[/] {step}" if number == 0 else f"      {step}")


def _from_here(path: Path) -> Path:
    """The path as it is typed here, if it is below and no option."""
    here = Path.cwd()
    near = path.relative_to(here) if path.is_relative_to(here) else path
    return path if str(near).startswith("-") else near


def _print_designs(result: "Export") -> None:
    """The chosen designs, in percent of the board."""
    from synq.cost import RESOURCES
    from synq.request import BUDGET
    from synq.synth.comparison import LABELS

    board = result.board
    names = [name for name in RESOURCES if getattr(board.resources, name)]
    rows = []
    most = dict.fromkeys(names, 0.0)  # of a flow
    for flow, plan in result.plans.items():
        design = plan.chosen.estimate
        at_most = any(array.event_driven for array in plan.chosen.core.arrays)
        shares = {
            name: getattr(design.resources, name) / getattr(board.resources, name) for name in names
        }
        most = {name: max(most[name], share) for name, share in shares.items()}
        rows.append(
            [
                flow.value,
                f"{'>=' if at_most else ''}{1e9 / (design.interval * board.clock_ns):,.0f}",
                f"{'<=' if at_most else ''}{design.latency * board.clock_ns / 1000:.2f}",
                *(f"{100 * share:.0f} %" for share in shares.values()),
            ]
        )
    console.print_table(
        f"Chosen designs, estimated, on {board.name}",
        ["flow", "images/s", "latency, us", *(LABELS[name] for name in names)],
        rows,
    )
    over = [LABELS[name] for name, share in most.items() if share > 1]
    tight = [LABELS[name] for name, share in most.items() if share > BUDGET]
    if over:
        console.say(f"[bold red]Over the board's budget:[/] {', '.join(over)}")
    elif tight:
        console.say(
            f"[yellow]Above {100 * BUDGET:.0f} %, placing and routing get hard:[/] "
            f"{', '.join(tight)}"
        )


def _levels(result: "Export") -> str:
    """The effective levels of each array, and the converters that read them."""
    arrays = result.prepared.network.arrays
    counts = [array.effective_levels for array in arrays]
    text = ", ".join(map(str, counts))
    if len(counts) > _MOST_NAMED:
        text = f"{min(counts)} to {max(counts)} in {len(counts)} arrays"
    converters = [array.converter for array in arrays if array.converter is not None]
    if converters:
        widths = [each.format.width for each in converters]
        of = f"{min(widths)}" if min(widths) == max(widths) else f"{min(widths)} to {max(widths)}"
        noise = ", read noise" if any(array.noise is not None for array in arrays) else ""
        text += f"; converters of {of} bits{noise}"
    return text


def _print_exactness(result: "Export") -> None:
    names = {
        "qkeras": "QKeras",
        "hls4ml": "hls4ml",
        "csim": f"C simulation ({result.csim_images_per_second or 0:,.0f}/s)",
        "axis": "AXI4-Stream",
        "rtl": "Verilog",
    }
    compared = result.bit_exact["compared"]
    console.say(
        f"[bold green]Bit-exact:[/] {result.images:,} {result.prepared.dataset.samples}, every "
        f"layer, {sum(compared.values()):,} integers compared"
    )
    console.say(f"  {' = '.join(['Python', *(names[check] for check in compared)])}")
