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
    from synq.learn.prepare import Stopwatch, load_source
    from synq.score import Scores, spread_of

    watch = Stopwatch()
    loaded = load_source(source, watch, console.progress(as_json))
    dataset, network = loaded.dataset, loaded.given
    scores = Scores(dataset.task, spread_of(dataset.task, dataset.test_labels))
    scores = scores.with_stage("software", loaded.software)
    if output is not None:
        save_checkpoint(network, output, {"recipe": source.recipe.name})
    if as_json:
        console.print_json(
            {
                **scores.to_dict(),
                "sizes": list(network.sizes),
                "digest": network.digest,
                "from_cache": loaded.from_cache,
                "output": None if output is None else str(output.resolve()),
                "seconds": watch.seconds,
            }
        )
        return
    sizes = "-".join(str(size) for size in network.sizes)
    origin = "from the cache"
    if not loaded.from_cache:
        origin = f"trained in {watch.seconds['train']:.0f} s"
    console.say(
        f"{sizes}, recipe {source.recipe.name}, {origin}: "
        f"[bold]{dataset.task.shown(loaded.software)}[/] on {len(dataset.test_labels):,} test "
        f"{dataset.samples}"
    )
    if output is not None:
        data = "" if given.data == "mnist" else f" --data {console.quoted(Path(given.data))}"
        console.say(f"[bold]Next:[/] synq-export --checkpoint {console.quoted(output)}{data}")
