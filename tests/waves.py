"""The timing diagrams of docs/waves, as Icarus Verilog finds them of `hls_templates/rtl`.

A file is WaveDrom's JSON, and says besides what is simulated:

- `module`, `parameters`: what is instantiated;
- `before`: cycles between the reset and the first one that is drawn;
- `inputs`: those that are not drawn, and do not change; zero otherwise;
- `around`: Verilog that drives the inputs `driven`; `memories`: files for `$readmemh`;
- `base` of a lane: "signed", "hex" or "binary" values rather than decimal ones.

Inputs are what the file says; every other lane is what the simulation shows at the end of a cycle.
`python tests/waves.py` draws all anew (with PyPI's package `wavedrom`, which no test needs).
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
WAVES = ROOT / "docs/waves"
FIGURES = ROOT / "docs/figures/waves"
LIBRARY = ROOT / "hls_templates/rtl"

Wave = dict[str, Any]


def load(path: Path) -> Wave:
    wave: Wave = json.loads(path.read_text("ascii"))
    return wave


def lanes(wave: Wave) -> list[dict[str, Any]]:
    """Signals, without the clock and what only separates them."""
    return [lane for lane in wave["signal"] if lane.get("name", "clk") != "clk"]


def columns(wave: Wave) -> int:
    return len(wave["signal"][0]["wave"])


def ports(module: str, direction: str) -> list[str]:
    text = (LIBRARY / f"{module}.v").read_text("ascii")
    return re.findall(rf"^    {direction} (?:wire|reg) (?:signed )?(?:\[.*\] )?(\w+)", text, re.M)


def declared(module: str) -> set[str]:
    """The ports, wires and registers of a module's file, those of its generate blocks included."""
    text = re.sub(r"//.*", "", (LIBRARY / f"{module}.v").read_text("ascii"))
    found = set(ports(module, "input")) | set(ports(module, "output"))
    for names in re.findall(r"\b(?:wire|reg) (?:signed )?(?:\[[^;=]*?:[^;=]*?\] )?([^;]*);", text):
        found |= set(re.findall(r"(?:^|, )(\w+)", re.sub(r"=.*", "", names, flags=re.S)))
    return found


def levels(lane: dict[str, Any]) -> list[str]:
    """What a lane shows, cycle by cycle."""
    data, shown = list(lane.get("data", [])), []
    for symbol in lane["wave"]:
        if symbol == "=":
            shown.append(str(data.pop(0)))
        else:
            shown.append(shown[-1] if symbol == "." else symbol)
    assert not data, f"{lane['name']} has more data than values"
    return shown


def drawn(lane: dict[str, Any], shown: list[str], width: int) -> dict[str, Any]:
    """The lane that shows it."""
    symbols, data = "", []
    for number, value in enumerate(shown):
        if number and value == shown[number - 1]:
            symbols += "."
        elif width == 1 or value == "x":
            symbols += value
        else:
            symbols += "="
            data.append(value)
    kept = {key: value for key, value in lane.items() if key not in ("wave", "data")}
    return {**kept, "wave": symbols, **({"data": data} if data else {})}


