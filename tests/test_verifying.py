"""`synq verify`: one bit or integer changed in any file is noticed, its digest mended or not."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samples import samples
from synq.errors import SynqError
from synq.exporting import Destination, Export, export
from synq.fixedpoint import FixedPoint
from synq.hls import converter
from synq.hls.converter import Converted
from synq.learn.data.dataset import Dataset, with_input_bits
from synq.learn.data.load import Data
from synq.learn.prepare import Source
from synq.learn.train import RECIPES
from synq.network import QuantizedNetwork
from synq.progress import SILENT
from synq.project.manifest import MANIFEST, changed_files, read_manifest, write_manifest
from synq.quantizing import Quantization
from synq.request import Flow, Request
from synq.verifying import verify

pytestmark = pytest.mark.xdist_group("verify")  # one worker makes the projects once

Spoil = Callable[[Path], None]


def signed(mine: Dataset, bits: int) -> Dataset:
    """The data with as many negative inputs as positive ones; zeros stay."""

    def shifted(inputs: np.ndarray) -> np.ndarray:
        return np.where(inputs, inputs.astype(np.int16) - 128, 0).astype(np.int8)

    shifted_data = replace(
        mine,
        input_format=FixedPoint(8, 1, signed=True),
        train_inputs=shifted(mine.train_inputs),
        test_inputs=shifted(mine.test_inputs),
    )
    return with_input_bits(shifted_data, bits)


def make(folder: Path, flows: tuple[Flow, ...]) -> Export:
    """A project with signed inputs of 6 bits."""
    folder.mkdir(exist_ok=True)
    samples(folder)
    source = Source(
        RECIPES["paper"],
        folder / "mine.safetensors",
        Data(folder / "mine.npz"),
        None,
        folder / "cache",
    )
    place = Destination("pynq-z2", flows, "Vitis", "io_parallel", folder / "project", force=False)
    choice = Quantization(10, input_bits=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synq.learn.prepare.with_input_bits", signed)
        return export(source, "pcmo", choice, place, Request(), SILENT)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNQ_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("hls"), (Flow.HLS,)).output


@pytest.fixture(scope="module")
def made_rtl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("rtl"), (Flow.RTL,)).output


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def project_rtl(made_rtl: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made_rtl, tmp_path / "project_rtl")


def mend(project: Path, **changes: Any) -> None:
    """Write the manifest anew, so that it vouches for whatever is there."""
    manifest = read_manifest(project)
    del manifest["files"]
    (project / MANIFEST).unlink()
    write_manifest(project, {**manifest, **changes})


def flip(path: Path, pattern: bytes) -> None:
    """The last bit of the integer that `pattern` has in its group, the first one found."""
    content = path.read_bytes()
    found = re.search(pattern, content)
    assert found is not None, path
    digits = found[1]
    base = 16 if digits.startswith(b"0x") or path.suffix in (".mem", ".coe") else 10
    value = int(digits, base) ^ 1
    new = b"%d" % value if base == 10 else b"0x%08x" % value
    if base == 16 and not digits.startswith(b"0x"):
        new = (b"%x" % value).rjust(len(digits), b"0")
    path.write_bytes(content[: found.start(1)] + new + content[found.end(1) :])


def flip_bit(path: Path) -> None:
    """A bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_both_projects_are_as_exported(made: Path, made_rtl: Path) -> None:
    for path, checks in ((made, ["csim", "axis"]), (made_rtl, ["rtl"])):
        found = verify(path, SILENT)
        assert list(found.bit_exact["compared"]) == checks
        assert found.bit_exact["mismatches"] == 0 and found.images == 200
        assert 0 < found.rendered <= found.files
        network = QuantizedNetwork.from_npz(path / "network.npz")
        assert network.input_format == FixedPoint(6, 1, signed=True)
        with np.load(path / "vectors.npz") as vectors:
            assert vectors["inputs"].dtype == np.int8 and vectors["inputs"].min() == -32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda inputs: inputs.view(np.uint8), "inputs must be int8 and labels int64"),
        (lambda inputs: inputs.astype(np.int16), "inputs must be int8"),
        (lambda inputs: np.abs(inputs).clip(0, 31), "is not what its network and design give"),
        (lambda inputs: inputs * 2, "inputs must be between -32 and 31, got (-64|62)"),
    ],
    ids=["unsigned", "wider", "without signs", "too large"],
)
def test_other_inputs_are_noticed(project: Path, change: Callable[..., Any], said: str) -> None:
    with np.load(project / "vectors.npz") as vectors:
        inputs, labels = vectors["inputs"], vectors["labels"]
    np.savez(project / "vectors.npz", inputs=change(inputs), labels=labels)
    mend(project)
    with pytest.raises(SynqError, match=said):
        verify(project, SILENT)


