"""Voltages of a crossbar with wires by badcrossbar. Runs where it is installed; needs no synq.

    python badcrossbar_nodes.py FOLDER

`FOLDER/job.npz`: `cells` (rows, columns) siemens; `resistance`, ohms of a segment. Writes
`FOLDER/sums.npz`: `voltages` (driven row, 2, rows, columns), on rows' and on columns' wires, and
`currents` (driven row, columns); and `FOLDER/result.json`. badcrossbar needs cairo to plot only.
"""

import importlib
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main() -> None:
    folder = Path(sys.argv[1])
    compute = importlib.import_module("badcrossbar.compute").compute
    logging.disable(logging.INFO)
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        cells, resistance = loaded["cells"], float(loaded["resistance"])
    found = compute(np.eye(len(cells)), 1 / cells, r_i=resistance)
    wires = (found.voltages.word_line, found.voltages.bit_line)
    voltages = np.stack(wires).transpose(3, 0, 1, 2)
    np.savez(folder / "sums.npz", voltages=voltages, currents=found.currents.output)
    (folder / "result.json").write_text(json.dumps({"version": version("badcrossbar")}))


if __name__ == "__main__":
    main()
