"""C-simulation rate: synq's synapse array beside plain hls4ml, same network, same run, one thread.

Plain hls4ml: Dense layers of 784-128-10, ap_fixed<16,6>, Resource strategy, reuse factor 784,
Vitis, io_parallel, timed in `predict` (as synq is too, for the like-for-like ratio). The test
bench is what `synq-export` checks with. Each is timed several times in turn; medians are printed.

    python benchmarks/csim.py [--small] [--json]

`--small` takes a random network of 32-12-10 and times once: that it runs, not how fast.
"""

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synq.board import load_board
from synq.cache import default_cache_dir
from synq.device import load_device
from synq.float_network import FloatNetwork
from synq.hls import csim
from synq.hls.design import HlsDesign
from synq.learn.data.dataset import Dataset
from synq.learn.data.mnist import load_mnist
from synq.learn.train import RECIPES, trained_network
from synq.plan import make_plan
from synq.progress import SILENT
from synq.quantize import Quantization, quantize_network
from synq.request import Request

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from samples import samples

ROUNDS = 5
IMAGES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a small network, timed once")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    log = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        rates = measure(Path(scratch), options.small)
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    result = {
        "synq_images_per_s": medians["test bench"],
        "synq_predict_images_per_s": medians["synq predict"],
        "hls4ml_images_per_s": medians["hls4ml predict"],
        "ratio": ratio(rates["test bench"], rates["hls4ml predict"]),
        "predict_ratio": ratio(rates["synq predict"], rates["hls4ml predict"]),
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value:10,.1f}")


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios pair by pair, which holds while the machine's speed drifts."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def measure(scratch: Path, small: bool) -> dict[str, list[float]]:
    """Images a second by contender, one value a round."""
    trained, dataset = samples(scratch) if small else paper()
    network = quantize_network(
        trained, Quantization(10), load_device("pcmo"), dataset.input_format, dataset.train_inputs
    )
    inputs = dataset.test_inputs[:IMAGES]
    real = inputs * np.float64(dataset.input_format.step)

    from synq.hls import project, qkeras_model

    model = qkeras_model.build_model(network)
    board = load_board("pynq-z2")
    core = make_plan(network, board, Request()).chosen.core
    assert isinstance(core, HlsDesign)
    ours = project.convert(
        model, network, core.arrays, board, "Vitis", "io_parallel", scratch / "synq"
    )
    project.write(ours, inputs[:10], network.run(inputs[:10]))
    with csim.test_bench_build(scratch / "synq", scratch / "bench") as build:
        build.finish()
    ours.graph.compile()
    theirs = plain_hls4ml(trained, scratch / "plain")

    given, results = scratch / "inputs.txt", scratch / "results.txt"
    given.write_bytes(csim.integer_lines(inputs))
    rates: dict[str, list[float]] = {"test bench": [], "synq predict": [], "hls4ml predict": []}
    for _ in range(1 if small else ROUNDS):
        rates["test bench"].append(bench_rate(scratch / "bench", given, results))
        rates["synq predict"].append(predict_rate(ours.graph, real))
        rates["hls4ml predict"].append(predict_rate(theirs, real))
    return rates


def paper() -> tuple[FloatNetwork, Dataset]:
    """What `synq-export` trains, and MNIST."""
    dataset = load_mnist(None, default_cache_dir(), SILENT)
    return trained_network(RECIPES["paper"], dataset, default_cache_dir(), SILENT)[0], dataset


def bench_rate(bench: Path, given: Path, results: Path) -> float:
    run = subprocess.run([bench, given, results], capture_output=True, text=True, check=True)
    words = run.stdout.split()
    return int(words[1]) / float(words[3])


def predict_rate(graph: object, real: NDArray[np.float64]) -> float:
    start = time.perf_counter()
    graph.predict(real)  # type: ignore[attr-defined]
    return len(real) / (time.perf_counter() - start)


def plain_hls4ml(trained: FloatNetwork, folder: Path) -> object:
    """The same network as hls4ml itself emits it, compiled."""
    import hls4ml
    import tensorflow as tf

    n_in, n_hidden, n_out = trained.sizes
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((n_in,)),
            tf.keras.layers.Dense(n_hidden, activation="relu", use_bias=False),
            tf.keras.layers.Dense(n_out, use_bias=False),
        ]
    )
    for layer, weight in zip(model.layers, trained.weights, strict=True):
        layer.set_weights([weight])
    config = {"Model": {"Precision": "ap_fixed<16,6>", "ReuseFactor": n_in, "Strategy": "Resource"}}
    graph = hls4ml.converters.convert_from_keras_model(
        model,
        output_dir=str(folder),
        backend="Vitis",
        io_type="io_parallel",
        hls_config=config,
        part=load_board("pynq-z2").part,
    )
    graph.compile()
    return graph


if __name__ == "__main__":
    main()
