"""The simulation of the Verilog as a tool that can fail: disks, names, paths, manifests."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strategies import images, synapse_array
from synq import process
from synq.errors import SynqError
from synq.network import QuantizedNetwork
from synq.process import Command
from synq.progress import SILENT
from synq.rtl import simulate
from synq.rtl.back_end import read_design, simulate_rtl
from synq.rtl.design import RtlArray, RtlDesign
from synq.rtl.verilog import render_rtl
from synq.stream import beats_per_result

ODD = "a b$(touch x)\"'"
NETWORK = QuantizedNetwork((synapse_array(np.random.default_rng(1), 12, 3, levels=5),), ())
DESIGN = RtlDesign((RtlArray(0, 1),))
FILES = render_rtl(NETWORK, DESIGN)


@pytest.fixture(scope="module")
def driver(verilator: simulate.Verilator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("driver")
    simulate.write_rtl(FILES, place / "rtl")
    return simulate.build(place / "rtl", place, DESIGN, verilator)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of the Verilog, and beside it what the driver reads, for 20 images."""
    simulate.write_rtl(FILES, tmp_path / "rtl")
    simulate.write_rtl(FILES, tmp_path)
    given = images(np.random.default_rng(2), NETWORK, 20)
    (tmp_path / "beats.bin").write_bytes(simulate.beat_records(given, 8, 64, simulate.Traffic()))
    return tmp_path / "rtl"


# ---- A full disk --------------------------------------------------------------------------------


def drive(driver: Path, place: Path, results: str, limit: str = "") -> process.Ended:
    n_results = str(20 * beats_per_result(3))
    arguments = [str(driver), "beats.bin", results, n_results, "1", "0", "0", "1000", "0"]
    return process.run(
        Command(["/bin/sh", "-c", f'{limit} exec "$@"', "sh", *arguments], place.parent)
    )


def test_answers_to_a_full_disk(driver: Path, place: Path) -> None:
    ended = drive(driver, place, "/dev/full")
    assert (ended.code, ended.last_line) == (2, "cannot write /dev/full: No space left on device")
    assert drive(driver, place, "/dev/null").code == 0


def test_sums_to_a_full_disk(driver: Path, place: Path) -> None:
    ended = drive(driver, place, "/dev/null", "trap '' XFSZ; ulimit -f 0;")
    assert (ended.code, ended.last_line) == (
        2,
        "cannot write what the monitors saw: File too large",
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (": > results.bin", "wrote 0 of 18 beats"),
        ("truncate -s 100 array_0.txt", "wrote array_0 of fewer images"),
        ("rm array_0.txt", "wrote array_0 of fewer images"),
    ],
)
def test_files_that_are_cut_off(spoil: str, message: str, driver: Path, place: Path) -> None:
    spoiling = place.parent / "spoiling"
    spoiling.write_text(f'#!/bin/sh\n"{driver}" "$@" && {spoil}\n')
    spoiling.chmod(0o755)
    given = images(np.random.default_rng(3), NETWORK, 20 // beats_per_result(3))
    with pytest.raises(SynqError, match=rf"{message}.*: is the disk full\?$"):
        simulate.run(spoiling, place, NETWORK, DESIGN, given, place.parent / "run", parts=1)


# ---- Names and paths ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["x.mem; exec -- touch x; #.v", "-o.v", "a/b.v", "../a.v", "a.v\n", "é.v", "a.sh", ""]
)
def test_a_name_that_is_not_ours_reaches_no_tool(name: str, tmp_path: Path) -> None:
    with pytest.raises(SynqError, match="is no file of a core") as caught:
        simulate.write_rtl({**FILES, name: b""}, tmp_path / "rtl")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "rtl").exists()


def test_a_flipped_bit_is_found_wherever_verilator_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package may lie below any folder, as a virtual environment does."""
    found = simulate.find_verilator()
    if found.root is not None:
        (tmp_path / ODD).mkdir()
        (tmp_path / ODD / "verilator").symlink_to(found.root)
        monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / ODD))
    (memory,) = (name for name in FILES if name.endswith(".mem"))
    first, *others = FILES[memory].splitlines()
    flipped = b"%0*x" % (len(first), int(first, 16) ^ 1)
    files = {**FILES, memory: b"\n".join([flipped, *others])}
    given = images(np.random.default_rng(3), NETWORK, 20)
    expected = NETWORK.run(given)
    with pytest.raises(SynqError, match=r"not bit-exact: .*array_0, neuron 0"):
        simulate_rtl(files, NETWORK, DESIGN, given, expected, tmp_path / "sim", SILENT)


def test_the_first_verilator_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("c", "b", "a")]
    for place in places:
        (place / "verilator" / "bin").mkdir(parents=True)
        (place / "verilator" / "bin" / "verilator_bin").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", {"platlib": str(places[0]), "purelib": "/x"}.get)
    monkeypatch.setattr("sys.path", [str(place) for place in places[1:]])
    for place in places:
        assert simulate.find_verilator().root == place / "verilator"
        shutil.rmtree(place)


# ---- The manifest -------------------------------------------------------------------------------


def test_the_design_is_read_back() -> None:
    for design in (DESIGN, RtlDesign((RtlArray(2, 1, True, 3, 7), RtlArray(0, 0, unrolled=True)))):
        written = {"rtl": {**dataclasses.asdict(design), "estimate": {"lut": 1}}}
        assert read_design({"designs": json.loads(json.dumps(written))}) == design


def change(name: str, value: object) -> Callable[[dict[str, Any]], Any]:
    return lambda design: design.__setitem__(name, value)


@pytest.mark.parametrize(
    "spoil",
    [
        change("arrays", {}),
        change("arrays", 3),
        change("arrays", None),
        change("arrays", [[1, 2]]),
        change("arrays", [{}]),
        change("beat_bits", [64]),
        change("beat_bits", "64"),
        change("beat_bits", 64.0),
        change("beat_bits", 100),
        change("beat_bits", True),
        change("unknown", 1),
        lambda design: design.pop("arrays"),
        lambda design: change("bucket_rows", [1])(design["arrays"][0]),
        lambda design: change("bucket_rows", 1.5)(design["arrays"][0]),
        lambda design: change("event_driven", 1)(design["arrays"][0]),
        lambda design: change("lanes", 0)(design["arrays"][0]),
        lambda design: change("a\nb", 0)(design["arrays"][0]),
    ],
)
def test_a_manifest_that_describes_no_design(spoil: Callable[[dict[str, Any]], Any]) -> None:
    design = json.loads(json.dumps(dataclasses.asdict(DESIGN)))
    spoil(design)
    with pytest.raises(SynqError, match="the manifest describes no Verilog design"):
        read_design({"designs": {"rtl": design}})


@pytest.mark.parametrize(
    "designs", [None, [], {}, {"rtl": None}, {"rtl": []}, [["rtl", {}]], "rtl"]
)
def test_a_manifest_without_designs(designs: object) -> None:
    with pytest.raises(SynqError, match="the manifest describes no Verilog design"):
        read_design({"designs": designs})
    with pytest.raises(SynqError, match="the manifest describes no Verilog design"):
        read_design({})
