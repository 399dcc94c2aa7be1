"""`synq train`."""

from pathlib import Path
from typing import Annotated

import typer

from synq.cli import console, options


@options.spread
def train(
    given: options.Training,
    output: Annotated[
        Path | None, typer.Option(help="Also write the weights here, as safetensors.")
    ] = None,
    seed: options.SeedOption = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Train the software network, or take it from the cache."""
    console.start_logging(verbose)
    source = given.source(seed)
    options.check_output_file(output)
    from synq.learn.checkpoint import save_checkpoint
    from synq.learn.prepare import Stopwatch, accuracy_of, load_source

    watch = Stopwatch()
    dataset, network, cached = load_source(source, watch, console.progress(as_json))
    accuracy = round(accuracy_of(network, dataset), 4)
    if output is not None:
        save_checkpoint(network, output, {"recipe": source.recipe.name})
    if as_json:
        console.print_json(
            {
                "accuracy": {"software": accuracy},
                "sizes": list(network.sizes),
                "digest": network.digest,
                "from_cache": cached,
                "output": None if output is None else str(output.resolve()),
                "seconds": watch.seconds,
            }
        )
        return
    sizes = "-".join(str(size) for size in network.sizes)
    origin = "from the cache" if cached else f"trained in {watch.seconds['train']:.0f} s"
    console.say(
        f"{sizes}, recipe {source.recipe.name}, {origin}: "
        f"[bold]{accuracy:.2f} %[/] on {len(dataset.test_labels):,} test images"
    )
    if output is not None:
        data = f" --data {console.quoted(given.data)}" if given.data is not None else ""
        console.say(f"[bold]Next:[/] synq-export --checkpoint {console.quoted(output)}{data}")
