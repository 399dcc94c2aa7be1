"""Datasets: MNIST from wherever it is to be had, and the user's own arrays."""
