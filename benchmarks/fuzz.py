"""Damaged files for everything that reads one: none may end in anything but one clear line.

Kinds are those of `tests/fuzzing`. Each is read in a process of its own, so that its memory is its
own; a case over 5 CPU seconds, or a kind over 500 MiB above the idle process, counts as a failure.

    python benchmarks/fuzz.py [--count N] [--seed S] [--kind KIND ...] [--jobs N] [--keep FOLDER]
        [--json | --markdown]
"""

import argparse
import importlib
import json
import os
import pkgutil
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import fuzzing
from fuzzing.kind import Kind
from fuzzing.probe import LIMIT_MIB, Counts, probe

_HEADER = ("kind", "tries", "refused", "accepted", "failures", "slowest, s", "memory, MiB")
_MOST_BYTES = 6 * 2**30  # of address space: what asks for more fails, and not the machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--count",
        type=int,
        default=10_000,
        help="cases of each kind; fewer of those that take long",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--kind", action="append", metavar="KIND", help="only this one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="kinds at a time")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where failing cases are left")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--markdown", action="store_true", help="print docs/reliability.md's table")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the child's
    options = parser.parse_args()
    known = kinds()
    chosen = options.kind or list(known)
    if unknown := set(chosen) - set(known):
        parser.error(f"no such kind as {', '.join(unknown)}: choose from {', '.join(known)}")
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    if options.here:
        print(json.dumps(asdict(measure(chosen[0], known[chosen[0]], options))))
        return

    def show(counts: Counts) -> Counts:
        if not (options.json or options.markdown):
            print(text(counts), flush=True)
        return counts

    if not (options.json or options.markdown):
        print("{:24}{:>8}{:>9}{:>10}{:>10}{:>12}{:>13}".format(*_HEADER))
    with ThreadPoolExecutor(options.jobs) as pool:
        rows = [show(counts) for counts in pool.map(lambda name: child(name, options), chosen)]
    if options.json:
        print(json.dumps([asdict(counts) for counts in rows]))
    if options.markdown:
        print(markdown(rows))
    sys.exit(0 if all(counts.good for counts in rows) else 1)


def kinds() -> dict[str, Kind]:
    """Every kind of every module of `tests/fuzzing`."""
    found: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(fuzzing.__path__):
        found |= getattr(importlib.import_module(f"fuzzing.{module.name}"), "KINDS", {})
    return found


def measure(name: str, kind: Kind, options: argparse.Namespace) -> Counts:
    """The counts of a kind, in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        count = max(1, options.count // kind.cost)
        return probe(name, kind, options.seed, count, Path(folder), options.keep)


def child(name: str, options: argparse.Namespace) -> Counts:
    """The counts of a kind, from a process of its own."""
    command = [sys.executable, __file__, "--here", "--kind", name]
    command += ["--count", str(options.count), "--seed", str(options.seed)]
    if options.keep is not None:
        command += ["--keep", str(options.keep)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing printed"])[-1]
        died = f"the process ended with code {done.returncode}: {last}"
        return Counts(name, options.count, 0, 0, 1, (died,), 0.0, 0.0)
    counts = json.loads(done.stdout.splitlines()[-1])
    return Counts(**{**counts, "failures": tuple(counts["failures"])})


def cells(counts: Counts) -> tuple[str, ...]:
    numbers = (counts.tries, counts.refused, counts.accepted, counts.failed)
    return (
        counts.kind,
        *(f"{number:,}" for number in numbers),
        f"{counts.slowest_s:.2f}",
        f"{counts.memory_mib:.0f}",
    )


def text(counts: Counts) -> str:
    """A row as text, with what failed below."""
    row = "{:24}{:>8}{:>9}{:>10}{:>10}{:>12}{:>13}".format(*cells(counts))
    over = [f"over {LIMIT_MIB:.0f} MiB"] if counts.memory_mib > LIMIT_MIB else []
    return "\n    ".join([row, *counts.failures, *over])


def markdown(rows: list[Counts]) -> str:
    """The table of docs/reliability.md."""
    lines = [_HEADER, ("---",) * len(_HEADER), *(cells(counts) for counts in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
