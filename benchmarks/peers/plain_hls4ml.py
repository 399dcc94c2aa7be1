"""A perceptron as hls4ml itself emits it, compiled with g++ and run. Runs where synq does.

    python plain_hls4ml.py FOLDER

`FOLDER/job.npz`: `weights_0`, ... (n_in, n_out) reals; `inputs` (n_samples, n_in) reals; `labels`.
Writes the project to `FOLDER/plain` and `FOLDER/result.json`. TensorFlow is not to share a process
with the training, hence a script.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

PRECISION = "ap_fixed<16,6>"  # of weights, hls4ml's default; sums as wide as it finds necessary


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "job.npz", allow_pickle=False) as loaded:
        job = {name: loaded[name] for name in loaded.files}
    inputs = np.ascontiguousarray(job["inputs"], dtype=np.float32)
    weights = [job[f"weights_{index}"] for index in range(sum("weights_" in name for name in job))]

    import tf_keras

    sys.modules["keras"] = tf_keras  # else hls4ml takes the parser of Keras 3
    import hls4ml

    start = time.perf_counter()
    last = len(weights) - 1
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input((len(weights[0]),)),
            *(
                tf_keras.layers.Dense(
                    weight.shape[1], activation=None if index == last else "relu", use_bias=False
                )
                for index, weight in enumerate(weights)
            ),
        ]
    )
    for layer, weight in zip(model.layers, weights, strict=True):
        layer.set_weights([weight])
    reuse = len(weights[0])
    settings = hls4ml.utils.config_from_keras_model(
        model, granularity="name", backend="Vitis", default_precision=PRECISION
    )
    for each in settings["LayerName"].values():
        each |= {"ReuseFactor": reuse, "Strategy": "Resource"}
    graph = hls4ml.converters.convert_from_keras_model(
        model,
        output_dir=str(folder / "plain"),
        backend="Vitis",
        io_type="io_parallel",
        hls_config=settings,
        part="xc7z020clg400-1",
    )
    graph.compile()
    outputs = np.asarray(graph.predict(inputs)).reshape(len(inputs), -1)
    result = {
        "version": version("hls4ml"),
        "seconds": round(time.perf_counter() - start, 1),
        "accuracy": float(np.mean(np.argmax(outputs, axis=1) == job["labels"]) * 100),
        "reuse": reuse,
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
