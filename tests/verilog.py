"""What only tests do with a core: compare a run with the reference, and ask a second simulator."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.network import QuantizedNetwork, Trace, first_difference
from synq.process import Command, run_all
from synq.rtl.design import RtlDesign
from synq.rtl.simulate import RtlRun, Traffic, beat_records
from synq.stream import beats_per_result, pack_results, transfer_ends

_PROBABILITY = 1 << 16


def difference(run: RtlRun, expected: Trace) -> str | None:
    """None if everything equals the reference, else what is wrong first."""
    return run.fault or first_difference(expected, run.stages, "the Verilog")


def icarus_difference(
    place: Path,
    network: QuantizedNetwork,
    design: RtlDesign,
    inputs: NDArray[np.integer[Any]],
    scratch: Path,
    traffic: Traffic | None = None,
) -> str | None:
    """None if every output beat of the Verilog in `place` is that of the integer reference, else
    the first difference.

    Icarus Verilog (the system's package iverilog) knows unknowns, and is hundreds of times slower
    than Verilator: for a few images.

    Args:
        inputs: (n_samples, n_in) raw integers.

    Raises:
        SynqError: it is missing or failed.
    """
    traffic = traffic or Traffic()
    scratch.mkdir(parents=True, exist_ok=True)
    for path in [*place.glob("*.v"), *place.glob("*.mem")]:
        (scratch / path.name).write_bytes(path.read_bytes())
    shutil.copy(Path(__file__).with_name("icarus.v"), scratch / "synq_bench.v")
    records = beat_records(inputs, network.input_format.width, design.beat_bits, traffic)
    size = design.beat_bits // 8 + 1
    beats = [records[start : start + size][::-1].hex() for start in range(0, len(records), size)]
    (scratch / "beats.hex").write_text("\n".join(beats) + "\n")
    n_beats = beats_per_result(network.sizes[-1]) * 64 // design.result_bits
    macros = {
        "BEAT_BITS": design.beat_bits,
        "RESULT_BITS": design.result_bits,
        "N_BEATS": len(beats),
        "N_RESULTS": len(inputs) * n_beats,
        "GAP": int(traffic.gap * _PROBABILITY),
        "STALL": int(traffic.stall * _PROBABILITY),
        "SEED": traffic.seed,
    }
    flags = [f"-D{name}={value}" for name, value in macros.items()]
    sources = sorted(path.name for path in scratch.glob("*.v"))
    build = ["iverilog", "-g2005-sv", "-o", "bench.vvp", "-s", "synq_bench", *flags, *sources]
    for command in (build, ["vvp", "-n", "bench.vvp"]):
        run_all([Command(command, scratch)], "Icarus")
    expected = network.run(inputs)
    last = transfer_ends(len(inputs), n_beats, traffic.images)
    data = pack_results(expected.accumulators[-1], expected.classes).reshape(len(last), -1)
    keep = "f" * (design.result_bits // 32)
    lines = [
        f"{''.join(f'{word:016x}' for word in reversed(beat))} {keep} {end:d}"
        for beat, end in zip(data.tolist(), last, strict=True)
    ]
    got = (scratch / "results.txt").read_text().splitlines()
    for number, (want, have) in enumerate(zip(lines, got, strict=False)):
        if want != have:
            return f"Icarus differs at output beat {number}: expected {want}, got {have}"
    if len(got) != len(lines):
        return f"Icarus answers with {len(got)} beats, expected {len(lines)}"
    return None
