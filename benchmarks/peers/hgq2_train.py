"""A perceptron that HGQ2 trains, as alkaid's Verilog. Runs where both and jax are installed.

    python hgq2_train.py FOLDER

`FOLDER/job.npz`: `train_inputs`, `test_inputs` (n_samples, n_in) reals; `train_labels`,
`test_labels`; `sizes`, neurons a layer, inputs first; `epochs`; `batch`; `betas`, the first and
the last price of a bit operation. Writes as `alkaid_verilog.py` does.
"""

import importlib
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np

SEED = 0
STAGE_DELAY = 5.0  # as in alkaid_verilog.py
AT_ONCE = 1000


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        job = {name: loaded[name] for name in loaded.files}
    names = ("keras", "hgq.layers", "hgq.config", "hgq.utils", "hgq.utils.sugar")
    keras, layers, config, utils, sugar = map(importlib.import_module, names)
    parts = ("trace", "codegen", "converter")
    trace, codegen, converter = (importlib.import_module(f"alkaid.{part}") for part in parts)
    n_in, *hidden, n_out = map(int, job["sizes"])
    train, test = (job[f"{name}_inputs"].astype(np.float32) for name in ("train", "test"))
    epochs, batch = int(job["epochs"]), int(job["batch"])
    first, last = map(float, job["betas"])

    start = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    with (
        config.QuantizerConfigScope(place="all", default_q_type="kbi", overflow_mode="SAT_SYM"),
        config.QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP"),
        config.LayerConfigScope(enable_ebops=True, beta0=first),
    ):
        stack = [layers.QDense(size, activation="relu") for size in hidden]
        model = keras.Sequential([keras.layers.Input((n_in,)), *stack, layers.QDense(n_out)])
    steps = epochs * -(-len(train) // batch)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    ramp = sugar.PieceWiseSchedule([(0, first, "log"), (epochs, last, "constant")])
    beta = sugar.BetaScheduler(ramp)
    labels = job["train_labels"]
    model.fit(train, labels, batch_size=batch, epochs=epochs, verbose=0, callbacks=[beta])
    utils.trace_minmax(model, train)
    trained = time.perf_counter() - start

    start = time.perf_counter()
    logic = trace.trace(*converter.trace_model(model))
    rtl = codegen.RTLModel(
        logic, folder, "synq_top", latency_cutoff=STAGE_DELAY, part_name="xc7z020clg400-1"
    )
    rtl.write()
    solved = time.perf_counter() - start

    got = np.concatenate(
        [logic.predict(test[at : at + AT_ONCE]) for at in range(0, len(test), AT_ONCE)]
    )
    expected = model.predict(test, verbose=0)
    result = {
        "version": f"{version('HGQ2')}, alkaid {version('alkaid')}",
        "train_seconds": round(trained, 1),
        "seconds": round(solved, 1),
        "accuracy": float(np.mean(np.argmax(got, axis=1) == job["test_labels"]) * 100),
        "differing": int(np.sum(got != expected)),
        "compared": int(got.size),
        "latency": int(rtl.latency),
        "own_estimate": int(logic.cost),
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
