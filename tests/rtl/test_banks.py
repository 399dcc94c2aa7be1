"""Where rows lie, as the Verilog counts from an image's inputs and as Python lays out the codes."""

import subprocess
from pathlib import Path

import numpy as np

from synq.resources import folder
from synq.rtl.banks import Banks

DENSE = (
    "WORDS",
    "FIRST_WORDS",
    "BIAS_BANK",
    "BIAS_WORD",
    "TILES",
    "TILE_WORDS",
    "FIRST_TILE_WORDS",
)
EVENTS = ("BIAS_BANK", "BIAS_WORD", "TILES", "LAST_EMPTY")


def drawn(random: np.random.Generator, skips_zeros: bool) -> Banks:
    """Banks of any kind; a tile is whole words of them."""
    lanes, count = (int(random.integers(1, 12)) for _ in range(2))
    if skips_zeros:
        count = min(count, lanes)
    n_in = int(random.integers(1, 200))
    tile_rows = lanes * count * int(random.integers(1, 4)) if random.integers(2) else None
    waits = int(random.integers(0, 12))
    return Banks(n_in, bool(random.integers(2)), count, lanes, skips_zeros, waits, tile_rows)


def names(banks: Banks) -> tuple[str, ...]:
    return EVENTS if banks.skips_zeros else DENSE


def expected(banks: Banks) -> dict[str, int]:
    """Without a bias it has no place, and one tile is an image."""
    of_last = (
        banks.rows // banks.tile_rows == banks.tiles - 1 if banks.tile_rows else banks.rows >= 0
    )
    known = {
        "WORDS": banks.words,
        "FIRST_WORDS": banks.first_words,
        "TILES": banks.tiles,
        "LAST_EMPTY": int(not (of_last & (banks.rows < banks.n_in)).any()),
    }
    for bank, word in np.argwhere(banks.rows == banks.n_in).tolist():
        known |= {"BIAS_BANK": bank, "BIAS_WORD": word}
    if banks.tiles > 1:
        known |= {"TILE_WORDS": banks.tile_words, "FIRST_TILE_WORDS": banks.first_tile_words}
    return {name: known[name] for name in names(banks) if name in known}


def counted(
    banks: list[Banks], place: Path, right: str = "", wrong: str = ""
) -> list[dict[str, int]]:
    """What the modules count, by Icarus, with something `wrong` in place of what is `right`."""
    lines = []
    for number, each in enumerate(banks):
        kind = "events" if each.skips_zeros else "dense"
        parameters = {
            **{"X_BITS": 1, "PIXELS": each.n_in, "LANES": each.lanes, "BANKS": each.count},
            **{"BIAS": int(each.biased), "TILE_ROWS": each.tile_rows or 0, "ADDRESS": 12},
            **({} if each.skips_zeros else {"SKIP": each.skip}),
        }
        given = ", ".join(f".{name}({value})" for name, value in parameters.items())
        shown = ", ".join(f"rows_{number}.{name}" for name in names(each))
        lines.append(f"synq_rows_{kind} #({given}) rows_{number} ();")
        lines.append(f'initial #{number + 1} $display("{" %0d" * len(names(each))}", {shown});')
    (place / "bench.v").write_text("\n".join(["module bench;", *lines, "endmodule", ""]))
    sources = [f"synq_{name}.v" for name in ("rows_dense", "rows_events", "buffer")]
    texts = [(folder("hls_templates") / "rtl" / name).read_text("ascii") for name in sources]
    assert any(right in text for text in texts)
    for name, text in zip(sources, texts, strict=True):
        (place / name).write_text(text.replace(right, wrong) if right else text)
    command = ["iverilog", "-g2005", "-o", "bench.vvp", "-s", "bench", "bench.v", *sources]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=place, check=True, capture_output=True)
    rows = [map(int, line.split()) for line in done.stdout.splitlines()]
    return [dict(zip(names(each), row, strict=True)) for each, row in zip(banks, rows, strict=True)]


def test_the_verilog_counts_as_python_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    banks = [drawn(random, skips_zeros=number % 3 == 0) for number in range(90)]
    assert {each.tiles > 1 for each in banks} == {each.in_turn for each in banks} == {True, False}
    for each, found in zip(banks, counted(banks, tmp_path), strict=True):
        assert found | expected(each) == found, each
    wrong = counted(banks, tmp_path, "(LATE - 1) % OTHERS", "LATE % OTHERS")
    assert any(found | expected(each) != found for each, found in zip(banks, wrong, strict=True))
