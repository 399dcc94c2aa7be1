"""The network between two AXI4-Streams: packing, and the compiled wrapper beat by beat."""

import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from projects import emit
from strategies import MANY, SOME, input_formats, seeds, synapse_array
from synq import stream
from synq.device import load_device
from synq.errors import SynqError
from synq.fixedpoint import FixedPoint
from synq.float_network import FloatNetwork
from synq.hls import axis
from synq.hls.compiler import building
from synq.hls.csim import integer_lines
from synq.hls.packs import network_ports
from synq.network import QuantizedNetwork, Trace
from synq.quantizing import Quantization, quantize_network

pytestmark = pytest.mark.xdist_group("axis")  # one worker compiles the projects once


@dataclass(frozen=True)
class Built:
    """A project on disk with its compiled wrapper."""

    folder: Path
    executable: Path
    network: QuantizedNetwork
    inputs: NDArray[np.uint8 | np.int8]
    expected: Trace

    @property
    def form(self) -> FixedPoint:
        return self.network.input_format

    @property
    def bits(self) -> int:
        return self.form.width

    @property
    def n_out(self) -> int:
        return self.network.sizes[-1]


def random_network(
    sizes: tuple[int, ...], form: FixedPoint, seed: int
) -> tuple[QuantizedNetwork, NDArray[np.uint8 | np.int8]]:
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in pairwise(sizes))
    inputs = raw_inputs(rng, 60, sizes[0], form)
    inputs[0], inputs[1] = form.min_raw, form.max_raw
    network = quantize_network(
        FloatNetwork(weights, (None,) * len(weights)),
        Quantization(10, input_bits=form.width),
        load_device("pcmo"),
        form,
        inputs,
    )
    return network, inputs


def raw_inputs(
    rng: np.random.Generator, n_samples: int, n_in: int, form: FixedPoint
) -> NDArray[np.uint8 | np.int8]:
    shape = (n_samples, n_in)
    return rng.integers(form.min_raw, form.max_raw + 1, shape).astype(form.byte_type)


def build(
    network: QuantizedNetwork, inputs: NDArray[np.uint8 | np.int8], io_type: str, root: Path
) -> Built:
    emitted = emit(network, inputs, root / "hls", io_type=io_type)
    with building(emitted.folder, [axis.BENCH], root, root / "cache") as builds:
        executable = builds.finish(axis.BENCH)
        assert "warning" not in builds.log()
    return Built(emitted.folder, executable, network, inputs, network.run(inputs))


PARALLEL = ("io_parallel", FixedPoint(7, 0, signed=False), (43, 9, 5))
STREAM = ("io_stream", FixedPoint(3, 0, signed=True), (50, 6, 4))
# 4160 and 4400 bits: no single stream element
WIDE = ("io_stream", FixedPoint(8, 0, signed=False), (520, 200, 3))