# ---- Digests ------------------------------------------------------------------------------------


def test_one_bit_of_any_file_is_noticed(project: Path) -> None:
    listed = [name for name in read_manifest(project)["files"] if (project / name).stat().st_size]
    assert len(listed) > 100
    for name in listed:
        flip_bit(project / name)
        with pytest.raises(SynqError, match=re.escape(f"{name} has changed")):
            verify(project, SILENT)
        flip_bit(project / name)


@pytest.mark.parametrize(
    "name", ["rtl/extra.v", "hls/firmware/x.h", "driver/__init__.py", "flow/a.tcl", "a\nb", "x.bit"]
)
def test_an_added_file_is_noticed(name: str, project_rtl: Path) -> None:
    (project_rtl / name).parent.mkdir(parents=True, exist_ok=True)
    (project_rtl / name).write_text("module extra; endmodule\n")
    shown = name.replace("\n", "?")
    with pytest.raises(SynqError, match=re.escape(f"{shown} was added")):
        verify(project_rtl, SILENT)
    if name != "hls/firmware/x.h":  # there hls4ml's own files are, which only digests tell
        mend(project_rtl)
        with pytest.raises(SynqError, match=re.escape(f"{shown} was added")):
            verify(project_rtl, SILENT)


def test_a_link_is_no_file(project: Path, tmp_path: Path) -> None:
    network = project / "network.npz"
    network.rename(tmp_path / "network.npz")
    network.symlink_to(tmp_path / "network.npz")
    with pytest.raises(SynqError, match=r"network\.npz has changed"):
        verify(project, SILENT)