def bench(wave: Wave) -> str:
    """A module that drives the inputs, and prints in each cycle what the lanes are to show."""
    module, driven = wave["module"], wave.get("driven", [])
    inputs = [name for name in ports(module, "input") if name not in ("clk", *driven)]
    named = {lane["name"]: levels(lane) for lane in lanes(wave) if lane["name"] in inputs}
    idle = {name: wave.get("inputs", {}).get(name, 0) for name in inputs}
    steps = [{**idle, **({"reset": 1} if "reset" in idle else {})}] * 3
    steps += [idle] * wave.get("before", 1)
    steps += [
        {**idle, **{name: int(shown[at], 0) for name, shown in named.items()}}
        for at in range(columns(wave))
    ]
    sets = "; ".join(f"{name} = given[{i} * 64 +: 64]" for i, name in enumerate(inputs))
    rows = [
        "{" + ", ".join(f"64'd{step[name] % 2**64}" for name in reversed(inputs)) + "}"
        for step in steps
    ]
    connected = ", ".join(
        f".{name}({name})" for name in (*ports(module, "input"), *ports(module, "output"))
    )
    parameters = ", ".join(f".{name}({value})" for name, value in wave["parameters"].items())
    formats = " ".join("%b" for _ in lanes(wave))
    shown = ", ".join(f"dut.{lane['name']}" for lane in lanes(wave))
    # The number of bits of a port is that of what the module declares.
    text = (LIBRARY / f"{module}.v").read_text("ascii")
    numbers = dict(re.findall(r"parameter (?:signed )?(?:\[.*?\] )?(\w+) = ([\w'*]+)", text))
    local = [f"localparam {n} = {v};" for n, v in {**numbers, **wave["parameters"]}.items()]
    ranges = {
        name: bits
        for bits, name in re.findall(
            r"^    (?:input|output) (?:wire|reg) ((?:signed )?(?:\[.*\])?) ?(\w+)", text, re.M
        )
    }
    kinds = [f"reg {ranges[name]} {name};" for name in ("clk", *inputs)]
    kinds += [f"wire {ranges[name]} {name};" for name in (*driven, *ports(module, "output"))]
    return "\n".join(
        [
            "module bench;",
            *(local + kinds + wave.get("around", [])),
            f"{module} #({parameters}) dut ({connected});",
            f"reg [{len(inputs) * 64 - 1}:0] given, steps [0:{len(steps) - 1}];",
            "integer at;",
            "initial begin",
            *(f"steps[{at}] = {row};" for at, row in enumerate(rows)),
            "clk = 0;",
            f"for (at = 0; at < {len(steps)}; at = at + 1) begin",
            f"given = steps[at]; {sets};",
            f'#8 if (at >= {len(steps) - columns(wave)}) $display("{formats}", {shown});',
            "clk = 1; #1 clk = 0; #1;",
            "end end endmodule",
        ]
    )


def shown_value(bits: str, base: str) -> str:
    if "x" in bits or "z" in bits:
        return "x"
    value = int(bits, 2)
    match base:
        case "signed":
            return str(value - (int(bits[0]) << len(bits)))
        case "hex":
            return f"0x{value:x}"
        case "binary":
            return bits
        case _:
            return str(value)


def simulated(wave: Wave) -> Wave:
    """The same with its lanes as the simulation shows them."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, words in wave.get("memories", {}).items():
            (Path(scratch) / name).write_text("\n".join(words) + "\n", "ascii")
        (Path(scratch) / "bench.v").write_text(bench(wave), "ascii")
        build = ["iverilog", "-g2005-sv", "-s", "bench", "-y", str(LIBRARY), "-o", "bench.vvp"]
        for command in ([*build, "bench.v"], ["vvp", "-n", "bench.vvp"]):
            done = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == columns(wave), done.stdout
    found = iter(zip(*rows, strict=True))
    signal = []
    for lane in wave["signal"]:
        if lane.get("name", "clk") != "clk":
            bits = next(found)
            shown = [shown_value(each, lane.get("base", "")) for each in bits]
            lane = drawn(lane, shown, len(bits[0]))
        signal.append(lane)
    return {**wave, "signal": signal}


def text_of(wave: Wave) -> str:
    """The JSON of a wave, a lane a line."""
    rest = {key: value for key, value in wave.items() if key != "signal"}
    lines = ",\n".join("    " + json.dumps(lane) for lane in wave["signal"])
    head = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in rest.items())
    return f'{{\n{head},\n  "signal": [\n{lines}\n  ]\n}}\n'


def short(wave: Wave) -> Wave:
    """Long words by their last digits: a cell has room for no more."""
    for lane in lanes(wave):
        if "data" in lane:
            lane["data"] = [v if len(v) <= 10 else f"..{v[-6:]}" for v in lane["data"]]
    return wave


def trimmed(figure: str) -> str:
    """Without WaveDrom's bricks that it does not use."""
    used = set(re.findall(r'href="#([^"]+)"', figure))
    tree = ElementTree.fromstring(figure)
    for parent in list(tree.iter()):
        for child in list(parent):
            is_brick = child.tag.endswith("}g") and len(child.get("id", "")) > 0
            if parent.tag.endswith("}defs") and is_brick and child.get("id") not in used:
                parent.remove(child)
    return ElementTree.tostring(tree, encoding="unicode")


def mark(text: str) -> str:
    """What a figure says of the text it was drawn from."""
    return f"<!-- sha256 of the source: {hashlib.sha256(text.encode()).hexdigest()} -->"


ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def main(names: list[str]) -> None:
    import wavedrom

    for path in sorted(WAVES.glob("*.json")):
        if not names or path.stem in names:
            text = text_of(simulated(load(path)))
            path.write_text(text, "ascii")
            figure = wavedrom.render(json.dumps(short(json.loads(text)))).tostring()
            (FIGURES / f"{path.stem}.svg").write_text(f"{trimmed(figure)}\n{mark(text)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
