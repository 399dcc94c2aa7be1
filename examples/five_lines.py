"""A network in five lines: train, quantize to a device's conductances, score the integers."""

import synq

data = synq.load_data("digits")
net = synq.quantize(synq.train(data), data=data, device="pcmo", levels=10)
print(f"{net.accuracy():.2f} % of {len(data.test_labels)} test images")