def test_what_the_tools_leave_is_allowed(made: Path, tmp_path: Path) -> None:
    project = shutil.copytree(made, tmp_path / "project")
    for name in ("flow/build/hls/a/b.v", "flow/logs/yosys.log", "flow/reports/x.rpt"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("made by a tool")
    for name in ("synq.bit", "synq.hwh"):
        (project / "driver" / name).write_text("made by a tool")
    assert changed_files(project, read_manifest(project)) == []
    assert verify(project, SILENT).images == 200


# ---- Rendered anew: the digest is mended too ----------------------------------------------------

RENDERED = {
    "tables/array_0_table.h": rb"(0x[0-9a-f]{8})u",
    "tables/array_0_codes.mem": rb"([0-9a-f]+)\n",
    "tables/array_1_codebook.coe": rb"vector=\n([0-9a-f]+)",
    "hls/firmware/array_0.h": rb"(0x[0-9a-f]{8})u",
    "hls/firmware/array_1.h": rb"_values\[\d+\] = \{(\d+)",
    "hls/firmware/nnet_utils/nnet_synapse_array.h": rb"accum_width = (\d+)",
    "hls/firmware/synapse_axis.h": rb"IMAGE_BEATS = (\d+)",
    "hls/synapse_network_test.cpp": rb"N_INPUTS = (\d+)",
    "hls/synapse_axis_test.cpp": rb"BYTES = (\d+)",
    "hls/tb_data/expected.txt": rb"(\d+)\n",
    "flow/settings.tcl": rb"clock_ns\) (\d+)",
    "driver/network.json": rb'"n_in": (\d+)',
    "driver/overlay.py": rb"(\d+)",
}


@pytest.mark.parametrize("name", list(RENDERED))
def test_a_file_whose_digest_was_mended_is_noticed(name: str, project: Path) -> None:
    flip(project / name, RENDERED[name])
    mend(project)
    assert changed_files(project, read_manifest(project)) == []
    with pytest.raises(SynqError, match=re.escape(f"{name} is not what its network and design")):
        verify(project, SILENT)


RENDERED_RTL = {
    "rtl/synq_layer_0.v": rb"\[(\d+):0\]",
    "rtl/synq.f": rb"synq_layer_(\d)",
    "rtl/synq.xdc": rb"-period (\d+)",
    "synq.core": rb"synq_layer_(\d)",
    "flow/settings.tcl": rb"clock_ns\) (\d+)",
    "flow/build.sh": rb"fail (\d)",
    "flow/rtl_ooc.tcl": rb"Synth (\d)",
    "flow/rtl_package.tcl": rb"-version (\d)",
    "flow/rtl_system.tcl": rb"NUM_SI (\d)",
    "driver/network.json": rb'"n_in": (\d+)',
    "driver/overlay.py": rb"(\d+)",
}


@pytest.mark.parametrize("name", list(RENDERED_RTL))
def test_a_file_of_the_verilog_whose_digest_was_mended_is_noticed(
    name: str, project_rtl: Path
) -> None:
    flip(project_rtl / name, RENDERED_RTL[name])
    mend(project_rtl)
    with pytest.raises(SynqError, match=re.escape(f"{name} is not what its network and design")):
        verify(project_rtl, SILENT)


@pytest.mark.parametrize("name", ["rtl/extra.v", "rtl/synq.g", "flow/system.tcl", "driver/x.bit"])
def test_a_file_that_was_added_to_the_verilog_is_noticed(name: str, project_rtl: Path) -> None:
    (project_rtl / name).write_text("x")
    with pytest.raises(SynqError, match=f"{name} was added"):
        verify(project_rtl, SILENT)
    mend(project_rtl)
    with pytest.raises(SynqError, match=f"{name} was added"):
        verify(project_rtl, SILENT)


def test_a_project_of_verilog_holds_what_one_of_hls_holds(made: Path, made_rtl: Path) -> None:
    def names(project: Path, folder: str) -> set[str]:
        return {path.name for path in (project / folder).iterdir()}

    for folder in ("driver", "tables"):
        assert names(made_rtl, folder) == names(made, folder)
    assert names(made_rtl, "flow") == {
        *("Makefile", "build.sh", "settings.tcl"),
        *("rtl_ooc.tcl", "rtl_package.tcl", "rtl_system.tcl"),
    }
    for project, bitfile in ((made, "synq.bit"), (made_rtl, "synq_rtl.bit")):
        about = json.loads((project / "driver" / "network.json").read_text())
        assert about["beat_bits"] == {bitfile: 64}


@pytest.mark.parametrize("name", ["tables/array_0.npz", "driver/vectors.npz", "network.npz"])
def test_a_missing_file_whose_line_is_gone_is_noticed(name: str, project: Path) -> None:
    (project / name).unlink()
    mend(project)
    with pytest.raises(SynqError, match=re.escape(f"{name} is missing")):
        verify(project, SILENT)


def spoil_labels(project: Path) -> None:
    with np.load(project / "vectors.npz") as parts:
        inputs, labels = parts["inputs"], parts["labels"].copy()
    labels[7] = (labels[7] + 1) % 10
    np.savez(project / "vectors.npz", inputs=inputs, labels=labels)


# ---- Simulated: what hls4ml wrote, or another version of synq -----------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("hls/firmware/defines.h", "AP_RND_CONV", "AP_TRN", "C simulation differs"),
        ("hls/firmware/array_0.h", "u}", "u ^ 1}", "C simulation differs .*array_0"),
        ("hls/firmware/synapse_axis.cpp", "high > low", "high < low", "AXI4-Stream wrapper diff"),
    ],
)
def test_what_is_not_rendered_is_simulated(
    name: str, old: str, new: str, message: str, project: Path
) -> None:
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new, 1))
    mend(project, synq="another version")
    with pytest.raises(SynqError, match=f"not bit-exact: .*{message}"):
        verify(project, SILENT)


