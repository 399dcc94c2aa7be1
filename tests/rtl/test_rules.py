"""Parameters of the Verilog's modules that disagree are found at elaboration, by every tool."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from synq.errors import SynqError
from synq.resources import folder
from synq.rtl.simulate import Verilator

LIBRARY = {
    Path(item.name).stem: item.read_text("ascii")
    for item in (folder("hls_templates") / "rtl").iterdir()
    if item.name.startswith("synq_")
}

# Of each rule, parameters that break it, and it alone.
BROKEN = {
    "synq_activation": {"ROUND_is_0_1_or_2": "ROUND=3"},
    "synq_answer": {"ACC_BITS_is_at_most_32": "ACC_BITS=33"},
    "synq_array": {
        "DECODED_is_at_least_1": "DECODED=0",
        "IMAGES_is_1_or_2": "IMAGES=3",
        "INDEX_BITS_number_the_levels": "LEVELS=9",
        "ADDRESS_numbers_rows_and_levels": "WORDS=120",
    },
    "synq_array_serial": {
        "BANKS_is_at_least_1": "BANKS=0",
        "INDEX_BITS_number_the_levels": "LEVELS=9",
        "ADDRESS_numbers_rows_and_levels": "WORDS=1015",
    },
    "synq_bucket_bank": {
        "READ_is_at_least_2": "READ=1",
        "WIDTH_holds_an_input": "WIDTH=7",
        "X_SIGNED_is_0_or_1": "X_SIGNED=2",
        "SETS_are_1_or_2": "SETS=3",
    },
    "synq_bucket_lane": {"CODE_BITS_hold_an_index_and_a_sign": "INDEX_BITS=4"},
    "synq_code_sets": {
        "DEPTH_is_that_of_ADDRESS": "DEPTH=3",
        "READ_is_at_least_2": "READ=1",
        "SLICES_make_a_word": "SLICES=2",
    },
    "synq_converters": {"BITS_are_at_least_2": "BITS=1", "INDEX_numbers_the_beats": "BEATS=3"},
    "synq_gearbox": {"COUNT_numbers_the_pixels": "COUNT=9"},
    "synq_intake": {"INDEX_numbers_the_beats": "BEATS=129", "LAST_LANES_is_1_to_LANES": "LANES=7"},
    "synq_largest": {"LEVELS_compare_all_sums": "LEVELS=3", "INDEX_numbers_the_sums": "INDEX=3"},
    "synq_loader": {"ANSWER_is_at_least_1_beat": "ANSWER=0"},
    "synq_mac_bank": {
        "DIRECT_codes_are_values": "DIRECT=1",
        "READ_is_at_least_2": "READ=1",
        "WEIGH_is_3": "WEIGH=4",
        "X_SIGNED_is_0_or_1": "X_SIGNED=2",
    },
    "synq_noise": {"COLUMN_numbers_the_beats": "LANES=2"},
    "synq_result": {"ACC_BITS_is_at_most_32": "ACC_BITS=33", "CLASS_BITS_hold_N_OUT": "N_OUT=32"},
    "synq_rom": {"DEPTH_is_that_of_ADDRESS": "DEPTH=3", "READ_is_at_least_2": "READ=1"},
    "synq_rows_dense": {
        "FETCH_is_2": "FETCH=3",
        "ROTATE_needs_fewer_LANES_than_BANKS": "LANES=9",
        "GROUP_is_LANES_by_BANKS": "ROTATE=0 GROUP=2",
        "ADDRESS_numbers_the_words": "WORDS=129",
        "ADDRESS_numbers_the_beats": "ROTATE=0 INDEX=8",
        "INDEX_numbers_the_beats": "INDEX=6",
        "BIAS_has_a_place": "BIAS=1 BIAS_BANK=9",
        "X_BITS_hold_BIAS_INPUT": "BIAS=1 BIAS_INPUT=128 X_SIGNED=1",
        "TILE_WORDS_leave_some_for_the_last_tile": "TILES=2 FIRST_TILE_WORDS=40",
        "FIRST_TILE_WORDS_are_in_FIRST_WORDS": "TILES=3 TILE_WORDS=40 FIRST_TILE_WORDS=41",
    },
    "synq_rows_events": {
        "FETCH_is_2": "FETCH=1",
        "LANES_are_at_least_BANKS": "LANES=7",
        "GROUP_is_LANES_by_BANKS": "GROUP=2",
        "BIAS_has_a_place": "BIAS=1 BIAS_WORD=128",
        "X_BITS_hold_BIAS_INPUT": "BIAS=1 BIAS_INPUT=256",
    },
    "synq_select": {
        "INDEX_numbers_the_words": "COUNT=3",
        "STAGES_choose_by_all_of_INDEX": "INDEX=3 STAGES=1",
    },
    "synq_table": {"INPUTS_are_1_to_6": "INPUTS=7"},
    "synq_unload": {"BEATS_hold_N_OUT": "N_OUT=3"},
    "synq_value_sets": {"INDEX_numbers_the_values": "COUNT=3"},
}


def rules(text: str) -> set[str]:
    return set(re.findall(r"\berror_(\w+) error \(\);", text))


def test_every_rule_is_tried() -> None:
    assert {name: rules(text) for name, text in LIBRARY.items() if rules(text)} == {
        name: set(broken) for name, broken in BROKEN.items()
    }


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("library")
    for name, text in LIBRARY.items():
        (place / f"{name}.v").write_text(text)
    return place


def elaborate(verilator: Verilator, library: Path, module: str, parameters: str = "") -> None:
    """What Verilator says of a module by itself; warnings are those of its default parameters."""
    options = [f"-G{each}" for each in parameters.split()]
    files = [f"{name}.v" for name in LIBRARY]
    verilator.run(["--lint-only", "-Wno-fatal", *options, "--top-module", module, *files], library)


@pytest.mark.parametrize("module", sorted(BROKEN))
def test_parameters_that_disagree_are_named(
    verilator: Verilator, library: Path, module: str
) -> None:
    elaborate(verilator, library, module)
    for rule, parameters in BROKEN[module].items():
        with pytest.raises(SynqError, match=f"error_{rule}'"):
            elaborate(verilator, library, module, parameters)


def test_yosys_and_icarus_find_them_too(library: Path) -> None:
    module, parameter = "synq_intake", ("LANES", "7")
    source = f"{module}.v"
    yosys = (
        "from pyosys import libyosys as ys; design = ys.Design(); "
        f"ys.run_pass('read_verilog -defer -sv {source}', design); "
        f"ys.run_pass('hierarchy -check -top {module} -chparam {' '.join(parameter)}', design)"
    )
    flag = f"-P{module}.{'='.join(parameter)}"
    for command in (
        [sys.executable, "-c", yosys],
        ["iverilog", "-g2005-sv", "-o", "out.vvp", "-s", module, flag, source],
    ):
        process = subprocess.run(command, cwd=library, capture_output=True, text=True)
        assert process.returncode != 0
        assert "error_LAST_LANES_is_1_to_LANES" in process.stdout + process.stderr
