"""How many chips work, and what training for them gains; docs/chips.md tells.

A network of 784-128-10 is trained with the recipe `accurate` and fine-tuned for PCMO at L = 10:
plainly, through chips that spread by 10 %, through chips with 1 % of the cells stuck, and for the
known faults of one chip. Of each, 100 chips are tried on the whole test set. A line of results is
kept for each seed, so a run that was interrupted goes on; networks are kept in synq's cache.

    python benchmarks/chips.py [--small] [--seeds N] [--chips N] [--results FILE]
"""

import argparse
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from synq.cache import default_cache_dir
from synq.chip import Conditions, Programmer
from synq.learn.data.load import Data
from synq.learn.prepare import Quantized, Source, Stopwatch, prepare
from synq.learn.train import FINETUNING, RECIPES, FineTuning
from synq.progress import SILENT
from synq.quantizing import Quantization
from synq.variation import Variation
from synq.yields import Trial

SPREAD = Variation(device_to_device=0.1)
STUCK = Variation(stuck_at_min=0.005, stuck_at_max=0.005)
CHOICE = Quantization(10)


@dataclass(frozen=True)
class Row:
    """One way to fine-tune, and its chips.

    Attributes:
        ideal: accuracy of the design.
        mean, worst: of its chips.
    """

    ideal: float
    mean: float
    worst: float


def measured(seed: int, chips: int, small: bool) -> dict[str, Row]:
    """The rows of one seed by their names."""
    recipe, tuning = replace(RECIPES["accurate"], seed=seed), FINETUNING
    tuning = replace(tuning, recipe=replace(tuning.recipe, seed=seed))
    if small:
        recipe = replace(recipe, epochs=1)
        tuning = replace(tuning, recipe=replace(tuning.recipe, epochs=1))
    data = Data("digits" if small else "mnist")

    def tuned(how: FineTuning) -> Quantized:
        source = Source(recipe, None, data, how, default_cache_dir(), None)
        return prepare(source, "pcmo", CHOICE, Stopwatch(), SILENT)

    plain = tuned(tuning)
    rows = {
        "spread 10 %, plain": row(plain, SPREAD, chips),
        "stuck 1 %, plain": row(plain, STUCK, chips),
        "spread 10 %, trained through chips": row(
            tuned(replace(tuning, variation=SPREAD)), SPREAD, chips
        ),
        "stuck 1 %, trained through chips": row(
            tuned(replace(tuning, variation=STUCK)), STUCK, chips
        ),
    }
    chip = Programmer(plain.network, plain.device, CHOICE, Conditions(STUCK)).chip(0)
    rows["stuck 1 %, chip 0, plain"] = row(plain, STUCK, 1)
    rows["stuck 1 %, chip 0, its faults known"] = row(
        tuned(replace(tuning, faults=chip.faults)), STUCK, 1
    )
    return rows


def row(prepared: Quantized, variation: Variation, chips: int) -> Row:
    """A design and its chips on the test set."""
    data = prepared.dataset
    trial = Trial(
        prepared.network,
        prepared.device,
        CHOICE,
        data.test_inputs,
        data.test_labels,
        data.task,
    )
    tried = trial.specimens(Conditions(variation), chips, "all")
    scores = [trial.evaluate(specimen).score for specimen in tried.values()]
    return Row(trial.score(prepared.network), statistics.fmean(scores), min(scores))


def table(results: list[dict[str, Row]]) -> str:
    """Means over the seeds, and the worst chip of all."""
    lines = [
        "| L = 10 | seeds | ideal chip | mean of chips | worst chip |",
        "|---|---|---|---|---|",
    ]
    for name in results[0]:
        rows = [result[name] for result in results]
        ideal, mean = (
            statistics.fmean(getattr(row, part) for row in rows) for part in ("ideal", "mean")
        )
        worst = min(row.worst for row in rows)
        lines.append(f"| {name} | {len(rows)} | {ideal:.2f} | {mean:.2f} | {worst:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="one epoch, one seed, few chips")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--results", type=Path, default=Path("build/chips.jsonl"))
    given = parser.parse_args()
    results = []
    known = {}
    if given.results.exists() and not given.small:
        known = dict(json.loads(line) for line in given.results.read_text().splitlines())
    for seed in range(1 if given.small else given.seeds):
        key = f"{seed} {given.chips}"
        if key not in known:
            rows = measured(seed, 3 if given.small else given.chips, given.small)
            known[key] = {name: vars(each) for name, each in rows.items()}
            if not given.small:
                given.results.parent.mkdir(parents=True, exist_ok=True)
                with given.results.open("a") as stream:
                    stream.write(json.dumps([key, known[key]]) + "\n")
        results.append({name: Row(**each) for name, each in known[key].items()})
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
