"""How the files of this folder were made: each by the library that users save with.

    python make.py keras3 | keras2 | qkeras | onnx | qonnx | aihwkit | lightning

with that library installed. Beside each file NAME.kind lies NAME.npz: `x`, and `y`, what the
library computes of it, without a softmax or sigmoid at the end.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
X = np.random.default_rng(0).uniform(0, 1, (12, 6)).astype(np.float32)


def saved(name: str, outputs: Any, inputs: Any = X) -> None:
    np.savez_compressed(HERE / f"{name}.npz", x=inputs.reshape(len(inputs), -1), y=outputs)


def filled(model: Any) -> Any:
    """A Keras model with weights that are all different."""
    rng = np.random.default_rng(1)
    positive = ("variance", "var")
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        name = getattr(weight, "path", weight.name)
        weight.assign(abs(value) + 0.5 if any(word in name for word in positive) else value)
    return model


def keras_models(keras: Any) -> dict[str, Any]:
    layers = keras.layers
    sequential = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(4),
            layers.BatchNormalization(scale=False, epsilon=0.01),
            layers.Activation("relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    given = keras.Input((2, 3), name="image")
    values = layers.Rescaling(1 / 4, offset=-0.5)(given)
    values = layers.Normalization(axis=-1, mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(values)
    values = layers.Flatten()(values)
    values = layers.Dense(4, use_bias=False, name="first")(values)
    values = layers.ReLU(name="cut")(values)
    values = layers.BatchNormalization(center=False)(values)
    functional = keras.Model(given, layers.Dense(3, name="last")(values))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu")])
    nested = keras.Sequential(
        [keras.Input((6,)), layers.Normalization(), inner, layers.Dense(1, activation="sigmoid")]
    )
    return {"sequential": sequential, "functional": functional, "nested": nested}


def keras_all(keras: Any, prefix: str) -> None:
    for name, model in keras_models(keras).items():
        filled(model)
        inputs = X.reshape(12, 2, 3) if name == "functional" else X
        for kind in ("keras", "h5"):
            model.save(HERE / f"{prefix}_{name}.{kind}")
        loaded = keras.models.load_model(HERE / f"{prefix}_{name}.keras")
        loaded.layers[-1].activation = keras.activations.linear
        saved(f"{prefix}_{name}", np.asarray(loaded(inputs)), inputs)


def keras3() -> None:
    import keras

    keras_all(keras, "keras3")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Lambda(lambda x: 2 * x)])
    model.save(HERE / "keras3_lambda.keras")


def keras2() -> None:
    from tensorflow import keras

    keras_all(keras, "keras2")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Lambda(lambda x: 2 * x)])
    model.save(HERE / "keras2_lambda.h5")


def qkeras() -> None:
    from qkeras import QActivation, QDense
    from tensorflow import keras

    model = keras.Sequential(
        [
            keras.Input((6,)),
            QDense(
                5,
                kernel_quantizer="quantized_bits(4,1,alpha=1)",
                bias_quantizer="quantized_bits(6,2,alpha=1)",
            ),
            keras.layers.Activation("relu"),
            QDense(4, kernel_quantizer="ternary(alpha=1)", use_bias=False),
            keras.layers.Activation("relu"),
            QDense(
                4, kernel_quantizer="binary(alpha=1)", bias_quantizer="quantized_bits(8,0,alpha=1)"
            ),
            keras.layers.Activation("relu"),
            QDense(3, kernel_quantizer="quantized_bits(3,0,1,alpha=0.5)"),
        ]
    )
    filled(model)
    for kind in ("keras", "h5"):
        model.save(HERE / f"qkeras.{kind}")
    saved("qkeras", np.asarray(model(X)))
    model = keras.Sequential(
        [keras.Input((6,)), QDense(4), QActivation("quantized_relu(8,3)"), QDense(3)]
    )
    filled(model).save(HERE / "qkeras_relu.h5")


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    globals()[sys.argv[1]]()