def test_another_version_renders_nothing_anew(project: Path) -> None:
    mend(project, synq="another version")
    found = verify(project, SILENT)
    assert (found.rendered, found.made_by) == (0, "another version")


def test_wrong_labels_are_noticed(project: Path) -> None:
    spoil_labels(project)
    mend(project)
    with pytest.raises(SynqError, match=r"driver/vectors\.npz is not"):
        verify(project, SILENT)


# ---- The checks of an export --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("model_stages", "QKeras differs"),
        ("library_stages", "hls4ml's compiled library differs"),
    ],
)
def test_one_integer_of_tensorflow_or_hls4ml_fails_the_export(
    check: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(Converted, check)

    def wrong(*arguments: Any) -> Any:
        stages = right(*arguments)
        stages[1][1][150, 3] += 1
        return stages

    monkeypatch.setattr(Converted, check, wrong)
    with pytest.raises(SynqError, match=f"not bit-exact: {message}.* image 150, activation_0"):
        make(tmp_path, (Flow.HLS,))
    assert not (tmp_path / "project").exists()


# For the process of TensorFlow: the sign of a weight is another in the model that is built.
SPOILT = """
from synq.hls.keras import qkeras_model
right = qkeras_model.build_model
def spoilt(network):
    model = right(network)
    layer = model.get_layer("array_0")
    (kernel,) = layer.get_weights()
    kernel[0, 0] = -kernel[0, 0]
    layer.set_weights([kernel])
    return model
qkeras_model.build_model = spoilt
"""


def test_one_bit_of_a_weight_of_the_model_fails_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "_SERVE", SPOILT + converter._SERVE)
    monkeypatch.setattr(converter, "_converter", None)
    with pytest.raises(SynqError, match=r"QKeras differs .* array_0, neuron 0"):
        make(tmp_path, (Flow.HLS,))


# ---- Manifests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["configuration", "board", "dataset", "network", "designs", "flows"]
)
@pytest.mark.parametrize("value", [None, [], ["a"], {}, "text", 3, {"hls": []}])
def test_a_manifest_of_other_types_is_one_line(key: str, value: Any, project: Path) -> None:
    text = (project / MANIFEST).read_text()
    (project / MANIFEST).write_text(json.dumps({**json.loads(text), key: value}))
    with pytest.raises(SynqError) as refused:
        verify(project, SILENT)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: manifest["network"]["arrays"][0].update(n_in=31),
        lambda manifest: manifest["designs"]["hls"]["arrays"].pop(),
        lambda manifest: manifest["designs"]["hls"]["arrays"][0].update(parallel_rows="8"),
        lambda manifest: manifest["designs"]["hls"]["arrays"][0].update(datapath=[]),
        lambda manifest: manifest["board"].update(clock_ns="fast"),
        lambda manifest: manifest["board"].update(family="zynquplus"),
        lambda manifest: manifest["configuration"].update(quantization=[]),
        lambda manifest: manifest["accuracy"].update(csim=99.0),
        lambda manifest: manifest.update(accuracy=[]),
    ],
)
def test_a_manifest_that_does_not_fit_is_one_line(
    spoil: Callable[[dict[str, Any]], Any], project: Path
) -> None:
    manifest = json.loads((project / MANIFEST).read_text())
    spoil(manifest)
    (project / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(SynqError) as refused:
        verify(project, SILENT)
    assert "\n" not in str(refused.value)
