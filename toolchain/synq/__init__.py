"""synq: from a trained network to a bit-exact memristor synapse array on an FPGA."""

__version__ = "0.1.0"
