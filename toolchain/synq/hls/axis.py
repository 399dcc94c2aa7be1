"""The network between two AXI4-Streams: the wrapper's sources, its beats, and its C simulation.

Contract of the stream, for every implementation of a network: 64-bit TDATA, TKEEP and TLAST both
ways.

- Input: an image is its pixels, `pixels_per_beat` a beat, the first in the lowest bits, padded to
  whole beats. A transfer carries any number of whole images and has TLAST on its last beat only, as
  AXI DMA does (PG021). A TLAST inside an image ends it early: the missing pixels count as zero, and
  the next beat begins a new image.
- Output of an image: the logits, raw accumulators as 32-bit two's-complement integers, two a beat,
  the first in the low half, padded to a whole beat; then one beat with the class, the index of the
  largest logit, the first one on a tie. TLAST is on that beat if the image's last input beat had
  it. TKEEP is all ones.

Needs neither TensorFlow nor hls4ml.
"""

import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls.csim import PROJECT, Build, test_bench_build
from synq.network import QuantizedNetwork, Trace, stage_sizes
from synq.resources import folder
from synq.stream import (
    _KEEP_ALL,
    _RECORD,
    Beats,
    beats_per_image,
    beats_per_result,
    check_logits,
    pack_images,
    pack_results,
    pixels_per_beat,
    transfer_ends,
)

TOP = "synapse_axis"  # the top function; a fixed C++ identifier
SOURCES = (f"firmware/{PROJECT}.cpp", f"firmware/{TOP}.cpp")  # to synthesize, relative to `hls`
TEST_BENCH = f"{TOP}_test.cpp"


def render_axis(
    network: QuantizedNetwork,
    stream: bool,
    input_type: str = "input_t",
    output_type: str = "result_t",
) -> dict[str, bytes]:
    """The wrapper and its test bench, by their names in the project's folder `hls`.

    Args:
        stream: whether the network's own interfaces are streams (io_stream) or arrays.
        input_type: C++ type of the network's input: of an element, or of a pack in a stream.
        output_type: likewise of its output.

    Raises:
        SynqError: a logit does not fit the stream.
    """
    check_logits(network)
    n_in, n_out = network.sizes[0], network.sizes[-1]
    pixel_bits = network.input_format.width
    settings = {
        "project": PROJECT,
        "stream": stream,
        "input_type": input_type,
        "output_type": output_type,
        "image_argument": _argument(stream, input_type, "image", "N_PIXELS"),
        "result_argument": _argument(
            stream, output_type, "result" if stream else "logits", "N_LOGITS"
        ),
        "n_in": n_in,
        "n_out": n_out,
        "pixel_bits": pixel_bits,
        "beat_pixels": pixels_per_beat(pixel_bits),
        "image_beats": beats_per_image(n_in, pixel_bits),
        "logit_beats": beats_per_result(n_out) - 1,
        "result_beats": beats_per_result(n_out),
        "row": sum(size for _, size in stage_sizes(network)) + 1,
        # In a steady state a process holds at most one image: read and write, and a synapse array
        # and an activation a layer; two more for what waits between.
        "images_under_way": 2 * len(network.arrays) + 4,
    }
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    templates = folder("hls_templates") / "axis"
    places = {f"{TOP}.h": "firmware/", f"{TOP}.cpp": "firmware/", TEST_BENCH: ""}
    return {
        place + name: environment.from_string((templates / name).read_text("ascii"))
        .render(settings)
        .encode("ascii")
        for name, place in places.items()
    }


def _argument(stream: bool, kind: str, name: str, size: str) -> str:
    return f"hls::stream<{kind}> &{name}" if stream else f"{kind} {name}[{size}]"


# ---- Beats --------------------------------------------------------------------------------------


# ---- C simulation -------------------------------------------------------------------------------


def axis_bench_build(folder: Path, executable: Path) -> AbstractContextManager[Build]:
    """Start compiling the wrapper's test bench in `folder`; as `csim.test_bench_build`."""
    return test_bench_build(folder, executable, (TEST_BENCH, *SOURCES))


