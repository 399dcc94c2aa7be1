"""How near quantized networks come to their software on other data than MNIST, docs/data.md tells.

Each set is trained with the recipe `accurate`, then fine-tuned for PCMO at L = 10 and 5, and the
integer reference computes the test set, read once a network. A line of results is kept for each
set and seed, so a run that was interrupted goes on; networks are kept in synq's cache.

    python benchmarks/datasets.py [--small] [--seeds N] [--only SET ...] [--results FILE] [--json]
"""

import argparse
import json
import logging
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from synq import __version__
from synq.cache import default_cache_dir
from synq.device import load_device
from synq.errors import SynqError
from synq.files import atomic_write, read_bounded
from synq.learn.data.load import Data
from synq.learn.prepare import Source, Stopwatch, load_source, prepare
from synq.learn.train import FINETUNING, RECIPES
from synq.progress import SILENT
from synq.quantizing import Quantization
from synq.score import Task

LEVELS = (10, 5)
MOST_RESULTS = 1 << 24  # bytes


@dataclass(frozen=True)
class Case:
    """A set, the network for it, and what it must reach.

    Attributes:
        sizes: neurons a layer, inputs first.
        software: least score of the software, in the mean of the seeds.
        losses: by levels, the most that fine-tuned networks may lose against it.
    """

    data: str
    sizes: tuple[int, ...]
    software: float | None = None
    losses: tuple[tuple[int, float], ...] = ()


CASES = (
    Case("fashion-mnist", (784, 128, 10), 90.0, ((10, 0.5), (5, 1.0))),
    Case("digits", (64, 32, 10), losses=((5, 1.0),)),
    Case("breast-cancer", (30, 16, 2), losses=((5, 1.0),)),
    Case("wine", (13, 16, 3)),
    Case("diabetes", (10, 16, 1)),
    Case("kmnist", (784, 128, 10)),
)


@dataclass(frozen=True)
class Result:
    """One set and one seed.

    Attributes:
        software: score in real numbers.
        reference: score of the integer reference, by levels.
        seconds: of it all.
    """

    key: str
    data: str
    seed: int
    task: str
    software: float
    reference: dict[str, float]
    seconds: float


def measured(case: Case, seed: int, small: bool) -> Result:
    """Train, fine-tune and quantize once."""
    start, cache = time.monotonic(), default_cache_dir()
    recipe = replace(RECIPES["accurate"], seed=seed)
    tuning = replace(FINETUNING, recipe=replace(FINETUNING.recipe, seed=seed))
    if small:
        recipe = replace(recipe, epochs=1)
        tuning = replace(tuning, recipe=replace(tuning.recipe, epochs=1))
    source = Source(recipe, None, Data(case.data), tuning, cache, case.sizes)
    dataset = load_source(source, Stopwatch(), SILENT).dataset
    software, reference = 0.0, {}
    for levels in LEVELS:
        made = prepare(source, "pcmo", Quantization(levels), Stopwatch(), SILENT)
        software = made.scores.stages["software"]
        reference[str(levels)] = made.scores.stages["reference"]
    return Result(
        key(case, seed, small),
        case.data,
        seed,
        dataset.task.value,
        software,
        reference,
        round(time.monotonic() - start, 1),
    )


def key(case: Case, seed: int, small: bool) -> str:
    """What a result is of; another recipe is another key."""
    recipes = [asdict(RECIPES["accurate"]), FINETUNING.described()]
    device = asdict(load_device("pcmo"))
    return json.dumps([__version__, case.data, case.sizes, seed, small, recipes, device])


def table(results: list[Result]) -> list[str]:
    """The results as lines of Markdown: mean, deviation and loss over the seeds."""
    lines = [
        "| data | network | seeds | software | L = 10 | L = 5 | loss at 10, at 5 | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        found = [result for result in results if result.data == case.data]
        if not found:
            continue
        task = Task(found[0].task)
        columns = [[result.software for result in found]]
        columns += [[result.reference[str(levels)] for result in found] for levels in LEVELS]
        means = [statistics.fmean(column) for column in columns]
        losses = [(means[0] - mean) * (1 if task.higher_is_better else -1) for mean in means[1:]]
        cells = [
            f"{mean:.2f} ± {statistics.stdev(column) if len(column) > 1 else 0:.2f}"
            for mean, column in zip(means, columns, strict=True)
        ]
        lost = dict(zip(LEVELS, losses, strict=True))
        wanted = [] if case.software is None else [(means[0] >= case.software, case.software)]
        verdicts = [f"{'met' if met else 'missed'}: software >= {least:g}" for met, least in wanted]
        verdicts += [
            f"{'met' if lost[levels] <= most else 'missed'}: L = {levels} within {most:g}"
            for levels, most in case.losses
        ]
        name = case.data if task is Task.CLASSIFICATION else f"{case.data} (RMSE)"
        sizes = "-".join(map(str, case.sizes))
        shown = ", ".join(f"{loss:.2f}" for loss in losses)
        row = [name, sizes, str(len(found)), *cells, shown, "; ".join(verdicts)]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def known(path: Path) -> list[Result]:
    """What an earlier run has left; damaged lines are measured again."""
    if not path.exists():
        return []
    found = []
    for line in read_bounded(path, MOST_RESULTS).decode(errors="replace").splitlines():
        try:
            found.append(Result(**json.loads(line)))
        except (TypeError, ValueError):
            logging.getLogger("synq").warning("%s: a damaged line is measured again", path)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="one epoch, one seed, small sets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[case.data for case in CASES])
    parser.add_argument("--results", type=Path, default=Path("build/datasets.jsonl"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cases = [case for case in CASES if given.only is None or case.data in given.only]
    if given.small and given.only is None:
        cases = [case for case in cases if "mnist" not in case.data]
    done = {result.key: result for result in known(given.results)}
    results = []
    for case in cases:
        for seed in range(1 if given.small else given.seeds):
            wanted = key(case, seed, given.small)
            if wanted not in done:
                try:
                    done[wanted] = measured(case, seed, given.small)
                except SynqError as error:
                    print(f"{case.data}: {error}", file=sys.stderr)
                    break
                lines = [json.dumps(asdict(result)) for result in done.values()]
                atomic_write(given.results, ("\n".join(lines) + "\n").encode())
            results.append(done[wanted])
            said = done[wanted]
            print(
                f"{said.data} seed {said.seed}: {said.software} {said.reference} {said.seconds} s",
                file=sys.stderr,
            )
    if given.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        print("\n".join(table(results)))


if __name__ == "__main__":
    main()