@pytest.fixture(
    scope="module", params=[PARALLEL, STREAM, WIDE], ids=["io_parallel", "io_stream", "wide"]
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    io_type, form, sizes = request.param
    network, inputs = random_network(sizes, form, seed=form.width)
    return build(network, inputs, io_type, tmp_path_factory.mktemp(io_type))


# ---- Packing ------------------------------------------------------------------------------------


def slowly_packed(image: list[int], bits: int) -> list[int]:
    lanes = 64 // bits
    return [
        sum(
            pixel % (1 << bits) << (bits * lane)
            for lane, pixel in enumerate(image[first : first + lanes])
        )
        for first in range(0, len(image), lanes)
    ]


@MANY
@given(seeds, input_formats(8), st.integers(1, 140), st.integers(0, 3))
@example(0, FixedPoint(3, 0, signed=False), 21, 1)
@example(0, FixedPoint(8, 2, signed=True), 784, 2)
def test_images_are_packed_as_the_contract_says(
    seed: int, form: FixedPoint, n_in: int, n_samples: int
) -> None:
    inputs = raw_inputs(np.random.default_rng(seed), n_samples, n_in, form)
    beats = stream.pack_images(inputs, form)
    assert beats.dtype == np.uint64
    assert beats.tolist() == [slowly_packed(image, form.width) for image in inputs.tolist()]


@pytest.mark.parametrize(("bits", "beats"), [(8, 98), (4, 49), (1, 13), (3, 38), (7, 88)])
def test_an_mnist_image_is_as_many_beats_as_documented(bits: int, beats: int) -> None:
    assert stream.beats_per_image(784, bits) == beats


def test_a_pixel_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 7, got 0 to 8"):
        stream.pack_images(np.array([[0, 8]]), FixedPoint(3, 0, signed=False))


@MANY
@given(seeds, st.integers(1, 30), st.integers(0, 4))
def test_results_unpack_to_what_was_packed(seed: int, n_out: int, n_samples: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(-(2**31), 2**31, (n_samples, n_out))
    classes = rng.integers(0, n_out, n_samples)
    beats = stream.pack_results(logits, classes)
    assert beats.shape == (n_samples, -(-n_out // 2) + 1)
    for got, want in zip(stream.unpack_results(beats, n_out), (logits, classes), strict=True):
        assert np.array_equal(got, want)


def test_results_lie_as_the_contract_says() -> None:
    beats = stream.pack_results(np.array([[1, -1, -(2**31)]]), np.array([2]))
    assert beats.tolist() == [[0xFFFF_FFFF_0000_0001, 0x8000_0000, 2]]
    with pytest.raises(ValueError, match="4 beats are not results of 3"):
        stream.unpack_results(np.zeros(4, dtype=np.uint64), 3)


def test_logits_beyond_32_bits_are_refused() -> None:
    rng = np.random.default_rng(0)
    wide = FixedPoint(16, 0, signed=False)
    array = synapse_array(rng, 200, 3, table_width=16, input_format=wide)
    network = QuantizedNetwork((array,), ())
    assert array.accumulator.width > 32
    with pytest.raises(SynqError, match="carries at most 32: use a smaller table width"):
        axis.render_axis(network, *network_ports(network, stream=False))


def test_the_same_network_renders_to_the_same_files() -> None:
    network, _ = random_network((43, 9, 5), PARALLEL[1], seed=7)
    files = axis.render_axis(network, *network_ports(network, stream=False))
    assert files == axis.render_axis(network, *network_ports(network, stream=False))
    assert set(files) == {
        "firmware/synapse_axis.h",
        "firmware/synapse_axis.cpp",
        "synapse_axis_test.cpp",
    }


# ---- The compiled wrapper -----------------------------------------------------------------------


def last_of_transfers(n_samples: int, n_beats: int, sizes: list[int]) -> NDArray[np.bool_]:
    """TLAST of images sent in transfers of `sizes` images, the rest in one."""
    last = np.zeros((n_samples, n_beats), dtype=bool)
    ends = np.cumsum(sizes, dtype=np.int64)
    last[ends[ends < n_samples] - 1, -1] = True
    last[-1, -1] = True
    return last.ravel()


@SOME
@given(data=st.data())
def test_any_images_in_any_transfers_are_answered_exactly(
    built: Built, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(data.draw(seeds))
    n_samples = data.draw(st.integers(1, 12))
    sizes = data.draw(st.lists(st.integers(1, 5), max_size=5))
    inputs = raw_inputs(rng, n_samples, built.network.sizes[0], built.form)
    beats = stream.pack_images(inputs, built.form)
    scratch = tmp_path_factory.mktemp("run")
    last = last_of_transfers(*beats.shape, sizes)
    got = axis.run_axis(built.executable, beats, last, scratch)

    expected = built.network.run(inputs)
    wanted = stream.pack_results(expected.accumulators[-1], expected.classes)
    assert np.array_equal(got.data, wanted.ravel())
    assert np.array_equal(got.last, last_of_transfers(*wanted.shape, sizes))
    assert np.all(got.keep == 0xFF)


def test_all_images_equal_the_reference(built: Built, tmp_path: Path) -> None:
    arguments = (built.executable, built.network, built.inputs, built.expected, tmp_path)
    assert axis.stream_difference(*arguments) is None
    assert axis.require_exact(*arguments) == 60 * (built.n_out + 1)


@SOME
@given(data=st.data())
def test_an_image_cut_short_counts_as_dark_and_the_next_begins_anew(
    built: Built, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    n_beats = stream.beats_per_image(built.network.sizes[0], built.bits)
    cut = data.draw(st.integers(1, n_beats))  # beats that come of image 1
    inputs = built.inputs[:3].copy()
    beats = stream.pack_images(inputs, built.form).ravel()
    last = np.zeros(3 * n_beats, dtype=bool)
    last[[n_beats + cut - 1, -1]] = True
    sent = np.r_[: n_beats + cut, 2 * n_beats : 3 * n_beats]
    scratch = tmp_path_factory.mktemp("run")
    got = axis.run_axis(built.executable, beats[sent], last[sent], scratch)

    inputs[1, cut * stream.pixels_per_beat(built.bits) :] = 0
    expected = built.network.run(inputs)
    wanted = stream.pack_results(expected.accumulators[-1], expected.classes)
    assert np.array_equal(got.data, wanted.ravel())
    assert np.flatnonzero(got.last).tolist() == [2 * wanted.shape[1] - 1, 3 * wanted.shape[1] - 1]


def test_the_rest_of_an_image_is_waited_for(built: Built, tmp_path: Path) -> None:
    beats = stream.pack_images(built.inputs[:2], built.form).ravel()[:-1]
    got = axis.run_axis(built.executable, beats, np.zeros(len(beats), dtype=bool), tmp_path)
    assert len(got.data) == stream.beats_per_result(built.n_out)
    assert not got.last.any()


def test_one_flipped_bit_of_a_pixel_is_caught(built: Built, tmp_path: Path) -> None:
    flipped = built.inputs.copy()
    flipped[7, 11] ^= built.form.max_raw // 2 + 1
    arguments = (built.executable, built.network, flipped, built.expected, tmp_path)
    found = axis.stream_difference(*arguments)
    assert found is not None and "at image 7, beat" in found


def test_pixels_packed_the_other_way_round_are_caught(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = axis.pack_images
    monkeypatch.setattr(axis, "pack_images", lambda rows, form: right(rows[:, ::-1], form))
    arguments = (built.executable, built.network, built.inputs, built.expected, tmp_path)
    found = axis.stream_difference(*arguments)
    assert found is not None and "differs from the integer reference at image" in found


def run_bench(built: Built, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([built.executable], cwd=folder, capture_output=True, text=True)


def test_the_bench_passes_as_csim_design_runs_it(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.folder / "tb_data", tmp_path / "tb_data")
    run = run_bench(built, tmp_path)
    assert run.returncode == 0
    assert run.stdout == "10 images in 6 transfers equal the integer reference\n"


@pytest.mark.parametrize("column", [-1, -2, -3])
def test_the_bench_catches_a_wrong_class_or_logit(
    built: Built, column: int, tmp_path: Path
) -> None:
    shutil.copytree(built.folder / "tb_data", tmp_path / "tb_data")
    table = built.expected.head(10).table()
    table[4, column] ^= 1
    (tmp_path / "tb_data" / "expected.txt").write_bytes(integer_lines(table))
    run = run_bench(built, tmp_path)
    assert run.returncode == 1 and "image 4, beat" in run.stderr


def test_the_bench_catches_a_wrong_pixel(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.folder / "tb_data", tmp_path / "tb_data")
    inputs = built.inputs[:10].copy()
    inputs[3, 5] ^= built.form.max_raw // 2 + 1
    (tmp_path / "tb_data" / "inputs.txt").write_bytes(integer_lines(inputs))
    run = run_bench(built, tmp_path)
    assert run.returncode == 1 and "image 3, beat" in run.stderr


@pytest.mark.parametrize("built", [PARALLEL], indirect=True, ids=["io_parallel"])
def test_a_wrapper_with_a_wrong_tlast_is_caught(built: Built, tmp_path: Path) -> None:
    folder = shutil.copytree(built.folder, tmp_path / "hls")
    source = folder / "firmware" / "synapse_axis.cpp"
    text = source.read_text()
    assert "written.last = ended == 1 && " in text
    source.write_text(text.replace("written.last = ended == 1 && ", "written.last = "))
    beats = stream.pack_images(built.inputs[:2], built.form)
    bench = axis.build_bench(folder, tmp_path, tmp_path / "cache")
    got = axis.run_axis(bench, beats, last_of_transfers(*beats.shape, []), tmp_path)
    n_beats = stream.beats_per_result(built.n_out)
    assert np.flatnonzero(got.last).tolist() == [n_beats - 1, 2 * n_beats - 1]

    broken = Built(folder, bench, built.network, built.inputs, built.expected)
    arguments = (broken.executable, built.network, built.inputs, built.expected, tmp_path)
    assert "wrong TLAST at beat" in str(axis.stream_difference(*arguments))
    run = run_bench(broken, folder)
    assert run.returncode == 1 and "expected TKEEP 255 and TLAST 0" in run.stderr


# What Vitis HLS has of it, as UG1399 documents it; with the names and widths that matter here.
_AP_AXI_SDATA = """\
#include "ap_int.h"
template <int WData, int WUser, int WId, int WDest> struct ap_axiu {
    ap_uint<WData> data;
    ap_uint<WData / 8> keep;
    ap_uint<WData / 8> strb;
    ap_uint<1> last;
};
"""


@pytest.mark.parametrize("name", ["firmware/synapse_axis.cpp", "synapse_axis_test.cpp"])
def test_what_vitis_hls_sees_is_valid_too(built: Built, name: str, tmp_path: Path) -> None:
    (tmp_path / "ap_axi_sdata.h").write_text(_AP_AXI_SDATA)
    flags = ["-std=c++0x", "-fsyntax-only", "-D__VITIS_HLS__", "-w", f"-I{tmp_path}"]
    command = ["g++", *flags, "-Ifirmware/ap_types", name]
    run = subprocess.run(command, cwd=built.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_pragma_has_a_reason(built: Built) -> None:
    lines = (built.folder / "firmware" / "synapse_axis.cpp").read_text().splitlines()
    for before, line in pairwise(lines):
        if line.lstrip().startswith("#pragma HLS"):
            assert before.lstrip().startswith(("// ", "#pragma HLS")), line


@pytest.mark.parametrize("built", [PARALLEL], indirect=True, ids=["io_parallel"])
def test_a_broken_wrapper_names_the_error(built: Built, tmp_path: Path) -> None:
    folder = shutil.copytree(built.folder, tmp_path / "hls")
    (folder / "firmware" / "synapse_axis.h").write_text("oops\n")
    with pytest.raises(SynqError, match=r"g\+\+ could not build .*error"):
        axis.build_bench(folder, tmp_path, tmp_path / "cache")


def test_a_full_disk_is_said_in_one_line(built: Built, tmp_path: Path) -> None:
    beats = stream.pack_images(built.inputs[:2], built.form).ravel()
    axis.run_axis(built.executable, beats, np.zeros(len(beats), dtype=bool), tmp_path)
    command = [built.executable, tmp_path / "beats_0.bin", "/dev/full"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, "cannot write /dev/full: is the disk full?\n")


def test_a_failing_bench_is_named(built: Built, tmp_path: Path) -> None:
    (tmp_path / "answers_0.bin").mkdir()
    beats = stream.pack_images(built.inputs[:1], built.form)
    with pytest.raises(SynqError, match="wrapper stopped with code 1: cannot write"):
        axis.run_axis(built.executable, beats, last_of_transfers(*beats.shape, []), tmp_path)
