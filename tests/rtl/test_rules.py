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
        "CODE_BITS_number_the_levels": "LEVELS=9",
        "ADDRESS_numbers_rows_and_levels": "WORDS=120",
    },
    "synq_array_serial": {
        "BANKS_is_at_least_1": "BANKS=0",
        "CODE_BITS_number_the_levels": "LEVELS=9",
        "ADDRESS_numbers_rows_and_levels": "WORDS=1015",
    },
    "synq_bucket_bank": {
        "READ_is_at_least_2": "READ=1",
        "WIDTH_holds_an_input": "WIDTH=7",
        "X_SIGNED_is_0_or_1": "X_SIGNED=2",
        "SETS_are_1_or_2": "SETS=3",
    },
    "synq_bucket_lane": {"CODE_BITS_are_at_least_2": "CODE_BITS=1"},
    "synq_code_sets": {"READ_is_at_least_2": "READ=1"},
    "synq_converters": {"BITS_are_at_least_2": "BITS=1"},
    "synq_counters": {"DOUBLED_is_0_or_2": "DOUBLED=1"},
    "synq_loader": {"ANSWER_is_at_least_1_beat": "ANSWER=0"},
    "synq_mac_bank": {
        "READ_is_at_least_2": "READ=1",
        "WEIGH_is_3": "WEIGH=4",
        "X_SIGNED_is_0_or_1": "X_SIGNED=2",
    },
    "synq_pool": {
        "OUT_BITS_hold_what_is_pooled": "OUT_BITS=23",
        "POOL_is_not_larger_than_what_is_pooled": "POOL_DOWN=25",
    },
    "synq_result": {"ACC_BITS_is_at_most_32": "ACC_BITS=33"},
    "synq_rom": {"READ_is_at_least_2": "READ=1"},
    "synq_rows_dense": {
        "FETCH_is_2": "FETCH=3",
        "ADDRESS_numbers_the_words": "ADDRESS=6",
        "SKIP_is_at_most_BEATS": "SKIP=99",
        "SKIP_of_tiles_is_BEATS": "TILE_ROWS=90",
        "X_BITS_hold_BIAS_INPUT": "BIAS=1 BIAS_INPUT=128 X_SIGNED=1",
        "TILE_ROWS_are_whole_words": "SKIP=98 TILE_ROWS=91",
    },
    "synq_rows_events": {
        "FETCH_is_2": "FETCH=1",
        "LANES_are_at_least_BANKS": "LANES=7",
        "ADDRESS_numbers_the_words": "ADDRESS=6",
        "X_BITS_hold_BIAS_INPUT": "BIAS=1 BIAS_INPUT=256",
        "TILE_ROWS_are_whole_beats": "TILE_ROWS=100",
    },
    "synq_table": {"INPUTS_are_1_to_6": "INPUTS=7"},
    "synq_window": {
        "ROWS_hold_a_kernel_and_the_next_rows": "ROWS=5",
        "PAD_is_less_than_the_kernel": "PAD_TOP=5",
    },
    "synq_window_whole": {
        "WIDTH_is_at_least_2": "WIDTH=1 ACROSS=1 KERNEL_ACROSS=1",
        "PAD_is_less_than_the_kernel": "PAD_TOP=5",
        "QUEUE_is_at_least_2": "QUEUE=1",
    },
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
    module, parameter = "synq_bucket_lane", ("CODE_BITS", "1")
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
        assert "error_CODE_BITS_are_at_least_2" in process.stdout + process.stderr
