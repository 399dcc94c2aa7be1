"""How the files of this folder were made: each by the library that users save with.

    python make.py keras3 | keras2 | qkeras | onnx | qonnx | aihwkit | lightning |
        images_of_keras3 | images_of_keras2 | images_of_onnx

with that library installed. Beside each file NAME.kind lies NAME.npz: `x`, and `y`, what the
library computes of it, without a softmax or sigmoid at the end. Images are channels last in `x`,
whatever the library takes.
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


def torch_model() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(5, 4, bias=False), nn.ReLU(), nn.BatchNorm1d(4)),
        *(nn.Linear(4, 3), nn.Softmax(dim=1)),
    )
    for _ in range(10):
        model(torch.rand(32, 6) * 3 - 1)
    return model.eval()


def onnx() -> None:
    import torch
    from torch import nn

    model = torch_model()
    saved("torch_script", model[:-1](torch.tensor(X)).detach().numpy())
    saved("torch_dynamo", model[:-1](torch.tensor(X)).detach().numpy())
    example = torch.tensor(X).reshape(12, 2, 3)
    axes = {"x": {0: "samples"}}
    torch.onnx.export(
        *(model, (example,), HERE / "torch_script.onnx"),
        **{"input_names": ["x"], "dynamic_axes": axes, "dynamo": False},
    )
    program = torch.onnx.export(model, (example,), input_names=["x"], dynamo=True)
    program.save(HERE / "torch_dynamo.onnx", external_data=False)

    class Scaled(nn.Module):
        """As users write it: inputs scaled, weights used twice the size, a view."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 4), nn.Linear(4, 1)
            self.register_buffer("mean", torch.rand(2, 3))

        def forward(self, x: Any) -> Any:
            x = ((x - self.mean) / 0.5).view(x.size(0), -1)
            return torch.sigmoid(self.last(torch.relu(self.first(x)) * 2))

    model = Scaled().eval()
    torch.onnx.export(
        *(model, (example,), HERE / "torch_scaled.onnx"),
        **{"input_names": ["x"], "dynamic_axes": axes, "dynamo": False},
    )
    saved("torch_scaled", torch.logit(model(example)).detach().numpy())


def qonnx() -> None:
    import brevitas.nn as qnn
    import torch
    from brevitas.export import export_onnx_qcdq, export_qonnx
    from brevitas.quant import Int4WeightPerTensorFloatDecoupled, SignedBinaryWeightPerTensorConst
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        qnn.QuantLinear(6, 5, bias=True, weight_bit_width=4),
        *(nn.BatchNorm1d(5), nn.ReLU()),
        qnn.QuantLinear(
            5, 4, bias=False, weight_bit_width=3, weight_scaling_per_output_channel=True
        ),
        nn.ReLU(),
        qnn.QuantLinear(4, 3, bias=True, weight_quant=Int4WeightPerTensorFloatDecoupled),
    ).eval()
    saved("brevitas", model(torch.tensor(X)).detach().numpy())
    export_qonnx(model, torch.tensor(X), HERE / "brevitas.onnx")
    model[5] = qnn.QuantLinear(4, 3, bias=True, weight_bit_width=8)
    model.eval()
    saved("brevitas_qcdq", model(torch.tensor(X)).detach().numpy())
    export_onnx_qcdq(model, torch.tensor(X), HERE / "brevitas_qcdq.onnx")
    model = nn.Sequential(
        *(qnn.QuantIdentity(bit_width=8), qnn.QuantLinear(6, 4, bias=True)),
        *(qnn.QuantReLU(bit_width=8), qnn.QuantLinear(4, 3, bias=True)),
    )
    model(torch.tensor(X))
    export_qonnx(model.eval(), torch.tensor(X), HERE / "brevitas_activations.onnx")
    model = nn.Sequential(
        qnn.QuantLinear(6, 4, bias=False, weight_quant=SignedBinaryWeightPerTensorConst),
        *(nn.ReLU(), qnn.QuantLinear(4, 3, bias=True)),
    ).eval()
    saved("brevitas_binary", model(torch.tensor(X)).detach().numpy())
    export_qonnx(model, torch.tensor(X), HERE / "brevitas_binary.onnx")


