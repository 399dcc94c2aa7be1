from pathlib import Path

import pytest

from projects import MINE
from synq.board import Board, Sources, board_names, load_board
from synq.cost import Resources
from synq.errors import SynqError, UsageError

# Each part's published totals, not what the files say; block RAM in units of 18 Kbit
PUBLISHED = {
    "pynq-z2": ("xc7z020clg400-1", Resources(53_200, 17_400, 106_400, 280, 220, 0)),
    "pynq-z1": ("xc7z020clg400-1", Resources(53_200, 17_400, 106_400, 280, 220, 0)),
    "zcu104": ("xczu7ev-ffvc1156-2-e", Resources(230_400, 101_760, 460_800, 624, 1_728, 96)),
    "kv260": ("xck26-sfvc784-2LV-c", Resources(117_120, 57_600, 234_240, 288, 1_248, 64)),
    "ultra96v2": ("xczu3eg-sbva484-1-i", Resources(70_560, 28_800, 141_120, 432, 360, 0)),
    "ulx3s-85f": ("LFE5U-85F-6BG381C", Resources(83_640, 41_820, 83_640, 208, 156, 0)),
    "arty-a7-100t": ("xc7a100tcsg324-1", Resources(63_400, 19_000, 126_800, 270, 240, 0)),
    "alveo-u250": (
        "xcu250-figd2104-2L-e",
        Resources(1_728_000, 791_040, 3_456_000, 5_376, 12_288, 1_280),
    ),
}


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_every_board_ships() -> None:
    assert board_names() == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_board(name: str) -> None:
    board = load_board(name)
    assert (board.name, board.part, board.resources) == (name, *PUBLISHED[name])
    clocks = {"zynq": 10.0, "artix7": 10.0, "ecp5": 16.0}
    assert board.clock_ns == clocks.get(board.family, 5.0)
    # every CLB of AMD's families has two flip-flops a look-up table, a slice of ECP5 one
    assert board.resources.ff == board.resources.lut * (1 if board.family == "ecp5" else 2)


def test_alveo_says_that_the_shell_is_not_deducted() -> None:
    board = load_board("alveo-u250")
    assert "shell" in board.description
    assert "shell" in board.sources.lut


def test_own_file(tmp_path: Path) -> None:
    board = load_board(write(tmp_path, MINE))
    assert board == Board(
        name="mine",
        description="A board of mine",
        part="xc7a35tcpg236-1",
        family="artix7",
        clock_ns=10.0,
        resources=Resources(20_800, 9_600, 41_600, 100, 90, 0),
        sources=Sources("s", "s", "s", "s", "s", "s", "s"),
    )
    assert isinstance(board.clock_ns, float)


@pytest.mark.parametrize(
    ("family", "hls", "known"),
    [
        ("zynquplusRFSOC", True, True),
        ("aartix7", True, True),
        ("virtexuplusHBM", True, True),
        ("versal", True, True),
        ("ecp5", False, True),
        ("cyclonev", False, False),
        ("ice40", False, False),
    ],
)
def test_families(
    family: str, hls: bool, known: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one that nothing is known of there is a word."""
    board = load_board(write(tmp_path, MINE.replace("artix7", family)))
    assert board.has_hls is hls
    assert bool(caplog.messages) is not known
    assert all(f"nothing of the family {family} of mine" in each for each in caplog.messages)


def test_unknown_board_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown board 'pynq-z3'; did you mean pynq-z2 or"):
        load_board("pynq-z3")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lut = 20800", "", r"missing field resources\.lut: it must be an integer between 1 and"),
        ("lut = 20800", "luts = 1\nlut = 1", r"unknown field resources\.luts; did you mean lut"),
        ('name = "mine"', 'name = "mine"\n"a\\nb" = 1', r"unknown field 'a\\nb'"),
        ("lut = 20800", "lut = 0", r"resources\.lut must be an integer between 1 and .*, got 0"),
        ("lut = 20800", "lut = -5", r"got -5"),
        ("lut = 20800", "lut = 20800.0", r"got 20800\.0"),
        ("lut = 20800", "lut = true", r"got True"),
        ("lut = 20800", 'lut = "many"', r"got 'many'"),
        ("dsp = 90", "dsp = -1", r"resources\.dsp must be an integer between 0"),
        ("clock_ns = 10", "clock_ns = 0.4", r"clock_ns must be a number between 0\.5 and 1000"),
        ("clock_ns = 10", "clock_ns = 1001", r"got 1001"),
        ("clock_ns = 10", "clock_ns = nan", r"got nan"),
        ("clock_ns = 10", "clock_ns = inf", r"got inf"),
        ("clock_ns = 10", "clock_ns = true", r"got True"),
        ("xc7a35tcpg236-1", "xc7[exit]", r"part must be a text of A-Z a-z 0-9 \. _ - only"),
        ("xc7a35tcpg236-1", "x;y", r"part must be"),
        ("xc7a35tcpg236-1", "x\\n", r"part must be"),
        ("xc7a35tcpg236-1", "-quiet", r"part must be"),
        ("xc7a35tcpg236-1", "", r"part must be"),
        ('name = "mine"', 'name = "../mine"', r"name must be a text of"),
        ("A board of mine", "two\\nlines", r"description must be a text of one line"),
        ('lut = "s"', 'lut = ""', r"sources\.lut must be a text"),
        ("[sources]", "[source]", r"unknown field source; did you mean sources"),
        ('name = "mine"', 'name = "mine"\nsources = 1', r"not valid TOML"),
        (MINE, "resources = 1", r"missing field name"),
        (MINE, "name = ", r"not valid TOML"),
        (MINE, "a = " + "[" * 10_000, r"not valid TOML"),
        (MINE, "a = " + "1" * 10_000, r"not valid TOML"),
    ],
)
def test_broken_file_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = write(tmp_path, MINE.replace(old, new, 1))
    with pytest.raises(SynqError, match=message) as caught:
        load_board(file)
    text = str(caught.value)
    assert text.startswith(f"{file}: ")
    assert "\n" not in text
    assert caught.value.exit_code == 1


def test_table_that_is_no_table(tmp_path: Path) -> None:
    head = MINE.partition("[resources]")[0]
    with pytest.raises(SynqError, match="resources must be a table, got 3"):
        load_board(write(tmp_path, head + "resources = 3\nsources = 4"))


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SynqError, match=r"none\.toml: cannot be read \(No such file"):
        load_board(str(tmp_path / "none.toml"))
    with pytest.raises(SynqError, match=r"cannot be read \(Is a directory\)"):
        load_board(f"{tmp_path}/")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(SynqError, match="not valid TOML"):
        load_board(str(tmp_path / "latin.toml"))
