"""A small sweep: accuracy against the number of levels, proposed method beside sampling."""

import synq

data = synq.load_data("digits")
sweep = synq.sweep(synq.train(data), data=data, output="build/levels", levels=[5, 7, 10])
print(f"software {sweep.software[0]:.2f} %")
for curve in sweep.curves:
    for cell in curve.cells:
        print(f"{curve.label} L = {cell.levels}: {cell.mean:.2f} %")
