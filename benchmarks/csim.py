"""C-simulation rate: synq's synapse array beside plain hls4ml, same network, same run, one thread.

Plain hls4ml: Dense layers of 784-128-10, and LeNet-5's Conv2D, MaxPooling2D and Dense, with
ap_fixed<16,6>, Resource strategy, reuse factor 784 or 25, Vitis, io_parallel, timed in `predict`
(as synq is too, for the like-for-like ratio). The test bench is what `synq-export` checks with: it
reads every layer. Each is timed several times in turn; medians are printed. LeNet-5's weights are
random.

    python benchmarks/csim.py [--small] [--json]

`--small` takes random networks of 36-8-4 and of an image of 6 x 6 and times once: that they run,
not how fast.
"""

import argparse
import contextlib
import ctypes
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.board import load_board
from synq.cache import default_cache_dir
from synq.device import load_device
from synq.float_network import FloatNetwork
from synq.geometry import DENSE, Geometry, Pool, Pooling, Window
from synq.hls import csim
from synq.hls.compiler import building
from synq.hls.design import HlsSettings
from synq.hls.sources import render_sources
from synq.learn.data.dataset import Dataset
from synq.learn.data.mnist import load_mnist
from synq.learn.train import RECIPES, trained_network
from synq.network import QuantizedNetwork
from synq.planning import plan_hls
from synq.progress import SILENT
from synq.project.output import write_files
from synq.quantizing import Quantization, quantize_network
from synq.request import Request

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from samples import samples

ROUNDS = 5
IMAGES = 2000
PICTURES = 400  # of the convolutional network, which takes longer


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
        trained, dataset = samples(Path(scratch)) if options.small else paper()
        found = {
            "perceptron": measure(trained, dataset, Path(scratch) / "dense", options.small),
            "convolutional": measure(
                convolutional(options.small), dataset, Path(scratch) / "places", options.small
            ),
        }
    if options.json:
        print(json.dumps(found))
        return
    for name, result in found.items():
        print(name)
        for what, value in result.items():
            print(f"  {what:28} {value:10,.1f}")


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios pair by pair, which holds while the machine's speed drifts."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def measure(
    trained: FloatNetwork, dataset: Dataset, scratch: Path, small: bool
) -> dict[str, float]:
    """Images a second of either, and how much faster ours is."""
    network = quantize_network(
        trained, Quantization(10), load_device("pcmo"), dataset.input_format, dataset.train_inputs
    )
    inputs = dataset.test_inputs[: IMAGES if network.dense else PICTURES]
    real = inputs * np.float64(dataset.input_format.step)

    bench, ours = compiled(network, inputs[:10], scratch / "synq")
    theirs = plain_hls4ml(trained, scratch / "plain")
    rates: dict[str, list[float]] = {"test bench": [], "synq predict": [], "hls4ml predict": []}
    for _ in range(1 if small else ROUNDS):
        run = csim.simulate(bench, network, inputs, scratch, parts=1)
        rates["test bench"].append(run.images_per_second)
        rates["synq predict"].append(predict_rate(ours, real))
        rates["hls4ml predict"].append(predict_rate(theirs, real))
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    return {
        "synq_images_per_s": medians["test bench"],
        "synq_predict_images_per_s": medians["synq predict"],
        "hls4ml_images_per_s": medians["hls4ml predict"],
        "ratio": ratio(rates["test bench"], rates["hls4ml predict"]),
        "predict_ratio": ratio(rates["synq predict"], rates["hls4ml predict"]),
    }


def convolutional(small: bool) -> FloatNetwork:
    """LeNet-5, or a convolution of an image of 6 x 6; random weights."""
    random = np.random.default_rng(0)
    pool = Pool(Pooling.MAX, (2, 2))
    if small:
        geometries = [Geometry(Window((6, 6, 1), (3, 3)), pool)]
        shapes = [(9, 2), (8, 4)]
    else:
        geometries = [
            Geometry(Window((28, 28, 1), (5, 5)), pool),
            Geometry(Window((12, 12, 6), (5, 5)), pool),
        ]
        shapes = [(25, 6), (150, 16), (256, 120), (120, 84), (84, 10)]
    geometries += [DENSE] * (len(shapes) - len(geometries))
    weights = tuple(random.normal(size=shape).astype(np.float32) for shape in shapes)
    return FloatNetwork(weights, (None,) * len(weights), tuple(geometries))


def paper() -> tuple[FloatNetwork, Dataset]:
    """What `synq-export` trains, and MNIST."""
    dataset = load_mnist(None, default_cache_dir(), SILENT)
    return trained_network(RECIPES["paper"], dataset, default_cache_dir(), SILENT)[0], dataset


def compiled(
    network: QuantizedNetwork, some: NDArray[np.uint8 | np.int8], scratch: Path
) -> tuple[Path, Any]:
    """The test bench of the emitted project, and hls4ml's graph with its library."""
    from synq.hls.keras.conversion import Conversion

    board = load_board("pynq-z2")
    design = plan_hls(network, board, Request()).chosen.core
    core = Conversion(
        network, design, board, HlsSettings("Vitis", "io_parallel"), scratch / "hls4ml"
    )
    place = scratch / "hls"
    write_files(place, core.files)
    write_files(place, render_sources(network, design, False, some, network.run(some)))
    programs = (csim.TEST_BENCH, csim.LIBRARY)
    with building(place, programs, scratch, scratch / "cache") as builds:
        bench, library = (builds.finish(program) for program in programs)
    core.graph._top_function_lib = ctypes.CDLL(str(library))
    return bench, core.graph


def predict_rate(graph: Any, real: NDArray[np.float64]) -> float:
    start = time.perf_counter()
    graph.predict(real)
    return len(real) / (time.perf_counter() - start)


def plain_hls4ml(trained: FloatNetwork, folder: Path) -> Any:
    """The same network as hls4ml itself emits it, compiled."""
    import synq.hls.keras  # noqa: F401, I001  (first: it settles that Keras is Keras 2)
    import hls4ml
    import tensorflow as tf

    layers = tf.keras.layers
    window = trained.geometries[0].window
    model = tf.keras.Sequential([layers.Input((trained.n_in,) if window is None else window.shape)])
    for weight, geometry in zip(trained.weights, trained.geometries, strict=True):
        last, n_out = weight is trained.weights[-1], weight.shape[1]
        activation = None if last else "relu"
        if geometry.window is not None:
            window, pool = geometry.window, geometry.pool
            model.add(layers.Conv2D(n_out, window.kernel, activation=activation, use_bias=False))
            weight = weight.reshape(*window.kernel, window.shape[2], n_out)
            model.layers[-1].set_weights([weight])
            if pool is not None:
                model.add(layers.MaxPooling2D(pool.size))
            continue
        if len(model.output_shape) > 2:
            model.add(layers.Flatten())
        model.add(layers.Dense(n_out, activation=activation, use_bias=False))
        model.layers[-1].set_weights([weight])
    reuse = trained.n_in if trained.dense else 25
    settings = {"Precision": "ap_fixed<16,6>", "ReuseFactor": reuse, "Strategy": "Resource"}
    graph = hls4ml.converters.convert_from_keras_model(
        model,
        output_dir=str(folder),
        backend="Vitis",
        io_type="io_parallel",
        hls_config={"Model": settings},
        part=load_board("pynq-z2").part,
    )
    graph.compile()
    return graph


if __name__ == "__main__":
    main()
