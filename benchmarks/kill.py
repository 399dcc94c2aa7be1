"""Exports ended at random moments: what lives on, and what is left.

A small network is exported again and again, each time ended by a signal to synq alone: SIGKILL, of
which it sees nothing, or SIGINT. A second later its children are counted; after one more export,
which is left in peace, what the others have left beside the project, in the folder for temporary
files and in the cache.

    python benchmarks/kill.py [--count N] [--signal KILL|INT] [--flow FLOW] [--seed N] [--json]
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from samples import samples

_TAG = "SYNQ_BENCHMARK_KILL"  # environment variable by which processes are found again
_GRACE = 1.0  # seconds from the signal to the counting


@dataclass(frozen=True)
class Try:
    """One export that was ended.

    Attributes:
        after: seconds from its start to the signal.
        seconds: from the signal to the end of synq.
        living: processes of it, a second after the signal.
    """

    after: float
    seconds: float
    living: int


@dataclass(frozen=True)
class Result:
    """All tries.

    Attributes:
        whole: seconds of an export that is left in peace.
        finished: exports that were done before their signal, which count as no try.
        left: files and folders that nobody needs, after the last export.
    """

    signal: str
    whole: float
    finished: int
    tries: tuple[Try, ...]
    left: tuple[str, ...]


class Bench:
    """A folder with a network, its data, and the three places where an export writes."""

    def __init__(self, folder: Path, flow: str) -> None:
        self._folder, self._flow = folder, flow
        for name in ("output", "tmp", "cache"):
            (folder / name).mkdir()
        samples(folder)

    def start(self) -> "subprocess.Popen[bytes]":
        """An export, at work."""
        of_network = ["--checkpoint", str(self._folder / "mine.safetensors")]
        of_data = ["--data", str(self._folder / "mine.npz")]
        output = ["--flow", self._flow, "--output", str(self._folder / "output" / "project")]
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "synq-export"), *of_network, *of_data, *output],
            env={
                **os.environ,
                "TMPDIR": str(self._folder / "tmp"),
                "SYNQ_CACHE_DIR": str(self._folder / "cache"),
                _TAG: str(self._folder),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # a shell's background job ignores SIGINT, and so would what is started from it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def whole(self) -> float:
        """Seconds of an export that is left in peace."""
        start = time.monotonic()
        if self.start().wait() != 0:
            sys.exit("an export that nobody has ended failed")
        return time.monotonic() - start

    def living(self) -> int:
        """Processes of the exports."""
        count = 0
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                count += f"{_TAG}={self._folder}".encode() in environ.read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
        return count

    def left(self) -> tuple[str, ...]:
        """What lies about and is no project and nothing of use to a later run."""
        found = [path for path in (self._folder / "output").iterdir() if path.name != "project"]
        found += (self._folder / "tmp").iterdir()
        found += (self._folder / "cache").rglob(".*")
        return tuple(str(path.relative_to(self._folder)) for path in found)


def measure(bench: Bench, number: signal.Signals, count: int, seed: int) -> Result:
    """End `count` exports at random moments."""
    draw = random.Random(seed)
    whole = bench.whole()
    tries: list[Try] = []
    finished = 0
    while len(tries) < count:
        after = draw.uniform(0, whole)
        process = bench.start()
        try:
            process.wait(after)
            finished += 1
            continue
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        start = time.monotonic()
        process.wait()
        seconds = time.monotonic() - start
        time.sleep(max(0.0, _GRACE - seconds))
        tries.append(Try(round(after, 3), round(seconds, 3), bench.living()))
    bench.whole()
    return Result(number.name, round(whole, 1), finished, tuple(tries), bench.left())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="exports to end")
    parser.add_argument("--signal", choices=["KILL", "INT"], default="KILL")
    parser.add_argument("--flow", default="hls", help="as of synq-export")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.flow)
        number = signal.Signals[f"SIG{options.signal}"]
        result = measure(bench, number, options.count, options.seed)
    if options.json:
        print(json.dumps(asdict(result)))
        return
    seconds = [each.seconds for each in result.tries] or [0.0]
    alive = [each.living for each in result.tries]
    print(f"| {result.signal} at random moments of an export of {result.whole} s | |")
    print("|---|---|")
    print(f"| tries | {len(result.tries)} |")
    print(f"| with processes that lived on for {_GRACE:g} s | {sum(map(bool, alive))} |")
    print(
        f"| seconds to the end of synq, median, most | {statistics.median(seconds):.2f}, "
        f"{max(seconds):.2f} |"
    )
    print(f"| left after one more export | {len(result.left)} {' '.join(result.left)} |")


if __name__ == "__main__":
    main()