def aihwkit() -> None:
    import torch
    from aihwkit.nn.conversion import convert_to_analog, convert_to_digital
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.mapping import MappingParameter
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    mapping = MappingParameter(weight_scaling_omega=0.6, weight_scaling_columnwise=True)
    analog = convert_to_analog(model, TorchInferenceRPUConfig(mapping=mapping))
    torch.save(analog.state_dict(), HERE / "aihwkit.pt")
    saved("aihwkit", convert_to_digital(analog)(torch.tensor(X)).detach().numpy())


def lightning() -> None:
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from torch import nn

    class Net(LightningModule):
        def __init__(self, hidden: int = 5) -> None:
            super().__init__()
            self.save_hyperparameters()
            layers = (nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 3))
            self.model = nn.Sequential(*layers)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = nn.functional.cross_entropy(self.model(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.rand(64, 6), torch.randint(0, 3, (64,)))
    callbacks = [ModelCheckpoint(HERE, filename="lightning"), EarlyStopping("loss")]
    trainer = Trainer(max_epochs=2, accelerator="cpu", logger=False, callbacks=callbacks)
    net = Net()
    trainer.fit(net, torch.utils.data.DataLoader(data, batch_size=16))
    saved("lightning", net.eval().model(torch.tensor(X)).detach().numpy())


def pictures(*shape: int) -> Any:
    return np.random.default_rng(2).uniform(0, 1, (5, *shape)).astype(np.float32)


def images_of_keras(keras: Any, prefix: str) -> None:
    layers = keras.layers
    padded = keras.Sequential(
        [
            keras.Input((7, 6, 2)),
            layers.Rescaling(0.5),
            layers.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu"),
            layers.ZeroPadding2D(((1, 0), (0, 1))),
            layers.Conv2D(4, 2, activation="relu"),
            layers.BatchNormalization(center=False),
            layers.Conv2D(3, 2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    given = keras.Input((9, 2))
    values = layers.Conv1D(3, 3, strides=2, activation="relu")(given)
    values = layers.AveragePooling1D(2)(values)
    values = layers.Conv1D(4, 2)(values)
    values = layers.ReLU()(values)
    values = layers.GlobalAveragePooling1D()(values)
    line = keras.Model(given, layers.Dense(2, name="last")(values))
    for name, model, shape in (("image", padded, (7, 6, 2)), ("line", line, (9, 2))):
        filled(model)
        for kind in ("keras", "h5"):
            model.save(HERE / f"{prefix}_{name}.{kind}")
        loaded = keras.models.load_model(HERE / f"{prefix}_{name}.keras")
        loaded.layers[-1].activation = keras.activations.linear
        inputs = pictures(*shape)
        saved(f"{prefix}_{name}", np.asarray(loaded(inputs)), inputs)


def images_of_keras3() -> None:
    import keras

    images_of_keras(keras, "keras3")


def images_of_keras2() -> None:
    import tf_keras as keras

    images_of_keras(keras, "keras2")


def images_of_onnx() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.BatchNorm2d(2), nn.Conv2d(2, 4, (3, 2), stride=(1, 2)), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(4, 3, 2, padding=1, bias=False)),
        *(nn.ReLU(), nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(12, 3), nn.Softmax(dim=1)),
    )
    inputs = pictures(8, 8, 2)
    given = torch.tensor(inputs).permute(0, 3, 1, 2)
    with torch.no_grad():
        for _ in range(10):
            model[:-3](given * 3 - 1)
        outputs = model.eval()[:-1](given).numpy()
    for name, dynamo in (("image_script", False), ("image_dynamo", True)):
        saved(f"torch_{name}", outputs, inputs)
        more = {} if dynamo else {"dynamic_axes": {"x": {0: "samples"}}}
        program = torch.onnx.export(
            model,
            (given,),
            None if dynamo else HERE / f"torch_{name}.onnx",
            input_names=["x"],
            dynamo=dynamo,
            **more,
        )
        if dynamo:
            program.save(HERE / f"torch_{name}.onnx", external_data=False)


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    globals()[sys.argv[1]]()
