"""Sweeps interrupted at random moments: what is left of them.

As a program: `python tests/sweep/interrupted.py --tries 200 --burners 4` prints a table, with the
time from the signal to the end. The tests try a few.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synq.float_network import FloatNetwork
from synq.learn.checkpoint import save_checkpoint

COMMAND = Path(sys.executable).parent / "synq"
HANGS = 30.0  # seconds
_MANY = ["--levels", "2:256", "--methods", "proposed,sampling,uniform", "--input-bits", "5,6,7,8"]
_FEW = ["--levels", "2:3", "--methods", "proposed"]
# When it is interrupted: the sweep, how many results there must be, and the longest delay then.
MOMENTS = {
    "start": (_MANY, 0, 1.5),
    "points": (_MANY, 1, 0.7),
    "figures": (_FEW, 2, 3.0),
}


@dataclass(frozen=True)
class Try:
    """One interrupted sweep.

    Attributes:
        seconds: from the signal to the end; infinite if it had to be killed.
        code: its exit code; 0 if it had ended before the signal.
        output, errors: what it printed.
        lines: in its file of results, whole.
        torn: bytes of the file after the last whole line.
        left: processes that outlived it.
    """

    moment: str
    delay: float
    seconds: float
    code: int
    output: str
    errors: str
    lines: int
    torn: int
    left: int

    @property
    def fault(self) -> str | None:
        """What is wrong with it."""
        if self.seconds == float("inf"):
            return "hangs"
        if self.left:
            return f"{self.left} processes left"
        if self.torn:
            return "a torn line"
        if self.code == 0:  # it was too fast for us
            return None
        if self.code == -signal.SIGKILL:
            return None
        if self.code != 130:
            return f"exit code {self.code}: {self.errors[-300:]}"
        kept = f"interrupted; {self.lines} of " if self.lines else "nothing was written"
        if kept not in self.errors or self.errors.count("\n") != 1:
            return f"{self.lines} lines, but: {self.errors[-300:]}"
        return None


def small_network(folder: Path) -> list[str]:
    """The options of a 20-8-3 network and its data, written to `folder`."""
    rng = np.random.default_rng(3)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((20, 8), (8, 3)))
    save_checkpoint(FloatNetwork(weights, (None, None)), folder / "net.safetensors", {})
    inputs = {"x_train": rng.random((300, 20)), "x_test": rng.random((1000, 20))}
    np.savez(folder / "data.npz", y_test=rng.integers(0, 3, 1000), **inputs)
    options = {"data": "data.npz", "checkpoint": "net.safetensors"}
    return [word for key, name in options.items() for word in (f"--{key}", str(folder / name))]


def interrupt(
    network: list[str], moment: str, rng: random.Random, number: int = signal.SIGINT
) -> Try:
    """Start a sweep, interrupt it as a terminal would, and look at what is left."""
    arguments, wanted, longest = MOMENTS[moment]
    folder = Path(tempfile.mkdtemp(prefix="synq-interrupted-"))
    results, mark = folder / "out" / "results.jsonl", f"SYNQ_TRY={folder.name}"
    try:
        with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [COMMAND, "sweep", *arguments, *network, "--output", folder / "out"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "SYNQ_TRY": folder.name},
                preexec_fn=listening,
            )
        while process.poll() is None and not (_handles(process.pid) and _lines(results) >= wanted):
            time.sleep(0.002)
        delay = rng.uniform(0, longest)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        start, seconds = time.monotonic(), float("inf")
        if process.poll() is None:
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(HANGS)
            seconds = time.monotonic() - start
        if number == signal.SIGKILL:  # nobody waits for its processes
            time.sleep(0.5)
        left = list(_marked(mark))
        for each in left:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait()
        content = results.read_bytes() if results.exists() else b""
        return Try(
            moment,
            delay,
            seconds,
            process.returncode,
            (folder / "output").read_text(),
            (folder / "errors").read_text(),
            content.count(b"\n"),
            len(content) - content.rfind(b"\n") - 1,
            len(left),
        )
    finally:
        shutil.rmtree(folder)


def listening() -> None:
    """Whoever starts the tests in the background may have them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _handles(process: int) -> bool:
    """Whether it has come so far that it handles SIGTERM, which Python itself does not."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _marked(mark: str) -> Iterator[int]:
    """The living processes with `mark` in their environment."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # a zombie's is empty
            if mark.encode() in file.read_bytes().split(b"\0"):
                yield int(file.parent.name)


@contextmanager
def _burning(count: int) -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=100, help="of each moment")
    parser.add_argument("--burners", type=int, default=0, help="processes that only take time")
    parser.add_argument("--signal", default="SIGINT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mnist", action="store_true", help="the paper's network, not a small one")
    given = parser.parse_args()
    rng, number = random.Random(given.seed), getattr(signal, given.signal)
    print(f"{'moment':8} tries finished  faults  median    90 %     max s   load")
    with tempfile.TemporaryDirectory() as folder, _burning(given.burners):
        network = [] if given.mnist else small_network(Path(folder))
        for moment in MOMENTS:
            tries = [interrupt(network, moment, rng, number) for _ in range(given.tries)]
            ended = sorted(each.seconds for each in tries if each.code)
            faults = [each for each in tries if each.fault]
            print(
                f"{moment:8} {len(tries):5} {len(tries) - len(ended):8} {len(faults):7} "
                f"{statistics.median(ended):7.3f} {ended[int(0.9 * len(ended))]:7.3f} "
                f"{ended[-1]:7.3f} {os.getloadavg()[0]:8.1f}",
                flush=True,
            )
            for each in faults:
                print(f"    after {each.delay:.3f} s: {each.fault}", flush=True)


if __name__ == "__main__":
    main()
