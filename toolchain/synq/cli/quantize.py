"""`synq quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from synq.cli import console, options
from synq.errors import UsageError


@options.spread
def quantize(
    quantizing: options.Quantizing,
    given: options.Network,
    cells: options.TunedChip,
    output: Annotated[
        Path | None,
        typer.Option(help="Also write the integers here, as .npz, for synq program and chips."),
    ] = None,
    seed: options.SeedOption = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Quantize a network to the device and report what that costs in accuracy; no FPGA files."""
    console.start_logging(verbose)
    choice = quantizing.quantization()
    if cells.has_effects and not cells.variation:
        raise UsageError(
            "the options of a chip are for --variation, and for synq program and chips"
        )
    source = cells.tuned(given.source(seed, quantizing), quantizing.device)
    options.check_output_file(output)
    from synq.exported import network_npz
    from synq.files import atomic_write
    from synq.learn.prepare import Stopwatch, prepare

    watch = Stopwatch()
    prepared = prepare(source, quantizing.device, choice, watch, console.progress(as_json))
    network, dataset = prepared.network, prepared.dataset
    if output is not None:
        atomic_write(output, network_npz(network, choice, prepared.device))
    if as_json:
        console.print_json(
            {
                "levels": choice.levels,
                "effective_levels": [array.effective_levels for array in network.arrays],
                **prepared.scores.to_dict(),
                "codebooks": [array.codebook.tolist() for array in network.arrays],
                "output": None if output is None else str(output.resolve()),
                "seconds": watch.seconds,
            }
        )
        return
    console.print_scores(
        f"{prepared.device.name} at L = {choice.levels}, on {len(dataset.test_labels):,} "
        f"test {dataset.samples}, {dataset.name}",
        prepared.scores,
    )
    for index, array in enumerate(network.arrays):
        values = " ".join(str(value) for value in array.codebook)
        console.say(
            f"array {index}: {array.effective_levels} effective levels, "
            f"full scale {array.table_format.max_raw}: {values}"
        )
    console.print_converters(network)
    console.say("[bold]Next:[/] synq-export with the same options makes the project for a board")
