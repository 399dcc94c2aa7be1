"""A PyTorch network of your own: trained in torch, saved, quantized, exported as Verilog.

The export simulates every test image in Verilator, and fails if one integer differs from the
reference.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import synq

data = synq.load_data("digits")
# Inputs are raw integers; what they stand for is in their format.
images = torch.tensor(data.train_inputs / 2**data.input_format.fraction, dtype=torch.float32)
labels = torch.tensor(data.train_labels)

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
for _ in range(200):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()

Path("build").mkdir(exist_ok=True)
save_file(model.state_dict(), "build/own.safetensors")

net = synq.quantize(synq.load_network("build/own.safetensors"), data=data, levels=10)
project = synq.export(
    net,
    board="pynq-z2",
    flows=["rtl"],
    request=synq.Request(target=synq.Target.AREA),
    output="build/own",
)
print(f"{net.accuracy():.2f} %; {project.images} images bit-exact in {project.output}")
