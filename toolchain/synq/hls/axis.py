"""The network between two AXI4-Streams: the wrapper's sources, its beats, and its C simulation.

Contract of the stream, for every implementation of a network: 64-bit TDATA, TKEEP and TLAST both
ways.

- Input: an image is its pixels, `pixels_per_beat` a beat, the first in the lowest bits, padded to
  whole beats; pixels of a signed format are two's complement. A transfer carries any number of
  whole images and has TLAST on its last beat only, as AXI DMA does (PG021). A TLAST inside an image
  ends it early: the missing pixels count as zero, and the next beat begins a new image.
- Output of an image: the logits, raw accumulators as 32-bit two's-complement integers, two a beat,
  the first in the low half, padded to a whole beat; then one beat with the class, the index of the
  largest logit, the first one on a tie; of a single logit, whether it is positive. TLAST is on that
  beat if the image's last input beat had it. TKEEP is all ones.

Needs neither TensorFlow nor hls4ml.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.hls.compiler import Program, Unit, building
from synq.hls.csim import FIRMWARE, PROJECT
from synq.hls.packs import Port
from synq.network import QuantizedNetwork, Trace, stage_sizes
from synq.process import Command, run_all
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
BENCH = Program("axis_bench", (Unit(TEST_BENCH, before=SOURCES[1]), FIRMWARE))


def render_axis(network: QuantizedNetwork, given: Port, result: Port) -> dict[str, bytes]:
    """The wrapper and its test bench, by their names in the project's folder `hls`.

    Args:
        given: the network's own input.
        result: the network's own output.

    Raises:
        SynqError: a logit does not fit the stream.
    """
    check_logits(network)
    n_in, n_out = network.sizes[0], network.sizes[-1]
    pixel_bits = network.input_format.width
    pools = sum(geometry.pool is not None for geometry in network.geometries)
    settings = {
        "project": PROJECT,
        "given": given,
        "result": result,
        "image_argument": _argument(given, "image", "N_PIXELS"),
        "result_argument": _argument(result, "result" if result.stream else "logits", "N_LOGITS"),
        "n_in": n_in,
        "n_out": n_out,
        "pixel_bits": pixel_bits,
        "signed_pixels": network.input_format.signed,
        "beat_pixels": pixels_per_beat(pixel_bits),
        "image_beats": beats_per_image(n_in, pixel_bits),
        "logit_beats": beats_per_result(n_out) - 1,
        "result_beats": beats_per_result(n_out),
        "row": sum(size for _, size in stage_sizes(network)) + 1,
        # In a steady state a process holds at most one image: read and write, and a synapse array
        # and an activation a layer, a pool where there is one; two more for what waits between.
        "images_under_way": 2 * len(network.arrays) + 4 + pools,
        "pack_beats": -(-given.pack // pixels_per_beat(pixel_bits)),
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


def _argument(port: Port, name: str, size: str) -> str:
    return f"hls::stream<{port.type}> &{name}" if port.stream else f"{port.type} {name}[{size}]"


# ---- C simulation -------------------------------------------------------------------------------


def build_bench(place: Path, scratch: Path, cache_dir: Path) -> Path:
    """The compiled test bench of the wrapper in the project's folder `hls`.

    Raises:
        SynqError: g++ is missing or fails.
    """
    with building(place, [BENCH], scratch, cache_dir) as builds:
        return builds.finish(BENCH)


def run_axis(
    executable: Path,
    beats: NDArray[np.uint64],
    last: NDArray[np.bool_],
    scratch: Path,
    parts: int | None = None,
) -> Beats:
    """What the compiled wrapper answers.

    Args:
        executable: the test bench, from `build_bench`.
        beats: input TDATA, in any shape; beats of an image that neither TLAST nor its full number
            of beats ends get no answer.
        last: (n_beats,) input TLAST.
        scratch: folder for the files of beats.
        parts: processes at a time; one a core without.

    Raises:
        SynqError: the test bench failed.
    """
    records = np.zeros(beats.size, dtype=_RECORD)
    records["data"] = beats.ravel()
    records["keep"] = _KEEP_ALL
    records["last"] = last
    shares = _split(records, parts or os.cpu_count() or 1)
    commands = []
    for number, part in enumerate(shares):
        given = scratch / f"beats_{number}.bin"
        given.write_bytes(part.tobytes())
        commands.append(
            Command([str(executable), str(given), str(scratch / f"answers_{number}.bin")])
        )
    run_all(commands, "the simulation of the AXI4-Stream wrapper")
    answers = np.frombuffer(
        b"".join((scratch / f"answers_{number}.bin").read_bytes() for number in range(len(shares))),
        dtype=_RECORD,
    )
    return Beats(
        answers["data"].astype(np.uint64), answers["keep"].copy(), answers["last"].astype(bool)
    )


def _split(records: NDArray[Any], n_parts: int) -> list[NDArray[Any]]:
    """`records` in at most `n_parts` parts of about one size, each of whole transfers."""
    ends = np.flatnonzero(records["last"]) + 1
    wanted = np.arange(1, n_parts) * len(records) // n_parts
    cuts: NDArray[np.integer[Any]] | list[int] = (
        ends[np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)] if len(ends) else []
    )
    return np.split(records, np.unique(cuts).astype(np.int64))


def require_exact(
    executable: Path,
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
    expected: Trace,
    scratch: Path,
) -> int:
    """Refuse a compiled wrapper whose answers differ; see `stream_difference`.

    Returns:
        How many integers were compared: logits and classes.

    Raises:
        SynqError: they do; says where first.
    """
    difference = stream_difference(executable, network, inputs, expected, scratch)
    if difference is not None:
        raise SynqError(f"not bit-exact: {difference}")
    return expected.accumulators[-1].size + expected.classes.size


def stream_difference(
    executable: Path,
    network: QuantizedNetwork,
    inputs: NDArray[np.integer[Any]],
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
    beats = pack_images(inputs, network.input_format)
    images = 100  # a transfer
    last = transfer_ends(len(beats), beats.shape[1], images)
    got = run_axis(executable, beats, last, scratch, 1 if network.noisy else None)
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
