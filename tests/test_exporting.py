"""The main job on real MNIST, end to end: `synq-export --levels 10 --board pynq-z2`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from synq.cache import default_cache_dir
from synq.exporting import Destination, Export, export
from synq.learn.data.load import Data
from synq.learn.prepare import Source
from synq.learn.train import RECIPES
from synq.network import QuantizedNetwork
from synq.progress import SILENT, Progress
from synq.project.manifest import MANIFEST, changed_files, read_manifest
from synq.quantizing import Quantization
from synq.request import Flow, Request
from synq.verifying import verify
from told import Told

pytestmark = pytest.mark.xdist_group("export")  # one worker makes the projects once


def make(output: Path, progress: Progress = SILENT) -> Export:
    source = Source(RECIPES["paper"], None, Data(), None, default_cache_dir())
    place = Destination("pynq-z2", (Flow.HLS,), "Vitis", "io_parallel", output, force=False)
    return export(source, "pcmo", Quantization(10), place, Request(), progress)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return make(tmp_path_factory.mktemp("export") / "first place" / "project")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_accuracy_is_the_papers(made: Export) -> None:
    accuracy = made.scores.stages
    assert accuracy["software"] == pytest.approx(96.47, abs=0.3)
    assert accuracy["csim"] == pytest.approx(95.75, abs=0.4)
    assert accuracy["software"] - accuracy["csim"] < 1
    assert accuracy["reference"] == accuracy["csim"]
    assert made.images == 10_000


def test_manifest_tells_everything(made: Export) -> None:
    manifest = read_manifest(made.output)
    assert changed_files(made.output, manifest) == []
    assert set(manifest["files"]) == set(contents(made.output)) - {MANIFEST}
    assert manifest["configuration"]["board"] == "pynq-z2"
    assert manifest["training"]["seed"] == RECIPES["paper"].seed
    assert manifest["checkpoint"] == made.prepared.loaded.given.digest
    assert manifest["dataset"]["digest"] == made.prepared.dataset.digest
    assert manifest["accuracy"] == made.scores.stages
    whole = 10_000 * (128 + 128 + 10 + 1)
    compared = {"qkeras": whole, "hls4ml": whole, "csim": whole, "axis": 10_000 * 11}
    assert manifest["bit_exact"] == {"images": 10_000, "compared": compared, "mismatches": 0}
    assert manifest["board"]["family"] == "zynq"
    assert [array["effective_levels"] for array in manifest["network"]["arrays"]] == [10, 10]


def test_the_project_is_the_network(made: Export) -> None:
    network = QuantizedNetwork.from_npz(made.output / "network.npz")
    assert network.digest == made.prepared.network.digest


def test_same_arguments_same_bytes(made: Export, tmp_path: Path) -> None:
    told = Told()
    again = make(tmp_path / "second" / "other name", told)
    assert contents(made.output) == contents(again.output)
    assert [path.name for path in (tmp_path / "second").iterdir()] == ["other name"]
    assert told.labels == [
        *("Quantize", "Choose the designs", "Emit the project"),
        *("Compile and run the C simulation", "Draw the page"),
    ]
    assert told.cut_short == []


def test_verify_accepts_the_project(made: Export) -> None:
    told = Told()
    result = verify(made.output, told)
    assert told.labels == [
        *("Read the files", "Compute the reference", "Render the files anew"),
        "Compile and run the C simulation",
    ]
    assert told.cut_short == []
    assert (result.flows, result.images) == ((Flow.HLS,), 10_000)
    assert result.files > result.rendered > 30
    assert result.score == made.scores.stages["csim"]


def test_the_wheel_ships_boards_devices_and_templates(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, root],
        check=True,
        capture_output=True,
    )
    code = "import synq, sys; from synq.cli import main; sys.argv = ['synq', 'boards', '--json']; "
    run = subprocess.run(
        [sys.executable, "-c", code + "print(synq.__file__, file=sys.stderr); main()"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(site) in run.stderr
    assert "pynq-z2" in [board["name"] for board in json.loads(run.stdout)["boards"]]
    for shipped in ("devices/pcmo.toml", "hls_templates/nnet_synapse_array.h"):
        assert (site / "synq" / shipped).is_file()
