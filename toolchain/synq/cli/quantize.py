"""`synq quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from synq.cli import console, options


def quantize(
    levels: options.LevelsOption = 10,
    output: Annotated[
        Path | None, typer.Option(help="Also write the integers here, as .npz.")
    ] = None,
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
    """Quantize a network to the device and report what that costs in accuracy; no FPGA files."""
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
    options.check_output_file(output)
    from synq.files import atomic_write
    from synq.learn.prepare import Stopwatch, prepare

    watch = Stopwatch()
    prepared = prepare(source, device, choice, watch, console.progress(as_json))
    network, accuracy = prepared.network, prepared.accuracy
    if output is not None:
        atomic_write(output, network.to_npz())
    if as_json:
        console.print_json(
            {
                "levels": levels,
                "effective_levels": [array.effective_levels for array in network.arrays],
                "accuracy": accuracy,
                "codebooks": [array.codebook.tolist() for array in network.arrays],
                "output": None if output is None else str(output.resolve()),
                "seconds": watch.seconds,
            }
        )
        return
    console.print_accuracy(
        f"{prepared.device.name} at L = {levels}, on {len(prepared.dataset.test_labels):,} "
        f"test images, {prepared.dataset.name}",
        accuracy,
    )
    for index, array in enumerate(network.arrays):
        values = " ".join(str(value) for value in array.codebook)
        console.say(
            f"array {index}: {array.effective_levels} effective levels, "
            f"full scale {array.table_format.max_raw}: {values}"
        )
    console.say("[bold]Next:[/] synq-export with the same options makes the project for a board")
