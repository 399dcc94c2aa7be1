"""Faults in an exported project: does `synq verify` see them?

A small project of both flows is exported. In each kind of its files one bit is flipped, or one
integer is another, and `synq verify` runs: once with the manifest as it was, so that a digest
catches it, and once with the digest mended too, so that only rendering and computing everything
again can. What that does not cover is named in `KINDS`, with the reason.

    python benchmarks/faults.py [--count N] [--mended N] [--kind KIND ...] [--seed S] [--jobs N]
        [--json | --markdown]
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from synq.errors import SynqError
from synq.progress import SILENT
from synq.verifying import verify

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from samples import samples

_HLS4ML = "hls4ml's own, not written anew: only what the simulations run is seen"
_MANIFEST = "no digest of its own; how the network was trained is not computed again"


@dataclass(frozen=True)
class FileKind:
    """A kind of emitted file.

    Attributes:
        pattern: of its names, as a regular expression.
        beyond: why verify cannot see all faults in it once the digest is mended; "" where it can.
    """

    pattern: str
    beyond: str = ""


KINDS = {
    "manifest": FileKind(r"manifest\.json", _MANIFEST),
    "network.npz": FileKind(r"network\.npz"),
    "vectors.npz": FileKind(r"vectors\.npz", "other inputs are as good as these"),
    "tables, C header": FileKind(r"tables/.*\.h"),
    "tables, .mem": FileKind(r"tables/.*\.mem"),
    "tables, .coe": FileKind(r"tables/.*\.coe"),
    "tables, .npz": FileKind(r"tables/.*\.npz"),
    "QKeras model": FileKind(r"qkeras_model\.h5", "only its digest is checked"),
    "HLS codes and values": FileKind(r"hls/firmware/array_\d+\.h"),
    "HLS kernel": FileKind(r"hls/.*/nnet_synapse_array\.h", _HLS4ML),
    "HLS formats": FileKind(r"hls/firmware/(parameters|defines)\.h", _HLS4ML),
    "HLS network": FileKind(r"hls/firmware/synapse_network\.(cpp|h)", _HLS4ML),
    "HLS stream": FileKind(r"hls/firmware/synapse_axis\.(cpp|h)"),
    "hls4ml's headers": FileKind(
        r"hls/firmware/(ap_types|nnet_utils)/(?!nnet_synapse_array).*", _HLS4ML
    ),
    "hls4ml's scripts": FileKind(r"hls/[^/]*\.(tcl|sh|yml)|hls/[^/]*_bridge\.cpp", _HLS4ML),
    "test benches": FileKind(r"hls/\w+_test\.cpp"),
    "test vectors": FileKind(r"hls/tb_data/.*"),
    "flow": FileKind(r"flow/.*"),
    "driver": FileKind(r"driver/.*"),
    "Verilog": FileKind(r"rtl/.*\.v"),
    "Verilog memories": FileKind(r"rtl/.*\.mem"),
    "lists for tools": FileKind(r"rtl/synq\.(f|xdc)|synq\.core"),
    "page": FileKind(r"report\.html"),
    "page's facts": FileKind(r"report\.json", "the page may show fewer digits than they have"),
    "logs": FileKind(r"logs/.*", "only their digests are checked"),
}
_COMMENT = re.compile(rb"//[^\n]*|/\*.*?\*/", re.DOTALL)
_INTEGER = re.compile(rb"(?<![\w.])(0x)?[0-9a-f]+(?![\w.])")


@dataclass(frozen=True)
class Fault:
    """One changed file, and whether verify said so."""

    kind: str
    name: str
    what: str
    mended: bool
    answer: str  # "caught", "not seen", or what else happened

    @property
    def caught(self) -> bool:
        return self.answer == "caught"

    @property
    def bad(self) -> bool:
        """Whether this should not have been."""
        missed = self.answer == "not seen"
        covered = not KINDS[self.kind].beyond if self.mended else self.kind != "manifest"
        return not self.caught and (covered or not missed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="faults a kind, digest as it was")
    parser.add_argument("--mended", type=int, default=10, help="faults a kind, digest mended too")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only this one")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--markdown", action="store_true", help="print docs/reliability.md's table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = export(Path(folder))
        asked = [
            (project, kind, f"{options.seed} {kind} {index}", mended)
            for kind in options.kind or KINDS
            for mended, count in ((False, options.count), (True, options.mended))
            for index in range(count)
        ]
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
            faults = list(pool.map(attempt, *zip(*asked, strict=True), chunksize=4))
    if options.json:
        print(json.dumps([asdict(fault) for fault in faults]))
    else:
        print("\n".join(table(faults, options.markdown)))
        for fault in faults:
            if fault.bad and not options.markdown:
                print(f"{fault.name}: {fault.what}: {fault.answer}")
    sys.exit(1 if any(fault.bad for fault in faults) else 0)


def export(folder: Path) -> Path:
    """A project of both flows, made by the command."""
    samples(folder)
    project = folder / "project"
    command = [str(Path(sys.executable).parent / "synq-export"), "--flow", "hls,rtl"]
    command += ["--checkpoint", "mine.safetensors", "--data", "mine.npz", "--datapath", "decode"]
    done = subprocess.run(
        [*command, "--output", str(project)], cwd=folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return project


def attempt(project: Path, kind: str, seed: str, mended: bool) -> Fault:
    """Change a copy of the project, and ask verify."""
    rng = random.Random(f"{seed} {mended}")
    pattern = re.compile(KINDS[kind].pattern)
    files = {
        path.relative_to(project).as_posix(): path
        for path in sorted(project.rglob("*"))
        if path.is_file() and path.stat().st_size
    }
    name = rng.choice([name for name in files if pattern.fullmatch(name)])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(project, Path(folder) / "project"))
        content = (copy / name).read_bytes()
        changed, what = rng.choice((flip_bit, change_integer))(rng, name, content)
        (copy / name).write_bytes(changed)
        if mended:
            mend_digest(copy, name)
        return Fault(kind, name, what, mended, answer_of(copy))


def answer_of(project: Path) -> str:
    try:
        verify(project, SILENT)
    except SynqError as error:
        return "caught" if str(error).isprintable() else f"not one line: {error!s:.100}"
    except Exception as error:
        return f"{type(error).__name__}: {error!s:.100}"
    return "not seen"


def mend_digest(project: Path, name: str) -> None:
    """Let the manifest state the file's new digest."""
    path = project / "manifest.json"
    if name == path.name:
        return
    manifest = json.loads(path.read_bytes())
    manifest["files"][name] = hashlib.sha256((project / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def flip_bit(rng: random.Random, name: str, content: bytes) -> tuple[bytes, str]:
    """One bit is other, not in a comment."""
    comments = [match.span() for match in _comments(name, content)]
    while True:
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        if not any(start <= at < end for start, end in comments):
            break
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {at}"


def change_integer(rng: random.Random, name: str, content: bytes) -> tuple[bytes, str]:
    """One integer, of an array or in digits, is larger or smaller by one."""
    step = rng.choice((-1, 1))
    if name.endswith(".npz"):
        return _change_array(rng, content, step)
    comments = [match.span() for match in _comments(name, content)]
    found = [
        match
        for match in _INTEGER.finditer(content)
        if not any(start <= match.start() < end for start, end in comments)
    ]
    if not found or name.endswith(".h5"):
        return flip_bit(rng, name, content)
    match = rng.choice(found)
    digits = match.group()
    base = 10 if digits.isdigit() else 16
    value = abs(int(digits, base) + step)
    prefix = b"0x" if digits.startswith(b"0x") else b""
    width = len(digits) - len(prefix)
    text = prefix + (b"%0*d" if base == 10 else b"%0*x") % (width, value)
    changed = content[: match.start()] + text + content[match.end() :]
    return changed, f"{digits.decode()} to {text.decode()} at byte {match.start()}"


def _change_array(rng: random.Random, content: bytes, step: int) -> tuple[bytes, str]:
    with np.load(io.BytesIO(content)) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    chosen = rng.choice([name for name, array in sorted(arrays.items()) if array.size])
    array = arrays[chosen]
    if array.dtype.kind not in "iu":  # a text: one of its characters
        text = "".join(map(str, array.ravel()))
        at = rng.randrange(len(text))
        arrays[chosen] = np.array(text[:at] + chr(ord(text[at]) + step) + text[at + 1 :])
    else:
        at = rng.randrange(array.size)
        flat = array.reshape(-1)
        flat[at] += np.asarray(step).astype(array.dtype)
        arrays[chosen] = flat.reshape(array.shape)
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue(), f"{chosen}[{at}] {step:+d}"


def _comments(name: str, content: bytes) -> Iterator[re.Match[bytes]]:
    code = name.endswith((".v", ".h", ".cpp"))
    return _COMMENT.finditer(content) if code else iter(())


def table(faults: list[Fault], markdown: bool) -> list[str]:
    """A row a kind of file."""
    header = ("file", "faults", "caught", "digest mended too", "caught", "not covered because")
    rows: list[tuple[str, ...]] = [header, ("---",) * len(header)]
    for kind in dict.fromkeys(fault.kind for fault in faults):
        plain, mended = (
            [fault for fault in faults if fault.kind == kind and fault.mended is mend]
            for mend in (False, True)
        )
        counts = (len(plain), sum(f.caught for f in plain))
        more = (len(mended), sum(f.caught for f in mended))
        rows.append((kind, *map(str, counts + more), KINDS[kind].beyond))
    if markdown:
        return ["| " + " | ".join(row) + " |" for row in rows]
    del rows[1]
    return ["{:24}{:>8}{:>8}{:>20}{:>8}  {}".format(*row).rstrip() for row in rows]


if __name__ == "__main__":
    main()
