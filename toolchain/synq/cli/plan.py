"""`synq plan`."""

from typing import TYPE_CHECKING, Any

from synq.cli import console, options

_TITLES = {"hls": "HLS", "rtl": "Verilog"}

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synq.board import Board
    from synq.planning import Candidate, Plan
    from synq.request import Flow


@options.spread
def plan(
    quantizing: options.Quantizing,
    given: options.Network,
    design: options.Design,
    board: options.BoardOption = "pynq-z2",
    seed: options.SeedOption = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Choose datapath and parallelism for a board, with estimated resources and cycles."""
    console.start_logging(verbose)
    choice = quantizing.quantization()
    source = given.source(seed, quantizing)
    flows, request = design.flows(), design.request()
    from synq.board import load_board
    from synq.learn.prepare import Stopwatch, prepare
    from synq.planning import event_cycles, make_plan

    chosen_board = load_board(board)
    shown = console.progress(as_json)
    prepared = prepare(source, quantizing.device, choice, Stopwatch(), shown)
    with shown.task("Choose the designs"):
        plans = {each: make_plan(prepared.network, chosen_board, request, each) for each in flows}
    inputs = prepared.dataset.test_inputs
    content: dict[str, Any] = {"board": chosen_board.name}
    for each, result in plans.items():
        cycles = (
            event_cycles(prepared.network, result.chosen.core, inputs)
            if design.event_driven
            else None
        )
        if as_json:
            content[each.value] = _json(result, cycles)
            continue
        print_plan(result, chosen_board, each)
        if cycles is not None:
            console.say(
                f"Event-driven, on {len(cycles):,} test images: a new image every "
                f"{cycles.mean():.1f} cycles on average, {cycles.max()} at most"
            )
    if as_json:
        console.print_json(content)
    else:
        console.say("[bold]Next:[/] synq-export with the same options")


def _json(plan: "Plan", cycles: "NDArray[np.int64] | None") -> dict[str, Any]:
    content: dict[str, Any] = {
        "design": design_json(plan.chosen),
        "neighbours": [design_json(design) for design in plan.neighbours],
        "stream_cycles": plan.stream_cycles,
    }
    if cycles is not None:
        content["event_cycles"] = {"mean": float(cycles.mean()), "max": int(cycles.max())}
    return content


def design_json(design: "Candidate[Any]") -> dict[str, Any]:
    """One design for machines; all numbers are estimates."""
    from dataclasses import asdict

    used = design.estimate.resources
    return {
        **asdict(design.core),
        "estimate": {
            "lut": used.lut,
            "lutram": used.lutram,
            "ff": used.ff,
            "bram_18k": used.bram_18k,
            "dsp": used.dsp,
            "latency_cycles": design.estimate.latency,
            "interval_cycles": design.estimate.interval,
        },
    }


def print_plan(plan: "Plan", board: "Board", flow: "Flow") -> None:
    """The chosen design among its neighbours, then against the board."""
    from synq.request import BUDGET

    designs = sorted([plan.chosen, *plan.neighbours], key=lambda design: design.estimate.interval)
    console.print_table(
        f"Designs, {_TITLES[flow.value]} (estimated)",
        ["", "cycles", "images/s", "latency", "LUT", "LUTRAM", "FF", "BRAM 18K", "DSP", "arrays"],
        [_design_row(design, plan, board) for design in designs],
    )
    budget, used = board.resources, plan.chosen.estimate.resources
    rows = []
    for label, need, have in (
        ("LUT", used.lut, budget.lut),
        ("of these as memory", used.lutram, budget.lutram),
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
    worst = "at most " if any(array.event_driven for array in plan.chosen.core.arrays) else ""
    console.say(
        f"Estimated latency {worst}{estimated.latency} cycles "
        f"({estimated.latency * clock / 1000:.2f} us at {1000 / clock:.0f} MHz), a new image every "
        f"{worst}{estimated.interval} cycles; the stream brings one every "
        f"{plan.stream_cycles}"
    )
    if plan.chosen.share(board) > BUDGET:
        console.say(
            f"[yellow]Above {100 * BUDGET:.0f} % of a resource[/]: placing and routing get hard"
        )


def _design_row(design: "Candidate[Any]", plan: "Plan", board: "Board") -> list[str]:
    from synq.planning import core_text

    estimated = design.estimate
    return [
        "chosen" if design == plan.chosen else "",
        f"{estimated.interval}",
        f"{1e9 / (estimated.interval * board.clock_ns):,.0f}",
        f"{estimated.latency}",
        *(
            f"{value:,}"
            for value in (
                estimated.resources.lut,
                estimated.resources.lutram,
                estimated.resources.ff,
                estimated.resources.bram_18k,
                estimated.resources.dsp,
            )
        ),
        core_text(design.core),
    ]
