"""Reports of every kind that `synq report` reads, and boards."""

import json
import random
from contextlib import suppress
from pathlib import Path

from fuzzing.kind import JSON, TEXT, Kind, Mutator, mutated
from synq.board import load_board
from synq.cli.report import report_json
from synq.cost import Estimate, Resources
from synq.errors import SynqError
from synq.synth.comparison import Reference
from synq.synth.reports import find_reports, read_report

_DATA = Path(__file__).parents[1] / "synth" / "data"
_BOARDS = Path(__file__).parents[2] / "boards"


def encode_otherwise(rng: random.Random, content: bytes) -> bytes:
    """The file in another encoding, or with other line ends."""
    text = content.decode("utf-8", errors="replace")
    match rng.randrange(5):
        case 0:
            return text.encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-7"]), "replace")
        case 1:
            return b"\xef\xbb\xbf" + content
        case 2:
            return content.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x85"]))
        case 3:
            return text.replace("e", "é").encode("latin-1", "replace")
        case _:
            return content.replace(b" ", rng.choice([b"\t", b"\xc2\xa0", b"\0", b"  "]))


def shuffle_cells(rng: random.Random, content: bytes) -> bytes:
    """Cells of tables, or elements, in another order, or of another number."""
    mark = rng.choice([b"|", b">", b"+", b" ", b","])
    pieces = content.split(mark)
    at = rng.randrange(len(pieces))
    some = pieces[at : at + rng.choice((2, 5, 50))]
    rng.shuffle(some)
    return mark.join([*pieces[:at], *some[: rng.randrange(len(some) + 1)], *pieces[at + 5 :]])


_MUTATORS: tuple[Mutator, ...] = (*TEXT, encode_otherwise, shuffle_cells)


_REFERENCE = Reference(load_board("pynq-z2"), Estimate(Resources(1, 1, 1, 1, 1, 1), 1, 1))


def read(path: Path) -> None:
    """Read a report by its folder and alone, and say of it what `synq report --json` does."""
    with suppress(SynqError):
        find_reports(path.parent)
    json.dumps(report_json(path, read_report(path), _REFERENCE))


def _kind(file: str, *names: str, mutators: tuple[Mutator, ...] = _MUTATORS) -> Kind:
    originals = [(_DATA / name).read_bytes() for name in names]
    return Kind(file, mutated(originals, mutators), read)


def _read_board(path: Path) -> None:
    load_board(str(path))


KINDS: dict[str, Kind] = {
    "csynth.xml": _kind(
        "csynth.xml",
        "reports/vivado_hls_2019.2_xc7z020_axi_csynth.xml",
        "reports/vitis_hls_2025.1_xc7z020_csynth.xml",
    ),
    "cosimulation": _kind("cosim.rpt", "reports/vitis_hls_cosim_pass.rpt"),
    "utilization": _kind(
        "utilization.rpt",
        "reports/vivado_2019.2_xc7z020_utilization_placed.rpt",
        "reports/vivado_2025.1_xc7z020_utilization_synth.rpt",
        "field/versal_rows_utilization.rpt",
        "field/vitis_accelerator_kernel_util_routed.rpt",
    ),
    "timing summary": _kind(
        "timing.rpt",
        "reports/vivado_2019.2_xc7z020_timing_summary_routed.rpt",
        "field/vivado_no_timed_paths_timing_summary.rpt",
    ),
    "Yosys JSON": _kind(
        "yosys.json", "reports/yosys_0.70_xc7z020.json", mutators=(*_MUTATORS, *JSON)
    ),
    "nextpnr JSON": _kind(
        "nextpnr.json",
        "reports/nextpnr_0.11.1_lfe5u-85f.json",
        "field/nextpnr_ice40.json",
        "reports/nextpnr_himbaechel_xc7z020_decode.json",
        mutators=(*_MUTATORS, *JSON),
    ),
    "nextpnr log": _kind("nextpnr.rpt", "reports/nextpnr_himbaechel_xc7z020_small.log"),
    "board TOML": Kind(
        "board.toml",
        mutated([path.read_bytes() for path in sorted(_BOARDS.glob("*.toml"))], _MUTATORS),
        _read_board,
    ),
}
