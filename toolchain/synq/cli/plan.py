"""`synq plan`."""

from typing import TYPE_CHECKING, Any

from synq.cli import console, options

if TYPE_CHECKING:
    from synq.board import Board
    from synq.plan import Design, Plan


def plan(
    levels: options.LevelsOption = 10,
    board: options.BoardOption = "pynq-z2",
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
    """Choose datapath and parallelism for a board, with estimated resources and cycles."""
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
    request = options.design(target, target_fps, rows, reuse_factor, datapath, event_driven)
    from synq.board import load_board
    from synq.estimate import event_intervals
    from synq.export import Stopwatch, prepare
    from synq.plan import make_plan

    chosen_board = load_board(board)
    prepared = prepare(source, device, choice, Stopwatch(), console.progress(as_json))
    result = make_plan(prepared.network, chosen_board, request)
    cycles = None
    if event_driven:
        cycles = event_intervals(
            prepared.network, result.chosen.arrays, prepared.dataset.test_inputs
        )
    if as_json:
        content = {
            "board": chosen_board.name,
            "design": design_json(result.chosen),
            "neighbours": [design_json(design) for design in result.neighbours],
            "stream_cycles": result.stream_cycles,
        }
        if cycles is not None:
            content["event_cycles"] = {"mean": float(cycles.mean()), "max": int(cycles.max())}
        console.print_json(content)
        return
    print_plan(result, chosen_board)
    if cycles is not None:
        console.say(
            f"Event-driven, on {len(cycles):,} test images: a new image every {cycles.mean():.1f} "
            f"cycles on average, {cycles.max()} at most"
        )
    console.say("[bold]Next:[/] synq-export with the same options")


def design_json(design: "Design") -> dict[str, Any]:
    """One design for machines; all numbers are estimates."""
    from dataclasses import asdict

    used = design.estimate.resources
    return {
        "arrays": [asdict(array) for array in design.arrays],
        "estimate": {
            "lut": used.lut,
            "ff": used.ff,
            "bram_18k": used.bram_18k,
            "dsp": used.dsp,
            "latency_cycles": design.estimate.latency,
            "interval_cycles": design.estimate.interval,
        },
    }


def print_plan(plan: "Plan", board: "Board") -> None:
    """The chosen design among its neighbours, then against the board."""
    from synq.plan import BUDGET

    designs = sorted([plan.chosen, *plan.neighbours], key=lambda design: design.estimate.interval)
    console.print_table(
        "Designs (estimated)",
        ["", "cycles", "images/s", "latency", "LUT", "FF", "BRAM 18K", "DSP", "arrays"],
        [_design_row(design, plan, board) for design in designs],
    )
    budget, used = board.resources, plan.chosen.estimate.resources
    rows = []
    for label, need, have in (
        ("LUT", used.lut, budget.lut),
        ("FF", used.ff, budget.ff),
        ("BRAM 18K", used.bram_18k, budget.bram_18k),
        ("DSP", used.dsp, budget.dsp),
    ):
        share = f"{100 * need / have:.0f} %" if have else "none on this part"
        rows.append([label, f"{need:,}", f"{have:,}", share])
        if need > have:
            console.say(f"[bold red]Over the board's budget:[/] {label}")
    console.print_table(
        f"Estimated resources on {board.name} ({board.part})",
        ["", "estimate", "board", "used"],
        rows,
    )
    estimated, clock = plan.chosen.estimate, board.clock_ns
    worst = "at most " if any(array.event_driven for array in plan.chosen.arrays) else ""
    console.say(
        f"Estimated latency {worst}{estimated.latency} cycles "
        f"({estimated.latency * clock / 1000:.2f} us at {1000 / clock:.0f} MHz), a new image every "
        f"{worst}{estimated.interval} cycles; the 64-bit stream brings one every "
        f"{plan.stream_cycles}"
    )
    if plan.chosen.share(board) > BUDGET:
        console.say(
            f"[yellow]Above {100 * BUDGET:.0f} % of a resource[/]: placing and routing get hard"
        )


def _design_row(design: "Design", plan: "Plan", board: "Board") -> list[str]:
    estimated = design.estimate
    return [
        "chosen" if design is plan.chosen else "",
        f"{estimated.interval}",
        f"{1e9 / (estimated.interval * board.clock_ns):,.0f}",
        f"{estimated.latency}",
        *(
            f"{value:,}"
            for value in (
                estimated.resources.lut,
                estimated.resources.ff,
                estimated.resources.bram_18k,
                estimated.resources.dsp,
            )
        ),
        "; ".join(
            f"{array.datapath} x {array.parallel_rows}"
            + (
                f" ({array.decoded_rows} decoded)"
                if 0 < array.decoded_rows < array.parallel_rows
                else ""
            )
            for array in design.arrays
        ),
    ]
