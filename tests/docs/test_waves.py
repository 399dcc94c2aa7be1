"""The timing diagrams are those of the modules: each is simulated again, and compared."""

import copy
from pathlib import Path

import pytest

from waves import FIGURES, LIBRARY, ROOT, WAVES, declared, lanes, load, mark, simulated, text_of

SOURCES = sorted(WAVES.glob("*.json"))
NAMES = [path.stem for path in SOURCES]


def last(name: str) -> str:
    """The name of a signal without the generate blocks that it is in, and its index."""
    return name.rpartition(".")[2].partition("[")[0]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_a_diagram_shows_signals_of_its_module(path: Path) -> None:
    wave = load(path)
    assert path.stem.startswith(wave["module"])
    assert (LIBRARY / f"{wave['module']}.v").is_file()
    names = {last(lane["name"]) for lane in lanes(wave)}
    assert names
    assert names <= declared(wave["module"])


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_a_diagram_is_what_the_simulation_shows(path: Path) -> None:
    assert text_of(simulated(load(path))) == path.read_text("ascii")


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_a_figure_is_drawn_from_its_source(path: Path) -> None:
    figure = (FIGURES / f"{path.stem}.svg").read_text()
    assert mark(path.read_text("ascii")) in figure
    for lane in lanes(load(path)):
        assert f">{lane['name']}<" in figure


def test_the_document_shows_every_figure() -> None:
    text = (ROOT / "docs/rtl.md").read_text()
    assert NAMES
    assert sorted(path.stem for path in FIGURES.glob("*.svg")) == NAMES
    for name in NAMES:
        assert f"(figures/waves/{name}.svg)" in text


def test_a_wrong_level_and_a_signal_that_is_not_there_are_found() -> None:
    wave = load(WAVES / "synq_gearbox.json")
    wrong = copy.deepcopy(wave)
    lane = next(lane for lane in wrong["signal"] if lane.get("name") == "out_valid")
    lane["wave"] = lane["wave"].replace("1", "0", 1)
    assert text_of(simulated(wrong)) != text_of(wrong)
    lane["name"] = "out_valids"
    assert last(lane["name"]) not in declared("synq_gearbox")
    with pytest.raises(AssertionError, match="out_valids"):
        simulated(wrong)