def simulate_axis(
    folder: Path, beats: NDArray[np.uint64], last: NDArray[np.bool_], scratch: Path
) -> Beats:
    """Build the wrapper's test bench in `folder` and run it; see `run_axis`."""
    executable = scratch / TOP
    with axis_bench_build(folder, executable) as build:
        build.finish()
    return run_axis(executable, beats, last, scratch)


def run_axis(
    executable: Path, beats: NDArray[np.uint64], last: NDArray[np.bool_], scratch: Path
) -> Beats:
    """What the compiled wrapper answers, on every core.

    Args:
        executable: the test bench, from `axis_bench_build`.
        beats: input TDATA, in any shape; beats of an image that neither TLAST nor its full number
            of beats ends get no answer.
        last: (n_beats,) input TLAST.
        scratch: folder for the files of beats.

    Raises:
        SynqError: the test bench failed.
    """
    records = np.zeros(beats.size, dtype=_RECORD)
    records["data"] = beats.ravel()
    records["keep"] = _KEEP_ALL
    records["last"] = last
    parts = _split(records, os.cpu_count() or 1)
    processes: list[subprocess.Popen[str]] = []
    try:
        for number, part in enumerate(parts):
            given = scratch / f"beats_{number}.bin"
            given.write_bytes(part.tobytes())
            command = [str(executable), str(given), str(scratch / f"results_{number}.bin")]
            processes.append(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        logs = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, log in zip(processes, logs, strict=True):
        if process.returncode != 0:
            reason = log.strip().splitlines()[-1] if log.strip() else "it printed nothing"
            raise SynqError(
                f"the simulation of the AXI4-Stream wrapper stopped with code "
                f"{process.returncode}: {reason}"
            )
    answers = np.frombuffer(
        b"".join((scratch / f"results_{number}.bin").read_bytes() for number in range(len(parts))),
        dtype=_RECORD,
    )
    return Beats(
        answers["data"].astype(np.uint64), answers["keep"].copy(), answers["last"].astype(bool)
    )


def _split(records: NDArray[Any], n_parts: int) -> list[NDArray[Any]]:
    """`records` in at most `n_parts` parts of about one size, each of whole transfers."""
    ends = np.flatnonzero(records["last"]) + 1
    wanted = np.arange(1, n_parts) * len(records) // n_parts
    cuts = ends[np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)] if len(ends) else []
    return np.split(records, np.unique(cuts).astype(np.int64))


def stream_difference(
    executable: Path,
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8],
    expected: Trace,
    scratch: Path,
) -> str | None:
    """None if the compiled wrapper answers every image as it must, else the first difference.

    Args:
        inputs: (n_samples, n_in) raw integers; sent 100 images a transfer.
        expected: the integer reference for them.

    Raises:
        SynqError: the test bench failed.
    """
    n_out = network.sizes[-1]
    beats = pack_images(inputs, network.input_format.width)
    images = 100  # a transfer
    last = transfer_ends(len(beats), beats.shape[1], images)
    got = run_axis(executable, beats, last, scratch)
    n_beats = beats_per_result(n_out)
    name = "the AXI4-Stream wrapper"
    if len(got.data) != len(inputs) * n_beats:
        return f"{name} answers {len(inputs)} images with {len(got.data)} beats of {n_beats} each"
    if np.any(got.keep != _KEEP_ALL):
        return f"{name} clears TKEEP at beat {np.argmax(got.keep != _KEEP_ALL)}"
    wrong_last = got.last != transfer_ends(len(inputs), n_beats, images)
    if np.any(wrong_last):
        return f"{name} has a wrong TLAST at beat {np.argmax(wrong_last)}"
    wanted = pack_results(expected.accumulators[-1], expected.classes)
    wrong = np.argwhere(got.data.reshape(wanted.shape) != wanted)
    if len(wrong):
        image, beat = (int(i) for i in wrong[0])
        return (
            f"{name} differs from the integer reference at image {image}, beat {beat}: "
            f"expected {wanted[image, beat]:016x}, got {got.data[image * n_beats + beat]:016x}"
        )
    return None
